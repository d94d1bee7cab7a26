// Reading documents that people write by hand: every mistake names the file and the place in it.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace hanlin::agent {

// A value inside of a document, and where it stands. Refers to the document, which must outlive it.
class JsonPlace {
 public:
  // `file` as messages name it.
  JsonPlace(std::string file, const Json& document) : where_(std::move(file) + "#"), value_(&document) {}

  const Json& value() const { return *value_; }
  // "weather.json#/0/http/url"
  const std::string& where() const { return where_; }
  // kInvalidArgument: "<where>: expected <expected>, got <the value, shortened>"
  Error mismatch(std::string_view expected) const;
  // kInvalidArgument: "<where>: <message>"
  Error mistake(std::string_view message) const;

  bool has(const std::string& key) const { return value_->is_object() && value_->contains(key); }
  // The member or item; it must be there (see has()).
  JsonPlace at(const std::string& key) const;
  JsonPlace at(size_t idx) const;

  Result<std::string> text() const;                   // a string
  Result<std::vector<std::string>> texts() const;     // a list of strings
  Result<bool> boolean() const;
  Result<int64_t> integer(int64_t min, int64_t max) const;
  // The member as text, or `fallback` where there is none.
  Result<std::string> text_or(const std::string& key, std::string fallback) const;
  Result<bool> boolean_or(const std::string& key, bool fallback) const;
  // Every key is one of these; the error names the wrong one and lists them.
  Status only(std::initializer_list<std::string_view> keys) const;

 private:
  JsonPlace(std::string where, const Json* value) : where_(std::move(where)), value_(value) {}
  std::string where_;
  const Json* value_;
};

}  // namespace hanlin::agent
