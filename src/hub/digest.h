// SHA-256 and SHA-1 of byte streams (SHA-1 only because Git names small files on the hub by it).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace hanlin::hub {

class Digest {
 public:
  enum class Kind { kSha256, kSha1 };
  explicit Digest(Kind kind);
  ~Digest();
  Digest(Digest&&) noexcept;

  void update(std::span<const uint8_t> bytes);
  void update(std::string_view text);
  std::string hex();  // lower-case; ends the stream

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view text);
// Of a whole file. Errors: kNotFound, kIo.
Result<std::string> sha256_file(const std::string& path);

}  // namespace hanlin::hub
