#include "runc-ext/init/foreign_namespaces.h"

#include <unistd.h>

#include <sstream>

#include "common/log.h"
#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

constexpr const char* kPingGroups = "net/ipv4/ping_group_range";
constexpr const char* kFirstFreePort = "net/ipv4/ip_unprivileged_port_start";

// The spec's groups are the container's, those of a namespace of the host's are the host's. A
// range that ends where no group is mapped keeps its end.
std::string on_host(const std::string& range, const IdMap& groups) {
  std::istringstream words(range);
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  if (!(words >> first >> last)) return range;
  return join(groups.to_host(first).value_or(first), " ", groups.to_host(last).value_or(last));
}

Result<void> write_sysctl(int sysctls_fd, const std::string& path, const std::string& value) {
  const UniqueFd file =
      TRY(sys::openat2(sysctls_fd, path, O_WRONLY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
              .in("linux.sysctl"));
  return sys::write_all(file.get(), value).in(join("linux.sysctl ", path, "=", value));
}

Result<void> set_sysctls(const BirthPlan& plan) {
  const UniqueFd sysctls = TRY(sys::open("/proc/sys", O_PATH | O_DIRECTORY));
  const OciLinux& linux_part = plan.spec.linux_part;
  bool has_first_free_port = false;
  for (const auto& [path, value] : linux_part.sysctl) {
    if (!is_foreign_sysctl(plan, path)) continue;
    has_first_free_port |= path == kFirstFreePort;
    const bool is_groups = path == kPingGroups;
    TRY(write_sysctl(sysctls.get(), path,
                     is_groups ? on_host(value, linux_part.gid_mappings) : value));
  }
  if (!plan.joined.is_foreign(NamespaceType::kNetwork) || has_first_free_port) return {};
  // Without CAP_NET_BIND_SERVICE there no sshd could listen at port 22. What Docker and
  // Kubernetes set for every container.
  return write_sysctl(sysctls.get(), kFirstFreePort, "0");
}

}  // namespace

Result<void> set_names(const OciSpec& spec) {
  if (!spec.hostname.empty() && ::sethostname(spec.hostname.c_str(), spec.hostname.size()) != 0) {
    return last_error("set hostname '", spec.hostname, "'");
  }
  if (!spec.domainname.empty() &&
      ::setdomainname(spec.domainname.c_str(), spec.domainname.size()) != 0) {
    return last_error("set domainname '", spec.domainname, "'");
  }
  return {};
}

Result<void> set_up_foreign_namespaces(const BirthPlan& plan) {
  if (plan.joined.is_foreign(NamespaceType::kUts)) TRY(set_names(plan.spec));
  if (const JoinedNamespace* network = plan.joined.find(NamespaceType::kNetwork);
      network != nullptr && network->foreign) {
    log::warning("network namespace '", network->path,
                 "' belongs to the host's user namespace: root inside can use it, but cannot "
                 "configure it (no iptables, no inner container networks); have the engine make "
                 "a user namespace first (--userns=auto, hostUsers: false)");
  }
  const bool has_foreign = plan.joined.is_foreign(NamespaceType::kNetwork) ||
                           plan.joined.is_foreign(NamespaceType::kIpc) ||
                           plan.joined.is_foreign(NamespaceType::kUts);
  return has_foreign ? set_sysctls(plan) : Result<void>();
}

bool is_foreign_sysctl(const BirthPlan& plan, const std::string& path) {
  if (path.starts_with("net/")) return plan.joined.is_foreign(NamespaceType::kNetwork);
  if (path == "kernel/domainname") return plan.joined.is_foreign(NamespaceType::kUts);
  const bool is_ipc = path.starts_with("fs/mqueue/") || path.starts_with("kernel/shm") ||
                      path.starts_with("kernel/msg") || path == "kernel/sem";
  return is_ipc && plan.joined.is_foreign(NamespaceType::kIpc);
}

}  // namespace sysbox::runc
