#include "formats/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "formats/byte_reader.h"

namespace hanlin {
namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;
constexpr uint64_t kMaxNameBytes = 65535;  // the specification's bound for keys
constexpr int kMaxArrayDepth = 4;
constexpr uint64_t kMinEntryBytes = 8 + 4 + 1;       // key length, type, smallest value
constexpr uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;  // name length, dimensions, type, offset

struct TypeNumber {
  uint32_t raw;
  DType dtype;
};
// ggml_type of ggml-org/ggml include/ggml.h.
constexpr TypeNumber kTypeNumbers[] = {
    {0, DType::kF32},    {1, DType::kF16},     {2, DType::kQ4_0},   {3, DType::kQ4_1},  {6, DType::kQ5_0},  {7, DType::kQ5_1},
    {8, DType::kQ8_0},   {10, DType::kQ2_K},   {11, DType::kQ3_K},  {12, DType::kQ4_K}, {13, DType::kQ5_K}, {14, DType::kQ6_K},
    {20, DType::kIQ4_NL}, {23, DType::kIQ4_XS}, {24, DType::kI8},    {25, DType::kI16},  {26, DType::kI32},  {27, DType::kI64},
    {28, DType::kF64},   {30, DType::kBF16},
};

// A name from a file, fit for a message: printable and short.
std::string shown(std::string_view name) {
  std::string text = "'";
  for (const char c : name.substr(0, 80)) text += std::isprint(static_cast<unsigned char>(c)) != 0 ? c : '?';
  return text + (name.size() > 80 ? "…'" : "'");
}

// Reads one file. Holds the position and the names for messages.
class PartParser {
 public:
  explicit PartParser(const MmapFile& map) : map_(map), reader_(map.bytes()) {}

  Status parse();

  uint32_t version = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::vector<GgufTensor> tensors;

 private:
  Error corrupt(const std::string& message) const {
    return Error{Code::kCorrupt, fmt::format("{}: {}", map_.path(), message)};
  }
  Error truncated(std::string_view what) const {
    return corrupt(fmt::format("expected {}, got the end of the file at byte {} ({} left)", what, reader_.position(), reader_.left()));
  }
  Status parse_header(uint64_t* n_tensors, uint64_t* n_entries);
  Status parse_entry();
  Status parse_value(GgufType type, const std::string& key, GgufValue* value);
  template <typename T, typename Wide>
  bool read_as(GgufValue* value) {
    T raw;
    if (!reader_.read(&raw)) return false;
    value->data = static_cast<Wide>(raw);
    return true;
  }
  Status parse_array(const std::string& key, int depth, GgufArray* array);
  Status parse_tensor(uint64_t* offset);
  Status place_tensors(const std::vector<uint64_t>& offsets);

  const MmapFile& map_;
  ByteReader reader_;
};

Status PartParser::parse_header(uint64_t* n_tensors, uint64_t* n_entries) {
  std::span<const uint8_t> magic;
  if (!reader_.take(4, &magic)) return truncated("the magic GGUF");
  if (!std::equal(magic.begin(), magic.end(), "GGUF")) {
    return corrupt(fmt::format("expected a GGUF file (first bytes 47 47 55 46), got {:02x} {:02x} {:02x} {:02x}", magic[0], magic[1],
                               magic[2], magic[3]));
  }
  if (!reader_.read(&version)) return truncated("the version");
  if (version != 0 && (version & 0xffff) == 0) {
    return Error{Code::kUnsupported, map_.path() + ": expected a little-endian GGUF file, got a big-endian one"};
  }
  if (version != 2 && version != 3) {
    return Error{Code::kUnsupported, fmt::format("{}: expected GGUF version 2 or 3, got {}", map_.path(), version)};
  }
  if (!reader_.read(n_tensors) || !reader_.read(n_entries)) return truncated("the numbers of tensors and metadata entries");
  if (*n_entries > reader_.left() / kMinEntryBytes || *n_tensors > reader_.left() / kMinTensorBytes) {
    return corrupt(fmt::format("expected counts that fit {} bytes, got {} metadata entries and {} tensors", reader_.left(), *n_entries,
                               *n_tensors));
  }
  return {};
}

Status PartParser::parse() {
  uint64_t n_tensors = 0, n_entries = 0;
  HANLIN_TRY(parse_header(&n_tensors, &n_entries));
  metadata.reserve(n_entries);
  for (uint64_t i = 0; i < n_entries; ++i) HANLIN_TRY(parse_entry());
  // Entries took bytes away from what the tensor count was checked against.
  if (n_tensors > reader_.left() / kMinTensorBytes) {
    return corrupt(fmt::format("expected a tensor count that fits {} bytes, got {}", reader_.left(), n_tensors));
  }
  tensors.reserve(n_tensors);
  std::vector<uint64_t> offsets(n_tensors);
  for (uint64_t& offset : offsets) HANLIN_TRY(parse_tensor(&offset));
  return place_tensors(offsets);
}

Status PartParser::parse_entry() {
  std::string_view key;
  if (!reader_.read_string(&key)) return truncated("a metadata key");
  if (key.empty() || key.size() > kMaxNameBytes) {
    return corrupt(fmt::format("expected a metadata key of 1 to {} bytes, got {}", kMaxNameBytes, key.size()));
  }
  uint32_t type = 0;
  if (!reader_.read(&type)) return truncated("the type of " + shown(key));
  if (type > static_cast<uint32_t>(GgufType::kF64)) {
    return corrupt(fmt::format("{}: expected a value type from 0 to 12, got {}", shown(key), type));
  }
  auto& [name, value] = metadata.emplace_back(std::string(key), GgufValue{});
  return parse_value(static_cast<GgufType>(type), name, &value);
}

Status PartParser::parse_value(GgufType type, const std::string& key, GgufValue* value) {
  value->type = type;
  bool present = false;
  switch (type) {
    case GgufType::kU8: present = read_as<uint8_t, uint64_t>(value); break;
    case GgufType::kU16: present = read_as<uint16_t, uint64_t>(value); break;
    case GgufType::kU32: present = read_as<uint32_t, uint64_t>(value); break;
    case GgufType::kU64: present = read_as<uint64_t, uint64_t>(value); break;
    case GgufType::kI8: present = read_as<int8_t, int64_t>(value); break;
    case GgufType::kI16: present = read_as<int16_t, int64_t>(value); break;
    case GgufType::kI32: present = read_as<int32_t, int64_t>(value); break;
    case GgufType::kI64: present = read_as<int64_t, int64_t>(value); break;
    case GgufType::kF32: present = read_as<float, double>(value); break;
    case GgufType::kF64: present = read_as<double, double>(value); break;
    case GgufType::kBool: present = read_as<uint8_t, bool>(value); break;
    case GgufType::kString: {
      std::string_view text;
      present = reader_.read_string(&text);
      value->data = text;
      break;
    }
    case GgufType::kArray: {
      GgufArray array;
      HANLIN_TRY(parse_array(key, 1, &array));
      value->data = array;
      present = true;
      break;
    }
  }
  if (!present) return truncated(fmt::format("the {} of {}", gguf_type_name(type), shown(key)));
  return {};
}

Status PartParser::parse_array(const std::string& key, int depth, GgufArray* array) {
  uint32_t type = 0;
  if (!reader_.read(&type) || !reader_.read(&array->n)) return truncated("the array header of " + shown(key));
  if (type > static_cast<uint32_t>(GgufType::kF64)) {
    return corrupt(fmt::format("{}: expected an element type from 0 to 12, got {}", shown(key), type));
  }
  array->element_type = static_cast<GgufType>(type);
  const bool nested = array->element_type == GgufType::kArray;
  if (nested && depth == kMaxArrayDepth) {
    return corrupt(fmt::format("{}: expected at most {} nested arrays", shown(key), kMaxArrayDepth));
  }
  const uint64_t fixed = gguf_type_bytes(array->element_type);
  const uint64_t min_bytes = fixed != 0 ? fixed : nested ? 12 : 8;
  if (array->n > reader_.left() / min_bytes) {
    return corrupt(fmt::format("{}: expected an array that fits {} bytes, got {} elements of type {}", shown(key), reader_.left(), array->n,
                               gguf_type_name(array->element_type)));
  }
  if (fixed != 0) {
    reader_.take(array->n * fixed, &array->bytes);  // the bytes are there: checked above
    return {};
  }
  const size_t start = reader_.position();
  for (uint64_t i = 0; i < array->n; ++i) {
    if (nested) {
      GgufArray inner;
      HANLIN_TRY(parse_array(key, depth + 1, &inner));
    } else {
      std::string_view text;
      if (!reader_.read_string(&text)) return truncated(fmt::format("string {} of {}", i, shown(key)));
    }
  }
  array->bytes = map_.bytes().subspan(start, reader_.position() - start);
  return {};
}

Status PartParser::parse_tensor(uint64_t* offset) {
  std::string_view name;
  if (!reader_.read_string(&name)) return truncated("a tensor name");
  if (name.empty() || name.size() > kMaxNameBytes) {
    return corrupt(fmt::format("expected a tensor name of 1 to {} bytes, got {}", kMaxNameBytes, name.size()));
  }
  GgufTensor& entry = tensors.emplace_back();
  StoredTensor& tensor = entry.tensor;
  tensor.name = std::string(name);
  uint32_t n_dims = 0;
  if (!reader_.read(&n_dims)) return truncated("the dimensions of " + shown(name));
  if (n_dims == 0 || n_dims > kGgufMaxDims) return corrupt(fmt::format("tensor {}: expected 1 to {} dimensions, got {}", shown(name), kGgufMaxDims, n_dims));
  tensor.shape.resize(n_dims);
  int64_t n_values = 1;
  for (uint32_t i = 0; i < n_dims; ++i) {
    int64_t size = 0;
    if (!reader_.read(&size)) return truncated("the dimensions of " + shown(name));
    if (size < 1) return corrupt(fmt::format("tensor {}: expected positive dimensions, got {}", shown(name), size));
    if (__builtin_mul_overflow(n_values, size, &n_values)) {
      return corrupt(fmt::format("tensor {}: expected a shape whose product fits 63 bits", shown(name)));
    }
    tensor.shape[n_dims - 1 - i] = size;
  }
  if (!reader_.read(&entry.raw_type) || !reader_.read(offset)) return truncated("type and offset of " + shown(name));
  entry.dtype = dtype_from_gguf(entry.raw_type);
  if (!entry.dtype) return {};
  tensor.dtype = *entry.dtype;
  const DTypeInfo& info = dtype_info(tensor.dtype);
  if (tensor.shape.back() % info.block != 0) {
    return corrupt(fmt::format("tensor {}: expected rows of a multiple of {} values for {}, got {}", shown(name), info.block, info.name,
                               tensor.shape.back()));
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(n_values / info.block, info.bytes, &bytes)) {
    return corrupt(fmt::format("tensor {}: expected a size that fits 63 bits", shown(name)));
  }
  tensor.bytes = static_cast<size_t>(bytes);
  return {};
}

Status PartParser::place_tensors(const std::vector<uint64_t>& offsets) {
  uint64_t alignment = kDefaultAlignment;
  for (const auto& [key, value] : metadata) {
    if (key == "general.alignment") alignment = value.as_u64().value_or(0);
  }
  if (alignment < 8 || alignment > kMaxAlignment || (alignment & (alignment - 1)) != 0) {
    return corrupt(fmt::format("general.alignment: expected a power of two from 8 to {}, got {}", kMaxAlignment, alignment));
  }
  if (tensors.empty()) return {};
  const uint64_t start = (reader_.position() + alignment - 1) / alignment * alignment;
  const uint64_t n_data = start <= map_.size() ? map_.size() - start : 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    StoredTensor& tensor = tensors[i].tensor;
    if (offsets[i] % alignment != 0) {
      return corrupt(fmt::format("tensor {}: expected an offset that is a multiple of {}, got {}", shown(tensor.name), alignment, offsets[i]));
    }
    if (offsets[i] > n_data || tensor.bytes > n_data - offsets[i]) {
      return corrupt(fmt::format("tensor {}: expected {} bytes at offset {} of the data, got a file with only {} bytes of data (is it cut off?)",
                                 shown(tensor.name), tensor.bytes, offsets[i], n_data));
    }
    if (tensors[i].dtype) tensor.data = map_.data() + start + offsets[i];
  }
  return {};
}

const GgufValue* find_in(const std::vector<std::pair<std::string, GgufValue>>& metadata, std::string_view key) {
  const auto it = std::find_if(metadata.begin(), metadata.end(), [&](const auto& entry) { return entry.first == key; });
  return it != metadata.end() ? &it->second : nullptr;
}

// "base-00002-of-00005.gguf" → base, 5. Anything else is not the name of a part.
struct SplitName {
  std::string base;
  uint64_t n_parts = 0;
  std::string part(uint64_t i) const { return fmt::format("{}-{:05}-of-{:05}.gguf", base, i + 1, n_parts); }
};
std::optional<SplitName> parse_split_name(const std::string& path) {
  constexpr std::string_view kPattern = "-ddddd-of-ddddd.gguf";
  if (path.size() <= kPattern.size()) return std::nullopt;
  const std::string_view tail = std::string_view(path).substr(path.size() - kPattern.size());
  for (size_t i = 0; i < kPattern.size(); ++i) {
    const bool matches = kPattern[i] == 'd' ? tail[i] >= '0' && tail[i] <= '9' : tail[i] == kPattern[i];
    if (!matches) return std::nullopt;
  }
  uint64_t n_parts = 0;
  for (const char digit : tail.substr(10, 5)) n_parts = n_parts * 10 + static_cast<uint64_t>(digit - '0');
  return SplitName{path.substr(0, path.size() - kPattern.size()), n_parts};
}

}  // namespace

std::optional<DType> dtype_from_gguf(uint32_t raw_type) {
  for (const TypeNumber& entry : kTypeNumbers) {
    if (entry.raw == raw_type) return entry.dtype;
  }
  return std::nullopt;
}

std::optional<uint32_t> dtype_to_gguf(DType dtype) {
  for (const TypeNumber& entry : kTypeNumbers) {
    if (entry.dtype == dtype) return entry.raw;
  }
  return std::nullopt;
}

Status GgufFile::add_part(const std::string& path) {
  HANLIN_ASSIGN(MmapFile map, MmapFile::open(path));
  PartParser parser(map);
  HANLIN_TRY(parser.parse());
  const uint64_t part_idx = parts_.size();
  if (part_idx == 0) {
    version_ = parser.version;
    metadata_ = std::move(parser.metadata);
    for (size_t i = 0; i < metadata_.size(); ++i) {
      if (!metadata_index_.emplace(metadata_[i].first, i).second) {
        return Error{Code::kCorrupt, fmt::format("{}: expected each metadata key once, got {} twice", path, shown(metadata_[i].first))};
      }
    }
  } else {
    const GgufValue* number = find_in(parser.metadata, "split.no");
    if (number == nullptr || number->as_u64() != part_idx) {
      return Error{Code::kCorrupt, fmt::format("{}: expected split.no {}, got another or none", path, part_idx)};
    }
  }
  for (GgufTensor& tensor : parser.tensors) {
    if (!tensor_index_.emplace(tensor.tensor.name, tensors_.size()).second) {
      return Error{Code::kCorrupt, fmt::format("{}: expected each tensor once, got {} twice", path, shown(tensor.tensor.name))};
    }
    tensors_.push_back(std::move(tensor));
  }
  parts_.push_back(std::move(map));  // moving a mapping leaves its address
  return {};
}

Status GgufFile::check_split(uint64_t n_parts) const {
  const uint64_t count = get_u64("split.count").value_or(1);
  if (count > 1 && count != n_parts) {
    return Error{Code::kCorrupt, fmt::format("{}: expected {} parts (split.count) named …-00001-of-{:05}.gguf, got {}", path_, count, count,
                                             n_parts <= 1 ? "another file name" : fmt::format("{} in the file name", n_parts))};
  }
  return {};
}

Result<GgufFile> GgufFile::open(const std::string& path) {
  GgufFile file;
  const std::optional<SplitName> split = parse_split_name(path);
  // A single file may be named like a part; only the metadata tells.
  file.path_ = split && split->n_parts > 1 ? split->part(0) : path;
  HANLIN_TRY(file.add_part(file.path_));
  HANLIN_TRY(file.check_split(split ? split->n_parts : 1));
  const uint64_t n_parts = file.get_u64("split.count").value_or(1);
  if (n_parts <= 1) {
    if (file.path_ == path) return file;
    return Error{Code::kCorrupt, fmt::format("{}: expected split.count {} as the file name says, got a file that is not split", file.path_,
                                             split->n_parts)};
  }
  for (uint64_t i = 1; i < n_parts; ++i) HANLIN_TRY(file.add_part(split->part(i)));
  const std::optional<uint64_t> n_tensors = file.get_u64("split.tensors.count");
  if (n_tensors && *n_tensors != file.tensors_.size()) {
    return Error{Code::kCorrupt, fmt::format("{}: expected {} tensors in {} parts, got {}", file.path_, *n_tensors, n_parts, file.tensors_.size())};
  }
  return file;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto it = metadata_index_.find(std::string(key));
  return it != metadata_index_.end() ? &metadata_[it->second].second : nullptr;
}

std::optional<std::string> GgufFile::get_string(std::string_view key) const {
  const GgufValue* value = find(key);
  const auto text = value != nullptr ? value->as_string() : std::nullopt;
  return text ? std::optional<std::string>(*text) : std::nullopt;
}
std::optional<uint64_t> GgufFile::get_u64(std::string_view key) const {
  const GgufValue* value = find(key);
  return value != nullptr ? value->as_u64() : std::nullopt;
}
std::optional<int64_t> GgufFile::get_i64(std::string_view key) const {
  const GgufValue* value = find(key);
  return value != nullptr ? value->as_i64() : std::nullopt;
}
std::optional<double> GgufFile::get_f64(std::string_view key) const {
  const GgufValue* value = find(key);
  return value != nullptr ? value->as_f64() : std::nullopt;
}
std::optional<bool> GgufFile::get_bool(std::string_view key) const {
  const GgufValue* value = find(key);
  return value != nullptr ? value->as_bool() : std::nullopt;
}
std::optional<std::vector<std::string_view>> GgufFile::get_strings(std::string_view key) const {
  const GgufValue* value = find(key);
  return value != nullptr ? value->as_strings() : std::nullopt;
}
std::optional<std::vector<int64_t>> GgufFile::get_ints(std::string_view key) const {
  const GgufValue* value = find(key);
  return value != nullptr ? value->as_ints() : std::nullopt;
}
std::optional<std::vector<float>> GgufFile::get_floats(std::string_view key) const {
  const GgufValue* value = find(key);
  return value != nullptr ? value->as_floats() : std::nullopt;
}

namespace {
template <typename T>
Result<T> required(const GgufFile& file, std::string_view key, const char* kind, std::optional<T> value) {
  if (value) return std::move(*value);
  const GgufValue* found = file.find(key);
  return Error{Code::kCorrupt, fmt::format("{}: expected metadata {} ({}), got {}", file.path(), key, kind,
                                           found != nullptr ? gguf_type_name(found->type) : "none")};
}
}  // namespace

Result<std::string> GgufFile::require_string(std::string_view key) const { return required(*this, key, "string", get_string(key)); }
Result<uint64_t> GgufFile::require_u64(std::string_view key) const { return required(*this, key, "unsigned integer", get_u64(key)); }
Result<double> GgufFile::require_f64(std::string_view key) const { return required(*this, key, "number", get_f64(key)); }

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto it = tensor_index_.find(std::string(name));
  return it != tensor_index_.end() ? &tensors_[it->second] : nullptr;
}

Result<StoredTensor> GgufFile::tensor(std::string_view name) const {
  const GgufTensor* entry = find_tensor(name);
  if (entry == nullptr) return Error{Code::kNotFound, fmt::format("{}: expected tensor {}, got none of that name", path_, shown(name))};
  if (!entry->dtype) {
    return Error{Code::kUnsupported, fmt::format("{}: tensor {} has GGUF type {}, which Hanlin does not read", path_, shown(name), entry->raw_type)};
  }
  return entry->tensor;
}

size_t GgufFile::n_bytes() const {
  size_t n = 0;
  for (const MmapFile& part : parts_) n += part.size();
  return n;
}

void GgufFile::drop_resident() const {
  for (const MmapFile& part : parts_) part.drop_resident();
}

}  // namespace hanlin
