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

@test "the suite leaves nothing behind" {
  remove_container box
  suite_left_nothing
}
