#include "grammar/machine.h"

#include <algorithm>
#include <array>

namespace hanlin::grammar {
namespace {

constexpr size_t kMaxSetSize = 4096;  // alternatives beyond are dropped, which allows less but never more
constexpr std::array<const char*, 3> kLiterals = {"null", "true", "false"};
constexpr std::array<int32_t, 3> kLiteralSizes = {4, 4, 5};

uint64_t both(int32_t a, int32_t b) { return static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b); }

}  // namespace

Machine::Machine(std::shared_ptr<const MachineCode> code) : code_(std::move(code)), program_(code_->program), table_(1024, 0) {
  done_ = make({}, 0);
  numbers_.resize(program_.numbers.size());
  const Frame* first = nullptr;
  if (!code_->tags.empty() || !code_->leads.empty()) {
    first = free_text(code_->free_start, code_->free_start == 0);
  } else if (code_->start_rule >= 0) {
    const int32_t s = code_->network.rules[static_cast<size_t>(code_->start_rule)];
    first = make({.kind = Frame::Kind::kRule, .a = s, .parent = done_}, code_->network.states[static_cast<size_t>(s)].cost);
  } else {
    first = make({.kind = Frame::Kind::kValue, .a = program_.root, .parent = done_}, program_.specs[static_cast<size_t>(program_.root)].cost);
  }
  if (first != nullptr) start_.push_back(first);
}

// The frame, or null if the text could not be finished from there.
const Frame* Machine::make(Frame frame, int32_t own_cost) {
  frame.cost = add_costs(own_cost, frame.parent == nullptr ? 0 : frame.parent->cost);
  if (frame.cost >= kInfinite) return nullptr;
  uint64_t h = mix_hash(static_cast<uint64_t>(frame.kind) | static_cast<uint64_t>(frame.phase) << 8 | static_cast<uint64_t>(frame.space) << 16 |
                       static_cast<uint64_t>(frame.chars) << 32, both(frame.a, frame.b));
  h = mix_hash(mix_hash(h, both(frame.c, frame.e)), frame.parent == nullptr ? 0xFFFFFFFF : frame.parent->id);
  frame.hash = static_cast<uint32_t>(h >> 16);
  if (frames_.size() * 2 >= table_.size()) {
    std::vector<uint32_t> larger(table_.size() * 2, 0);
    for (const Frame& f : frames_) {
      size_t at = f.hash & (larger.size() - 1);
      while (larger[at] != 0) at = (at + 1) & (larger.size() - 1);
      larger[at] = f.id + 1;
    }
    table_ = std::move(larger);
  }
  size_t at = frame.hash & (table_.size() - 1);
  for (; table_[at] != 0; at = (at + 1) & (table_.size() - 1)) {
    const Frame& f = frames_[table_[at] - 1];
    if (f.hash == frame.hash && f.kind == frame.kind && f.phase == frame.phase && f.space == frame.space && f.a == frame.a && f.b == frame.b &&
        f.c == frame.c && f.e == frame.e && f.chars == frame.chars && f.parent == frame.parent) {
      return &f;
    }
  }
  frame.id = static_cast<uint32_t>(frames_.size());
  frames_.push_back(frame);
  table_[at] = frame.id + 1;
  return &frames_.back();
}

void Machine::step(const FrameSet& from, uint8_t byte, bool explore, FrameSet& to) {
  to.clear();
  out_ = &to;
  explore_ = explore;
  decided_.clear();
  for (const Frame* f : from) step_frame(*f, byte);
  if (!decided_.empty()) to = decided_;
  if (to.size() > 1) {
    std::sort(to.begin(), to.end(), [](const Frame* a, const Frame* b) { return a->id < b->id; });
    to.erase(std::unique(to.begin(), to.end()), to.end());
    if (to.size() > kMaxSetSize) to.resize(kMaxSetSize);
  }
}

int32_t Machine::cost(const FrameSet& set) {
  int32_t best = kInfinite;
  for (const Frame* f : set) best = std::min(best, f->cost);
  return best;
}

bool Machine::takes_layout(const FrameSet& set) {
  return std::all_of(set.begin(), set.end(), [](const Frame* f) {
    return f->kind == Frame::Kind::kValue || f->kind == Frame::Kind::kObject || f->kind == Frame::Kind::kColon || f->kind == Frame::Kind::kArray;
  });
}

bool Machine::wants_space(const FrameSet& set) {
  return std::all_of(set.begin(), set.end(), [](const Frame* f) {
    return f->space == 0 && ((f->kind == Frame::Kind::kValue && f->phase == 1) || (f->kind == Frame::Kind::kObject && f->phase == 2));
  });
}

bool Machine::may_end(const FrameSet& set) const {
  return std::any_of(set.begin(), set.end(), [this](const Frame* f) { return frame_may_end(*f); });
}

bool Machine::frame_may_end(const Frame& f) const {
  switch (f.kind) {
    case Frame::Kind::kDone: case Frame::Kind::kFree: return true;
    case Frame::Kind::kNumber: return numbers_[static_cast<size_t>(f.a)]->accepts(f.b) && frame_may_end(*f.parent);
    case Frame::Kind::kRule: return f.chars == 0 && code_->network.states[static_cast<size_t>(f.a)].nullable && frame_may_end(*f.parent);
    case Frame::Kind::kText: return code_->tags[static_cast<size_t>(f.a)].end.size() == static_cast<size_t>(f.b) && frame_may_end(*f.parent);
    default: return false;
  }
}

int64_t Machine::free_text_limit(const Frame& f) const {
  if (f.chars != 0) return -1;
  if (f.kind == Frame::Kind::kString) {
    const StringRule& rule = program_.strings[static_cast<size_t>(f.a)];
    return !rule.universal ? -1 : rule.max - f.c;
  }
  if (f.kind == Frame::Kind::kKey) {
    const ObjectPlace& place = objects_[static_cast<size_t>(f.a)];
    const ObjectRule& rule = program_.objects[static_cast<size_t>(place.state.rule)];
    const bool all = rule.others_total && f.c >= 0 && std::all_of(place.class_costs.begin(), place.class_costs.end(), [](int32_t c) { return c < kInfinite; });
    return all ? StringRule::kMaxLength : -1;
  }
  return -1;
}

int32_t Machine::free_text_cost(const Frame& f) const {
  if (f.kind == Frame::Kind::kString) return f.cost;
  const ObjectPlace& place = objects_[static_cast<size_t>(f.a)];
  // Among the texts of three more characters there are more than names can be taken.
  const int32_t value = *std::max_element(place.class_costs.begin(), place.class_costs.end());
  return add_costs(f.parent->cost, add_costs(value, 2 + 8));
}

const Frame* Machine::alone(const Frame& f) {
  Frame frame = f;
  frame.parent = done_;
  return make(frame, f.cost - f.parent->cost);
}

void Machine::add_borders(const Frame& f, std::vector<uint32_t>& borders) const {
  const auto add_dfa = [&](int32_t dfa, int32_t q) {
    for (const Dfa::Edge& e : program_.dfas[static_cast<size_t>(dfa)].edges_of(q)) {
      borders.push_back(e.lo);
      borders.push_back(e.hi + 1);
    }
  };
  if (f.kind == Frame::Kind::kString) return add_dfa(program_.strings[static_cast<size_t>(f.a)].dfa, f.b);
  const ObjectRule& rule = program_.objects[static_cast<size_t>(objects_[static_cast<size_t>(f.a)].state.rule)];
  if (f.c >= 0) add_dfa(rule.others, f.c);
  const auto add_one = [&](uint32_t cp) {
    borders.push_back(cp);
    borders.push_back(cp + 1);
  };
  if (f.b >= 0) {
    const ObjectRule::TrieNode& node = rule.trie[static_cast<size_t>(f.b)];
    for (int32_t i = 0; i < node.n_edges; ++i) add_one(rule.trie_edges[static_cast<size_t>(node.first_edge + i)].cp);
  }
  if (f.e >= 0) {
    for (const uint32_t cp : prefix_next_[static_cast<size_t>(f.e)]) add_one(cp);
  }
}

void Machine::step_frame(const Frame& f, uint8_t byte) {
  switch (f.kind) {
    case Frame::Kind::kDone: return;
    case Frame::Kind::kValue:
      if (is_json_space(byte)) {
        if (f.phase != 0 && f.space < code_->max_whitespace) {
          Frame next = f;
          ++next.space;
          add(make(next, program_.specs[static_cast<size_t>(f.a)].cost));
        }
        return;
      }
      return begin_value(f.a, f.parent, byte);
    case Frame::Kind::kLiteral: {
      const auto which = static_cast<size_t>(f.a);
      if (static_cast<uint8_t>(kLiterals[which][f.b]) != byte) return;
      if (f.b + 1 == kLiteralSizes[which]) return add(f.parent);
      return add(make({.kind = Frame::Kind::kLiteral, .a = f.a, .b = f.b + 1, .parent = f.parent}, kLiteralSizes[which] - f.b - 1));
    }
    case Frame::Kind::kNumber: return step_number(f, byte);
    case Frame::Kind::kString: return step_string(f, byte);
    case Frame::Kind::kObject: return step_object(f, byte);
    case Frame::Kind::kKey: return step_key(f, byte);
    case Frame::Kind::kColon: {
      const int32_t value = program_.specs[static_cast<size_t>(f.b)].cost;
      const ObjectPlace& place = plan(f.a);
      if (is_json_space(byte)) {
        if (f.space >= code_->max_whitespace) return;
        Frame next = f;
        ++next.space;
        return add(make(next, add_costs(1 + value, place.cost)));
      }
      if (byte != ':') return;
      const Frame* object = make({.kind = Frame::Kind::kObject, .phase = 1, .a = f.a, .parent = f.parent}, place.cost);
      if (object != nullptr) add(make({.kind = Frame::Kind::kValue, .phase = 1, .a = f.b, .parent = object}, value));
      return;
    }
    case Frame::Kind::kArray: return step_array(f, byte);
    case Frame::Kind::kRule: return step_rule(f, byte);
    case Frame::Kind::kFree: return step_free(f, byte);
    case Frame::Kind::kText: {
      const std::string& text = code_->tags[static_cast<size_t>(f.a)].end;
      if (static_cast<size_t>(f.b) == text.size()) return step_frame(*f.parent, byte);
      if (static_cast<uint8_t>(text[static_cast<size_t>(f.b)]) != byte) return;
      if (static_cast<size_t>(f.b) + 1 == text.size()) return add(f.parent);
      return add(make({.kind = Frame::Kind::kText, .a = f.a, .b = f.b + 1, .parent = f.parent}, static_cast<int32_t>(text.size()) - f.b - 1));
    }
  }
}

NumberMachine& Machine::number(int32_t rule) {
  std::unique_ptr<NumberMachine>& machine = numbers_[static_cast<size_t>(rule)];
  if (!machine) machine = std::make_unique<NumberMachine>(&program_.numbers[static_cast<size_t>(rule)]);
  return *machine;
}

// The first byte of a value tells its type.
void Machine::begin_value(int32_t spec_idx, const Frame* parent, uint8_t byte) {
  const Spec& spec = program_.specs[static_cast<size_t>(spec_idx)];
  const auto literal = [&](int32_t which) {
    add(make({.kind = Frame::Kind::kLiteral, .a = which, .b = 1, .parent = parent}, kLiteralSizes[static_cast<size_t>(which)] - 1));
  };
  switch (byte) {
    case 'n':
      if (spec.null_ok) literal(0);
      return;
    case 't':
      if (spec.true_ok) literal(1);
      return;
    case 'f':
      if (spec.false_ok) literal(2);
      return;
    case '"':
      for (int32_t rule : spec.strings) add_string(rule, 0, 0, 0, parent);
      return;
    case '{':
      for (int32_t rule : spec.objects) {
        const int32_t place = object_place(first_object_state(program_, rule), 0);
        add(make({.kind = Frame::Kind::kObject, .a = place, .parent = parent}, plan(place).cost));
      }
      return;
    case '[':
      for (int32_t rule : spec.arrays) {
        const int32_t place = array_place(first_array_state(program_, rule));
        add(make({.kind = Frame::Kind::kArray, .a = place, .parent = parent}, plan_array(place).cost));
      }
      return;
    default:
      if (byte != '-' && (byte < '0' || byte > '9')) return;
      for (int32_t rule : spec.numbers) {
        NumberMachine& machine = number(rule);
        const int32_t state = machine.step(machine.start(), static_cast<char>(byte));
        if (state >= 0) add(make({.kind = Frame::Kind::kNumber, .a = rule, .b = state, .parent = parent}, machine.cost(state)));
      }
  }
}

// A number ends where something else begins.
void Machine::step_number(const Frame& f, uint8_t byte) {
  NumberMachine& machine = number(f.a);
  const int32_t state = machine.step(f.b, static_cast<char>(byte));
  if (state >= 0) {
    add(make({.kind = Frame::Kind::kNumber, .a = f.a, .b = state, .parent = f.parent}, machine.cost(state)));
  } else if (machine.accepts(f.b)) {
    step_frame(*f.parent, byte);
  }
}

void Machine::add_string(int32_t rule_idx, int32_t q, int64_t length, CharState chars, const Frame* parent) {
  const StringRule& rule = program_.strings[static_cast<size_t>(rule_idx)];
  int32_t rest = kInfinite;
  if (chars == 0) {
    rest = rule.rest(q, length);
  } else {
    for (const Completion& c : completions(chars)) {
      if (rule.universal) {
        rest = std::min(rest, add_costs(c.n_bytes, rule.rest(0, length + 1)));
        continue;
      }
      for (const Dfa::Edge& e : program_.dfas[static_cast<size_t>(rule.dfa)].edges_of(q)) {
        if (e.lo <= c.hi && e.hi >= c.lo) rest = std::min(rest, add_costs(c.n_bytes, rule.rest(e.to, length + 1)));
      }
    }
  }
  add(make({.kind = Frame::Kind::kString, .a = rule_idx, .b = q, .c = static_cast<int32_t>(rule.clamp(length)), .chars = chars, .parent = parent}, add_costs(rest, 1)));
}

void Machine::step_string(const Frame& f, uint8_t byte) {
  const StringRule& rule = program_.strings[static_cast<size_t>(f.a)];
  const Dfa& dfa = program_.dfas[static_cast<size_t>(rule.dfa)];
  if (byte == '"' && f.chars == 0) {
    if (f.c >= rule.min && f.c <= rule.max && dfa.label(f.b) >= 0) add(f.parent);
    return;
  }
  const CharStep s = step_char(f.chars, byte, true);
  if (s.kind == CharStep::Kind::kDead) return;
  if (s.kind == CharStep::Kind::kPartial) return add_string(f.a, f.b, f.c, s.value, f.parent);
  const int32_t q = dfa.step(f.b, s.value);
  if (q >= 0) add_string(f.a, q, f.c + int64_t{1}, 0, f.parent);
}

int32_t Machine::array_place(const ArrayState& state) {
  uint64_t h = mix_hash(static_cast<uint64_t>(state.rule), static_cast<uint64_t>(state.n_items));
  for (int32_t c : state.counts) h = mix_hash(h, static_cast<uint64_t>(c));
  const auto [first, last] = array_ids_.equal_range(h);
  for (auto it = first; it != last; ++it) {
    if (arrays_[static_cast<size_t>(it->second)].state == state) return it->second;
  }
  ArrayPlace& place = arrays_.emplace_back();
  place.state = state;
  place.cost = array_cost(program_, state);
  const auto id = static_cast<int32_t>(arrays_.size()) - 1;
  array_ids_.emplace(h, id);
  return id;
}

Machine::ArrayPlace& Machine::plan_array(int32_t index) {
  ArrayPlace& place = arrays_[static_cast<size_t>(index)];
  if (place.planned) return place;
  place.planned = true;
  for (ArrayMove& move : array_moves(program_, place.state)) place.moves.push_back({move.spec, array_place(move.next)});
  return place;
}

void Machine::step_array(const Frame& f, uint8_t byte) {
  ArrayPlace& place = plan_array(f.a);
  if (is_json_space(byte)) {
    if (f.space >= code_->max_whitespace) return;
    Frame next = f;
    ++next.space;
    return add(make(next, place.cost));
  }
  if (byte == ']') {
    if (array_may_end(program_, place.state)) add(f.parent);
    return;
  }
  if (f.phase == 1 && byte != ',') return;
  for (const auto& [spec, next] : place.moves) {
    const Frame* array = make({.kind = Frame::Kind::kArray, .phase = 1, .a = next, .parent = f.parent}, arrays_[static_cast<size_t>(next)].cost);
    if (array == nullptr) continue;
    if (f.phase == 0) {
      begin_value(spec, array, byte);
    } else {
      add(make({.kind = Frame::Kind::kValue, .phase = 1, .a = spec, .parent = array}, program_.specs[static_cast<size_t>(spec)].cost));
    }
  }
}

}  // namespace hanlin::grammar
