// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace hanlin {

// Owns one read-only mapping; unmapped on destruction. Movable, not copyable. Reading is safe from any thread.
class MmapFile {
 public:
  // Maps the whole of `path`. Errors: kNotFound, kIo (with the system's words), kCorrupt for an empty file.
  static Result<MmapFile> open(const std::string& path);

  MmapFile(MmapFile&& other) noexcept;
  MmapFile& operator=(MmapFile&& other) noexcept;
  MmapFile(const MmapFile&) = delete;
  ~MmapFile();

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // When the file's content last changed, in ns since 1970, as it was when the file was opened.
  int64_t modified_ns() const { return modified_ns_; }
  // Tells the kernel that these pages are not needed soon, so they leave our resident memory (they stay in its cache).
  void drop_resident() const;

 private:
  MmapFile() = default;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
  int64_t modified_ns_ = 0;
};

// MmapFile::drop_resident for the whole pages inside of a part of a mapped file.
void drop_resident(std::span<const uint8_t> part);
// Tells the kernel that this part of a mapped file is needed soon: what is not in its cache yet is read ahead.
void will_need(std::span<const uint8_t> part);

// The whole of a (small) file as a string. Errors: kNotFound, kIo; kResourceExhausted above `max_bytes`.
Result<std::string> read_file(const std::string& path, size_t max_bytes = size_t{256} << 20);
// Writes `content` to a temporary name beside `path`, syncs and renames: readers see the old file or the new one.
Status write_file_atomic(const std::string& path, std::string_view content);

}  // namespace hanlin
