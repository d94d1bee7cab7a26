// A recursive transition network: what regular expressions, choices and EBNF grammars become.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/dfa.h"

namespace hanlin::grammar {

// States with edges that read one code point, edges that first read all of another rule, and edges that read one JSON
// value. Texts are plain UTF-8.
struct Network {
  struct Edge {
    uint32_t lo = 1, hi = 0;  // lo > hi: a call or a value
    int32_t to = -1;
    int32_t rule = -1;
    int32_t value = -1;  // a spec of the program beside the network
    bool is_call() const { return rule >= 0; }
    bool is_value() const { return value >= 0; }
  };
  struct State {
    std::vector<Edge> edges;
    bool is_final = false;
    bool is_cut = false;  // whoever gets here has decided: ways that have not end (see MachineCode::lead_rules)
    // Set by finish():
    bool nullable = false;       // the rule may end here without reading more
    int32_t cost = kInfinite;    // upper bound of the tokens to the end of the rule
  };
  std::vector<State> states;
  std::vector<int32_t> rules;  // first state of each rule

  int32_t add_state() {
    states.emplace_back();
    return static_cast<int32_t>(states.size()) - 1;
  }
  // Adds an automaton as a rule; returns its number.
  int32_t add_dfa(const Dfa& dfa);
  // The lengths in bytes of the tokens that a text begins with.
  using TokenLengths = std::function<std::vector<size_t>(const std::string& text)>;
  // Removes edges that lead nowhere and computes costs: bytes, or tokens where `tokens` is given and there is only one
  // way to go on. `value_costs`: of JSON values. Errors: kUnsupported for a rule that calls itself before it reads
  // anything (`names`: of rules, for the message).
  Status finish(const std::vector<std::string>& names, std::span<const int32_t> value_costs = {}, const TokenLengths& tokens = {});

 private:
  struct Jump {
    int32_t from, to;
  };
  std::vector<Jump> token_jumps(const TokenLengths& tokens) const;
  void compute_costs(std::span<const int32_t> value_costs, const std::vector<Jump>& jumps);
  Status refuse_left_recursion(const std::vector<std::string>& names) const;
};

}  // namespace hanlin::grammar
