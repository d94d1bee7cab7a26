#include "agent/tools/json_place.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace hanlin::agent {
namespace {

// RFC 6901: "~" and "/" are written "~0" and "~1".
std::string pointer_token(std::string_view key) {
  std::string token;
  for (const char c : key) token += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return token;
}

}  // namespace

Error JsonPlace::mismatch(std::string_view expected) const {
  std::string got = dump_json(*value_);
  if (got.size() > 80) got = got.substr(0, 77) + "...";
  return mistake(fmt::format("expected {}, got {}", expected, got));
}

Error JsonPlace::mistake(std::string_view message) const { return {Code::kInvalidArgument, fmt::format("{}: {}", where_, message)}; }

JsonPlace JsonPlace::at(const std::string& key) const { return JsonPlace(where_ + "/" + pointer_token(key), &value_->at(key)); }

JsonPlace JsonPlace::at(size_t idx) const { return JsonPlace(fmt::format("{}/{}", where_, idx), &value_->at(idx)); }

Result<std::string> JsonPlace::text() const {
  if (!value_->is_string()) return mismatch("a text");
  return value_->get<std::string>();
}

Result<std::vector<std::string>> JsonPlace::texts() const {
  if (!value_->is_array()) return mismatch("a list of texts");
  std::vector<std::string> found;
  for (size_t i = 0; i < value_->size(); ++i) {
    HANLIN_ASSIGN(std::string text, at(i).text());
    found.push_back(std::move(text));
  }
  return found;
}

Result<bool> JsonPlace::boolean() const {
  if (!value_->is_boolean()) return mismatch("true or false");
  return value_->get<bool>();
}

Result<int64_t> JsonPlace::integer(int64_t min, int64_t max) const {
  const bool fits = value_->is_number_integer() && value_->get<double>() >= static_cast<double>(min) && value_->get<double>() <= static_cast<double>(max);
  if (!fits) return mismatch(fmt::format("an integer from {} to {}", min, max));
  return value_->get<int64_t>();
}

Result<std::string> JsonPlace::text_or(const std::string& key, std::string fallback) const {
  if (!has(key)) return fallback;
  return at(key).text();
}

Result<bool> JsonPlace::boolean_or(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  return at(key).boolean();
}

Status JsonPlace::only(std::initializer_list<std::string_view> keys) const {
  if (!value_->is_object()) return mismatch("an object");
  for (const auto& [key, value] : value_->items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) return at(key).mistake(fmt::format("there is no such key; expected one of {}", fmt::join(keys, ", ")));
  }
  return {};
}

}  // namespace hanlin::agent
