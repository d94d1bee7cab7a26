#include "engine/kv_space.h"

#include <algorithm>

#include "base/check.h"

namespace hanlin::engine {
namespace {

constexpr int64_t kPreciseRoots = int64_t{1} << 40;  // above every prompt's length

}  // namespace

KvSpace::KvSpace(const KvSpaceOptions& options) : options_(options), pool_(options.n_blocks), cache_(options.n_blocks) {}

int64_t KvSpace::blocks_for(int64_t n_tokens) { return (n_tokens + kKvBlockTokens - 1) / kKvBlockTokens; }

int64_t KvSpace::root_of(const Sequence& sequence) const {
  const bool by_length = options_.dynamic_rope_context > 0 && sequence.n_prompt > options_.dynamic_rope_context;
  return PrefixCache::kRoot - (by_length ? sequence.n_prompt : 0) - (sequence.precise ? kPreciseRoots : 0);
}

std::span<const int32_t> KvSpace::find(const Sequence& sequence) {
  found_.clear();
  if (options_.share_prefixes && sequence.blocks.empty()) {
    int64_t n_tokens = sequence.n_known() - 1;
    if (sequence.score_from < sequence.n_prompt) n_tokens = std::min(n_tokens, sequence.score_from);
    cache_.find(root_of(sequence), std::span(sequence.tokens).first(static_cast<size_t>(n_tokens)), found_);
  }
  return found_;
}

int64_t KvSpace::free_after(const Sequence& sequence, std::span<const int32_t> found, int64_t n_tokens) const {
  const auto n_held = static_cast<int64_t>(sequence.blocks.size() + found.size());
  const auto n_revived = std::count_if(found.begin(), found.end(), [this](int32_t b) { return pool_.references(b) == 0; });
  return pool_.n_free() - n_revived - std::max<int64_t>(0, blocks_for(n_tokens) - n_held);
}

void KvSpace::adopt(Sequence& sequence, std::span<const int32_t> found) {
  if (found.empty()) return;
  HANLIN_CHECK(sequence.blocks.empty(), "only a sequence without blocks can start from cached ones");
  for (int32_t block : found) pool_.retain(block);
  sequence.blocks.assign(found.begin(), found.end());
  sequence.n_published = static_cast<int64_t>(found.size());
  sequence.n_computed = sequence.n_published * kKvBlockTokens;
}

bool KvSpace::grow(Sequence& sequence, int64_t n_tokens) {
  while (static_cast<int64_t>(sequence.blocks.size()) < blocks_for(n_tokens)) {
    const int32_t block = pool_.take();
    if (block < 0) return false;
    if (cache_.contains(block)) cache_.forget(block);
    sequence.blocks.push_back(block);
  }
  return true;
}

void KvSpace::publish(Sequence& sequence) {
  if (!options_.share_prefixes) return;
  for (; (sequence.n_published + 1) * kKvBlockTokens <= sequence.n_computed; ++sequence.n_published) {
    const auto i = static_cast<size_t>(sequence.n_published);
    const int64_t parent = i == 0 ? root_of(sequence) : sequence.blocks[i - 1];
    const int32_t block = sequence.blocks[i];
    const int32_t node = cache_.insert(parent, std::span(sequence.tokens).subspan(i * kKvBlockTokens, kKvBlockTokens), block);
    if (node == block) continue;
    // Its path must be held from the first block on (see PrefixCache), so the twin takes this block's place.
    pool_.retain(node);
    pool_.release(block, /*keep=*/false);
    sequence.blocks[i] = node;
  }
}

void KvSpace::fork(const Sequence& leader, Sequence& sibling) {
  HANLIN_CHECK(sibling.blocks.empty() && leader.n_computed >= sibling.n_prompt - 1, "fork: the prompt is not computed");
  const int64_t n_shared = (sibling.n_prompt - 1) / kKvBlockTokens;
  for (int64_t i = 0; i < n_shared; ++i) {
    sibling.blocks.push_back(leader.blocks[static_cast<size_t>(i)]);
    pool_.retain(sibling.blocks.back());
  }
  sibling.n_published = std::min(n_shared, leader.n_published);
  sibling.n_computed = n_shared * kKvBlockTokens;
}

void KvSpace::release(Sequence& sequence) {
  // Last first: a block's continuation must be reused before the block itself.
  for (size_t i = sequence.blocks.size(); i-- > 0;) {
    pool_.release(sequence.blocks[i], cache_.contains(sequence.blocks[i]));
  }
  sequence.blocks.clear();
  sequence.n_published = 0;
  sequence.n_computed = 0;
}

}  // namespace hanlin::engine
