#include "runc-ext/container/record_json.h"

#include <nlohmann/json.hpp>

#include "common/json_fields.h"
#include "runc-ext/oci/resources_json.h"

namespace sysbox::runc {
namespace {

using nlohmann::json;

// Raised when an older sysbox-runc could misread what a newer one writes. New members with a
// sensible default when absent do not need it.
constexpr int kFormat = 2;
// Format 1 had a few members of the process by themselves.
constexpr int kFormatWithoutProcess = 1;

json to_json(const IdMap& map) {
  json lines = json::array();
  for (const IdMapEntry& entry : map.entries) {
    lines.push_back({{"containerID", entry.container_first},
                     {"hostID", entry.host_first},
                     {"size", entry.count}});
  }
  return lines;
}

Result<IdMapEntry> parse_id_map_entry(const json& line, const std::string& path) {
  IdMapEntry entry;
  JsonFields in(line, path);
  in.required("containerID", entry.container_first);
  in.required("hostID", entry.host_first);
  in.required("size", entry.count);
  TRY(std::move(in).finish());
  return entry;
}

json to_json(const CgroupState& cgroup) {
  return {{"directories", cgroup.directories},
          {"delegated", cgroup.delegated},
          {"leaf", cgroup.leaf},
          {"unit", cgroup.unit},
          {"resources", resources_json(cgroup.resources)}};
}

Result<CgroupState> parse_cgroup_state(const json& object, const std::string& path) {
  CgroupState cgroup;
  JsonFields in(object, path);
  in.optional("directories", cgroup.directories);
  in.optional("delegated", cgroup.delegated);
  in.optional("leaf", cgroup.leaf);
  in.optional("unit", cgroup.unit);
  in.optional_object("resources", cgroup.resources, parse_resources);
  TRY(std::move(in).finish());
  return cgroup;
}

// Process, hooks and seccomp are written as config.json has them, and read by its own parsers.
json to_json(const std::vector<OciHook>& hooks) {
  json list = json::array();
  for (const OciHook& hook : hooks) {
    json object = {{"path", hook.path}, {"args", hook.args}, {"env", hook.env}};
    if (hook.timeout_seconds) object["timeout"] = *hook.timeout_seconds;
    list.push_back(std::move(object));
  }
  return list;
}

json to_json(const OciSeccompRule& rule) {
  json object = {{"names", rule.names}, {"action", rule.action}};
  if (rule.errno_ret) object["errnoRet"] = *rule.errno_ret;
  json args = json::array();
  for (const OciSeccompArg& arg : rule.args) {
    args.push_back(
        {{"index", arg.index}, {"value", arg.value}, {"valueTwo", arg.value_two}, {"op", arg.op}});
  }
  if (!args.empty()) object["args"] = std::move(args);
  return object;
}

json to_json(const OciSeccomp& seccomp) {
  json object = {{"defaultAction", seccomp.default_action},
                 {"architectures", seccomp.architectures},
                 {"flags", seccomp.flags}};
  if (seccomp.default_errno_ret) object["defaultErrnoRet"] = *seccomp.default_errno_ret;
  if (!seccomp.listener_path.empty()) object["listenerPath"] = seccomp.listener_path;
  if (!seccomp.listener_metadata.empty()) object["listenerMetadata"] = seccomp.listener_metadata;
  json rules = json::array();
  for (const OciSeccompRule& rule : seccomp.rules) rules.push_back(to_json(rule));
  object["syscalls"] = std::move(rules);
  return object;
}

Result<int> format_of(const json& document) {
  int format = 0;
  JsonFields in(document, "");
  in.required("version", format);
  TRY(std::move(in).finish());
  if (format < kFormatWithoutProcess) return Error(EINVAL, "version: is below 1");
  if (format > kFormat) {
    return Error(ENOTSUP, join("written by a newer sysbox-runc (format ", format,
                               ", this one reads up to ", kFormat, ")"));
  }
  return format;
}

Result<OciProcess> process_of_format_1(const json& document) {
  json process = {{"args", {"?"}}};
  for (const char* member : {"user", "rlimits", "noNewPrivileges", "env", "cwd"}) {
    if (document.contains(member)) process[member] = document[member];
  }
  return parse_process(process, "");
}

}  // namespace

std::string record_text(const ContainerRecord& record) {
  json document = {
      {"version", kFormat},
      {"id", record.id},
      {"ociVersion", record.oci_version},
      {"bundle", record.bundle},
      {"rootfs", record.rootfs},
      {"created", record.created},
      {"annotations", record.annotations},
      {"init_process_pid", record.init_pid},
      {"init_process_start", record.init_start_time},
      {"uidMappings", to_json(record.uid_map)},
      {"gidMappings", to_json(record.gid_map)},
      {"cgroup", to_json(record.cgroup)},
      {"sharesPidNamespace", record.shares_pid_namespace},
      {"rangesRegistered", record.ranges_registered},
      {"emulationRegistered", record.emulation_registered},
      {"process", process_json(record.process)},
      {"hooks", {{"poststart", to_json(record.poststart)}, {"poststop", to_json(record.poststop)}}},
  };
  if (record.seccomp) document["seccomp"] = to_json(*record.seccomp);
  if (record.personality) document["personality"] = *record.personality;
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<ContainerRecord> parse_record(std::string_view text) {
  const json document = TRY(parse_json(text));
  const int format = TRY(format_of(document));
  ContainerRecord record;
  OciHooks hooks;
  JsonFields in(document, "");
  in.required("id", record.id);
  in.required("ociVersion", record.oci_version);
  in.required("bundle", record.bundle);
  in.required("rootfs", record.rootfs);
  in.required("created", record.created);
  in.optional("annotations", record.annotations);
  in.required("init_process_pid", record.init_pid);
  in.required("init_process_start", record.init_start_time);
  in.optional_array("uidMappings", record.uid_map.entries, parse_id_map_entry);
  in.optional_array("gidMappings", record.gid_map.entries, parse_id_map_entry);
  in.optional_object("cgroup", record.cgroup, parse_cgroup_state);
  in.optional("sharesPidNamespace", record.shares_pid_namespace);
  in.optional("rangesRegistered", record.ranges_registered);
  in.optional("emulationRegistered", record.emulation_registered);
  if (format == kFormatWithoutProcess) {
    record.process = TRY(process_of_format_1(document));
  } else {
    in.required_object("process", record.process, parse_process);
  }
  in.optional_object("seccomp", record.seccomp, parse_seccomp);
  in.optional("personality", record.personality);
  in.optional_object("hooks", hooks, parse_hooks);
  TRY(std::move(in).finish());
  record.poststart = std::move(hooks.poststart);
  record.poststop = std::move(hooks.poststop);
  return record;
}

OciState state_of(const ContainerRecord& record, ContainerStatus status) {
  OciState state;
  state.oci_version = record.oci_version;
  state.id = record.id;
  state.status = status_name(status);
  state.pid = status == ContainerStatus::kStopped ? 0 : record.init_pid;
  state.bundle = record.bundle;
  state.rootfs = record.rootfs;
  state.created = record.created;
  state.annotations = record.annotations;
  return state;
}

}  // namespace sysbox::runc
