#include "runc-ext/container/console.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "common/syscalls.h"
#include "tests/unit/runc-ext/scratch_directory.h"

namespace sysbox::runc {
namespace {

using ::testing::HasSubstr;

struct OptionsRow {
  const char* name;
  bool terminal, detach;
  const char* socket;
  const char* error;  // "" if they go together
};
constexpr const char* kNoSocket =
    "cannot allocate tty if runc will detach without setting console socket";
constexpr const char* kUnusedSocket =
    "cannot use console socket if runc will not detach or allocate tty";
class ConsoleOptions : public ::testing::TestWithParam<OptionsRow> {};
TEST_P(ConsoleOptions, FollowRunc) {
  const OptionsRow& row = GetParam();
  const Result<void> checked = check_console_options(row.terminal, row.detach, row.socket);
  EXPECT_EQ(checked.ok() ? "" : checked.error().message(), row.error);
}
INSTANTIATE_TEST_SUITE_P(
    Rules, ConsoleOptions,
    ::testing::Values(OptionsRow{"Plain", false, false, "", ""},
                      OptionsRow{"Detached", false, true, "", ""},
                      OptionsRow{"Foreground", true, false, "", ""},
                      OptionsRow{"Engine", true, true, "/s", ""},
                      OptionsRow{"NobodyTakesIt", true, true, "", kNoSocket},
                      OptionsRow{"NoTerminal", false, true, "/s", kUnusedSocket},
                      OptionsRow{"NotDetached", true, false, "/s", kUnusedSocket},
                      OptionsRow{"Neither", false, false, "/s", kUnusedSocket}),
    [](const auto& row) { return row.param.name; });

// An engine that listens for a console.
class Engine {
 public:
  explicit Engine(const std::string& path) : listener_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    struct sockaddr_un address {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
  }

  UniqueFd receive(std::string& data) {
    const UniqueFd connection(::accept(listener_.get(), nullptr, nullptr));
    std::array<char, 64> text{};
    alignas(struct cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    struct iovec part {
      text.data(), text.size()
    };
    struct msghdr message {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(connection.get(), &message, 0);
    data.assign(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    int fd = -1;
    if (const struct cmsghdr* rights = CMSG_FIRSTHDR(&message)) {
      std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    }
    return UniqueFd(fd);
  }

 private:
  UniqueFd listener_;
};

TEST(Console, ReachesTheEngineWithItsName) {
  const ScratchDirectory scratch;
  Engine engine(scratch / "s");
  const Console console = open_console().value();
  {
    const auto socket = connect_engine_socket(scratch / "s", "console socket");
    ASSERT_TRUE(socket.ok()) << socket.error().message();
    ASSERT_TRUE(send_named_fd(socket.value().get(), kConsoleName, console.master.get()).ok());
  }
  std::string name;
  const UniqueFd received = engine.receive(name);
  EXPECT_EQ(name, "/dev/ptmx");
  ASSERT_TRUE(received.valid());
  ASSERT_EQ(::write(console.slave.get(), "hello", 5), 5);
  std::array<char, 16> text{};
  EXPECT_EQ(::read(received.get(), text.data(), text.size()), 5);
  EXPECT_STREQ(text.data(), "hello");
}

TEST(ConsoleSocket, IsFoundUnderAPathTooLongForAnAddress) {
  const ScratchDirectory scratch;
  const std::string deep = scratch / std::string(150, 'd');
  std::filesystem::create_directory(deep);
  const std::string before = std::filesystem::current_path();
  std::filesystem::current_path(deep);
  Engine engine("s");
  std::filesystem::current_path(before);
  const auto socket = connect_engine_socket(deep + "/s", "console socket");
  EXPECT_TRUE(socket.ok()) << socket.error().message();
}

TEST(ConsoleSocket, ThatIsMissingIsNamed) {
  const auto socket = connect_engine_socket("/does/not/exist.sock", "console socket");
  ASSERT_FALSE(socket.ok());
  EXPECT_EQ(socket.error().code(), ENOENT);
  EXPECT_THAT(socket.error().message(), HasSubstr("console socket '/does/not/exist.sock'"));
}

TEST(ConsoleSocket, WithoutAListenerIsRefused) {
  const ScratchDirectory scratch;
  { Engine gone(scratch / "s"); }
  EXPECT_EQ(connect_engine_socket(scratch / "s", "console socket").error().code(), ECONNREFUSED);
}

TEST(Console, TakesTheSizeItIsGiven) {
  const Console console = open_console().value();
  ASSERT_TRUE(set_console_size(console.master.get(), {33, 101}).ok());
  struct winsize size {};
  ASSERT_EQ(::ioctl(console.slave.get(), TIOCGWINSZ, &size), 0);
  EXPECT_EQ(size.ws_row, 33);
  EXPECT_EQ(size.ws_col, 101);
}

TEST(Console, OnceTakenIsTheControllingTerminalAndTheStandardStreams) {
  const Console console = open_console().value();
  const pid_t child = ::fork();
  if (child == 0) {
    if (!take_console(console.slave.get()).ok()) ::_exit(1);
    for (const int fd : {0, 1, 2}) {
      if (::isatty(fd) != 1) ::_exit(2);
    }
    if (::tcgetsid(0) != ::getpid()) ::_exit(3);
    if (::open("/dev/tty", O_RDWR) < 0) ::_exit(4);
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "step " << WEXITSTATUS(status);
}

}  // namespace
}  // namespace sysbox::runc
