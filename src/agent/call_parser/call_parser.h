// Splits what a model writes into content, reasoning and tool calls, as it comes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/call_parser/call_format.h"

namespace hanlin::agent {

struct Delta {
  enum class Kind {
    kContent,    // text to append
    kReasoning,  // text to append
    kCallBegin,  // text: the tool's name
    kArguments,  // text: JSON to append to this call's arguments
    kCallEnd,    // the call is complete; one that never ends is none
  };
  Kind kind;
  std::string text = {};
  int call_idx = 0;
  std::string id = {};  // kCallBegin, from a TurnReader
};

struct CallParserOptions {
  bool in_reasoning = false;   // the prompt opened the thoughts already, …
  std::string reasoning_end = "</think>";  // … which end with this
  int max_calls = 1 << 20;     // further calls vanish
  bool only_calls = false;     // text after a call vanishes (a call was demanded, and is there)
  bool trim = true;            // white space around calls, thoughts and content is layout
};

// Feed it text in any pieces (also inside UTF-8 sequences); the deltas together are the same. Text is held back only while it may
// be the beginning of a marker or of a call; finish() lets everything out. What looks like a call and is none becomes
// content. Not thread-safe.
class CallParser final : private CallSink {
 public:
  CallParser(CallFormat format, std::shared_ptr<const ToolSet> tools, CallParserOptions options = {});
  ~CallParser() override;

  void feed(std::string_view text, std::vector<Delta>* deltas);
  // The text is over. `truncated`: by a limit, so that an open call is cut off rather than malformed.
  void finish(bool truncated, std::vector<Delta>* deltas);
  // Complete calls so far.
  int n_calls() const { return n_calls_; }

 private:
  const Tool* tool(std::string_view name) const override;
  void begin_call(const std::string& name) override;
  void arguments(std::string_view json) override;
  void end_call(Cursor& cursor) override;
  void content(std::string_view text) override;
  void reasoning(std::string_view text) override;

  void process(bool at_end);
  bool read_text(bool at_end);
  bool read_reasoning(bool at_end);
  bool read_region(bool at_end);
  void begin_region(size_t first_opening);
  bool next_alternative();
  void region_failed(size_t n_consumed);
  void emit(Delta::Kind kind, std::string_view text);
  void show_region();
  void drop_layout();

  const CallFormat format_;
  const std::shared_ptr<const ToolSet> tools_;
  const CallParserOptions options_;
  bool first_bytes_[256] = {};  // of openings

  enum class Mode { kText, kReasoning, kRegion } mode_ = Mode::kText;
  std::string buffer_;          // not read yet; in a region: not read by its body
  std::string utf8_;            // an incomplete character
  std::string reasoning_end_;
  std::unique_ptr<CallBody> body_;
  std::vector<size_t> alternatives_;  // openings of the same text still to be tried, last first
  std::string opening_, raw_;   // the opening, and what the body read since the last finished call
  bool at_start_ = true;
  bool spoke_ = false;          // the region has shown text
  bool drop_space_ = false;     // white space that comes next is layout
  std::string held_space_;      // white space at the end of the content so far
  std::string held_thought_space_;
  bool thought_ = false;
  bool call_open_ = false, call_dropped_ = false;
  int n_begun_ = 0, n_calls_ = 0;
  std::vector<Delta>* out_ = nullptr;
};

}  // namespace hanlin::agent
