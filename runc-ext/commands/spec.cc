#include <fcntl.h>

#include "common/syscalls.h"
#include "runc-ext/commands/commands.h"

namespace sysbox::runc {
namespace {

// A machine with a shell. What a system container needs beyond it (capabilities, /sys, cgroups,
// a user namespace with its ids) is added when it is created.
constexpr std::string_view kConfig = R"({
  "ociVersion": "1.2.1",
  "process": {
    "terminal": true,
    "user": {
      "uid": 0,
      "gid": 0
    },
    "args": [
      "sh"
    ],
    "env": [
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "TERM=xterm"
    ],
    "cwd": "/"
  },
  "root": {
    "path": "rootfs",
    "readonly": false
  },
  "hostname": "sysbox",
  "mounts": [
    {
      "destination": "/proc",
      "type": "proc",
      "source": "proc"
    },
    {
      "destination": "/dev",
      "type": "tmpfs",
      "source": "tmpfs",
      "options": [
        "nosuid",
        "strictatime",
        "mode=755",
        "size=65536k"
      ]
    },
    {
      "destination": "/dev/pts",
      "type": "devpts",
      "source": "devpts",
      "options": [
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
        "gid=5"
      ]
    },
    {
      "destination": "/dev/shm",
      "type": "tmpfs",
      "source": "shm",
      "options": [
        "nosuid",
        "noexec",
        "nodev",
        "mode=1777",
        "size=65536k"
      ]
    },
    {
      "destination": "/dev/mqueue",
      "type": "mqueue",
      "source": "mqueue",
      "options": [
        "nosuid",
        "noexec",
        "nodev"
      ]
    },
    {
      "destination": "/sys",
      "type": "sysfs",
      "source": "sysfs",
      "options": [
        "nosuid",
        "noexec",
        "nodev"
      ]
    },
    {
      "destination": "/sys/fs/cgroup",
      "type": "cgroup",
      "source": "cgroup",
      "options": [
        "nosuid",
        "noexec",
        "nodev",
        "relatime"
      ]
    }
  ],
  "linux": {
    "resources": {},
    "namespaces": [
      {
        "type": "pid"
      },
      {
        "type": "network"
      },
      {
        "type": "ipc"
      },
      {
        "type": "uts"
      },
      {
        "type": "mount"
      },
      {
        "type": "cgroup"
      }
    ],
    "maskedPaths": [
      "/proc/acpi",
      "/proc/asound",
      "/proc/kcore",
      "/proc/keys",
      "/proc/latency_stats",
      "/proc/timer_list",
      "/proc/timer_stats",
      "/proc/sched_debug",
      "/sys/firmware",
      "/proc/scsi"
    ],
    "readonlyPaths": [
      "/proc/bus",
      "/proc/fs",
      "/proc/irq",
      "/proc/sysrq-trigger"
    ]
  }
}
)";

}  // namespace

Result<int> spec_command(Invocation& call) {
  std::string bundle = ".";
  bool rootless = false;
  call.flags.add("--bundle,-b", bundle, "directory to write config.json to [.]");
  call.flags.add("--rootless", rootless, "not supported: sysbox-runc needs root on the host");
  TRY(call.parse(0, 0));
  if (rootless) {
    return Error(ENOTSUP,
                 "--rootless is not supported: sysbox-runc needs root on the host; root "
                 "inside a container never is root outside");
  }
  const UniqueFd directory =
      TRY(sys::open(bundle.empty() ? "." : bundle, O_PATH | O_DIRECTORY).in("bundle"));
  Result<UniqueFd> file =
      sys::openat(directory.get(), "config.json", O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (!file.ok() && file.error().code() == EEXIST) {
    return Error(EEXIST, "File config.json exists. Remove it first");
  }
  const UniqueFd config = TRY(std::move(file));
  TRY(sys::write_all(config.get(), kConfig).in("config.json"));
  return 0;
}

}  // namespace sysbox::runc
