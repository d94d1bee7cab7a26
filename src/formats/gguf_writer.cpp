#include "formats/gguf_writer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hanlin {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;

uint64_t aligned(uint64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

template <typename T>
void append(std::string* out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

void append_string(std::string* out, std::string_view text) {
  append<uint64_t>(out, text.size());
  out->append(text);
}

// A scalar at its original width.
void append_scalar(std::string* out, const GgufValue& value) {
  const uint64_t u = value.as_u64().value_or(0);
  const int64_t i = value.as_i64().value_or(0);
  switch (value.type) {
    case GgufType::kU8: return append(out, static_cast<uint8_t>(u));
    case GgufType::kU16: return append(out, static_cast<uint16_t>(u));
    case GgufType::kU32: return append(out, static_cast<uint32_t>(u));
    case GgufType::kU64: return append(out, u);
    case GgufType::kI8: return append(out, static_cast<int8_t>(i));
    case GgufType::kI16: return append(out, static_cast<int16_t>(i));
    case GgufType::kI32: return append(out, static_cast<int32_t>(i));
    case GgufType::kI64: return append(out, i);
    case GgufType::kF32: return append(out, static_cast<float>(value.as_f64().value_or(0)));
    case GgufType::kF64: return append(out, value.as_f64().value_or(0));
    case GgufType::kBool: return append(out, static_cast<uint8_t>(value.as_bool().value_or(false)));
    case GgufType::kString: return append_string(out, value.as_string().value_or(""));
    case GgufType::kArray: return;  // not a scalar
  }
}

}  // namespace

Result<GgufWriter> GgufWriter::create(const std::string& path) {
  GgufWriter writer;
  writer.path_ = path;
  writer.temporary_path_ = fmt::format("{}.tmp{}", path, ::getpid());
  writer.file_.reset(std::fopen(writer.temporary_path_.c_str(), "wbe"));
  if (writer.file_ == nullptr) {
    return Error{Code::kIo, fmt::format("{}: cannot create: {}", writer.temporary_path_, std::strerror(errno))};
  }
  return writer;
}

GgufWriter::~GgufWriter() {
  if (file_ != nullptr) ::unlink(temporary_path_.c_str());
}

void GgufWriter::begin_entry(std::string_view key, GgufType type) {
  HANLIN_CHECK(!header_written_, "GGUF metadata set after the first tensor byte");
  HANLIN_CHECK(std::find(keys_.begin(), keys_.end(), key) == keys_.end(), "GGUF metadata key set twice: " + std::string(key));
  keys_.emplace_back(key);
  append_string(&metadata_, key);
  append(&metadata_, static_cast<uint32_t>(type));
}

void GgufWriter::set(std::string_view key, const GgufValue& value) {
  begin_entry(key, value.type);
  const auto* array = std::get_if<GgufArray>(&value.data);
  if (array == nullptr) return append_scalar(&metadata_, value);
  append(&metadata_, static_cast<uint32_t>(array->element_type));
  append(&metadata_, array->n);
  metadata_.append(reinterpret_cast<const char*>(array->bytes.data()), array->bytes.size());
}

void GgufWriter::set_u32(std::string_view key, uint32_t value) { set(key, {GgufType::kU32, uint64_t{value}}); }
void GgufWriter::set_u64(std::string_view key, uint64_t value) { set(key, {GgufType::kU64, value}); }
void GgufWriter::set_i32(std::string_view key, int32_t value) { set(key, {GgufType::kI32, int64_t{value}}); }
void GgufWriter::set_f32(std::string_view key, float value) { set(key, {GgufType::kF32, double{value}}); }
void GgufWriter::set_bool(std::string_view key, bool value) { set(key, {GgufType::kBool, value}); }
void GgufWriter::set_string(std::string_view key, std::string_view value) { set(key, {GgufType::kString, value}); }

void GgufWriter::set_strings(std::string_view key, std::span<const std::string> values) {
  begin_entry(key, GgufType::kArray);
  append(&metadata_, static_cast<uint32_t>(GgufType::kString));
  append<uint64_t>(&metadata_, values.size());
  for (const std::string& value : values) append_string(&metadata_, value);
}

template <typename T>
void GgufWriter::set_array(std::string_view key, GgufType type, std::span<const T> values) {
  set(key, {GgufType::kArray,
            GgufArray{type, values.size(), {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()}}});
}

void GgufWriter::set_u32s(std::string_view key, std::span<const uint32_t> values) { set_array(key, GgufType::kU32, values); }
void GgufWriter::set_i32s(std::string_view key, std::span<const int32_t> values) { set_array(key, GgufType::kI32, values); }
void GgufWriter::set_f32s(std::string_view key, std::span<const float> values) { set_array(key, GgufType::kF32, values); }
void GgufWriter::set_bools(std::string_view key, const std::vector<bool>& values) {
  const std::vector<uint8_t> bytes(values.begin(), values.end());
  set_array(key, GgufType::kBool, std::span<const uint8_t>(bytes));
}

Status GgufWriter::declare_tensor(const std::string& name, DType dtype, std::span<const int64_t> shape) {
  HANLIN_CHECK(!header_written_, "GGUF tensor declared after the first tensor byte");
  const std::optional<uint32_t> raw_type = dtype_to_gguf(dtype);
  const DTypeInfo& info = dtype_info(dtype);
  if (!raw_type) return Error{Code::kInvalidArgument, fmt::format("{}: tensor {}: GGUF has no type {}", path_, name, info.name)};
  if (shape.empty() || shape.size() > kGgufMaxDims || shape.back() % info.block != 0) {
    return Error{Code::kInvalidArgument, fmt::format("{}: tensor {}: expected 1 to {} dimensions, the last a multiple of {}, got [{}]", path_, name,
                                                     kGgufMaxDims, info.block, fmt::join(shape, ", "))};
  }
  if (std::any_of(tensors_.begin(), tensors_.end(), [&](const Declared& other) { return other.name == name; })) {
    return Error{Code::kInvalidArgument, fmt::format("{}: tensor {} declared twice", path_, name)};
  }
  int64_t n_values = 1;
  for (const int64_t size : shape) {
    if (size < 1 || __builtin_mul_overflow(n_values, size, &n_values) || n_values > INT64_MAX / 16) {
      return Error{Code::kInvalidArgument, fmt::format("{}: tensor {}: shape [{}] is not possible", path_, name, fmt::join(shape, ", "))};
    }
  }
  append_string(&directory_, name);
  append(&directory_, static_cast<uint32_t>(shape.size()));
  for (size_t i = shape.size(); i-- > 0;) append(&directory_, shape[i]);
  append(&directory_, *raw_type);
  append(&directory_, data_bytes_);
  const uint64_t n_bytes = static_cast<uint64_t>(row_bytes(dtype, n_values));
  tensors_.push_back({name, n_bytes});
  data_bytes_ += aligned(n_bytes);
  return {};
}

Status GgufWriter::write_raw(std::span<const uint8_t> bytes) {
  if (!bytes.empty() && std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) {
    return Error{Code::kIo, fmt::format("{}: cannot write: {}", temporary_path_, std::strerror(errno))};
  }
  n_written_ += bytes.size();
  return {};
}

Status GgufWriter::pad() {
  constexpr uint8_t kZeros[kAlignment] = {};
  return write_raw(std::span(kZeros).first(aligned(n_written_) - n_written_));
}

Status GgufWriter::write_header() {
  header_written_ = true;
  std::string header = "GGUF";
  append(&header, kVersion);
  append<uint64_t>(&header, tensors_.size());
  append<uint64_t>(&header, keys_.size());
  for (const std::string* part : {&header, &metadata_, &directory_}) {
    HANLIN_TRY(write_raw({reinterpret_cast<const uint8_t*>(part->data()), part->size()}));
  }
  return pad();
}

Status GgufWriter::write(std::span<const uint8_t> bytes) {
  HANLIN_CHECK(file_ != nullptr, "GGUF write after finish");
  if (!header_written_) HANLIN_TRY(write_header());
  while (!bytes.empty()) {
    if (tensor_idx_ == tensors_.size()) {
      return Error{Code::kInvalidArgument, fmt::format("{}: {} more bytes than the declared tensors hold", path_, bytes.size())};
    }
    const uint64_t n = std::min<uint64_t>(bytes.size(), tensors_[tensor_idx_].n_bytes - tensor_written_);
    HANLIN_TRY(write_raw(bytes.first(n)));
    bytes = bytes.subspan(n);
    tensor_written_ += n;
    if (tensor_written_ == tensors_[tensor_idx_].n_bytes) {
      HANLIN_TRY(pad());
      ++tensor_idx_;
      tensor_written_ = 0;
    }
  }
  return {};
}

Status GgufWriter::finish() {
  HANLIN_CHECK(file_ != nullptr, "GGUF finish called twice");
  if (!header_written_) HANLIN_TRY(write_header());
  if (tensor_idx_ != tensors_.size()) {
    return Error{Code::kInvalidArgument, fmt::format("{}: tensor {}: expected {} bytes, got {}", path_, tensors_[tensor_idx_].name,
                                                     tensors_[tensor_idx_].n_bytes, tensor_written_)};
  }
  if (std::fflush(file_.get()) != 0 || ::fsync(::fileno(file_.get())) != 0 || ::rename(temporary_path_.c_str(), path_.c_str()) != 0) {
    return Error{Code::kIo, fmt::format("{}: cannot finish: {}", path_, std::strerror(errno))};
  }
  file_.reset();
  return {};
}

}  // namespace hanlin
