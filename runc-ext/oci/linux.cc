#include "runc-ext/oci/linux.h"

#include <sched.h>
#include <sys/personality.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/json_fields.h"
#include "common/log.h"
#include "common/root_dir.h"
#include "runc-ext/oci/checks.h"
#include "runc-ext/oci/id_map.h"

namespace sysbox::runc {
namespace {

constexpr std::array<std::string_view, 9> kPropagations = {
    "", "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"};

constexpr std::int64_t kMaxMajor = (1 << 12) - 1;  // MINORBITS of the kernel's dev_t is 20
constexpr std::int64_t kMaxMinor = (1 << 20) - 1;

Result<OciNamespace> parse_namespace(const nlohmann::json& entry, const std::string& path) {
  OciNamespace out;
  std::string type;
  JsonFields in(entry, path);
  in.required("type", type);
  in.optional("path", out.path);
  if (!out.path.empty()) require_absolute(in, "path", out.path);
  const std::vector<NamespaceInfo>& infos = namespace_infos();
  const auto info = std::find_if(infos.begin(), infos.end(),
                                 [&type](const auto& row) { return row.oci_name == type; });
  if (info == infos.end()) {
    in.fail(in.path_of("type"), join("'", type, "' is not a type of namespace"));
  } else {
    out.type = info->type;
  }
  TRY(std::move(in).finish());
  return out;
}

void refuse_duplicates(JsonFields& in, const std::vector<OciNamespace>& namespaces) {
  for (std::size_t i = 0; i < namespaces.size(); ++i) {
    for (std::size_t earlier = 0; earlier < i; ++earlier) {
      if (namespaces[i].type != namespaces[earlier].type) continue;
      in.fail(join(in.path_of("namespaces"), "[", i, "].type"),
              join("'", namespace_info(namespaces[i].type).oci_name, "' is listed twice"));
    }
  }
}

char device_type(JsonFields& in, const std::string& type) {
  if (type == "b" || type == "c" || type == "u" || type == "p") return type[0];
  in.fail(in.path_of("type"), join("'", type, "' is not one of b, c, u, p"));
  return 'c';
}

void check_device_number(JsonFields& in, std::string_view name, std::int64_t number,
                         std::int64_t max) {
  if (number < 0 || number > max) {
    in.fail(in.path_of(name), join(number, " is not between 0 and ", max));
  }
}

Result<OciDevice> parse_device(const nlohmann::json& device, const std::string& path) {
  OciDevice out;
  std::string type;
  std::int64_t major_number = 0;
  std::int64_t minor_number = 0;
  JsonFields in(device, path);
  in.required("type", type);
  out.type = device_type(in, type);
  in.required("path", out.path);
  require_absolute(in, "path", out.path);
  if (clean_path(out.path) == "/" || clean_path(out.path) == "/dev") {
    in.fail(in.path_of("path"), join("'", out.path, "' cannot be a device"));
  }
  if (out.type == 'p') {
    in.optional("major", major_number);
    in.optional("minor", minor_number);
  } else {
    in.required("major", major_number);
    in.required("minor", minor_number);
  }
  check_device_number(in, "major", major_number, kMaxMajor);
  check_device_number(in, "minor", minor_number, kMaxMinor);
  in.optional("fileMode", out.file_mode);
  in.optional("uid", out.uid);
  in.optional("gid", out.gid);
  TRY(std::move(in).finish());
  out.path = clean_path(out.path);
  out.device = makedev(static_cast<unsigned>(major_number), static_cast<unsigned>(minor_number));
  // Engines pass st_mode whole; the type of file is in "type".
  if (out.file_mode) *out.file_mode &= 07777;
  return out;
}

Result<OciTimeOffset> parse_time_offset(const nlohmann::json& offset, const std::string& path) {
  OciTimeOffset out;
  JsonFields in(offset, path);
  in.optional("secs", out.seconds);
  in.optional("nanosecs", out.nanoseconds);
  if (out.nanoseconds >= 1'000'000'000) {
    in.fail(in.path_of("nanosecs"), join(out.nanoseconds, " is a second or more"));
  }
  TRY(std::move(in).finish());
  return out;
}

Result<std::map<std::string, OciTimeOffset>> parse_time_offsets(const nlohmann::json& offsets,
                                                                const std::string& path) {
  std::map<std::string, OciTimeOffset> out;
  JsonFields in(offsets, path);
  TRY(JsonFields(offsets, path).finish());
  for (const auto& [clock, offset] : offsets.items()) {
    if (clock != "monotonic" && clock != "boottime") {
      return Error(EINVAL, join(path, ".", clock, ": expected monotonic or boottime"));
    }
    out[clock] = TRY(parse_time_offset(offset, in.path_of(clock)));
  }
  return out;
}

// A key names a file below /proc/sys. The first separator tells which of "." and "/" separates;
// the other one is then part of a name: "net.ipv4.conf.eth0/100.rp_filter" (sysctl.d(5)).
std::string sysctl_path(std::string key) {
  const std::size_t first = key.find_first_of("./");
  if (first == std::string::npos || key[first] == '/') return key;
  for (char& c : key) {
    if (c == '.') {
      c = '/';
    } else if (c == '/') {
      c = '.';
    }
  }
  return key;
}

bool is_sysctl_path(const std::string& path) {
  return !path.empty() && path == clean_path(path).substr(1);
}

void read_sysctls(JsonFields& in, std::map<std::string, std::string>& sysctls) {
  std::map<std::string, std::string> given;
  in.optional("sysctl", given);
  for (auto& [key, value] : given) {
    const std::string path = sysctl_path(key);
    if (!is_sysctl_path(path)) in.fail(in.path_of("sysctl"), join("'", key, "' is no sysctl"));
    if (path == "kernel/hostname") {
      in.fail(in.path_of("sysctl"), join("sysctl \"", key,
                                         "\" is not allowed as it conflicts with the OCI "
                                         "\"hostname\" field"));
    }
    sysctls[path] = std::move(value);
  }
}

// Without the kernel's resctrl there is nothing to be had, and nothing to be missed if nothing in
// particular is asked for; with it, the groups are the whole host's to divide.
Result<bool> parse_intel_rdt(const nlohmann::json& rdt, const std::string& path) {
  std::string clos_id;
  std::string l3_cache_schema;
  std::string mem_bw_schema;
  JsonFields in(rdt, path);
  in.optional("closID", clos_id);
  in.optional("l3CacheSchema", l3_cache_schema);
  in.optional("memBwSchema", mem_bw_schema);
  if (clos_id == "." || clos_id == ".." || clos_id.find('/') != std::string::npos) {
    in.fail(in.path_of("closID"), join("'", clos_id, "' is no name of a class"));
  }
  const bool has_resctrl = ::access("/sys/fs/resctrl/info", F_OK) == 0;
  if (!l3_cache_schema.empty() && !has_resctrl) {
    in.fail(in.path_of("l3CacheSchema"), "is specified, but Intel RDT/CAT is not enabled");
  }
  if (!mem_bw_schema.empty() && !has_resctrl) {
    in.fail(in.path_of("memBwSchema"), "is specified, but Intel RDT/MBA is not enabled");
  }
  if (has_resctrl) refuse(in, "closID", "classes of service are the host administrator's");
  if (has_resctrl) refuse(in, "l3CacheSchema", "the processor's caches are the host's");
  if (has_resctrl) refuse(in, "memBwSchema", "memory bandwidth is the host's");
  TRY(std::move(in).finish());
  return true;
}

void read_paths(JsonFields& in, std::string_view name, std::vector<std::string>& paths) {
  in.optional(name, paths);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    require_absolute(in, join(name, "[", i, "]"), paths[i]);
    paths[i] = clean_path(paths[i]);
  }
}

Result<unsigned long> parse_personality(const nlohmann::json& personality,
                                        const std::string& path) {
  std::string domain;
  std::vector<std::string> flags;
  JsonFields in(personality, path);
  in.required("domain", domain);
  if (domain != "LINUX" && domain != "LINUX32") {
    in.fail(in.path_of("domain"), join("'", domain, "' is neither LINUX nor LINUX32"));
  }
  in.optional("flags", flags);
  TRY(std::move(in).finish());
  // The specification has the member, but no value for it yet.
  if (!flags.empty()) log::warning(path, ".flags: '", flags[0], "' is not known, ignoring");
  return static_cast<unsigned long>(domain == "LINUX" ? PER_LINUX : PER_LINUX32);
}

}  // namespace

const std::vector<NamespaceInfo>& namespace_infos() {
  static const std::vector<NamespaceInfo> infos = {
      {NamespaceType::kUser, "user", "user", CLONE_NEWUSER},
      {NamespaceType::kPid, "pid", "pid", CLONE_NEWPID},
      {NamespaceType::kNetwork, "network", "net", CLONE_NEWNET},
      {NamespaceType::kMount, "mount", "mnt", CLONE_NEWNS},
      {NamespaceType::kIpc, "ipc", "ipc", CLONE_NEWIPC},
      {NamespaceType::kUts, "uts", "uts", CLONE_NEWUTS},
      {NamespaceType::kCgroup, "cgroup", "cgroup", CLONE_NEWCGROUP},
      {NamespaceType::kTime, "time", "time", CLONE_NEWTIME},
  };
  return infos;
}

const NamespaceInfo& namespace_info(NamespaceType type) {
  return namespace_infos()[static_cast<std::size_t>(type)];
}

const OciNamespace* OciLinux::find_namespace(NamespaceType type) const {
  for (const OciNamespace& entry : namespaces) {
    if (entry.type == type) return &entry;
  }
  return nullptr;
}

Result<OciLinux> parse_linux(const nlohmann::json& linux_part, const std::string& path) {
  OciLinux out;
  JsonFields in(linux_part, path);
  in.optional_array("namespaces", out.namespaces, parse_namespace);
  refuse_duplicates(in, out.namespaces);
  in.optional_object("uidMappings", out.uid_mappings, parse_id_map);
  in.optional_object("gidMappings", out.gid_mappings, parse_id_map);
  in.optional_object("timeOffsets", out.time_offsets, parse_time_offsets);
  in.optional_array("devices", out.devices, parse_device);
  in.optional("cgroupsPath", out.cgroups_path);
  in.optional_object("resources", out.resources, parse_resources);
  in.optional_object("seccomp", out.seccomp, parse_seccomp);
  read_sysctls(in, out.sysctl);
  read_paths(in, "maskedPaths", out.masked_paths);
  read_paths(in, "readonlyPaths", out.readonly_paths);
  in.optional("rootfsPropagation", out.rootfs_propagation);
  require_one_of(in, "rootfsPropagation", out.rootfs_propagation, kPropagations,
                 "a kind of mount propagation");
  in.optional("mountLabel", out.mount_label);
  in.optional_object("personality", out.personality, parse_personality);
  bool has_intel_rdt = false;
  in.optional_object("intelRdt", has_intel_rdt, parse_intel_rdt);
  refuse(in, "netDevices", "move network devices in from a hook");
  refuse(in, "memoryPolicy", "start the program with numactl(8) instead");
  TRY(std::move(in).finish());
  const OciNamespace* user = out.find_namespace(NamespaceType::kUser);
  out.engine_knows_ids =
      !out.uid_mappings.entries.empty() || (user != nullptr && !user->path.empty());
  return out;
}

}  // namespace sysbox::runc
