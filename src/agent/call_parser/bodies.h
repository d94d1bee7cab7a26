// The notations calls are written in. Each function makes a reader for what follows an opening; formats.cpp says which
// model family uses which.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/call_parser/call_body.h"
#include "agent/call_parser/value_reader.h"

namespace hanlin::agent {

// Objects {"name": …, "arguments": {…}}, one, several or a list; also {"tool_calls": […]}, {"function": {…}}, and the
// keys that families use instead: tool_name, parameters.
struct JsonCallsSyntax {
  bool bare = false;      // no marker says that this is a call: only what cannot be anything else is one
  bool fenced = false;    // comes after ``` and an optional language
  char opened = 0;        // this bracket was in the opening
  bool response = false;  // {"response": "text"} is an answer in words
  bool exact = false;     // only {"name": "…", "arguments": {…}}, in this order
  std::vector<std::string> ends = {};  // texts after the last call, which vanish; each may be absent
};
std::unique_ptr<CallBody> json_calls(JsonCallsSyntax syntax);

// A name, something, and the arguments as one value: a list of steps, taken in order. White space between is skipped.
struct NamedCallStep {
  enum class Kind { kText, kMaybeText, kName, kMaybeWord, kArguments } kind;
  std::string text = {};
};
struct NamedCallSyntax {
  std::string name = {};  // known from the opening; empty: kName reads it
  std::vector<NamedCallStep> steps;
  ValueStyle style = {};
};
std::unique_ptr<CallBody> named_call(NamedCallSyntax syntax);

// name(key=value, …) as in Python, one or several, with or without [ ] around.
struct PythonCallsSyntax {
  std::string name = {};  // "name(" was in the opening
  std::vector<std::string> ends = {};
  bool exact = false;     // without [ ] it is one call
};
std::unique_ptr<CallBody> python_calls(PythonCallsSyntax syntax);

// Arguments as elements whose text is the value: <parameter=key>value</parameter>.
struct TaggedCallSyntax {
  std::string before_name = {};             // "<function="
  std::vector<std::string> after_name;      // one of these follows the name; a parameter_open stays to be read
  std::string parameter_open;               // "<parameter="
  std::string after_key;                    // ">"
  std::string value_open = {};              // "<arg_value>"; empty: none
  std::string attributes_end = {};          // ">": between key and value may stand anything up to this
  std::string value_end;                    // "</parameter>"
  std::string call_end;                     // "</function>"
  std::vector<std::string> ends = {};
  bool trim_newlines = true;                // one line end on both sides of a value is layout
};
std::unique_ptr<CallBody> tagged_call(TaggedCallSyntax syntax);

// gpt-oss: channels for thoughts, answers and calls. `header` was in the opening.
std::unique_ptr<CallBody> harmony_message(std::string header);

// Takes the texts of `ends` that come next, in order, with white space before them. False: more text is needed.
bool take_ends(Cursor& cursor, const std::vector<std::string>& ends, size_t* next);

}  // namespace hanlin::agent
