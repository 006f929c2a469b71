#include "runc-ext/container/sub_cgroup.h"

#include <sstream>

#include "common/root_dir.h"
#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream list(text);
  for (std::string word; std::getline(list, word, ',');) words.push_back(word);
  return words;
}

Result<void> check_path(const std::string& path) {
  std::istringstream list(path);
  for (std::string component; std::getline(list, component, '/');) {
    if (component == "..") {
      return Error(EINVAL, join("--cgroup: ", path, " is not a sub cgroup path"));
    }
  }
  return {};
}

Result<void> add(SubCgroups& wanted, const std::string& controller, const std::string& path) {
  TRY(check_path(path));
  if (!wanted.emplace(controller, clean_path("/" + path)).second) {
    return Error(EINVAL, join("invalid --cgroup argument(s): controller ", controller,
                              " specified multiple times"));
  }
  return {};
}

// "cpu" belongs to the hierarchy "cpu,cpuacct", "systemd" to "name=systemd".
bool is_of(const std::string& controller, const std::string& hierarchy) {
  if (controller.empty() || "name=" + controller == hierarchy) return true;
  for (const std::string& word : words_of(hierarchy)) {
    if (word == controller) return true;
  }
  return false;
}

// The kernel's words as runc's users know them.
std::string cause_of(int code) {
  if (code == ENOENT) return "no such file or directory";
  if (code == EBUSY) return "device or resource busy";
  return errno_text(code);
}

// From the host: the container's root could not move a process that is not its own yet. There are
// no symbolic links in a cgroup file system; RESOLVE_BENEATH is for what may be mounted in there.
Result<void> move(const std::string& directory, const std::string& path, pid_t pid) {
  const UniqueFd top = TRY(sys::open(directory, O_PATH | O_DIRECTORY));
  const std::string below = path.substr(1);
  const std::string file = join(below.empty() ? "." : below, "/cgroup.procs");
  const Result<UniqueFd> procs =
      sys::openat2(top.get(), file, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
  Result<void> moved = procs.ok() ? sys::write_all(procs.value().get(), std::to_string(pid))
                                  : Result<void>(procs.error());
  if (moved.ok()) return {};
  const int code = moved.error().code();
  return Error(code, join("--cgroup: adding pid ", pid, " to cgroups: ", directory,
                          path == "/" ? "" : path, "/cgroup.procs: ", cause_of(code)));
}

}  // namespace

Result<SubCgroups> parse_sub_cgroups(const std::vector<std::string>& flags) {
  SubCgroups wanted;
  for (const std::string& flag : flags) {
    const std::size_t colon = flag.find(':');
    if (colon == std::string::npos) {
      if (flags.size() != 1) {
        return Error(EINVAL,
                     join("invalid --cgroup argument: ", flag, " (missing <controller>: prefix)"));
      }
      TRY(add(wanted, "", flag));
      continue;
    }
    const std::vector<std::string> controllers = words_of(flag.substr(0, colon));
    if (controllers.empty()) {
      return Error(EINVAL,
                   join("invalid --cgroup argument: ", flag, " (empty <controller> prefix)"));
    }
    for (const std::string& controller : controllers) {
      TRY(add(wanted, controller, flag.substr(colon + 1)));
    }
  }
  return wanted;
}

Result<void> enter_sub_cgroups(const CgroupState& cgroup, const SubCgroups& wanted, pid_t pid) {
  for (const auto& [controller, path] : wanted) {
    bool known = false;
    for (const auto& [hierarchy, directory] : cgroup.delegated) {
      if (!is_of(controller, hierarchy)) continue;
      known = true;
      TRY(move(directory, path, pid));
    }
    if (!known) return Error(EINVAL, join("--cgroup: unknown controller ", controller));
  }
  return {};
}

}  // namespace sysbox::runc
