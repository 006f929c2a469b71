// mknod(2) of the devices that every container has: made on the file systems of the host's that
// the container lives on (its root, volumes, /dev), where a node can be opened. On one that the
// container has mounted itself the kernel opens no device, so there EPERM stays the answer: a bind
// of a node from elsewhere would work, but could not be unlinked, and debootstrap and mmdebstrap
// unlink what they have tried.

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>

#include "common/syscalls.h"
#include "seccomp-notify/device_nodes.h"
#include "seccomp-notify/handlers/handlers.h"

namespace sysbox::seccomp {
namespace {

struct SplitPath {
  std::string parent;
  std::string name;
};

// Nothing for a path that ends with a slash or dots: the kernel has the right error.
std::optional<SplitPath> split_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  SplitPath split{std::string("."), path};
  if (slash != std::string::npos) {
    split.parent = path.substr(0, std::max<std::size_t>(slash, 1));
    split.name = path.substr(slash + 1);
  }
  if (split.name.empty() || split.name == "." || split.name == "..") return std::nullopt;
  return split;
}

Result<mode_t> umask_of(const Caller& caller) {
  constexpr std::string_view kField = "\nUmask:\t";
  const std::string status = TRY(sys::read_file_at(caller.directory.get(), "status"));
  const std::size_t at = status.find(kField);
  if (at == std::string::npos) return errno_error(EINVAL, "umask of the caller");
  unsigned mask = 0;
  const char* const start = status.data() + at + kField.size();
  const auto parsed = std::from_chars(start, status.data() + status.size(), mask, 8);
  if (parsed.ec != std::errc()) return errno_error(EINVAL, "umask of the caller");
  return static_cast<mode_t>(mask);
}

// Root of the container itself. One of a user namespace made inside gets the kernel's answer, as
// in a user namespace of a machine.
Result<bool> may_make_nodes(const Tracee& tracee, const Caller& caller) {
  if (((caller.status.effective_capabilities >> CAP_MKNOD) & 1U) == 0) return false;
  return is_child_of(caller.user_namespace.get(), tracee.host().user_namespace.get());
}

}  // namespace

Result<Verdict> handle_mknod(const Assistance& with, const NodeArguments& arguments) {
  const Tracee& tracee = with.tracee;
  const auto mode = static_cast<mode_t>(arguments.mode & 0xffffU);  // umode_t
  const AllowedNode* node = find_allowed_node(static_cast<std::uint32_t>(arguments.device));
  if (node == nullptr || (mode & S_IFMT) != S_IFCHR) return Verdict(LetKernelRunIt{});
  const std::optional<SplitPath> path =
      split_path(TRY(tracee.read_string(arguments.path, PATH_MAX)));
  if (!path) return Verdict(LetKernelRunIt{});
  Caller caller = TRY(tracee.open_caller());
  TRY(caller.learn_credentials());
  if (!TRY(may_make_nodes(tracee, caller))) return Verdict(LetKernelRunIt{});
  const mode_t mask = TRY(umask_of(caller));

  const Visit visit = TRY(Visit::begin(with.visitor, caller));
  const UniqueFd parent = TRY(find_place(visit, caller, {arguments.dirfd, path->parent}));
  if (!TRY(describe_place(parent.get())).is_directory) return Verdict(LetKernelRunIt{});
  if (!tracee.still_waiting()) return errno_error(ESRCH, "the caller is gone");
  const dev_t device = makedev(node->made >> 8U, node->made & 0xffU);
  const bool was_tried = tracee.evidence() != 0;
  tracee.write_down(1);
  const Result<void> made =
      visit.make_node(parent.get(), path->name, {(mode & 07777U & ~mask) | S_IFCHR, device});
  // Made by a daemon that was killed before it could say so.
  if (!made.ok() && was_tried && made.error().code() == EEXIST) return Verdict(SucceedWith{0});
  if (!made.ok()) return Verdict(FailWith{made.error().code()});
  return Verdict(SucceedWith{0});
}

}  // namespace sysbox::seccomp
