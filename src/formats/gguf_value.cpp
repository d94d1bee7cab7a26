// Metadata values: type table and conversions.
#include <cstring>
#include <limits>

#include "formats/byte_reader.h"
#include "formats/gguf.h"

namespace hanlin {
namespace {

struct TypeInfo {
  const char* name;
  size_t bytes;
};
constexpr TypeInfo kTypes[] = {{"u8", 1},   {"i8", 1},   {"u16", 2},    {"i16", 2},   {"u32", 4}, {"i32", 4}, {"f32", 4},
                               {"bool", 1}, {"string", 0}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8}};

// The elements of an array of fixed-size values, each widened to Out.
template <typename In, typename Out>
std::vector<Out> widen(const GgufArray& array) {
  std::vector<Out> values(array.n);
  for (uint64_t i = 0; i < array.n; ++i) {
    In value;
    std::memcpy(&value, array.bytes.data() + i * sizeof(In), sizeof(In));
    values[i] = static_cast<Out>(value);
  }
  return values;
}

}  // namespace

const char* gguf_type_name(GgufType type) {
  const size_t i = static_cast<size_t>(type);
  return i < std::size(kTypes) ? kTypes[i].name : "unknown";
}

size_t gguf_type_bytes(GgufType type) { return kTypes[static_cast<size_t>(type)].bytes; }

std::optional<uint64_t> GgufValue::as_u64() const {
  if (const auto* value = std::get_if<uint64_t>(&data)) return *value;
  const auto* value = std::get_if<int64_t>(&data);
  if (value == nullptr || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

std::optional<int64_t> GgufValue::as_i64() const {
  if (const auto* value = std::get_if<int64_t>(&data)) return *value;
  const auto* value = std::get_if<uint64_t>(&data);
  if (value == nullptr || *value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return static_cast<int64_t>(*value);
}

std::optional<double> GgufValue::as_f64() const {
  if (const auto* value = std::get_if<double>(&data)) return *value;
  if (const auto* value = std::get_if<uint64_t>(&data)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<int64_t>(&data)) return static_cast<double>(*value);
  return std::nullopt;
}

std::optional<bool> GgufValue::as_bool() const {
  const auto* value = std::get_if<bool>(&data);
  return value != nullptr ? std::optional<bool>(*value) : std::nullopt;
}

std::optional<std::string_view> GgufValue::as_string() const {
  const auto* value = std::get_if<std::string_view>(&data);
  return value != nullptr ? std::optional<std::string_view>(*value) : std::nullopt;
}

std::optional<std::vector<std::string_view>> GgufValue::as_strings() const {
  const auto* array = std::get_if<GgufArray>(&data);
  if (array == nullptr || array->element_type != GgufType::kString) return std::nullopt;
  std::vector<std::string_view> values(array->n);
  ByteReader reader(array->bytes);
  for (std::string_view& value : values) {
    if (!reader.read_string(&value)) return std::nullopt;  // cannot happen in an array that open() checked
  }
  return values;
}

std::optional<std::vector<int64_t>> GgufValue::as_ints() const {
  const auto* array = std::get_if<GgufArray>(&data);
  if (array == nullptr) return std::nullopt;
  switch (array->element_type) {
    case GgufType::kBool:
    case GgufType::kU8: return widen<uint8_t, int64_t>(*array);
    case GgufType::kI8: return widen<int8_t, int64_t>(*array);
    case GgufType::kU16: return widen<uint16_t, int64_t>(*array);
    case GgufType::kI16: return widen<int16_t, int64_t>(*array);
    case GgufType::kU32: return widen<uint32_t, int64_t>(*array);
    case GgufType::kI32: return widen<int32_t, int64_t>(*array);
    case GgufType::kI64: return widen<int64_t, int64_t>(*array);
    case GgufType::kU64: {
      std::vector<int64_t> values = widen<uint64_t, int64_t>(*array);
      for (const int64_t value : values) {
        if (value < 0) return std::nullopt;  // was above what int64 holds
      }
      return values;
    }
    default: return std::nullopt;
  }
}

std::optional<std::vector<float>> GgufValue::as_floats() const {
  const auto* array = std::get_if<GgufArray>(&data);
  if (array == nullptr) return std::nullopt;
  if (array->element_type == GgufType::kF32) return widen<float, float>(*array);
  if (array->element_type == GgufType::kF64) return widen<double, float>(*array);
  return std::nullopt;
}

}  // namespace hanlin
