#include "text/normalizer.h"

#include "text/utf8.h"

namespace hanlin {
namespace {

// Calls fn(code point) for each character.
template <typename Fn>
void for_each_char(std::string_view text, const Fn& fn) {
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint cp = decode_utf8(text, pos);
    pos += cp.n_bytes;
    fn(cp.value);
  }
}

// The blocks BERT's reference tokeniser surrounds with spaces.
bool is_bert_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_bert_control(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const Category g = category(c);
  return g == Category::kCc || g == Category::kCf || g == Category::kCo || g == Category::kCs;
}

std::string remove_marks(std::string_view text, bool only_nonspacing) {
  std::string out;
  out.reserve(text.size());
  for_each_char(text, [&](char32_t c) {
    if (only_nonspacing ? category(c) != Category::kMn : !is_mark(c)) append_utf8(out, c);
  });
  return out;
}

std::string apply_step(const BertStep& step, std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for_each_char(text, [&](char32_t c) {
    if (step.clean) {
      if (c == 0 || c == kReplacementChar || is_bert_control(c)) return;
      if (is_space(c)) c = ' ';
    }
    if (step.chinese && is_bert_chinese(c)) {
      out.push_back(' ');
      append_utf8(out, c);
      out.push_back(' ');
    } else {
      append_utf8(out, c);
    }
  });
  if (step.strip_accents) out = remove_marks(normalize(out, NormalForm::kNfd), true);
  if (step.lower) out = to_lower(out);
  return out;
}

std::string apply_step(const FormStep& step, std::string_view text) {
  return is_valid_utf8(text) ? normalize(text, step.form) : std::string(text);
}
std::string apply_step(const LowerStep&, std::string_view text) { return to_lower(text); }
std::string apply_step(const StripAccentsStep&, std::string_view text) { return remove_marks(text, false); }

std::string apply_step(const ReplaceStep& step, std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const PatternMatch match = step.pattern.match(text, pos);
    out.append(match.matched ? std::string_view(step.content) : text.substr(pos, match.n_bytes));
    pos += match.n_bytes;
  }
  return out;
}

std::string apply_step(const PrependStep& step, std::string_view text) {
  std::string out;
  if (!text.empty()) out.append(step.text).append(text);
  return out;
}

std::string apply_step(const TrimStep& step, std::string_view text) {
  size_t begin = text.size(), end = 0;  // the stretch from the first to the last character that is no white space
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint cp = decode_utf8(text, pos);
    if (step.only_spaces ? cp.value != ' ' : !is_space(cp.value)) {
      begin = std::min(begin, pos);
      end = pos + cp.n_bytes;
    }
    pos += cp.n_bytes;
  }
  if (!step.left) begin = 0;
  if (!step.right) end = text.size();
  return begin < end ? std::string(text.substr(begin, end - begin)) : std::string();
}

std::string apply_step(const CharsMap& map, std::string_view text) { return map.apply(text); }

}  // namespace

std::string Normalizer::apply(std::string_view text) const {
  std::string out(text);
  for (const NormalizeStep& step : steps_) {
    out = std::visit([&out](const auto& s) { return apply_step(s, out); }, step);
  }
  return out;
}

}  // namespace hanlin
