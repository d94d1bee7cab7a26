#include "remote/answer_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"

namespace hanlin::remote {
namespace {

Error corrupt(const std::string& what) { return {Code::kCorrupt, "answer of the remote model: " + what}; }

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_at(const Json& object, const char* name) {
  const Json* value = member(object, name);
  return value && value->is_string() ? value->get<std::string>() : "";
}

int64_t integer_at(const Json& object, const char* name, int64_t usual) {
  const Json* value = member(object, name);
  return value && value->is_number_integer() ? value->get<int64_t>() : usual;
}

// The text of a token: its bytes where they are given, because the text of half a character is none.
std::string token_text(const Json& token) {
  const Json* bytes = member(token, "bytes");
  if (!bytes || !bytes->is_array()) return text_at(token, "token");
  std::string text;
  for (const Json& byte : *bytes) text.push_back(byte.is_number_integer() ? static_cast<char>(byte.get<int64_t>()) : '?');
  return text;
}

api::TokenLogprob chat_token(const Json& token) {
  api::TokenLogprob result{.id = -1, .text = token_text(token)};
  const Json* logprob = member(token, "logprob");
  if (logprob && logprob->is_number()) result.logprob = logprob->get<float>();
  else result.has_logprob = false;
  return result;
}

std::vector<api::TokenLogprob> chat_logprobs(const Json& logprobs) {
  std::vector<api::TokenLogprob> tokens;
  const Json* content = member(logprobs, "content");
  if (!content || !content->is_array()) return tokens;
  for (const Json& item : *content) {
    tokens.push_back(chat_token(item));
    const Json* top = member(item, "top_logprobs");
    if (!top || !top->is_array()) continue;
    for (const Json& other : *top) tokens.back().top.push_back(chat_token(other));
  }
  return tokens;
}

// "bytes:\xe4\xbd" as bytes; other names are the text.
std::string named_token(const std::string& name) {
  if (!name.starts_with("bytes:")) return name;
  std::string bytes;
  for (size_t at = 6; at + 4 <= name.size() && name.compare(at, 2, "\\x") == 0; at += 4) {
    bytes.push_back(static_cast<char>(std::strtol(name.substr(at + 2, 2).c_str(), nullptr, 16)));
  }
  return bytes.empty() ? name : bytes;
}

std::vector<api::TokenLogprob> completion_logprobs(const Json& logprobs) {
  std::vector<api::TokenLogprob> tokens;
  const Json *names = member(logprobs, "tokens"), *values = member(logprobs, "token_logprobs"), *tops = member(logprobs, "top_logprobs");
  if (!names || !names->is_array() || !values || !values->is_array() || values->size() != names->size()) return tokens;
  for (size_t i = 0; i < names->size(); ++i) {
    api::TokenLogprob& token = tokens.emplace_back();
    token.id = -1;
    token.text = (*names)[i].is_string() ? named_token((*names)[i].get<std::string>()) : "";
    token.has_logprob = (*values)[i].is_number();
    if (token.has_logprob) token.logprob = (*values)[i].get<float>();
    if (!tops || !tops->is_array() || i >= tops->size() || !(*tops)[i].is_object()) continue;
    for (const auto& [name, value] : (*tops)[i].items()) {
      if (value.is_number()) token.top.push_back({.id = -1, .text = named_token(name), .logprob = value.get<float>(), .top = {}});
    }
    std::stable_sort(token.top.begin(), token.top.end(), [](const auto& a, const auto& b) { return a.logprob > b.logprob; });
  }
  return tokens;
}

api::Usage usage_of(const Json& usage) {
  api::Usage result{integer_at(usage, "prompt_tokens", 0), integer_at(usage, "completion_tokens", 0), 0};
  if (const Json* details = member(usage, "prompt_tokens_details")) result.cached_tokens = integer_at(*details, "cached_tokens", 0);
  return result;
}

}  // namespace

AnswerReader::AnswerReader(int n_choices) : choices_(static_cast<size_t>(n_choices)), n_open_(choices_.size()) {}

Status AnswerReader::read(const Json& chunk, std::vector<api::TokenEvent>* events) {
  if (!chunk.is_object()) return corrupt("expected an object in each event, got other JSON");
  if (const Json* usage = member(chunk, "usage"); usage && usage->is_object()) usage_ = usage_of(*usage);
  const Json* choices = member(chunk, "choices");
  if (!choices) return {};  // some services send chunks about other things
  if (!choices->is_array()) return corrupt("expected a list of choices in a chunk");
  for (const Json& choice : *choices) HANLIN_TRY(read_choice(choice, events));
  return {};
}

Status AnswerReader::read_choice(const Json& json, std::vector<api::TokenEvent>* events) {
  if (!json.is_object()) return corrupt("expected objects as choices");
  const int64_t index = integer_at(json, "index", 0);
  if (index < 0 || index >= static_cast<int64_t>(choices_.size())) {
    return corrupt(fmt::format("expected choices 0 to {}, got one with the index {}", choices_.size() - 1, index));
  }
  Choice& choice = choices_[static_cast<size_t>(index)];
  if (choice.finished) return {};
  api::TokenEvent event;
  event.choice_idx = static_cast<int>(index);
  const Json* logprobs = member(json, "logprobs");
  if (const Json* delta = member(json, "delta")) {
    event.text = text_at(*delta, "content") + text_at(*delta, "refusal");
    event.reasoning = text_at(*delta, "reasoning_content");
    if (event.reasoning.empty()) event.reasoning = text_at(*delta, "reasoning");
    if (const Json* calls = member(*delta, "tool_calls")) read_calls(*calls, choice, &event);
    if (logprobs) event.tokens = chat_logprobs(*logprobs);
  } else {
    event.text = text_at(json, "text");
    if (logprobs) event.tokens = completion_logprobs(*logprobs);
  }
  const bool says_something = !event.text.empty() || !event.reasoning.empty() || !event.calls.empty() || !event.tokens.empty();
  event.n_new_tokens = event.tokens.empty() ? (says_something ? 1 : 0) : static_cast<int>(event.tokens.size());
  n_pieces_ += event.n_new_tokens;
  if (says_something) events->push_back(std::move(event));

  const std::string reason = text_at(json, "finish_reason");
  if (reason.empty()) return {};
  choice.finished = true;
  api::TokenEvent end;
  end.choice_idx = static_cast<int>(index);
  end.finish = reason == "length" ? api::FinishReason::kLength : api::FinishReason::kStop;
  end.stop_reason = text_at(json, "stop_reason");
  if (--n_open_ == 0) last_ = std::move(end);
  else events->push_back(std::move(end));
  return {};
}

// Services count calls differently: some leave the index out, or repeat it for every call with another id.
void AnswerReader::read_calls(const Json& list, Choice& choice, api::TokenEvent* event) {
  if (!list.is_array()) return;
  for (const Json& item : list) {
    const std::string id = text_at(item, "id");
    const Json* function = member(item, "function");
    const std::string name = function ? text_at(*function, "name") : "";
    const auto index = static_cast<int>(integer_at(item, "index", choice.calls.empty() ? 0 : choice.calls.back().index_there));
    auto call = std::find_if(choice.calls.rbegin(), choice.calls.rend(), [&](const Call& other) { return other.index_there == index; });
    const bool is_new = call == choice.calls.rend() || (!id.empty() && !call->id.empty() && call->id != id);
    if (is_new) {
      choice.calls.push_back({.id = id, .index_there = index});
      call = choice.calls.rbegin();
    }
    if (call->id.empty()) call->id = id;
    std::string arguments = function ? text_at(*function, "arguments") : "";
    if (const Json* object = function ? member(*function, "arguments") : nullptr; object && object->is_object()) arguments = dump_json(*object);
    api::ToolCallDelta delta;
    if (call->index < 0) {
      call->waiting += arguments;
      if (name.empty()) continue;
      call->index = choice.n_begun++;
      if (call->id.empty()) call->id = fmt::format("call_{}", call->index);
      delta.id = call->id;
      delta.name = name;
      arguments = std::exchange(call->waiting, {});
    }
    delta.index = call->index;
    delta.arguments = std::move(arguments);
    if (!delta.name.empty() || !delta.arguments.empty()) event->calls.push_back(std::move(delta));
  }
}

std::vector<api::TokenEvent> AnswerReader::end(bool cancelled) {
  std::vector<api::TokenEvent> events;
  if (n_open_ == 0) events.push_back(std::move(last_));
  for (size_t i = 0; i < choices_.size() && n_open_ > 0; ++i) {
    if (choices_[i].finished) continue;
    api::TokenEvent event;
    event.choice_idx = static_cast<int>(i);
    event.finish = cancelled ? api::FinishReason::kCancelled : api::FinishReason::kStop;
    events.push_back(std::move(event));
  }
  if (usage_.completion_tokens == 0) usage_.completion_tokens = n_pieces_;
  events.back().last = true;
  events.back().usage = usage_;
  return events;
}

}  // namespace hanlin::remote
