#include "runc-ext/container/state_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <climits>

#include "runc-ext/container/record_json.h"
#include "tests/unit/runc-ext/scratch_directory.h"

namespace sysbox::runc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ContainerRecord full_record() {
  ContainerRecord record;
  record.id = "one";
  record.oci_version = "1.2.0";
  record.bundle = "/b";
  record.rootfs = "/b/rootfs";
  record.created = "2024-01-02T03:04:05.000000006Z";
  record.annotations = {{"a", "1"}, {"b.c/d", ""}};
  record.init_pid = 4711;
  record.init_start_time = 18446744073709551615U;
  record.uid_map = {{{0, 231072, 65536}}};
  record.gid_map = {{{0, 4294901760U, 65535}, {70000, 5, 1}}};
  record.cgroup.directories = {{"cpu,cpuacct", "/sys/fs/cgroup/cpu/x"}, {"", "/u"}};
  record.cgroup.delegated = {{"", "/u/d"}};
  record.cgroup.leaf = "leaf";
  record.cgroup.unit = "x.scope";
  record.cgroup.resources.memory.limit = 5;
  record.ranges_registered = true;
  record.emulation_registered = true;
  record.process.args = {"sh", "-c", ""};
  record.process.user = {1000, 1001, 022, {4, 4294967295U}};
  record.process.rlimits = {{"RLIMIT_NOFILE", 7, 1024, 18446744073709551615U}};
  record.process.capabilities = OciCapabilities{0x20, 0x21, 0x400000001, 1, 0};
  record.process.scheduler = OciScheduler{"SCHED_RR", 2, {"SCHED_FLAG_RESET_ON_FORK"}, 1, 0, 5};
  record.process.io_priority = OciIoPriority{"IOPRIO_CLASS_IDLE", 3, 0};
  record.process.exec_cpu_affinity = {"0-1", "1"};
  record.process.oom_score_adj = -7;
  record.process.selinux_label = "system_u:x";
  record.process.console_size = OciConsoleSize{24, 80};
  record.seccomp = OciSeccomp{"SCMP_ACT_ERRNO",
                              38,
                              {"SCMP_ARCH_X86_64"},
                              {"SECCOMP_FILTER_FLAG_LOG"},
                              "",
                              "",
                              {{{"clone", "mount"},
                                "SCMP_ACT_ALLOW",
                                5,
                                {{3, 18446744073709551615U, 7, "SCMP_CMP_MASKED_EQ"}}},
                               {{"read"}, "SCMP_ACT_ALLOW", std::nullopt, {}}}};
  record.process.no_new_privileges = true;
  record.process.env = {"PATH=/bin", "EMPTY=", "LINES=a\nb"};
  record.process.cwd = "/home";
  record.personality = 8;
  record.poststart = {{"/bin/a", {"a", "-x"}, {"K=V"}, 5}};
  record.poststop = {{"/bin/b", {}, {}, std::nullopt}};
  return record;
}

void expect_equal(const std::vector<OciHook>& a, const std::vector<OciHook>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].path, b[i].path);
    EXPECT_EQ(a[i].args, b[i].args);
    EXPECT_EQ(a[i].env, b[i].env);
    EXPECT_EQ(a[i].timeout_seconds, b[i].timeout_seconds);
  }
}

void expect_equal(const OciSeccomp& a, const OciSeccomp& b) {
  EXPECT_EQ(a.default_action, b.default_action);
  EXPECT_EQ(a.default_errno_ret, b.default_errno_ret);
  EXPECT_EQ(a.architectures, b.architectures);
  EXPECT_EQ(a.flags, b.flags);
  ASSERT_EQ(a.rules.size(), b.rules.size());
  for (std::size_t i = 0; i < a.rules.size(); ++i) {
    EXPECT_EQ(a.rules[i].names, b.rules[i].names);
    EXPECT_EQ(a.rules[i].action, b.rules[i].action);
    EXPECT_EQ(a.rules[i].errno_ret, b.rules[i].errno_ret);
    ASSERT_EQ(a.rules[i].args.size(), b.rules[i].args.size());
    for (std::size_t j = 0; j < a.rules[i].args.size(); ++j) {
      EXPECT_EQ(a.rules[i].args[j].index, b.rules[i].args[j].index);
      EXPECT_EQ(a.rules[i].args[j].value, b.rules[i].args[j].value);
      EXPECT_EQ(a.rules[i].args[j].value_two, b.rules[i].args[j].value_two);
      EXPECT_EQ(a.rules[i].args[j].op, b.rules[i].args[j].op);
    }
  }
}

void expect_equal(const OciProcess& a, const OciProcess& b) {
  EXPECT_EQ(a.args, b.args);
  EXPECT_EQ(a.env, b.env);
  EXPECT_EQ(a.cwd, b.cwd);
  EXPECT_EQ(a.no_new_privileges, b.no_new_privileges);
  EXPECT_EQ(a.user.uid, b.user.uid);
  EXPECT_EQ(a.user.gid, b.user.gid);
  EXPECT_EQ(a.user.umask, b.user.umask);
  EXPECT_EQ(a.user.additional_gids, b.user.additional_gids);
  EXPECT_EQ(a.capabilities, b.capabilities);
  EXPECT_EQ(a.oom_score_adj, b.oom_score_adj);
  EXPECT_EQ(a.selinux_label, b.selinux_label);
  ASSERT_EQ(a.rlimits.size(), 1U);
  EXPECT_EQ(a.rlimits[0].name, "RLIMIT_NOFILE");
  EXPECT_EQ(a.rlimits[0].resource, 7);
  EXPECT_EQ(a.rlimits[0].soft, 1024U);
  EXPECT_EQ(a.rlimits[0].hard, 18446744073709551615U);
  ASSERT_TRUE(a.scheduler.has_value());
  EXPECT_EQ(a.scheduler->policy_number, b.scheduler->policy_number);
  EXPECT_EQ(a.scheduler->flag_bits, b.scheduler->flag_bits);
  EXPECT_EQ(a.scheduler->priority, b.scheduler->priority);
  ASSERT_TRUE(a.io_priority.has_value());
  EXPECT_EQ(a.io_priority->class_number, b.io_priority->class_number);
  EXPECT_EQ(a.exec_cpu_affinity.initial, b.exec_cpu_affinity.initial);
  EXPECT_EQ(a.exec_cpu_affinity.final, b.exec_cpu_affinity.final);
  ASSERT_TRUE(a.console_size.has_value());
  EXPECT_EQ(a.console_size->width, b.console_size->width);
}

TEST(Record, SurvivesItsTextUnchanged) {
  const ContainerRecord before = full_record();
  const Result<ContainerRecord> parsed = parse_record(record_text(before));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  const ContainerRecord& after = parsed.value();
  EXPECT_EQ(after.id, before.id);
  EXPECT_EQ(after.oci_version, before.oci_version);
  EXPECT_EQ(after.bundle, before.bundle);
  EXPECT_EQ(after.rootfs, before.rootfs);
  EXPECT_EQ(after.created, before.created);
  EXPECT_EQ(after.annotations, before.annotations);
  EXPECT_EQ(after.init_pid, before.init_pid);
  EXPECT_EQ(after.init_start_time, before.init_start_time);
  EXPECT_EQ(after.uid_map, before.uid_map);
  EXPECT_EQ(after.gid_map, before.gid_map);
  EXPECT_EQ(after.cgroup.directories, before.cgroup.directories);
  EXPECT_EQ(after.cgroup.delegated, before.cgroup.delegated);
  EXPECT_EQ(after.cgroup.leaf, before.cgroup.leaf);
  EXPECT_TRUE(after.ranges_registered);
  EXPECT_TRUE(after.emulation_registered);
  expect_equal(after.process, before.process);
  EXPECT_EQ(after.personality, before.personality);
  ASSERT_TRUE(after.seccomp.has_value());
  expect_equal(*after.seccomp, *before.seccomp);
  expect_equal(after.poststart, before.poststart);
  expect_equal(after.poststop, before.poststop);
}

TEST(Record, WithoutOptionalPartsHasNoneAfterItsText) {
  ContainerRecord record;
  record.id = "x";
  record.process.args = {"sh"};
  record.process.cwd = "/";
  const Result<ContainerRecord> after = parse_record(record_text(record));
  ASSERT_TRUE(after.ok()) << after.error().message();
  EXPECT_FALSE(after.value().seccomp.has_value());
  EXPECT_THAT(after.value().poststop, IsEmpty());
}

TEST(Record, OfTheFirstFormatStillSaysWhatItSaid) {
  const Result<ContainerRecord> record = parse_record(
      R"({"version": 1, "id": "x", "ociVersion": "1.2.0", "bundle": "/b", "rootfs": "/r",
          "created": "c", "init_process_pid": 5, "init_process_start": 6, "user": {"uid": 7},
          "rlimits": [{"type": "RLIMIT_CPU", "resource": 0, "soft": 1, "hard": 2}],
          "noNewPrivileges": true, "env": ["A=1"], "cwd": "/home"})");
  ASSERT_TRUE(record.ok()) << record.error().message();
  const OciProcess& process = record.value().process;
  EXPECT_EQ(process.user.uid, 7U);
  EXPECT_THAT(process.env, ElementsAre("A=1"));
  EXPECT_EQ(process.cwd, "/home");
  EXPECT_TRUE(process.no_new_privileges);
  ASSERT_EQ(process.rlimits.size(), 1U);
  EXPECT_EQ(process.rlimits[0].hard, 2U);
  EXPECT_FALSE(process.capabilities.has_value());
}

TEST(Record, WithoutAProcessIsDamaged) {
  const Result<ContainerRecord> record = parse_record(
      R"({"version": 2, "id": "x", "ociVersion": "1.2.0", "bundle": "/b", "rootfs": "/r",
          "created": "c", "init_process_pid": 5, "init_process_start": 6})");
  ASSERT_FALSE(record.ok());
  EXPECT_THAT(record.error().message(), HasSubstr("process: is missing"));
}

TEST(Record, OfANewerFormatIsRefusedByName) {
  const Result<ContainerRecord> record = parse_record(R"({"version": 3})");
  ASSERT_FALSE(record.ok());
  EXPECT_EQ(record.error().code(), ENOTSUP);
  EXPECT_THAT(record.error().message(), HasSubstr("format 3"));
}

struct BadId {
  const char* name;
  std::string id;
};
class BadIds : public ::testing::TestWithParam<BadId> {};
TEST_P(BadIds, AreRefusedEverywhere) {
  const ScratchDirectory root;
  const Result<StateDir> made = StateDir::create(root.path(), GetParam().id);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code(), EINVAL);
  const Result<StateDir> opened = StateDir::open(root.path(), GetParam().id);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), EINVAL);
}
INSTANTIATE_TEST_SUITE_P(StateDir, BadIds,
                         ::testing::Values(BadId{"Empty", ""}, BadId{"Dot", "."},
                                           BadId{"DotDot", ".."}, BadId{"Slash", "a/b"},
                                           BadId{"Climbing", "../x"}, BadId{"Blank", "a b"},
                                           BadId{"Newline", "a\n"}, BadId{"Umlaut", "\xc3\xa4"},
                                           BadId{"Nul", std::string("a\0b", 3)},
                                           BadId{"TooLong", std::string(NAME_MAX + 1, 'a')}),
                         [](const auto& row) { return row.param.name; });

TEST(StateDir, TakesEveryCharacterThatRuncTakes) {
  const ScratchDirectory root;
  EXPECT_TRUE(StateDir::create(root.path(), "aZ09_+-.").ok());
}

TEST(StateDir, MakesMissingParentsOfItsRootForRootOnly) {
  const ScratchDirectory scratch;
  const std::string root = scratch / "a/b";
  ASSERT_TRUE(StateDir::create(root, "x").ok());
  struct stat info {};
  ASSERT_EQ(::stat((root + "/x").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0700U);
}

TEST(StateDir, OfAnIdInUseIsRefused) {
  const ScratchDirectory root;
  ASSERT_TRUE(StateDir::create(root.path(), "x").ok());
  const Result<StateDir> again = StateDir::create(root.path(), "x");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), EEXIST);
  EXPECT_THAT(again.error().message(), HasSubstr("already exists"));
}

TEST(StateDir, OfAnUnknownContainerDoesNotExist) {
  const ScratchDirectory root;
  const Result<StateDir> opened = StateDir::open(root.path(), "x");
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), ENOENT);
  EXPECT_EQ(opened.error().message(), "container 'x' does not exist");
}

TEST(StateDir, IsNotReachedThroughASymbolicLink) {
  const ScratchDirectory root;
  std::filesystem::create_directory(root / "real");
  std::filesystem::create_symlink(root / "real", root / "link");
  EXPECT_FALSE(StateDir::open(root.path(), "link").ok());
}

TEST(StateDir, ListsDirectoriesSortedAndNothingElse) {
  const ScratchDirectory root;
  ASSERT_TRUE(StateDir::create(root.path(), "b").ok());
  ASSERT_TRUE(StateDir::create(root.path(), "a").ok());
  ASSERT_TRUE(sys::open(root / "file", O_CREAT | O_WRONLY, 0600).ok());
  const auto ids = StateDir::list(root.path());
  ASSERT_TRUE(ids.ok());
  EXPECT_THAT(ids.value(), ElementsAre("a", "b"));
}

TEST(StateDir, ListsNothingWithoutARoot) {
  const auto ids = StateDir::list("/does/not/exist");
  ASSERT_TRUE(ids.ok());
  EXPECT_THAT(ids.value(), IsEmpty());
}

TEST(StateDir, LoadsWhatItSavedAndReplacesIt) {
  const ScratchDirectory root;
  const StateDir directory = StateDir::create(root.path(), "one").value();
  ContainerRecord record = full_record();
  ASSERT_TRUE(directory.save(record).ok());
  record.init_pid = 7;
  ASSERT_TRUE(directory.save(record).ok());
  const auto loaded = StateDir::open(root.path(), "one").value().load();
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(loaded.value().init_pid, 7);
  const std::filesystem::directory_iterator files(root / "one");
  EXPECT_EQ(std::distance(begin(files), end(files)), 1) << "something is left beside state.json";
}

TEST(StateDir, NamesADamagedFileAndTheWayOut) {
  const ScratchDirectory root;
  const StateDir directory = StateDir::create(root.path(), "x").value();
  ASSERT_TRUE(sys::open(root / "x/state.json", O_CREAT | O_WRONLY, 0600).ok());
  for (const char* text : {"{\"version\": 1, \"id\": ", "{\"version\": 1, \"id\": 5}", "[]", ""}) {
    std::filesystem::resize_file(root / "x/state.json", 0);
    ASSERT_TRUE(sys::write_file(root / "x/state.json", text).ok());
    const auto loaded = directory.load();
    ASSERT_FALSE(loaded.ok()) << text;
    EXPECT_EQ(loaded.error().code(), EBADMSG);
    EXPECT_THAT(loaded.error().message(), HasSubstr(root / "x/state.json"));
    EXPECT_THAT(loaded.error().message(), HasSubstr("delete --force x"));
  }
}

TEST(StateDir, WithoutStateIsToldApartFromADamagedOne) {
  const ScratchDirectory root;
  const auto loaded = StateDir::create(root.path(), "x").value().load();
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code(), EBADMSG);
  EXPECT_THAT(loaded.error().message(), HasSubstr("does not exist"));
}

TEST(StateDir, KeepsTheExecFifoUntilItIsRemoved) {
  const ScratchDirectory root;
  const StateDir directory = StateDir::create(root.path(), "x").value();
  EXPECT_FALSE(directory.has_exec_fifo().value());
  ASSERT_TRUE(directory.make_exec_fifo(::getuid(), ::getgid()).ok());
  EXPECT_TRUE(directory.has_exec_fifo().value());
  EXPECT_TRUE(directory.open_exec_fifo(O_RDONLY | O_NONBLOCK).ok());
  ASSERT_TRUE(directory.remove_exec_fifo().ok());
  EXPECT_FALSE(directory.has_exec_fifo().value());
  EXPECT_EQ(directory.open_exec_fifo(O_RDONLY | O_NONBLOCK).error().code(), ENOENT);
  EXPECT_TRUE(directory.remove_exec_fifo().ok()) << "a second removal is no error";
}

TEST(StateDir, LeavesNothingAfterRemoval) {
  const ScratchDirectory root;
  const StateDir directory = StateDir::create(root.path(), "one").value();
  ASSERT_TRUE(directory.save(full_record()).ok());
  ASSERT_TRUE(directory.make_exec_fifo(::getuid(), ::getgid()).ok());
  ASSERT_TRUE(directory.remove().ok());
  EXPECT_FALSE(std::filesystem::exists(root / "one"));
  EXPECT_TRUE(directory.remove().ok()) << "a second removal is no error";
}

TEST(StateDirLock, IsRefusedWhileHeldAndNamesTheHolder) {
  const ScratchDirectory root;
  const StateDir directory = StateDir::create(root.path(), "x").value();
  const StateDir same = StateDir::open(root.path(), "x").value();
  auto held = directory.lock(after(std::chrono::seconds(0)));
  ASSERT_TRUE(held.ok());
  const auto refused = same.lock(after(std::chrono::milliseconds(30)));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ETIMEDOUT);
  EXPECT_THAT(refused.error().message(), HasSubstr(join("(pid ", ::getpid(), ")")));
  held.value().reset();
  EXPECT_TRUE(same.lock(after(std::chrono::seconds(0))).ok());
}

TEST(StateDirLock, OfADeletedContainerSaysSo) {
  const ScratchDirectory root;
  const StateDir directory = StateDir::create(root.path(), "x").value();
  const StateDir same = StateDir::open(root.path(), "x").value();
  ASSERT_TRUE(directory.remove().ok());
  const auto lock = same.lock(after(std::chrono::seconds(0)));
  ASSERT_FALSE(lock.ok());
  EXPECT_EQ(lock.error().code(), ENOENT);
  EXPECT_EQ(same.load().error().code(), ENOENT);
}

}  // namespace
}  // namespace sysbox::runc
