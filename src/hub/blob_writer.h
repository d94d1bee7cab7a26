// A file that is being fetched: appended to, resumed after a break, verified before it gets its final name.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "hub/digest.h"

namespace hanlin::hub {

// What the source says about a file. `hash`: 64 hex digits are SHA-256; 40 are Git's SHA-1 of a blob, which needs the size;
// anything else cannot be checked.
struct Expected {
  std::optional<int64_t> n_bytes;
  std::string hash;
};

class BlobWriter {
 public:
  // Writes to `final_path`.incomplete. What a broken attempt left there is kept up to `keep_at_most` bytes and hashed.
  static Result<BlobWriter> open(const std::string& final_path, const Expected& expected,
                                 int64_t keep_at_most = std::numeric_limits<int64_t>::max());
  BlobWriter(BlobWriter&&) noexcept;
  ~BlobWriter();

  int64_t n_written() const { return n_written_; }
  Status append(std::span<const uint8_t> bytes);  // kCorrupt beyond the expected size; kIo
  Status restart();                               // forgets everything written so far
  // Checks size and hash. Right: the file gets its final name. Wrong: it is deleted, kCorrupt.
  Status finish();

 private:
  BlobWriter(std::string final_path, Expected expected);
  Status reopen(int64_t keep_at_most);
  std::string incomplete_path() const { return final_path_ + ".incomplete"; }

  std::string final_path_;
  Expected expected_;
  std::optional<Digest> digest_;
  int64_t n_written_ = 0;
  int fd_ = -1;
};

}  // namespace hanlin::hub
