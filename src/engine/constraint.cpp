#include "engine/constraint.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "grammar/token_trie.h"
#include "text/utf8.h"

namespace hanlin::engine {
namespace {

constexpr size_t kKeptGrammars = 64;
constexpr size_t kContextTokens = 4;  // that forced text is spelled behind

// The tokens of `forced` behind the last tokens of `text`; empty where the tokenizer joins the two.
std::vector<int32_t> spell(const Tokenizer& tokenizer, std::span<const int32_t> text, const std::string& forced) {
  std::string context;
  for (size_t i = 0; i < std::min(kContextTokens, text.size()); ++i) {
    const int32_t id = text[text.size() - 1 - i];
    if (tokenizer.is_special(id)) break;
    context.insert(0, tokenizer.token_bytes(id));
  }
  if (!is_valid_utf8(context)) context.clear();  // it begins inside a character
  std::vector<int32_t> ids = tokenizer.encode(context + forced, {.add_special = false});
  size_t n_bytes = 0, first = ids.size();
  while (first > 0 && n_bytes < forced.size()) n_bytes += tokenizer.token_bytes(ids[--first]).size();
  if (n_bytes != forced.size()) return {};
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(first));
  return ids;
}

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

std::vector<int32_t> ConstraintState::forced_tokens(const Tokenizer& tokenizer, std::span<const int32_t> text, int64_t n_left, bool skip_layout) {
  const std::string forced = matcher_.forced_run(256, skip_layout);
  if (forced.size() < 2) return {};
  std::vector<int32_t> ids = spell(tokenizer, text, forced);
  if (ids.empty()) return {};
  const int n_before = matcher_.n_accepted();
  if (!matcher_.accept_bytes(forced)) return {};
  if (!matcher_.is_complete()) ids.pop_back();
  matcher_.rollback(1);
  size_t n_fit = 0;
  for (; n_fit < ids.size(); ++n_fit) {
    const bool fits = matcher_.accept(ids[n_fit]) && matcher_.tokens_to_finish() <= n_left - static_cast<int64_t>(n_fit) - 1;
    if (!fits) break;
  }
  matcher_.rollback(matcher_.n_accepted() - n_before);
  ids.resize(n_fit);
  return ids;
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
