#include "runc-ext/system_container/seccomp_doors.h"

#include <linux/userfaultfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace sysbox::runc {
namespace {

constexpr std::uint32_t kWhole = 0xffffffff;

constexpr std::array<std::uint32_t, 1> kAlg = {AF_ALG};
constexpr std::array<std::uint32_t, 1> kRxrpc = {AF_RXRPC};
constexpr std::array<std::uint32_t, 1> kVsock = {AF_VSOCK};
// Families of protocols that no container network carries. The kernel loads their modules for
// whoever asks for such a socket, so each is within a tenant's reach.
constexpr auto kRare = std::to_array<std::uint32_t>(
    {AF_AX25,       AF_IPX,    AF_APPLETALK, AF_NETROM,    AF_ATMPVC,  AF_X25,   AF_ROSE,
     AF_ASH,        AF_ECONET, AF_ATMSVC,    AF_RDS,       AF_IRDA,    AF_PPPOX, AF_WANPIPE,
     AF_LLC,        AF_IB,     AF_TIPC,      AF_BLUETOOTH, AF_IUCV,    AF_ISDN,  AF_PHONET,
     AF_IEEE802154, AF_CAIF,   AF_NFC,       AF_KCM,       AF_QIPCRTR, AF_SMC,   45 /* AF_MCTP */});
// Faults of the kernel itself can be held up for ever unless the caller renounces them.
constexpr std::array<std::uint32_t, 1> kKernelFaultsToo = {0};

template <const auto& kFamilies>
constexpr std::array kSockets = {DoorCall{"socket", 0, kWhole, kFamilies},
                                 DoorCall{"socketpair", 0, kWhole, kFamilies}};
constexpr std::array kSocketcall = {DoorCall{"socketcall"}};
constexpr std::array kUserfaultfd = {
    DoorCall{"userfaultfd", 0, UFFD_USER_MODE_ONLY, kKernelFaultsToo}};
constexpr std::array kIoUring = {DoorCall{"io_uring_setup"}, DoorCall{"io_uring_enter"},
                                 DoorCall{"io_uring_register"}};
constexpr std::array kPerf = {DoorCall{"perf_event_open"}};
// An empty log: nothing to read, clear, or print. A read that waits for a message would have to
// wait for ever.
constexpr std::uint32_t kSyslogRead = 2;  // SYSLOG_ACTION_READ
constexpr std::array<std::uint32_t, 1> kWaitForLog = {kSyslogRead};
constexpr std::array<std::uint32_t, 10> kAskLog = {0, 1, 3, 4, 5, 6, 7, 8, 9, 10};
constexpr std::array kSyslog = {DoorCall{"syslog", 0, kWhole, kWaitForLog},
                                DoorCall{"syslog", 0, kWhole, kAskLog, 0}};

// Every door. To add one: a line here.
constexpr std::array kDoors = {
    SeccompDoor{"af-alg", ClosedBy::kUs, EAFNOSUPPORT, kSockets<kAlg>,
                "sockets to the kernel's cryptography (AF_ALG)"},
    SeccompDoor{"af-rare", ClosedBy::kUs, EAFNOSUPPORT, kSockets<kRare>,
                "sockets of rare families: AF_TIPC, AF_RDS, AF_SMC, AF_BLUETOOTH, AF_PPPOX, "
                "AF_X25 and the like"},
    SeccompDoor{"af-rxrpc", ClosedBy::kUs, EAFNOSUPPORT, kSockets<kRxrpc>,
                "sockets of AFS (AF_RXRPC)"},
    SeccompDoor{"af-vsock", ClosedBy::kUs, EAFNOSUPPORT, kSockets<kVsock>,
                "sockets between a virtual machine and its host (AF_VSOCK)"},
    SeccompDoor{"io-uring", ClosedBy::kEngine, EPERM, kIoUring, "io_uring"},
    // The kernel's own check lets everybody read the host's log where kernel.dmesg_restrict is 0.
    SeccompDoor{"kernel-log", ClosedBy::kUs, EPERM, kSyslog,
                "the host's kernel log by syslog(2), as far as the host lets anybody read it; "
                "while closed, the container's log is empty"},
    SeccompDoor{"perf", ClosedBy::kEngine, EPERM, kPerf,
                "perf_event_open, within the host's kernel.perf_event_paranoid"},
    SeccompDoor{"socketcall", ClosedBy::kUs, ENOSYS, kSocketcall,
                "the old single entry of 32-bit programs for all socket calls, which no filter "
                "can look into"},
    SeccompDoor{"userfaultfd", ClosedBy::kUs, EPERM, kUserfaultfd,
                "userfaultfd of page faults inside the kernel; those of programs only are the "
                "engine's to allow"},
};

static_assert(std::is_sorted(kDoors.begin(), kDoors.end(),
                             [](const SeccompDoor& a, const SeccompDoor& b) {
                               return std::string_view(a.name) < b.name;
                             }));

}  // namespace

std::span<const SeccompDoor> seccomp_doors() { return kDoors; }

const SeccompDoor* find_seccomp_door(std::string_view name) {
  const auto found = std::find_if(kDoors.begin(), kDoors.end(),
                                  [name](const SeccompDoor& door) { return name == door.name; });
  return found == kDoors.end() ? nullptr : &*found;
}

void open_doors_in_profile(OciSeccomp& profile, const std::vector<std::string>& open) {
  OciSeccompRule allow;
  allow.action = "SCMP_ACT_ALLOW";
  for (const std::string& name : open) {
    for (const DoorCall& call : find_seccomp_door(name)->calls) {
      // What else the call could do is not the engine's to refuse: our own filter holds the other
      // doors shut.
      for (OciSeccompRule& rule : profile.rules) std::erase(rule.names, call.name);
      if (std::find(allow.names.begin(), allow.names.end(), call.name) == allow.names.end()) {
        allow.names.emplace_back(call.name);
      }
    }
  }
  std::erase_if(profile.rules, [](const OciSeccompRule& rule) { return rule.names.empty(); });
  if (!allow.names.empty() && profile.default_action != "SCMP_ACT_ALLOW") {
    profile.rules.push_back(std::move(allow));
  }
}

}  // namespace sysbox::runc
