#include "fs-emulator/sysctl_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fixture_proc.h"

namespace sysbox::fs {
namespace {

std::size_t row_of(std::string_view path) {
  for (std::size_t i = 0; i < sysctls().size(); ++i) {
    if (sysctls()[i].path == path) return i;
  }
  ADD_FAILURE() << path << " is not in the table";
  return 0;
}

class Store : public ::testing::Test {
 protected:
  static testing::FixtureProc& fill(testing::FixtureProc& files) {
    files.set("proc/sys/vm/max_map_count", "262144\n");
    return files;
  }

  testing::FixtureProc files_;
  // The defaults are read when they are made, in the order of these members.
  testing::FixtureProc& filled_ = fill(files_);
  const HostFiles host_{files_.root("proc"), files_.root("sys")};
  const SysctlDefaults defaults_{host_};
  SysctlStore store_{defaults_};
};

TEST_F(Store, StartsWithTheHostsOrTheTablesValue) {
  EXPECT_EQ(store_.value(row_of("/proc/sys/vm/max_map_count")), "262144\n");
  EXPECT_EQ(store_.value(row_of("/proc/sys/vm/swappiness")), "60\n");
  EXPECT_EQ(store_.value(row_of("/proc/sys/kernel/keys/maxkeys")), "1\n");
}

TEST_F(Store, KeepsWhatIsWrittenForOneContainerOnly) {
  SysctlStore other(defaults_);
  const std::size_t panic = row_of("/proc/sys/kernel/panic");
  ASSERT_TRUE(store_.write(panic, "10\n").ok());
  EXPECT_EQ(store_.value(panic), "10\n");
  EXPECT_EQ(other.value(panic), "0\n");
}

TEST_F(Store, ARefusedWriteChangesNothing) {
  const std::size_t swappiness = row_of("/proc/sys/vm/swappiness");
  const Result<void> written = store_.write(swappiness, "201");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), EINVAL);
  EXPECT_EQ(store_.value(swappiness), "60\n");
}

TEST_F(Store, OneOfAPairMakesTheOtherZero) {
  ASSERT_TRUE(store_.write(row_of("/proc/sys/vm/dirty_bytes"), "8192").ok());
  EXPECT_EQ(store_.value(row_of("/proc/sys/vm/dirty_ratio")), "0\n");
  ASSERT_TRUE(store_.write(row_of("/proc/sys/vm/dirty_ratio"), "30").ok());
  EXPECT_EQ(store_.value(row_of("/proc/sys/vm/dirty_bytes")), "0\n");
}

TEST_F(Store, TriggersTakeTheirRangeAndStoreNothing) {
  const std::size_t drop = row_of("/proc/sys/vm/drop_caches");
  EXPECT_TRUE(store_.write(drop, "3\n").ok());
  EXPECT_EQ(store_.value(drop), "");
  EXPECT_EQ(store_.write(drop, "5").error().code(), EINVAL);
}

TEST_F(Store, FixedValuesCannotBeWritten) {
  EXPECT_EQ(store_.write(row_of("/proc/sys/fs/file-nr"), "1").error().code(), EACCES);
}

TEST_F(Store, IsTheSameAfterItWasSavedAndLoaded) {
  ASSERT_TRUE(store_.write(row_of("/proc/sys/kernel/core_pattern"), "|/bin/x %p\n").ok());
  ASSERT_TRUE(store_.write(row_of("/proc/sys/kernel/printk"), "7 4\n").ok());
  ASSERT_TRUE(store_.write(row_of("/proc/sys/vm/dirty_bytes"), "8192").ok());
  SysctlStore other(defaults_);
  other.load(store_.save());
  for (std::size_t i = 0; i < sysctls().size(); ++i) {
    EXPECT_EQ(other.value(i), store_.value(i)) << sysctls()[i].path;
  }
  EXPECT_EQ(other.value(row_of("/proc/sys/vm/dirty_ratio")), "0\n");
}

TEST_F(Store, LoadsNothingThatCouldNotHaveBeenWritten) {
  store_.load({{"/proc/sys/kernel/no_such_file", "1\n"},
               {"/proc/sys/vm/swappiness", "201\n"},
               {"/proc/sys/vm/drop_caches", "1\n"},
               {"/proc/sys/fs/file-nr", "1\t2\t3\n"},
               {"/proc/sys/kernel/panic", "10"},
               {"/proc/sys/vm/page-cluster", "5\n"}});
  const std::vector<SavedSysctl> saved = store_.save();
  ASSERT_EQ(saved.size(), 2U);
  EXPECT_EQ(saved[0].path, "/proc/sys/kernel/random/boot_id");
  EXPECT_EQ(saved[1].path, "/proc/sys/vm/page-cluster");
  EXPECT_EQ(saved[1].value, "5\n");
}

TEST_F(Store, EachContainerHasABootIdOfItsOwnWhichIsSavedAndLoaded) {
  const std::size_t boot_id = row_of("/proc/sys/kernel/random/boot_id");
  const std::string id = store_.value(boot_id);
  EXPECT_THAT(id, ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                                          "[0-9a-f]{12}\n"));
  SysctlStore other(defaults_);
  EXPECT_NE(other.value(boot_id), id);
  other.load({{"/proc/sys/kernel/random/boot_id", "not a UUID\n"}});
  EXPECT_NE(other.value(boot_id), "not a UUID\n");
  other.load(store_.save());
  EXPECT_EQ(other.value(boot_id), id);
  EXPECT_EQ(other.write(boot_id, id).error().code(), EACCES);
}

TEST_F(Store, LoadingTakesThePlaceOfWhatWasWritten) {
  ASSERT_TRUE(store_.write(row_of("/proc/sys/kernel/panic"), "10\n").ok());
  store_.load({});
  EXPECT_EQ(store_.value(row_of("/proc/sys/kernel/panic")), "0\n");
}

// What kubelet, kube-proxy, systemd and usual installers write at start (and must not fail).
TEST_F(Store, TakesWhatSystemsWriteAtStart) {
  const std::pair<const char*, const char*> writes[] = {
      {"/proc/sys/vm/overcommit_memory", "1"},
      {"/proc/sys/vm/panic_on_oom", "0"},
      {"/proc/sys/kernel/panic", "10"},
      {"/proc/sys/kernel/panic_on_oops", "1"},
      {"/proc/sys/kernel/keys/root_maxkeys", "1000000"},
      {"/proc/sys/kernel/keys/root_maxbytes", "25000000"},
      {"/proc/sys/net/netfilter/nf_conntrack_max", "131072"},
      {"/sys/module/nf_conntrack/parameters/hashsize", "32768"},
      {"/proc/sys/fs/file-max", "9223372036854775807\n"},
      {"/proc/sys/fs/nr_open", "1073741816\n"},
      {"/proc/sys/kernel/core_pattern",
       "|/lib/systemd/systemd-coredump %P %u %g %s %t 9223372036854775808 %h\n"},
      {"/proc/sys/fs/protected_fifos", "1"},
      {"/proc/sys/fs/protected_hardlinks", "1"},
      {"/proc/sys/fs/protected_regular", "2"},
      {"/proc/sys/fs/protected_symlinks", "1"},
      {"/proc/sys/fs/inotify/max_user_watches", "524288"},
      {"/proc/sys/kernel/printk", "4 4 1 7"},
      {"/proc/sys/kernel/kptr_restrict", "1"},
      {"/proc/sys/kernel/sysrq", "0x01b6"},
      {"/proc/sys/vm/max_map_count", "1048576"},
  };
  for (const auto& [path, text] : writes) {
    const Result<void> written = store_.write(row_of(path), text);
    EXPECT_TRUE(written.ok()) << path << " " << text;
  }
}

}  // namespace
}  // namespace sysbox::fs
