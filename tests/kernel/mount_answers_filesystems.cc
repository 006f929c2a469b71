// mount(2) of new file systems, and what is wrong with its arguments.

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstring>

#include "tests/kernel/child_text.h"
#include "tests/kernel/mount_answers.h"

namespace sysbox::answers {
namespace {

long mount_new(const char* type, const char* target, unsigned long flags = 0,
               const char* options = nullptr) {
  return call(kMount, type, target, type, flags, options);
}

// Mounted, looked at, and gone by one umount2(2).
std::string mount_and_look(const char* type, const char* options, const char* file,
                           unsigned long flags = 0) {
  Steps step;
  if (!step("mount", mount_new(type, "dir", flags, options))) return answer(-1);
  if (file != nullptr) step.holds(file, exists(std::string("dir/") + file));
  const std::string effect = options_of("dir");
  step("umount", call(kUmount2, "dir", 0));
  step.holds("gone", mounts_below("dir") == 0);
  return step.end(effect);
}
std::string mount_plain(const char* type, const char* options = nullptr) {
  return mount_and_look(type, options, nullptr);
}

std::string flags_of_tmpfs(unsigned long flags) {
  return mount_and_look("tmpfs", "", nullptr, flags);
}
std::string flags_of_proc(unsigned long flags) {
  return mount_and_look("proc", nullptr, "self/stat", flags);
}

std::string overlay(const char* options) {
  for (const char* directory : {"dir/lower", "dir/upper", "dir/work"}) ::mkdir(directory, 0755);
  ::close(::creat("dir/lower/below", 0644));
  if (call(kMount, "o", "other", "overlay", 0, options) != 0) return answer(-1);
  Steps step;
  step.holds("below", exists("other/below"));
  step("unlink", ::unlink("other/below"));
  step.holds("whiteout", exists("dir/upper/below") && !exists("other/below"));
  step("umount", call(kUmount2, "other", 0));
  return step.end();
}

std::string devpts() {
  Steps step;
  if (!step("mount", mount_new("devpts", "dir", 0, "newinstance,ptmxmode=0666"))) return answer(-1);
  const int master = ::open("dir/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  step("open", master);
  step.holds("0", exists("dir/0"));
  ::close(master);
  step("umount", call(kUmount2, "dir", 0));
  return step.end();
}

std::string fuse() {
  const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) return "open:" + answer(-1);
  const std::string options =
      "fd=" + std::to_string(device) + ",rootmode=40000,user_id=0,group_id=0";
  Steps step;
  step("mount", mount_new("fuse", "dir", MS_NODEV | MS_NOSUID, options.c_str()));
  step("umount", call(kUmount2, "dir", MNT_DETACH));
  return step.end();
}

// What both a file system of the kernel's own and an emulated one has to say.
struct Target {
  const char* path;
  const char* what;
};
std::string to_target(const char* path) {
  std::string answers;
  for (const char* type : {"tmpfs", "proc", "sysfs"}) {
    const std::string said = answer(mount_new(type, path));
    if (!answers.empty() && answers != said) return answers + "/" + type + ":" + said;
    answers = said;
    if (said == "ok") call(kUmount2, path, MNT_DETACH);
  }
  return answers;
}
std::string bad_type(const char* type) { return answer(call(kMount, "x", "dir", type)); }
std::string twice(const char* type) {
  if (mount_new(type, "dir") != 0) return "first:" + answer(-1);
  return answer(mount_new(type, "dir"));
}

std::string without_capability() {
  if (drop_capability(21 /* CAP_SYS_ADMIN */) != 0) return "capset:" + answer(-1);
  return to_target("dir");
}
std::string in_a_removed_directory() {
  Steps step;
  step("mkdir", ::mkdir("gone", 0755));
  step("chdir", ::chdir("gone"));
  step("rmdir", ::rmdir("../gone"));
  if (step.end() != "ok") return step.end();
  return to_target(".");
}
std::string by_a_descriptor() {
  const int fd = ::open("dir", O_PATH | O_DIRECTORY);
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  Steps step;
  step("mount", mount_new("proc", path.c_str()));
  step.holds("there", exists("dir/self/stat"));
  step("umount", call(kUmount2, "dir", 0));
  return step.end();
}

// A user namespace of one's own inside: what it may mount depends on its other namespaces.
std::string nested(int others, const char* type, const char* file) {
  if (enter_user_namespace(others | CLONE_NEWNS) != 0) return "unshare:" + answer(-1);
  return text_of_child([type, file] { return mount_and_look(type, nullptr, file); });
}
std::string nested_proc_covered() {
  if (mount_tmpfs("/proc/sys") != 0) return "cover:" + answer(-1);
  return nested(CLONE_NEWPID, "proc", "self/stat");
}
std::string proc_of_new_pids() {
  if (call(kUnshare, CLONE_NEWPID) != 0) return "unshare:" + answer(-1);
  return text_of_child([] {
    Steps step;
    step("mount", mount_new("proc", "dir"));
    step.holds("1", exists("dir/1") && !exists("dir/2"));
    step("umount", call(kUmount2, "dir", 0));
    return step.end();
  });
}

const Probe kProbes[] = {
    {"proc", [] { return mount_and_look("proc", nullptr, "meminfo"); }},
    {"proc-ro", [] { return flags_of_proc(MS_RDONLY); }},
    {"proc-flags", [] { return flags_of_proc(MS_NOSUID | MS_NODEV | MS_NOEXEC); }},
    {"proc-noatime", [] { return flags_of_proc(MS_NOATIME | MS_NODIRATIME); }},
    {"proc-strictatime", [] { return flags_of_proc(MS_STRICTATIME); }},
    {"proc-sync", [] { return flags_of_proc(MS_SYNCHRONOUS); }},
    {"proc-nosymfollow", [] { return mount_and_look("proc", nullptr, "1/stat", MS_NOSYMFOLLOW); }},
    {"proc-silent", [] { return flags_of_proc(MS_SILENT); }},
    {"proc-lazytime", [] { return flags_of_proc(MS_LAZYTIME); }},
    {"proc-mandlock", [] { return flags_of_proc(MS_MANDLOCK); }},
    {"proc-old-magic", [] { return flags_of_proc(0xC0ED0000UL | MS_NODEV); }},
    {"proc-hidepid", [] { return mount_plain("proc", "hidepid=2"); }},
    {"proc-hidepid-name", [] { return mount_plain("proc", "hidepid=invisible,gid=0"); }},
    {"proc-hidepid-bad", [] { return mount_plain("proc", "hidepid=9"); }},
    {"proc-subset", [] { return mount_and_look("proc", "subset=pid", "self/stat"); }},
    {"proc-subset-hides", [] { return mount_and_look("proc", "subset=pid", "meminfo"); }},
    {"proc-option-unknown", [] { return mount_plain("proc", "colour=red"); }},
    {"proc-option-empty", [] { return mount_plain("proc", ",,"); }},
    {"proc-option-common", [] { return mount_plain("proc", "rw,lazytime"); }},
    {"proc-gid-bad", [] { return mount_plain("proc", "gid=staff"); }},
    {"proc-gid-negative", [] { return mount_plain("proc", "gid=-1"); }},
    {"proc-data-bad", [] { return answer(call(kMount, "p", "dir", "proc", 0, kBadAddress)); }},
    {"proc-source-null", [] { return answer(call(kMount, nullptr, "dir", "proc")); }},
    {"proc-source-bad", [] { return answer(call(kMount, kBadAddress, "dir", "proc")); }},
    {"proc-source-empty", [] { return answer(call(kMount, "", "dir", "proc")); }},
    {"proc-twice", [] { return twice("proc"); }},
    {"proc-new-pids", proc_of_new_pids},
    {"proc-by-descriptor", by_a_descriptor},
    {"sysfs", [] { return mount_and_look("sysfs", nullptr, "class/net/lo"); }},
    {"sysfs-ro", [] { return mount_and_look("sysfs", nullptr, "kernel", MS_RDONLY); }},
    {"sysfs-option-unknown", [] { return mount_plain("sysfs", "colour=red"); }},
    {"sysfs-option-common", [] { return mount_plain("sysfs", "rw"); }},
    {"sysfs-twice", [] { return twice("sysfs"); }},
    {"tmpfs", [] { return mount_plain("tmpfs", "size=1m,mode=0700,nr_inodes=10"); }},
    {"tmpfs-flags", [] { return flags_of_tmpfs(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC); }},
    {"tmpfs-noatime", [] { return flags_of_tmpfs(MS_NOATIME | MS_NODIRATIME); }},
    {"tmpfs-strictatime", [] { return flags_of_tmpfs(MS_STRICTATIME); }},
    {"tmpfs-sync", [] { return flags_of_tmpfs(MS_SYNCHRONOUS); }},
    {"tmpfs-option-unknown", [] { return mount_plain("tmpfs", "colour=red"); }},
    {"tmpfs-option-bad", [] { return mount_plain("tmpfs", "size=much"); }},
    {"ramfs", [] { return mount_plain("ramfs"); }},
    {"overlay", [] { return overlay("lowerdir=dir/lower,upperdir=dir/upper,workdir=dir/work"); }},
    {"overlay-userxattr",
     [] { return overlay("lowerdir=dir/lower,upperdir=dir/upper,workdir=dir/work,userxattr"); }},
    {"overlay-no-lower", [] { return overlay("upperdir=dir/upper,workdir=dir/work"); }},
    {"overlay-lower-missing", [] { return overlay("lowerdir=no-such"); }},
    {"overlay-work-missing", [] { return overlay("lowerdir=dir/lower,upperdir=dir/upper"); }},
    {"overlay-of-root",
     [] { return answer(call(kMount, "o", "dir", "overlay", 0, "lowerdir=/:other")); }},
    {"mqueue", [] { return mount_plain("mqueue"); }},
    {"devpts", devpts},
    {"cgroup2-in-own-namespace",
     [] {
       if (call(kUnshare, CLONE_NEWCGROUP) != 0) return answer(-1);
       return mount_and_look("cgroup2", nullptr, "cgroup.procs");
     }},
    {"cgroup-unknown", [] { return mount_plain("cgroup", "none,no-such"); }},
    {"bpf", [] { return mount_plain("bpf"); }},
    {"bpf-delegate", [] { return mount_plain("bpf", "delegate_cmds=any"); }},
    {"fuse", fuse},
    {"fuse-no-descriptor", [] { return mount_plain("fuse"); }},
    {"fuse-not-a-device",
     [] { return mount_plain("fuse", "fd=0,rootmode=40000,user_id=0,group_id=0"); }},
    {"securityfs", [] { return mount_plain("securityfs"); }},
    {"debugfs", [] { return mount_plain("debugfs"); }},
    {"tracefs", [] { return mount_plain("tracefs"); }},
    {"devtmpfs", [] { return mount_plain("devtmpfs"); }},
    {"binfmt_misc", [] { return mount_plain("binfmt_misc"); }},
    {"ext4-not-a-device", [] { return answer(call(kMount, "file", "dir", "ext4")); }},
    {"ext4-missing-device", [] { return answer(call(kMount, "no-such", "dir", "ext4")); }},
    {"type-unknown", [] { return bad_type("no-such-type"); }},
    {"type-empty", [] { return bad_type(""); }},
    {"type-null", [] { return bad_type(nullptr); }},
    {"type-bad", [] { return bad_type(kBadAddress); }},
    {"type-long",
     [] {
       const std::string type(5000, 't');
       return bad_type(type.c_str());
     }},
    {"type-like-proc", [] { return bad_type("proc.x"); }},
    {"target-missing", [] { return to_target("no-such"); }},
    {"target-empty", [] { return to_target(""); }},
    {"target-null", [] { return to_target(nullptr); }},
    {"target-bad", [] { return to_target(kBadAddress); }},
    {"target-file", [] { return to_target("file"); }},
    {"target-below-file", [] { return to_target("file/x"); }},
    {"target-file-slash", [] { return to_target("file/"); }},
    {"target-link", [] { return to_target("link"); }},
    {"target-link-slash", [] { return to_target("link/"); }},
    {"target-dots", [] { return to_target("dir/./../dir"); }},
    {"target-loop", [] { return to_target("loop"); }},
    {"target-long-name",
     [] {
       const std::string name(256, 'n');
       return to_target(name.c_str());
     }},
    {"target-long-path",
     [] {
       std::string path;
       while (path.size() < PATH_MAX) path += "dir/../";
       return to_target(path.c_str());
     }},
    {"target-removed", in_a_removed_directory},
    {"target-without-capability", without_capability},
    {"nested-proc", [] { return nested(CLONE_NEWPID, "proc", "meminfo"); }},
    {"nested-proc-old-pids", [] { return nested(0, "proc", nullptr); }},
    {"nested-proc-covered", nested_proc_covered},
    {"nested-sysfs", [] { return nested(CLONE_NEWNET, "sysfs", "class/net/lo"); }},
    {"nested-sysfs-old-net", [] { return nested(0, "sysfs", nullptr); }},
    {"nested-tmpfs", [] { return nested(0, "tmpfs", nullptr); }},
    {"nested-mqueue-old-ipc", [] { return nested(0, "mqueue", nullptr); }},
    {"nested-mqueue", [] { return nested(CLONE_NEWIPC, "mqueue", nullptr); }},
    {"nested-devpts", [] { return nested(0, "devpts", "ptmx"); }},
};

}  // namespace

std::span<const Probe> filesystem_probes() { return kProbes; }

}  // namespace sysbox::answers
