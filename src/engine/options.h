// Settings of the engine of one model.
#pragma once

#include <cstdint>

namespace hanlin::engine {

struct EngineOptions {
  // Requests that may be in the engine beyond max_running; more are refused with kResourceExhausted. Larger: bursts wait
  // instead of being refused; smaller: clients learn sooner that they should go elsewhere.
  int64_t max_queue = 256;
  // Sequences (choices of requests) that take part in steps at the same time. Larger: more tokens a second together,
  // fewer for each, more memory in use.
  int max_running = 64;
  // Tokens of one step, at most StepModel::max_step_tokens(). Larger: prompts are faster; smaller: running answers are
  // held up less while a prompt is computed. Raised to max_running + 1 if it is below.
  int64_t step_tokens = 512;
  // Prompt rows whose logits one step returns when a prompt is scored: bounds memory to this many times the vocabulary.
  int64_t step_score_rows = 64;
  // Room for keys and values, allocated at the start: a number of blocks of 32 tokens, or (0) as many as fit in kv_bytes.
  // Never more than max_running sequences of full context could use.
  int64_t kv_blocks = 0;
  int64_t kv_bytes = int64_t{1} << 30;
  // Most tokens of a sequence, prompt and answer together; 0: what the model can. Never more than the blocks hold.
  int64_t context_length = 0;
  // Keep the blocks of finished texts until their room is needed, and start from them when a prompt begins alike.
  bool prefix_cache = true;
  // Rows of decoded and guessed tokens (prompt lookup, see Drafter) together in a step; 0: no guessing. Guesses cost the
  // least while memory, not arithmetic, bounds a step.
  int64_t step_draft_rows = 8;
  // Above 0: prompts longer than this rotate their keys by their own length (dynamic NTK scaling); see KvSpaceOptions.
  int64_t dynamic_rope_context = 0;
};

// Bounds of one request.
constexpr int kMaxChoices = 128;
constexpr int kMaxLogprobs = 100;
constexpr int kMaxStops = 32;
constexpr int kMaxStopBytes = 1024;  // of one stop string

}  // namespace hanlin::engine
