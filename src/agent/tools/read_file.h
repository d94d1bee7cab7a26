// The tool "read_file": texts and folders below given roots, and nothing else.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/runnable_tool.h"

namespace hanlin::agent {

struct ReadFileOptions {
  std::vector<std::string> roots;  // existing folders; at least one
  size_t max_bytes = 32 << 10;     // of one answer; the rest can be asked for with `offset`
};

// The kernel resolves every path below its root (openat2 with RESOLVE_BENEATH), so neither "..", nor an absolute path, nor a
// symbolic link leads out of it. Only regular files and folders are read. kNotFound: a root that does not exist;
// kUnsupported: the kernel is older than Linux 5.6.
Result<std::shared_ptr<RunnableTool>> make_read_file(const ReadFileOptions& options);

}  // namespace hanlin::agent
