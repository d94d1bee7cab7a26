#include "grammar/network.h"

#include <algorithm>

namespace hanlin::grammar {

int32_t Network::add_dfa(const Dfa& dfa) {
  const auto first = static_cast<int32_t>(states.size());
  for (size_t q = 0; q < dfa.states.size(); ++q) {
    State& s = states.emplace_back();
    s.is_final = dfa.states[q].label >= 0;
    for (const Dfa::Edge& e : dfa.edges_of(static_cast<int32_t>(q))) s.edges.push_back({.lo = e.lo, .hi = e.hi, .to = first + e.to});
  }
  if (dfa.is_empty()) add_state();
  rules.push_back(first);
  return static_cast<int32_t>(rules.size()) - 1;
}

// Single tokens that spell a stretch of the only way to go on.
std::vector<Network::Jump> Network::token_jumps(const TokenLengths& tokens) const {
  constexpr size_t kMaxAhead = 64;  // bytes
  std::vector<Jump> jumps;
  const auto is_single = [](const Edge& e) { return !e.is_call() && !e.is_value() && e.lo == e.hi; };
  for (size_t i = 0; i < states.size(); ++i) {
    for (const Edge& first : states[i].edges) {
      if (!is_single(first)) continue;
      std::string text;
      std::vector<std::pair<size_t, int32_t>> ends;  // bytes read, state
      for (const Edge* e = &first; text.size() < kMaxAhead;) {
        append_code_point(text, e->lo);
        ends.push_back({text.size(), e->to});
        const State& next = states[static_cast<size_t>(e->to)];
        if (next.edges.size() != 1 || !is_single(next.edges[0])) break;
        e = &next.edges[0];
      }
      if (ends.size() < 2) continue;
      for (const size_t length : tokens(text)) {
        const auto end = std::find_if(ends.begin(), ends.end(), [&](const auto& at) { return at.first == length; });
        if (end != ends.end() && end != ends.begin()) jumps.push_back({static_cast<int32_t>(i), end->second});
      }
    }
  }
  std::sort(jumps.begin(), jumps.end(), [](const Jump& a, const Jump& b) { return a.from > b.from; });
  return jumps;
}

void Network::compute_costs(std::span<const int32_t> value_costs, const std::vector<Jump>& jumps) {
  for (bool changed = true; changed;) {
    changed = false;
    auto jump = jumps.begin();
    for (size_t i = states.size(); i-- > 0;) {
      State& s = states[i];
      int32_t best = s.is_final ? 0 : kInfinite;
      bool nullable = s.is_final;
      for (const Edge& e : s.edges) {
        const State& to = states[static_cast<size_t>(e.to)];
        const State* called = e.is_call() ? &states[static_cast<size_t>(rules[static_cast<size_t>(e.rule)])] : nullptr;
        const int32_t step = called ? called->cost : e.is_value() ? value_costs[static_cast<size_t>(e.value)] : cheapest_raw_bytes(e.lo, e.hi);
        if (step < kInfinite && to.cost < kInfinite) best = std::min(best, std::min(kInfinite, step + to.cost));
        nullable = nullable || (called && called->nullable && to.nullable);
      }
      for (; jump != jumps.end() && static_cast<size_t>(jump->from) == i; ++jump) best = std::min(best, 1 + states[static_cast<size_t>(jump->to)].cost);
      if (best < s.cost || nullable != s.nullable) {
        s.cost = std::min(best, s.cost);
        s.nullable = nullable;
        changed = true;
      }
    }
  }
}

Status Network::finish(const std::vector<std::string>& names, std::span<const int32_t> value_costs, const TokenLengths& tokens) {
  compute_costs(value_costs, {});
  for (State& s : states) {
    std::erase_if(s.edges, [&](const Edge& e) {
      return states[static_cast<size_t>(e.to)].cost >= kInfinite || (e.is_call() && states[static_cast<size_t>(rules[static_cast<size_t>(e.rule)])].cost >= kInfinite) ||
             (e.is_value() && value_costs[static_cast<size_t>(e.value)] >= kInfinite);
    });
  }
  HANLIN_TRY(refuse_left_recursion(names));
  if (tokens) compute_costs(value_costs, token_jumps(tokens));
  return {};
}

Status Network::refuse_left_recursion(const std::vector<std::string>& names) const {
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
