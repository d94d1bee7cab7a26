// Grammars in EBNF, in the notation of GBNF, to networks.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/network.h"

namespace hanlin::grammar {

struct EbnfGrammar {
  Network network;
  int32_t start_rule = 0;
};

//   # comment
//   root  ::= item ("," item)*          a rule; `=` instead of `::=` and a `;` at the end are understood, too
//   item  ::= [a-z0-9_] | "text" | .    classes with ^ and ranges, strings with \n \t \\ \" \xNN \uNNNN, any character
// Repetition: * + ? {n} {n,} {m,n}. The start is `root`, or else the first rule. Errors: kInvalidArgument with the line,
// kUnsupported for left recursion and grammars that are too large.
Result<EbnfGrammar> parse_ebnf(std::string_view text);

}  // namespace hanlin::grammar
