// Emulated files beside files of the kernel's own: what a program does to both has to come out
// alike.

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <termios.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "tests/unit/fs-emulator/daemon_fixture.h"

namespace sysbox::fs {
namespace {

constexpr const char* kPanic = "proc:sys:kernel:panic";

// What came out of a system call, as text: "ok 3" or "errno 22".
std::string outcome(long result) {
  return result < 0 ? join("errno ", errno) : join("ok ", result);
}

// A setting to try things on: the kernel's own, of a network namespace of this thread, or ours.
struct Setting {
  int directory;
  const char* name;
  UniqueFd open(int flags) const { return UniqueFd(::openat(directory, name, flags | O_CLOEXEC)); }
  std::string value() const { return sys::read_file_at(directory, name).value_or("error"); }
};

struct Deed {
  const char* what;
  std::function<std::string(const Setting&)> result;
};

std::string write_with(const Setting& setting, int flags, std::string_view text) {
  const UniqueFd file = setting.open(flags);
  if (!file.valid()) return join("open: ", outcome(-1));
  return outcome(::write(file.get(), text.data(), text.size()));
}

const std::vector<Deed>& deeds() {
  static const std::vector<Deed> all = {
      {"write", [](const Setting& it) { return write_with(it, O_WRONLY, "11\n"); }},
      {"write without a newline", [](const Setting& it) { return write_with(it, O_WRONLY, "12"); }},
      {"truncate and write",
       [](const Setting& it) { return write_with(it, O_WRONLY | O_TRUNC, "13\n"); }},
      {"append", [](const Setting& it) { return write_with(it, O_WRONLY | O_APPEND, "14\n"); }},
      {"truncate and append",
       [](const Setting& it) { return write_with(it, O_WRONLY | O_TRUNC | O_APPEND, "15\n"); }},
      {"create and truncate",
       [](const Setting& it) { return write_with(it, O_WRONLY | O_CREAT | O_TRUNC, "16\n"); }},
      {"create exclusively",
       [](const Setting& it) { return write_with(it, O_WRONLY | O_CREAT | O_EXCL, "17\n"); }},
      {"write nothing", [](const Setting& it) { return write_with(it, O_WRONLY, ""); }},
      {"write blanks", [](const Setting& it) { return write_with(it, O_WRONLY, "  18  \n"); }},
      {"write letters", [](const Setting& it) { return write_with(it, O_WRONLY, "x\n"); }},
      {"write too much of a number",
       [](const Setting& it) { return write_with(it, O_WRONLY, "99999999999\n"); }},
      {"write more than a page",
       [](const Setting& it) { return write_with(it, O_WRONLY, "19\n" + std::string(6000, ' ')); }},
      {"write twice",
       [](const Setting& it) {
         const UniqueFd file = it.open(O_WRONLY);
         return outcome(::write(file.get(), "20\n", 3)) + ", " +
                outcome(::write(file.get(), "21\n", 3));
       }},
      {"write, seek to the start and write",
       [](const Setting& it) {
         const UniqueFd file = it.open(O_WRONLY);
         return outcome(::write(file.get(), "22\n", 3)) + ", " +
                outcome(::lseek(file.get(), 0, SEEK_SET)) + ", " +
                outcome(::write(file.get(), "23\n", 3));
       }},
      {"write at a place",
       [](const Setting& it) { return outcome(::pwrite(it.open(O_WRONLY).get(), "55\n", 3, 1)); }},
      {"write at the start",
       [](const Setting& it) { return outcome(::pwrite(it.open(O_WRONLY).get(), "24\n", 3, 0)); }},
      {"read after a write",
       [](const Setting& it) {
         const UniqueFd file = it.open(O_RDWR);
         std::array<char, 16> bytes{};
         return outcome(::write(file.get(), "25\n", 3)) + ", " +
                outcome(::pread(file.get(), bytes.data(), bytes.size(), 0)) + " " + bytes.data();
       }},
      {"read beyond the end",
       [](const Setting& it) {
         std::array<char, 16> bytes{};
         return outcome(::pread(it.open(O_RDONLY).get(), bytes.data(), bytes.size(), 100));
       }},
      {"read nothing",
       [](const Setting& it) {
         char byte = 0;
         return outcome(::read(it.open(O_RDONLY).get(), &byte, 0));
       }},
      {"seek",
       [](const Setting& it) {
         const UniqueFd file = it.open(O_RDONLY);
         return outcome(::lseek(file.get(), 1, SEEK_SET)) + ", " +
                outcome(::lseek(file.get(), 1, SEEK_CUR)) + ", " +
                outcome(::lseek(file.get(), -5, SEEK_SET));
       }},
      {"read of what is open for writing",
       [](const Setting& it) {
         char byte = 0;
         return outcome(::read(it.open(O_WRONLY).get(), &byte, 1));
       }},
      {"open without a cache",
       [](const Setting& it) { return outcome(it.open(O_RDONLY | O_DIRECT).valid() ? 0 : -1); }},
      {"open without waiting",
       [](const Setting& it) { return outcome(it.open(O_RDONLY | O_NONBLOCK).valid() ? 0 : -1); }},
      {"open as a directory",
       [](const Setting& it) { return outcome(it.open(O_RDONLY | O_DIRECTORY).valid() ? 0 : -1); }},
      {"truncate",
       [](const Setting& it) { return outcome(::ftruncate(it.open(O_WRONLY).get(), 0)); }},
      {"lengthen",
       [](const Setting& it) { return outcome(::ftruncate(it.open(O_WRONLY).get(), 100)); }},
      {"touch",
       [](const Setting& it) { return outcome(::futimens(it.open(O_WRONLY).get(), nullptr)); }},
      {"chmod", [](const Setting& it) { return outcome(::fchmod(it.open(O_RDONLY).get(), 0600)); }},
      {"chown", [](const Setting& it) { return outcome(::fchown(it.open(O_RDONLY).get(), 1, 1)); }},
      {"fsync", [](const Setting& it) { return outcome(::fsync(it.open(O_WRONLY).get())); }},
      {"allocate",
       [](const Setting& it) { return outcome(::fallocate(it.open(O_WRONLY).get(), 0, 0, 10)); }},
      {"lock",
       [](const Setting& it) { return outcome(::flock(it.open(O_RDONLY).get(), LOCK_EX)); }},
      {"ask for a terminal",
       [](const Setting& it) {
         struct termios settings {};
         return outcome(::tcgetattr(it.open(O_RDONLY).get(), &settings));
       }},
      {"read an attribute",
       [](const Setting& it) {
         char byte = 0;
         return outcome(::fgetxattr(it.open(O_RDONLY).get(), "user.x", &byte, 1));
       }},
      {"map it shared",
       [](const Setting& it) {
         void* const at = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, it.open(O_RDONLY).get(), 0);
         return outcome(at == MAP_FAILED ? -1 : 0);
       }},
      {"poll",
       [](const Setting& it) {
         const UniqueFd file = it.open(O_RDWR);
         struct pollfd state {
           file.get(), POLLIN | POLLOUT, 0
         };
         return outcome(::poll(&state, 1, 0)) + " " + std::to_string(state.revents);
       }},
      {"epoll",
       [](const Setting& it) {
         const UniqueFd file = it.open(O_RDONLY);
         const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
         struct epoll_event event {};
         event.events = EPOLLIN;
         return outcome(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, file.get(), &event)) + ", " +
                outcome(::epoll_wait(epoll.get(), &event, 1, 0));
       }},
      {"watch a write",
       [](const Setting& it) {
         const UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
         const std::string path = join("/proc/thread-self/fd/", it.directory, "/", it.name);
         if (::inotify_add_watch(watch.get(), path.c_str(), IN_MODIFY | IN_CLOSE_WRITE) < 0) {
           return outcome(-1);
         }
         (void)write_with(it, O_WRONLY | O_TRUNC, "26\n");
         std::array<char, 4096> events{};
         const ssize_t size = ::read(watch.get(), events.data(), events.size());
         std::string seen;
         for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(sizeof(struct inotify_event))) {
           struct inotify_event event {};
           std::memcpy(&event, events.data() + at, sizeof event);
           seen += join(event.mask, " ");
         }
         return seen;
       }},
      {"send it",
       [](const Setting& it) {
         auto [reader, writer] = sys::pipe().value();
         const UniqueFd file = it.open(O_RDONLY);
         const std::string sent = outcome(::sendfile(writer.get(), file.get(), nullptr, 4096));
         writer.reset();
         return sent + " " + sys::read_all(reader.get()).value_or("");
       }},
      {"splice into it",
       [](const Setting& it) {
         auto [reader, writer] = sys::pipe().value();
         EXPECT_TRUE(sys::write_all(writer.get(), "27\n").ok());
         return outcome(::splice(reader.get(), nullptr, it.open(O_WRONLY).get(), nullptr, 3, 0));
       }},
  };
  return all;
}

class FileSemantics : public ::testing::Test {
 protected:
  void SetUp() override { REQUIRE_FUSE(); }
};

TEST_F(FileSemantics, AreThoseOfTheKernelsOwnSettings) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  std::thread([&box] {
    // A plain int without a range that each network namespace has for itself.
    ASSERT_TRUE(sys::unshare(CLONE_NEWNET).ok());
    const UniqueFd directory = sys::open("/proc/sys/net/ipv4", O_PATH | O_DIRECTORY).value();
    const Setting theirs{directory.get(), "tcp_base_mss"};
    const Setting ours{box.root(), kPanic};
    for (const Deed& deed : deeds()) {
      for (const Setting* each : {&theirs, &ours}) {
        ASSERT_EQ(write_with(*each, O_WRONLY, "10\n"), "ok 3");
      }
      EXPECT_EQ(deed.result(ours), deed.result(theirs)) << deed.what;
      EXPECT_EQ(ours.value(), theirs.value()) << "after: " << deed.what;
    }
  }).join();
}

// Becomes an ordinary user in this thread alone; of its capabilities the given one is left.
void become(uid_t uid, int kept_capability = -1) {
  ASSERT_EQ(::prctl(PR_SET_KEEPCAPS, 1), 0);
  ASSERT_EQ(::syscall(SYS_setresgid, uid, uid, uid), 0);
  ASSERT_EQ(::syscall(SYS_setresuid, uid, uid, uid), 0);
  struct __user_cap_header_struct header {};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  std::array<struct __user_cap_data_struct, 2> sets{};
  if (kept_capability >= 0) {
    sets[0].effective = sets[0].permitted = 1U << static_cast<unsigned>(kept_capability);
  }
  ASSERT_EQ(::syscall(SYS_capset, &header, sets.data()), 0);
}

std::string try_all(const Setting& setting, const UniqueFd& handed_down) {
  char byte = 0;
  return join("open to read ", outcome(setting.open(O_RDONLY).valid() ? 0 : -1), ", open to write ",
              outcome(setting.open(O_WRONLY).valid() ? 0 : -1), ", read ",
              outcome(::pread(handed_down.get(), &byte, 1, 0)), ", write ",
              outcome(::pwrite(handed_down.get(), "1", 1, 0)));
}

// CVE-2015-1344 was the check of another's credentials than the writer's.
TEST_F(FileSemantics, AnOrdinaryUserMayDoWhatTheKernelLetsIt) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  std::thread([&box] {
    ASSERT_TRUE(sys::unshare(CLONE_NEWNET).ok());
    const UniqueFd directory = sys::open("/proc/sys/net/ipv4", O_PATH | O_DIRECTORY).value();
    const Setting theirs{directory.get(), "tcp_base_mss"};
    const Setting ours{box.root(), kPanic};
    const UniqueFd their_file = theirs.open(O_RDWR);
    const UniqueFd our_file = ours.open(O_RDWR);
    for (const int capability : {-1, CAP_DAC_OVERRIDE, CAP_SYS_ADMIN}) {
      std::thread([&] {
        become(12345, capability);
        const std::string expected = try_all(theirs, their_file);
        EXPECT_EQ(try_all(ours, our_file), expected) << "with capability " << capability;
        EXPECT_NE(expected.find("open to write errno 13"), std::string::npos) << expected;
        EXPECT_NE(expected.find(", write errno 1"), std::string::npos) << expected;
      }).join();
    }
  }).join();
  EXPECT_EQ(box.read(kPanic), "0\n");
}

TEST_F(FileSemantics, TheContainersRootNeedsNoCapability) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  std::thread([&box] {
    become(231072);
    EXPECT_EQ(box.write(kPanic, "5"), 0);
    EXPECT_EQ(box.read(kPanic), "5\n");
    EXPECT_EQ(box.write("proc:uptime", "5", 0), EACCES);
  }).join();
}

TEST_F(FileSemantics, EachFileHasANumberOfItsOwnThatStays) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  std::set<std::string> names;
  for (const Piece& piece : box.reply().pieces) names.insert(piece.source);
  std::set<ino_t> numbers;
  for (const std::string& name : names) {
    const ino_t number = sys::fstatat(box.root(), name).value().st_ino;
    EXPECT_TRUE(numbers.insert(number).second) << name;
    EXPECT_EQ(sys::fstatat(box.root(), name).value().st_ino, number);
  }
}

// What many tasks read at once of a cgroup comes from one making, and never goes back.
TEST_F(FileSemantics, TimeNeverGoesBackForManyReaders) {
  DaemonParts parts;
  const Tree box(parts.registry(), request_for("box"));
  std::atomic<int> backwards{0};
  std::atomic<long> newest{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 8; ++i) {
    readers.emplace_back([&] {
      for (int round = 0; round < 300; ++round) {
        const long known = newest;
        const long hundredths = std::lround(std::stod(box.read("proc:uptime")) * 100);
        if (hundredths < known) ++backwards;
        long other = newest;
        while (other < hundredths && !newest.compare_exchange_weak(other, hundredths)) {
        }
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(backwards, 0);
}

TEST_F(FileSemantics, ACrowdOfOneContainerDoesNotHoldUpAnother) {
  DaemonParts parts;
  const Tree noisy(parts.registry(), request_for("noisy"));
  const Tree quiet(parts.registry(), request_for("quiet"));
  std::atomic<bool> done{false};
  std::vector<std::thread> crowd;
  for (int i = 0; i < 32; ++i) {
    crowd.emplace_back([&] {
      while (!done) (void)noisy.read("proc:meminfo");
    });
  }
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) EXPECT_NE(quiet.read("proc:meminfo"), "error");
  const auto took = std::chrono::steady_clock::now() - began;
  done = true;
  for (std::thread& reader : crowd) reader.join();
  EXPECT_LT(took, std::chrono::seconds(10));
}

}  // namespace
}  // namespace sysbox::fs
