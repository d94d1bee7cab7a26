#include "agent/chat_style.h"

#include <array>
#include <string_view>

#include "agent/call_parser/call_format.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

constexpr int64_t kSmallModel = 1'000'000'000;  // parameters

struct Rule {
  std::string_view text, format;
};
// What stands in the prompt of one family only. The first that is found decides.
constexpr std::array<Rule, 28> kRules = {{
    {"<｜DSML｜", "deepseek_dsml"},
    {"<|tool_calls_section_begin|>", "kimi_k2"},
    {"<|tool_call_begin|>", "kimi_k2"},
    {"tool_declare<|im_middle|>", "kimi_k2"},
    {"<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "deepseek_v3"},
    {"<｜tool▁call▁begin｜>", "deepseek_v3_1"},
    {"<|START_ACTION|>", "command_r7b"},
    {"to=functions.", "gpt_oss"},
    {"<start_function_call>", "functiongemma"},
    {"<|tool_call>call:", "gemma4"},
    {"<arg_key>", "glm45"},
    {"<minimax:tool_call>", "minimax_m2"},
    {"<parameter=", "qwen3_coder_xml"},
    {"<function=", "functionary_v3_1"},
    {">>>", "functionary_v3_2"},
    {"[CALL_ID]", "mistral_call_id_args"},
    {"[ARGS]", "mistral_args"},
    {"[TOOL_CALLS]", "mistral_v3_array"},
    {"<|tool_call_start|>", "lfm2"},
    {"<|tool_list_start|>", "lfm2"},
    {"<|/tool_call|>", "phi4_mini"},
    {"<|tool|>", "phi4_mini"},
    {"<|tool_call|>", "granite3"},
    {"<tool_call>[", "smollm2"},
    {"<tool_call>", "hermes"},
    {"functools[", "firefunction_v2"},
    {"<function_calls>", "olmo3"},
    {"function call<|role_sep|>", "gigachat"},
}};
// Weaker signs, looked for afterwards.
constexpr std::array<Rule, 4> kWeakRules = {{
    {"```tool_code", "gemma3_tool_code"},
    {"[AVAILABLE_TOOLS]", "mistral_v3_array"},
    {"<|start_header_id|>", "llama3_json"},
    {"\"parameters\": {", "llama3_json"},
}};
// Tokens that only exist to write calls, for templates that do not mention them.
constexpr std::array<Rule, 6> kTokens = {{
    {"<|tool_call_start|>", "lfm2"},
    {"[TOOL_CALLS]", "mistral_v3_array"},
    {"<start_function_call>", "functiongemma"},
    {"<|tool_call>", "gemma4"},
    {"<|tool_call|>", "granite3"},
    {"<tool_call>", "hermes"},
}};

bool contains(const std::string& text, std::string_view what) { return !what.empty() && text.find(what) != std::string::npos; }

std::string_view find_rule(const std::string& text, const auto& rules) {
  for (const Rule& rule : rules) {
    if (contains(text, rule.text)) return rule.format;
  }
  return {};
}

std::string choose_format(const ProbeTexts& texts, const ChatStyle& style, const std::function<bool(const std::string&)>& has_token) {
  const size_t question = texts.round_trip.rfind(texts.question);
  const std::string call = style.shows_calls && question != std::string::npos ? texts.round_trip.substr(question) : "";
  if (const auto format = find_rule(call, kRules); !format.empty()) return std::string(format);
  if (!style.shows_tools) {
    // No tools in the template: the prompt will say how to write calls, in the way the model may know.
    if (contains(texts.plain, "SmolLM")) return "smollm2";
    if (contains(texts.plain, "<start_of_turn>")) return "pythonic";
    return "generic_plain";
  }
  for (const std::string& text : {texts.with_tools, texts.round_trip}) {
    if (const auto format = find_rule(text, kRules); !format.empty()) return std::string(format);
  }
  for (const Rule& token : kTokens) {
    if (has_token(std::string(token.text))) return std::string(token.format);
  }
  for (const std::string& text : {call, texts.with_tools}) {
    if (const auto format = find_rule(text, kWeakRules); !format.empty()) return std::string(format);
  }
  return "generic_plain";
}

}  // namespace

ChatStyle judge_probes(const ProbeTexts& texts, const std::function<bool(const std::string&)>& has_token) {
  ChatStyle style;
  style.shows_tools = contains(texts.with_tools, texts.tool);
  style.shows_calls = contains(texts.round_trip, texts.argument);
  style.shows_results = contains(texts.round_trip, texts.result);
  style.takes_system = contains(texts.with_system, texts.system);
  style.format = choose_format(texts, style, has_token);
  judge_prompt_end(style.shows_tools ? texts.with_tools : texts.plain, &style);
  return style;
}

void judge_prompt_end(const std::string& prompt_text, ChatStyle* style) {
  struct Pair {
    std::string_view begin, end;
  };
  static constexpr std::array<Pair, 3> kThoughts = {{{"<think>", "</think>"}, {"<|START_THINKING|>", "<|END_THINKING|>"}, {"[THINK]", "[/THINK]"}}};
  const size_t last = prompt_text.find_last_not_of(" \n");
  const std::string_view text = std::string_view(prompt_text).substr(0, last == std::string::npos ? 0 : last + 1);
  style->opens_reasoning = false;
  for (const Pair& pair : kThoughts) {
    if (!text.ends_with(pair.begin)) continue;
    style->opens_reasoning = true;
    style->reasoning_end = pair.end;
  }
}

ChatStyle probe_chat_style(const api::TextGenerator& generator) {
  if (generator.native_tool_calls()) return {.native = true};
  ProbeTexts texts{.question = "hanlin_question", .system = "hanlin_system", .tool = "hanlin_tool", .argument = "hanlin_value", .result = "hanlin_result"};
  const auto render = [&](std::vector<api::Message> messages, bool tools) {
    api::ChatPrompt prompt{std::move(messages)};
    if (tools) {
      prompt.tools_json = R"([{"type":"function","function":{"name":"hanlin_tool","description":"A probe.","parameters":{"type":"object",)"
                          R"("properties":{"key":{"type":"string","description":"A text."}},"required":["key"]}}}])";
    }
    Result<std::string> text = generator.render_chat(prompt);
    return text.ok() ? std::move(text).value() : std::string();
  };
  const api::Message question{"user", texts.question};
  api::Message call{"assistant", ""};
  call.tool_calls = {{"callprobe", texts.tool, R"({"key": ")" + texts.argument + "\"}"}};
  api::Message result{"tool", texts.result, texts.tool};
  result.tool_call_id = "callprobe";
  texts.plain = render({question}, false);
  texts.with_system = render({{"system", texts.system}, question}, false);
  texts.with_tools = render({question}, true);
  texts.round_trip = render({question, call, result}, true);
  ChatStyle style = judge_probes(texts, [&](const std::string& text) {
    const auto ids = generator.tokenize(text, /*add_special=*/false, /*parse_special=*/true);
    return ids.ok() && ids->size() == 1;
  });
  const int64_t n_parameters = generator.info().n_parameters;
  style.needs_hints = n_parameters > 0 && n_parameters < kSmallModel;
  return style;
}

ChatStyle ChatStyles::of(const std::shared_ptr<api::TextGenerator>& generator) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = styles_.find(generator);
    if (known != styles_.end()) return known->second;
  }
  ChatStyle style = probe_chat_style(*generator);
  if (is_call_format(format_)) style.format = format_;
  const std::lock_guard lock(mutex_);
  std::erase_if(styles_, [](const auto& entry) { return entry.first.expired(); });
  return styles_.emplace(generator, std::move(style)).first->second;
}

}  // namespace hanlin::agent
