#pragma once

// An image of a few files, on disk.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/root_dir.h"
#include "tests/unit/runc-ext/scratch_directory.h"

namespace sysbox::runc {

class ImageTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<RootDir> opened = RootDir::open(directory_.path());
    ASSERT_TRUE(opened.ok());
    rootfs_.emplace(std::move(opened).value());
  }

  void add_directory(const std::string& path) {
    std::filesystem::create_directories(directory_.path() + path);
  }
  void add_file(const std::string& path) {
    add_directory(std::filesystem::path(path).parent_path());
    std::ofstream(directory_.path() + path) << "x";
  }
  void add_link(const std::string& path, const std::string& target) {
    add_directory(std::filesystem::path(path).parent_path());
    std::filesystem::create_symlink(target, directory_.path() + path);
  }
  void add_systemd() {
    add_file("/usr/lib/systemd/systemd");
    add_link("/sbin/init", "/lib/systemd/systemd");
    add_link("/lib", "usr/lib");
  }

  ScratchDirectory directory_;
  std::optional<RootDir> rootfs_;
};

}  // namespace sysbox::runc
