// A plain JSON Schema validator over whole values, written without the library: it judges what random walks produce.
#pragma once

#include <cmath>
#include <regex>
#include <set>
#include <string>

#include "base/json.h"

namespace hanlin::grammar {

class TestValidator {
 public:
  explicit TestValidator(const Json& root) : root_(root) {}
  bool valid(const Json& value) { return check(root_, value, 0); }
  // Met something that it does not judge: the verdict may be too lenient.
  bool is_unsure() const { return unsure_; }

 private:
  static size_t length(const std::string& text) {
    size_t n = 0;
    for (char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return n;
  }
  static bool same(const Json& a, const Json& b) {
    if (a.is_number() && b.is_number()) return a.get<double>() == b.get<double>();
    if (a.type() != b.type() || a.size() != b.size()) return false;
    if (a.is_array()) {
      for (size_t i = 0; i < a.size(); ++i) {
        if (!same(a[i], b[i])) return false;
      }
      return true;
    }
    if (a.is_object()) {
      for (const auto& [k, v] : a.items()) {
        if (!b.contains(k) || !same(v, b[k])) return false;
      }
      return true;
    }
    return a == b;
  }
  bool matches(const std::string& pattern, const std::string& text) {
    // std::regex works on bytes; only plain patterns and texts are judged.
    if (pattern.size() > 60 || text.size() > 200 || pattern.find_first_of("\\.{[(") != std::string::npos) return unsure_ = true;
    return std::regex_search(text, std::regex(pattern, std::regex::ECMAScript));
  }
  static bool has_type(const std::string& type, const Json& v) {
    if (type == "integer") return v.is_number_integer() || (v.is_number_float() && std::floor(v.get<double>()) == v.get<double>());
    if (type == "number") return v.is_number();
    return (type == "null" && v.is_null()) || (type == "boolean" && v.is_boolean()) || (type == "string" && v.is_string()) || (type == "array" && v.is_array()) ||
           (type == "object" && v.is_object()) || type == "any";
  }
  const Json* resolve(const std::string& ref) const {
    if (ref.empty() || ref[0] != '#') return nullptr;
    try {
      return &root_.at(Json::json_pointer(ref.substr(1)));
    } catch (const std::exception&) {
      return nullptr;
    }
  }

  bool check(const Json& s, const Json& v, int depth) {
    if (depth > 200) return true;
    if (s.is_boolean()) return s.get<bool>();
    if (s.contains("$ref")) {
      const Json* target = resolve(s["$ref"].get<std::string>());
      if (target == nullptr) return unsure_ = true;
      if (!check(*target, v, depth + 1)) return false;
    }
    if (s.contains("type")) {
      bool any = false;
      for (const Json& t : s["type"].is_array() ? s["type"] : Json::array({s["type"]})) any = any || has_type(t.get<std::string>(), v);
      if (!any) return false;
    }
    if (s.contains("const") && !same(s["const"], v)) return false;
    if (s.contains("enum")) {
      bool any = false;
      for (const Json& e : s["enum"]) any = any || same(e, v);
      if (!any) return false;
    }
    for (const char* k : {"allOf", "anyOf", "oneOf"}) {
      if (!s.contains(k)) continue;
      size_t n = 0;
      for (const Json& b : s[k]) n += check(b, v, depth + 1);
      if (k[1] == 'l' ? n != s[k].size() : k[0] == 'a' ? n == 0 : n != 1 && !unsure_) return false;
    }
    if (s.contains("not") && check(s["not"], v, depth + 1) && !unsure_) return false;
    if (s.contains("if")) {
      const char* k = check(s["if"], v, depth + 1) ? "then" : "else";
      if (s.contains(k) && !check(s[k], v, depth + 1) && !unsure_) return false;
    }
    if (v.is_number() && !check_number(s, v.get<double>())) return false;
    if (v.is_string()) {
      const std::string text = v.get<std::string>();
      if (s.contains("minLength") && length(text) < s["minLength"].get<double>()) return false;
      if (s.contains("maxLength") && length(text) > s["maxLength"].get<double>()) return false;
      if (s.contains("pattern") && !matches(s["pattern"].get<std::string>(), text)) return false;
    }
    if (v.is_array() && !check_array(s, v, depth)) return false;
    return !v.is_object() || check_object(s, v, depth);
  }

  bool check_number(const Json& s, double d) {
    const auto bound = [&](const char* k) { return s[k].get<double>(); };
    const auto open = [&](const char* k) { return s.contains(k) && s[k].is_boolean() && s[k].get<bool>(); };
    if (s.contains("minimum") && (open("exclusiveMinimum") ? d <= bound("minimum") : d < bound("minimum"))) return false;
    if (s.contains("maximum") && (open("exclusiveMaximum") ? d >= bound("maximum") : d > bound("maximum"))) return false;
    if (s.contains("exclusiveMinimum") && s["exclusiveMinimum"].is_number() && d <= bound("exclusiveMinimum")) return false;
    if (s.contains("exclusiveMaximum") && s["exclusiveMaximum"].is_number() && d >= bound("exclusiveMaximum")) return false;
    if (s.contains("multipleOf")) {
      if (std::abs(d) >= 1e9) return unsure_ = true;
      const double q = d / bound("multipleOf");
      if (std::abs(q - std::round(q)) > 1e-6) return false;
    }
    return true;
  }

  bool check_array(const Json& s, const Json& v, int depth) {
    if (s.contains("minItems") && static_cast<double>(v.size()) < s["minItems"].get<double>()) return false;
    if (s.contains("maxItems") && static_cast<double>(v.size()) > s["maxItems"].get<double>()) return false;
    const bool tuple = s.contains("items") && s["items"].is_array();
    const char* prefix = tuple ? "items" : "prefixItems";
    const char* rest = tuple ? "additionalItems" : "items";
    const size_t n = s.contains(prefix) ? s[prefix].size() : 0;
    for (size_t i = 0; i < v.size(); ++i) {
      if (i < n && !check(s[prefix][i], v[i], depth + 1)) return false;
      if (i >= n && s.contains(rest) && !check(s[rest], v[i], depth + 1)) return false;
    }
    if (s.contains("contains")) {
      double found = 0;
      for (const Json& item : v) found += check(s["contains"], item, depth + 1);
      if (found < s.value("minContains", 1.0) || (s.contains("maxContains") && found > s["maxContains"].get<double>())) return false;
    }
    return true;
  }

  bool check_object(const Json& s, const Json& v, int depth) {
    if (s.contains("minProperties") && static_cast<double>(v.size()) < s["minProperties"].get<double>()) return false;
    if (s.contains("maxProperties") && static_cast<double>(v.size()) > s["maxProperties"].get<double>()) return false;
    if (s.contains("required") && s["required"].is_array()) {
      for (const Json& name : s["required"]) {
        if (!v.contains(name.get<std::string>())) return false;
      }
    }
    for (const auto& [key, value] : v.items()) {
      bool known = false;
      if (s.contains("properties") && s["properties"].contains(key)) {
        known = true;
        if (!check(s["properties"][key], value, depth + 1)) return false;
      }
      if (s.contains("patternProperties")) {
        for (const auto& [pattern, schema] : s["patternProperties"].items()) {
          const bool unsure_before = unsure_;
          unsure_ = false;
          const bool match = matches(pattern, key);
          if (unsure_) return true;  // cannot tell which properties are additional
          unsure_ = unsure_before;
          if (!match) continue;
          known = true;
          if (!check(schema, value, depth + 1)) return false;
        }
      }
      if (!known && s.contains("additionalProperties") && !check(s["additionalProperties"], value, depth + 1)) return false;
      if (s.contains("propertyNames") && !check(s["propertyNames"], Json(key), depth + 1)) return false;
    }
    if (s.contains("dependentRequired")) {
      for (const auto& [key, names] : s["dependentRequired"].items()) {
        for (const Json& name : names) {
          if (v.contains(key) && !v.contains(name.get<std::string>())) return false;
        }
      }
    }
    return true;
  }

  const Json& root_;
  bool unsure_ = false;
};

}  // namespace hanlin::grammar
