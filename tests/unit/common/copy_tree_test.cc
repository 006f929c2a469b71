#include "common/copy_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

#include "common/syscalls.h"
#include "tests/unit/mgr/scratch_directory.h"

namespace sysbox {
namespace {

using mgr::contents_of;
using mgr::ScratchDirectory;

using ::testing::HasSubstr;

class CopyTree : public ::testing::Test {
 protected:
  CopyTree() {
    from_.make_directory("source");
    to_.make_directory("target");
  }
  std::string source(const std::string& name) const { return from_ / ("source/" + name); }
  std::string target(const std::string& name) const { return to_ / ("target/" + name); }
  Result<void> copy() const {
    const UniqueFd source_fd = sys::open(from_ / "source", O_RDONLY | O_DIRECTORY).value();
    const UniqueFd target_fd = sys::open(to_ / "target", O_RDONLY | O_DIRECTORY).value();
    return copy_tree(source_fd.get(), target_fd.get(), cancelled_);
  }
  void write_source(const std::string& name, const std::string& text) const {
    from_.write("source/" + name, text);
  }
  static struct stat info_of(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info;
  }

  ScratchDirectory from_;
  ScratchDirectory to_;
  std::atomic<bool> cancelled_{false};
};

std::string attribute(const std::string& path, const char* name) {
  std::array<char, 256> value{};
  const ssize_t size = ::lgetxattr(path.c_str(), name, value.data(), value.size());
  return size < 0 ? "none" : std::string(value.data(), static_cast<std::size_t>(size));
}

TEST_F(CopyTree, KeepsDataModesTimesAndLinks) {
  from_.make_directory("source/a/b");
  write_source("a/b/file", "text");
  ASSERT_EQ(::chmod(source("a/b/file").c_str(), 04751), 0);
  ASSERT_EQ(::chmod(source("a").c_str(), 01733), 0);
  std::filesystem::create_symlink("/etc/passwd", source("link"));
  const std::array<struct timespec, 2> times = {{{1000, 5}, {2000, 7}}};
  for (const char* name : {"a/b/file", "a/b", "a", "link"}) {
    ASSERT_EQ(::utimensat(AT_FDCWD, source(name).c_str(), times.data(), AT_SYMLINK_NOFOLLOW), 0);
  }
  const Result<void> copied = copy();
  ASSERT_TRUE(copied.ok()) << copied.error().message();
  EXPECT_EQ(contents_of(target("a/b/file")), "text");
  EXPECT_EQ(info_of(target("a/b/file")).st_mode & 07777, 04751U);
  EXPECT_EQ(info_of(target("a")).st_mode & 07777, 01733U);
  EXPECT_EQ(std::filesystem::read_symlink(target("link")), "/etc/passwd");
  for (const char* name : {"a/b/file", "a/b", "a", "link"}) {
    EXPECT_EQ(info_of(target(name)).st_mtim.tv_sec, 2000) << name;
    EXPECT_EQ(info_of(target(name)).st_mtim.tv_nsec, 7) << name;
  }
}

TEST_F(CopyTree, GivesTheTopTheSourcesAttributes) {
  ASSERT_EQ(::chmod(source("").c_str(), 0711), 0);
  ASSERT_TRUE(copy().ok());
  EXPECT_EQ(info_of(target("")).st_mode & 07777, 0711U);
}

TEST_F(CopyTree, KeepsHardLinksAndHoles) {
  write_source("one", "shared");
  from_.make_directory("source/sub");
  std::filesystem::create_hard_link(source("one"), source("sub/two"));
  write_source("sparse", "x");
  std::filesystem::resize_file(source("sparse"), 1U << 30U);
  ASSERT_TRUE(copy().ok());
  EXPECT_EQ(info_of(target("one")).st_ino, info_of(target("sub/two")).st_ino);
  EXPECT_EQ(info_of(target("one")).st_nlink, 2U);
  EXPECT_EQ(info_of(target("sparse")).st_size, 1 << 30);
  EXPECT_LT(info_of(target("sparse")).st_blocks, 1000);
  EXPECT_EQ(std::ifstream(target("sparse")).get(), 'x');
}

TEST_F(CopyTree, KeepsOwnersAlsoWithSetuid) {
  write_source("file", "");
  if (::chown(source("file").c_str(), 1234, 5678) != 0) {
    GTEST_SKIP() << "needs root of the host to give files away";
  }
  ASSERT_EQ(::chmod(source("file").c_str(), 06755), 0);
  std::filesystem::create_symlink("x", source("link"));
  ASSERT_EQ(::lchown(source("link").c_str(), 12, 34), 0);
  ASSERT_EQ(::chown(source("").c_str(), 7, 8), 0);
  ASSERT_TRUE(copy().ok());
  EXPECT_EQ(info_of(target("file")).st_uid, 1234U);
  EXPECT_EQ(info_of(target("file")).st_gid, 5678U);
  EXPECT_EQ(info_of(target("file")).st_mode & 07777, 06755U);
  EXPECT_EQ(info_of(target("link")).st_uid, 12U);
  EXPECT_EQ(info_of(target("")).st_gid, 8U);
}

TEST_F(CopyTree, KeepsDevicesAndFifos) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make device nodes";
  // 0:0 is what overlayfs marks a deleted file with.
  if (::mknod(source("whiteout").c_str(), S_IFCHR, 0) != 0 ||
      ::mknod(source("null").c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) {
    GTEST_SKIP() << "device nodes are not allowed here";
  }
  ASSERT_EQ(::chmod(source("null").c_str(), 0666), 0);
  ASSERT_EQ(::mkfifo(source("fifo").c_str(), 0620), 0);
  ASSERT_TRUE(copy().ok());
  EXPECT_TRUE(S_ISCHR(info_of(target("whiteout")).st_mode));
  EXPECT_EQ(info_of(target("whiteout")).st_rdev, 0U);
  EXPECT_EQ(info_of(target("null")).st_rdev, makedev(1, 3));
  EXPECT_EQ(info_of(target("null")).st_mode & 07777, 0666U);
  EXPECT_TRUE(S_ISFIFO(info_of(target("fifo")).st_mode));
}

TEST_F(CopyTree, KeepsExtendedAttributesAclsAndCapabilities) {
  write_source("file", "");
  from_.make_directory("source/dir");
  if (::setxattr(source("file").c_str(), "user.note", "hello", 5, 0) != 0) {
    GTEST_SKIP() << "the file system of /tmp has no user attributes";
  }
  // user::rw- user:1234:r-- group::r-- mask::rw- other::r--, as setfacl(1) would store it.
  const std::string acl(
      "\2\0\0\0\1\0\6\0\377\377\377\377\2\0\4\0\322\4\0\0\4\0\4\0\377\377\377\377"
      "\20\0\6\0\377\377\377\377\40\0\4\0\377\377\377\377",
      44);
  const bool has_acls =
      ::setxattr(source("file").c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0) ==
          0 &&
      ::setxattr(source("dir").c_str(), "system.posix_acl_default", acl.data(), acl.size(), 0) == 0;
  // cap_net_raw, permitted and effective.
  const std::string capability("\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  const bool has_capability = ::setxattr(source("file").c_str(), "security.capability",
                                         capability.data(), capability.size(), 0) == 0;
  const bool has_trusted =
      ::setxattr(source("dir").c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0;
  write_source("dir/inside", "made before the default ACL is");
  const struct stat inside = info_of(source("dir/inside"));
  ASSERT_TRUE(copy().ok());
  EXPECT_EQ(attribute(target("file"), "user.note"), "hello");
  if (has_acls) {
    EXPECT_EQ(attribute(target("file"), "system.posix_acl_access"), acl);
    EXPECT_EQ(attribute(target("dir"), "system.posix_acl_default"), acl);
    EXPECT_EQ(info_of(target("dir/inside")).st_mode, inside.st_mode);
  }
  if (has_capability) {
    EXPECT_EQ(attribute(target("file"), "security.capability"), capability);
  }
  if (has_trusted) {
    EXPECT_EQ(attribute(target("dir"), "trusted.overlay.opaque"), "y");
    // Under the name that an overlay in a user namespace knows, too.
    EXPECT_EQ(attribute(target("dir"), "user.overlay.opaque"), "y");
  }
}

TEST_F(CopyTree, LeavesWhatIsMountedInTheSource) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  from_.make_directory("source/mounted");
  from_.make_directory("elsewhere");
  from_.write("elsewhere/file", "not the image's");
  if (::mount((from_ / "elsewhere").c_str(), source("mounted").c_str(), nullptr, MS_BIND,
              nullptr) != 0) {
    GTEST_SKIP() << "cannot make a bind mount";
  }
  const Result<void> copied = copy();
  ::umount2(source("mounted").c_str(), MNT_DETACH);
  ASSERT_TRUE(copied.ok()) << copied.error().message();
  EXPECT_TRUE(std::filesystem::is_directory(target("mounted")));
  EXPECT_FALSE(std::filesystem::exists(target("mounted/file")));
}

TEST_F(CopyTree, CopiesAcrossFileSystems) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  if (::mount("none", (to_ / "target").c_str(), "tmpfs", 0, nullptr) != 0) {
    GTEST_SKIP() << "cannot mount tmpfs";
  }
  const std::string text(300000, 'x');
  write_source("file", text);
  const Result<void> copied = copy();
  EXPECT_TRUE(copied.ok()) << copied.error().message();
  EXPECT_EQ(contents_of(target("file")), text);
  ::umount2((to_ / "target").c_str(), MNT_DETACH);
}

TEST_F(CopyTree, NamesTheFileThatCannotBeCopied) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  if (::mount("none", (to_ / "target").c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "cannot mount tmpfs";
  }
  from_.make_directory("source/sub");
  write_source("sub/large", std::string(1 << 20, 'x'));
  const Result<void> copied = copy();
  ::umount2((to_ / "target").c_str(), MNT_DETACH);
  ASSERT_FALSE(copied.ok());
  EXPECT_EQ(copied.error().code(), ENOSPC);
  EXPECT_THAT(copied.error().message(), HasSubstr("sub"));
  EXPECT_THAT(copied.error().message(), HasSubstr("large"));
}

TEST_F(CopyTree, StopsWhenCancelled) {
  write_source("file", "text");
  cancelled_ = true;
  const Result<void> copied = copy();
  ASSERT_FALSE(copied.ok());
  EXPECT_EQ(copied.error().code(), ECANCELED);
}

}  // namespace
}  // namespace sysbox
