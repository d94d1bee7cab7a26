// Pieces of OpenAI's answers that several endpoints share.
#pragma once

#include <string>
#include <vector>

#include "api/generate.h"
#include "base/json_fwd.h"

namespace hanlin::server {

// What stands at the beginning of every object of one answer.
struct AnswerIdentity {
  std::string id;      // "chatcmpl-…"
  std::string object;  // "chat.completion.chunk"
  int64_t created = 0;
  std::string model;
};
AnswerIdentity make_identity(const std::string& id_prefix, const std::string& object, const std::string& request_id, const std::string& model);

// {"id","object","created","model","system_fingerprint"}
Json answer_head(const AnswerIdentity& identity);
// The same as text without the closing brace, for chunks put together by hand: one is made a token.
std::string answer_head_text(const AnswerIdentity& identity);

Json usage_json(const api::Usage& usage);
const char* finish_reason_name(api::FinishReason reason);

// Valid UTF-8 in any case: broken sequences become U+FFFD. JSON string literal with quotes.
std::string json_quoted(const std::string& text);

// {"content":[{"token","logprob","bytes","top_logprobs"}],"refusal":null}
Json chat_logprobs(const std::vector<api::TokenLogprob>& tokens);

// {"tokens","token_logprobs","top_logprobs","text_offset"}; offsets are in characters and start at `*offset`, which moves on.
Json completion_logprobs(const std::vector<api::TokenLogprob>& tokens, int64_t* offset);

// Characters (code points) of UTF-8 text.
int64_t count_characters(const std::string& text);

}  // namespace hanlin::server
