// config.json comes from engines, but its text is largely a tenant's: parse it and convert it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/log.h"
#include "common/syscalls.h"
#include "runc-ext/cgroup/property_annotations.h"
#include "runc-ext/cgroup/scope_name.h"
#include "runc-ext/cgroup/unit_properties.h"
#include "runc-ext/oci/resources_json.h"
#include "runc-ext/oci/spec.h"
#include "runc-ext/system_container/convert.h"

namespace sysbox::runc {
namespace {

// A directory that is gone: every look-up inside fails at once, whatever the input names.
const RootDir& empty_rootfs() {
  static const RootDir rootfs = [] {
    std::string path = "/tmp/spec_fuzz.XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) std::abort();
    Result<RootDir> opened = RootDir::open(path);
    if (!opened.ok() || ::rmdir(path.c_str()) != 0) std::abort();
    return std::move(opened).value();
  }();
  return rootfs;
}

// What goes to systemd's cgroup driver, and what state.json keeps of it for `update`.
void check_cgroup(const OciSpec& spec) {
  static_cast<void>(parse_property_annotations(spec.annotations).ok());
  static_cast<void>(parse_scope_name(spec.linux_part.cgroups_path, "id").ok());
  OciResources resources = spec.linux_part.resources;
  static_cast<void>(resource_properties(resources, {}).ok());
  const nlohmann::json kept = resources_json(spec.linux_part.resources);
  const Result<OciResources> read = parse_resources(kept, "resources");
  if (!read.ok() || resources_json(read.value()) != kept) std::abort();
}

void check(std::string_view text) {
  Result<OciSpec> spec = parse_spec(text);
  if (!spec.ok()) return;
  check_cgroup(spec.value());
  if (!convert_to_system_container(spec.value(), empty_rootfs()).ok()) return;
  // What was accepted once must be accepted again, and stay as it is.
  const std::size_t mounts = spec.value().mounts.size();
  if (!convert_to_system_container(spec.value(), empty_rootfs()).ok()) std::abort();
  if (spec.value().mounts.size() != mounts) std::abort();
}

}  // namespace
}  // namespace sysbox::runc

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  sysbox::log::set_level(sysbox::log::Level::kError);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sysbox::runc::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
