#include "runc-ext/init/security_label.h"

#include <linux/magic.h>

#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

bool has_apparmor() {
  const Result<std::string> enabled = sys::read_file("/sys/module/apparmor/parameters/enabled");
  return enabled.ok() && enabled.value().starts_with('Y');
}

bool has_selinux() {
  const Result<UniqueFd> selinuxfs = sys::open("/sys/fs/selinux", O_PATH | O_DIRECTORY);
  if (!selinuxfs.ok()) return false;
  const Result<std::int64_t> type = sys::fstatfs_type(selinuxfs.value().get());
  return type.ok() && type.value() == SELINUX_MAGIC;
}

Result<void> write_attribute(int host_proc, const char* attribute, const std::string& text) {
  const UniqueFd file =
      TRY(sys::openat2(host_proc, join("thread-self/attr/", attribute), O_WRONLY,
                       RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS));
  return sys::write_all(file.get(), text);
}

// The file that is AppArmor's alone (Linux 5.8) where another security module owns the first.
Result<void> take_apparmor_profile(int host_proc, const std::string& profile) {
  const std::string text = "exec " + profile;
  Result<void> written = write_attribute(host_proc, "apparmor/exec", text);
  if (!written.ok() && written.error().code() == ENOENT) {
    written = write_attribute(host_proc, "exec", text);
  }
  if (written.ok()) return {};
  const int code = written.error().code();
  if (code == ENOENT) {
    return Error(code, join("process.apparmorProfile: the profile '", profile,
                            "' is not loaded; load it with apparmor_parser(8)"));
  }
  return errno_error(code, "process.apparmorProfile '", profile, "'");
}

}  // namespace

Result<std::optional<UniqueFd>> prepare_security_labels(const OciProcess& process) {
  if (process.apparmor_profile.empty() && process.selinux_label.empty()) {
    return std::optional<UniqueFd>();
  }
  // "unconfined" is what every program is without AppArmor.
  if (!process.apparmor_profile.empty() && !has_apparmor()) {
    if (process.apparmor_profile == "unconfined" && process.selinux_label.empty()) {
      return std::optional<UniqueFd>();
    }
    return Error(ENOTSUP, join("process.apparmorProfile: '", process.apparmor_profile,
                               "' is specified, but apparmor is disabled or not supported on "
                               "this host; leave it out"));
  }
  if (!process.selinux_label.empty() && !has_selinux()) {
    return Error(ENOTSUP, join("process.selinuxLabel: '", process.selinux_label,
                               "' is specified in config, but selinux is disabled or not "
                               "supported on this host; leave it out"));
  }
  return std::optional<UniqueFd>(TRY(sys::open("/proc", O_PATH | O_DIRECTORY)));
}

Result<void> take_security_labels(const OciProcess& process,
                                  const std::optional<UniqueFd>& host_proc) {
  if (!host_proc) return {};
  if (!process.apparmor_profile.empty()) {
    TRY(take_apparmor_profile(host_proc->get(), process.apparmor_profile));
  }
  if (process.selinux_label.empty()) return {};
  return write_attribute(host_proc->get(), "exec", process.selinux_label)
      .in(join("process.selinuxLabel '", process.selinux_label, "'"));
}

}  // namespace sysbox::runc
