#include "agent/call_parser/value_reader.h"

#include <cstdint>

namespace hanlin::agent {
namespace {

constexpr size_t kMaxDepth = 100;  // parsers of what comes out allow 128
constexpr size_t kMaxWordBytes = 256;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
uint32_t hex_value(std::string_view digits) {
  uint32_t value = 0;
  for (const char c : digits) value = value * 16 + static_cast<uint32_t>(is_digit(c) ? c - '0' : (c | 32) - 'a' + 10);
  return value;
}

bool is_json_number(std::string_view text) {
  size_t i = 0;
  const auto digits = [&] {
    const size_t begin = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i - begin;
  };
  if (i < text.size() && text[i] == '-') ++i;
  const bool zero = i < text.size() && text[i] == '0';
  const size_t n_whole = digits();
  if (n_whole == 0 || (zero && n_whole > 1)) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

// What ends a number, a literal or a bare word.
bool ends_word(char c) { return is_space(c) || std::string_view(",:{}[]()\"'<`;").find(c) != std::string_view::npos; }

void append_escaped(char c, std::string* json) {
  static constexpr char kHex[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  switch (c) {
    case '"': *json += "\\\""; break;
    case '\\': *json += "\\\\"; break;
    case '\n': *json += "\\n"; break;
    case '\r': *json += "\\r"; break;
    case '\t': *json += "\\t"; break;
    default:
      if (byte < 0x20) (*json += "\\u00").append({kHex[byte >> 4], kHex[byte & 15]});
      else json->push_back(c);
  }
}

void append_utf8(uint32_t code, std::string* text) {
  const auto add = [&](uint32_t byte) { text->push_back(static_cast<char>(byte)); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) add(0xe0 | code >> 12);
    else add(0xf0 | code >> 18), add(0x80 | (code >> 12 & 63));
    add(0x80 | (code >> 6 & 63));
  }
  add(0x80 | (code & 63));
}

}  // namespace

ValueReader::State ValueReader::read(Cursor& cursor, std::string* json) {
  while (!done_ && !failed_) {
    const size_t before = cursor.pos;
    const Expect expected = expect_;
    const State state = step(cursor, json);
    if (state != State::kMore) {
      (state == State::kDone ? done_ : failed_) = true;
    } else if (cursor.pos == before && expect_ == expected && !done_) {
      return State::kMore;
    }
  }
  return done_ ? State::kDone : State::kFailed;
}

ValueReader::State ValueReader::step(Cursor& cursor, std::string* json) {
  switch (expect_) {
    case Expect::kString: return in_string(cursor, json);
    case Expect::kWord: return in_word(cursor, json);
    default: break;
  }
  const size_t begin = cursor.pos;
  cursor.skip_space();
  if (!stack_.empty()) (comma_.empty() ? *json : comma_).append(cursor.text.substr(begin, cursor.pos - begin));
  if (cursor.empty()) return State::kMore;
  switch (expect_) {
    case Expect::kValue: return begin_value(cursor, json);
    case Expect::kKey:
      if (cursor.peek() == '}' && may_close_) return begin_value(cursor, json);
      is_key_ = true;
      return begin_string(cursor, json);
    case Expect::kColon:
      if (cursor.peek() != ':') return State::kFailed;
      ++cursor.pos;
      json->push_back(':');
      expect_ = Expect::kValue;
      may_close_ = false;
      return State::kMore;
    default: return after_value(cursor, json);
  }
}

ValueReader::State ValueReader::begin_value(Cursor& cursor, std::string* json) {
  const char c = cursor.peek();
  if (c == '{' || c == '[' || (c == '(' && style_.python)) {
    if (stack_.size() >= kMaxDepth) return State::kFailed;
    *json += comma_;
    comma_.clear();
    ++cursor.pos;
    stack_.push_back(c);
    json->push_back(c == '{' ? '{' : '[');
    expect_ = c == '{' ? Expect::kKey : Expect::kValue;
    may_close_ = true;
    return State::kMore;
  }
  if (c == '}' || c == ']' || c == ')') {
    if (!may_close_ || !close(c, json)) return State::kFailed;
    ++cursor.pos;
    return done_ ? State::kDone : State::kMore;
  }
  is_key_ = false;
  return begin_string(cursor, json);
}

// A quoted string or a word, as a key or a value.
ValueReader::State ValueReader::begin_string(Cursor& cursor, std::string* json) {
  std::string quote;
  if (!style_.quote.empty()) {
    const Match match = match_prefix(cursor.rest(), style_.quote);
    if (match == Match::kPartial && !cursor.at_end) return State::kMore;
    if (match == Match::kYes) quote = style_.quote;
  }
  const char c = cursor.peek();
  if (quote.empty() && (c == '"' || c == '\'')) {
    quote = c;
    if (style_.python) {
      const std::string three(3, c);
      const Match match = match_prefix(cursor.rest(), three);
      if (match == Match::kPartial && !cursor.at_end) return State::kMore;
      if (match == Match::kYes) quote = three;
    }
  }
  if (quote.empty() && (ends_word(c) || static_cast<unsigned char>(c) < 0x20)) return State::kFailed;
  *json += comma_;
  comma_.clear();
  end_quote_ = quote;
  cursor.pos += quote.size();
  if (!quote.empty()) json->push_back('"');
  expect_ = quote.empty() ? Expect::kWord : Expect::kString;
  return State::kMore;
}

ValueReader::State ValueReader::in_string(Cursor& cursor, std::string* json) {
  while (!cursor.empty()) {
    const char c = cursor.peek();
    if (c == end_quote_[0]) {
      const Match match = match_prefix(cursor.rest(), end_quote_);
      if (match == Match::kPartial && !cursor.at_end) return State::kMore;
      if (match == Match::kYes) {
        cursor.pos += end_quote_.size();
        json->push_back('"');
        end_of_scalar();
        return done_ ? State::kDone : State::kMore;
      }
    }
    if (c == '\\' && end_quote_ != style_.quote) {
      const size_t before = cursor.pos;
      const State state = escape(cursor, json);
      if (state != State::kMore || cursor.pos == before) return state;
      continue;
    }
    append_escaped(c, json);
    ++cursor.pos;
  }
  return State::kMore;
}

// A backslash and what belongs to it; takes nothing while that is incomplete.
ValueReader::State ValueReader::escape(Cursor& cursor, std::string* json) {
  const std::string_view rest = cursor.rest();
  if (rest.size() < 2) return State::kMore;
  const char c = rest[1];
  if (std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos) {
    json->append(rest.substr(0, 2));
    cursor.pos += 2;
    return State::kMore;
  }
  const size_t n_hex = c == 'u' ? 4 : c == 'x' ? 2 : 0;
  size_t n_there = 0;
  while (n_there < n_hex && 2 + n_there < rest.size() && is_hex(rest[2 + n_there])) ++n_there;
  if (n_there < n_hex && 2 + n_there == rest.size() && !cursor.at_end) return State::kMore;
  if (n_hex > 0 && n_there == n_hex) {
    if (c == 'u') json->append(rest.substr(0, 6));
    else if (const auto value = static_cast<char>(hex_value(rest.substr(2, 2))); value >= 0) append_escaped(value, json);
    else json->append("\\u00").append(rest.substr(2, 2));
    cursor.pos += 2 + n_hex;
    return State::kMore;
  }
  // JSON knows no such escape. A quoted quote is a quote; of anything else the backslash is meant (regular expressions).
  if (c == '\'' || (c == '\n' && style_.python)) {
    if (c == '\'') json->push_back('\'');
    cursor.pos += 2;
    return State::kMore;
  }
  *json += "\\\\";
  cursor.pos += 1;
  return State::kMore;
}

ValueReader::State ValueReader::in_word(Cursor& cursor, std::string* json) {
  while (!cursor.empty() && !ends_word(cursor.peek())) {
    word_.push_back(cursor.peek());
    ++cursor.pos;
    if (word_.size() > kMaxWordBytes) return State::kFailed;
  }
  if (cursor.empty() && !cursor.at_end) return State::kMore;
  const std::string word = std::move(word_);
  word_.clear();
  if (is_key_) {
    if (!style_.bare_words) return State::kFailed;
    *json += json_string(word);
  } else if (word == "true" || word == "false" || word == "null" || is_json_number(word)) {
    *json += word;
  } else if (word == "True" || word == "False") {
    *json += word == "True" ? "true" : "false";
  } else if (word == "None") {
    *json += "null";
  } else if (style_.bare_words || style_.python) {
    *json += json_string(word);
  } else {
    return State::kFailed;
  }
  end_of_scalar();
  return done_ ? State::kDone : State::kMore;
}

ValueReader::State ValueReader::after_value(Cursor& cursor, std::string* json) {
  const char c = cursor.peek();
  if (c == ',') {
    ++cursor.pos;
    comma_ = ",";
    may_close_ = true;
    expect_ = stack_.back() == '{' ? Expect::kKey : Expect::kValue;
    return State::kMore;
  }
  if (!close(c, json)) return State::kFailed;
  ++cursor.pos;
  return done_ ? State::kDone : State::kMore;
}

bool ValueReader::close(char bracket, std::string* json) {
  if (stack_.empty()) return false;
  const char open = stack_.back();
  if (bracket != (open == '{' ? '}' : open == '[' ? ']' : ')')) return false;
  if (!comma_.empty()) *json += comma_.substr(1);  // the comma goes, the space stays
  comma_.clear();
  stack_.pop_back();
  json->push_back(open == '{' ? '}' : ']');
  is_key_ = false;
  end_of_scalar();
  return true;
}

// A value or key is complete.
void ValueReader::end_of_scalar() {
  if (is_key_) expect_ = Expect::kColon;
  else if (stack_.empty()) done_ = true;
  else expect_ = Expect::kAfter;
}

std::string json_escaped(std::string_view text) {
  std::string json;
  for (const char c : text) append_escaped(c, &json);
  return json;
}

std::string json_string(std::string_view text) { return '"' + json_escaped(text) + '"'; }

std::string json_unescaped(std::string_view text) {
  std::string result;
  const auto unit_at = [&](size_t i) -> int64_t {  // of \uXXXX, or -1
    if (i + 6 > text.size() || text[i] != '\\' || text[i + 1] != 'u') return -1;
    for (size_t k = i + 2; k < i + 6; ++k) {
      if (!is_hex(text[k])) return -1;
    }
    return hex_value(text.substr(i + 2, 4));
  };
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      result.push_back(text[i++]);
      continue;
    }
    if (int64_t code = unit_at(i); code >= 0) {
      i += 6;
      const int64_t low = unit_at(i);
      if (code >= 0xd800 && code < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        i += 6;
      }
      append_utf8(code >= 0xd800 && code < 0xe000 ? 0xfffd : static_cast<uint32_t>(code), &result);
      continue;
    }
    static constexpr std::string_view kLetters = "bfnrt", kMeant = "\b\f\n\r\t";
    const size_t letter = kLetters.find(text[i + 1]);
    result.push_back(letter == std::string_view::npos ? text[i + 1] : kMeant[letter]);
    i += 2;
  }
  return result;
}

std::string value_as_json(std::string_view text, const ValueStyle& style) {
  ValueReader reader(style);
  Cursor cursor{text, /*at_end=*/true};
  std::string json;
  if (reader.read(cursor, &json) != ValueReader::State::kDone) return {};
  cursor.skip_space();
  return cursor.empty() ? json : std::string();
}

}  // namespace hanlin::agent
