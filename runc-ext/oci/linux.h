#pragma once

// config.json "linux" without its resources and seccomp parts (config-linux.md).

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/id_range.h"
#include "common/result.h"
#include "runc-ext/oci/resources.h"
#include "runc-ext/oci/seccomp.h"

namespace sysbox::runc {

enum class NamespaceType { kUser, kPid, kNetwork, kMount, kIpc, kUts, kCgroup, kTime };

struct NamespaceInfo {
  NamespaceType type;
  const char* oci_name;   // "network"
  const char* proc_name;  // "net", as in /proc/PID/ns/
  int clone_flag;         // CLONE_NEW*
};
// Every namespace type, by the order of NamespaceType.
const std::vector<NamespaceInfo>& namespace_infos();
const NamespaceInfo& namespace_info(NamespaceType type);

struct OciNamespace {
  NamespaceType type = NamespaceType::kMount;
  std::string path;  // empty: a new one
};

struct OciDevice {
  char type = 'c';   // b, c, u, p
  std::string path;  // in the container, absolute
  dev_t device = 0;
  std::optional<std::uint32_t> file_mode;
  std::optional<std::uint32_t> uid;  // in the container
  std::optional<std::uint32_t> gid;
};

struct OciTimeOffset {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
};

struct OciLinux {
  std::vector<OciNamespace> namespaces;
  IdMap uid_mappings;
  IdMap gid_mappings;
  // The engine chose the ids (mappings, or a user namespace to join) and so knows them; otherwise
  // it takes the container's ids for the host's.
  bool engine_knows_ids = false;
  std::map<std::string, OciTimeOffset> time_offsets;  // "monotonic", "boottime"
  std::vector<OciDevice> devices;
  std::string cgroups_path;
  OciResources resources;
  std::optional<OciSeccomp> seccomp;
  std::map<std::string, std::string> sysctl;  // by path below /proc/sys: "net/ipv4/ip_forward"
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::string rootfs_propagation;  // "", "private", "rslave" …
  std::string mount_label;
  std::optional<unsigned long> personality;  // PER_* of sys/personality.h

  const OciNamespace* find_namespace(NamespaceType type) const;
};

Result<OciLinux> parse_linux(const nlohmann::json& linux_part, const std::string& path);

}  // namespace sysbox::runc
