#include "server/endpoints/chat_answer.h"

#include <fmt/format.h>

#include <deque>

#include "base/json.h"
#include "server/sse.h"

namespace hanlin::server {
namespace {

using agent::Delta;

// As the field is called in answers.
std::string finish_reason(api::FinishReason reason, int n_calls, bool legacy) {
  if (reason != api::FinishReason::kStop || n_calls == 0) return finish_reason_name(reason);
  return legacy ? "function_call" : "tool_calls";
}

class ChatStream final : public GenerationAnswer {
 public:
  ChatStream(AnswerIdentity identity, ChatAnswerPlan plan) : head_(answer_head_text(identity)), plan_(std::move(plan)) {
    for (int i = 0; i < plan_.n_choices; ++i) choices_.emplace_back(plan_.turn);
  }
  bool streaming() const override { return true; }

  void on_event(SourcedEvent&& sourced, std::string* frames) override {
    api::TokenEvent& event = sourced.event;
    Choice& choice = choices_.at(static_cast<size_t>(event.choice_idx));
    const std::vector<Delta> deltas = choice.reader.read(event);
    for (api::TokenLogprob& token : event.tokens) choice.tokens.push_back(std::move(token));
    // The first chunk tells whether text comes; where calls are possible it waits until that is known.
    if (!choice.started && (!plan_.turn.tools || !deltas.empty() || event.finish)) {
      choice.started = true;
      const bool call = !deltas.empty() && deltas[0].kind == Delta::Kind::kCallBegin;
      add_chunk(event.choice_idx, call ? R"({"role":"assistant","content":null})" : R"({"role":"assistant","content":""})", "null", "null", frames);
    }
    for (const Delta& delta : deltas) {
      if (const std::string json = delta_json(delta); !json.empty()) add_chunk(event.choice_idx, json, take_logprobs(choice), "null", frames);
    }
    // Log-probabilities whose text is held back go with the next chunk, or alone.
    if (!choice.tokens.empty() && (!plan_.turn.tools || event.finish)) add_chunk(event.choice_idx, R"({"content":""})", take_logprobs(choice), "null", frames);
    if (event.finish) {
      add_chunk(event.choice_idx, "{}", "null", json_quoted(finish_reason(*event.finish, choice.reader.n_calls(), plan_.legacy_calls)), frames);
    }
    if (event.last) usage_ = event.usage;
  }

  std::string closing_frames() override {
    std::string frames;
    if (plan_.include_usage) frames = sse_frame(head_ + R"(,"choices":[],"usage":)" + dump_json(usage_json(usage_)) + "}");
    return frames.append(kSseDone);
  }

 private:
  struct Choice {
    explicit Choice(const agent::TurnPlan& plan) : reader(plan) {}
    agent::TurnReader reader;
    bool started = false;  // the role was sent
    std::vector<api::TokenLogprob> tokens = {};  // not sent yet
  };

  static std::string take_logprobs(Choice& choice) {
    return choice.tokens.empty() ? "null" : dump_json(chat_logprobs(std::exchange(choice.tokens, {})));
  }

  std::string delta_json(const Delta& delta) const {
    const std::string text = json_quoted(delta.text);
    switch (delta.kind) {
      case Delta::Kind::kContent: return R"({"content":)" + text + "}";
      case Delta::Kind::kReasoning: return R"({"reasoning_content":)" + text + "}";
      case Delta::Kind::kCallBegin:
        if (plan_.legacy_calls) return fmt::format(R"({{"function_call":{{"name":{},"arguments":""}}}})", text);
        return fmt::format(R"({{"tool_calls":[{{"index":{},"id":{},"type":"function","function":{{"name":{},"arguments":""}}}}]}})",
                           delta.call_idx, json_quoted(delta.id), text);
      case Delta::Kind::kArguments:
        if (plan_.legacy_calls) return fmt::format(R"({{"function_call":{{"arguments":{}}}}})", text);
        return fmt::format(R"({{"tool_calls":[{{"index":{},"function":{{"arguments":{}}}}}]}})", delta.call_idx, text);
      default: return {};
    }
  }

  void add_chunk(int choice_idx, const std::string& delta, const std::string& logprobs, const std::string& finish, std::string* frames) const {
    *frames += sse_frame(fmt::format(R"({},"choices":[{{"index":{},"delta":{},"logprobs":{},"finish_reason":{}}}]{}}})", head_, choice_idx, delta,
                                     logprobs, finish, plan_.include_usage ? R"(,"usage":null)" : ""));
  }

  const std::string head_;
  const ChatAnswerPlan plan_;
  std::deque<Choice> choices_;
  api::Usage usage_;
};

class ChatWhole final : public GenerationAnswer {
 public:
  ChatWhole(AnswerIdentity identity, ChatAnswerPlan plan) : identity_(std::move(identity)), plan_(std::move(plan)) {
    for (int i = 0; i < plan_.n_choices; ++i) choices_.emplace_back(plan_.turn);
  }
  bool streaming() const override { return false; }

  void on_event(SourcedEvent&& sourced, std::string*) override {
    api::TokenEvent& event = sourced.event;
    Choice& choice = choices_.at(static_cast<size_t>(event.choice_idx));
    choice.reply.add(choice.reader.read(event));
    for (api::TokenLogprob& token : event.tokens) choice.tokens.push_back(std::move(token));
    if (event.finish) choice.finish = *event.finish;
    if (event.last) usage_ = event.usage;
  }

  HttpResponse response() override {
    Json body = answer_head(identity_);
    Json choices = Json::array();
    for (size_t i = 0; i < choices_.size(); ++i) {
      const Choice& choice = choices_[i];
      Json entry = {{"index", i}};
      entry["message"] = choice.message(plan_.legacy_calls);
      entry["logprobs"] = plan_.logprobs ? chat_logprobs(choice.tokens) : Json();
      entry["finish_reason"] = finish_reason(choice.finish, choice.reader.n_calls(), plan_.legacy_calls);
      choices.push_back(std::move(entry));
    }
    body["choices"] = std::move(choices);
    body["usage"] = usage_json(usage_);
    return json_response(body);
  }

 private:
  struct Choice {
    explicit Choice(const agent::TurnPlan& plan) : reader(plan) {}
    agent::TurnReader reader;
    agent::Reply reply = {};
    std::vector<api::TokenLogprob> tokens = {};
    api::FinishReason finish = api::FinishReason::kStop;

    Json message(bool legacy) const {
      Json list = Json::array();
      for (const agent::Reply::Call& call : reply.complete_calls()) {
        Json function = {{"name", call.name}, {"arguments", call.arguments}};
        if (legacy) list.push_back(std::move(function));
        else list.push_back({{"id", call.id}, {"type", "function"}, {"function", std::move(function)}});
      }
      Json message = {{"role", "assistant"}};
      message["content"] = reply.content.empty() && !list.empty() ? Json() : Json(reply.content);
      if (!reply.reasoning.empty()) message["reasoning_content"] = reply.reasoning;
      if (!list.empty()) {
        if (legacy) message["function_call"] = std::move(list[0]);
        else message["tool_calls"] = std::move(list);
      }
      message["refusal"] = nullptr;
      return message;
    }
  };
  const AnswerIdentity identity_;
  const ChatAnswerPlan plan_;
  std::deque<Choice> choices_;
  api::Usage usage_;
};

}  // namespace

std::unique_ptr<GenerationAnswer> chat_stream(AnswerIdentity identity, ChatAnswerPlan plan) {
  return std::make_unique<ChatStream>(std::move(identity), std::move(plan));
}

std::unique_ptr<GenerationAnswer> chat_whole(AnswerIdentity identity, ChatAnswerPlan plan) {
  return std::make_unique<ChatWhole>(std::move(identity), std::move(plan));
}

}  // namespace hanlin::server
