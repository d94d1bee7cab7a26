#include <gtest/gtest.h>
#include <unistd.h>

#include <numeric>

#include "base/compute_pool.h"
#include "base/json.h"
#include "base/mmap_file.h"
#include "base/result.h"
#include "base/rng.h"

namespace hanlin {
namespace {

Result<int> half(int x) {
  if (x % 2 != 0) return Error{Code::kInvalidArgument, "half: expected an even number"};
  return x / 2;
}
Result<int> quarter(int x) {
  HANLIN_ASSIGN(const int h, half(x));
  return half(h);
}

TEST(Result, TryPassesErrorsUp) {
  EXPECT_EQ(quarter(8).value(), 2);
  ASSERT_FALSE(quarter(6).ok());
  EXPECT_EQ(quarter(6).error().code, Code::kInvalidArgument);
}

TEST(ComputePool, RunsEveryUnitOnce) {
  for (int n_threads : {1, 2, 5}) {
    ComputePool pool(n_threads);
    for (int round = 0; round < 200; ++round) {
      std::vector<int> hits(static_cast<size_t>(round), 0);
      pool.run(round, [&](int64_t unit, int thread) {
        EXPECT_LT(thread, n_threads);
        ++hits[static_cast<size_t>(unit)];
      });
      EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), 0), round);
    }
  }
}

TEST(ComputePool, WakesParkedWorkers) {
  ComputePool pool(3);
  for (int round = 0; round < 3; ++round) {
    usleep(20000);  // long enough for the workers to go to sleep
    std::atomic<int> sum{0};
    pool.run(100, [&](int64_t unit, int) { sum += static_cast<int>(unit); });
    EXPECT_EQ(sum, 4950);
  }
}

TEST(Json, RefusesDeepNestingAndSaysWhere) {
  EXPECT_TRUE(parse_json(R"({"a":[1,"}]{[",2]})").ok());
  EXPECT_FALSE(parse_json(std::string(100000, '[')).ok());
  const auto bad = parse_json("{\"a\": }");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.error().message.find("column"), std::string::npos) << bad.error().message;
}

TEST(Json, KeepsKeyOrderAndReplacesInvalidUtf8) {
  const Json value = *parse_json(R"({"z":1,"a":2})");
  EXPECT_EQ(dump_json(value), R"({"z":1,"a":2})");
  EXPECT_EQ(dump_json(Json("a\xff")), "\"a\xEF\xBF\xBD\"");
}

TEST(MmapFile, ReadsBackWhatWasWrittenAndReportsMissing) {
  const std::string path = ::testing::TempDir() + "mmap_file_test";
  ASSERT_TRUE(write_file_atomic(path, "hello").ok());
  const auto file = MmapFile::open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->data()), file->size()), "hello");
  EXPECT_EQ(*read_file(path), "hello");
  EXPECT_FALSE(read_file(path, 3).ok());
  EXPECT_EQ(MmapFile::open(path + ".none").error().code, Code::kNotFound);
  ::unlink(path.c_str());
}

TEST(Rng, IsTheSameEverywhere) {
  Rng a(42), b(42), c(43);
  EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(a.next(), c.next());
  for (int i = 0; i < 1000; ++i) {
    const double u = a.uniform();
    EXPECT_GE(u, 0.0);
    EXPECT_LT(u, 1.0);
  }
}

}  // namespace
}  // namespace hanlin
