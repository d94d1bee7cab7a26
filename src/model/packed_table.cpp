#include "model/packed_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "formats/byte_reader.h"

namespace hanlin {
namespace {

constexpr char kMagic[8] = {'H', 'A', 'N', 'P', 'A', 'C', 'K', '\n'};
constexpr int64_t kMaxSide = int64_t{1} << 40;  // of a matrix; keeps products of two sides away from overflow checks

// The first bytes of the file; the rest of its page is zero.
struct PackedHeader {
  char magic[8];
  uint32_t version;
  uint32_t on_disk;
  uint64_t file_bytes;
  uint64_t table_offset, table_bytes, table_hash;
  char boot_id[40];
};
static_assert(sizeof(PackedHeader) == 88 && offsetof(PackedHeader, on_disk) == kPackedOnDiskOffset);

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_string(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out.append(text);
}

Error corrupt(std::string what) { return Error{Code::kCorrupt, std::move(what)}; }

Result<PackedTable> parse_table(std::span<const uint8_t> bytes, uint64_t data_end) {
  ByteReader reader(bytes);
  PackedTable table;
  std::string_view layout, source_path;
  uint32_t n_sources = 0, n_entries = 0;
  if (!reader.read_string(&layout) || !reader.read_string(&source_path) || !reader.read(&n_sources)) return corrupt("expected layout and source, got a shorter table");
  table.layout = layout;
  table.source_path = source_path;
  for (uint32_t i = 0; i < n_sources; ++i) {
    SourceFile& source = table.sources.emplace_back();
    if (!reader.read(&source.n_bytes) || !reader.read(&source.modified_ns) || !reader.read(&source.hash)) {
      return corrupt(fmt::format("expected {} source files, got a shorter table", n_sources));
    }
  }
  if (!reader.read(&n_entries)) return corrupt("expected a number of matrices, got a shorter table");
  for (uint32_t i = 0; i < n_entries; ++i) {
    std::string_view name, dtype;
    PackedEntry entry;
    if (!reader.read_string(&name) || !reader.read_string(&dtype) || !reader.read(&entry.n) || !reader.read(&entry.k) ||
        !reader.read(&entry.offset) || !reader.read(&entry.n_bytes)) {
      return corrupt(fmt::format("expected {} matrices, got a shorter table", n_entries));
    }
    const DTypeInfo* info = find_dtype(dtype);
    if (info == nullptr || entry.n < 1 || entry.n > kMaxSide || entry.k < 1 || entry.k > kMaxSide) {
      return corrupt(fmt::format("expected a known type and a shape, got {} of [{}, {}] for matrix {}", dtype.substr(0, 20), entry.n, entry.k, i));
    }
    entry.dtype = info->dtype;
    if (entry.offset % kPackedPage != 0 || entry.offset < kPackedPage || entry.offset > data_end || entry.n_bytes > data_end - entry.offset) {
      return corrupt(fmt::format("expected matrix {} in pages before byte {}, got {} bytes at {}", i, data_end, entry.n_bytes, entry.offset));
    }
    if (!table.entries.emplace(name, entry).second) return corrupt(fmt::format("expected each matrix once, got matrix {} again", i));
  }
  if (reader.left() != 0) return corrupt(fmt::format("expected the table's end, got {} more bytes", reader.left()));
  return table;
}

}  // namespace

uint64_t hash_bytes(std::span<const uint8_t> bytes, uint64_t seed) {
  // Multiply and fold, a word at a time; the multiplier is the 64-bit golden ratio.
  uint64_t hash = seed ^ bytes.size();
  for (size_t i = 0; i < bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min<size_t>(8, bytes.size() - i));
    hash = (hash ^ word) * 0x9E3779B97F4A7C15ull;
    hash ^= hash >> 32;
  }
  return hash;
}

EncodedTable encode_packed_table(const PackedTable& table, uint64_t data_end) {
  EncodedTable out;
  put_string(out.table, table.layout);
  put_string(out.table, table.source_path);
  put(out.table, static_cast<uint32_t>(table.sources.size()));
  for (const SourceFile& source : table.sources) {
    put(out.table, source.n_bytes);
    put(out.table, source.modified_ns);
    put(out.table, source.hash);
  }
  put(out.table, static_cast<uint32_t>(table.entries.size()));
  for (const auto& [name, entry] : table.entries) {
    put_string(out.table, name);
    put_string(out.table, dtype_info(entry.dtype).name);
    put(out.table, entry.n);
    put(out.table, entry.k);
    put(out.table, entry.offset);
    put(out.table, entry.n_bytes);
  }
  out.header = encode_packed_header(table, data_end, {reinterpret_cast<const uint8_t*>(out.table.data()), out.table.size()});
  return out;
}

std::string encode_packed_header(const PackedTable& table, uint64_t data_end, std::span<const uint8_t> table_bytes) {
  PackedHeader header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kPackedFormatVersion;
  header.on_disk = table.on_disk ? 1 : 0;
  header.file_bytes = data_end + table_bytes.size();
  header.table_offset = data_end;
  header.table_bytes = table_bytes.size();
  header.table_hash = hash_bytes(table_bytes, kPackedFormatVersion);
  table.boot_id.copy(header.boot_id, sizeof header.boot_id);
  std::string page(reinterpret_cast<const char*>(&header), sizeof header);
  page.resize(kPackedPage, '\0');
  return page;
}

Result<PackedTable> parse_packed_table(std::span<const uint8_t> file) {
  PackedHeader header;
  if (file.size() < kPackedPage) return corrupt(fmt::format("expected at least {} bytes, got {}", kPackedPage, file.size()));
  std::memcpy(&header, file.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return corrupt("expected a file of packed weights, got something else or an unfinished one");
  if (header.version != kPackedFormatVersion) {
    return Error{Code::kUnsupported, fmt::format("expected format version {}, got {}", kPackedFormatVersion, header.version)};
  }
  if (header.file_bytes != file.size()) return corrupt(fmt::format("expected {} bytes, got {}", header.file_bytes, file.size()));
  if (header.table_offset < kPackedPage || header.table_offset > file.size() || header.table_bytes != file.size() - header.table_offset) {
    return corrupt(fmt::format("expected the table at the end of {} bytes, got {} bytes at {}", file.size(), header.table_bytes, header.table_offset));
  }
  const std::span<const uint8_t> bytes = file.subspan(header.table_offset);
  if (hash_bytes(bytes, kPackedFormatVersion) != header.table_hash) return corrupt("expected a table with the header's hash, got another");
  HANLIN_ASSIGN(PackedTable table, parse_table(bytes, header.table_offset));
  table.on_disk = header.on_disk == 1;
  table.boot_id.assign(header.boot_id, strnlen(header.boot_id, sizeof header.boot_id));
  return table;
}

}  // namespace hanlin
