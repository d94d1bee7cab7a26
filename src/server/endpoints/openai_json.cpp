#include "server/endpoints/openai_json.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "base/json.h"

namespace hanlin::server {
namespace {

constexpr const char* kFingerprint = "hanlin-" HANLIN_VERSION;
constexpr double kLowestLogprob = -9999.0;  // what OpenAI sends for impossible tokens: JSON has no infinity

double finite_logprob(float logprob) {
  return std::isfinite(logprob) ? std::max<double>(logprob, kLowestLogprob) : kLowestLogprob;
}

bool is_valid_utf8(const std::string& text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

// How completions name a token: its text, or "bytes:\xe4\xbd" when that is no text.
std::string completion_token_name(const std::string& text) {
  if (is_valid_utf8(text)) return text;
  std::string name = "bytes:";
  for (const char c : text) name += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return name;
}

Json chat_token(const api::TokenLogprob& token) {
  Json bytes = Json::array();
  for (const char c : token.text) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", token.text}, {"logprob", finite_logprob(token.logprob)}, {"bytes", std::move(bytes)}};
}

}  // namespace

AnswerIdentity make_identity(const std::string& id_prefix, const std::string& object, const std::string& request_id, const std::string& model) {
  using namespace std::chrono;
  // Our own request ids begin with "req-", which would only be noise here.
  return {id_prefix + (request_id.starts_with("req-") ? request_id.substr(4) : request_id), object, duration_cast<seconds>(system_clock::now().time_since_epoch()).count(), model};
}

Json answer_head(const AnswerIdentity& identity) {
  return {{"id", identity.id}, {"object", identity.object}, {"created", identity.created}, {"model", identity.model}, {"system_fingerprint", kFingerprint}};
}

std::string answer_head_text(const AnswerIdentity& identity) {
  std::string text = dump_json(answer_head(identity));
  text.pop_back();
  return text;
}

Json usage_json(const api::Usage& usage) {
  Json json = {{"prompt_tokens", usage.prompt_tokens}, {"completion_tokens", usage.completion_tokens}, {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
  json["prompt_tokens_details"] = {{"cached_tokens", usage.cached_tokens}};
  return json;
}

const char* finish_reason_name(api::FinishReason reason) { return reason == api::FinishReason::kLength ? "length" : "stop"; }

std::string json_quoted(const std::string& text) { return dump_json(Json(text)); }

Json chat_logprobs(const std::vector<api::TokenLogprob>& tokens) {
  Json content = Json::array();
  for (const api::TokenLogprob& token : tokens) {
    Json entry = chat_token(token);
    Json top = Json::array();
    for (const api::TokenLogprob& other : token.top) top.push_back(chat_token(other));
    entry["top_logprobs"] = std::move(top);
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json completion_logprobs(const std::vector<api::TokenLogprob>& tokens, int64_t* offset) {
  Json names = Json::array(), logprobs = Json::array(), tops = Json::array(), offsets = Json::array();
  for (const api::TokenLogprob& token : tokens) {
    const std::string name = completion_token_name(token.text);
    names.push_back(name);
    offsets.push_back(*offset);
    *offset += count_characters(token.text);
    if (!token.has_logprob) {
      logprobs.push_back(nullptr);
      tops.push_back(nullptr);
      continue;
    }
    logprobs.push_back(finite_logprob(token.logprob));
    Json top = Json::object();
    for (const api::TokenLogprob& other : token.top) {
      // Different tokens may have the same text; the best comes first and stays.
      const std::string other_name = completion_token_name(other.text);
      if (!top.contains(other_name)) top[other_name] = finite_logprob(other.logprob);
    }
    if (!top.contains(name)) top[name] = finite_logprob(token.logprob);
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(names)}, {"token_logprobs", std::move(logprobs)}, {"top_logprobs", std::move(tops)}, {"text_offset", std::move(offsets)}};
}

int64_t count_characters(const std::string& text) {
  int64_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return n;
}

}  // namespace hanlin::server
