// A recursive transition network: what regular expressions, choices and EBNF grammars become.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/dfa.h"

namespace hanlin::grammar {

// States with edges that read one code point, and edges that first read all of another rule. Texts are plain UTF-8.
struct Network {
  struct Edge {
    uint32_t lo = 1, hi = 0;  // lo > hi: a call
    int32_t to = -1;
    int32_t rule = -1;
    bool is_call() const { return rule >= 0; }
  };
  struct State {
    std::vector<Edge> edges;
    bool is_final = false;
    // Set by finish():
    bool nullable = false;       // the rule may end here without reading more
    int32_t cost = kInfinite;    // fewest bytes to the end of the rule
  };
  std::vector<State> states;
  std::vector<int32_t> rules;  // first state of each rule

  int32_t add_state() {
    states.emplace_back();
    return static_cast<int32_t>(states.size()) - 1;
  }
  // Adds an automaton as a rule; returns its number.
  int32_t add_dfa(const Dfa& dfa);
  // Removes edges that lead nowhere and computes costs. Errors: kInvalidArgument for a rule that calls itself before it
  // reads anything (`names`: of rules, for the message).
  Status finish(const std::vector<std::string>& names);
};

}  // namespace hanlin::grammar
