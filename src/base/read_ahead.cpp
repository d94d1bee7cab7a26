#include "base/read_ahead.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace hanlin {

void ReadAhead::run(const MmapFile& file) const {
  constexpr size_t kChunk = size_t{4} << 20, kSample = size_t{256} << 10;  // multiples of every page size
  const int fd = ::open(file.path().c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  // Reading makes large folios and reads ahead by itself; MADV_WILLNEED makes single pages.
  std::vector<uint8_t> buffer;
  for (size_t begin = 0; begin < file.size() && !stopping_; begin += kChunk) {
    const size_t end = std::min(file.size(), begin + kChunk);
    bool cached = true;
    for (size_t at = begin; at < end && cached; at += kSample) {
      unsigned char resident = 0;
      cached = ::mincore(const_cast<uint8_t*>(file.data()) + at, 1, &resident) == 0 && (resident & 1) != 0;
    }
    if (cached) continue;
    buffer.resize(kChunk);
    if (::pread(fd, buffer.data(), end - begin, static_cast<off_t>(begin)) < 0) break;
  }
  ::close(fd);
}

}  // namespace hanlin
