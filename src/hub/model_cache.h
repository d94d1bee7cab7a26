// Models on disk in the layout that huggingface_hub uses and shares:
//   <root>/models--<org>--<name>/blobs/<hash>                      the bytes
//   <root>/models--<org>--<name>/snapshots/<commit>/<path>         links to ../../blobs/<hash>
//   <root>/models--<org>--<name>/refs/<revision>                   a file that holds the commit
//   <root>/.locks/models--<org>--<name>/                           lock files
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace hanlin::hub {

// "org/name" or "name": letters, digits, '-', '_', '.', no "..".
bool is_repository_id(const std::string& text);
// A path inside a repository: relative, no "..", no empty parts, no control characters.
bool is_repository_path(const std::string& text);

// One model in the cache: a GGUF file (several for a split one) or a directory with safetensors.
struct CachedModel {
  std::string repository, commit;
  std::string file;  // the GGUF file (the first part); empty for a directory
  std::string path;  // what `serve` opens
  int64_t n_bytes = 0;
};

// Stateless but for the root; several processes may use the same cache.
class ModelCache {
 public:
  explicit ModelCache(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string repository_dir(const std::string& repository) const;
  std::string blob_path(const std::string& repository, const std::string& hash) const;
  std::string lock_path(const std::string& repository, const std::string& name) const;

  // The commit that `revision` (a branch, tag or commit) means here.
  std::optional<std::string> commit_of(const std::string& repository, const std::string& revision) const;
  std::string snapshot_dir(const std::string& repository, const std::string& commit) const;
  // All commits with a snapshot, the one of `main` first.
  std::vector<std::string> commits(const std::string& repository) const;
  // Files of a snapshot whose blob is there, sorted, as paths inside the repository.
  std::vector<std::string> files(const std::string& repository, const std::string& commit) const;

  // Makes the link of a file whose blob is complete. Errors: kInvalidArgument for a path that would leave the snapshot; kIo.
  Status link_file(const std::string& repository, const std::string& commit, const std::string& path, const std::string& hash) const;
  Status set_ref(const std::string& repository, const std::string& revision, const std::string& commit) const;

  std::vector<CachedModel> list() const;
  // Removes one file (all parts of a split one) from all snapshots, or the whole repository for an empty `file`; blobs that
  // no snapshot needs any more go too. Returns the bytes freed. Errors: kNotFound.
  Result<int64_t> remove(const std::string& repository, const std::string& file) const;

 private:
  std::string root_;
};

// "m-00001-of-00003.gguf" → the names of all three parts; a name that is no such part → itself alone.
std::vector<std::string> split_parts(const std::string& path);

}  // namespace hanlin::hub
