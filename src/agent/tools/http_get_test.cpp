#include "agent/tools/http_get.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "net/test_server.h"

namespace hanlin::agent {
namespace {

using net::http_ok;

TEST(HttpGet, FetchesWhatIsAllowed) {
  net::TestServer server([](const std::string& request) {
    if (request.starts_with("GET /long")) return http_ok(std::string(100, 'x'));
    if (request.starts_with("GET /binary")) return http_ok(std::string("a\0b", 3), "application/x");
    if (request.starts_with("GET /none")) return http_ok("gone", "text/plain", "404 Not Found");
    return http_ok("天气");
  });
  const auto tool = make_http_get({.rules = {.hosts = {"example.com"}, .private_hosts = {"127.0.0.1"}}, .max_bytes = 10});
  const auto get = [&](const std::string& path) { return tool->run(Json{{"url", server.base() + path}}, {}).value(); };
  EXPECT_EQ(get("/?q=1"), "HTTP 200 " + server.base() + "/ (text/plain)\n\n天气");
  EXPECT_EQ(get("/long"), "HTTP 200 " + server.base() + "/long (text/plain)\n\nxxxxxxxxxx\n[cut here after 10 bytes: the document is longer]");
  EXPECT_NE(get("/binary").find("[no text: 3 bytes of binary data]"), std::string::npos);
  EXPECT_NE(get("/none").find("HTTP 404"), std::string::npos);
  for (const char* refused : {"file:///etc/passwd", "http://localhost/", "https://other.org/", "gopher://x", "http://user@127.0.0.1/", "no url"}) {
    EXPECT_EQ(tool->run(Json{{"url", refused}}, {}).error().code, Code::kInvalidArgument) << refused;
  }
}

}  // namespace
}  // namespace hanlin::agent
