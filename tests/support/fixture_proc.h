#pragma once

// A directory of chosen files that stands for a /proc, a /sys or a cgroup.

#include <gtest/gtest.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp

#include <filesystem>
#include <fstream>
#include <string>

#include "common/root_dir.h"

namespace sysbox::testing {

class FixtureProc {
 public:
  FixtureProc() : path_("/tmp/sysbox-fixture.XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "mkdtemp failed";
  }
  ~FixtureProc() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  FixtureProc(const FixtureProc&) = delete;
  FixtureProc& operator=(const FixtureProc&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  // Makes missing parents, replaces what is there.
  void set(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
    std::ofstream(*this / name) << text;
  }
  void remove(const std::string& name) const { std::filesystem::remove_all(*this / name); }

  RootDir root(const std::string& name = "") const {
    std::filesystem::create_directories(*this / name);
    return RootDir::open(*this / name).value();
  }

 private:
  std::string path_;
};

}  // namespace sysbox::testing
