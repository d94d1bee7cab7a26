#include "store/runs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace hanlin::store {
namespace {

namespace fs = std::filesystem;

// A database file in a folder of its own.
struct Folder {
  Folder() : path(fs::temp_directory_path() / ("hanlin-runs-" + std::to_string(::getpid()) + "-" + ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  std::string file() const { return (path / "runs.db").string(); }
  fs::path path;
};

std::vector<StoredEvent> two_events() { return {{0, 0, "step", R"({"n":1})"}, {0, 7, "text", "\"翰林\\u0000\""}}; }

TEST(Runs, KeepsWhatWasWrittenOverARestart) {
  const Folder folder;
  {
    auto store = open_sqlite_runs(folder.file());
    ASSERT_TRUE(store.ok()) << store.error().message;
    ASSERT_TRUE((*store)->create({.id = "run_1", .state = "running", .request_json = R"({"task":"x"})"}).ok());
    auto events = two_events();
    ASSERT_TRUE((*store)->append("run_1", "waiting", &events).ok());
    EXPECT_EQ(events[0].seq, 1);
    EXPECT_GT(events[0].time_ms, 0);
    EXPECT_EQ(events[1].seq, 2);
    EXPECT_EQ(events[1].time_ms, 7);
  }
  auto store = open_sqlite_runs(folder.file());
  ASSERT_TRUE(store.ok()) << store.error().message;
  const auto run = (*store)->get("run_1");
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->state, "waiting");
  EXPECT_EQ(run->request_json, R"({"task":"x"})");
  EXPECT_EQ(run->n_events, 2);
  auto more = two_events();
  ASSERT_TRUE((*store)->append("run_1", "running", &more).ok());
  EXPECT_EQ(more[0].seq, 3);
  const auto events = (*store)->events("run_1", 1, 2);
  ASSERT_TRUE(events.ok());
  ASSERT_EQ(events->size(), 2u);
  EXPECT_EQ((*events)[0].seq, 2);
  EXPECT_EQ((*events)[0].data_json, "\"翰林\\u0000\"");
  EXPECT_EQ((*events)[1].type, "step");
}

TEST(Runs, RefusesUnknownAndDoubleIds) {
  const auto store = open_sqlite_runs(":memory:");
  ASSERT_TRUE(store.ok());
  ASSERT_TRUE((*store)->create({.id = "a", .state = "s"}).ok());
  const auto again = (*store)->create({.id = "a", .state = "s"});
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, Code::kInvalidArgument);
  auto events = two_events();
  EXPECT_EQ((*store)->append("b", "s", &events).error().code, Code::kNotFound);
  EXPECT_EQ((*store)->get("b").error().code, Code::kNotFound);
  EXPECT_EQ((*store)->events("b", 0, 1).error().code, Code::kNotFound);
  EXPECT_EQ((*store)->remove("b").error().code, Code::kNotFound);
  // Nothing of the refused events stayed.
  EXPECT_EQ((*store)->get("a")->n_events, 0);
}

TEST(Runs, ListsNewestFirstPageByPage) {
  const auto store = open_sqlite_runs(":memory:");
  ASSERT_TRUE(store.ok());
  for (const char* id : {"a", "b", "c", "d", "e"}) ASSERT_TRUE((*store)->create({.id = id, .state = id[0] == 'c' ? "done" : "running"}).ok());
  std::vector<std::string> seen;
  RunQuery query{.limit = 2};
  while (true) {
    const auto page = (*store)->list(query);
    ASSERT_TRUE(page.ok());
    if (page->empty()) break;
    ASSERT_LE(page->size(), 2u);
    for (const StoredRun& run : *page) seen.push_back(run.id);
    query.before_ms = page->back().created_ms;
    query.before_id = page->back().id;
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"e", "d", "c", "b", "a"}));
  const auto done = (*store)->list({.state = "done"});
  ASSERT_TRUE(done.ok());
  ASSERT_EQ(done->size(), 1u);
  EXPECT_EQ((*done)[0].id, "c");
}

TEST(Runs, RemovesARunWithItsEvents) {
  const auto store = open_sqlite_runs(":memory:");
  ASSERT_TRUE(store.ok());
  ASSERT_TRUE((*store)->create({.id = "a", .state = "s"}).ok());
  auto events = two_events();
  ASSERT_TRUE((*store)->append("a", "s", &events).ok());
  ASSERT_TRUE((*store)->remove("a").ok());
  ASSERT_TRUE((*store)->create({.id = "a", .state = "s"}).ok());
  EXPECT_EQ((*store)->events("a", 0, 9)->size(), 0u);
}

TEST(Runs, ManyThreadsWriteWithoutGaps) {
  const Folder folder;
  const auto store = open_sqlite_runs(folder.file());
  ASSERT_TRUE(store.ok());
  ASSERT_TRUE((*store)->create({.id = "a", .state = "s"}).ok());
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        auto events = two_events();
        EXPECT_TRUE((*store)->append("a", "s", &events).ok());
        EXPECT_EQ(events[1].seq, events[0].seq + 1);
      }
    });
  }
  threads.clear();
  const auto events = (*store)->events("a", 0, 1000);
  ASSERT_EQ(events->size(), 200u);
  for (size_t i = 0; i < events->size(); ++i) EXPECT_EQ((*events)[i].seq, static_cast<int64_t>(i) + 1);
}

TEST(Runs, NamesTheFileThatIsNoDatabase) {
  const Folder folder;
  std::ofstream(folder.file()) << "this is no database, but long enough to be read as one";
  const auto store = open_sqlite_runs(folder.file());
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, Code::kIo);
  EXPECT_NE(store.error().message.find(folder.file()), std::string::npos);
  EXPECT_FALSE(open_sqlite_runs((folder.path / "missing" / "runs.db").string()).ok());
}

}  // namespace
}  // namespace hanlin::store
