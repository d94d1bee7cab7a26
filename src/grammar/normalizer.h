// Formulas to alternatives: for one type of value, a list of conjunctions whose union is exactly the formula.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "grammar/formula.h"
#include "grammar/schema_reader.h"

namespace hanlin::grammar {

struct Literal {
  int32_t atom;
  bool positive;
  auto operator<=>(const Literal&) const = default;
};
using Conjunction = std::vector<Literal>;  // ascending

// A set of strings before costs are computed.
struct StringSet {
  int32_t dfa;
  int64_t min, max;
  bool operator==(const StringSet&) const = default;
};

class Normalizer {
 public:
  Normalizer(FormulaStore& store, SchemaReader& reader) : store_(store), reader_(reader) {}

  // Errors: those of the schemas read on the way; kUnsupported when there are too many alternatives.
  Result<std::vector<Conjunction>> alternatives(FormulaId f, uint8_t type);
  // false: surely no value. Looks `depth` levels into objects and arrays.
  Result<bool> may_hold(FormulaId f, int depth);

  // One alternative as a set; nothing if it is empty.
  Result<std::optional<NumberSet>> number_set(const Conjunction& all);
  Result<std::optional<StringSet>> string_set(const Conjunction& all);
  // Whether a string formula holds for this text.
  Result<bool> holds_for(FormulaId f, const std::string& text);
  // Automata whose union is the strings of `f`.
  Result<std::vector<int32_t>> string_dfas(FormulaId f);
  bool contains(const NameSet& set, const std::string& name) const;

 private:
  Result<FormulaId> restrict_to(FormulaId f, uint8_t type);
  Result<FormulaId> expand_one_of(const std::vector<FormulaId>& parts, bool positive, uint8_t type);
  Status branch(std::vector<FormulaId> todo, Conjunction literals, std::vector<FormulaId> choices, std::vector<Conjunction>& out);
  Result<bool> may_hold_as(FormulaId f, uint8_t type, int depth);
  Result<bool> may_be(const Conjunction& all, uint8_t type, int depth);
  Result<bool> may_be_object(const Conjunction& all, int depth);
  Result<bool> may_be_array(const Conjunction& all, int depth);
  Result<int32_t> intersect(const std::vector<std::pair<int32_t, bool>>& parts);

  FormulaStore& store_;
  SchemaReader& reader_;
  std::unordered_map<int64_t, FormulaId> restricted_;
  std::unordered_map<int64_t, bool> may_hold_;
  std::map<std::vector<std::pair<int32_t, bool>>, int32_t> products_;
  std::unordered_map<FormulaId, std::vector<int32_t>> string_dfas_;
  int64_t n_steps_ = 0;
  int depth_ = 0;
};

}  // namespace hanlin::grammar
