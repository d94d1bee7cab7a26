// A conversation cut into turns. Internal to agent/memory.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "api/generate.h"

namespace hanlin::agent {

struct TurnSpan {
  size_t begin = 0, end = 0;  // indexes of messages
};
struct Turns {
  size_t n_head = 0;  // system and developer messages at the beginning
  std::vector<TurnSpan> turns = {};
};

// Messages before the first user's message, but for the head, are a turn of their own.
Turns split_turns(const std::vector<api::Message>& messages);

// The turn as text: "user: …\nassistant: …", calls as name(arguments). Thoughts are left out.
std::string turn_text(const std::vector<api::Message>& messages, const TurnSpan& turn);

// The head and the turns from `first_turn` on; `note`, unless empty, goes to the end of the first system message, or into a
// new one where there is none.
std::vector<api::Message> compose(const std::vector<api::Message>& messages, const Turns& turns, size_t first_turn, const std::string& note);

}  // namespace hanlin::agent
