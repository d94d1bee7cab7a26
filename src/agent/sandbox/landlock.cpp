// Structures and numbers: linux/landlock.h of Linux 6.12; written out, because older headers lack the newer ones.
#include "agent/sandbox/landlock.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace hanlin::agent {
namespace {

struct Ruleset {
  uint64_t handled_files, handled_network, scoped;
};
struct __attribute__((packed)) PathRule {
  uint64_t allowed;
  int32_t parent_fd;
};

constexpr uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2, kReadFolder = 1 << 3, kTruncate = 1 << 14;

int create_ruleset(const Ruleset* rules, size_t size, uint32_t flags) { return static_cast<int>(syscall(444, rules, size, flags)); }

bool allow(int ruleset, const char* path, uint64_t rights) {
  const int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return false;
  const PathRule rule{rights, fd};
  const bool ok = syscall(445, ruleset, 1 /* path beneath */, &rule, 0) == 0;
  const int error = errno;
  close(fd);
  errno = error;
  return ok;
}

}  // namespace

bool restrict_with_landlock() {
  const int version = create_ruleset(nullptr, 0, 1);
  if (version < 1) return false;
  // Rights of the first version, then "move elsewhere" (2), truncate (3), ioctl of devices (5).
  const uint64_t all = ((uint64_t{1} << 13) - 1) | (version >= 2 ? uint64_t{1} << 13 : 0) | (version >= 3 ? kTruncate : 0) | (version >= 5 ? uint64_t{1} << 15 : 0);
  const Ruleset rules{all, version >= 4 ? uint64_t{3} : 0, version >= 6 ? uint64_t{3} : 0};
  const size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  const int ruleset = create_ruleset(&rules, size, 0);
  if (ruleset < 0) return false;
  const uint64_t device = all & (kReadFile | kWriteFile | kTruncate);
  const bool ok = allow(ruleset, "/", kExecute | kReadFile | kReadFolder) && allow(ruleset, "/tmp", all) && allow(ruleset, "/work", all) &&
                  allow(ruleset, "/dev/null", device) && allow(ruleset, "/dev/zero", device) && allow(ruleset, "/dev/full", device) &&
                  syscall(446, ruleset, 0) == 0;
  const int error = errno;
  close(ruleset);
  errno = error;
  return ok;
}

}  // namespace hanlin::agent
