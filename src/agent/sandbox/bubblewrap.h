// The sandbox made by the program bwrap. Private to the sandbox.
#pragma once

#include "agent/sandbox/sandbox.h"

namespace hanlin::agent {

// As run_in_sandbox; kUnsupported if bwrap is not installed or fails to start.
Result<ProcessOutput> run_in_bubblewrap(const SandboxJob& job, const ProcessLimits& limits);

}  // namespace hanlin::agent
