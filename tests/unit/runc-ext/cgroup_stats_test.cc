// `events`: numbers of cgroup files as runc's JSON, and notices of a lack of memory.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runc-ext/cgroup/oom_watch.h"
#include "runc-ext/cgroup/stats.h"
#include "runc-ext/commands/stats_json.h"
#include "tests/unit/runc-ext/real_cgroup.h"

namespace sysbox::runc {
namespace {

using nlohmann::json;

// Files of a plain directory that look like a container's cgroup.
class CgroupFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sysbox-stats-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void make(const std::string& file, const std::string& content) {
    std::filesystem::create_directories((std::filesystem::path(directory_) / file).parent_path());
    std::ofstream(directory_ + "/" + file) << content;
  }
  static json data_of(const CgroupState& state) {
    const Result<ContainerStats> stats = read_stats(state);
    EXPECT_TRUE(stats.ok()) << (stats ? "" : stats.error().message());
    return json::parse(stats_event_text("box", stats.value()))["data"];
  }

  std::string directory_;
};

TEST_F(CgroupFiles, OfV2) {
  make("pids.current", "3\n");
  make("pids.max", "max\n");
  make("memory.stat", "anon 10\nfile 20\n");
  make("memory.current", "100\n");
  make("memory.max", "max\n");
  make("memory.peak", "150\n");
  make("memory.swap.current", "7\n");
  make("memory.swap.max", "50\n");
  make("memory.pressure",
       "some avg10=0.00 avg60=1.50 avg300=0.00 total=12\n"
       "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
  make("cpu.stat",
       "usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 2\nnr_throttled 1\n"
       "throttled_usec 3\n");
  make("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n");
  CgroupState state;
  state.directories[""] = directory_;
  json data = data_of(state);
  EXPECT_EQ(data["pids"], json::parse(R"({"current": 3})"));
  EXPECT_EQ(data["cpu"], json::parse(R"({
    "usage": {"total": 9000, "kernel": 4000, "user": 5000},
    "throttling": {"periods": 2, "throttledPeriods": 1, "throttledTime": 3000}})"));
  EXPECT_EQ(data["memory"], json::parse(R"({
    "cache": 20, "usage": {"limit": 18446744073709551615, "usage": 100, "max": 150, "failcnt": 0},
    "swap": {"limit": 49, "usage": 107, "failcnt": 0}, "kernel": {"limit": 0, "failcnt": 0},
    "kernelTCP": {"limit": 0, "failcnt": 0}, "raw": {"anon": 10, "file": 20},
    "psi": {"some": {"avg10": 0, "avg60": 1.5, "avg300": 0, "total": 12},
            "full": {"avg10": 0, "avg60": 0, "avg300": 0, "total": 0}}})"));
  EXPECT_EQ(data["blkio"], json::parse(R"({
    "ioServiceBytesRecursive": [{"major": 8, "op": "Read", "value": 1},
                                {"major": 8, "op": "Write", "value": 2}],
    "ioServicedRecursive": [{"major": 8, "op": "Read", "value": 3},
                            {"major": 8, "op": "Write", "value": 4}]})"));
  EXPECT_EQ(data["hugetlb"], json::object());
  EXPECT_EQ(data["intel_rdt"], json::object());
  EXPECT_EQ(data["network_interfaces"], nullptr);
  EXPECT_EQ(data["cpuset"]["sched_relax_domain_level"], 0);
}

TEST_F(CgroupFiles, OfV1) {
  make("cpu/cpuacct.stat", "user 2\nsystem 1\n");
  make("cpu/cpuacct.usage", "31000000\n");
  make("cpu/cpuacct.usage_percpu", "30000000 1000000 \n");
  make("cpu/cpuacct.usage_all", "cpu user system\n0 7 8\n1 9 10\n");
  make("cpu/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n");
  make("cpuset/cpuset.cpus", "0-1,3\n");
  make("cpuset/cpuset.mems", "0\n");
  make("cpuset/cpuset.sched_relax_domain_level", "-1\n");
  make("memory/memory.stat", "cache 0\nrss 0\ntotal_cache 11\ntotal_rss 12\n");
  make("memory/memory.usage_in_bytes", "5\n");
  make("memory/memory.max_usage_in_bytes", "6\n");
  make("memory/memory.limit_in_bytes", "9223372036854771712\n");
  make("memory/memory.failcnt", "1\n");
  make("memory/sysbox-delegated/memory.failcnt", "3\n");
  make("blkio/blkio.throttle.io_serviced_recursive", "8:0 Read 1\n8:0 Total 1\nTotal 1\n");
  make("blkio/blkio.throttle.io_service_bytes_recursive", "Total 0\n");
  make("pids/pids.current", "1\n");
  make("pids/pids.max", "20\n");
  CgroupState state;
  state.directories = {{"cpu,cpuacct", directory_ + "/cpu"},
                       {"cpuset", directory_ + "/cpuset"},
                       {"memory", directory_ + "/memory"},
                       {"blkio", directory_ + "/blkio"},
                       {"pids", directory_ + "/pids"}};
  state.delegated["memory"] = directory_ + "/memory/sysbox-delegated";
  json data = data_of(state);
  EXPECT_EQ(data["cpu"], json::parse(R"({
    "usage": {"total": 31000000, "percpu": [30000000, 1000000], "percpu_kernel": [8, 10],
              "percpu_user": [7, 9], "kernel": 10000000, "user": 20000000}, "throttling": {}})"));
  EXPECT_EQ(data["cpuset"]["cpus"], json::parse("[0, 1, 3]"));
  EXPECT_EQ(data["cpuset"]["mems"], json::parse("[0]"));
  EXPECT_EQ(data["cpuset"]["sched_relax_domain_level"], -1);
  EXPECT_EQ(data["memory"], json::parse(R"({
    "cache": 11, "usage": {"limit": 9223372036854771712, "usage": 5, "max": 6, "failcnt": 4},
    "swap": {"limit": 0, "failcnt": 0}, "kernel": {"limit": 0, "failcnt": 0},
    "kernelTCP": {"limit": 0, "failcnt": 0},
    "raw": {"cache": 11, "rss": 12, "total_cache": 11, "total_rss": 12}})"));
  EXPECT_EQ(data["blkio"], json::parse(R"({
    "ioServicedRecursive": [{"major": 8, "op": "Read", "value": 1},
                            {"major": 8, "op": "Total", "value": 1}]})"));
  EXPECT_EQ(data["pids"], json::parse(R"({"current": 1, "limit": 20})"));
}

TEST_F(CgroupFiles, EventsBeginAsReadersMatchThem) {
  EXPECT_EQ(oom_event_text("box"), R"({"type":"oom","id":"box"})");
  EXPECT_EQ(stats_event_text("box", {}).rfind(R"({"type":"stats","id":"box","data":{"cpu":)", 0),
            0U);
}

TEST_F(RealCgroup, StatsOfTheRealThing) {
  start();
  const Child child;
  ASSERT_TRUE(move_inside(child.pid()));
  const Result<ContainerStats> stats = read_stats(cgroup_.state());
  ASSERT_TRUE(stats.ok()) << stats.error().message();
  EXPECT_EQ(stats.value().pids, 1U);
}

// A process that takes more memory than its cgroup may have.
void take_memory() {
  constexpr std::size_t kTooMuch = 256 << 20;
  std::vector<char> memory(kTooMuch, 'x');
  volatile char used = memory[kTooMuch / 2];
  static_cast<void>(used);
}

TEST_F(RealCgroup, LackOfMemoryAndTheEndAreNoticed) {
  OciResources resources;
  resources.memory.limit = 16 * kMiB;
  resources.memory.swap = 16 * kMiB;
  start(resources);
  Result<OomWatch> watch = OomWatch::start(cgroup_.state());
  if (!watch) GTEST_SKIP() << watch.error().message();
  auto [may_take, word] = sys::pipe().value();
  Child child([&fd = may_take] {
    char byte = 0;
    if (::read(fd.get(), &byte, 1) == 1) take_memory();
  });
  ASSERT_EQ(message_of(move_inside(child.pid())),
            "no error");  // an empty cgroup v2 is an ended one
  ASSERT_EQ(::write(word.get(), "x", 1), 1);
  const auto next = [&watch] {
    return watch.value().wait(after(std::chrono::seconds(10))).value();
  };
  EXPECT_EQ(next(), OomWatch::Event::kOutOfMemory);
  child.wait();
  ASSERT_EQ(message_of(cgroup_.remove()), "no error");
  EXPECT_EQ(next(), OomWatch::Event::kContainerEnded);
}

}  // namespace
}  // namespace sysbox::runc
