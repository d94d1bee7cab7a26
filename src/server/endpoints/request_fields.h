// Parts of a request body that several endpoints share.
#pragma once

#include <string>
#include <vector>

#include "api/generate.h"
#include "api/models.h"
#include "base/json_fwd.h"
#include "server/endpoint.h"
#include "server/json_fields.h"

namespace hanlin::server {

// The model a body names in "model", or the first that can do the work. kNotFound with param "model" otherwise.
Result<const api::ServedModel*> generator_model(const EndpointContext& context, JsonFields& fields);
Result<const api::ServedModel*> embedder_model(const EndpointContext& context, JsonFields& fields);
Result<const api::ServedModel*> reranker_model(const EndpointContext& context, JsonFields& fields);

// Reads temperature, top_p, top_k, min_p, typical_p, the penalties, logit_bias, seed, stop, stop_token_ids, ignore_eos,
// include_stop_str_in_output, n, priority and timeout (seconds) into `request`, and its id and deadline from the context.
// Names and ranges as OpenAI's, the rest as vLLM's.
void read_generation_fields(const EndpointContext& context, JsonFields& fields, api::GenerateRequest* request);

// "dimensions": at most the model's own number, where that is known already. 0: all.
int64_t read_dimensions(JsonFields& fields, const api::Embedder& embedder);

// stream and stream_options.include_usage.
struct StreamFields {
  bool stream = false;
  bool include_usage = false;
};
StreamFields read_stream_fields(JsonFields& fields);

// "messages": a conversation of at least one message. Content may be text, or a list of text parts, which are joined.
std::vector<api::Message> read_messages(JsonFields& fields);

// What the answer must look like, from response_format (OpenAI: text, json_object, json_schema) or one of guided_json,
// guided_regex, guided_choice, guided_grammar and grammar (as vLLM and llama.cpp name them); at most one of them.
// The generator compiles it and refuses what cannot be enforced exactly.
void read_constraint(JsonFields& fields, api::GenerateRequest* request);

}  // namespace hanlin::server
