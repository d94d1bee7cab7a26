// What Python's str knows of characters beyond their category (text/unicode.h): properties and case mappings. Written by
// tools/gen_unicode_tables.py.
#pragma once

#include <cstdint>
#include <span>

namespace hanlin::jinja {

struct CodeRange {
  uint32_t first, last;
};
// Characters first, first + stride, …, last each map to themselves plus delta.
struct CaseRun {
  uint32_t first, last, stride;
  int32_t delta;
};
// A character that becomes two or three (0 = end).
struct CaseExpansion {
  uint32_t from;
  uint32_t to[3];
};
struct CaseTable {
  std::span<const CaseRun> runs;
  std::span<const CaseExpansion> expansions;
};

extern const std::span<const CodeRange> kDigitRanges, kNumericRanges, kLowercaseRanges, kUppercaseRanges, kCaseIgnorableRanges;
extern const CaseTable kLowerTable, kUpperTable, kTitleTable, kCasefoldTable;

}  // namespace hanlin::jinja
