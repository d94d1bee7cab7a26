#include "agent/chat_style.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "agent/call_parser/call_format.h"
#include "api/scripted.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

bool no_token(const std::string&) { return false; }

// template → context → text, from the renderings of real templates.
std::map<std::string, std::map<std::string, std::string>> renderings() {
  std::ifstream in(HANLIN_SOURCE_DIR "/../shared/cases/jinja/goldens.jsonl");
  std::map<std::string, std::map<std::string, std::string>> found;
  for (std::string line; std::getline(in, line);) {
    const Result<Json> golden = parse_json(line);
    if (golden.ok() && golden->contains("expected") && (*golden)["expected"].is_string()) {
      found[(*golden)["template"].get<std::string>()][(*golden)["context"].get<std::string>()] = (*golden)["expected"].get<std::string>();
    }
  }
  return found;
}

TEST(ChatStyle, RealTemplatesAreRecognised) {
  auto all = renderings();
  if (all.empty()) GTEST_SKIP() << "../shared/cases/jinja is absent";
  const std::map<std::string, std::string> expected = {
      {"CohereForAI-c4ai-command-r7b-12-2024-tool_use.jinja", "command_r7b"}, {"Cohere2MoE.jinja", "command_r7b"},
      {"GLM-4.7-Flash.jinja", "glm45"}, {"trl-glm4moe.jinja", "glm45"}, {"GigaChat3-10B-A1.8B.jinja", "gigachat"},
      {"Kimi-K2-Instruct.jinja", "kimi_k2"}, {"moonshotai-Kimi-K2.jinja", "kimi_k2"}, {"LFM2-8B-A1B.jinja", "lfm2"},
      {"MiMo-VL.jinja", "hermes"}, {"Qwen-Qwen2.5-7B-Instruct.jinja", "hermes"}, {"trl-qwen3.jinja", "hermes"}, {"Reka-Edge.jinja", "hermes"},
      {"Qwen3-Coder.jinja", "qwen3_coder_xml"}, {"StepFun3.5-Flash.jinja", "qwen3_coder_xml"}, {"trl-nemotron_3_nano.jinja", "qwen3_coder_xml"},
      {"deepseek-ai-DeepSeek-V4.jinja", "deepseek_dsml"}, {"trl-deepseekv3.jinja", "deepseek_v3"},
      {"fireworks-ai-llama-3-firefunction-v2.jinja", "generic_plain"}, {"ibm-granite-granite-3.3-2B-Instruct.jinja", "granite3"},
      {"meetkai-functionary-medium-v3.1.jinja", "functionary_v3_1"}, {"meetkai-functionary-medium-v3.2.jinja", "functionary_v3_2"},
      {"mistralai-Mistral-Nemo-Instruct-2407.jinja", "mistral_v3_array"}, {"trl-gptoss.jinja", "gpt_oss"}, {"trl-llama3_2.jinja", "llama3_json"},
      {"trl-gemma3.jinja", "pythonic"}, {"trl-phi3_5.jinja", "generic_plain"}, {"llama-cpp-rwkv-world.jinja", "generic_plain"}};
  for (const auto& [name, format] : expected) {
    auto& texts = all[name];
    ProbeTexts probe{.question = "Weather in Paris?", .tool = "Get the current weather", .argument = "Paris, France", .result = "18.5"};
    probe.plain = texts["own_user.json"];
    probe.with_tools = texts["own_tools_only.json"];
    for (const char* context : {"own_tool_roundtrip_str.json", "own_tool_roundtrip_dict.json"}) {
      if (!texts[context].empty()) probe.round_trip = texts[context];
    }
    const ChatStyle style = judge_probes(probe, no_token);
    EXPECT_EQ(style.format, format) << name;
    EXPECT_TRUE(is_call_format(style.format));
  }
}

TEST(ChatStyle, TokensTellWhatTheTemplateDoesNot) {
  ProbeTexts probe{.plain = "q", .with_tools = "List of tools: [t] q", .question = "q", .tool = "t", .argument = "a", .result = "r"};
  EXPECT_EQ(judge_probes(probe, [](const std::string& text) { return text == "<|tool_call_start|>"; }).format, "lfm2");
  EXPECT_EQ(judge_probes(probe, no_token).format, "generic_plain");
}

TEST(ChatStyle, PromptsThatOpenThoughts) {
  ChatStyle style;
  judge_prompt_end("<|im_start|>assistant\n<think>\n", &style);
  EXPECT_TRUE(style.opens_reasoning);
  EXPECT_EQ(style.reasoning_end, "</think>");
  judge_prompt_end("<|im_start|>assistant\n<think>\n\n</think>\n\n", &style);
  EXPECT_FALSE(style.opens_reasoning);
}

TEST(ChatStyle, ProbesOnceAndKeepsTheFormatThatWasSet) {
  const auto generator = std::make_shared<api::ScriptedGenerator>(api::ModelInfo{.name = "m"}, api::parrot_script);
  ChatStyles probing;
  const ChatStyle style = probing.of(generator);
  EXPECT_EQ(style.format, "hermes");
  EXPECT_TRUE(style.shows_tools && style.shows_calls && style.shows_results && style.takes_system);
  ChatStyles set("gemma4");
  EXPECT_EQ(set.of(generator).format, "gemma4");
  EXPECT_TRUE(set.of(generator).shows_tools);
}

}  // namespace
}  // namespace hanlin::agent
