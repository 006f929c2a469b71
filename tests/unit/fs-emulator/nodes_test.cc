#include "fs-emulator/nodes.h"

#include <gtest/gtest.h>

#include <set>

#include "common/root_dir.h"
#include "fs-emulator/emulated_file.h"
#include "fs-emulator/sysctl.h"

namespace sysbox::fs {
namespace {

TEST(Nodes, AreFoundByNameAndNumber) {
  const NodeList& list = NodeList::instance();
  const auto inode = list.inode_of("proc:sys:kernel:panic");
  ASSERT_TRUE(inode.has_value());
  EXPECT_EQ(list.find(*inode)->path, "/proc/sys/kernel/panic");
  EXPECT_FALSE(list.inode_of("proc:sys:kernel").has_value());
  EXPECT_EQ(list.find(0), nullptr);
  EXPECT_EQ(list.find(FUSE_ROOT_ID), nullptr);
  EXPECT_EQ(list.find(1'000'000), nullptr);
}

TEST(Pieces, AreAllNodesOnce) {
  const std::size_t nodes = NodeList::instance().nodes().size();
  EXPECT_EQ(nodes, emulated_files().size() + sysctls().size() + masked_paths().size());
  EXPECT_EQ(all_pieces().size(), nodes);
}

TEST(Pieces, DoNotLieBelowEachOther) {
  for (const Piece& above : all_pieces()) {
    for (const Piece& below : all_pieces()) {
      if (&above == &below || above.filesystem != below.filesystem) continue;
      EXPECT_FALSE(is_same_or_below(below.target, above.target))
          << below.target << " lies below " << above.target;
    }
  }
}

TEST(Pieces, NameNodes) {
  for (const Piece& piece : all_pieces()) {
    EXPECT_TRUE(NodeList::instance().inode_of(piece.source).has_value()) << piece.source;
    EXPECT_FALSE(piece.target.starts_with('/'));
    EXPECT_EQ(piece.source.find('/'), std::string::npos);
  }
}

TEST(Sysctls, AreConsistent) {
  for (const Sysctl& sysctl : sysctls()) {
    EXPECT_LE(sysctl.min, sysctl.max) << sysctl.path;
    EXPECT_GE(sysctl.count, 1U) << sysctl.path;
    if (sysctl.zeroes.empty()) continue;
    bool is_there = false;
    for (const Sysctl& other : sysctls()) is_there |= other.path == sysctl.zeroes;
    EXPECT_TRUE(is_there) << sysctl.path;
  }
}

// A mode of ours that differs from the kernel's would let the wrong users read or write.
TEST(Sysctls, HaveTheModesOfTheRunningKernel) {
  for (const Sysctl& sysctl : sysctls()) {
    const Result<struct stat> found = sys::fstatat(AT_FDCWD, std::string(sysctl.path));
    if (!found.ok()) continue;
    EXPECT_EQ(found.value().st_mode & 07777U, sysctl.mode) << sysctl.path;
  }
}

TEST(Sysctls, TakeTheRunningKernelsOwnValues) {
  for (const Sysctl& sysctl : sysctls()) {
    if (sysctl.policy != SysctlPolicy::StoredPerContainer || !sysctl.zeroes.empty()) continue;
    const Result<std::string> value = sys::read_file(std::string(sysctl.path));
    if (!value.ok()) continue;
    EXPECT_EQ(parse_sysctl_write(sysctl, "0\n", value.value()).value_or("EINVAL"), value.value())
        << sysctl.path;
  }
}

}  // namespace
}  // namespace sysbox::fs
