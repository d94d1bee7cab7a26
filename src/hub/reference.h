// What a user may write for a model, and which files of a repository that means.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "hub/catalog.h"
#include "hub/settings.h"

namespace hanlin::hub {

// One way to name a model:
//   qwen2.5-coder-0.5b                    a name of the catalogue
//   org/name, org/name@revision           a repository of the hub: its safetensors, or its best GGUF file
//   org/name:Q4_K_M, org/name:file.gguf   one quantisation, one file
//   hf:…                                  the same; also for repositories without an organisation
//   https://…                             a page or file of the hub, or any other file
//   ./model.gguf, /models/dir             a local path
struct ModelReference {
  enum class Kind { kLocal, kCatalog, kHub, kUrl } kind = Kind::kLocal;
  std::string text;                       // as it was written
  std::string path;                       // kLocal
  const CatalogModel* catalog = nullptr;  // kCatalog
  std::string repository;                 // kCatalog, kHub
  std::string revision = "main";          // kHub
  std::string selection;                  // kHub: file, quantisation or empty
  std::string url;                        // kUrl
};

// Errors: kNotFound for a path that does not exist or a name nobody knows (with the nearest known one);
// kInvalidArgument for a malformed id or address.
Result<ModelReference> parse_reference(const std::string& text, const Catalog& catalog, const HubSettings& settings);

// The files of a model and the one `serve` opens.
struct FileSelection {
  std::vector<std::string> files;
  std::string main;  // the GGUF file; empty: the directory itself
};

// Chooses among the `files` of a repository. `selection` as in ModelReference. Errors: kNotFound with what there is.
Result<FileSelection> select_files(const std::vector<std::string>& files, const std::string& selection);

}  // namespace hanlin::hub
