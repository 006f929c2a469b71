#include "runc-ext/cgroup/scope_name.h"

#include <algorithm>
#include <string_view>

namespace sysbox::runc {
namespace {

constexpr std::string_view kSliceSuffix = ".slice";
constexpr const char* kDefaultSlice = "system.slice";
constexpr const char* kDefaultPrefix = "sysbox";
constexpr std::size_t kMaxUnitName = 255;  // systemd's

// What systemd takes in the name of a unit; above all no slash, as it becomes a directory.
bool is_unit_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(":-_.\\@").find(c) != std::string_view::npos;
  };
  return name.size() <= kMaxUnitName && std::all_of(name.begin(), name.end(), allowed);
}

Error wrong_path(const std::string& cgroups_path, const std::string& why) {
  return {EINVAL, join("linux.cgroupsPath '", cgroups_path, "': ", why)};
}

}  // namespace

Result<std::string> expand_slice(const std::string& slice) {
  const Error invalid(EINVAL, join("invalid slice name: '", slice, "'"));
  if (!slice.ends_with(kSliceSuffix) || !is_unit_name(slice)) return invalid;
  const std::string name = slice.substr(0, slice.size() - kSliceSuffix.size());
  if (name == "-") return std::string();
  std::string path;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t dash = std::min(name.find('-', begin), name.size());
    if (dash == begin) return invalid;  // "-a.slice", "a--b.slice", "a-.slice", ".slice"
    path += join("/", name.substr(0, dash), kSliceSuffix);
    begin = dash + 1;
  }
  return path;
}

Result<ScopeName> parse_scope_name(const std::string& cgroups_path, const std::string& id) {
  std::string slice, prefix = kDefaultPrefix, name = id;
  if (!cgroups_path.empty()) {
    if (std::count(cgroups_path.begin(), cgroups_path.end(), ':') != 2) {
      return Error(EINVAL, join("linux.cgroupsPath: expected cgroupsPath to be of format "
                                "\"slice:prefix:name\" for systemd cgroups, got \"",
                                cgroups_path, "\" instead"));
    }
    const std::size_t first = cgroups_path.find(':');
    const std::size_t second = cgroups_path.find(':', first + 1);
    slice = cgroups_path.substr(0, first);
    prefix = cgroups_path.substr(first + 1, second - first - 1);
    name = cgroups_path.substr(second + 1);
    if (name.empty()) return wrong_path(cgroups_path, "the name is empty");
    if (name.ends_with(kSliceSuffix)) {
      return wrong_path(cgroups_path, "a container runs in a scope, not in a slice");
    }
  }
  ScopeName scope;
  scope.slice = slice.empty() ? kDefaultSlice : slice;
  scope.unit = join(prefix, "-", name, ".scope");
  if (!is_unit_name(scope.unit)) {
    return wrong_path(cgroups_path, join("'", scope.unit, "' cannot be the name of a unit"));
  }
  scope.path = join(TRY(expand_slice(scope.slice).in("linux.cgroupsPath")), "/", scope.unit);
  return scope;
}

}  // namespace sysbox::runc
