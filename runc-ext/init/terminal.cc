#include "runc-ext/init/terminal.h"

#include <unistd.h>

#include <array>

#include "common/root_dir.h"
#include "common/syscalls.h"
#include "runc-ext/container/console.h"

namespace sysbox::runc {
namespace {

// By descriptors from the slave itself: no name in the container decides what is bound
// (CVE-2025-52565).
Result<void> bind_dev_console(int slave_fd) {
  const RootDir dev = TRY(RootDir::open("/dev"));
  const UniqueFd place = TRY(dev.make_file("console"));
  const UniqueFd clone = TRY(sys::open_tree(slave_fd, "", OPEN_TREE_CLONE));
  return sys::move_mount(clone.get(), "", place.get(), "").in("/dev/console");
}

}  // namespace

Result<void> set_up_terminal(const OciProcess& process, ConsoleNode node, Channel& parent) {
  if (!process.terminal) return {};
  const Console console = TRY(open_console("/dev/pts/ptmx"));
  if (process.console_size) TRY(set_console_size(console.slave.get(), *process.console_size));
  // As login(1) does: a user who is not root must be able to open its own terminal by name.
  if (::fchown(console.slave.get(), process.user.uid, static_cast<gid_t>(-1)) != 0) {
    return last_error("give the terminal to user ", process.user.uid);
  }
  if (node == ConsoleNode::kReplace) TRY(bind_dev_console(console.slave.get()));
  const std::array fds = {console.master.get()};
  TRY(parent.send(Step::kConsole, 0, fds));
  return take_console(console.slave.get());
}

}  // namespace sysbox::runc
