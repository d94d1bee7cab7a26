// Networks and free text in the machine.
#include <algorithm>

#include "grammar/machine.h"

namespace hanlin::grammar {
namespace {

constexpr int kMaxCalls = 2000;  // rules entered or left by one character

}  // namespace

// The frame of a state inside a rule; a rule that can only end is left at once.
const Frame* Machine::in_rule(int32_t state, const Frame* parent) {
  const Network::State& s = code_->network.states[static_cast<size_t>(state)];
  if (s.is_final && s.edges.empty()) return parent;
  return make({.kind = Frame::Kind::kRule, .a = state, .parent = parent}, s.cost);
}

void Machine::reach_in_rule(int32_t state, const Frame* parent) {
  const Frame* frame = in_rule(state, parent);
  if (frame == nullptr) return;
  (code_->network.states[static_cast<size_t>(state)].is_cut ? decided_ : *out_).push_back(frame);
}

// Every way to read `cp` from a state: along an edge, inside a called rule, or after the rule has ended.
void Machine::read_in_rule(int32_t state, const Frame* parent, uint32_t cp, int depth) {
  if (depth > kMaxCalls) return;
  const Network::State& s = code_->network.states[static_cast<size_t>(state)];
  for (const Network::Edge& e : s.edges) {
    if (!e.is_call() && !e.is_value()) {
      if (cp >= e.lo && cp <= e.hi) reach_in_rule(e.to, parent);
      continue;
    }
    // A call at the very end of a rule needs no way back.
    const Frame* back = in_rule(e.to, parent);
    if (back == nullptr) continue;
    if (e.is_value()) {  // begins with ASCII
      if (cp < 0x80) begin_value(e.value, back, static_cast<uint8_t>(cp));
      continue;
    }
    read_in_rule(code_->network.rules[static_cast<size_t>(e.rule)], back, cp, depth + 1);
  }
  if (!s.is_final) return;
  if (parent->kind == Frame::Kind::kRule) {
    read_in_rule(parent->a, parent->parent, cp, depth + 1);
  } else if (parent->kind != Frame::Kind::kDone) {
    // Only ASCII can begin behind the rule in the middle of this step; for the rest see leave_rule.
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
    if (e.is_value()) continue;
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

// The first byte of a longer character may also belong to what follows the rule.
void Machine::leave_rule(int32_t state, const Frame* parent, uint8_t byte, int depth) {
  if (depth > kMaxCalls) return;
  const Network::State& s = code_->network.states[static_cast<size_t>(state)];
  for (const Network::Edge& e : s.edges) {
    if (e.is_call() && code_->network.states[static_cast<size_t>(code_->network.rules[static_cast<size_t>(e.rule)])].nullable) leave_rule(e.to, parent, byte, depth + 1);
  }
  if (!s.is_final) return;
  if (parent->kind == Frame::Kind::kRule) leave_rule(parent->a, parent->parent, byte, depth + 1);
  else if (parent->kind != Frame::Kind::kDone) step_frame(*parent, byte);
}

void Machine::step_rule(const Frame& f, uint8_t byte) {
  const CharStep s = step_char(f.chars, byte, false);
  if (f.chars == 0 && byte >= 0x80) leave_rule(f.a, f.parent, byte, 0);
  if (s.kind == CharStep::Kind::kCodePoint) return read_in_rule(f.a, f.parent, s.value, 0);
  if (s.kind == CharStep::Kind::kDead) return;
  int32_t cost = kInfinite;
  if (!rule_reaches(f.a, f.parent, completions(s.value), cost, 0)) return;
  add(make({.kind = Frame::Kind::kRule, .a = f.a, .chars = s.value, .parent = f.parent}, cost - f.parent->cost));
}

const Frame* Machine::free_text(int32_t state, bool at_start) {
  if (free_frames_.empty()) free_frames_.assign(code_->free_next.size() * 2, nullptr);
  const Frame*& frame = free_frames_[static_cast<size_t>(state) * 2 + (at_start ? 1 : 0)];
  if (frame == nullptr) frame = make({.kind = Frame::Kind::kFree, .phase = static_cast<uint8_t>(at_start), .a = state}, 0);
  return frame;
}

const Frame* Machine::behind_call(int32_t goes_to) {
  if (goes_to >= 0) return free_text(goes_to, false);
  return code_->one_call ? done_ : free_text(0, true);
}

void Machine::enter_tag(int32_t tag_idx) {
  const TagRule& tag = code_->tags[static_cast<size_t>(tag_idx)];
  if (tag.goes_to >= 0) return add(free_text(tag.goes_to, true));
  const Frame* free = behind_call(-1);
  const Frame* end = tag.end.empty() ? free : make({.kind = Frame::Kind::kText, .a = tag_idx, .parent = free}, static_cast<int32_t>(tag.end.size()));
  if (tag.spec >= 0) {
    add(make({.kind = Frame::Kind::kValue, .phase = 1, .a = tag.spec, .parent = end}, program_.specs[static_cast<size_t>(tag.spec)].cost));
  } else {
    add(in_rule(code_->network.rules[static_cast<size_t>(tag.rule)], end));
  }
}

// At the start, leads are read beside the free text, which goes on unless one of them decides.
void Machine::step_free(const Frame& f, uint8_t byte) {
  const bool at_start = f.phase != 0 && !code_->leads.empty();
  const bool is_layout = byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
  if (at_start && !is_layout && byte < 0x80) {
    for (const LeadRule& lead : code_->leads) read_in_rule(code_->network.rules[static_cast<size_t>(lead.rule)], behind_call(lead.goes_to), byte, 0);
  }
  const int32_t next = code_->free_next[static_cast<size_t>(f.a)][byte];
  const int32_t tag = code_->free_tag[static_cast<size_t>(next)];
  if (tag >= 0) return enter_tag(tag);
  add(free_text(next, at_start && is_layout));
}

}  // namespace hanlin::grammar
