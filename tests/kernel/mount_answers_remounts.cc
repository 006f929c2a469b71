// Remounts as mount(8) makes them: with all the options that mountinfo shows, new ones behind them.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/kernel/mount_answers.h"

namespace sysbox::answers {
namespace {

constexpr unsigned kSetString = 1;
constexpr unsigned kSetFlag = 0;
constexpr unsigned kReconfigure = 7;
constexpr const char* kNewSize = ",size=2048k";

// The last field of the last line of mountinfo whose mount point ends so, but for "rw": mount(8)
// says that by a flag.
std::string superblock_options_of(const std::string& name) {
  std::ifstream table("/proc/self/mountinfo");
  std::string found;
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string target;
    for (int i = 0; i < 5; ++i) words >> target;
    if (target.ends_with("/" + name)) found = line.substr(line.rfind(' ') + 1);
  }
  const std::string access = found.substr(0, found.find(','));
  if (access != "rw" && access != "ro") return found;
  return found.substr(std::min(access.size() + 1, found.size()));
}

using Remount = long (*)(const std::string& options, unsigned long flags);

long by_mount(const std::string& options, unsigned long flags) {
  return call(kMount, "none", "dir", "none", MS_REMOUNT | flags, options.c_str());
}
long by_context(const std::string& options, unsigned long flags) {
  const long context = call(kFspick, AT_FDCWD, "dir", FSPICK_CLOEXEC);
  if (context < 0) return -1;
  std::istringstream list(options);
  for (std::string option; std::getline(list, option, ',');) {
    const std::size_t end = option.find('=');
    const bool has_value = end != std::string::npos;
    const std::string key = option.substr(0, end);
    const std::string value = has_value ? option.substr(end + 1) : "";
    const long rc = has_value ? call(kFsconfig, context, kSetString, key.c_str(), value.c_str(), 0)
                              : call(kFsconfig, context, kSetFlag, key.c_str(), nullptr, 0);
    if (rc != 0) return -1;
  }
  const char* const access = (flags & MS_RDONLY) != 0 ? "ro" : "rw";
  if (call(kFsconfig, context, kSetFlag, access, nullptr, 0) != 0) return -1;
  return call(kFsconfig, context, kReconfigure, nullptr, nullptr, 0);
}

std::string tmpfs_again(Remount remount, const std::string& more, unsigned long flags = 0) {
  Steps step;
  step("tmpfs", call(kMount, "t", "dir", "tmpfs", 0, "uid=0,gid=0,size=1m"));
  for (int i = 0; i < 2; ++i) {
    if (!step("remount", remount(superblock_options_of("dir") + more, flags))) break;
  }
  if (step.end() != "ok") return step.end();
  if (more == kNewSize) {
    step.holds("size", superblock_options_of("dir").find("size=2048k") != std::string::npos);
  }
  struct stat root {};
  step("stat", ::stat("dir", &root));
  step.holds("owner", root.st_uid == 0 && root.st_gid == 0);
  return step.end(options_of("dir"));
}
std::string tmpfs_in_use(Remount remount) {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  step("file", ::creat("dir/file", 0644));
  step("remount", remount(superblock_options_of("dir"), MS_RDONLY));
  return step.end();
}
// What a terminal's group is, a remount decides as well.
std::string devpts_again(Remount remount) {
  Steps step;
  step("devpts", call(kMount, "d", "dir", "devpts", 0, "gid=0,mode=620,ptmxmode=666"));
  const std::string shown = superblock_options_of("dir");
  step.holds("group", shown.find("gid=") != std::string::npos);
  step("remount", remount(shown, 0));
  step.holds("kept", superblock_options_of("dir") == shown);
  return step.end();
}
std::string proc_again(Remount remount) {
  Steps step;
  step("proc", call(kMount, "p", "dir", "proc", 0, "hidepid=2,gid=0"));
  const std::string shown = superblock_options_of("dir");
  step("remount", remount(shown, 0));
  step.holds("kept", superblock_options_of("dir") == shown);
  step("umount", call(kUmount2, "dir", 0));
  return step.end();
}
std::string in_namespace_within(std::string (*body)()) {
  return enter_user_namespace(CLONE_NEWNS) == 0 ? body() : "unshare:" + answer(-1);
}
std::string tmpfs_of_parents(Remount remount) {
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  const std::string shown = superblock_options_of("dir");
  step("unshare", enter_user_namespace(CLONE_NEWNS));
  if (step.end() != "ok") return step.end();
  return answer(remount(shown, 0));
}

const Probe kProbes[] = {
    {"again-tmpfs", [] { return tmpfs_again(by_mount, kNewSize); }},
    {"again-tmpfs-ro", [] { return tmpfs_again(by_mount, "", MS_RDONLY | MS_NODEV); }},
    {"again-tmpfs-twice-named", [] { return tmpfs_again(by_mount, ",uid=0,gid=0"); }},
    {"again-tmpfs-unknown", [] { return tmpfs_again(by_mount, ",colour=red"); }},
    {"again-tmpfs-id-bad", [] { return tmpfs_again(by_mount, ",uid=4294967295"); }},
    {"again-tmpfs-id-none", [] { return tmpfs_again(by_mount, ",uid="); }},
    {"again-tmpfs-in-use", [] { return tmpfs_in_use(by_mount); }},
    {"again-tmpfs-of-parents", [] { return tmpfs_of_parents(by_mount); }},
    {"again-tmpfs-too-long",
     [] { return tmpfs_again(by_mount, ",colour=" + std::string(5000, 'r')); }},
    {"again-devpts", [] { return devpts_again(by_mount); }},
    {"again-proc", [] { return proc_again(by_mount); }},
    {"again-tmpfs-within",
     [] { return in_namespace_within([] { return tmpfs_again(by_mount, kNewSize); }); }},
    {"picked-again-tmpfs", [] { return tmpfs_again(by_context, kNewSize); }},
    {"picked-again-tmpfs-ro", [] { return tmpfs_again(by_context, "", MS_RDONLY); }},
    {"picked-again-tmpfs-twice-named", [] { return tmpfs_again(by_context, ",uid=0,gid=0"); }},
    {"picked-again-tmpfs-unknown", [] { return tmpfs_again(by_context, ",colour=red"); }},
    {"picked-again-tmpfs-id-bad", [] { return tmpfs_again(by_context, ",uid=4294967295"); }},
    {"picked-again-tmpfs-id-none", [] { return tmpfs_again(by_context, ",uid="); }},
    {"picked-again-tmpfs-in-use", [] { return tmpfs_in_use(by_context); }},
    {"picked-again-tmpfs-of-parents", [] { return tmpfs_of_parents(by_context); }},
    {"picked-again-devpts", [] { return devpts_again(by_context); }},
    {"picked-again-proc", [] { return proc_again(by_context); }},
    {"picked-again-tmpfs-within",
     [] { return in_namespace_within([] { return tmpfs_again(by_context, kNewSize); }); }},
};

}  // namespace

std::span<const Probe> remount_probes() { return kProbes; }

}  // namespace sysbox::answers
