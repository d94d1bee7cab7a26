// What a regular expression says, and its reader.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hanlin::grammar {

// Code points, ascending and disjoint once normalised.
using RangeSet = std::vector<std::pair<uint32_t, uint32_t>>;
void normalize(RangeSet& set);
RangeSet complement(RangeSet set);

struct RegexNode {
  enum class Kind { kEmpty, kSet, kSequence, kChoice, kRepeat, kBegin, kEnd, kLookahead };
  Kind kind = Kind::kEmpty;
  RangeSet set = {};
  std::vector<std::unique_ptr<RegexNode>> children = {};
  int min = 0, max = -1;  // of kRepeat; -1: no bound
  bool negative = false;  // of kLookahead
};

// Errors: kInvalidArgument with the byte position, kUnsupported for constructs that are not regular here.
Result<std::unique_ptr<RegexNode>> parse_regex(std::string_view pattern);

}  // namespace hanlin::grammar
