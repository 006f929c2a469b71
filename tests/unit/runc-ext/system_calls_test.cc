#include "runc-ext/system_container/system_calls.h"

#include <gtest/gtest.h>
#include <seccomp.h>

#include <algorithm>
#include <set>

#include "common/syscalls.h"
#include "runc-ext/system_container/seccomp_doors.h"
#include "seccomp-notify/trapped_syscall.h"

namespace sysbox::runc {
namespace {

const DecidedCalls* find_row(std::string_view call) {
  for (const DecidedCalls& row : decided_calls()) {
    const std::vector<std::string_view> names = split_names(row.names);
    if (std::find(names.begin(), names.end(), call) != names.end()) return &row;
  }
  return nullptr;
}

TEST(SystemCalls, AreDecidedOnce) {
  std::set<std::string_view> seen;
  for (const DecidedCalls& row : decided_calls()) {
    for (const std::string_view name : split_names(row.names)) {
      EXPECT_TRUE(seen.insert(name).second) << name << " stands in two rows";
    }
  }
}

TEST(SystemCalls, ThatAreTrappedAreEmulatedAndNoOthers) {
  std::set<std::string_view> trapped;
  for (const seccomp::TrappedSyscall& call : seccomp::trapped_syscalls()) {
    trapped.insert(call.name);
    const DecidedCalls* row = find_row(call.name);
    ASSERT_NE(row, nullptr) << call.name << " has no row";
    EXPECT_EQ(row->decision, Decision::kEmulated) << call.name;
    EXPECT_EQ(row->in_profile, InProfile::kAllowed) << "a profile's errno would win: " << call.name;
  }
  for (const DecidedCalls& row : decided_calls()) {
    if (row.decision != Decision::kEmulated) continue;
    for (const std::string_view name : split_names(row.names)) {
      EXPECT_TRUE(trapped.contains(name)) << name << " is not trapped";
    }
  }
}

TEST(SystemCalls, ThatWeRefuseHaveADoor) {
  std::set<std::string_view> closed;
  for (const SeccompDoor& door : seccomp_doors()) {
    for (const DoorCall& call : door.calls) {
      EXPECT_NE(find_row(call.name), nullptr) << call.name << " has no row";
      if (door.closed_by == ClosedBy::kUs) closed.insert(call.name);
    }
  }
  for (const DecidedCalls& row : decided_calls()) {
    for (const std::string_view name : split_names(row.names)) {
      EXPECT_EQ(row.decision == Decision::kRefused, closed.contains(name)) << name;
    }
  }
}

// A misspelt name would never match.
TEST(SystemCalls, AreKnownByName) {
  for (const DecidedCalls& row : decided_calls()) {
    // Younger than Debian 12's libseccomp.
    if (row.in_profile == InProfile::kAllowedUnlessNamed) continue;
    for (const std::string_view name : split_names(row.names)) {
      const std::set<std::string_view> young = {"listmount", "open_tree_attr", "statmount"};
      if (young.contains(name)) continue;
      EXPECT_NE(seccomp_syscall_resolve_name(std::string(name).c_str()), __NR_SCMP_ERROR) << name;
    }
  }
}

TEST(SystemCallsPage, IsTheDocument) {
  const Result<std::string> page = sys::read_file(SYSBOX_SOURCE_ROOT "/docs/system-calls.md");
  ASSERT_TRUE(page.ok()) << page.error().message();
  EXPECT_EQ(page.value(), system_calls_page())
      << "run: sysbox-runc features --system-calls > docs/system-calls.md";
}

}  // namespace
}  // namespace sysbox::runc
