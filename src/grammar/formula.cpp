#include "grammar/formula.h"

#include <algorithm>

namespace hanlin::grammar {
namespace {

uint64_t mix(uint64_t h, uint64_t v) { return (h ^ v) * 0x9e3779b97f4a7c15ull + (h >> 29); }

}  // namespace

uint8_t Atom::type() const {
  switch (kind) {
    case Kind::kIsTrue: return kBooleanType;
    case Kind::kAtLeast: case Kind::kMultiple: case Kind::kAbove: return kNumberType;
    case Kind::kMatches: case Kind::kMinLength: case Kind::kFormat: return kStringType;
    case Kind::kHasItems: case Kind::kUnique: return kArrayType;
    default: return kObjectType;
  }
}

FormulaStore::FormulaStore() {
  add({Kind::kTrue});
  add({Kind::kFalse});
  negations_ = {kFalseFormula, kTrueFormula};
}

FormulaId FormulaStore::add(Node node) {
  uint64_t h = mix(static_cast<uint64_t>(node.kind) * 2 + node.positive, node.types);
  h = mix(h, static_cast<uint64_t>(node.index));
  for (FormulaId p : node.parts) h = mix(h, static_cast<uint64_t>(p));
  const auto [first, last] = ids_.equal_range(h);
  for (auto it = first; it != last; ++it) {
    const Node& other = (*this)[it->second];
    if (other.kind == node.kind && other.positive == node.positive && other.types == node.types && other.index == node.index && other.parts == node.parts) {
      return it->second;
    }
  }
  nodes_.push_back(std::move(node));
  negations_.push_back(-1);
  const auto id = static_cast<FormulaId>(nodes_.size()) - 1;
  ids_.emplace(h, id);
  return id;
}

FormulaId FormulaStore::types(uint8_t mask) {
  if (mask == kAllTypes) return kTrueFormula;
  if (mask == 0) return kFalseFormula;
  return add({Kind::kTypes, true, mask});
}

FormulaId FormulaStore::literal(const Atom& atom, bool positive) {
  if (atom.kind == Atom::Kind::kOrder && !positive) return kFalseFormula;
  if (atom.kind == Atom::Kind::kFormat && !positive) negates_format_ = true;
  if (atom.kind == Atom::Kind::kHasProperty && atom.formula == kFalseFormula) return positive ? kFalseFormula : kTrueFormula;
  if (atom.kind == Atom::Kind::kHasItems && atom.n <= 0) return positive ? kTrueFormula : kFalseFormula;
  if (atom.kind == Atom::Kind::kHasItems && (atom.formula == kFalseFormula || atom.from >= atom.to)) return positive ? kFalseFormula : kTrueFormula;
  if (atom.kind == Atom::Kind::kNamesHold && atom.formula == kTrueFormula) return positive ? kTrueFormula : kFalseFormula;
  if ((atom.kind == Atom::Kind::kMinLength || atom.kind == Atom::Kind::kMinProperties) && atom.n <= 0) return positive ? kTrueFormula : kFalseFormula;
  uint64_t h = mix(static_cast<uint64_t>(atom.kind), static_cast<uint64_t>(atom.number.mantissa));
  for (int64_t v : {static_cast<int64_t>(atom.number.exponent), static_cast<int64_t>(atom.dfa), atom.n, atom.from, atom.to,
                    static_cast<int64_t>(atom.names), static_cast<int64_t>(atom.formula)}) {
    h = mix(h, static_cast<uint64_t>(v));
  }
  const auto [first, last] = atom_ids_.equal_range(h);
  for (auto it = first; it != last; ++it) {
    if (atoms_[static_cast<size_t>(it->second)] == atom) return add({Kind::kLiteral, positive, 0, it->second});
  }
  atoms_.push_back(atom);
  const auto id = static_cast<int32_t>(atoms_.size()) - 1;
  atom_ids_.emplace(h, id);
  return add({Kind::kLiteral, positive, 0, id});
}

FormulaId FormulaStore::guarded(const Atom& atom, bool positive) {
  const FormulaId l = literal(atom, positive);
  return l == kTrueFormula ? kTrueFormula : any_of({types(static_cast<uint8_t>(kAllTypes & ~atom.type())), l});
}

FormulaId FormulaStore::lazy(int32_t schema, bool positive) { return add({Kind::kLazy, positive, 0, schema}); }

// Flattens, sorts, drops repetitions and neutral parts, joins type masks, and sees x together with its negation.
FormulaId FormulaStore::combine(Kind kind, std::vector<FormulaId> parts) {
  const FormulaId neutral = kind == Kind::kAnd ? kTrueFormula : kFalseFormula;
  const FormulaId absorbing = kind == Kind::kAnd ? kFalseFormula : kTrueFormula;
  std::vector<FormulaId> flat;
  uint8_t mask = kind == Kind::kAnd ? kAllTypes : 0;
  bool has_mask = false;
  const auto take = [&](FormulaId p) {
    if ((*this)[p].kind == Kind::kTypes) {
      has_mask = true;
      mask = static_cast<uint8_t>(kind == Kind::kAnd ? mask & (*this)[p].types : mask | (*this)[p].types);
    } else {
      flat.push_back(p);
    }
  };
  for (FormulaId p : parts) {
    if (p == absorbing) return absorbing;
    if (p == neutral) continue;
    if ((*this)[p].kind == kind) {
      const std::vector<FormulaId> inner = (*this)[p].parts;
      for (FormulaId q : inner) take(q);
    } else {
      take(p);
    }
  }
  if (has_mask) {
    const FormulaId m = types(mask);
    if (m == absorbing) return absorbing;
    if (m != neutral) flat.push_back(m);
  }
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  for (FormulaId p : flat) {
    const FormulaId n = negations_[static_cast<size_t>(p)];
    if (n >= 0 && std::binary_search(flat.begin(), flat.end(), n)) return absorbing;
  }
  if (flat.empty()) return neutral;
  if (flat.size() == 1) return flat[0];
  return add({kind, true, 0, -1, std::move(flat)});
}

FormulaId FormulaStore::all_of(std::vector<FormulaId> parts) { return combine(Kind::kAnd, std::move(parts)); }
FormulaId FormulaStore::any_of(std::vector<FormulaId> parts) { return combine(Kind::kOr, std::move(parts)); }

FormulaId FormulaStore::one_of(std::vector<FormulaId> parts, bool positive) {
  std::erase(parts, kFalseFormula);
  if (parts.empty()) return positive ? kFalseFormula : kTrueFormula;
  if (parts.size() == 1) return positive ? parts[0] : negation(parts[0]);
  return add({Kind::kOneOf, positive, 0, -1, std::move(parts)});
}

FormulaId FormulaStore::negation(FormulaId f) {
  if (negations_[static_cast<size_t>(f)] >= 0) return negations_[static_cast<size_t>(f)];
  const Node node = (*this)[f];
  FormulaId result = kFalseFormula;
  switch (node.kind) {
    case Kind::kTrue: result = kFalseFormula; break;
    case Kind::kFalse: result = kTrueFormula; break;
    case Kind::kTypes: result = types(static_cast<uint8_t>(kAllTypes & ~node.types)); break;
    case Kind::kLiteral: result = literal(Atom(atom(node.index)), !node.positive); break;
    case Kind::kLazy: result = lazy(node.index, !node.positive); break;
    case Kind::kOneOf: result = one_of(node.parts, !node.positive); break;
    case Kind::kAnd:
    case Kind::kOr: {
      std::vector<FormulaId> parts;
      for (FormulaId p : node.parts) parts.push_back(negation(p));
      result = node.kind == Kind::kAnd ? any_of(std::move(parts)) : all_of(std::move(parts));
    }
  }
  negations_[static_cast<size_t>(f)] = result;
  if (negations_[static_cast<size_t>(result)] < 0) negations_[static_cast<size_t>(result)] = f;
  return result;
}

int32_t FormulaStore::add_name_set(NameSet set) {
  std::sort(set.dfas.begin(), set.dfas.end());
  set.dfas.erase(std::unique(set.dfas.begin(), set.dfas.end()), set.dfas.end());
  const auto [it, is_new] = name_set_ids_.try_emplace(set, static_cast<int32_t>(name_sets_.size()));
  if (is_new) name_sets_.push_back(std::move(set));
  return it->second;
}

}  // namespace hanlin::grammar
