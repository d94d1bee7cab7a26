// Objects in the machine: which names may come, name by name and letter by letter.
#include <algorithm>

#include "grammar/machine.h"

namespace hanlin::grammar {
namespace {

uint64_t pair_key(int32_t a, uint32_t b) { return static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | b; }

}  // namespace

int32_t Machine::object_place(ObjectState state, int32_t names) {
  uint64_t h = mix_hash(mix_hash(static_cast<uint64_t>(state.rule), static_cast<uint64_t>(state.last)), static_cast<uint64_t>(state.pending));
  h = mix_hash(mix_hash(mix_hash(h, static_cast<uint64_t>(state.n_properties)), static_cast<uint64_t>(state.n_others)), static_cast<uint64_t>(names));
  for (uint64_t word : state.seen) h = mix_hash(h, word);
  const auto [first, last] = object_ids_.equal_range(h);
  for (auto it = first; it != last; ++it) {
    const ObjectPlace& p = objects_[static_cast<size_t>(it->second)];
    if (p.names == names && p.state == state) return it->second;
  }
  ObjectPlace& place = objects_.emplace_back();
  place.state = std::move(state);
  place.names = names;
  place.cost = object_cost(program_, place.state);
  const auto id = static_cast<int32_t>(objects_.size()) - 1;
  object_ids_.emplace(h, id);
  return id;
}

// What each name would lead to. Computed once for a place.
Machine::ObjectPlace& Machine::plan(int32_t index) {
  ObjectPlace& place = objects_[static_cast<size_t>(index)];
  if (place.planned) return place;
  place.planned = true;
  const ObjectState& s = place.state;
  const ObjectRule& rule = program_.objects[static_cast<size_t>(s.rule)];
  place.name_costs.assign(rule.names.size(), kInfinite);
  place.class_costs.assign(rule.classes.size(), kInfinite);
  if (rule.has_max && s.n_properties >= rule.max) return place;
  // In order: no further than the first name that must not be left out.
  auto last_allowed = static_cast<int32_t>(rule.names.size());
  if (!rule.any_order) {
    for (int32_t i = s.last + 1; i < static_cast<int32_t>(rule.names.size()); ++i) {
      if (rule.names[static_cast<size_t>(i)].required) {
        last_allowed = i;
        break;
      }
    }
  }
  const auto best = [&](const PropertyRule& property, int32_t name) {
    int32_t least = kInfinite;
    const auto choices = static_cast<uint8_t>(property.witness_mask & s.pending);
    for (uint8_t subset = choices;; subset = static_cast<uint8_t>((subset - 1) & choices)) {
      const int32_t value = program_.specs[static_cast<size_t>(property.spec(subset))].cost;
      if (value < kInfinite) least = std::min(least, add_costs(value, object_cost(program_, after_property(program_, s, name, subset))));
      if (subset == 0) break;
    }
    return least;
  };
  for (int32_t i = 0; i < static_cast<int32_t>(rule.names.size()); ++i) {
    if (i > last_allowed || !is_open(rule, s, i)) continue;
    const PropertyRule& property = rule.names[static_cast<size_t>(i)];
    int32_t& cost = place.name_costs[static_cast<size_t>(i)];
    // Without limits and debts an optional property changes nothing about the rest.
    if (!rule.has_max && rule.n_witnesses == 0 && rule.min == 0 && !property.required && s.n_properties > 0 && rule.any_order) {
      cost = add_costs(program_.specs[static_cast<size_t>(property.spec(0))].cost, place.cost);
    } else {
      cost = best(property, i);
    }
    place.next_cost = std::min(place.next_cost, add_costs(cost, property.name_costs[0] + 3));
  }
  if (rule.others >= 0 && s.n_others < kMaxOtherNames && last_allowed == static_cast<int32_t>(rule.names.size())) {
    for (size_t c = 0; c < rule.classes.size(); ++c) {
      place.class_costs[c] = best(rule.classes[c], -1);
      place.next_cost = std::min(place.next_cost, add_costs(place.class_costs[c], add_costs(rule.fresh_costs[c][static_cast<size_t>(s.n_others)], 3)));
    }
  }
  return place;
}

void Machine::step_object(const Frame& f, uint8_t byte) {
  ObjectPlace& place = plan(f.a);
  if (is_json_space(byte)) {
    if (f.space >= code_->max_whitespace) return;
    Frame next = f;
    ++next.space;
    return add(make(next, f.phase == 2 ? place.next_cost : place.cost));
  }
  const ObjectState& s = place.state;
  const ObjectRule& rule = program_.objects[static_cast<size_t>(s.rule)];
  if (byte == '}' && f.phase != 2) {
    if (s.pending != 0 || s.n_properties < rule.min) return;
    for (size_t i = 0; i < rule.names.size(); ++i) {
      if (rule.names[i].required && is_open(rule, s, static_cast<int32_t>(i))) return;
    }
    return add(f.parent);
  }
  if (byte == ',' && f.phase == 1) return add(make({.kind = Frame::Kind::kObject, .phase = 2, .a = f.a, .parent = f.parent}, place.next_cost));
  if (byte == '"' && f.phase != 1) add_key(f.a, 0, rule.others < 0 ? -1 : 0, 0, 0, f.parent);
}

void Machine::add_key(int32_t place_idx, int32_t trie, int32_t q, CharState chars, int32_t prefix, const Frame* parent) {
  const ObjectPlace& place = objects_[static_cast<size_t>(place_idx)];
  const int32_t cost = key_cost(place, trie, q, chars, prefix);
  add(make({.kind = Frame::Kind::kKey, .a = place_idx, .b = trie, .c = q, .e = prefix, .chars = chars, .parent = parent}, cost));
}

// Rest of the name, quote, colon, value, rest of the object.
int32_t Machine::key_cost(const ObjectPlace& place, int32_t trie, int32_t q, CharState chars, int32_t prefix) {
  if (chars == 0) return key_cost_between(place, trie, q, prefix);
  const ObjectRule& rule = program_.objects[static_cast<size_t>(place.state.rule)];
  int32_t best = kInfinite;
  const auto lookup = [&](uint32_t cp) {
    const auto it = prefix < 0 ? prefixes_.end() : prefixes_.find(pair_key(prefix, cp));
    return it == prefixes_.end() ? -1 : it->second;
  };
  for (const Completion& c : completions(chars)) {
    if (trie >= 0) {
      const ObjectRule::TrieNode& node = rule.trie[static_cast<size_t>(trie)];
      for (int32_t i = 0; i < node.n_edges; ++i) {
        const ObjectRule::TrieEdge& e = rule.trie_edges[static_cast<size_t>(node.first_edge + i)];
        if (e.cp < c.lo || e.cp > c.hi) continue;
        const int32_t next_q = q < 0 ? -1 : program_.dfas[static_cast<size_t>(rule.others)].step(q, e.cp);
        best = std::min(best, add_costs(c.n_bytes, key_cost_between(place, e.to, next_q, lookup(e.cp))));
      }
    }
    if (q < 0) continue;
    for (const Dfa::Edge& e : program_.dfas[static_cast<size_t>(rule.others)].edges_of(q)) {
      const uint32_t lo = std::max(e.lo, c.lo), hi = std::min(e.hi, c.hi);
      if (lo > hi) continue;
      if (hi - lo < 4096) {  // a few characters: each for itself, some may lead to names that are taken
        uint32_t n_tried = 0;
        for (uint32_t cp = lo; cp <= hi && n_tried < 600; ++cp, ++n_tried) {
          int32_t next_trie = -1;
          if (trie >= 0) {
            const ObjectRule::TrieNode& node = rule.trie[static_cast<size_t>(trie)];
            for (int32_t i = 0; i < node.n_edges; ++i) {
              const ObjectRule::TrieEdge& edge = rule.trie_edges[static_cast<size_t>(node.first_edge + i)];
              if (edge.cp == cp) next_trie = edge.to;
            }
          }
          const int32_t next_prefix = lookup(cp);
          best = std::min(best, add_costs(c.n_bytes, key_cost_between(place, next_trie, e.to, next_prefix)));
          if (next_trie < 0 && next_prefix < 0) break;  // as good as any other
        }
      } else {  // more characters than names taken
        best = std::min(best, add_costs(c.n_bytes, key_cost_between(place, -1, e.to, -1)));
      }
    }
  }
  return best;
}

int32_t Machine::key_cost_between(const ObjectPlace& place, int32_t trie, int32_t q, int32_t prefix) {
  const ObjectRule& rule = program_.objects[static_cast<size_t>(place.state.rule)];
  int32_t best = kInfinite;
  if (trie >= 0) {
    const ObjectRule::TrieNode& node = rule.trie[static_cast<size_t>(trie)];
    for (int32_t i = node.first; i < node.last; ++i) {
      const int32_t name = rule.sorted[static_cast<size_t>(i)];
      best = std::min(best, add_costs(place.name_costs[static_cast<size_t>(name)], rule.names[static_cast<size_t>(name)].name_costs[static_cast<size_t>(node.depth)] + 2));
    }
  }
  if (q < 0) return best;
  // Names that begin like this but are taken: so many of the cheapest endings do not count.
  const int32_t n_seen = prefix >= 0 && place.names > 0 ? count_seen_below(place.names, prefix) : 0;
  for (size_t c = 0; c < rule.classes.size(); ++c) {
    if (place.class_costs[c] >= kInfinite) continue;
    int32_t n_taken = n_seen;
    if (trie >= 0) {
      const ObjectRule::TrieNode& node = rule.trie[static_cast<size_t>(trie)];
      for (int32_t i = node.first; i < node.last; ++i) n_taken += rule.names[static_cast<size_t>(rule.sorted[static_cast<size_t>(i)])].other_label == static_cast<int32_t>(c);
    }
    const int32_t rest = n_taken == 0 ? rule.class_costs[c][static_cast<size_t>(q)] : nth_text_cost(rule.others, q, static_cast<int32_t>(c), n_taken);
    best = std::min(best, add_costs(place.class_costs[c], add_costs(rest, 2)));
  }
  return best;
}

int32_t Machine::nth_text_cost(int32_t dfa, int32_t q, int32_t label, int32_t n) {
  const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(dfa)) << 40 | static_cast<uint64_t>(static_cast<uint32_t>(q)) << 8 | static_cast<uint64_t>(label & 255);
  std::vector<int32_t>& costs = text_costs_[key];
  if (costs.size() <= static_cast<size_t>(n)) costs = cheapest_texts(program_.dfas[static_cast<size_t>(dfa)], q, label, std::max<size_t>(16, static_cast<size_t>(n) * 2));
  return static_cast<size_t>(n) < costs.size() ? costs[static_cast<size_t>(n)] : kInfinite;
}

// Prefixes of undeclared names. Exploring never adds any: a prefix that is not known is no prefix of a name seen before.
int32_t Machine::next_prefix(int32_t prefix, uint32_t cp) {
  if (prefix < 0) return -1;
  const auto it = prefixes_.find(pair_key(prefix, cp));
  if (it != prefixes_.end()) return it->second;
  if (explore_) return -1;
  const auto id = static_cast<int32_t>(prefix_parents_.size());
  prefix_parents_.push_back(prefix);
  prefixes_.emplace(pair_key(prefix, cp), id);
  prefix_next_.emplace_back();
  prefix_next_[static_cast<size_t>(prefix)].push_back(cp);
  return id;
}

bool Machine::is_seen(int32_t names, int32_t prefix) const {
  for (; names > 0; names = name_list_items_[static_cast<size_t>(names)].first) {
    if (name_list_items_[static_cast<size_t>(names)].second == prefix) return true;
  }
  return false;
}

int32_t Machine::count_seen_below(int32_t names, int32_t prefix) const {
  int32_t n = 0;
  for (; names > 0; names = name_list_items_[static_cast<size_t>(names)].first) {
    int32_t p = name_list_items_[static_cast<size_t>(names)].second;
    while (p > prefix) p = prefix_parents_[static_cast<size_t>(p)];
    n += p == prefix;
  }
  return n;
}

void Machine::step_key(const Frame& f, uint8_t byte) {
  if (byte == '"' && f.chars == 0) return end_key(f);
  const CharStep s = step_char(f.chars, byte, true);
  if (s.kind == CharStep::Kind::kDead) return;
  if (s.kind == CharStep::Kind::kPartial) return add_key(f.a, f.b, f.c, s.value, f.e, f.parent);
  const ObjectRule& rule = program_.objects[static_cast<size_t>(objects_[static_cast<size_t>(f.a)].state.rule)];
  int32_t trie = -1;
  if (f.b >= 0) {
    const ObjectRule::TrieNode& node = rule.trie[static_cast<size_t>(f.b)];
    for (int32_t i = 0; i < node.n_edges && trie < 0; ++i) {
      const ObjectRule::TrieEdge& e = rule.trie_edges[static_cast<size_t>(node.first_edge + i)];
      if (e.cp == s.value) trie = e.to;
    }
  }
  const int32_t q = f.c < 0 ? -1 : program_.dfas[static_cast<size_t>(rule.others)].step(f.c, s.value);
  if (trie < 0 && q < 0) return;
  add_key(f.a, trie, q, 0, q < 0 ? 0 : next_prefix(f.e, s.value), f.parent);
}

void Machine::end_key(const Frame& f) {
  const ObjectPlace& place = objects_[static_cast<size_t>(f.a)];
  const ObjectState state = place.state;
  const ObjectRule& rule = program_.objects[static_cast<size_t>(state.rule)];
  const int32_t name = f.b < 0 ? -1 : rule.trie[static_cast<size_t>(f.b)].name;
  const PropertyRule* property = nullptr;
  int32_t names = place.names;
  if (name >= 0) {
    if (place.name_costs[static_cast<size_t>(name)] >= kInfinite) return;
    property = &rule.names[static_cast<size_t>(name)];
  } else {
    const int32_t c = f.c < 0 ? -1 : program_.dfas[static_cast<size_t>(rule.others)].label(f.c);
    if (c < 0 || place.class_costs[static_cast<size_t>(c)] >= kInfinite) return;
    if (names < 0) return;  // exploring, and a second name in one token: not offered
    if (f.e >= 0 && is_seen(names, f.e)) return;
    property = &rule.classes[static_cast<size_t>(c)];
    if (f.e < 0) {
      names = -1;
    } else {
      const auto [it, is_new] = name_lists_.try_emplace(pair_key(names, static_cast<uint32_t>(f.e)), static_cast<int32_t>(name_list_items_.size()));
      if (is_new) name_list_items_.push_back({names, f.e});
      names = it->second;
    }
  }
  const auto choices = static_cast<uint8_t>(property->witness_mask & state.pending);
  for (uint8_t subset = choices;; subset = static_cast<uint8_t>((subset - 1) & choices)) {
    const int32_t spec = property->spec(subset);
    const int32_t value = program_.specs[static_cast<size_t>(spec)].cost;
    if (value < kInfinite) {
      const int32_t next = object_place(after_property(program_, state, name, subset), names);
      add(make({.kind = Frame::Kind::kColon, .a = next, .b = spec, .parent = f.parent}, add_costs(1 + value, plan(next).cost)));
    }
    if (subset == 0) break;
  }
}

}  // namespace hanlin::grammar
