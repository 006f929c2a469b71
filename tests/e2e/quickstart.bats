# packaging/quickstart as a new user runs it: from a clean clone, on this machine, with the
# daemons' own places. Afterwards the machine is as before.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export PLACE=/tmp/sysbox-e2e-quickstart-$$
  export CLONE=$PLACE/clone
  mkdir -p "$CLONE"
  # The files as they are here, without what was built: a clone of a tree that is being worked on.
  git -C "$BATS_TEST_DIRNAME/../.." ls-files --cached --others --exclude-standard -z |
    (cd "$BATS_TEST_DIRNAME/../.." && tar --null --verbatim-files-from --files-from - -cf -) |
    tar -C "$CLONE" -xf -
  rmdir /run/sysbox-runc 2>/dev/null || : # empty: an engine's runtime was here, and is gone
  machine_state >"$PLACE/before"
  # Not where all is skipped: bats leaves the clock of a test that ends at once running.
  [[ $(what_is_in_the_way) ]] || export BATS_TEST_TIMEOUT=900
}
teardown_file() {
  "$CLONE/packaging/quickstart" --remove >"$PLACE/removed" 2>&1 || :
  rm -rf --one-file-system "$PLACE"
}

quickstart() { "$CLONE/packaging/quickstart" "$@" </dev/null 3>&- 4>&-; }

# The processes whose program was built there; a process may end while we look.
programs_of_clone() { find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' -lname "$PLACE/*" 2>/dev/null || :; }

# Everything that quickstart makes would show up here.
machine_state() {
  awk '$5 !~ /sysbox-e2e/ { print "mount", $5 }' /proc/self/mountinfo
  find /sys/fs/cgroup -type d -path '*sysbox*' ! -path '*sysbox-e2e*' 2>/dev/null || :
  find /run /var/lib /etc /var/cache /usr/local -xdev -path '*sysbox*' ! -path '*sysbox-e2e*' 2>/dev/null || :
  grep -s '^sysbox:' /etc/subuid /etc/subgid || :
  programs_of_clone
  find "$CLONE" -maxdepth 1 -name 'build*'
}

what_is_in_the_way() { grep -m 1 -e /run/sysbox -e /var/lib/sysbox "$PLACE/before"; }
nobody_is_in_the_way() {
  local found
  found=$(what_is_in_the_way) || return 0
  skip "this machine has $found already"
}

@test "it builds, starts, and shows a system container" {
  nobody_is_in_the_way
  run quickstart
  assert_ok
  assert_contains "$output" "systemd inside says: running"
  assert_matches "$output" "uid_map: 0 [0-9]+ 65536"
  assert_matches "$output" "memory \(free -m\) +512 MiB +$(free -m | awk '/^Mem:/ { print $2 }') MiB"
  assert_matches "$output" "processors \(/proc/cpuinfo\) +1 +$(grep -c ^processor /proc/cpuinfo)"
  assert_matches "$output" "kernel.panic, set inside +$(($(cat /proc/sys/kernel/panic) + 42)) +$(cat /proc/sys/kernel/panic)"
  assert_contains "$output" "packaging/quickstart --remove"
}

@test "running it again is fine and takes seconds" {
  nobody_is_in_the_way
  local before=$SECONDS
  run quickstart
  assert_ok
  assert_contains "$output" "the container is running"
  assert_between $((SECONDS - before)) 0 30 seconds
}

@test "with a terminal it ends in a shell inside" {
  nobody_is_in_the_way
  run timeout 120 bash -c '{ sleep 8; echo "echo init is \$(cat /proc/1/comm)"; sleep 1; echo exit; sleep 2; } |
    script --quiet --return --command "$0/packaging/quickstart" /dev/null 3>&- 4>&-' "$CLONE"
  assert_ok
  assert_contains "$output" "init is systemd"
}

@test "two at once: the second says that another is at work" {
  nobody_is_in_the_way
  exec 8>>/run/lock/sysbox-quickstart.lock
  flock 8
  run quickstart --stop 8>&-
  exec 8>&-
  assert_failed "another quickstart is at work"
}

@test "--stop stops the container and the daemons, and it starts again" {
  nobody_is_in_the_way
  run quickstart --stop
  assert_ok
  assert_equal "$(programs_of_clone)" "" "still running"
  assert_equal "$(find /sys/fs/cgroup -type d -name 'sysbox-quickstart')" "" "cgroups"
  run quickstart
  assert_ok
  assert_contains "$output" "systemd inside says: running"
}

@test "a failure is one line that names the log" {
  nobody_is_in_the_way
  echo 'this is not meson' >>"$CLONE/meson.build"
  local build
  build=$(mktemp -d "$PLACE/other.XXXXXX")
  cp -a "$CLONE"/[a-z]* "$build/"
  rm -rf "$build"/build*
  run "$build/packaging/quickstart" </dev/null 3>&- 4>&-
  sed -i '$d' "$CLONE/meson.build"
  assert_failed "meson cannot configure the build: see /var/lib/sysbox-quickstart/log/meson.log"
}

@test "--remove leaves the machine as it was" {
  nobody_is_in_the_way
  run quickstart --remove
  assert_ok
  machine_state >"$PLACE/after"
  run diff "$PLACE/before" "$PLACE/after"
  assert_ok
}
