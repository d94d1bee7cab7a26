// Bringing a mapped file into the system's cache, in the background.
#pragma once

#include <atomic>
#include <thread>

#include "base/mmap_file.h"

namespace hanlin {

// Reads what of a file the cache does not hold yet, from its beginning to its end, on a thread of its own. Whoever touches
// the mapping meanwhile waits for single pages in no order, which disks answer several times slower. If all is in the
// cache, that is seen within milliseconds and nothing is read. Destruction stops it.
class ReadAhead {
 public:
  // `file` must outlive this object.
  explicit ReadAhead(const MmapFile& file) : thread_([this, &file] { run(file); }) {}
  ReadAhead(const ReadAhead&) = delete;
  ~ReadAhead() {
    stopping_ = true;
    thread_.join();
  }

 private:
  void run(const MmapFile& file) const;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace hanlin
