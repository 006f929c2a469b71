#include "fs-emulator/fuse_session.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "common/log.h"
#include "common/syscalls.h"
#include "fs-emulator/fuse_replies.h"

#ifndef FUSE_NOTIFY_RESEND
#define FUSE_NOTIFY_RESEND 7  // Linux 6.9
#endif

namespace sysbox::fs {
namespace {

[[gnu::format(printf, 2, 0)]] void log_fuse_message(enum fuse_log_level level, const char* format,
                                                    std::va_list arguments) {
  std::array<char, 512> text{};
  std::vsnprintf(text.data(), text.size(), format, arguments);
  std::string line = text.data();
  while (line.ends_with('\n')) line.pop_back();
  if (level <= FUSE_LOG_WARNING) {
    log::warning("libfuse: ", line);
  } else {
    log::debug("libfuse: ", line);
  }
}

Result<UniqueFd> mount_detached(int device_fd) {
  const UniqueFd context = TRY(sys::fsopen("fuse"));
  TRY(sys::fsconfig_string(context.get(), "source", "sysbox-fs"));
  TRY(sys::fsconfig_string(context.get(), "fd", std::to_string(device_fd)));
  TRY(sys::fsconfig_string(context.get(), "rootmode", "40755"));
  TRY(sys::fsconfig_string(context.get(), "user_id", "0"));
  TRY(sys::fsconfig_string(context.get(), "group_id", "0"));
  // For each read the kernel pins so much of the reader's buffer: 2.5 us less than for 64 KiB. A
  // longer text takes several requests.
  TRY(sys::fsconfig_string(context.get(), "max_read", "16384"));
  TRY(sys::fsconfig_flag(context.get(), "allow_other"));
  TRY(sys::fsconfig_flag(context.get(), "default_permissions"));
  TRY(sys::fsconfig_create(context.get()));
  return sys::fsmount(context.get(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

struct SessionDestroyer {
  void operator()(struct fuse_session* session) const { fuse_session_destroy(session); }
};

}  // namespace

Result<std::shared_ptr<FuseSession>> FuseSession::open() {
  // Non-blocking: a worker that finds nothing goes on to another container.
  UniqueFd device = TRY(sys::open("/dev/fuse", O_RDWR | O_NONBLOCK));
  UniqueFd mount = TRY(mount_detached(device.get()).in("mount emulated files"));
  return serve_device(std::move(device), std::move(mount));
}

Result<std::shared_ptr<FuseSession>> FuseSession::take_over(UniqueFd device,
                                                            const FuseGreeting& greeting) {
  struct fuse_in_header header {};
  if (greeting.request.size() < sizeof header) {
    return Error(EPROTO, "greeting of a FUSE connection: is too short");
  }
  std::memcpy(&header, greeting.request.data(), sizeof header);
  if (header.opcode != FUSE_INIT || header.len != greeting.request.size()) {
    return Error(EPROTO, "greeting of a FUSE connection: is none");
  }
  std::shared_ptr<FuseSession> taken = TRY(serve_device(std::move(device), {}));
  taken->tree().capabilities = greeting.capabilities;
  taken->greeting_ = greeting.request;
  std::string bytes = greeting.request;
  struct fuse_buf request {};
  request.mem = bytes.data();
  request.size = bytes.size();
  // The kernel waits for no answer with this number any more, and drops it (ENOENT).
  fuse_session_process_buf(taken->session_, &request);
  return taken;
}

Result<std::shared_ptr<FuseSession>> FuseSession::serve_device(UniqueFd device, UniqueFd mount) {
  auto tree = std::make_unique<FileTree>();
  std::array<char, 16> name = {"sysbox-fs"};
  std::array<char*, 2> arguments = {name.data(), nullptr};
  struct fuse_args args = FUSE_ARGS_INIT(1, arguments.data());
  std::unique_ptr<struct fuse_session, SessionDestroyer> session(
      fuse_session_new(&args, &kFuseOperations, sizeof kFuseOperations, tree.get()));
  fuse_opt_free_args(&args);  // libfuse puts copies in their place
  if (!session) return Error(ENOMEM, "libfuse makes no session");
  const int device_fd = device.get();
  if (fuse_session_mount(session.get(), join("/dev/fd/", device_fd).c_str()) != 0) {
    return Error(EIO, "libfuse does not take the connection");
  }
  (void)device.release();  // the session owns it
  return std::shared_ptr<FuseSession>(
      new FuseSession(std::move(tree), session.release(), device_fd, std::move(mount)));
}

FuseSession::FuseSession(std::unique_ptr<FileTree> tree, struct fuse_session* session,
                         int device_fd, UniqueFd mount)
    : tree_(std::move(tree)), session_(session), device_fd_(device_fd), mount_(std::move(mount)) {
  tree_->forget_attributes = [session](fuse_ino_t inode) {
    constexpr off_t kNoPages = -1;
    // Fails for a file that the kernel does not know, which is as well.
    static_cast<void>(fuse_lowlevel_notify_inval_inode(session, inode, kNoPages, 0));
  };
}

FuseSession::~FuseSession() {
  tree_->end_polls();
  fuse_session_destroy(session_);
}

FuseSession::Outcome FuseSession::serve_one(RequestBuffer& buffer) {
  struct fuse_buf request {};
  request.mem = buffer.data();
  request.size = RequestBuffer::size();
  buffer.begin(has_container_ ? std::string_view(container_) : std::string_view());
  const int size = fuse_session_receive_buf(session_, &request);
  if (size == -EINTR) return Outcome::kServed;
  if (size == -EAGAIN) return Outcome::kNothingWaits;
  // 0 after ENODEV: the last mount is gone.
  if (size <= 0 || fuse_session_exited(session_) != 0) return Outcome::kEnded;
  fuse_session_process_buf(session_, &request);
  remember_greeting(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
  buffer.done();
  return fuse_session_exited(session_) != 0 ? Outcome::kEnded : Outcome::kServed;
}

void FuseSession::remember_greeting(std::string_view request) {
  struct fuse_in_header header {};
  std::memcpy(&header, request.data(), std::min(request.size(), sizeof header));
  if (header.opcode != FUSE_INIT) return;
  const std::lock_guard lock(mutex_);
  greeting_ = request;
}

void FuseSession::belong_to(std::string_view container) {
  container_ = container;
  has_container_ = true;
}

bool FuseSession::ask_again() const {
  struct fuse_out_header notification {};
  notification.len = sizeof notification;
  notification.error = FUSE_NOTIFY_RESEND;
  return ::write(device_fd_, &notification, sizeof notification) == sizeof notification;
}

// The kernel drops the answer to what it no longer waits for.
void FuseSession::answer(std::span<char> request) {
  struct fuse_buf bytes {};
  bytes.mem = request.data();
  bytes.size = request.size();
  fuse_session_process_buf(session_, &bytes);
}

FuseGreeting FuseSession::greeting() const {
  const std::lock_guard lock(mutex_);
  return {greeting_, tree_->capabilities};
}

void route_fuse_log() { fuse_set_log_func(log_fuse_message); }

}  // namespace sysbox::fs
