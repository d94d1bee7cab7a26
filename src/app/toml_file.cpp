#include "app/toml_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <sstream>

#include "base/json.h"
#include "base/mmap_file.h"

namespace hanlin::app {
namespace {

Json to_json(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = to_json(value);
    return object;
  }
  if (const auto* array = node.as_array()) {
    Json list = Json::array();
    for (const auto& item : *array) list.push_back(to_json(item));
    return list;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return integer->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* boolean = node.as_boolean()) return boolean->get();
  std::ostringstream date;
  node.visit([&](const auto& value) {
    if constexpr (toml::is_date<decltype(value)> || toml::is_time<decltype(value)> || toml::is_date_time<decltype(value)>) date << value;
  });
  return date.str();
}

}  // namespace

Result<Json> read_toml(const std::string& path) {
  HANLIN_ASSIGN(const std::string text, read_file(path, size_t{1} << 20));
  try {
    return to_json(toml::parse(text, path));
  } catch (const toml::parse_error& error) {
    const auto& begin = error.source().begin;
    return Error{Code::kCorrupt, fmt::format("{}:{}:{}: expected TOML, got: {}", path, begin.line, begin.column, error.description())};
  }
}

}  // namespace hanlin::app
