#include "grammar/schema_index.h"

#include <algorithm>
#include <array>

namespace hanlin::grammar {
namespace {

constexpr std::array kSingle = {"additionalProperties", "propertyNames", "not", "if", "then", "else", "items", "contains", "unevaluatedItems",
                                "unevaluatedProperties", "additionalItems"};
constexpr std::array kLists = {"allOf", "anyOf", "oneOf", "prefixItems", "items"};
constexpr std::array kMaps = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"};

std::string escaped(const std::string& key) {
  std::string out;
  for (char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '~' && i + 1 < text.size()) {
      out += text[++i] == '1' ? '/' : '~';
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; };
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Draft draft_of(const Json& schema, Draft inherited) {
  const auto it = schema.find("$schema");
  if (it == schema.end() || !it->is_string()) return inherited;
  const auto& uri = it->get_ref<const std::string&>();
  if (uri.find("draft-03") != std::string::npos || uri.find("draft-04") != std::string::npos) return Draft::k4;
  if (uri.find("draft-06") != std::string::npos) return Draft::k6;
  if (uri.find("draft-07") != std::string::npos) return Draft::k7;
  if (uri.find("2019-09") != std::string::npos) return Draft::k2019;
  if (uri.find("2020-12") != std::string::npos) return Draft::k2020;
  return inherited;
}

size_t scheme_length(const std::string& uri) {
  const size_t colon = uri.find(':');
  if (colon == std::string::npos || colon == 0 || uri.find_first_of("/?") < colon) return 0;
  return colon + 1;
}

std::string without_dots(const std::string& path) {
  std::vector<std::string> out;
  size_t at = 0;
  bool trailing = false;
  while (at < path.size()) {
    const size_t slash = path.find('/', at);
    const std::string part = path.substr(at, slash == std::string::npos ? slash : slash - at);
    trailing = slash != std::string::npos || part == "." || part == "..";
    if (part == "..") {
      if (out.size() > 1) out.pop_back();
    } else if (part != ".") {
      out.push_back(part);
    }
    if (slash == std::string::npos) break;
    at = slash + 1;
  }
  std::string result;
  for (size_t i = 0; i < out.size(); ++i) result += (i > 0 ? "/" : "") + out[i];
  return result + (trailing ? "/" : "");
}

}  // namespace

std::string resolve_uri(const std::string& base, const std::string& reference) {
  if (reference.empty()) return base;
  if (scheme_length(reference) > 0) return reference;
  const size_t scheme = scheme_length(base);
  size_t authority_end = scheme;
  if (base.compare(scheme, 2, "//") == 0) {
    authority_end = base.find('/', scheme + 2);
    if (authority_end == std::string::npos) authority_end = base.size();
  }
  if (reference.compare(0, 2, "//") == 0) return base.substr(0, scheme) + reference;
  if (reference[0] == '/') return base.substr(0, authority_end) + without_dots(reference);
  const size_t slash = base.rfind('/');
  const std::string directory = slash == std::string::npos || slash < authority_end ? (authority_end > scheme ? "/" : "") : base.substr(authority_end, slash + 1 - authority_end);
  return base.substr(0, authority_end) + without_dots(directory + reference);
}

SchemaIndex::SchemaIndex(const Json& document) { walk(document, "", "", Draft::k2020); }

int32_t SchemaIndex::add(const Json& schema, const std::string& pointer, const std::string& base, Draft draft) {
  const auto [it, is_new] = numbers_.try_emplace(&schema, static_cast<int32_t>(nodes_.size()));
  if (is_new) nodes_.push_back({&schema, pointer, base, draft});
  return it->second;
}

void SchemaIndex::walk(const Json& schema, std::string pointer, std::string base, Draft draft) {
  if (!schema.is_object()) {
    add(schema, pointer, base, draft);
    return;
  }
  draft = draft_of(schema, draft);
  const bool ref_alone = draft <= Draft::k7 && schema.contains("$ref");
  std::string anchor;
  bool is_resource = pointer.empty();
  const auto id = schema.find(draft == Draft::k4 ? "id" : "$id");
  if (id != schema.end() && id->is_string() && !ref_alone) {
    const auto& text = id->get_ref<const std::string&>();
    const size_t hash = text.find('#');
    if (hash != 0) {
      if (pointer.empty()) resources_.emplace("", 0);
      base = resolve_uri(base, text.substr(0, hash));
      is_resource = true;
    }
    if (hash != std::string::npos && hash + 1 < text.size()) anchor = text.substr(hash + 1);
  }
  const int32_t node = add(schema, pointer, base, draft);
  if (is_resource) resources_.emplace(base, node);
  if (!anchor.empty()) anchors_.emplace(base + "#" + anchor, node);
  for (const char* keyword : {"$anchor", "$dynamicAnchor"}) {
    const auto it = schema.find(keyword);
    if (it == schema.end() || !it->is_string()) continue;
    anchors_.emplace(base + "#" + it->get<std::string>(), node);
    if (keyword[1] == 'd') ++dynamic_anchors_[it->get<std::string>()];
  }
  if (schema.contains("$recursiveAnchor")) ++dynamic_anchors_[""];
  for (const char* keyword : kSingle) {
    const auto it = schema.find(keyword);
    if (it != schema.end() && (!it->is_array() || keyword != std::string_view("items"))) walk(*it, pointer + "/" + keyword, base, draft);
  }
  for (const char* keyword : kLists) {
    const auto it = schema.find(keyword);
    if (it == schema.end() || !it->is_array()) continue;
    for (size_t i = 0; i < it->size(); ++i) walk((*it)[i], pointer + "/" + keyword + "/" + std::to_string(i), base, draft);
  }
  for (const char* keyword : kMaps) {
    const auto it = schema.find(keyword);
    if (it == schema.end() || !it->is_object()) continue;
    for (const auto& [key, value] : it->items()) {
      walk(value, pointer + "/" + keyword + "/" + escaped(key), base, draft);
    }
  }
}

int32_t SchemaIndex::find(const Json& schema) {
  const auto it = numbers_.find(&schema);
  return it != numbers_.end() ? it->second : add(schema, "", "", Draft::k2020);
}

int32_t SchemaIndex::n_dynamic_anchors(const std::string& name) const {
  const auto it = dynamic_anchors_.find(name);
  return it == dynamic_anchors_.end() ? 0 : it->second;
}

Result<int32_t> SchemaIndex::resolve(int32_t from, const std::string& reference) {
  const SchemaNode here = (*this)[from];
  const size_t hash = reference.find('#');
  const std::string uri = resolve_uri(here.base, reference.substr(0, hash));
  const std::string fragment = hash == std::string::npos ? "" : percent_decoded(std::string_view(reference).substr(hash + 1));
  const auto resource = resources_.find(uri);
  if (resource == resources_.end()) {
    return Error{Code::kUnsupported, "'" + reference + "' refers to another document, which is not fetched"};
  }
  if (fragment.empty()) return resource->second;
  if (fragment[0] != '/') {
    const auto anchor = anchors_.find(uri + "#" + fragment);
    if (anchor == anchors_.end()) return Error{Code::kInvalidArgument, "'" + reference + "' refers to an anchor that does not exist"};
    return anchor->second;
  }
  const SchemaNode root = (*this)[resource->second];
  const Json* json = root.json;
  std::string pointer = root.pointer, base = root.base;
  Draft draft = root.draft;
  for (size_t at = 0; at < fragment.size();) {
    const size_t slash = fragment.find('/', at + 1);
    const std::string key = unescaped(std::string_view(fragment).substr(at + 1, slash == std::string::npos ? slash : slash - at - 1));
    const Json* next = nullptr;
    if (json->is_object() && json->contains(key)) {
      next = &(*json)[key];
    } else if (json->is_array() && !key.empty() && key.size() < 7 && std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      const auto i = static_cast<size_t>(std::stoul(key));
      if (i < json->size()) next = &(*json)[i];
    }
    if (next == nullptr) return Error{Code::kInvalidArgument, "'" + reference + "' refers to a place that does not exist"};
    json = next;
    pointer += "/" + escaped(key);
    if (const auto it = numbers_.find(json); it != numbers_.end()) {
      base = (*this)[it->second].base;
      draft = (*this)[it->second].draft;
    }
    at = slash == std::string::npos ? fragment.size() : slash;
  }
  if (!json->is_object() && !json->is_boolean()) return Error{Code::kInvalidArgument, "'" + reference + "' does not refer to a schema"};
  if (!numbers_.contains(json)) walk(*json, pointer, base, draft);
  return numbers_.at(json);
}

}  // namespace hanlin::grammar
