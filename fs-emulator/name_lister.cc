#include "fs-emulator/name_lister.h"

#include <sched.h>
#include <sys/syscall.h>

#include <array>
#include <future>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::fs {
namespace {

using namespace std::chrono_literals;

constexpr auto kTimeout = 10s;
constexpr std::string_view kDone = "done";

Result<void> list_names(int mount_fd) {
  const UniqueFd root = TRY(sys::openat(mount_fd, ".", O_RDONLY | O_DIRECTORY));
  std::array<char, 8192> entries{};
  for (;;) {
    const long size = ::syscall(SYS_getdents64, root.get(), entries.data(), entries.size());
    if (size < 0) return last_error("list emulated files");
    if (size == 0) return {};
  }
}

// Descriptors of this thread's own; the socket keeps its number.
Result<void> leave_all_descriptors_but(int socket_fd) {
  TRY(sys::unshare(CLONE_FILES));
  const auto number = static_cast<unsigned>(socket_fd);
  if (number > 3) TRY(sys::close_range(3, number - 1, 0));
  return sys::close_range(number + 1, ~0U, 0);
}

void serve(int socket_fd, std::promise<Result<void>> started) {
  Result<void> alone = leave_all_descriptors_but(socket_fd);
  const bool is_alone = alone.ok();
  started.set_value(std::move(alone));
  if (!is_alone) return;
  MessageSocket socket{UniqueFd(socket_fd)};
  for (;;) {
    const Result<Message> message = socket.receive(Deadline::max());
    if (!message.ok() && message.error().code() == ETIMEDOUT) continue;  // after 24 days
    if (!message.ok() || message.value().fds.size() != 1) return;
    const Result<void> listed = list_names(message.value().fds[0].get());
    const std::string_view answer = listed.ok() ? kDone : listed.error().message();
    if (!socket.send(answer, {}, after(kTimeout)).ok()) return;
  }
}

}  // namespace

Result<NameLister> NameLister::start() {
  auto [ours, theirs] = TRY(sys::socketpair(SOCK_STREAM));
  std::promise<Result<void>> started;
  std::future<Result<void>> alone = started.get_future();
  std::thread thread(serve, theirs.get(), std::move(started));
  // From here on there are two of `theirs`, ours to close and the thread's.
  Result<void> result = alone.get();
  NameLister lister(MessageSocket(std::move(ours)), std::move(thread));
  TRY(std::move(result));
  return lister;
}

NameLister::~NameLister() {
  socket_.reset();
  if (thread_.joinable()) thread_.join();
}

Result<void> NameLister::list(int mount_fd) {
  TRY(socket_->send("", std::span(&mount_fd, 1), after(kTimeout)));
  const Message message = TRY(socket_->receive(after(kTimeout)));
  if (message.text != kDone) return Error(EIO, message.text);
  return {};
}

}  // namespace sysbox::fs
