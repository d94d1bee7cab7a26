// Deterministic automata over Unicode code points: what patterns, enumerations and property names become.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hanlin::grammar {

constexpr uint32_t kMaxCodePoint = 0x10FFFF;
// "Cannot be reached": larger than every cost that is one.
constexpr int32_t kInfinite = 1 << 29;

// An automaton whose every state can still reach a labelled state (others are removed, so "no edge" is the only dead
// end). label >= 0: a text may end here; labels tell kinds of texts apart where that matters. Immutable once built.
struct Dfa {
  struct Edge {
    uint32_t lo, hi;  // code points, both included
    int32_t to;
  };
  struct State {
    int32_t first_edge = 0, n_edges = 0;
    int32_t label = -1;
  };
  std::vector<State> states;
  std::vector<Edge> edges;  // of a state: ascending, disjoint
  int32_t start = -1;       // -1: no text at all

  bool is_empty() const { return start < 0; }
  std::span<const Edge> edges_of(int32_t q) const {
    const State& s = states[static_cast<size_t>(q)];
    return {edges.data() + s.first_edge, static_cast<size_t>(s.n_edges)};
  }
  int32_t label(int32_t q) const { return states[static_cast<size_t>(q)].label; }
  // The next state, or -1.
  int32_t step(int32_t q, uint32_t cp) const {
    for (const Edge& e : edges_of(q)) {
      if (cp <= e.hi) return cp >= e.lo ? e.to : -1;
    }
    return -1;
  }
  // Label of a whole text (valid UTF-8), or -1.
  int32_t match(std::string_view text) const;
  // Every text, with label 0.
  bool is_universal() const;
};

// How many bytes the cheapest code point of [lo, hi] takes: inside a JSON string (escapes included), or as plain UTF-8.
int32_t cheapest_json_bytes(uint32_t lo, uint32_t hi);
int32_t cheapest_raw_bytes(uint32_t lo, uint32_t hi);

Dfa universal_dfa();
// The texts of a list; text i gets label labels[i], or 0 if there are no labels.
Dfa literal_dfa(std::span<const std::string> texts, std::span<const int32_t> labels = {});

// Runs the automata side by side. `label` sees which of them accept and returns the label of that state, or -1. Nothing
// if more than max_states states would be needed.
std::optional<Dfa> product(std::span<const Dfa* const> parts, const std::function<int32_t(std::span<const bool>)>& label, size_t max_states);

// For each state the least cost of a rest that ends in a state with this label (any label if -1).
std::vector<int32_t> costs_to_accept(const Dfa& dfa, int32_t label, int32_t (*cost)(uint32_t, uint32_t));
// For each state the number of texts that lead from there to the label (any if -1), at most `cap`.
std::vector<int64_t> count_accepted(const Dfa& dfa, int32_t label, int64_t cap);
// All texts of a finite language with this label, at most max_texts (else nothing).
std::optional<std::vector<std::string>> enumerate_texts(const Dfa& dfa, int32_t label, size_t max_texts);

// JSON bytes of the cheapest texts that lead from state `from` to the label: ascending, at most n_texts, possibly fewer if
// they are very long.
std::vector<int32_t> cheapest_texts(const Dfa& dfa, int32_t from, int32_t label, size_t n_texts);

void append_code_point(std::string& out, uint32_t cp);
// Code points of valid UTF-8.
std::vector<uint32_t> code_points(std::string_view text);

// Builds automata state by state.
class DfaBuilder {
 public:
  int32_t add_state(int32_t label) {
    labels_.push_back(label);
    edges_.emplace_back();
    return static_cast<int32_t>(labels_.size()) - 1;
  }
  void add_edge(int32_t from, uint32_t lo, uint32_t hi, int32_t to) { edges_[static_cast<size_t>(from)].push_back({lo, hi, to}); }
  void set_label(int32_t q, int32_t label) { labels_[static_cast<size_t>(q)] = label; }
  size_t size() const { return labels_.size(); }
  // Sorts and joins edges, removes states that lead nowhere.
  Dfa finish(int32_t start) &&;

 private:
  std::vector<int32_t> labels_;
  std::vector<std::vector<Dfa::Edge>> edges_;
};

}  // namespace hanlin::grammar
