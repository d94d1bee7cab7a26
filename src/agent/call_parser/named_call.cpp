// Calls as a name, a separator, and arguments in one value.
#include "agent/call_parser/bodies.h"

namespace hanlin::agent {
namespace {

constexpr size_t kMaxNameBytes = 128;

// "functions.get_weather:0" → "get_weather": namespaces and numbers that some families add.
std::string plain_name(std::string name) {
  constexpr std::string_view kNamespace = "functions.";
  if (name.starts_with(kNamespace)) name.erase(0, kNamespace.size());
  return name.substr(0, name.find(':'));
}

class NamedCall final : public CallBody {
 public:
  explicit NamedCall(NamedCallSyntax syntax) : syntax_(std::move(syntax)), name_(syntax_.name), reader_(syntax_.style) {}

  Verdict read(Cursor& cursor, CallSink& sink) override {
    while (step_ < syntax_.steps.size()) {
      const Verdict verdict = take(syntax_.steps[step_], cursor, sink);
      if (verdict == Verdict::kFailed && ended_) return Verdict::kDone;
      if (verdict != Verdict::kDone) return verdict;
      ++step_;
    }
    return Verdict::kDone;
  }

 private:
  using Kind = NamedCallStep::Kind;

  // kDone: this step is over.
  Verdict take(const NamedCallStep& step, Cursor& cursor, CallSink& sink) {
    if (step.kind == Kind::kArguments) return arguments(cursor, sink);
    Cursor ahead = cursor;
    ahead.skip_space();
    if (ahead.empty() && !ahead.at_end) return Verdict::kMore;
    if (step.kind == Kind::kText || step.kind == Kind::kMaybeText) {
      const Match match = ahead.take(step.text);
      if (match == Match::kPartial) return Verdict::kMore;
      if (match == Match::kYes) cursor.pos = ahead.pos;
      return match == Match::kYes || step.kind == Kind::kMaybeText ? Verdict::kDone : Verdict::kFailed;
    }
    const size_t begin = ahead.pos;
    while (!ahead.empty() && (is_name_char(ahead.peek()) || ahead.peek() == ':')) ++ahead.pos;
    const std::string_view word = cursor.text.substr(begin, ahead.pos - begin);
    if (word.size() > kMaxNameBytes) return Verdict::kFailed;
    if (ahead.empty() && !ahead.at_end) return Verdict::kMore;
    cursor.pos = ahead.pos;
    if (step.kind == Kind::kMaybeWord) return Verdict::kDone;
    name_ = plain_name(std::string(word));
    return sink.tool(name_) ? Verdict::kDone : Verdict::kFailed;
  }

  Verdict arguments(Cursor& cursor, CallSink& sink) {
    if (!begun_) {
      cursor.skip_space();
      if (cursor.empty()) return Verdict::kMore;
      if (cursor.peek() != '{') return Verdict::kFailed;
      sink.begin_call(name_);
      begun_ = true;
    }
    std::string json;
    const ValueReader::State state = reader_.read(cursor, &json);
    sink.arguments(json);
    if (state == ValueReader::State::kMore) return Verdict::kMore;
    if (state == ValueReader::State::kFailed) return Verdict::kFailed;
    sink.end_call(cursor);
    ended_ = true;
    return Verdict::kDone;
  }

  const NamedCallSyntax syntax_;
  size_t step_ = 0;
  std::string name_;
  ValueReader reader_;
  bool begun_ = false, ended_ = false;
};

}  // namespace

std::unique_ptr<CallBody> named_call(NamedCallSyntax syntax) { return std::make_unique<NamedCall>(std::move(syntax)); }

}  // namespace hanlin::agent
