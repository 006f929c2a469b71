# What programs inside see of /proc and /sys: the container's own limits and settings, which nobody
# inside can take away, and which every procfs mounted later has too.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start emulation
  daemons_start
  start_idle limited '.linux.resources = {memory: {limit: 134217728, swap: 134217728},
    cpu: {quota: 100000, period: 100000}}'
  start_idle other
}
teardown_file() { suite_stop; }

meminfo() { # CONTAINER FIELD: in kB
  inside "$1" awk -v field="$2:" '$1 == field { print $2 }' /proc/meminfo
}

@test "meminfo: the limit, and no more used than the container uses" {
  assert_equal "$(meminfo limited MemTotal)" 131072
  assert_between "$(meminfo limited MemFree)" 65536 131072 MemFree
  assert_between "$(meminfo limited MemAvailable)" 65536 131072 MemAvailable
  assert_equal "$(meminfo limited SwapTotal)" 0
}

@test "meminfo: without a limit, the host's memory" {
  assert_equal "$(meminfo other MemTotal)" "$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)"
}

@test "meminfo: what a process takes is gone from MemFree" {
  # dd keeps a block of 48 MiB while it waits for its second one.
  run inside limited sh -c '{ head -c 50331648 /dev/zero; sleep 9; } 2>/dev/null | dd bs=48M iflag=fullblock of=/dev/null 2>/dev/null &
    for i in $(seq 40); do
      free=$(awk "/^MemFree:/ { print \$2 }" /proc/meminfo)
      [ "$free" -gt 84000 ] || break
      sleep 0.2
    done
    echo "$free"
    kill $!'
  assert_between "$output" 20000 84000 MemFree
}

@test "top and uptime of busybox work, and cat reads the files to their end" {
  run inside limited top -b -n 1
  assert_ok
  assert_contains "$output" COMMAND
  run inside limited uptime
  assert_ok
  # cat copies by sendfile(2), which goes by the file's size.
  assert_equal "$(inside limited cat /proc/meminfo | wc -l)" "$(inside limited grep -c . /proc/meminfo)"
}

@test "cpuinfo, stat and the cpu lists show as many processors as the quota pays for" {
  assert_equal "$(inside limited grep -c ^processor /proc/cpuinfo)" 1 processors
  assert_equal "$(inside limited grep -c '^cpu[0-9]' /proc/stat)" 1 "lines in stat"
  assert_equal "$(inside limited cat /sys/devices/system/cpu/online)" 0 "online processors"
  assert_equal "$(inside other grep -c ^processor /proc/cpuinfo)" "$(grep -c ^processor /proc/cpuinfo)"
}

@test "uptime and the boot time in stat are the container's" {
  local uptime
  uptime=$(inside limited cut -d . -f 1 /proc/uptime)
  assert_between "$uptime" 0 300 uptime
  assert_between $(($(date +%s) - $(inside limited awk '$1 == "btime" { print $2 }' /proc/stat) - uptime)) \
    0 3 "difference of btime and uptime"
}

@test "counters in stat and uptime never go back" {
  run inside limited sh -c 'last=0
    for i in $(seq 200); do
      now=$(awk "/^cpu / { print \$2 + \$3 + \$4 }" /proc/stat)
      [ "$now" -ge "$last" ] || { echo "from $last to $now"; exit 1; }
      last=$now
    done'
  assert_ok
}

@test "loadavg has its five fields, swaps only its heading" {
  assert_matches "$(inside limited cat /proc/loadavg)" '^[0-9.]+ [0-9.]+ [0-9.]+ [0-9]+/[0-9]+ [0-9]+$'
  assert_equal "$(inside limited wc -l </dev/null /proc/swaps | cut -d ' ' -f 1)" 1
}

@test "a sysctl written inside is read back there, and nowhere else" {
  local host other
  host=$(cat /proc/sys/kernel/panic)
  other=$(inside other cat /proc/sys/kernel/panic)
  inside limited sh -c 'echo 17 >/proc/sys/kernel/panic'
  assert_equal "$(inside limited cat /proc/sys/kernel/panic)" 17
  assert_equal "$(inside other cat /proc/sys/kernel/panic)" "$other"
  assert_equal "$(cat /proc/sys/kernel/panic)" "$host"
}

@test "what kubelet, systemd and dockerd write at their start is accepted" {
  run inside other sh -e -c '
    echo 1 >/proc/sys/vm/overcommit_memory
    echo 10 >/proc/sys/kernel/panic
    echo 1 >/proc/sys/kernel/panic_on_oops
    [ ! -e /proc/sys/net/netfilter/nf_conntrack_max ] ||
      echo 262144 >/proc/sys/net/netfilter/nf_conntrack_max
    echo 1048576 >/proc/sys/fs/nr_open
    echo 1 >/proc/sys/net/ipv4/ip_forward
    cat /proc/sys/vm/overcommit_memory /proc/sys/kernel/panic /proc/sys/net/ipv4/ip_forward'
  assert_ok
  assert_equal "$output" "$(printf '1\n10\n1')"
}

@test "a value that the kernel would refuse is refused" {
  run inside other sh -c 'echo nonsense >/proc/sys/kernel/panic'
  assert_failed "Invalid argument"
  run inside other sh -c 'echo 7 >/proc/sys/vm/overcommit_memory'
  assert_failed "Invalid argument"
}

@test "the host name: hostname(1), the file and a write to it agree, in each UTS namespace" {
  local host
  host=$(cat /proc/sys/kernel/hostname)
  run inside limited sh -ec 'hostname by-call; cat /proc/sys/kernel/hostname
    echo by-file >/proc/sys/kernel/hostname; hostname; cat /proc/sys/kernel/hostname
    echo my.domain >/proc/sys/kernel/domainname; cat /proc/sys/kernel/domainname
    unshare --uts sh -c "echo nested >/proc/sys/kernel/hostname; hostname"; hostname'
  assert_ok
  assert_equal "$output" "$(printf '%s\n' by-call by-file by-file my.domain nested by-file)"
  assert_equal "$(cat /proc/sys/kernel/hostname)" "$host" "the host's name"
  run inside limited unshare --user --map-root-user --uts sh -c 'hostname deep; cat /proc/sys/kernel/hostname'
  assert_equal "$output" deep
}

@test "the host name: that of a UTS namespace which belongs to the host cannot be changed" {
  local holder
  unshare --uts sh -c 'hostname of-the-host; exec sleep 60' 3>&- &
  holder=$!
  named() { [ "$(nsenter --uts --target "$holder" hostname)" = of-the-host ]; }
  wait_for 5 named
  start_idle shared '.linux.namespaces |= map(if .type == "uts" then .path = "/proc/'"$holder"'/ns/uts" else . end)
    | del(.hostname)'
  assert_equal "$(inside shared cat /proc/sys/kernel/hostname)" of-the-host
  run inside shared sh -c 'echo taken-over >/proc/sys/kernel/hostname'
  assert_failed "not permitted"
  assert_equal "$(nsenter --uts --target "$holder" hostname)" of-the-host
  remove_container shared
  kill "$holder"
}

@test "the boot id is the container's: the same in it, another one after a restart" {
  local id
  id=$(inside limited cat /proc/sys/kernel/random/boot_id)
  assert_matches "$id" '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
  assert_equal "$(inside limited cat /proc/sys/kernel/random/boot_id)" "$id"
  [ "$id" != "$(cat /proc/sys/kernel/random/boot_id)" ]
  [ "$id" != "$(inside other cat /proc/sys/kernel/random/boot_id)" ]
  [ "$(inside limited cat /proc/sys/kernel/random/uuid)" != "$(inside limited cat /proc/sys/kernel/random/uuid)" ]
  start_idle again
  inside again sh -c 'echo 9 >/proc/sys/kernel/panic'
  id=$(inside again cat /proc/sys/kernel/random/boot_id)
  remove_container again
  start_idle again
  [ "$id" != "$(inside again cat /proc/sys/kernel/random/boot_id)" ]
  assert_equal "$(inside again cat /proc/sys/kernel/panic)" 0 "a setting after the restart"
  remove_container again
}

@test "settings of the specification reach the container, and the kernel where they are its" {
  run run_once '.linux.sysctl = {"kernel.panic": "11", "vm.swappiness": "7", "kernel.shm_rmid_forced": "1",
      "net.ipv4.ip_forward": "1", "kernel.domainname": "spec.domain"}' \
    cat /proc/sys/kernel/panic /proc/sys/vm/swappiness /proc/sys/kernel/shm_rmid_forced \
    /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/domainname
  assert_equal "$output" "$(printf '%s\n' 11 7 1 1 spec.domain)"
}

@test "what is read-only refuses to be written as a read-only procfs does" {
  run run_once '.root.readonly = true | .linux.readonlyPaths = ["/proc/sys/kernel/panic"]' sh -c '
    echo 3 >/proc/sys/kernel/panic; echo 3 >/proc/sys/vm/swappiness && cat /proc/sys/vm/swappiness'
  assert_contains "$output" "kernel/panic: Read-only file system"
  assert_equal "${lines[-1]}" 3 "what only the root file system's being read-only does not touch"
  run inside limited unshare --mount sh -c 'mkdir -p /ro && mount -t proc -o ro proc /ro &&
    cat /ro/sys/kernel/panic; echo 4 >/ro/sys/kernel/panic; echo 4 >/ro/sys/net/ipv4/ip_forward'
  assert_contains "$output" "/ro/sys/kernel/panic: Read-only file system"
  assert_contains "$output" "/ro/sys/net/ipv4/ip_forward: Read-only file system"
  # As an engine inside does with the procfs of its container.
  run inside limited unshare --mount sh -c 'mkdir -p /ro && mount -t proc proc /ro &&
    mount --rbind /ro/sys /ro/sys && mount -o remount,bind,ro /ro/sys &&
    echo 5 >/ro/sys/kernel/panic; echo 5 >/ro/sys/net/ipv4/ip_forward'
  assert_contains "$output" "ip_forward: Read-only file system"
  assert_contains "$output" "kernel/panic: Read-only file system"
}

@test "a machine of its own: no command line, disks, cards or serial numbers of the host" {
  assert_equal "$(inside limited cat /proc/cmdline)" rw
  assert_equal "$(inside limited sh -c 'ls /sys/block /sys/class/block /proc/bus /sys/firmware')" \
    "$(printf '%s:\n\n' /proc/bus /sys/block /sys/class/block /sys/firmware)"
  run inside limited sh -c 'cat /sys/devices/pci*/*/vendor /sys/bus/pci/devices/*/vendor'
  assert_failed
  assert_equal "$(inside limited cat /sys/class/net/lo/address)" 00:00:00:00:00:00
}

@test "with a device of the host, or if asked for, the host's hardware shows" {
  run run_once '.linux.devices += [{type: "c", path: "/dev/card", major: 226, minor: 0}]' ls /sys/devices
  assert_equal "$(wc -l <<<"$output")" "$(ls /sys/devices | wc -l)"
  run run_once '.annotations["io.sysbox.hardware"] = "true"' ls /sys/block
  assert_equal "$output" "$(ls /sys/block)"
  run run_once '.linux.devices += [{type: "c", path: "/dev/fuse", major: 10, minor: 229}]' ls /sys/block
  assert_equal "$output" ""
}

@test "an emulated file cannot be unmounted, covered for others, or made writable" {
  run inside limited umount /proc/meminfo
  assert_failed
  run inside limited umount -l /proc/uptime
  assert_failed
  run inside limited umount -l /proc/sys/kernel/panic
  assert_failed
  assert_equal "$(meminfo limited MemTotal)" 131072
  run inside limited sh -c 'echo 1 >/proc/meminfo'
  assert_failed
}

@test "mount -t proc inside has the emulated files, and one umount takes it away" {
  run inside limited sh -c 'mkdir -p /p && mount -t proc proc /p && awk "/^MemTotal/ { print \$2 }" /p/meminfo
    echo 23 >/p/sys/kernel/panic; cat /proc/sys/kernel/panic
    umount /p; grep -c " /p " /proc/self/mountinfo'
  assert_equal "$output" "$(printf '131072\n23\n0')"
}

@test "mount -t sysfs inside has the emulated files, and one umount takes it away" {
  run inside limited sh -c 'mkdir -p /s && mount -t sysfs sysfs /s && cat /s/devices/system/cpu/online
    umount /s; grep -c " /s " /proc/self/mountinfo'
  assert_equal "$output" "$(printf '0\n0')"
}

@test "a procfs mounted in a chroot has them" {
  run inside limited sh -c 'mkdir -p /jail/proc && cp -a /bin /jail/ &&
    chroot /jail mount -t proc proc /proc && chroot /jail awk "/^MemTotal/ { print \$2 }" /proc/meminfo
    chroot /jail umount /proc; rm -r /jail'
  assert_equal "$output" 131072
}

@test "a new pid and mount namespace with its procfs has them" {
  run inside limited unshare --pid --mount --fork --mount-proc sh -c \
    'awk "/^MemTotal/ { print \$2 }" /proc/meminfo; ps | grep -c "sh -c"; echo $$'
  assert_ok
  assert_equal "${lines[0]}" 131072
  assert_equal "${lines[2]}" 1
}

@test "a new user namespace with its procfs shows nothing of the host" {
  run inside limited unshare --user --map-root-user --pid --mount --fork --mount-proc sh -c \
    'awk "/^MemTotal/ { print \$2 }" /proc/meminfo'
  assert_ok
  assert_equal "$output" 131072
}

@test "mount and umount many times: no mount stays, and no descriptor in the daemon" {
  local before
  before=$(ls "/proc/$(daemon_pid fs)/fd" | wc -l)
  run inside limited sh -c 'mkdir -p /p; for i in $(seq 50); do mount -t proc proc /p && umount /p || exit 1; done
    grep -c " /p " /proc/self/mountinfo'
  assert_equal "$output" 0
  # What it keeps for the next mount is not kept for each.
  as_few_descriptors() { (($(ls "/proc/$(daemon_pid fs)/fd" | wc -l) <= before + 5)); }
  wait_for 5 as_few_descriptors
}

@test "who may write a setting: the container's root, by whatever way it came, and nobody else" {
  local user='echo 5 >/proc/sys/kernel/panic || echo refused'
  inside other sh -c 'echo 0 >/proc/sys/kernel/panic'
  run runc exec --user 1000:1000 other sh -c "$user; unshare --user --map-root-user sh -c '$user'"
  assert_equal "$(grep -c refused <<<"$output")" 2 refusals
  assert_equal "$(inside other cat /proc/sys/kernel/panic)" 0
  # A descriptor that root hands down is checked again when it is used.
  # shellcheck disable=SC2016 # the container's shell
  run inside other sh -c 'exec 3<>/proc/sys/kernel/panic
    su nobody -s /bin/sh -c "echo 6 >&3" || echo refused; cat <&3; echo 7 >/proc/sys/kernel/panic'
  assert_ok
  assert_contains "$output" refused
  assert_equal "${lines[-1]}" 0
  assert_equal "$(inside other cat /proc/sys/kernel/panic)" 7
  inside other sh -c 'echo 0 >/proc/sys/kernel/panic'
}

@test "a setting written again and again is only ever seen whole, with its size" {
  # shellcheck disable=SC2016 # the container's shell
  run inside other sh -c 'cd /proc/sys/vm
    for i in $(seq 300); do echo 3 >max_map_count; echo 262144 >max_map_count; done & writer=$!
    while kill -0 $writer 2>/dev/null; do head -c 99 max_map_count; done | sort -u
    wait $writer; echo 65530 >max_map_count; stat -c %s max_map_count'
  assert_ok
  local value
  for value in "${lines[@]:0:${#lines[@]}-1}"; do assert_matches "$value" '^(3|262144|65530)$'; done
  assert_equal "${lines[-1]}" 6
}

@test "nothing is left behind, and no setting of the host has changed" {
  remove_container limited
  remove_container other
  suite_left_nothing
}
