#include "hub/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace hanlin::hub {

Result<FileLock> FileLock::open_file(const std::string& path) {
  std::error_code ec;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ec);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return Error{Code::kIo, path + ": cannot make the lock file: " + std::strerror(errno)};
  return FileLock(fd);
}

Result<FileLock> FileLock::try_acquire(const std::string& path) {
  HANLIN_ASSIGN(FileLock lock, open_file(path));
  if (flock(lock.fd_, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) return Error{Code::kUnavailable, path + ": locked by another process"};
  return Error{Code::kIo, path + ": cannot lock: " + std::strerror(errno)};
}

Result<FileLock> FileLock::acquire(const std::string& path, const std::function<void()>& on_wait) {
  HANLIN_ASSIGN(FileLock lock, open_file(path));
  const int fd = lock.fd_;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (on_wait) on_wait();
  while (flock(fd, LOCK_EX) != 0) {
    if (errno != EINTR) return Error{Code::kIo, path + ": cannot lock: " + std::strerror(errno)};
  }
  return lock;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace hanlin::hub
