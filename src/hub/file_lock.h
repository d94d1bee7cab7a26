// A lock between processes, on a file.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "base/result.h"

namespace hanlin::hub {

// Held while the object lives; the system frees it too when the process dies. Movable.
class FileLock {
 public:
  // Makes the file and its directories where they are missing. If another process holds the lock, calls `on_wait` once and
  // waits. Errors: kIo.
  static Result<FileLock> acquire(const std::string& path, const std::function<void()>& on_wait = nullptr);
  // The same without waiting: kUnavailable if another process holds it.
  static Result<FileLock> try_acquire(const std::string& path);
  FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  FileLock(const FileLock&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  static Result<FileLock> open_file(const std::string& path);
  int fd_;
};

}  // namespace hanlin::hub
