# shellcheck shell=bash
# What every end-to-end suite stands on: a name and a directory of its own, its own two daemons,
# and a way to find, and to remove, everything that can be traced back to it.
#
#   $SUITE       its name; part of the name of each cgroup, container and directory it makes
#   $SUITE_DIR   its directory: state, sockets, logs, bundles, images

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib/images.bash
. "$lib/images.bash"

: "${SYSBOX_BUILD:=$lib/../../build}"
SYSBOX_BUILD=$(cd "$SYSBOX_BUILD" && pwd)
export SYSBOX_BUILD
SYSBOX_RUNC=$SYSBOX_BUILD/runc-ext/sysbox-runc
SYSBOX_MGR=$SYSBOX_BUILD/mgr/sysbox-mgr
SYSBOX_FS=$SYSBOX_BUILD/fs-emulator/sysbox-fs

# How many times longer than on an ordinary machine things may take: an emulated one says more.
: "${SLOWER:=1}"

# ---- assertions: they say what they saw

fail() {
  printf '%s\n' "$@" >&2
  return 1
}
assert_equal() { # SEEN EXPECTED [WHAT]
  [[ $1 = "$2" ]] || fail "${3:-value} is '$1', expected '$2'"
}
assert_contains() { # TEXT PART
  [[ $1 = *"$2"* ]] || fail "expected to find '$2' in:" "$1"
}
assert_matches() { # TEXT REGEX
  [[ $1 =~ $2 ]] || fail "expected to match /$2/:" "$1"
}
assert_between() { # NUMBER LOW HIGH [WHAT]
  if [[ ! $1 =~ ^[0-9]+$ ]] || (($1 < $2 || $1 > $3)); then
    fail "${4:-value} is '$1', expected $2 to $3"
  fi
}
assert_ok() { # after bats' run
  # shellcheck disable=SC2154 # set by run
  [[ $status = 0 ]] || fail "exit code $status:" "$output"
}
assert_failed() { # after bats' run; the message must hold PART
  [[ $status != 0 ]] || fail "succeeded, expected a failure" "$output"
  [[ $status != 124 ]] || fail "timed out" "$output"
  [[ -z ${1:-} ]] || assert_contains "$output" "$1"
}
wait_for() { # SECONDS COMMAND...
  local end=$((SECONDS + $1 * SLOWER))
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= end)); then
      fail "waited in vain for: $*"
      return 1 # where the caller handles it, bash goes on after a failed command
    fi
    sleep 0.05
  done
}

kernel_has_call() { "$SYSBOX_BUILD/tests/kernel/map-ids" --has "$1"; } # NUMBER

# ---- the suite

suite_start() { # NAME [RANGES]: how many containers it may have at once
  export SUITE=sysbox-e2e-$1-$$
  export SUITE_DIR=/tmp/$SUITE
  clean_dead_suites
  local program
  for program in "$SYSBOX_RUNC" "$SYSBOX_MGR" "$SYSBOX_FS"; do
    [[ -x $program ]] || fail "$program is not built" || return 1
  done
  mkdir "$SUITE_DIR"
  mkdir "$SUITE_DIR"/{bundles,log,run}
  add_subids "${2:-16}"
  host_settings >"$SUITE_DIR/host-before"
}

suite_stop() {
  daemons_stop
  clean_leftovers
  remove_subids
  rm -rf --one-file-system "$SUITE_DIR"
}

# The end of every suite is a test: `suite_left_nothing` in the last @test of its file.
suite_left_nothing() {
  local left
  daemons_stop
  # The bundles and the engine name this cgroup as the parent of the containers'; it is not theirs.
  find /sys/fs/cgroup -type d -name "$SUITE" -exec rmdir {} + 2>/dev/null || :
  for _ in {1..30}; do
    left=$(leftovers)
    [[ -n $left ]] || break
    sleep 0.1
  done
  [[ -z $left ]] || fail "left behind:" "$left"
  # Settings that are new belong to a kernel module that the host's engine has loaded meanwhile.
  left=$(diff "$SUITE_DIR/host-before" <(host_settings) | grep '^<' || :)
  [[ -z $left ]] || fail "changed on the host, was:" "$left"
}

# ---- ids: each suite has a pool of its own, so that suites may run side by side

with_subid_lock() {
  (
    flock 8
    "$@"
  ) 8>/tmp/sysbox-e2e.subid.lock
}
add_subids() { with_subid_lock append_subids "$1"; } # RANGES
append_subids() {
  local start
  start=$(cat /etc/subuid /etc/subgid 2>/dev/null |
    awk -F: '{ end = $2 + $3 } end > max { max = end } END { printf "%d", max + 0 }')
  ((start >= 1 << 28)) || start=$((1 << 28))
  start=$(((start + 65535) / 65536 * 65536))
  echo "$SUITE:$start:$(($1 * 65536))" | tee -a /etc/subuid >>/etc/subgid
}
remove_subids() { with_subid_lock sed -i "/^$SUITE:/d" /etc/subuid /etc/subgid; }
suite_ids() { awk -F: -v user="$SUITE" '$1 == user { print $2, $2 + $3 - 1 }' /etc/subuid; }

# ---- the daemons

export_sockets() {
  export SYSBOX_MGR_SOCKET=$SUITE_DIR/run/sysbox-mgr.sock
  export SYSBOX_FS_SOCKET=$SUITE_DIR/run/sysbox-fs.sock
}
# shellcheck disable=SC2120 # tests add options
mgr_start() {
  export_sockets
  daemon_start mgr "$SYSBOX_MGR_SOCKET" "$SYSBOX_MGR" --socket "$SYSBOX_MGR_SOCKET" \
    --run-dir "$SUITE_DIR/run" --data-root "$SUITE_DIR/data" --subid-user "$SUITE" "$@"
}
# shellcheck disable=SC2120
fs_start() {
  export_sockets
  daemon_start fs "$SYSBOX_FS_SOCKET" "$SYSBOX_FS" --socket "$SYSBOX_FS_SOCKET" \
    --run-dir "$SUITE_DIR/run" "$@"
}
daemons_start() {
  # shellcheck disable=SC2119
  mgr_start
  # shellcheck disable=SC2119
  fs_start
}
daemon_start() { # NAME SOCKET COMMAND...
  local name=$1 socket=$2 pid
  shift 2
  SYSBOX_E2E_OF=$SUITE setsid "$@" >>"$SUITE_DIR/log/$name" 2>&1 </dev/null 3>&- 4>&- &
  pid=$!
  echo "$pid" >"$SUITE_DIR/$name.pid"
  disown "$pid"
  wait_for 15 daemon_listens_or_died "$socket" "$pid"
  kill -0 "$pid" 2>/dev/null || fail "$name died at its start:" "$(cat "$SUITE_DIR/log/$name")"
}
listens() { grep -q "^[^ ]* [^ ]* [^ ]* 00010000 .* $1$" /proc/net/unix; }
daemon_listens_or_died() { listens "$1" || ! kill -0 "$2"; }
daemon_pid() { cat "$SUITE_DIR/$1.pid"; }

daemon_stop() { # NAME [SIGNAL]
  local pid
  [[ -e $SUITE_DIR/$1.pid ]] || return 0
  pid=$(daemon_pid "$1")
  rm "$SUITE_DIR/$1.pid"
  kill -"${2:-TERM}" "$pid" 2>/dev/null || return 0
  wait_for 15 process_is_gone "$pid" || kill -KILL "$pid"
}
# Of a program with threads the first one can be a zombie while others still hold descriptors.
process_is_gone() {
  [[ ! -e /proc/$1 ]] ||
    [[ $(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status")$(ls "/proc/$1/task") = "Z$1" ]]
}
daemons_stop() {
  daemon_stop fs
  daemon_stop mgr
}

# ---- the runtime

runc() { # as a user would call it, but with the suite's state and daemons
  SYSBOX_E2E_OF=$SUITE "$SYSBOX_RUNC" --root "$SUITE_DIR/root" \
    --manager-socket "$SYSBOX_MGR_SOCKET" --emulator-socket "$SYSBOX_FS_SOCKET" "$@" 3>&- 4>&-
}
# For bats' run: a container that is created, although it should not be, keeps the file open and
# not a pipe that somebody reads to its end.
create() { # OPTION... ID
  local code=0
  runc create "$@" >"$SUITE_DIR/log/create" 2>&1 </dev/null || code=$?
  cat "$SUITE_DIR/log/create"
  return "$code"
}
container_status() { runc state "$1" 2>/dev/null | jq -r .status; }
container_pid() { runc state "$1" | jq -r .pid; }
is_status() { [[ $(container_status "$1") = "$2" ]]; }

# A bundle of busybox, changed by a jq filter; prints its directory.
bundle() { # NAME [JQ_FILTER] [COMMAND...]
  local dir=$SUITE_DIR/bundles/$1 cgroup=/$SUITE/$1 filter=${2:-.}
  shift $(($# < 2 ? $# : 2))
  (($# > 0)) || set -- sh
  [[ -e $SUITE_DIR/config.json ]] || runc spec --bundle "$SUITE_DIR" >&2
  rm -rf --one-file-system "$dir"
  mkdir -p "$dir"
  cp -a "$(busybox_dir)" "$dir/rootfs"
  jq --arg cgroup "$cgroup" --argjson args "$(json_array "$@")" '.process.terminal = false
    | .root.readonly = false | .linux.cgroupsPath = $cgroup | .process.args = $args
    | '"$filter" "$SUITE_DIR/config.json" >"$dir/config.json"
  echo "$dir"
}
json_array() { jq --null-input --args '$ARGS.positional' -- "$@"; }
# One command in a container of its own, from start to removal.
run_once() { # JQ_FILTER COMMAND...
  local name=once-$BASHPID dir
  dir=$(bundle "$name" "$1" "${@:2}")
  SYSBOX_E2E_OF=$SUITE timeout $((60 * SLOWER)) "$SYSBOX_RUNC" --root "$SUITE_DIR/root" \
    --manager-socket "$SYSBOX_MGR_SOCKET" --emulator-socket "$SYSBOX_FS_SOCKET" \
    run --bundle "$dir" "$name" </dev/null 3>&- 4>&-
}
# A container that does nothing until it is killed.
start_idle() { # NAME [JQ_FILTER]
  local dir
  dir=$(bundle "$1" "${2:-.}" sh -c 'trap "exit 0" TERM; while :; do sleep 5000 & wait; done')
  runc run --detach --bundle "$dir" "$1" >"$SUITE_DIR/log/$1.console" 2>&1 </dev/null
}
# Its init has set its trap: before that, the kernel keeps SIGTERM from a process 1.
catches_term() { # NAME
  local caught
  caught=$(sed -n 's/^SigCgt:\t//p' "/proc/$(container_pid "$1")/status")
  ((0x$caught & 1 << 14))
}
inside() { # NAME COMMAND...
  runc exec "$@" </dev/null
}
remove_container() { runc delete --force "$1" >/dev/null 2>&1; }

# ---- what can be traced back to the suite

# Every mount, cgroup, process and control file that bears its name or its ids.
leftovers() {
  local low high pid uid
  grep -F "$SUITE" /proc/self/mountinfo | sed 's/^/mount: /'
  find /sys/fs/cgroup -depth -type d -name "*$SUITE*" 2>/dev/null | sed 's/^/cgroup: /'
  read -r low high <<<"$(suite_ids)"
  while read -r pid uid; do
    ((uid < low || uid > high)) || echo "process: $pid (uid $uid) $(process_name "$pid")"
  done < <(ps -e -o pid=,uid=)
  for pid in $(processes_of_suite); do echo "process: $pid $(process_name "$pid")"; done
  find "$SUITE_DIR/root" -mindepth 1 -maxdepth 1 2>/dev/null | sed 's/^/state: /'
}
process_name() { tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | cut -c 1-120; }
processes_of_suite() { # those that we started, and what they started
  grep --files-with-matches --null-data --line-regexp --fixed-strings --no-messages \
    "SYSBOX_E2E_OF=$SUITE" /proc/[0-9]*/environ | cut -d / -f 3
}

clean_leftovers() {
  local low high pid uid path
  read -r low high <<<"$(suite_ids)"
  for _ in {1..3}; do
    for pid in $(processes_of_suite); do kill -KILL "$pid" 2>/dev/null; done
    [[ -n $low ]] && while read -r pid uid; do
      ((uid < low || uid > high)) || kill -KILL "$pid" 2>/dev/null
    done < <(ps -e -o pid=,uid=)
    sleep 0.1
  done
  awk -v suite="$SUITE" 'index($0, suite) { print $5 }' /proc/self/mountinfo | tac |
    while read -r path; do umount --lazy "$path" 2>/dev/null; done
  find /sys/fs/cgroup -type d -name "*$SUITE*" -prune 2>/dev/null | while read -r path; do
    find "$path" -depth -type d -exec rmdir {} + 2>/dev/null
  done
  return 0
}

# Suites that were killed could not clean up: their names hold the pid that they had.
clean_dead_suites() {
  local dir
  for dir in /tmp/sysbox-e2e-*-*; do
    [[ -d $dir && ! -e /proc/${dir##*-} ]] || continue
    (
      SUITE=${dir##*/} SUITE_DIR=$dir
      clean_leftovers
      remove_subids
      rm -rf --one-file-system "$dir"
    )
  done
}

# What no container may change on the host: every kernel setting that does not change by itself,
# the cgroup hierarchies and how they are mounted.
host_settings() {
  find /proc/sys -type f -perm -u=r \
    ! -path '/proc/sys/kernel/random/*' ! -path '/proc/sys/net/*/conf/*' \
    ! -path '/proc/sys/net/*/neigh/*' ! -path '/proc/sys/fs/binfmt_misc/*' \
    ! -path '/proc/sys/fs/quota/*' ! -name 'dentry-state' ! -name 'inode-*' ! -name 'file-nr' ! -name 'aio-nr' \
    ! -name 'ns_last_pid' ! -name 'hung_task_detect_count' ! -name 'hung_task_warnings' ! -path '/proc/sys/kernel/pty/nr' ! -name 'perf_*' \
    ! -name 'nf_conntrack_count' ! -name 'flush' ! -name 'tainted' ! -name '*_key' \
    -exec grep -s '' {} + | sort
  awk '{ print $5, $6 }' /proc/self/mountinfo | grep '^/sys' | grep -v sysbox-e2e | sort
  cut -f 1,2 /proc/cgroups
  hostname
}
