// What reads the inside of a call, and where it puts what it finds.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/call_parser/cursor.h"
#include "agent/tool_set.h"

namespace hanlin::agent {

// Takes the parts of calls in order: begin_call, arguments…, end_call. Implemented by CallParser.
class CallSink {
 public:
  virtual ~CallSink() = default;
  // The tool of this name if it may be called, else null: what names another tool is no call.
  virtual const Tool* tool(std::string_view name) const = 0;
  virtual void begin_call(const std::string& name) = 0;
  virtual void arguments(std::string_view json) = 0;
  // What was read so far belongs to this call and will not become text any more.
  virtual void end_call(Cursor& cursor) = 0;
  virtual void content(std::string_view text) = 0;
  virtual void reasoning(std::string_view text) = 0;
};

enum class Verdict {
  kMore,    // wants more text; at the end of all text: what is there is not complete
  kDone,    // the region ends at cursor.pos
  kFailed,  // this is no call: what was read since the last end_call becomes text
};

// Reads what follows an opening, as text comes. Not thread-safe; one object reads one region.
class CallBody {
 public:
  virtual ~CallBody() = default;
  // Reads on from cursor.pos. The same text in other pieces gives the same calls.
  virtual Verdict read(Cursor& cursor, CallSink& sink) = 0;
};

}  // namespace hanlin::agent
