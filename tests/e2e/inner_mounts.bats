# Mounts that programs make inside, by either of the kernel's interfaces: util-linux that mounts by
# descriptors, runc 1.3, bubblewrap and fuse3, all of Debian sid.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start inner-mounts
  daemons_start
  start_engine_like c
}
teardown_file() { suite_stop; }

# A container of the image with the newest programs.
start_engine_like() { # NAME
  local dir=$SUITE_DIR/bundles/$1
  bundle "$1" '.linux.resources = {memory: {limit: 268435456, swap: 268435456}}' \
    sh -c 'trap "exit 0" TERM; while :; do sleep 1 & wait; done' >/dev/null
  rm -rf --one-file-system "$dir/rootfs"
  cp -a "$(mount_tools_dir)" "$dir/rootfs"
  runc run --detach --bundle "$dir" "$1" >"$SUITE_DIR/log/$1.console" 2>&1 </dev/null
}
memory_limit_kb=262144
prints_limit='awk "/^MemTotal/ { print \$2 }"'
mounts_at() { # PATH: there and below
  inside c awk -v at="$1" '$5 == at || index($5, at "/") == 1' /proc/self/mountinfo | wc -l
}

@test "mount -t proc by the new interface: emulated files, locked, gone with one umount" {
  assert_contains "$(inside c mount --version)" fd-based-mount
  run inside c sh -ec "mount -t proc proc /p; umount /p/meminfo 2>/dev/null || :; ! umount -l /p/meminfo 2>/dev/null || exit 7
    $prints_limit /p/meminfo; echo 41 >/p/sys/kernel/panic; cat /proc/sys/kernel/panic; umount /p"
  assert_ok
  assert_equal "$output" "$(printf '%s\n41' $memory_limit_kb)"
  assert_equal "$(mounts_at /p)" 0
}

@test "its options and flags are what was asked for" {
  run inside c sh -ec 'mount -t proc -o ro,nosuid,hidepid=2 proc /p; grep " /p " /proc/self/mountinfo
    echo 1 >/p/sys/kernel/panic && exit 1; umount /p; mount -t proc -o subset=pid proc /p
    ls /p/1/comm /p/uptime /p/stat || :; umount /p'
  assert_contains "$output" "ro,nosuid"
  assert_contains "$output" "hidepid=invisible"
  assert_contains "$output" "Read-only file system"
  assert_contains "$output" "/p/1/comm"
  assert_contains "$output" "'/p/uptime': No such file"
  assert_equal "$(mounts_at /p)" 0
}

@test "mount -t sysfs by the new interface" {
  run inside c sh -ec 'mount -t sysfs sysfs /p; cat /p/devices/system/cpu/online; ls /p/firmware; umount /p'
  assert_ok
  assert_equal "$output" "$(inside c cat /sys/devices/system/cpu/online)"
  assert_equal "$(mounts_at /p)" 0
}

@test "a procfs of subset=pid uncovers no other" {
  # To the kernel it would be a procfs that hides nothing, were there no piece on it.
  run inside c sh -c "mount -t proc -o subset=pid proc /p; mount -t proc proc /q; $prints_limit /q/meminfo
    umount /p; umount /q"
  assert_equal "$output" $memory_limit_kb
}

@test "bind of / and of /proc, by either interface, gone with one umount" {
  run inside c sh -ec "mount --bind / /mnt; ls -d /mnt/usr; umount /mnt
    busybox mount --bind / /mnt; ls -d /mnt/usr; umount /mnt
    mount --bind /proc /mnt; umount /mnt/meminfo 2>/dev/null || :; $prints_limit /mnt/meminfo; umount /mnt
    mount --bind -o ro /proc/sys /mnt; ! sh -c 'echo 1 >/mnt/kernel/panic' 2>/dev/null || exit 11; umount /mnt"
  assert_ok
  assert_equal "$output" "$(printf '/mnt/usr\n/mnt/usr\n%s' $memory_limit_kb)"
  assert_equal "$(mounts_at /mnt)" 0
}

@test "umount --recursive takes down a procfs, a sysfs and copies of whole trees" {
  # listmount(2) came with them: Linux 6.8.
  perl -e 'exit(syscall(458, 0, 0, 0, 0) == -1 && $!{ENOSYS})' || skip "no unique mount numbers in this kernel"
  run inside c unshare --mount sh -ec 'before=$(wc -l </proc/self/mountinfo)
    mount -t proc p /p; umount --recursive /p; mount -t sysfs s /p; umount --recursive /p
    for tree in /proc /sys /dev /; do mount --rbind $tree /p; mount --make-rslave /p; umount --recursive /p; done
    mount -t tmpfs t /p; mkdir /p/proc /p/sys; mount -t proc p /p/proc; mount --rbind /sys /p/sys; umount --recursive /p
    [ "$(wc -l </proc/self/mountinfo)" = "$before" ]; for i in 1 2; do ! umount /proc/uptime || exit 11; done
    umount /proc/uptime || umount --recursive /proc || awk "/^MemTotal/ { print \$2 }" /proc/meminfo'
  assert_ok
  assert_equal "${lines[-1]}" $memory_limit_kb
}

# As Podman does, which gives up at an error, before it starts a container of a user namespace.
@test "what the machine has below /sys/kernel is told to be unmounted in a mount namespace of one's own, once" {
  kernel_has_call 458 || # listmount
    skip "the kernel has no numbers of mounts that are never another's"
  run inside c sh -c 'list() { awk "index(\$5, \"/sys/kernel/\") == 1 { print \$5 }" /proc/self/mountinfo; }
    [ $(list | wc -l) -gt 2 ] || exit; for place in $(list); do umount $place && echo $place; done'
  assert_equal "$(grep -c "^/sys" <<<"$output")" 0 "unmounted in the machine's own"
  run inside c unshare --mount sh -c 'list() { awk "index(\$5, \"/sys/kernel/\") == 1 { print \$5 }" /proc/self/mountinfo; }
    before=$(list); for place in $before; do umount $place || exit; done
    [ "$(list)" = "$before" ] && echo the same; umount $(list) 2>/dev/null || echo held'
  assert_equal "${lines[*]}" "the same held"
}

@test "a bind of a shared / takes no mount off it" {
  run inside c unshare --mount sh -ec 'mount --make-rshared /; before=$(wc -l </proc/self/mountinfo)
    mount --bind / /mnt; umount /mnt; busybox mount --bind / /mnt; umount /mnt
    [ "$(wc -l </proc/self/mountinfo)" = "$before" ]; mountpoint -q /dev/pts; mountpoint -q /dev/shm'
  assert_ok
}

@test "an overlay, with its attributes as user.* and with none" {
  run inside c sh -ec 'mount -t tmpfs t /mnt; mkdir /mnt/up /mnt/work /mnt/all
    for option in userxattr index=off; do
      mount -t overlay -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work,$option o /mnt/all
      echo new >/mnt/all/new; ls /mnt/up; rm /mnt/all/passwd; [ ! -e /mnt/all/passwd ]; umount /mnt/all
      rm -r /mnt/up /mnt/work; mkdir /mnt/up /mnt/work
    done
    umount /mnt'
  assert_ok
  assert_contains "$output" new
  assert_equal "$(mounts_at /mnt)" 0
}

@test "an overlay whose marks nobody has asked to be user.*: what also lies below is removed and made anew" {
  local options mount
  for options in userxattr index=off redirect_dir=nofollow; do
    for mount in mount "busybox mount"; do
      run inside c unshare --mount sh -ec "mkdir -p /ov/low/d/e /ov/low/d2 /ov/up /ov/work /ov/all; echo x >/ov/low/d/f
        echo y >/ov/low/d2/g; cd /ov; $mount -t overlay -o lowerdir=low,upperdir=up,workdir=work,$options o all
        rm all/d/f; rmdir all/d/e; rmdir all/d; rm -r all/d2; mkdir all/d2; mv all/d2 all/d3; mkdir all/d2
        umount all; $mount -t overlay -o lowerdir=up:low o all; ls all; ls -A all/d2; cd /; umount /ov/all; rm -r /ov"
      assert_ok
      assert_equal "$output" "$(printf 'd2\nd3')" "with $options by $mount"
    done
  done
}

@test "an overlay in a user namespace inside, by an ordinary user" {
  run inside --user 1000:1000 c unshare --user --map-root-user --mount sh -ec 'mount -t tmpfs t /mnt; cd /mnt
    mkdir -p low/d up work all; echo x >low/d/f; busybox mount -t overlay -o lowerdir=low,upperdir=up,workdir=work o all
    grep -c userxattr /proc/self/mountinfo; echo new >all/new; cat up/new'
  assert_ok
  assert_equal "$output" "$(printf '1\nnew')"
}

@test "read-only remounts reach the emulated files, and are undone" {
  run inside c sh -c 'try() { sh -c "echo 17 >/proc/sys/kernel/panic" 2>/dev/null && echo rw || echo ro; }
    mount -o remount,ro /proc; try; mount -o remount,rw /proc; try
    busybox mount -o remount,ro /proc; try; busybox mount -o remount,rw /proc; try
    mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; try
    mount -o remount,bind,rw /proc/sys; try; umount /proc/sys'
  assert_ok
  assert_equal "${output//$'\n'/ }" "ro rw ro rw ro rw"
}

@test "a remount hands back the ids that mountinfo shows: tmpfs, devpts, by fstab, in a user namespace" {
  local mount options='o() { awk -v p="$1" "\$5 == p { s = \$NF } END { print s }" /proc/self/mountinfo; }'
  for mount in mount "busybox mount"; do
    run inside c unshare --mount sh -ec "$options; before=\$(o /dev/pts)
      mount -t tmpfs t /mnt; for at in /dev/shm /mnt; do for size in 64 65; do $mount -o remount,size=\${size}m \$at; done; o \$at; done
      $mount -o remount,ro /mnt; ! touch /mnt/x 2>/dev/null || exit 11; $mount -o remount,rw /mnt; touch /mnt/x
      echo 't /mnt tmpfs size=66m,mode=700 0 0' >/etc/fstab; mount -o remount /mnt; o /mnt; rm /etc/fstab
      $mount -o remount /dev/pts; [ \$(o /dev/pts) = \$before ]; ! $mount -o remount,uid=65536 /mnt 2>/dev/null || exit 12"
    assert_ok
    assert_matches "${lines[0]}" size=66560k.*,uid=
    assert_matches "${lines[1]}" size=66560k.*,uid=
    assert_contains "${lines[2]}" size=67584k
    run inside --user 1000:1000 c unshare --user --map-root-user --mount sh -ec "$options
      mount -t tmpfs t /mnt; $mount -o remount,size=64m /mnt; o /mnt; $mount -o remount /dev/shm 2>/dev/null || echo refused"
    assert_ok
    assert_matches "${lines[0]}" size=65536k.*,uid=
    assert_equal "${lines[1]}" refused
  done
}

@test "mounts of the container's own on a procfs stay as they are when that is made read-only" {
  run inside c unshare --mount sh -ec 'mount -t proc proc /p; mount -t tmpfs t /p/fs; mount -o remount,bind,ro /p
    ! sh -c "echo 1 >/p/sys/kernel/panic" 2>/dev/null || exit 11; echo kept >/p/fs/x; cat /p/fs/x'
  assert_ok
  assert_equal "$output" kept
}

@test "bubblewrap, as root and as an ordinary user" {
  local user
  for user in 0:0 1000:1000; do
    run inside --user "$user" c bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev \
      sh -c "$prints_limit /proc/meminfo; ls /proc | grep -c '^[0-9]'"
    assert_ok
    assert_equal "${lines[0]}" $memory_limit_kb
    assert_between "${lines[1]}" 2 6 processes
  done
}

# The kernel has these files in each network namespace, and lets only the first one write them.
conntrack_max=/proc/sys/net/netfilter/nf_conntrack_max
needs_conntrack() { [[ -e $conntrack_max ]] || skip "this kernel has no nf_conntrack"; }

@test "the connection tracker's settings: in each procfs of the container's network, kept out of nested ones" {
  needs_conntrack
  run inside c sh -ec "mount -t proc proc /p; echo 4321 >/p/${conntrack_max#/proc/}; cat $conntrack_max
    unshare --pid --fork --mount-proc cat $conntrack_max; umount /p
    mount --bind ${conntrack_max%/*} /p; cat /p/${conntrack_max##*/}; umount /p
    busybox mount --bind ${conntrack_max%/*} /p; cat /p/${conntrack_max##*/}; umount /p"
  assert_ok
  assert_equal "$output" "$(printf '4321\n4321\n4321\n4321')"
  run inside c unshare --net --pid --fork --mount-proc sh -c "cat $conntrack_max; echo 1 >$conntrack_max"
  assert_equal "${lines[0]}" "$(cat $conntrack_max)"
  assert_contains "$output" "Permission denied"
}

@test "new flags for all that mountinfo shows, from a network namespace of one's own" {
  needs_conntrack
  # What bubblewrap 0.8 does for --ro-bind / / --unshare-net.
  cat >"$SUITE_DIR/bundles/c/rootfs/remount-all" <<'END'
for m in $(busybox awk '$5 ~ "^/mnt/proc" { print $5 }' /proc/self/mountinfo); do
  busybox mount -o remount,bind,ro,nosuid,nodev,noexec "$m" || exit
done
END
  run inside c unshare --mount sh -ec "mount --rbind / /mnt; unshare --net sh /remount-all
    echo 4322 >$conntrack_max; cat /mnt$conntrack_max; echo 1 >/mnt$conntrack_max"
  assert_failed
  assert_equal "${lines[0]}" 4322
  assert_contains "$output" "Read-only file system"
}

@test "unshare --mount-proc in a user namespace of an ordinary user, a pivoted root, propagation" {
  run inside --user 1000:1000 c unshare -Urpf --mount-proc sh -ec \
    "umount /proc/meminfo 2>/dev/null || :; $prints_limit /proc/meminfo; echo \$\$; mount -t proc proc /p; umount /p"
  assert_ok
  assert_equal "$output" "$(printf '%s\n1' $memory_limit_kb)"
  run inside c unshare --mount --pid --fork sh -ec "mount --make-rshared /; mount -t tmpfs t /mnt
    cp -a /usr/bin/busybox /mnt/; mkdir /mnt/proc /mnt/old; mount --make-private /mnt
    cd /mnt; mount --make-rprivate /; busybox pivot_root . old; /busybox mount -t proc proc /proc
    /busybox umount -l /old; /busybox awk '/^MemTotal/ { print \$2 }' /proc/meminfo; /busybox umount /proc"
  assert_ok
  assert_equal "$output" $memory_limit_kb
}

@test "runc 1.3 with settings, masks and read-only paths, and an exec in it" {
  run inside c sh -ec 'mkdir -p /b/rootfs/bin; cp /usr/bin/busybox /b/rootfs/bin/; ln -sf busybox /b/rootfs/bin/sh
    cd /b; runc spec; sed -i "s/\"terminal\": true/\"terminal\": false/
      s/\"sh\"/\"busybox\", \"sleep\", \"60\"/
      s/\"linux\": {/\"linux\": { \"sysctl\": { \"net.ipv4.ip_forward\": \"1\", \"kernel.shmmax\": \"65536\" },/" config.json
    runc run -d inner >/dev/null 2>&1 </dev/null
    runc exec inner busybox awk "/^MemTotal/ { print \$2 }" /proc/meminfo
    runc exec inner busybox cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax
    ! runc exec inner busybox sh -c "echo 1 >/proc/sys/kernel/panic" 2>/dev/null || exit 11
    runc delete -f inner'
  assert_ok
  assert_equal "$output" "$(printf '%s\n1\n65536' $memory_limit_kb)"
}

@test "FUSE by an ordinary user through fusermount3" {
  run inside c sh -ec 'mkdir -p /tmp/d /tmp/m; echo hello >/tmp/d/f; mksquashfs /tmp/d /tmp/i.sqfs -quiet -no-progress >/dev/null
    chmod 644 /tmp/i.sqfs; chown 1000 /tmp/m; [ -c /dev/fuse ]'
  assert_ok
  run inside --user 1000:1000 c sh -ec 'squashfuse /tmp/i.sqfs /tmp/m; cat /tmp/m/f; fusermount3 -u /tmp/m; ls /tmp/m'
  assert_ok
  assert_equal "$output" hello
}

@test "a procfs on a FUSE mounted inside, by a descriptor as crun does, and with one as working directory" {
  run inside c sh -ec "mkdir -p /tmp/t/proc /tmp/fuse; mksquashfs /tmp/t /tmp/t.sqfs -quiet -no-progress >/dev/null
    squashfuse /tmp/t.sqfs /tmp/fuse; exec 7</tmp/fuse/proc
    busybox mount -t proc proc /proc/self/fd/7; $prints_limit /tmp/fuse/proc/meminfo
    cd /tmp/fuse; busybox mount -t proc -o ro proc /p; $prints_limit /p/meminfo; umount /p
    umount -l /tmp/fuse/proc; cd /; exec 7<&-; umount /tmp/fuse"
  assert_ok
  assert_equal "$output" "$(printf '%s\n%s' $memory_limit_kb $memory_limit_kb)"
  assert_equal "$(mounts_at /tmp/fuse)" 0
}

@test "mounts by path below fuse-overlayfs inside: procfs, its umount, binds, a root in it, device nodes" {
  run inside c sh -ec "mkdir -p /tmp/o/l/p /tmp/o/l/q /tmp/o/u /tmp/o/k /tmp/o/m /tmp/o/l/bin; cd /tmp/o
    cp /usr/bin/busybox l/bin/; fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=k m 2>/dev/null
    mount -t proc proc m/p; umount m/p/meminfo 2>/dev/null || :; $prints_limit m/p/meminfo; umount m/p
    busybox mount -t proc proc /tmp/o/m/p; busybox mount --bind m/p m/q; $prints_limit m/q/meminfo
    umount m/q; umount m/p; mount --bind / m/q; ls -d m/q/usr; umount m/q
    chroot m /bin/busybox sh -ec '/bin/busybox mount -t proc proc /p
      /bin/busybox awk \"/^MemTotal/ { print \\\$2 }\" /p/meminfo; /bin/busybox umount /p'
    : >m/null; mount --bind /dev/null m/null; echo gone >m/null; umount m/null; [ ! -s m/null ]
    ! mknod m/node c 1 3 2>/dev/null || exit 11; cd /; umount /tmp/o/m"
  assert_ok
  assert_equal "$output" "$(printf '%s\n%s\n%s\n%s' $memory_limit_kb $memory_limit_kb m/q/usr $memory_limit_kb)"
  assert_equal "$(mounts_at /tmp/o)" 0
}

@test "the same as an ordinary user, in a user namespace" {
  inside c sh -c 'mkdir -p /tmp/user; chown 1000 /tmp/user'
  run inside --user 1000:1000 c unshare -Urmpf sh -ec "cd /tmp/user; mkdir -p l/proc u k m
    fuse-overlayfs -o lowerdir=l,upperdir=u,workdir=k m 2>/dev/null; mount -t proc proc m/proc
    $prints_limit m/proc/meminfo; umount m/proc; umount m"
  assert_ok
  assert_equal "$output" $memory_limit_kb
}

@test "file systems that need a device or the network are the kernel's to refuse" {
  run inside c sh -c 'for type in ext4 nfs cifs; do mount -t $type 192.0.2.1:/x /mnt; done'
  assert_failed
  assert_equal "$(mounts_at /mnt)" 0
}

@test "the daemon keeps no descriptor for mounts that are gone" {
  local before
  inside c sh -c 'for i in $(seq 20); do mount -t proc proc /p; umount /p; done'
  before=$(ls "/proc/$(daemon_pid fs)/fd" | wc -l)
  run inside c sh -ec 'for i in $(seq 60); do mount -t proc proc /p; umount /p; mount --bind / /mnt; umount /mnt; done'
  assert_ok
  as_few_descriptors() { (($(ls "/proc/$(daemon_pid fs)/fd" | wc -l) <= before + 5)); }
  wait_for 5 as_few_descriptors
}

@test "nothing is left behind" {
  remove_container c
  suite_left_nothing
}
