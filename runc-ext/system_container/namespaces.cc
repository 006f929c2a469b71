#include <algorithm>
#include <array>

#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

// What an engine calls the sharing of one of the host's namespaces, and what to do instead. The
// first five are shared when the spec leaves them out.
struct HostSharing {
  NamespaceType type;
  const char* engine_option;
  const char* instead;
};
constexpr std::array kHostSharings = {
    HostSharing{NamespaceType::kPid, "--pid=host, hostPID", "leave that option out"},
    HostSharing{NamespaceType::kNetwork, "--net=host, hostNetwork",
                "use --net=bridge and publish ports"},
    HostSharing{NamespaceType::kMount, "no namespace of type mount", "add one"},
    HostSharing{NamespaceType::kIpc, "--ipc=host, hostIPC", "leave that option out"},
    HostSharing{NamespaceType::kUts, "--uts=host", "leave that option out"},
    HostSharing{NamespaceType::kUser, "--userns=host, hostUsers: true", "leave the path out"},
    HostSharing{NamespaceType::kCgroup, "--cgroupns=host", "leave the path out"},
    HostSharing{NamespaceType::kTime, "a path to it", "leave the path out"},
};
constexpr std::size_t kNeeded = 5;

// Absent in a spec for runc: the container has the host's ids, or sees the host's cgroups.
constexpr std::array kAdded = {NamespaceType::kUser, NamespaceType::kCgroup};

Result<void> refuse_missing(const OciLinux& linux_part) {
  for (std::size_t i = 0; i < kNeeded; ++i) {
    const NamespaceType type = kHostSharings[i].type;
    if (linux_part.find_namespace(type) != nullptr) continue;
    return Error(EINVAL,
                 join("linux.namespaces: sharing the host's ", namespace_info(type).oci_name,
                      " namespace", host_sharing_refusal(type)));
  }
  return {};
}

// As runc: offsets are those of a new time namespace.
Result<void> check_time_offsets(const OciLinux& linux_part) {
  if (linux_part.time_offsets.empty()) return {};
  const OciNamespace* time = linux_part.find_namespace(NamespaceType::kTime);
  if (time == nullptr) {
    return Error(EINVAL, "linux.timeOffsets: without a namespace of type time");
  }
  if (time->path.empty()) return {};
  return Error(EINVAL, join("linux.timeOffsets: the offsets of '", time->path,
                            "' are fixed; leave the path or the offsets out"));
}

}  // namespace

std::string host_sharing_refusal(NamespaceType type) {
  const auto* const row =
      std::find_if(kHostSharings.begin(), kHostSharings.end(),
                   [type](const HostSharing& sharing) { return sharing.type == type; });
  return join(" (", row->engine_option, ") would break the container's isolation; ", row->instead);
}

Result<void> complete_namespaces(OciLinux& linux_part) {
  TRY(refuse_missing(linux_part));
  TRY(check_time_offsets(linux_part));
  for (const NamespaceType type : kAdded) {
    if (linux_part.find_namespace(type) == nullptr) linux_part.namespaces.push_back({type, ""});
  }
  return {};
}

}  // namespace sysbox::runc
