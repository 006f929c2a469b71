// bench-emulated-files: what an open, a read and a close of an emulated file take beside the
// kernel's own file and that of lxcfs, and what sysbox-fs takes of the machine. tests/bench/
// emulated_files starts it in a mount and pid namespace of its own, with the servers at work.
//
//   bench-emulated-files SOCKET PID DIRECTORY [LXCFS]
//     SOCKET, PID  of sysbox-fs
//     DIRECTORY    an empty one, for mounts; the one that it lies in gives its name to a cgroup
//     LXCFS        where lxcfs is mounted

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/mount_pieces.h"
#include "common/syscalls.h"
#include "fs-emulator/api_client.h"

namespace sysbox::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kRounds = 40;
constexpr int kReadsPerTurn = 50;
constexpr int kCrowdRounds = 5;
constexpr int kCrowd = 64;
constexpr milliseconds kCrowdTurn{200};
constexpr int kManyContainers = 1000;
constexpr std::chrono::seconds kIdle{10};

[[noreturn]] void give_up(const Error& error) {
  std::fprintf(stderr, "bench-emulated-files: %s\n", error.message().c_str());
  std::exit(1);
}

template <typename T>
T need(Result<T> result) {
  if (!result.ok()) give_up(result.error());
  return std::move(result).value();
}
void need(const Result<void>& result) {
  if (!result.ok()) give_up(result.error());
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// ---- what is read

// A procfs, by descriptor: all are reached by paths of the same length.
struct Server {
  std::string name;
  UniqueFd procfs;
};

struct Row {
  const char* file;
  std::vector<std::string> servers;  // the ratios are to the first
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {"sys/vm/overcommit_memory", {"kernel", "sysbox-fs"}},
      {"uptime", {"lxcfs", "sysbox-fs", "kernel"}},
      {"meminfo", {"lxcfs", "sysbox-fs", "kernel"}},
      {"stat", {"lxcfs", "sysbox-fs", "kernel"}},
      {"cpuinfo", {"lxcfs", "sysbox-fs", "kernel"}},
      {"loadavg", {"lxcfs", "sysbox-fs", "kernel"}},
  };
  return all;
}

void read_once(const Server& server, const char* file) {
  thread_local std::array<char, 65536> buffer{};
  const int fd = ::openat(server.procfs.get(), file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) give_up(last_error("open ", server.name, "'s ", file));
  if (::read(fd, buffer.data(), buffer.size()) <= 0) {
    give_up(last_error("read ", server.name, "'s ", file));
  }
  ::close(fd);
}

// Microseconds of one open, read and close: the median of some.
double time_alone(const Server& server, const char* file) {
  std::vector<double> took;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    const Clock::time_point began = Clock::now();
    read_once(server, file);
    took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - began).count());
  }
  return median(std::move(took));
}

// Microseconds of the whole machine for each, with many threads at it.
double time_in_crowd(const Server& server, const char* file) {
  std::atomic<std::uint64_t> reads{0};
  std::vector<std::thread> readers;
  const Clock::time_point began = Clock::now();
  for (int i = 0; i < kCrowd; ++i) {
    readers.emplace_back([&] {
      for (; Clock::now() - began < kCrowdTurn; ++reads) read_once(server, file);
    });
  }
  for (std::thread& reader : readers) reader.join();
  const double took = std::chrono::duration<double, std::micro>(Clock::now() - began).count();
  return took / static_cast<double>(reads);
}

// In each round every server has its turn, so that all of them see the same machine.
void compare(const char* title, const std::vector<Server>& servers, int rounds,
             const std::function<double(const Server&, const char*)>& take_time) {
  std::printf("\n%s\n", title);
  for (const Row& row : rows()) {
    std::vector<const Server*> compared;
    for (const std::string& name : row.servers) {
      for (const Server& server : servers) {
        if (server.name == name) compared.push_back(&server);
      }
    }
    std::vector<std::vector<double>> times(compared.size());
    std::vector<std::vector<double>> ratios(compared.size());
    for (int round = -1; round < rounds; ++round) {  // one to warm up
      std::vector<double> took;
      for (const Server* server : compared) took.push_back(take_time(*server, row.file));
      for (std::size_t i = 0; round >= 0 && i < took.size(); ++i) {
        times[i].push_back(took[i]);
        ratios[i].push_back(took[i] / took[0]);
      }
    }
    for (std::size_t i = 0; i < compared.size(); ++i) {
      std::printf("  %-26s %-10s median %8.2f us  ratio %6.2f\n", i == 0 ? row.file : "",
                  compared[i]->name.c_str(), median(times[i]), median(ratios[i]));
    }
    std::fflush(stdout);
  }
}

// ---- the container: a cgroup with limits, this process in it, the pieces over a procfs

// Of this name: whoever finds it later knows whose it was.
fs::CgroupDirectories enter_limited_cgroup(const std::string& name) {
  struct Setting {
    const char* controller;
    const char* file;
    const char* value;
  };
  constexpr std::array kSettings = {
      Setting{"", "memory.max", "2G"},
      Setting{"", "cpu.max", "1000000 100000"},
      Setting{"memory", "memory.limit_in_bytes", "2G"},
      Setting{"cpu", "cpu.cfs_quota_us", "1000000"},
  };
  const bool is_v2 = std::filesystem::exists("/sys/fs/cgroup/cgroup.controllers");
  fs::CgroupDirectories directories;
  if (is_v2) {
    directories[""] = "/sys/fs/cgroup/" + name;
  } else {
    for (const char* controller : {"memory", "cpu", "cpuacct", "cpuset", "pids", "blkio"}) {
      const std::string hierarchy = join("/sys/fs/cgroup/", controller);
      if (!std::filesystem::exists(hierarchy + "/tasks")) continue;
      directories[controller] = join(hierarchy, "/", name);
    }
  }
  for (const auto& [controller, directory] : directories) {
    std::filesystem::create_directory(directory);
    for (const Setting& setting : kSettings) {
      const std::string file = join(directory, "/", setting.file);
      if (controller == setting.controller && std::filesystem::exists(file)) {
        need(sys::write_file(file, setting.value));
      }
    }
    for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
      if (controller != "cpuset") continue;
      need(sys::write_file(join(directory, "/", file),
                           need(sys::read_file(join(directory, "/../", file)))));
    }
    need(sys::write_file(directory + "/cgroup.procs", "0"));
  }
  return directories;
}

void leave_cgroup(const fs::CgroupDirectories& directories) {
  for (const auto& [controller, directory] : directories) {
    need(sys::write_file(directory + "/../cgroup.procs", "0"));
    if (::rmdir(directory.c_str()) != 0) give_up(last_error("rmdir ", directory));
  }
}

fs::RegisterReply register_container(const std::string& socket, const std::string& id,
                                     const fs::CgroupDirectories& cgroups) {
  fs::RegisterRequest request;
  request.id = id;
  request.uid_map = IdMap::onto({1879048192, 65536});
  request.gid_map = request.uid_map;
  request.cgroups = cgroups;
  return need(fs::Client(socket).register_container(request));
}

UniqueFd procfs_with_pieces(const fs::RegisterReply& reply, const std::string& directory) {
  const std::string place = directory + "/tree";
  const std::string procfs = directory + "/proc";
  std::filesystem::create_directory(place);
  std::filesystem::create_directory(procfs);
  need(sys::mount("proc", procfs, "proc", 0, ""));
  need(sys::move_mount(reply.tree.get(), "", AT_FDCWD, place));
  UniqueFd root = need(sys::open(procfs, O_PATH | O_DIRECTORY));
  std::vector<MountPiece> pieces;
  for (const fs::Piece& piece : reply.pieces) {
    if (piece.filesystem != "proc") continue;
    pieces.push_back({piece.target, reply.tree.get(), piece.source});
  }
  need(attach_pieces(root.get(), pieces));
  return root;
}

// ---- what the daemon takes

std::uint64_t pss_kb(const std::string& pid) {
  const std::string text = need(sys::read_file("/proc/" + pid + "/smaps_rollup"));
  const std::size_t line = text.find("\nPss:");
  return line == std::string::npos ? 0 : std::strtoull(text.c_str() + line + 5, nullptr, 10);
}

struct Activity {
  std::uint64_t cpu_ns = 0;
  std::uint64_t times_on_cpu = 0;
};

Activity activity(const std::string& pid) {
  Activity sum;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + pid + "/task")) {
    const std::string text = need(sys::read_file(task.path().string() + "/schedstat"));
    std::uint64_t cpu_ns = 0;
    std::uint64_t waited_ns = 0;
    std::uint64_t times = 0;
    std::sscanf(text.c_str(), "%" SCNu64 " %" SCNu64 " %" SCNu64, &cpu_ns, &waited_ns, &times);
    sum.cpu_ns += cpu_ns;
    sum.times_on_cpu += times;
  }
  return sum;
}

void report_idle(const std::string& pid) {
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const Activity before = activity(pid);
  std::this_thread::sleep_for(kIdle);
  const Activity after = activity(pid);
  std::printf("\nidle for 10 s: %.3f ms of cpu time, %" PRIu64 " wake-ups\n",
              static_cast<double>(after.cpu_ns - before.cpu_ns) / 1e6,
              after.times_on_cpu - before.times_on_cpu);
}

struct MemoryReport {
  explicit MemoryReport(std::string daemon) : pid(std::move(daemon)), empty_kb(pss_kb(pid)) {}
  void print(int containers) const {
    const std::uint64_t now_kb = pss_kb(pid);
    std::printf("memory with %4d containers: PSS %6" PRIu64 " KiB", containers, now_kb);
    if (containers > 0) {
      std::printf(", %.1f KiB for each",
                  static_cast<double>(now_kb - empty_kb) / static_cast<double>(containers));
    }
    std::printf("\n");
  }
  const std::string pid;
  const std::uint64_t empty_kb;
};

void run(const std::string& socket, const std::string& pid, const std::string& directory,
         const std::optional<std::string>& lxcfs) {
  struct rlimit files {};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const MemoryReport memory(pid);
  memory.print(0);
  const fs::CgroupDirectories cgroups =
      enter_limited_cgroup(std::filesystem::path(directory).parent_path().filename());
  const fs::RegisterReply measured = register_container(socket, "bench", cgroups);
  std::vector<Server> servers;
  servers.push_back({"kernel", need(sys::open("/proc", O_PATH | O_DIRECTORY))});
  servers.push_back({"sysbox-fs", procfs_with_pieces(measured, directory)});
  if (lxcfs) {
    servers.push_back({"lxcfs", need(sys::open(*lxcfs + "/proc", O_PATH | O_DIRECTORY))});
  }
  compare("one reader", servers, kRounds, time_alone);
  compare("64 readers at once (time of the machine for each read)", servers, kCrowdRounds,
          time_in_crowd);
  std::vector<fs::RegisterReply> others;
  const auto id = [](std::size_t number) { return "bench-" + std::to_string(number); };
  while (others.size() + 1 < kManyContainers) {
    others.push_back(register_container(socket, id(others.size()), {}));
    if (others.size() + 1 == 100 || others.size() + 1 == kManyContainers) {
      memory.print(static_cast<int>(others.size()) + 1);
    }
  }
  compare("one reader, 1000 containers registered", servers, kRounds, time_alone);
  report_idle(pid);
  for (std::size_t i = 0; i < others.size(); ++i) {
    need(fs::Client(socket).unregister_container(id(i)));
  }
  others.clear();
  need(fs::Client(socket).unregister_container("bench"));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  std::printf("after their end: ");
  memory.print(0);
  leave_cgroup(cgroups);
}

}  // namespace
}  // namespace sysbox::bench

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    std::fprintf(stderr, "usage: bench-emulated-files SOCKET PID DIRECTORY [LXCFS]\n");
    return 2;
  }
  std::optional<std::string> lxcfs;
  if (argc == 5) lxcfs = argv[4];
  sysbox::bench::run(argv[1], argv[2], argv[3], lxcfs);
  return 0;
}
