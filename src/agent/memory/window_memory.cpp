#include <algorithm>

#include "agent/memory/memory.h"
#include "agent/memory/turns.h"

namespace hanlin::agent {
namespace {

class WindowMemory final : public Memory {
 public:
  explicit WindowMemory(int n_turns) : n_turns_(static_cast<size_t>(std::max(n_turns, 1))) {}
  Result<std::vector<api::Message>> select(const std::vector<api::Message>& messages) override {
    const Turns turns = split_turns(messages);
    return compose(messages, turns, turns.turns.size() - std::min(turns.turns.size(), n_turns_), "");
  }

 private:
  const size_t n_turns_;
};

}  // namespace

std::unique_ptr<Memory> make_window_memory(int n_turns) { return std::make_unique<WindowMemory>(n_turns); }

}  // namespace hanlin::agent
