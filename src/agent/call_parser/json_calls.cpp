// Calls as JSON objects.
#include <algorithm>
#include <array>

#include "agent/call_parser/bodies.h"
#include "base/json.h"

namespace hanlin::agent {
namespace {

using State = ValueReader::State;

template <size_t N>
bool is_one_of(std::string_view text, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

constexpr std::array<std::string_view, 2> kNameKeys = {"name", "tool_name"};
constexpr std::array<std::string_view, 2> kArgumentKeys = {"arguments", "parameters"};
constexpr std::array<std::string_view, 2> kListKeys = {"tool_calls", "tool_call"};
constexpr std::array<std::string_view, 4> kHarmlessKeys = {"type", "id", "index", "tool_call_id"};
constexpr std::array<std::string_view, 7> kLanguages = {"", "json", "JSON", "tool_call", "tool_calls", "tool", "jsonl"};

class JsonCalls final : public CallBody {
 public:
  explicit JsonCalls(JsonCallsSyntax syntax) : syntax_(std::move(syntax)), at_(syntax_.fenced ? At::kLanguage : At::kStart) {
    if (syntax_.opened) open_bracket(syntax_.opened);
  }

  Verdict read(Cursor& cursor, CallSink& sink) override {
    while (true) {
      const size_t before = cursor.pos;
      const At at = at_;
      const Verdict verdict = step(cursor, sink);
      if (verdict != Verdict::kMore || (cursor.pos == before && at_ == at)) return verdict;
    }
  }

 private:
  enum class At { kLanguage, kStart, kItem, kKey, kColon, kValue, kName, kArguments, kText, kSkipped, kAfterValue, kBetween, kEnds };
  enum class Frame { kList, kCall, kInner };  // kInner: {"function": {…}}, whose keys are the call's

  struct Call {
    std::string name, held_arguments;
    bool named = false, has_arguments = false, begun = false, wrapper = false;
  };

  Verdict step(Cursor& cursor, CallSink& sink);
  Verdict language(Cursor& cursor);
  Verdict open(Cursor& cursor);
  void open_bracket(char bracket);
  Verdict choose_by_key(Cursor& cursor);
  Verdict key_read(const std::string& key);
  Verdict read_value(Cursor& cursor, CallSink& sink);
  Verdict arguments_done(CallSink& sink);
  Verdict close(Cursor& cursor, CallSink& sink);
  void finish_call(Cursor& cursor, CallSink& sink);
  void begin(CallSink& sink);
  void show_response(CallSink& sink, bool last);
  Verdict fail() const { return Verdict::kFailed; }
  Verdict go(At at) {
    at_ = at;
    return Verdict::kMore;
  }

  const JsonCallsSyntax syntax_;
  At at_;
  std::vector<Frame> frames_;
  Call call_;
  ValueReader reader_;
  std::string json_, key_;  // what the reader made of a value not yet used
  bool is_object_ = false;  // the arguments read now are an object
  bool streaming_ = false;  // arguments go out as they come
  size_t n_calls_ = 0, next_end_ = 0;
  bool answered_ = false;
};

Verdict JsonCalls::step(Cursor& cursor, CallSink& sink) {
  if (at_ == At::kLanguage) return language(cursor);
  if (at_ == At::kEnds) return take_ends(cursor, syntax_.ends, &next_end_) ? Verdict::kDone : Verdict::kMore;
  if (at_ >= At::kName && at_ <= At::kSkipped) return read_value(cursor, sink);
  cursor.skip_space();
  if (cursor.empty()) {
    // The end of the text is also the end of calls whose last brackets are missing.
    if (!cursor.at_end) return Verdict::kMore;
    if (at_ == At::kAfterValue && call_.has_arguments && call_.named) {
      if (!call_.begun) begin(sink);
      finish_call(cursor, sink);
      return Verdict::kDone;
    }
    return n_calls_ > 0 || answered_ ? Verdict::kDone : Verdict::kMore;
  }
  const char c = cursor.peek();
  switch (at_) {
    case At::kStart:
      return c == '{' || c == '[' ? open(cursor) : fail();
    case At::kItem:  // in a list
      if (c == ']') return close(cursor, sink);
      if (c == ',' || c == ';') {
        if (syntax_.exact && n_calls_ == 0) return fail();
        ++cursor.pos;
        return Verdict::kMore;
      }
      return c == '{' ? open(cursor) : fail();
    case At::kKey:
      if (c == '}') return close(cursor, sink);
      reader_ = ValueReader();
      json_.clear();
      at_ = At::kSkipped;
      key_.clear();
      streaming_ = false;
      return c == '"' || (c == '\'' && !syntax_.exact) ? Verdict::kMore : fail();
    case At::kColon:
      if (c != ':') return fail();
      ++cursor.pos;
      return go(At::kValue);
    case At::kValue:
      return choose_by_key(cursor);
    case At::kAfterValue:
      if (c == ',') {
        ++cursor.pos;
        return go(At::kKey);
      }
      if (c == '}') return close(cursor, sink);
      if (!call_.named || !call_.has_arguments) return fail();
      if (!call_.begun) begin(sink);  // a closing bracket is missing
      finish_call(cursor, sink);
      frames_.clear();
      return go(At::kEnds);
    default:  // kBetween
      if (syntax_.exact) return go(At::kEnds);
      if (c == ',' || c == ';' || c == '}' || c == ']') {
        if (answered_) return go(At::kEnds);
        ++cursor.pos;
        return Verdict::kMore;
      }
      return c == '{' || c == '[' ? open(cursor) : go(At::kEnds);
  }
}

// ```json: a word this reader knows and the end of the line; models also write the object right behind the word.
Verdict JsonCalls::language(Cursor& cursor) {
  size_t end = cursor.pos;
  while (end < cursor.text.size() && is_name_char(cursor.text[end])) ++end;
  const std::string_view word = cursor.text.substr(cursor.pos, end - cursor.pos);
  if (end == cursor.text.size() && !cursor.at_end) {
    const bool possible = std::any_of(kLanguages.begin(), kLanguages.end(), [&](std::string_view l) { return l.starts_with(word); });
    return possible ? Verdict::kMore : fail();
  }
  if (!is_one_of(word, kLanguages)) return fail();
  cursor.pos = end;
  return go(At::kStart);
}

Verdict JsonCalls::open(Cursor& cursor) {
  if (frames_.size() > 8) return fail();
  open_bracket(cursor.peek());
  ++cursor.pos;
  return Verdict::kMore;
}

void JsonCalls::open_bracket(char bracket) {
  const bool list = bracket == '[';
  frames_.push_back(list ? Frame::kList : Frame::kCall);
  if (!list) call_ = {};
  at_ = list ? At::kItem : At::kKey;
}

Verdict JsonCalls::choose_by_key(Cursor& cursor) {
  const char c = cursor.peek();
  reader_ = ValueReader();
  json_.clear();
  if (syntax_.exact) {
    if (call_.named ? c != '{' : c != '"') return fail();
    is_object_ = true;
    return go(call_.named ? At::kArguments : At::kName);
  }
  if (is_one_of(key_, kListKeys) && (c == '[' || c == '{')) return open(cursor);
  if (key_ == "function" && c == '{') {
    if (frames_.size() > 8) return fail();
    ++cursor.pos;
    frames_.push_back(Frame::kInner);
    return go(At::kKey);
  }
  if (is_one_of(key_, kNameKeys) || key_ == "function") return c == '"' || c == '\'' ? go(At::kName) : fail();
  if (is_one_of(key_, kArgumentKeys)) {
    if (call_.has_arguments || (c != '{' && c != '"' && c != '\'' && c != 'n' && c != 'N')) return fail();
    is_object_ = c == '{';
    return go(At::kArguments);
  }
  if (syntax_.response && key_ == "response" && frames_.size() == 1 && c == '"') return go(At::kText);
  if (syntax_.bare && !call_.begun && (!is_one_of(key_, kHarmlessKeys) || c == '{' || c == '[')) return fail();
  key_ = "-";  // not a key: a value that is skipped
  return go(At::kSkipped);
}

// Strings and values of every kind.
Verdict JsonCalls::read_value(Cursor& cursor, CallSink& sink) {
  if (at_ == At::kArguments && is_object_ && call_.named && !call_.begun) {
    begin(sink);
    streaming_ = true;
  }
  const State state = reader_.read(cursor, &json_);
  if (streaming_ && !json_.empty()) {
    sink.arguments(json_);
    json_.clear();
  }
  if (at_ == At::kText) show_response(sink, state == State::kDone);
  if (state == State::kFailed) return fail();
  if (state == State::kMore) {
    if (at_ == At::kSkipped && key_ == "-") json_.clear();
    return Verdict::kMore;
  }
  switch (at_) {
    case At::kName: {
      const Result<Json> name = parse_json(json_);
      if (!name.ok() || !name->is_string() || call_.named) return fail();
      call_.name = name->get<std::string>();
      call_.named = true;
      if (syntax_.exact && json_.size() != call_.name.size() + 2) return fail();  // with escapes
      if (!sink.tool(call_.name)) return fail();
      return go(At::kAfterValue);
    }
    case At::kArguments: return arguments_done(sink);
    case At::kText: return go(At::kAfterValue);
    default: break;
  }
  if (!key_.empty()) return go(At::kAfterValue);  // a skipped value
  const auto is_expected = [this] { return call_.named ? !call_.has_arguments && (json_ == "\"arguments\"" || json_ == "\"parameters\"") : json_ == "\"name\""; };
  if (syntax_.exact && !is_expected()) return fail();
  const Result<Json> key = parse_json(json_);
  return key.ok() && key->is_string() ? key_read(key->get<std::string>()) : fail();
}

Verdict JsonCalls::key_read(const std::string& key) {
  key_ = key;
  const bool known = is_one_of(key, kNameKeys) || is_one_of(key, kArgumentKeys) || is_one_of(key, kListKeys) || key == "function" ||
                     is_one_of(key, kHarmlessKeys) || (syntax_.response && key == "response");
  if (key.empty() || (syntax_.bare && !known && !call_.begun)) return fail();
  if (is_one_of(key, kListKeys)) call_.wrapper = true;
  return go(At::kColon);
}

Verdict JsonCalls::arguments_done(CallSink& sink) {
  call_.has_arguments = true;
  if (!streaming_) {
    if (json_ == "null") json_ = "{}";
    if (json_[0] == '"') {  // arguments that are JSON in a string
      const Result<Json> text = parse_json(json_);
      if (!text.ok() || !text->is_string()) return fail();
      const std::string inner = value_as_json(text->get_ref<const std::string&>());
      if (inner.empty() || inner.find('{') == std::string::npos) return fail();
      json_ = inner;
    }
    call_.held_arguments = json_;
    if (call_.named) begin(sink);
  }
  streaming_ = false;
  return go(At::kAfterValue);
}

void JsonCalls::begin(CallSink& sink) {
  sink.begin_call(call_.name);
  call_.begun = true;
  if (call_.has_arguments) sink.arguments(call_.held_arguments);
}

void JsonCalls::finish_call(Cursor& cursor, CallSink& sink) {
  sink.end_call(cursor);
  ++n_calls_;
  call_ = {};
  call_.wrapper = true;
}

// At "}" or "]".
Verdict JsonCalls::close(Cursor& cursor, CallSink& sink) {
  ++cursor.pos;
  const Frame frame = frames_.back();
  frames_.pop_back();
  if (frame == Frame::kInner) return go(At::kAfterValue);
  if (frame == Frame::kCall && call_.named) {
    if (!call_.has_arguments) {
      if (syntax_.bare) return fail();
      call_.held_arguments = "{}";
      call_.has_arguments = true;
    }
    if (!call_.begun) begin(sink);
    finish_call(cursor, sink);
  } else if (frame == Frame::kCall && !call_.wrapper && !answered_) {
    return fail();
  }
  if (frames_.empty()) {
    // A marked empty list says that no call is needed.
    if (n_calls_ == 0 && !answered_ && (frame != Frame::kList || syntax_.bare)) return fail();
    return go(At::kBetween);
  }
  return go(frames_.back() == Frame::kList ? At::kItem : At::kAfterValue);
}

// Shows the part of the response whose escapes are complete.
void JsonCalls::show_response(CallSink& sink, bool last) {
  answered_ = true;
  const size_t begin = !json_.empty() && json_[0] == '"' ? 1 : 0;  // only the first piece has it unescaped
  size_t end = begin, safe = begin;
  while (end < json_.size() && json_[end] != '"') {
    const bool escape = json_[end] == '\\';
    const size_t n = !escape ? 1 : end + 1 < json_.size() && json_[end + 1] == 'u' ? 6 : 2;
    if (end + n > json_.size()) break;
    const bool high_surrogate = n == 6 && (json_[end + 2] | 32) == 'd' && std::string_view("89abAB").find(json_[end + 3]) != std::string_view::npos;
    end += n;
    if (!high_surrogate || last) safe = end;
  }
  sink.content(json_unescaped(std::string_view(json_).substr(begin, safe - begin)));
  json_.erase(0, safe);
}

}  // namespace

std::unique_ptr<CallBody> json_calls(JsonCallsSyntax syntax) { return std::make_unique<JsonCalls>(std::move(syntax)); }

bool take_ends(Cursor& cursor, const std::vector<std::string>& ends, size_t* next) {
  while (*next < ends.size()) {
    size_t at = cursor.pos;
    while (at < cursor.text.size() && is_space(cursor.text[at])) ++at;
    Match match = match_prefix(cursor.text.substr(at), ends[*next]);
    if (match == Match::kPartial) {
      if (!cursor.at_end) return false;
      match = Match::kNo;
    }
    if (match == Match::kYes) cursor.pos = at + ends[*next].size();
    ++*next;
  }
  return true;
}

}  // namespace hanlin::agent
