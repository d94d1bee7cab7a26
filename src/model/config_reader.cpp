#include "model/config_reader.h"

#include <fmt/format.h>

#include <cmath>

#include "base/json.h"

namespace hanlin {
namespace {

const Json* json_value(const Json& object, const std::string& key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

}  // namespace

void ConfigReader::fail(std::string message) { fail(Error{Code::kCorrupt, fmt::format("{}: {}", where_, message)}); }
void ConfigReader::fail(Error error) {
  if (!error_) error_ = std::move(error);
}
Status ConfigReader::status() const { return error_ ? Status(*error_) : Status(); }

bool ConfigReader::has(const std::string& key) const {
  return json_ != nullptr ? json_value(*json_, key) != nullptr : gguf_->find(prefix_ + key) != nullptr;
}

int64_t ConfigReader::require_int(const std::string& key, int64_t low, int64_t high) {
  if (!has(key)) {
    fail(fmt::format("expected '{}{}', which is missing", prefix_, key));
    return 0;
  }
  return get_int(key, 0, low, high);
}

int64_t ConfigReader::get_int(const std::string& key, int64_t fallback, int64_t low, int64_t high) {
  if (!has(key)) return fallback;
  std::optional<int64_t> value;
  if (json_ != nullptr) {
    const Json& entry = *json_value(*json_, key);
    if (entry.is_number_integer() && !(entry.is_number_unsigned() && entry.get<uint64_t>() > INT64_MAX)) value = entry.get<int64_t>();
  } else {
    value = gguf_->find(prefix_ + key)->as_i64();
    // Some converters write one value per layer where all are equal.
    if (!value) {
      const auto list = gguf_->get_ints(prefix_ + key);
      if (list && !list->empty()) {
        bool same = true;
        for (int64_t item : *list) same &= item == list->front();
        if (same) value = list->front();
      }
    }
  }
  if (!value || *value < low || *value > high) {
    fail(fmt::format("expected '{}{}' to be an integer in [{}, {}]{}", prefix_, key, low, high, value ? fmt::format(", got {}", *value) : ""));
    return fallback;
  }
  return *value;
}

double ConfigReader::get_float(const std::string& key, double fallback) {
  if (!has(key)) return fallback;
  std::optional<double> value;
  if (json_ != nullptr) {
    const Json& entry = *json_value(*json_, key);
    if (entry.is_number()) value = entry.get<double>();
  } else {
    value = gguf_->get_f64(prefix_ + key);
  }
  if (!value || !std::isfinite(*value)) {
    fail(fmt::format("expected '{}{}' to be a finite number", prefix_, key));
    return fallback;
  }
  return *value;
}

bool ConfigReader::get_bool(const std::string& key, bool fallback) {
  if (!has(key)) return fallback;
  std::optional<bool> value;
  if (json_ != nullptr) {
    const Json& entry = *json_value(*json_, key);
    if (entry.is_boolean()) value = entry.get<bool>();
  } else {
    value = gguf_->get_bool(prefix_ + key);
  }
  if (!value) fail(fmt::format("expected '{}{}' to be true or false", prefix_, key));
  return value.value_or(fallback);
}

std::string ConfigReader::get_string(const std::string& key, const std::string& fallback) {
  if (!has(key)) return fallback;
  if (json_ != nullptr) {
    const Json& entry = *json_value(*json_, key);
    if (entry.is_string()) return entry.get<std::string>();
  } else if (auto value = gguf_->get_string(prefix_ + key)) {
    return *value;
  }
  fail(fmt::format("expected '{}{}' to be a string", prefix_, key));
  return fallback;
}

std::vector<std::string> ConfigReader::get_strings(const std::string& key) {
  std::vector<std::string> result;
  if (!has(key)) return result;
  if (json_ != nullptr) {
    const Json& entry = *json_value(*json_, key);
    bool good = entry.is_array();
    for (const Json& item : good ? entry : Json::array()) {
      good &= item.is_string();
      if (good) result.push_back(item.get<std::string>());
    }
    if (!good) fail(fmt::format("expected '{}' to be a list of strings", key));
    return result;
  }
  if (const auto list = gguf_->get_strings(prefix_ + key)) result.assign(list->begin(), list->end());
  return result;
}

const Json* ConfigReader::object(const std::string& key) const {
  if (json_ == nullptr) return nullptr;
  const Json* value = json_value(*json_, key);
  return value != nullptr && value->is_object() ? value : nullptr;
}

}  // namespace hanlin
