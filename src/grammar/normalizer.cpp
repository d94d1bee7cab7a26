#include "grammar/normalizer.h"

#include <algorithm>
#include <array>

namespace hanlin::grammar {
namespace {

using Kind = FormulaStore::Kind;
constexpr size_t kMaxAlternatives = 1024;
constexpr int64_t kMaxSteps = 400'000;  // of branching, for one schema
constexpr size_t kMaxProductStates = 20'000;
constexpr int kMaxDepth = 400;

Error too_many() { return Error{Code::kUnsupported, "JSON Schema: the combinations of allOf, anyOf, oneOf, not and if are too many to be enforced"}; }

}  // namespace

bool Normalizer::contains(const NameSet& set, const std::string& name) const {
  bool in = std::find(set.names.begin(), set.names.end(), name) != set.names.end();
  for (size_t i = 0; i < set.dfas.size() && !in; ++i) in = store_.dfa(set.dfas[i]).match(name) >= 0;
  return in != set.complement;
}

// The formula for values of one type, without type masks, lazy references and oneOf.
Result<FormulaId> Normalizer::restrict_to(FormulaId f, uint8_t type) {
  const int64_t key = static_cast<int64_t>(f) * 64 + type;
  if (const auto it = restricted_.find(key); it != restricted_.end()) return it->second;
  if (depth_ > kMaxDepth) return too_many();
  ++depth_;
  const FormulaStore::Node node = store_[f];
  FormulaId result = f;
  switch (node.kind) {
    case Kind::kTrue: case Kind::kFalse: break;
    case Kind::kTypes: result = node.types & type ? kTrueFormula : kFalseFormula; break;
    case Kind::kLiteral:
      if (store_.atom(node.index).type() != type) result = kFalseFormula;  // behind a type mask that decides
      break;
    case Kind::kLazy: {
      HANLIN_ASSIGN(FormulaId inner, reader_.read(node.index));
      if (!node.positive) inner = store_.negation(inner);
      HANLIN_ASSIGN(result, restrict_to(inner, type));
      break;
    }
    case Kind::kAnd: case Kind::kOr: {
      std::vector<FormulaId> parts;
      for (FormulaId p : node.parts) {
        HANLIN_ASSIGN(const FormulaId r, restrict_to(p, type));
        parts.push_back(r);
      }
      result = node.kind == Kind::kAnd ? store_.all_of(std::move(parts)) : store_.any_of(std::move(parts));
      break;
    }
    case Kind::kOneOf: {
      std::vector<FormulaId> parts;
      for (FormulaId p : node.parts) {
        HANLIN_ASSIGN(const FormulaId r, restrict_to(p, type));
        parts.push_back(r);
      }
      HANLIN_ASSIGN(result, expand_one_of(parts, node.positive, type));
    }
  }
  --depth_;
  restricted_[key] = result;
  return result;
}

// Exactly one of the parts, or (negative) none or at least two. Pairs that cannot hold together need no negation:
// that keeps the usual "one of these kinds of object" small.
Result<FormulaId> Normalizer::expand_one_of(const std::vector<FormulaId>& parts, bool positive, uint8_t type) {
  const size_t n = parts.size();
  if (n > 100) return too_many();
  std::vector<FormulaId> choices;
  std::vector<std::vector<char>> together(n, std::vector<char>(n, 0));
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i + 1; j < n; ++j) {
      if (parts[i] == kFalseFormula || parts[j] == kFalseFormula) continue;
      HANLIN_ASSIGN(const bool both, may_hold_as(store_.all_of({parts[i], parts[j]}), type, 3));
      together[i][j] = together[j][i] = both;
    }
  }
  if (positive) {
    for (size_t i = 0; i < n; ++i) {
      std::vector<FormulaId> all{parts[i]};
      for (size_t j = 0; j < n; ++j) {
        if (j != i && together[i][j]) all.push_back(store_.negation(parts[j]));
      }
      choices.push_back(store_.all_of(std::move(all)));
    }
  } else {
    std::vector<FormulaId> none;
    for (FormulaId p : parts) none.push_back(store_.negation(p));
    choices.push_back(store_.all_of(std::move(none)));
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = i + 1; j < n; ++j) {
        if (together[i][j]) choices.push_back(store_.all_of({parts[i], parts[j]}));
      }
    }
  }
  HANLIN_ASSIGN(const FormulaId result, restrict_to(store_.any_of(std::move(choices)), type));
  return result;
}

// Depth-first over the choices that are left; literals that contradict each other end a branch.
Status Normalizer::branch(std::vector<FormulaId> todo, Conjunction literals, std::vector<FormulaId> choices, std::vector<Conjunction>& out) {
  if (++n_steps_ > kMaxSteps || out.size() > kMaxAlternatives) return too_many();
  for (;;) {
    while (!todo.empty()) {
      const FormulaId f = todo.back();
      todo.pop_back();
      const FormulaStore::Node& node = store_[f];
      switch (node.kind) {
        case Kind::kTrue: break;
        case Kind::kFalse: return {};
        case Kind::kAnd: todo.insert(todo.end(), node.parts.begin(), node.parts.end()); break;
        case Kind::kOr: choices.push_back(f); break;
        default: {
          const Literal l{node.index, node.positive};
          const auto at = std::lower_bound(literals.begin(), literals.end(), l);
          if (at != literals.end() && *at == l) break;
          if (std::binary_search(literals.begin(), literals.end(), Literal{l.atom, !l.positive})) return {};
          literals.insert(at, l);
        }
      }
    }
    // Drop choices that hold already, shorten those with parts that cannot hold any more.
    bool changed = false;
    std::vector<FormulaId> left;
    for (FormulaId c : choices) {
      std::vector<FormulaId> parts;
      bool holds = false;
      for (FormulaId p : store_[c].parts) {
        const FormulaStore::Node& node = store_[p];
        if (node.kind == Kind::kLiteral) {
          if (std::binary_search(literals.begin(), literals.end(), Literal{node.index, node.positive})) {
            holds = true;
            break;
          }
          if (std::binary_search(literals.begin(), literals.end(), Literal{node.index, !node.positive})) continue;
        }
        parts.push_back(p);
      }
      if (holds) continue;
      if (parts.empty()) return {};
      if (parts.size() == 1) {
        todo.push_back(parts[0]);
        changed = true;
      } else {
        left.push_back(parts.size() == store_[c].parts.size() ? c : store_.any_of(parts));
      }
    }
    choices = std::move(left);
    if (!changed) break;
  }
  if (choices.empty()) {
    out.push_back(std::move(literals));
    return {};
  }
  const auto smallest = std::min_element(choices.begin(), choices.end(), [&](FormulaId a, FormulaId b) { return store_[a].parts.size() < store_[b].parts.size(); });
  const std::vector<FormulaId> parts = store_[*smallest].parts;
  choices.erase(smallest);
  for (FormulaId p : parts) HANLIN_TRY(branch({p}, literals, choices, out));
  return {};
}

Result<std::vector<Conjunction>> Normalizer::alternatives(FormulaId f, uint8_t type) {
  HANLIN_ASSIGN(const FormulaId r, restrict_to(f, type));
  std::vector<Conjunction> out, kept;
  HANLIN_TRY(branch({r}, {}, {}, out));
  std::sort(out.begin(), out.end(), [](const Conjunction& a, const Conjunction& b) { return a.size() != b.size() ? a.size() < b.size() : a < b; });
  out.erase(std::unique(out.begin(), out.end()), out.end());
  for (Conjunction& c : out) {  // an alternative that asks for more than another one adds nothing
    const bool implied = out.size() <= 300 && std::any_of(kept.begin(), kept.end(), [&](const Conjunction& k) { return std::includes(c.begin(), c.end(), k.begin(), k.end()); });
    if (!implied) kept.push_back(std::move(c));
  }
  return kept;
}

Result<bool> Normalizer::may_hold(FormulaId f, int depth) {
  for (uint8_t type = 1; type <= kObjectType; type = static_cast<uint8_t>(type * 2)) {
    HANLIN_ASSIGN(const bool some, may_hold_as(f, type, depth));
    if (some) return true;
  }
  return false;
}

Result<bool> Normalizer::may_hold_as(FormulaId f, uint8_t type, int depth) {
  HANLIN_ASSIGN(const FormulaId r, restrict_to(f, type));
  if (r == kFalseFormula) return false;
  if (r == kTrueFormula) return true;
  const int64_t key = (static_cast<int64_t>(r) * 8 + depth) * 64 + type;
  if (const auto it = may_hold_.find(key); it != may_hold_.end()) return it->second;
  may_hold_[key] = true;
  HANLIN_ASSIGN(const std::vector<Conjunction> all, alternatives(r, type));
  bool result = false;
  for (size_t i = 0; i < all.size() && !result; ++i) {
    HANLIN_ASSIGN(result, may_be(all[i], type, depth));
  }
  may_hold_[key] = result;
  return result;
}

Result<bool> Normalizer::may_be(const Conjunction& all, uint8_t type, int depth) {
  switch (type) {
    case kNumberType: {
      HANLIN_ASSIGN(const std::optional<NumberSet> set, number_set(all));
      return set.has_value();
    }
    case kStringType: {
      HANLIN_ASSIGN(const std::optional<StringSet> set, string_set(all));
      return set.has_value();
    }
    case kObjectType: return may_be_object(all, depth);
    case kArrayType: return may_be_array(all, depth);
    default: return true;
  }
}

Result<bool> Normalizer::may_be_object(const Conjunction& all, int depth) {
  int64_t min = 0, max = kUnbounded;
  std::vector<std::string> required;
  for (const Literal& l : all) {
    const Atom& a = store_.atom(l.atom);
    if (a.kind == Atom::Kind::kMinProperties) {
      if (l.positive) min = std::max(min, a.n);
      if (!l.positive) max = std::min(max, a.n - 1);
    }
    if (a.kind == Atom::Kind::kHasProperty && l.positive && store_.name_set(a.names).is_single()) {
      const std::string& name = store_.name_set(a.names).names[0];
      if (std::find(required.begin(), required.end(), name) == required.end()) required.push_back(name);
    }
  }
  if (min > max || static_cast<int64_t>(required.size()) > max) return false;
  for (const std::string& name : required) {
    std::vector<FormulaId> parts;
    for (const Literal& l : all) {
      const Atom a = store_.atom(l.atom);
      if (a.kind == Atom::Kind::kNamesHold && l.positive) {
        HANLIN_ASSIGN(const bool good, holds_for(a.formula, name));
        if (!good) return false;
      }
      if (a.kind != Atom::Kind::kHasProperty) continue;
      const NameSet& set = store_.name_set(a.names);
      if (l.positive ? set.is_single() && set.names[0] == name : contains(set, name)) parts.push_back(l.positive ? a.formula : store_.negation(a.formula));
    }
    const FormulaId f = store_.all_of(std::move(parts));
    if (f == kFalseFormula) return false;
    if (depth <= 0 || f == kTrueFormula) continue;
    HANLIN_ASSIGN(const bool some, may_hold(f, depth - 1));
    if (!some) return false;
  }
  return true;
}

Result<bool> Normalizer::may_be_array(const Conjunction& all, int depth) {
  int64_t min = 0, max = kUnbounded;
  for (const Literal& l : all) {
    const Atom& a = store_.atom(l.atom);
    if (a.kind != Atom::Kind::kHasItems) continue;
    if (a.formula == kTrueFormula && (a.to >= kUnbounded || a.n == 1)) {
      if (l.positive) min = std::max(min, a.from + a.n);
      if (!l.positive) max = std::min(max, a.from + a.n - 1);
    } else if (l.positive) {
      min = std::max(min, a.from + 1);
    }
  }
  if (min > max) return false;
  for (int64_t i = 0; i < std::min<int64_t>(min, 8); ++i) {
    std::vector<FormulaId> parts;
    for (const Literal& l : all) {
      const Atom& a = store_.atom(l.atom);
      if (a.kind == Atom::Kind::kHasItems && !l.positive && a.n == 1 && a.from <= i && i < a.to) parts.push_back(store_.negation(a.formula));
    }
    const FormulaId f = store_.all_of(std::move(parts));
    if (f == kFalseFormula) return false;
    if (depth <= 0 || f == kTrueFormula) continue;
    HANLIN_ASSIGN(const bool some, may_hold(f, depth - 1));
    if (!some) return false;
  }
  return true;
}

Result<std::optional<NumberSet>> Normalizer::number_set(const Conjunction& all) {
  NumberSet set;
  for (const Literal& l : all) {
    const Atom& a = store_.atom(l.atom);
    if (a.kind == Atom::Kind::kMultiple) {
      (l.positive ? set.multiples : set.not_multiples).push_back(a.number);
      continue;
    }
    const bool is_low = l.positive, open = (a.kind == Atom::Kind::kAbove) == l.positive;
    std::optional<Decimal>& bound = is_low ? set.low : set.high;
    bool& bound_open = is_low ? set.low_open : set.high_open;
    const int c = bound ? compare(a.number, *bound) : 0;
    if (!bound || (is_low ? c > 0 : c < 0)) {
      bound = a.number;
      bound_open = open;
    } else if (c == 0) {
      bound_open = bound_open || open;
    }
  }
  HANLIN_TRY(set.finish());
  NumberMachine machine(&set);
  if (machine.cost(machine.start()) < kInfinite) return std::optional<NumberSet>(std::move(set));
  // Empty here means no text within our bounds of digits. Only a provably empty set may vanish silently.
  const bool crossed = set.low && set.high && compare(*set.low, *set.high) >= 0;
  const auto moderate = [](const std::optional<Decimal>& d) { return !d || d->mantissa == 0 || (compare(*d, make_decimal(-1, 18)) > 0 && compare(*d, make_decimal(1, 18)) < 0 && d->exponent >= -15); };
  if (!crossed && (!moderate(set.low) || !moderate(set.high))) return Error{Code::kUnsupported, "JSON Schema: numbers of this size cannot be enforced"};
  return std::optional<NumberSet>();
}

Result<int32_t> Normalizer::intersect(const std::vector<std::pair<int32_t, bool>>& parts) {
  if (const auto it = products_.find(parts); it != products_.end()) return it->second;
  std::vector<const Dfa*> dfas;
  for (const auto& [dfa, positive] : parts) dfas.push_back(&store_.dfa(dfa));
  const Dfa universal = universal_dfa();
  if (dfas.empty()) dfas.push_back(&universal);
  std::optional<Dfa> both = product(
      dfas,
      [&](std::span<const bool> accepts) {
        for (size_t i = 0; i < parts.size(); ++i) {
          if (accepts[i] != parts[i].second) return -1;
        }
        return 0;
      },
      kMaxProductStates);
  if (!both) return Error{Code::kUnsupported, "JSON Schema: the patterns of a string together are too large to be enforced"};
  return products_[parts] = store_.add_dfa(*std::move(both));
}

Result<std::optional<StringSet>> Normalizer::string_set(const Conjunction& all) {
  StringSet set{-1, 0, kUnbounded};
  std::vector<std::pair<int32_t, bool>> parts;
  for (const Literal& l : all) {
    const Atom& a = store_.atom(l.atom);
    if (a.kind == Atom::Kind::kMinLength) {
      if (l.positive) set.min = std::max(set.min, a.n);
      if (!l.positive) set.max = std::min(set.max, a.n - 1);
    } else {
      if (a.kind == Atom::Kind::kFormat && !l.positive) return Error{Code::kUnsupported, "JSON Schema: the negation of a format cannot be enforced"};
      parts.push_back({a.dfa, l.positive});
    }
  }
  if (set.min > set.max) return std::optional<StringSet>();
  std::sort(parts.begin(), parts.end());
  parts.erase(std::unique(parts.begin(), parts.end()), parts.end());
  if (parts.size() == 1 && parts[0].second) {
    set.dfa = parts[0].first;
  } else {
    HANLIN_ASSIGN(set.dfa, intersect(parts));
  }
  const Dfa& dfa = store_.dfa(set.dfa);
  if (dfa.is_empty()) return std::optional<StringSet>();
  return std::optional<StringSet>(set);
}

Result<bool> Normalizer::holds_for(FormulaId f, const std::string& text) {
  HANLIN_ASSIGN(const FormulaId r, restrict_to(f, kStringType));
  const FormulaStore::Node node = store_[r];
  switch (node.kind) {
    case Kind::kTrue: return true;
    case Kind::kLiteral: {
      const Atom& a = store_.atom(node.index);
      const bool holds = a.kind == Atom::Kind::kMinLength ? static_cast<int64_t>(code_points(text).size()) >= a.n : store_.dfa(a.dfa).match(text) >= 0;
      return holds == node.positive;
    }
    case Kind::kAnd: case Kind::kOr: {
      for (FormulaId p : node.parts) {
        HANLIN_ASSIGN(const bool holds, holds_for(p, text));
        if (holds == (node.kind == Kind::kOr)) return holds;
      }
      return node.kind == Kind::kAnd;
    }
    default: return false;
  }
}

Result<std::vector<int32_t>> Normalizer::string_dfas(FormulaId f) {
  if (const auto it = string_dfas_.find(f); it != string_dfas_.end()) return it->second;
  HANLIN_ASSIGN(const std::vector<Conjunction> all, alternatives(f, kStringType));
  std::vector<int32_t> out;
  for (const Conjunction& c : all) {
    HANLIN_ASSIGN(const std::optional<StringSet> set, string_set(c));
    if (!set) continue;
    int32_t dfa = set->dfa;
    if (set->min > 0 || set->max < kUnbounded) {
      const int64_t last = set->max < kUnbounded ? set->max : set->min;
      if (last > 2000) return Error{Code::kUnsupported, "JSON Schema: names of bounded length above 2000 cannot be enforced"};
      DfaBuilder builder;
      for (int64_t i = 0; i <= last; ++i) builder.add_state(i >= set->min ? 0 : -1);
      for (int64_t i = 0; i < last; ++i) builder.add_edge(static_cast<int32_t>(i), 0, kMaxCodePoint, static_cast<int32_t>(i + 1));
      if (set->max >= kUnbounded) builder.add_edge(static_cast<int32_t>(last), 0, kMaxCodePoint, static_cast<int32_t>(last));
      const int32_t length = store_.add_dfa(std::move(builder).finish(0));
      HANLIN_ASSIGN(dfa, intersect({{dfa, true}, {length, true}}));
    }
    if (!store_.dfa(dfa).is_empty()) out.push_back(dfa);
  }
  string_dfas_[f] = out;
  return out;
}

}  // namespace hanlin::grammar
