#include "engine/step_runner.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hanlin::engine {
namespace {

double seconds_between(Clock::time_point a, Clock::time_point b) { return std::chrono::duration<double>(b - a).count(); }

}  // namespace

StepRunner::StepRunner(StepModel& model, std::shared_ptr<const Tokenizer> tokenizer, const kernels::KernelTable& kernels,
                       const KvSpaceOptions& kv, const SchedulerOptions& scheduling, Counters& counters)
    : model_(model),
      tokenizer_(tokenizer),
      kv_(kv),
      scheduler_(scheduling, kv_),
      speculates_(scheduling.step_draft_rows > 1),
      samplers_(static_cast<size_t>(model.n_threads()), Sampler(kernels)),
      logprobs_(kernels, std::move(tokenizer)),
      counters_(counters) {}

// ------------------------------------------------------------------------------------------------ requests come and go

void StepRunner::add(std::unique_ptr<Request> request) {
  request->arrival = n_arrived_++;
  request->usage.prompt_tokens = static_cast<int64_t>(request->prompt.size());
  add_choice(*request, 0, nullptr);
  requests_.push_back(std::move(request));
}

void StepRunner::add_choice(Request& request, int choice_idx, const Choice* leader) {
  SamplingState sampling(request.params.sampling, request.seed, choice_idx, request.prompt);
  auto choice = std::make_unique<Choice>(request, std::move(sampling), OutputText(tokenizer_, request.params));
  if (request.grammar) choice->constraint.emplace(request.grammar, model_.vocab_size(), request.params.constraint->calls.prefix);
  choice->priority = request.params.priority;
  choice->arrival = request.arrival;
  choice->choice_idx = choice_idx;
  choice->tokens = request.prompt;
  choice->n_prompt = choice->n_known();
  // Whoever asks for the probabilities of a given text compares them with other models' or with a reference.
  choice->precise = request.params.prompt_logprobs >= 0;
  choice->score_from = choice->precise && leader == nullptr ? 0 : choice->n_prompt;
  if (leader != nullptr) kv_.fork(*leader, *choice);
  scheduler_.add(choice.get());
  request.choices.push_back(std::move(choice));
}

void StepRunner::apply_controls(Clock::time_point now) {
  for (const auto& request : requests_) {
    if (request->control->is_cancelled.load(std::memory_order_relaxed)) {
      cancel(*request);
    } else if (request->params.deadline && now >= *request->params.deadline) {
      fail(*request, Error{Code::kDeadlineExceeded, "generation: the time allowed ran out after " +
                                                        std::to_string(request->usage.completion_tokens) + " tokens"});
    } else {
      const bool paused = request->control->is_paused.load(std::memory_order_relaxed);
      for (const auto& choice : request->choices) {
        if (!choice->is_finished) scheduler_.set_paused(choice.get(), paused);
      }
    }
  }
  drop_finished();
}

std::optional<Clock::time_point> StepRunner::next_deadline() const {
  std::optional<Clock::time_point> next;
  for (const auto& request : requests_) {
    if (request->params.deadline && (!next || *request->params.deadline < *next)) next = request->params.deadline;
  }
  return next;
}

void StepRunner::cancel_all() {
  for (const auto& request : requests_) cancel(*request);
  drop_finished();
}

void StepRunner::drop_finished() {
  const size_t n_before = requests_.size();
  std::erase_if(requests_, [](const auto& request) { return request->is_done; });
  counters_.n_requests -= static_cast<int64_t>(n_before - requests_.size());
  update_counters();
}

void StepRunner::update_counters() {
  counters_.n_running = scheduler_.count(Sequence::State::kRunning);
  counters_.n_waiting = scheduler_.count(Sequence::State::kWaiting);
  counters_.preemptions = scheduler_.n_preemptions();
  counters_.kv_blocks_used = kv_.pool().n_used();
  counters_.kv_blocks_cached = kv_.pool().n_kept();
}

// -------------------------------------------------------------------------------------------------------------- a step

void StepRunner::step() {
  const std::vector<Turn>& turns = scheduler_.schedule(&pacer_);
  HANLIN_CHECK(!turns.empty(), "there is work but nobody got a turn");
  const Clock::time_point now = Clock::now();
  int64_t n_decoding = 0, n_prompt = 0;
  batch_.tokens.clear();
  batch_.chunks.clear();
  for (const Turn& turn : turns) {
    Choice& choice = static_cast<Choice&>(*turn.sequence);
    if (!choice.request.started) begin(choice, now);
    const auto first = choice.tokens.begin() + choice.n_computed;
    batch_.tokens.insert(batch_.tokens.end(), first, first + turn.n_tokens);
    batch_.tokens.insert(batch_.tokens.end(), choice.drafts.begin(), choice.drafts.begin() + turn.n_drafts);
    Chunk chunk;
    chunk.first_position = choice.n_computed;
    chunk.n_tokens = static_cast<int>(turn.n_tokens + turn.n_drafts);
    chunk.n_logits = static_cast<int>(choice.n_logits(turn.n_tokens) + turn.n_drafts);
    chunk.blocks = choice.blocks;
    chunk.rope_length = choice.n_prompt;
    chunk.precise = choice.precise;
    batch_.chunks.push_back(chunk);
    (turn.n_tokens > 1 ? n_prompt : n_decoding) += turn.n_tokens;
  }
  update_counters();  // who asks during the step, or as soon as it sent a token, sees what runs and what it holds
  const std::span<const float> logits = model_.forward(batch_);
  const auto n_vocab = static_cast<size_t>(model_.vocab_size());
  HANLIN_CHECK(logits.size() == static_cast<size_t>(batch_.n_logits()) * n_vocab, "forward() returned other rows than asked for");
  draw(turns, logits);
  size_t row = 0;
  for (size_t i = 0; i < turns.size(); ++i) {
    Choice& choice = static_cast<Choice&>(*turns[i].sequence);
    const auto n_rows = static_cast<size_t>(batch_.chunks[i].n_logits);
    // Another choice of a request may have ended it in this very step.
    if (!choice.is_finished) advance(choice, turns[i], logits.subspan(row * n_vocab, n_rows * n_vocab), drawn_[i]);
    row += n_rows;
  }
  pacer_.observe(n_decoding, n_prompt, seconds_between(now, Clock::now()));
  drop_finished();
}

// The request's first turn.
void StepRunner::begin(Choice& choice, Clock::time_point now) {
  Request& request = choice.request;
  request.started = now;
  request.usage.cached_tokens = choice.n_computed;
  counters_.cached_tokens += choice.n_computed;
  counters_.prompt_tokens += choice.n_prompt;
}

// Samples the token behind each turn's known ones, all turns at a time on the model's threads: V values for each to look at.
// Left to sample(): forced tokens, and what a constraint allows.
void StepRunner::draw(const std::vector<Turn>& turns, std::span<const float> logits) {
  const auto n_vocab = static_cast<size_t>(model_.vocab_size());
  drawn_.assign(turns.size(), std::nullopt);
  draws_.clear();
  size_t row = 0;
  for (size_t i = 0; i < turns.size(); ++i) {
    const Choice& choice = static_cast<Choice&>(*turns[i].sequence);
    row += static_cast<size_t>(batch_.chunks[i].n_logits);
    const bool samples = choice.n_remaining() == turns[i].n_tokens && choice.request.max_tokens > 0;
    if (samples && choice.forced.empty() && !choice.constraint) draws_.push_back({i, row - 1 - static_cast<size_t>(turns[i].n_drafts)});
  }
  model_.run_units(static_cast<int64_t>(draws_.size()), [&](int64_t unit, int thread_idx) {
    const Draw& draw = draws_[static_cast<size_t>(unit)];
    SamplingState& state = static_cast<Choice&>(*turns[draw.turn].sequence).sampling;
    drawn_[draw.turn] = samplers_[static_cast<size_t>(thread_idx)].sample(logits.subspan(draw.row * n_vocab, n_vocab), state);
  });
}

// Takes in what the model computed for a choice: rows [n, V], of the last n tokens of its turn, and the first token drawn from them.
void StepRunner::advance(Choice& choice, const Turn& turn, std::span<const float> rows, std::optional<int32_t> drawn) {
  const auto n_vocab = static_cast<size_t>(model_.vocab_size());
  choice.n_computed += turn.n_tokens;
  kv_.publish(choice);
  const int64_t n_rows = static_cast<int64_t>(rows.size() / n_vocab);
  if (choice.score_from < choice.n_prompt) score_prompt(choice, choice.n_computed - n_rows, rows, n_rows);
  if (choice.n_remaining() > 0) return;
  Request& request = choice.request;
  if (!request.prompt_done) on_prompt_done(choice);
  if (request.is_done) return;
  // The last known token's row, then one for each draft. A draft counts as computed once the same token was chosen or
  // forced; after the first that is wrong the rest answers another text, and its cells are written over by the next turn.
  rows = rows.last(static_cast<size_t>(1 + turn.n_drafts) * n_vocab);
  int64_t n_right = 0;
  sample(choice, rows.first(n_vocab), drawn);
  while (n_right < turn.n_drafts && !choice.is_finished && choice.tokens[static_cast<size_t>(choice.n_computed)] == choice.drafts[static_cast<size_t>(n_right)]) {
    ++n_right;
    ++choice.n_computed;
    kv_.publish(choice);
    if (choice.n_remaining() == 0) sample(choice, rows.subspan(static_cast<size_t>(n_right) * n_vocab, n_vocab));
  }
  if (turn.n_drafts > 0) {
    choice.drafter.learn(turn.n_drafts, n_right);
    counters_.draft_tokens += turn.n_drafts;
    counters_.draft_tokens_right += n_right;
  }
  draft(choice);
}

// Guesses what follows the choice's text. A guess past the last allowed token would be for nothing.
void StepRunner::draft(Choice& choice) {
  choice.drafts.clear();
  if (choice.is_finished || !speculates_) return;
  const auto guesses = choice.drafter.propose(choice.tokens, choice.request.max_tokens - choice.n_generated() - 1);
  choice.drafts.assign(guesses.begin(), guesses.end());
}

// Row r predicts the token at position first_position + r + 1. Rows are reduced to log-probabilities at once: T x V
// logits of a long prompt never exist together.
void StepRunner::score_prompt(Choice& choice, int64_t first_position, std::span<const float> rows, int64_t n_rows) {
  Request& request = choice.request;
  const auto n_vocab = static_cast<size_t>(model_.vocab_size());
  if (n_rows > 0 && first_position == 0) request.prompt_logprobs.push_back(logprobs_.unpredicted(request.prompt[0]));
  for (int64_t r = 0; r < n_rows && first_position + r + 1 < choice.n_prompt; ++r) {
    const int32_t token = request.prompt[static_cast<size_t>(first_position + r + 1)];
    request.prompt_logprobs.push_back(logprobs_.read(rows.subspan(static_cast<size_t>(r) * n_vocab, n_vocab), token, request.params.prompt_logprobs));
  }
  choice.score_from = std::max(choice.score_from, choice.n_computed);
}

void StepRunner::on_prompt_done(Choice& leader) {
  Request& request = leader.request;
  request.prompt_done = Clock::now();
  if (request.max_tokens == 0) {
    finish(leader, {}, api::FinishReason::kLength);
    finish_unbegun(request, api::FinishReason::kLength);
    return;
  }
  for (int i = 1; i < request.params.n; ++i) add_choice(request, i, &leader);
}

bool StepRunner::ends_answer(const Request& request, int32_t token) const {
  const std::vector<int32_t>& stop_ids = request.params.stop_token_ids;
  if (std::find(stop_ids.begin(), stop_ids.end(), token) != stop_ids.end()) return true;
  const std::vector<int32_t>& ends = tokenizer_->end_of_generation();
  return !request.params.ignore_eos && std::binary_search(ends.begin(), ends.end(), token);
}

// Takes the token that the row's distribution gives (`drawn`, if that is known), then those that must follow it.
void StepRunner::sample(Choice& choice, std::span<const float> row, std::optional<int32_t> drawn) {
  Request& request = choice.request;
  ConstraintState* constraint = choice.constraint ? &*choice.constraint : nullptr;
  const int64_t n_left = request.max_tokens - choice.n_generated();
  if (!choice.forced.empty()) {
    ++counters_.forced_tokens;
    const int32_t token = choice.forced.front();
    choice.forced.pop_front();
    return take(choice, token, row);
  }
  const int32_t token = drawn ? *drawn : samplers_[0].sample(row, choice.sampling, constraint ? constraint->mask(n_left) : std::span<const uint32_t>());
  if (token < 0) {
    fail(request, Error{Code::kInternal, "generation: expected finite logits, the model computed others (is the file damaged?)"});
    return;
  }
  take(choice, token, row);
  if (constraint && !choice.is_finished) take_forced(choice);
}

// Where the constraint leaves no choice its tokens are known without being computed one after the other: the next turn
// computes them all together. Log-probabilities need each token's row, so there they are taken one by one as rows come.
void StepRunner::take_forced(Choice& choice) {
  const Request& request = choice.request;
  const bool skip_layout = request.params.constraint->kind == api::Constraint::Kind::kCalls;
  const std::vector<int32_t> forced = choice.constraint->forced_tokens(*tokenizer_, choice.tokens, request.max_tokens - choice.n_generated(), skip_layout);
  if (request.params.logprobs >= 0) {
    choice.forced.assign(forced.begin(), forced.end());
    return;
  }
  for (size_t i = 0; i < forced.size() && !choice.is_finished; ++i) {
    take(choice, forced[i], {});
    ++counters_.forced_tokens;
  }
}

// The next token of a choice: sampled from `row`, or forced (no row).
void StepRunner::take(Choice& choice, int32_t token, std::span<const float> row) {
  Request& request = choice.request;
  ConstraintState* constraint = choice.constraint ? &*choice.constraint : nullptr;
  const bool may_end = constraint == nullptr || constraint->may_end();
  choice.sampling.accept(token);
  if (constraint) constraint->accept(token);
  choice.tokens.push_back(token);
  ++choice.n_unreported;
  ++request.usage.completion_tokens;
  ++counters_.generated_tokens;

  api::TokenEvent event;
  const bool is_end = may_end && (ends_answer(request, token) || (constraint && constraint->ended()));
  OutputText::Piece piece;
  if (!is_end) {
    std::optional<api::TokenLogprob> logprob;
    if (request.params.logprobs >= 0) logprob = logprobs_.read(row, token, request.params.logprobs);
    if (constraint) choice.output.look_for_stops(constraint->stops_count());
    piece = choice.output.push(token, std::move(logprob));
  }
  const bool is_complete = constraint && !is_end && constraint->is_complete();
  const bool is_full = choice.n_generated() == request.max_tokens;
  if (!piece.stopped && (is_end || is_full || is_complete)) {
    OutputText::Piece rest = choice.output.flush();
    piece.text += rest.text;
    std::move(rest.tokens.begin(), rest.tokens.end(), std::back_inserter(piece.tokens));
    piece.stopped = rest.stopped;
  }
  event.text = std::move(piece.text);
  event.tokens = std::move(piece.tokens);
  if (piece.stopped) event.stop_reason = choice.output.stop_reason();
  if (piece.stopped || is_end || is_complete) {
    finish(choice, std::move(event), api::FinishReason::kStop);
  } else if (is_full) {
    finish(choice, std::move(event), api::FinishReason::kLength);
  } else if (!event.text.empty() || !event.tokens.empty() || !request.prompt_logprobs.empty()) {
    event.choice_idx = choice.choice_idx;
    event.n_new_tokens = std::exchange(choice.n_unreported, 0);
    emit(request, std::move(event));
  }
}

// -------------------------------------------------------------------------------------------------------------- events

void StepRunner::emit(Request& request, api::TokenEvent event) {
  event.prompt_tokens = std::exchange(request.prompt_logprobs, {});
  event.last = event.error.has_value() || request.n_finished == request.params.n;
  if (event.last) {
    const Clock::time_point now = Clock::now();
    const Clock::time_point started = request.started.value_or(now), prompt_done = request.prompt_done.value_or(now);
    event.usage = request.usage;
    event.queue_seconds = seconds_between(request.submitted, started);
    event.prefill_seconds = seconds_between(started, prompt_done);
    event.decode_seconds = seconds_between(prompt_done, now);
    request.is_done = true;
  }
  request.sink(std::move(event));
}

void StepRunner::finish(Choice& choice, api::TokenEvent event, api::FinishReason reason) {
  choice.is_finished = true;
  scheduler_.remove(&choice);
  ++choice.request.n_finished;
  event.choice_idx = choice.choice_idx;
  event.n_new_tokens = std::exchange(choice.n_unreported, 0);
  event.finish = reason;
  emit(choice.request, std::move(event));
}

// Ends the choices that wait for the first one to compute the prompt.
void StepRunner::finish_unbegun(Request& request, api::FinishReason reason) {
  for (int i = static_cast<int>(request.choices.size()); i < request.params.n; ++i) {
    ++request.n_finished;
    api::TokenEvent event;
    event.choice_idx = i;
    event.finish = reason;
    emit(request, std::move(event));
  }
}

void StepRunner::cancel(Request& request) {
  for (const auto& choice : request.choices) {
    if (!choice->is_finished) finish(*choice, {}, api::FinishReason::kCancelled);
  }
  finish_unbegun(request, api::FinishReason::kCancelled);
}

void StepRunner::fail(Request& request, Error error) {
  for (const auto& choice : request.choices) {
    if (choice->is_finished) continue;
    choice->is_finished = true;
    scheduler_.remove(choice.get());
  }
  api::TokenEvent event;
  event.error = std::move(error);
  emit(request, std::move(event));
}

}  // namespace hanlin::engine
