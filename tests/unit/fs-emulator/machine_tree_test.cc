#include "fs-emulator/machine_tree.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "fs-emulator/memory_figures.h"
#include "tests/unit/fs-emulator/container_fixture.h"

namespace sysbox::fs {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

constexpr std::uint64_t kMiB = 1 << 20;

// A host with two nodes of four cpus, two threads a core.
class Machine : public ContainerFixture {
 protected:
  void SetUp() override {
    const std::string cpus = "sys/devices/system/cpu/";
    for (const char* file : {"online", "possible", "present", "enabled"}) {
      files_.set(cpus + file, "0-7\n");
    }
    files_.set(cpus + "isolated", "3\n");
    files_.set(cpus + "offline", "8-255\n");
    files_.set(cpus + "kernel_max", "8191\n");
    files_.set(cpus + "probe", "secret\n");
    files_.set(cpus + "cpufreq/boost", "1\n");
    files_.set(cpus + "vulnerabilities/meltdown", "Not affected\n");
    for (unsigned cpu = 0; cpu < 8; ++cpu) {
      const std::string own = join(cpus, "cpu", cpu, "/");
      const unsigned even = cpu / 2 * 2;
      const std::string siblings = join(even, "-", even + 1, "\n");
      files_.set(own + "topology/core_id", join(cpu / 2, "\n"));
      files_.set(own + "topology/thread_siblings", "c0\n");
      files_.set(own + "topology/thread_siblings_list", siblings);
      files_.set(own + "cache/index0/shared_cpu_list", siblings);
      files_.set(own + "cache/index0/shared_cpu_map", "03\n");
      files_.set(own + "cache/index0/size", "32K\n");
      files_.set(own + "cpuidle/state0/time", "12345\n");
      if (cpu != 0) files_.set(own + "online", "1\n");
    }
    const std::string nodes = "sys/devices/system/node/";
    for (const char* file : {"online", "possible", "has_cpu"}) files_.set(nodes + file, "0-1\n");
    for (unsigned node = 0; node < 2; ++node) {
      const std::string own = join(nodes, "node", node, "/");
      files_.set(own + "cpulist", node == 0 ? "0-3\n" : "4-7\n");
      files_.set(own + "cpumap", "f0\n");
      files_.set(own + "distance", node == 0 ? "10 21\n" : "21 10\n");
      files_.set(own + "numastat", "numa_hit 1119916549\nnuma_miss 3\n");
      files_.set(own + "meminfo",
                 join("Node ", node, " MemTotal:       4194304 kB\nNode ", node,
                      " MemFree:         906200 kB\nNode ", node,
                      " MemUsed:        3288104 kB\nNode ", node, " FilePages:       888888 kB\n"));
    }
    tree_ = scan_machine(files_.root("sys"));
    use_cgroup_v2();
  }

  // The text of a file, link targets too; "none" if there is no such entry.
  std::string text(MachinePlace place, const std::string& below, unsigned number = 0) {
    for (const MachineEntry& entry : tree_.of(place)) {
      if (entry.below != below || entry.read == nullptr) continue;
      if (!has_entry(entry, number, view())) return "hidden";
      return entry.read(entry, number, view()).value_or("error");
    }
    return "none";
  }
  std::vector<std::string> names(MachinePlace place) {
    std::vector<std::string> names;
    for (const MachineEntry& entry : tree_.of(place)) names.push_back(entry.below);
    return names;
  }

  MachineTree tree_;
};

TEST_F(Machine, IsAsLargeAsTheHost) {
  EXPECT_EQ(tree_.cpus, 8U);
  EXPECT_THAT(tree_.nodes, ElementsAre(0, 1));
}

TEST_F(Machine, LeavesTheHostsOwnBusinessOut) {
  EXPECT_THAT(names(MachinePlace::kCpus), Contains("vulnerabilities/meltdown"));
  EXPECT_THAT(names(MachinePlace::kCpus), Not(Contains("probe")));
  EXPECT_THAT(names(MachinePlace::kCpus), Not(Contains("cpufreq")));
  EXPECT_THAT(names(MachinePlace::kCpu), Not(Contains("cpuidle")));
}

TEST_F(Machine, ListsCountFromZero) {
  EXPECT_EQ(text(MachinePlace::kCpus, "online"), "0-7\n");
  v2("cpuset.cpus.effective", "2-7\n");
  v2("cpu.max", "250000 100000\n");
  for (const char* file : {"online", "possible", "present", "enabled"}) {
    EXPECT_EQ(text(MachinePlace::kCpus, file), "0-2\n") << file;
  }
  EXPECT_EQ(text(MachinePlace::kCpus, "offline"), "\n");
  EXPECT_EQ(text(MachinePlace::kCpus, "isolated"), "\n");
  EXPECT_EQ(text(MachinePlace::kCpus, "kernel_max"), "8191\n");
  v2("cpu.max", "50000 100000\n");
  EXPECT_EQ(text(MachinePlace::kCpus, "online"), "0\n");
}

TEST_F(Machine, CpusAreTheHostsThatStandForThem) {
  v2("cpuset.cpus.effective", "3-6\n");  // 3 alone of its core; 4 and 5; 6 alone
  EXPECT_TRUE(has_place(MachinePlace::kCpu, 3, view()));
  EXPECT_FALSE(has_place(MachinePlace::kCpu, 4, view()));
  EXPECT_EQ(text(MachinePlace::kCpu, "topology/core_id", 0), "1\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "topology/core_id", 1), "2\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "topology/thread_siblings_list", 0), "0\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "topology/thread_siblings_list", 1), "1-2\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "topology/thread_siblings", 1), "6\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "cache/index0/shared_cpu_map", 3), "8\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "cache/index0/shared_cpu_list", 3), "3\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "cache/index0/size", 3), "32K\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "online", 1), "1\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "cache/index0/size", 4), "error");
}

TEST_F(Machine, NodesAreThoseOfTheCpuset) {
  EXPECT_EQ(text(MachinePlace::kNodes, "online"), "0-1\n");
  EXPECT_EQ(text(MachinePlace::kNode, "distance", 1), "21 10\n");
  EXPECT_EQ(text(MachinePlace::kNode, "cpulist", 1), "4-7\n");
  EXPECT_EQ(text(MachinePlace::kNode, "cpumap", 1), "f0\n");
  v2("cpuset.mems.effective", "1\n");
  v2("cpuset.cpus.effective", "3-5\n");
  EXPECT_FALSE(has_place(MachinePlace::kNode, 0, view()));
  EXPECT_EQ(text(MachinePlace::kNodes, "has_cpu"), "1\n");
  EXPECT_EQ(text(MachinePlace::kNode, "distance", 1), "10\n");
  EXPECT_EQ(text(MachinePlace::kNode, "cpulist", 1), "1-2\n");
  EXPECT_EQ(text(MachinePlace::kNode, "numastat", 1), "numa_hit 0\nnuma_miss 0\n");
}

TEST_F(Machine, LinksJoinCpusAndNodes) {
  v2("cpuset.cpus.effective", "3-5\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "node0", 0), "../../node/node0");
  EXPECT_EQ(text(MachinePlace::kCpu, "node1", 0), "hidden");
  EXPECT_EQ(text(MachinePlace::kNode, "cpu2", 1), "../../cpu/cpu2");
  EXPECT_EQ(text(MachinePlace::kNode, "cpu0", 1), "hidden");
  EXPECT_EQ(text(MachinePlace::kNode, "cpu3", 1), "hidden");
}

TEST_F(Machine, MemoryIsSharedOutAmongTheNodes) {
  v2("memory.max", join(512 * kMiB, "\n"));
  v2("memory.current", join(128 * kMiB, "\n"));
  v2("memory.stat", join("file ", 64 * kMiB, "\n"));
  EXPECT_EQ(text(MachinePlace::kNode, "meminfo", 1),
            "Node 1 MemTotal:        262144 kB\nNode 1 MemFree:         196608 kB\n"
            "Node 1 MemUsed:          65536 kB\nNode 1 FilePages:        32768 kB\n");
  v2("cpuset.mems.effective", "1\n");
  const std::string alone = text(MachinePlace::kNode, "meminfo", 1);
  EXPECT_EQ(meminfo_value(alone, "Node 1 MemTotal"), 512U * 1024);
}

TEST_F(Machine, OfManyCpusHasMasksInGroups) {
  std::string all = "sys/devices/system/cpu/";
  files_.set(all + "online", "0-39\n");
  files_.set(all + "cpu39/topology/thread_siblings_list", "33,39\n");
  EXPECT_EQ(text(MachinePlace::kCpu, "topology/thread_siblings", 39), "82,00000000\n");
}

}  // namespace
}  // namespace sysbox::fs
