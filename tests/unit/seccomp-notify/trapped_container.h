#pragma once

// A process in new user, pid, mount and network namespaces whose trapped calls a NotifyLoop in
// this program answers with the daemon's own actions; its emulated pieces are files of a tmpfs.

#include <functional>
#include <memory>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "fs-emulator/container.h"
#include "seccomp-notify/container_actions.h"
#include "seccomp-notify/notify_loop.h"

namespace sysbox::testing {

// Skips the running test if the machine does not let it make such containers.
#define REQUIRE_CONTAINERS()                                           \
  do {                                                                 \
    const std::string reason = ::sysbox::testing::why_no_containers(); \
    if (!reason.empty()) GTEST_SKIP() << reason;                       \
  } while (false)
std::string why_no_containers();

inline constexpr const char* kPieceText = "emulated\n";
inline constexpr unsigned kFirstHostId = 200000;

// What sysinfo(2) tells there.
inline constexpr seccomp::SystemInformation kSystemInformation{
    .uptime_seconds = 77,
    .loads = {65536, 2, 3},
    .total_bytes = 8ULL << 30U,
    .free_bytes = 5ULL << 30U,
    .shared_bytes = 4096,
    .buffer_bytes = 0,
    .swap_total_bytes = 1U << 20U,
    .swap_free_bytes = 4096,
    .processes = 70000,
};

std::shared_ptr<const fs::EmulatedTree> make_pieces();
std::shared_ptr<seccomp::ContainerActions> make_actions(
    const std::string& network_namespace = "/proc/self/ns/net");

// Runs inside, as root of the container, in an empty directory of a tmpfs of its own. Returns
// what went wrong, or "".
using Inside = std::function<std::string()>;

// The outcome of `inside`; `while_running` (may be empty) gets the pid on the host of the
// container's init once the filter is loaded.
std::string run_in_container(const Inside& inside, seccomp::NotifyLoop& loop,
                             const std::function<void(int)>& while_running = {});
// Expects that `inside` finds nothing wrong.
void expect_inside(const Inside& inside);

// For use inside.
std::string read_text(const std::string& path);
int shell(const std::string& command);                          // exit code
std::string expect_shell(const std::string& command);           // "" if it exits with 0
std::string expect_errno(const char* what, long rc, int code);  // of a call that must fail
std::string expect_success(const char* what, long rc);
// A piece on a mount of the container's own may count as unmounted once, and is there all the same.
std::string expect_piece_stays(const std::string& path);
// As another user of the container without capabilities, in a child.
std::string as_user(unsigned uid, const Inside& inside);

// Leaves with the first failure.
#define CHECK_INSIDE(expression)                                    \
  do {                                                              \
    const std::string check_inside_failure = (expression);          \
    if (!check_inside_failure.empty()) return check_inside_failure; \
  } while (false)
#define CHECK_THAT(condition)                                           \
  do {                                                                  \
    if (!(condition)) return std::string("does not hold: " #condition); \
  } while (false)

}  // namespace sysbox::testing
