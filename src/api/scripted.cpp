#include "api/scripted.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace hanlin::api {
namespace {

std::vector<int32_t> bytes_of(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

Result<std::string> text_of(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) {
    if (id < 0 || id > 255) {
      return Error{Code::kInvalidArgument, fmt::format("token id: expected 0 to 255, got {}", id), "tokens"};
    }
    text.push_back(static_cast<char>(id));
  }
  return text;
}

TokenLogprob scored_token(const std::string& text, int n_alternatives) {
  TokenLogprob token;
  token.id = text.empty() ? 0 : static_cast<unsigned char>(text[0]);
  token.text = text;
  token.logprob = -0.5f;
  for (int i = 0; i < n_alternatives; ++i) {
    TokenLogprob other;
    other.id = i == 0 ? token.id : 1000 + i;
    other.text = i == 0 ? text : fmt::format("alt{}", i);
    other.logprob = i == 0 ? -0.5f : -static_cast<float>(i);
    token.top.push_back(other);
  }
  return token;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

}  // namespace

Script parrot_script(const GenerateRequest& request, const std::string& prompt_text) {
  std::string said = prompt_text;
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt); chat && !chat->messages.empty()) {
    said = chat->messages.back().content;
  }
  Script script;
  script.tokens = {"You", " said:"};
  std::string token = " ";
  for (const char c : said) {
    if (c == ' ' && token.size() > 1) {
      script.tokens.push_back(token);
      token.clear();
    }
    token.push_back(c);
  }
  script.tokens.push_back(token);
  return script;
}

struct ScriptedGenerator::Running {
  GenerateRequest request;
  TokenSink sink;
  Script script;
  std::string prompt_text;
  int64_t prompt_tokens = 0;
  size_t n_steps_done = 0;
  bool cancelled = false, paused = false, finished = false;
};

class ScriptedGenerator::Handle final : public Generation {
 public:
  Handle(ScriptedGenerator& owner, std::shared_ptr<Running> running) : owner_(owner), running_(std::move(running)) {}
  void cancel() override {
    const std::lock_guard lock(owner_.mutex_);
    running_->cancelled = true;
    owner_.changed_.notify_all();
  }
  void set_paused(bool paused) override {
    const std::lock_guard lock(owner_.mutex_);
    running_->paused = paused;
    ++(paused ? owner_.counts_.n_pauses : owner_.counts_.n_resumes);
    owner_.changed_.notify_all();
  }
  int64_t prompt_tokens() const override { return running_->prompt_tokens; }

 private:
  ScriptedGenerator& owner_;
  std::shared_ptr<Running> running_;
};

ScriptedGenerator::ScriptedGenerator(ModelInfo info, ScriptFn script)
    : info_(std::move(info)), script_(std::move(script)), engine_(&ScriptedGenerator::engine_loop, this) {}

ScriptedGenerator::~ScriptedGenerator() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& running : running_) running->cancelled = true;
    changed_.notify_all();
  }
  engine_.join();
}

Result<std::shared_ptr<Generation>> ScriptedGenerator::submit(GenerateRequest request, TokenSink sink) {
  auto running = std::make_shared<Running>();
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    HANLIN_ASSIGN(running->prompt_text, render_chat(*chat));
  } else if (const auto* text = std::get_if<TextPrompt>(&request.prompt)) {
    running->prompt_text = text->text;
  } else {
    HANLIN_ASSIGN(running->prompt_text, text_of(std::get<TokenPrompt>(request.prompt).ids));
  }
  running->prompt_tokens = static_cast<int64_t>(running->prompt_text.size());
  if (info_.context_length > 0 && running->prompt_tokens > info_.context_length) {
    return Error{Code::kInvalidArgument, fmt::format("prompt: expected at most {} tokens, got {}: {} too many", info_.context_length,
                                                     running->prompt_tokens, running->prompt_tokens - info_.context_length), "messages"};
  }
  running->script = script_(request, running->prompt_text);
  const std::lock_guard lock(mutex_);
  last_request_ = request;
  if (running->script.submit_error) return *running->script.submit_error;
  running->request = std::move(request);
  running->sink = std::move(sink);
  running_.push_back(running);
  ++counts_.n_submitted;
  prompt_tokens_total_ += running->prompt_tokens;
  changed_.notify_all();
  return std::shared_ptr<Generation>(std::make_shared<Handle>(*this, std::move(running)));
}

void ScriptedGenerator::engine_loop() {
  std::unique_lock lock(mutex_);
  const auto has_work = [](const std::shared_ptr<Running>& r) { return r->cancelled || !r->paused; };
  while (true) {
    changed_.wait(lock, [&] {
      if (stopping_) return true;
      // A cancelled request ends even while steps are held back.
      return std::any_of(running_.begin(), running_.end(), [&](const auto& r) { return steps_allowed_ == 0 ? r->cancelled : has_work(r); });
    });
    if (stopping_ && running_.empty()) return;
    const std::vector<std::shared_ptr<Running>> batch = running_;
    const bool may_step = steps_allowed_ != 0;
    if (steps_allowed_ > 0) --steps_allowed_;
    for (const auto& running : batch) {
      if (running->cancelled || (may_step && !running->paused)) step_one(*running, lock);
    }
    std::erase_if(running_, [](const auto& r) { return r->finished; });
    changed_.notify_all();
  }
}

// One token for every choice, or the end. The sink is called without the lock, as in a real engine.
void ScriptedGenerator::step_one(Running& running, std::unique_lock<std::mutex>& lock) {
  const GenerateRequest& request = running.request;
  std::vector<TokenEvent> events;
  const int64_t limit = request.max_tokens.value_or(INT64_MAX);
  const bool expired = request.deadline && std::chrono::steady_clock::now() >= *request.deadline;
  const size_t n_tokens = std::min<size_t>(running.script.tokens.size(), static_cast<size_t>(std::max<int64_t>(limit, 0)));
  const bool cut = n_tokens < running.script.tokens.size();
  TokenEvent first;
  if (running.n_steps_done == 0 && request.prompt_logprobs >= 0) {
    for (const char c : running.prompt_text) {
      first.prompt_tokens.push_back(scored_token(std::string(1, c), request.prompt_logprobs));
    }
    if (!first.prompt_tokens.empty()) {
      first.prompt_tokens[0].has_logprob = false;
      first.prompt_tokens[0].top.clear();
    }
  }
  const bool ends = running.cancelled || expired || running.n_steps_done >= n_tokens;
  if (!ends) {
    for (int choice = 0; choice < request.n; ++choice) {
      TokenEvent event = choice == 0 ? std::move(first) : TokenEvent{};
      event.choice_idx = choice;
      event.text = running.script.tokens[running.n_steps_done];
      event.n_new_tokens = 1;
      if (request.logprobs >= 0) event.tokens.push_back(scored_token(event.text, request.logprobs));
      events.push_back(std::move(event));
    }
    ++running.n_steps_done;
    counts_.n_tokens += request.n;
  } else {
    running.finished = true;
    ++(running.cancelled ? counts_.n_cancelled : counts_.n_finished);
    for (int choice = 0; choice < request.n; ++choice) {
      TokenEvent event = choice == 0 ? std::move(first) : TokenEvent{};
      event.choice_idx = choice;
      event.finish = running.cancelled ? FinishReason::kCancelled : cut ? FinishReason::kLength : running.script.finish;
      event.last = choice + 1 == request.n;
      if (event.last) {
        event.usage = {running.prompt_tokens, static_cast<int64_t>(running.n_steps_done) * request.n, 0};
        if (expired) event.error = Error{Code::kDeadlineExceeded, "generation: the time allowed for this request ran out"};
        else if (running.script.final_error && !running.cancelled) event.error = running.script.final_error;
      }
      events.push_back(std::move(event));
    }
  }
  const TokenSink sink = running.sink;
  lock.unlock();
  for (TokenEvent& event : events) sink(std::move(event));
  lock.lock();
}

Result<std::vector<int32_t>> ScriptedGenerator::tokenize(const std::string& text, bool, bool) const { return bytes_of(text); }
Result<std::string> ScriptedGenerator::detokenize(const std::vector<int32_t>& ids) const { return text_of(ids); }

Result<std::string> ScriptedGenerator::render_chat(const ChatPrompt& prompt) const {
  std::string text = prompt.tools_json.empty() ? "" : "<tools>" + prompt.tools_json + "\n";
  for (const Message& message : prompt.messages) {
    text += "<" + message.role + ">" + message.content;
    for (const ToolCall& call : message.tool_calls) text += "<tool_call>{\"name\": \"" + call.name + "\", \"arguments\": " + call.arguments + "}</tool_call>";
    text += "\n";
  }
  if (prompt.add_generation_prompt) text += "<assistant>";
  return text + prompt.answer_prefix;
}

GeneratorStats ScriptedGenerator::stats() const {
  const std::lock_guard lock(mutex_);
  GeneratorStats stats;
  stats.n_running = static_cast<int64_t>(running_.size());
  stats.prompt_tokens_total = prompt_tokens_total_;
  stats.generated_tokens_total = counts_.n_tokens;
  stats.requests_total = counts_.n_submitted;
  stats.kv_blocks_total = 64;
  stats.kv_blocks_used = stats.n_running;
  stats.memory_bytes = 1 << 20;
  return stats;
}

void ScriptedGenerator::allow_steps(int64_t n_steps) {
  const std::lock_guard lock(mutex_);
  steps_allowed_ = std::max<int64_t>(steps_allowed_, 0) + n_steps;
  changed_.notify_all();
}
void ScriptedGenerator::run_freely() {
  const std::lock_guard lock(mutex_);
  steps_allowed_ = -1;
  changed_.notify_all();
}
ScriptedGenerator::Counts ScriptedGenerator::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}
void ScriptedGenerator::wait_until(const std::function<bool(const Counts&)>& done) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done(counts_); });
}
GenerateRequest ScriptedGenerator::last_request() const {
  const std::lock_guard lock(mutex_);
  return last_request_;
}

ScriptedEmbedder::ScriptedEmbedder(ModelInfo model, int64_t dimensions, int64_t max_tokens) {
  info_.model = std::move(model);
  info_.dimensions = dimensions;
  info_.max_tokens = max_tokens;
}

Result<EmbedResult> ScriptedEmbedder::embed(const EmbedRequest& request) {
  EmbedResult result;
  const int64_t n_kept = request.dimensions > 0 ? std::min(request.dimensions, info_.dimensions) : info_.dimensions;
  for (const auto& input : request.inputs) {
    const auto* text = std::get_if<std::string>(&input);
    const std::vector<int32_t> ids = text ? bytes_of(*text) : std::get<std::vector<int32_t>>(input);
    const auto n_tokens = static_cast<int64_t>(ids.size());
    if (n_tokens > info_.max_tokens && !request.truncate) {
      return Error{Code::kInvalidArgument, fmt::format("input: expected at most {} tokens, got {}", info_.max_tokens, n_tokens), "input"};
    }
    result.prompt_tokens += std::min(n_tokens, info_.max_tokens);
    std::vector<float> vector(static_cast<size_t>(info_.dimensions), 0.0f);
    for (const int32_t id : ids) vector[static_cast<size_t>(id) % vector.size()] += 1.0f;
    vector.resize(static_cast<size_t>(n_kept));
    float length = 0;
    for (const float value : vector) length += value * value;
    for (float& value : vector) value = length > 0 ? value / std::sqrt(length) : 0;
    result.vectors.push_back(std::move(vector));
  }
  return result;
}
Result<std::vector<int32_t>> ScriptedEmbedder::tokenize(const std::string& text, bool, bool) const { return bytes_of(text); }
Result<std::string> ScriptedEmbedder::detokenize(const std::vector<int32_t>& ids) const { return text_of(ids); }

Result<RerankResult> ScriptedReranker::rerank(const RerankRequest& request) {
  RerankResult result;
  const std::vector<std::string> query = words_of(request.query);
  for (const std::string& document : request.documents) {
    const std::vector<std::string> words = words_of(document);
    const auto n_found = std::count_if(query.begin(), query.end(), [&](const std::string& word) {
      return std::find(words.begin(), words.end(), word) != words.end();
    });
    result.scores.push_back(query.empty() ? 0.0f : static_cast<float>(n_found) / static_cast<float>(query.size()));
    result.prompt_tokens += static_cast<int64_t>(query.size() + words.size());
  }
  return result;
}

}  // namespace hanlin::api
