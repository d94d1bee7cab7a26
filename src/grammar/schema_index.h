// Where the schemas of a document are: numbers, base URIs, anchors, references.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hanlin::grammar {

// The drafts differ in a few keywords only.
enum class Draft : uint8_t { k4, k6, k7, k2019, k2020 };

struct SchemaNode {
  const Json* json;
  std::string pointer;  // JSON Pointer in the document, "" for the root
  std::string base;     // URI that references are relative to
  Draft draft;
};

// Built once; `document` must outlive it. Numbers are stable.
class SchemaIndex {
 public:
  explicit SchemaIndex(const Json& document);

  const SchemaNode& operator[](int32_t node) const { return nodes_[static_cast<size_t>(node)]; }
  size_t size() const { return nodes_.size(); }
  int32_t root() const { return 0; }
  // The number of a value of the document that stands where a schema is expected.
  int32_t find(const Json& schema);
  // What `reference` means in `from`. Errors: kInvalidArgument if it points nowhere in the document, kUnsupported if it
  // points to another document.
  Result<int32_t> resolve(int32_t from, const std::string& reference);
  // How many schemas declare this dynamic anchor; "" counts $recursiveAnchor.
  int32_t n_dynamic_anchors(const std::string& name) const;

 private:
  void walk(const Json& schema, std::string pointer, std::string base, Draft draft);
  int32_t add(const Json& schema, const std::string& pointer, const std::string& base, Draft draft);

  std::vector<SchemaNode> nodes_;
  std::unordered_map<const Json*, int32_t> numbers_;
  std::unordered_map<std::string, int32_t> resources_;  // absolute URI without fragment
  std::unordered_map<std::string, int32_t> anchors_;    // URI#name
  std::unordered_map<std::string, int32_t> dynamic_anchors_;
};

// RFC 3986, section 5.2, without normalisation of case. Neither result nor arguments carry fragments.
std::string resolve_uri(const std::string& base, const std::string& reference);

}  // namespace hanlin::grammar
