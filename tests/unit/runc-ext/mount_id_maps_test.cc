#include "runc-ext/init/mount_id_maps.h"

#include <gtest/gtest.h>

#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

OciMount mapped_mount(const IdMap& map) {
  OciMount mount;
  mount.uid_map = map;
  mount.gid_map = map;
  return mount;
}

OciLinux container(bool engine_knows_ids) {
  OciLinux linux_part;
  linux_part.uid_mappings = IdMap::onto({700000, 65536});
  linux_part.gid_mappings = IdMap::onto({900000, 65536});
  linux_part.engine_knows_ids = engine_knows_ids;
  return linux_part;
}

TEST(MountIdMaps, AreTheHostsForAnEngineThatKnowsTheIds) {
  const IdMap map{{{0, 700000, 10}}};
  const MountIdMaps maps = mount_id_maps(mapped_mount(map), container(true)).value();
  EXPECT_EQ(maps.uids, map);
  EXPECT_EQ(maps.gids, map);
}

TEST(MountIdMaps, AreTheContainersForOneThatDoesNot) {
  const IdMap map{{{100, 1000, 5}, {200, 65530, 100}, {400, 100000, 5}}};
  const MountIdMaps maps = mount_id_maps(mapped_mount(map), container(false)).value();
  EXPECT_EQ(maps.uids, (IdMap{{{100, 701000, 5}, {200, 765530, 6}}}));
  EXPECT_EQ(maps.gids, (IdMap{{{100, 901000, 5}, {200, 965530, 6}}}));
}

TEST(MountIdMaps, WithoutAnyIdOfTheContainerAreRefused) {
  const IdMap map{{{0, 100000, 65536}}};
  const auto maps = mount_id_maps(mapped_mount(map), container(false));
  ASSERT_FALSE(maps.ok());
  EXPECT_EQ(maps.error().message(), "uidMappings: maps onto no id that the container has");
}

TEST(MountIdMaps, MakeAUserNamespaceThatNobodyLivesIn) {
  const IdMap map{{{0, 700000, 10}, {50, 800000, 1}}};
  const UniqueFd made = make_user_namespace({map, map}).value();
  const struct stat own = sys::fstatat(AT_FDCWD, "/proc/self/ns/user").value();
  EXPECT_NE(sys::fstat(made.get()).value().st_ino, own.st_ino);
  EXPECT_FALSE(make_user_namespace({IdMap{{{0, 1, 2}, {1, 5, 2}}}, map}).ok());
}

}  // namespace
}  // namespace sysbox::runc
