#pragma once

// What the container's first process will be, found out from the image.

#include <optional>
#include <string>

#include "common/result.h"
#include "common/root_dir.h"
#include "runc-ext/oci/process.h"

namespace sysbox::runc {

// True if the process is, or will become, systemd:
//  - its program (args[0], looked for as execve will), links resolved inside the rootfs, is a
//    file …/systemd: /sbin/init → /lib/systemd/systemd, but not the busybox or sysvinit that
//    other images have behind that name;
//  - or it is an entrypoint that is told to run systemd: "/entrypoint.sh /sbin/init --log=…",
//    "tini -- /sbin/init", "sh -c '…; exec /sbin/init'".
bool runs_systemd(const OciProcess& process, const RootDir& rootfs);

// The image's systemd release (258), by the name of its shared library; nothing if there is none.
std::optional<int> systemd_release(const RootDir& rootfs);

// Where the path leads inside the image, links resolved as far as the path exists; the rest is
// kept as it is.
std::string resolved_path(const RootDir& rootfs, const std::string& path_in_container);

}  // namespace sysbox::runc
