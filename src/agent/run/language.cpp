#include "agent/run/language.h"

namespace hanlin::agent {
namespace {

const Words kEnglish = {
    .thought = "Thought:",
    .action = "Action:",
    .input = "Action Input:",
    .observation = "Observation:",
    .final = "Final Answer:",
    .arguments = "Arguments:",
    .react_intro = "You solve the user's task step by step with these tools:",
    .react_form = "Write exactly one step each time, in this form:",
    .thought_hint = "what to do next, in one line",
    .action_hint = "one of",
    .input_hint = "the arguments as a JSON object",
    .observation_hint = "(the result of the tool, which you are given)",
    .final_thought = "I know the answer.",
    .final_hint = "the answer for the user",
    .react_without_tools = "Write one line \"Thought: …\", then \"Final Answer: …\".",
    .function_system = "You are a helpful assistant. Use the tools when they help. When you have the results, answer the user in words.",
    .answer_now = "No more tools can be used. Give your answer now, with what is known so far.",
    .begin_with = "Begin with",
};

const Words kChinese = {
    .thought = "思考：",
    .action = "行动：",
    .input = "行动输入：",
    .observation = "观察：",
    .final = "最终答案：",
    .arguments = "参数：",
    .react_intro = "请使用下列工具，一步一步地完成用户的任务：",
    .react_form = "每次只写一步，格式如下：",
    .thought_hint = "下一步做什么（一行）",
    .action_hint = "以下之一：",
    .input_hint = "JSON 对象形式的参数",
    .observation_hint = "（工具的结果，由系统给出）",
    .final_thought = "我知道答案了。",
    .final_hint = "给用户的回答",
    .react_without_tools = "先写一行“思考：…”，再写“最终答案：…”。",
    .function_system = "你是一个乐于助人的助手。需要时使用工具；得到结果后，用文字回答用户。",
    .answer_now = "不能再使用工具了。请根据目前所知，现在给出回答。",
    .begin_with = "开头写",
};

// The byte sequences of U+4E00 to U+9FFF begin with E4 B8 to E9 BF.
bool has_chinese(std::string_view text) {
  for (size_t i = 0; i + 2 < text.size(); ++i) {
    const auto a = static_cast<unsigned char>(text[i]), b = static_cast<unsigned char>(text[i + 1]);
    if (a >= 0xE5 && a <= 0xE9 && b >= 0x80) return true;
    if (a == 0xE4 && b >= 0xB8) return true;
  }
  return false;
}

}  // namespace

const Words& words_for(std::string_view text) { return has_chinese(text) ? kChinese : kEnglish; }

}  // namespace hanlin::agent
