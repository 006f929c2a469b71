#include "seccomp-notify/dispatch.h"

#include <vector>

#include "common/log.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

class VisitingHandler : public CallHandler {
 public:
  VisitingHandler(NotifyKernel& kernel, std::shared_ptr<const HostView> host, Visitor visitor)
      : kernel_(kernel), host_(std::move(host)), visitor_(std::move(visitor)) {}

  Verdict handle(int listener, const Notification& call, ContainerActions& actions) override {
    const std::optional<TrappedCall> known = find_trapped_call(call.architecture, call.number);
    if (!known) return LetKernelRunIt{};
    const Tracee tracee(kernel_, *host_, listener, call);
    return seccomp::handle(*known, Assistance{tracee, actions, visitor_});
  }
  bool is_fit() const override { return visitor_.is_at_home(); }

 private:
  NotifyKernel& kernel_;
  std::shared_ptr<const HostView> host_;
  Visitor visitor_;
};

}  // namespace

const TrappedSyscall* find_trapped_syscall(std::uint32_t architecture, int number) {
  // For good: workers are detached, and may be at work when the process ends.
  static const auto& known = *new const std::vector<ArchitectureCall>(resolve_trapped_syscalls());
  for (const ArchitectureCall& call : known) {
    if (call.architecture == architecture && call.number == static_cast<std::uint32_t>(number)) {
      return call.trapped;
    }
  }
  return nullptr;
}

std::optional<TrappedCall> find_trapped_call(std::uint32_t architecture, int number) {
  const TrappedSyscall* const trapped = find_trapped_syscall(architecture, number);
  return trapped == nullptr ? std::nullopt : std::optional(trapped->call);
}

MakeHandler make_call_handlers(std::shared_ptr<const HostView> host) {
  return [host = std::move(host)](NotifyKernel& kernel) -> Result<std::unique_ptr<CallHandler>> {
    Visitor visitor = TRY(Visitor::start(*host));
    return std::unique_ptr<CallHandler>(
        std::make_unique<VisitingHandler>(kernel, host, std::move(visitor)));
  };
}

}  // namespace sysbox::seccomp
