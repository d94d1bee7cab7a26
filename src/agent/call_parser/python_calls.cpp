// Calls as Python writes them.
#include <algorithm>
#include <array>
#include <optional>

#include "agent/call_parser/bodies.h"

namespace hanlin::agent {
namespace {

class PythonCalls final : public CallBody {
 public:
  explicit PythonCalls(PythonCallsSyntax syntax)
      : syntax_(std::move(syntax)), at_(syntax_.name.empty() ? At::kStart : At::kOpenKnown) {}

  Verdict read(Cursor& cursor, CallSink& sink) override {
    while (true) {
      const size_t before = cursor.pos;
      const At at = at_;
      const Verdict verdict = step(cursor, sink);
      if (verdict != Verdict::kMore || (cursor.pos == before && at_ == at)) return verdict;
    }
  }

 private:
  enum class At { kStart, kOpenKnown, kName, kArgument, kValue, kAfterArgument, kAfterCall, kEnds };

  Verdict go(At at) {
    at_ = at;
    return Verdict::kMore;
  }

  Verdict step(Cursor& cursor, CallSink& sink) {
    if (at_ == At::kEnds) return take_ends(cursor, syntax_.ends, &next_end_) ? Verdict::kDone : Verdict::kMore;
    if (at_ == At::kOpenKnown) {
      if (!sink.tool(syntax_.name)) return Verdict::kFailed;
      begin(syntax_.name, sink);
      return go(At::kArgument);
    }
    if (at_ == At::kValue) return value(cursor, sink);
    cursor.skip_space();
    if (cursor.empty()) {
      if (cursor.at_end && at_ == At::kAfterCall) return Verdict::kDone;
      return Verdict::kMore;
    }
    const char c = cursor.peek();
    switch (at_) {
      case At::kStart:
        in_list_ = c == '[';
        if (in_list_) ++cursor.pos;
        return go(At::kName);
      case At::kName: return name(cursor, sink);
      case At::kArgument: return argument(cursor, sink);
      case At::kAfterArgument:
        if (c == ',') {
          ++cursor.pos;
          return go(At::kArgument);
        }
        return c == ')' ? end(cursor, sink) : Verdict::kFailed;
      default:  // kAfterCall
        if (c == ',' || c == ';') {
          ++cursor.pos;
          return Verdict::kMore;
        }
        if (c == ']') {
          ++cursor.pos;
          return go(At::kEnds);
        }
        return is_name_char(c) ? go(At::kName) : go(At::kEnds);
    }
  }

  Verdict name(Cursor& cursor, CallSink& sink) {
    size_t end = cursor.pos;
    while (end < cursor.text.size() && is_name_char(cursor.text[end])) ++end;
    const std::string word(cursor.text.substr(cursor.pos, end - cursor.pos));
    if (word.empty() || word.size() > 64) return failed();
    if (end == cursor.text.size()) return cursor.at_end ? failed() : Verdict::kMore;
    if (cursor.text[end] != '(' || !sink.tool(word)) return failed();
    cursor.pos = end + 1;
    begin(word, sink);
    return go(At::kArgument);
  }

  // After calls, what is none is text that follows.
  Verdict failed() {
    if (n_calls_ == 0) return Verdict::kFailed;
    return go(At::kEnds);
  }

  void begin(const std::string& name, CallSink& sink) {
    name_ = name;
    n_arguments_ = 0;
    sink.begin_call(name);
    sink.arguments("{");
  }

  Verdict end(Cursor& cursor, CallSink& sink) {
    ++cursor.pos;
    sink.arguments("}");
    sink.end_call(cursor);
    ++n_calls_;
    return go(syntax_.exact && !in_list_ ? At::kEnds : At::kAfterCall);
  }

  // key=value, or a value for the parameter at this position.
  Verdict argument(Cursor& cursor, CallSink& sink) {
    if (cursor.peek() == ')') return end(cursor, sink);
    Cursor ahead = cursor;
    while (!ahead.empty() && is_name_char(ahead.peek())) ++ahead.pos;
    std::string key(cursor.text.substr(cursor.pos, ahead.pos - cursor.pos));
    ahead.skip_space();
    if (ahead.empty()) return ahead.at_end ? Verdict::kFailed : Verdict::kMore;
    if (!key.empty() && ahead.peek() == '=') {
      cursor.pos = ahead.pos + 1;
    } else {
      const Tool* tool = sink.tool(name_);
      if (!tool || n_arguments_ >= tool->parameters.size()) return Verdict::kFailed;
      key = tool->parameters[n_arguments_].name;
    }
    sink.arguments((n_arguments_ > 0 ? ", " : "") + json_string(key) + ": ");
    ++n_arguments_;
    reader_.emplace(ValueStyle{.python = true});
    return go(At::kValue);
  }

  Verdict value(Cursor& cursor, CallSink& sink) {
    std::string json;
    const ValueReader::State state = reader_->read(cursor, &json);
    if (!json.empty()) sink.arguments(json);
    if (state == ValueReader::State::kFailed) return Verdict::kFailed;
    return state == ValueReader::State::kDone ? go(At::kAfterArgument) : Verdict::kMore;
  }

  const PythonCallsSyntax syntax_;
  At at_;
  std::string name_;
  bool in_list_ = false;
  size_t n_arguments_ = 0, n_calls_ = 0, next_end_ = 0;
  std::optional<ValueReader> reader_;
};

}  // namespace

std::unique_ptr<CallBody> python_calls(PythonCallsSyntax syntax) { return std::make_unique<PythonCalls>(std::move(syntax)); }

}  // namespace hanlin::agent
