// What a model's chat template does with tools, found out by trying.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "api/generate.h"

namespace hanlin::agent {

struct ChatStyle {
  std::string format = "generic_plain";  // how the model writes calls: a name of call_format_names()
  bool shows_tools = false;    // the template writes the list of tools
  bool shows_calls = false;    // … the calls of earlier assistant messages
  bool shows_results = false;  // … messages of the role "tool"
  bool takes_system = true;    // the template has a place for system messages
  bool opens_reasoning = false;          // the prompt ends inside of thoughts, …
  std::string reasoning_end = "</think>";  // … which end with this
  bool needs_hints = false;              // a small model: told what is expected behind the results of calls
  bool native = false;                   // the generator tells calls from text itself (native_tool_calls()); nothing of the above counts
};

// The texts a template makes of the probes; empty where it refused one.
struct ProbeTexts {
  std::string plain;       // a question
  std::string with_system; // a system message and a question
  std::string with_tools;  // the same question and one tool
  std::string round_trip;  // the question, a call of the tool, its result
  // What to look for.
  std::string question, system, tool, argument, result;
};

// Judges the texts. `has_token(text)`: the text is one token of the model. Pure.
ChatStyle judge_probes(const ProbeTexts& texts, const std::function<bool(const std::string&)>& has_token);

// Renders the probes with the model's template and judges them; a generator with native calls is not probed. Any thread; takes some milliseconds.
ChatStyle probe_chat_style(const api::TextGenerator& generator);

// Whether a prompt that ends like this has opened the model's thoughts; sets opens_reasoning and reasoning_end.
void judge_prompt_end(const std::string& prompt_text, ChatStyle* style);

// Keeps the style of each model. Any thread.
class ChatStyles {
 public:
  // `format`: a name of call_format_names() that holds for all models instead of what the template says; "auto": none.
  explicit ChatStyles(std::string format = "auto") : format_(std::move(format)) {}
  // Probes at the first call for a generator.
  ChatStyle of(const std::shared_ptr<api::TextGenerator>& generator);

 private:
  const std::string format_;
  std::mutex mutex_;
  std::map<std::weak_ptr<api::TextGenerator>, ChatStyle, std::owner_less<>> styles_;
};

}  // namespace hanlin::agent
