#include "agent/language.h"

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
    .react_form = "Each time write one line that begins with \"Thought:\", and then either a line \"Action:\" with the name of a tool and a line \"Action Input:\" with its arguments as a JSON object, "
                  "or \"Final Answer:\" with the answer for the user. After an action you are given its result as \"Observation:\".",
    .react_go_on = "If this answers the task, write \"Final Answer:\" now.",
    .react_without_tools = "Write one line \"Thought: …\", then \"Final Answer: …\".",
    .function_system = "You are a helpful assistant. Use the tools when they help. When you have the results, answer the user in words.",
    .after_results = "If the results are enough, answer the question in words now.",
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
    .react_form = "每次先写以“思考：”开头的一行，然后要么写“行动：”加工具名一行和“行动输入：”加 JSON 参数一行，要么写“最终答案：”加给用户的回答。行动之后，你会得到以“观察：”开头的结果。",
    .react_go_on = "如果这已经能回答任务，请现在写“最终答案：”。",
    .react_without_tools = "先写一行“思考：…”，再写“最终答案：…”。",
    .function_system = "你是一个乐于助人的助手。需要时使用工具；得到结果后，用文字回答用户。",
    .after_results = "如果结果已经足够，请现在用文字回答问题。",
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
