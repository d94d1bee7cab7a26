// Objects: from conditions on properties to declared names, kinds of other names, and witnesses still owed.
#include <algorithm>
#include <map>
#include <queue>
#include <set>

#include "base/check.h"
#include "grammar/planner.h"
#include "grammar/program_builder.h"

namespace hanlin::grammar {
namespace {

constexpr size_t kMaxEnumerated = 1024;   // names of a finite pattern that are written out
constexpr size_t kMaxNames = 8192;
constexpr size_t kMaxNameStates = 20'000;

bool is_total(const Dfa& dfa) {
  for (size_t q = 0; q < dfa.states.size(); ++q) {
    uint32_t next = 0;
    for (const Dfa::Edge& e : dfa.edges_of(static_cast<int32_t>(q))) {
      if (e.lo != next) return false;
      next = e.hi + 1;
    }
    if (next != kMaxCodePoint + 1 || dfa.states[q].label < 0) return false;
  }
  return !dfa.is_empty();
}

}  // namespace

struct ProgramBuilder::ObjectDraft {
  struct Condition {
    NameSet names;
    FormulaId formula;
  };
  std::vector<std::string> order;           // declared names as they are written
  std::set<std::string> known;
  std::vector<std::string> required;
  std::vector<Condition> foralls;           // each such property's value is as the formula says
  std::vector<Condition> witnesses;         // some such property has such a value
  int64_t min = 0, max = kUnbounded;

  void declare(const std::string& name) {
    if (known.insert(name).second) order.push_back(name);
  }
};

Status ProgramBuilder::collect(const Conjunction& all, ObjectDraft& draft) {
  for (const Literal& l : all) {
    const Atom a = store_.atom(l.atom);
    if (a.kind == Atom::Kind::kOrder) {
      for (const std::string& name : store_.name_set(a.names).names) draft.declare(name);
    }
  }
  for (const Literal& l : all) {
    const Atom a = store_.atom(l.atom);
    switch (a.kind) {
      case Atom::Kind::kMinProperties:
        if (l.positive) draft.min = std::max(draft.min, a.n);
        if (!l.positive) draft.max = std::min(draft.max, a.n - 1);
        break;
      case Atom::Kind::kNamesHold: {
        HANLIN_ASSIGN(std::vector<int32_t> dfas, normalizer_.string_dfas(a.formula));
        NameSet bad{.complement = true, .dfas = std::move(dfas)};
        if (l.positive) draft.foralls.push_back({std::move(bad), kFalseFormula});
        if (!l.positive) draft.witnesses.push_back({std::move(bad), kTrueFormula});
        break;
      }
      case Atom::Kind::kHasProperty: {
        const NameSet& set = store_.name_set(a.names);
        for (const std::string& name : set.names) draft.declare(name);
        if (!l.positive) {
          draft.foralls.push_back({set, store_.negation(a.formula)});
        } else if (set.is_single()) {
          if (std::find(draft.required.begin(), draft.required.end(), set.names[0]) == draft.required.end()) draft.required.push_back(set.names[0]);
          if (a.formula != kTrueFormula) draft.foralls.push_back({set, a.formula});
        } else {
          draft.witnesses.push_back({set, a.formula});
        }
        break;
      }
      default: break;
    }
  }
  return {};
}

Result<FormulaId> ProgramBuilder::formula_for_name(const ObjectDraft& draft, const std::string& name, uint8_t& witnesses) const {
  std::vector<FormulaId> parts;
  for (const auto& c : draft.foralls) {
    if (normalizer_.contains(c.names, name)) parts.push_back(c.formula);
  }
  witnesses = 0;
  for (size_t w = 0; w < draft.witnesses.size(); ++w) {
    if (normalizer_.contains(draft.witnesses[w].names, name)) witnesses = static_cast<uint8_t>(witnesses | 1 << w);
  }
  return store_.all_of(std::move(parts));
}

// Specs of a property by the witnesses it stands for; those it cannot stand for get the spec of nothing.
std::vector<int32_t> ProgramBuilder::witness_specs(const ObjectDraft& draft, FormulaId base, uint8_t mask) {
  std::vector<int32_t> specs;
  for (uint32_t subset = 0; subset < (1u << draft.witnesses.size()); ++subset) {
    if (subset & ~static_cast<uint32_t>(mask)) {
      specs.push_back(spec_of(kFalseFormula));
      continue;
    }
    std::vector<FormulaId> parts{base};
    for (size_t w = 0; w < draft.witnesses.size(); ++w) {
      if (subset >> w & 1) parts.push_back(draft.witnesses[w].formula);
    }
    specs.push_back(spec_of(store_.all_of(std::move(parts))));
  }
  return specs;
}

// Names that are not declared fall into classes by the patterns they match. A class with few names becomes declared ones.
Status ProgramBuilder::add_other_names(ObjectDraft& draft, ObjectRule& rule) {
  std::vector<int32_t> dfas;
  for (const auto* list : {&draft.foralls, &draft.witnesses}) {
    for (const auto& c : *list) dfas.insert(dfas.end(), c.names.dfas.begin(), c.names.dfas.end());
  }
  std::sort(dfas.begin(), dfas.end());
  dfas.erase(std::unique(dfas.begin(), dfas.end()), dfas.end());
  // The product, with one label for each combination of patterns that match.
  std::string key(reinterpret_cast<const char*>(dfas.data()), dfas.size() * sizeof(int32_t));
  auto cached = others_.find(key);
  if (cached == others_.end()) {
    std::vector<std::vector<char>> combinations;
    Dfa names = universal_dfa();
    if (dfas.empty()) {
      combinations.push_back({});
    } else {
      std::vector<const Dfa*> parts;
      for (int32_t d : dfas) parts.push_back(&store_.dfa(d));
      std::optional<Dfa> both = product(
          parts,
          [&](std::span<const bool> accepts) {
            const std::vector<char> combination(accepts.begin(), accepts.end());
            const auto it = std::find(combinations.begin(), combinations.end(), combination);
            if (it != combinations.end()) return static_cast<int32_t>(it - combinations.begin());
            combinations.push_back(combination);
            return static_cast<int32_t>(combinations.size()) - 1;
          },
          kMaxNameStates);
      if (!both || combinations.size() > 64) return Error{Code::kUnsupported, "JSON Schema: the patterns of an object's names together are too large to be enforced"};
      names = *std::move(both);
    }
    const int32_t id = store_.add_dfa(std::move(names));
    cached = others_.emplace(key, std::make_pair(id, std::move(combinations))).first;
  }
  const auto& [names_dfa, combinations] = cached->second;
  std::vector<int32_t> labels(combinations.size(), -1);
  for (size_t k = 0; k < combinations.size(); ++k) {
    const auto matches = [&](const NameSet& set) {
      for (int32_t d : set.dfas) {
        const auto at = std::lower_bound(dfas.begin(), dfas.end(), d) - dfas.begin();
        if (combinations[k][static_cast<size_t>(at)]) return !set.complement;
      }
      return set.complement;
    };
    std::vector<FormulaId> parts;
    for (const auto& c : draft.foralls) {
      if (matches(c.names)) parts.push_back(c.formula);
    }
    uint8_t mask = 0;
    for (size_t w = 0; w < draft.witnesses.size(); ++w) {
      if (matches(draft.witnesses[w].names)) mask = static_cast<uint8_t>(mask | 1 << w);
    }
    const FormulaId base = store_.all_of(std::move(parts));
    if (base == kFalseFormula) continue;
    if (std::optional<std::vector<std::string>> few = dfas.empty() ? std::nullopt : enumerate_texts(store_.dfa(names_dfa), static_cast<int32_t>(k), kMaxEnumerated)) {
      for (const std::string& name : *few) draft.declare(name);
      continue;
    }
    PropertyRule property;
    property.witness_mask = mask;
    property.specs = witness_specs(draft, base, mask);
    labels[k] = static_cast<int32_t>(rule.classes.size());
    rule.classes.push_back(std::move(property));
  }
  if (rule.classes.empty()) return {};
  if (dfas.empty()) {
    rule.others = copy_dfa(names_dfa);
    rule.others_total = true;
  } else {
    const Dfa& all = store_.dfa(names_dfa);
    DfaBuilder relabelled;
    for (const Dfa::State& s : all.states) relabelled.add_state(s.label < 0 ? -1 : labels[static_cast<size_t>(s.label)]);
    for (size_t q = 0; q < all.states.size(); ++q) {
      for (const Dfa::Edge& e : all.edges_of(static_cast<int32_t>(q))) relabelled.add_edge(static_cast<int32_t>(q), e.lo, e.hi, e.to);
    }
    rule.others = static_cast<int32_t>(program_.dfas.size());
    program_.dfas.push_back(std::move(relabelled).finish(0));
    rule.others_total = is_total(program_.dfas.back());
  }
  return {};
}

Status ProgramBuilder::object_rule(const Conjunction& all, Spec& spec) {
  ObjectDraft draft;
  HANLIN_TRY(collect(all, draft));
  if (draft.min > draft.max) return {};
  if (draft.witnesses.size() > kMaxWitnesses) return Error{Code::kUnsupported, "JSON Schema: more than four conditions of the kind 'some property …' on one object"};
  ObjectRule rule;
  rule.any_order = any_order_;
  rule.n_witnesses = static_cast<int32_t>(draft.witnesses.size());
  rule.min = draft.min;
  rule.max = draft.max;
  rule.has_max = draft.max < kUnbounded;
  if (draft.min > kMaxOtherNames) return Error{Code::kUnsupported, "JSON Schema: minProperties above " + std::to_string(kMaxOtherNames) + " cannot be enforced"};
  HANLIN_TRY(add_other_names(draft, rule));
  if (draft.order.size() > kMaxNames) return Error{Code::kUnsupported, "JSON Schema: more than " + std::to_string(kMaxNames) + " property names"};
  for (const std::string& name : draft.order) {
    PropertyRule property;
    HANLIN_ASSIGN(const FormulaId base, formula_for_name(draft, name, property.witness_mask));
    property.name = name;
    std::vector<int32_t>& name_costs = name_costs_[name];
    if (name_costs.empty()) name_costs = text_costs_(literal_dfa({&name, 1}));
    property.name_costs = name_costs;
    property.required = std::find(draft.required.begin(), draft.required.end(), name) != draft.required.end();
    if (property.required && base == kFalseFormula) return {};
    property.specs = witness_specs(draft, base, property.witness_mask);
    if (!property.required) rule.cheapest.push_back(static_cast<int32_t>(rule.names.size()));
    rule.names.push_back(std::move(property));
  }
  build_trie(rule);
  if (rule.others >= 0) {
    const Dfa& dfa = program_.dfas[static_cast<size_t>(rule.others)];
    for (size_t c = 0; c < rule.classes.size(); ++c) {
      rule.class_costs.push_back(costs_to_accept(dfa, static_cast<int32_t>(c), cheapest_json_bytes));
      // Declared names are never undeclared ones: leave out as many as could be among the cheapest.
      size_t n_declared = 0;
      for (PropertyRule& p : rule.names) {
        p.other_label = dfa.match(p.name);
        n_declared += p.other_label == static_cast<int32_t>(c);
      }
      std::vector<int32_t> fresh = cheapest_texts(dfa, 0, static_cast<int32_t>(c), n_declared + kMaxOtherNames + 1);
      if (fresh.size() < n_declared + kMaxOtherNames + 1) return Error{Code::kUnsupported, "JSON Schema: the patterns of an object's names allow too few or too long names to be enforced"};
      fresh.erase(fresh.begin(), fresh.begin() + static_cast<std::ptrdiff_t>(std::min(fresh.size(), n_declared)));
      rule.fresh_costs.push_back(std::move(fresh));
    }
  }
  spec.objects.push_back(static_cast<int32_t>(program_.objects.size()));
  program_.objects.push_back(std::move(rule));
  return {};
}

Status ProgramBuilder::add_objects(FormulaId f, Spec& spec) {
  HANLIN_ASSIGN(const auto all, normalizer_.alternatives(f, kObjectType));
  for (const Conjunction& c : all) HANLIN_TRY(object_rule(c, spec));
  return {};
}

void ProgramBuilder::build_trie(ObjectRule& rule) {
  struct Item {
    std::vector<uint32_t> cps;
    int32_t name;
  };
  std::vector<Item> items;
  for (size_t i = 0; i < rule.names.size(); ++i) items.push_back({code_points(rule.names[i].name), static_cast<int32_t>(i)});
  std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.cps < b.cps; });
  for (const Item& item : items) rule.sorted.push_back(item.name);
  // Breadth-first, so that the edges of a node lie together.
  struct Todo {
    int32_t node;
    size_t depth;
  };
  rule.trie.push_back({0, 0, -1, 0, static_cast<int32_t>(items.size()), 0});
  std::queue<Todo> todo;
  todo.push({0, 0});
  while (!todo.empty()) {
    const Todo t = todo.front();
    todo.pop();
    const int32_t last = rule.trie[static_cast<size_t>(t.node)].last;
    int32_t i = rule.trie[static_cast<size_t>(t.node)].first;
    if (i < last && items[static_cast<size_t>(i)].cps.size() == t.depth) rule.trie[static_cast<size_t>(t.node)].name = items[static_cast<size_t>(i++)].name;
    rule.trie[static_cast<size_t>(t.node)].first_edge = static_cast<int32_t>(rule.trie_edges.size());
    while (i < last) {
      const uint32_t cp = items[static_cast<size_t>(i)].cps[t.depth];
      int32_t end = i + 1;
      while (end < last && items[static_cast<size_t>(end)].cps[t.depth] == cp) ++end;
      const auto child = static_cast<int32_t>(rule.trie.size());
      rule.trie.push_back({0, 0, -1, i, end, static_cast<int32_t>(t.depth) + 1});
      rule.trie_edges.push_back({cp, child});
      ++rule.trie[static_cast<size_t>(t.node)].n_edges;
      todo.push({child, t.depth + 1});
      i = end;
    }
  }
}

}  // namespace hanlin::grammar
