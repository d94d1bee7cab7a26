#include "grammar/planner.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <map>

namespace hanlin::grammar {
namespace {

// `"name":` and a value.
int32_t property_cost(const Program& p, const PropertyRule& property, int32_t name_bytes, uint8_t subset) {
  return add_costs(name_bytes + 3, p.specs[static_cast<size_t>(property.spec(subset))].cost);
}

int32_t fresh_name_bytes(const ObjectRule& rule, size_t c, int32_t n_used) {
  const std::vector<int32_t>& costs = rule.fresh_costs[c];
  return static_cast<size_t>(n_used) < costs.size() ? costs[static_cast<size_t>(n_used)] : kInfinite;
}

// Which property each owed witness will be, at least cost. Small numbers on both sides.
class WitnessSearch {
 public:
  WitnessSearch(const Program& program, const ObjectRule& rule, const ObjectState& s) : p_(program), rule_(rule), s_(s) {
    for (size_t i = 0; i < rule.names.size(); ++i) {
      if (is_open(rule, s, static_cast<int32_t>(i))) open_.push_back(static_cast<int32_t>(i));
    }
  }
  // Bytes of all that must still come, commas included but the one that the first property may not need.
  int32_t best() {
    assign_next(s_.pending);
    return best_;
  }

 private:
  void assign_next(uint8_t left) {
    if (left == 0) {
      best_ = std::min(best_, total());
      return;
    }
    const auto w = static_cast<uint8_t>(left & -left);
    const auto rest = static_cast<uint8_t>(left & ~w);
    for (int32_t name : open_) {
      if (!(rule_.names[static_cast<size_t>(name)].witness_mask & w)) continue;
      const uint8_t before = names_[name];
      names_[name] = static_cast<uint8_t>(before | w);
      assign_next(rest);
      names_[name] = before;
    }
    for (auto& [c, subset] : others_) {  // together with one that is already planned
      if (!(rule_.classes[static_cast<size_t>(c)].witness_mask & w)) continue;
      const uint8_t before = subset;
      subset = static_cast<uint8_t>(subset | w);
      assign_next(rest);
      subset = before;
    }
    for (size_t c = 0; c < rule_.classes.size(); ++c) {
      if (!(rule_.classes[c].witness_mask & w)) continue;
      others_.push_back({static_cast<int32_t>(c), w});
      assign_next(rest);
      others_.pop_back();
    }
  }

  int32_t total() const {
    int64_t n = s_.n_properties;
    int32_t cost = 0;
    const auto subset_of = [&](int32_t name) {
      const auto it = names_.find(name);
      return it == names_.end() ? uint8_t{0} : it->second;
    };
    for (int32_t name : open_) {
      const PropertyRule& property = rule_.names[static_cast<size_t>(name)];
      const uint8_t subset = subset_of(name);
      if (!property.required && subset == 0) continue;
      cost = add_costs(cost, property_cost(p_, property, property.name_costs[0], subset) + 1);
      ++n;
    }
    int32_t n_others = s_.n_others;
    for (const auto& [c, subset] : others_) {
      const auto i = static_cast<size_t>(c);
      cost = add_costs(cost, add_costs(fresh_name_bytes(rule_, i, n_others++), property_cost(p_, rule_.classes[i], 0, subset)) + 1);
      ++n;
    }
    for (int32_t name : rule_.cheapest) {  // up to minProperties
      if (n >= rule_.min) break;
      if (!is_open(rule_, s_, name) || subset_of(name) != 0) continue;
      const PropertyRule& property = rule_.names[static_cast<size_t>(name)];
      const int32_t more = property_cost(p_, property, property.name_costs[0], 0);
      if (more >= kInfinite) continue;
      cost = add_costs(cost, more + 1);
      ++n;
    }
    while (n < rule_.min) {
      int32_t least = kInfinite;
      for (size_t c = 0; c < rule_.classes.size(); ++c) {
        least = std::min(least, add_costs(fresh_name_bytes(rule_, c, n_others), property_cost(p_, rule_.classes[c], 0, 0)));
      }
      cost = add_costs(cost, add_costs(least, 1));
      if (cost >= kInfinite) break;
      ++n_others;
      ++n;
    }
    if ((rule_.has_max && n > rule_.max) || n_others > kMaxOtherNames) return kInfinite;
    return cost;
  }

  const Program& p_;
  const ObjectRule& rule_;
  const ObjectState& s_;
  std::vector<int32_t> open_;
  std::map<int32_t, uint8_t> names_;
  std::vector<std::pair<int32_t, uint8_t>> others_;
  int32_t best_ = kInfinite;
};

}  // namespace

ObjectState first_object_state(const Program& program, int32_t rule_idx) {
  const ObjectRule& rule = program.objects[static_cast<size_t>(rule_idx)];
  ObjectState s;
  s.rule = rule_idx;
  if (rule.any_order) s.seen.assign((rule.names.size() + 63) / 64, 0);
  s.pending = static_cast<uint8_t>((1 << rule.n_witnesses) - 1);
  return s;
}

bool is_open(const ObjectRule& rule, const ObjectState& s, int32_t name) {
  if (rule.any_order) return !(s.seen[static_cast<size_t>(name) / 64] >> (name % 64) & 1);
  return name > s.last;
}

int32_t object_cost(const Program& program, const ObjectState& s) {
  const ObjectRule& rule = program.objects[static_cast<size_t>(s.rule)];
  if (rule.has_max && s.n_properties > rule.max) return kInfinite;
  const int32_t properties = WitnessSearch(program, rule, s).best();
  // Every property was counted with a comma; the first of the object has none.
  return properties >= kInfinite ? kInfinite : properties + 1 - (s.n_properties == 0 && properties > 0 ? 1 : 0);
}

ObjectState after_property(const Program& program, const ObjectState& s, int32_t name, uint8_t subset) {
  const ObjectRule& rule = program.objects[static_cast<size_t>(s.rule)];
  ObjectState next = s;
  ++next.n_properties;
  next.pending = static_cast<uint8_t>(next.pending & ~subset);
  if (name < 0) {
    ++next.n_others;
    if (!rule.any_order) next.last = static_cast<int32_t>(rule.names.size());
  } else if (rule.any_order) {
    next.seen[static_cast<size_t>(name) / 64] |= uint64_t{1} << (name % 64);
  } else {
    next.last = name;
  }
  return next;
}

ArrayState first_array_state(const Program& program, int32_t rule_idx) {
  ArrayState s;
  s.rule = rule_idx;
  s.counts.assign(program.arrays[static_cast<size_t>(rule_idx)].counts.size(), 0);
  return s;
}

bool array_may_end(const Program& program, const ArrayState& s) {
  const ArrayRule& rule = program.arrays[static_cast<size_t>(s.rule)];
  if (s.n_items < rule.min) return false;
  for (size_t c = 0; c < rule.counts.size(); ++c) {
    if (s.counts[c] < rule.counts[c].min) return false;
  }
  return true;
}

std::vector<ArrayMove> array_moves(const Program& program, const ArrayState& s) {
  const ArrayRule& rule = program.arrays[static_cast<size_t>(s.rule)];
  std::vector<ArrayMove> moves;
  if (rule.has_max && s.n_items >= rule.max) return moves;
  const std::vector<int32_t>& specs = rule.item(s.n_items);
  const auto go = [&](auto& self, size_t c, int32_t code, int32_t weight, ArrayState next) -> void {
    if (c == rule.counts.size()) {
      const int32_t spec = specs[static_cast<size_t>(code)];
      if (program.specs[static_cast<size_t>(spec)].cost < kInfinite) moves.push_back({spec, std::move(next)});
      return;
    }
    const ItemCount& count = rule.counts[c];
    const bool here = s.n_items >= count.from && s.n_items < count.to;
    const int32_t n = s.counts[c];
    if (!here || (!count.has_max && n >= count.min)) {
      self(self, c + 1, code, weight * 3, next);
      return;
    }
    self(self, c + 1, code + (count.has_max ? weight : 0), weight * 3, next);
    if (!count.has_max || n < count.max) {
      ++next.counts[c];
      self(self, c + 1, code + (count.min > 0 ? 2 * weight : 0), weight * 3, std::move(next));
    }
  };
  ArrayState next = s;
  // Beyond the last index that matters the number of items is not kept.
  int64_t matters = std::max<int64_t>(rule.min, static_cast<int64_t>(rule.items.size()) - 1);
  if (rule.has_max) matters = rule.max;
  for (const ItemCount& count : rule.counts) matters = std::max(matters, std::max(count.from, count.to >= (int64_t{1} << 30) ? 0 : count.to));
  next.n_items = static_cast<int32_t>(std::min<int64_t>(s.n_items + int64_t{1}, std::max<int64_t>(1, matters)));
  go(go, 0, 0, 1, std::move(next));
  return moves;
}

namespace {

int32_t search_array(const Program& program, const ArrayState& s, std::map<std::pair<int32_t, std::vector<int32_t>>, int32_t>& known) {
  const auto key = std::make_pair(s.n_items, s.counts);
  if (const auto it = known.find(key); it != known.end()) return it->second;
  if (array_may_end(program, s)) return known[key] = 1;
  known[key] = kInfinite;  // a loop costs more than what it leads back to
  int32_t best = kInfinite;
  for (const ArrayMove& move : array_moves(program, s)) {
    const int32_t item = add_costs(program.specs[static_cast<size_t>(move.spec)].cost, s.n_items == 0 ? 0 : 1);
    if (item < best) best = std::min(best, add_costs(item, search_array(program, move.next, known)));
  }
  return known[key] = best;
}

}  // namespace

int32_t array_cost(const Program& program, const ArrayState& s) {
  const ArrayRule& rule = program.arrays[static_cast<size_t>(s.rule)];
  if (rule.has_max && s.n_items > rule.max) return kInfinite;
  if (rule.counts.empty()) {
    int32_t cost = 1;
    for (int64_t i = s.n_items; i < rule.min; ++i) {
      const int32_t item = program.specs[static_cast<size_t>(rule.item(i)[0])].cost;
      if (i >= static_cast<int64_t>(rule.items.size())) {
        if (item >= kInfinite || (rule.min - i) * (item + 1) >= kInfinite) return kInfinite;
        return add_costs(cost, static_cast<int32_t>((rule.min - i) * (item + 1)));
      }
      cost = add_costs(cost, add_costs(item, i == 0 ? 0 : 1));
    }
    return cost;
  }
  std::map<std::pair<int32_t, std::vector<int32_t>>, int32_t> known;
  return search_array(program, s, known);
}

}  // namespace hanlin::grammar
