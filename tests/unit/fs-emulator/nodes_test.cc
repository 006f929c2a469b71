#include "fs-emulator/nodes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "common/root_dir.h"
#include "fs-emulator/emulated_file.h"
#include "fs-emulator/namespaced_settings.h"
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

// Containers that run while sysbox-fs is exchanged for a newer one know these numbers.
TEST(Nodes, KeepTheirNumbersFromVersionToVersion) {
  const NodeList& list = NodeList::instance();
  const auto cpus = list.inode_of("sys:devices:system:cpu");
  ASSERT_TRUE(cpus.has_value());
  EXPECT_EQ(list.inode_of("proc:sys:kernel:panic"), 1337896400U);
  EXPECT_EQ(cpus, 2133748755U);
  EXPECT_EQ(list.inode_of("online", *cpus), 1969485570U);
}

TEST(Nodes, HaveEachANameOfItsOwnInTheirDirectory) {
  const NodeList& list = NodeList::instance();
  for (const Node& node : list.nodes()) {
    EXPECT_EQ(list.inode_of(node.name, node.parent), node.inode) << node.name;
    EXPECT_TRUE(node.parent == FUSE_ROOT_ID || S_ISDIR(list.find(node.parent)->mode));
  }
}

TEST(Nodes, BelowTheCpusAreTheKernelsOwn) {
  const NodeList& list = NodeList::instance();
  const auto cpus = list.inode_of("sys:devices:system:cpu");
  ASSERT_TRUE(cpus.has_value());
  const auto first = list.inode_of("cpu0", *cpus);
  ASSERT_TRUE(first.has_value());
  EXPECT_TRUE(list.inode_of("online", *cpus).has_value());
  for (const fuse_ino_t inode : list.in_directory(*first)) {
    const std::string name = list.find(inode)->name;
    // The first processor often can't be turned off.
    if (name == "online") continue;
    EXPECT_TRUE(
        sys::fstatat(AT_FDCWD, "/sys/devices/system/cpu/cpu0/" + name, AT_SYMLINK_NOFOLLOW).ok())
        << name;
  }
}

TEST(Pieces, AreWhatIsInTheRoot) {
  const std::size_t in_root = NodeList::instance().in_directory(FUSE_ROOT_ID).size();
  constexpr std::size_t kTheEmptyDirectory = 1;
  const std::size_t left_to_the_kernel =
      is_namespaced_by_kernel("/proc/sys/kernel/pid_max") ? 1 : 0;
  EXPECT_EQ(all_pieces().size(), in_root - kTheEmptyDirectory - left_to_the_kernel);
}

TEST(Pieces, DoNotLieBelowEachOther) {
  const HostFiles host{RootDir::open("/proc").value(), RootDir::open("/sys").value()};
  const std::vector<Piece> pieces = pieces_of_container(host, false);
  for (const Piece& above : pieces) {
    for (const Piece& below : pieces) {
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

std::string chosen_word(const std::string& words) {
  const std::size_t begin = words.find('[') + 1;
  return words.substr(begin, words.find(']') - begin);
}

TEST(Sysctls, TakeTheRunningKernelsOwnValues) {
  for (const Sysctl& sysctl : sysctls()) {
    if (sysctl.policy != SysctlPolicy::StoredPerContainer || !sysctl.zeroes.empty()) continue;
    if (sysctl.min == sysctl.max) continue;  // a switch that is only ever turned on
    const Result<std::string> value = sys::read_file(std::string(sysctl.path));
    if (!value.ok()) continue;
    const bool is_choice = sysctl.format == SysctlFormat::kChoice;
    const std::string before = is_choice ? value.value() : "0\n";
    const std::string written = is_choice ? chosen_word(value.value()) : value.value();
    EXPECT_EQ(parse_sysctl_write(sysctl, before, written).value_or("EINVAL"), value.value())
        << sysctl.path;
  }
}

// "a\\nb" in a file of answers is a line's end in between.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    ++i;
    out += text[i] == 'n' ? '\n' : text[i] == 't' ? '\t' : text[i];
  }
  return out;
}

std::vector<std::string> fields_of_answer(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream in(line);
  for (std::string field; std::getline(in, field, '\t');) fields.push_back(unescaped(field));
  return fields;
}

const Sysctl* find_sysctl(const std::string& path) {
  const auto rows = sysctls();
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&path](const Sysctl& row) { return row.path == path; });
  return found == rows.end() ? nullptr : &*found;
}

// What a kernel (Linux 6.12) answered to each of many texts that root wrote to its own files. A
// line is PATH, BEFORE, WRITTEN and AFTER, between tabs; the last is "refused" for EINVAL.
TEST(Sysctls, TakeWhatAKernelTakes) {
  std::ifstream lines(SYSBOX_SOURCE_ROOT "/tests/unit/fs-emulator/sysctl_answers.tsv");
  ASSERT_TRUE(lines.is_open());
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const std::vector<std::string> fields = fields_of_answer(line);
    ASSERT_EQ(fields.size(), 4U) << line;
    const Sysctl* const sysctl = find_sysctl(fields[0]);
    ASSERT_NE(sysctl, nullptr) << fields[0] << " is not in the table";
    EXPECT_EQ(parse_sysctl_write(*sysctl, fields[1], fields[2]).value_or("refused"), fields[3])
        << line;
  }
  EXPECT_GT(count, 2500U);
}

}  // namespace
}  // namespace sysbox::fs
