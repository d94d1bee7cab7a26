#include "server/json_fields.h"

#include <fmt/format.h>

#include <cmath>

#include "base/json.h"

namespace hanlin::server {
namespace {

constexpr int kMaxBodyDepth = 64;

// The whole number in `value`, also when it was written as 3.0.
std::optional<int64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    return number > static_cast<uint64_t>(INT64_MAX) ? std::nullopt : std::optional<int64_t>(static_cast<int64_t>(number));
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (!(std::abs(number) < 0x1p53) || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

}  // namespace

std::string describe_json(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return "null";
    case Json::value_t::object: return "an object";
    case Json::value_t::array: return fmt::format("a list of {}", value.size());
    case Json::value_t::string: {
      const auto& text = value.get_ref<const std::string&>();
      return text.size() <= 40 ? "the string " + dump_json(value) : fmt::format("a string of {} bytes", text.size());
    }
    case Json::value_t::boolean: return value.get<bool>() ? "true" : "false";
    default: return "the number " + dump_json(value);
  }
}

JsonFields::JsonFields(const Json& object, std::string prefix) : object_(object), prefix_(std::move(prefix)) {}

const Json* JsonFields::find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void JsonFields::fail(const std::string& name, const std::string& message, Code code) {
  if (!error_) error_ = Error{code, prefix_ + name + ": " + message, prefix_ + name};
}

void JsonFields::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

Status JsonFields::status() const { return error_ ? Status(*error_) : Status(); }

std::string JsonFields::text(const char* name, std::string fallback) {
  const Json* value = find(name);
  if (!value) return fallback;
  if (value->is_string()) return value->get<std::string>();
  fail(name, "expected a string, got " + describe_json(*value));
  return fallback;
}

std::string JsonFields::required_text(const char* name) {
  if (!find(name)) fail(name, "expected a string, got nothing");
  return text(name);
}

bool JsonFields::boolean(const char* name, bool fallback) {
  const Json* value = find(name);
  if (!value) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  fail(name, "expected true or false, got " + describe_json(*value));
  return fallback;
}

int64_t JsonFields::integer(const char* name, int64_t fallback, int64_t min, int64_t max) {
  return optional_integer(name, min, max).value_or(fallback);
}

std::optional<int64_t> JsonFields::optional_integer(const char* name, int64_t min, int64_t max) {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  const std::optional<int64_t> number = whole_number(*value);
  if (number && *number >= min && *number <= max) return number;
  if (max == INT64_MAX) {
    fail(name, min == INT64_MIN ? "expected a whole number, got " + describe_json(*value)
                                : fmt::format("expected a whole number of at least {}, got {}", min, describe_json(*value)));
  } else {
    fail(name, fmt::format("expected a whole number from {} to {}, got {}", min, max, describe_json(*value)));
  }
  return std::nullopt;
}

double JsonFields::number(const char* name, double fallback, double min, double max) {
  const Json* value = find(name);
  if (!value) return fallback;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (number >= min && number <= max) return number;
  }
  fail(name, fmt::format("expected a number from {} to {}, got {}", min, max, describe_json(*value)));
  return fallback;
}

double JsonFields::number_above(const char* name, double fallback, double min, double max) {
  const double value = number(name, fallback, min, max);
  if (value > min) return value;
  fail(name, fmt::format("expected a number above {} and up to {}, got {}", min, max, value));
  return fallback;
}

std::vector<std::string> JsonFields::text_or_texts(const char* name, size_t max_items, size_t max_bytes) {
  const Json* value = find(name);
  if (!value) return {};
  std::vector<std::string> texts;
  const auto add = [&](const Json& item) {
    if (!item.is_string()) return fail(name, "expected a string or a list of strings, got " + describe_json(item));
    const auto& text = item.get_ref<const std::string&>();
    if (text.empty() || text.size() > max_bytes) {
      return fail(name, fmt::format("expected strings of 1 to {} bytes, got {} bytes", max_bytes, text.size()));
    }
    texts.push_back(text);
  };
  if (!value->is_array()) {
    add(*value);
  } else if (value->size() > max_items) {
    fail(name, fmt::format("expected at most {} strings, got {}", max_items, value->size()));
  } else {
    for (const Json& item : *value) add(item);
  }
  return ok() ? texts : std::vector<std::string>();
}

std::vector<int32_t> JsonFields::token_ids(const char* name, size_t max_items) {
  const Json* value = find(name);
  if (!value) return {};
  Result<std::vector<int32_t>> ids = parse_token_ids(*value, prefix_ + name, max_items);
  if (ids.ok()) return std::move(ids).value();
  fail(ids.error());
  return {};
}

Result<Json> parse_body(const std::string& body) {
  if (body.empty()) return Error{Code::kInvalidArgument, "body: expected a JSON object, got nothing"};
  Result<Json> parsed = parse_json(body, kMaxBodyDepth);
  if (!parsed.ok()) return Error{Code::kInvalidArgument, "body: " + parsed.error().message};
  if (!parsed->is_object()) {
    return Error{Code::kInvalidArgument, "body: expected a JSON object, got " + describe_json(*parsed)};
  }
  return parsed;
}

Result<std::vector<int32_t>> parse_token_ids(const Json& list, const std::string& name, size_t max_items) {
  if (!list.is_array()) return Error{Code::kInvalidArgument, name + ": expected a list of token ids, got " + describe_json(list), name};
  if (list.size() > max_items) {
    return Error{Code::kInvalidArgument, fmt::format("{}: expected at most {} token ids, got {}", name, max_items, list.size()), name};
  }
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const Json& item : list) {
    const std::optional<int64_t> id = whole_number(item);
    if (!id || *id < 0 || *id > INT32_MAX) {
      return Error{Code::kInvalidArgument, name + ": expected token ids, whole numbers of at least 0, got " + describe_json(item), name};
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

}  // namespace hanlin::server
