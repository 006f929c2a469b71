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
  local name
  for name; do daemon_stop "$name" KILL; done
  for name; do "${name}_start"; done
}

@test "settings, counters and open files outlive sysbox-fs" {
  local before after
  inside box sh -c 'echo 42 >/proc/sys/kernel/panic; echo 123456 >/proc/sys/vm/max_map_count'
  before=$(inside box cut -d . -f 1 /proc/uptime)
  kill_and_restart fs
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

@test "the suite leaves nothing behind" {
  remove_container box
  suite_left_nothing
}
