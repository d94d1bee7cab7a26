// Writing GGUF version 3 files, tensors streamed one after the other.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "tensor/dtype.h"

namespace hanlin {

// Use: create, set metadata and declare every tensor, then write() the tensors' bytes in the order of declaration, in
// pieces of any size, then finish(). The file appears under its name only when finish() succeeded; until then, and
// after a failure, there is only a temporary file beside it, which the destructor removes. One thread at a time.
class GgufWriter {
 public:
  static Result<GgufWriter> create(const std::string& path);
  GgufWriter(GgufWriter&&) noexcept = default;
  GgufWriter& operator=(GgufWriter&&) noexcept = delete;
  ~GgufWriter();

  // Metadata, in the order of the calls. Values are copied at once. Setting a key twice is our bug (HANLIN_CHECK).
  void set(std::string_view key, const GgufValue& value);  // any type as read from another file
  void set_u32(std::string_view key, uint32_t value);
  void set_u64(std::string_view key, uint64_t value);
  void set_i32(std::string_view key, int32_t value);
  void set_f32(std::string_view key, float value);
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);
  void set_strings(std::string_view key, std::span<const std::string> values);
  void set_u32s(std::string_view key, std::span<const uint32_t> values);
  void set_i32s(std::string_view key, std::span<const int32_t> values);
  void set_f32s(std::string_view key, std::span<const float> values);
  void set_bools(std::string_view key, const std::vector<bool>& values);

  // `shape` row-major, at most four dimensions, the last a multiple of the type's block.
  // Errors: kInvalidArgument for a shape or type the format cannot hold, or a name used twice.
  Status declare_tensor(const std::string& name, DType dtype, std::span<const int64_t> shape);

  // The next bytes of the data. The first call ends the declarations. Errors: kIo; kInvalidArgument for more bytes than
  // were declared.
  Status write(std::span<const uint8_t> bytes);
  // Checks that every declared byte came, syncs and gives the file its name.
  Status finish();

 private:
  struct Declared {
    std::string name;
    uint64_t n_bytes;
  };
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  GgufWriter() = default;
  void begin_entry(std::string_view key, GgufType type);
  template <typename T>
  void set_array(std::string_view key, GgufType type, std::span<const T> values);
  Status write_header();
  Status write_raw(std::span<const uint8_t> bytes);
  Status pad();

  std::string path_, temporary_path_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  std::string metadata_, directory_;  // encoded as they will stand in the file
  std::vector<std::string> keys_;
  std::vector<Declared> tensors_;
  uint64_t data_bytes_ = 0;  // of all declared tensors, with padding
  uint64_t n_written_ = 0;   // position in the file
  size_t tensor_idx_ = 0;    // the tensor being written
  uint64_t tensor_written_ = 0;
  bool header_written_ = false;
};

}  // namespace hanlin
