// Header and table of packed files: what is written is read, and nothing else is.
#include "model/packed_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

namespace hanlin {
namespace {

PackedTable sample() {
  PackedTable table;
  table.layout = "cpu panels 1";
  table.source_path = "/models/a.gguf";
  table.sources = {{123, 456, 789}, {1, -2, 3}};
  table.entries["a"] = {DType::kQ4_0, 16, 64, kPackedPage, 576};
  table.entries["b"] = {DType::kF32, 3, 5, 2 * kPackedPage, kPackedPage};
  table.boot_id = "0f0e0d0c-0000-0000-0000-000000000001";
  return table;
}
constexpr uint64_t kDataEnd = 3 * kPackedPage;

std::vector<uint8_t> file_of(const PackedTable& table) {
  const EncodedTable encoded = encode_packed_table(table, kDataEnd);
  std::vector<uint8_t> file(encoded.header.begin(), encoded.header.end());
  file.resize(kDataEnd);
  file.insert(file.end(), encoded.table.begin(), encoded.table.end());
  return file;
}

TEST(PackedTable, ReadsWhatWasWritten) {
  const PackedTable table = sample();
  const auto read = parse_packed_table(file_of(table));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->layout, table.layout);
  EXPECT_EQ(read->source_path, table.source_path);
  EXPECT_EQ(read->sources, table.sources);
  EXPECT_EQ(read->boot_id, table.boot_id);
  EXPECT_FALSE(read->on_disk);
  ASSERT_EQ(read->entries.size(), 2u);
  EXPECT_EQ(read->entries.at("a").dtype, DType::kQ4_0);
  EXPECT_EQ(read->entries.at("b").offset, 2 * kPackedPage);
  EXPECT_EQ(read->entries.at("b").n_bytes, kPackedPage);
  EXPECT_EQ(read->entries.at("b").k, 5);
}

TEST(PackedTable, OnDiskIsOneNumberOfTheHeader) {
  std::vector<uint8_t> file = file_of(sample());
  file[kPackedOnDiskOffset] = 1;
  const auto read = parse_packed_table(file);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(read->on_disk);
}

TEST(PackedTable, EveryCutIsNoticed) {
  const std::vector<uint8_t> file = file_of(sample());
  for (const size_t size : {size_t{0}, size_t{87}, kPackedPage - 1, kPackedPage, size_t{kDataEnd}, file.size() - 1}) {
    EXPECT_FALSE(parse_packed_table(std::span(file).first(size)).ok()) << size;
  }
}

TEST(PackedTable, EveryChangedByteOfHeaderFieldsAndTableIsNoticed) {
  const std::vector<uint8_t> file = file_of(sample());
  for (size_t i = 0; i < file.size(); ++i) {
    const bool checked = i < kPackedOnDiskOffset || (i >= 16 && i < 48) || i >= kDataEnd;
    if (!checked) continue;
    std::vector<uint8_t> changed = file;
    changed[i] ^= 0x41;
    EXPECT_FALSE(parse_packed_table(changed).ok()) << "byte " << i;
  }
}

TEST(PackedTable, WrongFieldsAreRefusedEvenWithTheRightHash) {
  const std::function<void(PackedTable&)> changes[] = {
      [](PackedTable& t) { t.entries["a"].offset = 0; },
      [](PackedTable& t) { t.entries["a"].offset = kPackedPage + 64; },
      [](PackedTable& t) { t.entries["a"].offset = 1 << 20; },
      [](PackedTable& t) { t.entries["a"].n_bytes = kDataEnd; },
      [](PackedTable& t) { t.entries["a"].n_bytes = ~uint64_t{0}; },
      [](PackedTable& t) { t.entries["a"].n = 0; },
      [](PackedTable& t) { t.entries["a"].k = -1; },
      [](PackedTable& t) { t.entries["a"].n = int64_t{1} << 60; },
  };
  for (const auto& change : changes) {
    PackedTable table = sample();
    change(table);
    const auto read = parse_packed_table(file_of(table));
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, Code::kCorrupt);
  }
}

TEST(PackedTable, AnotherFormatVersionIsNamed) {
  std::vector<uint8_t> file = file_of(sample());
  file[8] = 99;
  const auto read = parse_packed_table(file);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, Code::kUnsupported);
  EXPECT_NE(read.error().message.find("99"), std::string::npos) << read.error().message;
}

}  // namespace
}  // namespace hanlin
