// Constrained decoding in the engine: requests' constraints compiled and kept, and what one choice may say next.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/generate.h"
#include "base/result.h"
#include "grammar/grammar.h"
#include "text/tokenizer.h"

namespace hanlin::engine {

// Compiles constraints on the caller's thread and keeps the most recent ones: an application sends the same schema again
// and again. Any thread.
class ConstraintCompiler {
 public:
  ConstraintCompiler(std::shared_ptr<const Tokenizer> tokenizer, int64_t vocab_size);

  // Errors carry the constraint's param: kInvalidArgument for what is malformed or has no answer, kUnsupported for what
  // cannot be enforced exactly; kInvalidArgument with param max_tokens if no legal answer is that short.
  Result<std::shared_ptr<const grammar::CompiledGrammar>> prepare(const api::Constraint& constraint, int64_t max_tokens);

 private:
  using Grammar = std::shared_ptr<const grammar::CompiledGrammar>;
  Result<Grammar> compile(const api::Constraint& constraint);
  const grammar::GrammarCompiler& compiler();

  std::shared_ptr<const Tokenizer> tokenizer_;
  int64_t vocab_size_;
  std::once_flag once_;
  std::unique_ptr<const grammar::GrammarCompiler> compiler_;  // made for the first constraint
  std::mutex mutex_;
  std::list<std::pair<std::string, Grammar>> recent_;  // most recently used first
  std::unordered_map<std::string, std::list<std::pair<std::string, Grammar>>::iterator> by_key_;
};

// Where one choice stands in its grammar. Engine thread.
class ConstraintState {
 public:
  // `prefix`: what stands before the answer and belongs to its text; prepare() has checked it.
  ConstraintState(std::shared_ptr<const grammar::CompiledGrammar> grammar, int64_t vocab_size, std::string_view prefix = {});

  // Bits of the tokens that may come next, when `n_left` may still come. Valid until the next call.
  std::span<const uint32_t> mask(int64_t n_left);
  // Takes the token that was chosen from mask().
  void accept(int32_t token);
  // Tokens that must follow `text` (its last tokens are enough), spelled as the tokenizer does: the grammar leaves no choice
  // until they are written. Without the last one where something follows that it might be joined with. Always such that the
  // answer can be finished within `n_left` tokens, these included. `skip_layout`: white space between the parts of JSON is no
  // choice.
  std::vector<int32_t> forced_tokens(const Tokenizer& tokenizer, std::span<const int32_t> text, int64_t n_left, bool skip_layout);
  bool may_end() const { return matcher_.can_end(); }
  // An end token was accepted.
  bool ended() const { return ended_; }
  // Nothing can follow: the answer is over without an end token.
  bool is_complete() { return matcher_.is_complete(); }
  // Stop strings end the answer only in free text.
  bool stops_count() const { return matcher_.is_free(); }

 private:
  grammar::GrammarMatcher matcher_;
  std::shared_ptr<const grammar::CompiledGrammar> grammar_;
  std::vector<uint32_t> bits_;
  bool ended_ = false;
};

}  // namespace hanlin::engine
