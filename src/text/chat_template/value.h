// Values of the template language, with Python's types and reference semantics.
//
// Strings, lists, tuples and dicts never change once made (the sandbox forbids it), so values share them freely and
// cannot form cycles. The few things that do change (namespaces, scopes) belong to the rendering and are reached
// through non-owning pointers; see Interpreter.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_fwd.h"
#include "text/chat_template/runtime.h"

namespace hanlin::jinja {

class Value;
struct CallArgs;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kView,      // dict.keys(), .values(), .items()
  kIterator,  // can be walked once: generators of filters, reversed lists
  kObject,    // everything with behaviour of its own: namespace, loop, macro, bound method, global function, …
};

// What a Value points to. `depth` is 1 + the deepest value inside.
struct Object {
  Object() = default;
  Object(const Object&) = delete;
  virtual ~Object() {
    if (budget != nullptr) budget->give_back(n_bytes);
  }
  // Counts this object against the rendering; constants of a compiled template belong to none.
  void charge(Runtime& rt, size_t size_bytes) {
    rt.memory().take(size_bytes);
    budget = &rt.memory();
    n_bytes = size_bytes;
  }

  MemoryBudget* budget = nullptr;
  size_t n_bytes = 0;
  int depth = 1;
};

struct Text;
struct List;
struct Dict;
struct Range;
struct View;
struct Iterator;
struct Missing;
struct Custom;

class Value {
 public:
  Value() = default;  // undefined, without a story
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool b) { Value v(Kind::kBool); v.int_ = b; return v; }
  static Value integer(int64_t i) { Value v(Kind::kInt); v.int_ = i; return v; }
  static Value real(double d) { Value v(Kind::kFloat); v.real_ = d; return v; }
  static Value object(Kind kind, std::shared_ptr<Object> object) { Value v(kind); v.object_ = std::move(object); return v; }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }

  // Each only for its kind.
  bool as_bool() const { return int_ != 0; }
  int64_t as_int() const { return int_; }  // bool too
  double as_real() const { return kind_ == Kind::kFloat ? real_ : static_cast<double>(int_); }
  const Text& text() const;
  std::string_view str() const;
  const List& list() const;
  const std::vector<Value>& items() const;  // list or tuple
  const Dict& dict() const;
  const Range& range() const;
  const View& view() const;
  Iterator& iterator() const;
  const Missing* missing() const;  // may be null
  Custom& custom() const;
  const std::shared_ptr<Object>& pointer() const { return object_; }
  int depth() const { return object_ ? object_->depth : 0; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}
  Kind kind_ = Kind::kUndefined;
  union {
    int64_t int_ = 0;
    double real_;
  };
  std::shared_ptr<Object> object_;
};

using Entry = std::pair<Value, Value>;

struct Text : Object {
  std::string bytes;       // UTF-8
  bool is_ascii = true;    // then one byte is one character
  bool is_markup = false;  // came out of `safe` or `escape`: what is joined to it with + gets HTML-escaped, as in Jinja
};

struct List : Object {
  std::vector<Value> items;
  bool is_group = false;  // a tuple of groupby: also has .grouper and .list
};

struct Dict : Object {
  std::vector<Entry> entries;               // in order of insertion, keys unique
  std::vector<uint32_t> by_name;            // entries with string keys, sorted by key; only made for large dicts
  const Value* find(std::string_view key) const;
};

struct Range : Object {
  int64_t start = 0, stop = 0, step = 1, n = 0;
  Value at(int64_t idx) const { return Value::integer(start + idx * step); }
};

struct View : Object {
  enum class Part { kKeys, kValues, kItems };
  Value dict;
  Part part = Part::kKeys;
};

struct Iterator : Object {
  std::function<bool(Value*)> pull;  // false at the end
  const char* type_name = "generator";
};

// Why a value is undefined; the message is only made when somebody trips over it.
struct Missing : Object {
  enum class Why { kName, kAttribute, kElement, kHint, kUnsafe };
  Why why = Why::kName;
  std::string name;       // variable, attribute, repr of the element, or the whole hint
  std::string type_name;  // of the object that lacks it
  std::string message() const;
};

// Things with behaviour.
struct Custom : Object, std::enable_shared_from_this<Custom> {
  virtual const char* type_name() const = 0;
  virtual bool attribute(Runtime&, std::string_view /*name*/, Value* /*out*/) { return false; }
  virtual bool is_callable() const { return false; }
  virtual Value call(Runtime&, const CallArgs&);
  virtual void print(Runtime& rt, TextBuffer& out);  // repr
};

// Arguments of a call, evaluated.
struct CallArgs {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// A host function as a value.
struct Function : Custom {
  using Body = std::function<Value(Runtime&, const CallArgs&)>;
  Function(std::string function_name, Body function_body) : name(std::move(function_name)), body(std::move(function_body)) {}
  const char* type_name() const override { return "builtin_function_or_method"; }
  bool is_callable() const override { return true; }
  Value call(Runtime& rt, const CallArgs& args) override { return body(rt, args); }
  void print(Runtime& rt, TextBuffer& out) override;
  std::string name;
  Body body;
};

inline const Text& Value::text() const { return static_cast<const Text&>(*object_); }
inline std::string_view Value::str() const { return text().bytes; }
inline const List& Value::list() const { return static_cast<const List&>(*object_); }
inline const std::vector<Value>& Value::items() const { return list().items; }
inline const Dict& Value::dict() const { return static_cast<const Dict&>(*object_); }
inline const Range& Value::range() const { return static_cast<const Range&>(*object_); }
inline const View& Value::view() const { return static_cast<const View&>(*object_); }
inline Iterator& Value::iterator() const { return static_cast<Iterator&>(*object_); }
inline const Missing* Value::missing() const { return static_cast<const Missing*>(object_.get()); }
inline Custom& Value::custom() const { return static_cast<Custom&>(*object_); }

// `depth` of a new value, refused if it is more than kMaxValueDepth.
int checked_depth(int depth);

Value make_string(Runtime& rt, std::string bytes, bool is_markup = false);
Value make_constant_string(std::string bytes);  // for compiled templates: belongs to no rendering
Value make_list(Runtime& rt, std::vector<Value> items);
Value make_tuple(Runtime& rt, std::vector<Value> items, bool is_group = false);
Value make_dict(Runtime& rt, std::vector<Entry> entries);  // keys must be unique
Value make_range(Runtime& rt, int64_t start, int64_t stop, int64_t step);
Value make_view(Runtime& rt, Value dict, View::Part part);
Value make_iterator(Runtime& rt, int depth, std::function<bool(Value*)> pull, const char* type_name = "generator");
Value make_undefined(Runtime& rt, Missing::Why why, std::string name, std::string type_name = {});
Value make_function(Runtime& rt, std::string name, Function::Body body, int depth = 1);
Value from_json(Runtime& rt, const Json& json, int depth = 0);

// Python's name of the type: "str", "NoneType", "dict_items", …
const char* type_name(const Value& value);
bool is_true(const Value& value);
// Stops with the reason why `value` is undefined.
[[noreturn]] void fail_undefined(const Value& value);

}  // namespace hanlin::jinja
