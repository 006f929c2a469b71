#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "runc-ext/system_container/convert.h"
#include "runc-ext/system_container/kernel_files.h"
#include "tests/unit/runc-ext/image_fixture.h"
#include "tests/unit/runc-ext/spec_fixtures.h"

namespace sysbox::runc {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

std::vector<std::string> destinations(const OciSpec& spec) {
  std::vector<std::string> all;
  for (const OciMount& mount : spec.mounts) all.push_back(mount.destination);
  return all;
}

class MachineKind : public ImageTest {
 protected:
  OciSpec converted(const json& text) const {
    OciSpec spec = spec_of(text.dump());
    const Result<Conversion> done = convert_to_system_container(spec, *rootfs_);
    EXPECT_TRUE(done.ok()) << done.error().message();
    return spec;
  }
  const OciMount& mount_at(const OciSpec& spec, const std::string& destination) const {
    static const OciMount none;
    for (const OciMount& mount : spec.mounts) {
      if (mount.destination == destination) return mount;
    }
    ADD_FAILURE() << "no mount at " << destination;
    return none;
  }
};

json systemd_spec() { return changed_spec("/process/args", R"(["/sbin/init"])"); }
json switched(json spec, const char* name, const char* value) {
  spec["annotations"][name] = value;
  return spec;
}

// Propagation.

TEST_F(MachineKind, MountsOfSystemdAreSharedUnlessTheSpecSaysOtherwise) {
  add_systemd();
  const auto shares = [this](const json& text) {
    OciSpec spec = spec_of(text.dump());
    return convert_to_system_container(spec, *rootfs_).value().shares_mounts;
  };
  const auto with = [](const char* propagation) {
    json spec = systemd_spec();
    spec["linux"]["rootfsPropagation"] = propagation;
    return spec;
  };
  EXPECT_TRUE(shares(systemd_spec()));
  EXPECT_TRUE(shares(with("rslave")));
  EXPECT_FALSE(shares(with("private")));
  EXPECT_FALSE(shares(with("runbindable")));
  EXPECT_FALSE(shares(changed_spec("/process/args", R"(["/bin/sh"])")));
  EXPECT_FALSE(shares(switched(systemd_spec(), "io.sysbox.system-container", "false")));
}

// cgroups.

TEST_F(MachineKind, NewSystemdGetsCgroup2Alone) {
  add_systemd();
  add_file("/usr/lib/systemd/libsystemd-shared-257.so");
  EXPECT_EQ(mount_at(converted(systemd_spec()), "/sys/fs/cgroup").type, "cgroup");
  add_file("/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-258.so");
  EXPECT_EQ(mount_at(converted(systemd_spec()), "/sys/fs/cgroup").type, "cgroup2");
  EXPECT_EQ(mount_at(converted(small_spec()), "/sys/fs/cgroup").type, "cgroup") << "not its init";
  EXPECT_EQ(
      mount_at(converted(switched(systemd_spec(), "io.sysbox.cgroup", "host")), "/sys/fs/cgroup")
          .type,
      "cgroup");
  EXPECT_EQ(
      mount_at(converted(switched(small_spec(), "io.sysbox.cgroup", "v2")), "/sys/fs/cgroup").type,
      "cgroup2");
}

// systemd.

TEST_F(MachineKind, WhetherItIsSystemdCanBeChosen) {
  add_systemd();
  EXPECT_THAT(destinations(converted(switched(systemd_spec(), "io.sysbox.systemd", "false"))),
              Not(Contains("/run")));
  const OciSpec chosen = converted(switched(small_spec(), "io.sysbox.systemd", "true"));
  EXPECT_THAT(destinations(chosen), Contains("/run/lock"));
  EXPECT_THAT(chosen.process->env, ElementsAre("container=oci"));
}

TEST_F(MachineKind, MountsBelowALinkComeAfterWhatItLeadsTo) {
  add_systemd();
  add_link("/var/run", "/run");
  json spec = systemd_spec();
  spec["mounts"] = json::parse(R"([
    {"destination": "/var/run/secrets", "source": "/x", "options": ["bind", "ro"]},
    {"destination": "/proc/self/x", "source": "/x", "options": ["bind"]}])");
  const std::vector<std::string> order = destinations(converted(spec));
  const auto run = std::find(order.begin(), order.end(), "/run");
  const auto secrets = std::find(order.begin(), order.end(), "/run/secrets");
  ASSERT_NE(secrets, order.end());
  EXPECT_LT(run, secrets);
  EXPECT_THAT(order, Contains("/proc/self/x")) << "no link of the image's";
}

TEST_F(MachineKind, ATmpfsOfTheUserAtALinkedPlaceHolds) {
  add_systemd();
  add_link("/var/run", "/run");
  json spec = systemd_spec();
  spec["mounts"] = json::parse(
      R"([{"destination": "/var/run", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]}])");
  const OciSpec done = converted(spec);
  const std::vector<std::string> all = destinations(done);
  EXPECT_EQ(std::count(all.begin(), all.end(), "/run"), 1);
  EXPECT_THAT(mount_at(done, "/run").data, ElementsAre("size=1m"));
}

// A read-only root file system.

TEST_F(MachineKind, ReadOnlyRootGetsPlacesToWriteTo) {
  const OciSpec spec = converted(changed_spec("/root/readonly", "true"));
  EXPECT_THAT(mount_at(spec, "/run").data, ElementsAre("mode=755"));
  EXPECT_THAT(mount_at(spec, "/tmp").data, ElementsAre("mode=1777"));
  EXPECT_TRUE(mount_at(spec, "/sys").read_only());
  EXPECT_TRUE(mount_at(spec, "/sys/fs/cgroup").read_only());
  EXPECT_FALSE(mount_at(spec, "/proc").read_only());
  EXPECT_FALSE(mount_at(spec, "/dev").read_only());
}

TEST_F(MachineKind, ReadOnlyRootCanBeRelaxed) {
  const OciSpec spec = converted(
      switched(changed_spec("/root/readonly", "true"), "io.sysbox.relaxed-read-only", "true"));
  EXPECT_FALSE(mount_at(spec, "/sys").read_only());
  EXPECT_FALSE(mount_at(spec, "/sys/fs/cgroup").read_only());
  EXPECT_THAT(destinations(spec), Contains("/tmp"));
}

TEST_F(MachineKind, SystemdOnAReadOnlyRootWritesItsCgroups) {
  add_systemd();
  json spec = systemd_spec();
  spec["root"]["readonly"] = true;
  EXPECT_FALSE(mount_at(converted(spec), "/sys/fs/cgroup").read_only());
}

// Ordinary containers.

TEST_F(MachineKind, WithoutConversionTheEnginesWordHolds) {
  json spec = json::parse(spec_text("docker-20.10.json"));
  spec["process"]["env"].push_back("SYSBOX_SYSCONT_MODE=FALSE");
  const OciSpec asked = spec_of(spec.dump());
  const OciSpec done = converted(spec);
  EXPECT_EQ(done.process->capabilities->effective, asked.process->capabilities->effective);
  EXPECT_EQ(done.process->apparmor_profile, asked.process->apparmor_profile);
  EXPECT_EQ(done.linux_part.masked_paths, asked.linux_part.masked_paths);
  EXPECT_EQ(done.linux_part.readonly_paths, asked.linux_part.readonly_paths);
  EXPECT_EQ(destinations(done), destinations(asked));
  EXPECT_EQ(done.linux_part.seccomp->rules.size(), asked.linux_part.seccomp->rules.size());
  EXPECT_TRUE(mount_at(done, "/sys").read_only());
  EXPECT_NE(done.linux_part.find_namespace(NamespaceType::kUser), nullptr);
}

TEST_F(MachineKind, WithoutConversionTheHostsProcIsReplacedToo) {
  json spec = switched(small_spec(), "io.sysbox.system-container", "false");
  spec["mounts"] =
      json::parse(R"([{"destination": "/proc", "source": "/proc", "options": ["rbind", "ro"]}])");
  EXPECT_EQ(mount_at(converted(spec), "/proc").type, "proc");
}

// What an engine asks for by itself makes room for a machine's root; what somebody asked it for
// stays.
TEST_F(MachineKind, CapabilitiesAreThoseOfRootUnlessChosen) {
  const std::uint64_t all = (1ULL << static_cast<unsigned>(kernel_capability_count())) - 1;
  const std::string cri_o =
      R"("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID",
         "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_KILL")";
  const auto bounding = [&](const std::string& sets, const char* honor = "auto") {
    json spec = changed_spec("/process/capabilities", sets);
    spec = switched(spec, "io.sysbox.honor-capabilities", honor);
    return converted(spec).process->capabilities->bounding;
  };
  EXPECT_EQ(bounding(join(R"({"bounding": [)", cri_o, "]}")), all);
  EXPECT_EQ(bounding(join(R"({"bounding": [)", cri_o, R"(, "CAP_SYS_ADMIN"]})")), all);
  EXPECT_EQ(bounding(R"({"bounding": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]})"),
            all);
  EXPECT_EQ(bounding(R"({"bounding": ["CAP_CHOWN"]})"), 1U);
  EXPECT_EQ(bounding("{}"), 0U);
  EXPECT_EQ(bounding("{}", "false"), all);
  EXPECT_NE(bounding(join(R"({"ambient": ["CAP_KILL"], "bounding": [)", cri_o, "]}")), all);
}

TEST_F(MachineKind, CapabilitiesCanBeTheEngines) {
  json spec = changed_spec("/process/capabilities", R"({"bounding": ["CAP_CHOWN"]})");
  spec = switched(spec, "io.sysbox.honor-capabilities", "true");
  const OciSpec done = converted(spec);
  EXPECT_EQ(done.process->capabilities->bounding, 1U);
  EXPECT_EQ(done.process->capabilities->effective, 0U);
}

TEST_F(MachineKind, JoiningProcessesFollowTheContainer) {
  const std::uint64_t all = (1ULL << static_cast<unsigned>(kernel_capability_count())) - 1;
  const auto joined = [](const std::map<std::string, std::string>& annotations,
                         const std::vector<std::string>& container_env,
                         const std::vector<std::string>& env) {
    OciProcess process;
    process.env = env;
    process.capabilities.emplace().effective = 1;
    // Of an engine's default.
    for (const int number : {0, 1, 3, 4, 5, 6, 7, 8, 10}) {
      process.capabilities->bounding |= 1U << static_cast<unsigned>(number);
    }
    EXPECT_TRUE(convert_joining_process(process, annotations, container_env).ok());
    return process;
  };
  EXPECT_EQ(joined({}, {}, {"A=1"}).capabilities->effective, all);
  const OciProcess honoured = joined({}, {"SYSBOX_HONOR_CAPS=TRUE"}, {"SYSBOX_HONOR_CAPS=TRUE"});
  EXPECT_EQ(honoured.capabilities->effective, 1U);
  EXPECT_THAT(honoured.env, IsEmpty());
  EXPECT_EQ(joined({}, {}, {"SYSBOX_HONOR_CAPS=TRUE"}).capabilities->effective, 1U);
  EXPECT_EQ(joined({{"io.sysbox.system-container", "false"}}, {}, {}).capabilities->effective, 1U);
}

// Mounts that keep their owners.

TEST_F(MachineKind, NamedMountsKeepTheirOwners) {
  json spec = switched(small_spec(), "io.sysbox.skip-uid-shift", "/data");
  spec["mounts"] = json::parse(R"([{"destination": "/data", "source": "/x", "options": ["bind"]},
                                   {"destination": "/data2", "source": "/x", "options": ["bind"]}])");
  const OciSpec done = converted(spec);
  EXPECT_TRUE(mount_at(done, "/data").unshifted);
  EXPECT_FALSE(mount_at(done, "/data2").unshifted);
}

// Devices.

json privileged_spec() {
  json spec = small_spec();
  spec["linux"]["resources"]["devices"] = json::parse(R"([{"allow": true, "access": "rwm"}])");
  spec["linux"]["devices"] = json::parse(R"([
    {"path": "/dev/sda", "type": "b", "major": 8, "minor": 0, "fileMode": 432, "uid": 0, "gid": 6},
    {"path": "/dev/loop0", "type": "b", "major": 7, "minor": 0},
    {"path": "/dev/mem", "type": "c", "major": 1, "minor": 1},
    {"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2},
    {"path": "/dev/kvm", "type": "c", "major": 10, "minor": 232},
    {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}])");
  return spec;
}
std::vector<std::string> device_paths(const OciSpec& spec) {
  std::vector<std::string> paths;
  for (const OciDevice& device : spec.linux_part.devices) paths.push_back(device.path);
  return paths;
}

TEST_F(MachineKind, AllDevicesBecomeTheSafeOnes) {
  const OciSpec spec = converted(privileged_spec());
  EXPECT_THAT(device_paths(spec), ElementsAre("/dev/kvm"));
  const std::vector<OciDeviceRule>& rules = spec.linux_part.resources.devices;
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_FALSE(rules[0].allow);
  EXPECT_EQ(rules[0].type, 'a');
  EXPECT_TRUE(rules[1].allow);
  EXPECT_EQ(rules[1].minor, 232);
}

TEST_F(MachineKind, ADeviceAskedForByNumberIsGivenBesideAllDevices) {
  json spec = privileged_spec();
  spec["linux"]["resources"]["devices"].push_back(
      json::parse(R"({"allow": true, "type": "b", "major": 8, "minor": 0, "access": "r"})"));
  const OciSpec done = converted(spec);
  EXPECT_THAT(device_paths(done), ElementsAre("/dev/sda", "/dev/kvm"));
  EXPECT_EQ(done.linux_part.resources.devices.size(), 3U);
}

TEST_F(MachineKind, WithoutAllDevicesThoseAskedForStay) {
  json spec = privileged_spec();
  spec["linux"]["resources"]["devices"] = json::parse(R"([
    {"allow": false, "access": "rwm"},
    {"allow": true, "type": "b", "major": 8, "minor": 0, "access": "rwm"}])");
  const OciSpec done = converted(spec);
  EXPECT_EQ(done.linux_part.devices.size(), 6U);
  EXPECT_EQ(done.linux_part.resources.devices.size(), 2U);
}

TEST_F(MachineKind, BoundNodesInDevBecomeItsOwn) {
  json spec = small_spec();
  spec["mounts"] = json::parse(R"([
    {"destination": "/dev/thing", "source": "/dev/zero", "options": ["bind"]},
    {"destination": "/dev/kept", "source": "/dev/zero", "options": ["bind", "ro"]},
    {"destination": "/etc/empty", "source": "/dev/null", "options": ["bind"]}])");
  const OciSpec done = converted(spec);
  ASSERT_THAT(device_paths(done), ElementsAre("/dev/thing"));
  EXPECT_EQ(done.linux_part.devices[0].device, makedev(1, 5));
  EXPECT_EQ(done.linux_part.devices[0].file_mode, 0666U);
  EXPECT_THAT(destinations(done), Not(Contains("/dev/thing")));
  EXPECT_THAT(destinations(done), Contains("/dev/kept"));
  EXPECT_THAT(destinations(done), Contains("/etc/empty"));
}

// Modules and headers; the "image" of the fixture is the host here.

TEST_F(MachineKind, KernelFilesWithWhatTheyReferTo) {
  add_directory("/lib/modules/6.1.0-13-amd64");
  add_link("/lib/modules/6.1.0-13-amd64/build", "/usr/src/linux-headers-6.1.0-13-amd64");
  add_directory("/usr/src/linux-headers-6.1.0-13-common");
  add_directory("/usr/src/linux-headers-6.1.0-13-amd64");
  add_directory("/usr/lib/linux-kbuild-6.1/scripts");
  add_link("/usr/src/linux-headers-6.1.0-13-amd64/scripts", "../../lib/linux-kbuild-6.1/scripts");
  add_link("/usr/src/linux-headers-6.1.0-13-amd64/etc", "/etc");
  add_directory("/etc");
  add_directory("/usr/src/linux-headers-6.1.0-14-common");
  OciSpec spec = converted(small_spec());
  const std::size_t before = spec.mounts.size();
  add_kernel_files(spec, *rootfs_, "6.1.0-13-amd64");
  std::vector<std::string> added = destinations(spec);
  added.erase(added.begin(), added.begin() + static_cast<std::ptrdiff_t>(before));
  EXPECT_THAT(added,
              UnorderedElementsAre("/lib/modules/6.1.0-13-amd64", "/usr/lib/linux-kbuild-6.1",
                                   "/usr/src/linux-headers-6.1.0-13-amd64",
                                   "/usr/src/linux-headers-6.1.0-13-common"));
  EXPECT_TRUE(mount_at(spec, "/lib/modules/6.1.0-13-amd64").read_only());
  EXPECT_TRUE(mount_at(spec, "/lib/modules/6.1.0-13-amd64").unshifted);
}

TEST_F(MachineKind, KernelFilesOfOtherDistributions) {
  const auto added = [this](const std::string& release) {
    OciSpec spec = spec_of(small_spec().dump());
    add_kernel_files(spec, *rootfs_, release);
    return destinations(spec);
  };
  EXPECT_THAT(added("6.8.0-45-generic"), IsEmpty());
  add_directory("/usr/src/linux-headers-6.8.0-45/include");
  add_directory("/usr/src/linux-headers-6.8.0-45-generic");
  add_link("/usr/src/linux-headers-6.8.0-45-generic/include", "../linux-headers-6.8.0-45/include");
  EXPECT_THAT(added("6.8.0-45-generic"),
              UnorderedElementsAre("/usr/src/linux-headers-6.8.0-45",
                                   "/usr/src/linux-headers-6.8.0-45-generic"));
  add_directory("/usr/src/kernels/5.14.0.el9");
  EXPECT_THAT(added("5.14.0.el9"), ElementsAre("/usr/src/kernels/5.14.0.el9"));
}

TEST_F(MachineKind, TheUsersOwnModulesStay) {
  add_directory("/lib/modules/6.1");
  json json_spec = small_spec();
  json_spec["mounts"] =
      json::parse(R"([{"destination": "/lib/modules", "source": "/x", "options": ["rbind"]}])");
  OciSpec spec = spec_of(json_spec.dump());
  add_kernel_files(spec, *rootfs_, "6.1");
  EXPECT_THAT(destinations(spec), ElementsAre("/lib/modules"));
}

}  // namespace
}  // namespace sysbox::runc
