// mount_setattr(2), statmount(2) and listmount(2).

#include <linux/stat.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "tests/kernel/mount_answers.h"

namespace sysbox::answers {
namespace {

struct Wanted {
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  std::uint64_t propagation = 0;
  std::uint64_t user_namespace = 0;
};
static_assert(sizeof(Wanted) == sizeof(struct mount_attr));

long set_attributes(const char* path, const Wanted& wanted, unsigned flags = 0,
                    std::size_t size = sizeof(Wanted)) {
  return call(kMountSetattr, AT_FDCWD, path, flags, &wanted, size);
}
std::string of_tmpfs(const Wanted& wanted, unsigned flags = 0) {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  if (!step("mount_setattr", set_attributes("dir", wanted, flags))) return answer(-1);
  return step.end(options_of("dir"));
}
std::string of_proc(const Wanted& wanted, unsigned flags) {
  Steps step;
  step("mount", call(kMount, "p", "dir", "proc"));
  if (!step("mount_setattr", set_attributes("dir", wanted, flags))) return answer(-1);
  const bool read_only = (wanted.set & MOUNT_ATTR_RDONLY) != 0;
  step.holds("write", can_write("dir/sys/kernel/hostname") != read_only);
  Wanted undone;
  undone.clear = wanted.set;
  step("undone", set_attributes("dir", undone, flags));
  step.holds("again", can_write("dir/sys/kernel/hostname"));
  const std::string effect = options_of("dir");
  step("umount", call(kUmount2, "dir", 0));
  return step.end(effect);
}
std::string propagation() {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  Wanted wanted;
  wanted.propagation = MS_SHARED;
  if (!step("mount_setattr", set_attributes("dir", wanted))) return answer(-1);
  return step.end(propagation_of("dir"));
}
std::string locked() {
  Steps step;
  step("tmpfs", call(kMount, "t", "dir", "tmpfs", MS_RDONLY));
  step("unshare", enter_user_namespace(CLONE_NEWNS));
  if (step.end() != "ok") return step.end();
  Wanted wanted;
  wanted.clear = MOUNT_ATTR_RDONLY;
  return answer(set_attributes("dir", wanted));
}
std::string larger_than_known(char last) {
  std::array<char, sizeof(Wanted) + 8> structure{};
  structure.back() = last;
  return answer(call(kMountSetattr, AT_FDCWD, "/", 0, structure.data(), structure.size()));
}
// An id-mapped clone of a place, by a user namespace made for it.
std::string map_ids(const char* source) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) return "pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    const long rc = enter_user_namespace(0);
    const char said = rc == 0 ? '1' : '0';
    ::_exit(::write(pipe[1], &said, 1) == 1 && ::pause() != 0 ? 0 : 1);
  }
  char said = '0';
  Steps step;
  step.holds("namespace", ::read(pipe[0], &said, 1) == 1 && said == '1');
  const int space =
      ::open(("/proc/" + std::to_string(child) + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC);
  const auto tree = static_cast<int>(call(kOpenTree, AT_FDCWD, source, OPEN_TREE_CLONE));
  step("open_tree", tree);
  Wanted wanted;
  wanted.set = MOUNT_ATTR_IDMAP;
  wanted.user_namespace = static_cast<std::uint64_t>(space);
  step("mount_setattr", call(kMountSetattr, tree, "", AT_EMPTY_PATH, &wanted, sizeof wanted));
  ::kill(child, SIGKILL);
  return step.end();
}

// ---- statmount and listmount

// As Linux 6.8 has it.
struct MountRequest {
  std::uint32_t size = 24;
  std::uint32_t spare = 0;
  std::uint64_t mount = 0;
  std::uint64_t parameter = 0;
};
constexpr std::uint64_t kBasicsOfSuperblock = 1;
constexpr std::uint64_t kRoot = ~std::uint64_t{0};  // LSMT_ROOT
constexpr unsigned kUniqueId = 0x4000;              // STATX_MNT_ID_UNIQUE

struct Answer {
  alignas(8) std::array<char, 4096> bytes{};
};
std::uint64_t id_of(const char* path) {
  struct statx known {};
  if (::syscall(SYS_statx, AT_FDCWD, path, 0, kUniqueId, &known) != 0) return 0;
  if ((known.stx_mask & kUniqueId) == 0) return 0;
  std::uint64_t id = 0;
  std::memcpy(&id, reinterpret_cast<const char*>(&known) + 0x90, sizeof id);  // stx_mnt_id
  return id;
}
std::string describe(std::uint64_t mount, std::uint64_t mask, std::uint32_t size = 24) {
  MountRequest request;
  request.size = size;
  request.mount = mount;
  request.parameter = mask;
  Answer got;
  return answer(call(kStatmount, &request, &got, sizeof got.bytes, 0));
}
std::string describe_into(const char* place, std::size_t size) {
  MountRequest request;
  request.mount = id_of(".");
  request.parameter = kBasicsOfSuperblock;
  return answer(call(kStatmount, &request, place, size, 0));
}
std::string list(std::uint64_t mount, const char* place, std::size_t count, unsigned flags = 0) {
  MountRequest request;
  request.mount = mount;
  Answer got;
  const long found =
      call(kListmount, &request, place == nullptr ? got.bytes.data() : place, count, flags);
  if (found < 0) return answer(found);
  return found > 0 ? "ok:some" : "ok:none";
}

Wanted setting(std::uint64_t set, std::uint64_t clear = 0) {
  Wanted wanted;
  wanted.set = set;
  wanted.clear = clear;
  return wanted;
}

const Probe kProbes[] = {
    {"setattr-ro", [] { return of_tmpfs(setting(MOUNT_ATTR_RDONLY)); }},
    {"setattr-recursive",
     [] { return of_tmpfs(setting(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV), AT_RECURSIVE); }},
    {"setattr-noatime", [] { return of_tmpfs(setting(MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME)); }},
    {"setattr-atime-not-cleared", [] { return of_tmpfs(setting(MOUNT_ATTR_NOATIME)); }},
    {"setattr-nothing", [] { return of_tmpfs(setting(0)); }},
    {"setattr-unknown", [] { return of_tmpfs(setting(1ULL << 40U)); }},
    {"setattr-flags-unknown", [] { return of_tmpfs(setting(MOUNT_ATTR_RDONLY), 1U << 30U); }},
    {"setattr-propagation", propagation},
    {"setattr-propagation-two",
     [] {
       Wanted wanted;
       wanted.propagation = MS_SHARED | MS_PRIVATE;
       return of_tmpfs(wanted);
     }},
    {"setattr-proc", [] { return of_proc(setting(MOUNT_ATTR_RDONLY), 0); }},
    {"setattr-proc-all", [] { return of_proc(setting(MOUNT_ATTR_RDONLY), AT_RECURSIVE); }},
    {"setattr-proc-noexec", [] { return of_proc(setting(MOUNT_ATTR_NOEXEC), 0); }},
    {"setattr-not-a-mount",
     [] { return answer(set_attributes("dir", setting(MOUNT_ATTR_RDONLY))); }},
    {"setattr-missing",
     [] { return answer(set_attributes("no-such", setting(MOUNT_ATTR_RDONLY))); }},
    {"setattr-path-bad",
     [] { return answer(set_attributes(kBadAddress, setting(MOUNT_ATTR_RDONLY))); }},
    {"setattr-structure-bad",
     [] { return answer(call(kMountSetattr, AT_FDCWD, "dir", 0, kBadAddress, sizeof(Wanted))); }},
    {"setattr-structure-small",
     [] { return answer(set_attributes("dir", setting(MOUNT_ATTR_RDONLY), 0, 8)); }},
    {"setattr-structure-large", [] { return larger_than_known('\0'); }},
    {"setattr-structure-newer", [] { return larger_than_known('\1'); }},
    {"setattr-structure-huge",
     [] { return answer(set_attributes("dir", setting(MOUNT_ATTR_RDONLY), 0, 1 << 20)); }},
    {"setattr-locked", locked},
    {"setattr-ids",
     [] {
       Steps step;
       return step("tmpfs", mount_tmpfs("dir")) ? map_ids("dir") : step.end();
     }},
    {"setattr-ids-of-root", [] { return map_ids("/bin"); }},
    {"setattr-ids-no-namespace",
     [] {
       Wanted wanted = setting(MOUNT_ATTR_IDMAP);
       wanted.user_namespace = 1000;
       return of_tmpfs(wanted);
     }},
    {"setattr-without-capability",
     [] {
       if (mount_tmpfs("dir") != 0 || drop_capability(21) != 0) return answer(-1);
       return answer(set_attributes("dir", setting(MOUNT_ATTR_RDONLY)));
     }},
    {"statmount", [] { return describe(id_of("."), kBasicsOfSuperblock); }},
    {"statmount-unknown-id", [] { return describe(1, kBasicsOfSuperblock); }},
    {"statmount-small", [] { return describe(id_of("."), kBasicsOfSuperblock, 8); }},
    {"statmount-buffer-bad", [] { return describe_into(kBadAddress, 4096); }},
    {"statmount-request-bad",
     [] { return answer(call(kStatmount, kBadAddress, kBadAddress, 64, 0)); }},
    {"listmount-root", [] { return list(kRoot, nullptr, 100); }},
    {"listmount-proc", [] { return list(id_of("/proc"), nullptr, 100); }},
    {"listmount-none", [] { return list(id_of("."), nullptr, 100); }},
    {"listmount-unknown-id", [] { return list(1, nullptr, 100); }},
    {"listmount-buffer-bad", [] { return list(kRoot, kBadAddress, 100); }},
    {"listmount-flags-unknown", [] { return list(kRoot, nullptr, 100, 1U << 30U); }},
};

}  // namespace

std::span<const Probe> attribute_probes() { return kProbes; }

}  // namespace sysbox::answers
