#include "remote/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <random>

#include "base/json.h"
#include "base/log.h"
#include "remote/retry.h"

namespace hanlin::remote {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t kMaxErrorBytes = 64 << 10;
constexpr size_t kMaxAnswerBytes = 256 << 20;

std::string without_end_slash(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  return text;
}

// The target of `path` under that of the base.
std::string target_of(const std::string& base_target, const std::string& path) {
  std::string base = without_end_slash(base_target);
  if (!path.starts_with("~/")) return base + path;
  if (base.ends_with("/v1")) base.resize(base.size() - 3);
  return base + path.substr(1);
}

// False when stopped.
bool wait_until(Clock::time_point when, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_until(lock, stop, when, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

Result<std::unique_ptr<Service>> Service::create(const RemoteOptions& options) {
  HANLIN_ASSIGN(hub::Url url, hub::parse_url(options.base_url));
  if (url.target.find('?') != std::string::npos) {
    return Error{Code::kInvalidArgument, fmt::format("{}: expected an address without '?', such as https://host/v1", options.name)};
  }
  const char* value = options.api_key_env.empty() ? nullptr : std::getenv(options.api_key_env.c_str());
  std::string key = value == nullptr ? "" : value;
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r' || key.back() == ' ')) key.pop_back();
  if (std::any_of(key.begin(), key.end(), [](unsigned char c) { return c < 0x21 || c == 0x7f; })) {
    return Error{Code::kInvalidArgument, fmt::format("{}: expected a key of printable characters, got others", options.api_key_env)};
  }
  return std::unique_ptr<Service>(new Service(options, std::move(url), std::move(key)));
}

Service::Service(const RemoteOptions& options, hub::Url url, std::string key)
    : options_(options), url_(std::move(url)), rules_(net::rules_for_server(url_)), key_(std::move(key)),
      where_(fmt::format("{} at {}", options.model, without_end_slash(url_.shown()))),
      key_hint_(options.api_key_env.empty() ? "no environment variable for its key is set up"
                : key_.empty()              ? fmt::format("the environment variable {} holds no key", options.api_key_env)
                                            : fmt::format("the key comes from the environment variable {}", options.api_key_env)),
      rng_(std::random_device{}()) {}

net::CallLimits Service::limits(std::optional<Clock::time_point> deadline, std::stop_token stop) const {
  net::CallLimits limits{.stop = std::move(stop), .connect = options_.connect_timeout, .first_byte = options_.first_byte_timeout, .silence = options_.silence_timeout};
  if (deadline) limits.deadline = *deadline;
  return net::within(limits, options_.whole_timeout);
}

Failure Service::shown(Failure failure) const {
  std::string& message = failure.error.message;
  static constexpr std::string_view kHidden = "***";
  for (size_t at = key_.empty() ? std::string::npos : message.find(key_); at != std::string::npos; at = message.find(key_, at + kHidden.size())) message.replace(at, key_.size(), kHidden);
  return failure;
}

Status Service::with_retries(const net::CallLimits& limits, const std::function<std::optional<TryFailed>()>& attempt) const {
  for (int retry = 0;; ++retry) {
    std::optional<TryFailed> failed = attempt();
    if (!failed) return {};
    const Error& error = failed->failure.error;
    if (!failed->failure.may_retry || retry >= options_.max_retries) return error;
    milliseconds wait{0};
    {
      const std::lock_guard lock(mutex_);
      wait = backoff(options_, retry, rng_);
    }
    if (failed->retry_after) {
      if (*failed->retry_after > options_.max_retry_after) return error;
      wait = std::max(wait, *failed->retry_after);
    }
    const Clock::time_point when = Clock::now() + wait;
    if (when >= limits.deadline) return error;
    log_debug(fmt::format("{}; trying again in {} ms ({} of {})", error.message, wait.count(), retry + 1, options_.max_retries));
    if (!wait_until(when, limits.stop)) return Error{Code::kCancelled, where_ + ": the request was cancelled"};
  }
}

std::optional<Service::TryFailed> Service::try_once(const std::string& method, const std::string& path, const std::string& body,
                                                    const net::CallLimits& limits, net::HttpSinks sinks) const {
  net::HttpCall call{.method = method, .url = url_, .headers = {{"Content-Type", "application/json"}}, .body = body};
  call.url.target = target_of(url_.target, path);
  if (!key_.empty()) call.headers.emplace_back("Authorization", "Bearer " + key_);
  std::string refusal;
  int status = 0;
  net::HttpSinks outer;
  outer.on_head = [&](const net::HttpAnswer& answer) -> Status {
    status = answer.status;
    return status == 200 && sinks.on_head ? sinks.on_head(answer) : Status();
  };
  outer.on_body = [&](std::string_view bytes) -> Result<bool> {
    if (status == 200) return sinks.on_body(bytes);
    refusal.append(bytes.substr(0, kMaxErrorBytes - std::min(kMaxErrorBytes, refusal.size())));
    return refusal.size() < kMaxErrorBytes;
  };
  Result<net::HttpAnswer> answer = net::http_call(call, rules_, limits, outer);
  // An answer that says no is complete enough even if its text breaks off.
  if (status != 0 && status != 200 && (answer.ok() || answer.error().code == Code::kUnavailable)) {
    TryFailed failed{shown(failure_of_answer(status, refusal, where_, key_hint_))};
    if (answer.ok()) failed.retry_after = parse_retry_after(answer->header("retry-after"), std::chrono::system_clock::now());
    return failed;
  }
  if (answer.ok()) return {};
  const bool may_retry = answer.error().code == Code::kUnavailable;
  return TryFailed{{std::move(answer).error().with_context(options_.model), may_retry}};
}

Result<Json> Service::call(const std::string& method, const std::string& path, const Json& body, const net::CallLimits& limits) const {
  const std::string text = method == "GET" ? "" : dump_json(body);
  std::string answer;
  net::HttpSinks sinks;
  sinks.on_body = [&](std::string_view bytes) -> Result<bool> {
    if (answer.size() + bytes.size() > kMaxAnswerBytes) return Error{Code::kCorrupt, fmt::format("{}: an answer of more than {} bytes", where_, kMaxAnswerBytes)};
    answer.append(bytes);
    return true;
  };
  HANLIN_TRY(with_retries(limits, [&] {
    answer.clear();
    return try_once(method, path, text, limits, sinks);
  }));
  Result<Json> json = parse_json(answer);
  if (json.ok() && json->is_object()) return json;
  return Error{Code::kCorrupt, fmt::format("{}: expected a JSON object as answer to {}, got {}", where_, path, json.ok() ? "other JSON" : json.error().message)};
}

Result<std::vector<int32_t>> Service::tokenize(Json request) const {
  request["model"] = options_.model;
  const Result<Json> answer = call("POST", "~/tokenize", request, limits({}, {}));
  if (!answer.ok() && answer.error().code == Code::kNotFound) return Error{Code::kUnsupported, where_ + ": the service offers no tokenizer (POST /tokenize)"};
  if (!answer.ok()) return answer.error();
  std::vector<int32_t> ids;
  const auto tokens = answer->find("tokens");
  if (tokens == answer->end() || !tokens->is_array()) return Error{Code::kCorrupt, where_ + ": expected a list \"tokens\" in the answer to /tokenize"};
  for (const Json& id : *tokens) {
    if (!id.is_number_integer()) return Error{Code::kCorrupt, where_ + ": expected token ids in the answer to /tokenize"};
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

Result<std::string> Service::detokenize(const std::vector<int32_t>& ids) const {
  const Result<Json> answer = call("POST", "~/detokenize", {{"model", options_.model}, {"tokens", ids}}, limits({}, {}));
  if (!answer.ok() && answer.error().code == Code::kNotFound) return Error{Code::kUnsupported, where_ + ": the service offers no tokenizer (POST /detokenize)"};
  if (!answer.ok()) return answer.error();
  const auto text = answer->find("prompt");
  if (text == answer->end() || !text->is_string()) return Error{Code::kCorrupt, where_ + ": expected a text \"prompt\" in the answer to /detokenize"};
  return text->get<std::string>();
}

}  // namespace hanlin::remote
