#include "grammar/token_masks.h"

#include <algorithm>

namespace hanlin::grammar {
namespace {

constexpr int32_t kMaxPartial = 12;                     // bytes that a half-written character may still need
constexpr size_t kMaxMaskBytes = size_t{64} << 20;      // kept masks of one grammar
constexpr int64_t kNoBudget = std::numeric_limits<int64_t>::max();

}  // namespace

TokenMasks::TokenMasks(std::shared_ptr<const MachineCode> code, std::shared_ptr<const TokenVocabulary> vocabulary)
    : machine_(std::move(code)), vocabulary_(std::move(vocabulary)), text_(machine_, *vocabulary_) {
  stack_.resize(static_cast<size_t>(vocabulary_->trie().max_depth()) + 2);
  start_ = intern(machine_.start());
}

int32_t TokenMasks::intern(const FrameSet& set) {
  uint64_t h = set.size();
  for (const Frame* f : set) h = (h ^ f->id) * 0x9e3779b97f4a7c15ull + (h >> 31);
  const auto [first, last] = ids_.equal_range(h);
  for (auto it = first; it != last; ++it) {
    if (sets_[static_cast<size_t>(it->second)].frames == set) return it->second;
  }
  State& state = sets_.emplace_back();
  state.frames = set;
  state.cost = Machine::cost(set);
  state.may_end = machine_.may_end(set);
  const auto id = static_cast<int32_t>(sets_.size()) - 1;
  ids_.emplace(h, id);
  return id;
}

bool TokenMasks::is_free(int32_t id) const {
  const FrameSet& frames = set(id);
  return std::any_of(frames.begin(), frames.end(), [](const Frame* f) { return f->kind == Frame::Kind::kFree; });
}

bool TokenMasks::is_between_values(int32_t id) const {
  const FrameSet& frames = set(id);
  return std::all_of(frames.begin(), frames.end(), [](const Frame* f) { return f->kind == Frame::Kind::kFree || f->kind == Frame::Kind::kRule || f->kind == Frame::Kind::kText || f->kind == Frame::Kind::kDone; });
}

int32_t TokenMasks::advance(int32_t id, std::string_view bytes) {
  FrameSet here = set(id), next;
  for (char c : bytes) {
    machine_.step(here, static_cast<uint8_t>(c), false, next);
    if (next.empty()) return -1;
    std::swap(here, next);
  }
  return intern(here);
}

// No character is left half-written.
bool TokenMasks::is_complete(const FrameSet& set) const {
  return std::all_of(set.begin(), set.end(), [](const Frame* f) { return f->chars == 0; });
}

void TokenMasks::walk(const TokenTrie& trie, const FrameSet& set, int64_t budget, TokenMask& out) {
  stack_[0] = set;
  const auto& nodes = trie.nodes();
  const bool partial_ok = vocabulary_->completes_characters();
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    FrameSet& next = stack_[node.depth + 1u];
    machine_.step(stack_[node.depth], static_cast<uint8_t>(node.unit), true, next);
    if (next.empty()) {
      i = static_cast<size_t>(node.after);
      continue;
    }
    if (node.token >= 0) {
      const int32_t cost = Machine::cost(next);
      if (cost <= budget && (partial_ok || is_complete(next))) {
        trie.for_each_token(node, [&](int32_t id) { set_bit(out.bits, id); });
        out.max_cost = std::max(out.max_cost, cost);
      }
    }
    ++i;
  }
}

void TokenMasks::compute(const FrameSet& set, int64_t budget, TokenMask& out) {
  // Inside a string that takes anything, all content tokens are fine; only tokens with a quote need the machine.
  int64_t limit = -1;
  int32_t most = 0;
  for (const Frame* f : set) {
    const int64_t fits = machine_.free_text_limit(*f);
    if (fits <= limit) continue;
    limit = fits;
    most = machine_.free_text_cost(*f) + kMaxPartial;
  }
  if (limit >= 0 && most <= budget && vocabulary_->completes_characters()) {
    out.bits = vocabulary_->content_up_to(limit);
    out.max_cost = most;
    walk(vocabulary_->quote_trie(), set, budget, out);
    return;
  }
  if (TextWalk::applies(set) && text_.walk(set, budget, out)) {
    walk(vocabulary_->odd_trie(), set, budget, out);
    return;
  }
  out.bits.assign(mask_words(vocabulary_->size()), 0);
  out.max_cost = 0;
  walk(vocabulary_->trie(), set, budget, out);
}

const TokenMask& TokenMasks::mask(int32_t id) {
  if (!sets_[static_cast<size_t>(id)].mask) {
    if (n_mask_bytes_ + text_.memory_bytes() > kMaxMaskBytes) {
      for (State& s : sets_) s.mask.reset();
      text_.clear();
      n_mask_bytes_ = 0;
    }
    auto mask = std::make_unique<TokenMask>();
    const FrameSet frames = set(id);
    compute(frames, kNoBudget, *mask);
    n_mask_bytes_ += mask->bits.size() * 4;
    sets_[static_cast<size_t>(id)].mask = std::move(mask);
  }
  return *sets_[static_cast<size_t>(id)].mask;
}

void TokenMasks::fill(int32_t id, int64_t budget, std::span<uint32_t> bits) {
  const TokenMask& all = mask(id);
  if (all.max_cost <= budget) {
    std::copy(all.bits.begin(), all.bits.end(), bits.begin());
    return;
  }
  TokenMask some;
  const FrameSet frames = set(id);
  compute(frames, budget, some);
  std::copy(some.bits.begin(), some.bits.end(), bits.begin());
}

int TokenMasks::forced_byte(int32_t id, bool skip_layout) {
  const auto known = [&]() -> std::array<int, 2>& { return sets_[static_cast<size_t>(id)].forced; };
  if (known()[0] != -2) return known()[skip_layout];
  known() = {-1, -1};
  if (sets_[static_cast<size_t>(id)].may_end) return -1;
  const FrameSet frames = set(id);
  const bool is_layout = Machine::takes_layout(frames);
  FrameSet next;
  int only = -1, only_layout = -1;
  for (int b = 0; b < 256; ++b) {
    machine_.step(frames, static_cast<uint8_t>(b), true, next);
    if (next.empty()) continue;
    int& found = is_layout && (b == ' ' || b == '\n' || b == '\t' || b == '\r') ? only_layout : only;
    if (&found == &only && only >= 0) return -1;
    if (found < 0 || b == ' ') found = b;
  }
  if (only_layout < 0) known() = {only, only};
  else if (only >= 0) known()[1] = only_layout == ' ' && Machine::wants_space(frames) ? ' ' : only;
  return known()[skip_layout];
}

bool TokenMasks::is_dead_end(int32_t id) {
  if (sets_[static_cast<size_t>(id)].dead_end >= 0) return sets_[static_cast<size_t>(id)].dead_end != 0;
  const FrameSet frames = set(id);
  FrameSet next;
  bool dead = true;
  for (int b = 0; b < 256 && dead; ++b) {
    machine_.step(frames, static_cast<uint8_t>(b), true, next);
    dead = next.empty();
  }
  sets_[static_cast<size_t>(id)].dead_end = dead;
  return dead;
}

}  // namespace hanlin::grammar
