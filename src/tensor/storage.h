// Owned memory for tensors: aligned, zero-filled by the system, in huge pages where Linux grants them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace hanlin {

// A block of zeroed memory, 64-byte aligned (page-aligned from 64 KiB up). Pages are only backed once touched.
// Movable, not copyable. An allocation that fails leaves data() null: the caller reports it with the size it wanted.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t bytes);
  AlignedBuffer(AlignedBuffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~AlignedBuffer();

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  // Has the system back bytes [begin, end) now (cut to size()), contents unchanged: whoever writes them does not wait for it. Any thread.
  // false: it cannot (Linux before 5.14, or no memory).
  bool back(size_t begin, size_t end) const;
  template <typename T>
  T* as() const { return reinterpret_cast<T*>(data_); }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace hanlin
