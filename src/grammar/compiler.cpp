#include <algorithm>
#include <queue>
#include <utility>

#include "grammar/ebnf.h"
#include "grammar/grammar.h"
#include "grammar/machine.h"
#include "grammar/regex.h"
#include "grammar/token_trie.h"
#include "text/utf8.h"

namespace hanlin::grammar {
namespace {

constexpr size_t kMaxTags = 256, kMaxTriggerBytes = 256, kMaxChoices = 10'000, kMaxChoiceBytes = 1 << 18;

// Moves a program behind another one; returns where its root went.
int32_t append(Program& to, Program from) {
  const auto specs = static_cast<int32_t>(to.specs.size()), numbers = static_cast<int32_t>(to.numbers.size()), strings = static_cast<int32_t>(to.strings.size()),
             arrays = static_cast<int32_t>(to.arrays.size()), objects = static_cast<int32_t>(to.objects.size()), dfas = static_cast<int32_t>(to.dfas.size());
  const auto shift = [](std::vector<int32_t>& list, int32_t by) {
    for (int32_t& v : list) v += by;
  };
  for (Spec& s : from.specs) {
    shift(s.numbers, numbers);
    shift(s.strings, strings);
    shift(s.arrays, arrays);
    shift(s.objects, objects);
    to.specs.push_back(std::move(s));
  }
  for (NumberSet& n : from.numbers) to.numbers.push_back(std::move(n));
  for (StringRule& s : from.strings) {
    s.dfa += dfas;
    to.strings.push_back(std::move(s));
  }
  for (ArrayRule& a : from.arrays) {
    for (auto& item : a.items) shift(item, specs);
    to.arrays.push_back(std::move(a));
  }
  for (ObjectRule& o : from.objects) {
    for (PropertyRule& p : o.names) shift(p.specs, specs);
    for (PropertyRule& p : o.classes) shift(p.specs, specs);
    if (o.others >= 0) o.others += dfas;
    to.objects.push_back(std::move(o));
  }
  for (Dfa& d : from.dfas) to.dfas.push_back(std::move(d));
  return from.root + specs;
}

// Aho and Corasick, "Efficient string matching", 1975.
void build_free_text(MachineCode& code) {
  code.free_next.emplace_back().fill(-1);
  code.free_tag.push_back(-1);
  for (size_t t = 0; t < code.tags.size(); ++t) {
    int32_t at = 0;
    for (char c : code.tags[t].trigger) {
      int32_t next = code.free_next[static_cast<size_t>(at)][static_cast<uint8_t>(c)];
      if (next < 0) {
        next = static_cast<int32_t>(code.free_next.size());
        code.free_next[static_cast<size_t>(at)][static_cast<uint8_t>(c)] = next;
        code.free_next.emplace_back().fill(-1);
        code.free_tag.push_back(-1);
      }
      at = next;
    }
    code.free_tag[static_cast<size_t>(at)] = static_cast<int32_t>(t);
  }
  std::vector<int32_t> fail(code.free_next.size(), 0);
  std::queue<int32_t> todo;
  for (int32_t& next : code.free_next[0]) {
    if (next < 0) {
      next = 0;
    } else {
      todo.push(next);
    }
  }
  while (!todo.empty()) {
    const auto at = static_cast<size_t>(todo.front());
    todo.pop();
    if (code.free_tag[at] < 0) code.free_tag[at] = code.free_tag[static_cast<size_t>(fail[at])];
    for (size_t c = 0; c < 256; ++c) {
      int32_t& next = code.free_next[at][c];
      const int32_t other = code.free_next[static_cast<size_t>(fail[at])][c];
      if (next < 0) {
        next = other;
      } else {
        fail[static_cast<size_t>(next)] = other;
        todo.push(next);
      }
    }
  }
}

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
  HANLIN_ASSIGN(EbnfGrammar ebnf, parse_ebnf(text));
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

GrammarCompiler::Grammar GrammarCompiler::compile_tags(std::span<const TagSpec> tags, const JsonSchemaOptions& options) const {
  if (tags.empty() || tags.size() > kMaxTags) return Error{Code::kInvalidArgument, "tags: expected between 1 and " + std::to_string(kMaxTags)};
  auto code = std::make_shared<MachineCode>();
  code->max_whitespace = options.max_whitespace;
  for (size_t i = 0; i < tags.size(); ++i) {
    const TagSpec& tag = tags[i];
    if (tag.trigger.empty() || tag.trigger.size() > kMaxTriggerBytes || tag.end.size() > kMaxTriggerBytes) {
      return Error{Code::kInvalidArgument, "tags: expected triggers of 1 to 256 bytes"};
    }
    for (size_t j = 0; j < tags.size(); ++j) {
      if (j != i && tag.trigger.find(tags[j].trigger) != std::string::npos) {
        return Error{Code::kInvalidArgument, "tags: trigger '" + tags[j].trigger + "' is part of trigger '" + tag.trigger + "'"};
      }
    }
    Result<Program> program = compile_schema(tag.json_schema, options, text_costs());
    if (!program.ok()) return std::move(program).error().with_context("tag '" + tag.trigger + "'");
    code->tags.push_back({tag.trigger, tag.end, append(code->program, *std::move(program)), -1});
  }
  build_free_text(*code);
  return finish(std::move(code));
}

}  // namespace hanlin::grammar
