// sysbox-fs: options, start, end.

#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
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
#include "fs-emulator/manager_link.h"
#include "fs-emulator/mount_locksmith.h"
#include "fs-emulator/request_journal.h"
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
  std::string manager_socket;
  std::string run_dir = "/run/sysbox";
  daemon::LogOptions log;
  std::string audit = "off";
  bool list_files = false;
};

// The exit code if there is nothing more to do. CLI11 throws; nothing gets past here.
std::optional<int> parse_command_line(int argc, char** argv, Options& options) {
  CLI::App app("Emulates files of /proc and /sys for the system containers of sysbox-runc.",
               "sysbox-fs");
  app.set_version_flag("--version", "sysbox-fs " SYSBOX_VERSION);
  app.option_defaults()->always_capture_default();
  app.add_option("--socket", options.socket, "where to listen");
  app.add_option("--manager-socket", options.manager_socket,
                 "where sysbox-mgr listens; sysbox-mgr.sock beside --socket if none is given");
  app.add_option("--run-dir", options.run_dir, "where the lock is");
  app.add_option("--log", options.log.file, "a file for the log; standard error if none is given");
  app.add_option("--log-level", options.log.level, "debug, info, warning or error");
  app.add_option("--log-format", options.log.format, "text, json or journal");
  app.add_option("--audit", options.audit,
                 "which trapped system calls get a line in the log: off, errors or all")
      ->check(CLI::IsMember({"off", "errors", "all"}));
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

Result<HostFiles> open_host_files() {
  RootDir proc = TRY(RootDir::open("/proc"));
  RootDir sys = TRY(RootDir::open("/sys"));
  return HostFiles{std::move(proc), std::move(sys)};
}

// Before Linux 6.15 the containers' trees are attached in there.
void inherit_workshop(DescriptorsByName& left_to_us) {
  const auto workshop = left_to_us.find(kWorkshopName);
  const auto mirror = left_to_us.find(kMirrorName);
  if (workshop == left_to_us.end() || mirror == left_to_us.end()) return;
  const Result<void> inherited =
      MountLocksmith::inherit(std::move(workshop->second), std::move(mirror->second));
  if (!inherited.ok()) log::error(inherited.error().message());
}

std::string manager_socket_of(const Options& options) {
  if (!options.manager_socket.empty()) return options.manager_socket;
  return options.socket.substr(0, options.socket.rfind('/') + 1) + "sysbox-mgr.sock";
}

// The one of an earlier daemon, if it is of use.
Result<std::unique_ptr<RequestJournal>> open_journal(DescriptorsByName& left_to_us) {
  const auto found = left_to_us.find(kJournalName);
  if (found == left_to_us.end()) return RequestJournal::create();
  Result<std::unique_ptr<RequestJournal>> journal = RequestJournal::open(std::move(found->second));
  if (journal.ok()) return journal;
  log::warning(journal.error().message(), ", requests that were in work get no answer");
  return RequestJournal::create();
}

Result<void> serve_until_stopped(const Options& options, ContainerRegistry& registry,
                                 seccomp::NotifyLoop& notify_loop, const ManagerLink& link) {
  const UniqueFd listener = TRY(daemon::listen_at(options.socket));
  varlink::Server server;
  add_emulator_interface(server, registry, notify_loop);
  Result<void> served;
  std::thread serving([&] { served = server.serve(listener.get()); });
  log::info("sysbox-fs ", SYSBOX_VERSION, " listens at ", options.socket);
  daemon::notify_ready("serving");
  const int signal = daemon::wait_for_stop_signal();
  daemon::notify_stopping();
  const std::size_t containers = registry.list().size();
  log::info("stopping on signal ", signal);
  if (containers != 0 && link.is_connected()) {
    log::info(containers, " containers wait for the next sysbox-fs");
  } else if (containers != 0) {
    log::warning("without sysbox-mgr, ", containers, " containers lose their emulated files");
  }
  server.stop();
  ::shutdown(listener.get(), SHUT_RDWR);
  serving.join();
  if (!served.ok()) return served;
  // As if killed: what belongs to running containers is to be found as it is, not to be ended.
  std::quick_exit(0);
}

Result<void> run(const Options& options) {
  daemon::block_stop_signals();
  ::umask(022);
  // One heap for all threads. Others hold on to what they once had; and before the C library first
  // makes one smaller, it opens /proc/sys/vm/overcommit_memory, the heap's lock in its hands: to a
  // thread that visits a container that is an emulated file, and we would wait for ourselves.
  ::mallopt(M_ARENA_MAX, 1);
  daemon::raise_descriptor_limit();
  const UniqueFd lock =
      TRY(daemon::take_instance_lock(clean_path(options.run_dir) + "/sysbox-fs.lock"));
  const HostFiles host = TRY(open_host_files());
  const unsigned workers =
      std::clamp(std::thread::hardware_concurrency(), kMinWorkers, kMaxWorkers);
  ManagerLink link(manager_socket_of(options));
  DescriptorsByName left_to_us = TRY(link.connect());
  const std::unique_ptr<RequestJournal> journal = TRY(open_journal(left_to_us));
  inherit_workshop(left_to_us);
  const std::unique_ptr<FuseLoop> loop = TRY(FuseLoop::start(workers, journal.get()));
  SpareSessions spares(*loop, kSpareSessions);
  seccomp::NotifyLoop notify_loop(journal->calls());
  notify_loop.set_audit(
      seccomp::parse_audit_level(options.audit).value_or(seccomp::AuditLevel::kOff));
  ContainerRegistry registry(host, *loop, spares, notify_loop, &link, journal.get());
  TRY(link.start({[&registry](const std::string& owner, DescriptorsByName descriptors) {
                    registry.take_back(owner, std::move(descriptors));
                  },
                  [&registry] { registry.park_all(); }}));
  journal->drop_unanswered();
  Result<void> served = serve_until_stopped(options, registry, notify_loop, link);
  link.stop();
  return served;
}

int main_of(int argc, char** argv) {
  Options options;
  if (const std::optional<int> code = parse_command_line(argc, argv, options)) return *code;
  if (options.list_files) {
    std::cout << list_files_as_markdown();
    return 0;
  }
  Result<void> done = daemon::set_up_log(options.log);
  if (done.ok()) done = run(options);
  return daemon::exit_code("sysbox-fs", done);
}

}  // namespace
}  // namespace sysbox::fs

int main(int argc, char** argv) { return sysbox::fs::main_of(argc, argv); }
