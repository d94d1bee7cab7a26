#include "net/http_call.h"

#include <gtest/gtest.h>

#include "net/test_server.h"

namespace hanlin::net {
namespace {

hub::Url url(const std::string& text) { return hub::parse_url(text).value(); }
HttpRules rules_of(const TestServer& server) { return {.hosts = {"*"}, .private_hosts = {"127.0.0.1:" + std::to_string(server.port())}}; }

TEST(AddressRules, KnowsWhatIsPublic) {
  for (const char* address : {"8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"}) {
    EXPECT_TRUE(is_public_address(address)) << address;
  }
  for (const char* address : {"127.0.0.1", "127.255.0.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "100.64.0.1",
                              "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0",
                              "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1",
                              "2001:db8::1", "fec0::1", "::127.0.0.1", "", "localhost", "0x7f.1", "2130706433"}) {
    EXPECT_FALSE(is_public_address(address)) << address;
  }
}

TEST(AddressRules, MatchesHosts) {
  const HttpRules rules{.schemes = {"https"}, .hosts = {"example.com", "*.wiki.org"}};
  EXPECT_TRUE(check_url(rules, url("https://example.com/x")).ok());
  EXPECT_TRUE(check_url(rules, url("https://EXAMPLE.com./x")).ok());
  EXPECT_TRUE(check_url(rules, url("https://zh.wiki.org/")).ok());
  EXPECT_FALSE(check_url(rules, url("https://wiki.org/")).ok());
  EXPECT_FALSE(check_url(rules, url("https://evilwiki.org/")).ok());
  EXPECT_FALSE(check_url(rules, url("https://example.com.evil.net/")).ok());
  EXPECT_FALSE(check_url(rules, url("http://example.com/")).ok());
  EXPECT_FALSE(check_url({}, url("https://example.com/")).ok());
}

TEST(HttpCallTest, SendsAndReceives) {
  TestServer server([](const std::string&) { return http_ok("hello"); });
  const HttpCall call{.method = "POST", .url = url(server.base() + "/a?b=1"), .headers = {{"X-Key", "k"}}, .body = "data"};
  const auto answer = http_call(call, rules_of(server), {}, 100);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "hello");
  const std::string request = server.requests().at(0);
  EXPECT_EQ(request.find("POST /a?b=1 HTTP/1.1\r\n"), 0u);
  EXPECT_NE(request.find("X-Key: k\r\n"), std::string::npos);
  EXPECT_TRUE(request.ends_with("\r\n\r\ndata"));
}

TEST(HttpCallTest, RefusesPrivateAddressesUnlessListed) {
  TestServer server([](const std::string&) { return http_ok("secret"); });
  const std::string port = std::to_string(server.port());
  for (const std::string host : {"127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "0.0.0.0"}) {
    const auto answer = http_call({.url = url("http://" + host + ":" + port + "/")}, {.hosts = {"*"}}, {}, 100);
    ASSERT_FALSE(answer.ok()) << host;
    EXPECT_NE(answer.error().code, Code::kInternal);
  }
  EXPECT_TRUE(server.requests().empty());
  EXPECT_FALSE(http_call({.url = url(server.base())}, {.hosts = {"*"}, .private_hosts = {"127.0.0.1:1"}}, {}, 100).ok());
  EXPECT_TRUE(http_call({.url = url(server.base())}, {.private_hosts = {"127.0.0.1"}}, {}, 100).ok());
}

TEST(HttpCallTest, ChecksEachRedirect) {
  TestServer inner([](const std::string&) { return http_ok("inner"); });
  const std::string target = inner.base() + "/secret";
  TestServer outer([&](const std::string& request) {
    if (request.starts_with("GET /loop")) return std::string("HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n");
    if (request.starts_with("GET /same")) return std::string("HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 0\r\n\r\n");
    if (request.starts_with("GET /end")) return http_ok("end");
    return "HTTP/1.1 302 Found\r\nLocation: " + target + "\r\nContent-Length: 0\r\n\r\n";
  });
  EXPECT_EQ(http_call({.url = url(outer.base() + "/same")}, rules_of(outer), {}, 100)->body, "end");
  const auto refused = http_call({.url = url(outer.base() + "/")}, rules_of(outer), {}, 100);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument) << refused.error().message;
  EXPECT_TRUE(inner.requests().empty());
  const auto loop = http_call({.url = url(outer.base() + "/loop")}, rules_of(outer), {}, 100);
  EXPECT_NE(loop.error().message.find("more than 5 redirects"), std::string::npos);

  HttpRules both = rules_of(outer);
  both.private_hosts.push_back("127.0.0.1:" + std::to_string(inner.port()));
  const auto followed = http_call({.url = url(outer.base() + "/"), .headers = {{"Authorization", "Bearer key"}}}, both, {}, 100);
  EXPECT_EQ(followed->body, "inner");
  EXPECT_EQ(inner.requests().at(0).find("Bearer key"), std::string::npos) << "a key goes to its own server only";
  EXPECT_FALSE(http_call({.url = url(outer.base() + "/")}, rules_for_server(url(outer.base())), {}, 100).ok());
}

TEST(HttpCallTest, CapsSizeAndTime) {
  TestServer server([](const std::string& request) { return request.starts_with("GET /slow") ? "" : http_ok(std::string(1000000, 'x')); });
  const auto answer = http_call({.url = url(server.base())}, rules_of(server), {}, 1000);
  EXPECT_EQ(answer->body.size(), 1000u);
  EXPECT_TRUE(answer->cut);
  const HttpCall slow{.url = url(server.base() + "/slow")};
  EXPECT_EQ(http_call(slow, rules_of(server), within({}, std::chrono::milliseconds(60)), 10).error().code, Code::kDeadlineExceeded);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(http_call(slow, rules_of(server), {.stop = stop.get_token()}, 10).error().code, Code::kCancelled);
}

TEST(HttpCallTest, AServerThatSaysNothingIsNotThere) {
  TestServer server([](const std::string&) { return std::string(); });
  const auto answer = http_call({.url = url(server.base() + "/nothing")}, rules_of(server), {.first_byte = std::chrono::milliseconds(50)}, 10);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, Code::kUnavailable) << "not the caller's deadline: " << answer.error().message;
}

TEST(HttpCallTest, SaysWhatIsWrong) {
  TestServer server([](const std::string&) { return std::string("nonsense\r\n\r\n"); });
  EXPECT_EQ(http_call({.url = url(server.base())}, rules_of(server), {}, 10).error().code, Code::kUnavailable);
  EXPECT_EQ(http_call({.url = url(server.base()), .headers = {{"X", "a\r\nEvil: b"}}}, rules_of(server), {}, 10).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace hanlin::net
