#include "runc-ext/init/mount_plan.h"

#include <gtest/gtest.h>

namespace sysbox::runc {
namespace {

OciMount bind(const std::string& destination, std::uint64_t attributes = 0) {
  OciMount mount;
  mount.type = "bind";
  mount.bind = true;
  mount.source = "/host" + destination;
  mount.destination = destination;
  mount.attributes_set = attributes;
  return mount;
}

OciMount filesystem(const std::string& type, const std::string& destination) {
  OciMount mount;
  mount.type = type;
  mount.destination = destination;
  return mount;
}

std::vector<std::string> places(const std::vector<OciMount>& mounts) {
  std::vector<std::string> out;
  for (const OciMount& mount : mounts) out.push_back(mount.destination);
  return out;
}

using Places = std::vector<std::string>;

TEST(MountPlan, LocksTheKernelsFileSystemsAndReadOnlyBinds) {
  OciSpec spec;
  spec.mounts = {filesystem("proc", "/proc"), filesystem("tmpfs", "/run"), bind("/rw"),
                 bind("/ro", MOUNT_ATTR_RDONLY), filesystem("sysfs", "/sys")};
  const MountPlan plan = plan_mounts(spec, {}).value();
  EXPECT_EQ(places(plan.locked), (Places{"/proc", "/ro", "/sys"}));
  EXPECT_EQ(places(plan.free), (Places{"/run", "/rw"}));
}

TEST(MountPlan, LocksWhatWouldHideALockedMount) {
  OciSpec spec;
  spec.mounts = {filesystem("tmpfs", "/run"), bind("/run/volume"),
                 bind("/run/volume/secret", MOUNT_ATTR_RDONLY), bind("/run2")};
  const MountPlan plan = plan_mounts(spec, {}).value();
  EXPECT_EQ(places(plan.locked), (Places{"/run", "/run/volume", "/run/volume/secret"}));
  EXPECT_EQ(places(plan.free), (Places{"/run2"}));
}

TEST(MountPlan, AMountThatComesLaterHidesOnPurpose) {
  OciSpec spec;
  spec.mounts = {bind("/data/ro", MOUNT_ATTR_RDONLY), filesystem("tmpfs", "/data")};
  EXPECT_EQ(places(plan_mounts(spec, {}).value().free), (Places{"/data"}));
}

TEST(MountPlan, LocksTheParentsOfMaskedPaths) {
  OciSpec spec;
  spec.mounts = {filesystem("tmpfs", "/run")};
  spec.linux_part.masked_paths = {"/run/secrets/"};
  EXPECT_EQ(places(plan_mounts(spec, {}).value().locked), (Places{"/run"}));
}

TEST(MountPlan, LocksARecursiveBindOfADirectoryWithMountsBelow) {
  OciSpec spec;
  spec.mounts = {bind("/tree"), bind("/leaf")};
  spec.mounts[0].recursive_bind = true;
  spec.mounts[1].recursive_bind = true;
  const MountPlan plan = plan_mounts(spec, {"/", "/host/tree/sub", "/host/leaf"}).value();
  EXPECT_EQ(places(plan.locked), (Places{"/tree"}));
  EXPECT_EQ(places(plan.free), (Places{"/leaf"}));
}

TEST(MountPlan, RefusesAReadOnlyBindWhereItCannotBeProtected) {
  OciSpec spec;
  spec.mounts = {filesystem("devpts", "/dev/pts"), bind("/dev/pts/x", MOUNT_ATTR_RDONLY)};
  const Result<MountPlan> plan = plan_mounts(spec, {});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().message(),
            "mounts: '/dev/pts/x' cannot be protected below '/dev/pts', a mount of type devpts");
}

TEST(MountPlan, LocksABindOfTheRootfsAndWhatItShows) {
  OciSpec spec;
  spec.root_path = "/bundle/rootfs";
  OciMount shown = bind("/final");
  shown.source = "/bundle/rootfs/mnt/x";
  spec.mounts = {bind("/mnt"), bind("/mnt/x/y"), bind("/mnt2"), filesystem("tmpfs", "/mnt/z"),
                 shown};
  const MountPlan plan = plan_mounts(spec, {}).value();
  EXPECT_EQ(places(plan.locked), (Places{"/mnt", "/mnt/x/y", "/final"}));
  EXPECT_EQ(places(plan.free), (Places{"/mnt2", "/mnt/z"}));
}

TEST(MountPlan, LeavesWhatHidesNothingRemovableButForWhatIsLockedBelow) {
  OciSpec spec;
  spec.mounts = {bind("/modules", MOUNT_ATTR_RDONLY), bind("/src", MOUNT_ATTR_RDONLY),
                 bind("/src/secret", MOUNT_ATTR_RDONLY), bind("/rw")};
  spec.mounts[0].removable = true;
  spec.mounts[1].removable = true;
  const MountPlan plan = plan_mounts(spec, {}).value();
  EXPECT_EQ(places(plan.locked), (Places{"/src", "/src/secret"}));
  EXPECT_EQ(places(plan.removable), (Places{"/modules"}));
  EXPECT_EQ(places(plan.free), (Places{"/rw"}));
}

TEST(MountPlan, LocksWhatWouldHideADeviceOutsideDev) {
  OciSpec spec;
  OciDevice device;
  device.path = "/run/null";
  spec.linux_part.devices = {device};
  device.path = "/dev/null";
  spec.linux_part.devices.push_back(device);
  spec.mounts = {filesystem("tmpfs", "/dev"), filesystem("tmpfs", "/run"),
                 filesystem("tmpfs", "/tmp")};
  const MountPlan plan = plan_mounts(spec, {}).value();
  EXPECT_EQ(places(plan.locked), (Places{"/dev", "/run"}));
  EXPECT_EQ(places(plan.free), (Places{"/tmp"}));
}

}  // namespace
}  // namespace sysbox::runc
