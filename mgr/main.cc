// sysbox-mgr: options, start, end.

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <optional>
#include <thread>

#include "common/daemon.h"
#include "common/log.h"
#include "common/varlink.h"
#include "mgr/api_server.h"
#include "mgr/containers.h"
#include "mgr/parked_descriptors.h"
#include "mgr/subid_file.h"

namespace sysbox::mgr {
namespace {

struct Options {
  std::string socket = kDefaultSocket;
  std::string data_root = "/var/lib/sysbox";
  std::string run_dir = "/run/sysbox";
  SubidFiles subid_files;
  std::uint32_t ids = kRangeSize;
  int patience_seconds = 120;
  daemon::LogOptions log;
};

// The exit code if there is nothing more to do. CLI11 throws; nothing gets past here.
std::optional<int> parse_command_line(int argc, char** argv, Options& options) {
  CLI::App app("Keeps host ids and volumes for the system containers of sysbox-runc.",
               "sysbox-mgr");
  app.set_version_flag("--version", "sysbox-mgr " SYSBOX_VERSION);
  app.option_defaults()->always_capture_default();
  app.add_option("--socket", options.socket, "where to listen");
  app.add_option("--data-root", options.data_root, "where the containers' volumes are");
  app.add_option("--run-dir", options.run_dir, "where the lock and the live state are");
  app.add_option("--subid-user", options.subid_files.user,
                 "whose entries of the two files below are the pool of ids");
  app.add_option("--subuid-file", options.subid_files.uid_path);
  app.add_option("--subgid-file", options.subid_files.gid_path);
  app.add_option("--ids", options.ids,
                 "how many ids a container gets that does not say so itself (io.sysbox.ids), "
                 "rounded up to a multiple of 65536")
      ->check(CLI::Range(kRangeSize, kMostIds));
  app.add_option("--wait-for-fs", options.patience_seconds,
                 "seconds that emulated files wait for a sysbox-fs that has ended; then they fail")
      ->check(CLI::Range(1, 86400));
  app.add_option("--log", options.log.file, "a file for the log; standard error if none is given");
  app.add_option("--log-level", options.log.level, "debug, info, warning or error");
  app.add_option("--log-format", options.log.format, "text, json or journal");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::Error& mistake) {
    std::cerr << "sysbox-mgr: " << mistake.what() << " (see sysbox-mgr --help)\n";
    return 1;
  }
  return std::nullopt;
}

Result<std::unique_ptr<Containers>> open_containers(const Options& options) {
  const SubidFiles& files = options.subid_files;
  IdPool pool = TRY(read_or_create_pool(files));
  for (const std::string& warning : pool.warnings) log::warning(warning);
  return Containers::open(
      {options.run_dir, options.data_root, std::move(pool.ranges),
       join("the '", files.user, "' lines in ", files.uid_path, " and ", files.gid_path), "/proc",
       options.ids});
}

Result<void> serve_until_stopped(const Options& options, Containers& containers,
                                 ParkedDescriptors& parked) {
  const UniqueFd listener = TRY(daemon::listen_at(options.socket));
  varlink::Server server;
  add_manager_interface(server, containers, parked);
  Result<void> served;
  std::thread serving([&] { served = server.serve(listener.get()); });
  const ListReply state = containers.list();
  const std::string status = join(state.containers.size(), " containers, ", state.free_ranges,
                                  " of ", state.ranges, " id ranges free");
  log::info("sysbox-mgr ", SYSBOX_VERSION, " listens at ", options.socket, ": ", status);
  daemon::notify_ready(status);
  const int signal = daemon::wait_for_stop_signal();
  daemon::notify_stopping();
  log::info("stopping on signal ", signal, "; containers and their data stay");
  containers.stop();
  server.stop();
  ::shutdown(listener.get(), SHUT_RDWR);
  serving.join();
  return served;
}

Result<void> run(const Options& options) {
  daemon::block_stop_signals();
  ::umask(022);
  daemon::raise_descriptor_limit();
  const UniqueFd lock =
      TRY(daemon::take_instance_lock(clean_path(options.run_dir) + "/sysbox-mgr.lock"));
  const std::unique_ptr<Containers> containers = TRY(open_containers(options));
  const std::unique_ptr<ParkedDescriptors> parked =
      TRY(ParkedDescriptors::start(std::chrono::seconds(options.patience_seconds)));
  return serve_until_stopped(options, *containers, *parked);
}

int main_of(int argc, char** argv) {
  Options options;
  if (const std::optional<int> code = parse_command_line(argc, argv, options)) return *code;
  Result<void> done = daemon::set_up_log(options.log);
  if (done.ok()) done = run(options);
  return daemon::exit_code("sysbox-mgr", done);
}

}  // namespace
}  // namespace sysbox::mgr

int main(int argc, char** argv) { return sysbox::mgr::main_of(argc, argv); }
