// What an overlay's marks are for: a directory that also lies below is removed and made anew, and
// what was in it does not come back.

#include <sys/stat.h>
#include <unistd.h>

#include "tests/kernel/mount_answers.h"

namespace sysbox::answers {
namespace {

#define LAYERS "lowerdir=dir/lower,upperdir=dir/upper,workdir=dir/work"

long make_layers() {
  Steps step;
  for (const char* directory : {"dir/lower", "dir/lower/both", "dir/upper", "dir/work"}) {
    step(directory, ::mkdir(directory, 0755));
  }
  step("file", ::close(::creat("dir/lower/both/file", 0644)));
  return step.end() == "ok" ? 0 : -1;
}

std::string change_what_lies_below() {
  Steps step;
  step("unlink", ::unlink("other/both/file"));
  step("rmdir", ::rmdir("other/both"));
  step("mkdir", ::mkdir("other/both", 0755));
  step.holds("empty", !exists("other/both/file"));
  step("umount", call(kUmount2, "other", 0));
  return step.end();
}
std::string mounted_with(const char* options, const char* source = "o") {
  if (make_layers() != 0) return "layers:" + answer(-1);
  if (call(kMount, source, "other", "overlay", 0, options) != 0) return answer(-1);
  return change_what_lies_below();
}
// The changes are seen in an overlay over what the first has left.
std::string seen_again() {
  const std::string first = mounted_with(LAYERS);
  if (first != "ok") return first;
  const char* const options = "lowerdir=dir/upper:dir/lower";
  if (call(kMount, "o", "other", "overlay", 0, options) != 0) return answer(-1);
  return exists("other/both") && !exists("other/both/file") ? "ok" : "not-empty";
}
std::string from_here() {
  if (make_layers() != 0 || ::chdir("dir") != 0) return "layers:" + answer(-1);
  const char* const options = "lowerdir=lower,upperdir=upper,workdir=work";
  if (call(kMount, "o", "../other", "overlay", 0, options) != 0 || ::chdir("..") != 0) {
    return answer(-1);
  }
  return change_what_lies_below();
}
std::string flags() {
  if (make_layers() != 0) return "layers:" + answer(-1);
  if (call(kMount, "o", "other", "overlay", MS_NOSUID | MS_NOEXEC, LAYERS) != 0) return answer(-1);
  return "ok:" + options_of("other");
}
std::string in_namespace_within() {
  if (enter_user_namespace(CLONE_NEWNS) != 0) return "unshare:" + answer(-1);
  Steps step;
  step("tmpfs", mount_tmpfs("dir"));
  if (step.end() != "ok") return step.end();
  return mounted_with(LAYERS);
}

std::string by_descriptors(const char* key = nullptr, const char* value = nullptr) {
  if (make_layers() != 0) return "layers:" + answer(-1);
  const long context = call(kFsopen, "overlay", FSOPEN_CLOEXEC);
  if (context < 0) return "fsopen:" + answer(-1);
  const auto set = [context](const char* name, const char* text) {
    return call(kFsconfig, context, text == nullptr ? 0U : 1U, name, text, 0);
  };
  Steps step;
  step("lower", set("lowerdir", "dir/lower"));
  step("upper", set("upperdir", "dir/upper"));
  step("work", set("workdir", "dir/work"));
  if (key != nullptr) step(key, set(key, value));
  step("create", call(kFsconfig, context, 6U));
  if (step.end() != "ok") return step.end();
  const long mount = call(kFsmount, context, 0, 0);
  if (mount < 0) return "fsmount:" + answer(-1);
  step("move", call(kMoveMount, mount, "", AT_FDCWD, "other", MOVE_MOUNT_F_EMPTY_PATH));
  ::close(static_cast<int>(mount));
  return step.end() == "ok" ? change_what_lies_below() : step.end();
}

const Probe kProbes[] = {
    {"overlay-changed", [] { return mounted_with(LAYERS); }},
    {"overlay-changed-userxattr", [] { return mounted_with(LAYERS ",userxattr"); }},
    {"overlay-changed-index", [] { return mounted_with("index=off," LAYERS); }},
    {"overlay-changed-no-source", [] { return mounted_with(LAYERS, nullptr); }},
    {"overlay-changed-from-here", from_here},
    {"overlay-changed-seen-again", seen_again},
    {"overlay-flags", flags},
    {"overlay-redirect-off", [] { return mounted_with(LAYERS ",redirect_dir=off"); }},
    {"overlay-redirect-nofollow", [] { return mounted_with(LAYERS ",redirect_dir=nofollow"); }},
    {"overlay-redirect-on", [] { return mounted_with(LAYERS ",redirect_dir=on"); }},
    {"overlay-metacopy-on", [] { return mounted_with(LAYERS ",metacopy=on"); }},
    {"overlay-option-unknown", [] { return mounted_with(LAYERS ",no-such"); }},
    {"nested-overlay-changed", in_namespace_within},
    {"new-overlay-changed", [] { return by_descriptors(); }},
    {"new-overlay-changed-userxattr", [] { return by_descriptors("userxattr"); }},
    {"new-overlay-redirect-on", [] { return by_descriptors("redirect_dir", "on"); }},
};

}  // namespace

std::span<const Probe> overlay_probes() { return kProbes; }

}  // namespace sysbox::answers
