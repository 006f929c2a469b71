#include <array>

#include "common/syscalls.h"
#include "runc-ext/system_container/convert.h"
#include "runc-ext/system_container/steps.h"

namespace sysbox::runc {
namespace {

// Where a program without a slash in its name is looked for.
constexpr std::array kProgramDirectories = {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/",
                                            "/usr/bin/",        "/sbin/",          "/bin/"};

// The regular file's name with all links resolved, for its last part; the host's name of the
// rootfs may stand before it. Empty if there is no such file.
std::string resolved_name(const RootDir& rootfs, const std::string& path_in_container) {
  const Result<UniqueFd> file = rootfs.open_inside(path_in_container, O_PATH);
  if (!file.ok()) return "";
  const Result<struct stat> status = sys::fstat(file.value().get());
  if (!status.ok() || !S_ISREG(status.value().st_mode)) return "";
  return sys::readlinkat(AT_FDCWD, fd_path(file.value().get())).value_or("");
}

std::string find_program(const RootDir& rootfs, const std::string& program) {
  if (program.find('/') != std::string::npos) return resolved_name(rootfs, program);
  for (const char* directory : kProgramDirectories) {
    std::string found = resolved_name(rootfs, directory + program);
    if (!found.empty()) return found;
  }
  return "";
}

}  // namespace

bool runs_systemd(const std::vector<std::string>& args, const RootDir& rootfs) {
  return !args.empty() && !args[0].empty() && find_program(rootfs, args[0]).ends_with("/systemd");
}

// systemd and what it starts learn from this variable that they are in a container
// (systemd.io/CONTAINER_INTERFACE).
void complete_environment(OciProcess& process, Init init) {
  if (init != Init::kSystemd) return;
  for (const std::string& variable : process.env) {
    if (variable.starts_with("container=")) return;
  }
  process.env.emplace_back("container=oci");
}

}  // namespace sysbox::runc
