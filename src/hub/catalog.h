// The models that have a short name, and where each can be fetched. The data stands in catalog.json, compiled in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hanlin::hub {

// A piece of a file: one member of one Python package.
struct PackagePart {
  std::string package, member;
  int64_t n_bytes = 0;
};

// A file of the model: its parts joined in order.
struct PackagedFile {
  std::string path;  // inside the repository
  int64_t n_bytes = 0;
  std::string sha256;
  std::vector<PackagePart> parts;
};

struct PythonPackage {
  std::string name, version;
  int64_t n_bytes = 0;  // of the wheel, for the progress bar
};

// One place to fetch a model from.
struct CatalogSource {
  enum class Kind { kHub, kPackages } kind = Kind::kHub;
  std::string revision;                 // hub: the branch or commit; the hub announces each file's hash itself
  std::vector<PythonPackage> packages;  // packages: what to fetch …
  std::vector<PackagedFile> files;      // … and what to make of it
};

struct CatalogModel {
  std::string name, kind, about, license;
  std::string terms_text, terms_url;  // must be agreed to before the download; empty if there are none
  std::string repository;
  std::string file;  // the GGUF file; empty for a directory with safetensors
  int64_t n_bytes = 0;
  std::vector<CatalogSource> sources;  // tried in this order
};

class Catalog {
 public:
  // Errors: kCorrupt with the model's name and what is missing.
  static Result<Catalog> parse(std::string_view json);
  // The one compiled into the program.
  static const Catalog& built_in();

  const std::vector<CatalogModel>& models() const { return models_; }
  const CatalogModel* find(std::string_view name) const;
  // The model stored as this file of this repository, or nullptr.
  const CatalogModel* find_stored(std::string_view repository, std::string_view file) const;

 private:
  std::vector<CatalogModel> models_;
};

}  // namespace hanlin::hub
