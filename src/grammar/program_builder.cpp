#include "grammar/program_builder.h"

#include <algorithm>
#include <utility>

#include "grammar/planner.h"

namespace hanlin::grammar {
namespace {

constexpr size_t kMaxSpecs = 20'000;
constexpr int64_t kMaxTable = 8'000'000;
constexpr int64_t kMaxCountedItems = 512;

}  // namespace

int32_t ProgramBuilder::spec_of(FormulaId f) {
  const auto [it, is_new] = specs_.try_emplace(f, static_cast<int32_t>(program_.specs.size()));
  if (is_new) {
    program_.specs.emplace_back();
    formulas_.push_back(f);
  }
  return it->second;
}

int32_t ProgramBuilder::copy_dfa(int32_t store_dfa) {
  const auto [it, is_new] = dfas_.try_emplace(store_dfa, static_cast<int32_t>(program_.dfas.size()));
  if (is_new) program_.dfas.push_back(store_.dfa(store_dfa));
  return it->second;
}

Error ProgramBuilder::here(Error error, int32_t spec) const {
  if (error.message.find(" at '") != std::string::npos) return error;
  // The place of the nearest schema that says something about this value.
  FormulaId f = formulas_[static_cast<size_t>(spec)];
  for (int i = 0; i < 8; ++i) {
    const FormulaStore::Node& node = store_[f];
    if (node.kind == FormulaStore::Kind::kLazy) {
      error.message += " (at '" + reader_.pointer(node.index) + "')";
      break;
    }
    if (node.parts.empty()) break;
    f = node.parts[0];
  }
  return error;
}

Result<Program> ProgramBuilder::build(FormulaId root) {
  program_.root = spec_of(root);
  for (size_t i = 0; i < program_.specs.size(); ++i) {
    if (program_.specs.size() > kMaxSpecs) return Error{Code::kUnsupported, "JSON Schema: leads to more than " + std::to_string(kMaxSpecs) + " kinds of values"};
    if (Status s = expand(static_cast<int32_t>(i)); !s.ok()) return here(std::move(s).error(), static_cast<int32_t>(i));
  }
  compute_costs();
  return std::move(program_);
}

Status ProgramBuilder::expand(int32_t index) {
  const FormulaId f = formulas_[static_cast<size_t>(index)];
  Spec spec;
  if (f != kFalseFormula) {
    HANLIN_ASSIGN(const auto nulls, normalizer_.alternatives(f, kNullType));
    spec.null_ok = !nulls.empty();
    HANLIN_ASSIGN(const auto booleans, normalizer_.alternatives(f, kBooleanType));
    for (const Conjunction& c : booleans) {
      if (c.empty()) spec.true_ok = spec.false_ok = true;
      for (const Literal& l : c) (l.positive ? spec.true_ok : spec.false_ok) = true;
    }
    HANLIN_TRY(add_numbers(f, spec));
    HANLIN_TRY(add_strings(f, spec));
    HANLIN_TRY(add_arrays(f, spec));
    HANLIN_TRY(add_objects(f, spec));
  }
  program_.specs[static_cast<size_t>(index)] = std::move(spec);
  return {};
}

Status ProgramBuilder::add_numbers(FormulaId f, Spec& spec) {
  HANLIN_ASSIGN(const auto all, normalizer_.alternatives(f, kNumberType));
  for (const Conjunction& c : all) {
    HANLIN_ASSIGN(std::optional<NumberSet> set, normalizer_.number_set(c));
    if (!set) continue;
    spec.numbers.push_back(static_cast<int32_t>(program_.numbers.size()));
    program_.numbers.push_back(*std::move(set));
    const NumberMachine machine(&program_.numbers.back());
    number_costs_.push_back(machine.cost(machine.start()));
  }
  return {};
}

Result<int32_t> ProgramBuilder::string_rule(const StringSet& set) {
  for (const auto& [known, rule] : strings_) {
    if (known == set) return rule;
  }
  StringRule rule;
  rule.dfa = copy_dfa(set.dfa);
  rule.min = set.min;
  rule.max = std::min(set.max, StringRule::kMaxLength);
  const Dfa& dfa = program_.dfas[static_cast<size_t>(rule.dfa)];
  rule.universal = dfa.is_universal();
  rule.n_states = static_cast<int32_t>(dfa.states.size());
  rule.costs = text_costs_(dfa);
  if (!rule.universal && (rule.min > 0 || rule.has_max())) {
    const int64_t last = rule.has_max() ? rule.max : rule.min;
    if ((last + 1) * static_cast<int64_t>(dfa.states.size() + dfa.edges.size()) > kMaxTable) {
      return Error{Code::kUnsupported, "JSON Schema: pattern together with minLength or maxLength is too large to be enforced"};
    }
    const size_t n = dfa.states.size();
    rule.table.assign(static_cast<size_t>(last + 1) * n, kInfinite);
    for (int64_t length = last; length >= 0; --length) {
      const auto row = rule.table.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(length) * n);
      for (size_t q = 0; q < n; ++q) {
        if (!rule.has_max() && length == last) {
          row[static_cast<std::ptrdiff_t>(q)] = rule.costs[q];
          continue;
        }
        int32_t best = length >= rule.min && dfa.states[q].label >= 0 ? 0 : kInfinite;
        if (length < last) {
          for (const Dfa::Edge& e : dfa.edges_of(static_cast<int32_t>(q))) {
            const int32_t step = cheapest_json_bytes(e.lo, e.hi);
            if (step < best) best = std::min(best, add_costs(step, (row + static_cast<std::ptrdiff_t>(n))[e.to]));
          }
        }
        row[static_cast<std::ptrdiff_t>(q)] = best;
      }
    }
  }
  const auto index = static_cast<int32_t>(program_.strings.size());
  program_.strings.push_back(std::move(rule));
  strings_.push_back({set, index});
  return index;
}

Status ProgramBuilder::add_strings(FormulaId f, Spec& spec) {
  HANLIN_ASSIGN(const auto all, normalizer_.alternatives(f, kStringType));
  for (const Conjunction& c : all) {
    HANLIN_ASSIGN(const std::optional<StringSet> set, normalizer_.string_set(c));
    if (!set) continue;
    HANLIN_ASSIGN(const int32_t rule, string_rule(*set));
    if (program_.strings[static_cast<size_t>(rule)].rest(0, 0) >= kInfinite) continue;
    if (std::find(spec.strings.begin(), spec.strings.end(), rule) == spec.strings.end()) spec.strings.push_back(rule);
  }
  return {};
}

Status ProgramBuilder::add_arrays(FormulaId f, Spec& spec) {
  HANLIN_ASSIGN(const auto all, normalizer_.alternatives(f, kArrayType));
  for (const Conjunction& c : all) HANLIN_TRY(array_rule(c, spec));
  return {};
}

Status ProgramBuilder::array_rule(const Conjunction& all, Spec& spec) {
  ArrayRule rule;
  rule.max = kUnbounded;
  struct ForAll {
    int64_t from, to;
    FormulaId formula;
  };
  std::vector<ForAll> foralls;
  std::vector<FormulaId> count_formulas;
  int64_t last = 0;
  for (const Literal& l : all) {
    const Atom a = store_.atom(l.atom);
    if (a.kind == Atom::Kind::kUnique) {
      return Error{Code::kUnsupported, "JSON Schema: uniqueItems cannot be enforced here"};
    }
    const int64_t to = std::min(a.to, kUnbounded);
    if (a.from > 4096 || (to < kUnbounded && to > 4096)) return Error{Code::kUnsupported, "JSON Schema: more than 4096 items with schemas of their own"};
    if (a.formula == kTrueFormula && (to >= kUnbounded || a.n == 1)) {
      if (l.positive) rule.min = std::max(rule.min, a.from + a.n);
      if (!l.positive) rule.max = std::min(rule.max, a.from + a.n - 1);
      continue;
    }
    last = std::max(last, std::max(a.from, to < kUnbounded ? to : 0));
    if (!l.positive && a.n == 1) {
      foralls.push_back({a.from, to, store_.negation(a.formula)});
    } else if (l.positive && a.n == 1 && to == a.from + 1) {
      rule.min = std::max(rule.min, to);
      foralls.push_back({a.from, to, a.formula});
    } else {
      size_t c = 0;
      while (c < count_formulas.size() && !(count_formulas[c] == a.formula && rule.counts[c].from == a.from && rule.counts[c].to == to)) ++c;
      if (c == count_formulas.size()) {
        count_formulas.push_back(a.formula);
        rule.counts.push_back({a.from, to, 0, 0, false});
      }
      ItemCount& count = rule.counts[c];
      if (l.positive) count.min = std::max(count.min, a.n);
      if (!l.positive) {
        count.max = count.has_max ? std::min(count.max, a.n - 1) : a.n - 1;
        count.has_max = true;
      }
    }
  }
  rule.has_max = rule.max < kUnbounded;
  if (rule.min > rule.max) return {};
  for (const ItemCount& c : rule.counts) {
    if (c.has_max && c.min > c.max) return {};
    if (c.min > kMaxCountedItems || rule.min > kMaxCountedItems || (c.has_max && c.max > kMaxCountedItems)) {
      return Error{Code::kUnsupported, "JSON Schema: contains with counts above " + std::to_string(kMaxCountedItems) + " cannot be enforced"};
    }
  }
  if (rule.min > 1'000'000) return Error{Code::kUnsupported, "JSON Schema: minItems above 1000000 cannot be enforced"};
  if (rule.counts.size() > kMaxWitnesses) return Error{Code::kUnsupported, "JSON Schema: more than four contains conditions on one array"};
  if (rule.has_max) last = std::min(last, std::max<int64_t>(rule.max, 0));
  size_t n_codes = 1;
  for (size_t c = 0; c < rule.counts.size(); ++c) n_codes *= 3;
  for (int64_t i = 0; i <= last; ++i) {
    std::vector<FormulaId> base;
    for (const ForAll& f : foralls) {
      if (f.from <= i && i < f.to) base.push_back(f.formula);
    }
    std::vector<int32_t>& specs = rule.items.emplace_back();
    for (size_t code = 0; code < n_codes; ++code) {
      std::vector<FormulaId> parts = base;
      size_t digits = code;
      for (size_t c = 0; c < rule.counts.size(); ++c, digits /= 3) {
        if (digits % 3 == 1) parts.push_back(store_.negation(count_formulas[c]));
        if (digits % 3 == 2) parts.push_back(count_formulas[c]);
      }
      specs.push_back(spec_of(store_.all_of(std::move(parts))));
    }
  }
  spec.arrays.push_back(static_cast<int32_t>(program_.arrays.size()));
  program_.arrays.push_back(std::move(rule));
  return {};
}

int32_t ProgramBuilder::cost_of(const Spec& spec) {
  int32_t best = kInfinite;
  if (spec.null_ok || spec.true_ok) best = 4;
  if (spec.false_ok) best = std::min(best, 5);
  for (int32_t n : spec.numbers) best = std::min(best, number_costs_[static_cast<size_t>(n)]);
  for (int32_t s : spec.strings) best = std::min(best, add_costs(2, program_.strings[static_cast<size_t>(s)].rest(0, 0)));
  for (int32_t a : spec.arrays) {
    if (best > 2) best = std::min(best, add_costs(1, array_cost(program_, first_array_state(program_, a))));
  }
  for (int32_t o : spec.objects) {
    if (best > 2) best = std::min(best, add_costs(1, object_cost(program_, first_object_state(program_, o))));
  }
  return best;
}

// The least fixed point: values are finite, so a schema that only leads to itself has none.
void ProgramBuilder::compute_costs() {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = program_.specs.size(); i-- > 0;) {
      const int32_t cost = cost_of(program_.specs[i]);
      if (cost < program_.specs[i].cost) {
        program_.specs[i].cost = cost;
        changed = true;
      }
    }
    // Names by cost, so that minProperties is filled with the cheapest.
    for (ObjectRule& rule : program_.objects) {
      std::stable_sort(rule.cheapest.begin(), rule.cheapest.end(), [&](int32_t a, int32_t b) {
        const auto key = [&](int32_t n) {
          const PropertyRule& p = rule.names[static_cast<size_t>(n)];
          return add_costs(p.name_costs[0], program_.specs[static_cast<size_t>(p.spec(0))].cost);
        };
        return key(a) < key(b);
      });
    }
  }
}

}  // namespace hanlin::grammar
