// One OpenAI-compatible service: its address, its key, and requests to it with retries.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json_fwd.h"
#include "base/rng.h"
#include "net/http_call.h"
#include "remote/options.h"
#include "remote/service_error.h"

namespace hanlin::remote {

// Immutable but for the random numbers of its back-off; safe from any thread.
class Service {
 public:
  // Errors: kInvalidArgument for an address that is none, or a key that cannot stand in a header.
  static Result<std::unique_ptr<Service>> create(const RemoteOptions& options);

  // How long a request may take as a whole: until `deadline` if there is one, and as the options say.
  net::CallLimits limits(std::optional<std::chrono::steady_clock::time_point> deadline, std::stop_token stop) const;

  // A try that failed; `retry_after` as the service asked.
  struct TryFailed {
    Failure failure;
    std::optional<std::chrono::milliseconds> retry_after = {};
  };
  // Runs `attempt` until it returns nothing (success), a failure that will not go away, or retries or time are over. Waits
  // between tries; never beyond the deadline. Errors: the last try's; kCancelled when stopped.
  Status with_retries(const net::CallLimits& limits, const std::function<std::optional<TryFailed>()>& attempt) const;

  // One try. `path` is appended to the base, as "/chat/completions"; a path that starts with "~/" stands beside the base's "/v1".
  // `on_body` takes the body of an answer with status 200 after `on_head` has accepted it; other answers become failures.
  std::optional<TryFailed> try_once(const std::string& method, const std::string& path, const std::string& body, const net::CallLimits& limits,
                                    net::HttpSinks sinks) const;

  // A whole JSON answer, with retries. Errors besides: kCorrupt (no JSON).
  Result<Json> call(const std::string& method, const std::string& path, const Json& body, const net::CallLimits& limits) const;

  // The service's own tokenizer, where it offers one beside its /v1 (Hanlin, vLLM); kUnsupported where it does not.
  Result<std::vector<int32_t>> tokenize(Json request) const;
  Result<std::string> detokenize(const std::vector<int32_t>& ids) const;

  const RemoteOptions& options() const { return options_; }
  const std::string& where() const { return where_; }        // "gpt at https://host/v1", for messages
  const std::string& key_hint() const { return key_hint_; }
  // A failure in the words of the service, without the key should it repeat it.
  Failure shown(Failure failure) const;

 private:
  Service(const RemoteOptions& options, hub::Url url, std::string key);

  const RemoteOptions options_;
  const hub::Url url_;
  const net::HttpRules rules_;
  const std::string key_;
  const std::string where_, key_hint_;
  mutable std::mutex mutex_;
  mutable Rng rng_;
};

}  // namespace hanlin::remote
