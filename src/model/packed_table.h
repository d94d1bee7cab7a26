// What stands in a file of packed weights besides the weights: its header and table, as bytes and back.
//
//   page 0                  header: magic, versions, where the table is and its hash (PackedHeader in packed_table.cpp)
//   pages 1 …               packed matrices, each from a page boundary on, as Backend::pack_weight makes them
//   after the last matrix   the table: layout, source, and for each matrix name, type, shape, offset, bytes
//
// The file is written by packed_file.h and belongs to this machine: little-endian, nothing to exchange.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace hanlin {

// Counts changes of the container; kLayoutVersion of kernels/layout.h counts those of the matrices in it.
constexpr uint32_t kPackedFormatVersion = 1;
constexpr size_t kPackedPage = 4096;
// Where the header says that the whole file is known to have reached the disk: one 32-bit number, 0 or 1.
constexpr size_t kPackedOnDiskOffset = 12;

// What tells one state of a source file from another. `hash` covers its beginning and end and pages spread over it.
struct SourceFile {
  uint64_t n_bytes = 0;
  int64_t modified_ns = 0;
  uint64_t hash = 0;
  bool operator==(const SourceFile&) const = default;
};

struct PackedEntry {
  DType dtype = DType::kF32;
  int64_t n = 0, k = 0;
  uint64_t offset = 0, n_bytes = 0;  // in the file
};

struct PackedTable {
  std::string layout;               // Backend::packed_layout
  std::string source_path;          // where the model was when it was packed; says nothing about what it is
  std::vector<SourceFile> sources;  // in the order of the model's files
  std::map<std::string, PackedEntry> entries;
  bool on_disk = false;             // written back, not only in the system's cache
  std::string boot_id;              // of the system's start during which the file was written
};

// Header (one page) and table of a file whose matrices end at `data_end`, a multiple of kPackedPage. The table follows there.
struct EncodedTable {
  std::string header, table;
};
EncodedTable encode_packed_table(const PackedTable& table, uint64_t data_end);
// The header alone, for a table of these bytes.
std::string encode_packed_header(const PackedTable& table, uint64_t data_end, std::span<const uint8_t> table_bytes);

// Reads header and table of a whole file, checking every field against its size. Touches no matrix.
// Errors: kCorrupt; kUnsupported for another format version.
Result<PackedTable> parse_packed_table(std::span<const uint8_t> file);

// A 64-bit hash against accidents, not against attackers. `seed` chains several pieces.
uint64_t hash_bytes(std::span<const uint8_t> bytes, uint64_t seed);

}  // namespace hanlin
