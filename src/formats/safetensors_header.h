// The JSON header of safetensors files and the index of sharded ones, as plain data. Internal to formats/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hanlin {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes, relative to the data section
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;
  std::vector<std::pair<std::string, std::string>> metadata;
};

// In linear time, whatever the text. Errors: kCorrupt.
Result<SafetensorsHeader> parse_safetensors_header(std::string_view text);

// (tensor name, file name) pairs of model.safetensors.index.json. Errors: kCorrupt.
Result<std::vector<std::pair<std::string, std::string>>> parse_safetensors_index(std::string_view text);

}  // namespace hanlin
