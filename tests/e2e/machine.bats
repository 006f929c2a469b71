# A system container in the role of a machine: systemd's services and sessions, logins, cron,
# reboot, and the tools that look into processes or make other systems.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine

setup_file() {
  export BATS_TEST_TIMEOUT=$((300 * SLOWER))
  suite_start machine
  daemons_start
  engine_start
  import_images workshop
  need_machine machine --volume "$(archive_dir):/archive:ro"
  docker cp "$(busybox_tar)" machine:/busybox.tar
  docker exec machine sh -ec 'useradd --create-home --shell /bin/bash ann
    mkdir /srv/small && tar -C /srv/small -xf /busybox.tar'
}
teardown_file() {
  engine_stop
  suite_stop
}

is_v2() { [[ -e /sys/fs/cgroup/cgroup.controllers ]]; }
in_machine() { timeout $((200 * SLOWER)) docker exec machine bash -c "$1"; }
# A service with these properties, to its end.
service() { # PROPERTY... -- SHELL_COMMAND
  local options=()
  while [[ $1 != -- ]]; do options+=("--property=$1") && shift; done
  timeout $((30 * SLOWER)) docker exec machine systemd-run --quiet --wait --pipe "${options[@]}" sh -c "$2"
}

@test "systemd is content, and its mounts are shared as on a machine" {
  run in_machine 'systemctl --failed --plain --no-legend; systemctl is-system-running; findmnt --noheadings --output PROPAGATION /'
  assert_equal "$output" "$(printf 'running\nshared')"
}

@test "services are confined by the properties that packages use" {
  local property
  for property in ProtectKernelTunables=yes ProtectKernelModules=yes ProtectKernelLogs=yes \
    ProtectControlGroups=yes ProtectProc=invisible ProcSubset=pid PrivateDevices=yes PrivateTmp=yes \
    PrivateUsers=yes PrivateNetwork=yes PrivateMounts=yes PrivateIPC=yes DynamicUser=yes ProtectHome=yes \
    ProtectSystem=strict ProtectClock=yes ProtectHostname=yes NoNewPrivileges=yes \
    SystemCallFilter=@system-service MemoryDenyWriteExecute=yes RestrictNamespaces=yes \
    RestrictAddressFamilies=AF_UNIX IPAddressDeny=any DeviceAllow=/dev/null LimitNOFILE=5000; do
    run service "$property" -- 'echo works'
    assert_equal "$output" works "with $property"
  done
}

@test "what those properties promise holds" {
  run service ProtectKernelTunables=yes -- 'echo 1 >/proc/sys/kernel/panic; echo 1 >/proc/sys/net/ipv4/ip_forward'
  assert_failed 'Read-only file system'
  run service ProtectSystem=strict -- 'touch /etc/x'
  assert_failed 'Read-only file system'
  run service PrivateDevices=yes -- 'ls /dev/fuse /dev/net/tun'
  assert_failed 'No such file'
  run service DynamicUser=yes ProtectProc=invisible -- 'ls -d /proc/1'
  assert_failed 'No such file'
  run service ProcSubset=pid -- 'cat /proc/meminfo'
  assert_failed 'No such file'
  run service PrivateUsers=yes -- 'cat /proc/self/uid_map'
  assert_matches "$output" '^ *0 +0 +1'
  run service PrivateNetwork=yes -- 'tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d " "'
  assert_equal "$output" lo
  run service TasksMax=5 -- 'for i in 1 2 3 4 5 6 7 8; do sleep 3 & done'
  assert_failed 'annot fork'
}

@test "a service in another root directory has its own proc, sys and dev" {
  run service RootDirectory=/srv/small MountAPIVFS=yes PrivateDevices=yes ProtectKernelTunables=yes \
    PrivateUsers=yes -- 'grep -c "^Mem" /proc/meminfo; ls -d /sys/class/net/lo; echo x >/dev/null && ls /bin/busybox'
  assert_ok
  assert_equal "${lines[*]}" "3 /sys/class/net/lo /bin/busybox"
}

@test "a service's limits are enforced and seen inside the service" {
  run service MemoryMax=50M MemoryLimit=50M -- 'head -c 200M /dev/zero | tail -c 190M | wc -c'
  [[ $output != 199229440 ]] || fail "190 MiB were kept in 50"
  run service MemoryMax=50M MemoryLimit=50M -- 'grep MemTotal /proc/meminfo'
  assert_equal "$(tr -s ' ' <<<"$output")" "MemTotal: 51200 kB"
}

@test "a service's share of the processors is the kernel's limit, and what the service counts" {
  run service CPUQuota=20% -- 'grep -c ^processor /proc/cpuinfo
    cd /sys/fs/cgroup; in_v1=$(sed -n "s/^[0-9]*:[^:]*\<cpu\>[^:]*:/cpu/p" /proc/self/cgroup)
    if [ -z "$in_v1" ]; then cut -d " " -f 1 ."$(sed -n "s/^0:://p" /proc/self/cgroup)/cpu.max"
    else cat "$in_v1/cpu.cfs_quota_us"; fi'
  assert_ok
  assert_equal "${lines[*]}" "1 20000"
  run service -- 'grep -c ^processor /proc/cpuinfo'
  assert_equal "$output" "$(nproc)"
}

@test "cgroups are delegated to a user's own systemd and to a service that asks for them" {
  is_v2 || skip "no cgroup v2 on this host, where alone cgroups can be delegated"
  in_machine 'loginctl enable-linger ann; systemctl start user@1000'
  run in_machine 'su - ann -c "XDG_RUNTIME_DIR=/run/user/1000 systemd-run --user --quiet --wait --pipe \
    --property MemoryMax=50M --property TasksMax=20 --property CPUQuota=20% sh -c \"
      cd /sys/fs/cgroup\\\$(cut -d : -f 3 /proc/self/cgroup); cat memory.max pids.max cpu.max
      grep MemTotal /proc/meminfo\""'
  assert_ok
  assert_equal "$(tr -s ' \n' ' ' <<<"$output")" "52428800 20 20000 100000 MemTotal: 51200 kB "
  run service User=ann Delegate=yes -- 'cd /sys/fs/cgroup$(cut -d : -f 3 /proc/self/cgroup) && mkdir rest limited &&
    echo 0 >rest/cgroup.procs && echo "+memory +pids" >cgroup.subtree_control && echo 32M >limited/memory.max &&
    echo 0 >limited/cgroup.procs && grep MemTotal /proc/meminfo; echo x 2>/dev/null >../cgroup.procs || echo refused'
  assert_equal "$(tr -s ' \n' ' ' <<<"$output")" "MemTotal: 32768 kB refused "
  in_machine 'loginctl disable-linger ann'
}

@test "a service has its credentials, its directories and mounts of its own, as a user of its own" {
  run service DynamicUser=yes StateDirectory=kept LoadCredential=file:/etc/passwd SetCredential=word:secret \
    TemporaryFileSystem=/srv BindReadOnlyPaths=/etc/hosts:/srv/hosts InaccessiblePaths=/opt PrivateUsers=yes -- \
    'exec 2>&1; cat $CREDENTIALS_DIRECTORY/word; echo; head -c 4 $CREDENTIALS_DIRECTORY/file; echo
    touch $STATE_DIRECTORY/file && ls $STATE_DIRECTORY /srv; cat /opt/* 2>/dev/null || ls -A /opt'
  assert_matches "$output" "^secret.root./srv:.hosts../var/lib/kept:.file"
  assert_contains "$output" 'Permission denied'
  run in_machine 'ls /var/lib/private/kept'
  assert_equal "$output" file
}

@test "machinectl knows a container of nspawn's, enters it and ends it" {
  in_machine 'mkdir -p /srv/small/usr; systemd-run --quiet --unit=small systemd-nspawn --quiet --machine=small --directory=/srv/small \
    --private-network sleep 1000'
  is_listed() { in_machine 'machinectl list --no-legend' | grep -q '^small *container'; }
  is_not_listed() { ! is_listed; }
  wait_for 30 is_listed
  run in_machine 'nsenter --all --target "$(machinectl show small --property Leader --value)" /bin/sh -c \
    "grep -c ^MemTotal /proc/meminfo; ls /sys/class/net"'
  assert_equal "${lines[*]}" "1 lo"
  in_machine 'machinectl terminate small'
  wait_for 30 is_not_listed
}

@test "portable services and extensions of the system are attached and detached" {
  run in_machine 'cp -a /srv/small /srv/portable; cd /srv/portable; mkdir -p usr/lib/systemd/system tmp var/tmp run
    printf "ID=portable\nVERSION_ID=1\n" >etc/os-release; touch etc/machine-id etc/resolv.conf
    printf "[Service]\nType=oneshot\nRemainAfterExit=yes\nRuntimeDirectory=portable\n%s\n" \
      "ExecStart=/bin/sh -c \"ls /bin/busybox >/run/portable/seen\"" >usr/lib/systemd/system/portable.service
    portablectl --quiet --runtime attach /srv/portable && systemctl start portable && cat /run/portable/seen
    systemctl stop portable; portablectl --quiet --runtime detach /srv/portable'
  assert_ok
  assert_equal "${lines[-1]}" /bin/busybox
  run in_machine '. /etc/os-release; cd /run; mkdir -p extensions/more/usr/{bin,lib/extension-release.d}; cd extensions/more/usr
    printf "%s\n" "ID=$ID" "VERSION_ID=$VERSION_ID" >lib/extension-release.d/extension-release.more
    printf "%s\n" "#!/bin/sh" "echo extended" >bin/extended; chmod +x bin/extended
    systemd-sysext merge 2>/dev/null && extended; systemd-sysext unmerge 2>/dev/null; test ! -e /usr/bin/extended'
  assert_ok
  assert_equal "$output" extended
}

@test "a user who lingers has a manager of her own, with services that are confined" {
  in_machine 'loginctl enable-linger ann'
  manager_is_up() { in_machine 'systemctl --user --machine ann@ is-system-running'; }
  wait_for 60 manager_is_up
  run in_machine 'systemd-run --user --machine ann@ --wait --pipe --quiet --property=PrivateTmp=yes \
    --property=ProtectSystem=strict --property=PrivateUsers=yes sh -c "id -un; findmnt --noheadings --output OPTIONS / | cut -d , -f 1"'
  assert_ok
  assert_equal "${lines[*]}" "ann ro"
  in_machine 'loginctl disable-linger ann'
}

@test "a login by ssh is a session, with a user's own systemd; cron runs" {
  in_machine 'echo "* * * * * root touch /run/cron-ran" >/etc/cron.d/test
    mkdir -p /root/.ssh /home/ann/.ssh; ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id
    cp /root/.ssh/id.pub /home/ann/.ssh/authorized_keys; chown -R ann: /home/ann/.ssh'
  local ssh='ssh -o StrictHostKeyChecking=no -o LogLevel=ERROR -i /root/.ssh/id ann@127.0.0.1'
  run in_machine "$ssh 'id -un; loginctl --no-legend list-sessions | wc -l
    systemd-run --user --wait --pipe --quiet echo of-her-own; systemctl --user is-system-running'"
  assert_ok
  assert_equal "${lines[*]}" "ann 1 of-her-own running"
  run in_machine "$ssh -tt tty </dev/null"
  assert_contains "$output" /dev/pts/
  in_machine 'scp -q -o StrictHostKeyChecking=no -o LogLevel=ERROR -i /root/.ssh/id /etc/hosts ann@127.0.0.1:copied
    cmp /etc/hosts /home/ann/copied'
  cron_ran() { in_machine 'test -e /run/cron-ran'; }
  wait_for 75 cron_ran
}

@test "the journal learns of a new name of the machine" {
  journal_says_renamed() {
    in_machine 'logger --tag renaming now; journalctl --sync
      journalctl --identifier renaming --output json' | grep -q '"_HOSTNAME":"renamed"'
  }
  local before
  before=$(in_machine hostname)
  in_machine 'hostname renamed'
  wait_for 20 journal_says_renamed
  in_machine "hostname $before"
}

@test "strace and gdb look into processes, as root and as the user whose they are" {
  run in_machine 'strace -qq -e trace=execve true 2>&1 | grep -c execve
    sleep 100 & sleep 0.2; gdb --batch -p $! -ex "info inferiors" 2>&1 | grep -q "process $!" && echo attached
    timeout 2 strace -p $! 2>&1 | grep -c attached; kill $!
    su - ann -c "strace -qq -f -e trace=openat true 2>&1 | grep -c libc.so; gdb --batch -ex run /bin/true 2>&1 | grep -c normally"'
  assert_equal "${lines[*]}" "1 attached 1 1 1"
}

@test "debootstrap and mmdebstrap make systems" {
  run in_machine 'debootstrap --no-check-gpg --variant=minbase bookworm /srv/deb file:///archive 2>&1 | tail -n 1
    chroot /srv/deb sh -c "mount -t proc proc /proc && grep -c ^MemTotal /proc/meminfo && umount /proc
      dpkg --audit; echo x >/dev/null && dpkg-query --show | wc -l"'
  assert_ok
  assert_equal "${lines[0]}" "I: Base system installed successfully."
  assert_equal "${lines[1]}" 1
  assert_between "${lines[2]}" 60 200 "packages"
  run in_machine 'mmdebstrap --quiet --variant=essential --dpkgopt=force-unsafe-io \
      --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr bookworm /srv/mm \
      "deb [trusted=yes] copy:/archive bookworm main" && chroot /srv/mm dpkg --audit && ls -l /srv/mm/dev/null'
  assert_ok
  assert_matches "${lines[-1]}" '^crw-rw-rw-.* 1, +3'
}

@test "packages are installed and removed, with services that start and stop" {
  # What dpkg does to a service: its package's files and scripts, configured again.
  run in_machine 'set -e; export DEBIAN_FRONTEND=noninteractive
    dpkg-reconfigure cron openssh-server 2>&1; systemctl is-active cron ssh
    dpkg --purge fuse-overlayfs socat; test ! -e /usr/bin/socat
    dpkg --audit'
  assert_ok
  assert_contains "$output" "$(printf 'active\nactive')"
}

@test "the system is upgraded by apt-get" {
  # A newer version of what every system has, as the archive would bring it.
  run in_machine 'set -e; export DEBIAN_FRONTEND=noninteractive
    mkdir -p /srv/newer && cd /srv/newer
    for package in base-files bash coreutils dpkg libc-bin libc6 login mount passwd util-linux; do
      dpkg-deb --raw-extract /archive/pool/${package}_*.deb tree
      sed -i "s/^Version: .*/&+newer1/" tree/DEBIAN/control
      dpkg-deb -Znone --build tree $package.deb && rm -r tree
      { dpkg-deb --field $package.deb
        printf "%s\\n" "Filename: ./$package.deb" "Size: $(stat -c %s $package.deb)" \
          "SHA256: $(sha256sum <$package.deb | cut -d " " -f 1)" ""; } >>Packages
    done
    echo "deb [trusted=yes] file:/srv/newer ./" >/etc/apt/sources.list
    apt-get update
    systemctl reset-failed
    apt-get -y upgrade
    dpkg-query --show --showformat "\${Version}\n" | grep -c +newer1
    dpkg --audit; systemctl --failed --plain --no-legend; su - ann -c "id -un"'
  assert_ok
  assert_equal "${lines[*]: -2}" "10 ann"
}

@test "systemctl reboot and poweroff end the container, which starts again" {
  need_machine short
  docker exec short systemctl reboot || :
  is_ended() { ! is_running short; }
  wait_for 60 is_ended
  docker start short
  wait_for 90 systemd_is_up short
  docker exec short systemctl poweroff || :
  wait_for 60 is_ended
  docker rm --force short
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  suite_left_nothing
}
