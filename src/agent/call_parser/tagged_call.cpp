// Calls whose arguments are elements; their types come from the tool's schema.
#include <algorithm>

#include "agent/call_parser/bodies.h"

namespace hanlin::agent {
namespace {

constexpr size_t kMaxKeyBytes = 256;

// A value that is not simply a string: as JSON if it can be read as such.
std::string typed_value(const std::string& text, ParameterKind kind) {
  Cursor cursor{text};
  cursor.skip_space();
  std::string json = value_as_json(cursor.rest());
  if (kind == ParameterKind::kEither && !json.empty() && json[0] == '"') json.clear();  // quotes that belong to the text
  return json.empty() ? json_string(text) : json;
}

class TaggedCall final : public CallBody {
 public:
  explicit TaggedCall(TaggedCallSyntax syntax) : syntax_(std::move(syntax)) {}

  Verdict read(Cursor& cursor, CallSink& sink) override {
    while (true) {
      const size_t before = cursor.pos;
      const At at = at_;
      const Verdict verdict = step(cursor, sink);
      if (verdict != Verdict::kMore || (cursor.pos == before && at_ == at)) return verdict;
    }
  }

 private:
  enum class At { kBeforeName, kName, kParameter, kKey, kValueOpen, kAttributes, kValue, kEnds };

  Verdict go(At at) {
    at_ = at;
    return Verdict::kMore;
  }

  Verdict step(Cursor& cursor, CallSink& sink) {
    switch (at_) {
      case At::kBeforeName: {
        cursor.skip_space();
        if (cursor.empty()) return Verdict::kMore;  // more space may come, also where nothing stands before the name
        const Match match = cursor.take(syntax_.before_name);
        return match == Match::kYes ? go(At::kName) : match == Match::kNo ? Verdict::kFailed : Verdict::kMore;
      }
      case At::kName: return name(cursor, sink);
      case At::kParameter: return parameter(cursor, sink);
      case At::kKey: {
        size_t end = 0;
        const Match match = find_within(cursor, syntax_.after_key, kMaxKeyBytes, &end);
        if (match != Match::kYes) return match == Match::kNo ? Verdict::kFailed : Verdict::kMore;
        key_ = cursor.text.substr(cursor.pos, end - cursor.pos);
        cursor.pos = end + syntax_.after_key.size();
        return go(syntax_.attributes_end.empty() ? At::kValueOpen : At::kAttributes);
      }
      case At::kAttributes: {
        size_t end = 0;
        const Match match = find_within(cursor, syntax_.attributes_end, kMaxKeyBytes, &end);
        if (match != Match::kYes) return match == Match::kNo ? Verdict::kFailed : Verdict::kMore;
        cursor.pos = end + syntax_.attributes_end.size();
        return go(At::kValueOpen);
      }
      case At::kValueOpen: return value_open(cursor, sink);
      case At::kValue: return value(cursor, sink);
      default: return take_ends(cursor, syntax_.ends, &next_end_) ? Verdict::kDone : Verdict::kMore;
    }
  }

  Verdict name(Cursor& cursor, CallSink& sink) {
    size_t end = cursor.pos;
    while (end < cursor.text.size() && is_name_char(cursor.text[end])) ++end;
    const std::string name(cursor.text.substr(cursor.pos, end - cursor.pos));
    if (name.empty() || name.size() > 64) return cursor.empty() ? Verdict::kMore : Verdict::kFailed;
    bool partial = false;
    for (const std::string& after : syntax_.after_name) {
      const Match match = match_prefix(cursor.text.substr(end), after);
      partial |= match == Match::kPartial;
      if (match != Match::kYes) continue;
      if (!sink.tool(name)) return Verdict::kFailed;
      const bool stays = after == syntax_.parameter_open || after == syntax_.call_end;
      cursor.pos = end + (stays ? 0 : after.size());
      name_ = name;
      sink.begin_call(name);
      sink.arguments("{");
      return go(At::kParameter);
    }
    return partial && !cursor.at_end ? Verdict::kMore : Verdict::kFailed;
  }

  Verdict parameter(Cursor& cursor, CallSink& sink) {
    cursor.skip_space();
    const Match open = cursor.take(syntax_.parameter_open);
    if (open == Match::kYes) return go(At::kKey);
    const Match end = cursor.take(syntax_.call_end);
    if (end == Match::kYes) {
      sink.arguments("}");
      sink.end_call(cursor);
      return go(At::kEnds);
    }
    return open == Match::kPartial || end == Match::kPartial ? Verdict::kMore : Verdict::kFailed;
  }

  Verdict value_open(Cursor& cursor, CallSink& sink) {
    Cursor ahead = cursor;
    if (!syntax_.value_open.empty()) {
      ahead.skip_space();
      const Match match = ahead.take(syntax_.value_open);
      if (match != Match::kYes) return match == Match::kNo ? Verdict::kFailed : Verdict::kMore;
    }
    if (syntax_.trim_newlines) {
      if (ahead.empty() && !ahead.at_end) return Verdict::kMore;
      if (!ahead.empty() && ahead.peek() == '\n') ++ahead.pos;
    }
    cursor.pos = ahead.pos;
    const Tool* tool = sink.tool(name_);
    kind_ = ParameterKind::kText;
    for (const ToolParameter& p : tool ? tool->parameters : std::vector<ToolParameter>{}) {
      if (p.name == key_) kind_ = p.kind;
    }
    sink.arguments((n_parameters_ > 0 ? ", " : "") + json_string(key_) + ": " + (kind_ == ParameterKind::kText ? "\"" : ""));
    ++n_parameters_;
    text_.clear();
    return go(At::kValue);
  }

  // Strings go out as they come, except what may belong to the end of the value.
  Verdict value(Cursor& cursor, CallSink& sink) {
    const std::string_view rest = cursor.rest();
    const std::string line_end = "\n" + syntax_.value_end;
    size_t n_safe = 0;
    while (n_safe < rest.size()) {
      const std::string_view here = rest.substr(n_safe);
      Match match = match_prefix(here, syntax_.value_end);
      size_t n_end = syntax_.value_end.size();
      if (match != Match::kYes && syntax_.trim_newlines && here[0] == '\n') {
        match = match_prefix(here, line_end);
        n_end = line_end.size();
      }
      if (match == Match::kPartial && !cursor.at_end) break;
      if (match == Match::kYes) {
        show(rest.substr(0, n_safe), sink);
        sink.arguments(kind_ == ParameterKind::kText ? "\"" : typed_value(text_, kind_));
        cursor.pos += n_safe + n_end;
        return go(At::kParameter);
      }
      ++n_safe;
    }
    show(rest.substr(0, n_safe), sink);
    cursor.pos += n_safe;
    return Verdict::kMore;
  }

  void show(std::string_view part, CallSink& sink) {
    if (kind_ == ParameterKind::kText) sink.arguments(json_escaped(part));
    else text_ += part;
  }

  const TaggedCallSyntax syntax_;
  At at_ = At::kBeforeName;
  std::string name_, key_, text_;
  ParameterKind kind_ = ParameterKind::kText;
  size_t n_parameters_ = 0, next_end_ = 0;
};

}  // namespace

std::unique_ptr<CallBody> tagged_call(TaggedCallSyntax syntax) { return std::make_unique<TaggedCall>(std::move(syntax)); }

}  // namespace hanlin::agent
