#include <algorithm>
#include <array>

#include "base/check.h"
#include "grammar/grammar.h"
#include "grammar/machine.h"
#include "grammar/token_masks.h"

namespace hanlin::grammar {
namespace {

constexpr size_t kMaxRuntimeBytes = size_t{256} << 20;
constexpr int32_t kEnded = -1;

}  // namespace

struct CompiledGrammar::Runtime {
  Runtime(std::shared_ptr<const MachineCode> code, std::shared_ptr<const TokenVocabulary> vocabulary) : masks(std::move(code), std::move(vocabulary)) {}
  std::mutex mutex;
  TokenMasks masks;
};

CompiledGrammar::CompiledGrammar(std::shared_ptr<const MachineCode> code, std::shared_ptr<const TokenVocabulary> vocabulary)
    : code_(std::move(code)), vocabulary_(std::move(vocabulary)) {}

std::shared_ptr<CompiledGrammar::Runtime> CompiledGrammar::runtime() const {
  const std::lock_guard lock(mutex_);
  const auto is_full = [this] {
    const std::lock_guard inner(runtime_->mutex);
    return runtime_->masks.memory_bytes() > kMaxRuntimeBytes;
  };
  if (!runtime_ || is_full()) runtime_ = std::make_shared<Runtime>(code_, vocabulary_);
  return runtime_;
}

int64_t CompiledGrammar::min_tokens() const { return GrammarMatcher(std::shared_ptr<const CompiledGrammar>(this, [](const auto*) {})).tokens_to_finish(); }

GrammarMatcher::GrammarMatcher(std::shared_ptr<const CompiledGrammar> grammar) : grammar_(std::move(grammar)), runtime_(grammar_->runtime()) {
  states_.push_back(runtime_->masks.start());
}

bool GrammarMatcher::accept(int32_t token) {
  if (states_.back() == kEnded) return false;
  const std::lock_guard lock(runtime_->mutex);
  const TokenVocabulary& vocabulary = *grammar_->vocabulary_;
  if (vocabulary.ends(token)) {
    if (!runtime_->masks.may_end(states_.back())) return false;
    states_.push_back(kEnded);
    return true;
  }
  if (!vocabulary.is_text(token)) {
    const std::vector<int32_t>& markers = grammar_->code_->markers;
    if (!std::binary_search(markers.begin(), markers.end(), token)) {
      // Other control tokens belong to free text only, where they add nothing.
      if (!runtime_->masks.is_free(states_.back()) || vocabulary.bytes(token).empty()) return false;
      states_.push_back(states_.back());
      return true;
    }
    if (!runtime_->masks.is_between_values(states_.back())) return false;
  }
  const int32_t next = runtime_->masks.advance(states_.back(), vocabulary.bytes(token));
  if (next < 0) return false;
  states_.push_back(next);
  return true;
}

bool GrammarMatcher::accept_bytes(std::string_view bytes) {
  if (states_.back() == kEnded) return false;
  const std::lock_guard lock(runtime_->mutex);
  const int32_t next = runtime_->masks.advance(states_.back(), bytes);
  if (next < 0) return false;
  states_.push_back(next);
  return true;
}

void GrammarMatcher::rollback(int n) {
  HANLIN_CHECK(n >= 0 && n <= n_accepted(), "rollback beyond the beginning");
  states_.resize(states_.size() - static_cast<size_t>(n));
}

bool GrammarMatcher::can_end() const {
  if (states_.back() == kEnded) return true;
  const std::lock_guard lock(runtime_->mutex);
  return runtime_->masks.may_end(states_.back());
}

bool GrammarMatcher::is_free() const {
  if (states_.back() == kEnded) return false;
  const std::lock_guard lock(runtime_->mutex);
  return runtime_->masks.is_free(states_.back());
}

bool GrammarMatcher::is_complete() {
  if (states_.back() == kEnded) return true;
  const std::lock_guard lock(runtime_->mutex);
  TokenMasks& masks = runtime_->masks;
  if (!masks.may_end(states_.back())) return false;
  return masks.is_dead_end(states_.back());
}

std::string GrammarMatcher::forced_run(size_t max_bytes, bool skip_layout) {
  std::string out;
  if (states_.back() == kEnded) return out;
  const std::lock_guard lock(runtime_->mutex);
  int32_t state = states_.back();
  while (out.size() < max_bytes) {
    const int byte = runtime_->masks.forced_byte(state, skip_layout);
    if (byte < 0) break;
    const char c = static_cast<char>(byte);
    const int32_t next = runtime_->masks.advance(state, {&c, 1});
    if (next < 0) break;
    out += c;
    state = next;
  }
  return out;
}

int64_t GrammarMatcher::tokens_to_finish() {
  if (states_.back() == kEnded) return 0;
  const std::lock_guard lock(runtime_->mutex);
  const int32_t cost = runtime_->masks.cost(states_.back());
  return cost >= kInfinite ? kNoTokenLimit : cost;
}

void GrammarMatcher::fill_mask(std::span<uint32_t> bits, int64_t n_tokens_left) {
  std::fill(bits.begin(), bits.end(), 0u);
  const TokenVocabulary& vocabulary = *grammar_->vocabulary_;
  if (states_.back() == kEnded) {
    for (int32_t id : vocabulary.end_tokens()) set_bit(bits, id);
    return;
  }
  const std::lock_guard lock(runtime_->mutex);
  TokenMasks& masks = runtime_->masks;
  const int32_t state = states_.back();
  if (n_tokens_left > 0) masks.fill(state, std::min<int64_t>(n_tokens_left - 1, kInfinite), bits);
  if (masks.is_free(state) && n_tokens_left > 0) {
    for (int32_t id : vocabulary.control_tokens()) set_bit(bits, id);
  }
  for (int32_t id : grammar_->code_->markers) {
    const int32_t next = masks.is_between_values(state) && n_tokens_left > 0 ? masks.advance(state, vocabulary.bytes(id)) : -1;
    if (next >= 0 && masks.cost(next) <= n_tokens_left - 1) {
      set_bit(bits, id);
    } else {
      bits[static_cast<size_t>(id) / 32] &= ~(1u << (id % 32));
    }
  }
  for (int32_t id : vocabulary.end_tokens()) {
    if (masks.may_end(state)) {
      set_bit(bits, id);
    } else {
      bits[static_cast<size_t>(id) / 32] &= ~(1u << (id % 32));
    }
  }
}

}  // namespace hanlin::grammar
