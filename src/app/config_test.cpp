#include "app/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace hanlin::app {
namespace {

namespace fs = std::filesystem;

// A directory of its own for each test, removed afterwards.
class ConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / ("hanlin_config_test_" + std::to_string(getpid()));
    fs::create_directories(directory_ / "hanlin");
    environment_["XDG_CONFIG_HOME"] = directory_.string();
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& content) {
    std::ofstream(directory_ / name) << content;
    return (directory_ / name).string();
  }
  Status load(LoadedConfig& config, const std::string& path = "") {
    return load_config(config, path, [this](const char* name) -> const char* {
      const auto it = environment_.find(name);
      return it == environment_.end() ? nullptr : it->second.c_str();
    });
  }

  fs::path directory_;
  std::map<std::string, std::string> environment_;
};

TEST_F(ConfigTest, DefaultsPassTheirOwnChecks) {
  LoadedConfig config;
  for (Field& field : config.fields.fields()) {
    const auto status = field.set_text(field.default_text(), Source::kFlag, field.flag());
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
    EXPECT_FALSE(field.help().empty());
    EXPECT_FALSE(field.section().empty()) << field.name();
  }
}

TEST_F(ConfigTest, LaterSourcesOverrideEarlierOnes) {
  write("hanlin/hanlin.toml", "port = 1\nthreads = 2\nmax_queue = 3\n");
  const std::string explicit_path = write("own.toml", "[service]\nport = 10\n[compute]\nthreads = 20\n");
  environment_["HANLIN_PORT"] = "100";
  LoadedConfig config;
  const Status status = load(config, explicit_path);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(config.values.port, 100);
  EXPECT_EQ(config.values.threads, 20);
  EXPECT_EQ(config.values.max_queue, 3);
  EXPECT_EQ(config.values.step_tokens, 512);
  EXPECT_EQ(config.fields.find("port")->origin(), "HANLIN_PORT");
  EXPECT_EQ(config.fields.find("threads")->origin(), explicit_path);
  EXPECT_EQ(config.files_read.size(), 2u);
}

TEST_F(ConfigTest, UnknownKeyIsAnErrorWithASuggestion) {
  const std::string path = write("own.toml", "[service]\nmax_quue = 3\n");
  LoadedConfig config;
  const Status status = load(config, path);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, path + ": unknown setting \"max_quue\" (did you mean \"max_queue\"?)");
}

TEST_F(ConfigTest, BadTomlNamesThePlace) {
  const std::string path = write("own.toml", "port = 1\nhost = \n");
  LoadedConfig config;
  const Status status = load(config, path);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find(path + ":2:"), std::string::npos) << status.error().message;
}

TEST_F(ConfigTest, MissingExplicitFileIsAnError) {
  LoadedConfig config;
  const Status status = load(config, (directory_ / "absent.toml").string());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kNotFound);
}

TEST_F(ConfigTest, TableShowsValueAndOriginAndHidesKeys) {
  environment_["HANLIN_API_KEYS"] = "secret-key";
  LoadedConfig config;
  ASSERT_TRUE(load(config).ok());
  const std::string table = config_table(config.fields);
  EXPECT_NE(table.find("environment HANLIN_API_KEYS"), std::string::npos);
  EXPECT_EQ(table.find("secret-key"), std::string::npos);
  EXPECT_NE(table.find("max_body"), std::string::npos);
  EXPECT_NE(table.find("10MiB"), std::string::npos);
}

TEST(ModelArgument, SplitsAliasFromReference) {
  using Pair = std::pair<std::string, std::string>;
  EXPECT_EQ(split_model_argument("smollm2-135m"), Pair("", "smollm2-135m"));
  EXPECT_EQ(split_model_argument("chat=/models/a.gguf"), Pair("chat", "/models/a.gguf"));
  EXPECT_EQ(split_model_argument("chat=org/name:Q4_K_M"), Pair("chat", "org/name:Q4_K_M"));
  EXPECT_EQ(split_model_argument("/models/a=b.gguf"), Pair("", "/models/a=b.gguf"));
}

TEST(PackedDir, FollowsTheBaseDirectorySpecification) {
  const auto with = [](std::map<std::string, std::string> environment) {
    return default_packed_dir([&](const char* name) -> const char* {
      const auto it = environment.find(name);
      return it == environment.end() ? nullptr : it->second.c_str();
    });
  };
  EXPECT_EQ(with({{"HOME", "/home/a"}}), "/home/a/.cache/hanlin/packed");
  EXPECT_EQ(with({{"HOME", "/home/a"}, {"XDG_CACHE_HOME", ""}}), "/home/a/.cache/hanlin/packed");
  EXPECT_EQ(with({{"HOME", "/home/a"}, {"XDG_CACHE_HOME", "/var/c"}}), "/var/c/hanlin/packed");
  EXPECT_EQ(with({}), "");
  Config config;
  config.packed_dir = "/elsewhere";
  EXPECT_EQ(packed_dir(config), "/elsewhere");
}

}  // namespace
}  // namespace hanlin::app
