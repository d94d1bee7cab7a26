// Text generation as everything above the engine sees it: plain requests, a stream of events, one interface.
// Implementations: engine/ (the local model), remote/ (any OpenAI-compatible service), api/scripted.h (tests).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace hanlin::api {

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text as the model wrote it
};

// A piece of a tool call in an answer, from generators with native_tool_calls().
struct ToolCallDelta {
  int index = 0;               // of the call in its choice, from 0 without gaps
  std::string id = {};         // in the first piece of each call, with the name
  std::string name = {};
  std::string arguments = {};  // JSON text to append
};

// One turn of a conversation. `role` is what the template knows: system, developer, user, assistant, tool, function.
struct Message {
  std::string role;
  std::string content;
  std::string name = {};
  std::string tool_call_id = {};
  std::string reasoning = {};
  std::vector<ToolCall> tool_calls = {};
};

struct ChatPrompt {
  std::vector<Message> messages;
  std::string tools_json = {};            // JSON array of OpenAI tool objects, or empty
  std::string template_kwargs_json = {};  // JSON object handed to the chat template (enable_thinking …), or empty
  bool add_generation_prompt = true;
  std::string answer_prefix = {};         // put behind the rendered prompt: what the answer begins with, and no event repeats
  // For generators with native_tool_calls(), which take no answer_prefix; others are told by prompt and constraint.
  std::string tool_choice_json = {};      // as OpenAI's tool_choice; empty: the model chooses
  bool parallel_tool_calls = true;        // false: at most one call
};
struct TextPrompt {
  std::string text;
  bool add_special = true;  // put BOS (and what the tokenizer's template adds) in front
};
struct TokenPrompt {
  std::vector<int32_t> ids;  // exactly these
};
using Prompt = std::variant<ChatPrompt, TextPrompt, TokenPrompt>;

// How the next token is chosen. Defaults: plain sampling, temperature 1. The order of filters is: penalties and logit_bias,
// top-k, typical, top-p, min-p, temperature. temperature 0 is greedy.
struct SamplingParams {
  float temperature = 1.0f;         // >= 0
  int top_k = 0;                    // 0: off
  float top_p = 1.0f;               // (0, 1]
  float min_p = 0.0f;               // [0, 1]
  float typical_p = 1.0f;           // (0, 1]; Meister et al., "Locally Typical Sampling", 2022
  float repetition_penalty = 1.0f;  // > 0; Keskar et al., "CTRL", 2019; over prompt and output
  float presence_penalty = 0.0f;    // [-2, 2]; over the output
  float frequency_penalty = 0.0f;   // [-2, 2]; over the output
  std::vector<std::pair<int32_t, float>> logit_bias = {};  // added to the logit, [-100, 100]
  std::optional<uint64_t> seed = {};  // the same seed gives the same text, alone or in a batch
};

// What the answer must look like. Everything that it forbids is impossible, and the answer is complete also when
// max_tokens ends it. Plain data: the generator compiles it.
struct Constraint {
  enum class Kind {
    kJsonSchema,  // source: a JSON Schema; the answer is a JSON text that is valid
    kRegex,       // source: a regular expression that the whole answer matches
    kGrammar,     // source: EBNF in the notation of GBNF
    kChoices,     // the answer is one of `choices`
    kTags,        // free text; each trigger begins a part that follows its schema, up to its end
    kCalls,       // calls of functions, in free text or as the whole answer: see Calls
  };
  struct Tag {
    std::string trigger;
    std::string schema;  // JSON Schema
    std::string end;     // text that follows the value; may be empty
  };
  // Rules in EBNF (`source`) that read values with @name. Without triggers and `lead` the answer follows the rule "root".
  struct Calls {
    struct Value {
      std::string name;
      std::string schema;      // JSON Schema
      bool or_object = false;  // any object where the schema cannot be enforced exactly; else that is an error
      std::string param = {};  // the request field it came from
    };
    struct Trigger {
      std::string text;
      std::string rule;  // follows the text; empty: the text is a new start
    };
    std::vector<Value> values = {};
    std::vector<Trigger> triggers = {};
    std::string lead = {};  // rule that is tried at starts; once past a "!" in it, it holds
    std::string thoughts_begin = {}, thoughts_end = {};  // between them nothing is a call
    bool in_thoughts = false;  // the answer begins there
    bool one_call = false;     // the answer ends behind a call
    std::vector<std::string> markers = {};  // special tokens that the rules may write
    std::string prefix = {};   // what the prompt already holds of the answer
  };
  Kind kind = Kind::kJsonSchema;
  std::string source = {};
  std::vector<std::string> choices = {};
  std::vector<Tag> tags = {};
  Calls calls = {};
  bool any_order = false;     // of JSON properties; default: as the schema declares them
  int max_whitespace = 16;    // white space characters in a row between the parts of JSON; 0: compact
  std::string param = {};     // the request field it came from, for messages
};

struct GenerateRequest {
  std::string id;
  Prompt prompt;
  SamplingParams sampling;
  std::optional<int64_t> max_tokens = {};  // unset: what the context still holds; 0: only score the prompt
  std::vector<std::string> stop = {};      // the text ends before the first of these
  std::vector<int32_t> stop_token_ids = {};
  bool ignore_eos = false;
  bool include_stop = false;               // keep the matched stop string in the text
  std::vector<std::string> visible_special_tokens = {};  // special tokens whose names are part of the text; others add nothing
  int n = 1;                               // choices
  int logprobs = -1;                       // -1: none; k: the chosen token and its k best alternatives
  int prompt_logprobs = -1;                // -1: none; k: for each prompt token, with k alternatives ("echo")
  std::optional<Constraint> constraint = {};
  int priority = 0;                        // larger first
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
};

struct TokenLogprob {
  int32_t id = 0;
  std::string text;                // this token's bytes; may be part of a UTF-8 sequence
  float logprob = 0.0f;            // natural log, of the model's own distribution (before filters and temperature)
  bool has_logprob = true;         // false for the first prompt token, which nothing predicts
  std::vector<TokenLogprob> top;   // best first; `top` of these is empty
};

enum class FinishReason { kStop, kLength, kCancelled };

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, found in the prefix cache
};

// One thing that happened to a request. Events of one choice come in order; text is whole UTF-8 code points.
// `last` is set once, on the very last event of the request, after every choice has finished; it carries the usage.
struct TokenEvent {
  int choice_idx = 0;
  std::string text = {};                       // to append
  std::vector<TokenLogprob> tokens = {};       // tokens that this event adds, when logprobs were asked for
  std::vector<TokenLogprob> prompt_tokens = {};// in the first event, when prompt_logprobs were asked for
  int n_new_tokens = 0;
  std::optional<FinishReason> finish = {};     // this choice is done
  std::string stop_reason = {};                // the stop string that matched, if one did
  bool last = false;
  Usage usage = {};
  std::optional<Error> error = {};             // the request failed; also `last`
  std::string reasoning = {};                  // thoughts to append, where the generator tells them from the text
  std::vector<ToolCallDelta> calls = {};       // from generators with native_tool_calls()
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0;  // in the last event
};

// Called on the engine thread, in order; must return quickly and never call back into the generator.
using TokenSink = std::function<void(TokenEvent&&)>;

// A running request. Dropping the handle does not stop it; cancel() does. All functions are safe from any thread.
class Generation {
 public:
  virtual ~Generation() = default;
  virtual void cancel() = 0;              // within one step; the last event follows with kCancelled
  virtual void set_paused(bool paused) = 0;  // a slow reader pauses its own request: it keeps its place, not its turn
  virtual int64_t prompt_tokens() const = 0;
};

// Numbers a generator keeps about itself; read by /metrics. Counters since start; any thread.
struct GeneratorStats {
  int64_t n_running = 0, n_waiting = 0;
  int64_t prompt_tokens_total = 0, generated_tokens_total = 0, cached_tokens_total = 0;
  int64_t forced_tokens_total = 0;  // that a constraint left no choice about
  int64_t draft_tokens_total = 0, draft_tokens_right_total = 0;  // guessed and computed; of these, those that came true
  int64_t preemptions_total = 0, requests_total = 0, rejected_total = 0;
  int64_t kv_blocks_total = 0, kv_blocks_used = 0, kv_blocks_cached = 0;
  int64_t memory_bytes = 0;  // weights, cache and activations
};

struct ModelInfo {
  std::string name;          // as served
  std::string path;
  std::string architecture;  // "qwen2"
  int64_t context_length = 0;
  int64_t vocab_size = 0;
  int64_t n_parameters = 0;
  bool has_chat_template = false;
  int64_t created_unix = 0;  // when it was loaded
};

class TextGenerator {
 public:
  virtual ~TextGenerator() = default;
  virtual const ModelInfo& info() const = 0;
  // Renders the template, tokenises and checks on the caller's thread, then queues. Errors at once: kInvalidArgument
  // (with param; a prompt that does not fit says by how many tokens), kResourceExhausted (queue full), kUnavailable
  // (shutting down). After success exactly one event with `last` will come.
  virtual Result<std::shared_ptr<Generation>> submit(GenerateRequest request, TokenSink sink) = 0;
  // add_special as TextPrompt; parse_special: names of special tokens in the text become those tokens.
  virtual Result<std::vector<int32_t>> tokenize(const std::string& text, bool add_special, bool parse_special) const = 0;
  virtual Result<std::string> detokenize(const std::vector<int32_t>& ids) const = 0;
  // The text a chat prompt becomes.
  virtual Result<std::string> render_chat(const ChatPrompt& prompt) const = 0;
  virtual GeneratorStats stats() const = 0;
  // True: tool calls and thoughts come apart from the text (TokenEvent::calls, reasoning), and the prompt's tools_json,
  // tool_choice_json and parallel_tool_calls are all it needs. False: the caller fits prompt and constraint to the model and
  // reads the calls out of the text (agent/native_calls.h does both).
  virtual bool native_tool_calls() const { return false; }
};

}  // namespace hanlin::api
