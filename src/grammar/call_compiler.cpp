// Free text with calls in it: tags, and the rules of call formats.
#include <algorithm>
#include <queue>
#include <utility>

#include "grammar/ebnf.h"
#include "grammar/grammar.h"
#include "grammar/machine.h"
#include "grammar/token_trie.h"

namespace hanlin::grammar {
namespace {

constexpr size_t kMaxTags = 256, kMaxTriggerBytes = 256;

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

// Adds an automaton that finds the triggers of these tags; returns its first state.
// Aho and Corasick, "Efficient string matching", 1975.
int32_t add_free_text(MachineCode& code, const std::vector<int32_t>& tags) {
  const auto root = static_cast<int32_t>(code.free_next.size());
  const auto add_state = [&code] {
    code.free_next.emplace_back().fill(-1);
    code.free_tag.push_back(-1);
    return static_cast<int32_t>(code.free_next.size()) - 1;
  };
  add_state();
  for (const int32_t t : tags) {
    int32_t at = root;
    for (char c : code.tags[static_cast<size_t>(t)].trigger) {
      int32_t next = code.free_next[static_cast<size_t>(at)][static_cast<uint8_t>(c)];
      if (next < 0) {
        next = add_state();
        code.free_next[static_cast<size_t>(at)][static_cast<uint8_t>(c)] = next;
      }
      at = next;
    }
    code.free_tag[static_cast<size_t>(at)] = t;
  }
  std::vector<int32_t> fail(code.free_next.size(), root);
  std::queue<int32_t> todo;
  for (int32_t& next : code.free_next[static_cast<size_t>(root)]) {
    if (next < 0) {
      next = root;
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
  return root;
}

Status check_triggers(const std::vector<std::string>& triggers) {
  for (size_t i = 0; i < triggers.size(); ++i) {
    if (triggers[i].empty() || triggers[i].size() > kMaxTriggerBytes) return Error{Code::kInvalidArgument, "tags: expected triggers of 1 to 256 bytes"};
    for (size_t j = 0; j < triggers.size(); ++j) {
      if (j != i && triggers[i].find(triggers[j]) != std::string::npos) {
        return Error{Code::kInvalidArgument, "tags: trigger '" + triggers[j] + "' is part of trigger '" + triggers[i] + "'"};
      }
    }
  }
  return {};
}

std::vector<int32_t> numbers_up_to(size_t n) {
  std::vector<int32_t> all;
  for (size_t i = 0; i < n; ++i) all.push_back(static_cast<int32_t>(i));
  return all;
}

// A text in EBNF that reads exactly this one.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out + "\"";
}

}  // namespace

std::vector<int32_t> GrammarCompiler::control_tokens(std::span<const std::string> names) const {
  std::vector<int32_t> ids;
  for (const int32_t id : vocabulary_->control_tokens()) {
    if (std::find(names.begin(), names.end(), vocabulary_->bytes(id)) != names.end()) ids.push_back(id);
  }
  return ids;
}

GrammarCompiler::Grammar GrammarCompiler::compile_tags(std::span<const TagSpec> tags, const JsonSchemaOptions& options) const {
  if (tags.empty() || tags.size() > kMaxTags) return Error{Code::kInvalidArgument, "tags: expected between 1 and " + std::to_string(kMaxTags)};
  auto code = std::make_shared<MachineCode>();
  code->max_whitespace = options.max_whitespace;
  std::vector<std::string> triggers;
  for (const TagSpec& tag : tags) triggers.push_back(tag.trigger);
  HANLIN_TRY(check_triggers(triggers));
  for (const TagSpec& tag : tags) {
    if (tag.end.size() > kMaxTriggerBytes) return Error{Code::kInvalidArgument, "tags: expected ends of at most 256 bytes"};
    Result<Program> program = compile_schema(tag.json_schema, options, text_costs());
    if (!program.ok()) return std::move(program).error().with_context("tag '" + tag.trigger + "'");
    code->tags.push_back({.trigger = tag.trigger, .end = tag.end, .spec = append(code->program, *std::move(program))});
  }
  add_free_text(*code, numbers_up_to(tags.size()));
  code->markers = control_tokens(triggers);
  return finish(std::move(code));
}

GrammarCompiler::Grammar GrammarCompiler::compile_calls(const CallGrammarSpec& spec, const JsonSchemaOptions& options) const {
  auto code = std::make_shared<MachineCode>();
  code->max_whitespace = options.max_whitespace;
  code->one_call = spec.one_call;
  code->markers = control_tokens(spec.markers);
  EbnfValues values;
  std::vector<int32_t> specs;
  for (const CallGrammarSpec::Value& value : spec.values) {
    Result<Program> program = compile_schema(value.json_schema, options, text_costs());
    if (!program.ok() && value.or_object) program = compile_schema(R"({"type":"object"})", options, text_costs());
    if (!program.ok()) {
      Error error = std::move(program).error();
      if (!value.where.empty()) error = std::move(error).with_context(value.where);
      error.param = value.where;
      return error;
    }
    specs.push_back(append(code->program, *std::move(program)));
    values.names.push_back(value.name);
    values.costs.push_back(code->program.specs[static_cast<size_t>(specs.back())].cost);
  }
  std::string rules = spec.rules;
  const bool thinks = !spec.thoughts_end.empty();
  if (thinks && !spec.thoughts_begin.empty()) rules += "\nbegin-thoughts ::= " + quoted(spec.thoughts_begin) + " !\n";
  if (values.names.empty()) return Error{Code::kInvalidArgument, "calls: expected at least one value"};
  HANLIN_ASSIGN(EbnfGrammar ebnf, parse_ebnf(rules, values, [&](const std::string& ahead) { return vocabulary_->token_lengths(ahead, code->markers); }));
  for (Network::State& state : ebnf.network.states) {
    for (Network::Edge& edge : state.edges) {
      if (edge.is_value()) edge.value = specs[static_cast<size_t>(edge.value)];
    }
  }
  const auto rule = [&](const std::string& name) -> Result<int32_t> {
    const int32_t number = ebnf.rule(name);
    if (number < 0) return Error{Code::kInvalidArgument, "grammar: rule '" + name + "' is used but not defined"};
    return number;
  };
  if (spec.triggers.empty() && spec.lead.empty()) {
    code->start_rule = ebnf.start_rule;
    code->network = std::move(ebnf.network);
    return finish(std::move(code));
  }
  std::vector<std::string> triggers;
  for (const CallGrammarSpec::Trigger& trigger : spec.triggers) {
    triggers.push_back(trigger.text);
    TagRule& tag = code->tags.emplace_back();
    tag.trigger = trigger.text;
    if (trigger.rule.empty()) {
      tag.goes_to = 0;
    } else {
      HANLIN_ASSIGN(tag.rule, rule(trigger.rule));
    }
  }
  HANLIN_TRY(check_triggers(triggers));
  add_free_text(*code, numbers_up_to(triggers.size()));
  if (!spec.lead.empty()) {
    HANLIN_ASSIGN(const int32_t lead, rule(spec.lead));
    code->leads.push_back({lead, -1});
  }
  if (thinks) {
    code->tags.push_back({.trigger = spec.thoughts_end, .goes_to = 0});
    const int32_t thoughts = add_free_text(*code, {static_cast<int32_t>(code->tags.size()) - 1});
    if (!spec.thoughts_begin.empty()) code->leads.push_back({ebnf.rule("begin-thoughts"), thoughts});
    if (spec.in_thoughts) code->free_start = thoughts;
  }
  code->network = std::move(ebnf.network);
  return finish(std::move(code));
}

}  // namespace hanlin::grammar
