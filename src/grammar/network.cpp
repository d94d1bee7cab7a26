#include "grammar/network.h"

#include <algorithm>

namespace hanlin::grammar {

int32_t Network::add_dfa(const Dfa& dfa) {
  const auto first = static_cast<int32_t>(states.size());
  for (size_t q = 0; q < dfa.states.size(); ++q) {
    State& s = states.emplace_back();
    s.is_final = dfa.states[q].label >= 0;
    for (const Dfa::Edge& e : dfa.edges_of(static_cast<int32_t>(q))) s.edges.push_back({e.lo, e.hi, first + e.to, -1});
  }
  if (dfa.is_empty()) add_state();
  rules.push_back(first);
  return static_cast<int32_t>(rules.size()) - 1;
}

Status Network::finish(const std::vector<std::string>& names) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = states.size(); i-- > 0;) {
      State& s = states[i];
      int32_t best = s.is_final ? 0 : kInfinite;
      bool nullable = s.is_final;
      for (const Edge& e : s.edges) {
        const State& to = states[static_cast<size_t>(e.to)];
        const State* called = e.is_call() ? &states[static_cast<size_t>(rules[static_cast<size_t>(e.rule)])] : nullptr;
        const int32_t step = called ? called->cost : cheapest_raw_bytes(e.lo, e.hi);
        if (step < kInfinite && to.cost < kInfinite) best = std::min(best, std::min(kInfinite, step + to.cost));
        nullable = nullable || (called && called->nullable && to.nullable);
      }
      if (best < s.cost || nullable != s.nullable) {
        s.cost = std::min(best, s.cost);
        s.nullable = nullable;
        changed = true;
      }
    }
  }
  for (State& s : states) {
    std::erase_if(s.edges, [&](const Edge& e) {
      return states[static_cast<size_t>(e.to)].cost >= kInfinite || (e.is_call() && states[static_cast<size_t>(rules[static_cast<size_t>(e.rule)])].cost >= kInfinite);
    });
  }
  // Which rules a rule can call before it reads anything: no cycle allowed. 0 new, 1 open, 2 done.
  std::vector<char> mark(rules.size(), 0);
  std::vector<int32_t> stack;
  const auto first_calls = [&](int32_t rule) {
    std::vector<int32_t> calls, todo{rules[static_cast<size_t>(rule)]};
    std::vector<char> seen(states.size(), 0);
    while (!todo.empty()) {
      const int32_t q = todo.back();
      todo.pop_back();
      if (seen[static_cast<size_t>(q)]++) continue;
      for (const Edge& e : states[static_cast<size_t>(q)].edges) {
        if (!e.is_call()) continue;
        calls.push_back(e.rule);
        if (states[static_cast<size_t>(rules[static_cast<size_t>(e.rule)])].nullable) todo.push_back(e.to);
      }
    }
    return calls;
  };
  struct Frame {
    int32_t rule;
    std::vector<int32_t> calls;
    size_t at = 0;
  };
  for (size_t r = 0; r < rules.size(); ++r) {
    if (mark[r] != 0) continue;
    std::vector<Frame> frames{{static_cast<int32_t>(r), first_calls(static_cast<int32_t>(r))}};
    mark[r] = 1;
    while (!frames.empty()) {
      Frame& f = frames.back();
      if (f.at == f.calls.size()) {
        mark[static_cast<size_t>(f.rule)] = 2;
        frames.pop_back();
        continue;
      }
      const int32_t next = f.calls[f.at++];
      if (mark[static_cast<size_t>(next)] == 1) {
        const std::string name = static_cast<size_t>(next) < names.size() ? names[static_cast<size_t>(next)] : std::to_string(next);
        return Error{Code::kUnsupported, "grammar: rule '" + name + "' calls itself before it reads anything (left recursion)"};
      }
      if (mark[static_cast<size_t>(next)] == 0) {
        mark[static_cast<size_t>(next)] = 1;
        frames.push_back({next, first_calls(next)});
      }
    }
  }
  return {};
}

}  // namespace hanlin::grammar
