// How an object or array that has begun can be brought to a legal end, and what that costs. The same arithmetic decides
// while compiling whether a schema has values at all, and while decoding which names may come next.
#pragma once

#include <cstdint>
#include <vector>

#include "grammar/rules.h"

namespace hanlin::grammar {

// What an object remembers between properties.
struct ObjectState {
  int32_t rule = 0;
  std::vector<uint64_t> seen;  // bits of declared names, when any order is allowed
  int32_t last = -1;           // the last declared name, when they come in order
  uint8_t pending = 0;         // witnesses still owed
  int32_t n_properties = 0;
  int32_t n_others = 0;
  bool operator==(const ObjectState&) const = default;
};

ObjectState first_object_state(const Program& program, int32_t rule);
// Whether the declared name was not written yet and its place in the order has not passed.
bool is_open(const ObjectRule& rule, const ObjectState& s, int32_t name);
// Bytes to the end of the object from between two properties ('}' included), kInfinite if there is no end.
int32_t object_cost(const Program& program, const ObjectState& s);
// After declared property `name` (or, with name < 0, after another one) that stands for `subset` of the witnesses.
ObjectState after_property(const Program& program, const ObjectState& s, int32_t name, uint8_t subset);

struct ArrayState {
  int32_t rule = 0;
  int32_t n_items = 0;  // no further than what matters
  std::vector<int32_t> counts;
  bool operator==(const ArrayState&) const = default;
};

ArrayState first_array_state(const Program& program, int32_t rule);
// One way to go on with an array: what the next item must be, and the state after it.
struct ArrayMove {
  int32_t spec;
  ArrayState next;
};
std::vector<ArrayMove> array_moves(const Program& program, const ArrayState& s);
bool array_may_end(const Program& program, const ArrayState& s);
// Bytes to the end of the array from between two items (']' included).
int32_t array_cost(const Program& program, const ArrayState& s);

inline int32_t add_costs(int32_t a, int32_t b) { return a >= kInfinite || b >= kInfinite ? kInfinite : std::min(kInfinite, a + b); }

}  // namespace hanlin::grammar
