// The tool "http_get": documents of allowed servers.
#pragma once

#include <chrono>
#include <memory>

#include "agent/runnable_tool.h"
#include "net/address_rules.h"

namespace hanlin::agent {

struct HttpGetOptions {
  net::HttpRules rules;
  size_t max_bytes = 64 << 10;  // of the body; more is left out, and the answer says so
  std::chrono::milliseconds timeout{20000};
};

std::shared_ptr<RunnableTool> make_http_get(const HttpGetOptions& options);

}  // namespace hanlin::agent
