#include "fs-emulator/host_hardware.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fixture_proc.h"

namespace sysbox::fs {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class Hardware : public ::testing::Test {
 protected:
  std::vector<std::string> found() {
    files_.set("proc/version", "");
    files_.set("sys/kernel/fscaps", "");
    const HostFiles host{files_.root("proc"), files_.root("sys")};
    return hardware_directories(host);
  }
  testing::FixtureProc files_;
};

TEST_F(Hardware, IsWhatLiesInDevicesExceptProcessorsAndPerfSources) {
  files_.set("sys/devices/pci0000:00/0000:00:01.0/vendor", "0x8086\n");
  files_.set("sys/devices/LNXSYSTM:00/uevent", "");
  files_.set("sys/devices/cpu/perf_event_mux_interval_ms", "4\n");
  files_.set("sys/devices/system/cpu/online", "0-1\n");
  files_.set("sys/devices/virtual/net/lo/address", "");
  files_.set("sys/devices/virtual/block/dm-0/dm/uuid", "LVM-x\n");
  files_.set("sys/devices/virtual/dmi/id/product_uuid", "");
  EXPECT_THAT(found(), UnorderedElementsAre("/sys/devices/pci0000:00", "/sys/devices/LNXSYSTM:00",
                                            "/sys/devices/virtual/block"));
}

TEST_F(Hardware, IsNotWhatBelongsToANamespaceOrIsAPlaceToMountOn) {
  files_.set("sys/fs/cgroup/cgroup.procs", "");
  files_.set("sys/fs/fuse/connections/x", "");
  files_.set("sys/fs/ext4/sda1/lifetime_write_kbytes", "1\n");
  files_.set("proc/fs/nfsd/threads", "");
  files_.set("proc/fs/jbd2/sda1-8/info", "");
  files_.set("proc/bus/pci/devices", "");
  EXPECT_THAT(found(), UnorderedElementsAre("/sys/fs/ext4", "/proc/fs/jbd2", "/proc/bus"));
}

TEST_F(Hardware, OfAMachineWithoutAny) { EXPECT_THAT(found(), IsEmpty()); }

}  // namespace
}  // namespace sysbox::fs
