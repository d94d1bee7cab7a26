#include "agent/call_parser/call_parser.h"

#include <algorithm>

namespace hanlin::agent {
namespace {

// Bytes at the end of `text` that begin a UTF-8 sequence without completing it.
size_t n_incomplete_bytes(std::string_view text) {
  for (size_t n = 1; n <= 3 && n <= text.size(); ++n) {
    const auto byte = static_cast<unsigned char>(text[text.size() - n]);
    if ((byte & 0xc0) == 0x80) continue;
    const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > n ? n : 0;
  }
  return 0;
}

}  // namespace

CallParser::CallParser(CallFormat format, std::shared_ptr<const ToolSet> tools, CallParserOptions options)
    : format_(std::move(format)), tools_(std::move(tools)), options_(std::move(options)) {
  for (const Opening& opening : format_.openings) first_bytes_[static_cast<unsigned char>(opening.text[0])] = true;
  if (options_.in_reasoning) {
    mode_ = Mode::kReasoning;
    reasoning_end_ = options_.reasoning_end;
  }
}
CallParser::~CallParser() = default;

void CallParser::feed(std::string_view text, std::vector<Delta>* deltas) {
  out_ = deltas;
  utf8_ += text;
  const size_t n_whole = utf8_.size() - n_incomplete_bytes(utf8_);
  buffer_.append(utf8_, 0, n_whole);
  utf8_.erase(0, n_whole);
  process(/*at_end=*/false);
}

void CallParser::finish(bool truncated, std::vector<Delta>* deltas) {
  out_ = deltas;
  buffer_ += utf8_;
  utf8_.clear();
  process(/*at_end=*/true);
  if (mode_ == Mode::kRegion) {
    const bool cut_off = truncated && call_open_;
    call_open_ = false;
    raw_ += buffer_;
    buffer_.clear();
    mode_ = Mode::kText;
    if (!cut_off) content(opening_ + raw_);
  }
  if (n_calls_ == 0 && !drop_space_) emit(Delta::Kind::kContent, held_space_);
  held_space_.clear();
}

// Reads the buffer until more text is needed.
void CallParser::process(bool at_end) {
  while (mode_ == Mode::kRegion ? read_region(at_end) : mode_ == Mode::kReasoning ? read_reasoning(at_end) : read_text(at_end)) {
  }
}

// Content up to the next opening. True: the mode changed.
bool CallParser::read_text(bool at_end) {
  size_t pos = 0;
  bool waits = false;
  for (; pos < buffer_.size() && !waits; ++pos) {
    const char c = buffer_[pos];
    if (is_space(c)) continue;
    const bool start = at_start_;
    if (first_bytes_[static_cast<unsigned char>(c)]) {
      size_t found = format_.openings.size();
      for (size_t i = 0; i < format_.openings.size() && !waits; ++i) {
        const Opening& opening = format_.openings[i];
        if (opening.at_start && !start) continue;
        const Match match = match_prefix(std::string_view(buffer_).substr(pos), opening.text);
        if (match == Match::kPartial && !at_end) waits = true;
        if (match == Match::kYes) found = std::min(found, i);
      }
      if (waits) break;
      if (found < format_.openings.size()) {
        content(std::string_view(buffer_).substr(0, pos));
        buffer_.erase(0, pos + format_.openings[found].text.size());
        begin_region(found);
        return true;
      }
    }
    at_start_ = false;
  }
  content(std::string_view(buffer_).substr(0, pos));
  buffer_.erase(0, pos);
  return false;
}

void CallParser::begin_region(size_t first_opening) {
  opening_ = format_.openings[first_opening].text;
  alternatives_.clear();
  for (size_t i = format_.openings.size(); i-- > first_opening;) {
    const Opening& opening = format_.openings[i];
    if (opening.text == opening_ && (!opening.at_start || at_start_)) alternatives_.push_back(i);
  }
  raw_.clear();
  spoke_ = false;
  next_alternative();
}

// Begins what the next opening of the same text says. False: there is none left.
bool CallParser::next_alternative() {
  if (alternatives_.empty()) return false;
  const Opening& opening = format_.openings[alternatives_.back()];
  alternatives_.pop_back();
  if (opening.body) {
    body_ = opening.body();
    mode_ = Mode::kRegion;
  } else if (!opening.reasoning_end.empty()) {
    drop_layout();
    reasoning_end_ = opening.reasoning_end;
    mode_ = Mode::kReasoning;
  } else {
    drop_layout();
    mode_ = Mode::kText;
  }
  return true;
}

bool CallParser::read_reasoning(bool at_end) {
  const size_t found = buffer_.find(reasoning_end_);
  size_t n_shown = found;
  if (found == std::string::npos) {
    // What may be the beginning of the end is held back.
    n_shown = buffer_.size();
    for (size_t n = std::min(buffer_.size(), reasoning_end_.size() - 1); n > 0 && !at_end; --n) {
      if (buffer_.compare(buffer_.size() - n, n, reasoning_end_, 0, n) == 0) {
        n_shown = buffer_.size() - n;
        break;
      }
    }
  }
  reasoning(std::string_view(buffer_).substr(0, n_shown));
  buffer_.erase(0, n_shown);
  if (found == std::string::npos) return false;
  buffer_.erase(0, reasoning_end_.size());
  held_thought_space_.clear();
  drop_space_ = true;
  mode_ = Mode::kText;
  return true;
}

bool CallParser::read_region(bool at_end) {
  Cursor cursor{buffer_, at_end};
  const Verdict verdict = body_->read(cursor, *this);
  if (spoke_) raw_.clear();
  else raw_.append(buffer_, cursor.committed, cursor.pos - cursor.committed);
  const bool stuck = verdict == Verdict::kMore && at_end && !call_open_ && !opening_.empty() && !alternatives_.empty();
  if (verdict == Verdict::kFailed || stuck) {
    region_failed(cursor.pos);
    return true;
  }
  buffer_.erase(0, cursor.pos);
  if (verdict == Verdict::kMore) return false;
  body_.reset();
  mode_ = Mode::kText;
  return true;
}

// What was read is no call: it is tried as another kind of call, or is text.
void CallParser::region_failed(size_t n_consumed) {
  buffer_.erase(0, n_consumed);
  body_.reset();
  const bool untouched = !call_open_ && !opening_.empty();  // end_call and texts shown empty the opening
  call_open_ = false;
  if (untouched && next_alternative()) {
    buffer_.insert(0, raw_);
    raw_.clear();
    return;
  }
  mode_ = Mode::kText;
  at_start_ = false;
  content(opening_ + raw_);
}

const Tool* CallParser::tool(std::string_view name) const { return tools_ ? tools_->find(name) : nullptr; }

void CallParser::begin_call(const std::string& name) {
  call_open_ = true;
  call_dropped_ = n_calls_ >= options_.max_calls;
  if (call_dropped_) return;
  drop_layout();
  out_->push_back({Delta::Kind::kCallBegin, name, n_begun_++});
}

void CallParser::arguments(std::string_view json) {
  if (!call_dropped_) emit(Delta::Kind::kArguments, json);
}

void CallParser::end_call(Cursor& cursor) {
  cursor.committed = cursor.pos;
  opening_.clear();
  raw_.clear();
  call_open_ = false;
  at_start_ = true;
  drop_space_ = options_.trim;
  if (call_dropped_) return;
  out_->push_back({Delta::Kind::kCallEnd, {}, n_begun_ - 1});
  ++n_calls_;
}

void CallParser::content(std::string_view text) {
  if (options_.only_calls && n_calls_ > 0) return;
  if (drop_space_) {
    while (!text.empty() && is_space(text[0])) text.remove_prefix(1);
  }
  if (text.empty()) return;
  drop_space_ = false;
  show_region();
  size_t end = text.size();
  while (options_.trim && end > 0 && is_space(text[end - 1])) --end;
  if (end > 0) {
    emit(Delta::Kind::kContent, held_space_ + std::string(text.substr(0, end)));
    held_space_.clear();
  }
  held_space_ += text.substr(end);
}

void CallParser::reasoning(std::string_view text) {
  show_region();
  size_t begin = 0, end = text.size();
  while (!thought_ && begin < end && is_space(text[begin])) ++begin;
  while (end > begin && is_space(text[end - 1])) --end;
  if (end > begin) {
    emit(Delta::Kind::kReasoning, held_thought_space_ + std::string(text.substr(begin, end - begin)));
    held_thought_space_.clear();
    thought_ = true;
  }
  if (thought_) held_thought_space_ += text.substr(end);
}

void CallParser::emit(Delta::Kind kind, std::string_view text) {
  if (text.empty()) return;
  if (!out_->empty() && out_->back().kind == kind) out_->back().text += text;
  else out_->push_back({kind, std::string(text), kind == Delta::Kind::kArguments ? n_begun_ - 1 : 0});
}

// An answer in a frame: the frame will not become text any more.
void CallParser::show_region() {
  if (mode_ != Mode::kRegion) return;
  spoke_ = true;
  opening_.clear();
}

// White space before a marker is layout.
void CallParser::drop_layout() {
  if (!options_.trim) return;
  held_space_.clear();
  drop_space_ = true;
}

}  // namespace hanlin::agent
