#include "server/error_map.h"

#include <fmt/format.h>

#include "base/json.h"

namespace hanlin::server {
namespace {

const char* error_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 429: return "rate_limit_error";
    case 503: return "service_unavailable_error";
    case 408:
    case 504: return "timeout_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

const char* default_code(const Error& error) {
  switch (error.code) {
    case Code::kNotFound: return error.param == "model" ? "model_not_found" : "not_found";
    case Code::kUnsupported: return "unsupported";
    case Code::kResourceExhausted: return "overloaded";
    case Code::kUnavailable: return "unavailable";
    case Code::kDeadlineExceeded: return "timeout";
    default: return nullptr;
  }
}

Json shape(const std::string& message, const char* type, const std::string& param, const char* code) {
  Json inner;
  inner["message"] = message;
  inner["type"] = type;
  inner["param"] = param.empty() ? Json() : Json(param);
  inner["code"] = code ? Json(code) : Json();
  Json outer;
  outer["error"] = std::move(inner);
  return outer;
}

}  // namespace

int http_status(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kCorrupt:
    case Code::kUnsupported: return 400;
    case Code::kNotFound: return 404;
    case Code::kResourceExhausted: return 429;
    case Code::kUnavailable: return 503;
    case Code::kDeadlineExceeded: return 504;
    case Code::kCancelled: return 499;
    case Code::kIo:
    case Code::kInternal: return 500;
  }
  return 500;
}

Json error_json(const Error& error) {
  return shape(error.message, error_type(http_status(error.code)), error.param, default_code(error));
}

HttpResponse error_response(const Error& error) {
  HttpResponse response = json_response(error_json(error), http_status(error.code));
  if (response.status == 429 || response.status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse http_error_response(int status, const std::string& message, const std::string& code) {
  HttpResponse response = json_response(shape(message, error_type(status), "", code.empty() ? nullptr : code.c_str()), status);
  if (status == 429 || status == 503) response.headers.emplace_back("Retry-After", "1");
  if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

Error model_error(Error error) {
  if (error.code == Code::kCorrupt) error.code = Code::kUnavailable;
  return error;
}

Error model_not_found(const std::string& name) {
  return {Code::kNotFound, fmt::format("model: \"{}\" is not served here; GET /v1/models lists those that are", name), "model"};
}

}  // namespace hanlin::server
