// sysbox-fs: options, start, end.

#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <optional>
#include <thread>

#include "common/daemon.h"
#include "common/log.h"
#include "common/varlink.h"
#include "fs-emulator/api_server.h"
#include "fs-emulator/container_registry.h"
#include "fs-emulator/fuse_loop.h"
#include "fs-emulator/list_files.h"
#include "fs-emulator/spare_sessions.h"
#include "seccomp-notify/notify_loop.h"

namespace sysbox::fs {
namespace {

// A container can keep two busy at most, each for the time of a few small files.
constexpr unsigned kMinWorkers = 3;
constexpr unsigned kMaxWorkers = 6;
constexpr std::size_t kSpareSessions = 2;

struct Options {
  std::string socket = kDefaultSocket;
  std::string run_dir = "/run/sysbox";
  std::string log_file;
  std::string log_level = "info";
  std::string log_format;
  bool list_files = false;
};

// The exit code if there is nothing more to do. CLI11 throws; nothing gets past here.
std::optional<int> parse_command_line(int argc, char** argv, Options& options) {
  CLI::App app("Emulates files of /proc and /sys for the system containers of sysbox-runc.",
               "sysbox-fs");
  app.set_version_flag("--version", "sysbox-fs " SYSBOX_VERSION);
  app.option_defaults()->always_capture_default();
  app.add_option("--socket", options.socket, "where to listen");
  app.add_option("--run-dir", options.run_dir, "where the lock is");
  app.add_option("--log", options.log_file, "a file for the log; standard error if none is given");
  app.add_option("--log-level", options.log_level, "debug, info, warning or error");
  app.add_option("--log-format", options.log_format, "text, json or journal");
  app.add_flag("--list-files", options.list_files, "print the emulated files and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::Error& mistake) {
    std::cerr << "sysbox-fs: " << mistake.what() << " (see sysbox-fs --help)\n";
    return 1;
  }
  return std::nullopt;
}

Result<void> set_up_log(const Options& options) {
  TRY(daemon::set_up_log(options.log_level, options.log_format));
  route_fuse_log();
  if (options.log_file.empty()) return {};
  log::set_output(TRY(sys::open(options.log_file, O_WRONLY | O_CREAT | O_APPEND, 0600)));
  return {};
}

// Each container takes half a dozen descriptors; the soft limit is often 1024 for select(2)'s
// sake, which is not used here.
void raise_descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<HostFiles> open_host_files() {
  RootDir proc = TRY(RootDir::open("/proc"));
  RootDir sys = TRY(RootDir::open("/sys"));
  return HostFiles{std::move(proc), std::move(sys)};
}

Result<void> serve_until_stopped(const Options& options, ContainerRegistry& registry) {
  const UniqueFd listener = TRY(daemon::listen_at(options.socket));
  varlink::Server server;
  add_emulator_interface(server, registry);
  Result<void> served;
  std::thread serving([&] { served = server.serve(listener.get()); });
  log::info("sysbox-fs ", SYSBOX_VERSION, " listens at ", options.socket);
  daemon::notify_ready("serving");
  const int signal = daemon::wait_for_stop_signal();
  daemon::notify_stopping();
  const std::size_t containers = registry.list().size();
  log::info("stopping on signal ", signal);
  if (containers != 0) {
    log::warning(containers, " containers lose their emulated files");
  }
  server.stop();
  ::shutdown(listener.get(), SHUT_RDWR);
  serving.join();
  return served;
}

Result<void> run(const Options& options) {
  daemon::block_stop_signals();
  ::umask(022);
  // Without it each thread gets a heap of its own, which holds on to what it once had.
  ::mallopt(M_ARENA_MAX, 2);
  raise_descriptor_limit();
  const UniqueFd lock =
      TRY(daemon::take_instance_lock(clean_path(options.run_dir) + "/sysbox-fs.lock"));
  const HostFiles host = TRY(open_host_files());
  const unsigned workers =
      std::clamp(std::thread::hardware_concurrency(), kMinWorkers, kMaxWorkers);
  const std::unique_ptr<FuseLoop> loop = TRY(FuseLoop::start(workers));
  SpareSessions spares(*loop, kSpareSessions);
  seccomp::NotifyLoop notify_loop;
  ContainerRegistry registry(host, *loop, spares, notify_loop);
  return serve_until_stopped(options, registry);
}

int main_of(int argc, char** argv) {
  Options options;
  if (const std::optional<int> code = parse_command_line(argc, argv, options)) return *code;
  if (options.list_files) {
    std::cout << list_files_as_markdown();
    return 0;
  }
  if (const Result<void> ready = set_up_log(options); !ready.ok()) {
    std::cerr << "sysbox-fs: " << ready.error().message() << "\n";
    return 1;
  }
  const Result<void> done = run(options);
  if (done.ok()) return 0;
  log::error(done.error().message());
  // Whoever started it by hand looks here, not in the log file.
  if (!log::writes_to_stderr()) std::cerr << "sysbox-fs: " << done.error().message() << "\n";
  return 1;
}

}  // namespace
}  // namespace sysbox::fs

int main(int argc, char** argv) { return sysbox::fs::main_of(argc, argv); }
