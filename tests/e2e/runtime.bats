# The runtime by its own command line, as an engine calls it: the life of a container, each way in
# which it can fail, and that nothing stays behind.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start runtime
  daemons_start
}
teardown_file() { suite_stop; }

# After each test its containers are gone; what is then left is a leak of that test.
teardown() {
  local id
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
}

cgroups_of() { find /sys/fs/cgroup -type d -path "*/$SUITE/$1" -prune; }
nothing_left_of() { # ID
  local left
  left=$(
    cgroups_of "$1"
    ls -d "$SUITE_DIR/root/$1" 2>/dev/null
    grep -F "$SUITE_DIR/bundles/$1/" /proc/self/mountinfo
    grep -F "$SUITE_DIR/run" /proc/self/mountinfo | grep -F "/$1"
  ) || :
  [[ -z $left ]] || fail "left of container $1:" "$left"
}

@test "lifecycle: run gives output and exit code, and leaves nothing" {
  run run_once . sh -c 'echo to-stdout; echo to-stderr >&2; exit 42'
  assert_equal "$status" 42
  assert_contains "$output" to-stdout
  assert_contains "$output" to-stderr
  [[ -z $(runc list --quiet) ]]
}

@test "lifecycle: create, state, start, list, kill, state, delete" {
  local dir
  dir=$(bundle whole . sh -c 'trap "exit 0" TERM; while :; do sleep 5000 & wait; done')
  runc create --bundle "$dir" --pid-file "$SUITE_DIR/pid" whole >"$SUITE_DIR/log/whole" 2>&1 </dev/null
  assert_equal "$(container_status whole)" created
  assert_equal "$(container_pid whole)" "$(cat "$SUITE_DIR/pid")"
  assert_equal "$(runc state whole | jq -r .bundle)" "$dir"
  assert_equal "$(runc state whole | jq -r .id)" whole
  run runc start whole
  assert_ok
  assert_equal "$(container_status whole)" running
  assert_equal "$(runc list --format json | jq -r '.[] | select(.id == "whole") | .status')" running
  run runc start whole
  assert_failed
  run runc delete whole
  assert_failed
  wait_for 10 catches_term whole
  runc kill whole TERM
  wait_for 10 is_status whole stopped
  run runc kill whole TERM
  assert_failed
  runc delete whole
  run runc state whole
  assert_failed "does not exist"
  nothing_left_of whole
}

@test "lifecycle: delete --force ends a running container, and is fine with one that is gone" {
  start_idle forced
  runc delete --force forced
  nothing_left_of forced
  run runc delete --force forced
  assert_ok
}

@test "lifecycle: a container that was created but never started can be deleted" {
  local dir
  dir=$(bundle unborn . true)
  runc create --bundle "$dir" unborn >/dev/null 2>&1 </dev/null
  runc delete --force unborn
  nothing_left_of unborn
}

@test "kill: signals by number, name, and short name; --all reaches every process" {
  local signal
  for signal in 9 KILL SIGKILL; do
    start_idle killed
    runc kill killed "$signal"
    wait_for 10 is_status killed stopped
    runc delete killed
  done
  start_idle killed
  run runc kill killed NONSENSE
  assert_failed NONSENSE
  runc kill --all killed KILL
  wait_for 10 is_status killed stopped
  runc delete killed
}

@test "exec: output, exit code, user, directory, environment, and of a whole process from a file" {
  start_idle host
  run inside host sh -c 'echo said; exit 9'
  assert_equal "$status" 9
  assert_equal "$output" said
  run runc exec --user 65534:65534 --cwd /tmp --env COLOUR=blue host \
    sh -c 'id -u; id -g; pwd; echo $COLOUR' </dev/null
  assert_equal "$output" "$(printf '65534\n65534\n/tmp\nblue')"
  jq '.process | .args = ["sh", "-c", "echo from-file; exit 4"]' \
    "$SUITE_DIR/bundles/host/config.json" >"$SUITE_DIR/process.json"
  run runc exec --process "$SUITE_DIR/process.json" host </dev/null
  assert_equal "$status" 4
  assert_equal "$output" from-file
}

@test "exec: joins the container: its root, ids, processes and limits" {
  start_idle joined '.linux.resources.pids.limit = 30'
  assert_equal "$(inside joined cat /proc/self/uid_map)" \
    "$(cat "/proc/$(container_pid joined)/uid_map")" "uid_map"
  local namespace
  for namespace in cgroup ipc mnt net pid user uts; do
    assert_equal "$(inside joined readlink "/proc/self/ns/$namespace")" \
      "$(inside joined readlink "/proc/1/ns/$namespace")" "$namespace namespace"
  done
  run inside joined sh -c 'for i in $(seq 60); do sleep 2 & done'
  assert_failed "can't fork"
}

@test "exec: --detach, --pid-file, --preserve-fds, and a container that is not there" {
  start_idle apart
  runc exec --detach --pid-file "$SUITE_DIR/exec.pid" apart sleep 77 </dev/null >/dev/null 2>&1
  assert_contains "$(tr '\0' ' ' <"/proc/$(cat "$SUITE_DIR/exec.pid")/cmdline")" "sleep 77"
  echo through-fd-3 >"$SUITE_DIR/passed"
  run bash -c '"$@" </dev/null 3<"$0"' "$SUITE_DIR/passed" "$SYSBOX_RUNC" --root "$SUITE_DIR/root" \
    exec --preserve-fds 1 apart cat /proc/self/fd/3
  assert_equal "$output" through-fd-3
  run inside nobody true
  assert_failed "does not exist"
}

@test "exec: of a program that is not there: 127 or 255, and a message that names it" {
  start_idle plain
  run inside plain /no/such/program
  assert_failed /no/such/program
  run run_once . /no/such/program
  assert_failed /no/such/program
  [[ $(runc list --quiet) = plain ]]
}

@test "pause holds every process, resume lets it go on" {
  start_idle held
  runc pause held
  assert_equal "$(container_status held)" paused
  runc resume held
  assert_equal "$(container_status held)" running
  assert_equal "$(inside held echo alive)" alive
}

@test "root inside is nobody outside: one exclusive range, all capabilities inside" {
  start_idle first
  start_idle second
  local first second
  first=$(awk '{ print $2 }' "/proc/$(container_pid first)/uid_map")
  second=$(awk '{ print $2 }' "/proc/$(container_pid second)/uid_map")
  assert_equal "$(awk '{ print $3 }' "/proc/$(container_pid first)/uid_map")" 65536
  ((first >= second + 65536 || second >= first + 65536)) || fail "ranges at $first and $second"
  assert_equal "$(stat -c %u "/proc/$(container_pid first)")" "$first"
  assert_equal "$(inside first sed -n 's/^CapEff:\t//p' /proc/self/status)" \
    "$(inside first sed -n 's/^CapBnd:\t//p' /proc/self/status)" capabilities
  run inside first sh -c 'cat /proc/self/uid_map; mkdir /m && mount -t tmpfs t /m && touch /m/x && umount /m'
  assert_ok
}

@test "every namespace is its own" {
  start_idle alone
  local namespace pid
  pid=$(container_pid alone)
  for namespace in cgroup ipc mnt net pid user uts; do
    [[ $(readlink "/proc/$pid/ns/$namespace") != "$(readlink "/proc/self/ns/$namespace")" ]] ||
      fail "shares the host's $namespace namespace"
  done
}

@test "files keep their owners on disk: nothing is chowned" {
  run run_once . sh -c 'touch /made; chown 7:8 /made; stat -c %u:%g /bin/busybox'
  assert_ok
  assert_equal "$output" 0:0
  local made
  made=$(find "$SUITE_DIR/bundles" -name made)
  assert_equal "$(stat -c %u:%g "$made")" 7:8
}

@test "the cgroup inside is writable and holds the limits" {
  run run_once '.linux.resources = {memory: {limit: 67108864}, pids: {limit: 50},
      cpu: {quota: 50000, period: 100000}}' sh -c '
    cd /sys/fs/cgroup
    cat memory/memory.limit_in_bytes memory.max pids/pids.max pids.max 2>/dev/null
    mkdir memory/inner inner 2>/dev/null; ls -d memory/inner inner 2>/dev/null'
  assert_contains "$output" 67108864
  assert_contains "$output" 50
  assert_contains "$output" inner
}

@test "rlimits, environment, hostname, working directory and user of the spec have their effect" {
  run run_once '.hostname = "named" | .process.cwd = "/tmp" | .process.env += ["COLOUR=blue"]
      | .process.user = {uid: 1000, gid: 1001}
      | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}]' \
    sh -c 'hostname; pwd; echo $COLOUR; id -u; id -g; ulimit -n; ulimit -H -n'
  assert_ok
  assert_equal "$output" "$(printf 'named\n/tmp\nblue\n1000\n1001\n100\n200')"
}

@test "a limit of file locks, which limits nothing, is no sign of Landlock" {
  run run_once '.process.rlimits = [{type: "RLIMIT_LOCKS", soft: 50, hard: 100}]' \
    sh -c 'grep "^Max file locks" /proc/self/limits; mkdir /p; mount -t proc p /p && ls -d /p/1'
  assert_ok
  assert_matches "${lines[0]}" '50 +unlimited'
  assert_equal "${lines[1]}" /p/1
}

@test "binds: read-write reaches the host, read-only holds, masked and read-only paths of the spec" {
  mkdir "$SUITE_DIR/shared"
  run run_once ".mounts += [
      {destination: \"/rw\", type: \"bind\", source: \"$SUITE_DIR/shared\", options: [\"rbind\"]},
      {destination: \"/ro\", type: \"bind\", source: \"$SUITE_DIR/shared\", options: [\"rbind\", \"ro\"]}]" \
    sh -c 'echo content >/rw/file; cat /ro/file; echo no >/ro/file; mount -o remount,bind,rw /ro; umount /ro
      echo no >/ro/file; cat /rw/file'
  assert_contains "$output" "Read-only file system"
  assert_equal "$(cat "$SUITE_DIR/shared/file")" content
  assert_equal "$(stat -c %u "$SUITE_DIR/shared/file")" 0
}

@test "a terminal by --console-socket and by --tty" {
  local dir
  dir=$(bundle terminal '.process.terminal = true' sh -c 'tty; test -t 1 && echo is-a-tty')
  SYSBOX_E2E_OF=$SUITE run timeout 30 script --quiet --return --command \
    "$SYSBOX_RUNC --root $SUITE_DIR/root run --bundle $dir terminal" /dev/null </dev/null 3>&- 4>&-
  assert_ok
  assert_contains "$output" is-a-tty
}

# ---- wrong input: one clear line, an exit code, nothing left

@test "a wrong flag or command is named" {
  run runc --no-such-flag list
  assert_failed no-such-flag
  run runc create --no-such-flag x
  assert_failed no-such-flag
  run runc no-such-command
  assert_failed no-such-command
  run runc create
  assert_failed
}

@test "a bundle that is missing, or has no config.json, is named" {
  run create --bundle /no/such/bundle lost
  assert_failed /no/such/bundle
  mkdir -p "$SUITE_DIR/bundles/empty"
  run create --bundle "$SUITE_DIR/bundles/empty" lost
  assert_failed config.json
  nothing_left_of lost
}

@test "JSON that is broken or of a wrong type: the message names the JSON path" {
  local dir
  dir=$(bundle wrong)
  cp "$dir/config.json" "$SUITE_DIR/right.json"
  refused() { # JQ_FILTER PATH
    jq "$1" "$SUITE_DIR/right.json" >"$dir/config.json"
    run create --bundle "$dir" wrong
    assert_failed "$2"
    nothing_left_of wrong
  }
  refused '.process.cwd = 5' process.cwd
  refused '.process.args = "sh"' process.args
  refused '.process.args = []' process.args
  refused '.process.user.uid = "root"' process.user.uid
  refused '.process.user.uid = -1' process.user.uid
  refused '.linux.resources.memory.limit = "a lot"' linux.resources.memory.limit
  refused '.mounts = [{"destination": 1}]' 'mounts[0].destination'
  refused 'del(.root)' root
  refused '.ociVersion = 7' ociVersion
  head -c 100 "$SUITE_DIR/right.json" >"$dir/config.json"
  run create --bundle "$dir" wrong
  assert_failed config.json
  nothing_left_of wrong
}

@test "an id that is in use or cannot be a name is refused" {
  start_idle taken
  run create --bundle "$SUITE_DIR/bundles/taken" taken
  assert_failed "already exists"
  assert_equal "$(container_status taken)" running
  local id
  for id in ../escape a/b '' 'a b'; do
    run create --bundle "$SUITE_DIR/bundles/taken" "$id"
    assert_failed
  done
  [[ ! -e $SUITE_DIR/escape ]]
}

@test "an error is also in the log, as JSON where asked" {
  run runc --log "$SUITE_DIR/runtime.log" --log-format json create --bundle /no/such/bundle lost </dev/null
  assert_failed
  assert_equal "$(tail -n 1 "$SUITE_DIR/runtime.log" | jq -r .level)" error
  assert_contains "$(tail -n 1 "$SUITE_DIR/runtime.log" | jq -r .msg)" /no/such/bundle
}

@test "a root file system that is not there, or a mount that cannot be made, leaves nothing" {
  local dir
  dir=$(bundle broken '.root.path = "no-such-directory"' true)
  run runc run --bundle "$dir" broken </dev/null
  assert_failed no-such-directory
  nothing_left_of broken
  dir=$(bundle broken '.mounts += [{destination: "/x", type: "bind", source: "/no/such/source", options: ["bind"]}]' true)
  run runc run --bundle "$dir" broken </dev/null
  assert_failed /no/such/source
  nothing_left_of broken
}

# ---- bad times

@test "with a daemon down, create says which one, in less than a second, and leaves nothing" {
  local dir before took name
  dir=$(bundle orphan . true)
  for name in mgr fs; do
    daemon_stop "$name"
    before=${EPOCHREALTIME/./}
    run create --bundle "$dir" orphan
    took=$((${EPOCHREALTIME/./} - before))
    "${name}_start"
    assert_failed "sysbox-$name"
    ((took < 1000000 * SLOWER)) || fail "took $took us"
    nothing_left_of orphan
  done
  run run_once . true
  assert_ok
}

@test "two creates at once with the same id: one wins, the other is refused" {
  local dir codes=() pids=() pid code
  dir=$(bundle raced . sleep 1000)
  for _ in 1 2 3 4; do
    runc create --bundle "$dir" raced >/dev/null 2>&1 </dev/null &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    code=0
    wait "$pid" || code=$?
    codes+=("$code")
  done
  assert_equal "$(printf '%s\n' "${codes[@]}" | grep -cx 0)" 1 "number of winners"
  assert_equal "$(container_status raced)" created
  runc delete --force raced
  nothing_left_of raced
}

@test "sysbox-runc killed in the middle of create: delete --force cleans up, and the id is free again" {
  local dir pid delay
  dir=$(bundle cut . true)
  for delay in 0.002 0.004 0.006 0.008 0.012 0.016 0.024; do
    SYSBOX_E2E_OF=$SUITE "$SYSBOX_RUNC" --root "$SUITE_DIR/root" create --bundle "$dir" cut \
      >/dev/null 2>&1 </dev/null 3>&- 4>&- &
    pid=$!
    sleep "$delay"
    kill -KILL "$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
    run runc delete --force cut
    assert_ok
    wait_for 5 nothing_left_of cut
    run runc run --bundle "$dir" cut </dev/null
    assert_ok
  done
}

@test "a full disk under the state directory: create fails with that reason and leaves nothing" {
  local dir root=$SUITE_DIR/full
  dir=$(bundle nospace . true)
  mkdir "$root"
  mount -t tmpfs -o size=4k,nr_inodes=20 tmpfs "$root"
  head -c 4096 /dev/zero >"$root/filler" || :
  create_there() {
    SYSBOX_E2E_OF=$SUITE "$SYSBOX_RUNC" --root "$root" create --bundle "$dir" nospace \
      >"$SUITE_DIR/log/nospace" 2>&1 </dev/null 3>&- 4>&- || { cat "$SUITE_DIR/log/nospace" && false; }
  }
  run create_there
  local left
  left=$(find "$root" -mindepth 1 ! -name filler)
  umount "$root"
  assert_failed "No space left on device"
  assert_equal "$left" "" "left in the state directory"
  nothing_left_of nospace
}

@test "sysbox-mgr killed and started again under a running container: it goes on, and its ids stay its own" {
  local first second
  start_idle survivor
  daemon_stop mgr KILL
  # shellcheck disable=SC2119
  mgr_start
  assert_equal "$(inside survivor echo alive)" alive
  start_idle newcomer
  first=$(awk '{ print $2 }' "/proc/$(container_pid survivor)/uid_map")
  second=$(awk '{ print $2 }' "/proc/$(container_pid newcomer)/uid_map")
  [[ $first != "$second" ]] || fail "both have the range at $first"
  runc delete --force survivor
  nothing_left_of survivor
}

@test "sysbox-fs killed and started again under a running container: it can still be removed" {
  start_idle survivor
  daemon_stop fs KILL
  # shellcheck disable=SC2119
  fs_start
  runc delete --force survivor
  nothing_left_of survivor
}

@test "all ranges in use: a clear error; one given back: it works again" {
  local n dir
  for n in {1..16}; do start_idle "many$n"; done
  dir=$(bundle toomany . true)
  run runc run --bundle "$dir" toomany </dev/null
  assert_failed "range"
  nothing_left_of toomany
  remove_container many7
  run runc run --bundle "$dir" toomany </dev/null
  assert_ok
}

@test "fifty containers in a row leave no descriptor in the daemons" {
  local before_mgr before_fs n
  run_once . true
  before_mgr=$(ls "/proc/$(daemon_pid mgr)/fd" | wc -l)
  before_fs=$(ls "/proc/$(daemon_pid fs)/fd" | wc -l)
  for n in {1..50}; do run_once . true || fail "container $n"; done
  assert_between "$(ls "/proc/$(daemon_pid mgr)/fd" | wc -l)" 1 "$before_mgr" "sysbox-mgr's descriptors"
  assert_between "$(ls "/proc/$(daemon_pid fs)/fd" | wc -l)" 1 "$before_fs" "sysbox-fs's descriptors"
}

# ---- what the programs say of themselves

@test "--version, features and spec" {
  run runc --version
  assert_ok
  assert_contains "$output" sysbox-runc
  run runc features
  assert_ok
  assert_equal "$(jq -r '.linux.namespaces | index("user") != null' <<<"$output")" true
  mkdir "$SUITE_DIR/fresh"
  runc spec --bundle "$SUITE_DIR/fresh"
  assert_equal "$(jq -r .process.args[0] "$SUITE_DIR/fresh/config.json")" sh
  run runc spec --bundle "$SUITE_DIR/fresh"
  assert_failed config.json
}

@test "a second daemon refuses to start and names the pid of the first" {
  run timeout 10 "$SYSBOX_MGR" --socket "$SYSBOX_MGR_SOCKET" --run-dir "$SUITE_DIR/run" \
    --data-root "$SUITE_DIR/data" --subid-user "$SUITE"
  assert_failed "$(daemon_pid mgr)"
  run timeout 10 "$SYSBOX_FS" --socket "$SYSBOX_FS_SOCKET" --run-dir "$SUITE_DIR/run"
  assert_failed "$(daemon_pid fs)"
}

@test "nothing is left behind, and no setting of the host has changed" {
  suite_left_nothing
}
