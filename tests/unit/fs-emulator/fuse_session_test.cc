// The emulated files through a real FUSE mount.

#include "fs-emulator/fuse_session.h"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "fs-emulator/memory_figures.h"
#include "fs-emulator/sysctl.h"
#include "tests/unit/fs-emulator/daemon_fixture.h"

namespace sysbox::fs {
namespace {

using namespace std::chrono_literals;
using ::testing::StartsWith;

constexpr const char* kPanic = "proc:sys:kernel:panic";
constexpr const char* kMapCount = "proc:sys:vm/max_map_count";

class EmulatedTree : public ::testing::Test {
 protected:
  void SetUp() override { REQUIRE_FUSE(); }

  std::string pread_at(int fd, std::size_t size, off_t offset) {
    std::string bytes(size, '\0');
    const ssize_t n = ::pread(fd, bytes.data(), size, offset);
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
  }
};

TEST_F(EmulatedTree, EveryPieceIsThereWithOwnerAndMode) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  for (const Piece& piece : box.reply().pieces) {
    const Result<struct stat> found = sys::fstatat(box.root(), piece.source, AT_SYMLINK_NOFOLLOW);
    ASSERT_TRUE(found.ok()) << piece.source << found.error().message();
    EXPECT_EQ(found.value().st_uid, 231072U) << piece.source;
    EXPECT_EQ(found.value().st_gid, 331072U) << piece.source;
    EXPECT_EQ(found.value().st_mode & 0022U, 0U) << piece.source;
  }
}

TEST_F(EmulatedTree, SettingsHaveTheirTrueSize) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  for (const Node& node : NodeList::instance().nodes()) {
    if (node.kind != NodeKind::kSysctl || (node.mode & 0400U) == 0) continue;
    const std::string name =
        node.parent == FUSE_ROOT_ID
            ? node.name
            : join(NodeList::instance().find(node.parent)->name, "/", node.name);
    const std::string text = box.read(name);
    const bool is_sysfs = node.path.starts_with("/sys/");  // which says a page of everything
    EXPECT_EQ(sys::fstatat(box.root(), name).value().st_size,
              is_sysfs ? 4096 : static_cast<off_t>(text.size()))
        << name;
    EXPECT_TRUE(text.ends_with('\n')) << name;
  }
}

TEST_F(EmulatedTree, AWriteIsReadBackAsTheKernelPrintsIt) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  EXPECT_EQ(box.read(kPanic), "0\n");
  // Shorter and longer values in turn: nothing of the old text may stay in the page cache.
  for (const char* value : {"100", "7", "-1", "33333", " 5 \n", "0x10"}) {
    EXPECT_EQ(box.write(kPanic, value), 0);
    const int number = static_cast<int>(std::stol(value, nullptr, 0));
    EXPECT_EQ(box.read(kPanic), join(number, "\n"));
    EXPECT_EQ(box.write(kPanic, value, 0), 0) << "without O_TRUNC";
    EXPECT_EQ(box.read(kPanic), join(number, "\n"));
  }
}

TEST_F(EmulatedTree, AnInvalidWriteIsRefusedAndLeavesTheValue) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  EXPECT_EQ(box.write(kPanic, "42\n"), 0);
  EXPECT_EQ(box.read(kPanic), "42\n");
  for (const char* bad : {"abc", "5x", "99999999999", "+1"}) {
    EXPECT_EQ(box.write(kPanic, bad), EINVAL) << bad;
    EXPECT_EQ(box.read(kPanic), "42\n");
  }
}

TEST_F(EmulatedTree, AppendingSetsAsOnProcfs) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  EXPECT_EQ(box.write(kPanic, "10\n"), 0);
  EXPECT_EQ(box.write(kPanic, "33\n", O_APPEND), 0);
  EXPECT_EQ(box.read(kPanic), "33\n");
}

TEST_F(EmulatedTree, WritingAtAnotherPlaceHasNoEffect) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  EXPECT_EQ(box.write(kPanic, "10\n"), 0);
  const UniqueFd file = sys::openat(box.root(), kPanic, O_RDWR).value();
  EXPECT_EQ(::pwrite(file.get(), "55\n", 3, 1), 3);
  EXPECT_EQ(box.read(kPanic), "10\n");
}

TEST_F(EmulatedTree, TruncatingChangesNothing) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  EXPECT_EQ(box.write(kPanic, "10\n"), 0);
  const UniqueFd file = sys::openat(box.root(), kPanic, O_WRONLY | O_TRUNC).value();
  EXPECT_EQ(box.read(kPanic), "10\n");
  EXPECT_EQ(::ftruncate(file.get(), 0), 0);
  EXPECT_EQ(box.read(kPanic), "10\n");
}

TEST_F(EmulatedTree, OwnerAndModeCannotBeSet) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  EXPECT_EQ(::fchmodat(box.root(), kPanic, 0600, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::fchownat(box.root(), kPanic, 0, 0, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::mkdirat(box.root(), "x", 0700), -1);
  EXPECT_EQ(::unlinkat(box.root(), kPanic, 0), -1);
}

// Its size is what sendfile(2), which busybox's cat is made of, believes.
TEST_F(EmulatedTree, SendfileSeesTheWholeText) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  for (const char* name : {"proc:stat", "proc:cpuinfo", "proc:swaps"}) {
    auto [reader, writer] = sys::pipe().value();
    const UniqueFd file = sys::openat(box.root(), name, O_RDONLY).value();
    const ssize_t sent = ::sendfile(writer.get(), file.get(), nullptr, 1 << 16);
    writer.reset();
    const std::string text = sys::read_all(reader.get()).value();
    EXPECT_EQ(sent, static_cast<ssize_t>(text.size()));
    EXPECT_GT(text.size(), 20U) << name;
    EXPECT_TRUE(text.ends_with('\n'))
        << name << " ends in '" << text.substr(text.size() - 5) << "'";
  }
}

TEST_F(EmulatedTree, SendfileSeesTheWholeTextOfASettingThatHasGrown) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  ASSERT_EQ(box.read(kPanic), "0\n");
  ASSERT_EQ(box.write(kPanic, "123", 0), 0);  // one less than what is read back
  const UniqueFd file = sys::openat(box.root(), kPanic, O_RDONLY).value();
  auto [reader, writer] = sys::pipe().value();
  ASSERT_EQ(::sendfile(writer.get(), file.get(), nullptr, 1 << 16), 4);
}

TEST_F(EmulatedTree, PartialReadsFitTogether) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  for (const char* name : {"proc:meminfo", "proc:sys:kernel:printk"}) {
    const UniqueFd file = sys::openat(box.root(), name, O_RDONLY).value();
    std::string together;
    for (off_t at = 0;; ++at) {
      const std::string byte = pread_at(file.get(), 1, at);
      if (byte.empty()) break;
      together += byte;
    }
    EXPECT_EQ(together, pread_at(file.get(), 1 << 16, 0));
    EXPECT_EQ(pread_at(file.get(), 4, 3), together.substr(3, 4));
    EXPECT_EQ(pread_at(file.get(), 4, 1 << 20), "");
  }
}

TEST_F(EmulatedTree, ALiveFileStaysAsItWasOpenedUntilItIsReadFromTheStart) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  const UniqueFd file = sys::openat(box.root(), "proc:uptime", O_RDONLY).value();
  const std::string first = pread_at(file.get(), 100, 0);
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(pread_at(file.get(), 100, 2), first.substr(2));
  EXPECT_NE(pread_at(file.get(), 100, 0), first);
}

TEST_F(EmulatedTree, LiveFilesCannotBeWritten) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  // The host's root may open anything; the container's is refused by the mode.
  const UniqueFd file = sys::openat(box.root(), "proc:uptime", O_WRONLY).value();
  EXPECT_EQ(::write(file.get(), "1", 1), -1);
  EXPECT_EQ(errno, EIO);
}

TEST_F(EmulatedTree, OpenLiveFilesOfOneContainerAreBounded) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  const Tree other(parts.registry(), request_for("other"));
  std::vector<UniqueFd> files;
  int refused = 0;
  for (int i = 0; i < 10000 && refused == 0; ++i) {
    Result<UniqueFd> file = sys::openat(box.root(), "proc:vmstat", O_RDONLY);
    if (file.ok()) {
      files.push_back(std::move(file).value());
    } else {
      refused = file.error().code();
    }
  }
  EXPECT_EQ(refused, ENOMEM);
  EXPECT_NE(other.read("proc:vmstat"), "error");
  files.clear();
  for (int i = 0; i < 100 && box.read("proc:vmstat") == "error"; ++i) {
    std::this_thread::sleep_for(10ms);  // release is not waited for
  }
  EXPECT_NE(box.read("proc:vmstat"), "error");
}

// Files are closed in the background, and count until then.
TEST_F(EmulatedTree, ManyReadersAtOnceDoNotOutrunTheirClosings) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  std::atomic<int> refused{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 64; ++i) {
    readers.emplace_back([&] {
      for (int round = 0; round < 300; ++round) {
        if (!sys::openat(box.root(), "proc:vmstat", O_RDONLY).ok()) ++refused;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(refused, 0);
}

TEST_F(EmulatedTree, TwoContainersDoNotSeeEachOthersValues) {
  DaemonParts parts;
  const Tree one(parts.registry(), request_for("one"));
  const Tree two(parts.registry(), request_for("two"));
  EXPECT_EQ(one.write(kPanic, "10"), 0);
  EXPECT_EQ(one.read(kPanic), "10\n");
  EXPECT_EQ(two.read(kPanic), "0\n");
}

TEST_F(EmulatedTree, AnotherUserMayReadWhatTheModeSays) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  std::thread([&box] {
    // The raw call: of this thread only.
    ASSERT_EQ(::syscall(SYS_setresuid, 12345, 12345, 12345), 0);
    EXPECT_EQ(box.read(kPanic), "0\n");
    EXPECT_EQ(box.write(kPanic, "1"), EACCES);
    EXPECT_EQ(sys::openat(box.root(), "sys:module:nf_conntrack:parameters:hashsize", O_RDONLY)
                  .error()
                  .code(),
              EACCES);
    EXPECT_EQ(sys::openat(box.root(), "proc:sys:vm/drop_caches", O_RDONLY).error().code(), EACCES);
  }).join();
}

TEST_F(EmulatedTree, ADirectoryOfSettingsHasTheKernelsOthersToo) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  std::set<std::string> ours;
  std::set<std::string> kernels;
  const std::string directory = join("/proc/self/fd/", box.root(), "/proc:sys:vm");
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    ours.insert(entry.path().filename());
  }
  for (const auto& entry : std::filesystem::directory_iterator("/proc/sys/vm")) {
    kernels.insert(entry.path().filename());
  }
  EXPECT_EQ(ours, kernels);
  const std::string lazy = "proc:sys:vm/lowmem_reserve_ratio";
  EXPECT_EQ(box.read(lazy), sys::read_file("/proc/sys/vm/lowmem_reserve_ratio").value_or("error"));
  EXPECT_EQ(sys::fstatat(box.root(), lazy).value().st_uid, 0U) << "the host's root";
  EXPECT_EQ(box.write(lazy, "1"), EIO) << "even for the host's root";
}

TEST_F(EmulatedTree, MasksAreEmpty) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  const std::string firmware = join("/proc/self/fd/", box.root(), "/sys:firmware");
  EXPECT_TRUE(std::filesystem::is_empty(firmware));
}

TEST_F(EmulatedTree, ConcurrentReadersAndWritersSeeWholeValues) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  // Of one length and of several: a mixture of two values would be neither.
  const std::set<std::string> values = {"1111111\n", "2222222\n", "3\n", "65530\n"};
  EXPECT_EQ(box.write(kMapCount, "3"), 0);
  std::atomic<bool> done{false};
  std::atomic<int> reads{0};
  std::atomic<int> broken{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const std::string seen = box.read(kMapCount);
        ++reads;
        if (!values.contains(seen)) {
          ++broken;
          ADD_FAILURE() << "read '" << seen << "'";
        }
      }
    });
  }
  for (int round = 0; round < 500; ++round) {
    for (const std::string& value : values) EXPECT_EQ(box.write(kMapCount, value), 0);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_GT(reads, 100);
  EXPECT_EQ(broken, 0);
}

TEST_F(EmulatedTree, UnregisteringEndsIt) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  const UniqueFd open_file = sys::openat(box.root(), "proc:uptime", O_RDONLY).value();
  parts.registry().unregister_container("box");
  // A worker that is at a request of the connection ends it when it is done.
  const Deadline deadline = after(5s);
  while (sys::openat(box.root(), "proc:uptime", O_RDONLY).ok() &&
         milliseconds_until(deadline) > 0) {
  }
  const Result<UniqueFd> ended = sys::openat(box.root(), "proc:uptime", O_RDONLY);
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code(), ENOTCONN);
  char byte = 0;
  EXPECT_EQ(::pread(open_file.get(), &byte, 1, 0), -1);
  // The id is free again, with new files.
  const Tree again(parts.registry(), request_for("box"));
  EXPECT_EQ(again.read(kPanic), "0\n");
}

TEST_F(EmulatedTree, AConnectionWhoseMountsAreGoneEndsAndOthersLive) {
  DaemonParts parts;
  const Tree other(parts.registry(), request_for("other"));
  for (int i = 0; i < 20; ++i) {
    const Tree box(parts.registry(), request_for("box"));
    EXPECT_EQ(box.read(kPanic), "0\n");
    parts.registry().unregister_container("box");
  }
  EXPECT_EQ(other.read(kPanic), "0\n");
}

TEST_F(EmulatedTree, ManyContainersComeAndGoWithoutLeavingDescriptors) {
  const auto count = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  DaemonParts parts;
  const auto cycle = [&] {
    const Tree box(parts.registry(), request_for("box"));
    parts.registry().unregister_container("box");
  };
  for (int i = 0; i < 20; ++i) cycle();
  std::this_thread::sleep_for(100ms);
  const auto before = count();
  for (int i = 0; i < 200; ++i) cycle();
  std::this_thread::sleep_for(100ms);
  EXPECT_LE(count(), before + 8);
}

TEST_F(EmulatedTree, PiecesCanBeBoundOverARealProcfs) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  std::thread([&box] {
    ASSERT_TRUE(sys::unshare(CLONE_FS | CLONE_NEWNS).ok());
    ASSERT_TRUE(sys::mount("", "/", "", MS_REC | MS_PRIVATE, "").ok());
    ASSERT_TRUE(sys::mount("tmpfs", "/mnt", "tmpfs", 0, "").ok());
    ASSERT_TRUE(sys::mkdirat(AT_FDCWD, "/mnt/tree", 0700).ok());
    ASSERT_TRUE(sys::mkdirat(AT_FDCWD, "/mnt/proc", 0700).ok());
    ASSERT_TRUE(sys::mount("proc", "/mnt/proc", "proc", 0, "").ok());
    ASSERT_TRUE(sys::move_mount(box.root(), "", AT_FDCWD, "/mnt/tree").ok());
    const UniqueFd piece =
        sys::open_tree(AT_FDCWD, join("/mnt/tree/", kPanic), OPEN_TREE_CLONE).value();
    ASSERT_TRUE(sys::move_mount(piece.get(), "", AT_FDCWD, "/mnt/proc/sys/kernel/panic").ok());
    EXPECT_TRUE(sys::write_file("/mnt/proc/sys/kernel/panic", "17\n").ok());
    EXPECT_EQ(sys::read_file("/mnt/proc/sys/kernel/panic").value_or(""), "17\n");
  }).join();
  EXPECT_NE(sys::read_file("/proc/sys/kernel/panic").value_or(""), "17\n");
}

// A cgroup of each v1 controller with limits, and this process's thread in it.
class LimitedCgroup {
 public:
  explicit LimitedCgroup(const std::string& name) {
    for (const char* controller : {"memory", "cpu", "cpuacct", "cpuset"}) {
      const std::string path = join("/sys/fs/cgroup/", controller, "/", name);
      std::error_code error;
      std::filesystem::create_directory(path, error);
      if (!std::filesystem::exists(path + "/tasks")) {
        why_ = "no cgroup v1 hierarchy for " + std::string(controller);
        std::filesystem::remove(path, error);
        continue;
      }
      directories_[controller] = path;
    }
    if (!why_.empty()) return;
    set("memory", "memory.limit_in_bytes", "536870912");
    set("cpu", "cpu.cfs_quota_us", "100000");
  }
  ~LimitedCgroup() {
    for (const auto& [controller, path] : directories_) ::rmdir(path.c_str());
  }
  LimitedCgroup(const LimitedCgroup&) = delete;
  LimitedCgroup& operator=(const LimitedCgroup&) = delete;

  const std::string& why_not() const { return why_; }
  const CgroupDirectories& directories() const { return directories_; }
  void set(const std::string& controller, const std::string& file, const std::string& text) {
    EXPECT_TRUE(sys::write_file(directories_[controller] + "/" + file, text).ok()) << file;
  }

 private:
  CgroupDirectories directories_;
  std::string why_;
};

TEST_F(EmulatedTree, LiveFilesFollowARealCgroup) {
  LimitedCgroup cgroup(join("sysbox-fs-test-", ::getpid()));
  if (!cgroup.why_not().empty()) GTEST_SKIP() << cgroup.why_not();
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box", cgroup.directories()));
  EXPECT_EQ(meminfo_value(box.read("proc:meminfo"), "MemTotal"), 524288U);
  EXPECT_EQ(box.read("sys:devices:system:cpu/online"), "0\n");
  EXPECT_EQ(box.read("proc:cpuinfo").find("processor\t: 1"), std::string::npos);
  EXPECT_THAT(box.read("proc:uptime"), StartsWith("0."));
  EXPECT_EQ(box.read("proc:stat").find("cpu1"), std::string::npos);
}

TEST_F(EmulatedTree, ANestedCgroupsProcessSeesItsOwnLimit) {
  const std::string name = join("sysbox-fs-test-", ::getpid());
  LimitedCgroup cgroup(name);
  if (!cgroup.why_not().empty()) GTEST_SKIP() << cgroup.why_not();
  const std::string inner = cgroup.directories().at("memory") + "/inner";
  ASSERT_TRUE(sys::mkdirat(AT_FDCWD, inner, 0755).ok());
  ASSERT_TRUE(sys::write_file(inner + "/memory.limit_in_bytes", "67108864").ok());
  DaemonParts parts;
  {
    const Tree box(parts.registry(), request_for("box", cgroup.directories()));
    const pid_t init = ::fork();
    if (init == 0) {
      ::pause();
      ::_exit(0);
    }
    const std::string tasks = cgroup.directories().at("memory") + "/cgroup.procs";
    EXPECT_TRUE(sys::write_file(tasks, std::to_string(init)).ok());
    ContainerInit started{init, sys::pidfd_open(init).value()};
    EXPECT_TRUE(parts.registry().start_container("box", std::move(started)).ok());
    // The same process, moved, stands for one of a nested container.
    EXPECT_TRUE(sys::write_file(inner + "/cgroup.procs", std::to_string(init)).ok());
    const std::string membership = sys::read_file(join("/proc/", init, "/cgroup")).value_or("");
    EXPECT_NE(membership.find(name + "/inner"), std::string::npos);

    const pid_t reader = ::fork();
    if (reader == 0) {
      const bool moved = sys::write_file(inner + "/cgroup.procs", "0").ok();
      const std::string text = box.read("proc:meminfo");
      ::_exit(moved && meminfo_value(text, "MemTotal") == 65536 ? 0 : 1);
    }
    int status = -1;
    ::waitpid(reader, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(meminfo_value(box.read("proc:meminfo"), "MemTotal"), 524288U);
    ::kill(init, SIGKILL);
    ::waitpid(init, &status, 0);
  }
  for (int i = 0; i < 100 && ::rmdir(inner.c_str()) != 0; ++i) std::this_thread::sleep_for(10ms);
}

}  // namespace
}  // namespace sysbox::fs
