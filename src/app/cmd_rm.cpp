#include <fmt/format.h>

#include "app/commands.h"
#include "base/json.h"
#include "hub/model_cache.h"
#include "hub/pull.h"
#include "model/packed_file.h"

namespace hanlin::app {
namespace {

Status remove_all(const std::vector<std::string>& names, bool json, const std::string& packed_dir) {
  const hub::Catalog& catalog = hub::Catalog::built_in();
  const hub::ModelCache cache(hub::hub_settings().cache_dir);
  for (const std::string& name : names) {
    int64_t n_freed = 0;
    int n_removed = 0;
    // What `hanlin list` calls so; a repository's own name means everything in it.
    for (const hub::CachedModel& model : cache.list()) {
      const bool whole = name == model.repository;
      if (!whole && name != hub::display_name(model.repository, model.file, catalog)) continue;
      n_freed += remove_packed(packed_dir, model.path);  // while the path still leads to the model
      auto freed = cache.remove(model.repository, whole ? "" : model.file);
      if (!freed.ok() && n_removed == 0) return freed.error();  // a later snapshot may be gone with the first
      n_freed += freed.ok() ? *freed : 0;
      ++n_removed;
    }
    if (n_removed == 0) return Error{Code::kNotFound, fmt::format("model \"{}\": is not in the cache {}; see: hanlin list", name, cache.root())};
    if (json) fmt::print("{}\n", dump_json(Json{{"removed", name}, {"freed_bytes", n_freed}}));
    else fmt::print("removed {}, {:.1f} MB freed\n", name, static_cast<double>(n_freed) / 1e6);
  }
  return {};
}

}  // namespace

Command rm_command() {
  auto names = std::make_shared<std::vector<std::string>>();
  auto json = std::make_shared<bool>(false);
  Command command{.name = "rm",
                  .summary = "Remove models from this machine, their packed weights too",
                  .examples =
                      "  hanlin rm smollm2-135m                      # a name as `hanlin list` shows it\n"
                      "  hanlin rm Qwen/Qwen2.5-0.5B-Instruct-GGUF   # everything of a repository"};
  command.positionals.push_back({"MODEL", "Name as `hanlin list` shows it, or a repository", names.get(), 1, -1});
  command.options.add("json", json.get(), "Print JSON");
  command.run = [names, json](LoadedConfig& config) { return remove_all(*names, *json, packed_dir(config.values)); };
  return command;
}

}  // namespace hanlin::app
