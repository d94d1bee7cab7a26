// How a family of models writes tool calls.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/call_parser/call_body.h"
#include "agent/tool_set.h"

namespace hanlin::agent {

// A text that begins something: a call, thoughts, or nothing (then it only vanishes).
struct Opening {
  std::string text;
  bool at_start = false;           // only where nothing but white space and calls came before
  std::function<std::unique_ptr<CallBody>()> body = {};  // reads what follows; empty: see below
  std::string reasoning_end = {};  // not empty: thoughts follow, up to this text
};

// A further way to frame calls: trigger begin NAME … ARGUMENTS end.
struct CallFrame {
  std::string trigger, begin, end;
  std::string between = {};
};

// The texts around name and arguments of a call, for prompts that begin a call and for grammars that constrain one:
//   begin NAME before_arguments ARGUMENTS end, and between two calls ARGUMENTS between NAME.
struct CallSyntax {
  enum class Arguments {
    kJson,    // one JSON object
    kPython,  // key="value", …
    kTagged,  // <parameter=key>value</parameter>…
    kBrace,   // {key:<escape>value<escape>,…}
  };
  std::vector<std::string> triggers = {};  // free text ends where one of these is written; empty: a call is the whole reply
  std::string begin;
  std::string before_arguments;
  std::string end;
  std::string between = {};  // empty: one call only
  Arguments arguments = Arguments::kJson;
  std::vector<CallFrame> more_frames = {};
  std::vector<std::string> restarts = {};  // texts that vanish; behind them is a new start
  bool bare_python = false;  // name(…) and [name(…)] at the start are calls
  bool ends_answer = false;  // `end` is an end token
  bool only_forced = false;  // in free text no grammar covers all that is a call
};

// A format for the tools of one request. Openings are tried in order; where one's body fails, the next that matches the
// same text is tried.
struct CallFormat {
  std::string name;  // "hermes"
  std::vector<Opening> openings;
  CallSyntax syntax;
  std::vector<std::string> markers = {};  // further special tokens that must be visible in the text
};

// The names of all formats, in the table's order.
std::vector<std::string> call_format_names();
bool is_call_format(std::string_view name);
// The format of this name ("generic_plain" if there is none), for these tools. Any thread. `exact`: the text follows
// call_constraint(); only what its grammar knows as a call is one.
CallFormat make_call_format(std::string_view name, const ToolSet& tools, bool exact = false);
// No calls; thoughts only.
CallFormat plain_format();
// How calls are written in this format.
CallSyntax call_syntax(std::string_view name);
// Every text that must reach the parser although it may be a special token of the model.
std::vector<std::string> visible_markers(const CallFormat& format);

}  // namespace hanlin::agent
