#include "base/fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "base/json.h"

namespace hanlin {
namespace {

template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  return std::nullopt;
}

std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (comma > 0) parts.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

const char* source_name(Source source) {
  switch (source) {
    case Source::kDefault: return "default";
    case Source::kFile: return "file";
    case Source::kEnvironment: return "environment";
    case Source::kFlag: return "flag";
  }
  return "?";
}

Field::Field(std::string name, Storage storage, std::string help)
    : name_(std::move(name)), help_(std::move(help)), storage_(storage) {
  default_text_ = text();
}

Field& Field::range(double min, double max) {
  min_ = min;
  max_ = max;
  return *this;
}

Field& Field::choices(std::vector<std::string> choices) {
  choices_ = std::move(choices);
  return *this;
}

Field& Field::bytes() {
  bytes_ = true;
  default_text_ = text();
  return *this;
}

Field& Field::whole_items() {
  whole_items_ = true;
  return *this;
}

Field& Field::section(std::string section) {
  section_ = std::move(section);
  return *this;
}

Field& Field::secret() {
  secret_ = true;
  return *this;
}

std::string Field::flag() const {
  std::string flag = "--" + name_;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string Field::environment_name() const {
  std::string name = "HANLIN_" + name_;
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return name;
}

std::string Field::type_text() const {
  if (is_bool()) return "true|false";
  if (!choices_.empty()) return fmt::format("{}", fmt::join(choices_, "|"));
  if (is_list() || std::holds_alternative<std::string*>(storage_)) return "TEXT";
  return bytes_ ? "BYTES" : "N";
}

Status Field::mismatch(std::string_view got, const std::string& origin) const {
  std::string expected;
  if (is_bool()) {
    expected = "true or false";
  } else if (is_list()) {
    expected = "a list of texts";
  } else if (!choices_.empty()) {
    expected = fmt::format("one of {}", fmt::join(choices_, ", "));
  } else if (std::holds_alternative<std::string*>(storage_)) {
    expected = "a text";
  } else if (bytes_) {
    expected = "a number of bytes such as 512MiB or 4G";
  } else {
    expected = std::holds_alternative<int64_t*>(storage_) ? "a whole number" : "a number";
    if (std::isfinite(min_) && std::isfinite(max_)) expected += fmt::format(" from {} to {}", min_, max_);
    else if (std::isfinite(min_)) expected += fmt::format(" of at least {}", min_);
  }
  if (secret_) got = "something else";
  return Error{Code::kInvalidArgument, fmt::format("{}: expected {}, got {}", origin, expected, got), name_};
}

void Field::came_from(Source source, std::string origin) {
  source_ = source;
  origin_ = std::move(origin);
}

Status Field::store_number(double value, const std::string& got, Source source, std::string origin) {
  if (!std::isfinite(value) || value < min_ || value > max_) return mismatch(got, origin);
  if (auto* target = std::get_if<int64_t*>(&storage_)) {
    // Beyond 2^53 a double no longer holds every integer; no setting of ours is that large.
    if (value != std::floor(value) || std::abs(value) > 0x1p53) return mismatch(got, origin);
    **target = static_cast<int64_t>(value);
  } else {
    **std::get_if<double*>(&storage_) = value;
  }
  came_from(source, std::move(origin));
  return {};
}

Status Field::store_string(std::string value, Source source, std::string origin) {
  if (!choices_.empty() && std::find(choices_.begin(), choices_.end(), value) == choices_.end()) {
    return mismatch('"' + value + '"', origin);
  }
  **std::get_if<std::string*>(&storage_) = std::move(value);
  came_from(source, std::move(origin));
  return {};
}

Status Field::store_list(std::vector<std::string> values, Source source, std::string origin) {
  if (!is_list()) return mismatch("a list", origin);
  **std::get_if<std::vector<std::string>*>(&storage_) = std::move(values);
  came_from(source, std::move(origin));
  return {};
}

Status Field::set_texts(const std::vector<std::string>& texts, Source source, std::string origin) {
  if (whole_items_) return store_list(texts, source, std::move(origin));
  std::vector<std::string> items;
  for (const std::string& text : texts) {
    for (std::string& item : split_commas(text)) items.push_back(std::move(item));
  }
  return store_list(std::move(items), source, std::move(origin));
}

Status Field::set_text(std::string_view text, Source source, std::string origin) {
  const std::string got = fmt::format("\"{}\"", text);
  if (auto* target = std::get_if<bool*>(&storage_)) {
    const auto value = parse_bool(text);
    if (!value) return mismatch(got, origin);
    **target = *value;
    came_from(source, std::move(origin));
    return {};
  }
  if (is_list()) return store_list(split_commas(text), source, std::move(origin));
  if (std::holds_alternative<std::string*>(storage_)) return store_string(std::string(text), source, std::move(origin));
  if (bytes_) {
    const auto n_bytes = parse_bytes(text);
    if (!n_bytes) return mismatch(got, origin);
    return store_number(static_cast<double>(*n_bytes), got, source, std::move(origin));
  }
  const auto value = parse_number<double>(text);
  if (!value) return mismatch(got, origin);
  return store_number(*value, got, source, std::move(origin));
}

Status Field::set_json(const Json& value, Source source, std::string origin) {
  const std::string got = dump_json(value);
  if (auto* target = std::get_if<bool*>(&storage_)) {
    if (!value.is_boolean()) return mismatch(got, origin);
    **target = value.get<bool>();
    came_from(source, std::move(origin));
    return {};
  }
  if (is_list()) {
    if (!value.is_array()) return mismatch(got, origin);
    std::vector<std::string> values;
    for (const Json& item : value) {
      if (!item.is_string()) return mismatch(got, origin);
      values.push_back(item.get<std::string>());
    }
    return store_list(std::move(values), source, std::move(origin));
  }
  if (std::holds_alternative<std::string*>(storage_)) {
    if (!value.is_string()) return mismatch(got, origin);
    return store_string(value.get<std::string>(), source, std::move(origin));
  }
  if (bytes_ && value.is_string()) return set_text(value.get<std::string>(), source, std::move(origin));
  if (!value.is_number()) return mismatch(got, origin);
  return store_number(value.get<double>(), got, source, std::move(origin));
}

std::string Field::text() const {
  if (auto* value = std::get_if<bool*>(&storage_)) return **value ? "true" : "false";
  if (auto* value = std::get_if<int64_t*>(&storage_)) {
    std::string text = bytes_ && **value > 0 ? format_bytes(**value) : std::to_string(**value);
    std::erase(text, ' ');
    // A rounded size would not read back as the same number.
    return !bytes_ || parse_bytes(text) == **value ? text : std::to_string(**value);
  }
  if (auto* value = std::get_if<double*>(&storage_)) return fmt::format("{}", **value);
  if (auto* value = std::get_if<std::string*>(&storage_)) return **value;
  return fmt::format("{}", fmt::join(**std::get_if<std::vector<std::string>*>(&storage_), ","));
}

Json Field::json() const {
  return std::visit([](const auto* value) { return Json(*value); }, storage_);
}

Field& FieldSet::add(std::string name, Field::Storage storage, std::string help) {
  HANLIN_CHECK(find(name) == nullptr, "two settings are called " + name);
  return fields_.emplace_back(std::move(name), storage, std::move(help));
}

Field* FieldSet::find(std::string_view name) {
  const auto it = std::find_if(fields_.begin(), fields_.end(), [&](const Field& field) { return field.name() == name; });
  return it == fields_.end() ? nullptr : &*it;
}

Status FieldSet::unknown(std::string_view name, const std::string& origin) const {
  std::vector<std::string> names;
  for (const Field& field : fields_) names.push_back(field.name());
  std::string message = fmt::format("{}: unknown setting \"{}\"", origin, name);
  if (const auto suggestion = nearest(name, names)) message += fmt::format(" (did you mean \"{}\"?)", *suggestion);
  return Error{Code::kInvalidArgument, std::move(message), std::string(name)};
}

Status FieldSet::set(std::string_view name, std::string_view text, Source source, std::string origin) {
  Field* field = find(name);
  if (field == nullptr) return unknown(name, origin);
  return field->set_text(text, source, std::move(origin));
}

Status FieldSet::load_json(const Json& object, Source source, const std::string& origin) {
  if (!object.is_object()) return Error{Code::kInvalidArgument, origin + ": expected an object of settings, got " + dump_json(object)};
  for (const auto& [key, value] : object.items()) {
    Field* field = find(key);
    if (field == nullptr) return unknown(key, origin);
    if (auto status = field->set_json(value, source, origin); !status.ok()) {
      // "hanlin.toml: expected …" → "hanlin.toml: port: expected …"
      Error error = status.error();
      error.message = origin + ": " + key + error.message.substr(origin.size());
      return error;
    }
  }
  return {};
}

Status FieldSet::load_environment(const std::function<const char*(const char*)>& getenv_fn) {
  for (Field& field : fields_) {
    const std::string name = field.environment_name();
    const char* value = getenv_fn ? getenv_fn(name.c_str()) : std::getenv(name.c_str());
    if (value != nullptr) HANLIN_TRY(field.set_text(value, Source::kEnvironment, name));
  }
  return {};
}

Json FieldSet::to_json() const {
  Json object = Json::object();
  for (const Field& field : fields_) {
    object[field.name()] = field.is_secret() && !field.text().empty() ? Json("***") : field.json();
  }
  return object;
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates) {
  std::optional<std::string> best;
  size_t best_distance = std::max<size_t>(word.size() < 4 ? 1 : 2, word.size() / 3) + 1;
  if (word.size() > 64) return best;  // no name is that long; the distance costs the product of the lengths
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::optional<int64_t> parse_bytes(std::string_view text) {
  const size_t unit_at = std::min(text.find_first_not_of("0123456789."), text.size());
  const auto number = parse_number<double>(text.substr(0, unit_at));
  std::string_view unit = text.substr(unit_at);
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  if (!number) return std::nullopt;
  double scale = 1;
  if (!unit.empty() && unit != "B") {
    static constexpr std::string_view kUnits = "KMGT";
    const size_t power = kUnits.find(unit.front() == 'k' ? 'K' : unit.front());
    const std::string_view rest = unit.substr(1);
    if (power == std::string_view::npos || !(rest.empty() || rest == "B" || rest == "iB")) return std::nullopt;
    scale = std::ldexp(1.0, 10 * (static_cast<int>(power) + 1));
  }
  const double n_bytes = *number * scale;
  if (!(n_bytes >= 0 && n_bytes <= 0x1p53) || n_bytes != std::floor(n_bytes)) return std::nullopt;
  return static_cast<int64_t>(n_bytes);
}

std::string format_bytes(int64_t n_bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(n_bytes);
  size_t unit = 0;
  while (std::abs(value) >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return value == std::floor(value) ? fmt::format("{:.0f} {}", value, kUnits[unit]) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace hanlin
