#include "seccomp-notify/mount_id_maps.h"

#include <gtest/gtest.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "tests/unit/seccomp-notify/trapped_container.h"

namespace sysbox::testing {
namespace {

using seccomp::MountIdMaps;

IdMap map(std::vector<IdMapEntry> entries) { return {std::move(entries)}; }
MountIdMaps both(const IdMap& ids) { return {ids, ids}; }

TEST(MountIdMaps, AreWithinOthersByBothSidesOfEachLine) {
  const MountIdMaps container = both(map({{0, 200000, 65536}}));
  EXPECT_TRUE(is_within(both({}), container));
  EXPECT_TRUE(is_within(container, container));
  EXPECT_TRUE(is_within(both(map({{0, 201000, 100}, {65535, 200000, 1}})), container));
  EXPECT_FALSE(is_within(both(map({{0, 201000, 100}, {65536, 200000, 1}})), container));
  EXPECT_FALSE(is_within(both(map({{65535, 200000, 2}})), container));
  EXPECT_FALSE(is_within(both(map({{0, 199999, 1}})), container));
  EXPECT_FALSE(is_within(both(map({{0, 265535, 2}})), container));
  EXPECT_FALSE(is_within(both(map({{4294967294U, 200000, 1}})), container));
  EXPECT_FALSE(is_within(both(map({{0, 4294967290U, 5}})), container));
  const MountIdMaps groups_beyond{map({{0, 200000, 1}}), map({{0, 1, 1}})};
  EXPECT_FALSE(is_within(groups_beyond, container));
  const MountIdMaps users_beyond{map({{0, 1, 1}}), map({{0, 200000, 1}})};
  EXPECT_FALSE(is_within(users_beyond, container));
}

TEST(MountIdMaps, MayGoAcrossLinesThatAdjoin) {
  const MountIdMaps adjoining = both(map({{10, 210, 5}, {0, 200, 10}, {20, 220, 5}}));
  EXPECT_TRUE(is_within(both(map({{5, 205, 10}})), adjoining));
  EXPECT_FALSE(is_within(both(map({{5, 205, 11}})), adjoining));
  EXPECT_FALSE(is_within(both(map({{14, 200, 7}})), adjoining));
  const MountIdMaps whole = both(map({{0, 0, 4294967295U}}));
  EXPECT_TRUE(is_within(both(map({{4294967294U, 4294967294U, 1}})), whole));
}

UniqueFd make_namespace(const std::string& users, const std::string& groups) {
  auto [read_end, write_end] = sys::pipe().value();
  const pid_t child = ::fork();
  if (child == 0) {
    const char done = ::unshare(CLONE_NEWUSER) == 0 ? '1' : '0';
    ::_exit(::write(write_end.get(), &done, 1) == 1 && ::pause() != 0 ? 0 : 1);
  }
  char done = '0';
  EXPECT_EQ(::read(read_end.get(), &done, 1), 1);
  EXPECT_EQ(done, '1');
  const std::string process = join("/proc/", child);
  EXPECT_TRUE(sys::write_file(process + "/uid_map", users).ok());
  EXPECT_TRUE(sys::write_file(process + "/gid_map", groups).ok());
  UniqueFd space = sys::open(process + "/ns/user", O_RDONLY).value();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return space;
}

// Each a thread of its own, as the daemon's workers.
Result<seccomp::TreeLook> look_at(UniqueFd tree) {
  Result<seccomp::TreeLook> look = errno_error(ESRCH, "thread");
  std::thread([&] {
    if (sys::unshare(CLONE_FS).ok()) look = make_actions()->look_at(std::move(tree));
  }).join();
  return look;
}

UniqueFd make_tmpfs() {
  const UniqueFd context = sys::fsopen("tmpfs").value();
  EXPECT_TRUE(sys::fsconfig_create(context.get()).ok());
  return sys::fsmount(context.get(), 0).value();
}

class DetachedMounts : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_CONTAINERS();
    const Result<seccomp::TreeLook> look = look_at(make_tmpfs());
    if (!look.ok() && (look.error().code() == ENOTSUP || look.error().code() == ENOSYS)) {
      GTEST_SKIP() << "this kernel does not tell the ids of a mount";
    }
  }
};

TEST_F(DetachedMounts, TellTheirIds) {
  const Result<seccomp::TreeLook> plain = look_at(make_tmpfs());
  ASSERT_TRUE(plain.ok()) << plain.error().message();
  EXPECT_EQ(plain.value().maps, std::nullopt);
  EXPECT_FALSE(plain.value().has_mounts_on_it);

  UniqueFd tmpfs = make_tmpfs();
  const UniqueFd space = make_namespace("0 200000 10\n70000 300000 3\n", "1 200000 9\n");
  sys::MountAttributes ids;
  ids.set = MOUNT_ATTR_IDMAP;
  ids.userns_fd = space.get();
  const Result<void> mapped = sys::mount_setattr(tmpfs.get(), "", 0, ids);
  ASSERT_TRUE(mapped.ok()) << mapped.error().message();
  const MountIdMaps expected{map({{0, 200000, 10}, {70000, 300000, 3}}), map({{1, 200000, 9}})};

  // Other ones for a clone, which are read from that.
  const UniqueFd other_space = make_namespace("0 400000 1\n", "0 400001 1\n");
  ids.userns_fd = other_space.get();
  Result<UniqueFd> clone = seccomp::clone_with_attributes(tmpfs.get(), ids);
  ASSERT_TRUE(clone.ok()) << clone.error().message();
  const Result<seccomp::TreeLook> other = look_at(std::move(clone).value());
  ASSERT_TRUE(other.ok()) << other.error().message();
  EXPECT_EQ(other.value().maps, (MountIdMaps{map({{0, 400000, 1}}), map({{0, 400001, 1}})}));

  const Result<seccomp::TreeLook> look = look_at(std::move(tmpfs));
  ASSERT_TRUE(look.ok()) << look.error().message();
  EXPECT_EQ(look.value().maps, expected);
}

TEST_F(DetachedMounts, OfTheLongestMapsToo) {
  std::string text;
  IdMap ids;
  for (unsigned i = 0; i < 340; ++i) {
    text += join(2 * i, " ", 1000 + 2 * i, " 1\n");  // no more than a page
    ids.entries.push_back({2 * i, 1000 + 2 * i, 1});
  }
  UniqueFd tmpfs = make_tmpfs();
  const UniqueFd space = make_namespace(text, text);
  sys::MountAttributes attributes;
  attributes.set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = space.get();
  const Result<void> mapped = sys::mount_setattr(tmpfs.get(), "", 0, attributes);
  ASSERT_TRUE(mapped.ok()) << mapped.error().message();
  const Result<seccomp::TreeLook> look = look_at(std::move(tmpfs));
  ASSERT_TRUE(look.ok()) << look.error().message();
  EXPECT_EQ(look.value().maps, both(ids));
}

TEST_F(DetachedMounts, TellWhatIsMountedOnThem) {
  UniqueFd tmpfs = make_tmpfs();
  ASSERT_TRUE(sys::mkdirat(tmpfs.get(), "sub", 0755).ok());
  const UniqueFd below = make_tmpfs();
  const Result<void> attached = sys::move_mount(below.get(), "", tmpfs.get(), "sub");
  ASSERT_TRUE(attached.ok()) << attached.error().message();
  const Result<seccomp::TreeLook> look = look_at(std::move(tmpfs));
  ASSERT_TRUE(look.ok()) << look.error().message();
  EXPECT_TRUE(look.value().has_mounts_on_it);
}

TEST_F(DetachedMounts, OfFilesToo) {
  const UniqueFd tmpfs = make_tmpfs();
  ASSERT_TRUE(sys::mknodat(tmpfs.get(), "file", S_IFREG | 0600, 0).ok());
  for (int i = 0; i < 3; ++i) {
    const Result<seccomp::TreeLook> look =
        look_at(sys::open_tree(tmpfs.get(), "file", OPEN_TREE_CLONE).value());
    ASSERT_TRUE(look.ok()) << look.error().message();
    EXPECT_EQ(look.value().maps, std::nullopt);
  }
}

}  // namespace
}  // namespace sysbox::testing
