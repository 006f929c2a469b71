// The part of Cgroup that asks systemd for a scope instead of making directories itself. What the
// scope is asked for is delegation: systemd then leaves alone what is below it.

#include "runc-ext/cgroup/systemd_scope.h"

#include "runc-ext/cgroup/cgroup.h"
#include "runc-ext/cgroup/property_annotations.h"
#include "runc-ext/cgroup/scope_name.h"
#include "runc-ext/cgroup/systemd_bus.h"

namespace sysbox::runc {

Result<Cgroup> Cgroup::plan_scope(const CgroupHost& host, const std::string& cgroups_path,
                                  const std::string& id,
                                  const std::map<std::string, std::string>& annotations) {
  const ScopeName name = TRY(parse_scope_name(cgroups_path, id));
  Cgroup cgroup = TRY(plan(host, name.path, id));
  cgroup.state_.unit = name.unit;
  cgroup.slice_ = name.slice;
  cgroup.unit_properties_ = TRY(parse_property_annotations(annotations));
  return cgroup;
}

Result<void> Cgroup::start_scope() {
  SystemdBus bus = TRY(SystemdBus::connect().in("--systemd-cgroup"));
  keeper_ = TRY(ScopeKeeper::start());
  const char* io_accounting =
      host_.layout == CgroupLayout::kV2 ? "IOAccounting" : "BlockIOAccounting";
  std::vector<UnitProperty> properties = {
      unit_property("Description", join("sysbox container in ", state_.unit)),
      unit_property("Slice", slice_),
      unit_property("Delegate", true),
      {"PIDs", "au", {static_cast<std::uint64_t>(keeper_.pid())}},
      unit_property("MemoryAccounting", true),
      unit_property("CPUAccounting", true),
      unit_property(io_accounting, true),
      unit_property("TasksAccounting", true),
      unit_property("DefaultDependencies", false),
  };
  properties.insert(properties.end(), unit_properties_.begin(), unit_properties_.end());
  Result<void> started = bus.start_scope(state_.unit, properties);
  if (!started && started.error().code() == EEXIST) {
    // What an earlier container of this name has left as failed.
    TRY(bus.forget_failed(state_.unit));
    started = bus.start_scope(state_.unit, properties);
  }
  if (!started) keeper_ = ScopeKeeper();
  return started;
}

Result<void> Cgroup::set_unit_properties(OciResources& resources) const {
  SystemdBus bus = TRY(SystemdBus::connect().in("--systemd-cgroup"));
  UnitFeatures features;
  features.v2 = state_.directories.size() == 1 && !v2_directory().empty();
  features.with_devices = fresh_;
  if (resources.cpu.idle || resources.unified.contains("cpu.idle")) {
    features.systemd_version = TRY(bus.version());
  }
  const std::vector<UnitProperty> properties = TRY(resource_properties(resources, features));
  return bus.set_properties(state_.unit, properties);
}

Result<void> stop_scope(const std::string& unit) {
  SystemdBus bus = TRY(SystemdBus::connect().in("--systemd-cgroup"));
  return bus.stop(unit);
}

}  // namespace sysbox::runc
