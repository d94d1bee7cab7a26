#include "app/wire_remote.h"

#include <gtest/gtest.h>

#include "api/scripted.h"

namespace hanlin::app {
namespace {

TEST(WireRemote, ReadsReferences) {
  EXPECT_TRUE(is_remote_model("https://host/v1#gpt"));
  EXPECT_FALSE(is_remote_model("https://host/model.gguf"));
  EXPECT_FALSE(is_remote_model("./a#b"));
  const auto chat = parse_remote_model("https://host:1/v1#org/gpt").value();
  EXPECT_EQ(chat.base_url, "https://host:1/v1");
  EXPECT_EQ(chat.model, "org/gpt");
  EXPECT_FALSE(chat.embeds);
  const auto vectors = parse_remote_model("http://host/v1#embed:mini").value();
  EXPECT_EQ(vectors.model, "mini");
  EXPECT_TRUE(vectors.embeds);
  EXPECT_FALSE(parse_remote_model("https://host/v1#").ok());
  EXPECT_FALSE(parse_remote_model("https://host/v1#embed:").ok());
  EXPECT_FALSE(parse_remote_model("https://#x").ok());

  Config config;
  config.model = {"https://host/v1#org/gpt", "mini=http://host/v1#embed:m"};
  const auto choices = choose_models(config, {}).value();
  EXPECT_EQ(choices[0].name, "org/gpt");
  EXPECT_EQ(choices[1].name, "mini");
}

TEST(WireRemote, KeysGoToTheirHosts) {
  Config config;
  EXPECT_EQ(remote_key_variable(config, "https://api.openai.com/v1").value(), "OPENAI_API_KEY");
  EXPECT_EQ(remote_key_variable(config, "https://other/v1").value(), "HANLIN_REMOTE_API_KEY") << "OpenAI's key goes nowhere else";
  config.remote_key_env = {"MINE", "other=THEIRS", "third:8000=LOCAL"};
  EXPECT_EQ(remote_key_variable(config, "https://api.openai.com/v1").value(), "MINE");
  EXPECT_EQ(remote_key_variable(config, "https://other/v1").value(), "THEIRS");
  EXPECT_EQ(remote_key_variable(config, "http://third:8000/v1").value(), "LOCAL");
}

RunningModels some_models() {
  RunningModels running;
  const auto talker = [](const std::string& name) { return std::make_shared<api::ScriptedGenerator>(api::ModelInfo{.name = name}, api::parrot_script); };
  running.set->models.push_back({.name = "a", .generator = talker("a")});
  running.set->models.push_back({.name = "b", .aliases = {"bee"}, .generator = talker("b")});
  running.set->models.push_back({.name = "v", .embedder = std::make_shared<api::ScriptedEmbedder>(api::ModelInfo{.name = "v"}, 8, 64)});
  running.set->models.push_back({.name = "w", .embedder = std::make_shared<api::ScriptedEmbedder>(api::ModelInfo{.name = "w"}, 4, 64)});
  return running;
}

TEST(WireRemote, ChainsModels) {
  Config config;
  config.fallback = {"a=bee", "b=a", "a=far"};
  RunningModels running = some_models();
  ASSERT_TRUE(start_remote_model(config, {"far", "http://127.0.0.1:9/v1#m", ""}, running).ok());
  const auto plain_b = running.set->models[1].generator;
  ASSERT_TRUE(add_fallbacks(config, running).ok());
  EXPECT_TRUE(running.set->find("a")->generator->native_tool_calls()) << "a remote member gives calls natively, so all do";
  EXPECT_FALSE(running.set->find("b")->generator->native_tool_calls());
  EXPECT_NE(running.set->find("b")->generator, plain_b);
  EXPECT_EQ(running.set->find("b")->generator->info().name, "b");

  for (const char* bad : {"a", "a=none", "none=a", "a=v", "a=a", "v=w"}) {
    RunningModels others = some_models();
    Config wrong;
    wrong.fallback = {bad};
    const Status status = add_fallbacks(wrong, others);
    ASSERT_FALSE(status.ok()) << bad;
    EXPECT_EQ(status.error().code, Code::kInvalidArgument);
    EXPECT_NE(status.error().message.find(bad), std::string::npos) << status.error().message;
  }
}

}  // namespace
}  // namespace hanlin::app
