#include "runc-ext/cgroup/oom_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>

#include "runc-ext/cgroup/stats.h"

namespace sysbox::runc {

Result<OomWatch> OomWatch::start(const CgroupState& state) {
  const Cgroup cgroup = Cgroup::from_state(state);
  // Those that listen below the cgroup that is out of memory are told, those above are not; the
  // delegated cgroup has the container's limit too.
  const std::string v1 = cgroup.v1_delegated_directory_of("memory");
  if (!v1.empty()) return start_v1(v1);
  const std::string v2 = cgroup.v2_directory();
  if (!v2.empty() && ::access((v2 + "/memory.events").c_str(), F_OK) == 0) return start_v2(v2);
  return Error(ENOTSUP, "memory controller missing: no notice can be taken of a lack of memory");
}

Result<OomWatch> OomWatch::start_v1(const std::string& directory) {
  OomWatch watch;
  watch.directory_ = directory;
  watch.notifications_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watch.notifications_) return last_error("eventfd");
  watch.oom_control_ = TRY(sys::open(directory + "/memory.oom_control", O_RDONLY));
  TRY(sys::write_file(directory + "/cgroup.event_control",
                      join(watch.notifications_.get(), " ", watch.oom_control_.get())));
  return watch;
}

Result<OomWatch> OomWatch::start_v2(const std::string& directory) {
  OomWatch watch;
  watch.v2_ = true;
  watch.directory_ = directory;
  watch.notifications_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch.notifications_) return last_error("inotify_init1");
  for (const char* file : {"/memory.events", "/cgroup.events"}) {
    const std::string path = directory + file;
    if (::inotify_add_watch(watch.notifications_.get(), path.c_str(), IN_MODIFY) < 0) {
      return last_error("inotify_add_watch '", path, "'");
    }
  }
  auto events = TRY(read_key_values(directory + "/memory.events"));
  watch.kills_ = events["oom_kill"];
  return watch;
}

Result<OomWatch::Event> OomWatch::read_v1() const {
  std::uint64_t count = 0;
  if (::read(notifications_.get(), &count, sizeof(count)) < 0) {
    if (errno == EAGAIN || errno == EINTR) return Event::kNothing;
    return last_error("read eventfd");
  }
  // The end of the cgroup is told in the same way.
  const bool there = ::access((directory_ + "/cgroup.event_control").c_str(), F_OK) == 0;
  return there ? Event::kOutOfMemory : Event::kContainerEnded;
}

Result<OomWatch::Event> OomWatch::read_v2() {
  // What was written does not matter, only that something was.
  std::array<char, 4096> ignored{};
  while (::read(notifications_.get(), ignored.data(), ignored.size()) > 0) {
  }
  const auto memory = read_key_values(directory_ + "/memory.events");
  auto values = memory.ok() ? memory.value() : std::map<std::string, std::uint64_t>();
  if (values["oom_kill"] > kills_) {
    kills_ = values["oom_kill"];
    // The end, if it is one, is seen next.
    return Event::kOutOfMemory;
  }
  const auto events = read_key_values(directory_ + "/cgroup.events");
  if (!events.ok()) return Event::kContainerEnded;
  const auto populated = events.value().find("populated");
  const bool ended = populated == events.value().end() || populated->second == 0;
  return ended ? Event::kContainerEnded : Event::kNothing;
}

Result<OomWatch::Event> OomWatch::wait(Deadline deadline) {
  for (;;) {
    const Event event = TRY(v2_ ? read_v2() : read_v1());
    if (event != Event::kNothing) return event;
    const Result<void> ready = sys::wait_for(notifications_.get(), POLLIN, deadline);
    if (!ready && ready.error().code() == ETIMEDOUT) return Event::kNothing;
    if (!ready) return Error(ready.error());
  }
}

}  // namespace sysbox::runc
