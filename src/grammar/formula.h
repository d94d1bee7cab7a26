// What a JSON Schema says about one value, as a boolean formula in negation normal form.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/dfa.h"
#include "grammar/number.h"

namespace hanlin::grammar {

using FormulaId = int32_t;
constexpr FormulaId kTrueFormula = 0, kFalseFormula = 1;
constexpr int64_t kUnbounded = int64_t{1} << 40;

// The types a value can have, as bits. An integer is a number here.
enum ValueType : uint8_t { kNullType = 1, kBooleanType = 2, kNumberType = 4, kStringType = 8, kArrayType = 16, kObjectType = 32 };
constexpr uint8_t kAllTypes = 63;

// A set of property names: those listed or matching one of the automata; or all others.
struct NameSet {
  bool complement = false;
  std::vector<std::string> names = {};
  std::vector<int32_t> dfas = {};
  auto operator<=>(const NameSet&) const = default;
  bool is_single() const { return !complement && names.size() == 1 && dfas.empty(); }
};

// One thing that holds for a value of its type or does not. Negations are literals with `positive` false.
struct Atom {
  enum class Kind : uint8_t {
    kIsTrue,         // boolean: is `true`
    kAtLeast,        // number: >= number
    kMultiple,       // number: a multiple of number
    kAbove,          // number: > number
    kMatches,        // string: automaton `dfa` accepts it
    kMinLength,      // string: at least n code points
    kFormat,         // string: automaton `dfa`, which may be stricter than the format; must not be negated
    kHasProperty,    // object: some property with a name in `names` has a value for which `formula` holds
    kMinProperties,  // object: at least n properties
    kNamesHold,      // object: `formula` holds for every name
    kOrder,          // object: no condition; `names` in the order in which they are written
    kHasItems,       // array: at least n items with index in [from, to) for which `formula` holds
    kUnique,         // array: no two items are equal
  };
  Kind kind;
  Decimal number = {};
  int32_t dfa = -1;
  int64_t n = 0, from = 0, to = 0;
  int32_t names = -1;
  FormulaId formula = -1;
  bool operator==(const Atom&) const = default;
  uint8_t type() const;
};

// Formulas by number, equal ones once. Not safe to share between threads.
class FormulaStore {
 public:
  enum class Kind : uint8_t { kTrue, kFalse, kTypes, kLiteral, kLazy, kAnd, kOr, kOneOf };
  struct Node {
    Kind kind;
    bool positive = true;  // of literals, lazy references and kOneOf
    uint8_t types = 0;
    int32_t index = -1;    // atom, or schema of a lazy reference
    std::vector<FormulaId> parts = {};
  };

  FormulaStore();
  const Node& operator[](FormulaId f) const { return nodes_[static_cast<size_t>(f)]; }
  const Atom& atom(int32_t a) const { return atoms_[static_cast<size_t>(a)]; }
  const NameSet& name_set(int32_t n) const { return name_sets_[static_cast<size_t>(n)]; }
  const Dfa& dfa(int32_t d) const { return dfas_[static_cast<size_t>(d)]; }
  size_t size() const { return nodes_.size(); }

  FormulaId types(uint8_t mask);
  FormulaId literal(const Atom& atom, bool positive = true);
  // The schema with this number (see SchemaReader), not read yet.
  FormulaId lazy(int32_t schema, bool positive = true);
  FormulaId all_of(std::vector<FormulaId> parts);
  FormulaId any_of(std::vector<FormulaId> parts);
  FormulaId one_of(std::vector<FormulaId> parts, bool positive = true);
  FormulaId negation(FormulaId f);
  // "If the value has the atom's type, it holds."
  FormulaId guarded(const Atom& atom, bool positive = true);

  int32_t add_name_set(NameSet set);
  int32_t add_dfa(Dfa dfa) {
    dfas_.push_back(std::move(dfa));
    return static_cast<int32_t>(dfas_.size()) - 1;
  }
  // A format was negated somewhere: automata stricter than their format would then let through what they must not.
  bool negates_format() const { return negates_format_; }

 private:
  FormulaId add(Node node);
  FormulaId combine(Kind kind, std::vector<FormulaId> parts);

  // Deques: references stay good while formulas are added.
  std::deque<Node> nodes_;
  std::vector<FormulaId> negations_;
  std::unordered_multimap<uint64_t, FormulaId> ids_;
  std::deque<Atom> atoms_;
  std::unordered_multimap<uint64_t, int32_t> atom_ids_;
  std::deque<NameSet> name_sets_;
  std::map<NameSet, int32_t> name_set_ids_;
  std::deque<Dfa> dfas_;
  bool negates_format_ = false;
};

}  // namespace hanlin::grammar
