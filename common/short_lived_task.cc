#include "common/short_lived_task.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <memory>

namespace sysbox {
namespace {

// clone(2) by the name that no sanitizer intercepts: they take the child for a fork and would
// reset their state, in the memory that it shares with us.
extern "C" int plain_clone(int (*function)(void*), void* stack, int flags, void* argument,
                           ...) __asm__("__clone");

struct alignas(16) Stack {
  char bytes[16U << 10U];
};

}  // namespace

Result<void> run_short_lived_task(int namespaces, int (*function)(void*), void* argument) {
  const auto stack = std::make_unique<Stack>();
  // A signal to the child would run our handlers in our memory.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const int child = plain_clone(function, stack->bytes + sizeof stack->bytes,
                                CLONE_VM | CLONE_VFORK | CLONE_FILES | namespaces, argument);
  const int code = errno;
  int status = 0;
  // It has no exit signal, so it is a "clone child" to wait for.
  if (child > 0) ::waitpid(child, &status, __WALL);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) return errno_error(code, "clone");
  if (!WIFEXITED(status)) return errno_error(EINTR, "a short-lived task");
  return {};
}

}  // namespace sysbox
