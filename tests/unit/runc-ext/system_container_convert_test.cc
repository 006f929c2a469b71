#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "runc-ext/system_container/convert.h"
#include "tests/unit/runc-ext/spec_fixtures.h"

namespace sysbox::runc {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> destinations(const OciSpec& spec) {
  std::vector<std::string> all;
  for (const OciMount& mount : spec.mounts) all.push_back(mount.destination);
  return all;
}

const OciMount& mount_at(const OciSpec& spec, const std::string& destination) {
  static const OciMount none;
  const auto found = std::find_if(
      spec.mounts.begin(), spec.mounts.end(),
      [&destination](const OciMount& mount) { return mount.destination == destination; });
  EXPECT_NE(found, spec.mounts.end()) << destination;
  return found == spec.mounts.end() ? none : *found;
}

// An image of a few files, on disk.
class Conversion : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "rootfs.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    Result<RootDir> opened = RootDir::open(path_);
    ASSERT_TRUE(opened.ok());
    rootfs_.emplace(std::move(opened).value());
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  void add_file(const std::string& path) {
    std::filesystem::create_directories(std::filesystem::path(path_ + path).parent_path());
    std::ofstream(path_ + path) << "x";
  }
  void add_link(const std::string& path, const std::string& target) {
    std::filesystem::create_directories(std::filesystem::path(path_ + path).parent_path());
    std::filesystem::create_symlink(target, path_ + path);
  }
  void add_systemd() {
    add_file("/usr/lib/systemd/systemd");
    add_link("/sbin/init", "/lib/systemd/systemd");
    add_link("/lib", "usr/lib");
  }

  Result<void> convert(OciSpec& spec) const {
    TRY(convert_to_system_container(spec, *rootfs_));
    return {};
  }
  OciSpec converted(const std::string& text) const {
    OciSpec spec = spec_of(text);
    const Result<void> done = convert(spec);
    EXPECT_TRUE(done.ok()) << done.error().message();
    return spec;
  }
  OciSpec converted(const nlohmann::json& json) const { return converted(json.dump()); }
  std::string error_of(const nlohmann::json& json) const {
    OciSpec spec = spec_of(json.dump());
    const Result<void> done = convert(spec);
    return done.ok() ? "no error" : done.error().message();
  }

  std::string path_;
  std::optional<RootDir> rootfs_;
};

// Namespaces.

TEST_F(Conversion, AddsUserAndCgroupNamespaces) {
  const OciSpec spec = converted(spec_text("docker-20.10.json"));
  EXPECT_EQ(spec.linux_part.namespaces.size(), 7U);
  for (const NamespaceType type : {NamespaceType::kUser, NamespaceType::kCgroup}) {
    ASSERT_NE(spec.linux_part.find_namespace(type), nullptr);
    EXPECT_EQ(spec.linux_part.find_namespace(type)->path, "");
  }
  EXPECT_THAT(spec.linux_part.uid_mappings.entries, IsEmpty()) << "the caller's to fill in";
}

TEST_F(Conversion, RefusesTheHostsNamespaces) {
  const auto without = [this](const std::string& type) {
    nlohmann::json json = small_spec();
    auto& namespaces = json["linux"]["namespaces"];
    for (std::size_t i = 0; i < namespaces.size(); ++i) {
      if (namespaces[i]["type"] == type) namespaces.erase(i);
    }
    return error_of(json);
  };
  EXPECT_EQ(without("network"),
            "linux.namespaces: sharing the host's network namespace (--net=host, hostNetwork) "
            "would break the container's isolation; use --net=bridge and publish ports");
  EXPECT_THAT(without("pid"), HasSubstr("sharing the host's pid namespace (--pid=host"));
  EXPECT_THAT(without("ipc"), HasSubstr("sharing the host's ipc namespace (--ipc=host"));
  EXPECT_THAT(without("uts"), HasSubstr("sharing the host's uts namespace (--uts=host"));
  EXPECT_THAT(without("mount"), HasSubstr("sharing the host's mount namespace"));
}

// Ids.

nlohmann::json with_maps(const std::string& uids, const std::string& gids) {
  nlohmann::json json = small_spec();
  if (!uids.empty()) json["linux"]["uidMappings"] = nlohmann::json::parse(uids);
  if (!gids.empty()) json["linux"]["gidMappings"] = nlohmann::json::parse(gids);
  return json;
}

TEST_F(Conversion, TakesOneBlockOfIds) {
  const std::string whole = R"([{"containerID": 0, "hostID": 100000, "size": 65536}])";
  const std::string parts = R"([{"containerID": 0, "hostID": 100000, "size": 1000},
                                {"containerID": 1000, "hostID": 101000, "size": 64536}])";
  const OciSpec spec = converted(with_maps(whole, parts));
  EXPECT_EQ(spec.linux_part.uid_mappings, IdMap::onto({100000, 65536}));
}

TEST_F(Conversion, RefusesOtherIdMaps) {
  const std::string good = R"([{"containerID": 0, "hostID": 100000, "size": 65536}])";
  EXPECT_EQ(error_of(with_maps(good, "")),
            "linux.gidMappings: is missing; give both mappings or none");
  EXPECT_EQ(error_of(with_maps("", good)),
            "linux.uidMappings: is missing; give both mappings or none");
  EXPECT_EQ(error_of(with_maps(R"([{"containerID": 1, "hostID": 100000, "size": 65536}])", good)),
            "linux.uidMappings: expected one block of ids that starts at container id 0");
  EXPECT_EQ(error_of(with_maps(good, R"([{"containerID": 0, "hostID": 100000, "size": 999}])")),
            "linux.gidMappings: 999 ids; a system container needs at least 1000");
  EXPECT_EQ(error_of(with_maps(R"([{"containerID": 0, "hostID": 0, "size": 65536}])", good)),
            "linux.uidMappings: maps host id 0 into the container");
}

// The process.

TEST_F(Conversion, RootGetsEveryCapability) {
  const OciSpec spec = converted(spec_text("docker-20.10.json"));
  const std::uint64_t all = (1ULL << static_cast<unsigned>(kernel_capability_count())) - 1;
  const OciCapabilities& sets = *spec.process->capabilities;
  for (const std::uint64_t set : {sets.bounding, sets.effective, sets.permitted}) {
    EXPECT_EQ(set, all);
  }
  EXPECT_EQ(sets.inheritable | sets.ambient, 0U);
  EXPECT_EQ(spec.process->apparmor_profile, "");
}

TEST_F(Conversion, OthersGetTheBoundingSetOnly) {
  const OciSpec spec = converted(changed_spec("/process/user", R"({"uid": 1000})"));
  const OciCapabilities& sets = *spec.process->capabilities;
  EXPECT_EQ(sets.bounding, (1ULL << static_cast<unsigned>(kernel_capability_count())) - 1);
  EXPECT_EQ(sets.effective | sets.permitted | sets.inheritable | sets.ambient, 0U);
}

TEST_F(Conversion, SystemdIsToldOfTheContainer) {
  add_systemd();
  nlohmann::json json = changed_spec("/process/args", R"(["/sbin/init"])");
  EXPECT_THAT(converted(json).process->env, ElementsAre("container=oci"));
  json["process"]["env"] = {"A=1", "container=podman"};
  EXPECT_THAT(converted(json).process->env, ElementsAre("A=1", "container=podman"));
  json["process"]["args"] = {"/bin/sh"};
  json["process"]["env"] = {"A=1"};
  EXPECT_THAT(converted(json).process->env, ElementsAre("A=1"));
}

// Mounts.

TEST_F(Conversion, OfDockerKeepsTheOrderOfMounts) {
  const OciSpec spec = converted(spec_text("docker-20.10.json"));
  EXPECT_THAT(
      destinations(spec),
      ElementsAre("/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm",
                  "/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/proc/sys/fs/binfmt_misc"));
  for (const char* place : {"/proc", "/sys", "/sys/fs/cgroup"}) {
    EXPECT_FALSE(mount_at(spec, place).read_only()) << place;
    EXPECT_EQ(mount_at(spec, place).attributes_set,
              std::uint64_t{MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV});
  }
  EXPECT_THAT(mount_at(spec, "/dev/shm").data, ElementsAre("mode=1777", "size=67108864"));
}

TEST_F(Conversion, AddsTheMountsOfAMachine) {
  const OciSpec spec = converted(small_spec());
  EXPECT_THAT(destinations(spec),
              ElementsAre("/proc", "/sys", "/sys/fs/cgroup", "/dev", "/dev/pts", "/dev/shm",
                          "/dev/mqueue", "/proc/sys/fs/binfmt_misc"));
  const OciMount& dev = mount_at(spec, "/dev");
  EXPECT_EQ(dev.type, "tmpfs");
  EXPECT_EQ(dev.attributes_set, std::uint64_t{MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME});
  EXPECT_THAT(dev.data, ElementsAre("mode=755", "size=65536k"));
  EXPECT_EQ(mount_at(spec, "/sys/fs/cgroup").type, "cgroup");
  EXPECT_THAT(mount_at(spec, "/dev/pts").data,
              ElementsAre("newinstance", "ptmxmode=0666", "mode=0620", "gid=5"));
}

TEST_F(Conversion, AddsTheMountsOfSystemd) {
  add_systemd();
  const OciSpec spec = converted(changed_spec("/process/args", R"(["/sbin/init"])"));
  EXPECT_THAT(destinations(spec), Contains("/run"));
  EXPECT_THAT(destinations(spec), Not(Contains("/tmp")));
  EXPECT_THAT(mount_at(spec, "/run").data, ElementsAre("mode=755"));
  EXPECT_THAT(mount_at(spec, "/run/lock").data, ElementsAre("mode=1777", "size=5m"));
}

TEST_F(Conversion, OfContainerdKeepsItsOwnRun) {
  add_systemd();
  const OciSpec spec = converted(spec_text("containerd-1.6.json"));
  EXPECT_THAT(mount_at(spec, "/run").data, ElementsAre("mode=755", "size=65536k"));
  const std::vector<std::string> order = destinations(spec);
  EXPECT_LT(std::find(order.begin(), order.end(), "/run"),
            std::find(order.begin(), order.end(), "/run/lock"));
}

TEST_F(Conversion, HostsProcSysAndCgroupsAreReplaced) {
  nlohmann::json json = small_spec();
  json["mounts"] = nlohmann::json::parse(R"([
    {"destination": "/proc", "source": "/proc", "options": ["rbind"]},
    {"destination": "/sys", "source": "/sys", "type": "bind", "options": ["rbind", "ro"]},
    {"destination": "/sys/fs/cgroup", "source": "/sys/fs/cgroup", "options": ["bind", "ro"]},
    {"destination": "/sys/fs/cgroup/systemd", "source": "/x", "options": ["bind"]},
    {"destination": "/sys/fs/cgroup", "type": "tmpfs"},
    {"destination": "/sys/fs/cgroups", "source": "/x", "options": ["bind"]}])");
  const OciSpec spec = converted(json);
  EXPECT_EQ(mount_at(spec, "/proc").type, "proc");
  EXPECT_EQ(mount_at(spec, "/sys").type, "sysfs");
  EXPECT_EQ(mount_at(spec, "/sys/fs/cgroup").type, "cgroup");
  for (const char* place : {"/proc", "/sys", "/sys/fs/cgroup"}) {
    EXPECT_FALSE(mount_at(spec, place).bind) << place;
    EXPECT_FALSE(mount_at(spec, place).read_only()) << place;
  }
  const std::vector<std::string> all = destinations(spec);
  EXPECT_EQ(std::count(all.begin(), all.end(), "/sys/fs/cgroup"), 1);
  EXPECT_THAT(all, Not(Contains("/sys/fs/cgroup/systemd")));
  EXPECT_THAT(all, Contains("/sys/fs/cgroups")) << "another directory";
}

TEST_F(Conversion, Cgroup2IsWritableToo) {
  const OciSpec spec = converted(changed_spec(
      "/mounts", R"([{"destination": "/sys/fs/cgroup", "type": "cgroup2", "options": ["ro"]}])"));
  EXPECT_EQ(mount_at(spec, "/sys/fs/cgroup").type, "cgroup");
  EXPECT_FALSE(mount_at(spec, "/sys/fs/cgroup").read_only());
}

TEST_F(Conversion, TheSpecsMountsStayInTheirOrderAndOursHideNoneOfThem) {
  const OciSpec spec = converted(changed_spec("/mounts", R"([
    {"destination": "/dev/shm", "type": "tmpfs"}, {"destination": "/a/b/c", "type": "tmpfs"},
    {"destination": "/ab", "type": "tmpfs"}, {"destination": "/a", "type": "tmpfs"},
    {"destination": "/a/b", "type": "tmpfs"}])"));
  EXPECT_THAT(destinations(spec),
              ElementsAre("/dev", "/dev/shm", "/a/b/c", "/ab", "/a", "/a/b", "/proc", "/sys",
                          "/sys/fs/cgroup", "/dev/pts", "/dev/mqueue", "/proc/sys/fs/binfmt_misc"));
}

// Masks.

TEST_F(Conversion, MasksOfEnginesGo) {
  const OciSpec spec = converted(spec_text("docker-20.10.json"));
  EXPECT_THAT(spec.linux_part.masked_paths, IsEmpty());
  EXPECT_THAT(spec.linux_part.readonly_paths, IsEmpty());
}

TEST_F(Conversion, MasksOfTheUserStay) {
  nlohmann::json json = small_spec();
  json["linux"]["maskedPaths"] = {"/etc/secret", "/proc/keys", "/proc/interrupts", "/run",
                                  "/procx"};
  json["linux"]["readonlyPaths"] = {"/proc/sys", "/opt", "/proc/sys/"};
  const OciSpec spec = converted(json);
  EXPECT_THAT(spec.linux_part.masked_paths,
              ElementsAre("/etc/secret", "/proc/interrupts", "/run", "/procx"));
  EXPECT_THAT(spec.linux_part.readonly_paths, ElementsAre("/opt"));
}

TEST_F(Conversion, SystemdKeepsItsOwnPlaces) {
  add_systemd();
  nlohmann::json json = changed_spec("/process/args", R"(["/sbin/init"])");
  json["linux"]["maskedPaths"] = {"/run", "/tmp", "/etc/secret"};
  EXPECT_THAT(converted(json).linux_part.masked_paths, ElementsAre("/etc/secret"));
}

// Seccomp.

std::vector<const OciSeccompRule*> rules_for(const OciSpec& spec, const std::string& call) {
  std::vector<const OciSeccompRule*> found;
  for (const OciSeccompRule& rule : spec.linux_part.seccomp->rules) {
    if (std::count(rule.names.begin(), rule.names.end(), call) > 0) found.push_back(&rule);
  }
  return found;
}

TEST_F(Conversion, AllowListIsWidened) {
  const OciSpec spec = converted(spec_text("docker-20.10.json"));
  for (const char* call :
       {"mount",       "umount2",     "fsopen",     "move_mount", "unshare", "setns",
        "clone",       "clone3",      "pivot_root", "chroot",     "keyctl",  "bpf",
        "sethostname", "personality", "reboot",     "ptrace",     "mknodat", "fanotify_init",
        "close_range", "openat2",     "fchmodat2",  "statmount"}) {
    const auto rules = rules_for(spec, call);
    ASSERT_EQ(rules.size(), 1U) << call;
    EXPECT_EQ(rules[0]->action, "SCMP_ACT_ALLOW") << call;
    EXPECT_THAT(rules[0]->args, IsEmpty()) << call;
  }
}

TEST_F(Conversion, DangerousCallsStayClosed) {
  const OciSpec spec = converted(spec_text("docker-20.10.json"));
  for (const char* call : {"kexec_load", "kexec_file_load", "init_module", "finit_module",
                           "delete_module", "userfaultfd", "perf_event_open", "open_by_handle_at",
                           "clock_settime", "lookup_dcookie", "acct", "iopl", "ioperm"}) {
    EXPECT_THAT(rules_for(spec, call), IsEmpty()) << call;
  }
  const auto socket = rules_for(spec, "socket");
  ASSERT_EQ(socket.size(), 1U);
  EXPECT_EQ(socket[0]->args.size(), 1U) << "AF_VSOCK stays refused";
}

TEST_F(Conversion, DenyListForgetsOnlyNeededCalls) {
  const OciSpec spec = converted(spec_text("deny-list.json"));
  EXPECT_EQ(spec.linux_part.seccomp->default_action, "SCMP_ACT_ALLOW");
  ASSERT_EQ(spec.linux_part.seccomp->rules.size(), 2U);
  EXPECT_THAT(spec.linux_part.seccomp->rules[0].names, ElementsAre("kexec_load"));
  EXPECT_EQ(spec.linux_part.seccomp->rules[0].action, "SCMP_ACT_ERRNO");
  EXPECT_THAT(spec.linux_part.seccomp->rules[1].names, ElementsAre("socket"));
}

TEST_F(Conversion, RulesThatNameAYoungCallStay) {
  const OciSpec spec = converted(changed_spec("/linux/seccomp", R"({
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"},
                 {"names": ["openat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]})"));
  const auto rules = rules_for(spec, "openat2");
  ASSERT_EQ(rules.size(), 1U);
  EXPECT_EQ(rules[0]->action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(rules[0]->errno_ret, 38U);
  EXPECT_EQ(rules_for(spec, "fchmodat2").size(), 1U);
}

TEST_F(Conversion, RulesThatLookAtArgumentsStay) {
  const OciSpec spec = converted(changed_spec("/linux/seccomp", R"({
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [{"names": ["clone", "ptrace"], "action": "SCMP_ACT_ALLOW",
                  "args": [{"index": 0, "value": 100, "op": "SCMP_CMP_EQ"}]}]})"));
  const auto rules = rules_for(spec, "ptrace");
  ASSERT_EQ(rules.size(), 1U);
  EXPECT_EQ(rules[0]->args.size(), 1U);
  ASSERT_EQ(rules_for(spec, "clone").size(), 1U);
  EXPECT_THAT(rules_for(spec, "clone")[0]->args, IsEmpty()) << "engines withhold user namespaces";
}

TEST_F(Conversion, NoProfileStaysNone) {
  EXPECT_FALSE(converted(small_spec()).linux_part.seccomp.has_value());
}

TEST_F(Conversion, ANotifyRuleNeedsAnAgentThatCanAnswer) {
  const auto with = [](const std::string& members, const std::string& call) {
    return changed_spec("/linux/seccomp", "{" + members + R"(, "syscalls": [{"names": [")" + call +
                                              R"("], "action": "SCMP_ACT_NOTIFY"}]})");
  };
  const std::string allow = R"("defaultAction": "SCMP_ACT_ALLOW")";
  const std::string agent = R"(, "listenerPath": "/run/agent.sock")";
  EXPECT_THAT(error_of(with(allow, "mkdir")), HasSubstr("linux.seccomp.listenerPath: is missing"));
  EXPECT_EQ(error_of(with(allow + agent, "write")),
            "linux.seccomp.syscalls[0]: SCMP_ACT_NOTIFY cannot be used for the write syscall");
  EXPECT_THAT(error_of(with(R"("defaultAction": "SCMP_ACT_NOTIFY")" + agent, "mkdir")),
              HasSubstr("linux.seccomp.defaultAction"));
  const OciSpec spec = converted(with(allow + agent, "mount"));
  ASSERT_THAT(spec.linux_part.seccomp->rules, Not(IsEmpty()));
  EXPECT_EQ(spec.linux_part.seccomp->rules[0].action, "SCMP_ACT_NOTIFY") << "also of a machine's";
}

// The whole.

// Every part that a conversion touches, as text.
std::string picture(const OciSpec& spec) {
  std::ostringstream out;
  for (const auto& entry : spec.linux_part.namespaces) {
    out << namespace_info(entry.type).oci_name << ' ' << entry.path << '\n';
  }
  for (const auto& mount : spec.mounts) {
    out << mount.destination << ' ' << mount.type << ' ' << mount.source << ' ' << std::hex
        << mount.attributes_set << ' ' << mount.attributes_clear;
    for (const auto& word : mount.data) out << ' ' << word;
    out << '\n';
  }
  for (const auto& variable : spec.process->env) out << variable << '\n';
  out << spec.process->capabilities->bounding << spec.process->capabilities->ambient << '\n';
  for (const auto& path : spec.linux_part.masked_paths) out << "mask " << path << '\n';
  for (const auto& path : spec.linux_part.readonly_paths) out << "ro " << path << '\n';
  if (!spec.linux_part.seccomp) return out.str();
  for (const auto& rule : spec.linux_part.seccomp->rules) {
    out << rule.action << ' ' << rule.args.size();
    for (const auto& name : rule.names) out << ' ' << name;
    out << '\n';
  }
  return out.str();
}

TEST_F(Conversion, TwiceIsAsOnce) {
  add_systemd();
  for (const char* name : {"docker-20.10.json", "containerd-1.6.json", "deny-list.json"}) {
    OciSpec spec = converted(spec_text(name));
    const std::string once = picture(spec);
    const Result<void> again = convert(spec);
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(picture(spec), once) << name;
  }
}

TEST_F(Conversion, WithoutProcessIsFine) {
  const OciSpec spec = converted(changed_spec("/process", ""));
  EXPECT_FALSE(spec.process.has_value());
  EXPECT_EQ(spec.mounts.size(), 8U);
}

}  // namespace
}  // namespace sysbox::runc
