// Typed access to a model's configuration, whatever file it stands in. The first thing that is wrong is kept; callers
// read everything and ask status() once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "formats/gguf.h"

namespace hanlin {

class ConfigReader {
 public:
  // Reads a JSON object (config.json or an object inside it). `where` names it in messages. Both must outlive this.
  ConfigReader(const Json& object, std::string where) : json_(&object), where_(std::move(where)) {}
  // Reads GGUF metadata; keys get `prefix` in front ("qwen2.").
  ConfigReader(const GgufFile& gguf, std::string prefix) : gguf_(&gguf), prefix_(std::move(prefix)), where_(gguf.path()) {}

  bool has(const std::string& key) const;  // present and not null
  // Required integer in [low, high]; 0 and an error if it is missing or outside.
  int64_t require_int(const std::string& key, int64_t low, int64_t high);
  int64_t get_int(const std::string& key, int64_t fallback, int64_t low, int64_t high);
  // Finite number.
  double get_float(const std::string& key, double fallback);
  bool get_bool(const std::string& key, bool fallback);
  std::string get_string(const std::string& key, const std::string& fallback);
  std::vector<std::string> get_strings(const std::string& key);  // empty if absent
  // A JSON object inside this one; empty if absent, null, or GGUF.
  const Json* object(const std::string& key) const;
  const Json* json() const { return json_; }
  const GgufFile* gguf() const { return gguf_; }
  const std::string& where() const { return where_; }

  void fail(std::string message);
  void fail(Error error);
  Status status() const;

 private:
  const Json* json_ = nullptr;
  const GgufFile* gguf_ = nullptr;
  std::string prefix_, where_;
  std::optional<Error> error_;
};

}  // namespace hanlin
