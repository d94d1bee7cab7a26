#include "text/pretokenizer.h"

#include <algorithm>

namespace hanlin {
namespace {

using Span = PreTokenizer::Span;

// Adds the stretch [begin, end) to the pieces of one split, as `behavior` says. `previous_match` is its memory.
void place(std::vector<Span>& out, size_t n_before, Span span, bool is_match, SplitBehavior behavior, bool& previous_match) {
  const bool has_previous = out.size() > n_before;
  switch (behavior) {
    case SplitBehavior::kRemoved:
      if (!is_match) out.push_back(span);
      break;
    case SplitBehavior::kMergedWithPrevious:
      if (is_match && !previous_match && has_previous) {
        out.back().end = span.end;
      } else {
        out.push_back(span);
      }
      break;
    case SplitBehavior::kMergedWithNext:  // a match that follows a match stays alone; a stretch takes the match before it
      if (!is_match && previous_match && has_previous) {
        out.back().end = span.end;
      } else {
        out.push_back(span);
      }
      break;
    case SplitBehavior::kContiguous:
      if (is_match == previous_match && has_previous) {
        out.back().end = span.end;
      } else {
        out.push_back(span);
      }
      break;
    case SplitBehavior::kIsolated:
      out.push_back(span);
      break;
  }
  previous_match = is_match;
}

void split(const SplitStep& step, std::string_view text, const std::vector<Span>& in, std::vector<Span>& out) {
  for (const Span& piece : in) {
    const std::string_view view = text.substr(piece.begin, piece.end - piece.begin);
    const size_t n_before = out.size();
    bool previous_match = false;
    size_t gap = 0, pos = 0;
    const auto emit = [&](size_t begin, size_t end, bool matched) {
      if (begin < end) {
        place(out, n_before, {piece.begin + begin, piece.begin + end}, matched != step.invert, step.behavior, previous_match);
      }
    };
    while (pos < view.size()) {
      const PatternMatch match = step.pattern.match(view, pos);
      if (match.matched) {
        emit(gap, pos, false);
        emit(pos, pos + match.n_bytes, true);
        gap = pos + match.n_bytes;
      }
      pos += match.n_bytes;
    }
    emit(gap, view.size(), false);
  }
}

// Copies the pieces into a new text, each changed by `change(piece, out)`.
template <typename Change>
void rewrite(std::string& text, std::vector<Span>& pieces, const Change& change) {
  std::string out;
  out.reserve(text.size() + 8);
  for (Span& piece : pieces) {
    const size_t begin = out.size();
    change(std::string_view(text).substr(piece.begin, piece.end - piece.begin), piece.begin == 0, out);
    piece = {begin, out.size()};
  }
  text = std::move(out);
}

void append_escaped(std::string& out, std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const size_t space = std::min(text.find(' ', pos), text.size());
    out.append(text.substr(pos, space - pos));
    if (space < text.size()) out.append(kMetaspace);
    pos = space + 1;
  }
}

}  // namespace

std::string escape_spaces(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  append_escaped(out, text);
  return out;
}

Status PreTokenizer::add_regex(std::string_view regex, SplitBehavior behavior, bool invert) {
  HANLIN_ASSIGN(SplitPattern pattern, SplitPattern::from_regex(regex));
  add(SplitStep{std::move(pattern), behavior, invert});
  return {};
}

void PreTokenizer::run(std::string& text, bool at_start, std::vector<Span>& pieces) const {
  pieces.clear();
  if (text.empty()) return;
  pieces.push_back({0, text.size()});
  std::vector<Span> next;
  static const SplitPattern kAtMetaspace = SplitPattern::from_literal(std::string(kMetaspace));
  static const SplitStep kMetaspaceSplit{kAtMetaspace, SplitBehavior::kMergedWithNext, false};
  for (const PreTokenizeStep& step : steps_) {
    if (const auto* splitting = std::get_if<SplitStep>(&step)) {
      next.clear();
      split(*splitting, text, pieces, next);
      pieces.swap(next);
    } else if (std::holds_alternative<SpaceStep>(step)) {
      rewrite(text, pieces, [](std::string_view piece, bool, std::string& out) {
        if (piece.front() != ' ') out.push_back(' ');
        out.append(piece);
      });
    } else {
      const auto& metaspace = std::get<MetaspaceStep>(step);
      rewrite(text, pieces, [&](std::string_view piece, bool first, std::string& out) {
        const bool wanted = metaspace.prefix == SpacePrefix::kAlways ||
                            (metaspace.prefix == SpacePrefix::kFirst && first && at_start);
        const bool there = piece.front() == ' ' || piece.substr(0, kMetaspace.size()) == kMetaspace;
        if (wanted && !there) out.append(kMetaspace);
        append_escaped(out, piece);
      });
      if (metaspace.split) {
        next.clear();
        split(kMetaspaceSplit, text, pieces, next);
        pieces.swap(next);
      }
    }
  }
}

}  // namespace hanlin
