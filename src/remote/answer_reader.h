// The chunks of a streamed answer as events.
#pragma once

#include <string>
#include <vector>

#include "api/generate.h"
#include "base/json_fwd.h"
#include "remote/service_error.h"

namespace hanlin::remote {

// Reads one answer, chat or completion. Not thread-safe.
class AnswerReader {
 public:
  explicit AnswerReader(int n_choices);

  // Takes the next chunk and appends what it says to `events`. The end of the last choice is kept for end(). Errors: kCorrupt
  // for what is no chunk of such an answer.
  Status read(const Json& chunk, std::vector<api::TokenEvent>* events);
  bool all_finished() const { return n_open_ == 0; }
  // The last event: of a complete answer, or of one that was cancelled (an event for every open choice).
  std::vector<api::TokenEvent> end(bool cancelled);

 private:
  struct Call {
    std::string id, waiting = {};  // arguments that came before the name
    int index_there = 0;
    int index = -1;  // here, once it has begun
  };
  struct Choice {
    std::vector<Call> calls = {};
    int n_begun = 0;
    bool finished = false;
  };
  Status read_choice(const Json& choice, std::vector<api::TokenEvent>* events);
  void read_calls(const Json& list, Choice& choice, api::TokenEvent* event);

  std::vector<Choice> choices_;
  size_t n_open_;
  api::TokenEvent last_;  // its choice, finish and stop reason, once all have finished
  api::Usage usage_;
  int64_t n_pieces_ = 0;  // what stands in for the number of tokens where no usage comes
};

}  // namespace hanlin::remote
