#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/json.h"
#include "server/endpoints/endpoints.h"
#include "server/endpoints/openai_json.h"
#include "server/endpoints/request_fields.h"
#include "server/error_map.h"
#include "server/sse.h"

namespace hanlin::server {
namespace {

constexpr size_t kMaxPrompts = 2048;
constexpr size_t kMaxPromptTokens = size_t{4} << 20;
constexpr int64_t kMaxLogprobs = 20;
constexpr int64_t kDefaultMaxTokens = 16;  // OpenAI's
constexpr int64_t kMaxBestOf = 128;

// What a request asks for beside the sampling.
struct CompletionPlan {
  std::vector<api::Prompt> prompts;
  int n = 1;            // choices to return for each prompt
  int n_generated = 1;  // choices to generate: best_of, or n
  int logprobs = -1;    // as asked for
  bool echo = false;
  bool include_usage = false;
};

// Puts together what one choice says; prompts' texts are known only when `echo` needs them.
struct Choice {
  std::string text;
  std::vector<api::TokenLogprob> tokens;
  api::FinishReason finish = api::FinishReason::kStop;
  double logprob_sum = 0;
  int64_t n_scored = 0;
  double mean_logprob() const { return n_scored > 0 ? logprob_sum / static_cast<double>(n_scored) : 0; }
};

class CompletionWhole final : public GenerationAnswer {
 public:
  CompletionWhole(AnswerIdentity identity, const CompletionPlan& plan, std::vector<std::string> echoed)
      : identity_(std::move(identity)), plan_(plan), echoed_(std::move(echoed)), prompt_tokens_(plan.prompts.size()) {
    choices_.resize(plan.prompts.size() * static_cast<size_t>(plan.n_generated));
  }
  bool streaming() const override { return false; }

  void on_event(SourcedEvent&& sourced, std::string*) override {
    api::TokenEvent& event = sourced.event;
    const auto prompt = static_cast<size_t>(sourced.source_idx);
    for (api::TokenLogprob& token : event.prompt_tokens) prompt_tokens_[prompt].push_back(std::move(token));
    Choice& choice = choices_.at(prompt * static_cast<size_t>(plan_.n_generated) + static_cast<size_t>(event.choice_idx));
    choice.text += event.text;
    for (api::TokenLogprob& token : event.tokens) {
      choice.logprob_sum += token.logprob;
      ++choice.n_scored;
      if (plan_.logprobs >= 0) choice.tokens.push_back(std::move(token));
    }
    if (event.finish) choice.finish = *event.finish;
    if (!event.last) return;
    usage_.prompt_tokens += event.usage.prompt_tokens;
    usage_.completion_tokens += event.usage.completion_tokens;
    usage_.cached_tokens += event.usage.cached_tokens;
  }

  HttpResponse response() override {
    Json list = Json::array();
    for (size_t prompt = 0; prompt < plan_.prompts.size(); ++prompt) {
      for (const size_t idx : best_choices(prompt)) list.push_back(choice_json(list.size(), prompt, choices_[idx]));
    }
    Json body = answer_head(identity_);
    body["choices"] = std::move(list);
    body["usage"] = usage_json(usage_);
    return json_response(body);
  }

 private:
  // The n choices of a prompt with the highest mean log probability, best first; all in order when none is left out.
  std::vector<size_t> best_choices(size_t prompt) const {
    std::vector<size_t> order(static_cast<size_t>(plan_.n_generated));
    std::iota(order.begin(), order.end(), prompt * order.size());
    if (plan_.n < plan_.n_generated) {
      std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return choices_[a].mean_logprob() > choices_[b].mean_logprob(); });
      order.resize(static_cast<size_t>(plan_.n));
    }
    return order;
  }

  Json choice_json(size_t index, size_t prompt, const Choice& choice) const {
    Json json = {{"text", plan_.echo ? echoed_[prompt] + choice.text : choice.text}, {"index", index}};
    json["logprobs"] = nullptr;
    if (plan_.logprobs >= 0) {
      std::vector<api::TokenLogprob> tokens = plan_.echo ? prompt_tokens_[prompt] : std::vector<api::TokenLogprob>();
      tokens.insert(tokens.end(), choice.tokens.begin(), choice.tokens.end());
      int64_t offset = 0;
      json["logprobs"] = completion_logprobs(tokens, &offset);
    }
    json["finish_reason"] = finish_reason_name(choice.finish);
    return json;
  }

  const AnswerIdentity identity_;
  const CompletionPlan plan_;
  const std::vector<std::string> echoed_;  // by prompt, when echo
  std::vector<std::vector<api::TokenLogprob>> prompt_tokens_;
  std::vector<Choice> choices_;  // [prompt, choice]
  api::Usage usage_;
};

class CompletionStream final : public GenerationAnswer {
 public:
  CompletionStream(AnswerIdentity identity, const CompletionPlan& plan, std::vector<std::string> echoed)
      : head_(answer_head_text(identity)), plan_(plan), echoed_(std::move(echoed)) {
    choices_.resize(plan.prompts.size() * static_cast<size_t>(plan.n));
    prompt_tokens_.resize(plan.prompts.size());
  }
  bool streaming() const override { return true; }

  void on_event(SourcedEvent&& sourced, std::string* frames) override {
    api::TokenEvent& event = sourced.event;
    const auto prompt = static_cast<size_t>(sourced.source_idx);
    const size_t index = prompt * static_cast<size_t>(plan_.n) + static_cast<size_t>(event.choice_idx);
    if (!event.prompt_tokens.empty()) prompt_tokens_[prompt] = std::move(event.prompt_tokens);
    State& state = choices_.at(index);
    std::string text = std::move(event.text);
    std::vector<api::TokenLogprob> tokens;
    if (plan_.echo && !state.started) {
      text = echoed_[prompt] + text;
      tokens = prompt_tokens_[prompt];
    }
    state.started = true;
    for (api::TokenLogprob& token : event.tokens) tokens.push_back(std::move(token));
    if (!text.empty() || !tokens.empty() || event.finish) add_chunk(index, text, tokens, event.finish, &state, frames);
    if (!event.last) return;
    usage_.prompt_tokens += event.usage.prompt_tokens;
    usage_.completion_tokens += event.usage.completion_tokens;
    usage_.cached_tokens += event.usage.cached_tokens;
  }

  std::string closing_frames() override {
    std::string frames;
    if (plan_.include_usage) frames = sse_frame(head_ + R"(,"choices":[],"usage":)" + dump_json(usage_json(usage_)) + "}");
    return frames.append(kSseDone);
  }

 private:
  struct State {
    bool started = false;
    int64_t text_offset = 0;
  };

  void add_chunk(size_t index, const std::string& text, const std::vector<api::TokenLogprob>& tokens, std::optional<api::FinishReason> finish,
                 State* state, std::string* frames) const {
    const std::string logprobs = plan_.logprobs >= 0 && !tokens.empty() ? dump_json(completion_logprobs(tokens, &state->text_offset)) : "null";
    const std::string reason = finish ? fmt::format("\"{}\"", finish_reason_name(*finish)) : "null";
    *frames += sse_frame(fmt::format(R"({},"choices":[{{"text":{},"index":{},"logprobs":{},"finish_reason":{}}}]{}}})", head_, json_quoted(text),
                                     index, logprobs, reason, plan_.include_usage ? R"(,"usage":null)" : ""));
  }

  const std::string head_;
  const CompletionPlan plan_;
  const std::vector<std::string> echoed_;
  std::vector<State> choices_;  // [prompt, choice]
  std::vector<std::vector<api::TokenLogprob>> prompt_tokens_;
  api::Usage usage_;
};

// "prompt": a text, a list of texts, a list of token ids, or a list of lists of them.
std::vector<api::Prompt> read_prompts(JsonFields& fields) {
  std::vector<api::Prompt> prompts;
  const bool add_special = fields.boolean("add_special_tokens", true);
  const Json* value = fields.find("prompt");
  if (!value) {
    fields.fail("prompt", "expected a text, a list of texts, a list of token ids or a list of such lists, got nothing");
    return prompts;
  }
  const auto add_text = [&](const Json& text) { prompts.push_back(api::TextPrompt{text.get<std::string>(), add_special}); };
  const auto add_ids = [&](const Json& ids) {
    Result<std::vector<int32_t>> parsed = parse_token_ids(ids, "prompt", kMaxPromptTokens);
    if (!parsed.ok()) return fields.fail(parsed.error());
    if (parsed->empty()) return fields.fail("prompt", "expected at least one token id, got an empty list");
    prompts.push_back(api::TokenPrompt{std::move(parsed).value()});
  };
  if (value->is_string()) {
    add_text(*value);
  } else if (!value->is_array() || value->empty()) {
    fields.fail("prompt", "expected a text, a list of texts, a list of token ids or a list of such lists, got " + describe_json(*value));
  } else if ((*value)[0].is_number()) {
    add_ids(*value);
  } else if (value->size() > kMaxPrompts) {
    fields.fail("prompt", fmt::format("expected at most {} prompts, got {}", kMaxPrompts, value->size()));
  } else {
    for (const Json& item : *value) {
      if (item.is_string()) add_text(item);
      else if (item.is_array()) add_ids(item);
      else fields.fail("prompt", "expected texts or lists of token ids in the list, got " + describe_json(item));
    }
  }
  return prompts;
}

CompletionPlan read_plan(JsonFields& fields, const api::GenerateRequest& request, const StreamFields& stream) {
  CompletionPlan plan;
  plan.prompts = read_prompts(fields);
  plan.n = request.n;
  plan.n_generated = static_cast<int>(fields.integer("best_of", request.n, 1, kMaxBestOf));
  if (plan.n_generated < plan.n) fields.fail("best_of", fmt::format("expected at least n = {}, got {}", plan.n, plan.n_generated));
  if (plan.n_generated > plan.n && stream.stream) fields.fail("best_of", "cannot be streamed: the best choice is known at the end");
  plan.logprobs = static_cast<int>(fields.integer("logprobs", -1, 0, kMaxLogprobs));
  plan.echo = fields.boolean("echo", false);
  plan.include_usage = stream.include_usage;
  if (const Json* suffix = fields.find("suffix"); suffix && !(suffix->is_string() && suffix->get<std::string>().empty())) {
    fields.fail("suffix", "is not supported by this endpoint yet", Code::kUnsupported);
  }
  return plan;
}

// The text of each prompt, for echo.
Result<std::vector<std::string>> echoed_texts(const CompletionPlan& plan, const api::TextGenerator& generator) {
  std::vector<std::string> texts;
  if (!plan.echo) return texts;
  for (const api::Prompt& prompt : plan.prompts) {
    if (const auto* text = std::get_if<api::TextPrompt>(&prompt)) {
      texts.push_back(text->text);
    } else {
      HANLIN_ASSIGN(std::string text_of_ids, generator.detokenize(std::get<api::TokenPrompt>(prompt).ids));
      texts.push_back(std::move(text_of_ids));
    }
  }
  return texts;
}

// Submits every prompt, or none: those already submitted are cancelled when one is refused.
Status submit_all(const EndpointContext& context, api::TextGenerator& generator, const api::GenerateRequest& request,
                  const CompletionPlan& plan, RunningGeneration* running) {
  for (size_t i = 0; i < plan.prompts.size(); ++i) {
    api::GenerateRequest one = request;
    one.prompt = plan.prompts[i];
    if (plan.prompts.size() > 1) {
      one.id += fmt::format("-{}", i);
      if (one.sampling.seed) *one.sampling.seed += i;
    }
    Result<std::shared_ptr<api::Generation>> generation = generator.submit(std::move(one), context.channel->sink(static_cast<int>(i)));
    if (!generation.ok()) {
      for (const auto& started : running->generations) started->cancel();
      Error error = std::move(generation).error();
      return plan.prompts.size() > 1 ? std::move(error).with_context(fmt::format("prompt[{}]", i)) : error;
    }
    running->generations.push_back(std::move(generation).value());
  }
  return {};
}

Result<RunningGeneration> start_completion(const EndpointContext& context) {
  HANLIN_ASSIGN(const Json body, parse_body(context.request.body));
  JsonFields fields(body);
  HANLIN_ASSIGN(const api::ServedModel* model, generator_model(context, fields));
  api::GenerateRequest request;
  read_generation_fields(context, fields, &request);
  read_constraint(fields, &request);
  const StreamFields stream = read_stream_fields(fields);
  const CompletionPlan plan = read_plan(fields, request, stream);
  request.max_tokens = fields.integer("max_tokens", kDefaultMaxTokens, 0, INT64_MAX);
  HANLIN_TRY(fields.status());
  request.n = plan.n_generated;
  request.logprobs = plan.n_generated > plan.n ? std::max(plan.logprobs, 0) : plan.logprobs;
  request.prompt_logprobs = plan.echo ? plan.logprobs : -1;

  HANLIN_ASSIGN(std::vector<std::string> echoed, echoed_texts(plan, *model->generator));
  RunningGeneration running;
  running.model = model->name;
  AnswerIdentity identity = make_identity("cmpl-", "text_completion", context.request_id, model->name);
  if (stream.stream) running.answer = std::make_unique<CompletionStream>(std::move(identity), plan, std::move(echoed));
  else running.answer = std::make_unique<CompletionWhole>(std::move(identity), plan, std::move(echoed));
  HANLIN_TRY(submit_all(context, *model->generator, request, plan, &running));
  return running;
}

}  // namespace

Reply completions(const EndpointContext& context) {
  Result<RunningGeneration> running = start_completion(context);
  if (!running.ok()) return error_response(running.error());
  return std::move(running).value();
}

}  // namespace hanlin::server
