// The mount interface of descriptors: fsopen(2) and what follows it, and open_tree(2).

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>

#include "tests/kernel/child_text.h"
#include "tests/kernel/mount_answers.h"

namespace sysbox::answers {
namespace {

constexpr unsigned kSetFlag = FSCONFIG_SET_FLAG, kSetString = FSCONFIG_SET_STRING;

int context(const char* type) { return static_cast<int>(call(kFsopen, type, FSOPEN_CLOEXEC)); }
long set(int fd, const char* key, const char* value) {
  return call(kFsconfig, fd, value == nullptr ? kSetFlag : kSetString, key, value, 0);
}
long create(int fd) { return call(kFsconfig, fd, FSCONFIG_CMD_CREATE); }
long attach(int fd, const char* to) {
  return call(kMoveMount, fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH);
}
int clone(const char* path, unsigned flags = 0) {
  return static_cast<int>(
      call(kOpenTree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags));
}

// A mount that is not attached yet; below 0: errno says why.
int made(const char* type, unsigned attributes = 0, const char* key = nullptr,
         const char* value = nullptr) {
  const int fd = context(type);
  if (fd < 0 || (key != nullptr && set(fd, key, value) != 0) || create(fd) != 0) return -1;
  return static_cast<int>(call(kFsmount, fd, FSMOUNT_CLOEXEC, attributes));
}

std::string make_and_look(const char* type, const char* file, unsigned attributes = 0,
                          const char* key = nullptr, const char* value = nullptr) {
  const int fd = made(type, attributes, key, value);
  if (fd < 0) return answer(-1);
  Steps step;
  const bool by_descriptor = file == nullptr || ::faccessat(fd, file, F_OK, 0) == 0;
  step.holds("by-descriptor", by_descriptor);
  step("move_mount", attach(fd, "dir"));
  step.holds("there", file == nullptr || exists(std::string("dir/") + file));
  const std::string effect = options_of("dir");
  ::close(fd);
  step("umount", call(kUmount2, "dir", 0));
  step.holds("gone", mounts_below("dir") == 0);
  return step.end(effect);
}

std::string order(const char* type) {
  const int fd = context(type);
  if (fd < 0) return answer(-1);
  const std::string early = answer(call(kFsmount, fd, 0, 0));
  const std::string first = answer(create(fd));
  const std::string second = answer(create(fd));
  const std::string late = answer(set(fd, "source", "x"));
  const std::string mounted = answer(call(kFsmount, fd, 0, 0));
  return early + "+" + first + "+" + second + "+" + late + "+" + mounted + "+" +
         answer(call(kFsmount, fd, 0, 0));
}
std::string option(const char* type, const char* key, const char* value) {
  const int fd = context(type);
  if (fd < 0) return answer(-1);
  const std::string said = answer(set(fd, key, value));
  std::array<char, 256> log{};
  const ssize_t size = ::read(fd, log.data(), log.size());
  return said + (size > 0 ? "+log" : "+" + answer(size));
}
std::string configure(const char* type, unsigned command, const char* key, const char* value,
                      int extra) {
  const int fd = context(type);
  return fd < 0 ? answer(-1) : answer(call(kFsconfig, fd, command, key, value, extra));
}
std::string close_on_exec(unsigned of_context, unsigned of_mount) {
  const int fd = static_cast<int>(call(kFsopen, "proc", of_context));
  if (fd < 0 || create(fd) != 0) return answer(-1);
  const int mount = static_cast<int>(call(kFsmount, fd, of_mount, 0));
  const auto flag = [](int of) { return (::fcntl(of, F_GETFD) & FD_CLOEXEC) != 0 ? "yes" : "no"; };
  return mount < 0 ? answer(-1) : std::string(flag(fd)) + "+" + flag(mount);
}
std::string closed_unattached(const char* type) {
  const int fd = made(type);
  if (fd < 0) return answer(-1);
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  Steps step;
  step.holds("root", exists(path + "/."));
  step("close", ::close(fd));
  return step.end();
}
std::string fsmount_with(unsigned flags, unsigned attributes) {
  const int fd = context("proc");
  if (fd < 0 || create(fd) != 0) return answer(-1);
  return answer(call(kFsmount, fd, flags, attributes));
}
std::string without_capability(const char* type) {
  if (drop_capability(21 /* CAP_SYS_ADMIN */) != 0) return "capset:" + answer(-1);
  return answer(context(type));
}
std::string capability_lost_between() {
  const int fd = context("proc");
  if (fd < 0) return answer(-1);
  if (drop_capability(21) != 0) return "capset:" + answer(-1);
  const std::string said = answer(create(fd));
  return said + "+" + answer(call(kFsmount, fd, 0, 0));
}
// A context of the parent's user namespace, used by root of a nested one.
std::string nested(int others, const char* type, const char* file) {
  if (enter_user_namespace(others | CLONE_NEWNS) != 0) return "unshare:" + answer(-1);
  return text_of_child([type, file] { return make_and_look(type, file); });
}

// ---- move_mount

std::string attach_to(const char* path) {
  const int fd = made("proc");
  return fd < 0 ? answer(-1) : answer(attach(fd, path));
}
std::string attach_twice() {
  const int fd = made("proc");
  if (fd < 0) return answer(-1);
  const std::string first = answer(attach(fd, "dir"));
  return first + "+" + answer(attach(fd, "other"));
}
std::string attach_to_descriptor() {
  const int fd = made("proc");
  const int place = ::open("dir", O_PATH | O_DIRECTORY);
  Steps step;
  step("move_mount",
       call(kMoveMount, fd, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
  step.holds("there", exists("dir/meminfo"));
  return step.end();
}
std::string move_attached() {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  step("move_mount", call(kMoveMount, AT_FDCWD, "dir", AT_FDCWD, "other", 0));
  step.holds("moved", mounts_below("dir") == 0 && mounts_below("other") == 1);
  return step.end();
}
std::string move_with(const char* from, unsigned flags) {
  return answer(call(kMoveMount, AT_FDCWD, from, AT_FDCWD, "other", flags));
}
std::string attach_beneath() {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  const int fd = made("proc");
  if (!step("beneath", call(kMoveMount, fd, "", AT_FDCWD, "dir",
                            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_BENEATH))) {
    return step.end();
  }
  step("umount", call(kUmount2, "dir", 0));
  step.holds("proc", exists("dir/meminfo"));
  return step.end();
}

// ---- open_tree

std::string tree_with(const char* path, unsigned flags) {
  return answer(call(kOpenTree, AT_FDCWD, path, flags));
}
std::string clone_and_attach(const char* path, const char* file, unsigned flags = 0) {
  const int fd = clone(path, flags);
  if (fd < 0) return answer(-1);
  Steps step;
  step.holds("by-descriptor", ::faccessat(fd, file, F_OK, 0) == 0);
  step("move_mount", attach(fd, "other"));
  step.holds("there", exists(std::string("other/") + file));
  ::close(fd);
  step("umount", call(kUmount2, "other", flags == 0 ? 0 : MNT_DETACH));
  return step.end();
}
std::string clone_of_unattached() {
  const int fd = made("tmpfs");
  if (fd < 0) return answer(-1);
  return answer(call(kOpenTree, fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
}
std::string clone_without_capability() {
  if (drop_capability(21) != 0) return "capset:" + answer(-1);
  return tree_with("dir", 0) + "+" + tree_with("dir", OPEN_TREE_CLONE);
}
std::string clone_with(const char* path, std::uint64_t set_attributes) {
  struct mount_attr wanted {};
  wanted.attr_set = set_attributes;
  const int fd = static_cast<int>(call(
      kOpenTreeAttr, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, &wanted, sizeof wanted));
  if (fd < 0) return answer(-1);
  Steps step;
  step("move_mount", attach(fd, "other"));
  struct statvfs before {};
  struct statvfs after {};
  step("statvfs", ::statvfs(path, &before) + ::statvfs("other", &after));
  step.holds("kept",
             (before.f_flag & ~after.f_flag & ~static_cast<unsigned long>(ST_RELATIME)) == 0);
  step.holds("set",
             ((after.f_flag & ST_RDONLY) != 0) == ((set_attributes & MOUNT_ATTR_RDONLY) != 0));
  return step.end();
}

// ---- fspick

int pick(const char* path, unsigned flags = FSPICK_CLOEXEC) {
  return static_cast<int>(call(kFspick, AT_FDCWD, path, flags));
}
std::string reconfigure(const char* type, const char* key, const char* value) {
  Steps step;
  step("mount", call(kMount, "m", "dir", type));
  const int fd = pick("dir");
  if (!step("fspick", fd)) return step.end();
  if (!step("fsconfig", set(fd, key, value))) return step.end();
  step("reconfigure", call(kFsconfig, fd, FSCONFIG_CMD_RECONFIGURE));
  return step.end(options_of("dir"));
}

const Probe kProbes[] = {
    {"fsopen-unknown", [] { return answer(context("no-such-type")); }},
    {"fsopen-empty", [] { return answer(context("")); }},
    {"fsopen-null", [] { return answer(context(nullptr)); }},
    {"fsopen-bad", [] { return answer(context(kBadAddress)); }},
    {"fsopen-flags-unknown", [] { return answer(call(kFsopen, "proc", 0x100)); }},
    {"fsopen-disk", [] { return answer(context("ext4")); }},
    {"fsopen-without-capability-tmpfs", [] { return without_capability("tmpfs"); }},
    {"fsopen-without-capability-proc", [] { return without_capability("proc"); }},
    {"fsopen-capability-lost", capability_lost_between},
    {"new-proc", [] { return make_and_look("proc", "meminfo"); }},
    {"new-proc-ro", [] { return make_and_look("proc", "meminfo", MOUNT_ATTR_RDONLY); }},
    {"new-proc-flags",
     [] {
       return make_and_look("proc", "meminfo",
                            MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
     }},
    {"new-proc-noatime",
     [] { return make_and_look("proc", "meminfo", MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODIRATIME); }},
    {"new-proc-sb-ro", [] { return make_and_look("proc", "meminfo", 0, "ro", nullptr); }},
    {"new-proc-subset", [] { return make_and_look("proc", "self/stat", 0, "subset", "pid"); }},
    {"new-proc-hidepid", [] { return make_and_look("proc", "self/stat", 0, "hidepid", "2"); }},
    {"new-sysfs", [] { return make_and_look("sysfs", "class/net/lo"); }},
    {"new-sysfs-ro", [] { return make_and_look("sysfs", "kernel", MOUNT_ATTR_RDONLY); }},
    {"new-tmpfs", [] { return make_and_look("tmpfs", nullptr, MOUNT_ATTR_NOSUID, "size", "1m"); }},
    {"new-tmpfs-source", [] { return make_and_look("tmpfs", nullptr, 0, "source", "name"); }},
    {"new-mqueue", [] { return make_and_look("mqueue", nullptr); }},
    {"new-order-tmpfs", [] { return order("tmpfs"); }},
    {"new-order-proc", [] { return order("proc"); }},
    {"new-option-unknown-tmpfs", [] { return option("tmpfs", "colour", "red"); }},
    {"new-option-unknown-proc", [] { return option("proc", "colour", "red"); }},
    {"new-option-bad-proc", [] { return option("proc", "hidepid", "9"); }},
    {"new-option-good-proc", [] { return option("proc", "hidepid", "1"); }},
    {"fsconfig-command-unknown", [] { return configure("proc", 99, nullptr, nullptr, 0); }},
    {"fsconfig-key-null", [] { return configure("proc", kSetString, nullptr, "x", 0); }},
    {"fsconfig-value-bad", [] { return configure("proc", kSetString, "hidepid", kBadAddress, 0); }},
    {"fsconfig-extra", [] { return configure("proc", kSetFlag, "ro", nullptr, 7); }},
    {"fsconfig-reconfigure-new",
     [] { return configure("proc", FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0); }},
    {"fsconfig-not-a-context", [] { return answer(create(::open("dir", O_RDONLY))); }},
    {"fsconfig-closed", [] { return answer(create(1000)); }},
    {"fsmount-not-a-context", [] { return answer(call(kFsmount, ::open("dir", O_RDONLY), 0, 0)); }},
    {"fsmount-closed", [] { return answer(call(kFsmount, 1000, 0, 0)); }},
    {"fsmount-flags-unknown", [] { return fsmount_with(0x100, 0); }},
    {"fsmount-attributes-unknown", [] { return fsmount_with(0, 1U << 30U); }},
    {"fsmount-atime-bad", [] { return fsmount_with(0, MOUNT_ATTR__ATIME); }},
    {"fsmount-close-on-exec", [] { return close_on_exec(FSOPEN_CLOEXEC, FSMOUNT_CLOEXEC); }},
    {"fsmount-inherited", [] { return close_on_exec(0, 0); }},
    {"fsmount-unattached-proc", [] { return closed_unattached("proc"); }},
    {"fsmount-nested-proc", [] { return nested(CLONE_NEWPID, "proc", "meminfo"); }},
    {"fsmount-nested-proc-old-pids", [] { return nested(0, "proc", nullptr); }},
    {"fsmount-nested-sysfs", [] { return nested(CLONE_NEWNET, "sysfs", "class/net/lo"); }},
    {"move_mount-to-file", [] { return attach_to("file"); }},
    {"move_mount-to-missing", [] { return attach_to("no-such"); }},
    {"move_mount-to-link", [] { return attach_to("link"); }},
    {"move_mount-to-bad", [] { return attach_to(kBadAddress); }},
    {"move_mount-twice", attach_twice},
    {"move_mount-to-descriptor", attach_to_descriptor},
    {"move_mount-attached", move_attached},
    {"move_mount-beneath", attach_beneath},
    {"move_mount-not-a-mount", [] { return move_with("dir", 0); }},
    {"move_mount-flags-unknown", [] { return move_with("dir", 1U << 30U); }},
    {"move_mount-empty-path", [] { return move_with("", 0); }},
    {"open_tree", [] { return tree_with("dir", 0); }},
    {"open_tree-missing", [] { return tree_with("no-such", OPEN_TREE_CLONE); }},
    {"open_tree-loop", [] { return tree_with("loop", OPEN_TREE_CLONE); }},
    {"open_tree-null", [] { return tree_with(nullptr, OPEN_TREE_CLONE); }},
    {"open_tree-empty", [] { return tree_with("", OPEN_TREE_CLONE); }},
    {"open_tree-flags-unknown", [] { return tree_with("dir", 1U << 30U); }},
    {"open_tree-recursive-alone", [] { return tree_with("dir", AT_RECURSIVE); }},
    {"open_tree-clone", [] { return clone_and_attach("dir", "sub"); }},
    {"open_tree-clone-file", [] { return tree_with("file", OPEN_TREE_CLONE); }},
    {"open_tree-clone-proc", [] { return clone_and_attach("/proc", "meminfo"); }},
    {"open_tree-clone-proc-all", [] { return clone_and_attach("/proc", "meminfo", AT_RECURSIVE); }},
    {"open_tree-clone-root", [] { return clone_and_attach("/", "proc"); }},
    {"open_tree-clone-unattached", clone_of_unattached},
    {"open_tree-without-capability", clone_without_capability},
    {"open_tree_attr", [] { return clone_with("dir", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC); }},
    {"open_tree_attr-proc", [] { return clone_with("/proc", MOUNT_ATTR_RDONLY); }},
    {"open_tree_attr-unknown", [] { return clone_with("dir", 1ULL << 40U); }},
    {"fspick-tmpfs", [] { return reconfigure("tmpfs", "size", "2m"); }},
    {"fspick-tmpfs-ro", [] { return reconfigure("tmpfs", "ro", nullptr); }},
    {"fspick-tmpfs-option-unknown", [] { return reconfigure("tmpfs", "colour", "red"); }},
    {"fspick-proc", [] { return reconfigure("proc", "hidepid", "2"); }},
    {"fspick-not-a-mount", [] { return answer(pick("dir")); }},
    {"fspick-missing", [] { return answer(pick("no-such")); }},
    {"fspick-flags-unknown", [] { return answer(pick("dir", 0x100)); }},
};

}  // namespace

std::span<const Probe> descriptor_probes() { return kProbes; }

}  // namespace sysbox::answers
