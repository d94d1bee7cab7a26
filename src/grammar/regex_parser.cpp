#include <algorithm>
#include <string>

#include "grammar/dfa.h"
#include "grammar/regex_ast.h"
#include "text/utf8.h"

namespace hanlin::grammar {

void normalize(RangeSet& set) {
  std::sort(set.begin(), set.end());
  RangeSet out;
  for (const auto& r : set) {
    if (!out.empty() && r.first <= out.back().second + 1) {
      out.back().second = std::max(out.back().second, r.second);
    } else {
      out.push_back(r);
    }
  }
  set = std::move(out);
}

RangeSet complement(RangeSet set) {
  normalize(set);
  RangeSet out;
  uint32_t next = 0;
  for (const auto& r : set) {
    if (r.first > next) out.push_back({next, r.first - 1});
    next = r.second + 1;
  }
  if (next <= kMaxCodePoint) out.push_back({next, kMaxCodePoint});
  return out;
}

namespace {

using NodePtr = std::unique_ptr<RegexNode>;
using Kind = RegexNode::Kind;
constexpr int kMaxGroupDepth = 64, kMaxRepeat = 4096;

const RangeSet kDigits = {{'0', '9'}};
const RangeSet kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const RangeSet kSpace = {{9, 13}, {32, 32}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const RangeSet kLineEnds = {{10, 10}, {13, 13}, {0x2028, 0x2029}};

NodePtr make(Kind kind) {
  auto node = std::make_unique<RegexNode>();
  node->kind = kind;
  return node;
}

class Parser {
 public:
  explicit Parser(std::string_view pattern) : cps_(code_points(pattern)) {}

  Result<NodePtr> parse() {
    HANLIN_ASSIGN(NodePtr node, choice(0));
    if (at_ < cps_.size()) return wrong("unmatched )");
    return node;
  }

 private:
  Error wrong(const std::string& what) const {
    return Error{Code::kInvalidArgument, "regular expression: " + what + " at character " + std::to_string(at_)};
  }
  Error unsupported(const std::string& what) const {
    return Error{Code::kUnsupported, "regular expression: " + what + " cannot be enforced (character " + std::to_string(at_) + ")"};
  }
  bool has(size_t n = 0) const { return at_ + n < cps_.size(); }
  uint32_t peek(size_t n = 0) const { return has(n) ? cps_[at_ + n] : 0xFFFFFFFF; }
  bool eat(uint32_t c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  Result<NodePtr> choice(int depth) {
    if (depth > kMaxGroupDepth) return Error{Code::kUnsupported, "regular expression: groups nested deeper than " + std::to_string(kMaxGroupDepth)};
    NodePtr node = make(Kind::kChoice);
    do {
      HANLIN_ASSIGN(NodePtr branch, sequence(depth));
      node->children.push_back(std::move(branch));
    } while (eat('|'));
    if (node->children.size() == 1) return std::move(node->children[0]);
    return node;
  }

  Result<NodePtr> sequence(int depth) {
    NodePtr node = make(Kind::kSequence);
    while (has() && peek() != '|' && peek() != ')') {
      HANLIN_ASSIGN(NodePtr item, atom(depth));
      HANLIN_ASSIGN(item, quantified(std::move(item)));
      node->children.push_back(std::move(item));
    }
    return node;
  }

  Result<NodePtr> quantified(NodePtr item) {
    int min = 0, max = -1;
    if (eat('*')) {
    } else if (eat('+')) {
      min = 1;
    } else if (eat('?')) {
      max = 1;
    } else if (peek() == '{') {
      const size_t start = at_++;
      int64_t lo = number(), hi = lo;
      bool good = lo >= 0;
      if (good && eat(',')) {
        hi = peek() == '}' ? -1 : number();
        good = peek() == '}';
      }
      if (!good || !eat('}')) {  // as browsers read it: a literal brace
        at_ = start;
        return item;
      }
      if (lo > kMaxRepeat || hi > kMaxRepeat) return Error{Code::kUnsupported, "regular expression: repetition of more than " + std::to_string(kMaxRepeat)};
      if (hi >= 0 && hi < lo) return wrong("repetition bounds out of order");
      min = static_cast<int>(lo);
      max = static_cast<int>(hi);
    } else {
      return item;
    }
    eat('?');  // lazy or greedy: the same language
    if (item->kind == Kind::kLookahead) return unsupported("a repeated look-ahead");
    if (peek() == '*' || peek() == '+' || peek() == '?') return wrong("nothing to repeat");
    NodePtr node = make(Kind::kRepeat);
    node->min = min;
    node->max = max;
    node->children.push_back(std::move(item));
    return node;
  }

  int64_t number() {
    int64_t value = -1;
    while (peek() >= '0' && peek() <= '9') {
      value = std::min<int64_t>(1 << 20, std::max<int64_t>(value, 0) * 10 + (peek() - '0'));
      ++at_;
    }
    return value;
  }

  Result<NodePtr> atom(int depth) {
    const uint32_t c = cps_[at_++];
    switch (c) {
      case '^': return make(Kind::kBegin);
      case '$': return make(Kind::kEnd);
      case '.': return set_node(complement(kLineEnds));
      case '(': return group(depth);
      case '[': return char_class();
      case '*': case '+': case '?': --at_; return wrong("nothing to repeat");
      case '\\': {
        if (!has()) return wrong("\\ at the end");
        if (peek() == 'b' || peek() == 'B') return unsupported("a word boundary");
        if (peek() >= '1' && peek() <= '9') return unsupported("a back-reference");
        if (peek() == 'k') return unsupported("a back-reference");
        RangeSet set;
        bool is_single = false;
        HANLIN_TRY(escape(set, is_single));
        return set_node(std::move(set));
      }
      default: return set_node({{c, c}});
    }
  }

  NodePtr set_node(RangeSet set) const {
    NodePtr node = make(Kind::kSet);
    normalize(set);
    node->set = std::move(set);
    return node;
  }

  Result<NodePtr> group(int depth) {
    bool look = false, negative = false;
    if (eat('?')) {
      if (eat(':')) {
      } else if (peek() == '=' || peek() == '!') {
        look = true;
        negative = cps_[at_++] == '!';
      } else if (peek() == '<' && (peek(1) == '=' || peek(1) == '!')) {
        return unsupported("look-behind");
      } else if (eat('<') || (peek() == 'P' && peek(1) == '<' && (at_ += 2))) {
        while (has() && peek() != '>') ++at_;
        if (!eat('>')) return wrong("group name without >");
      } else {
        return wrong("unknown group");
      }
    }
    HANLIN_ASSIGN(NodePtr inner, choice(depth + 1));
    if (!eat(')')) return wrong("missing )");
    if (!look) return inner;
    NodePtr node = make(Kind::kLookahead);
    node->negative = negative;
    node->children.push_back(std::move(inner));
    return node;
  }

  Result<NodePtr> char_class() {
    const bool negated = eat('^');
    RangeSet set;
    for (;;) {
      if (!has()) return wrong("missing ]");
      if (eat(']')) break;
      RangeSet low;
      bool low_single = true;
      HANLIN_TRY(class_atom(low, low_single));
      if (peek() == '-' && has(1) && peek(1) != ']') {
        ++at_;
        RangeSet high;
        bool high_single = true;
        HANLIN_TRY(class_atom(high, high_single));
        if (low_single && high_single) {
          if (low[0].first > high[0].first) return wrong("range out of order");
          set.push_back({low[0].first, high[0].first});
          continue;
        }
        set.push_back({'-', '-'});  // [\w-x]: as browsers read it
        set.insert(set.end(), high.begin(), high.end());
      }
      set.insert(set.end(), low.begin(), low.end());
    }
    if (negated) return set_node(complement(std::move(set)));
    return set_node(std::move(set));
  }

  Status class_atom(RangeSet& set, bool& is_single) {
    const uint32_t c = cps_[at_++];
    if (c != '\\') {
      set = {{c, c}};
      is_single = true;
      return {};
    }
    if (!has()) return wrong("\\ at the end");
    if (eat('b')) {
      set = {{8, 8}};
      is_single = true;
      return {};
    }
    return escape(set, is_single);
  }

  // After the backslash.
  Status escape(RangeSet& set, bool& is_single) {
    const uint32_t c = cps_[at_++];
    is_single = false;
    const auto single = [&](uint32_t cp) {
      set = {{cp, cp}};
      is_single = true;
    };
    switch (c) {
      case 'd': set = kDigits; break;
      case 'D': set = complement(kDigits); break;
      case 'w': set = kWord; break;
      case 'W': set = complement(kWord); break;
      case 's': set = kSpace; break;
      case 'S': set = complement(kSpace); break;
      case 'n': single(10); break;
      case 'r': single(13); break;
      case 't': single(9); break;
      case 'f': single(12); break;
      case 'v': single(11); break;
      case '0': single(0); break;
      case 'c':
        if (!has() || peek() > 0x7F || !std::isalpha(static_cast<int>(peek()))) return wrong("\\c without a letter");
        single(cps_[at_++] & 31);
        break;
      case 'x': {
        uint32_t value = 0;
        HANLIN_TRY(hex(2, value));
        single(value);
        break;
      }
      case 'u': return unicode_escape(set, is_single);
      case 'p': case 'P': return unsupported("a Unicode property");
      default:
        if (c < 0x80 && std::isalnum(static_cast<int>(c))) return wrong(std::string("unknown escape \\") + static_cast<char>(c));
        single(c);
    }
    return {};
  }

  Status unicode_escape(RangeSet& set, bool& is_single) {
    uint32_t value = 0;
    if (eat('{')) {
      size_t n = 0;
      while (has() && peek() != '}') {
        HANLIN_TRY(hex(1, value));
        if (++n > 6 || value > kMaxCodePoint) return wrong("code point too large");
      }
      if (!eat('}') || n == 0) return wrong("\\u{ without }");
    } else {
      HANLIN_TRY(hex(4, value));
      if (value >= 0xD800 && value <= 0xDBFF && peek() == '\\' && peek(1) == 'u') {
        at_ += 2;
        uint32_t low = 0;
        HANLIN_TRY(hex(4, low));
        value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
      }
    }
    if (value > kMaxCodePoint) return wrong("code point too large");
    set = {{value, value}};
    is_single = true;
    return {};
  }

  Status hex(int n, uint32_t& value) {
    for (int i = 0; i < n; ++i) {
      const uint32_t c = peek();
      if (c > 0x7F || !std::isxdigit(static_cast<int>(c))) return wrong("expected a hexadecimal digit");
      value = value * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
      ++at_;
    }
    return {};
  }

  std::vector<uint32_t> cps_;
  size_t at_ = 0;
};

}  // namespace

Result<std::unique_ptr<RegexNode>> parse_regex(std::string_view pattern) {
  if (!is_valid_utf8(pattern)) return Error{Code::kInvalidArgument, "regular expression: expected UTF-8"};
  if (pattern.size() > 16384) return Error{Code::kUnsupported, "regular expression: longer than 16384 bytes"};
  return Parser(pattern).parse();
}

}  // namespace hanlin::grammar
