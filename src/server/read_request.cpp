#include "server/read_request.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "server/error_map.h"

namespace hanlin::server {
namespace {

namespace http = boost::beast::http;
using Parser = http::request_parser<http::string_body>;

std::string lower_case(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

ReadResult refused(int status, const std::string& message, const std::string& code) {
  ReadResult result;
  result.kind = ReadResult::Kind::kRefused;
  result.refusal = http_error_response(status, message, code);
  return result;
}

// What a failed read means: nothing to say to a client that left, a clear answer to one that is still there.
ReadResult read_failure(const boost::system::error_code& error, const Connection& connection, bool anything_received,
                        const ServerOptions& options) {
  if (connection.aborted()) return {};
  if (connection.timed_out()) {
    return anything_received ? refused(408, "request: it did not arrive completely in the time allowed", "request_timeout") : ReadResult{};
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return refused(431, fmt::format("header: expected at most {} bytes", options.max_header_bytes), "header_too_large");
  }
  if (error == http::error::body_limit) {
    return refused(413, fmt::format("body: expected at most {} bytes", options.max_body_bytes), "body_too_large");
  }
  if (error == http::error::end_of_stream) return {};
  if (error == http::error::partial_message) {  // the client has stopped sending; it may still listen
    return refused(400, "request: expected it whole, got an end in the middle", "malformed_http");
  }
  if (error.category() == make_error_code(http::error::bad_method).category()) {
    return refused(400, "request: malformed HTTP: " + error.message(), "malformed_http");
  }
  return {};  // a network error: nobody to answer
}

HttpRequest to_request(http::request<http::string_body>& message) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.version = static_cast<int>(message.version());
  request.keep_alive = message.keep_alive();
  for (const auto& field : message) {
    const auto name = field.name_string();
    const auto value = field.value();
    request.headers.emplace_back(lower_case({name.data(), name.size()}), std::string(value.data(), value.size()));
  }
  request.body = std::move(message.body());
  return request;
}

// The path of `message`, or why the request cannot be understood.
std::optional<HttpResponse> check_header(const http::request<http::string_body>& message, HttpRequest* request) {
  const auto target = message.target();
  auto split = split_target({target.data(), target.size()});
  if (!split) return http_error_response(400, "request target: expected a path like /v1/models", "malformed_http");
  request->path = std::move(split->first);
  request->query = std::move(split->second);
  if (message.version() != 10 && message.version() != 11) {
    return http_error_response(505, "HTTP version: expected 1.0 or 1.1", "unsupported_http_version");
  }
  if (message.version() == 11 && message.count(http::field::host) != 1) {
    return http_error_response(400, fmt::format("header: expected one Host line, got {}", message.count(http::field::host)), "malformed_http");
  }
  return std::nullopt;
}

}  // namespace

asio::awaitable<ReadResult> read_request(std::shared_ptr<Connection> connection, const ServerOptions& options) {
  if (!co_await connection->wait_readable(options.idle_timeout)) co_return ReadResult{};

  Parser parser;
  parser.header_limit(static_cast<uint32_t>(options.max_header_bytes));
  parser.body_limit(options.max_body_bytes);
  connection->arm_deadline(options.header_timeout);
  const auto [header_error, n_header] = co_await http::async_read_header(connection->socket(), connection->buffer(), parser, kNoThrow);
  connection->disarm_deadline();
  if (header_error) {
    ReadResult result = read_failure(header_error, *connection, parser.got_some() || connection->buffer().size() > 0, options);
    if (parser.is_header_done() || header_error == http::error::body_limit) {
      result.request = to_request(parser.get());
      (void)check_header(parser.get(), &result.request);
    }
    co_return result;
  }

  ReadResult result;
  HttpRequest checked;
  if (auto refusal = check_header(parser.get(), &checked)) {
    result.kind = ReadResult::Kind::kRefused;
    result.refusal = std::move(*refusal);
    result.request = to_request(parser.get());
    co_return result;
  }
  const auto expect = parser.get()[http::field::expect];
  if (!expect.empty() && !parser.is_done()) {
    if (!equals_ignoring_case({expect.data(), expect.size()}, "100-continue")) {
      co_return refused(417, "Expect: expected 100-continue", "expectation_failed");
    }
    std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
    const bool written = co_await connection->write(std::move(interim), options.write_timeout);
    if (!written) co_return ReadResult{};
  }
  if (!parser.is_done()) {
    connection->arm_deadline(options.body_timeout);
    const auto [body_error, n_body] = co_await http::async_read(connection->socket(), connection->buffer(), parser, kNoThrow);
    connection->disarm_deadline();
    if (body_error) {
      result = read_failure(body_error, *connection, true, options);
      result.request = to_request(parser.get());
      result.request.path = std::move(checked.path);
      co_return result;
    }
  }
  result.kind = ReadResult::Kind::kRequest;
  result.request = to_request(parser.get());
  result.request.path = std::move(checked.path);
  result.request.query = std::move(checked.query);
  co_return result;
}

}  // namespace hanlin::server
