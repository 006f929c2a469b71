#include "runc-ext/cgroup/cgroup.h"

#include <poll.h>

#include <filesystem>
#include <thread>

#include "common/process_status.h"
#include "tests/unit/runc-ext/real_cgroup.h"

namespace sysbox::runc {
namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// --- what the host has ---

constexpr const char* kHybridMounts =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
    "50 31 0:29 /docker/x /sys/fs/cgroup/part rw - cgroup cgroup rw,memory\n"
    "51 31 0:29 / /run/elsewhere rw - cgroup cgroup rw,pids\n"
    "52 31 0:29 / /sys/fs/cgroup/twice rw - cgroup cgroup rw,cpu,cpuacct\n";

TEST(CgroupHost, HybridMountsGiveTheFirstWholeMountOfEachHierarchy) {
  const CgroupHost host = parse_cgroup_host(kHybridMounts).value();
  EXPECT_EQ(host.layout, CgroupLayout::kHybrid);
  ASSERT_EQ(host.hierarchies.size(), 3U);
  EXPECT_EQ(host.hierarchies[0].name, "cpu,cpuacct");
  EXPECT_EQ(host.hierarchies[0].mount_point, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_THAT(host.hierarchies[0].controllers, ElementsAre("cpu", "cpuacct"));
  EXPECT_EQ(host.hierarchies[1].name, "name=systemd");
  EXPECT_THAT(host.hierarchies[1].controllers, IsEmpty());
  EXPECT_TRUE(host.hierarchies[2].v2);
  EXPECT_EQ(host.hierarchies[2].name, "");
}

TEST(CgroupHost, OneCgroup2MountIsPureV2) {
  const CgroupHost host =
      parse_cgroup_host("30 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n").value();
  EXPECT_EQ(host.layout, CgroupLayout::kV2);
  ASSERT_EQ(host.hierarchies.size(), 1U);
}

TEST(CgroupHost, NoMountIsAnErrorThatTellsTheWayOut) {
  const Result<CgroupHost> host = parse_cgroup_host("1 1 0:1 / / rw - ext4 /dev/vda rw\n");
  ASSERT_FALSE(host);
  EXPECT_EQ(host.error().code(), ENOENT);
  EXPECT_THAT(host.error().message(), HasSubstr("mount -t cgroup2"));
}

// --- planning ---

TEST(CgroupPlan, AbsolutePathIsBelowEveryMountPoint) {
  const CgroupHost host = parse_cgroup_host(kHybridMounts).value();
  const Cgroup cgroup = Cgroup::plan(host, "/docker/abc", "abc").value();
  EXPECT_EQ(cgroup.state().directories.at("cpu,cpuacct"), "/sys/fs/cgroup/cpu,cpuacct/docker/abc");
  EXPECT_THAT(cgroup.state().delegated.at("cpu,cpuacct"),
              testing::StartsWith("/sys/fs/cgroup/cpu,cpuacct/docker/abc/"));
  EXPECT_EQ(cgroup.state().directories.at(""), "/sys/fs/cgroup/unified/docker/abc");
  EXPECT_EQ(cgroup.state().delegated.at(""), "/sys/fs/cgroup/unified/docker/abc");
  EXPECT_EQ(cgroup.state().leaf, "init.scope");
}

TEST(CgroupPlan, NoPathIsBelowSysbox) {
  const CgroupHost host = parse_cgroup_host(kHybridMounts).value();
  EXPECT_EQ(Cgroup::plan(host, "", "abc").value().state().directories.at("name=systemd"),
            "/sys/fs/cgroup/systemd/sysbox/abc");
}

TEST(CgroupPlan, RelativePathIsBelowTheRuntimesOwnCgroup) {
  const Result<CgroupHost> host = find_cgroup_host();
  if (!host) GTEST_SKIP() << host.error().message();
  const std::string own = sys::read_file("/proc/self/cgroup").value();
  const CgroupMembership mine = parse_cgroup_membership(own).value();
  const Cgroup cgroup = Cgroup::plan(host.value(), "a/b", "x").value();
  for (const CgroupHierarchy& each : host.value().hierarchies) {
    const std::string below = mine.at(each.name) == "/" ? "" : mine.at(each.name);
    EXPECT_EQ(cgroup.state().directories.at(each.name), each.mount_point + below + "/a/b");
  }
}

TEST(CgroupPlan, DotsDoNotEscape) {
  const CgroupHost host = parse_cgroup_host(kHybridMounts).value();
  EXPECT_EQ(Cgroup::plan(host, "/../../../etc", "x").value().state().directories.at(""),
            "/sys/fs/cgroup/unified/etc");
  EXPECT_FALSE(Cgroup::plan(host, "/a/..", "x"));
}

TEST(CgroupPlan, SystemdPathIsRefusedByName) {
  const CgroupHost host = parse_cgroup_host(kHybridMounts).value();
  const Result<Cgroup> plan = Cgroup::plan(host, "kube.slice:cri-containerd:abc", "abc");
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message(), HasSubstr("cgroupfs"));
}

// --- life on the real kernel ---

TEST_F(RealCgroup, ProcessEntersEveryHierarchyAndSeesTheDelegatedRoot) {
  start();
  const CgroupEntrance entrance = cgroup_.open_entrance().value();
  auto [read_end, write_end] = sys::pipe().value();
  const int code = exit_code_of(
      [&entrance, fd = write_end.get()] {
        const BornInLeaf born = entrance.clone_into_fd() >= 0 ? BornInLeaf::kYes : BornInLeaf::kNo;
        const Result<void> entered = entrance.enter(born);
        if (!entered) return 1;
        (void)sys::write_all(fd, sys::read_file("/proc/self/cgroup").value_or("?") + "----\n").ok();
        const Result<void> unshared = entrance.unshare_namespace();
        if (!unshared) return 2;
        (void)sys::write_all(fd, sys::read_file("/proc/self/cgroup").value_or("?")).ok();
        return 0;
      },
      entrance.clone_into_fd());
  write_end.reset();
  ASSERT_EQ(code, 0);
  const std::string text = sys::read_all(read_end.get()).value();
  const std::size_t middle = text.find("----\n");
  const CgroupMembership outside = parse_cgroup_membership(text.substr(0, middle)).value();
  const CgroupMembership inside = parse_cgroup_membership(text.substr(middle + 5)).value();
  for (const CgroupHierarchy& each : host_.hierarchies) {
    const std::string leaf = each.v2 ? "/init.scope" : "";
    EXPECT_EQ(each.mount_point + outside.at(each.name),
              cgroup_.state().delegated.at(each.name) + leaf);
    EXPECT_EQ(inside.at(each.name), each.v2 ? "/init.scope" : "/");
  }
}

TEST_F(RealCgroup, ProcessNotBornInTheLeafEntersItToo) {
  start();
  const CgroupEntrance entrance = cgroup_.open_entrance().value();
  const Child child([&entrance] { (void)entrance.enter(BornInLeaf::kNo).ok(); });
  for (int i = 0; i < 200 && cgroup_.processes().value().empty(); ++i) ::usleep(10000);
  EXPECT_THAT(cgroup_.processes().value(), ElementsAre(child.pid()));
}

TEST_F(RealCgroup, OnlyWhatIsDelegatedBelongsToTheContainer) {
  start();
  for (const CgroupHierarchy& each : host_.hierarchies) {
    const std::string directory = cgroup_.state().directories.at(each.name);
    const std::string given = cgroup_.state().delegated.at(each.name);
    EXPECT_EQ(owner_of(given), kContainerRoot) << given;
    if (each.v2) {
      for (const char* file : {"/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control",
                               "/init.scope", "/init.scope/cgroup.procs"}) {
        EXPECT_EQ(owner_of(given + file), kContainerRoot) << given << file;
      }
      for (const char* file : {"/cgroup.freeze", "/cgroup.kill", "/cgroup.max.descendants"}) {
        EXPECT_EQ(owner_of(given + file), 0U) << given << file;
      }
      continue;
    }
    EXPECT_EQ(owner_of(directory), 0U) << directory;
    for (const auto& file : std::filesystem::directory_iterator(directory)) {
      if (!file.is_regular_file()) continue;
      EXPECT_EQ(owner_of(file.path()), 0U) << file.path();
    }
    for (const auto& file : std::filesystem::directory_iterator(given)) {
      EXPECT_EQ(owner_of(file.path()), kContainerRoot) << file.path();
    }
  }
}

TEST_F(RealCgroup, ContainerRootMakesCgroupsButDoesNotReachTheLimits) {
  SKIP_WITHOUT_V1("memory");
  OciResources resources;
  resources.memory.limit = 64 * kMiB;
  start(resources);
  const std::string limit = v1("memory") + "/memory.limit_in_bytes";
  const std::string mine = delegated("memory");
  const int code = exit_code_of([&limit, &mine] {
    if (::setresgid(kContainerRoot, kContainerRoot, kContainerRoot) != 0 ||
        ::setresuid(kContainerRoot, kContainerRoot, kContainerRoot) != 0) {
      return 1;
    }
    if (::mkdir((mine + "/inner").c_str(), 0755) != 0) return 2;
    if (!sys::write_file(mine + "/inner/memory.limit_in_bytes", "8388608")) return 3;
    if (!sys::write_file(mine + "/memory.limit_in_bytes", "-1")) return 4;
    if (sys::write_file(limit, "-1")) return 5;
    if (::rmdir((mine + "/inner").c_str()) != 0) return 6;
    return ::rmdir(mine.c_str()) == 0 ? 7 : 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(read_line(limit), std::to_string(64 * kMiB));
}

TEST_F(RealCgroup, DirectoryWithForeignProcessesIsRefusedAndLeftAlone) {
  start();
  const Child child;
  ASSERT_TRUE(move_inside(child.pid()));
  Cgroup other = planned("box");
  const Result<void> created = other.create();
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code(), EBUSY);
  EXPECT_THAT(created.error().message(), HasSubstr("container's cgroup is not empty"));
  EXPECT_THAT(created.error().message(), HasSubstr(std::to_string(child.pid())));
  EXPECT_THAT(cgroup_.processes().value(), ElementsAre(child.pid()));
}

TEST_F(RealCgroup, FrozenDirectoryIsRefusedAndLeftAlone) {
  const std::string directory = v1("freezer").empty() ? v2() : v1("freezer");
  const bool is_v1 = !v1("freezer").empty();
  std::filesystem::create_directories(directory);
  ASSERT_TRUE(sys::write_file(directory + (is_v1 ? "/freezer.state" : "/cgroup.freeze"),
                              is_v1 ? "FROZEN" : "1"));
  const Result<void> created = cgroup_.create();
  ASSERT_FALSE(created);
  EXPECT_THAT(created.error().message(), HasSubstr("container's cgroup unexpectedly frozen"));
  EXPECT_EQ(::rmdir(directory.c_str()), 0);
}

TEST_F(RealCgroup, FailedCreateLeavesNothing) {
  // The last hierarchy cannot be made below a file.
  CgroupHost broken = host_;
  broken.hierarchies.push_back({"/proc/self/status", "zzz", {}, false});
  Cgroup cgroup = Cgroup::plan(broken, top_ + "/box", "box").value();
  EXPECT_FALSE(cgroup.create());
  for (const CgroupHierarchy& each : host_.hierarchies) {
    EXPECT_FALSE(std::filesystem::exists(cgroup_.state().directories.at(each.name)));
  }
}

TEST_F(RealCgroup, StaleEmptyDirectoryIsMadeAnew) {
  SKIP_WITHOUT_V1("pids");
  OciResources resources;
  resources.pids_limit = 7;
  start(resources);
  Cgroup again = planned("box");
  ASSERT_EQ(message_of(again.create()), "no error");
  EXPECT_EQ(read_line(v1("pids") + "/pids.max"), "max");
}

TEST_F(RealCgroup, RemoveTakesNestedCgroupsAndToleratesMissingOnes) {
  start();
  for (const CgroupHierarchy& each : host_.hierarchies) {
    std::filesystem::create_directories(cgroup_.state().delegated.at(each.name) + "/a/b/c");
  }
  ASSERT_EQ(message_of(again().remove()), "no error");
  for (const CgroupHierarchy& each : host_.hierarchies) {
    EXPECT_FALSE(std::filesystem::exists(cgroup_.state().directories.at(each.name)));
  }
  EXPECT_EQ(message_of(again().remove()), "no error");
}

TEST_F(RealCgroup, RemoveNamesALivingProcessAndDoesNotKillIt) {
  start();
  const Child child;
  ASSERT_TRUE(move_inside(child.pid()));
  const Result<void> removed = cgroup_.remove();
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code(), EBUSY);
  EXPECT_THAT(removed.error().message(), HasSubstr(std::to_string(child.pid())));
  EXPECT_EQ(::kill(child.pid(), 0), 0);
}

TEST_F(RealCgroup, RemoveWaitsForADyingProcess) {
  start();
  Child child;
  ASSERT_TRUE(move_inside(child.pid()));
  const pid_t pid = child.pid();
  std::thread later([pid] {
    ::usleep(100'000);
    ::kill(pid, SIGKILL);
  });
  EXPECT_EQ(message_of(cgroup_.remove()), "no error");
  later.join();
}

TEST_F(RealCgroup, KillAllReachesNestedAndFrozenProcesses) {
  start();
  Child child, nested;
  ASSERT_TRUE(move_inside(child.pid()));
  ASSERT_TRUE(move_inside(nested.pid()));
  for (const auto& [name, directory] : cgroup_.state().delegated) {
    ASSERT_EQ(::mkdir((directory + "/nested").c_str(), 0755), 0);
    if (name.find("cpuset") != std::string::npos) continue;
    ASSERT_TRUE(sys::write_file(directory + "/nested/cgroup.procs", std::to_string(nested.pid())));
  }
  EXPECT_THAT(cgroup_.processes().value(),
              testing::UnorderedElementsAre(child.pid(), nested.pid()));
  ASSERT_EQ(message_of(cgroup_.freeze(true)), "no error");
  EXPECT_TRUE(cgroup_.frozen().value());
  const Result<void> killed = again().kill_all(SIGKILL);
  (void)cgroup_.freeze(false).ok();  // or a failure would wait for a frozen child for ever
  ASSERT_EQ(message_of(killed), "no error");
  EXPECT_THAT(cgroup_.processes().value(), IsEmpty());
  EXPECT_EQ(WTERMSIG(child.wait()), SIGKILL);
  EXPECT_EQ(WTERMSIG(nested.wait()), SIGKILL);
}

TEST_F(RealCgroup, KillAllWithoutV2ReachesFrozenProcesses) {
  SKIP_WITHOUT_V1("freezer");
  std::erase_if(host_.hierarchies, [](const CgroupHierarchy& each) { return each.v2; });
  cgroup_ = planned("box");
  start();
  Child child;
  ASSERT_TRUE(move_inside(child.pid()));
  ASSERT_EQ(message_of(cgroup_.freeze(true)), "no error");
  const Result<void> killed = cgroup_.kill_all(SIGKILL);
  (void)cgroup_.freeze(false).ok();  // or a failure would wait for a frozen child for ever
  ASSERT_EQ(message_of(killed), "no error");
  EXPECT_EQ(WTERMSIG(child.wait()), SIGKILL);
}

TEST_F(RealCgroup, OtherSignalsAreSentOnce) {
  start();
  Child child;
  ASSERT_TRUE(move_inside(child.pid()));
  ASSERT_EQ(message_of(cgroup_.kill_all(SIGTERM)), "no error");
  EXPECT_EQ(WTERMSIG(child.wait()), SIGTERM);
}

TEST_F(RealCgroup, ThawedProcessGoesOn) {
  start();
  auto [read_end, write_end] = sys::pipe().value();
  const Child child([fd = write_end.get()] {
    for (;;) {
      if (::write(fd, "x", 1) != 1) ::_exit(1);
      ::usleep(1000);
    }
  });
  ASSERT_TRUE(move_inside(child.pid()));
  ASSERT_EQ(message_of(cgroup_.freeze(true)), "no error");
  char drained[4096];
  while (sys::wait_for(read_end.get(), POLLIN, after(milliseconds(0)))) {
    ASSERT_GT(::read(read_end.get(), drained, sizeof(drained)), 0);
  }
  EXPECT_FALSE(sys::wait_for(read_end.get(), POLLIN, after(milliseconds(50))));
  ASSERT_EQ(message_of(cgroup_.freeze(false)), "no error");
  EXPECT_FALSE(cgroup_.frozen().value());
  EXPECT_TRUE(sys::wait_for(read_end.get(), POLLIN, after(milliseconds(2000))));
}

TEST_F(RealCgroup, ExecGoesToInitsCgroupWhenTheLeafIsGone) {
  SKIP_WITHOUT_V2();
  start();
  const Child init;
  ASSERT_TRUE(move_inside(init.pid()));
  const std::string moved_to = v2() + "/moved";
  ASSERT_EQ(::mkdir(moved_to.c_str(), 0755), 0);
  ASSERT_TRUE(sys::write_file(moved_to + "/cgroup.procs", std::to_string(init.pid())));
  ASSERT_EQ(::rmdir((v2() + "/init.scope").c_str()), 0);

  const Result<CgroupEntrance> entrance = again().open_entrance(init.pid());
  ASSERT_TRUE(entrance.ok()) << entrance.error().message();
  const int code = exit_code_of(
      [] {
        const std::string own = sys::read_file("/proc/self/cgroup").value_or("");
        return own.find("/box/moved\n") == std::string::npos ? 1 : 0;
      },
      entrance.value().clone_into_fd());
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace sysbox::runc
