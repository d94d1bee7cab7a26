#include "formats/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/rng.h"
#include "formats/gguf_writer.h"

namespace hanlin {
namespace {

namespace fs = std::filesystem;

// A directory of its own for each test, removed at the end.
class GgufTest : public ::testing::Test {
 protected:
  GgufTest() : directory_(fs::temp_directory_path() / ("hanlin_gguf_test_" + std::to_string(::getpid()))) { fs::create_directories(directory_); }
  ~GgufTest() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string store(const std::string& bytes, const std::string& name = "file.gguf") const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  static std::string load(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string error_of(const std::string& bytes) const {
    const auto file = GgufFile::open(store(bytes));
    return file.ok() ? "" : file.error().message;
  }

  fs::path directory_;
};

template <typename T>
std::span<const uint8_t> bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(T)};
}

// Appends values in the file's encoding: tests build hostile files with it.
struct Bytes {
  std::string text;
  template <typename T>
  Bytes& add(T value) {
    text.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& str(const std::string& value) {
    add<uint64_t>(value.size());
    text += value;
    return *this;
  }
  static Bytes header(uint64_t n_tensors, uint64_t n_entries, uint32_t version = 3) {
    Bytes bytes{"GGUF"};
    bytes.add(version).add(n_tensors).add(n_entries);
    return bytes;
  }
};

// Every metadata type and several tensors.
std::string write_sample(const std::string& path) {
  auto writer = GgufWriter::create(path);
  EXPECT_TRUE(writer.ok());
  writer->set_string("general.architecture", "llama");
  writer->set_u32("llama.block_count", 2);
  writer->set_u64("large", uint64_t{1} << 63);
  writer->set_i32("negative", -7);
  writer->set_f32("epsilon", 1e-5f);
  writer->set_bool("flag", true);
  writer->set("small", {GgufType::kU8, uint64_t{200}});
  writer->set("double", {GgufType::kF64, 0.1});
  writer->set_strings("tokens", std::vector<std::string>{"a", "", "héllo"});
  writer->set_i32s("types", std::vector<int32_t>{1, -2, 3});
  writer->set_f32s("scores", std::vector<float>{0.5f, -1.0f});
  writer->set_u32s("counts", std::vector<uint32_t>{7});
  writer->set_bools("bits", {true, false, true});
  const std::vector<int64_t> matrix{3, 32}, vector{5};
  EXPECT_TRUE(writer->declare_tensor("matrix", DType::kQ8_0, matrix).ok());
  EXPECT_TRUE(writer->declare_tensor("vector", DType::kF32, vector).ok());
  std::vector<uint8_t> blocks(102);
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<uint8_t>(i);
  EXPECT_TRUE(writer->write(std::span(blocks).first(40)).ok());
  EXPECT_TRUE(writer->write(std::span(blocks).subspan(40)).ok());
  EXPECT_TRUE(writer->write(bytes_of(std::vector<float>{1, 2, 3, 4, 5})).ok());
  const Status finished = writer->finish();
  EXPECT_TRUE(finished.ok()) << (finished.ok() ? "" : finished.error().message);
  return path;
}

TEST_F(GgufTest, ReadsWhatItWrote) {
  const auto file = GgufFile::open(write_sample(path("sample.gguf")));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->metadata().size(), 13u);
  EXPECT_EQ(file->metadata()[1].first, "llama.block_count");
  EXPECT_EQ(file->get_string("general.architecture"), "llama");
  EXPECT_EQ(file->get_u64("llama.block_count"), 2u);
  EXPECT_EQ(file->get_u64("large"), uint64_t{1} << 63);
  EXPECT_EQ(file->get_i64("large"), std::nullopt);
  EXPECT_EQ(file->get_i64("negative"), -7);
  EXPECT_EQ(file->get_u64("negative"), std::nullopt);
  EXPECT_EQ(file->get_f64("epsilon"), static_cast<double>(1e-5f));
  EXPECT_EQ(file->get_f64("double"), 0.1);
  EXPECT_EQ(file->get_f64("llama.block_count"), 2.0);
  EXPECT_EQ(file->get_bool("flag"), true);
  EXPECT_EQ(file->find("small")->type, GgufType::kU8);
  EXPECT_EQ(file->get_u64("small"), 200u);
  EXPECT_EQ(file->get_strings("tokens"), (std::vector<std::string_view>{"a", "", "héllo"}));
  EXPECT_EQ(file->get_ints("types"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(file->get_ints("bits"), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(file->get_floats("scores"), (std::vector<float>{0.5f, -1.0f}));
  EXPECT_EQ(file->get_string("absent"), std::nullopt);
  EXPECT_EQ(file->get_string("flag"), std::nullopt);
  EXPECT_EQ(file->get_floats("types"), std::nullopt);
  EXPECT_NE(file->require_u64("flag").error().message.find("expected metadata flag (unsigned integer), got bool"), std::string::npos);
  EXPECT_NE(file->require_u64("absent").error().message.find("got none"), std::string::npos);

  ASSERT_EQ(file->tensors().size(), 2u);
  const auto matrix = file->tensor("matrix");
  ASSERT_TRUE(matrix.ok());
  EXPECT_EQ(matrix->shape, (std::vector<int64_t>{3, 32}));
  EXPECT_EQ(matrix->dtype, DType::kQ8_0);
  EXPECT_EQ(matrix->bytes, 102u);
  for (size_t i = 0; i < 102; ++i) ASSERT_EQ(matrix->data[i], i);
  const auto vector = file->tensor("vector");
  ASSERT_TRUE(vector.ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(vector->data) % 32, 0u);
  float last;
  std::memcpy(&last, vector->data + 16, 4);
  EXPECT_EQ(last, 5.0f);
  EXPECT_EQ(file->tensor("nothing").error().code, Code::kNotFound);
}

TEST_F(GgufTest, CopyingEveryEntryGivesTheSameBytes) {
  const std::string original = write_sample(path("sample.gguf"));
  const auto file = GgufFile::open(original);
  ASSERT_TRUE(file.ok());
  auto writer = GgufWriter::create(path("copy.gguf"));
  ASSERT_TRUE(writer.ok());
  for (const auto& [key, value] : file->metadata()) writer->set(key, value);
  for (const GgufTensor& entry : file->tensors()) {
    ASSERT_TRUE(writer->declare_tensor(entry.tensor.name, entry.tensor.dtype, entry.tensor.shape).ok());
  }
  for (const GgufTensor& entry : file->tensors()) ASSERT_TRUE(writer->write({entry.tensor.data, entry.tensor.bytes}).ok());
  ASSERT_TRUE(writer->finish().ok());
  EXPECT_EQ(load(path("copy.gguf")), load(original));
}

TEST_F(GgufTest, WriterRefusesWhatDoesNotFit) {
  const std::vector<int64_t> odd{3, 31}, fine{2};
  {
    auto writer = GgufWriter::create(path("bad.gguf"));
    ASSERT_TRUE(writer.ok());
    EXPECT_EQ(writer->declare_tensor("t", DType::kQ8_0, odd).error().code, Code::kInvalidArgument);
    EXPECT_EQ(writer->declare_tensor("t", DType::kBool, fine).error().code, Code::kInvalidArgument);
    EXPECT_TRUE(writer->declare_tensor("t", DType::kF32, fine).ok());
    EXPECT_EQ(writer->declare_tensor("t", DType::kF32, fine).error().code, Code::kInvalidArgument);
    EXPECT_EQ(writer->write(bytes_of(std::vector<float>(3))).error().code, Code::kInvalidArgument);
  }
  {
    auto writer = GgufWriter::create(path("bad.gguf"));
    ASSERT_TRUE(writer.ok());
    EXPECT_TRUE(writer->declare_tensor("t", DType::kF32, fine).ok());
    EXPECT_EQ(writer->finish().error().code, Code::kInvalidArgument);
  }
  EXPECT_TRUE(fs::is_empty(directory_));  // neither a half-written file nor a temporary one stays
  EXPECT_EQ(GgufWriter::create(path("no/such/directory.gguf")).error().code, Code::kIo);
}

TEST_F(GgufTest, EveryTruncationIsAnError) {
  const std::string whole = load(write_sample(path("sample.gguf")));
  const size_t n_padding = 12;  // after the last tensor: 5 floats in 32 bytes
  for (size_t n = 1; n < whole.size() - n_padding; ++n) {
    const std::string message = error_of(whole.substr(0, n));
    ASSERT_NE(message.find("expected"), std::string::npos) << n << " bytes: " << message;
    ASSERT_NE(message.find("file.gguf"), std::string::npos);
  }
}

TEST_F(GgufTest, FlippedBitsNeverLeadOutside) {
  const std::string whole = load(write_sample(path("sample.gguf")));
  Rng rng(7);
  size_t n_refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = whole;
    for (int k = 0; k < 1 + round % 4; ++k) changed[rng.next() % changed.size()] ^= static_cast<char>(1 << rng.next() % 8);
    const auto file = GgufFile::open(store(changed));
    if (!file.ok()) {
      ++n_refused;
      continue;
    }
    uint64_t sum = 0;  // touch everything that was promised
    for (const auto& [key, value] : file->metadata()) {
      sum += value.as_strings().value_or(std::vector<std::string_view>{}).size() + value.as_ints().value_or(std::vector<int64_t>{}).size();
    }
    for (const GgufTensor& entry : file->tensors()) {
      if (entry.dtype) sum += entry.tensor.data[0] + entry.tensor.data[entry.tensor.bytes - 1];
    }
    EXPECT_LT(sum, uint64_t{1} << 20);
  }
  EXPECT_GT(n_refused, 500u);
}

TEST_F(GgufTest, HostileHeadersAreNamed) {
  const uint64_t huge = uint64_t{1} << 62;
  EXPECT_NE(error_of("GGML....").find("expected a GGUF file"), std::string::npos);
  EXPECT_NE(error_of(Bytes::header(0, 0, 1).text).find("version 2 or 3, got 1"), std::string::npos);
  EXPECT_NE(error_of(Bytes::header(0, 0, 0x03000000).text).find("big-endian"), std::string::npos);
  EXPECT_EQ(error_of(Bytes::header(0, 0, 2).text), "");
  EXPECT_NE(error_of(Bytes::header(huge, 0).text).find("counts"), std::string::npos);
  EXPECT_NE(error_of(Bytes::header(0, huge).text).find("counts"), std::string::npos);
  EXPECT_NE(error_of(Bytes::header(0, 1).add(huge).text + std::string(64, 'x')).find("metadata key"), std::string::npos);
  EXPECT_NE(error_of(Bytes::header(0, 1).str("k").add<uint32_t>(77).add<uint32_t>(0).text).find("type from 0 to 12, got 77"), std::string::npos);
  EXPECT_NE(error_of(Bytes::header(0, 1).str("k").add<uint32_t>(9).add<uint32_t>(8).add(huge).text).find("array that fits"), std::string::npos);
  EXPECT_NE(error_of(Bytes::header(0, 2).str("k").add<uint32_t>(4).add<uint32_t>(1).str("k").add<uint32_t>(4).add<uint32_t>(1).text).find("twice"),
            std::string::npos);
  EXPECT_NE(error_of(Bytes::header(0, 1).str("general.alignment").add<uint32_t>(4).add<uint32_t>(24).text).find("power of two"), std::string::npos);
  Bytes nested = Bytes::header(0, 1).str("k").add<uint32_t>(9);
  for (int i = 0; i < 1000; ++i) nested.add<uint32_t>(9).add<uint64_t>(1);
  EXPECT_NE(error_of(nested.text).find("nested"), std::string::npos);
}

TEST_F(GgufTest, HostileTensorsAreNamed) {
  const auto tensor = [](uint32_t n_dims, std::vector<int64_t> dims, uint32_t type, uint64_t offset, size_t n_data = 4096) {
    Bytes bytes = Bytes::header(1, 0).str("t").add(n_dims);
    for (const int64_t size : dims) bytes.add(size);
    return bytes.add(type).add(offset).text + std::string(n_data, '\1');
  };
  EXPECT_EQ(error_of(tensor(1, {64}, 0, 0)), "");
  EXPECT_NE(error_of(tensor(0, {}, 0, 0)).find("dimensions, got 0"), std::string::npos);
  EXPECT_NE(error_of(tensor(5, {1, 1, 1, 1, 1}, 0, 0)).find("dimensions, got 5"), std::string::npos);
  EXPECT_NE(error_of(tensor(1, {-4}, 0, 0)).find("positive"), std::string::npos);
  EXPECT_NE(error_of(tensor(1, {0}, 0, 0)).find("positive"), std::string::npos);
  EXPECT_NE(error_of(tensor(2, {int64_t{1} << 40, int64_t{1} << 40}, 0, 0)).find("63 bits"), std::string::npos);
  EXPECT_NE(error_of(tensor(1, {int64_t{1} << 62}, 0, 0)).find("63 bits"), std::string::npos);
  EXPECT_NE(error_of(tensor(1, {100}, 8, 0)).find("multiple of 32"), std::string::npos);
  EXPECT_NE(error_of(tensor(1, {64}, 0, 16)).find("multiple of 32"), std::string::npos);
  EXPECT_NE(error_of(tensor(1, {64}, 0, uint64_t{1} << 40)).find("only"), std::string::npos);
  EXPECT_NE(error_of(tensor(1, {64}, 0, ~uint64_t{0} - 31)).find("only"), std::string::npos);
  EXPECT_NE(error_of(tensor(1, {2048}, 0, 0)).find("cut off"), std::string::npos);
}

TEST_F(GgufTest, UnknownTensorTypesAreListedButNotRead) {
  const std::string bytes = Bytes::header(1, 0).str("t").add<uint32_t>(1).add<int64_t>(256).add<uint32_t>(16).add<uint64_t>(0).text;
  const auto file = GgufFile::open(store(bytes + std::string(256, '\0')));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->find_tensor("t")->raw_type, 16u);
  EXPECT_FALSE(file->find_tensor("t")->dtype.has_value());
  const auto tensor = file->tensor("t");
  EXPECT_EQ(tensor.error().code, Code::kUnsupported);
  EXPECT_NE(tensor.error().message.find("type 16"), std::string::npos);
}

TEST_F(GgufTest, PartsOpenAsOne) {
  const auto write_part = [&](int part, int n_parts, uint64_t part_number, const std::string& tensor) {
    auto writer = GgufWriter::create(path("m-0000" + std::to_string(part) + "-of-0000" + std::to_string(n_parts) + ".gguf"));
    ASSERT_TRUE(writer.ok());
    if (part == 1) writer->set_string("general.architecture", "llama");
    writer->set("split.no", {GgufType::kU16, part_number});
    writer->set("split.count", {GgufType::kU16, uint64_t{3}});
    writer->set_i32("split.tensors.count", 3);
    const std::vector<int64_t> shape{2};
    ASSERT_TRUE(writer->declare_tensor(tensor, DType::kF32, shape).ok());
    ASSERT_TRUE(writer->write(bytes_of(std::vector<float>{static_cast<float>(part), 0})).ok());
    ASSERT_TRUE(writer->finish().ok());
  };
  write_part(1, 3, 0, "a");
  write_part(2, 3, 1, "b");
  EXPECT_EQ(GgufFile::open(path("m-00001-of-00003.gguf")).error().code, Code::kNotFound);
  write_part(3, 3, 2, "c");
  for (const char* name : {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf"}) {
    const auto file = GgufFile::open(path(name));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->get_string("general.architecture"), "llama");
    ASSERT_EQ(file->tensors().size(), 3u);
    float first;
    std::memcpy(&first, file->tensor("c")->data, 4);
    EXPECT_EQ(first, 3.0f);
  }
  write_part(3, 3, 1, "c");
  EXPECT_NE(GgufFile::open(path("m-00001-of-00003.gguf")).error().message.find("split.no 2"), std::string::npos);
  write_part(3, 3, 2, "a");
  EXPECT_NE(GgufFile::open(path("m-00001-of-00003.gguf")).error().message.find("twice"), std::string::npos);
  fs::copy_file(path("m-00001-of-00003.gguf"), path("renamed.gguf"));
  EXPECT_NE(GgufFile::open(path("renamed.gguf")).error().message.find("3 parts"), std::string::npos);
}

TEST(GgufOracles, RealVocabulariesLoad) {
  const fs::path directory = HANLIN_SOURCE_DIR "/../shared/oracles/tokenizers";
  if (!fs::exists(directory)) GTEST_SKIP() << "the shared reference vocabularies are not here";
  int n_files = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() != ".gguf") continue;
    ++n_files;
    const auto file = GgufFile::open(entry.path().string());
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_TRUE(file->get_string("general.architecture").has_value());
    const auto tokens = file->get_strings("tokenizer.ggml.tokens");
    ASSERT_TRUE(tokens.has_value());
    EXPECT_GT(tokens->size(), 10'000u);
    EXPECT_EQ(file->get_ints("tokenizer.ggml.token_type")->size(), tokens->size());
  }
  EXPECT_EQ(n_files, 5);
}

}  // namespace
}  // namespace hanlin
