// For tests: a whole reply through a parser, in pieces.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/call_parser/call_parser.h"

namespace hanlin::agent {

struct ParsedReply {
  struct Call {
    std::string name, arguments;
    bool complete = false;
    bool operator==(const Call&) const = default;
  };
  std::string content, reasoning;
  std::vector<Call> calls;

  void add(const std::vector<Delta>& deltas) {
    for (const Delta& delta : deltas) {
      const auto idx = static_cast<size_t>(delta.call_idx);
      switch (delta.kind) {
        case Delta::Kind::kContent: content += delta.text; break;
        case Delta::Kind::kReasoning: reasoning += delta.text; break;
        case Delta::Kind::kCallBegin: calls.push_back({delta.text}); break;
        case Delta::Kind::kArguments: calls.at(idx).arguments += delta.text; break;
        case Delta::Kind::kCallEnd: calls.at(idx).complete = true; break;
      }
    }
  }
  std::vector<Call> complete_calls() const {
    std::vector<Call> found;
    for (const Call& call : calls) {
      if (call.complete) found.push_back(call);
    }
    return found;
  }
  bool operator==(const ParsedReply&) const = default;
};

// `piece_size` says how long the next piece is.
inline ParsedReply parse_in_pieces(const std::string& format, const std::shared_ptr<const ToolSet>& tools, std::string_view raw, bool truncated,
                                   const std::function<size_t()>& piece_size, const CallParserOptions& options = {}) {
  CallParser parser(make_call_format(format, *tools), tools, options);
  ParsedReply reply;
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
