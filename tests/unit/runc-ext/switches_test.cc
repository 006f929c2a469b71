#include "runc-ext/system_container/switches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Annotations = std::map<std::string, std::string>;

Switches read(const Annotations& annotations, const std::vector<std::string>& env = {}) {
  Result<Switches> switches = read_switches(annotations, env);
  EXPECT_TRUE(switches.ok()) << switches.error().message();
  return std::move(switches).value_or({});
}
std::string error_of(const Annotations& annotations, const std::vector<std::string>& env = {}) {
  const Result<Switches> switches = read_switches(annotations, env);
  return switches.ok() ? "no error" : switches.error().message();
}

TEST(Switches, AreTheDefaultsWithoutAnySetting) {
  const Switches switches = read({{"org.other", "x"}}, {"PATH=/bin", "MY_SYSBOX_MODE=1"});
  EXPECT_TRUE(switches.system_container);
  EXPECT_EQ(switches.honor_capabilities, Choice::kAuto);
  EXPECT_TRUE(switches.kernel_files);
  EXPECT_EQ(switches.systemd, Choice::kAuto);
  EXPECT_EQ(switches.cgroup, CgroupTree::kAuto);
  EXPECT_EQ(switches.oom_score_floor, -999);
  EXPECT_THAT(switches.open_doors, IsEmpty());
}

TEST(Switches, AnnotationsAreTaken) {
  const Switches switches = read({{"io.sysbox.system-container", "false"},
                                  {"io.sysbox.honor-capabilities", "true"},
                                  {"io.sysbox.relaxed-read-only", "true"},
                                  {"io.sysbox.kernel-files", "false"},
                                  {"io.sysbox.systemd", "true"},
                                  {"io.sysbox.cgroup", "v2"},
                                  {"io.sysbox.oom-score-adj-min", "-1000"},
                                  {"io.sysbox.ids", "196608"},
                                  {"io.sysbox.skip-uid-shift", "/data,/srv//x/"},
                                  {"io.sysbox.seccomp.allow", "af-alg,io-uring"}});
  EXPECT_FALSE(switches.system_container);
  EXPECT_EQ(switches.honor_capabilities, Choice::kYes);
  EXPECT_TRUE(switches.relaxed_read_only);
  EXPECT_FALSE(switches.kernel_files);
  EXPECT_EQ(switches.systemd, Choice::kYes);
  EXPECT_EQ(switches.cgroup, CgroupTree::kV2);
  EXPECT_EQ(switches.oom_score_floor, -1000);
  EXPECT_EQ(switches.ids, 196608U);
  EXPECT_THAT(switches.unshifted, ElementsAre("/data", "/srv/x"));
  EXPECT_THAT(switches.open_doors, ElementsAre("af-alg", "io-uring"));
}

TEST(Switches, VariablesAreTaken) {
  const Switches switches = read(
      {}, {"SYSBOX_SYSCONT_MODE=FALSE", "SYSBOX_HONOR_CAPS=TRUE", "SYSBOX_SKIP_UID_SHIFT=/data"});
  EXPECT_FALSE(switches.system_container);
  EXPECT_EQ(switches.honor_capabilities, Choice::kYes);
  EXPECT_THAT(switches.unshifted, ElementsAre("/data"));
}

TEST(Switches, TheAnnotationWinsAndOfVariablesTheLast) {
  EXPECT_TRUE(read({{"io.sysbox.system-container", "true"}}, {"SYSBOX_SYSCONT_MODE=FALSE"})
                  .system_container);
  EXPECT_TRUE(read({}, {"SYSBOX_SYSCONT_MODE=FALSE", "SYSBOX_SYSCONT_MODE=TRUE"}).system_container);
}

TEST(Switches, WithoutEffectSayWhy) {
  EXPECT_THAT(read({{"io.sysbox.ignore-sysfs-chown", "true"}},
                   {"SYSBOX_ALLOW_TRUSTED_XATTR=TRUE", "SYSBOX_IGNORE_SYSFS_CHOWN=FALSE"})
                  .without_effect,
              ElementsAre("process.env: SYSBOX_ALLOW_TRUSTED_XATTR has no effect: engines inside "
                          "use overlayfs with user.overlay.* attributes, which need no help",
                          "annotations: io.sysbox.ignore-sysfs-chown has no effect: chown is never "
                          "trapped; files of /sys keep their owners"));
}

TEST(Switches, UnknownNamesAreRefusedWithTheKnownOnes) {
  EXPECT_THAT(error_of({{"io.sysbox.sysd", "true"}}),
              HasSubstr("annotations: 'io.sysbox.sysd' is not a switch; known are: "
                        "io.sysbox.allow-trusted-xattr, io.sysbox.cgroup, "));
  EXPECT_THAT(error_of({}, {"SYSBOX_MODE=TRUE"}),
              HasSubstr("process.env: 'SYSBOX_MODE' is not a setting; known are: "
                        "SYSBOX_ALLOW_TRUSTED_XATTR, SYSBOX_COMMIT_VOLUMES, SYSBOX_HONOR_CAPS"));
  EXPECT_THAT(error_of({}, {"SYSBOX_CGROUP=v2"}), HasSubstr("is not a setting"));
  EXPECT_THAT(error_of({}, {"SYSBOX_"}), HasSubstr("is not a setting"));
}

struct WrongValue {
  const char* name;
  const char* value;
  const char* expected;
};
class RefusedAnnotation : public testing::TestWithParam<WrongValue> {};
TEST_P(RefusedAnnotation, NamesItsValues) {
  EXPECT_EQ(error_of({{GetParam().name, GetParam().value}}),
            join("annotations: ", GetParam().name, ": '", GetParam().value,
                 "' is not a value of it; expected: ", GetParam().expected));
}
INSTANTIATE_TEST_SUITE_P(
    Switches, RefusedAnnotation,
    testing::Values(
        WrongValue{"io.sysbox.system-container", "TRUE", "true, false"},
        WrongValue{"io.sysbox.system-container", "", "true, false"},
        WrongValue{"io.sysbox.kernel-files", "yes", "true, false"},
        WrongValue{"io.sysbox.systemd", "always", "auto, true, false"},
        WrongValue{"io.sysbox.cgroup", "v1", "auto, host, v2"},
        WrongValue{"io.sysbox.ids", "65535", "65536 … 2147483648"},
        WrongValue{"io.sysbox.ids", "4294967295", "65536 … 2147483648"},
        WrongValue{"io.sysbox.oom-score-adj-min", "-1001", "-1000 … 1000"},
        WrongValue{"io.sysbox.oom-score-adj-min", "5x", "-1000 … 1000"},
        WrongValue{"io.sysbox.skip-uid-shift", "data", "absolute paths, separated by commas"},
        WrongValue{"io.sysbox.skip-uid-shift", "/a,,/b", "absolute paths, separated by commas"},
        WrongValue{"io.sysbox.seccomp.allow", "af-alg,",
                   "names of doors, separated by commas: "
                   "af-alg, af-rare, af-rxrpc, af-vsock, io-uring, kernel-log, perf, socketcall, "
                   "userfaultfd"}));

TEST(Switches, WrongValuesOfVariablesAreRefused) {
  for (const char* value : {"true", "1", "", "TRUE=TRUE", " TRUE"}) {
    EXPECT_EQ(error_of({}, {join("SYSBOX_SYSCONT_MODE=", value)}),
              join("process.env: SYSBOX_SYSCONT_MODE: '", value,
                   "' is not a value of it; expected: TRUE, FALSE"));
  }
}

TEST(Switches, AreNotHandedToLaterProcesses) {
  std::vector<std::string> env = {"A=1", "SYSBOX_SYSCONT_MODE=TRUE", "SYSBOX=1"};
  forget_switches(env);
  EXPECT_THAT(env, ElementsAre("A=1", "SYSBOX=1"));
}

TEST(SwitchesPage, IsTheDocument) {
  const Result<std::string> page = sys::read_file(SYSBOX_SOURCE_ROOT "/docs/switches.md");
  ASSERT_TRUE(page.ok()) << page.error().message();
  EXPECT_EQ(page.value(), switches_page())
      << "run: sysbox-runc features --switches > docs/switches.md";
}

}  // namespace
}  // namespace sysbox::runc
