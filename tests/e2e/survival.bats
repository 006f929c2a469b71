# The daemons die and come back under running containers, which notice nothing but a pause.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start survival
  daemons_start
  start_idle box '.linux.resources = {memory: {limit: 134217728},
    cpu: {quota: 100000, period: 100000}}'
}
teardown_file() { suite_stop; }

kill_and_restart() { # NAME...: of daemons; all die before the first one comes back
  local name handed_over
  handed_over=$(times_handed_over)
  for name; do daemon_stop "$name" KILL; done
  for name; do "${name}_start"; done
  # Before that, the death of sysbox-fs is one of both.
  [[ $* != mgr ]] || wait_for 15 has_handed_over_since "$handed_over"
}
times_handed_over() { grep -c 'sysbox-mgr is there, and has' "$SUITE_DIR/log/fs" || :; }
has_handed_over_since() { (($(times_handed_over) > $1)); }

@test "settings, counters and open files outlive sysbox-fs" {
  local before after used
  inside box sh -c 'echo 42 >/proc/sys/kernel/panic; echo 123456 >/proc/sys/vm/max_map_count'
  before=$(inside box cut -d . -f 1 /proc/uptime)
  used=$(inside box awk '$1 == "cpu" { print $2 + $3 + $4 }' /proc/stat)
  kill_and_restart fs
  assert_between "$(inside box awk '$1 == "cpu" { print $2 + $3 + $4 }' /proc/stat)" "$used" \
    $((used + 100000)) "cpu time"
  assert_equal "$(inside box cat /proc/sys/kernel/panic /proc/sys/vm/max_map_count)" $'42\n123456'
  assert_equal "$(inside box awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)" 131072
  after=$(inside box cut -d . -f 1 /proc/uptime)
  assert_between "$after" "$before" $((before + 60)) uptime
  assert_contains "$(cat "$SUITE_DIR/log/fs")" "taken back from an earlier sysbox-fs"
}

@test "trapped system calls work again, of old and new processes" {
  inside box sh -c 'mkdir -p /m; (while [ ! -e /go ]; do sleep 0.1; done
    mount -t proc proc /m && cat /m/sys/kernel/panic && umount /m; echo "$?") >/result 2>&1 &'
  inside box sh -c 'echo 43 >/proc/sys/kernel/panic'
  kill_and_restart fs
  inside box touch /go
  wait_for 10 inside box grep -qx 0 /result
  assert_equal "$(inside box cat /result)" $'43\n0'
  run inside box sh -c 'mount -t proc proc /m && cat /m/sys/kernel/panic && umount /m'
  assert_ok
  assert_equal "$output" 43
}

# The heaps of threads, beside the process's: the C library reserves 64 MiB for each at a multiple of
# that, of which it uses the beginning. To make one smaller it reads a file that is emulated inside,
# holding a lock that the thread needs that would answer.
heaps_of_threads() { # DAEMON
  awk '{ split($1, ends, "-") }
    $2 == "---p" && ends[1] == end { print heap }
    { heap = $1; end = $2 == "rw-p" && ends[1] ~ /[048c]000000$/ ? ends[2] : "none" }
    ' "/proc/$(daemon_pid "$1")/maps"
}

@test "no thread of sysbox-fs has a heap of its own: it would wait for itself" {
  inside box sh -c 'for i in 1 2 3 4 5 6; do
    (mkdir /m-$i && mount -t proc proc /m-$i && umount /m-$i && rmdir /m-$i) & done; wait'
  assert_equal "$(heaps_of_threads fs)" ""
}

# ---- under load: readers, writers and mounts inside that never pause by themselves

start_load() { # CONTAINER
  inside "$1" sh -c 'rm -rf /load && mkdir /load && cat >/load/reader <<"E"
last=0
while [ ! -e /load/stop ]; do
  cat /proc/meminfo /proc/stat /proc/cpuinfo /proc/sys/kernel/panic /proc/loadavg >/dev/null ||
    echo "read: $?" >>/load/errors
  up=$(cut -d . -f 1 /proc/uptime) || echo "uptime: $?" >>/load/errors
  [ "$up" -ge "$last" ] || echo "uptime went from $last to $up" >>/load/errors
  last=$up
done
E
cat >/load/writer <<"E"
while [ ! -e /load/stop ]; do
  for value in 1 22 333 4444; do
    echo $value >/proc/sys/vm/max_map_count || echo "write: $?" >>/load/errors
    seen=$(head -n 1 /proc/sys/vm/max_map_count)
    case $seen in
      1|22|333|4444) ;;
      *) echo "read \"$seen\"" >>/load/errors ;;
    esac
  done
done
E
cat >/load/mounter <<"E"
dir=/load/mount-$1
mkdir $dir
while [ ! -e /load/stop ]; do
  mount -t proc proc $dir || echo "mount: $?" >>/load/errors
  grep -q "^MemTotal: *131072 kB" $dir/meminfo || echo "no pieces" >>/load/errors
  umount $dir || echo "umount: $?" >>/load/errors
  [ -z "$(ls -A $dir)" ] || echo "still mounted" >>/load/errors
  echo x >>/load/mounts
done
E
    for i in $(seq 40); do sh /load/reader >>/load/errors 2>&1 & done
    for i in $(seq 10); do sh /load/writer >>/load/errors 2>&1 & done
    for i in 1 2; do sh /load/mounter $i >>/load/errors 2>&1 & done' >/dev/null
}
stop_load() { # CONTAINER: fails with the errors that were seen inside
  inside "$1" sh -c 'touch /load/stop; for i in $(seq 300); do
    ps -o args | grep -q "^sh /load/" || exit 0; sleep 0.1; done
    echo "some hang:"; ps -o pid,args | head -70; exit 1'
  assert_equal "$(inside "$1" cat /load/errors)" "" "what went wrong inside"
}
mounts_done() { inside box sh -c 'wc -l </load/mounts'; }

@test "under load: kill -9 of sysbox-fs, of sysbox-mgr, and of one after the other" {
  local before
  start_load box
  for _ in {1..4}; do
    sleep "0.$((RANDOM % 9))"
    kill_and_restart fs
  done
  sleep 0.3
  kill_and_restart mgr
  sleep 0.3
  kill_and_restart fs
  kill_and_restart mgr
  kill_and_restart fs
  before=$(mounts_done)
  sleep 1
  assert_between "$(mounts_done)" $((before + 1)) 1000000 "mounts after the restarts"
  stop_load box
}

@test "a stop of sysbox-fs with containers is a pause as well" {
  start_load box
  sleep 0.5
  daemon_stop fs TERM
  sleep 0.5
  fs_start
  sleep 0.5
  stop_load box
  assert_contains "$(cat "$SUITE_DIR/log/fs")" "1 containers wait for the next sysbox-fs"
}

has_descriptors_at_most() { (($(descriptors "$1") <= $2)); } # DAEMON COUNT
descriptors() { find "/proc/$(daemon_pid "$1")/fd" -mindepth 1 | wc -l; }

@test "twenty deaths leave no descriptor behind, in either daemon" {
  local mgr_before fs_before
  kill_and_restart fs
  inside box true
  sleep 0.3
  mgr_before=$(descriptors mgr)
  fs_before=$(descriptors fs)
  for _ in {1..20}; do
    kill_and_restart fs
    inside box cat /proc/uptime >/dev/null
  done
  # A listener is let go at its end, which is told and not waited for.
  wait_for 10 has_descriptors_at_most mgr $((mgr_before + 1))
  wait_for 10 has_descriptors_at_most fs $((fs_before + 3))
}

@test "containers come and go as before after a restart" {
  start_idle second
  kill_and_restart fs
  run runc delete --force second
  assert_ok
  start_idle third
  assert_equal "$(inside third cat /proc/sys/kernel/panic)" 0
  run runc delete --force third
  assert_ok
  # A container that was removed meanwhile does not come back.
  start_idle fourth
  daemon_stop fs KILL
  run runc delete --force fourth
  assert_ok
  fs_start
  start_idle fourth
  remove_container fourth
}

@test "kill -9 in the middle of create: it works or says why, and nothing hangs" {
  local name dir creating code
  for _ in {1..8}; do
    name=mid-$RANDOM
    dir=$(bundle "$name" . true)
    timeout 20 "$SYSBOX_RUNC" --root "$SUITE_DIR/root" --manager-socket "$SYSBOX_MGR_SOCKET" \
      --emulator-socket "$SYSBOX_FS_SOCKET" create --bundle "$dir" "$name" \
      >"$SUITE_DIR/log/$name" 2>&1 </dev/null 3>&- 4>&- &
    creating=$!
    sleep "0.0$((RANDOM % 30 + 10))"
    kill_and_restart fs
    code=0
    wait "$creating" || code=$?
    case $code in
      0) runc start "$name" ;;
      124) fail "create hangs" ;;
      *) assert_contains "$(cat "$SUITE_DIR/log/$name")" sysbox-fs ;;
    esac
    remove_container "$name"
  done
  run_once . grep -q MemTotal /proc/meminfo
}

@test "while sysbox-fs is away a reader waits, and can be killed" {
  local rootfs=$SUITE_DIR/bundles/box/rootfs
  inside box sh -c '(while [ ! -e /try ]; do sleep 0.05; done
    cat /proc/meminfo >/dev/null & reader=$!
    cat /proc/meminfo >/waited & other=$!
    sleep 0.5; kill -9 $reader; wait $reader; echo "$?" >/killed
    wait $other; echo "$?" >>/killed) >/dev/null 2>&1 &'
  daemon_stop fs KILL
  touch "$rootfs/try"
  wait_for 10 grep -q 137 "$rootfs/killed"
  assert_equal "$(wc -l <"$rootfs/killed")" 1 "readers that are done"
  fs_start
  wait_for 10 grep -qx 0 "$rootfs/killed"
  grep -q MemTotal "$rootfs/waited"
}

@test "without a sysbox-fs for too long readers fail, and the container can be removed" {
  daemons_stop
  mgr_start --wait-for-fs 1
  fs_start
  start_idle lost
  daemon_stop fs KILL
  wait_for 10 grep -q "have lost their emulated files" "$SUITE_DIR/log/mgr"
  fs_start
  run inside lost true
  assert_failed "is not registered"
  assert_failed "start it again"
  run runc delete --force lost
  assert_ok
}

@test "both daemons dead at once: readers fail, nothing hangs" {
  local rootfs=$SUITE_DIR/bundles/gone/rootfs
  start_idle gone
  inside gone sh -c '(while [ ! -e /try ]; do sleep 0.05; done; cat /proc/meminfo
    echo "$?" >/result) >/dev/null 2>&1 &'
  kill -KILL "$(daemon_pid mgr)" "$(daemon_pid fs)"
  touch "$rootfs/try"
  wait_for 10 test -s "$rootfs/result"
  assert_equal "$(cat "$rootfs/result")" 1
  daemons_stop
  daemons_start
  run runc delete --force gone
  assert_ok
}

@test "the suite leaves nothing behind" {
  remove_container box
  suite_left_nothing
}
