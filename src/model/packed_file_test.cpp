// Packed files: models computed from them give the same bits, and whatever is wrong with one only costs time.
#include "model/packed_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "base/rng.h"
#include "formats/gguf_writer.h"
#include "model/loader.h"

namespace hanlin {
namespace {

namespace fs = std::filesystem;
const std::string kModels = HANLIN_SOURCE_DIR "/../shared/oracles/models";

// A directory for one test, removed with it.
class PackedFiles : public ::testing::Test {
 protected:
  PackedFiles() : root_(::testing::TempDir() + "hanlin_packed_" + std::to_string(::getpid()) + "_" + ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~PackedFiles() override { fs::remove_all(root_); }

  std::string directory() const { return root_ + "/packed"; }
  LoadOptions options(PackedCache cache = PackedCache::kOn, const std::string& isa = "auto") const {
    LoadOptions options;
    options.backend.isa = isa;
    options.packed = {cache, directory()};
    return options;
  }
  // The packed files there are, and their only one.
  std::vector<std::string> packed() const {
    std::vector<std::string> found;
    std::error_code ec;
    for (fs::directory_iterator it(directory(), ec), end; !ec && it != end; it.increment(ec)) found.push_back(it->path());
    return found;
  }
  std::string only() const {
    const auto files = packed();
    EXPECT_EQ(files.size(), 1u);
    return files.empty() ? "" : files[0];
  }

  // A llama of one layer with weights of several types; `seed` decides the weights.
  std::string write_model(uint64_t seed = 1, const std::string& name = "tiny.gguf") const {
    const std::string path = root_ + "/" + name;
    auto writer = GgufWriter::create(path);
    HANLIN_CHECK(writer.ok(), "gguf");
    writer->set_string("general.architecture", "llama");
    const std::pair<const char*, uint32_t> numbers[] = {{"context_length", 64}, {"embedding_length", 256}, {"block_count", 1}, {"feed_forward_length", 512},
                                                        {"attention.head_count", 4}, {"attention.head_count_kv", 2}, {"rope.dimension_count", 64}, {"vocab_size", 40}};
    for (const auto& [key, value] : numbers) writer->set_u32(std::string("llama.") + key, value);
    writer->set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    const std::tuple<const char*, DType, std::vector<int64_t>> tensors[] = {
        {"token_embd.weight", DType::kQ8_0, {40, 256}},       {"output_norm.weight", DType::kF32, {256}},
        {"output.weight", DType::kQ6_K, {40, 256}},           {"blk.0.attn_norm.weight", DType::kF32, {256}},
        {"blk.0.ffn_norm.weight", DType::kF32, {256}},        {"blk.0.attn_q.weight", DType::kQ4_0, {256, 256}},
        {"blk.0.attn_k.weight", DType::kQ4_K, {128, 256}},    {"blk.0.attn_v.weight", DType::kF16, {128, 256}},
        {"blk.0.attn_output.weight", DType::kQ5_0, {256, 256}}, {"blk.0.ffn_gate.weight", DType::kQ4_1, {512, 256}},
        {"blk.0.ffn_up.weight", DType::kBF16, {512, 256}},    {"blk.0.ffn_down.weight", DType::kIQ4_XS, {256, 512}}};
    for (const auto& [tensor, dtype, shape] : tensors) HANLIN_CHECK(writer->declare_tensor(tensor, dtype, shape).ok(), tensor);
    Rng rng(seed);
    for (const auto& [tensor, dtype, shape] : tensors) {
      int64_t n_bytes = shape.size() == 2 ? shape[0] * row_bytes(dtype, shape[1]) : shape[0] * 4;
      // Bytes below 0x30 make small numbers of every type.
      std::vector<uint8_t> bytes(static_cast<size_t>(n_bytes));
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next() % 0x30);
      HANLIN_CHECK(writer->write(bytes).ok(), tensor);
    }
    HANLIN_CHECK(writer->finish().ok(), "gguf");
    return path;
  }

  // What the model computes of a few tokens: logits, or vectors and scores.
  static std::vector<float> outputs(const std::string& path, const LoadOptions& options) {
    auto model = load_model(path, options);
    EXPECT_TRUE(model.ok()) << model.error().message;
    if (!model.ok()) return {};
    if (model->decoder) {
      EXPECT_TRUE(model->decoder->allocate_kv(1));
      const std::vector<int32_t> blocks = {0};
      Batch batch;
      batch.tokens = {1, 2, 3, 4, 5};
      batch.chunks.push_back({0, 5, 5, blocks, 5});
      const auto logits = model->decoder->forward(batch);
      return {logits.begin(), logits.end()};
    }
    const std::vector<int32_t> ids = {1, 2, 3, 4, 5};
    const Encoder::Input input{ids, {}};
    const TensorView hidden = model->encoder->encode({&input, 1});
    std::vector<float> values(hidden.data, hidden.data + hidden.rows * hidden.cols);
    if (model->spec.head != EncoderHead::kNone) {
      const TensorView scores = model->encoder->scores(hidden);
      values.insert(values.end(), scores.data, scores.data + scores.rows * scores.cols);
    }
    return values;
  }
  static bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && !a.empty() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }
  // Inode and size tell whether a file was written anew.
  static std::pair<ino_t, int64_t> state(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return {info.st_ino, info.st_size};
  }
  static void overwrite(const std::string& path, std::streamoff at, const std::string& bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  std::string root_;
};

TEST_F(PackedFiles, GivesTheSameBits) {
  const std::string model = write_model();
  const auto fresh = outputs(model, options(PackedCache::kOff));
  EXPECT_TRUE(packed().empty());
  EXPECT_TRUE(same_bits(fresh, outputs(model, options())));  // writes
  const std::string file = only();
  const auto before = state(file);
  EXPECT_TRUE(same_bits(fresh, outputs(model, options())));  // maps
  EXPECT_EQ(state(file), before);
}

TEST_F(PackedFiles, OneFileServesEveryLevelOfKernels) {
  const std::string model = write_model();
  outputs(model, options(PackedCache::kOn, "scalar"));
  const auto before = state(only());
  for (const char* isa : {"scalar", "avx2", "avx512", "amx"}) {
    auto backend = make_cpu_backend({1, isa, Activations::kAuto});
    if (!backend.ok()) continue;
    EXPECT_TRUE(same_bits(outputs(model, options(PackedCache::kOff, isa)), outputs(model, options(PackedCache::kOn, isa)))) << isa;
    EXPECT_EQ(state(only()), before) << isa;
  }
}

TEST_F(PackedFiles, EveryTinyModelGivesTheSameBits) {
  if (!fs::exists(kModels)) GTEST_SKIP() << kModels << " is absent";
  int n_models = 0;
  for (const auto& entry : fs::directory_iterator(kModels)) {
    const std::string path = fs::exists(entry.path() / "config.json") ? entry.path() : entry.path() / "model";
    if (!fs::exists(path + "/config.json")) continue;
    SCOPED_TRACE(path);
    const auto loads = load_model(path, options(PackedCache::kOff));
    if (!loads.ok() && loads.error().code == Code::kUnsupported) continue;
    const auto fresh = outputs(path, options(PackedCache::kOff));
    EXPECT_TRUE(same_bits(fresh, outputs(path, options())));
    const auto before = state(packed_path(directory(), path));
    EXPECT_TRUE(same_bits(fresh, outputs(path, options())));
    EXPECT_EQ(state(packed_path(directory(), path)), before);
    ++n_models;
  }
  EXPECT_GT(n_models, 0);
}

TEST_F(PackedFiles, AutoLeavesSmallModelsAlone) {
  outputs(write_model(), options(PackedCache::kAuto));
  EXPECT_TRUE(packed().empty());
}

TEST_F(PackedFiles, WhatIsWrongWithAFileIsMendedByWritingItAgain) {
  const std::string model = write_model();
  const auto fresh = outputs(model, options());
  const std::string file = only();
  const auto size = fs::file_size(file);
  const std::pair<const char*, std::function<void()>> damages[] = {
      {"empty", [&] { fs::resize_file(file, 0); }},
      {"cut in the header", [&] { fs::resize_file(file, 100); }},
      {"cut in the matrices", [&] { fs::resize_file(file, size / 2); }},
      {"longer", [&] { fs::resize_file(file, size + 1); }},
      {"another magic", [&] { overwrite(file, 0, "X"); }},
      {"another version", [&] { overwrite(file, 8, "\x63"); }},
      {"a changed table", [&] { overwrite(file, static_cast<std::streamoff>(size) - 3, "~"); }},
      {"written before the system started", [&] { overwrite(file, 48, "another start"); }},
      {"not a packed file", [&] { std::ofstream(file, std::ios::trunc) << std::string(10000, 'x'); }},
  };
  for (const auto& [name, damage] : damages) {
    SCOPED_TRACE(name);
    damage();
    const auto before = state(file);
    EXPECT_TRUE(same_bits(fresh, outputs(model, options())));
    EXPECT_EQ(only(), file);
    EXPECT_NE(state(file).first, before.first);
    EXPECT_EQ(fs::file_size(file), size);
  }
}

TEST_F(PackedFiles, AChangedModelIsPackedAgain) {
  const std::string model = write_model(1);
  const auto first = outputs(model, options());
  const auto before = state(only());
  write_model(2);
  const auto fresh = outputs(model, options(PackedCache::kOff));
  EXPECT_FALSE(same_bits(first, fresh));
  EXPECT_TRUE(same_bits(fresh, outputs(model, options())));
  EXPECT_NE(state(only()).first, before.first);
}

TEST_F(PackedFiles, SizeTimeAndContentIdentifyAFile) {
  const auto identity = [&](const std::string& path) { return identify_source(*MmapFile::open(path)); };
  const std::string path = root_ + "/source";
  std::ofstream(path) << std::string(1 << 20, 'a');
  const auto time = fs::last_write_time(path);
  const SourceFile first = identity(path);
  EXPECT_EQ(identity(path), first);
  overwrite(path, (1 << 20) - 1, "b");
  fs::last_write_time(path, time);
  EXPECT_EQ(identity(path).modified_ns, first.modified_ns);
  EXPECT_NE(identity(path), first);
  overwrite(path, (1 << 20) - 1, "a");
  fs::last_write_time(path, time);
  EXPECT_EQ(identity(path), first);
  fs::last_write_time(path, time + std::chrono::nanoseconds(1));
  EXPECT_NE(identity(path), first);
}

TEST_F(PackedFiles, AnotherLayoutOrSourceIsRefused) {
  const std::string model = write_model();
  outputs(model, options());
  const SourceFile source = identify_source(*MmapFile::open(model));
  const std::string layout = (*make_cpu_backend({}))->packed_layout();
  EXPECT_TRUE(PackedFile::open(only(), layout, {&source, 1}).ok());
  EXPECT_EQ(PackedFile::open(only(), layout + "x", {&source, 1}).error().code, Code::kUnsupported);
  EXPECT_EQ(PackedFile::open(only(), layout, {}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(PackedFile::open(only() + "x", layout, {&source, 1}).error().code, Code::kNotFound);
}

TEST_F(PackedFiles, AFileThatReachedTheDiskOutlivesTheSystemsStart) {
  const std::string model = write_model();
  const auto fresh = outputs(model, options());
  const auto before = state(only());
  // Old enough that waiting for the disk costs nothing: the next load waits and says so in the header.
  fs::last_write_time(only(), fs::file_time_type::clock::now() - std::chrono::hours(1));
  outputs(model, options());
  overwrite(only(), 48, "another start");
  EXPECT_TRUE(same_bits(fresh, outputs(model, options())));
  EXPECT_EQ(state(only()), before);
}

TEST_F(PackedFiles, ManyAtOnce) {
  const std::string model = write_model();
  const auto fresh = outputs(model, options(PackedCache::kOff));
  std::vector<std::vector<float>> results(6);
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&] { result = outputs(model, options()); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_TRUE(same_bits(fresh, result));
  EXPECT_TRUE(only().ends_with(".packed"));
}

TEST_F(PackedFiles, OneWriterAtATimeAndAnAbandonedFileIsUsedAgain) {
  fs::create_directories(directory());
  const std::string path = directory() + "/a.packed", temporary = path + ".tmp";
  std::ofstream(temporary) << "left by a killed process";
  {
    auto first = PackedWriter::create(path, "layout", "/model", {});
    ASSERT_TRUE(first.ok()) << first.error().message;
    EXPECT_EQ(PackedWriter::create(path, "layout", "/model", {}).error().code, Code::kUnavailable);
    remove_orphaned_packed(directory());
    EXPECT_TRUE(fs::exists(temporary)) << "an unfinished file that is being written stays";
  }
  EXPECT_FALSE(fs::exists(temporary)) << "not finished: removed";
  std::ofstream(temporary) << "left by a killed process";
  EXPECT_GT(remove_orphaned_packed(directory()), 0);
  EXPECT_FALSE(fs::exists(temporary));
}

TEST_F(PackedFiles, WhatCannotBeWrittenIsNoError) {
  const std::string model = write_model();
  const auto fresh = outputs(model, options(PackedCache::kOff));
  std::ofstream(directory()) << "a file where the directory should be";
  EXPECT_TRUE(same_bits(fresh, outputs(model, options())));
}

TEST_F(PackedFiles, AFullDiskIsNoErrorAndLeavesNothing) {
  const std::string model = write_model();
  const auto fresh = outputs(model, options(PackedCache::kOff));
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small{200'000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto packed_outputs = outputs(model, options());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_TRUE(same_bits(fresh, packed_outputs));
  EXPECT_TRUE(packed().empty());
}

TEST_F(PackedFiles, AMissingMatrixIsPackedAndTheFileMadeAgain) {
  const std::string model = write_model();
  const auto fresh = outputs(model, options(PackedCache::kOff));
  const std::string layout = (*make_cpu_backend({}))->packed_layout();
  auto writer = PackedWriter::create(packed_path(directory(), model), layout, model, {identify_source(*MmapFile::open(model))});
  ASSERT_TRUE(writer.ok() && (*writer)->finish().ok());
  EXPECT_TRUE(same_bits(fresh, outputs(model, options())));
  EXPECT_TRUE(packed().empty());
  EXPECT_TRUE(same_bits(fresh, outputs(model, options())));
  EXPECT_GT(fs::file_size(only()), size_t{100'000});
}

TEST_F(PackedFiles, RemovalAndOrphans) {
  const std::string model = write_model(), other = write_model(2, "other.gguf");
  outputs(model, options());
  outputs(other, options());
  EXPECT_EQ(packed_usage(directory()).n_files, 2);
  EXPECT_GT(remove_packed(directory(), model), 0);
  EXPECT_EQ(remove_packed(directory(), model), 0);
  EXPECT_EQ(packed_usage(directory()).n_files, 1);
  EXPECT_EQ(remove_orphaned_packed(directory()), 0);
  fs::remove(other);
  outputs(model, options());  // writing one removes those whose model is gone
  EXPECT_EQ(only(), packed_path(directory(), model));
  EXPECT_EQ(packed_usage(directory() + "/nowhere").n_files, 0);
}

}  // namespace
}  // namespace hanlin
