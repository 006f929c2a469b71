#pragma once

// kernel/hostname and kernel/domainname: the names in the UTS namespace of whoever asks. The
// kernel's own files read well, but only the host's root may write to them.

#include <sys/types.h>

#include <string>
#include <string_view>

#include "common/result.h"
#include "common/root_dir.h"

namespace sysbox::fs {

enum class UtsName { kHost, kDomain };

// The text of the file as process `pid` (on the host) sees it.
Result<std::string> read_uts_name(const RootDir& host_proc, UtsName which, int pid);

// The inode number of a namespace ("user", "net") of process `pid`; 0, which none has, if that is
// gone.
ino_t namespace_of(const RootDir& host_proc, int pid, const char* type);

// EPERM unless the UTS namespace of process `pid` belongs to `user_namespace` (its inode number:
// the container's), or to one below it: what a container shares with others it may not name.
Result<void> write_uts_name(const RootDir& host_proc, UtsName which, int pid, ino_t user_namespace,
                            std::string_view written);

}  // namespace sysbox::fs
