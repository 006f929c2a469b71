#pragma once

// A container made of files: the host's /proc and /sys, its cgroups, and a clock.

#include <memory>
#include <string>

#include "fs-emulator/container_view.h"
#include "fs-emulator/emulated_file.h"
#include "tests/support/fixture_proc.h"

namespace sysbox::fs {

inline constexpr std::uint64_t kSecond = 1'000'000'000;

// As captured on a host with 4 cpus and 8 GiB; shortened.
inline constexpr const char* kHostMeminfo =
    "MemTotal:        8388608 kB\n"
    "MemFree:         6000000 kB\n"
    "MemAvailable:    7000000 kB\n"
    "Buffers:           12345 kB\n"
    "Cached:           654321 kB\n"
    "SwapTotal:       2097152 kB\n"
    "SwapFree:        2000000 kB\n"
    "Active(file):       1000 kB\n"
    "AnonPages:        123456 kB\n"
    "Shmem:              8872 kB\n"
    "CommitLimit:     6291456 kB\n"
    "VmallocTotal:   34359738367 kB\n"
    "HugePages_Total:      16\n"
    "Hugepagesize:       2048 kB\n"
    "DirectMap4k:       28672 kB\n";

class ContainerFixture : public ::testing::Test {
 protected:
  ContainerFixture() : host_{files_.root("proc"), files_.root("sys")} {
    files_.set("proc/meminfo", kHostMeminfo);
    files_.set("sys/devices/system/cpu/online", "0-3\n");
  }

  // The container's own cgroups, as of cgroup v1 with one hierarchy per controller.
  void use_cgroup_v1() {
    for (const char* controller : {"memory", "cpu", "cpuacct", "cpuset", "pids", "blkio"}) {
      std::filesystem::create_directories(files_ / join("cg/", controller, "/box"));
      directories_[controller] = files_ / join("cg/", controller, "/box");
      own_[controller] = "/box";
    }
    make_cgroups();
  }
  void use_cgroup_v2() {
    std::filesystem::create_directories(files_ / "cg2/box");
    directories_[""] = files_ / "cg2/box";
    own_[""] = "/box";
    make_cgroups();
  }

  void v1(const std::string& controller, const std::string& file, const std::string& text,
          const std::string& below = "") {
    files_.set(join("cg/", controller, "/box", below, "/", file), text);
  }
  void v2(const std::string& file, const std::string& text, const std::string& below = "") {
    files_.set(join("cg2/box", below, "/", file), text);
  }

  // A process that reads: `cgroups` is its /proc/PID/cgroup.
  void requester(int pid, const std::string& cgroups, int pid_in_container) {
    requester_ = pid;
    files_.set(join("proc/", pid, "/cgroup"), cgroups);
    files_.set(join("proc/", pid, "/status"),
               join("Name:\tcat\nTgid:\t", pid, "\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nNSpid:\t",
                    pid, "\t", pid_in_container, "\n"));
  }

  void advance(double seconds) {
    now_.boot_ns += static_cast<std::uint64_t>(seconds * 1e9);
    now_.wall_ns += static_cast<std::uint64_t>(seconds * 1e9);
  }

  ContainerView view() {
    if (!cgroups_) make_cgroups();
    return ContainerView({host_, *cgroups_, history_, now_, start_ns_, own_offset_ns_, requester_});
  }
  std::string read(Result<std::string> (*file)(const ContainerView&)) {
    Result<std::string> text = file(view());
    EXPECT_TRUE(text.ok()) << text.error().message();
    return std::move(text).value_or("");
  }

  void make_cgroups() {
    cgroups_ = std::make_unique<ContainerCgroups>(directories_);
    cgroups_->learn_own_paths(own_);
  }

  testing::FixtureProc files_;
  HostFiles host_;
  CgroupDirectories directories_;
  CgroupMembership own_;
  std::unique_ptr<ContainerCgroups> cgroups_;
  ContainerHistory history_;
  std::uint64_t start_ns_ = 1000 * kSecond;
  ClockReading now_{1000 * kSecond, 1'700'000'000 * kSecond};
  std::int64_t own_offset_ns_ = 0;
  int requester_ = 0;
};

}  // namespace sysbox::fs
