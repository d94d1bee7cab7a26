#include "agent/tools/search_corpus.h"

#include <fmt/format.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/json.h"

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxBytes = size_t{256} << 20, kPassageBytes = 1500, kExcerptBytes = 400;
// Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), the usual values.
constexpr double kK1 = 1.2, kB = 0.75;

bool is_ideograph(UChar32 c) { return u_hasBinaryProperty(c, UCHAR_IDEOGRAPHIC); }

void append(std::string* text, UChar32 c) {
  char bytes[U8_MAX_LENGTH];
  int32_t n = 0;
  U8_APPEND_UNSAFE(bytes, n, c);
  text->append(bytes, static_cast<size_t>(n));
}

// English plurals as their singular, roughly and always the same way: Harman, "How effective is suffixing?" (1991).
void drop_plural(std::string* word) {
  const auto ends = [&](std::string_view end) { return word->ends_with(end); };
  if (word->size() < 3) return;
  if (ends("ies") && !ends("eies") && !ends("aies")) word->replace(word->size() - 3, 3, "y");
  else if (ends("es") && !ends("aes") && !ends("ees") && !ends("oes")) word->pop_back();
  else if (ends("s") && !ends("us") && !ends("ss")) word->pop_back();
}

struct Term {
  std::string text;
  size_t at;  // where it begins
};

std::vector<Term> terms_of(std::string_view text) {
  std::vector<Term> terms;
  Term word{"", 0}, before{"", 0};  // before: the ideograph just passed
  bool paired = false;              // it is part of a pair already
  const auto end_word = [&] {
    if (word.text.empty()) return;
    drop_plural(&word.text);
    terms.push_back(word);
    word.text.clear();
  };
  const auto end_run = [&] {
    if (!before.text.empty() && !paired) terms.push_back(before);
    before.text.clear(), paired = false;
  };
  const int32_t size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    const int32_t at = i;
    UChar32 c = 0;
    U8_NEXT(text.data(), i, size, c);
    if (c >= 0 && is_ideograph(c)) {
      end_word();
      Term now{"", static_cast<size_t>(at)};
      append(&now.text, c);
      if (!before.text.empty()) terms.push_back({before.text + now.text, before.at}), paired = true;
      else paired = false;
      before = now;
      continue;
    }
    end_run();
    if (c >= 0 && u_isalnum(c)) {
      if (word.text.empty()) word.at = static_cast<size_t>(at);
      append(&word.text, u_foldCase(c, U_FOLD_CASE_DEFAULT));
    } else if (c < 0 || (u_charType(c) != U_NON_SPACING_MARK && u_charType(c) != U_COMBINING_SPACING_MARK)) {
      end_word();
    }
  }
  end_word();
  end_run();
  return terms;
}

size_t code_point_start(std::string_view text, size_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return at;
}

// Where passages of about kPassageBytes end: at an empty line, else at a line's or sentence's end, else anywhere.
std::vector<std::pair<size_t, size_t>> passages_of(std::string_view text) {
  std::vector<std::pair<size_t, size_t>> found;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.size();
    if (end - begin > kPassageBytes + kPassageBytes / 2) {
      end = code_point_start(text, begin + kPassageBytes);
      for (const std::string_view border : {"\n\n", "\n", "。", ". "}) {
        const size_t at = text.rfind(border, end);
        if (at == std::string_view::npos || at + border.size() <= begin + kPassageBytes / 2) continue;
        end = at + border.size();
        break;
      }
    }
    found.emplace_back(begin, end);
    begin = end;
  }
  return found;
}

std::string title_of(std::string_view text, const std::string& fallback) {
  const std::string_view line = text.substr(0, text.find('\n'));
  if (!line.starts_with("# ")) return fallback;
  std::string title(line.substr(2));
  while (title.ends_with('\r') || title.ends_with(' ')) title.pop_back();
  return title.empty() ? fallback : title;
}

Result<std::string> read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  if (!in.is_open() || in.bad()) return Error{Code::kIo, fmt::format("{}: cannot be read", path.string())};
  return text;
}

}  // namespace

std::vector<std::string> search_terms(std::string_view text) {
  std::vector<std::string> found;
  for (Term& term : terms_of(text)) found.push_back(std::move(term.text));
  return found;
}

std::string best_excerpt(std::string_view text, const std::vector<std::string>& wanted, size_t max_bytes) {
  const std::set<std::string> set(wanted.begin(), wanted.end());
  std::vector<size_t> places;
  for (const Term& term : terms_of(text)) {
    if (set.contains(term.text)) places.push_back(term.at);
  }
  // The window that begins at a hit and holds most of them, moved a little to the left.
  size_t begin = 0, most = 0;
  for (size_t i = 0, k = 0; i < places.size(); ++i) {
    while (k < places.size() && places[k] < places[i] + max_bytes * 3 / 4) ++k;
    if (k - i > most) most = k - i, begin = places[i];
  }
  begin = begin + max_bytes / 4 >= text.size() && text.size() > max_bytes ? text.size() - max_bytes : begin > max_bytes / 4 ? begin - max_bytes / 4 : 0;
  if (text.size() <= max_bytes) begin = 0;
  begin = code_point_start(text, begin);
  if (begin > 0) {  // at a word's beginning, if one is near
    const size_t space = text.find_first_of(" \n", begin);
    if (space != std::string_view::npos && space < begin + 30) begin = space + 1;
  }
  const size_t end = code_point_start(text, std::min(text.size(), begin + max_bytes));
  std::string excerpt = begin > 0 ? "…" : "";
  bool space = false;
  for (const char c : text.substr(begin, end - begin)) {
    const bool is_space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
    if (!is_space && space && !excerpt.empty()) excerpt += ' ';
    if (!is_space) excerpt += c;
    space = is_space;
  }
  return end < text.size() ? excerpt + "…" : excerpt;
}

void SearchCorpus::add(Document document) {
  const auto document_idx = static_cast<uint32_t>(documents_.size());
  n_bytes_ += document.text.size();
  const std::vector<std::string> title_terms = search_terms(document.title);
  for (const auto& [begin, end] : passages_of(document.text)) {
    Passage passage{document_idx, begin, end};
    std::unordered_map<std::string, uint32_t> counts;
    // The title counts in every passage of its document.
    for (const std::string& term : title_terms) ++counts[term], ++passage.n_terms;
    for (std::string& term : search_terms(std::string_view(document.text).substr(begin, end - begin))) ++counts[std::move(term)], ++passage.n_terms;
    const auto passage_idx = static_cast<uint32_t>(passages_.size());
    for (const auto& [term, count] : counts) index_[term].push_back({passage_idx, count});
    mean_terms_ += passage.n_terms;
    passages_.push_back(passage);
  }
  documents_.push_back(std::move(document));
}

Status SearchCorpus::check_size(const std::string& path) const {
  if (n_bytes_ <= kMaxBytes) return {};
  return Error{Code::kResourceExhausted, fmt::format("{}: expected at most {} bytes of text", path, kMaxBytes)};
}

Status SearchCorpus::add_folder(const std::string& path) {
  std::vector<fs::path> files;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(path, fs::directory_options::skip_permission_denied, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string extension = it->path().extension().string();
    std::error_code ignored;
    if ((extension == ".txt" || extension == ".md") && it->is_regular_file(ignored)) files.push_back(it->path());
  }
  if (ec) return Error{Code::kIo, fmt::format("{}: {}", path, ec.message())};
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    HANLIN_ASSIGN(std::string text, read_text(file));
    std::string title = title_of(text, file.stem().string());
    add({std::move(title), file.lexically_relative(path).generic_string(), std::move(text)});
    HANLIN_TRY(check_size(path));
  }
  return {};
}

Status SearchCorpus::add_lines(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{Code::kIo, fmt::format("{}: cannot be read", path)};
  size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    auto parsed = parse_json(line);
    if (!parsed.ok()) return std::move(parsed).error().with_context(fmt::format("{}:{}", path, number));
    const auto text_at = [&](const char* key) { return parsed->is_object() && parsed->contains(key) && (*parsed)[key].is_string() ? (*parsed)[key].get<std::string>() : ""; };
    Document document{text_at("title"), text_at("url"), text_at("text")};
    if (document.text.empty()) return Error{Code::kCorrupt, fmt::format("{}:{}: expected an object with a \"text\"", path, number)};
    if (document.url.empty()) document.url = fmt::format("{}:{}", fs::path(path).filename().string(), number);
    if (document.title.empty()) document.title = document.url;
    add(std::move(document));
    HANLIN_TRY(check_size(path));
  }
  return {};
}

Result<std::shared_ptr<const SearchCorpus>> SearchCorpus::load(const std::string& path) {
  auto corpus = std::make_shared<SearchCorpus>();
  std::error_code ec;
  const fs::file_status status = fs::status(path, ec);
  if (!fs::exists(status)) return Error{Code::kNotFound, fmt::format("corpus {}: there is no such folder or file", path)};
  Status added = fs::is_directory(status) ? corpus->add_folder(path) : corpus->add_lines(path);
  if (!added.ok()) return std::move(added).error().with_context("corpus");
  if (corpus->passages_.empty()) return Error{Code::kInvalidArgument, fmt::format("corpus {}: expected .txt or .md files, or JSON Lines with \"text\"; found none", path)};
  corpus->mean_terms_ /= static_cast<double>(corpus->passages_.size());
  return std::shared_ptr<const SearchCorpus>(std::move(corpus));
}

std::vector<SearchHit> SearchCorpus::search(std::string_view query, size_t n) const {
  const std::vector<std::string> terms = search_terms(query);
  std::unordered_map<uint32_t, double> scores;
  const auto n_passages = static_cast<double>(passages_.size());
  for (const std::string& term : std::set<std::string>(terms.begin(), terms.end())) {
    const auto found = index_.find(term);
    if (found == index_.end()) continue;
    const auto n_with = static_cast<double>(found->second.size());
    const double weight = std::log(1 + (n_passages - n_with + 0.5) / (n_with + 0.5));
    for (const Posting& posting : found->second) {
      const double count = posting.count, length = passages_[posting.passage_idx].n_terms / mean_terms_;
      scores[posting.passage_idx] += weight * count * (kK1 + 1) / (count + kK1 * (1 - kB + kB * length));
    }
  }
  std::vector<std::pair<double, uint32_t>> ranked;
  for (const auto& [passage_idx, score] : scores) ranked.emplace_back(-score, passage_idx);
  std::sort(ranked.begin(), ranked.end());  // equal scores: in the order of the texts
  std::vector<SearchHit> hits;
  std::set<uint32_t> seen;
  for (const auto& [score, passage_idx] : ranked) {
    if (hits.size() == n) break;
    const Passage& passage = passages_[passage_idx];
    if (!seen.insert(passage.document_idx).second) continue;
    const Document& document = documents_[passage.document_idx];
    const std::string_view text = std::string_view(document.text).substr(passage.begin, passage.end - passage.begin);
    hits.push_back({document.title, document.url, best_excerpt(text, terms, kExcerptBytes)});
  }
  return hits;
}

}  // namespace hanlin::agent
