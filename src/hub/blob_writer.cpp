#include "hub/blob_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

namespace hanlin::hub {
namespace {

bool is_hex(const std::string& text, size_t n_digits) {
  return text.size() == n_digits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Error io_error(const std::string& path, const char* what) {
  return Error{errno == ENOSPC ? Code::kResourceExhausted : Code::kIo, fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
}

}  // namespace

BlobWriter::BlobWriter(std::string final_path, Expected expected) : final_path_(std::move(final_path)), expected_(std::move(expected)) {}

BlobWriter::BlobWriter(BlobWriter&& other) noexcept
    : final_path_(std::move(other.final_path_)), expected_(std::move(other.expected_)), digest_(std::move(other.digest_)),
      n_written_(other.n_written_), fd_(other.fd_) {
  other.fd_ = -1;
}

BlobWriter::~BlobWriter() {
  if (fd_ >= 0) ::close(fd_);
}

Result<BlobWriter> BlobWriter::open(const std::string& final_path, const Expected& expected, int64_t keep_at_most) {
  std::error_code ec;
  std::filesystem::create_directories(std::filesystem::path(final_path).parent_path(), ec);
  BlobWriter writer(final_path, expected);
  HANLIN_TRY(writer.reopen(keep_at_most));
  return writer;
}

Status BlobWriter::reopen(int64_t keep_at_most) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = ::open(incomplete_path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) return io_error(incomplete_path(), "cannot open");
  struct stat info{};
  if (fstat(fd_, &info) != 0) return io_error(incomplete_path(), "cannot read its size");
  int64_t n_kept = std::min<int64_t>(info.st_size, keep_at_most);
  if (expected_.n_bytes && n_kept > *expected_.n_bytes) n_kept = 0;
  if (ftruncate(fd_, n_kept) != 0) return io_error(incomplete_path(), "cannot shorten");

  digest_.reset();
  if (is_hex(expected_.hash, 64)) {
    digest_.emplace(Digest::Kind::kSha256);
  } else if (is_hex(expected_.hash, 40) && expected_.n_bytes) {
    digest_.emplace(Digest::Kind::kSha1);
    // Git hashes a blob with this in front.
    digest_->update(fmt::format("blob {}", *expected_.n_bytes));
    digest_->update(std::string_view("\0", 1));
  }
  std::vector<uint8_t> block(size_t{1} << 20);
  for (n_written_ = 0; n_written_ < n_kept;) {
    const ssize_t n_read = ::read(fd_, block.data(), block.size());
    if (n_read <= 0) return io_error(incomplete_path(), "cannot read");
    if (digest_) digest_->update(std::span(block.data(), static_cast<size_t>(n_read)));
    n_written_ += n_read;
  }
  return {};
}

Status BlobWriter::restart() { return reopen(0); }

Status BlobWriter::append(std::span<const uint8_t> bytes) {
  if (expected_.n_bytes && n_written_ + static_cast<int64_t>(bytes.size()) > *expected_.n_bytes) {
    return Error{Code::kCorrupt, fmt::format("{}: expected {} bytes, got more", final_path_, *expected_.n_bytes)};
  }
  for (size_t n_done = 0; n_done < bytes.size();) {
    const ssize_t n = ::write(fd_, bytes.data() + n_done, bytes.size() - n_done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error(incomplete_path(), "cannot write");
    n_done += static_cast<size_t>(n);
  }
  if (digest_) digest_->update(bytes);
  n_written_ += static_cast<int64_t>(bytes.size());
  return {};
}

Status BlobWriter::finish() {
  const auto wrong = [&](const std::string& message) {
    ::unlink(incomplete_path().c_str());
    return Error{Code::kCorrupt, fmt::format("{}: {}; what was fetched is deleted", std::filesystem::path(final_path_).filename().string(), message)};
  };
  if (expected_.n_bytes && n_written_ != *expected_.n_bytes) {
    return wrong(fmt::format("expected {} bytes, got {}", *expected_.n_bytes, n_written_));
  }
  if (digest_) {
    const std::string hash = digest_->hex();
    if (hash != expected_.hash) return wrong(fmt::format("expected hash {}, got {}", expected_.hash, hash));
  }
  if (fsync(fd_) != 0) return io_error(incomplete_path(), "cannot save");
  if (std::rename(incomplete_path().c_str(), final_path_.c_str()) != 0) return io_error(final_path_, "cannot rename");
  return {};
}

}  // namespace hanlin::hub
