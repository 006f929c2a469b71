# Attacks on the runtime itself, each as it was once published against another one: it is mounted,
# and seen to fail. What they wanted stays as it was.
# shellcheck shell=bash disable=SC2016 # expressions for the shell inside

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((180 * SLOWER))
  suite_start security
  daemons_start
}
teardown_file() { suite_stop; }

setup() {
  place=$SUITE_DIR/place-$BATS_TEST_NUMBER
  mkdir -p "$place"
}
teardown() {
  local id
  [[ -z ${racer:-} ]] || kill "$racer" 2>/dev/null || :
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
}

run_bundle() { # NAME [OPTION...]
  timeout $((60 * SLOWER)) "$SYSBOX_RUNC" --root "$SUITE_DIR/root" --manager-socket "$SYSBOX_MGR_SOCKET" \
    --emulator-socket "$SYSBOX_FS_SOCKET" run --bundle "$SUITE_DIR/bundles/$1" "${@:2}" "$1" </dev/null 3>&- 4>&-
}
# Exchanges two names in a directory, as fast as it goes, until it is killed. Sets $racer.
exchange() { # DIRECTORY ONE OTHER
  # renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE), by the numbers of x86-64 and arm64.
  perl -e '
my ($directory, $one, $other) = @ARGV;
my $renameat2 = `uname -m` =~ /^aarch64/ ? 276 : 316;
chdir($directory) or die;
1 while syscall($renameat2, -100, $one, -100, $other, 2) == 0;
' "$@" 3>&- 4>&- &
  racer=$!
}
# Mounts of the host that have to do with us: of our files, or on our places.
host_mounts() { awk '{ print $4, $5, $10 }' /proc/self/mountinfo | grep -F "$SUITE" | sort || :; }

@test "the runtime's own binary: a program that is /proc/self/exe, and every process that can be seen (CVE-2019-5736)" {
  local before dir n
  before=$(sha256sum <"$SYSBOX_RUNC")
  # A copy that the container could write to, were it not for the ids: modes do not protect it.
  cp "$SYSBOX_RUNC" "$place/sysbox-runc"
  chmod 755 "$place/sysbox-runc"
  dir=$(bundle victim . sh -c '
    until [ -e /over ]; do
      for p in /proc/[0-9]*; do
        case $(readlink $p/exe 2>/dev/null) in
          *sysbox-runc*) echo seen; exec 9<$p/exe; echo evil >>/proc/self/fd/9; echo evil >$p/exe ;;
        esac
      done
    done 2>/dev/null; echo over; sleep 1000')
  ln -s /proc/self/exe "$dir/rootfs/bin/self"
  attacked() {
    SYSBOX_E2E_OF=$SUITE timeout $((60 * SLOWER)) "$place/sysbox-runc" --root "$SUITE_DIR/root" "$@" 3>&- 4>&-
  }
  attacked run --detach --bundle "$dir" victim >"$place/log" 2>&1 </dev/null
  for n in {1..10}; do
    attacked exec victim true </dev/null
    # The program is the runtime itself: it runs as the container's, or not at all.
    attacked exec victim /bin/self </dev/null >"$place/self.$n" 2>&1 || :
    attacked exec victim /proc/self/exe --version </dev/null >>"$place/self.$n" 2>&1 || :
  done
  # It ends by itself: a kernel that is killed while it copies a process may not survive that, as user-mode
  # Linux 6.12 does not.
  attacked exec victim touch /over </dev/null
  wait_for 30 grep -q over "$place/log"
  cmp "$SYSBOX_RUNC" "$place/sysbox-runc"
  assert_equal "$(sha256sum <"$SYSBOX_RUNC")" "$before" "the runtime's checksum"
  [[ $(cat "$place/log") != *seen* ]] || fail "the container sees the runtime's binary:" "$(cat "$place/log")"
}

@test "a container that is created but not started shows nothing of the runtime" {
  local dir
  dir=$(bundle waiting . sleep 1000)
  runc create --bundle "$dir" waiting >/dev/null 2>&1 </dev/null
  run inside waiting sh -c 'cat /proc/1/exe | wc -c; ls -l /proc/1/fd /proc/1/cwd /proc/1/root; cat /proc/1/environ /proc/1/maps
    echo x >/proc/1/mem; echo finished'
  assert_contains "$output" finished
  assert_contains "$output" "/proc/1/exe': Permission denied"
  [[ $output != *"$SUITE"* && $output != *" -> "* ]] || fail "host paths are seen:" "$output"
}

@test "leaked descriptors: init and exec have three, whatever the caller had open (CVE-2024-21626)" {
  exec 7</ 8<"$SUITE_DIR" 9</etc/shadow
  run run_once . sh -c 'ls -l /proc/self/fd | grep -v "/proc/[0-9]*/fd$"; ls /proc/1/fd'
  start_idle held
  local exec_output
  exec_output=$(inside held sh -c 'ls -l /proc/self/fd | grep -v "/proc/[0-9]*/fd$"')
  exec 7<&- 8<&- 9<&-
  assert_ok
  # The shell is its own process 1 here.
  assert_equal "$(grep -c -- ' -> ' <<<"$output")" 3 "number of descriptors of run: $output"
  assert_equal "$(grep -c -- ' -> ' <<<"$exec_output")" 3 "number of descriptors of exec: $exec_output"
}

@test "a working directory that is a descriptor, by name or by a link of the image (CVE-2024-21626)" {
  local dir n
  start_idle started
  exec 7</ 8<"$SUITE_DIR"
  for n in 3 4 5 6 7 8 9 10 11; do
    dir=$(bundle leaky ".process.cwd = \"/proc/self/fd/$n\"" sh -c 'pwd; ls ../../../..; cat ../../../../etc/shadow')
    run run_bundle leaky
    assert_failed process.cwd
    dir=$(bundle leaky '.process.cwd = "/work/x"' sh -c 'pwd; ls ../../../..; cat ../../../../etc/shadow')
    ln -s "/proc/self/fd/$n" "$dir/rootfs/work"
    run run_bundle leaky
    assert_failed process.cwd
    run runc exec --cwd "/proc/self/fd/$n" started ls </dev/null
    assert_failed process.cwd
  done
  exec 7<&- 8<&-
}

@test "a mount target whose parent is exchanged for a link meanwhile (CVE-2021-30465, CVE-2024-45310)" {
  local before n inside_ok=0
  mkdir -p "$place"/{volume/a/b,outside,data}
  echo data >"$place/data/file"
  ln -s "$place/outside" "$place/volume/link"
  chmod -R 777 "$place"
  before=$(host_mounts)
  exchange "$place/volume" a link
  for n in {1..25}; do
    run run_once ".mounts += [{destination: \"/v\", type: \"bind\", source: \"$place/volume\", options: [\"rbind\"]},
        {destination: \"/v/a/b/c$n\", type: \"bind\", source: \"$place/data\", options: [\"rbind\"]},
        {destination: \"/v/a/b/t$n\", type: \"tmpfs\", source: \"tmpfs\", options: []},
        {destination: \"/v/a/f$n\", type: \"bind\", source: \"$place/data/file\", options: [\"bind\", \"ro\"]}]" \
      sh -c 'grep -c " /v/\| '"$place"'" /proc/self/mountinfo'
    [[ $status != 0 ]] || inside_ok=$((inside_ok + 1))
    [[ -z $(ls "$place/outside") ]] || fail "made on the host: $(ls "$place/outside")"
    assert_equal "$(host_mounts)" "$before" "the host's mounts"
  done
  kill "$racer"
  ((inside_ok > 0)) || fail "no container was started at all:" "$output"
}

@test "masked paths: the image's own /dev/null and a path exchanged for a link meanwhile (CVE-2025-31133)" {
  local dir n
  dir=$(bundle masks '.linux.maskedPaths = ["/secret", "/swapped/secret"]' sh -c '
    stat -c "%F %t:%T" /secret; cat /secret; cat /etc/target; echo >/dev/null; ls -l /dev/null')
  rm -rf "$dir/rootfs/dev"
  mkdir -p "$dir"/rootfs/{dev,etc,swapped,other}
  ln -s /etc/target "$dir/rootfs/dev/null"
  echo target-text >"$dir/rootfs/etc/target"
  echo secret-text | tee "$dir"/rootfs/{secret,swapped/secret} >/dev/null
  ln -s /etc "$dir/rootfs/link"
  exchange "$dir/rootfs" swapped link
  for n in {1..15}; do
    run run_bundle masks
    assert_ok
    [[ $output != *secret-text* ]] || fail "seen: $output"
    assert_contains "$output" "character special file 1:3"
    assert_contains "$output" target-text
  done
  kill "$racer"
  assert_equal "$(cat "$dir/rootfs/etc/target")" target-text
}

@test "/dev/console and /dev/pts of the image lead elsewhere (CVE-2025-52565)" {
  local dir
  dir=$(bundle console '.process.terminal = true' sh -c '
    stat -L -c "console %F" /dev/console; cat /etc/target; for l in console pts ptmx; do readlink /dev/$l; done; tty
    grep " /etc/target \| /proc/sysrq" /proc/self/mountinfo')
  rm -rf "$dir/rootfs/dev"
  mkdir -p "$dir"/rootfs/{dev,etc}
  ln -s /etc/target "$dir/rootfs/dev/console"
  ln -s /proc/sysrq-trigger "$dir/rootfs/dev/ptmx"
  ln -s /etc "$dir/rootfs/dev/pts"
  echo target-text >"$dir/rootfs/etc/target"
  SYSBOX_E2E_OF=$SUITE run timeout $((30 * SLOWER)) script --quiet --return --command \
    "$SYSBOX_RUNC --root $SUITE_DIR/root run --bundle $dir console" /dev/null </dev/null 3>&- 4>&-
  assert_contains "$output" "console character special file"
  assert_contains "$output" target-text
  assert_contains "$output" pts/ptmx
  assert_contains "$output" /dev/pts/0
  [[ $output != *" /etc/target "* && $output != *sysrq* ]] || fail "redirected:" "$output"
}

@test "/dev, /proc and /sys of the image are links to the host's places, or to others of its own (CVE-2019-19921, CVE-2023-27561)" {
  local dir what before
  before=$(host_mounts)
  for what in proc sys; do
    dir=$(bundle "link-$what" . true)
    rm -rf "$dir/rootfs/$what"
    ln -s "../../../../..$place" "$dir/rootfs/$what"
    run run_bundle "link-$what"
    assert_failed "must be mounted on ordinary directory"
  done
  dir=$(bundle link-dev . sh -c 'ls /inner-dev; stat -c %F /dev/null')
  rm -rf "$dir/rootfs/dev"
  ln -s /inner-dev "$dir/rootfs/dev"
  run run_bundle link-dev
  assert_ok
  assert_contains "$output" "character special file"
  [[ -z $(ls "$place") ]] || fail "made on the host: $(ls "$place")"
  assert_equal "$(host_mounts)" "$before" "the host's mounts"
}

@test "writes to /proc meant for one file and led to another (CVE-2019-16884, CVE-2025-52881)" {
  local kind dir
  echo x >"$place/file"
  mkdir "$place/dir"
  for kind in "/proc/sys:$place/dir" "/proc/self/attr:$place/dir" "/proc/self/oom_score_adj:$place/file" \
    "/proc/sys/kernel/shmmax:$place/file" "/proc/thread-self/fd:$place/dir"; do
    run run_once ".linux.sysctl = {\"kernel.shmmax\": \"12345678\"} | .process.oomScoreAdj = 100 | .mounts += [
      {destination: \"${kind%%:*}\", type: \"bind\", source: \"${kind#*:}\", options: [\"bind\"]}]" true
    assert_failed "inside /proc"
  done
  # A procfs that is none: a tmpfs or a directory of the host's at /proc gives way to the real one.
  run run_once ".linux.sysctl = {\"kernel.shmmax\": \"12345678\"}
    | .mounts |= map(if .destination == \"/proc\" then {destination: \"/proc\", type: \"bind\", source: \"$place/dir\", options: [\"bind\"]} else . end)" \
    sh -c 'stat -f -c %T /proc/version; cat /proc/sys/kernel/shmmax'
  assert_ok
  assert_contains "$output" 12345678
  assert_equal "$(cat "$place/file")" x
  [[ -z $(ls "$place/dir") ]]
}

@test "capabilities: nothing is inheritable or ambient by default, in init and exec (CVE-2022-29162)" {
  local set
  start_idle capable
  for set in CapInh CapAmb; do
    assert_equal "$(inside capable awk "/$set/ { print \$2 }" /proc/1/status)" 0000000000000000 "$set of init"
    assert_equal "$(inside capable awk "/$set/ { print \$2 }" /proc/self/status)" 0000000000000000 "$set of exec"
  done
}

@test "the cgroup that is shown is the container's own, and its limits hold whatever is written inside (CVE-2023-25809)" {
  local dir file seen=0
  start_idle limited '.linux.resources = {memory: {limit: 67108864}, pids: {limit: 50}}'
  run inside limited sh -c '
    grep -v ":/$" /proc/self/cgroup | grep -v ":/init.scope$"
    find /sys/fs/cgroup -name memory.limit_in_bytes -o -name memory.max -o -name pids.max | while read f; do
      echo max >$f; echo 99999999999 >$f; echo -1 >$f
    done 2>/dev/null
    find /sys/fs/cgroup -name "'"$SUITE"'*"
    find /sys/fs/cgroup -name release_agent -exec sh -c "echo /evil >{}" \; 2>/dev/null; echo finished'
  assert_equal "$output" finished
  while read -r dir; do
    for file in memory.limit_in_bytes:67108864 memory.max:67108864 pids.max:50; do
      [[ -e $dir/${file%:*} ]] || continue
      seen=$((seen + 1))
      assert_equal "$(cat "$dir/${file%:*}")" "${file#*:}" "$dir/${file%:*}"
    done
  done < <(find /sys/fs/cgroup -type d -path "*/$SUITE/limited" -prune)
  assert_equal "$seen" 2 "number of limits on the host"
}

@test "messages of the runtime's own: more mounts than one can hold, names longer than the kernel's (CVE-2021-43784)" {
  run run_once '.mounts += [range(400) | {destination: "/m\(.)", type: "bind", source: "/etc/hostname", options: ["bind"]}]' true
  [[ $status = 0 ]] || assert_contains "$output" "too many"
  run run_once '.hostname = ("h" * 65)' true
  assert_failed hostname
  run run_once '.process.args = ["sh", "-c", "echo ${#BIG}"] | .process.env += ["BIG=" + ("x" * 100000)]' sh
  assert_ok
  assert_equal "$output" 100000
  run run_once '.process.env += [range(20000) | "V\(.)=1"]' sh -c 'env | grep -c ^V'
  assert_ok
  assert_equal "$output" 20000
  run run_once '.linux.uidMappings = [range(400) | {containerID: ., hostID: (. + 1000000), size: 1}]' true
  assert_failed linux.uidMappings
}

@test "devices: a disk's node of the image, one on a volume, and one made by another name are no use" {
  local dir
  mkdir "$place/volume"
  dir=$(bundle disks ".mounts += [{destination: \"/volume\", type: \"bind\", source: \"$place/volume\", options: [\"rbind\", \"rw\"]}]" sh -c '
    for node in /disk /volume/disk /mem /volume/mem; do head -c 1 $node; echo "$node: $?"; done
    mknod /made b 7 0; mknod /volume/made c 1 1; mkdir /dev/sub; mknod /dev/sub/made b 7 0; echo finished')
  for where in "$dir/rootfs" "$place/volume"; do
    mknod -m 666 "$where/disk" b 7 0
    mknod -m 666 "$where/mem" c 1 1
  done
  run run_bundle disks
  assert_ok
  assert_equal "$(grep -c "head: .*Operation not permitted" <<<"$output")" 4 "nodes that cannot be opened: $output"
  assert_equal "$(grep -c 'mknod: .*Operation not permitted' <<<"$output")" 3 "nodes that cannot be made: $output"
  assert_contains "$output" finished
}

@test "devices: the host's console by its number, which engines allow, is not to be opened" {
  run run_once '.linux.resources.devices = [{allow: false, access: "rwm"},
    {allow: true, type: "c", major: 5, minor: 0, access: "rwm"}, {allow: true, type: "c", major: 5, minor: 1, access: "rwm"}]' \
    sh -c 'mknod /console c 5 1 && echo made; echo evil >/console; cat /console'
  assert_contains "$output" made
  assert_equal "$(grep -c '/console.*Operation not permitted' <<<"$output")" 2 "refusals: $output"
}

@test "another container: its processes are not seen, not signalled, not read, not entered" {
  local victim
  start_idle victim
  start_idle attacker
  victim=$(container_pid victim)
  run inside attacker sh -c "
    kill -9 $victim; kill -9 -1; ls /proc | grep -c '^[0-9]'; cat /proc/$victim/environ; ls /proc/$victim/root
    nsenter -t $victim -m true; for p in \$(seq 1 400); do [ \$p = \$\$ ] || readlink /proc/\$p/root; done; echo finished"
  assert_contains "$output" finished
  [[ $output != *"$SUITE"* ]] || fail "seen: $output"
  is_status victim running || fail "the other container is $(container_status victim)"
  inside victim true
}

@test "mount propagation: what is shared and mounted inside does not come to light outside" {
  local before
  mkdir "$place/volume"
  before=$(host_mounts)
  run run_once ".mounts += [{destination: \"/volume\", type: \"bind\", source: \"$place/volume\", options: [\"rbind\", \"rw\"]}]" sh -ec '
    mount --make-rshared /; mkdir /a /volume/a
    mount -t tmpfs inside /a; mount -t tmpfs inside /volume/a; mount --rbind /a /volume/a; mount -t proc inside /a
    grep -c " - tmpfs inside " /proc/self/mountinfo; sleep 0.2'
  assert_ok
  assert_equal "${lines[0]}" 3 "mounts inside"
  assert_equal "$(host_mounts)" "$before" "the host's mounts"
  [[ $(cat /proc/self/mountinfo) != *"tmpfs inside"* ]] || fail "it is mounted on the host"
}

@test "a remount that names another file system opens nothing that was read-only" {
  mkdir "$place/volume"
  echo text >"$place/volume/file"
  run run_once ".mounts += [{destination: \"/volume\", type: \"bind\", source: \"$place/volume\", options: [\"rbind\", \"ro\"]}]" sh -c '
    for type in proc sysfs tmpfs overlay cgroup2; do
      for options in remount,rw remount,bind,rw; do
        mount -t $type -o $options $type /volume; echo evil >/volume/file
        mount -t $type -o $options $type /proc/uptime; umount -l /proc/uptime
      done
    done 2>/dev/null
    cat /volume/file; grep -c " /proc/uptime " /proc/self/mountinfo'
  assert_ok
  assert_equal "$output" "$(printf '%s\n' text 1)"
}

@test "nothing is left behind, and no setting of the host has changed" {
  suite_left_nothing
}
