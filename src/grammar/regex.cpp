#include "grammar/regex.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>

#include "grammar/regex_ast.h"

namespace hanlin::grammar {
namespace {

using Kind = RegexNode::Kind;
constexpr size_t kMaxNfaStates = 40000;

// Thompson's construction; assertions are edges that may be taken only at the beginning or the end of the text.
struct Nfa {
  enum class Edge : uint8_t { kNone, kEpsilon, kBegin, kEnd, kSet };
  struct State {
    Edge edge = Edge::kNone;
    int32_t to = -1, also = -1;  // `also`: a second epsilon edge
    int32_t set = -1;
  };
  std::vector<State> states;
  std::vector<const RangeSet*> sets;
  RangeSet any = {{0, kMaxCodePoint}};

  int32_t add(Edge edge = Edge::kNone, int32_t to = -1, int32_t also = -1) {
    states.push_back({edge, to, also, -1});
    return static_cast<int32_t>(states.size()) - 1;
  }
  bool is_full() const { return states.size() > kMaxNfaStates; }

  // A machine that leads to `next`; returns its first state.
  int32_t build(const RegexNode& node, int32_t next) {
    if (is_full()) return next;
    switch (node.kind) {
      case Kind::kEmpty: return next;
      case Kind::kSet: {
        const int32_t s = add(Edge::kSet, next);
        states[static_cast<size_t>(s)].set = static_cast<int32_t>(sets.size());
        sets.push_back(&node.set);
        return s;
      }
      case Kind::kSequence:
        for (size_t i = node.children.size(); i-- > 0;) next = build(*node.children[i], next);
        return next;
      case Kind::kChoice: {
        int32_t first = -1;
        for (size_t i = node.children.size(); i-- > 0;) {
          const int32_t branch = build(*node.children[i], next);
          first = first < 0 ? branch : add(Edge::kEpsilon, branch, first);
        }
        return first;
      }
      case Kind::kRepeat: {
        const RegexNode& inner = *node.children[0];
        if (node.max < 0) {
          const int32_t loop = add(Edge::kEpsilon, -1, next);
          const int32_t body = build(inner, loop);
          states[static_cast<size_t>(loop)].to = body;
          next = loop;
        } else {
          const int32_t end = next;
          for (int i = node.min; i < node.max && !is_full(); ++i) {
            const int32_t body = build(inner, next);
            next = add(Edge::kEpsilon, body, end);
          }
        }
        for (int i = 0; i < node.min && !is_full(); ++i) next = build(inner, next);
        return next;
      }
      case Kind::kBegin: return add(Edge::kBegin, next);
      case Kind::kEnd: return add(Edge::kEnd, next);
      case Kind::kLookahead: return next;  // refused before
    }
    return next;
  }
};

class Determinizer {
 public:
  Determinizer(const Nfa& nfa, int32_t final_state, size_t max_states) : nfa_(nfa), final_(final_state), max_states_(max_states), mark_(nfa.states.size(), 0) {}

  Result<Dfa> run(int32_t first) {
    std::vector<int32_t> set = closure({first}, true, false);
    const bool accepts = is_final(closure({first}, true, true));
    add(std::move(set), accepts);
    for (size_t s = 0; s < sets_.size(); ++s) {
      n_work_ += sets_[s].size();
      if (sets_.size() > max_states_ || n_work_ > 4'000'000) {
        return Error{Code::kUnsupported, "regular expression: needs an automaton of more than " + std::to_string(max_states_) + " states"};
      }
      expand(static_cast<int32_t>(s));
    }
    return std::move(builder_).finish(0);
  }

 private:
  std::vector<int32_t> closure(std::vector<int32_t> todo, bool at_begin, bool at_end) {
    ++stamp_;
    std::vector<int32_t> out;
    while (!todo.empty()) {
      const int32_t q = todo.back();
      todo.pop_back();
      if (mark_[static_cast<size_t>(q)] == stamp_) continue;
      mark_[static_cast<size_t>(q)] = stamp_;
      const Nfa::State& s = nfa_.states[static_cast<size_t>(q)];
      switch (s.edge) {
        case Nfa::Edge::kEpsilon:
          todo.push_back(s.to);
          if (s.also >= 0) todo.push_back(s.also);
          break;
        case Nfa::Edge::kBegin:
          if (at_begin) todo.push_back(s.to);
          break;
        case Nfa::Edge::kEnd:
          out.push_back(q);
          if (at_end) todo.push_back(s.to);
          break;
        default: out.push_back(q);
      }
    }
    std::sort(out.begin(), out.end());
    if (std::binary_search(out.begin(), out.end(), final_)) {  // matched: the rest of the text does not matter
      if (!at_end) return {final_};
    }
    return out;
  }
  bool is_final(const std::vector<int32_t>& set) const { return std::binary_search(set.begin(), set.end(), final_); }

  int32_t add(std::vector<int32_t> set, bool accepts) {
    std::string key(reinterpret_cast<const char*>(set.data()), set.size() * sizeof(int32_t));
    key += accepts ? 'a' : 'r';
    auto [it, is_new] = ids_.try_emplace(std::move(key), static_cast<int32_t>(sets_.size()));
    if (is_new) {
      sets_.push_back(std::move(set));
      builder_.add_state(accepts ? 0 : -1);
    }
    return it->second;
  }

  void expand(int32_t from) {
    const std::vector<int32_t> set = sets_[static_cast<size_t>(from)];
    if (set.size() == 1 && set[0] == final_ && loops_at_final_) {
      builder_.add_edge(from, 0, kMaxCodePoint, from);
      return;
    }
    std::vector<uint32_t> bounds;
    for (int32_t q : set) {
      const Nfa::State& s = nfa_.states[static_cast<size_t>(q)];
      if (s.edge != Nfa::Edge::kSet) continue;
      for (const auto& [lo, hi] : *nfa_.sets[static_cast<size_t>(s.set)]) {
        bounds.push_back(lo);
        bounds.push_back(hi + 1);
      }
    }
    std::sort(bounds.begin(), bounds.end());
    bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
    for (size_t b = 0; b + 1 < bounds.size(); ++b) {
      std::vector<int32_t> next;
      for (int32_t q : set) {
        const Nfa::State& s = nfa_.states[static_cast<size_t>(q)];
        if (s.edge != Nfa::Edge::kSet) continue;
        const RangeSet& ranges = *nfa_.sets[static_cast<size_t>(s.set)];
        const auto it = std::upper_bound(ranges.begin(), ranges.end(), std::pair<uint32_t, uint32_t>{bounds[b], 0xFFFFFFFF});
        if (it != ranges.begin() && std::prev(it)->second >= bounds[b]) next.push_back(s.to);
      }
      n_work_ += next.size() + 1;
      if (next.empty()) continue;
      const bool accepts = is_final(closure(next, false, true));
      builder_.add_edge(from, bounds[b], bounds[b + 1] - 1, add(closure(std::move(next), false, false), accepts));
      if (n_work_ > 4'000'000 || sets_.size() > max_states_) return;
    }
  }

 public:
  bool loops_at_final_ = true;

 private:
  const Nfa& nfa_;
  int32_t final_;
  size_t max_states_;
  size_t n_work_ = 0;
  std::vector<uint32_t> mark_;
  uint32_t stamp_ = 0;
  std::vector<std::vector<int32_t>> sets_;
  std::unordered_map<std::string, int32_t> ids_;
  DfaBuilder builder_;
};

bool has_lookahead(const RegexNode& node) {
  if (node.kind == Kind::kLookahead) return true;
  return std::any_of(node.children.begin(), node.children.end(), [](const auto& child) { return has_lookahead(*child); });
}

Result<Dfa> compile_plain(const RegexNode& node, bool full_match, size_t max_states) {
  if (has_lookahead(node)) return Error{Code::kUnsupported, "regular expression: look-ahead cannot be enforced except right after a ^ at the beginning"};
  Nfa nfa;
  const int32_t final_state = nfa.add();
  int32_t last = final_state;
  if (full_match) last = nfa.add(Nfa::Edge::kEnd, final_state);
  int32_t first = nfa.build(node, last);
  if (full_match) {
    first = nfa.add(Nfa::Edge::kBegin, first);
  } else {  // a match may begin anywhere
    const int32_t loop = nfa.add(Nfa::Edge::kEpsilon, first);
    const int32_t skip = nfa.add(Nfa::Edge::kSet, loop);
    nfa.states[static_cast<size_t>(skip)].set = static_cast<int32_t>(nfa.sets.size());
    nfa.sets.push_back(&nfa.any);
    nfa.states[static_cast<size_t>(loop)].also = skip;
    first = loop;
  }
  if (nfa.is_full()) return Error{Code::kUnsupported, "regular expression: too large"};
  return Determinizer(nfa, final_state, max_states).run(first);
}

}  // namespace

Result<Dfa> compile_regex(std::string_view pattern, const RegexOptions& options) {
  HANLIN_ASSIGN(std::unique_ptr<RegexNode> ast, parse_regex(pattern));
  // ^(?!x)(?=y)rest: an intersection of automata.
  std::vector<std::unique_ptr<RegexNode>> looks;
  if (ast->kind == Kind::kSequence) {
    auto& items = ast->children;
    const size_t at = !items.empty() && items[0]->kind == Kind::kBegin ? 1 : 0;
    if (at == 1 || options.full_match) {
      while (items.size() > at && items[at]->kind == Kind::kLookahead) {
        looks.push_back(std::move(items[at]));
        items.erase(items.begin() + static_cast<std::ptrdiff_t>(at));
      }
    }
  }
  HANLIN_ASSIGN(Dfa dfa, compile_plain(*ast, options.full_match, options.max_states));
  for (const auto& look : looks) {
    RegexNode anchored;
    anchored.kind = Kind::kSequence;
    anchored.children.push_back(std::make_unique<RegexNode>());
    anchored.children[0]->kind = Kind::kBegin;
    anchored.children.push_back(std::move(look->children[0]));
    HANLIN_ASSIGN(const Dfa other, compile_plain(anchored, false, options.max_states));
    const std::array<const Dfa*, 2> parts = {&dfa, &other};
    const bool negative = look->negative;
    std::optional<Dfa> both = product(parts, [negative](std::span<const bool> a) { return a[0] && a[1] != negative ? 0 : -1; }, options.max_states);
    if (!both) return Error{Code::kUnsupported, "regular expression: needs too large an automaton"};
    dfa = *std::move(both);
  }
  return dfa;
}

}  // namespace hanlin::grammar
