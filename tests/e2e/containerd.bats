# Debian's containerd, unchanged, with `--runc-binary sysbox-runc`: containers with ctr, and a pod
# as its CRI plug-in makes one.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine
load ../lib/containerd

setup_file() {
  export BATS_TEST_TIMEOUT=$((180 * SLOWER))
  suite_start containerd
  daemons_start
  make_wrapper
  containerd_start
  ctr images import "$(busybox_oci)" >/dev/null
}
teardown_file() {
  containerd_stop
  suite_stop
}
image=localhost/busybox:latest

teardown() {
  local id
  [[ -e $SUITE_DIR/containerd.pid ]] || return 0
  for id in $(ctr containers list --quiet); do
    ctr tasks delete --force "$id" >/dev/null 2>&1 || :
    ctr containers delete "$id" >/dev/null 2>&1 || :
  done
}

@test "a container runs: output, exit code, and nothing stays" {
  run crun --rm "$image" once sh -c 'echo hello; cat /proc/self/uid_map; exit 7'
  assert_equal "$status" 7
  assert_equal "${lines[0]}" hello
  assert_matches "${lines[1]}" '^ *0 +[1-9][0-9]{5,} +65536$'
  [[ -z $(ctr containers list --quiet) ]]
  [[ -z $(ls "$SUITE_DIR/root/$SUITE" 2>/dev/null) ]]
}

@test "a task: start, exec, signals, pause, metrics, removal" {
  crun --detach "$image" task sh -c 'trap "exit 5" TERM; while :; do sleep 0.1; done'
  assert_equal "$(task_status task)" RUNNING
  run cexec task sh -c 'echo in; id -u; exit 4'
  assert_equal "$status" 4
  assert_equal "$output" "$(printf 'in\n0')"
  run cexec --user 65534 task id -u
  assert_equal "$output" 65534
  assert_contains "$(ctr tasks ps task)" "$(task_pid task)"
  ctr tasks pause task
  assert_equal "$(task_status task)" PAUSED
  ctr tasks resume task
  assert_contains "$(ctr tasks metrics task)" memory
  ctr tasks kill --signal TERM task
  wait_for 10 is_task_status task STOPPED
  ctr tasks delete task
  ctr containers delete task
}

@test "a container outlives the daemon, whether it is stopped or killed" {
  crun --detach "$image" survivor sh -c 'while :; do sleep 0.1; done'
  local pid signal
  pid=$(task_pid survivor)
  for signal in TERM KILL; do
    containerd_stop "$signal"
    [[ -e /proc/$pid ]]
    containerd_start
    assert_equal "$(task_pid survivor)" "$pid"
    assert_equal "$(task_status survivor)" RUNNING
    run cexec survivor cat /etc/passwd
    assert_contains "$output" root:
  done
  remove_task_and_container survivor
  [[ ! -e /proc/$pid ]]
}

@test "an image of seventy layers, which containerd mounts by relative names" {
  ctr images import "$(layered_oci)" >/dev/null
  run crun --rm localhost/layered:latest layered sh -c \
    'ls -d /layer-* | wc -l; cat /layer-70; stat -c %u /layer-1; echo new >/layer-1 && cat /layer-1'
  assert_ok
  assert_equal "$output" "$(printf '70\n70\n0\nnew')"
}

@test "a read-only root, mounts, limits, a terminal" {
  mkdir -p "$SUITE_DIR/shared"
  run crun --rm --read-only --memory-limit 67108864 \
    --mount "type=bind,src=$SUITE_DIR/shared,dst=/mnt/shared,options=rbind:rw" "$image" limited \
    sh -c 'touch /file 2>&1; touch /mnt/shared/file; grep MemTotal /proc/meminfo'
  assert_ok
  assert_contains "$output" 'Read-only file system'
  assert_contains "$(tr -s ' ' <<<"$output")" 'MemTotal: 65536 kB'
  assert_equal "$(stat -c %u "$SUITE_DIR/shared/file")" 0
  # ctr does not wait for what is still on its way from a terminal.
  PATH=$CONTAINERD_PATH run timeout 60 script --quiet --return --command \
    "ctr run --rm --tty --runtime io.containerd.runc.v2 --runc-binary $SYSBOX_WRAPPER \
      --runc-root $SUITE_DIR/root $image terminal sh -c 'tty; sleep 1; exit 3'" /dev/null </dev/null 3>&- 4>&-
  assert_equal "$status" 3
  assert_contains "$output" /dev/pts/0
}

# What the CRI plug-in does for a pod with hostUsers: false: a user and a network namespace of the
# pod, a pause container in them, and the others in the pause container's.
@test "a pod: containers that share user, network, ipc and uts namespaces" {
  local high first pid pause
  read -r _ high <<<"$(suite_ids)"
  first=$((high - 65535))
  SYSBOX_E2E_OF=$SUITE unshare --user --net sleep 1000 </dev/null >/dev/null 2>&1 3>&- 4>&- &
  pid=$!
  disown "$pid"
  namespaces_are_made() { [[ $(readlink "/proc/$pid/ns/net") != "$(readlink /proc/self/ns/net)" ]]; }
  wait_for 10 namespaces_are_made
  echo "0 $first 65536" >"/proc/$pid/uid_map"
  echo "0 $first 65536" >"/proc/$pid/gid_map"
  crun --detach --with-ns "user:/proc/$pid/ns/user" --with-ns "network:/proc/$pid/ns/net" \
    "$image" pause sleep 1000
  pause=$(task_pid pause)
  crun --detach --with-ns "user:/proc/$pause/ns/user" --with-ns "network:/proc/$pause/ns/net" \
    --with-ns "ipc:/proc/$pause/ns/ipc" --with-ns "uts:/proc/$pause/ns/uts" "$image" app sleep 1000
  # And one that shares the processes too, of an engine that knows nothing of user namespaces.
  crun --detach --with-ns "network:/proc/$pause/ns/net" --with-ns "ipc:/proc/$pause/ns/ipc" \
    --with-ns "pid:/proc/$pause/ns/pid" "$image" sidecar sleep 1001
  local id file
  for id in app sidecar; do
    for file in user net ipc; do
      assert_equal "$(readlink "/proc/$(task_pid "$id")/ns/$file")" "$(readlink "/proc/$pause/ns/$file")" "$file of $id"
    done
  done
  ctr tasks exec --exec-id link app ip link add sysbox-test type bridge
  run cexec sidecar sh -c 'ls /sys/class/net; ps -o args'
  assert_contains "$output" sysbox-test
  assert_contains "$output" 'sleep 1000'
  for id in sidecar app pause; do remove_task_and_container "$id"; done
  kill "$pid"
}

@test "refused: namespaces of the host, by one line that says which and why" {
  run crun --rm --net-host "$image" refused true
  assert_failed "sharing the host's network namespace (--net=host, hostNetwork)"
  ctr containers delete refused 2>/dev/null || :
  run crun --rm --with-ns "pid:/proc/$$/ns/pid" "$image" refused true
  assert_failed "is the host's pid namespace; sharing it (--pid=host, hostPID)"
}

@test "nothing is left behind, and no setting of the host has changed" {
  containerd_stop
  [[ ! -d $SUITE_DIR/root/$SUITE ]] || rmdir "$SUITE_DIR/root/$SUITE" # the directory that all containers of the engine have shared
  suite_left_nothing
}
