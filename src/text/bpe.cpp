#include "text/bpe.h"

#include <array>
#include <atomic>
#include <bit>

#include "text/bpe_merge.h"
#include "text/pretokenizer.h"
#include "text/utf8.h"

namespace hanlin {
namespace {

// Positions inside a piece are 32-bit; longer pieces are cut.
constexpr size_t kMaxPieceBytes = size_t{1} << 30;

// (left, right) -> merge, open addressing.
class MergeTable {
 public:
  explicit MergeTable(const std::vector<Merge>& merges) {
    size_t n_slots = 16;
    while (n_slots < merges.size() * 2) n_slots *= 2;
    slots_.resize(n_slots);
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const uint64_t key = key_of(merges[rank].left, merges[rank].right);
      size_t slot = slot_of(key);
      while (slots_[slot].key != kEmpty && slots_[slot].key != key) slot = (slot + 1) & (slots_.size() - 1);
      if (slots_[slot].key == kEmpty) slots_[slot] = {key, {static_cast<uint32_t>(rank), merges[rank].result}};
    }
  }

  MergeResult find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t slot = slot_of(key);; slot = (slot + 1) & (slots_.size() - 1)) {
      if (slots_[slot].key == key) return slots_[slot].result;
      if (slots_[slot].key == kEmpty) return {};
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  struct Slot {
    uint64_t key = kEmpty;
    MergeResult result;
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const {
    key *= 0x9E3779B97F4A7C15ull;
    return (key ^ (key >> 32)) & (slots_.size() - 1);
  }
  std::vector<Slot> slots_;
};

// What both families share; Finder says which neighbours join.
template <typename Finder>
class Bpe : public SubwordModel {
 public:
  Bpe(std::shared_ptr<const Vocabulary> vocabulary, BpeOptions options, Finder finder)
      : vocabulary_(std::move(vocabulary)),
        options_(std::move(options)),
        finder_(std::move(finder)),
        whole_(std::make_unique<std::atomic<uint8_t>[]>(static_cast<size_t>(vocabulary_->size()))) {
    if (options_.byte_level) {
      for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        byte_ids_[static_cast<size_t>(byte)] = vocabulary_->find_bytes({&c, 1});
      }
    } else {
      find_joins_with_space();
    }
  }

  void encode(std::string_view piece, std::vector<int32_t>& ids) const override {
    bool unknown = false;
    while (!piece.empty()) {
      const std::string_view chunk = next_chunk(piece);
      piece.remove_prefix(chunk.size());
      encode_chunk(chunk, ids, unknown);
    }
  }

 private:
  // A leading part of the piece that no merge connects with the rest: it ends where a space (U+2581) follows a character
  // that no token holds in front of a space. This keeps the heap small for models without a pre-tokeniser.
  std::string_view next_chunk(std::string_view piece) const {
    const size_t limit = std::min(piece.size(), kMaxPieceBytes);
    if (options_.byte_level) return piece.substr(0, limit);
    for (size_t pos = piece.find(kMetaspace, 1); pos < limit; pos = piece.find(kMetaspace, pos + kMetaspace.size())) {
      if (!joins_space_[static_cast<uint8_t>(piece[pos - 1])]) return piece.substr(0, pos);
    }
    return piece.substr(0, limit);
  }

  // Which last bytes of characters stand in front of a space inside some token. The last byte of U+2581 itself is among
  // them as soon as a token has two spaces; the few characters that share such a byte only make chunks longer.
  void find_joins_with_space() {
    joins_space_[static_cast<uint8_t>(kMetaspace.back())] = true;
    for (int32_t id = 0; id < vocabulary_->size(); ++id) {
      const TokenKind kind = vocabulary_->kind(id);
      if (kind != TokenKind::kNormal && kind != TokenKind::kUserDefined) continue;
      const std::string_view text = vocabulary_->text(id);
      for (size_t pos = text.find(kMetaspace, 1); pos != std::string_view::npos; pos = text.find(kMetaspace, pos + 1)) {
        joins_space_[static_cast<uint8_t>(text[pos - 1])] = true;
      }
    }
  }

  int32_t find_token(std::string_view text) const {
    if (text.size() > vocabulary_->max_bytes() * 3) return -1;  // the text form is at most three times as long
    const int32_t id = options_.byte_level ? vocabulary_->find_bytes(text) : vocabulary_->find(text);
    if (id < 0) return -1;
    const TokenKind kind = vocabulary_->kind(id);
    return kind == TokenKind::kNormal || kind == TokenKind::kUserDefined ? id : -1;
  }

  void encode_chunk(std::string_view chunk, std::vector<int32_t>& ids, bool& unknown) const {
    const int32_t whole = find_token(chunk);
    if (whole >= 0) {
      if (options_.ignore_merges || stays_whole(whole, chunk)) {
        ids.push_back(whole);
        unknown = false;
        return;
      }
    }
    merge_chunk(chunk, ids, unknown);
  }

  // Whether merging the bytes of a token gives the token. True of nearly all, but not by construction; found out on first
  // use and remembered (threads may do it twice, with the same result).
  bool stays_whole(int32_t id, std::string_view chunk) const {
    enum : uint8_t { kUnasked, kYes, kNo };
    std::atomic<uint8_t>& state = whole_[static_cast<size_t>(id)];
    uint8_t known = state.load(std::memory_order_relaxed);
    if (known == kUnasked) {
      std::vector<int32_t> ids;
      bool unknown = false;
      merge_chunk(chunk, ids, unknown);
      known = ids.size() == 1 && ids[0] == id ? kYes : kNo;
      state.store(known, std::memory_order_relaxed);
    }
    return known == kYes;
  }

  void merge_chunk(std::string_view chunk, std::vector<int32_t>& ids, bool& unknown) const {
    const auto find = [this, chunk](const MergeSymbol& left, const MergeSymbol& right) { return finder_(chunk, left, right); };
    const auto emit = [&](const MergeSymbol* symbols, size_t n) {
      for (size_t i = 0; i < n; ++i) {
        if (symbols[i].id >= 0) {
          ids.push_back(symbols[i].id);
          unknown = false;
        } else {
          const std::string_view bytes = chunk.substr(symbols[i].begin, symbols[i].n_bytes);
          options_.fallback.append(bytes, ids, unknown);
          unknown = !options_.fallback.has_all(bytes);
        }
      }
    };
    if (chunk.size() <= kMaxSmallMerge) {
      MergeSymbol symbols[kMaxSmallMerge];
      size_t n = 0;
      for_each_symbol(chunk, [&](const MergeSymbol& symbol) { symbols[n++] = symbol; });
      emit(symbols, merge_few(symbols, n, find));
    } else {
      std::vector<MergeSymbol> symbols;
      symbols.reserve(chunk.size());
      for_each_symbol(chunk, [&](const MergeSymbol& symbol) { symbols.push_back(symbol); });
      merge_many(symbols, find);
      emit(symbols.data(), symbols.size());
    }
  }

  template <typename Fn>
  void for_each_symbol(std::string_view chunk, const Fn& fn) const {
    for (uint32_t pos = 0; pos < chunk.size();) {
      if (options_.byte_level) {
        fn({pos, 1, byte_ids_[static_cast<uint8_t>(chunk[pos])]});
        ++pos;
      } else {
        const uint32_t n_bytes = decode_utf8(chunk, pos).n_bytes;
        fn({pos, n_bytes, find_token(chunk.substr(pos, n_bytes))});
        pos += n_bytes;
      }
    }
  }

  std::shared_ptr<const Vocabulary> vocabulary_;
  BpeOptions options_;
  Finder finder_;
  std::array<int32_t, 256> byte_ids_{};
  std::array<bool, 256> joins_space_{};  // by byte
  std::unique_ptr<std::atomic<uint8_t>[]> whole_;  // [vocabulary size]
};

struct RankFinder {
  MergeTable table;
  MergeResult operator()(std::string_view, const MergeSymbol& left, const MergeSymbol& right) const {
    return left.id < 0 || right.id < 0 ? MergeResult{} : table.find(left.id, right.id);
  }
};

struct ScoreFinder {
  const Vocabulary* vocabulary;
  std::vector<uint32_t> ranks;  // higher scores are lower ranks
  size_t max_text_bytes;

  MergeResult operator()(std::string_view chunk, const MergeSymbol& left, const MergeSymbol& right) const {
    const size_t n_bytes = left.n_bytes + right.n_bytes;
    if (n_bytes > max_text_bytes) return {};
    const int32_t id = vocabulary->find(chunk.substr(left.begin, n_bytes));
    if (id < 0) return {};
    const TokenKind kind = vocabulary->kind(id);
    if (kind != TokenKind::kNormal && kind != TokenKind::kUserDefined) return {};
    return {ranks[static_cast<size_t>(id)], id};
  }
};

// A number that orders like the float, the other way round.
uint32_t descending_rank(float score) {
  if (score != score) score = 0.0f;  // NaN
  if (score == 0.0f) score = 0.0f;   // -0
  const auto word = std::bit_cast<uint32_t>(score);
  const uint32_t ascending = (word & 0x80000000u) != 0 ? ~word : word | 0x80000000u;
  return ~ascending;
}

}  // namespace

std::unique_ptr<SubwordModel> make_rank_bpe(std::shared_ptr<const Vocabulary> vocabulary, const std::vector<Merge>& merges,
                                            BpeOptions options) {
  return std::make_unique<Bpe<RankFinder>>(std::move(vocabulary), std::move(options), RankFinder{MergeTable(merges)});
}

std::unique_ptr<SubwordModel> make_score_bpe(std::shared_ptr<const Vocabulary> vocabulary, std::vector<float> scores,
                                             ByteFallback fallback) {
  HANLIN_CHECK(static_cast<int32_t>(scores.size()) == vocabulary->size(), "make_score_bpe: one score for each token");
  ScoreFinder finder{vocabulary.get(), {}, 0};
  for (const float score : scores) finder.ranks.push_back(descending_rank(score));
  for (int32_t id = 0; id < vocabulary->size(); ++id) {
    finder.max_text_bytes = std::max(finder.max_text_bytes, vocabulary->text(id).size());
  }
  BpeOptions options;
  options.fallback = std::move(fallback);
  return std::make_unique<Bpe<ScoreFinder>>(std::move(vocabulary), std::move(options), std::move(finder));
}

}  // namespace hanlin
