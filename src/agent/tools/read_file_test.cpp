#include "agent/tools/read_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

class ReadFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "hanlin-read-XXXXXX").string();
    base_ = mkdtemp(pattern.data());
    fs::create_directories(base_ / "root/sub");
    write("root/a.txt", "alpha\nbeta\n");
    write("root/sub/b.txt", "天气");
    write("root/data.bin", std::string("a\0b", 3));
    write("root/empty.txt", "");
    write("secret.txt", "secret");
    fs::create_symlink("../secret.txt", base_ / "root/up");
    fs::create_symlink(base_ / "secret.txt", base_ / "root/absolute");
    fs::create_symlink("..", base_ / "root/updir");
    fs::create_symlink("sub/b.txt", base_ / "root/inside");
    fs::create_symlink("loop", base_ / "root/loop");
    ASSERT_EQ(mkfifo((base_ / "root/fifo").c_str(), 0600), 0);
    auto made = make_read_file({.roots = {(base_ / "root").string()}, .max_bytes = 64});
    ASSERT_TRUE(made.ok()) << made.error().message;
    tool_ = *made;
  }
  void TearDown() override { fs::remove_all(base_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(base_ / name, std::ios::binary) << text; }
  Result<std::string> read(const std::string& path, int64_t offset = 0) { return tool_->run(Json{{"path", path}, {"offset", offset}}, {}); }

  fs::path base_;
  std::shared_ptr<RunnableTool> tool_;
};

TEST_F(ReadFileTest, ReadsFilesAndFolders) {
  EXPECT_EQ(read("a.txt").value(), "alpha\nbeta\n");
  EXPECT_EQ(read("sub/b.txt").value(), "天气");
  EXPECT_EQ(read((base_ / "root/a.txt").string()).value(), "alpha\nbeta\n");
  EXPECT_EQ(read("inside").value(), "天气");
  EXPECT_EQ(read("sub/../a.txt").value(), "alpha\nbeta\n");
  EXPECT_EQ(read("sub").value(), "b.txt");
  EXPECT_NE(read(".").value().find("sub/\n"), std::string::npos);
  EXPECT_EQ(read((base_ / "root").string()).value(), read(".").value());
  EXPECT_EQ(read("empty.txt").value(), "(an empty file)");
}

TEST_F(ReadFileTest, NothingLeadsOut) {
  for (const std::string path : {"../secret.txt", "up", "absolute", "updir/secret.txt", "sub/../../secret.txt", "/etc/passwd", "loop", "updir"}) {
    const auto result = read(path);
    ASSERT_FALSE(result.ok()) << path << ": " << *result;
    EXPECT_EQ(result.error().code, Code::kInvalidArgument) << path << ": " << result.error().message;
  }
  EXPECT_FALSE(read((base_ / "root").string() + "/../secret.txt").ok());
  EXPECT_FALSE(read((base_ / "root").string() + "//etc/passwd").ok());
  EXPECT_FALSE(read((base_ / "root").string() + "x").ok());
  EXPECT_FALSE(read(std::string("a.txt\0b", 7)).ok());
}

TEST_F(ReadFileTest, ReadsNoDevicesAndNoBinaries) {
  EXPECT_EQ(read("fifo").error().code, Code::kUnsupported);
  EXPECT_EQ(read("data.bin").error().code, Code::kUnsupported);
  EXPECT_EQ(read("none.txt").error().code, Code::kNotFound);
}

TEST_F(ReadFileTest, LongFilesComeInPieces) {
  write("root/long.txt", std::string(64, 'a') + std::string(36, 'b'));
  EXPECT_EQ(read("long.txt").value(), std::string(64, 'a') + "\n[bytes 0 to 64 of 100; go on with offset 64]");
  EXPECT_EQ(read("long.txt", 64).value(), std::string(36, 'b'));
  EXPECT_EQ(read("long.txt", 100).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace hanlin::agent
