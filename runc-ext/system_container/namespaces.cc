#include <algorithm>
#include <array>

#include "common/syscalls.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

// An engine that shares one of the host's namespaces leaves it out of the spec.
struct NeededNamespace {
  NamespaceType type;
  const char* engine_option;
  const char* instead;
};
constexpr std::array kNeeded = {
    NeededNamespace{NamespaceType::kPid, "--pid=host, hostPID", "leave that option out"},
    NeededNamespace{NamespaceType::kNetwork, "--net=host, hostNetwork",
                    "use --net=bridge and publish ports"},
    NeededNamespace{NamespaceType::kMount, "no namespace of type mount", "add one"},
    NeededNamespace{NamespaceType::kIpc, "--ipc=host, hostIPC", "leave that option out"},
    NeededNamespace{NamespaceType::kUts, "--uts=host", "leave that option out"},
};

// Absent in a spec for runc: the container has the host's ids, or sees the host's cgroups.
constexpr std::array kAdded = {NamespaceType::kUser, NamespaceType::kCgroup};

Result<void> refuse_missing(const OciLinux& linux_part) {
  for (const NeededNamespace& needed : kNeeded) {
    if (linux_part.find_namespace(needed.type) != nullptr) continue;
    const char* name = namespace_info(needed.type).oci_name;
    return Error(EINVAL, join("linux.namespaces: sharing the host's ", name, " namespace (",
                              needed.engine_option, ") would break the container's isolation; ",
                              needed.instead));
  }
  return {};
}

// The runtime runs in the host's namespaces; a path can lead to them under any name.
Result<void> refuse_own(const std::string& json_path, const OciNamespace& entry) {
  const NamespaceInfo& info = namespace_info(entry.type);
  const struct stat own =
      TRY(sys::fstatat(AT_FDCWD, join("/proc/thread-self/ns/", info.proc_name)));
  const Result<struct stat> given = sys::fstatat(AT_FDCWD, entry.path);
  if (!given.ok()) {
    return errno_error(given.error().code(), json_path, ": '", entry.path, "'");
  }
  if (given.value().st_dev == own.st_dev && given.value().st_ino == own.st_ino) {
    return Error(EINVAL, join(json_path, ": '", entry.path, "' is the host's ", info.oci_name,
                              " namespace; sharing it would break the container's isolation"));
  }
  return {};
}

}  // namespace

Result<void> complete_namespaces(OciLinux& linux_part) {
  TRY(refuse_missing(linux_part));
  for (std::size_t i = 0; i < linux_part.namespaces.size(); ++i) {
    const OciNamespace& entry = linux_part.namespaces[i];
    if (entry.path.empty()) continue;
    const std::string json_path = join("linux.namespaces[", i, "].path");
    TRY(refuse_own(json_path, entry));
    // The container's mounts are locked while its mount namespace is made.
    if (entry.type == NamespaceType::kMount) {
      return Error(EINVAL, json_path + ": joining a mount namespace is not supported");
    }
  }
  for (const NamespaceType type : kAdded) {
    if (linux_part.find_namespace(type) == nullptr) linux_part.namespaces.push_back({type, ""});
  }
  return {};
}

}  // namespace sysbox::runc
