#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "common/json_fields.h"
#include "runc-ext/oci/mounts.h"

namespace sysbox::runc {
namespace {

using testing::ElementsAre;

OciMount with_words(const std::string& words) {
  OciMount mount;
  std::istringstream stream(words);
  for (std::string word; std::getline(stream, word, ',');) apply_mount_option(mount, word);
  return mount;
}

OciMount parsed(const std::string& text) {
  const Result<nlohmann::json> json = parse_json(text);
  EXPECT_TRUE(json.ok());
  Result<OciMount> mount = parse_mount(json.value(), "mounts[0]");
  EXPECT_TRUE(mount.ok()) << mount.error().message();
  return std::move(mount).value_or({});
}

struct Words {
  const char* words;
  std::uint64_t set;
  std::uint64_t clear;
};
void PrintTo(const Words& row, std::ostream* out) { *out << row.words; }

class AttributeWords : public testing::TestWithParam<Words> {};

TEST_P(AttributeWords, SetAndClear) {
  const OciMount mount = with_words(GetParam().words);
  EXPECT_EQ(mount.attributes_set, GetParam().set);
  EXPECT_EQ(mount.attributes_clear, GetParam().clear);
  EXPECT_EQ(mount.recursive_set, 0U);
  EXPECT_EQ(mount.recursive_clear, 0U);
  EXPECT_TRUE(mount.data.empty());
}

constexpr std::uint64_t kTime = MOUNT_ATTR__ATIME;

INSTANTIATE_TEST_SUITE_P(
    Table, AttributeWords,
    testing::Values(
        Words{"ro", MOUNT_ATTR_RDONLY, 0}, Words{"rw", 0, MOUNT_ATTR_RDONLY},
        Words{"ro,rw", 0, MOUNT_ATTR_RDONLY}, Words{"rw,ro", MOUNT_ATTR_RDONLY, 0},
        Words{"nosuid,nodev,noexec", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0},
        Words{"suid,dev,exec", 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC},
        Words{"nodiratime,nosymfollow", MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW, 0},
        Words{"diratime,symfollow", 0, MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW},
        Words{"noatime", MOUNT_ATTR_NOATIME, kTime},
        Words{"strictatime", MOUNT_ATTR_STRICTATIME, kTime}, Words{"relatime", 0, kTime},
        Words{"noatime,strictatime", MOUNT_ATTR_STRICTATIME, kTime},
        Words{"strictatime,relatime", 0, kTime}, Words{"noatime,atime", 0, kTime},
        Words{"strictatime,atime", MOUNT_ATTR_STRICTATIME, kTime},
        Words{"strictatime,nostrictatime", 0, kTime},
        Words{"strictatime,norelatime", MOUNT_ATTR_STRICTATIME, kTime},
        Words{"defaults,remount,mand,nomand,iversion,noiversion,silent,loud", 0, 0}));

class RecursiveWords : public testing::TestWithParam<Words> {};

TEST_P(RecursiveWords, SetAndClearForAllBelow) {
  const OciMount mount = with_words(GetParam().words);
  EXPECT_EQ(mount.recursive_set, GetParam().set);
  EXPECT_EQ(mount.recursive_clear, GetParam().clear);
  EXPECT_EQ(mount.attributes_set, 0U);
  EXPECT_EQ(mount.attributes_clear, 0U);
  EXPECT_TRUE(mount.data.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Table, RecursiveWords,
    testing::Values(
        Words{"rro", MOUNT_ATTR_RDONLY, 0}, Words{"rrw", 0, MOUNT_ATTR_RDONLY},
        Words{"rnosuid,rnodev,rnoexec", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
              0},
        Words{"rsuid,rdev,rexec", 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC},
        Words{"rnodiratime,rnosymfollow", MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW, 0},
        Words{"rdiratime,rsymfollow", 0, MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW},
        Words{"rnoatime", MOUNT_ATTR_NOATIME, kTime}, Words{"rrelatime", 0, kTime},
        Words{"rstrictatime,rnorelatime", MOUNT_ATTR_STRICTATIME, kTime},
        Words{"rnoatime,ratime", 0, kTime}, Words{"rstrictatime,rnostrictatime", 0, kTime}));

TEST(MountWords, PropagationKeepsItsOrder) {
  EXPECT_THAT(with_words("private,rprivate,shared,rshared").propagation,
              ElementsAre(MS_PRIVATE, MS_PRIVATE | MS_REC, MS_SHARED, MS_SHARED | MS_REC));
  EXPECT_THAT(with_words("slave,rslave,unbindable,runbindable").propagation,
              ElementsAre(MS_SLAVE, MS_SLAVE | MS_REC, MS_UNBINDABLE, MS_UNBINDABLE | MS_REC));
}

TEST(MountWords, BindIdMapAndCopyUp) {
  const OciMount bind = with_words("bind,idmap");
  EXPECT_TRUE(bind.bind && bind.id_map);
  EXPECT_FALSE(bind.recursive_bind || bind.recursive_id_map || bind.copy_up);
  const OciMount recursive = with_words("rbind,ridmap");
  EXPECT_TRUE(recursive.bind && recursive.recursive_bind);
  EXPECT_TRUE(recursive.id_map && recursive.recursive_id_map);
  EXPECT_TRUE(with_words("tmpcopyup").copy_up);
}

TEST(MountWords, OthersAreForTheFileSystemInOrder) {
  EXPECT_THAT(with_words("mode=755,ro,size=64m,dirsync,lazytime,context=a:b").data,
              ElementsAre("mode=755", "size=64m", "dirsync", "lazytime", "context=a:b"));
}

TEST(Mount, RelativeDestinationBecomesAbsolute) {
  EXPECT_EQ(parsed(R"({"destination": "a/./b/", "type": "tmpfs"})").destination, "/a/b");
  EXPECT_EQ(parsed(R"({"destination": "//a/../c", "type": "tmpfs"})").destination, "/c");
  EXPECT_EQ(parsed(R"({"destination": "../../c", "type": "tmpfs"})").destination, "/c");
}

TEST(Mount, OfTypeBindIsABind) {
  const OciMount mount = parsed(R"({"destination": "/a", "type": "bind", "source": "/b"})");
  EXPECT_TRUE(mount.bind);
  EXPECT_FALSE(mount.recursive_bind);
}

TEST(Mount, BindHasNoSuperblockWords) {
  EXPECT_THAT(parsed(R"({"destination": "/a", "source": "/b",
                         "options": ["sync", "bind", "lazytime"]})")
                  .data,
              testing::IsEmpty());
}

TEST(Mount, ReadOnlyIsKnown) {
  EXPECT_TRUE(
      parsed(R"({"destination": "/a", "source": "/b", "options": ["bind", "ro"]})").read_only());
  EXPECT_FALSE(
      parsed(R"({"destination": "/a", "source": "/b", "options": ["bind", "rw"]})").read_only());
}

}  // namespace
}  // namespace sysbox::runc
