#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/sysmacros.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "runc-ext/oci/spec.h"
#include "tests/unit/runc-ext/spec_fixtures.h"

namespace sysbox::runc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(Spec, OfDockerIsReadWhole) {
  const OciSpec spec = spec_of(spec_text("docker-20.10.json"));
  EXPECT_EQ(spec.oci_version, "1.0.2-dev");
  EXPECT_EQ(spec.root_path, "/var/lib/docker/overlay2/5d1f/merged");
  EXPECT_FALSE(spec.root_readonly);
  EXPECT_EQ(spec.hostname, "4f53cda18c2b");
  ASSERT_TRUE(spec.process.has_value());
  EXPECT_TRUE(spec.process->terminal);
  EXPECT_EQ(spec.process->console_size->height, 0);
  EXPECT_THAT(spec.process->args, ElementsAre("sh"));
  EXPECT_THAT(spec.process->user.additional_gids, ElementsAre(0, 10));
  EXPECT_EQ(spec.process->apparmor_profile, "docker-default");
  EXPECT_EQ(spec.process->oom_score_adj, 0);
  EXPECT_EQ(spec.process->capabilities->bounding, 0xa80425fbU);
  EXPECT_EQ(spec.process->capabilities->ambient, 0U);
  EXPECT_EQ(spec.mounts.size(), 10U);
  EXPECT_EQ(spec.hooks.prestart.at(0).args.at(0), "libnetwork-setkey");
  const OciLinux& linux_part = spec.linux_part;
  EXPECT_EQ(linux_part.namespaces.size(), 5U);
  EXPECT_NE(linux_part.find_namespace(NamespaceType::kUts), nullptr);
  EXPECT_EQ(linux_part.find_namespace(NamespaceType::kUser), nullptr);
  EXPECT_THAT(linux_part.sysctl, ElementsAre(Pair("net/ipv4/ip_unprivileged_port_start", "0"),
                                             Pair("net/ipv4/ping_group_range", "0 2147483647")));
  EXPECT_EQ(linux_part.masked_paths.size(), 11U);
  EXPECT_EQ(linux_part.readonly_paths.size(), 5U);
}

TEST(Spec, OfDockerHasItsLimits) {
  const OciResources resources = spec_of(spec_text("docker-20.10.json")).linux_part.resources;
  EXPECT_EQ(resources.memory.limit, 536870912);
  EXPECT_EQ(resources.memory.swap, 1073741824);
  EXPECT_EQ(resources.memory.disable_oom_killer, false);
  EXPECT_EQ(resources.cpu.quota, 100000);
  EXPECT_EQ(resources.cpu.period, 100000U);
  EXPECT_EQ(resources.pids_limit, 512);
  ASSERT_EQ(resources.devices.size(), 8U);
  EXPECT_EQ(resources.devices[0].type, 'a');
  EXPECT_FALSE(resources.devices[0].allow);
  EXPECT_FALSE(resources.devices[0].major.has_value());
  EXPECT_EQ(resources.devices[1].type, 'c');
  EXPECT_EQ(resources.devices[1].minor, 5);
}

TEST(Spec, ZeroLimitsOfDockerMeanNone) {
  const OciResources resources = spec_of(spec_text("docker-20.10.json")).linux_part.resources;
  EXPECT_FALSE(resources.cpu.shares.has_value());
  EXPECT_FALSE(resources.block_io.weight.has_value());
}

TEST(Spec, OfDockerHasItsSeccompProfile) {
  const OciSpec spec = spec_of(spec_text("docker-20.10.json"));
  ASSERT_TRUE(spec.linux_part.seccomp.has_value());
  const OciSeccomp& profile = *spec.linux_part.seccomp;
  EXPECT_EQ(profile.default_action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(profile.architectures.size(), 3U);
  const OciSeccompRule& socket = profile.rules.at(2);
  EXPECT_THAT(socket.names, ElementsAre("socket"));
  EXPECT_EQ(socket.args.at(0).op, "SCMP_CMP_NE");
  EXPECT_EQ(socket.args.at(0).value, 40U);
  EXPECT_EQ(profile.rules.at(11).errno_ret, 38U);
}

TEST(Spec, OfCriIsReadWhole) {
  const OciSpec spec = spec_of(spec_text("cri-2.0.json"));
  EXPECT_TRUE(spec.root_readonly);
  EXPECT_EQ(spec.process->user.uid, 1000U);
  EXPECT_EQ(spec.process->oom_score_adj, -998);
  EXPECT_TRUE(spec.process->no_new_privileges);
  EXPECT_EQ(spec.annotations.at("io.kubernetes.cri.container-type"), "sandbox");
  const OciLinux& linux_part = spec.linux_part;
  EXPECT_EQ(linux_part.find_namespace(NamespaceType::kNetwork)->path, "/var/run/netns/cni-1");
  EXPECT_EQ(linux_part.uid_mappings, IdMap::onto({131072, 65536}));
  EXPECT_EQ(linux_part.gid_mappings, IdMap::onto({131072, 65536}));
  EXPECT_EQ(linux_part.time_offsets.at("boottime").seconds, 7);
  EXPECT_EQ(linux_part.time_offsets.at("boottime").nanoseconds, 5U);
  EXPECT_EQ(linux_part.rootfs_propagation, "rslave");
  EXPECT_EQ(linux_part.cgroups_path, "kubepods-pod1.slice:cri-containerd:sandbox1");
  ASSERT_EQ(linux_part.devices.size(), 1U);
  EXPECT_EQ(linux_part.devices[0].device, makedev(10, 229));
  EXPECT_EQ(linux_part.devices[0].file_mode, 0666U);
  EXPECT_EQ(spec.mounts.at(7).uid_map, IdMap::onto({131072, 65536}));
  EXPECT_TRUE(spec.mounts.at(8).id_map);
  EXPECT_EQ(spec.mounts.at(8).recursive_set, std::uint64_t{MOUNT_ATTR_RDONLY});
}

TEST(Spec, OfCriHasItsLimits) {
  const OciResources resources = spec_of(spec_text("cri-2.0.json")).linux_part.resources;
  EXPECT_EQ(resources.cpu.shares, 2U);
  EXPECT_EQ(resources.cpu.cpus, "0-1");
  EXPECT_EQ(resources.cpu.idle, 0);
  EXPECT_EQ(resources.cpu.burst, 0U);
  EXPECT_FALSE(resources.memory.swap.has_value());
  EXPECT_FALSE(resources.memory.swappiness.has_value()) << "-1 in an unsigned field";
  EXPECT_FALSE(resources.pids_limit.has_value());
  EXPECT_EQ(resources.hugepage_limits.at(0).page_size, "2MB");
  EXPECT_THAT(resources.unified, ElementsAre(Pair("memory.oom.group", "1")));
  EXPECT_EQ(resources.rdma.at("mlx5_0").hca_handles, 3U);
  EXPECT_FALSE(resources.rdma.at("mlx5_0").hca_objects.has_value());
  EXPECT_EQ(resources.network_class_id, 1048577U);
  EXPECT_EQ(resources.network_priorities.at(0).name, "eth0");
  EXPECT_EQ(resources.block_io.weight, 500);
  EXPECT_EQ(resources.block_io.weight_device.at(0).weight, 500);
  EXPECT_EQ(resources.block_io.throttle_read_bps.at(0).rate, 600U);
}

TEST(Spec, WithoutProcessIsFine) {
  EXPECT_FALSE(spec_of(changed_spec("/process", "").dump()).process.has_value());
}

TEST(Spec, UnknownMembersAreIgnored) {
  spec_of(changed_spec("/linux/newThing", R"({"a": [1]})").dump());
}

TEST(Spec, UnknownCapabilitiesAreIgnored) {
  const OciSpec spec = spec_of(
      changed_spec("/process/capabilities", R"({"bounding": ["CAP_CHOWN", "CAP_FUTURE"]})").dump());
  EXPECT_EQ(spec.process->capabilities->bounding, 1U);
}

TEST(Spec, OrdinaryPersonalityIsFine) {
  spec_of(changed_spec("/linux/personality", R"({"domain": "LINUX"})").dump());
}

TEST(Capabilities, AreKnownByTheirExactNames) {
  EXPECT_EQ(capability_number("CAP_CHOWN"), 0);
  EXPECT_EQ(capability_number("CAP_SYS_ADMIN"), CAP_SYS_ADMIN);
  EXPECT_EQ(capability_number("CAP_CHECKPOINT_RESTORE"), CAP_CHECKPOINT_RESTORE);
  for (const char* wrong : {"", "cap_chown", "CHOWN", "CAP_", "CAP_CHOWNX", "CAP_CHOWN ", "7",
                            "CAP_7", "CAP_CHOWN,CAP_KILL"}) {
    EXPECT_EQ(capability_number(wrong), std::nullopt) << wrong;
  }
}

TEST(Capabilities, AreCountedAsTheKernelDoes) {
  const Result<std::string> last = sys::read_file("/proc/sys/kernel/cap_last_cap");
  ASSERT_TRUE(last.ok()) << last.error().message();
  EXPECT_EQ(kernel_capability_count(), std::stoi(last.value()) + 1);
}

TEST(NamespaceInfo, IsInTheOrderOfItsType) {
  ASSERT_EQ(namespace_infos().size(), 8U);
  for (std::size_t i = 0; i < namespace_infos().size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(namespace_infos()[i].type), i);
  }
  EXPECT_STREQ(namespace_info(NamespaceType::kNetwork).proc_name, "net");
  EXPECT_EQ(namespace_info(NamespaceType::kTime).clone_flag, CLONE_NEWTIME);
}

class Bundle : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "bundle.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  void write_config(const std::string& text) { std::ofstream(path_ + "/config.json") << text; }
  void make_directory(const std::string& name) {
    std::filesystem::create_directory(path_ + "/" + name);
  }
  std::string error() const {
    const Result<OciSpec> spec = read_spec(path_);
    return spec.ok() ? "no error" : spec.error().message();
  }

  std::string path_;
};

TEST_F(Bundle, WithoutConfigIsNamed) {
  EXPECT_EQ(error(), "JSON specification file config.json not found: '" + path_ + "/config.json'");
}

TEST_F(Bundle, ThatIsMissingIsNamed) {
  const Result<OciSpec> spec = read_spec(path_ + "/none");
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.error().message(), "bundle '" + path_ + "/none': No such file or directory");
  EXPECT_EQ(spec.error().code(), ENOENT);
}

TEST_F(Bundle, MistakeNamesFileAndPlace) {
  write_config("{\n  \"ociVersion\": \"1.0.0\",\n}");
  EXPECT_THAT(error(), HasSubstr(path_ + "/config.json: not valid JSON at line 3"));
}

TEST_F(Bundle, RootMustBeADirectory) {
  write_config(small_spec().dump());
  EXPECT_EQ(error(),
            path_ + "/config.json: root.path: '" + path_ + "/rootfs': No such file or directory");
  std::ofstream(path_ + "/rootfs") << "x";
  EXPECT_EQ(error(), path_ + "/config.json: root.path: '" + path_ + "/rootfs' is not a directory");
}

TEST_F(Bundle, RelativePathsAreItsOwn) {
  make_directory("rootfs");
  nlohmann::json json = small_spec();
  json["mounts"] = nlohmann::json::parse(R"([
    {"destination": "/a", "source": "data/../x", "options": ["bind"]},
    {"destination": "/b", "source": "/y", "options": ["rbind"]},
    {"destination": "/c", "source": "none", "type": "tmpfs"}])");
  write_config(json.dump());
  const Result<OciSpec> spec = read_spec(path_);
  ASSERT_TRUE(spec.ok()) << spec.error().message();
  EXPECT_EQ(spec.value().root_path, path_ + "/rootfs");
  EXPECT_EQ(spec.value().mounts.at(0).source, path_ + "/x");
  EXPECT_EQ(spec.value().mounts.at(1).source, "/y");
  EXPECT_EQ(spec.value().mounts.at(2).source, "none");
}

}  // namespace
}  // namespace sysbox::runc
