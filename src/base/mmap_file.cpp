#include "base/mmap_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

// Under AddressSanitizer the rest of the last page is marked as out of bounds: it reads as zeros, so a parser that leaves
// its file would otherwise go unnoticed.
#if defined(__SANITIZE_ADDRESS__)
#define HANLIN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HANLIN_ASAN 1
#endif
#endif
#ifdef HANLIN_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(0)
#endif

namespace hanlin {
namespace {

// Bytes between the end of a mapped file and the end of its last page.
[[maybe_unused]] size_t page_tail(size_t size) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (page - size % page) % page;
}

Error io_error(const std::string& path, const char* what) {
  const int err = errno;
  return Error{err == ENOENT ? Code::kNotFound : Code::kIo, fmt::format("{}: cannot {}: {}", path, what, std::strerror(err))};
}

// Closes a descriptor when the scope ends.
struct Fd {
  int fd;
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Result<MmapFile> MmapFile::open(const std::string& path) {
  Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return io_error(path, "open");
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return io_error(path, "stat");
  if (!S_ISREG(info.st_mode)) return Error{Code::kInvalidArgument, path + ": expected a regular file"};
  if (info.st_size == 0) return Error{Code::kCorrupt, path + ": expected content, got an empty file"};
  void* address = ::mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (address == MAP_FAILED) return io_error(path, "map");
  MmapFile mapped;
  mapped.data_ = static_cast<const uint8_t*>(address);
  mapped.size_ = static_cast<size_t>(info.st_size);
  mapped.path_ = path;
  mapped.modified_ns_ = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  ASAN_POISON_MEMORY_REGION(mapped.data_ + mapped.size_, page_tail(mapped.size_));
  return mapped;
}

MmapFile::MmapFile(MmapFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), path_(std::move(other.path_)), modified_ns_(other.modified_ns_) {}

MmapFile& MmapFile::operator=(MmapFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  std::swap(modified_ns_, other.modified_ns_);
  return *this;
}

MmapFile::~MmapFile() {
  if (data_ == nullptr) return;
  ASAN_UNPOISON_MEMORY_REGION(data_ + size_, page_tail(size_));
  ::munmap(const_cast<uint8_t*>(data_), size_);
}

void MmapFile::drop_resident() const { ::madvise(const_cast<uint8_t*>(data_), size_, MADV_DONTNEED); }

namespace {
// Advice about the pages of `part`: those it covers as a whole, or all it touches.
void advise(std::span<const uint8_t> part, bool whole_only, int advice) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  auto begin = reinterpret_cast<uintptr_t>(part.data()), end = begin + part.size();
  begin = (begin + (whole_only ? page - 1 : 0)) / page * page;
  if (whole_only) end = end / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}
}  // namespace

void drop_resident(std::span<const uint8_t> part) { advise(part, true, MADV_DONTNEED); }
void will_need(std::span<const uint8_t> part) { advise(part, false, MADV_WILLNEED); }

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return io_error(path, "open");
  std::string content;
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(file.fd, buffer, sizeof buffer);
    if (n < 0) {
      if (errno == EINTR) continue;
      return io_error(path, "read");
    }
    if (n == 0) return content;
    if (content.size() + static_cast<size_t>(n) > max_bytes) {
      return Error{Code::kResourceExhausted, fmt::format("{}: expected at most {} bytes, got more", path, max_bytes)};
    }
    content.append(buffer, static_cast<size_t>(n));
  }
}

Status write_file_atomic(const std::string& path, std::string_view content) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, ::getpid());
  {
    Fd file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (file.fd < 0) return io_error(temporary, "create");
    for (size_t done = 0; done < content.size();) {
      const ssize_t n = ::write(file.fd, content.data() + done, content.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        const Error error = io_error(temporary, "write");
        ::unlink(temporary.c_str());
        return error;
      }
      done += static_cast<size_t>(n);
    }
    if (::fsync(file.fd) != 0) return io_error(temporary, "sync");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return io_error(path, "rename into place");
  return {};
}

}  // namespace hanlin
