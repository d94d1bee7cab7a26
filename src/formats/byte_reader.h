// A cursor over bytes that cannot read past their end. Little-endian, unaligned.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace hanlin {

// Every read says whether the bytes were there; after a failed read the position is unchanged.
class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  template <typename T>
  bool read(T* value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (left() < sizeof(T)) return false;
    std::memcpy(value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return true;
  }
  // `n` may be anything a file says.
  bool take(uint64_t n, std::span<const uint8_t>* out) {
    if (n > left()) return false;
    *out = bytes_.subspan(position_, n);
    position_ += n;
    return true;
  }
  // A string as GGUF writes it: 64-bit length, then the bytes.
  bool read_string(std::string_view* out) {
    const size_t start = position_;
    uint64_t n = 0;
    std::span<const uint8_t> bytes;
    if (!read(&n) || !take(n, &bytes)) {
      position_ = start;
      return false;
    }
    *out = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    return true;
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t position_ = 0;
};

}  // namespace hanlin
