#include "grammar/schema_reader.h"

#include <charconv>
#include <cmath>

#include "grammar/formats.h"
#include "grammar/regex.h"
#include "text/utf8.h"

namespace hanlin::grammar {
namespace {

constexpr int kMaxReferences = 200;  // in place, one inside the other

const Json* member(const Json& s, const char* keyword) {
  const auto it = s.find(keyword);
  return it == s.end() ? nullptr : &*it;
}

Atom atom(Atom::Kind kind) {
  Atom a;
  a.kind = kind;
  return a;
}
Atom atom_n(Atom::Kind kind, int64_t n) {
  Atom a;
  a.kind = kind;
  a.n = n;
  return a;
}
Atom atom_number(Atom::Kind kind, const Decimal& d) {
  Atom a;
  a.kind = kind;
  a.number = d;
  return a;
}
Atom atom_dfa(Atom::Kind kind, int32_t dfa) {
  Atom a;
  a.kind = kind;
  a.dfa = dfa;
  return a;
}
Atom atom_items(int64_t from, int64_t to, FormulaId f, int64_t n) {
  Atom a;
  a.kind = Atom::Kind::kHasItems;
  a.from = from;
  a.to = to;
  a.formula = f;
  a.n = n;
  return a;
}
Atom atom_property(int32_t names, FormulaId f) {
  Atom a;
  a.kind = Atom::Kind::kHasProperty;
  a.names = names;
  a.formula = f;
  return a;
}

}  // namespace

SchemaReader::SchemaReader(const Json& document, FormulaStore& store, bool assert_formats)
    : index_(document), store_(store), assert_formats_(assert_formats) {}

Error SchemaReader::wrong(int32_t node, const char* keyword, const std::string& what, Code code) const {
  return Error{code, "JSON Schema at '" + index_[node].pointer + "/" + keyword + "': " + what};
}

// A schema that applies to a part of the value: read later, unless it says nothing at all.
FormulaId SchemaReader::child(const Json& schema) {
  if (schema.is_boolean()) return schema.get<bool>() ? kTrueFormula : kFalseFormula;
  if (schema.is_object() && schema.empty()) return kTrueFormula;
  return store_.lazy(index_.find(schema));
}

Result<FormulaId> SchemaReader::read(int32_t node) {
  if (const auto it = known_.find(node); it != known_.end()) return it->second;
  const Json& s = *index_[node].json;
  if (s.is_boolean()) return s.get<bool>() ? kTrueFormula : kFalseFormula;
  if (!s.is_object()) {
    return Error{Code::kInvalidArgument, "JSON Schema at '" + index_[node].pointer + "': expected an object or a boolean, got " + s.type_name()};
  }
  if (in_progress_.size() <= static_cast<size_t>(node)) in_progress_.resize(index_.size() + 1, 0);
  if (in_progress_[static_cast<size_t>(node)]) return wrong(node, "$ref", "refers to itself without end");
  if (depth_ >= kMaxReferences) return wrong(node, "$ref", "schemas applied in place are nested too deeply", Code::kUnsupported);
  in_progress_[static_cast<size_t>(node)] = 1;
  ++depth_;
  Result<FormulaId> result = read_object(node);
  --depth_;
  in_progress_[static_cast<size_t>(node)] = 0;
  if (result.ok()) known_[node] = *result;
  return result;
}

Result<FormulaId> SchemaReader::read_object(int32_t node) {
  const Json& s = *index_[node].json;
  std::vector<FormulaId> parts;
  if (s.contains("$ref")) {
    HANLIN_ASSIGN(const FormulaId f, read_reference(node, s, "$ref"));
    if (index_[node].draft <= Draft::k7) return f;
    parts.push_back(f);
  }
  for (const char* keyword : {"$dynamicRef", "$recursiveRef"}) {
    if (!s.contains(keyword)) continue;
    HANLIN_ASSIGN(const FormulaId f, read_reference(node, s, keyword));
    parts.push_back(f);
  }
  HANLIN_TRY(read_types(node, s, parts));
  HANLIN_TRY(read_values(node, s, parts));
  HANLIN_TRY(read_numbers(node, s, parts));
  HANLIN_TRY(read_strings(node, s, parts));
  HANLIN_TRY(read_objects(node, s, parts));
  HANLIN_TRY(read_arrays(node, s, parts));
  HANLIN_TRY(read_combinations(node, s, parts));
  HANLIN_TRY(read_unevaluated(node, s, parts));
  return store_.all_of(std::move(parts));
}

Result<int32_t> SchemaReader::reference_target(int32_t node, const Json& s, const char* keyword) {
  const Json& value = s[keyword];
  if (!value.is_string()) return wrong(node, keyword, "expected a string");
  const auto& reference = value.get_ref<const std::string&>();
  Result<int32_t> target = index_.resolve(node, reference);
  if (!target.ok()) return wrong(node, keyword, target.error().message, target.error().code);
  if (keyword[1] != 'r' || keyword[2] != 'e' || keyword[3] != 'f') {
    const size_t hash = reference.find('#');
    const std::string anchor = keyword[1] == 'd' && hash != std::string::npos ? reference.substr(hash + 1) : "";
    if (index_.n_dynamic_anchors(anchor) > 1) return wrong(node, keyword, "a dynamic reference with several possible targets cannot be enforced", Code::kUnsupported);
  }
  return *target;
}

Result<FormulaId> SchemaReader::read_reference(int32_t node, const Json& s, const char* keyword) {
  HANLIN_ASSIGN(const int32_t target, reference_target(node, s, keyword));
  return read(target);
}

Status SchemaReader::read_types(int32_t node, const Json& s, std::vector<FormulaId>& parts) {
  const Json* type = member(s, "type");
  if (type == nullptr) return {};
  std::vector<FormulaId> choices;
  uint8_t mask = 0;
  const Json list = type->is_array() ? *type : Json::array({*type});
  for (const Json& name : list) {
    if (!name.is_string()) return wrong(node, "type", "expected a string or a list of strings");
    const auto& t = name.get_ref<const std::string&>();
    if (t == "integer") {
      choices.push_back(store_.all_of({store_.types(kNumberType), store_.literal(atom_number(Atom::Kind::kMultiple, make_decimal(1, 0)))}));
    } else if (t == "null") {
      mask |= kNullType;
    } else if (t == "boolean") {
      mask |= kBooleanType;
    } else if (t == "number") {
      mask |= kNumberType;
    } else if (t == "string") {
      mask |= kStringType;
    } else if (t == "array") {
      mask |= kArrayType;
    } else if (t == "object") {
      mask |= kObjectType;
    } else if (t == "any" && index_[node].draft == Draft::k4) {
      mask = kAllTypes;
    } else {
      return wrong(node, "type", "unknown type '" + t + "'");
    }
  }
  if (mask & kNumberType) choices.clear();
  choices.push_back(store_.types(mask));
  parts.push_back(store_.any_of(std::move(choices)));
  return {};
}

Result<Decimal> SchemaReader::number(int32_t node, const char* keyword, const Json& value) {
  if (!value.is_number()) return wrong(node, keyword, std::string("expected a number, got ") + value.type_name());
  char buffer[64];
  char* end = buffer;
  if (value.is_number_float()) {
    const double d = value.get<double>();
    if (!std::isfinite(d)) return wrong(node, keyword, "a number too large to be exact", Code::kUnsupported);
    end = std::to_chars(buffer, buffer + sizeof buffer, d).ptr;
  } else if (value.is_number_unsigned()) {
    end = std::to_chars(buffer, buffer + sizeof buffer, value.get<uint64_t>()).ptr;
  } else {
    end = std::to_chars(buffer, buffer + sizeof buffer, value.get<int64_t>()).ptr;
  }
  const std::optional<Decimal> d = parse_decimal({buffer, static_cast<size_t>(end - buffer)});
  if (!d) return wrong(node, keyword, "a number with too many digits", Code::kUnsupported);
  return *d;
}

// "Is equal to the value", as a formula of the same kind as everything else.
Result<FormulaId> SchemaReader::equals(int32_t node, const char* keyword, const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return store_.types(kNullType);
    case Json::value_t::boolean: return store_.all_of({store_.types(kBooleanType), store_.literal(atom(Atom::Kind::kIsTrue), value.get<bool>())});
    case Json::value_t::string: {
      const std::string text = value.get<std::string>();
      const int32_t dfa = store_.add_dfa(literal_dfa({&text, 1}));
      return store_.all_of({store_.types(kStringType), store_.literal(atom_dfa(Atom::Kind::kMatches, dfa))});
    }
    case Json::value_t::array: {
      std::vector<FormulaId> parts{store_.types(kArrayType)};
      const auto n = static_cast<int64_t>(value.size());
      parts.push_back(store_.literal(atom_items(0, kUnbounded, kTrueFormula, n)));
      parts.push_back(store_.literal(atom_items(0, kUnbounded, kTrueFormula, n + 1), false));
      for (int64_t i = 0; i < n; ++i) {
        HANLIN_ASSIGN(const FormulaId item, equals(node, keyword, value[static_cast<size_t>(i)]));
        parts.push_back(store_.literal(atom_items(i, i + 1, store_.negation(item), 1), false));
      }
      return store_.all_of(std::move(parts));
    }
    case Json::value_t::object: {
      std::vector<FormulaId> parts{store_.types(kObjectType)};
      NameSet others{.complement = true};
      for (const auto& [key, item] : value.items()) {
        others.names.push_back(key);
        HANLIN_ASSIGN(const FormulaId f, equals(node, keyword, item));
        const int32_t names = store_.add_name_set({.names = {key}});
        parts.push_back(store_.literal(atom_property(names, kTrueFormula)));
        parts.push_back(store_.literal(atom_property(names, store_.negation(f)), false));
      }
      parts.push_back(store_.literal(atom_property(store_.add_name_set(others), kTrueFormula), false));
      return store_.all_of(std::move(parts));
    }
    default: {
      HANLIN_ASSIGN(const Decimal d, number(node, keyword, value));
      return store_.all_of({store_.types(kNumberType), store_.literal(atom_number(Atom::Kind::kAtLeast, d)),
                            store_.literal(atom_number(Atom::Kind::kAbove, d), false)});
    }
  }
}

Status SchemaReader::read_values(int32_t node, const Json& s, std::vector<FormulaId>& parts) {
  if (const Json* value = member(s, "const")) {
    HANLIN_ASSIGN(const FormulaId f, equals(node, "const", *value));
    parts.push_back(f);
  }
  const Json* list = member(s, "enum");
  if (list == nullptr) return {};
  if (!list->is_array()) return wrong(node, "enum", "expected a list");
  std::vector<std::string> texts;
  std::vector<FormulaId> choices;
  for (const Json& value : *list) {
    if (value.is_string()) {
      texts.push_back(value.get<std::string>());
      continue;
    }
    HANLIN_ASSIGN(const FormulaId f, equals(node, "enum", value));
    choices.push_back(f);
  }
  if (!texts.empty()) {
    const int32_t dfa = store_.add_dfa(literal_dfa(texts));
    choices.push_back(store_.all_of({store_.types(kStringType), store_.literal(atom_dfa(Atom::Kind::kMatches, dfa))}));
  }
  parts.push_back(store_.any_of(std::move(choices)));
  return {};
}

Result<FormulaId> SchemaReader::read_in_place(int32_t node, const Json& s, const char* keyword) {
  (void)node;
  return read(index_.find(s[keyword]));
}

Status SchemaReader::read_combinations(int32_t node, const Json& s, std::vector<FormulaId>& parts) {
  for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
    const Json* list = member(s, keyword);
    if (list == nullptr) continue;
    if (!list->is_array() || list->empty()) return wrong(node, keyword, "expected a list of schemas");
    std::vector<FormulaId> branches;
    for (const Json& branch : *list) {
      HANLIN_ASSIGN(const FormulaId f, read(index_.find(branch)));
      branches.push_back(f);
    }
    parts.push_back(keyword[1] == 'l'   ? store_.all_of(std::move(branches))
                    : keyword[0] == 'a' ? store_.any_of(std::move(branches))
                                        : store_.one_of(std::move(branches)));
  }
  if (s.contains("not")) {
    HANLIN_ASSIGN(const FormulaId f, read_in_place(node, s, "not"));
    parts.push_back(store_.negation(f));
  }
  if (s.contains("if") && (s.contains("then") || s.contains("else"))) {
    HANLIN_ASSIGN(const FormulaId condition, read_in_place(node, s, "if"));
    FormulaId then_part = kTrueFormula, else_part = kTrueFormula;
    if (s.contains("then")) {
      HANLIN_ASSIGN(then_part, read_in_place(node, s, "then"));
    }
    if (s.contains("else")) {
      HANLIN_ASSIGN(else_part, read_in_place(node, s, "else"));
    }
    parts.push_back(store_.any_of({store_.negation(condition), then_part}));
    parts.push_back(store_.any_of({condition, else_part}));
  }
  return {};
}

Status SchemaReader::read_numbers(int32_t node, const Json& s, std::vector<FormulaId>& parts) {
  using Kind = Atom::Kind;
  struct Bound {
    const char* keyword;
    const char* open;  // draft 4: a boolean beside it
    Kind closed_kind, open_kind;
    bool positive;
  };
  constexpr Bound bounds[] = {{"minimum", "exclusiveMinimum", Kind::kAtLeast, Kind::kAbove, true},
                              {"maximum", "exclusiveMaximum", Kind::kAbove, Kind::kAtLeast, false}};
  for (const Bound& b : bounds) {
    const Json* open = member(s, b.open);
    if (const Json* closed = member(s, b.keyword)) {
      HANLIN_ASSIGN(const Decimal d, number(node, b.keyword, *closed));
      const bool is_open = open != nullptr && open->is_boolean() && open->get<bool>();
      parts.push_back(store_.guarded(atom_number(is_open ? b.open_kind : b.closed_kind, d), b.positive));
    }
    if (open != nullptr && !open->is_boolean()) {
      HANLIN_ASSIGN(const Decimal d, number(node, b.open, *open));
      parts.push_back(store_.guarded(atom_number(b.open_kind, d), b.positive));
    }
  }
  if (const Json* multiple = member(s, "multipleOf")) {
    HANLIN_ASSIGN(const Decimal d, number(node, "multipleOf", *multiple));
    if (d.mantissa <= 0) return wrong(node, "multipleOf", "expected a number above 0");
    parts.push_back(store_.guarded(atom_number(Kind::kMultiple, d)));
  }
  return {};
}

Result<int64_t> SchemaReader::count(int32_t node, const Json& s, const char* keyword, int64_t missing) {
  const Json* value = member(s, keyword);
  if (value == nullptr) return missing;
  HANLIN_ASSIGN(const Decimal d, number(node, keyword, *value));
  if (d.mantissa < 0 || d.exponent < 0) return wrong(node, keyword, "expected a whole number of at least 0");
  if (compare(d, make_decimal(1'000'000'000, 0)) > 0) return int64_t{1'000'000'000};
  int64_t n = static_cast<int64_t>(d.mantissa);
  for (int32_t i = 0; i < d.exponent; ++i) n *= 10;
  return n;
}

Result<int32_t> SchemaReader::pattern(int32_t node, const char* keyword, const std::string& regex) {
  if (const auto it = patterns_.find(regex); it != patterns_.end()) return it->second;
  Result<Dfa> dfa = compile_regex(regex);
  if (!dfa.ok()) return wrong(node, keyword, dfa.error().message, dfa.error().code);
  return patterns_[regex] = store_.add_dfa(*std::move(dfa));
}

Status SchemaReader::read_strings(int32_t node, const Json& s, std::vector<FormulaId>& parts) {
  HANLIN_ASSIGN(const int64_t min, count(node, s, "minLength", 0));
  HANLIN_ASSIGN(const int64_t max, count(node, s, "maxLength", kUnbounded));
  parts.push_back(store_.guarded(atom_n(Atom::Kind::kMinLength, min)));
  if (max < kUnbounded) parts.push_back(store_.guarded(atom_n(Atom::Kind::kMinLength, max + 1), false));
  if (const Json* regex = member(s, "pattern")) {
    if (!regex->is_string()) return wrong(node, "pattern", "expected a string");
    HANLIN_ASSIGN(const int32_t dfa, pattern(node, "pattern", regex->get<std::string>()));
    parts.push_back(store_.guarded(atom_dfa(Atom::Kind::kMatches, dfa)));
  }
  const Json* format = member(s, "format");
  if (format != nullptr && format->is_string() && assert_formats_) {
    const std::string name = format->get<std::string>();
    const char* regex = format_regex(name);
    if (regex == nullptr) return {};
    auto it = formats_.find(name);
    if (it == formats_.end()) {
      Result<Dfa> dfa = compile_regex(regex, {.full_match = true});
      if (!dfa.ok()) return wrong(node, "format", dfa.error().message, dfa.error().code);
      it = formats_.emplace(name, store_.add_dfa(*std::move(dfa))).first;
    }
    parts.push_back(store_.guarded(atom_dfa(format_is_exact(name) ? Atom::Kind::kMatches : Atom::Kind::kFormat, it->second)));
  }
  return {};
}

Status SchemaReader::read_arrays(int32_t node, const Json& s, std::vector<FormulaId>& parts) {
  const auto guarded_items = [&](int64_t from, int64_t to, FormulaId f, int64_t n, bool positive) {
    parts.push_back(store_.guarded(atom_items(from, to, f, n), positive));
  };
  const Json* items = member(s, "items");
  const bool tuple = items != nullptr && items->is_array();
  const Json* prefix = tuple ? items : member(s, "prefixItems");
  const Json* rest = tuple ? member(s, "additionalItems") : items;
  int64_t n_prefix = 0;
  if (prefix != nullptr) {
    if (!prefix->is_array()) return wrong(node, "prefixItems", "expected a list of schemas");
    for (const Json& item : *prefix) {
      guarded_items(n_prefix, n_prefix + 1, store_.negation(child(item)), 1, false);
      ++n_prefix;
    }
  }
  if (rest != nullptr) guarded_items(n_prefix, kUnbounded, store_.negation(child(*rest)), 1, false);
  HANLIN_ASSIGN(const int64_t min, count(node, s, "minItems", 0));
  HANLIN_ASSIGN(const int64_t max, count(node, s, "maxItems", kUnbounded));
  guarded_items(0, kUnbounded, kTrueFormula, min, true);
  if (max < kUnbounded) guarded_items(0, kUnbounded, kTrueFormula, max + 1, false);
  if (const Json* contains = member(s, "contains")) {
    const bool counts = index_[node].draft >= Draft::k2019;
    int64_t least = 1, most = kUnbounded;
    if (counts) {
      HANLIN_ASSIGN(least, count(node, s, "minContains", 1));
      HANLIN_ASSIGN(most, count(node, s, "maxContains", kUnbounded));
    }
    const FormulaId f = child(*contains);
    guarded_items(0, kUnbounded, f, least, true);
    if (most < kUnbounded) guarded_items(0, kUnbounded, f, most + 1, false);
  }
  if (const Json* unique = member(s, "uniqueItems"); unique != nullptr && unique->is_boolean() && unique->get<bool>()) {
    parts.push_back(store_.guarded(atom(Atom::Kind::kUnique)));
  }
  return {};
}

FormulaId SchemaReader::has(const std::string& name) { return store_.literal(atom_property(store_.add_name_set({.names = {name}}), kTrueFormula)); }

Status SchemaReader::read_property_schemas(int32_t node, const Json& s, std::vector<FormulaId>& parts) {
  const auto forall = [&](NameSet names, FormulaId f) {
    parts.push_back(store_.guarded(atom_property(store_.add_name_set(std::move(names)), store_.negation(f)), false));
  };
  NameSet others{.complement = true};
  if (const Json* properties = member(s, "properties")) {
    if (!properties->is_object()) return wrong(node, "properties", "expected an object");
    for (const auto& [name, schema] : properties->items()) others.names.push_back(name);
    Atom order;
    order.kind = Atom::Kind::kOrder;
    order.names = store_.add_name_set({.names = others.names});
    parts.push_back(store_.guarded(order));
    for (const auto& [name, schema] : properties->items()) forall({.names = {name}}, child(schema));
  }
  if (const Json* patterns = member(s, "patternProperties")) {
    if (!patterns->is_object()) return wrong(node, "patternProperties", "expected an object");
    for (const auto& [regex, schema] : patterns->items()) {
      HANLIN_ASSIGN(const int32_t dfa, pattern(node, "patternProperties", regex));
      others.dfas.push_back(dfa);
      forall({.dfas = {dfa}}, child(schema));
    }
  }
  if (const Json* additional = member(s, "additionalProperties")) forall(others, child(*additional));
  if (const Json* names = member(s, "propertyNames")) {
    Atom a;
    a.kind = Atom::Kind::kNamesHold;
    a.formula = child(*names);
    parts.push_back(store_.guarded(a));
  }
  return {};
}

Status SchemaReader::read_dependencies(int32_t node, const Json& s, std::vector<FormulaId>& parts) {
  const FormulaId no_object = store_.types(kAllTypes & ~kObjectType);
  for (const char* keyword : {"dependentRequired", "dependentSchemas", "dependencies"}) {
    const Json* map = member(s, keyword);
    if (map == nullptr) continue;
    if (!map->is_object()) return wrong(node, keyword, "expected an object");
    for (const auto& [name, value] : map->items()) {
      FormulaId then = kTrueFormula;
      if (value.is_array()) {
        std::vector<FormulaId> all;
        for (const Json& other : value) {
          if (!other.is_string()) return wrong(node, keyword, "expected lists of strings");
          all.push_back(has(other.get<std::string>()));
        }
        then = store_.all_of(std::move(all));
      } else if (value.is_string()) {
        then = has(value.get<std::string>());  // draft 3
      } else if (value.is_object() || value.is_boolean()) {
        HANLIN_ASSIGN(then, read(index_.find(value)));
      } else {
        return wrong(node, keyword, "expected lists of strings or schemas");
      }
      parts.push_back(store_.any_of({no_object, store_.negation(has(name)), then}));
    }
  }
  return {};
}

Status SchemaReader::read_objects(int32_t node, const Json& s, std::vector<FormulaId>& parts) {
  HANLIN_TRY(read_property_schemas(node, s, parts));
  const FormulaId no_object = store_.types(kAllTypes & ~kObjectType);
  if (const Json* required = member(s, "required"); required != nullptr && !required->is_boolean()) {
    if (!required->is_array()) return wrong(node, "required", "expected a list of strings");
    for (const Json& name : *required) {
      if (!name.is_string()) return wrong(node, "required", "expected a list of strings");
      parts.push_back(store_.any_of({no_object, has(name.get<std::string>())}));
    }
  }
  HANLIN_ASSIGN(const int64_t min, count(node, s, "minProperties", 0));
  HANLIN_ASSIGN(const int64_t max, count(node, s, "maxProperties", kUnbounded));
  parts.push_back(store_.guarded(atom_n(Atom::Kind::kMinProperties, min)));
  if (max < kUnbounded) parts.push_back(store_.guarded(atom_n(Atom::Kind::kMinProperties, max + 1), false));
  return read_dependencies(node, s, parts);
}

}  // namespace hanlin::grammar
