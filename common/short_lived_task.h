#pragma once

// The few steps that only a task of its own can take: being born in another pid or user
// namespace.

#include "common/result.h"

namespace sysbox {

// Runs `function` in a child made by clone(2) with `namespaces` (CLONE_NEW*), which shares our
// memory and descriptors, and waits for its end. The calling thread stands still meanwhile, the
// others do not: `function` may make system calls only, no allocation, no lock, no library state.
//
// What the shared memory means: the child's credentials are its own, but whoever could ptrace it
// could change this process. A child in a container's namespaces keeps the host's credentials,
// so no container may; one that is born in a new user namespace lives in the host's pid
// namespace, which no container sees. It is killed if its pid namespace ends, which harms no one.
Result<void> run_short_lived_task(int namespaces, int (*function)(void*), void* argument);

}  // namespace sysbox
