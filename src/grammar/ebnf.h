// Grammars in EBNF, in the notation of GBNF, to networks.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/network.h"

namespace hanlin::grammar {

struct EbnfGrammar {
  Network network;
  int32_t start_rule = 0;
  std::vector<std::string> rule_names;  // by number

  // -1: there is none of this name.
  int32_t rule(std::string_view name) const;
};

// Values that a grammar may name.
struct EbnfValues {
  std::vector<std::string> names;
  std::vector<int32_t> costs;  // as Network::finish takes them
};

//   # comment
//   root  ::= item ("," item)*          a rule; `=` instead of `::=` and a `;` at the end are understood, too
//   item  ::= [a-z0-9_] | "text" | .    classes with ^ and ranges, strings with \n \t \\ \" \xNN \uNNNN, any character
// Repetition: * + ? {n} {n,} {m,n}. The start is `root`, or else the first rule. With `values`, @name reads one of them, and
// "text" ! says that a text is decided once it got there. Errors: kInvalidArgument with the line, kUnsupported for left
// recursion and grammars that are too large.
Result<EbnfGrammar> parse_ebnf(std::string_view text, const EbnfValues& values = {}, const Network::TokenLengths& tokens = {});

}  // namespace hanlin::grammar
