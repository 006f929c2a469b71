// The real sysbox-mgr as a process: restart, kill -9, a second instance, a tiny pool.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>

#include "child_process.h"
#include "common/syscalls.h"
#include "mgr/api_client.h"
#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Daemon : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* program = std::getenv("SYSBOX_MGR");
    if (program == nullptr) GTEST_SKIP() << "SYSBOX_MGR does not name the built sysbox-mgr";
    program_ = program;
    scratch_.make_directory("rootfs");
    make_pool(3);
    start();
  }
  void make_pool(int ranges) const {
    const std::string line = "sysbox:3300000000:" + std::to_string(ranges * 65536) + "\n";
    scratch_.write("subuid", line);
    scratch_.write("subgid", line);
  }
  std::vector<std::string> command() const {
    return {program_,         "--socket",         socket(),
            "--data-root",    scratch_ / "data",  "--run-dir",
            scratch_ / "run", "--subuid-file",    scratch_ / "subuid",
            "--subgid-file",  scratch_ / "subgid"};
  }
  void start() {
    daemon_.emplace(command(), scratch_ / "log");
    ASSERT_TRUE(eventually([this] { return client().list().ok(); })) << log();
  }
  Client client() const { return Client(socket()); }
  std::string socket() const { return scratch_ / "run/sysbox-mgr.sock"; }
  std::string log() const { return contents_of(scratch_ / "log"); }
  Result<RegisterReply> add(const std::string& id, std::optional<IdRange> pod_ids = {},
                            std::uint64_t user_namespace = 0) const {
    RegisterRequest request;
    request.given_uids = request.given_gids = pod_ids;
    request.user_namespace = user_namespace;
    request.id = id;
    request.rootfs = scratch_ / "rootfs";
    request.lifeline = scratch_.make_directory("life/" + id);
    return client().register_container(request);
  }
  std::vector<std::string> listed() const {
    std::vector<std::string> ids;
    for (const ListedContainer& container : client().list().value().containers) {
      ids.push_back(container.id);
    }
    return ids;
  }

  std::string program_;
  ScratchDirectory scratch_;
  std::optional<ChildProcess> daemon_;
};

TEST_F(Daemon, EndsOrderlyAndTakesEverythingUpAgain) {
  const IdRange uids = add("a").value().uids;
  EXPECT_EQ(daemon_->stop(SIGTERM), 0);
  EXPECT_FALSE(client().list().ok());
  start();
  EXPECT_THAT(listed(), ElementsAre("a"));
  EXPECT_EQ(client().list().value().containers[0].uids, uids);
  EXPECT_THAT(log(), HasSubstr("container=a"));
}

TEST_F(Daemon, ASecondInstanceNamesTheFirst) {
  ChildProcess second(command(), scratch_ / "second-log");
  const pid_t first = daemon_->pid();
  EXPECT_EQ(second.wait(), 1);
  const std::string text = contents_of(scratch_ / "second-log");
  EXPECT_THAT(text, HasSubstr("already running: pid " + std::to_string(first)));
  EXPECT_THAT(text, HasSubstr(scratch_ / "run/sysbox-mgr.lock"));
  EXPECT_TRUE(client().list().ok());
}

TEST_F(Daemon, ATinyPoolIsExhaustedWithAClearLine) {
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(add(id).ok());
  const Result<RegisterReply> none = add("d");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), ENOSPC);
  EXPECT_THAT(none.error().message(), HasSubstr("all 3 ranges of 65536"));
  EXPECT_THAT(none.error().message(), HasSubstr(scratch_ / "subuid"));
  EXPECT_THAT(none.error().message(), HasSubstr("'sysbox'"));
  make_pool(4);
  EXPECT_EQ(daemon_->stop(SIGTERM), 0);
  start();
  EXPECT_TRUE(add("d").ok());
}

TEST_F(Daemon, UnknownFlagsAndBadFilesAreOneLineAndExitCode1) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--nonsense"},
        {"--log-level", "loud"},
        {"extra"},
        {"--log", "/nowhere/log"},
        {"--run-dir", scratch_ / "rootfs/none/deeper"}}) {
    std::filesystem::remove(scratch_ / "error");
    std::vector<std::string> whole = {program_};
    whole.insert(whole.end(), arguments.begin(), arguments.end());
    ChildProcess wrong(whole, scratch_ / "error");
    EXPECT_EQ(wrong.wait(), 1) << arguments[0];
    const std::string text = contents_of(scratch_ / "error");
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  }
}

// Killed again and again in the middle of everything: what was promised to a caller holds, and
// no two containers ever share ids.
TEST_F(Daemon, KillAtAnyMomentNeverSharesOrForgetsIds) {
  make_pool(40);
  EXPECT_EQ(daemon_->stop(SIGTERM), 0);
  start();
  std::mt19937 random(99);  // NOLINT(cert-msc51-cpp): the same sequence in each run
  std::map<std::string, IdRange> promised;
  for (int round = 0; round < 15; ++round) {
    std::atomic<bool> ended{false};
    std::thread busy([&] {
      for (int i = 0; !ended; ++i) {
        const std::string id = join("c", round, "-", i);
        const Result<RegisterReply> reply = add(id);
        if (!reply.ok()) return;
        promised[id] = reply.value().uids;
        if (i % 4 == 3) continue;
        // A withdrawal of which no answer came may or may not have happened.
        promised.erase(id);
        if (!client().unregister_container(id).ok()) return;
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 8000));
    daemon_->stop(SIGKILL);
    ended = true;
    busy.join();
    start();
    const ListReply list = client().list().value();
    std::map<std::string, IdRange> held;
    for (const ListedContainer& container : list.containers) {
      for (const auto& [id, uids] : held) {
        ASSERT_FALSE(uids.overlaps(container.uids)) << id << " " << container.id;
      }
      held[container.id] = container.uids;
    }
    for (const auto& [id, uids] : promised) {
      ASSERT_TRUE(held.contains(id)) << id;
      ASSERT_EQ(held[id], uids) << id;
    }
    for (const auto& [id, uids] : held) {
      ASSERT_TRUE(client().unregister_container(id).ok());
    }
    promised.clear();
  }
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "run/ranges.journal.corrupt"));
}

// Each container of a pod comes to another daemon, for the last one was killed meanwhile.
TEST_F(Daemon, KillBetweenTheContainersOfAPodKeepsItsIdsTogether) {
  const IdRange ids{3300000000U, 65536};
  constexpr std::uint64_t kNobodysNamespace = 7;
  for (const char* id : {"pause", "app", "sidecar"}) {
    ASSERT_TRUE(add(id, ids, kNobodysNamespace).ok()) << id;
    daemon_->stop(SIGKILL);
    start();
    EXPECT_EQ(client().list().value().free_ranges, 2U);
    EXPECT_FALSE(add("stranger", ids, kNobodysNamespace + 1).ok());
  }
  EXPECT_THAT(listed(), ElementsAre("app", "pause", "sidecar"));
  for (const char* id : {"pause", "app", "sidecar"}) {
    EXPECT_EQ(client().list().value().free_ranges, 2U) << id;
    ASSERT_TRUE(client().unregister_container(id).ok());
    daemon_->stop(SIGKILL);
    start();
  }
  EXPECT_EQ(client().list().value().free_ranges, 3U);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "run/ranges.journal.corrupt"));
}

class DaemonWithLayer : public Daemon {
 protected:
  void SetUp() override {
    Daemon::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    for (const char* name : {"image", "c1/diff", "c1/work", "c1/merged"}) {
      scratch_.make_directory(name);
    }
    const std::string options = join("lowerdir=", scratch_ / "image", ",upperdir=", upper(),
                                     ",workdir=", scratch_ / "c1/work");
    if (::mount("overlay", merged().c_str(), "overlay", 0, options.c_str()) != 0) {
      GTEST_SKIP() << "cannot mount an overlay here";
    }
  }
  void TearDown() override { ::umount2(merged().c_str(), MNT_DETACH); }
  std::string upper() const { return scratch_ / "c1/diff"; }
  std::string merged() const { return scratch_ / "c1/merged"; }
  Result<RegisterReply> add() const {
    RegisterRequest request;
    request.id = "c1";
    request.rootfs = merged();
    request.lifeline = scratch_ / "c1";
    request.upper_layer = upper();
    return client().register_container(request);
  }
};

// What is in a volume is at one of its two places at every moment, and the next move finds it.
TEST_F(DaemonWithLayer, KillInTheMiddleOfAMoveLosesNoVolume) {
  const Result<RegisterReply> added = add();
  ASSERT_TRUE(added.ok()) << added.error().message();
  const std::vector<Volume> volumes = added.value().volumes;
  for (const Volume& volume : volumes) {
    std::filesystem::create_directories(merged() + volume.destination);  // its mount point
    std::ofstream(volume.source + "/inner") << volume.destination;
  }
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same sequence in each run
  int interrupted = 0;
  for (int round = 0; round < 20; ++round) {
    std::thread busy([&] {
      while (client().pause_container("c1").ok() && client().resume_container("c1").ok()) {
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 8000));
    daemon_->stop(SIGKILL);
    busy.join();
    std::size_t in_layer = 0;
    for (const Volume& volume : volumes) {
      const bool is_in_layer = std::filesystem::exists(upper() + volume.destination + "/inner");
      ASSERT_NE(is_in_layer, std::filesystem::exists(volume.source + "/inner")) << volume.source;
      if (is_in_layer) ++in_layer;
    }
    if (in_layer != 0 && in_layer != volumes.size()) ++interrupted;
    start();
    const Result<void> resumed = client().resume_container("c1");
    ASSERT_TRUE(resumed.ok()) << resumed.error().message();
    for (const Volume& volume : volumes) {
      ASSERT_EQ(contents_of(volume.source + "/inner"), volume.destination);
    }
  }
  RecordProperty("kills_in_the_middle", interrupted);
}

TEST_F(Daemon, DataOfALivingContainerOutlivesKillAndDataOfADeadOneDoesNot) {
  ASSERT_TRUE(add("kept").ok());
  ASSERT_TRUE(add("gone").ok());
  scratch_.write("data/volumes/kept/docker/file", "kept");
  ASSERT_TRUE(client().unregister_container("kept").ok());
  ASSERT_TRUE(client().unregister_container("gone").ok());
  daemon_->stop(SIGKILL);
  std::filesystem::remove_all(scratch_ / "life/gone");
  start();
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "data/volumes/gone"));
  ASSERT_TRUE(add("kept").ok());
  EXPECT_EQ(contents_of(scratch_ / "data/volumes/kept/docker/file"), "kept");
}

}  // namespace
}  // namespace sysbox::mgr
