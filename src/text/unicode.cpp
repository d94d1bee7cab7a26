#include "text/unicode.h"

#include <algorithm>
#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

#include "text/utf8.h"

namespace hanlin {
namespace {

#include "text/unicode_tables.inc"

constexpr uint32_t kMaxCodePoint = 0x110000;
constexpr uint8_t kNfcBit = 0x40, kWhiteSpaceBit = 0x80;

// Hangul syllables are composed by arithmetic (The Unicode Standard, section 3.12).
constexpr char32_t kSBase = 0xAC00, kLBase = 0x1100, kVBase = 0x1161, kTBase = 0x11A7;
constexpr uint32_t kLCount = 19, kVCount = 21, kTCount = 28, kNCount = kVCount * kTCount, kSCount = kLCount * kNCount;

// White_Space of the Unicode Character Database (PropList).
bool white_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

template <size_t N, typename Fn>
void for_each_run(const uint32_t (&runs)[N], const Fn& fn) {
  uint32_t first = 0;
  for (size_t i = 0; i < N; i += 2) {
    first += runs[i];
    const uint32_t last = i + 2 < N ? first + runs[i + 2] : kMaxCodePoint;
    fn(first, last, runs[i + 1]);
  }
}

// Calls fn(code point, offset into kDecomposedText, length, is compatibility mapping, composes again) for each mapping.
template <typename Fn>
void for_each_decomposition(const Fn& fn) {
  uint32_t offset = 0;
  char32_t from = 0;
  for (size_t i = 0; i < std::size(kDecompositions); i += 2) {
    from += kDecompositions[i];
    const uint32_t packed = kDecompositions[i + 1];
    fn(from, offset, packed >> 2, (packed & 1) != 0, (packed & 2) != 0);
    offset += packed >> 2;
  }
}

const uint8_t* build_char_info() {
  static std::array<uint8_t, kMaxCodePoint> info;
  for_each_run(kCategoryRuns, [](uint32_t first, uint32_t last, uint32_t value) {
    std::fill(info.begin() + first, info.begin() + last, static_cast<uint8_t>(value));
  });
  for (char32_t c = 0; c <= 0x3000; ++c) {
    if (white_space(c)) info[c] |= kWhiteSpaceBit;
  }
  // A text without these is in NFC: marks, second halves of pairs, and what decomposes without composing again.
  const auto mark = [](char32_t first, char32_t last) {
    for (char32_t c = first; c < last; ++c) info[c] |= kNfcBit;
  };
  for_each_run(kCombiningClassRuns, [&mark](uint32_t first, uint32_t last, uint32_t value) {
    if (value != 0) mark(first, last);
  });
  for_each_decomposition([](char32_t from, uint32_t offset, uint32_t, bool compatibility, bool composes) {
    if (composes) info[kDecomposedText[offset + 1]] |= kNfcBit;
    if (!compatibility && !composes) info[from] |= kNfcBit;
  });
  mark(kVBase, kVBase + kVCount);
  mark(kTBase, kTBase + kTCount);
  return info.data();
}

struct Decomposition {
  char32_t from;
  uint32_t offset;  // into kDecomposedText
  uint8_t n;
  bool compatibility;
};

class NormalizationData {
 public:
  NormalizationData() {
    for_each_decomposition([this](char32_t from, uint32_t offset, uint32_t n, bool compatibility, bool composes) {
      entries_.push_back({from, offset, static_cast<uint8_t>(n), compatibility});
      if (composes) compositions_[pair_key(kDecomposedText[offset], kDecomposedText[offset + 1])] = from;
    });
    for_each_run(kCombiningClassRuns, [this](uint32_t first, uint32_t last, uint32_t value) {
      if (value != 0) class_runs_.push_back({first, last, static_cast<uint8_t>(value)});
    });
  }

  uint8_t combining_class(char32_t c) const {
    if (c < 0x300) return 0;
    auto it = std::upper_bound(class_runs_.begin(), class_runs_.end(), c,
                               [](char32_t value, const ClassRun& run) { return value < run.first; });
    if (it == class_runs_.begin()) return 0;
    --it;
    return c < it->last ? it->value : 0;
  }

  // Appends the full decomposition of `c`. Mappings refer to earlier results at most a few levels deep.
  void decompose(char32_t c, bool compatibility, std::u32string& out) const {
    if (c < 0xA0) {
      out.push_back(c);
      return;
    }
    if (c >= kSBase && c < kSBase + kSCount) {
      const uint32_t index = c - kSBase;
      out.push_back(kLBase + index / kNCount);
      out.push_back(kVBase + (index % kNCount) / kTCount);
      if (index % kTCount != 0) out.push_back(kTBase + index % kTCount);
      return;
    }
    const auto it = std::lower_bound(entries_.begin(), entries_.end(), c,
                                     [](const Decomposition& entry, char32_t value) { return entry.from < value; });
    if (it == entries_.end() || it->from != c || (it->compatibility && !compatibility)) {
      out.push_back(c);
      return;
    }
    for (uint32_t i = 0; i < it->n; ++i) decompose(kDecomposedText[it->offset + i], compatibility, out);
  }

  // The primary composite of the pair, or 0.
  char32_t compose(char32_t first, char32_t second) const {
    if (first >= kLBase && first < kLBase + kLCount && second >= kVBase && second < kVBase + kVCount) {
      return kSBase + ((first - kLBase) * kVCount + (second - kVBase)) * kTCount;
    }
    if (first >= kSBase && first < kSBase + kSCount && (first - kSBase) % kTCount == 0 && second > kTBase &&
        second < kTBase + kTCount) {
      return first + (second - kTBase);
    }
    const auto it = compositions_.find(pair_key(first, second));
    return it == compositions_.end() ? 0 : it->second;
  }

 private:
  struct ClassRun {
    char32_t first, last;
    uint8_t value;
  };
  static uint64_t pair_key(char32_t first, char32_t second) { return (uint64_t{first} << 32) | second; }

  std::vector<Decomposition> entries_;  // ascending `from`
  std::vector<ClassRun> class_runs_;
  std::unordered_map<uint64_t, char32_t> compositions_;
};

const NormalizationData& normalization_data() {
  static const NormalizationData data;
  return data;
}

// Canonical ordering: marks between two starters are sorted by class, stably.
void order_marks(const NormalizationData& data, std::u32string& text) {
  std::vector<std::pair<uint64_t, char32_t>> marks;  // class, then position
  for (size_t i = 0; i < text.size();) {
    if (data.combining_class(text[i]) == 0) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < text.size() && data.combining_class(text[end]) != 0) ++end;
    marks.clear();
    for (size_t j = i; j < end; ++j) marks.emplace_back((uint64_t{data.combining_class(text[j])} << 56) | j, text[j]);
    std::sort(marks.begin(), marks.end());
    for (size_t j = i; j < end; ++j) text[j] = marks[j - i].second;
    i = end;
  }
}

void compose_in_place(const NormalizationData& data, std::u32string& text) {
  size_t out = 0, starter = SIZE_MAX;
  int last_class = -1;  // class of the last character kept after the starter
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    const int c_class = data.combining_class(c);
    if (starter != SIZE_MAX && (last_class < c_class || last_class == -1)) {
      if (const char32_t composite = data.compose(text[starter], c)) {
        text[starter] = composite;
        continue;
      }
    }
    if (c_class == 0) {
      starter = out;
      last_class = -1;
    } else {
      last_class = c_class;
    }
    text[out++] = c;
  }
  text.resize(out);
}

// True if a look at each character by itself shows that the text is in the normal form already.
bool is_normalized_quickly(std::string_view text, NormalForm form) {
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint cp = decode_utf8(text, pos);
    if (cp.value >= 0x80 && (form != NormalForm::kNfc || !cp.valid || (kCharInfo[cp.value] & kNfcBit) != 0)) return false;
    pos += cp.n_bytes;
  }
  return true;
}

}  // namespace

const uint8_t* const kCharInfo = build_char_info();

bool is_word_char(char32_t c) {
  const bool other_alphabetic = (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
                                (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);  // circled letters
  return is_letter(c) || is_mark(c) || category(c) == Category::kNd || category(c) == Category::kNl ||
         category(c) == Category::kPc || c == 0x200C || c == 0x200D || other_alphabetic;
}

char32_t simple_lower(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  // Each span is (first code point, count, step, difference).
  size_t low = 0, high = std::size(kLowerSpans) / 4;  // last span whose first <= c
  while (low + 1 < high) {
    const size_t middle = (low + high) / 2;
    (static_cast<char32_t>(kLowerSpans[middle * 4]) <= c ? low : high) = middle;
  }
  const int32_t* span = kLowerSpans + low * 4;
  const int64_t offset = int64_t{c} - span[0];
  const bool mapped = offset >= 0 && offset % span[2] == 0 && offset / span[2] < span[1];
  return mapped ? static_cast<char32_t>(int64_t{c} + span[3]) : c;
}

std::string to_lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint cp = decode_utf8(text, pos);
    pos += cp.n_bytes;
    if (cp.value == 0x130) {
      out += "i\xCC\x87";
    } else {
      append_utf8(out, simple_lower(cp.value));
    }
  }
  return out;
}

std::string normalize(std::string_view text, NormalForm form) {
  if (is_normalized_quickly(text, form)) return std::string(text);
  const NormalizationData& data = normalization_data();
  const bool compatibility = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  std::u32string decomposed;
  decomposed.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint cp = decode_utf8(text, pos);
    pos += cp.n_bytes;
    data.decompose(cp.value, compatibility, decomposed);
  }
  order_marks(data, decomposed);
  if (form == NormalForm::kNfc || form == NormalForm::kNfkc) compose_in_place(data, decomposed);
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : decomposed) append_utf8(out, c);
  return out;
}

}  // namespace hanlin
