#include "hub/catalog.h"

#include <algorithm>

#include "base/json.h"
#include "hub/model_cache.h"

namespace hanlin::hub {

extern const char* const kCatalogJson;  // catalog_data.cpp, made from catalog.json by CMake

namespace {

PackagedFile parse_file(const Json& json) {
  PackagedFile file{json.at("path"), json.at("n_bytes"), json.at("sha256"), {}};
  for (const Json& part : json.at("parts")) file.parts.push_back({part.at("package"), part.at("member"), part.at("n_bytes")});
  return file;
}

CatalogSource parse_source(const Json& json) {
  CatalogSource source;
  if (json.contains("hub")) {
    source.revision = json.at("hub").at("revision");
    return source;
  }
  source.kind = CatalogSource::Kind::kPackages;
  for (const Json& package : json.at("packages")) source.packages.push_back({package.at("name"), package.at("version"), package.at("n_bytes")});
  for (const Json& file : json.at("files")) source.files.push_back(parse_file(file));
  return source;
}

CatalogModel parse_model(const Json& json) {
  CatalogModel model{.name = json.at("name"), .kind = json.at("kind"), .about = json.at("about"), .license = json.at("license")};
  if (json.contains("terms")) {
    model.terms_text = json.at("terms").at("text");
    model.terms_url = json.at("terms").at("url");
  }
  model.repository = json.at("repository");
  model.file = json.at("file");
  model.n_bytes = json.at("n_bytes");
  for (const Json& source : json.at("sources")) model.sources.push_back(parse_source(source));
  return model;
}

// What the type checks of the JSON library do not see. Empty if all is well.
std::string problem_of(const CatalogModel& model) {
  if (!is_repository_id(model.repository)) return "repository";
  for (const CatalogSource& source : model.sources) {
    for (const PackagedFile& file : source.files) {
      if (!is_repository_path(file.path) || file.sha256.size() != 64) return "file " + file.path;
      int64_t n_bytes = 0;
      for (const PackagePart& part : file.parts) {
        n_bytes += part.n_bytes;
        const bool known = std::any_of(source.packages.begin(), source.packages.end(), [&](const PythonPackage& package) { return package.name == part.package; });
        if (!known || !is_repository_path(part.member)) return "part " + part.member;
      }
      if (n_bytes != file.n_bytes) return "size of " + file.path;
    }
  }
  return "";
}

}  // namespace

Result<Catalog> Catalog::parse(std::string_view text) {
  HANLIN_ASSIGN(const Json json, parse_json(text));
  Catalog catalog;
  std::string name = "the list of models";
  try {
    for (const Json& entry : json.at("models")) {
      name = entry.at("name");
      CatalogModel model = parse_model(entry);
      if (const std::string problem = problem_of(model); !problem.empty()) return Error{Code::kCorrupt, "catalogue: " + name + ": wrong " + problem};
      if (catalog.find(name) != nullptr) return Error{Code::kCorrupt, "catalogue: " + name + " stands there twice"};
      catalog.models_.push_back(std::move(model));
    }
  } catch (const nlohmann::json::exception& error) {
    return Error{Code::kCorrupt, "catalogue: " + name + ": " + error.what()};
  }
  return catalog;
}

const Catalog& Catalog::built_in() {
  static const Catalog catalog = parse(kCatalogJson).value();
  return catalog;
}

const CatalogModel* Catalog::find(std::string_view name) const {
  const auto it = std::find_if(models_.begin(), models_.end(), [&](const CatalogModel& model) { return model.name == name; });
  return it == models_.end() ? nullptr : &*it;
}

const CatalogModel* Catalog::find_stored(std::string_view repository, std::string_view file) const {
  const auto it = std::find_if(models_.begin(), models_.end(),
                               [&](const CatalogModel& model) { return model.repository == repository && model.file == file; });
  return it == models_.end() ? nullptr : &*it;
}

}  // namespace hanlin::hub
