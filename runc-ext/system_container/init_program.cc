#include "runc-ext/system_container/init_program.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "common/syscalls.h"
#include "runc-ext/system_container/directory_names.h"

namespace sysbox::runc {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// The file's name with all links resolved; the host's name of the rootfs may stand before it.
// Empty if there is no such file.
std::string resolved_file(const RootDir& rootfs, const std::string& path_in_container) {
  const Result<UniqueFd> file = rootfs.open_inside(path_in_container, O_PATH);
  if (!file.ok()) return "";
  const Result<struct stat> status = sys::fstat(file.value().get());
  if (!status.ok() || !S_ISREG(status.value().st_mode)) return "";
  return sys::readlinkat(AT_FDCWD, fd_path(file.value().get())).value_or("");
}

std::string_view search_path(const OciProcess& process) {
  constexpr std::string_view kName = "PATH=";
  for (auto entry = process.env.rbegin(); entry != process.env.rend(); ++entry) {
    if (entry->starts_with(kName)) return std::string_view(*entry).substr(kName.size());
  }
  return kDefaultPath;
}

std::string find_program(const RootDir& rootfs, const OciProcess& process) {
  const std::string& program = process.args[0];
  if (program.starts_with('/')) return resolved_file(rootfs, program);
  if (program.find('/') != std::string::npos) {
    return resolved_file(rootfs, join(process.cwd, "/", program));
  }
  std::string_view path = search_path(process);
  while (!path.empty()) {
    const std::string_view directory = path.substr(0, path.find(':'));
    path.remove_prefix(std::min(path.size(), directory.size() + 1));
    std::string found = resolved_file(rootfs, join(directory, "/", program));
    if (!found.empty()) return found;
  }
  return "";
}

bool is_systemd(const RootDir& rootfs, const std::string& path_in_container) {
  return path_in_container.starts_with('/') &&
         resolved_file(rootfs, path_in_container).ends_with("/systemd");
}

// "sysctl -w …; exec /sbin/init --log-level=err": the word after the last exec.
bool script_ends_in_systemd(const RootDir& rootfs, const std::string& script) {
  std::istringstream words(script);
  bool after_exec = false;
  bool found = false;
  for (std::string word; words >> word;) {
    if (after_exec) found = is_systemd(rootfs, word);
    after_exec = word == "exec";
  }
  return found;
}

// The last of an entrypoint's arguments that is a path, whatever options stand behind it.
bool arguments_end_in_systemd(const RootDir& rootfs, const std::vector<std::string>& args) {
  for (std::size_t i = args.size(); i-- > 1;) {
    if (args[i].starts_with('/')) return is_systemd(rootfs, args[i]);
    if (args[i - 1] == "-c") return script_ends_in_systemd(rootfs, args[i]);
  }
  return false;
}

// "libsystemd-shared-258.so", "libsystemd-shared-257.9-1~deb13u1.so"
std::optional<int> release_in_name(std::string_view name) {
  constexpr std::string_view kPrefix = "libsystemd-shared-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int release = 0;
  const auto [end, error] = std::from_chars(name.begin(), name.end(), release);
  if (error != std::errc{} || end == name.end() || release <= 0) return std::nullopt;
  return release;
}

}  // namespace

bool runs_systemd(const OciProcess& process, const RootDir& rootfs) {
  if (process.args.empty() || process.args[0].empty()) return false;
  return find_program(rootfs, process).ends_with("/systemd") ||
         arguments_end_in_systemd(rootfs, process.args);
}

std::optional<int> systemd_release(const RootDir& rootfs) {
  std::vector<std::string> directories = {"/usr/lib/systemd", "/lib/systemd", "/usr/lib64/systemd"};
  // Debian's: /usr/lib/x86_64-linux-gnu/systemd
  for (const std::string& name : directory_names(rootfs, "/usr/lib")) {
    if (name.find("-linux-") != std::string::npos) {
      directories.push_back(join("/usr/lib/", name, "/systemd"));
    }
  }
  std::optional<int> newest;
  for (const std::string& directory : directories) {
    for (const std::string& name : directory_names(rootfs, directory)) {
      newest = std::max(newest, release_in_name(name));
    }
  }
  return newest;
}

// As the kernel walks it, but by text, also where a link leads to nothing yet.
std::string resolved_path(const RootDir& rootfs, const std::string& path_in_container) {
  constexpr int kMostLinks = 40;  // MAXSYMLINKS
  std::string resolved = "/";
  std::string rest = clean_path(path_in_container);
  for (int links = 0; rest != "/";) {
    const std::size_t end = std::min(rest.find('/', 1), rest.size());
    const std::string next = clean_path(resolved + rest.substr(0, end));
    rest = end == rest.size() ? "/" : rest.substr(end);
    const Result<UniqueFd> opened = rootfs.open_inside(next, O_PATH | O_NOFOLLOW);
    const Result<std::string> target = opened.ok() ? sys::readlinkat(opened.value().get(), "")
                                                   : Result<std::string>(std::string());
    if (!target.ok() || target.value().empty()) {
      resolved = next;
      continue;
    }
    if (++links > kMostLinks) return path_in_container;
    // ".." of a link's target goes up from where the link is, and must not eat what follows.
    rest = join("/", target.value(), rest == "/" ? "" : rest);
    if (target.value().starts_with('/')) {
      resolved = "/";
      rest.erase(0, 1);
    }
  }
  return resolved;
}

}  // namespace sysbox::runc
