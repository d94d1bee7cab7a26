#include "agent/tools/web_search.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "agent/tools/arguments.h"
#include "agent/tools/file_tools.h"
#include "agent/tools/search_corpus.h"
#include "base/json.h"
#include "net/http_call.h"

namespace hanlin::agent {
namespace {

constexpr size_t kMaxAnswerBytes = 4 << 20, kSnippetBytes = 400;

struct KindName {
  const char* name;
  SearchKind kind;
};
constexpr KindName kKinds[] = {{"searxng", SearchKind::kSearxng}, {"serpapi", SearchKind::kSerpapi}, {"brave", SearchKind::kBrave},
                               {"json", SearchKind::kJson}, {"corpus", SearchKind::kCorpus}};

const char* name_of(SearchKind kind) {
  for (const KindName& entry : kKinds) {
    if (entry.kind == kind) return entry.name;
  }
  return "?";
}

// Services mark the words they found, and write & and quotes as HTML does.
std::string without_markup(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, char>, 7> kEntities{{{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&#39;", '\''}, {"&#x27;", '\''}, {"&nbsp;", ' '}}};
  std::string plain;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '<') {
      const size_t close = text.find('>', at);
      const std::string_view tag = close == std::string_view::npos ? "" : text.substr(at, close + 1 - at);
      if (tag == "<strong>" || tag == "</strong>" || tag == "<b>" || tag == "</b>" || tag == "<em>" || tag == "</em>" || tag == "<br>" || tag == "<br/>") {
        at = close + 1;
        continue;
      }
    }
    bool replaced = false;
    for (const auto& [entity, c] : kEntities) {
      if (!text.substr(at).starts_with(entity)) continue;
      plain += c;
      at += entity.size();
      replaced = true;
      break;
    }
    if (!replaced) plain += text[at++];
  }
  return plain;
}

// One backend: knows how to ask and where the answer has what.
class Searcher {
 public:
  virtual ~Searcher() = default;
  virtual Result<std::vector<SearchHit>> search(const std::string& query, int64_t n, const ToolContext& context) const = 0;
};

class CorpusSearcher final : public Searcher {
 public:
  explicit CorpusSearcher(std::shared_ptr<const SearchCorpus> corpus) : corpus_(std::move(corpus)) {}
  Result<std::vector<SearchHit>> search(const std::string& query, int64_t n, const ToolContext&) const override { return corpus_->search(query, static_cast<size_t>(n)); }

 private:
  const std::shared_ptr<const SearchCorpus> corpus_;
};

class HttpSearcher final : public Searcher {
 public:
  HttpSearcher(SearchBackend backend, hub::Url url) : backend_(std::move(backend)), rules_(net::rules_for_server(url)) {}

  Result<std::vector<SearchHit>> search(const std::string& query, int64_t n, const ToolContext& context) const override {
    net::HttpCall call;
    HANLIN_TRY(prepare(query, n, &call));
    HANLIN_ASSIGN(const net::HttpAnswer answer, net::http_call(call, rules_, {context.deadline, context.stop}, kMaxAnswerBytes));
    if (answer.cut) return Error{Code::kResourceExhausted, fmt::format("{}: the answer is larger than {} bytes", where(), kMaxAnswerBytes)};
    auto parsed = parse_json(answer.body);
    if (answer.status != 200) {
      std::string reason = parsed.ok() ? error_text(*parsed) : "";
      if (backend_.kind == SearchKind::kSearxng && answer.status == 403) reason = " (is json among the formats in the instance's settings?)";
      return Error{Code::kUnavailable, fmt::format("{}: HTTP {}{}", where(), answer.status, reason)};
    }
    if (!parsed.ok()) return Error{Code::kCorrupt, fmt::format("{}: the answer is no JSON", where())};
    return read(*parsed, static_cast<size_t>(n));
  }

 private:
  std::string where() const { return name_of(backend_.kind); }

  Result<std::string> key(const char* usual) const {
    const std::string name = backend_.key_env.empty() ? usual : backend_.key_env;
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') return Error{Code::kUnavailable, fmt::format("{}: the environment has no key in {}", where(), name)};
    return std::string(value);
  }

  Status prepare(const std::string& query, int64_t n, net::HttpCall* call) const {
    const std::string q = percent_encode(query);
    std::string address = backend_.url;
    while (backend_.kind != SearchKind::kJson && address.ends_with('/')) address.pop_back();
    switch (backend_.kind) {
      case SearchKind::kSearxng: address += fmt::format("/search?q={}&format=json", q); break;
      case SearchKind::kSerpapi: {
        HANLIN_ASSIGN(const std::string key, this->key("SERPAPI_API_KEY"));
        address += fmt::format("?engine=google&q={}&num={}&api_key={}", q, n, percent_encode(key));
        break;
      }
      case SearchKind::kBrave: {
        HANLIN_ASSIGN(const std::string key, this->key("BRAVE_API_KEY"));
        address += fmt::format("?q={}&count={}", q, n);
        call->headers.emplace_back("X-Subscription-Token", key);
        break;
      }
      default:
        replace(&address, "{query}", q);
        replace(&address, "{n}", std::to_string(n));
        if (!backend_.key_env.empty()) {
          HANLIN_ASSIGN(const std::string key, this->key(""));
          call->headers.emplace_back("Authorization", "Bearer " + key);
        }
    }
    call->headers.emplace_back("Accept", "application/json");
    HANLIN_ASSIGN(call->url, hub::parse_url(address));
    return {};
  }
  static void replace(std::string* text, std::string_view mark, const std::string& value) {
    for (size_t at = text->find(mark); at != std::string::npos; at = text->find(mark, at + value.size())) text->replace(at, mark.size(), value);
  }

  // What services say about their errors: {"error": "…"} or {"error": {"detail": "…"}}.
  static std::string error_text(const Json& answer) {
    if (!answer.is_object() || !answer.contains("error")) return "";
    const Json& error = answer["error"];
    for (const char* key : {"detail", "message"}) {
      if (error.is_object() && error.contains(key) && error[key].is_string()) return ": " + error[key].get<std::string>().substr(0, 300);
    }
    return error.is_string() ? ": " + error.get<std::string>().substr(0, 300) : "";
  }

  Result<std::vector<SearchHit>> read(const Json& answer, size_t n) const {
    std::vector<SearchHit> hits;
    const Json::json_pointer list(backend_.list);
    if (!answer.contains(list) || !answer.at(list).is_array()) {
      // SerpAPI tells of a search without results as an error, Brave leaves "web" out.
      const std::string error = error_text(answer);
      if (backend_.kind == SearchKind::kSerpapi ? error.find("any results") != std::string::npos : error.empty() && backend_.kind == SearchKind::kBrave) return hits;
      return Error{Code::kCorrupt, fmt::format("{}: expected a list at {}{}", where(), backend_.list, error)};
    }
    for (const Json& item : answer.at(list)) {
      if (hits.size() == n) break;
      const auto text_at = [&](const std::string& pointer) {
        const Json::json_pointer place(pointer);
        return item.contains(place) && item.at(place).is_string() ? without_markup(item.at(place).get_ref<const std::string&>()) : std::string();
      };
      hits.push_back({text_at(backend_.title), text_at(backend_.link), best_excerpt(text_at(backend_.snippet), {}, kSnippetBytes)});
    }
    return hits;
  }

  const SearchBackend backend_;
  const net::HttpRules rules_;
};

struct WebSearchArgs {
  std::string query;
  int64_t n = 5;
  void fields(ArgumentList& list) {
    list.add("query", &query, "What to search for").required().range(1, 400);
    list.add("n", &n, "How many results").range(1, 20);
  }
};

class WebSearch final : public TypedTool<WebSearchArgs> {
 public:
  WebSearch(std::vector<std::unique_ptr<Searcher>> searchers, WebSearchOptions options, std::string description)
      : TypedTool("web_search", std::move(description)), searchers_(std::move(searchers)), options_(std::move(options)) {}

 protected:
  Result<std::string> call(const WebSearchArgs& args, const ToolContext& context) override {
    std::string failures;
    for (const auto& searcher : searchers_) {
      auto hits = searcher->search(args.query, args.n, with_limit(context, options_.timeout));
      if (hits.ok()) return cap_text(describe(args.query, *hits), options_.max_bytes);
      HANLIN_TRY(check_time(context, "web_search"));
      failures += (failures.empty() ? "" : "; ") + hits.error().message;
    }
    return Error{Code::kUnavailable, "web_search: " + failures};
  }

 private:
  static std::string describe(const std::string& query, const std::vector<SearchHit>& hits) {
    if (hits.empty()) return fmt::format("No results for \"{}\"; other words may help.", query);
    std::string text;
    for (size_t i = 0; i < hits.size(); ++i) {
      text += fmt::format("{}{}. {}\n{}\n{}", i == 0 ? "" : "\n\n", i + 1, hits[i].title.empty() ? "(no title)" : hits[i].title, hits[i].url, hits[i].snippet);
    }
    return text;
  }

  const std::vector<std::unique_ptr<Searcher>> searchers_;
  const WebSearchOptions options_;
};

// The addresses and places of the services' own documents.
void fill_in(SearchBackend* backend) {
  switch (backend->kind) {
    case SearchKind::kSearxng: backend->list = "/results", backend->title = "/title", backend->link = "/url", backend->snippet = "/content"; break;
    case SearchKind::kSerpapi:
      backend->list = "/organic_results", backend->title = "/title", backend->link = "/link", backend->snippet = "/snippet";
      if (backend->url.empty()) backend->url = "https://serpapi.com/search.json";
      break;
    case SearchKind::kBrave:
      backend->list = "/web/results", backend->title = "/title", backend->link = "/url", backend->snippet = "/description";
      if (backend->url.empty()) backend->url = "https://api.search.brave.com/res/v1/web/search";
      break;
    default: break;
  }
}

Result<std::unique_ptr<Searcher>> make_searcher(SearchBackend backend) {
  if (backend.kind == SearchKind::kCorpus) {
    HANLIN_ASSIGN(auto corpus, SearchCorpus::load(backend.path));
    return std::unique_ptr<Searcher>(std::make_unique<CorpusSearcher>(std::move(corpus)));
  }
  fill_in(&backend);
  // The server's part must hold no {query}.
  const size_t host_at = backend.url.find("://");
  auto url = hub::parse_url(backend.url.substr(0, host_at == std::string::npos ? 0 : backend.url.find_first_of("/?", host_at + 3)));
  if (!url.ok() || url->host.find('{') != std::string::npos) return Error{Code::kInvalidArgument, fmt::format("expected an address, got \"{}\"", backend.url)};
  if (backend.kind == SearchKind::kJson && backend.url.find("{query}") == std::string::npos) {
    return Error{Code::kInvalidArgument, fmt::format("expected an address with {{query}}, got \"{}\"", backend.url)};
  }
  for (const std::string& pointer : {backend.list, backend.title, backend.link, backend.snippet}) {
    if (!pointer.empty() && !pointer.starts_with('/')) return Error{Code::kInvalidArgument, fmt::format("expected a JSON Pointer such as /results, got \"{}\"", pointer)};
    for (size_t at = pointer.find('~'); at != std::string::npos; at = pointer.find('~', at + 1)) {
      if (at + 1 == pointer.size() || (pointer[at + 1] != '0' && pointer[at + 1] != '1')) return Error{Code::kInvalidArgument, fmt::format("expected ~0 or ~1 in the JSON Pointer \"{}\"", pointer)};
    }
  }
  return std::unique_ptr<Searcher>(std::make_unique<HttpSearcher>(std::move(backend), std::move(url).value()));
}

}  // namespace

Result<SearchBackend> parse_search_backend(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals), rest = equals == std::string_view::npos ? "" : text.substr(equals + 1);
  for (const KindName& entry : kKinds) {
    if (name != entry.name) continue;
    SearchBackend backend{.kind = entry.kind};
    const bool has_default = entry.kind == SearchKind::kSerpapi || entry.kind == SearchKind::kBrave;
    if (rest.empty() && !has_default) break;
    if (has_default) backend.key_env = rest;
    else if (entry.kind == SearchKind::kCorpus) backend.path = rest;
    else backend.url = rest.substr(0, rest.find('#'));
    if (entry.kind == SearchKind::kJson && rest.find('#') != std::string_view::npos) {
      std::string_view pointers = rest.substr(rest.find('#') + 1);
      for (std::string* pointer : {&backend.list, &backend.title, &backend.link, &backend.snippet}) {
        const size_t comma = std::min(pointers.find(','), pointers.size());
        if (comma > 0) *pointer = pointers.substr(0, comma);
        pointers.remove_prefix(std::min(comma + 1, pointers.size()));
      }
    }
    return backend;
  }
  return Error{Code::kInvalidArgument, fmt::format("expected corpus=PATH, searxng=URL, serpapi, brave or json=URL, got \"{}\"", text)};
}

Result<std::shared_ptr<RunnableTool>> make_web_search(const WebSearchOptions& options) {
  std::vector<std::unique_ptr<Searcher>> searchers;
  bool only_corpora = true;
  for (const SearchBackend& backend : options.backends) {
    auto searcher = make_searcher(backend);
    if (!searcher.ok()) return std::move(searcher).error().with_context(fmt::format("web_search: {}", name_of(backend.kind)));
    searchers.push_back(std::move(searcher).value());
    only_corpora &= backend.kind == SearchKind::kCorpus;
  }
  if (searchers.empty()) return Error{Code::kInvalidArgument, "web_search: expected at least one place to search"};
  const std::string description = only_corpora ? "Searches a collection of texts." : "Searches the web; gives titles, addresses and short excerpts.";
  return std::shared_ptr<RunnableTool>(std::make_shared<WebSearch>(std::move(searchers), options, description));
}

}  // namespace hanlin::agent
