#include "runc-ext/init/run_program.h"

#include <linux/close_range.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "common/root_dir.h"
#include "common/syscalls.h"
#include "runc-ext/container/foreground.h"
#include "runc-ext/init/door_filter.h"
#include "runc-ext/init/process_attributes.h"
#include "runc-ext/init/security_label.h"
#include "runc-ext/init/static_seccomp.h"
#include "seccomp-notify/filter.h"

namespace sysbox::runc {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// The last one wins, as for getenv(3) of what runc passes.
std::optional<std::string_view> find_variable(const std::vector<std::string>& env,
                                              std::string_view name) {
  for (auto entry = env.rbegin(); entry != env.rend(); ++entry) {
    if (entry->starts_with(name) && entry->size() > name.size() && (*entry)[name.size()] == '=') {
      return std::string_view(*entry).substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

// 0, or the errno that execve(2) would give for a file of this name.
int why_not_executable(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return errno;
  if (S_ISDIR(st.st_mode)) return EISDIR;
  if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0) return errno;
  return 0;
}

// The kernel's words as Go writes them, without a capital: engines look for them in the message
// and turn them into exit codes.
std::string small_errno_text(int code) {
  std::string text = errno_text(code);
  if (text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

Error cannot_find(const std::string& name, int code) {
  return {code, join("exec: \"", name, "\": ", code == ENOENT ? join("stat ", name, ": ") : "",
                     small_errno_text(code))};
}

// What an image may put into /etc/passwd is read only if it is a file, and only so far.
constexpr std::size_t kMaxPasswdBytes = 4U << 20U;

Result<std::string> read_passwd() {
  const RootDir root = TRY(RootDir::open("/"));
  // Without O_NONBLOCK a FIFO would hold us for ever.
  const UniqueFd file = TRY(root.open_inside("etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (!S_ISREG(TRY(sys::fstat(file.get())).st_mode)) return Error(EINVAL, "not a regular file");
  return sys::read_all(file.get(), kMaxPasswdBytes);
}

// The home directory of the user in the container's /etc/passwd (passwd(5)), for HOME.
std::string home_directory(std::uint32_t uid) {
  const Result<std::string> passwd = read_passwd();
  if (!passwd.ok()) return "/";
  std::string_view text = passwd.value();
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    std::array<std::string_view, 7> fields;
    for (std::string_view& field : fields) {
      field = line.substr(0, line.find(':'));
      line.remove_prefix(std::min(line.size(), field.size() + 1));
    }
    if (fields[2] == std::to_string(uid) && fields[5].starts_with('/')) {
      return std::string(fields[5]);
    }
  }
  return "/";
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

bool keeps_sys_admin(const OciCapabilities& capabilities) {
  constexpr unsigned kSysAdmin = 21;  // CAP_SYS_ADMIN
  return (capabilities.effective >> kSysAdmin & 1U) != 0;
}

Result<void> send_listener(Channel& parent, UniqueFd listener) {
  const std::array fds = {listener.get()};
  return parent.send(Step::kListener, 0, fds);
}

Result<void> load_filters(const ProgramSetup& setup, Channel& parent) {
  if (!setup.seccomp || !asks_for_listener(*setup.seccomp)) {
    UniqueFd listener = TRY(seccomp::load_notify_filter());
    TRY(send_listener(parent, std::move(listener)));
  }
  TRY(load_door_filter(setup.open_doors));
  if (!setup.seccomp) return {};
  // The last one: a profile may refuse what all this takes.
  UniqueFd listener = TRY(load_seccomp_profile(*setup.seccomp));
  return listener ? send_listener(parent, std::move(listener)) : Result<void>();
}

}  // namespace

Result<std::string> find_program(const OciProcess& process) {
  const std::string& name = process.args[0];
  if (name.find('/') != std::string::npos) {
    const int code = why_not_executable(name);
    if (code != 0) return cannot_find(name, code);
    return name;
  }
  std::string_view path = find_variable(process.env, "PATH").value_or(kDefaultPath);
  int seen = ENOENT;
  while (!path.empty()) {
    const std::string_view directory = path.substr(0, path.find(':'));
    path.remove_prefix(std::min(path.size(), directory.size() + 1));
    const std::string candidate = join(directory.empty() ? "." : directory, "/", name);
    const int code = why_not_executable(candidate);
    if (code == 0) return candidate;
    if (code == EACCES) seen = EACCES;
  }
  if (seen == EACCES) return cannot_find(name, EACCES);
  return Error(ENOENT, join("exec: \"", name, "\": executable file not found in $PATH"));
}

std::vector<std::string> program_environment(const OciProcess& process) {
  std::vector<std::string> reversed;
  std::set<std::string> seen;
  for (auto entry = process.env.rbegin(); entry != process.env.rend(); ++entry) {
    const std::string name = entry->substr(0, entry->find('='));
    if (seen.insert(name).second && *entry != "HOME=") reversed.push_back(*entry);
  }
  std::reverse(reversed.begin(), reversed.end());
  if (find_variable(reversed, "HOME").value_or("").empty()) {
    reversed.push_back("HOME=" + home_directory(process.user.uid));
  }
  return reversed;
}

Result<void> close_other_descriptors(int preserve_fds, std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  auto first = static_cast<unsigned>(STDERR_FILENO + 1 + preserve_fds);
  for (const int fd : kept) {
    if (fd < 0 || static_cast<unsigned>(fd) < first) continue;
    const auto number = static_cast<unsigned>(fd);
    if (number > first) TRY(sys::close_range(first, number - 1, 0));
    first = number + 1;
  }
  return sys::close_range(first, ~0U, 0);
}

Result<void> take_identity(const ProgramSetup& setup, Channel& parent) {
  const OciProcess& process = setup.process;
  const OciCapabilities capabilities = process.capabilities.value_or(OciCapabilities{});
  TRY(sys::close_range(3 + static_cast<unsigned>(setup.preserve_fds), ~0U, CLOSE_RANGE_CLOEXEC));
  if (setup.personality && ::personality(*setup.personality) < 0) {
    return last_error("linux.personality");
  }
  TRY(take_security_labels(process, setup.host_proc));
  if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return last_error("set no_new_privs");
  }
  TRY(drop_bounding_capabilities(capabilities));
  // A filter needs CAP_SYS_ADMIN (or no_new_privs): as late as possible, but before that goes.
  const bool filters_last = keeps_sys_admin(capabilities) || process.no_new_privileges;
  if (!filters_last) TRY(load_filters(setup, parent));
  TRY(take_user(process.user));
  TRY(take_capabilities(capabilities));
  if (filters_last) TRY(load_filters(setup, parent));
  return {};
}

Error run_program(const std::string& path, const ProgramSetup& setup) {
  std::vector<std::string> args = setup.process.args;
  std::vector<std::string> env = setup.environment;
  reset_signals();
  ::execve(path.c_str(), pointers(args).data(), pointers(env).data());
  const int code = errno;
  return {code, join("exec ", path, ": ", small_errno_text(code))};
}

}  // namespace sysbox::runc
