#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "app/commands.h"
#include "base/json.h"
#include "hub/model_cache.h"
#include "hub/pull.h"

namespace hanlin::app {
namespace {

struct Row {
  std::string name, kind, path;
  int64_t n_bytes;
};

std::vector<Row> rows(bool all) {
  const hub::Catalog& catalog = hub::Catalog::built_in();
  std::vector<Row> found;
  std::set<std::string> names;
  for (const hub::CachedModel& model : hub::ModelCache(hub::hub_settings().cache_dir).list()) {
    const hub::CatalogModel* known = catalog.find_stored(model.repository, model.file);
    const std::string name = hub::display_name(model.repository, model.file, catalog);
    if (!names.insert(name).second) continue;  // an older snapshot of the same
    found.push_back({name, known != nullptr ? known->kind : model.file.empty() ? "safetensors" : "gguf", model.path, model.n_bytes});
  }
  if (all) {
    for (const hub::CatalogModel& model : catalog.models()) {
      if (!names.contains(model.name)) found.push_back({model.name, model.kind, "", model.n_bytes});
    }
  }
  return found;
}

Status print_list(bool all, bool json) {
  const std::vector<Row> found = rows(all);
  if (json) {
    Json list = Json::array();
    for (const Row& row : found) {
      list.push_back({{"name", row.name}, {"kind", row.kind}, {"bytes", row.n_bytes}, {"path", row.path.empty() ? Json() : Json(row.path)}});
    }
    fmt::print("{}\n", dump_json(list, 2));
    return {};
  }
  if (found.empty()) {
    fmt::print("No models yet. `hanlin list --all` shows the catalogue, `hanlin pull NAME` fetches one.\n");
    return {};
  }
  size_t name_width = 4;
  for (const Row& row : found) name_width = std::max(name_width, row.name.size());
  fmt::print("{:<{}}  {:<11}  {:>9}  {}\n", "NAME", name_width, "KIND", "SIZE", "PATH");
  for (const Row& row : found) {
    const std::string size = fmt::format("{:.1f} MB", static_cast<double>(row.n_bytes) / 1e6);
    fmt::print("{:<{}}  {:<11}  {:>9}  {}\n", row.name, name_width, row.kind, size, row.path.empty() ? "(hanlin pull " + row.name + ")" : row.path);
  }
  return {};
}

}  // namespace

Command list_command() {
  auto all = std::make_shared<bool>(false), json = std::make_shared<bool>(false);
  Command command{.name = "list",
                  .summary = "List the models on this machine",
                  .examples =
                      "  hanlin list          # name, kind, size and path\n"
                      "  hanlin list --all    # with the models of the catalogue that are not here yet"};
  command.options.add("all", all.get(), "Also list the catalogue's models that are not on this machine");
  command.options.add("json", json.get(), "Print JSON");
  command.run = [all, json](LoadedConfig&) { return print_list(*all, *json); };
  return command;
}

}  // namespace hanlin::app
