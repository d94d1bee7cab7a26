// Search against a corpus of real texts and against a server that answers as the services' documents say.
#include "agent/tools/web_search.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/tools/search_corpus.h"
#include "base/json.h"
#include "net/test_server.h"

namespace hanlin::agent {
namespace {

namespace fs = std::filesystem;

std::string search(const WebSearchOptions& options, const std::string& query, int64_t n = 5) {
  auto tool = make_web_search(options);
  if (!tool.ok()) return "error: " + tool.error().message;
  auto result = (*tool)->run({{"query", query}, {"n", n}}, {});
  return result.ok() ? *result : "error: " + result.error().message;
}

class CorpusTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "hanlin-corpus-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  fs::path folder_;
};

TEST(SearchTerms, WordsAndPairsOfCharacters) {
  EXPECT_EQ(search_terms("The Cat's 3rd café, Straße!"), (std::vector<std::string>{"the", "cat", "s", "3rd", "café", "straße"}));
  EXPECT_EQ(search_terms("cats cities classes glass bus is s"), (std::vector<std::string>{"cat", "city", "classe", "glass", "bus", "is", "s"}));
  EXPECT_EQ(search_terms("北京天气 ok 雨"), (std::vector<std::string>{"北京", "京天", "天气", "ok", "雨"}));
  EXPECT_EQ(search_terms("a\xff\xfe" "b"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(search_terms(" ,。!").empty());
}

TEST(SearchTerms, ExcerptShowsTheWordsFound) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "filler words here. ";
  text += "The needle is in here.\n";
  for (int i = 0; i < 200; ++i) text += "more filler text. ";
  const std::string excerpt = best_excerpt(text, {"needle"}, 100);
  EXPECT_NE(excerpt.find("The needle is in here."), std::string::npos) << excerpt;
  EXPECT_TRUE(excerpt.starts_with("…") && excerpt.ends_with("…"));
  EXPECT_LE(excerpt.size(), 106u);
  EXPECT_EQ(best_excerpt("a  b\n\nc", {}, 100), "a b c");
  EXPECT_EQ(best_excerpt("天气", {}, 4), "天…");
}

TEST_F(CorpusTest, FindsTheBestTextFirst) {
  write("cats.md", "# About cats\r\n\nCats sleep most of the day. A cat hunts at night.");
  write("dogs.txt", "Dogs run. A dog may chase a cat.");
  write("sub/weather.md", "北京今天天气晴朗,气温二十二度。");
  write("sub/code.cpp", "cat cat cat");
  const std::string path = folder_.string();
  const auto hits = SearchCorpus::load(path).value()->search("cat", 5);
  ASSERT_EQ(hits.size(), 2u) << "neither .cpp files nor texts without the word";
  EXPECT_EQ(hits[0].title, "About cats");
  EXPECT_EQ(hits[0].url, "cats.md");
  EXPECT_EQ(hits[1].url, "dogs.txt");
  EXPECT_EQ(search({.backends = {{.path = path}}}, "北京的天气"), "1. weather\nsub/weather.md\n北京今天天气晴朗,气温二十二度。");
  EXPECT_EQ(search({.backends = {{.path = path}}}, "zebra"), "No results for \"zebra\"; other words may help.");
  EXPECT_EQ(SearchCorpus::load(path).value()->search("cat dog", 1).size(), 1u);
}

TEST_F(CorpusTest, RareWordsCountMoreAndLongTextsAreSearchedInPassages) {
  std::string lines, filler;
  for (int i = 0; i < 50; ++i) lines += R"({"title": "Page )" + std::to_string(i) + R"(", "url": "https://example.com/)" + std::to_string(i) + R"(", "text": "the common words of page )" + std::to_string(i) + "\"}\n";
  for (int i = 0; i < 3000; ++i) filler += "the common ";
  lines += dump_json({{"title", "Long"}, {"url", "u"}, {"text", filler + "platypus facts stand here. " + filler}}) + "\n";
  const auto corpus = SearchCorpus::load(write("c.jsonl", lines)).value();
  const auto hits = corpus->search("the common platypus", 3);
  ASSERT_EQ(hits.size(), 3u);
  EXPECT_EQ(hits[0].title, "Long");
  EXPECT_NE(hits[0].snippet.find("platypus facts"), std::string::npos);
  EXPECT_EQ(corpus->search("page 17", 1).at(0).url, "https://example.com/17");
}

TEST_F(CorpusTest, SaysWhatIsWrong) {
  EXPECT_EQ(SearchCorpus::load("/no/such/place").error().code, Code::kNotFound);
  EXPECT_EQ(SearchCorpus::load(folder_.string()).error().code, Code::kInvalidArgument);
  EXPECT_NE(SearchCorpus::load(write("c.jsonl", "{\"text\": \"a\"}\n{\"title\": \"b\"}\n")).error().message.find("c.jsonl:2: expected"), std::string::npos);
  EXPECT_EQ(SearchCorpus::load(write("d.jsonl", "no json")).error().code, Code::kCorrupt);
}

// The replies have the fields that the services' documents show, shortened.
TEST(WebSearch, Searxng) {
  net::TestServer server([](const std::string&) {
    return net::http_ok(R"({"query": "q", "number_of_results": 0, "results": [
      {"url": "https://example.com/a", "title": "First", "content": "About &quot;it&quot;", "engine": "duckduckgo", "parsed_url": ["https", "example.com", "/a", "", "", ""],
       "template": "default.html", "engines": ["duckduckgo"], "positions": [1], "score": 1.0, "category": "general"},
      {"url": "https://example.com/b", "title": "Second", "content": null}], "answers": [], "corrections": [], "infoboxes": [], "suggestions": [], "unresponsive_engines": []})",
                   "application/json");
  });
  const WebSearchOptions options{.backends = {parse_search_backend("searxng=" + server.base() + "/").value()}};
  EXPECT_EQ(search(options, "two words & more"), "1. First\nhttps://example.com/a\nAbout \"it\"\n\n2. Second\nhttps://example.com/b\n");
  EXPECT_EQ(server.requests().at(0).find("GET /search?q=two%20words%20%26%20more&format=json HTTP/1.1\r\n"), 0u);
  EXPECT_EQ(search(options, "q", 1), "1. First\nhttps://example.com/a\nAbout \"it\"");
  net::TestServer closed([](const std::string&) { return net::http_ok("<html>", "text/html", "403 Forbidden"); });
  EXPECT_EQ(search({.backends = {{.kind = SearchKind::kSearxng, .url = closed.base()}}}, "q"), "error: web_search: searxng: HTTP 403 (is json among the formats in the instance's settings?)");
}

TEST(WebSearch, Serpapi) {
  setenv("HANLIN_TEST_SERP_KEY", "k3y", 1);
  net::TestServer server([](const std::string& request) {
    if (request.find("q=nothing") != std::string::npos) return net::http_ok(R"({"search_metadata": {"status": "Success"}, "error": "Google hasn't returned any results for this query."})", "application/json");
    if (request.find("q=denied") != std::string::npos) return net::http_ok(R"({"error": "Invalid API key. Your API key should be here: https://serpapi.com/manage-api-key"})", "application/json", "401 Unauthorized");
    return net::http_ok(R"({"search_metadata": {"status": "Success"}, "organic_results": [{"position": 1, "title": "Coffee - Wikipedia", "link": "https://en.wikipedia.org/wiki/Coffee",
      "displayed_link": "https://en.wikipedia.org › wiki › Coffee", "snippet": "Coffee is a beverage."}]})", "application/json");
  });
  const WebSearchOptions options{.backends = {{.kind = SearchKind::kSerpapi, .url = server.base() + "/search.json", .key_env = "HANLIN_TEST_SERP_KEY"}}};
  EXPECT_EQ(search(options, "coffee", 3), "1. Coffee - Wikipedia\nhttps://en.wikipedia.org/wiki/Coffee\nCoffee is a beverage.");
  EXPECT_EQ(server.requests().at(0).find("GET /search.json?engine=google&q=coffee&num=3&api_key=k3y HTTP/1.1\r\n"), 0u);
  EXPECT_EQ(search(options, "nothing"), "No results for \"nothing\"; other words may help.");
  const std::string denied = search(options, "denied");
  EXPECT_NE(denied.find("HTTP 401: Invalid API key."), std::string::npos) << denied;
  EXPECT_EQ(denied.find("k3y"), std::string::npos);
  unsetenv("HANLIN_TEST_SERP_KEY");
  EXPECT_EQ(search(options, "coffee"), "error: web_search: serpapi: the environment has no key in HANLIN_TEST_SERP_KEY");
}

TEST(WebSearch, Brave) {
  setenv("HANLIN_TEST_BRAVE_KEY", "t0ken", 1);
  net::TestServer server([](const std::string& request) {
    if (request.find("q=limit") != std::string::npos) return net::http_ok(R"({"type": "ErrorResponse", "error": {"id": "x", "status": 429, "code": "RATE_LIMITED", "detail": "Request rate limit exceeded for plan."}})", "application/json", "429 Too Many Requests");
    if (request.find("q=nothing") != std::string::npos) return net::http_ok(R"({"type": "search", "query": {"original": "nothing"}})", "application/json");
    return net::http_ok(R"({"type": "search", "query": {"original": "brave", "more_results_available": true}, "web": {"type": "search", "results": [{"title": "Brave Search API",
      "url": "https://brave.com/search/api/", "description": "Power your <strong>search</strong> &amp; agents.", "extra_snippets": []}]}})", "application/json");
  });
  const WebSearchOptions options{.backends = {{.kind = SearchKind::kBrave, .url = server.base() + "/res/v1/web/search", .key_env = "HANLIN_TEST_BRAVE_KEY"}}};
  EXPECT_EQ(search(options, "brave", 2), "1. Brave Search API\nhttps://brave.com/search/api/\nPower your search & agents.");
  EXPECT_EQ(server.requests().at(0).find("GET /res/v1/web/search?q=brave&count=2 HTTP/1.1\r\n"), 0u);
  EXPECT_NE(server.requests().at(0).find("X-Subscription-Token: t0ken\r\n"), std::string::npos);
  EXPECT_EQ(search(options, "limit"), "error: web_search: brave: HTTP 429: Request rate limit exceeded for plan.");
  EXPECT_EQ(search(options, "nothing"), "No results for \"nothing\"; other words may help.");
}

TEST(WebSearch, AnyJsonAndTheNextBackendWhenOneFails) {
  net::TestServer server([](const std::string&) { return net::http_ok(R"({"data": {"items": [{"name": "N", "at": {"url": "u"}, "about": "s"}, 3]}})", "application/json"); });
  net::TestServer broken([](const std::string&) { return net::http_ok("oops", "text/plain", "500 Internal Server Error"); });
  const SearchBackend json = parse_search_backend("json=" + server.base() + "/find/{query}?n={n}#/data/items,/name,/at/url,/about").value();
  EXPECT_EQ(search({.backends = {json}}, "a/b", 4), "1. N\nu\ns\n\n2. (no title)\n\n");
  EXPECT_EQ(server.requests().at(0).find("GET /find/a%2Fb?n=4 HTTP/1.1\r\n"), 0u);
  EXPECT_EQ(search({.backends = {{.kind = SearchKind::kSearxng, .url = broken.base()}, json}}, "q", 1), "1. N\nu\ns");
  SearchBackend wrong = json;
  wrong.list = "/data/none";
  EXPECT_EQ(search({.backends = {{.kind = SearchKind::kSearxng, .url = broken.base()}, wrong}}, "q"), "error: web_search: searxng: HTTP 500; json: expected a list at /data/none");
}

TEST(WebSearch, ReadsWhatAUserWrites) {
  const SearchBackend brave = parse_search_backend("brave=MY_KEY").value();
  EXPECT_EQ(brave.kind, SearchKind::kBrave);
  EXPECT_EQ(brave.key_env, "MY_KEY");
  EXPECT_EQ(parse_search_backend("corpus=a=b").value().path, "a=b");
  EXPECT_EQ(parse_search_backend("json=http://x/{query}#,,/link").value().link, "/link");
  EXPECT_EQ(parse_search_backend("json=http://x/{query}#,,/link").value().list, "/results");
  for (const char* bad : {"", "google", "corpus", "searxng=", "json"}) EXPECT_EQ(parse_search_backend(bad).error().code, Code::kInvalidArgument) << bad;
  EXPECT_EQ(search({}, "q"), "error: web_search: expected at least one place to search");
  EXPECT_EQ(search({.backends = {{.kind = SearchKind::kJson, .url = "http://x/"}}}, "q"), "error: web_search: json: expected an address with {query}, got \"http://x/\"");
  EXPECT_EQ(search({.backends = {{.kind = SearchKind::kJson, .url = "http://x/{query}", .list = "items"}}}, "q"), "error: web_search: json: expected a JSON Pointer such as /results, got \"items\"");
  EXPECT_FALSE(make_web_search({.backends = {{.kind = SearchKind::kSearxng, .url = "searx"}}}).ok());
}

}  // namespace
}  // namespace hanlin::agent
