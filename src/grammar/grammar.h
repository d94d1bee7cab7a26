// Constrained decoding: a grammar, compiled once for a vocabulary, tells before every token which ones keep the text
// legal. Nothing that the grammar forbids can be produced, and from every state the text can still be finished.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/schema_compiler.h"
#include "text/tokenizer.h"

namespace hanlin::grammar {

struct MachineCode;
class TokenMasks;
class TokenVocabulary;

// "No limit" for the number of tokens that are left.
constexpr int64_t kNoTokenLimit = int64_t{1} << 40;

// A compiled grammar. Immutable as seen from outside; any thread. Masks that one matcher has computed serve all.
class CompiledGrammar {
 public:
  CompiledGrammar(std::shared_ptr<const MachineCode> code, std::shared_ptr<const TokenVocabulary> vocabulary);
  // Tokens that the shortest legal text takes at most.
  int64_t min_tokens() const;
  const TokenVocabulary& vocabulary() const { return *vocabulary_; }

 private:
  friend class GrammarMatcher;
  // States and masks found so far. Replaced by an empty one when it has grown too large; running matchers keep theirs.
  struct Runtime;
  std::shared_ptr<Runtime> runtime() const;

  std::shared_ptr<const MachineCode> code_;
  std::shared_ptr<const TokenVocabulary> vocabulary_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<Runtime> runtime_;
};

// One text that grows under a grammar. Copying is cheap (a fork: n choices, speculation). One thread at a time; matchers
// of the same grammar may be on different threads.
class GrammarMatcher {
 public:
  explicit GrammarMatcher(std::shared_ptr<const CompiledGrammar> grammar);

  // Takes one more token. false: the grammar does not allow it, and nothing has changed. An end token is allowed where
  // can_end() holds; after it nothing is.
  bool accept(int32_t token);
  // The same for bytes that are no token, for tests and tools.
  bool accept_bytes(std::string_view bytes);
  // Sets the bits of the allowed tokens, clears all others. `bits` has at least (V + 31) / 32 words. `n_tokens_left`: how
  // many tokens may still come, the next one included; only tokens after which the text can be finished in time are
  // allowed, so it is legal when nothing is left. At least one bit is set while n_tokens_left >= tokens_to_finish().
  void fill_mask(std::span<uint32_t> bits, int64_t n_tokens_left = kNoTokenLimit);
  // The bytes that must follow, at most `max_bytes`: no choice until they are written. Often empty. `skip_layout`: as if
  // white space between the parts of JSON were no choice (one space behind a colon or comma).
  std::string forced_run(size_t max_bytes = 256, bool skip_layout = false);
  // Takes back the last `n` accepted tokens (or calls of accept_bytes). Constant time each.
  void rollback(int n);
  int n_accepted() const { return static_cast<int>(states_.size()) - 1; }
  // The text may end here.
  bool can_end() const;
  // The text is complete: nothing but the end can follow.
  bool is_complete();
  // In the free text around tags, where everything is allowed.
  bool is_free() const;
  // Upper bound of the tokens to the nearest legal end; 0 if that is here.
  int64_t tokens_to_finish();

 private:
  std::shared_ptr<const CompiledGrammar> grammar_;
  std::shared_ptr<CompiledGrammar::Runtime> runtime_;
  std::vector<int32_t> states_;  // after each token; the last is now; -1: ended
};

// Free text in which a trigger begins a part that follows a grammar.
struct TagSpec {
  std::string trigger;      // found also across tokens; e.g. "<tool_call>"
  std::string json_schema;  // of what follows
  std::string end;          // text behind it, e.g. "</tool_call>"; may be empty
};

// A text that calls functions: free text in which calls begin, or one rule from its beginning to its end.
struct CallGrammarSpec {
  // A JSON Schema that the rules name as @name.
  struct Value {
    std::string name, json_schema;
    bool or_object = false;  // any JSON object where the schema cannot be enforced exactly
    std::string where;       // for messages
  };
  struct Trigger {
    std::string text;  // where the free text comes to this, also across tokens, …
    std::string rule;  // … this rule follows; empty: free text goes on as at its start
  };
  std::string rules;  // EBNF with @name and !
  std::vector<Value> values;
  std::vector<Trigger> triggers;  // none, and no `lead`: the whole text follows `root`
  std::string lead;               // rule tried where free text starts and after each call; once past a "!" it holds
  std::string thoughts_begin, thoughts_end;  // free text in which nothing is a call, at the start; may be empty
  bool in_thoughts = false;       // the text begins inside of them
  bool one_call = false;          // nothing follows a call
  std::vector<std::string> markers;  // control tokens whose names are part of the text
};

// Compiles grammars for one vocabulary. Immutable; any thread. Errors of all functions: kInvalidArgument for what is
// malformed, kUnsupported for what cannot be enforced exactly or is too large.
class GrammarCompiler {
 public:
  // `vocab_size`: logits of the model.
  GrammarCompiler(const Tokenizer& tokenizer, int64_t vocab_size);

  using Grammar = Result<std::shared_ptr<const CompiledGrammar>>;
  Grammar compile_json_schema(std::string_view schema, const JsonSchemaOptions& options = {}) const;
  // The whole text matches.
  Grammar compile_regex(std::string_view pattern) const;
  // EBNF in the notation of GBNF: name ::= "text" [a-z] ( … ) | … * + ? {m,n}; the first line or `root` is the start.
  Grammar compile_ebnf(std::string_view grammar) const;
  Grammar compile_choices(std::span<const std::string> choices) const;
  // No trigger may be part of another.
  Grammar compile_tags(std::span<const TagSpec> tags, const JsonSchemaOptions& options = {}) const;
  // No trigger may be part of another.
  Grammar compile_calls(const CallGrammarSpec& spec, const JsonSchemaOptions& options = {}) const;
  const std::shared_ptr<const TokenVocabulary>& vocabulary() const { return vocabulary_; }

 private:
  Grammar finish(std::shared_ptr<MachineCode> code) const;
  std::function<std::vector<int32_t>(const Dfa&)> text_costs() const;
  std::vector<int32_t> control_tokens(std::span<const std::string> names) const;
  std::shared_ptr<const TokenVocabulary> vocabulary_;
};

}  // namespace hanlin::grammar
