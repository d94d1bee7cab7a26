// Reads one step of the ReAct pattern (Yao et al., "ReAct: Synergizing Reasoning and Acting in Language Models", 2023).
#pragma once

#include <string>
#include <string_view>

namespace hanlin::agent {

// What a model wrote: the tool it wants, its final answer, or something that is neither.
struct ReactStep {
  enum class Kind { kAction, kFinal, kError };
  Kind kind = Kind::kError;
  std::string thought = {};
  std::string tool = {};        // kAction
  std::string input_json = {};  // kAction: JSON; a plain text is a JSON string, no input is "null"
  std::string answer = {};      // kFinal
  // kError: a word for programs ("both_final_and_action", "no_action", "no_tool_name") and a sentence for the model.
  std::string error = {};
  std::string message = {};
};

// Labels stand at the beginning of a line, in English or Chinese, with a half- or full-width colon and perhaps a number:
// Thought, Action, Action Input, Observation, Final Answer, Answer; 思考, 行动/动作, 行动输入/动作输入, 观察, 最终答案.
// Also read: `Action: tool(args)`, an action as JSON with name and arguments, names in quotes or with a full stop. What
// follows an Observation the model made up itself is left out. Pure; any thread.
ReactStep parse_react(std::string_view text);

}  // namespace hanlin::agent
