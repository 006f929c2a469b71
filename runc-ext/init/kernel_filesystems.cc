#include "runc-ext/init/kernel_filesystems.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include "common/procfs_context.h"
#include "common/syscalls.h"

namespace sysbox::runc {
namespace {

Result<UniqueFd> open_proc_context(int pidns_fd) {
  UniqueFd context = TRY(sys::fsopen("proc"));
  if (sys::fsconfig_fd(context.get(), "pidns", pidns_fd).ok()) return context;
  return fsopen_procfs_inside(pidns_fd);
}

Result<void> set_option(int fs_fd, const std::string& option) {
  const std::size_t equals = option.find('=');
  if (equals == std::string::npos) return sys::fsconfig_flag(fs_fd, option);
  return sys::fsconfig_string(fs_fd, option.substr(0, equals), option.substr(equals + 1));
}

Result<UniqueFd> finish(int fs_fd, const OciMount& mount) {
  if (!mount.source.empty()) TRY(sys::fsconfig_string(fs_fd, "source", mount.source));
  for (const std::string& option : mount.data) TRY(set_option(fs_fd, option));
  TRY(sys::fsconfig_create(fs_fd));
  return sys::fsmount(fs_fd, static_cast<unsigned>(mount.attributes_set));
}

}  // namespace

Result<UniqueFd> procfs_of(int pidns_fd, const OciMount& mount) {
  const UniqueFd context = TRY(open_proc_context(pidns_fd));
  return finish(context.get(), mount).in("procfs");
}

Result<UniqueFd> new_sysfs(const OciMount& mount) {
  const UniqueFd fs = TRY(sys::fsopen("sysfs"));
  return finish(fs.get(), mount).in("sysfs");
}

Result<UniqueFd> new_filesystem(const OciMount& mount, const std::vector<std::string>& more) {
  const UniqueFd fs = TRY(sys::fsopen(mount.type));
  OciMount with_more = mount;
  with_more.data.insert(with_more.data.end(), more.begin(), more.end());
  return finish(fs.get(), with_more).in(mount.type);
}

OciMount with_label(const OciMount& mount, const std::string& label) {
  OciMount labelled = mount;
  const bool takes_one = mount.type == "tmpfs" || mount.type == "mqueue" || mount.type == "devpts";
  struct statfs selinux {};
  if (!label.empty() && takes_one && ::statfs("/sys/fs/selinux", &selinux) == 0 &&
      selinux.f_type == SELINUX_MAGIC) {
    labelled.data.push_back("context=" + label);
  }
  return labelled;
}

AttributeChange attribute_change(std::uint64_t set, std::uint64_t clear) {
  // The access-time words are one field of several bits: it is cleared before it is set.
  constexpr std::uint64_t kTimeField = MOUNT_ATTR__ATIME;
  if (((set | clear) & kTimeField) != 0) clear |= kTimeField;
  return {set, clear & ~(set & ~kTimeField)};
}

Result<void> apply_attributes(int mount_fd, const OciMount& mount) {
  const auto apply = [&](std::uint64_t set, std::uint64_t clear, unsigned flags) -> Result<void> {
    if (set == 0 && clear == 0) return {};
    const AttributeChange change = attribute_change(set, clear);
    sys::MountAttributes attributes;
    attributes.set = change.set;
    attributes.clear = change.clear;
    return sys::mount_setattr(mount_fd, "", flags, attributes);
  };
  TRY(apply(mount.attributes_set, mount.attributes_clear, 0));
  TRY(apply(mount.recursive_set, mount.recursive_clear, AT_RECURSIVE));
  sys::MountAttributes propagation;
  if (mount.propagation.empty()) {
    propagation.propagation = MS_PRIVATE;
    return sys::mount_setattr(mount_fd, "", AT_RECURSIVE, propagation);
  }
  for (const std::uint64_t word : mount.propagation) {
    propagation.propagation = word & ~std::uint64_t{MS_REC};
    TRY(sys::mount_setattr(mount_fd, "", (word & MS_REC) != 0 ? AT_RECURSIVE : 0, propagation));
  }
  return {};
}

}  // namespace sysbox::runc
