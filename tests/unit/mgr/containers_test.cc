#include "mgr/containers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "child_process.h"
#include "common/id_map_text.h"
#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// High up, where no test machine has users.
constexpr std::uint32_t kFirst = 3100000000U;
constexpr IdRange kSlot0{kFirst, kRangeSize};
constexpr IdRange kSlot1{kFirst + kRangeSize, kRangeSize};

class ContainersOnDisk : public ::testing::Test {
 protected:
  ContainersOnDisk() {
    scratch_.make_directory("run");
    scratch_.make_directory("rootfs");
    open();
  }
  // As a new daemon would; the old one is gone before.
  void open(std::uint32_t ranges = 2) {
    containers_.reset();
    Result<std::unique_ptr<Containers>> opened = Containers::open({scratch_ / "run",
                                                                   scratch_ / "data",
                                                                   {{kFirst, ranges * kRangeSize}},
                                                                   "the test's lines",
                                                                   proc_});
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    containers_ = std::move(opened).value();
  }
  RegisterRequest request(const std::string& id, pid_t caller = ::getpid()) const {
    RegisterRequest request;
    request.id = id;
    request.rootfs = scratch_ / "rootfs";
    request.lifeline = scratch_.make_directory("life/" + id);
    request.caller_pid = caller;
    return request;
  }
  Result<RegisterReply> add(const std::string& id) {
    return containers_->register_container(request(id));
  }
  // Registered by a process that has ended since.
  Result<RegisterReply> add_dead(const std::string& id) {
    ChildProcess caller({"sleep", "60"});
    Result<RegisterReply> reply = containers_->register_container(request(id, caller.pid()));
    caller.stop(SIGKILL);
    return reply;
  }
  std::vector<std::string> listed() const {
    std::vector<std::string> ids;
    for (const ListedContainer& container : containers_->list().containers) {
      ids.push_back(container.id);
    }
    return ids;
  }
  bool has_volumes(const std::string& id) const {
    return std::filesystem::exists(scratch_ / ("data/volumes/" + id));
  }
  void end_lifeline(const std::string& id) const {
    std::filesystem::remove_all(scratch_ / ("life/" + id));
  }

  ScratchDirectory scratch_;
  std::string proc_ = "/proc";
  std::unique_ptr<Containers> containers_;
};

TEST_F(ContainersOnDisk, EachGetsIdsOfItsOwn) {
  EXPECT_EQ(add("a").value().uids, kSlot0);
  EXPECT_EQ(add("b").value().uids, kSlot1);
  EXPECT_EQ(add("b").error().code(), EEXIST);
  ASSERT_TRUE(containers_->unregister_container("a").ok());
  ASSERT_TRUE(containers_->unregister_container("a").ok());
  EXPECT_EQ(add("c").value().gids, kSlot0);
}

TEST_F(ContainersOnDisk, WhoeverWantsMoreIdsGetsThemAfterARestartToo) {
  open(4);
  RegisterRequest large = request("large");
  large.ids = 2 * kRangeSize;
  EXPECT_EQ(containers_->register_container(large).value().uids, (IdRange{kFirst, 2 * kRangeSize}));
  open(4);
  EXPECT_EQ(containers_->list().free_ranges, 2U);
  EXPECT_EQ(add("small").value().uids, (IdRange{kFirst + 2 * kRangeSize, kRangeSize}));
  ASSERT_TRUE(containers_->unregister_container("large").ok());
  open(4);
  EXPECT_EQ(containers_->list().free_ranges, 3U);
}

TEST_F(ContainersOnDisk, ExhaustionSaysWhatToEnlargeAndLeavesNothing) {
  ASSERT_TRUE(add("a").ok());
  ASSERT_TRUE(add("b").ok());
  const Result<RegisterReply> none = add("c");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), ENOSPC);
  EXPECT_THAT(none.error().message(), HasSubstr("all 2 ranges"));
  EXPECT_THAT(none.error().message(), HasSubstr("the test's lines"));
  EXPECT_FALSE(has_volumes("c"));
  EXPECT_THAT(listed(), ElementsAre("a", "b"));
}

TEST_F(ContainersOnDisk, GivenIdsMustBeNobodysElse) {
  ASSERT_TRUE(add("a").ok());
  RegisterRequest given = request("b");
  given.given_uids = IdRange{kFirst + 5, 10};
  given.given_gids = IdRange{4000000000U, 10};
  const Result<RegisterReply> refused = containers_->register_container(given);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("container 'a'"));
  given.given_uids = IdRange{4000000000U, 10};
  EXPECT_EQ(containers_->register_container(given).value().uids, (IdRange{4000000000U, 10}));
}

TEST_F(ContainersOnDisk, ARestartChangesNothing) {
  const RegisterReply before = add("a").value();
  RegisterRequest given = request("b");
  given.given_uids = given.given_gids = IdRange{4000000000U, 10};
  ASSERT_TRUE(containers_->register_container(given).ok());
  open();
  EXPECT_THAT(listed(), ElementsAre("a", "b"));
  const ListReply list = containers_->list();
  EXPECT_EQ(list.containers[0].uids, before.uids);
  EXPECT_EQ(list.containers[0].volumes, before.volumes);
  EXPECT_EQ(list.free_ranges, 1U);
  EXPECT_EQ(add("c").value().uids, kSlot1);
  ASSERT_TRUE(containers_->unregister_container("a").ok());
  open();
  EXPECT_THAT(listed(), ElementsAre("b", "c"));
}

TEST_F(ContainersOnDisk, IdsOfTheDeadAreFreeAgainAtTheNextStart) {
  ASSERT_TRUE(add("alive").ok());
  ASSERT_TRUE(add_dead("dead").ok());
  open();
  EXPECT_THAT(listed(), ElementsAre("alive"));
  EXPECT_TRUE(has_volumes("dead")) << "its lifeline is still there";
}

TEST_F(ContainersOnDisk, IdsOfTheDeadAreFreeAgainWhenThereAreNoOthers) {
  ASSERT_TRUE(add_dead("dead").ok());
  ASSERT_TRUE(add("b").ok());
  EXPECT_EQ(add("c").value().uids, kSlot0);
  EXPECT_THAT(listed(), ElementsAre("b", "c"));
}

TEST_F(ContainersOnDisk, ADeadContainersIdCanBeRegisteredAgain) {
  ASSERT_TRUE(add_dead("a").ok());
  EXPECT_TRUE(add("a").ok());
  EXPECT_EQ(add("a").error().code(), EEXIST);
}

TEST_F(ContainersOnDisk, RunningProcessesKeepIdsWhoeverRegisteredThem) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to map foreign ids";
  ChildProcess init({"unshare", "--user", "sleep", "60"});
  const std::string map = "/proc/" + std::to_string(init.pid()) + "/uid_map";
  if (!eventually([&] { return sys::write_file(map, join("0 ", kFirst, " 65536")).ok(); })) {
    GTEST_SKIP() << "user namespaces are not allowed here";
  }
  ASSERT_TRUE(add_dead("a").ok());
  open();
  EXPECT_THAT(listed(), ElementsAre("a"));
  ASSERT_TRUE(add("b").ok());
  EXPECT_EQ(add("c").error().code(), ENOSPC);
  EXPECT_EQ(add("a").error().code(), EEXIST);
  init.stop(SIGKILL);
  EXPECT_EQ(add("c").value().uids, kSlot0);
}

TEST_F(ContainersOnDisk, ADamagedRecordNeverLeadsToSharedIds) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to map foreign ids";
  ChildProcess init({"unshare", "--user", "sleep", "60"});
  const std::string map = "/proc/" + std::to_string(init.pid()) + "/uid_map";
  if (!eventually([&] { return sys::write_file(map, join("0 ", kFirst, " 65536")).ok(); })) {
    GTEST_SKIP() << "user namespaces are not allowed here";
  }
  ASSERT_EQ(add("a").value().uids, kSlot0);
  scratch_.write("run/ranges.journal", "garbage\n");
  open();
  const std::string recovered = join("recovered:", kFirst);
  EXPECT_THAT(listed(), ElementsAre(recovered));
  EXPECT_EQ(contents_of(scratch_ / "run/ranges.journal.corrupt"), "garbage\n");
  EXPECT_EQ(add("b").value().uids, kSlot1);
  open();
  EXPECT_THAT(listed(), ElementsAre("b", recovered));
  EXPECT_EQ(add("c").error().code(), ENOSPC);
  init.stop(SIGKILL);
  EXPECT_EQ(add("c").value().uids, kSlot0);
}

class PodsOnDisk : public ContainersOnDisk {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to map foreign ids";
    if (!start_pod()) GTEST_SKIP() << "user namespaces are not allowed here";
  }
  // A process in a user namespace that maps the pool's first range.
  bool start_pod() { return start_in_range(pod_, kFirst); }
  static bool start_in_range(std::optional<ChildProcess>& process, std::uint32_t first) {
    process.emplace(std::vector<std::string>{"unshare", "--user", "sleep", "60"});
    const std::string map = "/proc/" + std::to_string(process->pid()) + "/uid_map";
    return eventually([&] { return sys::write_file(map, join("0 ", first, " 65536")).ok(); });
  }
  static std::uint64_t user_namespace_of(const ChildProcess& process) {
    return sys::fstatat(AT_FDCWD, join("/proc/", process.pid(), "/ns/user")).value().st_ino;
  }
  RegisterRequest joining(const std::string& id, std::uint64_t user_namespace) const {
    RegisterRequest joined = request(id);
    joined.given_uids = joined.given_gids = kSlot0;
    joined.user_namespace = user_namespace;
    return joined;
  }
  Result<RegisterReply> join_pod(const std::string& id) {
    return containers_->register_container(joining(id, user_namespace_of(*pod_)));
  }

  std::optional<ChildProcess> pod_;
};

TEST_F(PodsOnDisk, ContainersOfOneUserNamespaceShareItsIdsUntilTheLastIsUnregistered) {
  ASSERT_TRUE(join_pod("pause").ok());
  ASSERT_TRUE(join_pod("app").ok());
  open();
  ASSERT_TRUE(join_pod("sidecar").ok());
  EXPECT_EQ(containers_->list().free_ranges, 1U);
  ASSERT_TRUE(containers_->unregister_container("pause").ok());
  ASSERT_TRUE(containers_->unregister_container("sidecar").ok());
  open();
  EXPECT_THAT(listed(), ElementsAre("app"));
  EXPECT_EQ(containers_->list().free_ranges, 1U);
  EXPECT_EQ(add("other").value().uids, kSlot1);
  ASSERT_TRUE(containers_->unregister_container("app").ok());
  EXPECT_EQ(containers_->list().free_ranges, 1U);
}

TEST_F(PodsOnDisk, WhoeverJoinsAContainersUserNamespaceSharesItsIds) {
  ASSERT_EQ(add("maker").value().uids, kSlot0);
  ASSERT_TRUE(join_pod("joiner").ok());
  ASSERT_TRUE(containers_->unregister_container("maker").ok());
  EXPECT_EQ(add("next").value().uids, kSlot1) << "the joiner still runs under the first range";
}

TEST_F(PodsOnDisk, IdsThatProcessesOutsideOfItUseAreNoPods) {
  std::optional<ChildProcess> stranger;
  ASSERT_TRUE(start_in_range(stranger, kFirst + 65000));
  const Result<RegisterReply> refused = join_pod("app");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), EBUSY);
  EXPECT_EQ(refused.error().message(),
            join("host ids ", kFirst, "-", kFirst + 65535,
                 " of the user namespace are in use outside of it, by process ", stranger->pid(),
                 "; each pod needs ids of its own"));
  EXPECT_THAT(listed(), IsEmpty());
  stranger->stop(SIGKILL);
  EXPECT_TRUE(join_pod("app").ok());
}

TEST_F(PodsOnDisk, AUserNamespaceInsideThePodIsThePods) {
  const std::string gid_map = "/proc/" + std::to_string(pod_->pid()) + "/gid_map";
  ASSERT_TRUE(sys::write_file(gid_map, join("0 ", kFirst, " 65536")).ok());
  ChildProcess inner({"nsenter", "--user", "--target", std::to_string(pod_->pid()), "unshare",
                      "--user", "--map-root-user", "sleep", "60"});
  const std::string map = "/proc/" + std::to_string(inner.pid()) + "/uid_map";
  const auto maps_one_id_of_the_pod = [&] {
    const IdMap inner_map = parse_id_map_text(contents_of(map));
    return inner_map.entries.size() == 1 && inner_map.entries[0].host_first == kFirst &&
           inner_map.entries[0].count == 1;
  };
  ASSERT_TRUE(eventually(maps_one_id_of_the_pod));
  ASSERT_NE(user_namespace_of(inner), user_namespace_of(*pod_));
  EXPECT_TRUE(join_pod("app").ok());
}

// The range of a container that is gone was given to the next, while something still pins the
// user namespace of the first.
TEST_F(PodsOnDisk, AnOldUserNamespaceDoesNotShareItsIdsNextOwner) {
  const std::uint64_t old_namespace = user_namespace_of(*pod_);
  // Otherwise the kernel may give its number to the next one.
  const UniqueFd pin =
      sys::openat(AT_FDCWD, join("/proc/", pod_->pid(), "/ns/user"), O_RDONLY).value();
  pod_->stop(SIGKILL);
  ASSERT_EQ(add("next").value().uids, kSlot0);
  const Result<RegisterReply> refused =
      containers_->register_container(joining("late", old_namespace));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(),
              HasSubstr("belong to container 'next', which has made another one"));
  // Its owner's processes are strangers to the old namespace.
  std::optional<ChildProcess> next;
  ASSERT_TRUE(start_in_range(next, kFirst));
  EXPECT_THAT(containers_->register_container(joining("late", old_namespace)).error().message(),
              HasSubstr("in use outside of it"));
  EXPECT_THAT(listed(), ElementsAre("next"));
}

TEST_F(PodsOnDisk, IdsOfADeadPodAreFreeAgain) {
  {
    ChildProcess caller({"sleep", "60"});
    RegisterRequest dead = joining("app", user_namespace_of(*pod_));
    dead.caller_pid = caller.pid();
    ASSERT_TRUE(containers_->register_container(dead).ok());
  }
  open();
  EXPECT_THAT(listed(), ElementsAre("app"));
  pod_->stop(SIGKILL);
  open();
  EXPECT_THAT(listed(), IsEmpty());
  EXPECT_EQ(containers_->list().free_ranges, 2U);
}

TEST_F(ContainersOnDisk, VolumesStayOverStopAndStart) {
  ASSERT_TRUE(add("a").ok());
  scratch_.write("data/volumes/a/docker/file", "kept");
  ASSERT_TRUE(containers_->unregister_container("a").ok());
  open();
  ASSERT_TRUE(add("a").ok());
  EXPECT_EQ(contents_of(scratch_ / "data/volumes/a/docker/file"), "kept");
}

TEST_F(ContainersOnDisk, VolumesGoWithTheLifeline) {
  ASSERT_TRUE(add("a").ok());
  ASSERT_TRUE(add("b").ok());
  ASSERT_TRUE(containers_->unregister_container("a").ok());
  EXPECT_TRUE(has_volumes("a"));
  end_lifeline("a");
  EXPECT_TRUE(eventually([&] { return !has_volumes("a"); }));
  EXPECT_TRUE(has_volumes("b"));
}

TEST_F(ContainersOnDisk, VolumesOfARegisteredContainerWaitForItsEnd) {
  ASSERT_TRUE(add("a").ok());
  end_lifeline("a");
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_TRUE(has_volumes("a"));
  ASSERT_TRUE(containers_->unregister_container("a").ok());
  EXPECT_FALSE(has_volumes("a"));
}

TEST_F(ContainersOnDisk, ADeadContainerWhoseLifelineGoesLosesBothIdsAndVolumes) {
  ASSERT_TRUE(add_dead("a").ok());
  end_lifeline("a");
  EXPECT_TRUE(eventually([&] { return !has_volumes("a"); }));
  EXPECT_THAT(listed(), IsEmpty());
}

TEST_F(ContainersOnDisk, ALifelineThatWentWhileNobodyLookedIsNoticedAtStart) {
  ASSERT_TRUE(add("a").ok());
  ASSERT_TRUE(add("b").ok());
  ASSERT_TRUE(containers_->unregister_container("a").ok());
  ASSERT_TRUE(containers_->unregister_container("b").ok());
  containers_.reset();
  end_lifeline("a");
  open();
  EXPECT_FALSE(has_volumes("a"));
  EXPECT_TRUE(has_volumes("b"));
}

TEST_F(ContainersOnDisk, AFailedRegistrationGivesEverythingBack) {
  RegisterRequest broken = request("a");
  broken.rootfs = scratch_ / "nowhere";
  const Result<RegisterReply> refused = containers_->register_container(broken);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("rootfs"));
  EXPECT_THAT(listed(), IsEmpty());
  EXPECT_EQ(containers_->list().free_ranges, 2U);
  EXPECT_FALSE(has_volumes("a"));
  open();
  EXPECT_THAT(listed(), IsEmpty());
}

TEST_F(ContainersOnDisk, UnregisterEndsARegistrationThatIsStillCopying) {
  scratch_.make_directory("rootfs/var/lib/docker");
  for (int i = 0; i < 5000; ++i) {
    scratch_.write("rootfs/var/lib/docker/" + std::to_string(i), "");
  }
  Result<RegisterReply> reply = Error(EIO, "not called");
  std::thread registering([&] { reply = add("a"); });
  EXPECT_TRUE(eventually([&] { return !listed().empty(); }));
  // Others are not held up meanwhile.
  RegisterRequest other = request("b");
  other.rootfs = scratch_.make_directory("empty-rootfs");
  EXPECT_TRUE(containers_->register_container(other).ok());
  EXPECT_TRUE(containers_->unregister_container("a").ok());
  registering.join();
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().code(), ECANCELED);
  EXPECT_THAT(listed(), ElementsAre("b"));
  EXPECT_FALSE(has_volumes("a"));
}

TEST_F(ContainersOnDisk, ManyAtOnceGetDifferentIds) {
  open(64);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 40; ++i) {
        const std::string id = join("c", t, "-", i % 8);
        if (!add(id).ok()) ADD_FAILURE() << id;
        if (i >= 32 && t % 2 == 0) continue;
        if (!containers_->unregister_container(id).ok()) ADD_FAILURE() << id;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::uint32_t> firsts;
  for (const ListedContainer& container : containers_->list().containers) {
    EXPECT_TRUE(firsts.insert(container.uids.first).second) << container.id;
  }
  EXPECT_EQ(firsts.size(), 32U);
  EXPECT_EQ(containers_->list().free_ranges, 32U);
}

}  // namespace
}  // namespace sysbox::mgr
