#include "engine/output_text.h"

#include <utility>

namespace hanlin::engine {
namespace {

std::vector<int32_t> visible_ids(const Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  std::vector<int32_t> ids;
  for (const std::string& text : texts) {
    if (const auto id = tokenizer.find_token(text); id && tokenizer.is_special(*id)) ids.push_back(*id);
  }
  return ids;
}

}  // namespace

OutputText::OutputText(std::shared_ptr<const Tokenizer> tokenizer, const api::GenerateRequest& request)
    : decoder_(tokenizer, /*continues_text=*/true, visible_ids(*tokenizer, request.visible_special_tokens)), stops_(request.stop, request.include_stop) {}

OutputText::Piece OutputText::push(int32_t id, std::optional<api::TokenLogprob> logprob) {
  Piece piece;
  const std::string decoded = decoder_.push(id);
  if (logprob) pending_.push_back({*std::move(logprob), n_decoded_bytes_, n_decoded_bytes_ + decoded.size()});
  n_decoded_bytes_ += decoded.size();
  if (look_for_stops_) {
    piece.stopped = stops_.push(decoded, piece.text);
  } else {
    stops_.flush(piece.text);
    piece.text += decoded;
  }
  n_shown_bytes_ += piece.text.size();
  release_tokens(piece);
  return piece;
}

OutputText::Piece OutputText::flush() {
  Piece piece;
  if (look_for_stops_) {
    piece.stopped = stops_.push(decoder_.flush(), piece.text);
  } else {
    piece.text += decoder_.flush();
  }
  stops_.flush(piece.text);
  n_shown_bytes_ += piece.text.size();
  if (!piece.stopped) n_decoded_bytes_ = n_shown_bytes_;
  for (Pending& token : pending_) piece.tokens.push_back(std::move(token.logprob));
  pending_.clear();
  return piece;
}

// A token is out when all of its text is; at a stop string also the one in whose middle the text ends, and the rest is
// dropped with their text.
void OutputText::release_tokens(Piece& piece) {
  while (!pending_.empty()) {
    Pending& token = pending_.front();
    const bool is_out = token.end <= n_shown_bytes_ || (piece.stopped && token.begin < n_shown_bytes_);
    if (!is_out) break;
    piece.tokens.push_back(std::move(token.logprob));
    pending_.pop_front();
  }
  if (piece.stopped) pending_.clear();
}

}  // namespace hanlin::engine
