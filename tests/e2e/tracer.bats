# What a tenant can do to the tracer of its system calls: nothing to others.
# shellcheck shell=bash disable=SC2016 # expressions for the shell inside

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start tracer
  daemons_start
}
teardown_file() { suite_stop; }
teardown() {
  local id
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
}

start_with_trials() { # NAME [JQ_FILTER]
  start_idle "$@"
  inside "$1" mkdir /scratch
  cp "$SYSBOX_BUILD/tests/kernel/tracer-trials" "$SUITE_DIR/bundles/$1/rootfs/"
}
try() { # CONTAINER TRIAL [NUMBER]
  inside --cwd /scratch "$1" timeout $((60 * SLOWER)) /tracer-trials "${@:2}"
}
descriptors_of_fs() { find "/proc/$(daemon_pid fs)/fd" -mindepth 1 | wc -l; }
has_at_most_descriptors() { (($(descriptors_of_fs) <= $1)); }
# One call of io.sysbox.emulator; prints the reply.
emulator_call() { # METHOD [PARAMETERS]
  perl -e '
use IO::Socket::UNIX;
my ($path, $method, $parameters) = @ARGV;
my $socket = IO::Socket::UNIX->new($path) or die "$path: $!";
print $socket "{\"method\":\"io.sysbox.emulator.$method\",\"parameters\":$parameters}\0";
$socket->flush;
$/ = "\0";
my $reply = <$socket>;
chomp $reply;
print "$reply\n";
exit($reply =~ /"error"/ ? 1 : 0);
' "$SYSBOX_FS_SOCKET" "$1" "${2:-{\}}"
}

@test "calls of threads, after the leader's end, by 32-bit programs, below filters of the tenant's own" {
  local trial
  start_with_trials box
  for trial in thread no-leader 32-bit filters; do
    run try box "$trial"
    assert_ok
  done
}

@test "no listener can be had by a tenant" {
  start_with_trials box
  run try box listeners
  assert_ok
}

@test "paths that change while they are read, callers that die in the middle" {
  start_with_trials box
  run try box swap
  assert_ok
  run try box die
  assert_ok
  run try box thread
  assert_ok
}

@test "a thousand programs by execve and a hundred by exec leave no descriptor in sysbox-fs" {
  local before
  start_with_trials box
  inside box true
  sleep 0.2
  before=$(descriptors_of_fs)
  run try box exec 1000
  assert_ok
  for _ in {1..100}; do inside box true; done
  wait_for 10 has_at_most_descriptors "$before" || fail "descriptors: $before before, $(descriptors_of_fs) after"
}

@test "a flood of one container's calls leaves another's prompt" {
  start_with_trials flooded
  start_with_trials other
  try flooded flood $((6 * SLOWER)) >"$SUITE_DIR/flood" 2>&1 3>&- 4>&- &
  local flood=$!
  sleep 1
  run try other often 100
  assert_ok
  kill -0 "$flood" || fail "the flood was over before the other's calls: $output"
  wait "$flood"
  assert_contains "$(cat "$SUITE_DIR/flood")" "as it must be"
  echo "# other: ${lines[0]}; flood: $(head -n 1 "$SUITE_DIR/flood")" >&3
}

@test "a file system of the tenant's that never answers holds up its own caller only" {
  start_with_trials box
  run try box fuse
  assert_ok
}

@test "paths into it hold up others of the tenant for a time, and no other tenant" {
  start_with_trials box
  start_with_trials other
  try box fuse-path >"$SUITE_DIR/fuse-path" 2>&1 3>&- 4>&- &
  local trial=$!
  sleep 1
  run try other often 100
  assert_ok
  # The tracer's tasks that wait there outlive it, and are in nobody's way.
  daemon_stop fs KILL
  fs_start
  run try other often 100
  assert_ok
  wait "$trial"
  assert_contains "$(cat "$SUITE_DIR/fuse-path")" "as it must be"
}

@test "calls are counted, and told of if asked to" {
  local counts
  start_with_trials box
  inside box mknod /null c 1 3
  counts=$(emulator_call CountCalls)
  assert_equal "$(jq '.parameters.calls[] | select(.container == "box" and (.call | startswith("mknod"))) | .done' <<<"$counts")" 1
  [[ $(cat "$SUITE_DIR/log/fs") != *audit:* ]] || fail "told of without being asked to"
  run emulator_call SetAudit '{"level": "much"}'
  assert_failed "none of off, errors, all"
  emulator_call SetAudit '{"level": "errors"}'
  inside box mknod /full c 1 7
  run inside box mknod /null c 1 3
  assert_failed
  assert_matches "$(cat "$SUITE_DIR/log/fs")" 'audit: mknod(at)? by thread [0-9]+: failed: File exists'
  [[ $(cat "$SUITE_DIR/log/fs") != *": done"* ]] || fail "told of a call that went well"
  emulator_call SetAudit '{"level": "all"}'
  inside box mknod /zero c 1 5
  assert_matches "$(cat "$SUITE_DIR/log/fs")" 'audit: mknod(at)? by thread [0-9]+: done'
}

@test "nothing is left behind, and no setting of the host has changed" {
  suite_left_nothing
}
