// How a remote service is reached.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace hanlin::remote {

struct RemoteOptions {
  std::string name;      // as served here
  std::string base_url;  // "https://host/v1"
  std::string model;     // its name there
  std::string api_key_env = {};  // environment variable that holds the key; empty, or an unset variable: no key is sent
  std::string max_tokens_field = "max_tokens";  // api.openai.com wants "max_completion_tokens"
  int64_t context_length = 0;    // of the model there, in tokens; 0: not known

  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds first_byte_timeout{120'000};
  std::chrono::milliseconds silence_timeout{120'000};  // between two pieces of an answer
  std::chrono::milliseconds whole_timeout{600'000};    // one request with all its retries; an earlier deadline counts too

  int max_retries = 3;  // after the first try
  std::chrono::milliseconds first_backoff{500};  // doubles with each retry, and is shortened by up to a half at random
  std::chrono::milliseconds max_backoff{8'000};
  std::chrono::milliseconds max_retry_after{30'000};  // a service that asks for a longer wait is not asked again

  int max_running = 32;  // requests under way at once, one thread each
  int max_queue = 256;   // requests that wait for one of these; more are refused with kResourceExhausted
  int embed_batch = 128; // inputs in one embeddings request
};

}  // namespace hanlin::remote
