#include "common/state_file.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cstdlib>
#include <filesystem>

#include "common/syscalls.h"

namespace sysbox {
namespace {

class StateFile : public testing::Test {
 protected:
  StateFile() {
    std::string pattern = "/tmp/state_file_test.XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    directory_ = sys::open(path_, O_PATH | O_DIRECTORY).value();
  }
  ~StateFile() override {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
    std::filesystem::remove_all(path_);
  }

  std::filesystem::path path_;
  UniqueFd directory_;
  bool mounted_ = false;
};

TEST_F(StateFile, IsReplacedWhole) {
  for (const Durability durability : {Durability::kProcessCrash, Durability::kPowerLoss}) {
    ASSERT_TRUE(replace_file(directory_.get(), "state", "a long first text", durability).ok());
    ASSERT_TRUE(replace_file(directory_.get(), "state", "short", durability).ok());
    EXPECT_EQ(sys::read_file(path_ / "state").value(), "short");
  }
  EXPECT_EQ(sys::fstatat(directory_.get(), "state").value().st_mode & 07777U, 0600U);
}

TEST_F(StateFile, AFullDiskLeavesTheOldOne) {
  if (::mount("t", path_.c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "cannot mount a tmpfs: " << errno_text(errno);
  }
  mounted_ = true;
  directory_ = sys::open(path_, O_PATH | O_DIRECTORY).value();
  ASSERT_TRUE(replace_file(directory_.get(), "state", "old", Durability::kProcessCrash).ok());
  const Result<void> full =
      replace_file(directory_.get(), "state", std::string(200000, 'x'), Durability::kProcessCrash);
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().code(), ENOSPC);
  EXPECT_EQ(sys::read_file(path_ / "state").value(), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path_), {}), 1);
}

}  // namespace
}  // namespace sysbox
