#include "runc-ext/system_container/joined_namespaces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "common/syscalls.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

using ::testing::HasSubstr;

// Ids that no container of the machine has.
constexpr IdRange kIds{3200000000U, 65536};

// A process in namespaces of its own; with a user namespace, `map` is its map for both kinds of
// ids.
class Dweller {
 public:
  explicit Dweller(int namespaces, const std::string& map = IdMap::onto(kIds).text()) {
    auto [ours, theirs] = sys::socketpair(SOCK_STREAM).value();
    pid_ = ::fork();
    if (pid_ == 0) {
      const char ready = ::unshare(namespaces) == 0 ? 'y' : 'n';
      static_cast<void>(::write(theirs.get(), &ready, 1));
      for (;;) ::pause();
    }
    char ready = 'n';
    static_cast<void>(::read(ours.get(), &ready, 1));
    is_ready_ = ready == 'y';
    if (!is_ready_ || (namespaces & CLONE_NEWUSER) == 0 || map.empty()) return;
    for (const char* file : {"/uid_map", "/gid_map"}) {
      is_ready_ &= sys::write_file(proc() + file, map).ok();
    }
  }
  ~Dweller() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Dweller(const Dweller&) = delete;
  Dweller& operator=(const Dweller&) = delete;

  bool is_ready() const { return is_ready_; }
  std::string path(NamespaceType type) const {
    return proc() + "/ns/" + namespace_info(type).proc_name;
  }
  std::uint64_t inode(NamespaceType type) const {
    return sys::fstatat(AT_FDCWD, path(type)).value().st_ino;
  }

 private:
  std::string proc() const { return "/proc/" + std::to_string(pid_); }

  pid_t pid_ = -1;
  bool is_ready_ = false;
};

class JoinedNamespacesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to make namespaces";
    const Dweller probe(CLONE_NEWUSER | CLONE_NEWNET);
    if (!probe.is_ready()) GTEST_SKIP() << "namespaces are not allowed here";
  }
  static OciLinux naming(const std::vector<OciNamespace>& namespaces) {
    OciLinux linux_part;
    linux_part.namespaces = namespaces;
    return linux_part;
  }
  static std::string error_of(const OciLinux& linux_part) {
    const Result<JoinedNamespaces> joined = open_joined_namespaces(linux_part);
    return joined.ok() ? "no error" : joined.error().message();
  }
  static std::string error_of(const std::vector<OciNamespace>& namespaces) {
    return error_of(naming(namespaces));
  }
};

TEST_F(JoinedNamespacesTest, NothingIsJoinedThatHasNoPath) {
  const JoinedNamespaces joined =
      open_joined_namespaces(naming({{NamespaceType::kPid, ""}, {NamespaceType::kUser, ""}}))
          .value();
  EXPECT_FALSE(joined.user);
  EXPECT_TRUE(joined.others.empty());
}

TEST_F(JoinedNamespacesTest, TheIdsAreThoseOfTheUserNamespace) {
  const Dweller pod(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC);
  const JoinedNamespaces joined =
      open_joined_namespaces(naming({{NamespaceType::kNetwork, pod.path(NamespaceType::kNetwork)},
                                     {NamespaceType::kUser, pod.path(NamespaceType::kUser)},
                                     {NamespaceType::kIpc, pod.path(NamespaceType::kIpc)}}))
          .value();
  ASSERT_TRUE(joined.user);
  EXPECT_EQ(joined.user->uids.as_single_range(), kIds);
  EXPECT_EQ(joined.user->gids.as_single_range(), kIds);
  EXPECT_EQ(joined.user->inode, pod.inode(NamespaceType::kUser));
  ASSERT_NE(joined.find(NamespaceType::kNetwork), nullptr);
  EXPECT_FALSE(joined.is_foreign(NamespaceType::kNetwork));
  EXPECT_FALSE(joined.is_foreign(NamespaceType::kIpc));
  EXPECT_EQ(joined.find(NamespaceType::kUts), nullptr);
}

TEST_F(JoinedNamespacesTest, ANetworkOfAnotherContainerBringsItsUserNamespaceAlong) {
  const Dweller other(CLONE_NEWUSER | CLONE_NEWNET);
  const JoinedNamespaces joined =
      open_joined_namespaces(
          naming({{NamespaceType::kUser, ""},
                  {NamespaceType::kNetwork, other.path(NamespaceType::kNetwork)}}))
          .value();
  ASSERT_TRUE(joined.user);
  EXPECT_EQ(joined.user->inode, other.inode(NamespaceType::kUser));
  EXPECT_FALSE(joined.is_foreign(NamespaceType::kNetwork));
}

TEST_F(JoinedNamespacesTest, ANetworkThatTheEngineMadeOnTheHostIsForeign) {
  const Dweller pod(CLONE_NEWUSER);
  const Dweller engine(CLONE_NEWNET);
  const std::string network = engine.path(NamespaceType::kNetwork);
  JoinedNamespaces joined =
      open_joined_namespaces(naming({{NamespaceType::kNetwork, network}})).value();
  EXPECT_FALSE(joined.user) << "the container makes its own";
  EXPECT_TRUE(joined.is_foreign(NamespaceType::kNetwork));
  joined = open_joined_namespaces(naming({{NamespaceType::kNetwork, network},
                                          {NamespaceType::kUser, pod.path(NamespaceType::kUser)}}))
               .value();
  EXPECT_TRUE(joined.user);
  EXPECT_TRUE(joined.is_foreign(NamespaceType::kNetwork));
}

TEST_F(JoinedNamespacesTest, MappingsOfTheSpecMustBeThoseOfTheUserNamespace) {
  const Dweller pod(CLONE_NEWUSER);
  OciLinux linux_part = naming({{NamespaceType::kUser, pod.path(NamespaceType::kUser)}});
  linux_part.uid_mappings = linux_part.gid_mappings = IdMap::onto(kIds);
  EXPECT_EQ(error_of(linux_part), "no error");
  linux_part.gid_mappings = IdMap::onto({kIds.first + 1, kIds.count});
  EXPECT_THAT(error_of(linux_part), HasSubstr("its ids are not those of linux.gidMappings"));
}

TEST_F(JoinedNamespacesTest, RefusesTheHostsNamespacesByTheEnginesOption) {
  for (const auto& [type, option] : std::vector<std::pair<NamespaceType, std::string>>{
           {NamespaceType::kPid, "--pid=host"},
           {NamespaceType::kNetwork, "--net=host"},
           {NamespaceType::kIpc, "--ipc=host"},
           {NamespaceType::kUts, "--uts=host"},
           {NamespaceType::kUser, "--userns=host"},
           {NamespaceType::kCgroup, "--cgroupns=host"},
           {NamespaceType::kMount, "mount"}}) {
    const std::string path = join("/proc/", ::getpid(), "/ns/", namespace_info(type).proc_name);
    const std::string message = error_of({{NamespaceType::kPid, ""}, {type, path}});
    EXPECT_THAT(message, HasSubstr(join("linux.namespaces[1].path: '", path, "' is the host's ",
                                        namespace_info(type).oci_name, " namespace")));
    EXPECT_THAT(message, HasSubstr(option));
    EXPECT_THAT(message, HasSubstr("would break the container's isolation"));
  }
}

TEST_F(JoinedNamespacesTest, RefusesWhatIsNoNamespaceOfThatType) {
  EXPECT_EQ(error_of({{NamespaceType::kNetwork, "/run/netns/none"}}),
            "linux.namespaces[0].path: '/run/netns/none': No such file or directory");
  EXPECT_EQ(error_of({{NamespaceType::kNetwork, "/dev/null"}}),
            "linux.namespaces[0].path: '/dev/null' is not a namespace");
  const Dweller other(CLONE_NEWIPC);
  const std::string path = other.path(NamespaceType::kIpc);
  EXPECT_EQ(error_of({{NamespaceType::kNetwork, path}}),
            "linux.namespaces[0].path: '" + path + "' is a namespace of type ipc, not network");
}

TEST_F(JoinedNamespacesTest, RefusesAMountNamespaceOfTheHostsUserNamespace) {
  const Dweller other(CLONE_NEWNS);
  EXPECT_THAT(error_of({{NamespaceType::kMount, other.path(NamespaceType::kMount)}}),
              HasSubstr("shows the host's files"));
}

TEST_F(JoinedNamespacesTest, RefusesNamespacesOfTwoContainers) {
  const Dweller one(CLONE_NEWUSER | CLONE_NEWNET);
  const Dweller two(CLONE_NEWUSER | CLONE_NEWIPC);
  EXPECT_THAT(error_of({{NamespaceType::kNetwork, one.path(NamespaceType::kNetwork)},
                        {NamespaceType::kIpc, two.path(NamespaceType::kIpc)}}),
              HasSubstr("linux.namespaces[1].path '" + two.path(NamespaceType::kIpc) +
                        "': it belongs to another user namespace than linux.namespaces[0].path"));
}

struct RefusedMap {
  const char* name;
  const char* map;
  const char* message;
};
class RefusedMaps : public JoinedNamespacesTest,
                    public ::testing::WithParamInterface<RefusedMap> {};

TEST_P(RefusedMaps, AreNamed) {
  const Dweller pod(CLONE_NEWUSER, GetParam().map);
  ASSERT_TRUE(pod.is_ready());
  EXPECT_THAT(error_of({{NamespaceType::kUser, pod.path(NamespaceType::kUser)}}),
              HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    JoinedNamespaces, RefusedMaps,
    ::testing::Values(
        RefusedMap{"TheHostsRoot", "0 0 65536", "uid_map: maps host id 0 into the container"},
        RefusedMap{"TwoBlocks", "0 3200000000 1\n1 3300000000 65535", "expected one block of ids"},
        RefusedMap{"NoRoot", "1 3200000001 65535", "expected one block of ids that starts at"},
        RefusedMap{"TooFew", "0 3200000000 999", "999 ids; a system container needs at least 1000"},
        RefusedMap{"NotMappedYet", "", "expected one block of ids"}),
    [](const ::testing::TestParamInfo<RefusedMap>& row) { return std::string(row.param.name); });

TEST_F(JoinedNamespacesTest, RefusesAUserNamespaceInsideAnother) {
  // As a container's root could make one, and have its processes named by an engine.
  const Dweller outer(CLONE_NEWUSER);
  auto [ours, theirs] = sys::socketpair(SOCK_STREAM).value();
  const pid_t inner = ::fork();
  if (inner == 0) {
    const Result<UniqueFd> space = sys::open(outer.path(NamespaceType::kUser), O_RDONLY);
    const bool done = space.ok() && sys::setns(space.value().get(), CLONE_NEWUSER).ok() &&
                      ::setresgid(0, 0, 0) == 0 && ::setresuid(0, 0, 0) == 0 &&
                      ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
    const char ready = done ? 'y' : 'n';
    static_cast<void>(::write(theirs.get(), &ready, 1));
    for (;;) ::pause();
  }
  char ready = 'n';
  static_cast<void>(::read(ours.get(), &ready, 1));
  EXPECT_EQ(ready, 'y');
  const std::string directory = "/proc/" + std::to_string(inner) + "/ns/";
  EXPECT_THAT(error_of({{NamespaceType::kUser, directory + "user"}}),
              HasSubstr("not one that was made on this host, but one inside another container"));
  EXPECT_THAT(error_of({{NamespaceType::kNetwork, directory + "net"}}),
              HasSubstr("not one that was made on this host, but one inside another container"));
  ::kill(inner, SIGKILL);
  ::waitpid(inner, nullptr, 0);
}

TEST(CompleteNamespaces, TimeOffsetsNeedATimeNamespaceOfTheirOwn) {
  OciLinux linux_part;
  for (const NamespaceType type :
       {NamespaceType::kPid, NamespaceType::kNetwork, NamespaceType::kMount, NamespaceType::kIpc,
        NamespaceType::kUts}) {
    linux_part.namespaces.push_back({type, ""});
  }
  linux_part.time_offsets["monotonic"] = {7, 0};
  EXPECT_EQ(complete_namespaces(linux_part).error().message(),
            "linux.timeOffsets: without a namespace of type time");
  linux_part.namespaces.push_back({NamespaceType::kTime, "/proc/7/ns/time"});
  EXPECT_THAT(complete_namespaces(linux_part).error().message(),
              HasSubstr("the offsets of '/proc/7/ns/time' are fixed"));
  linux_part.namespaces.back().path = "";
  EXPECT_TRUE(complete_namespaces(linux_part).ok());
}

}  // namespace
}  // namespace sysbox::runc
