#include "mgr/layer_attributes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/copy_tree.h"
#include "scratch_directory.h"

namespace sysbox::mgr {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LayerAttributes : public ::testing::Test {
 protected:
  LayerAttributes() {
    scratch_.make_directory("from/dir");
    scratch_.make_directory("to/dir");
    scratch_.write("from/dir/a file", "");
    scratch_.write("to/dir/a file", "");
  }
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to make device nodes";
  }
  UniqueFd open(const std::string& name) const {
    return sys::open(scratch_ / name, O_RDONLY | O_DIRECTORY).value();
  }
  Result<void> write() const {
    return write_layer_attributes(open("from").get(), after(std::chrono::minutes(1)), never_);
  }
  Result<void> apply(const std::string& text) const {
    scratch_.write(join("to/", kLayerAttributesName), text);
    return apply_layer_attributes(open("to").get());
  }
  std::string written() const {
    return contents_of(scratch_ / join("from/", kLayerAttributesName));
  }
  void set(const std::string& name, const char* attribute, const std::string& value) const {
    ASSERT_EQ(::lsetxattr((scratch_ / name).c_str(), attribute, value.data(), value.size(), 0), 0)
        << name;
  }
  std::string get(const std::string& name, const char* attribute) const {
    std::string value(256, '\0');
    const ssize_t size =
        ::lgetxattr((scratch_ / name).c_str(), attribute, value.data(), value.size());
    return size < 0 ? "none" : value.substr(0, static_cast<std::size_t>(size));
  }
  bool is_whiteout(const std::string& name) const {
    struct stat info {};
    return ::lstat((scratch_ / name).c_str(), &info) == 0 && S_ISCHR(info.st_mode) &&
           info.st_rdev == makedev(0, 0);
  }
  bool has_file(const std::string& directory) const {
    return std::filesystem::exists(scratch_ / join(directory, "/", kLayerAttributesName));
  }

  ScratchDirectory scratch_;
  std::atomic<bool> never_{false};
};

TEST_F(LayerAttributes, ComeBackInTheCopy) {
  ASSERT_EQ(::mknod((scratch_ / "from/dir/gone").c_str(), S_IFCHR, makedev(0, 0)), 0);
  set("from/dir", "user.overlay.opaque", "y");
  set("from/dir/a file", "user.binary", std::string("\0\n %\xff", 5));
  set("from/dir/a file", "user.empty", "");
  set("from", "user.top", "x");
  set("from", "trusted.sysbox.volume", "ours");
  set("from/dir/a file", "user.overlay.origin", "of another disk");
  ASSERT_TRUE(write().ok());
  EXPECT_THAT(written(), Not(HasSubstr("origin")));
  EXPECT_THAT(written(), Not(HasSubstr("trusted")));
  ASSERT_TRUE(apply(written()).ok());
  EXPECT_TRUE(is_whiteout("to/dir/gone"));
  EXPECT_EQ(get("to/dir", "user.overlay.opaque"), "y");
  EXPECT_EQ(get("to/dir/a file", "user.binary"), std::string("\0\n %\xff", 5));
  EXPECT_EQ(get("to/dir/a file", "user.empty"), "");
  EXPECT_EQ(get("to", "user.top"), "x");
  EXPECT_FALSE(has_file("to"));
}

TEST_F(LayerAttributes, NothingToSayLeavesNoFile) {
  ASSERT_TRUE(write().ok());
  EXPECT_FALSE(has_file("from"));
  set("from/dir", "user.a", "1");
  ASSERT_TRUE(write().ok());
  EXPECT_TRUE(has_file("from"));
  ASSERT_EQ(::lremovexattr((scratch_ / "from/dir").c_str(), "user.a"), 0);
  ASSERT_TRUE(write().ok());
  EXPECT_FALSE(has_file("from"));
}

TEST_F(LayerAttributes, TooLateOrCancelledLeavesNoFile) {
  set("from/dir", "user.a", "1");
  const Result<void> late =
      write_layer_attributes(open("from").get(), after(std::chrono::seconds(-1)), never_);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code(), ETIMEDOUT);
  const std::atomic<bool> now{true};
  EXPECT_FALSE(
      write_layer_attributes(open("from").get(), after(std::chrono::minutes(1)), now).ok());
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "from/dir"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch_ / "from"), {}), 1);
}

TEST_F(LayerAttributes, LinesThatLeadOutOrElsewhereChangeNothing) {
  scratch_.make_directory("outside");
  std::filesystem::create_symlink("../outside", scratch_ / "to/link");
  const std::string head = "sysbox-layer-attributes 1\n";
  for (const char* line : {"attribute ../outside user.a 1",
                           "attribute link/. user.a 1",
                           "attribute dir/.. user.a 1",
                           "attribute dir trusted.overlay.opaque y",
                           "attribute dir security.capability x",
                           "attribute link/x user.a 1",
                           "whiteout ../outside/x",
                           "whiteout link/x",
                           "whiteout ..",
                           "whiteout dir/../../outside/x",
                           "whiteout /outside",
                           "whiteout dir/",
                           "whiteout",
                           "x y",
                           "whiteout %",
                           "whiteout %zz",
                           "whiteout a%00b",
                           "attribute dir user.a 1 2",
                           "whiteout missing/x",
                           "attribute missing user.a 1",
                           ""}) {
    EXPECT_TRUE(apply(head + line + "\n").ok()) << line;
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "outside"));
  for (const char* place : {"outside", "to", "to/dir", "to/dir/a file"}) {
    std::string names(1024, '\0');
    EXPECT_EQ(::llistxattr((scratch_ / place).c_str(), names.data(), names.size()), 0) << place;
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch_ / "to"), {}), 2);
}

TEST_F(LayerAttributes, AForeignFileOfThatNameIsLeftAlone) {
  ASSERT_TRUE(apply("something else\nwhiteout dir/x\n").ok());
  EXPECT_TRUE(has_file("to"));
  EXPECT_FALSE(is_whiteout("to/dir/x"));
}

}  // namespace
}  // namespace sysbox::mgr
