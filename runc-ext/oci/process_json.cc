#include <nlohmann/json.hpp>

#include "runc-ext/oci/process.h"

namespace sysbox::runc {
namespace {

using nlohmann::json;

json names_of(std::uint64_t set) {
  json names = json::array();
  for (int number = 0; number < kernel_capability_count(); ++number) {
    if ((set >> static_cast<unsigned>(number) & 1U) == 0) continue;
    std::string name = capability_name(number);
    // One that this build cannot name could not have come from a config.json either.
    if (!name.empty()) names.push_back(std::move(name));
  }
  return names;
}

json to_json(const OciUser& user) {
  json object = {{"uid", user.uid}, {"gid", user.gid}, {"additionalGids", user.additional_gids}};
  if (user.umask) object["umask"] = *user.umask;
  return object;
}

json to_json(const OciCapabilities& sets) {
  return {{"bounding", names_of(sets.bounding)},
          {"effective", names_of(sets.effective)},
          {"permitted", names_of(sets.permitted)},
          {"inheritable", names_of(sets.inheritable)},
          {"ambient", names_of(sets.ambient)}};
}

json to_json(const std::vector<OciRlimit>& rlimits) {
  json list = json::array();
  for (const OciRlimit& limit : rlimits) {
    list.push_back({{"type", limit.name}, {"soft", limit.soft}, {"hard", limit.hard}});
  }
  return list;
}

json to_json(const OciScheduler& scheduler) {
  return {{"policy", scheduler.policy},   {"flags", scheduler.flags},
          {"nice", scheduler.nice},       {"priority", scheduler.priority},
          {"runtime", scheduler.runtime}, {"deadline", scheduler.deadline},
          {"period", scheduler.period}};
}

}  // namespace

json process_json(const OciProcess& process) {
  json object = {
      {"terminal", process.terminal},
      {"user", to_json(process.user)},
      {"args", process.args},
      {"env", process.env},
      {"cwd", process.cwd},
      {"rlimits", to_json(process.rlimits)},
      {"noNewPrivileges", process.no_new_privileges},
      {"apparmorProfile", process.apparmor_profile},
      {"selinuxLabel", process.selinux_label},
      {"execCPUAffinity",
       {{"initial", process.exec_cpu_affinity.initial},
        {"final", process.exec_cpu_affinity.final}}},
  };
  if (process.console_size) {
    object["consoleSize"] = {{"height", process.console_size->height},
                             {"width", process.console_size->width}};
  }
  if (process.capabilities) object["capabilities"] = to_json(*process.capabilities);
  if (process.oom_score_adj) object["oomScoreAdj"] = *process.oom_score_adj;
  if (process.scheduler) object["scheduler"] = to_json(*process.scheduler);
  if (process.io_priority) {
    object["ioPriority"] = {{"class", process.io_priority->io_class},
                            {"priority", process.io_priority->priority}};
  }
  return object;
}

}  // namespace sysbox::runc
