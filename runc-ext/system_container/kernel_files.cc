#include "runc-ext/system_container/kernel_files.h"

#include <algorithm>
#include <array>
#include <set>

#include "common/syscalls.h"
#include "runc-ext/system_container/directory_names.h"
#include "runc-ext/system_container/init_program.h"

namespace sysbox::runc {
namespace {

bool is_directory(const RootDir& host, const std::string& path) {
  return host.open_inside(path, O_PATH | O_DIRECTORY).ok();
}

// The directory of its own that a path lies in: "/usr/src/linux-headers-6.8.0-45/include" is
// part of "/usr/src/linux-headers-6.8.0-45". Empty for what is none of the kernel's.
std::string headers_part(const std::string& path) {
  for (const std::string_view parent :
       {"/usr/src/kernels/", "/usr/src/", "/usr/lib/linux-kbuild-"}) {
    if (!path.starts_with(parent) || path.size() == parent.size()) continue;
    return path.substr(0, path.find('/', parent.size()));
  }
  return "";
}

// Debian's headers of a flavour include those of all flavours by name:
// linux-headers-6.1.0-13-amd64 → linux-headers-6.1.0-13-common, or -common-rt.
std::vector<std::string> common_headers(const std::string& release) {
  std::vector<std::string> candidates;
  for (std::size_t dash = release.find('-'); dash != std::string::npos;
       dash = release.find('-', dash + 1)) {
    const std::string base = "/usr/src/linux-headers-" + release.substr(0, dash) + "-common";
    candidates.push_back(base);
    candidates.push_back(base + "-rt");
  }
  return candidates;
}

std::set<std::string> headers_directories(const RootDir& host, const std::string& release) {
  std::set<std::string> found;
  const auto add = [&](const std::string& path) {
    if (!path.empty() && is_directory(host, path)) found.insert(path);
  };
  add("/usr/src/linux-headers-" + release);
  add("/usr/src/kernels/" + release);
  add(headers_part(resolved_path(host, join("/lib/modules/", release, "/build"))));
  const std::set<std::string> own = found;
  if (own.empty()) return found;
  for (const std::string& path : common_headers(release)) add(path);
  for (const std::string& directory : own) {
    for (const std::string& name : directory_names(host, directory)) {
      const std::string entry = join(directory, "/", name);
      const std::string target = headers_part(resolved_path(host, entry));
      if (target != directory) add(target);
    }
  }
  return found;
}

bool mounts_its_own(const OciSpec& spec, const std::string& destination) {
  return std::any_of(spec.mounts.begin(), spec.mounts.end(), [&](const OciMount& mount) {
    return mount.destination != "/" && is_same_or_below(destination, mount.destination);
  });
}

OciMount read_only_bind(const std::string& path) {
  OciMount mount;
  mount.destination = path;
  mount.source = path;
  mount.type = "bind";
  mount.bind = true;
  mount.attributes_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  // Anybody may read these files. As nobody's they could not be written either way.
  mount.unshifted = true;
  mount.removable = true;
  return mount;
}

}  // namespace

void add_kernel_files(OciSpec& spec, const RootDir& host, const std::string& release) {
  std::set<std::string> directories = headers_directories(host, release);
  const std::string modules = "/lib/modules/" + release;
  if (is_directory(host, modules)) directories.insert(modules);
  for (const std::string& directory : directories) {
    if (!mounts_its_own(spec, directory)) spec.mounts.push_back(read_only_bind(directory));
  }
}

}  // namespace sysbox::runc
