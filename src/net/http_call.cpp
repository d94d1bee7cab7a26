#include "net/http_call.h"

#include <fmt/format.h>
#include <netdb.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <future>
#include <optional>

#include "hub/look_up.h"

namespace hanlin::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using hub::Url;

constexpr std::chrono::milliseconds kPoll{20};

using Clock = std::chrono::steady_clock;

// When a step that may take `limit` must be over.
Clock::time_point end_of(std::chrono::milliseconds limit) { return limit.count() > 0 ? Clock::now() + limit : Clock::time_point::max(); }

Error too_slow(const Url& url, const char* step) { return {Code::kUnavailable, fmt::format("{}: {}: nothing came in the time a healthy server needs", url.authority(), step)}; }

Status check_run(const Url& url, const CallLimits& limits) {
  if (limits.stop.stop_requested()) return Error{Code::kCancelled, url.shown() + ": the run was cancelled"};
  if (std::chrono::steady_clock::now() >= limits.deadline) return Error{Code::kDeadlineExceeded, url.shown() + ": no complete answer in the time allowed"};
  return {};
}

Result<std::vector<tcp::endpoint>> look_up(const Url& url, const CallLimits& limits, Clock::time_point end) {
  std::future<hub::LookUp> future = hub::look_up(url.host, url.port);
  while (future.wait_for(kPoll) != std::future_status::ready) {
    HANLIN_TRY(check_run(url, limits));
    if (Clock::now() >= end) return too_slow(url, "name lookup");
  }
  const hub::LookUp found = future.get();
  std::vector<tcp::endpoint> endpoints = hub::endpoints_of<tcp::endpoint>(found);
  if (found.failure == 0 && !endpoints.empty()) return endpoints;
  return Error{Code::kUnavailable, fmt::format("{}: name lookup failed: {}", url.host, found.failure == 0 ? "no address" : gai_strerror(found.failure))};
}

// Runs asynchronous operations one after the other, looking at the run's deadline and stop meanwhile.
class Driver {
 public:
  Driver(const Url& url, const CallLimits& limits) : stream_(io_), url_(url), limits_(limits) { stream_.expires_never(); }

  beast::tcp_stream& stream() { return stream_; }
  // Steps from now on must be over at `end`.
  void set_end(Clock::time_point end) { end_ = end; }
  // Errors as http_call; `may_end` is an error of the stream that is none here.
  template <typename Start>
  Status run(const char* step, const Start& start, error_code may_end = {}) {
    std::optional<error_code> result;
    start([&result](error_code ec, auto&&...) { result = ec; });
    while (!result) {
      if (io_.stopped()) io_.restart();
      io_.run_for(kPoll);
      if (result) break;
      Status status = check_run(url_, limits_);
      if (status.ok() && Clock::now() >= end_) status = too_slow(url_, step);
      if (!status.ok()) {
        stream_.close();  // the operation ends, and with it its use of our variables
        io_.restart();
        io_.run();
        return status;
      }
    }
    if (!*result || (may_end && *result == may_end)) return {};
    return Error{Code::kUnavailable, fmt::format("{}: {} failed: {}", url_.authority(), step, result->message())};
  }

 private:
  asio::io_context io_;
  beast::tcp_stream stream_;
  const Url url_;
  const CallLimits& limits_;
  Clock::time_point end_ = Clock::time_point::max();
};

struct Exchange {
  const HttpCall& call;
  const Url& url;
  const std::string method;
  bool with_headers;
  const HttpSinks& sinks;
  const CallLimits& limits;
};

http::request<http::string_body> message_of(const Exchange& x) {
  http::request<http::string_body> message;
  message.method_string(x.method);
  message.target(x.url.target);
  message.version(11);
  message.set(http::field::host, x.url.authority());
  message.set(http::field::user_agent, "hanlin");
  message.set(http::field::accept_encoding, "identity");
  message.set(http::field::connection, "close");
  if (x.with_headers) {
    for (const auto& [name, value] : x.call.headers) message.set(name, value);
  }
  if (x.method != "GET" && x.method != "HEAD") {
    message.body() = x.call.body;
    message.prepare_payload();
  }
  return message;
}

bool is_redirect(const HttpAnswer& answer) {
  const int status = answer.status;
  return (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) && !answer.header("location").empty();
}

template <typename Stream>
Result<HttpAnswer> exchange_on(Driver& driver, Stream& stream, const Exchange& x) {
  auto message = message_of(x);
  driver.set_end(end_of(x.limits.first_byte));
  HANLIN_TRY(driver.run("request", [&](auto&& done) { http::async_write(stream, message, done); }));

  beast::flat_buffer buffer(size_t{1} << 17);
  http::response_parser<http::buffer_body> parser;
  parser.header_limit(64 * 1024);
  parser.body_limit(boost::none);
  if (x.method == "HEAD") parser.skip(true);
  HANLIN_TRY(driver.run("answer", [&](auto&& done) { http::async_read_header(stream, buffer, parser, done); }));

  HttpAnswer answer;
  answer.status = static_cast<int>(parser.get().result_int());
  answer.url = x.url;
  for (const auto& field : parser.get()) {
    std::string name(field.name_string());
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    answer.headers[name] = std::string(field.value());
  }
  if (is_redirect(answer)) return answer;
  if (x.sinks.on_head) HANLIN_TRY(x.sinks.on_head(answer));
  std::vector<char> block(size_t{1} << 16);
  while (!parser.is_done()) {
    parser.get().body().data = block.data();
    parser.get().body().size = block.size();
    driver.set_end(end_of(x.limits.silence));
    const Status read = driver.run("transfer", [&](auto&& done) { http::async_read_some(stream, buffer, parser, done); },
                                   error_code(http::error::need_buffer));
    const size_t n_bytes = block.size() - parser.get().body().size;
    if (n_bytes > 0 && x.sinks.on_body) {
      HANLIN_ASSIGN(const bool go_on, x.sinks.on_body({block.data(), n_bytes}));
      if (!go_on) return answer;
    }
    if (!read.ok()) return read.error();
  }
  return answer;
}

Result<HttpAnswer> exchange(const Exchange& x, const HttpRules& rules) {
  HANLIN_TRY(check_url(rules, x.url));
  const Clock::time_point end = end_of(x.limits.connect);
  HANLIN_ASSIGN(const auto endpoints, look_up(x.url, x.limits, end));
  for (const tcp::endpoint& endpoint : endpoints) HANLIN_TRY(check_address(rules, x.url, endpoint.address().to_string()));

  Driver driver(x.url, x.limits);
  driver.set_end(end);
  HANLIN_TRY(driver.run("connection", [&](auto&& done) { driver.stream().async_connect(endpoints, done); }));
  if (x.url.scheme == "http") return exchange_on(driver, driver.stream(), x);

  asio::ssl::context tls(asio::ssl::context::tls_client);
  tls.set_default_verify_paths();
  tls.set_verify_mode(asio::ssl::verify_peer);
  beast::ssl_stream<beast::tcp_stream&> secure(driver.stream(), tls);
  secure.set_verify_callback(asio::ssl::host_name_verification(x.url.host));
  SSL_set_tlsext_host_name(secure.native_handle(), x.url.host.c_str());
  HANLIN_TRY(driver.run("TLS handshake", [&](auto&& done) { secure.async_handshake(asio::ssl::stream_base::client, done); }));
  return exchange_on(driver, secure, x);
}

Status check_headers(const HttpCall& call) {
  const auto bad = [](const std::string& text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
  };
  for (const auto& [name, value] : call.headers) {
    if (name.empty() || bad(name) || name.find_first_of(" :") != std::string::npos || bad(value)) {
      return Error{Code::kInvalidArgument, fmt::format("{}: header \"{}\" has characters that may not stand in one", call.url.shown(), name)};
    }
  }
  return {};
}

}  // namespace

std::string HttpAnswer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

Result<HttpAnswer> http_call(const HttpCall& call, const HttpRules& rules, const CallLimits& limits, const HttpSinks& sinks) {
  HANLIN_TRY(check_headers(call));
  Url url = call.url;
  std::string method = call.method;
  for (int n_redirects = 0;; ++n_redirects) {
    HANLIN_ASSIGN(HttpAnswer answer, exchange({call, url, method, url.same_server(call.url), sinks, limits}, rules));
    if (!is_redirect(answer)) return answer;
    HANLIN_ASSIGN(Url next, resolve_location(url, answer.header("location")));
    if (url.scheme == "https" && next.scheme == "http") {
      return Error{Code::kUnavailable, fmt::format("{}: redirected from https to http ({}): refused", url.shown(), next.authority())};
    }
    if (!rules.follow_to_other_servers && !next.same_server(url)) {
      return Error{Code::kUnavailable, fmt::format("{}: redirected to another server ({}): refused", url.shown(), next.authority())};
    }
    if (n_redirects == rules.max_redirects) {
      return Error{Code::kUnavailable, fmt::format("{}: more than {} redirects", call.url.shown(), rules.max_redirects)};
    }
    // 307 and 308 repeat the call; the others go on with a GET (RFC 9110, 15.4).
    if (answer.status <= 303 && method != "HEAD") method = "GET";
    url = std::move(next);
  }
}

Result<HttpAnswer> http_call(const HttpCall& call, const HttpRules& rules, const CallLimits& limits, size_t max_bytes) {
  std::string body;
  bool cut = false;
  HttpSinks sinks;
  sinks.on_body = [&](std::string_view bytes) -> Result<bool> {
    const size_t n_taken = std::min(bytes.size(), max_bytes - body.size());
    body.append(bytes.substr(0, n_taken));
    cut = n_taken < bytes.size();
    return !cut;
  };
  HANLIN_ASSIGN(HttpAnswer answer, http_call(call, rules, limits, sinks));
  answer.body = std::move(body);
  answer.cut = cut;
  return answer;
}

CallLimits within(const CallLimits& limits, std::chrono::milliseconds limit) {
  CallLimits result = limits;
  result.deadline = std::min(limits.deadline, std::chrono::steady_clock::now() + limit);
  return result;
}

}  // namespace hanlin::net
