#include "mgr/volumes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class VolumesOnDisk : public ::testing::Test {
 protected:
  VolumesOnDisk() {
    scratch_.make_directory("rootfs");
    scratch_.make_directory("life");
  }
  Volumes open() const { return Volumes::open(scratch_ / "data").value(); }
  RegisterRequest request(const std::string& id = "c1") const {
    RegisterRequest request;
    request.id = id;
    request.rootfs = scratch_ / "rootfs";
    request.lifeline = scratch_ / "life";
    return request;
  }
  Result<Volumes::Stored> prepare(Volumes& volumes, const RegisterRequest& request) const {
    return volumes.prepare(request, cancelled_);
  }
  std::string docker() const { return scratch_ / "data/volumes/c1/docker"; }
  static mode_t mode_of(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }

  ScratchDirectory scratch_;
  std::atomic<bool> cancelled_{false};
};

TEST_F(VolumesOnDisk, EverySpecialDirectoryGetsOneWithItsMode) {
  Volumes volumes = open();
  const mode_t old_mask = ::umask(077);
  const Result<Volumes::Stored> stored = prepare(volumes, request());
  ::umask(old_mask);
  ASSERT_TRUE(stored.ok()) << stored.error().message();
  ASSERT_THAT(stored.value().volumes, SizeIs(kSpecialDirectories.size()));
  for (std::size_t i = 0; i < kSpecialDirectories.size(); ++i) {
    EXPECT_EQ(stored.value().volumes[i].destination, kSpecialDirectories[i].destination);
    EXPECT_EQ(mode_of(stored.value().volumes[i].source), kSpecialDirectories[i].mode);
  }
  EXPECT_EQ(mode_of(docker()), 0710U);
  for (const char* parent : {"data", "data/volumes", "data/volumes/c1"}) {
    EXPECT_EQ(mode_of(scratch_ / parent), 0700U) << parent;
  }
}

TEST_F(VolumesOnDisk, OwnDestinationsGetNone) {
  Volumes volumes = open();
  RegisterRequest own = request();
  own.own_destinations = {"/var/lib/docker/", "/var/lib", "/var/lib/containerd/x", "/var/lib/k0sx"};
  const std::vector<Volume> made = prepare(volumes, own).value().volumes;
  EXPECT_THAT(made, SizeIs(kSpecialDirectories.size() - 1));
  EXPECT_FALSE(std::filesystem::exists(docker()));
}

TEST_F(VolumesOnDisk, ImageContentIsCopiedOnce) {
  scratch_.make_directory("rootfs/var/lib/docker/overlay2");
  scratch_.write("rootfs/var/lib/docker/engine-id", "from the image");
  std::filesystem::permissions(scratch_ / "rootfs/var/lib/docker", std::filesystem::perms(0711));
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes, request()).ok());
  EXPECT_EQ(contents_of(docker() + "/engine-id"), "from the image");
  EXPECT_EQ(mode_of(docker()), 0711U);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "data/volumes/c1/unfinished"));

  scratch_.write("data/volumes/c1/docker/engine-id", "changed inside");
  ASSERT_TRUE(prepare(volumes, request()).ok());
  EXPECT_EQ(contents_of(docker() + "/engine-id"), "changed inside");
}

TEST_F(VolumesOnDisk, LinksInTheImageDoNotLeadOut) {
  scratch_.make_directory("secret");
  scratch_.write("secret/key", "the host's");
  scratch_.make_directory("rootfs/var/lib");
  std::filesystem::create_symlink(scratch_ / "secret", scratch_ / "rootfs/var/lib/docker");
  std::filesystem::create_symlink("../../../../../../.." + (scratch_ / "secret"),
                                  scratch_ / "rootfs/var/lib/kubelet");
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes, request()).ok());
  EXPECT_TRUE(std::filesystem::is_empty(docker()));
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "data/volumes/c1/kubelet"));
}

TEST_F(VolumesOnDisk, LinksInTheImageAreResolvedInsideIt) {
  scratch_.make_directory("rootfs/data/docker");
  scratch_.write("rootfs/data/docker/file", "the image's");
  scratch_.make_directory("rootfs/var/lib");
  std::filesystem::create_symlink("/data/docker", scratch_ / "rootfs/var/lib/docker");
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes, request()).ok());
  EXPECT_EQ(contents_of(docker() + "/file"), "the image's");
}

TEST_F(VolumesOnDisk, AnotherLifelineMeansFreshVolumes) {
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes, request()).ok());
  scratch_.write("data/volumes/c1/docker/file", "the first container's");
  scratch_.make_directory("other-life");
  RegisterRequest other = request();
  other.lifeline = scratch_ / "other-life";
  ASSERT_TRUE(prepare(volumes, other).ok());
  EXPECT_FALSE(std::filesystem::exists(docker() + "/file"));
  volumes.wait_until_discarded();
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "data/volumes/~trash"));
}

TEST_F(VolumesOnDisk, ANewDirectoryAtTheSameLifelineMeansFreshVolumes) {
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes, request()).ok());
  scratch_.write("data/volumes/c1/docker/file", "the first container's");
  std::filesystem::remove(scratch_ / "life");
  scratch_.make_directory("in-between");
  scratch_.make_directory("life");
  ASSERT_TRUE(prepare(volumes, request()).ok());
  EXPECT_FALSE(std::filesystem::exists(docker() + "/file"));
}

TEST_F(VolumesOnDisk, DataWithoutAReadableRecordIsKept) {
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes, request()).ok());
  scratch_.write("data/volumes/c1/docker/file", "kept");
  scratch_.write("data/volumes/c1/container.json", "");
  std::vector<std::string> warnings;
  EXPECT_THAT(volumes.stored(warnings), IsEmpty());
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("keeping " + (scratch_ / "data/volumes/c1"))));
  ASSERT_TRUE(prepare(volumes, request()).ok());
  EXPECT_EQ(contents_of(docker() + "/file"), "kept");
  warnings.clear();
  EXPECT_THAT(volumes.stored(warnings), SizeIs(1));
  EXPECT_THAT(warnings, IsEmpty());
}

TEST_F(VolumesOnDisk, AnUnfinishedCopyOfACrashIsStartedAgain) {
  Volumes volumes = open();
  RegisterRequest partly = request();
  partly.own_destinations = {"/var/lib/docker"};
  ASSERT_TRUE(prepare(volumes, partly).ok());
  scratch_.make_directory("data/volumes/c1/unfinished");
  scratch_.write("data/volumes/c1/unfinished/half", "");
  scratch_.make_directory("rootfs/var/lib/docker");
  scratch_.write("rootfs/var/lib/docker/whole", "");
  ASSERT_TRUE(prepare(volumes, request()).ok());
  EXPECT_TRUE(std::filesystem::exists(docker() + "/whole"));
  EXPECT_FALSE(std::filesystem::exists(docker() + "/half"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "data/volumes/c1/unfinished"));
}

TEST_F(VolumesOnDisk, ACancelledCopyLeavesNothing) {
  scratch_.make_directory("rootfs/var/lib/docker");
  scratch_.write("rootfs/var/lib/docker/file", "");
  Volumes volumes = open();
  cancelled_ = true;
  const Result<Volumes::Stored> stored = prepare(volumes, request());
  ASSERT_FALSE(stored.ok());
  EXPECT_EQ(stored.error().code(), ECANCELED);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "data/volumes/c1"));
}

TEST_F(VolumesOnDisk, AFullDiskNamesThePathAndLeavesNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  const std::string data = scratch_.make_directory("data");
  if (::mount("none", data.c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "cannot mount tmpfs";
  }
  scratch_.make_directory("rootfs/var/lib/docker");
  scratch_.write("rootfs/var/lib/docker/large", std::string(4 << 20, 'x'));
  {
    Volumes volumes = open();
    const Result<Volumes::Stored> stored = prepare(volumes, request());
    EXPECT_FALSE(stored.ok());
    EXPECT_EQ(stored.error().code(), ENOSPC);
    EXPECT_THAT(stored.error().message(), HasSubstr(docker()));
    EXPECT_FALSE(std::filesystem::exists(scratch_ / "data/volumes/c1"));
    volumes.wait_until_discarded();
    EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "data/volumes/~trash"));
  }
  ::umount2(data.c_str(), MNT_DETACH);
}

TEST_F(VolumesOnDisk, AReadOnlyDataRootNamesIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  const std::string data = scratch_.make_directory("data");
  if (::mount("none", data.c_str(), "tmpfs", MS_RDONLY, nullptr) != 0) {
    GTEST_SKIP() << "cannot mount tmpfs";
  }
  const Result<Volumes> volumes = Volumes::open(data);
  ::umount2(data.c_str(), MNT_DETACH);
  ASSERT_FALSE(volumes.ok());
  EXPECT_EQ(volumes.error().code(), EROFS);
  EXPECT_THAT(volumes.error().message(), HasSubstr(data));
}

TEST_F(VolumesOnDisk, AMissingLifelineIsRefused) {
  Volumes volumes = open();
  RegisterRequest lost = request();
  lost.lifeline = scratch_ / "nowhere";
  const Result<Volumes::Stored> stored = prepare(volumes, lost);
  ASSERT_FALSE(stored.ok());
  EXPECT_THAT(stored.error().message(), HasSubstr("lifeline"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "data/volumes/c1"));
}

TEST_F(VolumesOnDisk, DiscardFreesTheIdAndDeletesTheData) {
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes, request()).ok());
  ASSERT_TRUE(prepare(volumes, request("c2")).ok());
  ASSERT_TRUE(volumes.discard("c1").ok());
  ASSERT_TRUE(volumes.discard("never-seen").ok());
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "data/volumes/c1"));
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "data/volumes/c2/docker"));
  volumes.wait_until_discarded();
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "data/volumes/~trash"));
}

}  // namespace
}  // namespace sysbox::mgr
