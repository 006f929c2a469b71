#include "runc-ext/system_container/switches.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "common/root_dir.h"
#include "mgr/api.h"
#include "runc-ext/system_container/seccomp_doors.h"

namespace sysbox::runc {
namespace {

constexpr std::string_view kVariablePrefix = "SYSBOX_";
constexpr std::string_view kTrueOrFalse = "true, false";
constexpr std::string_view kAutoOrBoth = "auto, true, false";
constexpr int kLeastFloor = -1000;  // OOM_SCORE_ADJ_MIN
constexpr int kMostFloor = 1000;

// Takes the value over; false: it is none of the switch's.
using Take = bool (*)(Switches& switches, std::string_view value);

struct Switch {
  const char* annotation;  // without the prefix
  const char* variable;    // without the prefix; nullptr: none
  std::string_view values;
  const char* initial;
  Take take;
  const char* effect;
  const char* why_idle = nullptr;  // set: the switch is understood and has no effect
};

template <bool Switches::*kMember>
bool take_bool(Switches& switches, std::string_view value) {
  switches.*kMember = value == "true";
  return true;
}

bool take_nothing(Switches& /*switches*/, std::string_view /*value*/) { return true; }

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= list.size();) {
    const std::size_t end = std::min(list.find(',', start), list.size());
    parts.emplace_back(list.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

bool take_paths(Switches& switches, std::string_view value) {
  switches.unshifted.clear();
  for (const std::string& path : split(value)) {
    if (!path.starts_with('/')) return false;
    switches.unshifted.push_back(clean_path(path));
  }
  return true;
}

bool take_doors(Switches& switches, std::string_view value) {
  switches.open_doors.clear();
  for (std::string& name : split(value)) {
    if (find_seccomp_door(name) == nullptr) return false;
    switches.open_doors.push_back(std::move(name));
  }
  return true;
}

template <Choice Switches::*kMember>
bool take_choice(Switches& switches, std::string_view value) {
  if (value == "auto") {
    switches.*kMember = Choice::kAuto;
  } else if (value == "true") {
    switches.*kMember = Choice::kYes;
  } else if (value == "false") {
    switches.*kMember = Choice::kNo;
  } else {
    return false;
  }
  return true;
}

bool take_cgroup(Switches& switches, std::string_view value) {
  if (value == "auto") {
    switches.cgroup = CgroupTree::kAuto;
  } else if (value == "host") {
    switches.cgroup = CgroupTree::kHost;
  } else if (value == "v2") {
    switches.cgroup = CgroupTree::kV2;
  } else {
    return false;
  }
  return true;
}

bool take_floor(Switches& switches, std::string_view value) {
  int number = 0;
  const auto [end, error] = std::from_chars(value.begin(), value.end(), number);
  if (error != std::errc{} || end != value.end()) return false;
  switches.oom_score_floor = number;
  return number >= kLeastFloor && number <= kMostFloor;
}

bool take_ids(Switches& switches, std::string_view value) {
  const auto [end, error] = std::from_chars(value.begin(), value.end(), switches.ids);
  return error == std::errc{} && end == value.end() && switches.ids >= mgr::kRangeSize &&
         switches.ids <= mgr::kMostIds;
}

// Every switch. To add one: a line here; docs/switches.md is printed from it.
constexpr std::array kSwitches = {
    Switch{"allow-trusted-xattr", "ALLOW_TRUSTED_XATTR", kTrueOrFalse, "false", take_nothing,
           "none",
           "engines inside use overlayfs with user.overlay.* attributes, which need no help"},
    Switch{"cgroup", nullptr, "auto, host, v2", "auto", take_cgroup,
           "/sys/fs/cgroup on a host with cgroup v1 and v2: `host` shows all hierarchies as the "
           "host has them, `v2` the v2 hierarchy alone; `auto`: `v2` if the program is systemd "
           "258 or newer, which knows no other"},
    Switch{"commit-volumes", "COMMIT_VOLUMES", kTrueOrFalse, "true",
           take_bool<&Switches::commit_volumes>,
           "`true`: images that an engine makes from the container hold what is in the volumes of "
           "its special directories, inner images too (see inner-images.md)"},
    Switch{"hardware", nullptr, kAutoOrBoth, "auto", take_choice<&Switches::hardware>,
           "whether /sys and /proc show the host's cards, disks and their serial numbers; `auto`: "
           "if the container has a device of the host (`--device`) other than those that every "
           "machine has"},
    Switch{"honor-capabilities", "HONOR_CAPS", kAutoOrBoth, "auto",
           take_choice<&Switches::honor_capabilities>,
           "`true`: capabilities as the engine asks for them; `false`: all for root; `auto`: all "
           "for root instead of what engines ask for by default or more, but a smaller set "
           "(`--cap-drop`) or one with ambient capabilities as asked for"},
    Switch{"ids", "IDS", "65536 … 2147483648", "sysbox-mgr's --ids, 65536", take_ids,
           "how many user and group ids the container has, rounded up to a multiple of 65536; the "
           "users that useradd makes on Debian have subordinate ids from 100000 on, 65536 each, so "
           "`196608` is enough for rootless engines of the first, `786432` for those of ten. No "
           "effect if the engine chooses the ids"},
    Switch{"ignore-sysfs-chown", "IGNORE_SYSFS_CHOWN", kTrueOrFalse, "false", take_nothing, "none",
           "chown is never trapped; files of /sys keep their owners"},
    Switch{"kernel-files", nullptr, kTrueOrFalse, "true", take_bool<&Switches::kernel_files>,
           "`true`: the host's kernel modules and headers are there, read-only"},
    Switch{"oom-score-adj-min", nullptr, "-1000 … 1000", "-999", take_floor,
           "how low root inside may set /proc/PID/oom_score_adj; needs a host that lets the "
           "runtime do so (CAP_SYS_RESOURCE)"},
    Switch{"relaxed-read-only", nullptr, kTrueOrFalse, "false",
           take_bool<&Switches::relaxed_read_only>,
           "`true`: with a read-only root file system, /sys, cgroups and the volumes of special "
           "directories stay writable"},
    Switch{"seccomp.allow", nullptr, "names of doors, separated by commas", "none", take_doors,
           "opens the doors named, see below"},
    Switch{"skip-uid-shift", "SKIP_UID_SHIFT", "absolute paths, separated by commas", "none",
           take_paths, "mounts at these destinations keep the owners that they have on the host"},
    Switch{"system-container", "SYSCONT_MODE", kTrueOrFalse, "true",
           take_bool<&Switches::system_container>,
           "`false`: capabilities, AppArmor profile, mounts, masked paths and seccomp profile as "
           "the engine asks for them, no volumes for special directories, no care for systemd; "
           "namespaces, id ranges and emulated files stay"},
    Switch{"systemd", nullptr, kAutoOrBoth, "auto", take_choice<&Switches::systemd>,
           "whether the program is treated as systemd (`container=`, a tmpfs on /run and "
           "/run/lock); `auto`: if it is, or if its arguments end in systemd's path"},
};

static_assert(std::is_sorted(kSwitches.begin(), kSwitches.end(),
                             [](const Switch& a, const Switch& b) {
                               return std::string_view(a.annotation) < b.annotation;
                             }));

std::string annotation_of(const Switch& row) { return join(kSwitchPrefix, row.annotation); }
std::string variable_of(const Switch& row) {
  return row.variable == nullptr ? "" : join(kVariablePrefix, row.variable);
}

std::string known_names(std::string (*name_of)(const Switch&)) {
  std::string names;
  for (const Switch& row : kSwitches) {
    const std::string name = name_of(row);
    if (!name.empty()) names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

const Switch* find_switch(const std::string& name, std::string (*name_of)(const Switch&)) {
  for (const Switch& row : kSwitches) {
    if (name_of(row) == name) return &row;
  }
  return nullptr;
}

std::string door_names() {
  std::string names;
  for (const SeccompDoor& door : seccomp_doors()) {
    names += join(names.empty() ? "" : ", ", door.name);
  }
  return names;
}

Error wrong_value(const std::string& place, const Switch& row, std::string_view value,
                  std::string_view values) {
  const bool doors = row.take == take_doors;
  return Error(EINVAL, join(place, ": '", value, "' is not a value of it; expected: ", values,
                            doors ? ": " : "", doors ? door_names() : ""));
}

Result<void> take(Switches& switches, const Switch& row, const std::string& place,
                  std::string_view value) {
  const bool known = row.values != kTrueOrFalse || value == "true" || value == "false";
  if (value.empty() || !known || !row.take(switches, value)) {
    return wrong_value(place, row, value, row.values);
  }
  if (row.why_idle != nullptr && value == "true") {
    switches.without_effect.push_back(join(place, " has no effect: ", row.why_idle));
  }
  return {};
}

Result<void> take_variable(Switches& switches, const std::string& name, std::string_view value) {
  const Switch* row = find_switch(name, variable_of);
  if (row == nullptr) {
    return Error(EINVAL, join("process.env: '", name,
                              "' is not a setting; known are: ", known_names(variable_of)));
  }
  const std::string place = "process.env: " + name;
  if (row->values != kTrueOrFalse && row->values != kAutoOrBoth) {
    return take(switches, *row, place, value);
  }
  if (value != "TRUE" && value != "FALSE") return wrong_value(place, *row, value, "TRUE, FALSE");
  return take(switches, *row, place, value == "TRUE" ? "true" : "false");
}

bool is_switch_variable(const std::string& variable) {
  return variable.starts_with(kVariablePrefix);
}

}  // namespace

Result<Switches> read_switches(const std::map<std::string, std::string>& annotations,
                               const std::vector<std::string>& env) {
  Switches switches;
  for (const std::string& variable : env) {
    if (!is_switch_variable(variable)) continue;
    const std::size_t equals = std::min(variable.find('='), variable.size());
    const std::string value = variable.substr(std::min(equals + 1, variable.size()));
    TRY(take_variable(switches, variable.substr(0, equals), value));
  }
  for (const auto& [name, value] : annotations) {
    if (!name.starts_with(kSwitchPrefix)) continue;
    const Switch* row = find_switch(name, annotation_of);
    if (row == nullptr) {
      return Error(EINVAL, join("annotations: '", name,
                                "' is not a switch; known are: ", known_names(annotation_of)));
    }
    TRY(take(switches, *row, "annotations: " + name, value));
  }
  return switches;
}

void forget_switches(std::vector<std::string>& env) { std::erase_if(env, is_switch_variable); }

std::string switches_page() {
  std::string page =
      "# Switches of a container\n\n"
      "Printed by `sysbox-runc features --switches`. Each is set for one container, by an\n"
      "annotation of its config.json (`docker run --annotation`, a pod's annotations that the\n"
      "engine passes on) or, as with Nestybox Sysbox, by a variable in its environment\n"
      "(`docker run -e`), whose values are TRUE and FALSE instead of true and false. The\n"
      "annotation wins. Any other name that starts with `io.sysbox.` or `SYSBOX_`, and any other\n"
      "value, is refused. The variables are seen by the container's own process, not by those\n"
      "that an engine starts in it later.\n\n"
      "| annotation | variable | values | default | effect |\n|---|---|---|---|---|\n";
  for (const Switch& row : kSwitches) {
    page += join("| ", annotation_of(row), " | ", variable_of(row), " | ", row.values, " | ",
                 row.initial, " | ", row.effect, row.why_idle == nullptr ? "" : ": ",
                 row.why_idle == nullptr ? "" : row.why_idle, " |\n");
  }
  page +=
      "\n## Doors\n\n"
      "Rare ways into the host's kernel. `we` close a door for every container, whatever its\n"
      "seccomp profile; `the profile` closes one unless the engine's allows it. What stays closed\n"
      "by the kernel, such as loading modules or kexec, has no door.\n\n"
      "| door | closed by | what it is |\n|---|---|---|\n";
  for (const SeccompDoor& door : seccomp_doors()) {
    page += join("| ", door.name, " | ", door.closed_by == ClosedBy::kUs ? "we" : "the profile",
                 " | ", door.meaning, " |\n");
  }
  return page;
}

}  // namespace sysbox::runc
