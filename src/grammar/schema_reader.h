// JSON Schema to formulas. Exact or refused: a keyword that cannot be turned into a formula is an error with its place.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "grammar/formula.h"
#include "grammar/schema_index.h"

namespace hanlin::grammar {

// Reads schemas when they are asked for: a property's schema becomes a lazy reference, so recursion costs nothing.
class SchemaReader {
 public:
  // Both outlive the reader. `assert_formats`: formats known here must hold; otherwise `format` is a comment.
  SchemaReader(const Json& document, FormulaStore& store, bool assert_formats);

  FormulaId root() { return store_.lazy(index_.root()); }
  // The formula of a lazy reference. Errors: kInvalidArgument, kUnsupported; the message has JSON Pointer and keyword.
  Result<FormulaId> read(int32_t schema);
  const std::string& pointer(int32_t schema) const { return index_[schema].pointer; }

 private:
  using Annotations = std::vector<std::pair<FormulaId, NameSet>>;  // if the formula holds, these names are evaluated
  struct ItemAnnotation {
    FormulaId condition;
    int64_t n_prefix = 0;                    // the first so many are evaluated
    FormulaId contains = kFalseFormula;      // and those for which this holds
  };
  Result<FormulaId> read_object(int32_t node);
  Error wrong(int32_t node, const char* keyword, const std::string& what, Code code = Code::kInvalidArgument) const;
  FormulaId child(const Json& schema);
  Status read_types(int32_t node, const Json& s, std::vector<FormulaId>& parts);
  Status read_values(int32_t node, const Json& s, std::vector<FormulaId>& parts);
  Status read_combinations(int32_t node, const Json& s, std::vector<FormulaId>& parts);
  Status read_numbers(int32_t node, const Json& s, std::vector<FormulaId>& parts);
  Status read_strings(int32_t node, const Json& s, std::vector<FormulaId>& parts);
  Status read_arrays(int32_t node, const Json& s, std::vector<FormulaId>& parts);
  Status read_objects(int32_t node, const Json& s, std::vector<FormulaId>& parts);
  Status read_property_schemas(int32_t node, const Json& s, std::vector<FormulaId>& parts);
  Status read_dependencies(int32_t node, const Json& s, std::vector<FormulaId>& parts);
  Status read_unevaluated(int32_t node, const Json& s, std::vector<FormulaId>& parts);
  Result<FormulaId> read_in_place(int32_t node, const Json& s, const char* keyword);
  Result<FormulaId> read_reference(int32_t node, const Json& s, const char* keyword);
  Result<int32_t> reference_target(int32_t node, const Json& s, const char* keyword);
  Result<FormulaId> equals(int32_t node, const char* keyword, const Json& value);
  Result<int64_t> count(int32_t node, const Json& s, const char* keyword, int64_t missing);
  Result<Decimal> number(int32_t node, const char* keyword, const Json& value);
  Result<int32_t> pattern(int32_t node, const char* keyword, const std::string& regex);
  FormulaId has(const std::string& name);
  Result<NameSet> own_names(int32_t node, const Json& s, bool& all);
  Status property_annotations(int32_t node, FormulaId condition, int depth, Annotations& out, bool own_unevaluated);
  Status item_annotations(int32_t node, FormulaId condition, int depth, std::vector<ItemAnnotation>& out, bool own_unevaluated);
  Result<std::vector<std::pair<int32_t, FormulaId>>> in_place_children(int32_t node, bool for_properties);

  SchemaIndex index_;
  FormulaStore& store_;
  bool assert_formats_;
  std::unordered_map<int32_t, FormulaId> known_;
  std::unordered_map<std::string, int32_t> patterns_, formats_;
  std::vector<char> in_progress_;
  int depth_ = 0;
};

}  // namespace hanlin::grammar
