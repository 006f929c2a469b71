# What makes a container a machine: systemd, devices, kernel files, binary formats, limits, and the
# switches that choose otherwise.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((180 * SLOWER))
  suite_start conversion
  daemons_start
}
teardown_file() { suite_stop; }
teardown() {
  local id
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
}

annotated() { # NAME VALUE: a filter for a spec
  echo ".annotations[\"io.sysbox.$1\"] = \"$2\""
}
is_hybrid() { [[ $(stat -f -c %T /sys/fs/cgroup) = tmpfs && -d /sys/fs/cgroup/unified ]]; }
# A bundle whose image is Debian's newest, with a program as PID 1; prints its directory.
newest_bundle() { # NAME JQ_FILTER COMMAND...
  local dir
  dir=$(bundle "$@")
  rm -rf --one-file-system "$dir/rootfs"
  cp -a "$(newest_dir)" "$dir/rootfs"
  echo "$dir"
}
start_newest() { # NAME JQ_FILTER COMMAND...
  runc run --detach --bundle "$(newest_bundle "$@")" "$1" >"$SUITE_DIR/log/$1.console" 2>&1 </dev/null
}
has_started() { [[ $(inside "$1" systemctl is-system-running) =~ running|degraded ]]; }
perl_in_newest() { # NAME JQ_FILTER PROGRAM: in a container of its own
  local dir
  dir=$(newest_bundle "$1" "$2" perl -e "$3")
  runc run --bundle "$dir" "$1" </dev/null
}

# ---- systemd

@test "a systemd that knows cgroup v2 only starts, with no failed unit" {
  start_newest machine . /sbin/init
  wait_for 90 has_started machine
  assert_equal "$(inside machine systemctl --failed --plain --no-legend)" "" "failed units"
  assert_equal "$(inside machine systemctl is-system-running)" running
  assert_equal "$(inside machine stat -f -c %T /sys/fs/cgroup)" cgroup2fs
  assert_contains "$(inside machine cat /proc/1/environ | tr '\0' '\n')" container=oci
  assert_equal "$(inside machine systemd-detect-virt --container)" container-other
  assert_equal "$(inside machine findmnt -no FSTYPE /run)" tmpfs
  run inside machine systemd-run --wait --pipe --quiet -p MemoryAccounting=yes echo in-a-unit
  assert_equal "$output" in-a-unit
  runc kill machine RTMIN+3
  wait_for 60 is_status machine stopped
}

@test "systemd behind an entrypoint is recognised; a mount of the user in /run stays" {
  local dir shared=$SUITE_DIR/shared
  mkdir "$shared"
  echo from-host >"$shared/file"
  dir=$(newest_bundle entry ".mounts += [{destination: \"/var/run/secrets\", source: \"$shared\",
    type: \"bind\", options: [\"bind\", \"ro\"]}]" /entrypoint.sh /sbin/init)
  printf '#!/bin/sh\nexec "$@"\n' >"$dir/rootfs/entrypoint.sh"
  chmod +x "$dir/rootfs/entrypoint.sh"
  runc run --detach --bundle "$dir" entry >"$SUITE_DIR/log/entry" 2>&1 </dev/null
  wait_for 90 has_started entry
  assert_equal "$(inside entry cat /run/secrets/file)" from-host
}

@test "an init that is not systemd gets no care for it" {
  run run_once . sh -c 'echo "container=$container"; grep -c " /run tmpfs" /proc/mounts'
  assert_equal "$output" "$(printf 'container=\n0')"
  run run_once "$(annotated systemd true)" sh -c 'echo "container=$container"; grep -c " /run tmpfs" /proc/mounts'
  assert_equal "$output" "$(printf 'container=oci\n1')"
  run run_once "$(annotated systemd true) | .process.env += [\"container=mine\"]" sh -c 'echo "$container"'
  assert_equal "$output" mine
}

# ---- cgroups and limits

@test "the cgroup tree can be chosen" {
  run run_once "$(annotated cgroup v2)" stat -f -c %t /sys/fs/cgroup
  assert_equal "$output" 63677270 # CGROUP2_SUPER_MAGIC
  is_hybrid || skip "the host has one kind of cgroups only"
  run run_once "$(annotated cgroup host)" sh -c 'ls -d /sys/fs/cgroup/memory /sys/fs/cgroup/unified'
  assert_ok
}

values_on_host() { # PATH...: what the suite's cgroups hold in these files, each value once
  local path
  for path in "$@"; do
    find /sys/fs/cgroup -path "*/$SUITE/$path" -exec cat {} +
  done | sort -u
}

@test "limits are seen inside and cannot be lifted from inside" {
  start_idle limited '.linux.resources = {memory: {limit: 67108864}, pids: {limit: 40}}'
  assert_contains "$(inside limited grep MemTotal /proc/meminfo)" 65536
  inside limited sh -c 'for f in $(find /sys/fs/cgroup -name memory.max -o -name memory.limit_in_bytes \
      -o -name memory.memsw.limit_in_bytes -o -name pids.max); do
    echo max >$f; echo -1 >$f; echo 9999999999 >$f; done 2>/dev/null' || :
  assert_equal "$(values_on_host limited/memory.max limited/memory.limit_in_bytes)" 67108864
  assert_equal "$(values_on_host limited/pids.max)" 40
  run inside limited dd if=/dev/zero of=/dev/null bs=200M count=1
  assert_failed
  run inside limited sh -c 'for i in $(seq 60); do sleep 2 & done'
  assert_failed "can't fork"
}

@test "given id maps are used as they are" {
  local low high
  read -r low high <<<"$(suite_ids)"
  low=$((high - 65535))
  run run_once ".linux.uidMappings = [{containerID: 0, hostID: $low, size: 65536}]
    | .linux.gidMappings = .linux.uidMappings" sh -c 'cat /proc/self/uid_map /proc/self/gid_map'
  assert_ok
  assert_equal "$(awk '{ print $1, $2, $3 }' <<<"$output")" "$(printf '0 %s 65536\n' "$low" "$low")"
}

# ---- oom score

has_sys_resource() { ((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) >> 24 & 1)); }

@test "the oom score of the spec is set, and one that cannot be is no failure" {
  run run_once '.process.oomScoreAdj = 321' cat /proc/self/oom_score_adj
  assert_equal "$output" 321
  run run_once '.process.oomScoreAdj = -600' cat /proc/self/oom_score_adj
  assert_ok
  if has_sys_resource; then
    assert_equal "$output" -600
  else
    assert_contains "$output" 'no CAP_SYS_RESOURCE'
  fi
}

@test "root inside may protect its daemons, as far as the switch says" {
  has_sys_resource || skip "the runtime has no CAP_SYS_RESOURCE here"
  run run_once '.process.oomScoreAdj = 100' sh -c 'echo -999 >/proc/self/oom_score_adj &&
    cat /proc/self/oom_score_adj; echo -1000 >/proc/self/oom_score_adj'
  assert_contains "$output" -999
  assert_failed
  run run_once ".process.oomScoreAdj = 100 | $(annotated oom-score-adj-min 50)" \
    sh -c 'echo 50 >/proc/self/oom_score_adj && echo 49 >/proc/self/oom_score_adj'
  assert_failed
}

# ---- devices

@test "kmsg, fuse and tun are there, usable, and root's" {
  run run_once . sh -c 'stat -c "%u:%g %A %n" /dev/kmsg /dev/fuse /dev/net/tun
    exec 3<>/dev/fuse 4<>/dev/net/tun && echo opened; echo message >/dev/kmsg && cat /dev/kmsg'
  assert_ok
  assert_equal "$output" "$(printf '%s\n' '0:0 crw-r--r-- /dev/kmsg' '0:0 crw-rw-rw- /dev/fuse' \
    '0:0 crw-rw-rw- /dev/net/tun' opened)"
}

@test "a device of the spec, and a bound node, have owners that the container knows" {
  run run_once '.linux.devices = [{path: "/dev/mine", type: "c", major: 1, minor: 5,
      fileMode: 416, uid: 0, gid: 20}]
    | .mounts += [{destination: "/dev/bound", source: "/dev/zero", options: ["bind"]}]' \
    sh -c 'stat -c "%u:%g %a" /dev/mine; stat -c "%u %t:%T" /dev/bound
      head -c 3 /dev/bound | wc -c'
  assert_ok
  assert_equal "$output" "$(printf '0:20 640\n0 1:5\n3')"
}

# What an engine's --privileged asks for: every device of the host, by nodes and by rule.
privileged_filter() {
  local devices path mode major minor
  devices=$(find /dev -maxdepth 1 \( -type b -o -type c \) -exec stat -c '%n %A %t %T' {} + |
    while read -r path mode major minor; do
      printf '%s %s %d %d\n' "$path" "${mode:0:1}" "0x$major" "0x$minor"
    done | jq --raw-input --slurp --compact-output 'split("\n") | map(select(. != "") | split(" ") |
      {path: .[0], type: .[1], major: (.[2] | tonumber), minor: (.[3] | tonumber),
       fileMode: 438, uid: 0, gid: 0})')
  echo ".linux.devices = $devices | .linux.resources.devices = [{allow: true, access: \"rwm\"}]
    | .linux.maskedPaths = [] | .linux.readonlyPaths = [] | del(.linux.seccomp)
    | .process.capabilities = ($(runc features | jq -c .linux.capabilities) |
        {bounding: ., effective: ., permitted: .})"
}

@test "privileged: works inside, and nothing of the host's is within reach" {
  local disk
  disk=$(lsblk --noheadings --list --paths --output NAME --exclude 7,1 2>/dev/null | head -n 1)
  [[ -b $disk ]] || disk=$(find /dev -maxdepth 1 -type b ! -name 'loop*' ! -name 'ram*' | head -n 1)
  [[ -b $disk ]] || skip "the host has no disk whose node could be given away"
  start_idle mighty "$(privileged_filter)"
  run inside mighty sh -c 'mkdir /m && mount -t tmpfs none /m && touch /m/x && umount /m &&
    mkdir /n && mount --bind /etc /n && unshare -m true && hostname mine && echo fine'
  assert_contains "$output" fine
  assert_equal "$(inside mighty sh -c 'ls -d /dev/loop* /dev/sd* /dev/vd* /dev/nvme* /dev/mem /dev/port 2>/dev/null')" ""
  assert_equal "$(inside mighty find /dev -type b)" "" "block devices"
  # The node made by hand, and by the number of a disk that exists.
  run inside mighty sh -c "mknod /disk b $((0x$(stat -c %t "$disk"))) $((0x$(stat -c %T "$disk"))) &&
    dd if=/disk of=/dev/null bs=512 count=1"
  assert_failed
  run inside mighty sh -c 'echo 12345 >/proc/sys/kernel/pid_max; echo c >/proc/sysrq-trigger; true'
  [[ $(</proc/sys/kernel/pid_max) != 12345 ]]
}

# ---- kernel files

@test "modules and headers of the host are there, read-only; what is missing is left out" {
  local release host=$SUITE_DIR/host dir
  release=$(uname -r)
  mkdir -p "$host/modules/$release" "$host/src/linux-headers-$release" "$host/src/linux-headers-other"
  echo module >"$host/modules/$release/modules.dep"
  ln -s ../linux-headers-other/include "$host/src/linux-headers-$release/include"
  echo 'all:' >"$host/src/linux-headers-other/Makefile"
  dir=$(bundle kernel . sh -c "cat /lib/modules/$release/modules.dep /usr/src/linux-headers-other/Makefile
    echo x >/lib/modules/$release/modules.dep; mount -o remount,rw /lib/modules/$release
    umount /lib/modules/$release; touch /lib/modules/$release/x; ls /usr/src")
  mkdir -p /lib/modules /usr/src
  # Mounts of a namespace of the runtime's own: the host's directories stay as they are.
  run unshare --mount -- bash -c 'mount --bind "$1/modules" /lib/modules &&
    mount --bind "$1/src" /usr/src && shift && "$@"' x "$host" \
    "$SYSBOX_RUNC" --root "$SUITE_DIR/root" --manager-socket "$SYSBOX_MGR_SOCKET" \
    --emulator-socket "$SYSBOX_FS_SOCKET" run --bundle "$dir" kernel </dev/null
  rmdir /lib/modules 2>/dev/null || :
  assert_contains "$output" "$(printf 'module\nall:')"
  assert_contains "$output" 'Read-only file system'
  assert_contains "$output" "linux-headers-$release"
  assert_equal "$(cat "$host/modules/$release/modules.dep")" module
  [[ ! -e $host/modules/$release/x ]]
}

@test "over modules and headers an overlay of /usr is made, as over binds that hide nothing" {
  local release host=$SUITE_DIR/kernel dir at
  release=$(uname -r)
  mkdir -p "$host/modules/$release" "$host/src/linux-headers-$release"
  echo module >"$host/modules/$release/modules.dep"
  for at in "." ".root.readonly = true"; do
    dir=$(bundle kernel "$at | .mounts += [{destination: \"/run\", type: \"tmpfs\", source: \"tmpfs\"}]" sh -ec "
      cat /lib/modules/$release/modules.dep; grep -c -e ' /lib/modules/.* ro,nosuid,nodev' -e ' /usr/src/.* ro,nosuid,nodev' /proc/self/mountinfo
      ! grep -e '/lib/modules.* master:' -e '/usr/src.* master:' -e ' / .* master:' /proc/self/mountinfo || exit 11
      ! mount -o remount,bind,rw /lib/modules/$release 2>/dev/null || exit 12; ! mount -o remount,bind,suid,ro /lib/modules/$release 2>/dev/null || exit 13
      ! touch /usr/src/linux-headers-$release/x 2>/dev/null || exit 14
      mkdir /run/up /run/work /run/all; mount -t overlay -o lowerdir=/usr,upperdir=/run/up,workdir=/run/work o /run/all
      ls /run/all/src; touch /run/all/src/x; umount /run/all
      umount /lib/modules/$release; ls /lib/modules/$release; echo end")
    mkdir -p /lib/modules /usr/src "$dir/rootfs/usr/src"
    run unshare --mount -- bash -c 'mount --bind "$1/modules" /lib/modules &&
      mount --bind "$1/src" /usr/src && shift && "$@"' x "$host" \
      "$SYSBOX_RUNC" --root "$SUITE_DIR/root" --manager-socket "$SYSBOX_MGR_SOCKET" \
      --emulator-socket "$SYSBOX_FS_SOCKET" run --bundle "$dir" kernel </dev/null
    rmdir /lib/modules 2>/dev/null || :
    assert_ok
    assert_equal "$output" "$(printf 'module\n2\nlinux-headers-%s\nend' "$release")"
    rm -rf --one-file-system "$dir"
  done
}

@test "kernel files can be left out" {
  run run_once "$(annotated kernel-files false)" sh -c 'grep -c -e /lib/modules -e /usr/src /proc/mounts'
  assert_equal "$output" 0
}

# ---- binary formats

@test "binary formats registered inside work there, and nowhere else" {
  start_idle formats
  inside formats grep -q ' /proc/sys/fs/binfmt_misc binfmt_misc' /proc/mounts ||
    skip "this kernel has no binfmt_misc for each user namespace (Linux 6.7)"
  local host_formats
  host_formats=$(find /proc/sys/fs/binfmt_misc -mindepth 1 2>/dev/null | sort)
  run inside formats sh -c '
    echo ":of-$HOSTNAME:E::sysboxtest::/bin/echo:" >/proc/sys/fs/binfmt_misc/register &&
    : >/program.sysboxtest && chmod +x /program.sysboxtest && echo x >/program.sysboxtest &&
    /program.sysboxtest ran'
  assert_ok
  assert_equal "$output" '/program.sysboxtest ran'
  assert_equal "$(find /proc/sys/fs/binfmt_misc -mindepth 1 2>/dev/null | sort)" "$host_formats"
  start_idle others
  run inside others sh -c 'ls /proc/sys/fs/binfmt_misc'
  assert_equal "$output" "$(printf 'register\nstatus')"
}

# ---- a read-only root file system

@test "a read-only root file system holds, with places to write to" {
  run run_once '.root.readonly = true' sh -c '
    touch /x; mount -o remount,rw /; touch /x; touch /run/a /tmp/b /dev/shm/c && echo writable
    stat -c %a /tmp; touch /var/lib/docker/x; mkdir /sys/fs/cgroup/x || mkdir /sys/fs/cgroup/memory/x'
  assert_failed 'Read-only file system'
  assert_contains "$output" "$(printf 'writable\n1777')"
  [[ $output = *"/var/lib/docker/x: Read-only"* ]] || fail "$output"
  [[ ! -e $SUITE_DIR/bundles/x ]]
}

@test "a read-only root file system can be relaxed for engines inside" {
  run run_once ".root.readonly = true | $(annotated relaxed-read-only true)" sh -c '
    touch /x || touch /var/lib/docker/x && { mkdir /sys/fs/cgroup/x || mkdir /sys/fs/cgroup/memory/x; } && echo fine'
  assert_contains "$output" "/x: Read-only file system"
  assert_contains "$output" fine
}

# ---- switches

@test "unknown switches and values are refused by name, and leave nothing" {
  run run_once "$(annotated sysd true)" true
  assert_failed "annotations: 'io.sysbox.sysd' is not a switch; known are: io.sysbox."
  run run_once "$(annotated systemd maybe)" true
  assert_failed "annotations: io.sysbox.systemd: 'maybe' is not a value of it; expected: auto, true, false"
  run run_once '.process.env += ["SYSBOX_SYSCONT_MOD=TRUE"]' true
  assert_failed "'SYSBOX_SYSCONT_MOD' is not a setting; known are: SYSBOX_"
  run run_once '.process.env += ["SYSBOX_SYSCONT_MODE=yes"]' true
  assert_failed "expected: TRUE, FALSE"
  assert_equal "$(runc list --quiet)" ""
}

@test "switches without effect say so" {
  run run_once '.process.env += ["SYSBOX_ALLOW_TRUSTED_XATTR=TRUE", "SYSBOX_IGNORE_SYSFS_CHOWN=TRUE"]' echo ran
  assert_ok
  assert_contains "$output" "SYSBOX_ALLOW_TRUSTED_XATTR has no effect"
  assert_contains "$output" "SYSBOX_IGNORE_SYSFS_CHOWN has no effect"
  assert_contains "$output" ran
}

@test "capabilities are the engine's if asked, also for what is executed later" {
  local filter='.process.capabilities = {bounding: ["CAP_CHOWN"], effective: ["CAP_CHOWN"],
      permitted: ["CAP_CHOWN"]} | .process.env += ["SYSBOX_HONOR_CAPS=TRUE"]'
  run run_once "$filter" grep CapEff /proc/self/status
  assert_contains "$output" 0000000000000001
  start_idle honest "$filter"
  jq '.process | .args = ["sh", "-c", "grep CapEff /proc/self/status; env"]' \
    "$SUITE_DIR/bundles/honest/config.json" >"$SUITE_DIR/process.json"
  run runc exec --process "$SUITE_DIR/process.json" honest </dev/null
  assert_contains "$output" 0000000000000001
  [[ $output != *SYSBOX_* ]] || fail "handed on:" "$output"
}

@test "a mount can keep the owners that it has on the host" {
  local dir=$SUITE_DIR/kept
  mkdir "$dir"
  local mount=".mounts += [{destination: \"/data\", source: \"$dir\", options: [\"bind\"]}]"
  run run_once "$mount" stat -c %u /data
  assert_equal "$output" 0
  run run_once "$mount | .process.env += [\"SYSBOX_SKIP_UID_SHIFT=/other,/data\"]" stat -c %u /data
  assert_equal "$output" 65534
}

@test "without conversion the engine's own restrictions hold" {
  run run_once '.process.env += ["SYSBOX_SYSCONT_MODE=FALSE"]
    | .process.capabilities = {bounding: ["CAP_CHOWN"], effective: ["CAP_CHOWN"], permitted: ["CAP_CHOWN"]}
    | .linux.sysctl = {"net.ipv4.ip_forward": "1"}
    | .linux.maskedPaths = ["/proc/keys"] | .linux.readonlyPaths = ["/proc/sys"]' sh -c '
    grep 1 /proc/sys/net/ipv4/ip_forward
    cat /proc/keys | wc -c; touch /proc/sys/kernel/x 2>&1; echo 1 >/proc/sys/kernel/panic
    mkdir /m; mount -t tmpfs none /m; awk "{ print \$2 }" /proc/mounts | grep /var/lib; cat /proc/self/uid_map'
  [[ ${lines[0]} = 1 ]] || fail "the sysctl of the spec was not set" "$output"
  [[ ${lines[1]} = 0 ]] || fail "/proc/keys is not masked" "$output"
  assert_contains "$output" "Read-only file system"
  assert_contains "$output" "mount: permission denied"
  [[ $output != *var/lib* ]] || fail "$output"
  assert_matches "${lines[-1]}" '^ *0 +[1-9][0-9]{5,} +65536$'
}

@test "doors to the kernel are shut, and opened one by one" {
  local try='for my $family (38, 40, 33, 30, 1) { print "$family:", socket(my $s, $family,
    $family == 38 ? 5 : 2, 0) ? "ok" : 0 + $!, " " }'
  local sockets='.linux.seccomp |= (. // {defaultAction: "SCMP_ACT_ALLOW"})'
  run perl_in_newest doors "$sockets" "$try"
  assert_contains "$output" "38:97 40:97 33:97 30:97 1:ok"
  run perl_in_newest doors "$sockets | $(annotated seccomp.allow af-alg,af-vsock)" "$try"
  assert_contains "$output" "33:97 30:97 1:ok"
  # Whatever the kernel says to these, it is what it says to the host's own programs.
  assert_contains "$output" "$(perl -e "$try" | cut -d ' ' -f 1,2)"
}

@test "the doors are shut for what is executed in the container, too" {
  start_newest guarded . sleep 1000
  run inside guarded perl -e 'socket(my $s, 38, 5, 0) or print 0 + $!'
  assert_equal "$output" 97
  start_newest open "$(annotated seccomp.allow af-alg)" sleep 1000
  run inside open perl -e 'socket(my $s, 38, 5, 0) or print 0 + $!'
  assert_equal "$output" "$(perl -e 'socket(my $s, 38, 5, 0) or print 0 + $!')"
}

@test "the document of all switches is the program's own" {
  run runc features --switches
  assert_ok
  assert_contains "$output" io.sysbox.seccomp.allow
  assert_contains "$(runc features | jq -r '.potentiallyUnsafeConfigAnnotations[]')" io.sysbox.
}

@test "nothing is left behind, and no setting of the host has changed" {
  suite_left_nothing
}
