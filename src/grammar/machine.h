// The machine that reads a text byte by byte and knows at every point what may follow: a set of stacks whose frames are
// shared, so that going back means keeping an old pointer.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/char_decoder.h"
#include "grammar/network.h"
#include "grammar/planner.h"
#include "grammar/rules.h"

namespace hanlin::grammar {

// What the machine's parts share: another number into a hash, and JSON's white space.
inline uint64_t mix_hash(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9e3779b97f4a7c15ull;
  return h ^ (h >> 32);
}
inline bool is_json_space(uint8_t b) { return b == ' ' || b == '\n' || b == '\t' || b == '\r'; }

// A trigger in free text, what must follow it, and the text that ends it.
struct TagRule {
  std::string trigger, end;
  int32_t spec = -1;     // of `program`, or
  int32_t rule = -1;     // of `network`, or
  int32_t goes_to = -1;  // nothing: free text goes on here, as at its start
};

// A rule that is tried where free text starts, beside it. At the rule's cut the free text ends.
struct LeadRule {
  int32_t rule = -1;     // of `network`
  int32_t goes_to = -1;  // where free text goes on behind it; -1: at its start
};

// A compiled grammar. Immutable.
struct MachineCode {
  Program program;
  Network network;
  int32_t start_rule = -1;  // of the network; else program.root unless there are tags
  std::vector<TagRule> tags;
  std::vector<LeadRule> leads;
  bool one_call = false;      // nothing follows a tag or lead but the end
  int32_t free_start = 0;     // where the text starts, if it is free
  std::vector<int32_t> markers;  // control tokens whose names are part of the text, ascending
  // Aho-Corasick over the triggers: next state by byte, and the tag that is complete in a state (-1: none). Several such
  // automata may stand behind each other; 0 begins the first.
  std::vector<std::array<int32_t, 256>> free_next;
  std::vector<int32_t> free_tag;
  int32_t max_whitespace = 0;  // characters in a row, between the parts of a JSON value
};

// One place in the grammar with everything below it still to be finished. Compared by address: equal frames exist once.
struct Frame {
  enum class Kind : uint8_t { kDone, kValue, kLiteral, kNumber, kString, kObject, kKey, kColon, kArray, kRule, kFree, kText };
  Kind kind = Kind::kDone;
  uint8_t phase = 0, space = 0;
  int32_t a = 0, b = 0, c = 0, e = 0;
  CharState chars = 0;
  const Frame* parent = nullptr;
  int32_t cost = 0;  // bytes to the end of the whole text
  uint32_t id = 0;
  uint32_t hash = 0;
};

using FrameSet = std::vector<const Frame*>;  // ascending by id

// Owns the frames of any number of texts of one grammar. Not safe to share between threads.
class Machine {
 public:
  explicit Machine(std::shared_ptr<const MachineCode> code);

  const FrameSet& start() const { return start_; }
  // Frames after one more byte; empty: not allowed. `explore`: only looking, names are not remembered.
  void step(const FrameSet& from, uint8_t byte, bool explore, FrameSet& to);
  // Whether the text may end here.
  bool may_end(const FrameSet& set) const;
  // Fewest bytes to a legal end.
  static int32_t cost(const FrameSet& set);
  // Everywhere in the set white space means nothing: between the parts of JSON values.
  static bool takes_layout(const FrameSet& set);
  // … right behind a colon or comma.
  static bool wants_space(const FrameSet& set);
  size_t n_frames() const { return frames_.size(); }
  const MachineCode& code() const { return *code_; }
  // How many more characters of any kind fit where the frame is, inside a string or name; -1: not just any.
  int64_t free_text_limit(const Frame& frame) const;
  // Of such a frame: most bytes to the end after any whole characters of content.
  int32_t free_text_cost(const Frame& frame) const;
  // Of a frame inside a string or name, between characters: the same without anything around it.
  const Frame* alone(const Frame& frame);
  // The code points of such a frame from which on, up to the next, all are alike.
  void add_borders(const Frame& frame, std::vector<uint32_t>& borders) const;

 private:
  // What is known about an object between two properties.
  struct ObjectPlace {
    ObjectState state;
    int32_t names = 0;  // undeclared names so far: a list; -1: not remembered (exploring)
    bool planned = false;
    int32_t cost = kInfinite, next_cost = kInfinite;  // to the end: now, or after one more property
    std::vector<int32_t> name_costs, class_costs;     // value and rest after that name, kInfinite: not allowed
  };
  struct ArrayPlace {
    ArrayState state;
    int32_t cost = kInfinite;
    std::vector<std::pair<int32_t, int32_t>> moves;  // spec, next place
    bool planned = false;
  };

  const Frame* make(Frame frame, int32_t own_cost);
  void step_frame(const Frame& f, uint8_t byte);
  void begin_value(int32_t spec, const Frame* parent, uint8_t byte);
  void step_string(const Frame& f, uint8_t byte);
  void step_key(const Frame& f, uint8_t byte);
  void end_key(const Frame& f);
  void step_object(const Frame& f, uint8_t byte);
  void step_array(const Frame& f, uint8_t byte);
  void step_number(const Frame& f, uint8_t byte);
  void step_rule(const Frame& f, uint8_t byte);
  const Frame* in_rule(int32_t state, const Frame* parent);
  void reach_in_rule(int32_t state, const Frame* parent);
  void leave_rule(int32_t state, const Frame* parent, uint8_t byte, int depth);
  const Frame* free_text(int32_t state, bool at_start);
  const Frame* behind_call(int32_t goes_to);
  void read_in_rule(int32_t state, const Frame* parent, uint32_t cp, int depth);
  bool rule_reaches(int32_t state, const Frame* parent, const Completions& chars, int32_t& cost, int depth) const;
  void step_free(const Frame& f, uint8_t byte);
  void enter_tag(int32_t tag);
  void add(const Frame* f) {
    if (f != nullptr) out_->push_back(f);
  }
  void add_key(int32_t place, int32_t trie, int32_t q, CharState chars, int32_t prefix, const Frame* parent);
  void add_string(int32_t rule, int32_t q, int64_t length, CharState chars, const Frame* parent);
  int32_t key_cost(const ObjectPlace& place, int32_t trie, int32_t q, CharState chars, int32_t prefix);
  int32_t key_cost_between(const ObjectPlace& place, int32_t trie, int32_t q, int32_t prefix);
  int32_t nth_text_cost(int32_t dfa, int32_t q, int32_t label, int32_t n);
  int32_t object_place(ObjectState state, int32_t names);
  int32_t array_place(const ArrayState& state);
  ObjectPlace& plan(int32_t place);
  ArrayPlace& plan_array(int32_t place);
  int32_t next_prefix(int32_t prefix, uint32_t cp);
  bool is_seen(int32_t names, int32_t prefix) const;
  int32_t count_seen_below(int32_t names, int32_t prefix) const;
  NumberMachine& number(int32_t rule);
  bool frame_may_end(const Frame& f) const;

  std::shared_ptr<const MachineCode> code_;
  const Program& program_;
  const Frame* done_ = nullptr;
  std::vector<const Frame*> free_frames_;  // [2 * state + at start]: those made so far
  FrameSet decided_;                       // frames behind a cut that this step reached
  FrameSet start_;
  std::deque<Frame> frames_;
  std::vector<uint32_t> table_;  // open addressing over frames_
  std::deque<ObjectPlace> objects_;
  std::unordered_multimap<uint64_t, int32_t> object_ids_;
  std::deque<ArrayPlace> arrays_;
  std::unordered_multimap<uint64_t, int32_t> array_ids_;
  std::unordered_map<uint64_t, int32_t> prefixes_;             // (prefix, code point)
  std::vector<int32_t> prefix_parents_{-1};
  std::vector<std::vector<uint32_t>> prefix_next_{{}};         // the code points of each
  std::unordered_map<uint64_t, int32_t> name_lists_;           // (list, prefix)
  std::vector<std::pair<int32_t, int32_t>> name_list_items_{{-1, -1}};  // (list before, prefix)
  std::vector<std::unique_ptr<NumberMachine>> numbers_;
  std::unordered_map<uint64_t, std::vector<int32_t>> text_costs_;
  FrameSet* out_ = nullptr;
  bool explore_ = false;
};

}  // namespace hanlin::grammar
