// The tool "web_search": pages of the web, or of a collection of texts where there is no network.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/runnable_tool.h"

namespace hanlin::agent {

enum class SearchKind {
  kSearxng,  // a SearXNG instance (its JSON format must be allowed in its settings)
  kSerpapi,  // serpapi.com
  kBrave,    // the Brave Search API
  kJson,     // any address that answers with JSON
  kCorpus,   // texts on this machine
};

// One place to search. Any of these may be a value or empty; what a kind does not use is ignored.
struct SearchBackend {
  SearchKind kind = SearchKind::kCorpus;
  // searxng: the instance. serpapi, brave: empty means the service's own address. json: an address with {query} and perhaps {n}.
  std::string url = {};
  // Name of the environment variable with the key: SERPAPI_API_KEY and BRAVE_API_KEY if empty; json: sent as a Bearer token
  // if set. The key itself is read at each search and appears nowhere.
  std::string key_env = {};
  // json: JSON Pointers, `list` in the answer, the others in each item of the list.
  std::string list = "/results", title = "/title", link = "/url", snippet = "/snippet";
  // corpus: a folder of .txt and .md files, or a JSON Lines file of {"title", "url", "text"}.
  std::string path = {};
};

// What a user writes on a command line: "searxng=https://searx.example.org", "serpapi", "brave=MY_KEY_VARIABLE",
// "corpus=docs/", "json=https://example.org/find?q={query}#/items,/name,/link,/summary". kInvalidArgument.
Result<SearchBackend> parse_search_backend(std::string_view text);

struct WebSearchOptions {
  std::vector<SearchBackend> backends;  // the first that answers counts; at least one
  size_t max_bytes = 16 << 10;          // of the result
  std::chrono::milliseconds timeout{15000};  // for each backend
};

// Results come numbered, each with title, address and a few lines of text. Errors: those of reading a corpus; an address that is
// none. A key that is missing shows at the search.
Result<std::shared_ptr<RunnableTool>> make_web_search(const WebSearchOptions& options);

}  // namespace hanlin::agent
