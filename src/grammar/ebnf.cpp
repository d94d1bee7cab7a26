#include "grammar/ebnf.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "grammar/regex_ast.h"
#include "text/utf8.h"

namespace hanlin::grammar {
namespace {

constexpr size_t kMaxBytes = 1 << 18, kMaxStates = 60'000;
constexpr int kMaxRepeat = 1000, kMaxDepth = 64;

// States with empty edges; they are removed once the rule is read.
struct Draft {
  struct State {
    std::vector<Network::Edge> edges;
    std::vector<int32_t> empty;
    bool is_cut = false;
  };
  std::vector<State> states;
  int32_t add() {
    states.emplace_back();
    return static_cast<int32_t>(states.size()) - 1;
  }
};

class Parser {
 public:
  Parser(std::string_view text, const EbnfValues& values) : cps_(code_points(text)), values_(values) {}

  Result<EbnfGrammar> parse(const Network::TokenLengths& tokens) {
    for (skip(true); at_ < cps_.size(); skip(true)) HANLIN_TRY(rule());
    if (names_.empty()) return wrong("expected a rule");
    for (size_t r = 0; r < names_.size(); ++r) {
      if (starts_[r] < 0) return Error{Code::kInvalidArgument, "grammar: rule '" + names_[r] + "' is used but not defined"};
    }
    EbnfGrammar out;
    const auto root = rule_ids_.find("root");
    out.start_rule = root != rule_ids_.end() ? root->second : first_rule_;
    build(out.network);
    HANLIN_TRY(out.network.finish(names_, values_.costs, tokens));
    out.rule_names = names_;
    return out;
  }

 private:
  Error wrong(const std::string& what) const {
    const auto line = 1 + std::count(cps_.begin(), cps_.begin() + static_cast<std::ptrdiff_t>(std::min(at_, cps_.size())), '\n');
    return Error{Code::kInvalidArgument, "grammar: line " + std::to_string(line) + ": " + what};
  }
  uint32_t peek(size_t n = 0) const { return at_ + n < cps_.size() ? cps_[at_ + n] : 0; }
  bool eat(uint32_t c) {
    if (at_ >= cps_.size() || cps_[at_] != c) return false;
    ++at_;
    return true;
  }
  // White space and comments; line ends only where a rule may go on.
  void skip(bool lines) {
    while (at_ < cps_.size()) {
      if (peek() == '#') {
        while (at_ < cps_.size() && peek() != '\n') ++at_;
      } else if (peek() == ' ' || peek() == '\t' || peek() == '\r' || (lines && peek() == '\n')) {
        ++at_;
      } else {
        return;
      }
    }
  }
  static bool is_name(uint32_t c) { return c < 0x80 && (std::isalnum(static_cast<int>(c)) || c == '_' || c == '-'); }
  std::string name() {
    std::string out;
    while (at_ < cps_.size() && is_name(peek())) out += static_cast<char>(cps_[at_++]);
    return out;
  }
  int32_t rule_id(const std::string& text) {
    const auto [it, is_new] = rule_ids_.try_emplace(text, static_cast<int32_t>(names_.size()));
    if (is_new) {
      names_.push_back(text);
      starts_.push_back(-1);
      ends_.push_back(-1);
    }
    return it->second;
  }

  Status rule() {
    const std::string text = name();
    if (text.empty()) return wrong("expected the name of a rule");
    skip(false);
    if (eat(':')) {
      if (!eat(':') || !eat('=')) return wrong("expected ::=");
    } else if (!eat('=')) {
      return wrong("expected ::= after '" + text + "'");
    }
    const int32_t id = rule_id(text);
    if (first_rule_ < 0) first_rule_ = id;
    if (starts_[static_cast<size_t>(id)] >= 0) return wrong("rule '" + text + "' is defined twice");
    const int32_t first = draft_.add(), last = draft_.add();
    starts_[static_cast<size_t>(id)] = first;
    ends_[static_cast<size_t>(id)] = last;
    skip(true);
    HANLIN_TRY(choice(first, last, 0));
    skip(false);
    eat(';');
    skip(false);
    if (at_ < cps_.size() && peek() != '\n') return wrong("unexpected character");
    return {};
  }

  // Whether the next line goes on with the rule: it does not begin with `name ::=`.
  bool line_continues(int depth) {
    const size_t before = at_;
    skip(true);
    bool goes_on = at_ < cps_.size();
    if (goes_on && depth == 0 && is_name(peek())) {
      const size_t here = at_;
      name();
      skip(false);
      goes_on = !(peek() == '=' || (peek() == ':' && peek(1) == ':'));
      at_ = here;
    }
    if (!goes_on) at_ = before;
    return goes_on;
  }

  Status choice(int32_t from, int32_t to, int depth) {
    if (depth > kMaxDepth) return Error{Code::kUnsupported, "grammar: groups nested too deeply"};
    do {
      skip(true);
      HANLIN_TRY(sequence(from, to, depth));
    } while (eat('|'));
    return {};
  }

  Status sequence(int32_t from, int32_t to, int depth) {
    int32_t here = from;
    while (line_continues(depth) && peek() != '|' && peek() != ')' && peek() != ';') {
      int32_t next = draft_.add();
      const size_t begin = at_;
      HANLIN_TRY(item(here, next, depth));
      HANLIN_TRY(repetition(here, next, begin, depth));
      here = next;
      if (draft_.states.size() > kMaxStates) return Error{Code::kUnsupported, "grammar: too large"};
    }
    draft_.states[static_cast<size_t>(here)].empty.push_back(to);
    return {};
  }

  // The item between `from` and `to` was read from `begin`; more copies are read from there again.
  Status repetition(int32_t from, int32_t& to, size_t begin, int depth) {
    int64_t min = 1, max = 1;
    if (eat('*')) {
      min = 0;
      max = -1;
    } else if (eat('+')) {
      max = -1;
    } else if (eat('?')) {
      min = 0;
    } else if (eat('{')) {
      skip(false);
      min = number();
      skip(false);
      max = min;
      if (eat(',')) {
        skip(false);
        max = peek() == '}' ? -1 : number();
        skip(false);
      }
      if (!eat('}') || min < 0 || (max >= 0 && max < min)) return wrong("expected {n}, {n,} or {m,n}");
      if (min > kMaxRepeat || max > kMaxRepeat) return Error{Code::kUnsupported, "grammar: repetition of more than " + std::to_string(kMaxRepeat)};
    } else {
      return {};
    }
    const size_t after = at_;
    // The first copy stands between from and to. Around it a fresh state, so that loops do not leak into neighbours.
    const int32_t out = draft_.add();
    int32_t here = to;
    int64_t n = 1;
    if (max == 0) {
      draft_.states[static_cast<size_t>(from)] = {};
      draft_.states[static_cast<size_t>(from)].empty.push_back(out);
      to = out;
      return {};
    }
    if (min == 0) draft_.states[static_cast<size_t>(from)].empty.push_back(out);
    for (; n < std::max(min, max); ++n) {
      if (n >= min) draft_.states[static_cast<size_t>(here)].empty.push_back(out);
      const int32_t next = draft_.add();
      at_ = begin;
      HANLIN_TRY(item(here, next, depth));
      here = next;
      if (draft_.states.size() > kMaxStates) return Error{Code::kUnsupported, "grammar: too large"};
    }
    if (max < 0) {  // the loop: any number of further copies
      const int32_t head = draft_.add(), tail = draft_.add();
      draft_.states[static_cast<size_t>(here)].empty.push_back(head);
      at_ = begin;
      HANLIN_TRY(item(head, tail, depth));
      draft_.states[static_cast<size_t>(tail)].empty.push_back(head);
      draft_.states[static_cast<size_t>(head)].empty.push_back(out);
    } else {
      draft_.states[static_cast<size_t>(here)].empty.push_back(out);
    }
    at_ = after;
    to = out;
    return {};
  }

  int64_t number() {
    int64_t value = -1;
    while (peek() >= '0' && peek() <= '9') value = std::min<int64_t>(1 << 20, std::max<int64_t>(0, value) * 10 + (cps_[at_++] - '0'));
    return value;
  }

  void add_set(int32_t from, int32_t to, RangeSet set) {
    normalize(set);
    for (const auto& [lo, hi] : set) draft_.states[static_cast<size_t>(from)].edges.push_back({.lo = lo, .hi = hi, .to = to});
  }

  Status item(int32_t from, int32_t to, int depth) {
    const uint32_t c = peek();
    if (c == '"' || c == '\'') {
      ++at_;
      int32_t here = from;
      while (peek() != c) {
        if (at_ >= cps_.size() || peek() == '\n') return wrong("string without an end");
        uint32_t cp = 0;
        HANLIN_TRY(character(cp));
        const int32_t next = draft_.add();
        draft_.states[static_cast<size_t>(here)].edges.push_back({.lo = cp, .hi = cp, .to = next});
        here = next;
      }
      ++at_;
      draft_.states[static_cast<size_t>(here)].empty.push_back(to);
      return {};
    }
    if (eat('[')) {
      const bool negated = eat('^');
      RangeSet set;
      while (peek() != ']') {
        if (at_ >= cps_.size() || peek() == '\n') return wrong("class without an end");
        uint32_t lo = 0, hi = 0;
        HANLIN_TRY(character(lo));
        hi = lo;
        if (peek() == '-' && peek(1) != ']') {
          ++at_;
          HANLIN_TRY(character(hi));
        }
        if (hi < lo) return wrong("range out of order");
        set.push_back({lo, hi});
      }
      ++at_;
      add_set(from, to, negated ? complement(std::move(set)) : std::move(set));
      return {};
    }
    if (eat('.')) {
      add_set(from, to, {{0, kMaxCodePoint}});
      return {};
    }
    if (eat('(')) {
      HANLIN_TRY(choice(from, to, depth + 1));
      skip(true);
      if (!eat(')')) return wrong("missing )");
      return {};
    }
    if (!values_.names.empty() && eat('!')) {
      draft_.states[static_cast<size_t>(from)].is_cut = true;
      draft_.states[static_cast<size_t>(from)].empty.push_back(to);
      return {};
    }
    if (!values_.names.empty() && eat('@')) {
      const std::string wanted = name();
      const auto found = std::find(values_.names.begin(), values_.names.end(), wanted);
      if (found == values_.names.end()) return wrong("there is no value '@" + wanted + "'");
      draft_.states[static_cast<size_t>(from)].edges.push_back({.to = to, .value = static_cast<int32_t>(found - values_.names.begin())});
      return {};
    }
    if (is_name(c) && at_ < cps_.size()) {
      draft_.states[static_cast<size_t>(from)].edges.push_back({.to = to, .rule = rule_id(name())});
      return {};
    }
    return wrong("expected a string, a class, a rule or a group");
  }

  Status character(uint32_t& cp) {
    if (at_ >= cps_.size()) return wrong("ends in the middle");
    cp = cps_[at_++];
    if (cp != '\\') return {};
    if (at_ >= cps_.size()) return wrong("\\ at the end");
    cp = cps_[at_++];
    int digits = 0;
    switch (cp) {
      case 'n': cp = '\n'; return {};
      case 'r': cp = '\r'; return {};
      case 't': cp = '\t'; return {};
      case 'x': digits = 2; break;
      case 'u': digits = 4; break;
      case 'U': digits = 8; break;
      default:
        if (cp < 0x80 && std::isalnum(static_cast<int>(cp))) return wrong("unknown escape");
        return {};
    }
    cp = 0;
    for (int i = 0; i < digits; ++i) {
      const uint32_t c = peek();
      if (c > 0x7F || !std::isxdigit(static_cast<int>(c))) return wrong("expected a hexadecimal digit");
      cp = std::min<uint32_t>(0x0FFFFFFF, cp * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10));
      ++at_;
    }
    if (cp > kMaxCodePoint) return wrong("code point too large");
    return {};
  }

  // Every state takes over the edges that its empty edges lead to.
  void build(Network& network) const {
    const size_t n = draft_.states.size();
    network.states.resize(n);
    std::vector<char> is_end(n, 0);
    for (int32_t e : ends_) is_end[static_cast<size_t>(e)] = 1;
    // Only states that something leads to need edges.
    std::vector<char> wanted(n, 0);
    for (int32_t s : starts_) wanted[static_cast<size_t>(s)] = 1;
    for (const auto& s : draft_.states) {
      for (const auto& e : s.edges) wanted[static_cast<size_t>(e.to)] = 1;
    }
    std::vector<uint32_t> mark(n, 0);
    for (size_t q = 0; q < n; ++q) {
      if (!wanted[q]) continue;
      std::vector<int32_t> todo{static_cast<int32_t>(q)};
      while (!todo.empty()) {
        const auto s = static_cast<size_t>(todo.back());
        todo.pop_back();
        if (mark[s] == q + 1) continue;
        mark[s] = static_cast<uint32_t>(q) + 1;
        if (is_end[s]) network.states[q].is_final = true;
        if (draft_.states[s].is_cut) network.states[q].is_cut = true;
        network.states[q].edges.insert(network.states[q].edges.end(), draft_.states[s].edges.begin(), draft_.states[s].edges.end());
        todo.insert(todo.end(), draft_.states[s].empty.begin(), draft_.states[s].empty.end());
      }
    }
    network.rules = starts_;
  }

  std::vector<uint32_t> cps_;
  const EbnfValues& values_;
  size_t at_ = 0;
  Draft draft_;
  std::map<std::string, int32_t> rule_ids_;
  std::vector<std::string> names_;
  std::vector<int32_t> starts_, ends_;
  int32_t first_rule_ = -1;
};

}  // namespace

int32_t EbnfGrammar::rule(std::string_view name) const {
  const auto found = std::find(rule_names.begin(), rule_names.end(), name);
  return found == rule_names.end() ? -1 : static_cast<int32_t>(found - rule_names.begin());
}

Result<EbnfGrammar> parse_ebnf(std::string_view text, const EbnfValues& values, const Network::TokenLengths& tokens) {
  if (!is_valid_utf8(text)) return Error{Code::kInvalidArgument, "grammar: expected UTF-8"};
  if (text.size() > kMaxBytes) return Error{Code::kUnsupported, "grammar: larger than 256 KiB"};
  return Parser(text, values).parse(tokens);
}

}  // namespace hanlin::grammar
