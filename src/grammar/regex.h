// Regular expressions as JSON Schema writes them (ECMA-262, Unicode mode) to automata over code points.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/dfa.h"

namespace hanlin::grammar {

struct RegexOptions {
  bool full_match = false;    // the whole text must match; false: a match anywhere in the text is enough
  size_t max_states = 12000;  // of the automaton
};

// Groups, alternation, quantifiers, classes, \d \w \s \u \x \p of the general categories known here, ^ and $ anywhere,
// look-ahead at the very beginning of the pattern. Errors: kInvalidArgument for bad syntax, kUnsupported for what is no
// regular language here (back-references, word boundaries, look-behind) and for automata that grow too large.
Result<Dfa> compile_regex(std::string_view pattern, const RegexOptions& options = {});

}  // namespace hanlin::grammar
