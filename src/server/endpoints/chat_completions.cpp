#include <fmt/format.h>

#include "base/json.h"
#include "server/endpoints/endpoints.h"
#include "server/endpoints/openai_json.h"
#include "server/endpoints/request_fields.h"
#include "server/error_map.h"
#include "server/sse.h"

namespace hanlin::server {
namespace {

constexpr int64_t kMaxTopLogprobs = 20;

// Chunks of a streamed chat answer, byte for byte as OpenAI frames them: the role first, then text, then the reason to finish.
class ChatStream final : public GenerationAnswer {
 public:
  ChatStream(AnswerIdentity identity, int n_choices, bool include_usage)
      : head_(answer_head_text(identity)), started_(static_cast<size_t>(n_choices)), include_usage_(include_usage) {}
  bool streaming() const override { return true; }

  void on_event(SourcedEvent&& sourced, std::string* frames) override {
    const api::TokenEvent& event = sourced.event;
    const auto choice = static_cast<size_t>(event.choice_idx);
    if (choice < started_.size() && !started_[choice]) {
      started_[choice] = true;
      add_chunk(event.choice_idx, R"({"role":"assistant","content":""})", "null", "null", frames);
    }
    if (!event.text.empty() || !event.tokens.empty()) {
      const std::string logprobs = event.tokens.empty() ? "null" : dump_json(chat_logprobs(event.tokens));
      add_chunk(event.choice_idx, R"({"content":)" + json_quoted(event.text) + "}", logprobs, "null", frames);
    }
    if (event.finish) add_chunk(event.choice_idx, "{}", "null", fmt::format("\"{}\"", finish_reason_name(*event.finish)), frames);
    if (event.last) usage_ = event.usage;
  }

  std::string closing_frames() override {
    std::string frames;
    if (include_usage_) frames = sse_frame(head_ + R"(,"choices":[],"usage":)" + dump_json(usage_json(usage_)) + "}");
    return frames.append(kSseDone);
  }

 private:
  void add_chunk(int choice_idx, const std::string& delta, const std::string& logprobs, const std::string& finish, std::string* frames) const {
    *frames += sse_frame(fmt::format(R"({},"choices":[{{"index":{},"delta":{},"logprobs":{},"finish_reason":{}}}]{}}})", head_, choice_idx, delta,
                                     logprobs, finish, include_usage_ ? R"(,"usage":null)" : ""));
  }

  const std::string head_;
  std::vector<bool> started_;  // by choice: the role was sent
  const bool include_usage_;
  api::Usage usage_;
};

class ChatWhole final : public GenerationAnswer {
 public:
  ChatWhole(AnswerIdentity identity, int n_choices, bool logprobs)
      : identity_(std::move(identity)), choices_(static_cast<size_t>(n_choices)), logprobs_(logprobs) {}
  bool streaming() const override { return false; }

  void on_event(SourcedEvent&& sourced, std::string*) override {
    api::TokenEvent& event = sourced.event;
    Choice& choice = choices_.at(static_cast<size_t>(event.choice_idx));
    choice.text += event.text;
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
      entry["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
      entry["logprobs"] = logprobs_ ? chat_logprobs(choice.tokens) : Json();
      entry["finish_reason"] = finish_reason_name(choice.finish);
      choices.push_back(std::move(entry));
    }
    body["choices"] = std::move(choices);
    body["usage"] = usage_json(usage_);
    return json_response(body);
  }

 private:
  struct Choice {
    std::string text;
    std::vector<api::TokenLogprob> tokens;
    api::FinishReason finish = api::FinishReason::kStop;
  };
  const AnswerIdentity identity_;
  std::vector<Choice> choices_;
  const bool logprobs_;
  api::Usage usage_;
};

// tools go to the template; a call that must happen cannot be promised yet.
std::string read_tools(JsonFields& fields) {
  for (const char* legacy : {"functions", "function_call"}) {
    if (fields.find(legacy)) fields.fail(legacy, "the legacy form is not supported; use \"tools\"", Code::kUnsupported);
  }
  const Json* choice = fields.find("tool_choice");
  if (choice && !(choice->is_string() && (*choice == "auto" || *choice == "none"))) {
    if (choice->is_object() || (choice->is_string() && *choice == "required")) {
      fields.fail("tool_choice", "only \"auto\" and \"none\" are supported yet", Code::kUnsupported);
    } else {
      fields.fail("tool_choice", "expected \"auto\" or \"none\", got " + describe_json(*choice));
    }
  }
  const Json* tools = fields.find("tools");
  if (!tools) return {};
  if (!tools->is_array()) {
    fields.fail("tools", "expected a list, got " + describe_json(*tools));
    return {};
  }
  for (size_t i = 0; i < tools->size(); ++i) {
    const Json& tool = (*tools)[i];
    if (!tool.is_object() || !tool.contains("function") || !tool["function"].is_object() || !tool["function"].contains("name") ||
        !tool["function"]["name"].is_string()) {
      fields.fail(fmt::format("tools[{}]", i), "expected {\"type\":\"function\",\"function\":{\"name\":…}}");
    }
  }
  return tools->empty() || (choice && *choice == "none") ? std::string() : dump_json(*tools);
}

void read_logprobs(JsonFields& fields, api::GenerateRequest* request) {
  const bool wanted = fields.boolean("logprobs", false);
  const int64_t n_top = fields.integer("top_logprobs", 0, 0, kMaxTopLogprobs);
  if (n_top > 0 && !wanted) fields.fail("top_logprobs", "expected only together with \"logprobs\": true");
  if (wanted) request->logprobs = static_cast<int>(n_top);
}

Result<api::ChatPrompt> read_chat_prompt(JsonFields& fields) {
  api::ChatPrompt prompt;
  prompt.messages = read_messages(fields);
  prompt.tools_json = read_tools(fields);
  if (const Json* kwargs = fields.find("chat_template_kwargs")) {
    if (kwargs->is_object()) prompt.template_kwargs_json = dump_json(*kwargs);
    else fields.fail("chat_template_kwargs", "expected an object, got " + describe_json(*kwargs));
  }
  prompt.add_generation_prompt = fields.boolean("add_generation_prompt", true);
  HANLIN_TRY(fields.status());
  return prompt;
}

Result<RunningGeneration> start_chat(const EndpointContext& context) {
  HANLIN_ASSIGN(const Json body, parse_body(context.request.body));
  JsonFields fields(body);
  HANLIN_ASSIGN(const api::ServedModel* model, generator_model(context, fields));
  api::GenerateRequest request;
  read_generation_fields(context, fields, &request);
  read_constraint(fields, &request);
  read_logprobs(fields, &request);
  request.max_tokens = fields.optional_integer("max_tokens", 1, INT64_MAX);
  if (const auto newer = fields.optional_integer("max_completion_tokens", 1, INT64_MAX)) request.max_tokens = newer;
  const StreamFields stream = read_stream_fields(fields);
  HANLIN_ASSIGN(request.prompt, read_chat_prompt(fields));

  RunningGeneration running;
  running.model = model->name;
  AnswerIdentity identity = make_identity("chatcmpl-", stream.stream ? "chat.completion.chunk" : "chat.completion", context.request_id, model->name);
  if (stream.stream) running.answer = std::make_unique<ChatStream>(std::move(identity), request.n, stream.include_usage);
  else running.answer = std::make_unique<ChatWhole>(std::move(identity), request.n, request.logprobs >= 0);
  HANLIN_ASSIGN(auto generation, model->generator->submit(std::move(request), context.channel->sink(0)));
  running.generations.push_back(std::move(generation));
  return running;
}

}  // namespace

Reply chat_completions(const EndpointContext& context) {
  Result<RunningGeneration> running = start_chat(context);
  if (!running.ok()) return error_response(running.error());
  return std::move(running).value();
}

}  // namespace hanlin::server
