// From tokens to the text of one choice.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/generate.h"
#include "engine/stop_matcher.h"
#include "text/stream_decoder.h"

namespace hanlin::engine {

// Decodes tokens to whole characters, ends the text before the first stop string, and lets a token's log-probability out
// together with the last byte of its text, so that tokens and text tell the same story. Engine thread.
class OutputText {
 public:
  struct Piece {
    std::string text;                       // to append to the answer
    std::vector<api::TokenLogprob> tokens;  // whose text is complete with it
    bool stopped = false;                   // a stop string matched: nothing more comes
  };

  OutputText(std::shared_ptr<const Tokenizer> tokenizer, const api::GenerateRequest& request);

  // `logprob` is kept if the request wants log-probabilities.
  Piece push(int32_t id, std::optional<api::TokenLogprob> logprob);
  // While off, stop strings in the text do not count: the answer is inside something that must be completed.
  void look_for_stops(bool on) { look_for_stops_ = on; }
  // The answer ends here for another reason: what was held back.
  Piece flush();
  const std::string& stop_reason() const { return stops_.matched(); }

 private:
  struct Pending {
    api::TokenLogprob logprob;
    size_t begin, end;  // of its text, in bytes of the decoded text
  };
  void release_tokens(Piece& piece);

  StreamDecoder decoder_;
  StopMatcher stops_;
  bool look_for_stops_ = true;
  size_t n_decoded_bytes_ = 0;
  size_t n_shown_bytes_ = 0;
  std::deque<Pending> pending_;
};

}  // namespace hanlin::engine
