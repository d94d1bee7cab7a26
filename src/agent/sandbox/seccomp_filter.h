// The system calls that a sandboxed program may make.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"

namespace hanlin::agent {

// The filter as the kernel reads it: what is not on the list fails with EPERM. kUnsupported: libseccomp cannot build it here.
Result<std::vector<sock_filter>> make_seccomp_filter();

}  // namespace hanlin::agent
