// What an endpoint is: a function from a request to a whole answer or to a running generation. Endpoints know nothing of
// sockets; the session writes what they return.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "agent/chat_style.h"
#include "api/generate.h"
#include "api/models.h"
#include "server/event_channel.h"
#include "server/http.h"
#include "server/options.h"

namespace hanlin::agent {
class RunService;
}

namespace hanlin::server {

class Metrics;

// Lives as long as the call; endpoints may run on any thread.
struct EndpointContext {
  const HttpRequest& request;
  const api::ModelSet& models;
  const ServerOptions& options;
  Metrics& metrics;
  agent::ChatStyles& chat_styles;
  agent::RunService* runs = nullptr;  // null: the service runs no agents
  bool ready = true;        // false while draining
  std::string request_id;
  std::chrono::steady_clock::time_point received;
  std::shared_ptr<EventChannel> channel;  // where generations deliver; null for inline routes
};

// Turns the events of a request into its answer. Used by one session, on its I/O thread.
class GenerationAnswer {
 public:
  virtual ~GenerationAnswer() = default;
  virtual bool streaming() const = 0;
  // Takes one event without error. A streaming answer appends finished SSE frames to `frames`.
  virtual void on_event(SourcedEvent&& sourced, std::string* frames) = 0;
  // After the last event of every generation: what ends the stream ("data: [DONE]").
  virtual std::string closing_frames() { return {}; }
  // After the last event of every generation, for answers that do not stream.
  virtual HttpResponse response() { return {}; }
};

struct RunningGeneration {
  std::vector<std::shared_ptr<api::Generation>> generations;  // by source_idx
  std::unique_ptr<GenerationAnswer> answer;
  std::string model;
};

using Reply = std::variant<HttpResponse, RunningGeneration>;
using Handler = Reply (*)(const EndpointContext& context);

// Where a handler runs: on the I/O thread (must take microseconds), on the threads that submit generations, or on those
// that wait for a model.
enum class RunOn { kInline, kSubmit, kBlocking };

}  // namespace hanlin::server
