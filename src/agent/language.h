// What Hanlin itself says to a model, in the language of the task.
#pragma once

#include <string>
#include <string_view>

namespace hanlin::agent {

struct Words {
  // Labels of ReAct, with their colons.
  std::string thought, action, input, observation, final;
  // What the prompt says about them.
  std::string arguments, react_intro, react_form;
  std::string react_go_on;      // behind the last observation
  std::string react_without_tools;
  std::string function_system;  // with function calls, where the run has no instructions of its own
  std::string after_results;    // behind the results of calls
  std::string answer_now;       // at a limit
  std::string begin_with;
};

// Chinese where the text has Chinese characters, else English.
const Words& words_for(std::string_view text);

}  // namespace hanlin::agent
