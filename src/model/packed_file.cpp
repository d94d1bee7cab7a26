#include "model/packed_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <mutex>

namespace hanlin {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".packed", kUnfinished = ".tmp";
// After this long the system has usually written a file back by itself, so that waiting for it costs nothing.
constexpr int64_t kSettleSeconds = 60;

Error io_error(const std::string& path, const char* what) {
  const int err = errno;
  const bool full = err == ENOSPC || err == EDQUOT || err == EFBIG;
  return Error{full ? Code::kResourceExhausted : Code::kIo, fmt::format("{}: cannot {}: {}", path, what, std::strerror(err))};
}

// Changes with every start of the system; empty where Linux does not tell.
std::string boot_id() {
  const auto text = read_file("/proc/sys/kernel/random/boot_id", 64);
  return text.ok() ? text->substr(0, text->find('\n')) : "";
}

std::span<const uint8_t> as_bytes(const std::string& text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

// Waits until the file is on the disk, then says so in its header. If that fails, the next start tries again.
void settle(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  const uint32_t yes = 1;
  if (::fdatasync(fd) == 0) [[maybe_unused]] const ssize_t ignored = ::pwrite(fd, &yes, sizeof yes, kPackedOnDiskOffset);
  ::close(fd);
}

// fn(path) for every file in `directory` whose name ends so.
template <typename Fn>
void for_files(const std::string& directory, const std::string& ending, const Fn& fn) {
  std::error_code ec;
  for (fs::directory_iterator it(directory, ec), end; !ec && it != end; it.increment(ec)) {
    if (it->path().string().ends_with(ending)) fn(it->path().string());
  }
}

// Removes an unfinished file that nobody writes any more.
int64_t remove_abandoned(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return 0;
  struct stat info {};
  const bool abandoned = ::flock(fd, LOCK_EX | LOCK_NB) == 0 && ::fstat(fd, &info) == 0 && ::unlink(path.c_str()) == 0;
  ::close(fd);
  return abandoned ? static_cast<int64_t>(info.st_size) : 0;
}

int64_t remove_file(const std::string& path) {
  std::error_code ec;
  const auto n_bytes = fs::file_size(path, ec);
  return !ec && fs::remove(path, ec) ? static_cast<int64_t>(n_bytes) : 0;
}

}  // namespace

SourceFile identify_source(const MmapFile& file) {
  constexpr size_t kBeginning = 64 << 10, kSamples = 64, kPage = 4096;
  const std::span<const uint8_t> bytes = file.bytes();
  SourceFile source{bytes.size(), file.modified_ns(), 0};
  if (bytes.size() <= kBeginning + kSamples * kPage) {
    source.hash = hash_bytes(bytes, 0);
    return source;
  }
  source.hash = hash_bytes(bytes.last(kPage), hash_bytes(bytes.first(kBeginning), 0));
  const size_t step = bytes.size() / kSamples;
  for (size_t i = 0; i < kSamples; ++i) source.hash = hash_bytes(bytes.subspan(i * step / kPage * kPage, kPage), source.hash);
  return source;
}

std::string packed_path(const std::string& directory, const std::string& model_path) {
  std::error_code ec;
  fs::path path = fs::weakly_canonical(model_path, ec);
  if (ec) path = model_path;
  if (!path.has_filename()) path = path.parent_path();  // "model/"
  std::string name = fs::path(model_path).has_filename() ? fs::path(model_path).filename().string() : path.filename().string();
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  return fmt::format("{}/{}-{:016x}{}", directory, name.substr(0, 100), hash_bytes(as_bytes(path.string()), 0), kSuffix);
}

PackedUsage packed_usage(const std::string& directory) {
  PackedUsage usage;
  for_files(directory, std::string(kSuffix), [&](const std::string& path) {
    std::error_code ec;
    const auto n_bytes = fs::file_size(path, ec);
    if (ec) return;
    ++usage.n_files;
    usage.n_bytes += static_cast<int64_t>(n_bytes);
  });
  return usage;
}

int64_t remove_packed(const std::string& directory, const std::string& model_path) {
  const std::string path = packed_path(directory, model_path);
  return remove_abandoned(path + std::string(kUnfinished)) + remove_file(path);
}

int64_t remove_orphaned_packed(const std::string& directory) {
  int64_t n_freed = 0;
  for_files(directory, std::string(kSuffix) + std::string(kUnfinished), [&](const std::string& path) { n_freed += remove_abandoned(path); });
  for_files(directory, std::string(kSuffix), [&](const std::string& path) {
    const auto map = MmapFile::open(path);
    if (!map.ok()) return;
    const auto table = parse_packed_table(map->bytes());
    std::error_code ec;
    if (table.ok() && !fs::exists(table->source_path, ec) && !ec) n_freed += remove_file(path);
  });
  return n_freed;
}

Result<std::shared_ptr<const PackedFile>> PackedFile::open(const std::string& path, const std::string& layout, std::span<const SourceFile> sources) {
  HANLIN_ASSIGN(MmapFile map, MmapFile::open(path));
  auto parsed = parse_packed_table(map.bytes());
  if (!parsed.ok()) return std::move(parsed).error().with_context(path);
  PackedTable& table = *parsed;
  if (table.layout != layout) return Error{Code::kUnsupported, fmt::format("{}: expected the layout \"{}\", got \"{}\"", path, layout, table.layout)};
  if (!std::equal(sources.begin(), sources.end(), table.sources.begin(), table.sources.end())) {
    return Error{Code::kInvalidArgument, fmt::format("{}: was made of another state of the model's files", path)};
  }
  if (!table.on_disk) {
    // Nobody waited for the disk when the file was written. While the system runs, its cache holds what is not on the disk
    // yet; after a crash or a power cut pages could be missing.
    if (table.boot_id.empty() || table.boot_id != boot_id()) {
      return Error{Code::kCorrupt, fmt::format("{}: was not known to be on the disk before the system last started", path)};
    }
    if (std::time(nullptr) - map.modified_ns() / 1'000'000'000 >= kSettleSeconds) settle(path);
  }
  return std::shared_ptr<const PackedFile>(new PackedFile(std::move(map), std::move(table)));
}

std::span<const uint8_t> PackedFile::find(const std::string& name, DType dtype, int64_t n, int64_t k) const {
  const auto it = table_.entries.find(name);
  if (it == table_.entries.end() || it->second.dtype != dtype || it->second.n != n || it->second.k != k) return {};
  return map_.bytes().subspan(it->second.offset, it->second.n_bytes);
}

Result<std::unique_ptr<PackedWriter>> PackedWriter::create(const std::string& path, const std::string& layout, const std::string& source_path,
                                                           std::vector<SourceFile> sources) {
  std::error_code ec;
  fs::create_directories(fs::path(path).parent_path(), ec);  // a failure shows when the file is opened
  std::unique_ptr<PackedWriter> writer(new PackedWriter);
  writer->path_ = path;
  const std::string temporary = path + std::string(kUnfinished);
  writer->fd_ = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (writer->fd_ < 0) return io_error(temporary, "create");
  // One name for all, with a lock: what a killed process left is used again, and two that start together do not both write.
  const Error taken{Code::kUnavailable, temporary + ": another process is writing it"};
  if (::flock(writer->fd_, LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK ? taken : io_error(temporary, "lock");
  // The lock may be that of a file which has its final name by now.
  struct stat held {}, named {};
  if (::fstat(writer->fd_, &held) != 0 || ::stat(temporary.c_str(), &named) != 0 || held.st_ino != named.st_ino || held.st_dev != named.st_dev) return taken;
  writer->temporary_path_ = temporary;
  if (::ftruncate(writer->fd_, 0) != 0) return io_error(temporary, "empty");
  writer->table_.layout = layout;
  writer->table_.source_path = source_path;
  writer->table_.sources = std::move(sources);
  writer->table_.boot_id = boot_id();
  return writer;
}

PackedWriter::~PackedWriter() {
  if (!finished_ && !temporary_path_.empty()) ::unlink(temporary_path_.c_str());
  if (fd_ >= 0) ::close(fd_);
}

Status PackedWriter::write(uint64_t offset, std::span<const uint8_t> bytes) const {
  rlimit limit{};
  // Writing past this limit would end the process with a signal.
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && offset + bytes.size() > limit.rlim_cur) {
    errno = EFBIG;
    return io_error(temporary_path_, "write");
  }
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error(temporary_path_, "write");
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<PackedWriter::Added> PackedWriter::add(const std::string& name, DType dtype, int64_t n, int64_t k, size_t n_bytes,
                                              const std::function<Status(const Sink&)>& fill) {
  std::mutex mutex;
  Status written;
  const uint64_t begin = end_;
  const Status filled = fill([&](size_t offset, std::span<const uint8_t> bytes) {
    HANLIN_CHECK(offset + bytes.size() <= n_bytes, "a piece outside of its packed matrix");
    Status status = write(begin + offset, bytes);
    if (status.ok()) return true;
    const std::lock_guard lock(mutex);
    written = std::move(status);
    return false;
  });
  if (!written.ok()) return written.error();
  if (!filled.ok()) return filled.error();
  void* address = ::mmap(nullptr, n_bytes, PROT_READ, MAP_SHARED, fd_, static_cast<off_t>(begin));
  if (address == MAP_FAILED) return io_error(temporary_path_, "map");
  std::shared_ptr<const void> keep_alive(address, [n_bytes](void* data) { ::munmap(data, n_bytes); });
  table_.entries[name] = {dtype, n, k, begin, n_bytes};
  end_ = begin + (n_bytes + kPackedPage - 1) / kPackedPage * kPackedPage;
  return Added{{static_cast<const uint8_t*>(address), n_bytes}, std::move(keep_alive)};
}

Status PackedWriter::finish() {
  if (table_.boot_id.empty()) {  // nothing will tell later whether the system went down in between
    if (::fdatasync(fd_) != 0) return io_error(temporary_path_, "sync");
    table_.on_disk = true;
  }
  const EncodedTable encoded = encode_packed_table(table_, end_);
  HANLIN_TRY(write(end_, as_bytes(encoded.table)));
  HANLIN_TRY(write(0, as_bytes(encoded.header)));
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) return io_error(path_, "rename into place");
  end_ += encoded.table.size();
  finished_ = true;
  return {};
}

}  // namespace hanlin
