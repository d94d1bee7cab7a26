// Networks and free text in the machine.
#include <algorithm>

#include "grammar/machine.h"

namespace hanlin::grammar {
namespace {

constexpr int kMaxCalls = 2000;  // rules entered or left by one character

}  // namespace

// Every way to read `cp` from a state: along an edge, inside a called rule, or after the rule has ended.
void Machine::read_in_rule(int32_t state, const Frame* parent, uint32_t cp, int depth) {
  if (depth > kMaxCalls) return;
  const Network::State& s = code_->network.states[static_cast<size_t>(state)];
  for (const Network::Edge& e : s.edges) {
    const int32_t cost = code_->network.states[static_cast<size_t>(e.to)].cost;
    if (!e.is_call()) {
      if (cp >= e.lo && cp <= e.hi) add(make({.kind = Frame::Kind::kRule, .a = e.to, .parent = parent}, cost));
      continue;
    }
    const Network::State& to = code_->network.states[static_cast<size_t>(e.to)];
    // A call at the very end of a rule needs no way back.
    const Frame* back = to.edges.empty() && to.is_final ? parent : make({.kind = Frame::Kind::kRule, .a = e.to, .parent = parent}, cost);
    if (back != nullptr) read_in_rule(code_->network.rules[static_cast<size_t>(e.rule)], back, cp, depth + 1);
  }
  if (!s.is_final) return;
  if (parent->kind == Frame::Kind::kRule) {
    read_in_rule(parent->a, parent->parent, cp, depth + 1);
  } else if (parent->kind != Frame::Kind::kDone) {
    // The text behind the rule is bytes, not characters: only ASCII can begin there in the middle of this step.
    std::string bytes;
    append_code_point(bytes, cp);
    if (bytes.size() == 1) step_frame(*parent, static_cast<uint8_t>(bytes[0]));
  }
}

bool Machine::rule_reaches(int32_t state, const Frame* parent, const Completions& chars, int32_t& cost, int depth) const {
  if (depth > kMaxCalls) return false;
  const Network::State& s = code_->network.states[static_cast<size_t>(state)];
  const auto take = [&](int32_t more) { cost = std::min(cost, more); };
  for (const Network::Edge& e : s.edges) {
    const int32_t after = add_costs(code_->network.states[static_cast<size_t>(e.to)].cost, parent->cost);
    if (e.is_call()) {
      Frame back;
      back.kind = Frame::Kind::kRule;
      back.a = e.to;
      back.parent = parent;
      back.cost = after;
      rule_reaches(code_->network.rules[static_cast<size_t>(e.rule)], &back, chars, cost, depth + 1);
      continue;
    }
    for (const Completion& c : chars) {
      if (e.lo <= c.hi && e.hi >= c.lo) take(add_costs(c.n_bytes, after));
    }
  }
  if (s.is_final && parent->kind == Frame::Kind::kRule) rule_reaches(parent->a, parent->parent, chars, cost, depth + 1);
  return cost < kInfinite;
}

void Machine::step_rule(const Frame& f, uint8_t byte) {
  const CharStep s = step_char(f.chars, byte, false);
  if (s.kind == CharStep::Kind::kCodePoint) return read_in_rule(f.a, f.parent, s.value, 0);
  if (s.kind == CharStep::Kind::kDead) return;
  int32_t cost = kInfinite;
  if (!rule_reaches(f.a, f.parent, completions(s.value), cost, 0)) return;
  add(make({.kind = Frame::Kind::kRule, .a = f.a, .chars = s.value, .parent = f.parent}, cost - f.parent->cost));
}

void Machine::enter_tag(int32_t tag_idx) {
  const TagRule& tag = code_->tags[static_cast<size_t>(tag_idx)];
  const Frame* free = make({.kind = Frame::Kind::kFree}, 0);
  const Frame* end = tag.end.empty() ? free : make({.kind = Frame::Kind::kText, .a = tag_idx, .parent = free}, static_cast<int32_t>(tag.end.size()));
  if (tag.spec >= 0) {
    add(make({.kind = Frame::Kind::kValue, .phase = 1, .a = tag.spec, .parent = end}, program_.specs[static_cast<size_t>(tag.spec)].cost));
  } else {
    const int32_t s = code_->network.rules[static_cast<size_t>(tag.rule)];
    add(make({.kind = Frame::Kind::kRule, .a = s, .parent = end}, code_->network.states[static_cast<size_t>(s)].cost));
  }
}

void Machine::step_free(const Frame& f, uint8_t byte) {
  const int32_t next = code_->free_next[static_cast<size_t>(f.a)][byte];
  const int32_t tag = code_->free_tag[static_cast<size_t>(next)];
  if (tag >= 0) return enter_tag(tag);
  add(make({.kind = Frame::Kind::kFree, .a = next}, 0));
}

}  // namespace hanlin::grammar
