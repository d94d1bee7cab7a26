// Reads the fields of a request body with their types and ranges checked. Fields nobody asks for are ignored: clients send
// many that we do not know.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin::server {

// Readers return the fallback when a field is absent or null, and also after a mistake; the first mistake is kept in
// status(), as kInvalidArgument with the field's name as `param`. The object must outlive this.
class JsonFields {
 public:
  // `prefix` stands before field names in messages: "messages[2]."
  explicit JsonFields(const Json& object, std::string prefix = "");

  const Json* find(const char* name) const;  // null when absent or JSON null
  std::string text(const char* name, std::string fallback = "");
  std::string required_text(const char* name);
  bool boolean(const char* name, bool fallback);
  int64_t integer(const char* name, int64_t fallback, int64_t min, int64_t max);
  std::optional<int64_t> optional_integer(const char* name, int64_t min, int64_t max);
  double number(const char* name, double fallback, double min, double max);
  // "(min, max]": min itself is refused.
  double number_above(const char* name, double fallback, double min, double max);
  // A string or a list of at most `max_items` strings of 1 to `max_bytes` bytes.
  std::vector<std::string> text_or_texts(const char* name, size_t max_items, size_t max_bytes);
  std::vector<int32_t> token_ids(const char* name, size_t max_items);

  void fail(const std::string& name, const std::string& message, Code code = Code::kInvalidArgument);
  // Keeps the mistake that another reader found, message and all.
  void fail(Error error);
  bool ok() const { return !error_; }
  Status status() const;

 private:
  const Json& object_;
  std::string prefix_;
  std::optional<Error> error_;
};

// "a string", "the number -3", "null": what came, for messages. Long values are shortened.
std::string describe_json(const Json& value);

// The body as a JSON object. kInvalidArgument for malformed JSON, invalid UTF-8, nesting too deep, or another type.
Result<Json> parse_body(const std::string& body);

// The ids in a JSON list; `name` for messages. Each must fit an int32 and not be negative.
Result<std::vector<int32_t>> parse_token_ids(const Json& list, const std::string& name, size_t max_items);

}  // namespace hanlin::server
