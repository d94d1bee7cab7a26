// Character properties and case mappings as Python's str has them; see tools/gen_template_unicode.py.
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

extern const std::span<const CodeRange> kPrintableRanges, kAlphabeticRanges, kDecimalRanges, kDigitRanges, kNumericRanges,
    kLowercaseRanges, kUppercaseRanges, kTitlecaseRanges, kCaseIgnorableRanges;
extern const CaseTable kLowerTable, kUpperTable, kTitleTable, kCasefoldTable;

}  // namespace hanlin::jinja
