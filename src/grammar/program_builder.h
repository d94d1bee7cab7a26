// From the formula of a schema to the rules that decoding follows.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/normalizer.h"
#include "grammar/rules.h"

namespace hanlin::grammar {

// Used once. Follows every value that the schema can lead to, so that nothing is left to fail while decoding.
class ProgramBuilder {
 public:
  // `text_costs`: for each state of an automaton the price of the cheapest end, in bytes or tokens.
  using TextCosts = std::function<std::vector<int32_t>(const Dfa&)>;
  ProgramBuilder(FormulaStore& store, SchemaReader& reader, bool any_order, TextCosts text_costs)
      : store_(store), reader_(reader), normalizer_(store, reader), any_order_(any_order), text_costs_(std::move(text_costs)) {}

  // Errors: kInvalidArgument and kUnsupported, as SchemaReader's. A schema without values gives a root of infinite cost.
  Result<Program> build(FormulaId root);

 private:
  int32_t spec_of(FormulaId f);
  Status expand(int32_t spec);
  Status add_numbers(FormulaId f, Spec& spec);
  Status add_strings(FormulaId f, Spec& spec);
  Status add_arrays(FormulaId f, Spec& spec);
  Status add_objects(FormulaId f, Spec& spec);
  Result<int32_t> string_rule(const StringSet& set);
  Status array_rule(const Conjunction& all, Spec& spec);
  Status object_rule(const Conjunction& all, Spec& spec);
  struct ObjectDraft;
  Status collect(const Conjunction& all, ObjectDraft& draft);
  Result<FormulaId> formula_for_name(const ObjectDraft& draft, const std::string& name, uint8_t& witnesses) const;
  Status add_other_names(ObjectDraft& draft, ObjectRule& rule);
  std::vector<int32_t> witness_specs(const ObjectDraft& draft, FormulaId base, uint8_t mask);
  static void build_trie(ObjectRule& rule);
  int32_t copy_dfa(int32_t store_dfa);
  void compute_costs();
  int32_t cost_of(const Spec& spec);
  Error here(Error error, int32_t spec) const;

  FormulaStore& store_;
  SchemaReader& reader_;
  Normalizer normalizer_;
  const bool any_order_;
  const TextCosts text_costs_;
  Program program_;
  std::vector<FormulaId> formulas_;  // of specs
  std::unordered_map<FormulaId, int32_t> specs_;
  std::unordered_map<int32_t, int32_t> dfas_;
  std::vector<std::pair<StringSet, int32_t>> strings_;
  std::map<std::string, std::pair<int32_t, std::vector<std::vector<char>>>> others_;
  std::vector<int32_t> number_costs_;
  std::unordered_map<std::string, std::vector<int32_t>> name_costs_;
};

}  // namespace hanlin::grammar
