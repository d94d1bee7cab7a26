#include <algorithm>
#include <utility>

#include "grammar/ebnf.h"
#include "grammar/grammar.h"
#include "grammar/machine.h"
#include "grammar/regex.h"
#include "grammar/token_trie.h"
#include "text/utf8.h"

namespace hanlin::grammar {
namespace {

constexpr size_t kMaxChoices = 10'000, kMaxChoiceBytes = 1 << 18;

}  // namespace

GrammarCompiler::GrammarCompiler(const Tokenizer& tokenizer, int64_t vocab_size) : vocabulary_(std::make_shared<const TokenVocabulary>(tokenizer, vocab_size)) {}

std::function<std::vector<int32_t>(const Dfa&)> GrammarCompiler::text_costs() const {
  return [this](const Dfa& dfa) {
    std::optional<std::vector<int32_t>> costs = literal_costs(*vocabulary_, dfa);
    return costs ? *std::move(costs) : costs_to_accept(dfa, -1, cheapest_json_bytes);
  };
}

GrammarCompiler::Grammar GrammarCompiler::finish(std::shared_ptr<MachineCode> code) const {
  if (!vocabulary_->spells_ascii()) {
    return Error{Code::kUnsupported, "grammar: the model's vocabulary cannot spell every text, so constrained output is not possible with it"};
  }
  return std::make_shared<const CompiledGrammar>(std::move(code), vocabulary_);
}

GrammarCompiler::Grammar GrammarCompiler::compile_json_schema(std::string_view schema, const JsonSchemaOptions& options) const {
  auto code = std::make_shared<MachineCode>();
  HANLIN_ASSIGN(code->program, compile_schema(schema, options, text_costs()));
  code->max_whitespace = options.max_whitespace;
  return finish(std::move(code));
}

GrammarCompiler::Grammar GrammarCompiler::compile_regex(std::string_view pattern) const {
  HANLIN_ASSIGN(const Dfa dfa, grammar::compile_regex(pattern, {.full_match = true}));
  if (dfa.is_empty()) return Error{Code::kInvalidArgument, "regular expression: no text matches"};
  auto code = std::make_shared<MachineCode>();
  code->start_rule = code->network.add_dfa(dfa);
  HANLIN_TRY(code->network.finish({}));
  return finish(std::move(code));
}

GrammarCompiler::Grammar GrammarCompiler::compile_ebnf(std::string_view text) const {
  HANLIN_ASSIGN(EbnfGrammar ebnf, parse_ebnf(text, {}, [this](const std::string& ahead) { return vocabulary_->token_lengths(ahead); }));
  auto code = std::make_shared<MachineCode>();
  code->network = std::move(ebnf.network);
  code->start_rule = ebnf.start_rule;
  const int32_t first = code->network.rules[static_cast<size_t>(code->start_rule)];
  if (code->network.states[static_cast<size_t>(first)].cost >= kInfinite) return Error{Code::kInvalidArgument, "grammar: no text follows it (every rule leads to itself)"};
  return finish(std::move(code));
}

GrammarCompiler::Grammar GrammarCompiler::compile_choices(std::span<const std::string> choices) const {
  size_t n_bytes = 0;
  for (const std::string& c : choices) {
    if (!is_valid_utf8(c)) return Error{Code::kInvalidArgument, "choices: expected UTF-8"};
    n_bytes += c.size();
  }
  if (choices.empty()) return Error{Code::kInvalidArgument, "choices: expected at least one"};
  if (choices.size() > kMaxChoices || n_bytes > kMaxChoiceBytes) return Error{Code::kUnsupported, "choices: expected at most 10000 of together 256 KiB"};
  auto code = std::make_shared<MachineCode>();
  code->start_rule = code->network.add_dfa(literal_dfa(choices));
  HANLIN_TRY(code->network.finish({}));
  return finish(std::move(code));
}

}  // namespace hanlin::grammar
