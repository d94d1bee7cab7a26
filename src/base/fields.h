// One list of settings serves everything: file, environment, flags, JSON, help and the table of `hanlin config`.
//
//   struct Settings { int64_t port = 8000; std::string isa = "auto"; };
//   FieldSet fields;
//   fields.add("port", &settings.port, "Port to listen on").range(1, 65535);
//   fields.add("isa", &settings.isa, "Instruction set to use").choices({"auto", "scalar", "avx2"});
//   HANLIN_TRY(fields.set("port", "9000", Source::kFlag, "--port"));
//
// A name is written in snake_case; the flag is --kebab-case, the variable HANLIN_UPPER_CASE.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"

namespace hanlin {

// Where a value came from; a later one overrides an earlier one.
enum class Source { kDefault, kFile, kEnvironment, kFlag };
const char* source_name(Source source);  // "default", "file", "environment", "flag"

// One setting: its description and a pointer to the caller's variable, which must outlive it.
class Field {
 public:
  using Storage = std::variant<bool*, int64_t*, double*, std::string*, std::vector<std::string>*>;
  Field(std::string name, Storage storage, std::string help);

  // Bounds, both included, for numbers.
  Field& range(double min, double max);
  // The only texts allowed; for strings.
  Field& choices(std::vector<std::string> choices);
  // An integer that counts bytes: "512MiB", "4G" (powers of 1024) and plain numbers are read.
  Field& bytes();
  // A list whose items may hold commas, such as paths: every flag brings one item. (Only a variable is split at commas.)
  Field& whole_items();
  // Heading under which help and tables show it.
  Field& section(std::string section);
  // Shown as "***" wherever settings are printed.
  Field& secret();

  const std::string& name() const { return name_; }
  const std::string& help() const { return help_; }
  const std::string& section() const { return section_; }
  bool is_secret() const { return secret_; }
  bool is_bool() const { return std::holds_alternative<bool*>(storage_); }
  bool is_list() const { return std::holds_alternative<std::vector<std::string>*>(storage_); }
  std::string flag() const;                // "--max-queue"
  std::string environment_name() const;    // "HANLIN_MAX_QUEUE"
  std::string type_text() const;           // for help: "true|false", "N", "auto|scalar", "TEXT", "BYTES"
  std::string default_text() const { return default_text_; }

  Source source() const { return source_; }
  const std::string& origin() const { return origin_; }  // "hanlin.toml", "HANLIN_PORT", "--port"; empty for a default

  // Sets from text (flag, variable) or from JSON of the right type (file, request body). A list takes comma-separated
  // text or an array of strings. kInvalidArgument: "<origin>: expected …, got …"; the value stays as it was.
  Status set_text(std::string_view text, Source source, std::string origin);
  Status set_json(const Json& value, Source source, std::string origin);
  // A list from the texts of a repeated flag, each of which may hold several items (see whole_items).
  Status set_texts(const std::vector<std::string>& texts, Source source, std::string origin);

  std::string text() const;  // the value as set_text reads it
  Json json() const;

 private:
  Status store_number(double value, const std::string& got, Source source, std::string origin);
  Status store_list(std::vector<std::string> values, Source source, std::string origin);
  Status store_string(std::string value, Source source, std::string origin);
  Status mismatch(std::string_view got, const std::string& origin) const;
  void came_from(Source source, std::string origin);

  std::string name_, help_, section_, default_text_, origin_;
  Storage storage_;
  std::vector<std::string> choices_;
  double min_ = -std::numeric_limits<double>::infinity(), max_ = std::numeric_limits<double>::infinity();
  bool bytes_ = false, secret_ = false, whole_items_ = false;
  Source source_ = Source::kDefault;
};

// A list of fields with unique names. Not thread-safe.
class FieldSet {
 public:
  // The variable's present value is the default. The reference returned is valid until the next add().
  Field& add(std::string name, Field::Storage storage, std::string help);

  std::span<Field> fields() { return fields_; }
  std::span<const Field> fields() const { return fields_; }
  Field* find(std::string_view name);

  // Sets the field `name`. kInvalidArgument also for an unknown name, with the nearest known one as a suggestion.
  Status set(std::string_view name, std::string_view text, Source source, std::string origin);
  // Sets every key of a JSON object. Unknown keys are errors.
  Status load_json(const Json& object, Source source, const std::string& origin);
  // Sets every field whose variable `getenv_fn` knows; nullptr means the process's environment.
  Status load_environment(const std::function<const char*(const char*)>& getenv_fn = nullptr);

  Json to_json() const;  // {name: value}, secrets hidden

 private:
  Status unknown(std::string_view name, const std::string& origin) const;
  std::vector<Field> fields_;
};

// The candidate most like `word` (edit distance at most 2, or a third of a long word), or nothing.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);
// "512MiB" → 536870912; units K, M, G, T with or without "iB"/"B", powers of 1024. Empty if it is no such text.
std::optional<int64_t> parse_bytes(std::string_view text);
// 536870912 → "512 MiB", with one decimal where it is not whole.
std::string format_bytes(int64_t n_bytes);

}  // namespace hanlin
