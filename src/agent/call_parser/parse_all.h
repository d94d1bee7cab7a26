// For tests: a whole reply through a parser, in pieces.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/chat_turn.h"

namespace hanlin::agent {

// `piece_size` says how long the next piece is.
inline Reply parse_in_pieces(const std::string& format, const std::shared_ptr<const ToolSet>& tools, std::string_view raw, bool truncated,
                                   const std::function<size_t()>& piece_size, const CallParserOptions& options = {}) {
  CallParser parser(make_call_format(format, *tools), tools, options);
  Reply reply;
  std::vector<Delta> deltas;
  while (!raw.empty()) {
    const size_t n = std::min(raw.size(), std::max<size_t>(piece_size(), 1));
    deltas.clear();
    parser.feed(raw.substr(0, n), &deltas);
    reply.add(deltas);
    raw.remove_prefix(n);
  }
  deltas.clear();
  parser.finish(truncated, &deltas);
  reply.add(deltas);
  return reply;
}

}  // namespace hanlin::agent
