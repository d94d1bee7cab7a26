#include "grammar/token_trie.h"

#include <algorithm>
#include <array>
#include <functional>
#include <type_traits>

#include "grammar/char_decoder.h"

namespace hanlin::grammar {

namespace {

template <typename Unit>
uint32_t as_unit(Unit unit) {
  return static_cast<uint32_t>(static_cast<std::make_unsigned_t<std::conditional_t<std::is_same_v<Unit, char32_t>, uint32_t, Unit>>>(unit));
}

// The characters of a token that is content of a JSON string as it stands; nothing for others.
std::u32string plain_characters(std::string_view bytes) {
  std::u32string out;
  CharState state = 0;
  for (const char c : bytes) {
    if (c == '\\') return {};
    const CharStep s = step_char(state, static_cast<uint8_t>(c), true);
    if (s.kind == CharStep::Kind::kDead) return {};
    state = s.kind == CharStep::Kind::kPartial ? s.value : 0;
    if (s.kind == CharStep::Kind::kCodePoint) out += static_cast<char32_t>(s.value);
  }
  return state == 0 ? out : std::u32string();
}

}  // namespace

template <typename Text>
void TokenTrie::build(std::vector<std::pair<Text, int32_t>> tokens, int64_t vocab_size) {
  std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.first != b.first ? a.first < b.first : a.second < b.second; });
  same_.assign(static_cast<size_t>(vocab_size), -1);
  roots_.fill(-1);
  std::vector<int32_t> path;  // nodes on the way to the last token
  Text last;
  for (const auto& [bytes, id] : tokens) {
    if (bytes.empty() || bytes.size() > 255) continue;
    size_t common = 0;
    while (common < last.size() && common < bytes.size() && last[common] == bytes[common]) ++common;
    while (path.size() > common) {
      nodes_[static_cast<size_t>(path.back())].after = static_cast<int32_t>(nodes_.size());
      path.pop_back();
    }
    for (size_t i = common; i < bytes.size(); ++i) {
      path.push_back(static_cast<int32_t>(nodes_.size()));
      const uint32_t unit = as_unit(bytes[i]);
      if (i == 0 && unit < 256) roots_[unit] = static_cast<int32_t>(nodes_.size());
      nodes_.push_back({unit, static_cast<uint32_t>(i) & 255, -1, 0});
    }
    int32_t& first = nodes_[static_cast<size_t>(path.back())].token;
    same_[static_cast<size_t>(id)] = first;
    first = id;
    max_depth_ = std::max(max_depth_, static_cast<int32_t>(bytes.size()));
    last = bytes;
  }
  for (int32_t node : path) nodes_[static_cast<size_t>(node)].after = static_cast<int32_t>(nodes_.size());
}

TokenVocabulary::TokenVocabulary(const Tokenizer& tokenizer, int64_t vocab_size) : size_(vocab_size) {
  const auto n = static_cast<int32_t>(std::min<int64_t>(vocab_size, tokenizer.vocab_size()));
  bytes_.resize(static_cast<size_t>(n));
  is_text_.assign(static_cast<size_t>(n), 0);
  for (int32_t id : tokenizer.end_of_generation()) {
    if (id < vocab_size) ends_.push_back(id);
  }
  std::vector<std::pair<std::string_view, int32_t>> all, quotes, odd;
  std::vector<std::pair<std::u32string, int32_t>> plain;
  content_.assign(mask_words(vocab_size), 0);
  std::array<bool, 256> single{};
  for (int32_t id = 0; id < n; ++id) {
    std::string& bytes = bytes_[static_cast<size_t>(id)] = std::string(tokenizer.token_bytes(id));
    if (bytes.empty() || ends(id)) continue;
    if (tokenizer.is_special(id)) {
      controls_.push_back(id);
      continue;
    }
    is_text_[static_cast<size_t>(id)] = 1;
    all.push_back({bytes, id});
    if (bytes.size() == 1) single[static_cast<uint8_t>(bytes[0])] = true;
    if (bytes.find('"') != std::string::npos) quotes.push_back({bytes, id});
    if (std::u32string characters = plain_characters(bytes); characters.empty()) {
      odd.push_back({bytes, id});
    } else {
      plain.push_back({std::move(characters), id});
    }
    CharState state = 0;
    bool is_content = true;
    int32_t n_chars = 0;
    for (char c : bytes) {
      const CharStep s = step_char(state, static_cast<uint8_t>(c), true);
      is_content = is_content && s.kind != CharStep::Kind::kDead;
      state = s.kind == CharStep::Kind::kPartial ? s.value : 0;
      n_chars += s.kind == CharStep::Kind::kCodePoint;
    }
    if (!is_content) continue;
    set_bit(content_, id);
    content_lengths_.push_back({n_chars + (state != 0), id});
  }
  std::sort(content_lengths_.begin(), content_lengths_.end(), std::greater<>());
  for (int b = 0x20; b < 0x7F; ++b) spells_ascii_ = spells_ascii_ && single[static_cast<size_t>(b)];
  for (int b = 0x80; b < 0xC0; ++b) completes_characters_ = completes_characters_ && single[static_cast<size_t>(b)];
  trie_.build(std::move(all), vocab_size);
  quote_trie_.build(std::move(quotes), vocab_size);
  plain_trie_.build(std::move(plain), vocab_size);
  odd_trie_.build(std::move(odd), vocab_size);
}

TokenBits TokenVocabulary::content_up_to(int64_t n) const {
  TokenBits bits = content_;
  for (const auto& [n_chars, id] : content_lengths_) {
    if (n_chars <= n) break;
    bits[static_cast<size_t>(id) / 32] &= ~(1u << (id % 32));
  }
  return bits;
}

std::vector<size_t> TokenVocabulary::token_lengths(std::string_view text, std::span<const int32_t> markers) const {
  std::vector<size_t> lengths;
  for (const int32_t id : markers) {
    if (text.starts_with(bytes(id))) lengths.push_back(bytes(id).size());
  }
  if (text.empty()) return lengths;
  const auto& nodes = trie_.nodes();
  int32_t root = trie_.root_child(static_cast<uint8_t>(text[0]));
  if (root < 0) return lengths;
  size_t n_read = 0;
  for (auto i = static_cast<size_t>(root), end = static_cast<size_t>(nodes[i].after); i < end && n_read < text.size();) {
    if (nodes[i].depth != n_read || nodes[i].unit != static_cast<uint8_t>(text[n_read])) {
      i = static_cast<size_t>(nodes[i].after);
      continue;
    }
    ++n_read;
    if (nodes[i].token >= 0) lengths.push_back(n_read);
    end = static_cast<size_t>(nodes[i].after);
    ++i;
  }
  return lengths;
}

bool TokenVocabulary::ends(int32_t id) const { return std::binary_search(ends_.begin(), ends_.end(), id); }

std::optional<std::vector<int32_t>> literal_costs(const TokenVocabulary& vocabulary, const Dfa& dfa) {
  const size_t n = dfa.states.size();
  for (size_t q = 0; q < n; ++q) {
    for (const Dfa::Edge& e : dfa.edges_of(static_cast<int32_t>(q))) {
      if (e.lo != e.hi || e.to <= static_cast<int32_t>(q)) return std::nullopt;
    }
  }
  const auto& nodes = vocabulary.trie().nodes();
  std::vector<int32_t> costs = costs_to_accept(dfa, -1, cheapest_json_bytes);
  struct Place {
    int32_t q;
    CharState chars;
  };
  std::vector<Place> places(static_cast<size_t>(vocabulary.trie().max_depth()) + 2);
  for (size_t q = n; q-- > 0;) {
    for (const Dfa::Edge& e : dfa.edges_of(static_cast<int32_t>(q))) {
      costs[q] = std::min(costs[q], cheapest_json_bytes(e.lo, e.hi) + costs[static_cast<size_t>(e.to)]);
      std::string first;
      append_code_point(first, e.lo);
      const int32_t root = vocabulary.trie().root_child(static_cast<uint8_t>(first[0]));
      if (root < 0) continue;
      places[0] = {static_cast<int32_t>(q), 0};
      for (size_t i = static_cast<size_t>(root), end = static_cast<size_t>(nodes[i].after); i < end;) {
        const TokenTrie::Node& node = nodes[i];
        const Place here = places[node.depth];
        Place next{-1, 0};
        const CharStep s = step_char(here.chars, static_cast<uint8_t>(node.unit), true);
        if (s.kind == CharStep::Kind::kPartial) next = {here.q, s.value};
        if (s.kind == CharStep::Kind::kCodePoint) next.q = dfa.step(here.q, s.value);
        if (next.q < 0) {
          i = static_cast<size_t>(node.after);
          continue;
        }
        places[node.depth + 1u] = next;
        if (node.token >= 0 && next.chars == 0) costs[q] = std::min(costs[q], 1 + costs[static_cast<size_t>(next.q)]);
        ++i;
      }
    }
  }
  return costs;
}

}  // namespace hanlin::grammar
