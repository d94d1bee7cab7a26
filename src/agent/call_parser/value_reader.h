// Turns a value as models write it into JSON, piece by piece.
#pragma once

#include <string>
#include <string_view>

#include "agent/call_parser/cursor.h"

namespace hanlin::agent {

// How values may look besides JSON. Always understood: strings in single quotes, True, False, None, a comma before a
// closing bracket, raw control characters in strings, escapes that JSON does not know.
struct ValueStyle {
  bool bare_words = false;  // unquoted keys and words: {unit: celsius}
  bool python = false;      // tuples, strings in three quotes
  std::string quote = {};   // a text that opens and closes strings without escapes: "<escape>"
};

// Reads one value. Valid JSON comes out byte for byte, white space included; what is not JSON comes out as JSON.
class ValueReader {
 public:
  enum class State { kMore, kDone, kFailed };

  explicit ValueReader(ValueStyle style = {}) : style_(std::move(style)) {}
  // Takes what it can from the cursor and appends JSON. kMore: as Verdict::kMore.
  State read(Cursor& cursor, std::string* json);

 private:
  enum class Expect { kValue, kKey, kColon, kAfter, kString, kWord };
  State step(Cursor& cursor, std::string* json);
  State begin_value(Cursor& cursor, std::string* json);
  State begin_string(Cursor& cursor, std::string* json);
  State in_string(Cursor& cursor, std::string* json);
  State escape(Cursor& cursor, std::string* json);
  State in_word(Cursor& cursor, std::string* json);
  State after_value(Cursor& cursor, std::string* json);
  bool close(char bracket, std::string* json);
  void end_of_scalar();

  ValueStyle style_;
  Expect expect_ = Expect::kValue;
  std::string stack_;  // open brackets as written: "{[("
  std::string end_quote_;
  bool is_key_ = false;      // the string or word read now is a key
  bool may_close_ = false;   // right after an opening bracket or a comma
  bool done_ = false, failed_ = false;
  std::string comma_;        // a comma and the space behind it, until it is known that a value follows
  std::string word_;
};

// `text` as a JSON string without the quotes.
std::string json_escaped(std::string_view text);
// The same with quotes.
std::string json_string(std::string_view text);
// What the inside of a JSON string means, as UTF-8; halves of surrogate pairs become U+FFFD. Takes any text.
std::string json_unescaped(std::string_view text);
// A number, literal, list or object written in JSON or Python as JSON; empty if it is none.
std::string value_as_json(std::string_view text, const ValueStyle& style = {});

}  // namespace hanlin::agent
