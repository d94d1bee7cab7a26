// Landlock, the kernel's access control for unprivileged processes.
#pragma once

namespace hanlin::agent {

// From now on this process and its children may read and execute below /, write below /tmp, /work and to the plain devices,
// and use no TCP, no signals and no abstract sockets beyond their own circle (as far as this kernel's Landlock reaches). False
// with errno: the kernel has no Landlock, or it is not enabled. Async-signal-safe; needs no_new_privs.
bool restrict_with_landlock();

}  // namespace hanlin::agent
