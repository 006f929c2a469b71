#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "mgr/volumes.h"
#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using ::testing::HasSubstr;

// A root file system as an engine mounts it: an overlay whose upper layer images are made from.
class VolumesInLayer : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
    for (const char* name : {"image/var/lib/docker", "c1/diff", "c1/work", "c1/merged"}) {
      scratch_.make_directory(name);
    }
    scratch_.write("image/var/lib/docker/of-image", "image");
    const std::string options = join("lowerdir=", scratch_ / "image", ",upperdir=", upper(),
                                     ",workdir=", scratch_ / "c1/work");
    if (::mount("overlay", merged().c_str(), "overlay", 0, options.c_str()) != 0) {
      GTEST_SKIP() << "cannot mount an overlay here";
    }
    is_mounted_ = true;
  }
  void TearDown() override {
    if (is_mounted_) ::umount2(merged().c_str(), MNT_DETACH);
  }
  std::string upper() const { return scratch_ / "c1/diff"; }
  std::string merged() const { return scratch_ / "c1/merged"; }
  std::string docker() const { return scratch_ / "c1/sysbox-volumes/docker"; }
  std::string kubelet() const { return scratch_ / "c1/sysbox-volumes/kubelet"; }

  Result<Volumes::Stored> prepare(Volumes& volumes) const {
    RegisterRequest request;
    request.id = "c1";
    request.rootfs = merged();
    request.lifeline = scratch_ / "c1";
    request.upper_layer = upper();
    return volumes.prepare(request, never_);
  }
  Volumes open() const { return Volumes::open(scratch_ / "data").value(); }
  static bool exists(const std::string& path) { return std::filesystem::exists(path); }

  ScratchDirectory scratch_;
  std::atomic<bool> never_{false};
  bool is_mounted_ = false;
};

TEST_F(VolumesInLayer, AreBesideItUntilTheyAreMovedAndAgainAfter) {
  Volumes volumes = open();
  const Result<Volumes::Stored> stored = prepare(volumes);
  ASSERT_TRUE(stored.ok()) << stored.error().message();
  EXPECT_EQ(contents_of(docker() + "/of-image"), "image");
  std::filesystem::remove(docker() + "/of-image");
  scratch_.write("c1/sysbox-volumes/docker/inner", "inner");
  struct stat before {};
  ASSERT_EQ(::stat(docker().c_str(), &before), 0);

  ASSERT_TRUE(volumes.move("c1", VolumePlace::kInLayer, never_).ok());
  EXPECT_EQ(contents_of(upper() + "/var/lib/docker/inner"), "inner");
  struct stat in_layer {};
  ASSERT_EQ(::stat((upper() + "/var/lib/docker").c_str(), &in_layer), 0);
  EXPECT_EQ(in_layer.st_ino, before.st_ino) << "moved, not copied";
  // Seen through the engine's own mount, and the image's content is not.
  EXPECT_EQ(contents_of(merged() + "/var/lib/docker/inner"), "inner");
  EXPECT_FALSE(exists(merged() + "/var/lib/docker/of-image"));

  ASSERT_TRUE(volumes.move("c1", VolumePlace::kInLayer, never_).ok()) << "again: nothing to do";
  ASSERT_TRUE(volumes.move("c1", VolumePlace::kBesideLayer, never_).ok());
  EXPECT_EQ(contents_of(docker() + "/inner"), "inner");
  EXPECT_FALSE(exists(upper() + "/var/lib/docker/inner"));
  ASSERT_TRUE(volumes.move("c1", VolumePlace::kBesideLayer, never_).ok());
  EXPECT_EQ(contents_of(docker() + "/inner"), "inner");
}

TEST_F(VolumesInLayer, AreTakenOutByTheNextStart) {
  {
    Volumes volumes = open();
    ASSERT_TRUE(prepare(volumes).ok());
    scratch_.write("c1/sysbox-volumes/docker/inner", "inner");
    ASSERT_TRUE(volumes.move("c1", VolumePlace::kInLayer, never_).ok());
  }
  // A daemon that knows nothing of it.
  std::filesystem::remove_all(scratch_ / "data");
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes).ok());
  EXPECT_EQ(contents_of(docker() + "/inner"), "inner");
  EXPECT_FALSE(exists(merged() + "/var/lib/docker/inner"));
}

TEST_F(VolumesInLayer, EmptyOnesStayOut) {
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes).ok());
  ASSERT_TRUE(volumes.move("c1", VolumePlace::kInLayer, never_).ok());
  EXPECT_FALSE(exists(upper() + "/var/lib/kubelet"));
  EXPECT_TRUE(exists(upper() + "/var/lib/docker/of-image"));
}

TEST_F(VolumesInLayer, OneRemovedFromTheLayerIsTheImagesAgain) {
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes).ok());
  scratch_.write("c1/sysbox-volumes/docker/inner", "inner");
  ASSERT_TRUE(volumes.move("c1", VolumePlace::kInLayer, never_).ok());
  std::filesystem::remove_all(merged() + "/var/lib/docker");
  ASSERT_TRUE(prepare(volumes).ok());
  EXPECT_TRUE(std::filesystem::is_empty(docker()));
}

TEST_F(VolumesInLayer, ALinkInTheLayerIsNotFollowed) {
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes).ok());
  scratch_.write("c1/sysbox-volumes/kubelet/inner", "inner");
  scratch_.make_directory("outside/kubelet");
  std::filesystem::remove_all(upper() + "/var/lib");
  std::filesystem::create_directory_symlink(scratch_ / "outside", upper() + "/var/lib");
  const Result<void> moved = volumes.move("c1", VolumePlace::kInLayer, never_);
  ASSERT_FALSE(moved.ok());
  EXPECT_THAT(moved.error().message(), HasSubstr("the upper layer"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "outside/kubelet"));
  EXPECT_EQ(contents_of(kubelet() + "/inner"), "inner");
}

TEST_F(VolumesInLayer, ALinkInTheImageLeadsToWhereItIs) {
  std::filesystem::remove_all(merged() + "/var/lib/docker");
  std::filesystem::create_directories(merged() + "/srv/docker");
  std::filesystem::create_directory_symlink("/srv/docker", merged() + "/var/lib/docker");
  Volumes volumes = open();
  ASSERT_TRUE(prepare(volumes).ok());
  scratch_.write("c1/sysbox-volumes/docker/inner", "inner");
  ASSERT_TRUE(volumes.move("c1", VolumePlace::kInLayer, never_).ok());
  EXPECT_EQ(contents_of(upper() + "/srv/docker/inner"), "inner");
}

// Whiteouts of inner images lie in one layer of the outer image, where overlayfs lists but hides
// them.
TEST_F(VolumesInLayer, WhiteoutsOfAnImageComeBack) {
  ::umount2(merged().c_str(), MNT_DETACH);
  is_mounted_ = false;
  ASSERT_EQ(::mknod((scratch_ / "image/var/lib/docker/gone").c_str(), S_IFCHR, 0), 0);
  scratch_.write("image/var/lib/docker/.sysbox-layer-attributes",
                 "sysbox-layer-attributes 1\nwhiteout gone\n");
  SetUp();
  Volumes volumes = open();
  const Result<Volumes::Stored> stored = prepare(volumes);
  ASSERT_TRUE(stored.ok()) << stored.error().message();
  struct stat info {};
  ASSERT_EQ(::lstat((docker() + "/gone").c_str(), &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode));
  EXPECT_FALSE(exists(docker() + "/.sysbox-layer-attributes"));
}

TEST_F(VolumesInLayer, BelongToTheRootThatTheEngineHasShiftedTheFilesTo) {
  ASSERT_EQ(::chown(merged().c_str(), 3100000000U, 3100000000U), 0);
  Volumes volumes = open();
  RegisterRequest request;
  request.id = "c1";
  request.rootfs = merged();
  request.lifeline = scratch_ / "c1";
  request.upper_layer = upper();
  request.given_uids = request.given_gids = IdRange{3100000000U, 65536};
  ASSERT_TRUE(volumes.prepare(request, never_).ok());
  struct stat info {};
  ASSERT_EQ(::stat(kubelet().c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 3100000000U);
}

}  // namespace
}  // namespace sysbox::mgr
