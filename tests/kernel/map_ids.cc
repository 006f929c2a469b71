// What engines do for an id-mapped bind: a detached clone of SOURCE gets the ids of a user
// namespace and is attached over TARGET. Prints "ok", or the call that failed and its error. Linked
// statically.
//
//   map-ids --has NUMBER                 whether the kernel has the system call of that number
//   map-ids [OPTION...] SOURCE TARGET
//     --ids "DISK OUTSIDE COUNT, ..."  of a new user namespace, for users and groups; or
//     --namespace PATH                 of this one
//     --attr                           by open_tree_attr(2), not open_tree(2) and mount_setattr(2)
//     --tree                           the clone with all that is mounted below SOURCE
//     --tree-ids                       and the ids for all of it
//     --below PATH                     not the clone's root gets the ids, but what is mounted there
//     --read-write                     in the same call: writable
//     --drop                           without CAP_SYS_ADMIN
//     --copy                           what is attached is a copy of the descriptor, made before
//     --times N                        how often the whole is done, TARGET being unmounted again

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>

namespace {

constexpr long kOpenTreeAttr = 467;

[[noreturn]] void fail(const char* what) {
  std::printf("%s: %s\n", what, strerrorname_np(errno));
  std::exit(1);
}
template <typename Value>
Value checked(Value value, const char* what) {
  if (value < 0) fail(what);
  return value;
}

struct Options {
  std::string ids;
  std::string space;
  std::string below;
  std::string source;
  std::string target;
  bool by_open_tree_attr = false;
  bool whole_tree = false;
  bool ids_for_whole_tree = false;
  bool read_write = false;
  bool attach_copy = false;
  bool drop_capability = false;
  int times = 1;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (word == "--ids") {
      options.ids = value();
    } else if (word == "--namespace") {
      options.space = value();
    } else if (word == "--below") {
      options.below = value();
    } else if (word == "--attr") {
      options.by_open_tree_attr = true;
    } else if (word == "--tree") {
      options.whole_tree = true;
    } else if (word == "--tree-ids") {
      options.whole_tree = options.ids_for_whole_tree = true;
    } else if (word == "--read-write") {
      options.read_write = true;
    } else if (word == "--drop") {
      options.drop_capability = true;
    } else if (word == "--copy") {
      options.attach_copy = true;
    } else if (word == "--times") {
      options.times = std::atoi(value());
    } else if (options.source.empty()) {
      options.source = word;
    } else {
      options.target = word;
    }
  }
  return options;
}

// A user namespace with these ids, which its only process holds until it is killed.
int make_namespace(std::string ids) {
  std::replace(ids.begin(), ids.end(), ',', '\n');
  std::array<int, 2> pipe{};
  checked(::pipe2(pipe.data(), O_CLOEXEC), "pipe");
  const pid_t child = checked(::fork(), "fork");
  if (child == 0) {
    const char said = ::unshare(CLONE_NEWUSER) == 0 ? '1' : '0';
    ::_exit(::write(pipe[1], &said, 1) == 1 && ::pause() != 0 ? 0 : 1);
  }
  char said = '0';
  if (::read(pipe[0], &said, 1) != 1 || said != '1') fail("unshare");
  const std::string process = "/proc/" + std::to_string(child);
  for (const char* map : {"/uid_map", "/gid_map"}) {
    std::ofstream file(process + map);
    file << ids << std::flush;
    if (!file) fail(map);
  }
  const int fd = checked(::open((process + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC), "open");
  ::kill(child, SIGKILL);
  return fd;
}

void drop_capability() {
  struct __user_cap_header_struct header {
    _LINUX_CAPABILITY_VERSION_3, 0
  };
  std::array<struct __user_cap_data_struct, 2> sets{};
  checked(::syscall(SYS_capget, &header, sets.data()), "capget");
  sets[0].effective &= ~(1U << CAP_SYS_ADMIN);
  checked(::syscall(SYS_capset, &header, sets.data()), "capset");
}

struct mount_attr new_ids(int space, const Options& options) {
  struct mount_attr wanted {};
  wanted.attr_set = MOUNT_ATTR_IDMAP;
  wanted.userns_fd = static_cast<std::uint64_t>(space);
  if (options.read_write) wanted.attr_clr = MOUNT_ATTR_RDONLY;
  return wanted;
}

int clone_tree(int space, const Options& options) {
  const unsigned flags =
      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (options.whole_tree ? unsigned{AT_RECURSIVE} : 0U);
  struct mount_attr wanted = new_ids(space, options);
  if (options.by_open_tree_attr) {
    if (options.drop_capability) drop_capability();
    return static_cast<int>(checked(
        ::syscall(kOpenTreeAttr, AT_FDCWD, options.source.c_str(), flags, &wanted, sizeof wanted),
        "open_tree_attr"));
  }
  const auto tree = static_cast<int>(
      checked(::syscall(SYS_open_tree, AT_FDCWD, options.source.c_str(), flags), "open_tree"));
  const int copy = options.attach_copy ? checked(::dup(tree), "dup") : tree;
  int place = tree;
  if (!options.below.empty()) {
    place = checked(::openat(tree, options.below.c_str(), O_PATH | O_CLOEXEC), "open below");
  }
  if (options.drop_capability) drop_capability();
  const unsigned all = options.ids_for_whole_tree ? unsigned{AT_RECURSIVE} : 0U;
  checked(::syscall(SYS_mount_setattr, place, "", AT_EMPTY_PATH | all, &wanted, sizeof wanted),
          "mount_setattr");
  if ((::fcntl(tree, F_GETFD) & FD_CLOEXEC) == 0) {
    std::printf("the descriptor has lost its flag\n");
    std::exit(1);
  }
  return copy;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--has") {
    // Whatever the call is, it gets nothing that it could do.
    return ::syscall(std::atol(argv[2]), -1, nullptr, -1, nullptr, -1) < 0 && errno == ENOSYS;
  }
  const Options options = parse(argc, argv);
  const int space = options.space.empty()
                        ? make_namespace(options.ids)
                        : checked(::open(options.space.c_str(), O_RDONLY | O_CLOEXEC), "open");
  for (int left = options.times; left > 0; --left) {
    const int tree = clone_tree(space, options);
    checked(::syscall(SYS_move_mount, tree, "", AT_FDCWD, options.target.c_str(),
                      MOVE_MOUNT_F_EMPTY_PATH),
            "move_mount");
    ::close(tree);
    if (left > 1) checked(::umount2(options.target.c_str(), 0), "umount");
  }
  std::printf("ok\n");
  return 0;
}
