#include "engine/constraint.h"

#include <utility>

#include "base/check.h"
#include "grammar/token_trie.h"

namespace hanlin::engine {
namespace {

constexpr size_t kKeptGrammars = 64;

std::string key_of(const api::Constraint& c) {
  std::string key = std::to_string(static_cast<int>(c.kind)) + (c.any_order ? "a" : "d") + std::to_string(c.max_whitespace);
  const auto add = [&key](const std::string& text) { key += '\0' + std::to_string(text.size()) + ':' + text; };
  add(c.source);
  for (const std::string& choice : c.choices) add(choice);
  for (const auto& tag : c.tags) {
    add(tag.trigger);
    add(tag.schema);
    add(tag.end);
  }
  const api::Constraint::Calls& calls = c.calls;
  for (const auto& value : calls.values) {
    add(value.name);
    add(value.schema);
    key += value.or_object ? 'o' : 'x';
  }
  for (const auto& trigger : calls.triggers) {
    add(trigger.text);
    add(trigger.rule);
  }
  for (const std::string& marker : calls.markers) add(marker);
  for (const std::string* text : {&calls.lead, &calls.thoughts_begin, &calls.thoughts_end}) add(*text);
  key += calls.in_thoughts ? 't' : 'f';
  key += calls.one_call ? 't' : 'f';
  return key;
}

grammar::CallGrammarSpec call_spec(const api::Constraint& c) {
  grammar::CallGrammarSpec spec;
  spec.rules = c.source;
  for (const auto& value : c.calls.values) spec.values.push_back({value.name, value.schema, value.or_object, value.param});
  for (const auto& trigger : c.calls.triggers) spec.triggers.push_back({trigger.text, trigger.rule});
  spec.lead = c.calls.lead;
  spec.thoughts_begin = c.calls.thoughts_begin;
  spec.thoughts_end = c.calls.thoughts_end;
  spec.in_thoughts = c.calls.in_thoughts;
  spec.one_call = c.calls.one_call;
  spec.markers = c.calls.markers;
  return spec;
}

}  // namespace

ConstraintCompiler::ConstraintCompiler(std::shared_ptr<const Tokenizer> tokenizer, int64_t vocab_size) : tokenizer_(std::move(tokenizer)), vocab_size_(vocab_size) {}

const grammar::GrammarCompiler& ConstraintCompiler::compiler() {
  std::call_once(once_, [this] { compiler_ = std::make_unique<const grammar::GrammarCompiler>(*tokenizer_, vocab_size_); });
  return *compiler_;
}

Result<ConstraintCompiler::Grammar> ConstraintCompiler::compile(const api::Constraint& c) {
  const grammar::JsonSchemaOptions options{.any_order = c.any_order, .max_whitespace = c.max_whitespace};
  switch (c.kind) {
    case api::Constraint::Kind::kJsonSchema: return compiler().compile_json_schema(c.source, options);
    case api::Constraint::Kind::kRegex: return compiler().compile_regex(c.source);
    case api::Constraint::Kind::kGrammar: return compiler().compile_ebnf(c.source);
    case api::Constraint::Kind::kChoices: return compiler().compile_choices(c.choices);
    case api::Constraint::Kind::kTags: {
      std::vector<grammar::TagSpec> tags;
      for (const auto& tag : c.tags) tags.push_back({tag.trigger, tag.schema, tag.end});
      return compiler().compile_tags(tags, options);
    }
    case api::Constraint::Kind::kCalls: return compiler().compile_calls(call_spec(c), options);
  }
  return Error{Code::kInternal, "constraint: unknown kind"};
}

Result<ConstraintCompiler::Grammar> ConstraintCompiler::prepare(const api::Constraint& constraint, int64_t max_tokens) {
  const std::string key = key_of(constraint);
  Grammar grammar;
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = by_key_.find(key); it != by_key_.end()) {
      recent_.splice(recent_.begin(), recent_, it->second);
      grammar = it->second->second;
    }
  }
  if (!grammar) {
    Result<Grammar> compiled = compile(constraint);
    if (!compiled.ok()) {
      Error error = std::move(compiled).error();
      if (!error.param.empty()) return error;  // names the field already
      if (!constraint.param.empty()) error = std::move(error).with_context(constraint.param);
      error.param = constraint.param;
      return error;
    }
    grammar = *std::move(compiled);
    const std::lock_guard lock(mutex_);
    if (!by_key_.contains(key)) {
      recent_.emplace_front(key, grammar);
      by_key_[key] = recent_.begin();
      if (recent_.size() > kKeptGrammars) {
        by_key_.erase(recent_.back().first);
        recent_.pop_back();
      }
    }
  }
  grammar::GrammarMatcher begun(grammar);
  if (!constraint.calls.prefix.empty() && !begun.accept_bytes(constraint.calls.prefix)) {
    return Error{Code::kInternal, "constraint: the prompt begins the answer in a way that its grammar does not allow"};
  }
  if (const int64_t least = begun.tokens_to_finish(); least > max_tokens) {
    return Error{Code::kInvalidArgument,
                 "max_tokens: expected at least " + std::to_string(least) + ", which the shortest answer that " +
                     (constraint.param.empty() ? "the constraint" : constraint.param) + " allows may take, got " + std::to_string(max_tokens),
                 "max_tokens"};
  }
  return grammar;
}

ConstraintState::ConstraintState(std::shared_ptr<const grammar::CompiledGrammar> grammar, int64_t vocab_size, std::string_view prefix)
    : matcher_(grammar), grammar_(std::move(grammar)), bits_(grammar::mask_words(vocab_size), 0) {
  if (!prefix.empty()) HANLIN_CHECK(matcher_.accept_bytes(prefix), "the grammar does not allow the beginning of its answer");
}

std::span<const uint32_t> ConstraintState::mask(int64_t n_left) {
  matcher_.fill_mask(bits_, n_left);
  return bits_;
}

void ConstraintState::accept(int32_t token) {
  const bool taken = matcher_.accept(token);
  HANLIN_CHECK(taken, "the grammar does not allow a token of its own mask");
  ended_ = grammar_->vocabulary().ends(token);
}

}  // namespace hanlin::engine
