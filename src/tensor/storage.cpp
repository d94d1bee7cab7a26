#include "tensor/storage.h"

#include <sys/mman.h>

#include <algorithm>

namespace hanlin {

AlignedBuffer::AlignedBuffer(size_t bytes) {
  if (bytes == 0) return;
  constexpr size_t kHuge = size_t{2} << 20;
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return;
  if (bytes >= kHuge) ::madvise(address, bytes, MADV_HUGEPAGE);
  data_ = static_cast<uint8_t*>(address);
  size_ = bytes;
}

bool AlignedBuffer::back(size_t begin, size_t end) const {
#ifdef MADV_POPULATE_WRITE
  constexpr size_t kPage = 4096;
  const size_t first = begin / kPage * kPage;  // data_ comes from mmap
  return ::madvise(data_ + first, std::min(size_, end) - first, MADV_POPULATE_WRITE) == 0;
#else
  return false;
#endif
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace hanlin
