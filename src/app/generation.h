// What the terminal commands that generate text share: sampling options, and waiting for an answer.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "api/generate.h"
#include "base/fields.h"
#include "base/result.h"

namespace hanlin::app {

struct SamplingFlags {
  int64_t max_tokens = 0;  // 0: what the context holds
  double temperature = 0.7, top_p = 1.0, min_p = 0.0, repetition_penalty = 1.0;
  int64_t top_k = 0;
  int64_t seed = -1;  // below 0: another text each time
  std::vector<std::string> stop;

  void add_to(FieldSet& fields);
  void apply(api::GenerateRequest& request) const;
};

// Runs one request to its end. `on_text` sees every piece of text as it comes; Ctrl-C cancels. The last event is returned.
// Errors: what submit() refuses, and what ends the request early.
Result<api::TokenEvent> generate_to_end(api::TextGenerator& generator, api::GenerateRequest request,
                                        const std::function<void(const api::TokenEvent&)>& on_event);

// "24 tokens in, 130 out, first after 0.21 s, 41.3 tokens/s".
std::string speed_line(const api::TokenEvent& last);

// Everything on standard input.
Result<std::string> read_stdin();

}  // namespace hanlin::app
