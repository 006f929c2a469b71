#include "seccomp-notify/notify_kernel.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

namespace sysbox::seccomp {
namespace {

class RealNotifyKernel : public NotifyKernel {
 public:
  explicit RealNotifyKernel(const struct seccomp_notif_sizes& sizes) : sizes_(sizes) {}

  void prepare(int listener) override {
    // Caller and worker take turns: waking the other on the same CPU spares waking another CPU,
    // 15 against 45 us for a whole call on a virtual machine. Linux 6.6; a hint only.
    ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  }

  Result<Notification> receive(int listener, std::span<std::byte> raw) override {
    // The kernel writes as much as it knows, which may be more than there is room for.
    std::vector<std::byte> larger;
    if (sizes_.seccomp_notif > raw.size()) larger.resize(sizes_.seccomp_notif);
    std::byte* const buffer = larger.empty() ? raw.data() : larger.data();
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, buffer) != 0) {
      return last_error("receive a trapped call");
    }
    if (!larger.empty()) std::copy_n(larger.begin(), raw.size(), raw.begin());
    return parse_notification(raw);
  }

  bool is_waiting(int listener, std::uint64_t id) override {
    return ::ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
  }

  Result<void> answer(int listener, std::uint64_t id, const Verdict& verdict) override {
    if (const auto* gift = std::get_if<GiveDescriptor>(&verdict)) {
      return give(listener, id, *gift);
    }
    std::vector<std::byte> buffer(
        std::max<std::size_t>(sizes_.seccomp_notif_resp, sizeof(seccomp_notif_resp)));
    seccomp_notif_resp response{};
    response.id = id;
    if (const auto* fail = std::get_if<FailWith>(&verdict)) {
      response.error = -fail->code;
    } else if (const auto* success = std::get_if<SucceedWith>(&verdict)) {
      response.val = success->value;
    } else {
      response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    }
    std::memcpy(buffer.data(), &response, sizeof response);
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, buffer.data()) != 0) {
      return last_error("answer a trapped call");
    }
    return {};
  }

 private:
  // Gives the descriptor and answers with its number in one step, so that none is left with a
  // caller whose call fails (Linux 5.14). One that takes another's place is given first: the step
  // would answer with its number, too.
  Result<void> give(int listener, std::uint64_t id, const GiveDescriptor& gift) {
    struct seccomp_notif_addfd request {};
    request.id = id;
    request.flags = gift.in_place_of ? SECCOMP_ADDFD_FLAG_SETFD : SECCOMP_ADDFD_FLAG_SEND;
    request.newfd = static_cast<std::uint32_t>(gift.in_place_of.value_or(0));
    request.srcfd = static_cast<std::uint32_t>(gift.fd->get());
    request.newfd_flags = gift.close_on_exec ? O_CLOEXEC : 0;
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &request) >= 0) {
      return gift.in_place_of ? answer(listener, id, SucceedWith{0}) : Result<void>();
    }
    const Error error = last_error("give a descriptor to the caller of a trapped call");
    if (error.code() == ENOENT) return error;
    return answer(listener, id, FailWith{error.code()});  // EMFILE: it has too many
  }

  struct seccomp_notif_sizes sizes_;
};

}  // namespace

Notification parse_notification(std::span<const std::byte> bytes) {
  seccomp_notif raw{};
  std::memcpy(&raw, bytes.data(), std::min(bytes.size(), sizeof raw));
  Notification notification;
  notification.id = raw.id;
  notification.tid_on_host = static_cast<pid_t>(raw.pid);
  notification.architecture = raw.data.arch;
  notification.number = raw.data.nr;
  std::copy(std::begin(raw.data.args), std::end(raw.data.args), notification.arguments.begin());
  return notification;
}

Result<std::shared_ptr<NotifyKernel>> open_notify_kernel() {
  struct seccomp_notif_sizes sizes {};
  if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) {
    return last_error("seccomp user notification");
  }
  return std::shared_ptr<NotifyKernel>(std::make_shared<RealNotifyKernel>(sizes));
}

}  // namespace sysbox::seccomp
