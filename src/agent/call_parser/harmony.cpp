// gpt-oss ("harmony"): every message says in its header on which channel it is and for whom.
#include <algorithm>
#include <array>

#include "agent/call_parser/bodies.h"

namespace hanlin::agent {
namespace {

constexpr size_t kMaxHeaderBytes = 512;
constexpr std::string_view kMessage = "<|message|>";
constexpr std::array<std::string_view, 5> kEnds = {"<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>"};

class HarmonyMessage final : public CallBody {
 public:
  explicit HarmonyMessage(std::string header) : header_(std::move(header)) {}

  Verdict read(Cursor& cursor, CallSink& sink) override {
    if (!in_message_) {
      size_t end = 0;
      const Match match = find_within(cursor, kMessage, kMaxHeaderBytes, &end);
      if (match != Match::kYes) return match == Match::kNo ? Verdict::kFailed : Verdict::kMore;
      header_ += cursor.text.substr(cursor.pos, end - cursor.pos);
      cursor.pos = end + kMessage.size();
      in_message_ = true;
      if (!read_header(sink)) return Verdict::kFailed;
    }
    if (!name_.empty()) return arguments(cursor, sink);
    return text(cursor, sink);
  }

 private:
  // False: a call of what is no tool.
  bool read_header(CallSink& sink) {
    constexpr std::string_view kTo = "to=functions.";
    if (const size_t to = header_.find(kTo); to != std::string::npos) {
      size_t end = to + kTo.size();
      while (end < header_.size() && is_name_char(header_[end])) ++end;
      name_ = header_.substr(to + kTo.size(), end - to - kTo.size());
      return sink.tool(name_) != nullptr;
    }
    thought_ = header_.find("analysis") != std::string::npos;
    return true;
  }

  Verdict arguments(Cursor& cursor, CallSink& sink) {
    if (!begun_) {
      cursor.skip_space();
      if (cursor.empty()) return Verdict::kMore;
      if (cursor.peek() != '{') return Verdict::kFailed;
      sink.begin_call(name_);
      begun_ = true;
    }
    if (!ended_) {
      std::string json;
      const ValueReader::State state = reader_.read(cursor, &json);
      sink.arguments(json);
      if (state == ValueReader::State::kMore) return Verdict::kMore;
      if (state == ValueReader::State::kFailed) return Verdict::kFailed;
      sink.end_call(cursor);
      ended_ = true;
    }
    return take_ends(cursor, {std::string(kEnds[1])}, &next_end_) ? Verdict::kDone : Verdict::kMore;
  }

  Verdict text(Cursor& cursor, CallSink& sink) {
    const std::string_view rest = cursor.rest();
    size_t n_safe = 0;
    for (; n_safe < rest.size(); ++n_safe) {
      if (rest[n_safe] != '<') continue;
      bool partial = false;
      for (size_t i = 0; i < kEnds.size(); ++i) {
        const Match match = match_prefix(rest.substr(n_safe), kEnds[i]);
        partial |= match == Match::kPartial;
        if (match != Match::kYes) continue;
        show(rest.substr(0, n_safe), sink);
        cursor.pos += n_safe + (i < 3 ? kEnds[i].size() : 0);  // the beginning of a message is left to the next one
        cursor.committed = cursor.pos;
        return Verdict::kDone;
      }
      if (partial && !cursor.at_end) break;
    }
    show(rest.substr(0, n_safe), sink);
    cursor.pos += n_safe;
    cursor.committed = cursor.pos;
    return cursor.at_end ? Verdict::kDone : Verdict::kMore;
  }

  void show(std::string_view text, CallSink& sink) const {
    if (thought_) sink.reasoning(text);
    else sink.content(text);
  }

  std::string header_, name_;  // of the tool; empty: not a call
  bool in_message_ = false, thought_ = false, begun_ = false, ended_ = false;
  ValueReader reader_;
  size_t next_end_ = 0;
};

}  // namespace

std::unique_ptr<CallBody> harmony_message(std::string header) { return std::make_unique<HarmonyMessage>(std::move(header)); }

}  // namespace hanlin::agent
