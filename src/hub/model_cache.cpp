#include "hub/model_cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "base/mmap_file.h"

namespace hanlin::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "models--";

bool is_name(std::string_view text) {
  return !text.empty() && text != "." && text.find("..") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
         });
}

std::string folder_name(const std::string& repository) {
  std::string name(kPrefix);
  for (const char c : repository) name += c == '/' ? std::string("--") : std::string(1, c);
  return name;
}

std::vector<fs::directory_entry> entries(const fs::path& directory) {
  std::error_code ec;
  std::vector<fs::directory_entry> found;
  for (fs::directory_iterator it(directory, ec), end; !ec && it != end; it.increment(ec)) found.push_back(*it);
  std::sort(found.begin(), found.end());
  return found;
}

int64_t size_of(const fs::path& path) {
  std::error_code ec;
  const auto n_bytes = fs::file_size(path, ec);
  return ec ? 0 : static_cast<int64_t>(n_bytes);
}

}  // namespace

bool is_repository_id(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return is_name(text);
  return is_name(std::string_view(text).substr(0, slash)) && is_name(std::string_view(text).substr(slash + 1));
}

bool is_repository_path(const std::string& text) {
  if (text.empty() || text.size() > 1024) return false;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\\' || c == 0x7f) return false;
  }
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view part = std::string_view(text).substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

std::vector<std::string> split_parts(const std::string& path) {
  // …-00001-of-00003.gguf
  constexpr size_t kTail = sizeof("-00001-of-00003.gguf") - 1;
  if (path.size() <= kTail || !path.ends_with(".gguf")) return {path};
  const std::string stem = path.substr(0, path.size() - kTail), tail = path.substr(path.size() - kTail);
  int n_parts = 0;
  const auto digits = [&](size_t at, int* value) {
    return std::from_chars(tail.data() + at, tail.data() + at + 5, *value).ptr == tail.data() + at + 5;
  };
  int part = 0;
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || !digits(1, &part) || !digits(10, &n_parts) || n_parts < 1 || n_parts > 1000) return {path};
  std::vector<std::string> parts;
  for (int i = 1; i <= n_parts; ++i) parts.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", stem, i, n_parts));
  return parts;
}

std::string ModelCache::repository_dir(const std::string& repository) const { return root_ + "/" + folder_name(repository); }

std::string ModelCache::blob_path(const std::string& repository, const std::string& hash) const {
  return repository_dir(repository) + "/blobs/" + hash;
}

std::string ModelCache::lock_path(const std::string& repository, const std::string& name) const {
  return root_ + "/.locks/" + folder_name(repository) + "/" + name + ".lock";
}

std::string ModelCache::snapshot_dir(const std::string& repository, const std::string& commit) const {
  return repository_dir(repository) + "/snapshots/" + commit;
}

std::optional<std::string> ModelCache::commit_of(const std::string& repository, const std::string& revision) const {
  if (!is_repository_path(revision)) return std::nullopt;
  const auto text = read_file(repository_dir(repository) + "/refs/" + revision, 256);
  std::string commit = text.ok() ? *text : revision;
  std::erase_if(commit, [](char c) { return c <= ' '; });
  std::error_code ec;
  if (!is_name(commit) || !fs::is_directory(snapshot_dir(repository, commit), ec)) return std::nullopt;
  return commit;
}

std::vector<std::string> ModelCache::commits(const std::string& repository) const {
  std::vector<std::string> found;
  if (const auto main = commit_of(repository, "main")) found.push_back(*main);
  for (const auto& entry : entries(repository_dir(repository) + "/snapshots")) {
    const std::string name = entry.path().filename();
    if (found.empty() || name != found[0]) found.push_back(name);
  }
  return found;
}

std::vector<std::string> ModelCache::files(const std::string& repository, const std::string& commit) const {
  const fs::path root = snapshot_dir(repository, commit);
  std::vector<std::string> found;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(root, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code missing;
    if (it.depth() > 16) it.disable_recursion_pending();
    if (fs::is_regular_file(it->path(), missing)) found.push_back(it->path().lexically_relative(root).string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

Status ModelCache::link_file(const std::string& repository, const std::string& commit, const std::string& path, const std::string& hash) const {
  if (!is_repository_path(path) || !is_name(commit) || !is_name(hash)) {
    return Error{Code::kInvalidArgument, fmt::format("{}: file \"{}\" of commit \"{}\": expected a path inside the repository", repository, path, commit)};
  }
  const fs::path link = fs::path(snapshot_dir(repository, commit)) / path;
  std::error_code ec;
  fs::create_directories(link.parent_path(), ec);
  const fs::path target = fs::path(blob_path(repository, hash)).lexically_relative(link.parent_path());
  // A new link beside it, then a rename: a reader sees the old file or the new one.
  const fs::path fresh = link.string() + fmt::format(".{}.new", getpid());
  fs::remove(fresh, ec);
  fs::create_symlink(target, fresh, ec);
  if (!ec) fs::rename(fresh, link, ec);
  if (ec) return Error{Code::kIo, fmt::format("{}: cannot link: {}", link.string(), ec.message())};
  return {};
}

Status ModelCache::set_ref(const std::string& repository, const std::string& revision, const std::string& commit) const {
  if (!is_repository_path(revision)) return Error{Code::kInvalidArgument, fmt::format("{}: revision \"{}\": expected a branch, tag or commit", repository, revision)};
  if (revision == commit) return {};
  const fs::path path = fs::path(repository_dir(repository)) / "refs" / revision;
  std::error_code ec;
  fs::create_directories(path.parent_path(), ec);
  return write_file_atomic(path, commit);
}

std::vector<CachedModel> ModelCache::list() const {
  std::vector<CachedModel> models;
  for (const auto& entry : entries(root_)) {
    std::string repository = entry.path().filename();
    if (!repository.starts_with(kPrefix)) continue;
    repository.erase(0, kPrefix.size());
    if (const size_t dashes = repository.find("--"); dashes != std::string::npos) repository.replace(dashes, 2, "/");
    if (!is_repository_id(repository)) continue;
    for (const std::string& commit : commits(repository)) {
      const fs::path snapshot = snapshot_dir(repository, commit);
      CachedModel directory{repository, commit, "", snapshot, 0};
      bool has_weights = false;
      for (const std::string& file : files(repository, commit)) {
        const std::vector<std::string> parts = split_parts(file);
        if (!file.ends_with(".gguf")) {
          directory.n_bytes += size_of(snapshot / file);
          has_weights |= file.ends_with(".safetensors");
        } else if (parts[0] == file) {
          CachedModel model{repository, commit, file, snapshot / file, 0};
          for (const std::string& part : parts) model.n_bytes += size_of(snapshot / part);
          models.push_back(std::move(model));
        }
      }
      if (has_weights) models.push_back(std::move(directory));
    }
  }
  return models;
}

Result<int64_t> ModelCache::remove(const std::string& repository, const std::string& file) const {
  const fs::path directory = repository_dir(repository);
  std::error_code ec;
  if (!fs::exists(directory, ec)) return Error{Code::kNotFound, repository + ": is not in the cache " + root_};

  bool found = file.empty();
  for (const std::string& commit : commits(repository)) {
    for (const std::string& part : file.empty() ? files(repository, commit) : split_parts(file)) {
      if (fs::remove(fs::path(snapshot_dir(repository, commit)) / part, ec)) found = true;
    }
  }
  if (!found) return Error{Code::kNotFound, fmt::format("{}: has no file {} in the cache", repository, file)};

  std::set<std::string> needed;
  for (const std::string& commit : commits(repository)) {
    const fs::path snapshot = snapshot_dir(repository, commit);
    for (const std::string& left : files(repository, commit)) needed.insert(fs::weakly_canonical(snapshot / left, ec).filename());
  }
  int64_t n_freed = 0;
  for (const auto& blob : entries(directory / "blobs")) {
    const std::string name = blob.path().filename();
    // Unfinished files may belong to a pull that is running now.
    if (needed.contains(name) || (!file.empty() && name.ends_with(".incomplete"))) continue;
    const int64_t n_bytes = size_of(blob.path());
    if (fs::remove(blob.path(), ec)) n_freed += n_bytes;
  }
  if (needed.empty()) {
    fs::remove_all(directory, ec);
    fs::remove_all(fs::path(root_) / ".locks" / folder_name(repository), ec);
  }
  return n_freed;
}

}  // namespace hanlin::hub
