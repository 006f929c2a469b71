#include "fs-emulator/shared_layer.h"

#include <gtest/gtest.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "fs-emulator/layer_watch.h"

namespace sysbox::fs {
namespace {

// Two overlays over the same layers, as an engine has and as a container has.
class TwoOverlays : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
    ASSERT_NE(::mkdtemp(top_.data()), nullptr);
    // A file system of its own: what a test leaves behind goes with it.
    if (::mount("none", top_.c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "cannot mount";
    for (const char* name : {"image/usr/bin/deep", "image/srv", "c/diff", "c/work", "c/work-sysbox",
                             "engine", "own"}) {
      std::filesystem::create_directories(top_ / std::filesystem::path(name));
    }
    write("image/usr/bin/tool", "image");
    if (!mount_overlay("engine", "work") || !mount_overlay("own", "work-sysbox")) {
      GTEST_SKIP() << "cannot mount an overlay here";
    }
    shared_.engine = sys::open_tree(AT_FDCWD, top_ + "/engine", OPEN_TREE_CLONE).value();
    shared_.own = sys::open_tree(AT_FDCWD, top_ + "/own", OPEN_TREE_CLONE).value();
    shared_.layer = sys::open(top_ + "/c", O_PATH | O_DIRECTORY).value();
    shared_.upper = sys::open(top_ + "/c/diff", O_PATH | O_DIRECTORY).value();
    shared_.uid_map = shared_.gid_map = IdMap::onto({0, 65536});
    // What is in use cannot be forgotten.
    used_ = sys::open(top_ + "/own/usr/bin/deep", O_PATH).value();
  }
  void TearDown() override {
    used_.reset();
    shared_ = {};
    for (const char* name : {"/engine", "/own", ""}) ::umount2((top_ + name).c_str(), MNT_DETACH);
    ::rmdir(top_.c_str());
  }
  bool mount_overlay(const std::string& name, const std::string& work) const {
    const std::string options =
        join("lowerdir=", top_, "/image,upperdir=", top_, "/c/diff,workdir=", top_, "/c/", work);
    return ::mount("none", (top_ + "/" + name).c_str(), "overlay", 0, options.c_str()) == 0;
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(top_ + "/" + name) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(top_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool can_write(const std::string& name) const {
    return std::ofstream(top_ + "/" + name).put('x').flush().good();
  }
  unsigned join_all() const {
    EXPECT_TRUE(forget_names(shared_.own.get()).ok());
    const Result<unsigned> joined = join_directories(shared_, after(std::chrono::seconds(10)));
    EXPECT_TRUE(joined.ok()) << joined.error().message();
    EXPECT_TRUE(forget_names(shared_.own.get()).ok());
    EXPECT_TRUE(forget_names(shared_.engine.get()).ok());
    return joined.ok() ? joined.value() : 0;
  }

  std::string top_ = "/tmp/sysbox-fs-test.XXXXXX";
  SharedLayer shared_;
  UniqueFd used_;
};

TEST_F(TwoOverlays, AreJoinedWhereTheContainerUsesWhatTheEngineHasCopiedUp) {
  write("engine/usr/bin/deep/new", "new");
  write("engine/usr/bin/tool", "replaced");
  ASSERT_FALSE(can_write("own/usr/bin/deep/made")) << "this kernel needs no help";
  EXPECT_EQ(join_all(), 3U);  // /usr, /usr/bin, /usr/bin/deep
  EXPECT_EQ(read("own/usr/bin/deep/new"), "new");
  EXPECT_EQ(read("own/usr/bin/tool"), "replaced");
  for (const char* name : {"usr/made", "usr/bin/made", "usr/bin/deep/made"}) {
    EXPECT_TRUE(can_write(std::string("own/") + name)) << name;
    EXPECT_EQ(read(std::string("engine/") + name), "x");
  }
  EXPECT_EQ(join_all(), 0U);
}

TEST_F(TwoOverlays, AttributesThatTheEngineSetStay) {
  const std::string in_engine = top_ + "/engine/usr/bin/deep";
  ASSERT_EQ(::chmod(in_engine.c_str(), 01711), 0);
  ASSERT_EQ(::chown(in_engine.c_str(), 33, 44), 0);
  write("engine/usr/bin/new", "new");
  join_all();
  for (const char* name : {"/own/usr/bin/deep", "/engine/usr/bin/deep"}) {
    const Result<struct stat> info = sys::fstatat(AT_FDCWD, top_ + name);
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(info.value().st_mode & 07777, 01711U) << name;
    EXPECT_EQ(info.value().st_uid, 33U) << name;
    EXPECT_EQ(info.value().st_gid, 44U) << name;
  }
}

TEST_F(TwoOverlays, WhatTheEngineWritesOnIsGivenBackLater) {
  write("engine/usr/bin/first", "first");
  const UniqueFd held = sys::open(top_ + "/engine/usr/bin", O_PATH | O_DIRECTORY).value();
  EXPECT_GT(join_all(), 0U);
  const UniqueFd late = sys::openat(held.get(), "late", O_WRONLY | O_CREAT, 0644).value();
  ASSERT_TRUE(sys::write_all(late.get(), "late").ok());
  EXPECT_TRUE(give_back(shared_, SetAside::kKept).ok());
  EXPECT_TRUE(forget_names(shared_.own.get()).ok());
  EXPECT_EQ(read("own/usr/bin/late"), "late");
  EXPECT_TRUE(give_back(shared_, SetAside::kRemoved).ok());
  EXPECT_FALSE(std::filesystem::exists(top_ + "/c/sysbox-set-aside"));
  EXPECT_EQ(read("own/usr/bin/first"), "first");
}

// Killed after it was set aside, before the container's overlay has copied it up.
TEST_F(TwoOverlays, WhatACrashHasLeftAsideIsGivenBack) {
  write("engine/usr/bin/new", "new");
  std::filesystem::create_directories(top_ + "/c/sysbox-set-aside/0");
  std::filesystem::rename(top_ + "/c/diff/usr", top_ + "/c/sysbox-set-aside/0/usr");
  EXPECT_TRUE(give_back(shared_, SetAside::kRemoved).ok());
  EXPECT_FALSE(std::filesystem::exists(top_ + "/c/sysbox-set-aside"));
  EXPECT_EQ(read("c/diff/usr/bin/new"), "new");
  join_all();
  EXPECT_EQ(read("own/usr/bin/new"), "new");
}

TEST_F(TwoOverlays, AreWatchedByTheEnginesOne) {
  auto shared = std::make_shared<SharedLayer>(std::move(shared_));
  {
    LayerWatch watch;
    ASSERT_TRUE(watch.add("box", shared, LayerWatch::Since::kNow).ok());
    write("engine/usr/bin/deep/new", "new");
    for (int i = 0; i < 1000 && read("own/usr/bin/deep/new") != "new"; ++i) ::usleep(10'000);
    EXPECT_EQ(read("own/usr/bin/deep/new"), "new");
    watch.remove("box");
    watch.remove("box");
  }
  EXPECT_TRUE(can_write("own/usr/bin/deep/made"));
  EXPECT_FALSE(std::filesystem::exists(top_ + "/c/sysbox-set-aside"));
}

}  // namespace
}  // namespace sysbox::fs
