// unevaluatedProperties and unevaluatedItems: which parts of a value the other keywords have looked at.
#include <algorithm>

#include "grammar/schema_reader.h"

namespace hanlin::grammar {
namespace {

constexpr int kMaxConditions = 6;  // each doubles the formula

const Json* member(const Json& s, const char* keyword) {
  const auto it = s.find(keyword);
  return it == s.end() ? nullptr : &*it;
}

// Calls use(condition, chosen) for every way in which the conditions can hold.
template <typename Entry, typename Use>
Status for_each_case(FormulaStore& store, const std::vector<Entry>& entries, const Use& use) {
  std::vector<FormulaId> conditions;
  for (const Entry& e : entries) {
    const FormulaId c = e.condition;
    if (c != kTrueFormula && c != kFalseFormula && std::find(conditions.begin(), conditions.end(), c) == conditions.end()) conditions.push_back(c);
  }
  if (conditions.size() > kMaxConditions) return Error{Code::kUnsupported, "depends on too many conditions"};
  for (uint32_t bits = 0; bits < (1u << conditions.size()); ++bits) {
    std::vector<FormulaId> parts;
    for (size_t i = 0; i < conditions.size(); ++i) parts.push_back(bits >> i & 1 ? conditions[i] : store.negation(conditions[i]));
    std::vector<const Entry*> chosen;
    for (const Entry& e : entries) {
      const auto it = std::find(conditions.begin(), conditions.end(), e.condition);
      if (e.condition == kTrueFormula || (it != conditions.end() && (bits >> (it - conditions.begin()) & 1))) chosen.push_back(&e);
    }
    use(store.all_of(std::move(parts)), chosen);
  }
  return {};
}

}  // namespace

// Schemas applied to the same value, each with the condition under which its annotations count.
Result<std::vector<std::pair<int32_t, FormulaId>>> SchemaReader::in_place_children(int32_t node, bool for_properties) {
  const Json& s = *index_[node].json;
  std::vector<std::pair<int32_t, FormulaId>> out;
  for (const char* keyword : {"$ref", "$dynamicRef", "$recursiveRef"}) {
    if (!s.contains(keyword)) continue;
    HANLIN_ASSIGN(const int32_t target, reference_target(node, s, keyword));
    out.push_back({target, kTrueFormula});
  }
  for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
    const Json* list = member(s, keyword);
    if (list == nullptr) continue;
    for (const Json& branch : *list) {
      const int32_t child_node = index_.find(branch);
      FormulaId condition = kTrueFormula;
      if (keyword[1] != 'l') {
        HANLIN_ASSIGN(condition, read(child_node));
      }
      out.push_back({child_node, condition});
    }
  }
  if (const Json* condition = member(s, "if")) {
    HANLIN_ASSIGN(const FormulaId f, read(index_.find(*condition)));
    out.push_back({index_.find(*condition), f});
    if (const Json* then_part = member(s, "then")) out.push_back({index_.find(*then_part), f});
    if (const Json* else_part = member(s, "else")) out.push_back({index_.find(*else_part), store_.negation(f)});
  }
  if (const Json* dependent = member(s, "dependentSchemas"); dependent != nullptr && for_properties) {
    for (const auto& [name, schema] : dependent->items()) {
      out.push_back({index_.find(schema), store_.all_of({store_.types(kObjectType), has(name)})});
    }
  }
  return out;
}

// The names that the schema's own keywords look at; `all` if that is every name.
Result<NameSet> SchemaReader::own_names(int32_t node, const Json& s, bool& all) {
  NameSet names;
  if (const Json* properties = member(s, "properties")) {
    for (const auto& [name, schema] : properties->items()) names.names.push_back(name);
  }
  if (const Json* patterns = member(s, "patternProperties")) {
    for (const auto& [regex, schema] : patterns->items()) {
      HANLIN_ASSIGN(const int32_t dfa, pattern(node, "patternProperties", regex));
      names.dfas.push_back(dfa);
    }
  }
  all = s.contains("additionalProperties");
  return names;
}

Status SchemaReader::property_annotations(int32_t node, FormulaId condition, int depth, Annotations& out, bool own_unevaluated) {
  const Json& s = *index_[node].json;
  if (!s.is_object()) return {};
  if (depth > 32 || out.size() > 256) return wrong(node, "unevaluatedProperties", "depends on too many schemas", Code::kUnsupported);
  bool all = false;
  HANLIN_ASSIGN(NameSet names, own_names(node, s, all));
  if (own_unevaluated && s.contains("unevaluatedProperties")) all = true;
  if (all) names = {.complement = true};
  if (all || !names.names.empty() || !names.dfas.empty()) out.push_back({condition, std::move(names)});
  HANLIN_ASSIGN(const auto children, in_place_children(node, true));
  for (const auto& [child_node, c] : children) {
    HANLIN_TRY(property_annotations(child_node, store_.all_of({condition, c}), depth + 1, out, true));
  }
  return {};
}

Status SchemaReader::item_annotations(int32_t node, FormulaId condition, int depth, std::vector<ItemAnnotation>& out, bool own_unevaluated) {
  const Json& s = *index_[node].json;
  if (!s.is_object()) return {};
  if (depth > 32 || out.size() > 256) return wrong(node, "unevaluatedItems", "depends on too many schemas", Code::kUnsupported);
  ItemAnnotation own{condition};
  const Json* items = member(s, "items");
  const Json* prefix = items != nullptr && items->is_array() ? items : member(s, "prefixItems");
  if (prefix != nullptr) own.n_prefix = static_cast<int64_t>(prefix->size());
  const bool rest = items != nullptr && items->is_array() ? s.contains("additionalItems") : items != nullptr;
  if (rest || (own_unevaluated && s.contains("unevaluatedItems"))) own.n_prefix = kUnbounded;
  if (const Json* contains = member(s, "contains"); contains != nullptr && index_[node].draft >= Draft::k2020) own.contains = child(*contains);
  out.push_back(own);
  HANLIN_ASSIGN(const auto children, in_place_children(node, false));
  for (const auto& [child_node, c] : children) {
    HANLIN_TRY(item_annotations(child_node, store_.all_of({condition, c}), depth + 1, out, true));
  }
  return {};
}

Status SchemaReader::read_unevaluated(int32_t node, const Json& s, std::vector<FormulaId>& parts) {
  if (index_[node].draft < Draft::k2019) return {};
  if (const Json* schema = member(s, "unevaluatedProperties")) {
    const FormulaId bad = store_.negation(child(*schema));
    struct Entry {
      FormulaId condition;
      NameSet names;
    };
    Annotations annotations;
    HANLIN_TRY(property_annotations(node, kTrueFormula, 0, annotations, false));
    std::vector<Entry> entries;
    for (auto& [condition, names] : annotations) entries.push_back({condition, std::move(names)});
    std::vector<FormulaId> cases{store_.types(kAllTypes & ~kObjectType)};
    const Status status = for_each_case(store_, entries, [&](FormulaId condition, const std::vector<const Entry*>& chosen) {
      NameSet rest{.complement = true};
      for (const Entry* e : chosen) {
        if (e->names.complement) {  // everything is evaluated
          cases.push_back(condition);
          return;
        }
        for (const std::string& name : e->names.names) {
          if (std::find(rest.names.begin(), rest.names.end(), name) == rest.names.end()) rest.names.push_back(name);
        }
        rest.dfas.insert(rest.dfas.end(), e->names.dfas.begin(), e->names.dfas.end());
      }
      Atom a;
      a.kind = Atom::Kind::kHasProperty;
      a.names = store_.add_name_set(std::move(rest));
      a.formula = bad;
      cases.push_back(store_.all_of({condition, store_.literal(a, false)}));
    });
    if (!status.ok()) return wrong(node, "unevaluatedProperties", status.error().message, status.error().code);
    parts.push_back(store_.any_of(std::move(cases)));
  }
  if (const Json* schema = member(s, "unevaluatedItems")) {
    const FormulaId bad = store_.negation(child(*schema));
    std::vector<ItemAnnotation> entries;
    HANLIN_TRY(item_annotations(node, kTrueFormula, 0, entries, false));
    std::vector<FormulaId> cases{store_.types(kAllTypes & ~kArrayType)};
    const Status status = for_each_case(store_, entries, [&](FormulaId condition, const std::vector<const ItemAnnotation*>& chosen) {
      int64_t n = 0;
      std::vector<FormulaId> item{bad};
      for (const ItemAnnotation* e : chosen) {
        n = std::max(n, e->n_prefix);
        item.push_back(store_.negation(e->contains));
      }
      Atom a;
      a.kind = Atom::Kind::kHasItems;
      a.from = n;
      a.to = kUnbounded;
      a.formula = store_.all_of(std::move(item));
      a.n = 1;
      cases.push_back(store_.all_of({condition, store_.literal(a, false)}));
    });
    if (!status.ok()) return wrong(node, "unevaluatedItems", status.error().message, status.error().code);
    parts.push_back(store_.any_of(std::move(cases)));
  }
  return {};
}

}  // namespace hanlin::grammar
