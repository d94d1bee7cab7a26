#include "hub/http_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <vector>

#include "hub/look_up.h"

namespace hanlin::hub {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using Endpoints = std::vector<tcp::endpoint>;

constexpr int kMaxRedirects = 5;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

Error network_error(const Url& url, const char* step, const error_code& ec) {
  const bool late = ec == beast::error::timeout;
  return Error{late ? Code::kDeadlineExceeded : Code::kUnavailable,
               fmt::format("{}: {} failed: {}", url.authority(), step, late ? "no answer in time" : ec.message())};
}

// ---- proxies ------------------------------------------------------------------------------------------------------

std::string environment(const char* lower_name) {
  if (const char* value = std::getenv(lower_name)) return value;
  std::string upper(lower_name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  // HTTP_PROXY is not read: in CGI programs a client's "Proxy:" header ends up there.
  const char* value = upper == "HTTP_PROXY" ? nullptr : std::getenv(upper.c_str());
  return value != nullptr ? value : "";
}

bool proxy_exempt(const std::string& host) {
  std::string list = environment("no_proxy");
  size_t begin = 0;
  while (begin <= list.size() && !list.empty()) {
    const size_t end = std::min(list.find(',', begin), list.size());
    std::string entry = list.substr(begin, end - begin);
    begin = end + 1;
    std::erase(entry, ' ');
    if (entry == "*") return true;
    if (entry.starts_with('.')) entry.erase(0, 1);
    if (!entry.empty() && (host == entry || host.ends_with("." + entry))) return true;
  }
  return false;
}

Result<std::optional<Url>> proxy_for(const Url& url) {
  if (url.host == "localhost" || url.host.starts_with("127.") || url.host == "::1" || proxy_exempt(url.host)) return std::optional<Url>();
  std::string proxy = environment(url.scheme == "https" ? "https_proxy" : "http_proxy");
  if (proxy.empty()) proxy = environment("all_proxy");
  if (proxy.empty()) return std::optional<Url>();
  if (proxy.find("://") == std::string::npos) proxy = "http://" + proxy;
  auto parsed = parse_url(proxy);
  if (!parsed.ok()) return std::move(parsed).error().with_context("proxy");
  if (parsed->scheme != "http") return Error{Code::kUnsupported, "proxy " + proxy + ": expected an http:// proxy"};
  return std::optional<Url>(std::move(parsed).value());
}

// ---- connecting ---------------------------------------------------------------------------------------------------

Result<Endpoints> look_up(const Url& server, std::chrono::milliseconds limit) {
  std::future<LookUp> future = hub::look_up(server.host, server.port);
  if (future.wait_for(limit) != std::future_status::ready) {
    return Error{Code::kDeadlineExceeded, fmt::format("{}: name lookup failed: no answer in time", server.host)};
  }
  const LookUp found = future.get();
  Endpoints endpoints = endpoints_of<tcp::endpoint>(found);
  if (found.failure != 0 || endpoints.empty()) {
    return Error{Code::kUnavailable, fmt::format("{}: name lookup failed: {}", server.host, gai_strerror(found.failure))};
  }
  return endpoints;
}

// Runs one asynchronous operation to its end, so that Beast's time limits work in blocking code.
template <typename Start>
error_code run_one(asio::io_context& io, const Start& start) {
  error_code result;
  start([&result](error_code ec, auto&&...) { result = ec; });
  io.restart();
  io.run();
  return result;
}

// ---- one exchange -------------------------------------------------------------------------------------------------

struct Exchange {
  const HttpRequest& request;
  const Url& url;
  bool with_token;
  bool absolute_target;  // through an http proxy
  const HeadSink& on_head;
  const BodySink& on_body;
};

template <typename Stream>
Result<HttpResponse> exchange_on(asio::io_context& io, Stream& stream, const Exchange& x) {
  http::request<http::empty_body> message(x.request.method == "HEAD" ? http::verb::head : http::verb::get,
                                          x.absolute_target ? x.url.text() : x.url.target, 11);
  message.set(http::field::host, x.url.authority());
  message.set(http::field::user_agent, "hanlin");
  message.set(http::field::accept_encoding, "identity");
  message.set(http::field::connection, "close");
  if (x.with_token) message.set(http::field::authorization, "Bearer " + x.request.bearer_token);
  if (x.request.range_from) message.set(http::field::range, fmt::format("bytes={}-", *x.request.range_from));

  auto& lowest = beast::get_lowest_layer(stream);
  lowest.expires_after(x.request.timeouts.idle);
  if (auto ec = run_one(io, [&](auto&& done) { http::async_write(stream, message, done); })) return network_error(x.url, "request", ec);

  beast::flat_buffer buffer(size_t{1} << 18);
  http::response_parser<http::buffer_body> parser;
  parser.header_limit(64 * 1024);
  parser.body_limit(boost::none);
  if (x.request.method == "HEAD") parser.skip(true);
  lowest.expires_after(x.request.timeouts.idle);
  if (auto ec = run_one(io, [&](auto&& done) { http::async_read_header(stream, buffer, parser, done); })) {
    return network_error(x.url, "answer", ec);
  }

  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  response.url = x.url;
  for (const auto& field : parser.get()) response.headers[lower({field.name_string().data(), field.name_string().size()})] = std::string(field.value());
  const bool is_redirect = response.status >= 300 && response.status < 400 && !response.header("location").empty();
  if (is_redirect || response.status / 100 != 2 || x.request.method == "HEAD") return response;

  if (x.on_head) HANLIN_TRY(x.on_head(response));
  std::vector<uint8_t> block(size_t{1} << 17);
  while (!parser.is_done()) {
    parser.get().body().data = block.data();
    parser.get().body().size = block.size();
    lowest.expires_after(x.request.timeouts.idle);
    auto ec = run_one(io, [&](auto&& done) { http::async_read_some(stream, buffer, parser, done); });
    if (ec == http::error::need_buffer) ec = {};
    const size_t n_bytes = block.size() - parser.get().body().size;
    if (n_bytes > 0 && x.on_body) HANLIN_TRY(x.on_body({block.data(), n_bytes}));
    if (ec) return network_error(x.url, "transfer", ec);
  }
  return response;
}

// Asks an HTTP proxy for a tunnel to `url`.
Status open_tunnel(asio::io_context& io, beast::tcp_stream& stream, const Url& url, const HttpTimeouts& timeouts) {
  const std::string target = fmt::format("{}:{}", url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]", url.port);
  http::request<http::empty_body> message(http::verb::connect, target, 11);
  message.set(http::field::host, target);
  stream.expires_after(timeouts.connect);
  if (auto ec = run_one(io, [&](auto&& done) { http::async_write(stream, message, done); })) return network_error(url, "proxy request", ec);
  beast::flat_buffer buffer;
  http::response_parser<http::empty_body> parser;
  parser.skip(true);
  stream.expires_after(timeouts.idle);
  if (auto ec = run_one(io, [&](auto&& done) { http::async_read_header(stream, buffer, parser, done); })) return network_error(url, "proxy answer", ec);
  if (parser.get().result_int() / 100 != 2) {
    return Error{Code::kUnavailable, fmt::format("{}: the proxy refused the connection with status {}", url.authority(), parser.get().result_int())};
  }
  return {};
}

Result<HttpResponse> exchange(const Exchange& x) {
  HANLIN_ASSIGN(const std::optional<Url> proxy, proxy_for(x.url));
  const Url& server = proxy ? *proxy : x.url;
  const HttpTimeouts& timeouts = x.request.timeouts;
  HANLIN_ASSIGN(const Endpoints endpoints, look_up(server, timeouts.connect));

  asio::io_context io;
  beast::tcp_stream stream(io);
  stream.expires_after(timeouts.connect);
  if (auto ec = run_one(io, [&](auto&& done) { stream.async_connect(endpoints, done); })) return network_error(server, "connection", ec);

  if (x.url.scheme == "http") {
    Exchange plain = x;
    plain.absolute_target = proxy.has_value();
    return exchange_on(io, stream, plain);
  }
  if (proxy) HANLIN_TRY(open_tunnel(io, stream, x.url, timeouts));

  asio::ssl::context tls(asio::ssl::context::tls_client);
  tls.set_default_verify_paths();
  tls.set_verify_mode(asio::ssl::verify_peer);
  beast::ssl_stream<beast::tcp_stream> secure(std::move(stream), tls);
  secure.set_verify_callback(asio::ssl::host_name_verification(x.url.host));
  SSL_set_tlsext_host_name(secure.native_handle(), x.url.host.c_str());
  beast::get_lowest_layer(secure).expires_after(timeouts.connect);
  if (auto ec = run_one(io, [&](auto&& done) { secure.async_handshake(asio::ssl::stream_base::client, done); })) {
    return network_error(x.url, "TLS handshake", ec);
  }
  // The connection is simply dropped afterwards: lengths are checked, so a TLS farewell would add nothing.
  return exchange_on(io, secure, x);
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? "" : it->second;
}

std::optional<int64_t> HttpResponse::content_length() const {
  const std::string text = header("content-length");
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

Result<HttpResponse> http_send(const HttpRequest& request, const HeadSink& on_head, const BodySink& on_body) {
  Url url = request.url;
  for (int n_redirects = 0;; ++n_redirects) {
    const bool with_token = !request.bearer_token.empty() && url.same_server(request.url);
    HANLIN_ASSIGN(HttpResponse response, exchange({request, url, with_token, false, on_head, on_body}));
    const std::string location = response.header("location");
    const bool is_redirect = response.status == 301 || response.status == 302 || response.status == 303 || response.status == 307 || response.status == 308;
    if (!is_redirect || location.empty()) return response;
    HANLIN_ASSIGN(Url next, resolve_location(url, location));
    if (!request.follow_to_other_servers && !next.same_server(request.url)) return response;
    if (url.scheme == "https" && next.scheme == "http") {
      return Error{Code::kUnavailable, fmt::format("{}: redirected from https to http ({}): refused", url.shown(), next.authority())};
    }
    if (n_redirects == kMaxRedirects) return Error{Code::kUnavailable, fmt::format("{}: more than {} redirects", request.url.shown(), kMaxRedirects)};
    url = std::move(next);
  }
}

Error http_error(const HttpResponse& response) {
  const char* meaning = "unexpected answer";
  Code code = Code::kUnavailable;
  switch (response.status) {
    case 401: meaning = "needs a token: set HF_TOKEN"; break;
    case 403: meaning = "not allowed: accept the model's terms on its page, or check HF_TOKEN"; break;
    case 404: meaning = "not found"; code = Code::kNotFound; break;
    case 429: meaning = "too many requests: try again later"; break;
    default: if (response.status >= 500) meaning = "the server has a problem: try again later";
  }
  return Error{code, fmt::format("{}: {} {}", response.url.shown(), response.status, meaning)};
}

Result<std::string> http_get(const HttpRequest& request, size_t max_bytes) {
  std::string body;
  HANLIN_ASSIGN(const HttpResponse response, http_send(request, nullptr, [&](std::span<const uint8_t> bytes) -> Status {
    if (body.size() + bytes.size() > max_bytes) {
      return Error{Code::kResourceExhausted, fmt::format("{}: expected at most {} bytes", request.url.shown(), max_bytes)};
    }
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }));
  if (response.status / 100 != 2) return http_error(response);
  return body;
}

}  // namespace hanlin::hub
