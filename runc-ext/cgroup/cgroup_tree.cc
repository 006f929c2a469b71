#include "runc-ext/cgroup/cgroup_tree.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>

namespace sysbox::runc {
namespace {

using std::chrono::milliseconds;

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// The files of a cgroup that goes away meanwhile answer so.
bool is_gone(int code) { return code == ENOENT || code == ENODEV; }

Result<void> append_children(const std::string& directory, std::vector<std::string>& children) {
  const std::unique_ptr<DIR, DirectoryCloser> stream(::opendir(directory.c_str()));
  if (stream == nullptr) {
    if (is_gone(errno)) return {};
    return last_error("open cgroup '", directory, "'");
  }
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type != DT_DIR || name == "." || name == "..") continue;
    children.push_back(join(directory, "/", name));
  }
  return {};
}

Result<void> append_processes(const std::string& directory, std::vector<pid_t>& pids) {
  const Result<std::string> text = sys::read_file(directory + "/cgroup.procs");
  if (!text) {
    // EOPNOTSUPP: a threaded cgroup; its processes are listed at its domain.
    if (is_gone(text.error().code()) || text.error().code() == EOPNOTSUPP) return {};
    return Error(text.error());
  }
  const char* next = text.value().data();
  const char* const end = next + text.value().size();
  while (next < end) {
    pid_t pid = 0;
    const char* const stop = std::from_chars(next, end, pid).ptr;
    if (pid > 0) pids.push_back(pid);  // 0: a process that our pid namespace does not see
    next = stop + 1;
  }
  return {};
}

// Signals each process that is in the tree before *and* after its pidfd was opened, so that a pid
// that went to a stranger meanwhile is not hit. Returns how many there were.
Result<std::size_t> signal_once(const std::string& directory, int signal) {
  constexpr std::size_t kAtOnce = 256;  // the container may have more processes than we may files
  const std::vector<pid_t> pids = TRY(processes_below(directory));
  for (std::size_t first = 0; first < pids.size(); first += kAtOnce) {
    std::vector<std::pair<pid_t, UniqueFd>> opened;
    for (std::size_t i = first; i < std::min(first + kAtOnce, pids.size()); ++i) {
      Result<UniqueFd> pidfd = sys::pidfd_open(pids[i]);
      if (pidfd) {
        opened.emplace_back(pids[i], std::move(pidfd).value());
      } else if (pidfd.error().code() != ESRCH) {
        return std::move(pidfd).error();
      }
    }
    const std::vector<pid_t> still_here = TRY(processes_below(directory));
    for (const auto& [pid, pidfd] : opened) {
      if (!std::binary_search(still_here.begin(), still_here.end(), pid)) continue;
      const Result<void> sent = sys::pidfd_send_signal(pidfd.get(), signal);
      if (!sent && sent.error().code() != ESRCH) return Error(sent.error());
    }
  }
  return pids.size();
}

void thaw_tree_v1(const std::string& freezer) {
  if (freezer.empty()) return;
  const Result<std::vector<std::string>> tree = cgroup_tree(freezer);
  if (!tree) return;
  for (const std::string& directory : tree.value()) {
    // One that vanished needs no thawing.
    (void)sys::write_file(directory + "/freezer.state", "THAWED").ok();
  }
}

Result<void> still_alive(const std::string& directory) {
  const std::vector<pid_t> pids = TRY(processes_below(directory));
  if (pids.empty()) return {};
  return Error(ETIMEDOUT, join("cgroup '", directory, "': process ", pids.front(),
                               " does not die (", pids.size(), " are left)"));
}

// Waits until cgroup.events of v2 has the line `event`, e.g. "populated 0".
Result<bool> wait_for_event(const std::string& directory, std::string_view event,
                            Deadline deadline) {
  const UniqueFd events = TRY(sys::open(directory + "/cgroup.events", O_RDONLY));
  for (;;) {
    char text[256];
    const ssize_t length = ::pread(events.get(), text, sizeof(text), 0);
    if (length < 0) {
      if (errno == ENODEV) return true;
      return last_error("read '", directory, "/cgroup.events'");
    }
    const std::string_view lines(text, static_cast<std::size_t>(length));
    if (lines.find(event) != std::string_view::npos) return true;
    // The file is always readable; a change since the last read is what POLLPRI reports.
    const Result<void> changed = sys::wait_for(events.get(), POLLPRI, deadline);
    if (!changed && changed.error().code() == ETIMEDOUT) return false;
    if (!changed) return Error(changed.error());
  }
}

}  // namespace

Result<std::vector<std::string>> cgroup_tree(const std::string& directory) {
  if (::access(directory.c_str(), F_OK) != 0) return std::vector<std::string>();
  std::vector<std::string> tree = {directory};
  for (std::size_t i = 0; i < tree.size(); ++i) {
    const std::string parent = tree[i];  // a copy: the vector grows
    TRY(append_children(parent, tree));
  }
  return tree;
}

Result<std::vector<pid_t>> processes_below(const std::string& directory) {
  std::vector<pid_t> pids;
  const auto tree = TRY(cgroup_tree(directory));
  for (const std::string& each : tree) TRY(append_processes(each, pids));
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

Result<void> remove_cgroup_tree(const std::string& directory, Deadline deadline) {
  milliseconds pause{1};
  for (;;) {
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return {};
    if (errno != EBUSY && errno != ENOTEMPTY) return last_error("rmdir '", directory, "'");

    std::vector<std::string> tree = TRY(cgroup_tree(directory));
    bool busy = false;
    for (auto each = tree.rbegin(); each != tree.rend(); ++each) {
      if (::rmdir(each->c_str()) == 0 || errno == ENOENT) continue;
      if (errno != EBUSY && errno != ENOTEMPTY) return last_error("rmdir '", *each, "'");
      busy = true;
    }
    if (!busy) return {};
    if (milliseconds_until(deadline) == 0) break;
    std::this_thread::sleep_for(std::min(pause, milliseconds(milliseconds_until(deadline))));
    pause = std::min(pause * 2, milliseconds(100));
  }
  for (const std::string& each : TRY(cgroup_tree(directory))) {
    std::vector<pid_t> pids;
    TRY(append_processes(each, pids));
    if (pids.empty()) continue;
    return errno_error(EBUSY, "remove cgroup '", each, "': process ", pids.front(),
                       " still runs in it");
  }
  return errno_error(EBUSY, "remove cgroup '", directory, "'");
}

Result<void> kill_tree_v2(const std::string& directory, const std::string& v1_freezer,
                          Deadline deadline) {
  const Result<void> killed = sys::write_file(directory + "/cgroup.kill", "1");
  if (!killed && killed.error().code() == ENOENT) {
    if (::access(directory.c_str(), F_OK) != 0) return {};
    return signal_tree(directory, SIGKILL, v1_freezer, deadline);  // before Linux 5.14
  }
  TRY(Result<void>(killed));
  const Deadline soon = std::min(deadline, after(milliseconds(20)));
  if (TRY(wait_for_event(directory, "populated 0", soon))) return {};
  thaw_tree_v1(v1_freezer);
  if (TRY(wait_for_event(directory, "populated 0", deadline))) return {};
  return still_alive(directory);
}

Result<void> signal_tree(const std::string& directory, int signal, const std::string& v1_freezer,
                         Deadline deadline) {
  milliseconds pause{1};
  for (int round = 0;; ++round) {
    const std::size_t count = TRY(signal_once(directory, signal));
    if (signal != SIGKILL || count == 0) return {};
    if (milliseconds_until(deadline) == 0) return still_alive(directory);
    if (round == 3) thaw_tree_v1(v1_freezer);
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, milliseconds(50));
  }
}

Result<void> freeze_v1(const std::string& directory, bool frozen, Deadline deadline) {
  const std::string path = directory + "/freezer.state";
  const std::string wanted = frozen ? "FROZEN" : "THAWED";
  milliseconds pause{1};
  for (;;) {
    // Written again each time: "FREEZING" may miss a child that was forked meanwhile.
    TRY(sys::write_file(path, wanted));
    if (TRY(sys::read_file(path)).starts_with(wanted)) return {};
    if (milliseconds_until(deadline) == 0) break;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, milliseconds(20));
  }
  TRY(sys::write_file(path, "THAWED"));
  return Error(ETIMEDOUT, join("cgroup '", directory, "' does not freeze; it was thawed again"));
}

Result<void> freeze_v2(const std::string& directory, bool frozen, Deadline deadline) {
  TRY(sys::write_file(directory + "/cgroup.freeze", frozen ? "1" : "0"));
  if (TRY(wait_for_event(directory, frozen ? "frozen 1" : "frozen 0", deadline))) return {};
  if (!frozen) return Error(ETIMEDOUT, join("cgroup '", directory, "' does not thaw"));
  TRY(sys::write_file(directory + "/cgroup.freeze", "0"));
  return Error(ETIMEDOUT, join("cgroup '", directory, "' does not freeze; it was thawed again"));
}

}  // namespace sysbox::runc
