#include "grammar/text_walk.h"

#include <algorithm>
#include <limits>
#include <string>

namespace hanlin::grammar {
namespace {

constexpr size_t kMaxWalkStates = 20'000;
constexpr int32_t kDead = -1, kUnknown = -2;
constexpr uint32_t kAscii = 128;

}  // namespace

TextWalk::TextWalk(Machine& machine, const TokenVocabulary& vocabulary) : machine_(machine), vocabulary_(vocabulary) {
  stack_.resize(static_cast<size_t>(vocabulary.plain_trie().max_depth()) + 2);
}

bool TextWalk::applies(const FrameSet& set) {
  return !set.empty() && std::all_of(set.begin(), set.end(), [](const Frame* f) { return (f->kind == Frame::Kind::kString || f->kind == Frame::Kind::kKey) && f->chars == 0; });
}

size_t TextWalk::Hash::operator()(const FrameSet& set) const {
  uint64_t h = set.size();
  for (const Frame* f : set) h = (h ^ f->id) * 0x9e3779b97f4a7c15ull + (h >> 31);
  return h;
}

size_t TextWalk::memory_bytes() const { return states_.size() * 800 + n_masks_ * mask_words(vocabulary_.size()) * 4; }

void TextWalk::clear() {
  states_.clear();
  ascii_.clear();
  ids_.clear();
  n_masks_ = 0;
}

int32_t TextWalk::intern(const FrameSet& set) {
  const auto [it, is_new] = ids_.try_emplace(set, static_cast<int32_t>(states_.size()));
  if (is_new) {
    State& state = states_.emplace_back();
    state.frames = set;
    state.cost = Machine::cost(set);
    ascii_.resize(ascii_.size() + kAscii, kUnknown);
  }
  return it->second;
}

int32_t TextWalk::compute(int32_t state, uint32_t code_point) {
  std::string bytes;
  append_code_point(bytes, code_point);
  FrameSet here = states_[static_cast<size_t>(state)].frames, next;
  for (const char c : bytes) {
    machine_.step(here, static_cast<uint8_t>(c), true, next);
    if (next.empty()) return kDead;
    std::swap(here, next);
  }
  return intern(here);
}

// Between two borders all characters are alike to every frame.
void TextWalk::find_ranges(int32_t state) {
  std::vector<uint32_t> borders = {kAscii, 0xD800, 0xE000};
  for (const Frame* f : states_[static_cast<size_t>(state)].frames) machine_.add_borders(*f, borders);
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  std::vector<Range> ranges;
  for (const uint32_t first : borders) {
    if (first < kAscii || first > kMaxCodePoint) continue;
    const int32_t to = first >= 0xD800 && first < 0xE000 ? kDead : compute(state, first);
    if (ranges.empty() || ranges.back().to != to) ranges.push_back({first, to});
  }
  states_[static_cast<size_t>(state)].ranges = std::move(ranges);
}

inline int32_t TextWalk::step(int32_t state, uint32_t code_point) {
  if (code_point < kAscii) {
    const size_t at = static_cast<size_t>(state) * kAscii + code_point;
    if (ascii_[at] == kUnknown) {
      const int32_t to = compute(state, code_point);
      ascii_[at] = to;
    }
    return ascii_[at];
  }
  if (states_[static_cast<size_t>(state)].ranges.empty()) find_ranges(state);
  const std::vector<Range>& ranges = states_[static_cast<size_t>(state)].ranges;
  if (ranges.size() == 1) return ranges[0].to;
  return std::prev(std::upper_bound(ranges.begin(), ranges.end(), code_point, [](uint32_t cp, const Range& r) { return cp < r.first; }))->to;
}

bool TextWalk::fill(int32_t state, int64_t budget, TokenMask& out) {
  out.bits.assign(mask_words(vocabulary_.size()), 0);
  out.max_cost = 0;
  const TokenTrie& trie = vocabulary_.plain_trie();
  const auto& nodes = trie.nodes();
  stack_[0] = state;
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const int32_t next = step(stack_[node.depth], node.unit);
    if (next < 0) {
      i = static_cast<size_t>(node.after);
      continue;
    }
    stack_[node.depth + 1u] = next;
    if (node.token >= 0) {
      const int32_t cost = states_[static_cast<size_t>(next)].cost;
      if (cost <= budget) {
        trie.for_each_token(node, [&](int32_t id) { set_bit(out.bits, id); });
        out.max_cost = std::max(out.max_cost, cost);
      }
    }
    ++i;
    if (states_.size() > kMaxWalkStates) return false;
  }
  return true;
}

bool TextWalk::walk(const FrameSet& set, int64_t budget, TokenMask& out) {
  if (states_.size() > kMaxWalkStates / 2) clear();
  FrameSet frames = set;
  int32_t around = 0;
  const bool alike = std::all_of(set.begin(), set.end(), [&](const Frame* f) { return f->parent == set[0]->parent; });
  if (alike) {
    around = set[0]->parent->cost;
    for (const Frame*& f : frames) f = machine_.alone(*f);
    std::sort(frames.begin(), frames.end(), [](const Frame* a, const Frame* b) { return a->id < b->id; });
  }
  const int32_t state = intern(frames);
  if (states_[static_cast<size_t>(state)].mask == nullptr) {
    if (budget < kInfinite) {
      if (!fill(state, budget - around, out)) return false;
      out.max_cost += around;
      return true;
    }
    auto mask = std::make_unique<TokenMask>();
    if (!fill(state, std::numeric_limits<int64_t>::max(), *mask)) return false;
    states_[static_cast<size_t>(state)].mask = std::move(mask);
    ++n_masks_;
  }
  const TokenMask& known = *states_[static_cast<size_t>(state)].mask;
  if (known.max_cost + static_cast<int64_t>(around) > budget) {
    if (!fill(state, budget - around, out)) return false;
  } else {
    out = known;
  }
  out.max_cost += around;
  return true;
}

}  // namespace hanlin::grammar
