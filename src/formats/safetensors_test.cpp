#include "formats/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/rng.h"

namespace hanlin {
namespace {

namespace fs = std::filesystem;

class SafetensorsTest : public ::testing::Test {
 protected:
  SafetensorsTest() : directory_(fs::temp_directory_path() / ("hanlin_safetensors_test_" + std::to_string(::getpid()))) {
    fs::create_directories(directory_);
  }
  ~SafetensorsTest() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  void store(const std::string& name, const std::string& bytes) const { std::ofstream(path(name), std::ios::binary) << bytes; }
  static std::string load(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // A file with this header and `n_data` bytes of data; the message of the error, empty if it opens.
  std::string error_of(const std::string& header, size_t n_data) const {
    const uint64_t n = header.size();
    store("f.safetensors", std::string(reinterpret_cast<const char*>(&n), 8) + header + std::string(n_data, '\1'));
    const auto file = SafetensorsFile::open(path("f.safetensors"));
    return file.ok() ? "" : file.error().message;
  }

  fs::path directory_;
};

template <typename T>
StoredTensor tensor_of(const std::string& name, DType dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  return {name, dtype, std::move(shape), reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(T)};
}

const std::vector<float> kFloats{1.5f, -2, 3, 4, 5, 6};
const std::vector<int64_t> kLongs{1, -1};
const std::vector<uint16_t> kHalfs{0x3f80, 0xbf80, 0x4000};

std::vector<StoredTensor> sample() {
  return {tensor_of("a \"quoted\" é", DType::kF32, {2, 3}, kFloats), tensor_of("ids", DType::kI64, {2}, kLongs),
          tensor_of("half", DType::kBF16, {3, 1}, kHalfs), tensor_of("empty", DType::kF32, {0, 4}, std::vector<float>{})};
}

TEST_F(SafetensorsTest, ReadsWhatItWrote) {
  const std::vector<std::pair<std::string, std::string>> metadata{{"format", "pt"}};
  ASSERT_TRUE(write_safetensors(path("f.safetensors"), sample(), metadata).ok());
  const auto file = SafetensorsFile::open(path("f.safetensors"));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->metadata(), metadata);
  ASSERT_EQ(file->tensors().size(), 4u);
  for (const StoredTensor& expected : sample()) {
    const StoredTensor* got = file->find(expected.name);
    ASSERT_NE(got, nullptr) << expected.name;
    EXPECT_EQ(got->dtype, expected.dtype);
    EXPECT_EQ(got->shape, expected.shape);
    ASSERT_EQ(got->bytes, expected.bytes);
    EXPECT_TRUE(std::equal(got->data, got->data + got->bytes, expected.data));
  }
  EXPECT_EQ(file->find("nothing"), nullptr);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1);  // no temporary file stays
}

TEST_F(SafetensorsTest, WriterRefusesWhatTheFormatCannotHold) {
  const std::vector<uint8_t> block(34);
  const std::vector<StoredTensor> quantised{tensor_of("q", DType::kQ8_0, {32}, block)};
  EXPECT_EQ(write_safetensors(path("f"), quantised).error().code, Code::kInvalidArgument);
  const std::vector<StoredTensor> short_one{tensor_of("s", DType::kF32, {7}, kFloats)};
  EXPECT_EQ(write_safetensors(path("f"), short_one).error().code, Code::kInvalidArgument);
  const std::vector<StoredTensor> twice{tensor_of("t", DType::kF32, {6}, kFloats), tensor_of("t", DType::kF32, {6}, kFloats)};
  EXPECT_EQ(write_safetensors(path("f"), twice).error().code, Code::kInvalidArgument);
  EXPECT_EQ(write_safetensors(path("no/such/f"), sample()).error().code, Code::kIo);
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(SafetensorsTest, HostileHeadersAreNamed) {
  const std::string good = R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_EQ(error_of(good, 8), "");
  EXPECT_NE(error_of(good, 7).find("within 7 bytes"), std::string::npos);
  EXPECT_NE(error_of("[]", 0).find("object"), std::string::npos);
  EXPECT_NE(error_of("{", 0).find("JSON"), std::string::npos);
  EXPECT_NE(error_of(std::string(100'000, '['), 0), "");
  EXPECT_NE(error_of(R"({"t":)" + std::string(100'000, '['), 0), "");
  EXPECT_NE(error_of(R"({"t":{"dtype":"F32","shape":[2]}})", 8).find("data_offsets"), std::string::npos);
  EXPECT_NE(error_of(R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8).find("expected 12 bytes"), std::string::npos);
  EXPECT_NE(error_of(R"({"t":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8).find("negative"), std::string::npos);
  EXPECT_NE(error_of(R"({"t":{"dtype":"Q4_0","shape":[32],"data_offsets":[0,18]}})", 18).find("Q4_0"), std::string::npos);
  EXPECT_NE(error_of(R"({"t":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})", 8).find("F8_E4M3"), std::string::npos);
  EXPECT_NE(error_of(R"({"t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8).find("63 bits"), std::string::npos);
  EXPECT_NE(error_of(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8).find("8 to 0"), std::string::npos);
  EXPECT_NE(error_of(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,18446744073709551615]}})", 8).find("within"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"u":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})", 8)
                .find("overlap"),
            std::string::npos);
  EXPECT_NE(error_of(R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8)
                .find("twice"),
            std::string::npos);
  const uint64_t huge = ~uint64_t{0};
  store("f.safetensors", std::string(reinterpret_cast<const char*>(&huge), 8) + "{}");
  EXPECT_NE(SafetensorsFile::open(path("f.safetensors")).error().message.find("at most 2 bytes"), std::string::npos);
}

TEST_F(SafetensorsTest, ManyKeysTakeLinearTime) {
  std::string header = "{";
  for (int i = 0; i < 200'000; ++i) {
    header += (i > 0 ? ",\"t" : "\"t") + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  }
  EXPECT_EQ(error_of(header + "}", 0), "");  // a tree with ordered keys would need minutes for this
}

TEST_F(SafetensorsTest, TruncationsAndFlippedBitsNeverLeadOutside) {
  ASSERT_TRUE(write_safetensors(path("whole"), sample()).ok());
  const std::string whole = load(path("whole"));
  for (size_t n = 1; n < whole.size(); ++n) {
    store("f.safetensors", whole.substr(0, n));
    const auto file = SafetensorsFile::open(path("f.safetensors"));
    ASSERT_FALSE(file.ok()) << n;
    ASSERT_NE(file.error().message.find("f.safetensors"), std::string::npos);
  }
  Rng rng(11);
  uint64_t sum = 0;
  int n_refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = whole;
    for (int k = 0; k < 1 + round % 3; ++k) changed[rng.next() % changed.size()] ^= static_cast<char>(1 << rng.next() % 8);
    store("f.safetensors", changed);
    const auto file = SafetensorsFile::open(path("f.safetensors"));
    n_refused += !file.ok();
    if (!file.ok()) continue;
    for (const StoredTensor& tensor : file->tensors()) {
      if (tensor.bytes > 0) sum += tensor.data[0] + tensor.data[tensor.bytes - 1];
    }
  }
  EXPECT_GT(n_refused, 500);
  EXPECT_GT(sum, 0u);
}

TEST_F(SafetensorsTest, ShardsFollowTheIndex) {
  const std::vector<StoredTensor> all = sample();
  EXPECT_EQ(SafetensorsSet::open(directory_.string()).error().code, Code::kNotFound);
  ASSERT_TRUE(write_safetensors(path("model-00001-of-00002.safetensors"), std::span(all).first(2)).ok());
  store("model.safetensors.index.json",
        R"({"metadata":{"total_size":46,"x":[{}]},"weight_map":{"ids":"model-00001-of-00002.safetensors","half":"model-00002-of-00002.safetensors"}})");
  EXPECT_NE(SafetensorsSet::open(directory_.string()).error().message.find("model-00002"), std::string::npos);
  ASSERT_TRUE(write_safetensors(path("model-00002-of-00002.safetensors"), std::span(all).last(1)).ok());
  EXPECT_NE(SafetensorsSet::open(directory_.string()).error().message.find("expected tensor half"), std::string::npos);
  ASSERT_TRUE(write_safetensors(path("model-00002-of-00002.safetensors"), std::span(all).last(2)).ok());
  const auto set = SafetensorsSet::open(directory_.string());
  ASSERT_TRUE(set.ok()) << set.error().message;
  EXPECT_EQ(set->tensors().size(), 4u);
  EXPECT_EQ(set->find("half")->shape, (std::vector<int64_t>{3, 1}));
  ASSERT_TRUE(write_safetensors(path("model-00002-of-00002.safetensors"), all).ok());
  EXPECT_NE(SafetensorsSet::open(directory_.string()).error().message.find("got"), std::string::npos);
  for (const char* index : {R"({"weight_map":{"a":"../x"}})", R"({"weight_map":{}})", R"({"weight_map":[1]})", "nonsense", R"({"weight_map":{"a":{}}})"}) {
    store("model.safetensors.index.json", index);
    const auto refused = SafetensorsSet::open(directory_.string());
    ASSERT_FALSE(refused.ok()) << index;
    EXPECT_NE(refused.error().message.find("index.json"), std::string::npos) << refused.error().message;
  }
}

TEST(SafetensorsOracles, TinyModelsOpen) {
  const fs::path directory = HANLIN_SOURCE_DIR "/../shared/oracles/models";
  if (!fs::exists(directory)) GTEST_SKIP() << "the shared tiny models are not here";
  int n_models = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (!entry.is_directory()) continue;
    ++n_models;
    const auto set = SafetensorsSet::open(entry.path().string());
    ASSERT_TRUE(set.ok()) << set.error().message;
    EXPECT_GT(set->tensors().size(), 10u);
    const auto oracle = SafetensorsFile::open((entry.path() / "oracle.safetensors").string());
    ASSERT_TRUE(oracle.ok()) << oracle.error().message;
    EXPECT_EQ(oracle->find("input_ids")->dtype, DType::kI64);
  }
  EXPECT_EQ(n_models, 22);
}

}  // namespace
}  // namespace hanlin
