# Cgroups by the runtime's own command line: limits at creation and by `update`, `events`, `ps`,
# `pause`, cgroups made inside, and systemd's driver. On cgroup v1, hybrid and v2.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start cgroups
  daemons_start
}
teardown_file() { suite_stop; }

teardown() {
  local id
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
}

is_v2() { [[ $(stat -f -c %T /sys/fs/cgroup) = cgroup2fs ]]; }
has_systemd() { [[ -d /run/systemd/system ]]; }
v1_or_v2() { if is_v2; then echo "$2"; else echo "$1"; fi; }

# The container's directory on the host, of a controller.
cgroup_dir() { # ID CONTROLLER
  if is_v2; then
    echo "/sys/fs/cgroup/$SUITE/$1"
  else
    echo "$(hierarchy_of "$2")/$SUITE/$1"
  fi
}
hierarchy_of() { # CONTROLLER of v1
  awk -v wanted="$1" '/ - cgroup / { count = split($NF, words, ",")
    for (i = 1; i <= count; i++) if (words[i] == wanted) { print $5; exit } }' /proc/self/mountinfo
}
limit_of() { # ID V1_FILE V2_FILE
  local file
  file=$(v1_or_v2 "$2" "$3")
  cat "$(cgroup_dir "$1" "${file%%.*}")/$file"
}
assert_limit() { # ID V1_FILE V2_FILE VALUE_V1 [VALUE_V2]
  assert_equal "$(limit_of "$1" "$2" "$3")" "$(v1_or_v2 "$4" "${5:-$4}")" "$(v1_or_v2 "$2" "$3") of $1"
}
assert_quota() { # ID QUOTA PERIOD
  if is_v2; then
    assert_equal "$(limit_of "$1" - cpu.max)" "${2/#-1/max} $3" cpu.max
  else
    assert_equal "$(limit_of "$1" cpu.cfs_quota_us -) $(limit_of "$1" cpu.cfs_period_us -)" "$2 $3" quota
  fi
}
has_file() { [[ -e $(cgroup_dir "$1" "${2%%.*}")/$2 ]]; }

# ---- update

limited='.linux.resources.memory = {limit: 33554432, reservation: 25165824}
  | .linux.resources.cpu = {shares: 100, quota: 500000, period: 1000000}
  | .linux.resources.pids = {limit: 20}'

@test "update: memory, reservation and swap by single flags" {
  start_idle limited "$limited"
  assert_limit limited memory.limit_in_bytes memory.max 33554432
  assert_limit limited memory.soft_limit_in_bytes memory.low 25165824
  runc update limited --memory 50M
  assert_limit limited memory.limit_in_bytes memory.max 52428800
  runc update --memory-reservation 33554432 limited
  assert_limit limited memory.soft_limit_in_bytes memory.low 33554432
  if has_file limited "$(v1_or_v2 memory.memsw.limit_in_bytes memory.swap.max)"; then
    runc update --memory 50M --memory-swap 92M limited
    assert_limit limited memory.memsw.limit_in_bytes memory.swap.max 96468992 $((96468992 - 52428800))
    runc update --memory 60M --memory-swap 80M limited
    assert_limit limited memory.memsw.limit_in_bytes memory.swap.max 83886080 20971520
    # The memory limit moves below the limit of both together, which stays.
    runc update --memory 40M limited
    assert_limit limited memory.memsw.limit_in_bytes memory.swap.max 83886080 41943040
    runc update --memory-swap -1 limited
  fi
  runc update --memory -1 limited
  assert_limit limited memory.limit_in_bytes memory.max 9223372036854771712 max
}

@test "update: cpu shares, quota and period, each by itself and together" {
  start_idle limited "$limited"
  assert_quota limited 500000 1000000
  assert_limit limited cpu.shares cpu.weight 100 17
  runc update limited --cpu-period 900000
  assert_quota limited 500000 900000
  runc update limited --cpu-quota 600000
  assert_quota limited 600000 900000
  runc update limited --cpu-quota -1
  assert_quota limited -1 900000
  runc update limited --cpu-share 1024
  assert_limit limited cpu.shares cpu.weight 1024 100
  runc update limited --cpu-quota 0 --cpu-period 0 --cpu-share 0
  assert_quota limited -1 900000
  runc update limited --cpu-period 100000 --cpu-quota 30000 --cpu-share 200
  assert_quota limited 30000 100000
}

@test "update: burst and idle" {
  start_idle limited "$limited"
  if has_file limited "$(v1_or_v2 cpu.cfs_burst_us cpu.max.burst)"; then
    runc update limited --cpu-period 900000 --cpu-burst 300000
    assert_matches "$(limit_of limited cpu.cfs_burst_us cpu.max.burst)" '^300(000)?$' # Linux 6.1 shows it / 1000
    runc update limited --cpu-burst 0
    assert_limit limited cpu.cfs_burst_us cpu.max.burst 0
  fi
  has_file limited cpu.idle || skip "this kernel has no cpu.idle"
  local value
  for value in 1 0 1; do
    runc update limited --cpu-idle "$value"
    assert_limit limited cpu.idle cpu.idle "$value"
  done
  runc update limited --cpu-period 10000
  assert_limit limited cpu.idle cpu.idle 1
  for value in -1 2; do
    run runc update limited --cpu-idle "$value"
    assert_failed cpu-idle
  done
}

@test "update: pids and cpuset; what is not named stays" {
  start_idle limited "$limited"
  runc update limited --pids-limit 10
  assert_limit limited pids.max pids.max 10
  runc update limited --memory 64M
  assert_limit limited pids.max pids.max 10
  runc update limited --pids-limit -1
  assert_limit limited pids.max pids.max max
  assert_quota limited 500000 1000000
  has_file limited cpuset.cpus || return 0
  runc update limited --cpuset-cpus 0 --cpuset-mems 0
  assert_limit limited cpuset.cpus cpuset.cpus 0
  run runc update limited --cpuset-cpus 4000
  assert_failed cpuset
}

@test "update: from a file and from standard input, as Kubernetes sends it" {
  start_idle limited "$limited"
  runc update -r - limited <<<'{"memory": {"limit": 67108864}, "cpu": {"shares": 512, "quota": 20000,
    "period": 100000}, "pids": {"limit": 15}, "devices": [{"allow": true, "access": "rwm"}],
    "hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}'
  assert_limit limited memory.limit_in_bytes memory.max 67108864
  assert_limit limited pids.max pids.max 15
  assert_quota limited 20000 100000
  echo '{"pids": {"limit": 16}}' >"$SUITE_DIR/resources.json"
  runc update --resources "$SUITE_DIR/resources.json" limited
  assert_limit limited pids.max pids.max 16
  run runc update -r - limited <<<'{"memory": {"limit": "much"}}'
  assert_failed resources.memory.limit
  run runc update -r /no/such/file limited
  assert_failed /no/such/file
}

@test "update: a wrong flag's value is named, Intel RDT is not there, kernel memory is ignored" {
  start_idle limited "$limited"
  run runc update limited --memory much
  assert_failed "invalid value for memory"
  run runc update limited --cpu-quota x
  assert_failed "invalid value for cpu-quota"
  run runc update limited --l3-cache-schema 'L3:0=f'
  assert_failed "Intel RDT/CAT"
  run runc update limited --mem-bw-schema 'MB:0=20'
  assert_failed "Intel RDT/MBA"
  run runc update limited --kernel-memory 50M
  assert_ok
  assert_contains "$output" "Kernel memory settings are ignored"
  run runc update nobody --memory 50M
  assert_failed "does not exist"
}

@test "update: a paused container stays paused, a stopped one is refused" {
  start_idle limited "$limited"
  runc pause limited
  runc update limited --pids-limit 30
  assert_equal "$(container_status limited)" paused
  runc resume limited
  runc kill limited KILL
  wait_for 10 is_status limited stopped
  run runc update limited --pids-limit 30
  assert_failed "not running"
}

@test "update: a memory limit below what is in use is rejected if that is asked for" {
  is_v2 || skip "cgroup v1 rejects it by itself"
  start_idle limited "$limited"
  run runc update -r - limited <<<'{"memory": {"limit": 1024, "checkBeforeUpdate": true}}'
  assert_failed "rejecting memory limit"
  run runc update -r - limited <<<'{"memory": {"limit": 1024, "swap": 2048, "checkBeforeUpdate": true}}'
  assert_failed "rejecting memory+swap limit"
  assert_equal "$(container_status limited)" running
}

@test "limits: unified files on v2, and refused where there is v1" {
  local unified='.linux.resources.unified = {"memory.min": "131072", "memory.high": "20971520",
    "pids.max": "99", "cpu.max": "10000 100000", "cpu.weight": "42"}'
  if ! is_v2; then
    run start_idle unified "$unified"
    assert_failed
    assert_contains "$(cat "$SUITE_DIR/log/unified.console")" "invalid configuration"
    return
  fi
  start_idle unified "$unified"
  assert_equal "$(limit_of unified - memory.min)" 131072
  assert_equal "$(limit_of unified - memory.high)" 20971520
  assert_equal "$(limit_of unified - pids.max)" 99
  assert_equal "$(limit_of unified - cpu.max)" "10000 100000"
  assert_equal "$(limit_of unified - cpu.weight)" 42
  runc update -r - unified <<<'{"unified": {"cpu.max": "max 100000", "cpu.weight": "16", "pids.max": "10"}}'
  assert_equal "$(limit_of unified - cpu.max)" "max 100000"
  assert_equal "$(limit_of unified - cpu.weight)" 16
  assert_equal "$(limit_of unified - pids.max)" 10
}

@test "limits: seen inside, cannot be changed from inside; cgroups of its own can be made" {
  start_idle limited "$limited"
  local file
  file=$(v1_or_v2 memory/memory.limit_in_bytes memory.max)
  assert_equal "$(inside limited cat "/sys/fs/cgroup/$file")" 33554432
  # On v1 the file inside is the container's own copy, below the host's: raising it gains nothing.
  inside limited sh -c "echo 999999999 >/sys/fs/cgroup/$file" 2>/dev/null || :
  inside limited sh -c "echo -1 >/sys/fs/cgroup/$file" 2>/dev/null || :
  assert_limit limited memory.limit_in_bytes memory.max 33554432
  inside limited sh -c "echo max >/sys/fs/cgroup/$(v1_or_v2 pids/pids.max pids.max)" 2>/dev/null || :
  assert_limit limited pids.max pids.max 20
  if is_v2; then
    run inside limited sh -c "echo max >/sys/fs/cgroup/memory.max"
    assert_failed
  fi
  # Twenty processes and no more, in whichever cgroup.
  run inside limited sh -c 'cd /sys/fs/cgroup/$([ -d /sys/fs/cgroup/pids ] && echo pids); mkdir inner &&
    echo 0 >inner/cgroup.procs; for i in $(seq 40); do sleep 3 & done'
  assert_contains "$output" "can't fork"
  run inside limited sh -c 'cat /proc/self/cgroup'
  [[ $output != *"$SUITE"* ]] || fail "sees the host's cgroups:" "$output"
}

# ---- cgroups that are there already

@test "a cgroup in use by another container is refused, and so is a frozen one" {
  local dir freezer
  start_idle first
  dir=$(bundle second ".linux.cgroupsPath = \"/$SUITE/first\"" true)
  run create --bundle "$dir" second
  assert_failed "container's cgroup is not empty"
  assert_equal "$(container_status first)" running
  remove_container first
  if is_v2; then
    freezer=/sys/fs/cgroup/$SUITE/first
  else
    freezer=/sys/fs/cgroup/freezer/$SUITE/first
  fi
  mkdir -p "$freezer"
  v1_or_v2 FROZEN 1 >"$freezer/$(v1_or_v2 freezer.state cgroup.freeze)"
  run create --bundle "$dir" second
  rmdir "$freezer"
  assert_failed "container's cgroup unexpectedly frozen"
}

@test "delete takes cgroups that were made inside, deep ones and frozen ones too" {
  start_idle nested
  inside nested sh -c 'cd /sys/fs/cgroup; [ -d pids ] && cd pids
    mkdir -p a/b/c/d e/f; sleep 1000 & echo $! >a/b/c/d/cgroup.procs' >/dev/null 2>&1
  if is_v2; then
    inside nested sh -c 'echo 1 >/sys/fs/cgroup/a/cgroup.freeze'
  fi
  runc delete --force nested
  assert_equal "$(find /sys/fs/cgroup -type d -path "*/$SUITE/nested*")" ""
}

@test "kill --all and ps reach processes in cgroups made inside" {
  start_idle nested
  runc exec --detach nested sh -c 'cd /sys/fs/cgroup; [ -d pids ] && cd pids
    mkdir -p a/b; echo 0 >a/b/cgroup.procs; exec sleep 1234' </dev/null >/dev/null 2>&1
  wait_for 5 grep -q . "$(cgroup_dir nested pids)$(is_v2 || echo /sysbox-delegated)/a/b/cgroup.procs"
  assert_contains "$(runc ps nested -e -o pid,args)" "sleep 1234"
  runc kill --all nested KILL
  wait_for 10 is_status nested stopped
  assert_equal "$(runc ps -f json nested)" null
}

# ---- ps, pause

@test "ps: the host's table, JSON, and any options of ps" {
  ps -ef >/dev/null || skip "ps -ef fails on this host"
  start_idle listed
  run runc ps listed
  assert_ok
  assert_matches "${lines[0]}" 'UID +PID +PPID +C +STIME +TTY +TIME +CMD'
  assert_contains "$output" " $(container_pid listed) "
  [[ $output != *" $$ "* ]] || fail "lists a process of the host" "$output"
  run runc ps listed -e -x
  assert_ok
  assert_matches "${lines[0]}" 'PID +TTY +STAT +TIME +COMMAND'
  run runc ps -f json listed
  assert_equal "$(jq "index($(container_pid listed)) != null" <<<"$output")" true
  run runc ps -f yaml listed
  assert_failed "invalid format"
  run runc ps listed -o nonsense
  assert_failed "ps failed"
  run runc ps listed -o comm
  assert_failed "couldn't find PID"
}

@test "pause: exec waits or is refused; resume of a running one is refused" {
  start_idle held
  run runc resume held
  assert_failed "not paused"
  runc pause held
  run runc pause held
  assert_failed
  run inside held echo ok
  assert_equal "$status" 255
  assert_contains "$output" "cannot exec in a paused container"
  runc resume held
  assert_equal "$(inside held echo ok)" ok
  runc pause held
  runc delete --force held
  run runc pause held
  assert_failed "does not exist"
}

@test "pause: a container that is not started yet" {
  local dir
  dir=$(bundle unborn . sleep 1000)
  runc create --bundle "$dir" unborn >/dev/null 2>&1 </dev/null
  runc pause unborn
  assert_equal "$(container_status unborn)" paused
  runc resume unborn
  assert_equal "$(container_status unborn)" created
  runc start unborn
  assert_equal "$(container_status unborn)" running
}

# ---- events

@test "events --stats: one line of numbers" {
  start_idle counted "$limited"
  inside counted sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done'
  run runc events --stats counted
  assert_ok
  assert_equal "${#lines[@]}" 1
  assert_matches "$output" '^\{"type":"stats","id":"counted","data":\{"cpu":\{'
  assert_equal "$(jq '.data.pids.limit' <<<"$output")" 20
  assert_equal "$(jq '.data.memory.usage.limit' <<<"$output")" 33554432
  jq -e '.data | .cpu.usage.total > 0 and .pids.current > 0 and .memory.usage.usage > 0
    and (.memory.raw | length > 5) and has("blkio") and has("hugetlb") and has("cpuset")
    and has("network_interfaces")' <<<"$output" || fail "$output"
  run runc events --interval 0 counted
  assert_failed "greater than 0"
  run runc events --interval soon counted
  assert_failed soon
  runc kill counted KILL
  wait_for 10 is_status counted stopped
  run runc events --stats counted
  assert_failed "is not running"
}

@test "events: numbers each interval until the container is gone" {
  start_idle counted
  runc events --interval 100ms counted >"$SUITE_DIR/events" &
  local reader=$!
  wait_for 20 several_lines "$SUITE_DIR/events"
  runc delete --force counted
  wait_for 20 process_is_gone "$reader"
  wait "$reader"
  assert_equal "$(jq -r .id "$SUITE_DIR/events" | sort -u)" counted
}
several_lines() { (($(wc -l <"$1") >= 3)); }

@test "events: a lack of memory is told" {
  start_idle hungry '.linux.resources.memory = {limit: 33554432, swap: 33554432}'
  runc events --interval 1h hungry >"$SUITE_DIR/events" &
  local reader=$!
  sleep 1
  runc exec --detach hungry sh -c 'tail /dev/zero' </dev/null >/dev/null 2>&1
  wait_for 30 grep -qx '{"type":"oom","id":"hungry"}' "$SUITE_DIR/events"
  runc delete --force hungry
  wait_for 20 process_is_gone "$reader"
}

# ---- systemd's driver

@test "--systemd-cgroup on a host without systemd: one clear error, nothing left" {
  has_systemd && skip "systemd runs on this host"
  local dir
  dir=$(bundle scoped '.linux.cgroupsPath = "system.slice:test:scoped"' true)
  run create_by_systemd "$dir" scoped
  assert_failed "give the engine the cgroupfs driver"
  run runc list --quiet
  assert_equal "$output" ""
}
create_by_systemd() { # BUNDLE ID
  local code=0
  runc --systemd-cgroup create --bundle "$1" "$2" >"$SUITE_DIR/log/create" 2>&1 </dev/null || code=$?
  cat "$SUITE_DIR/log/create"
  return "$code"
}

# A slice and a scope of this suite's; sets $scope and $scope_dir.
start_scoped() { # NAME [JQ_FILTER]
  local slice=sysbox-${SUITE##*-}.slice dir
  scope=test-$SUITE-$1.scope
  scope_dir=/sys/fs/cgroup/sysbox.slice/$slice/$scope
  dir=$(bundle "$1" ".linux.cgroupsPath = \"$slice:test:$SUITE-$1\" | ${2:-.}" \
    sh -c 'trap "exit 0" TERM; while :; do sleep 5000 & wait; done')
  runc --systemd-cgroup run --detach --bundle "$dir" "$1" >"$SUITE_DIR/log/$1.console" 2>&1 </dev/null ||
    { cat "$SUITE_DIR/log/$1.console" >&2 && return 1; }
}
property() { systemctl show --property "$1" --value "$scope"; }
needs_systemd_on_v2() {
  has_systemd || skip "no systemd on this host"
  is_v2 || skip "its cgroup v1 layout is not there"
}

@test "systemd: a scope in its slice, delegated, limits as properties and in the files" {
  needs_systemd_on_v2
  start_scoped scoped "$limited"
  assert_equal "$(property ActiveState)" active
  assert_equal "$(property Delegate)" yes
  assert_equal "$(property ControlGroup)" "${scope_dir#/sys/fs/cgroup}"
  assert_equal "$(property MemoryMax)" 33554432
  assert_equal "$(property MemoryLow)" 25165824
  assert_equal "$(property TasksMax)" 20
  assert_equal "$(property CPUWeight)" 17
  assert_equal "$(property CPUQuotaPerSecUSec)" 500ms
  assert_equal "$(property DevicePolicy)" strict
  assert_equal "$(cat "$scope_dir/memory.max")" 33554432
  assert_equal "$(cat "$scope_dir/cpu.max")" "500000 1000000"
  assert_contains "$(cat "/proc/$(container_pid scoped)/cgroup")" "$scope"
  assert_equal "$(cat "$scope_dir/cgroup.procs")" "" "processes in the inner node"
  # Its own processes only: what kept the scope open is gone.
  assert_equal "$(head -n 1 "$scope_dir/init.scope/cgroup.procs")" "$(container_pid scoped)"
  inside scoped sh -c 'mkdir /sys/fs/cgroup/inner && echo 0 >/sys/fs/cgroup/inner/cgroup.procs &&
    echo +pids >/sys/fs/cgroup/cgroup.subtree_control'
  # A reload writes the properties again.
  systemctl daemon-reload
  assert_equal "$(cat "$scope_dir/memory.max")" 33554432
  assert_equal "$(inside scoped echo alive)" alive
  runc delete --force scoped
  [[ ! -e $scope_dir ]] || fail "$scope_dir is still there"
  assert_equal "$(property LoadState)" not-found
}

@test "systemd: update sets properties and files" {
  needs_systemd_on_v2
  start_scoped scoped "$limited"
  runc update scoped --memory 64M --pids-limit 10 --cpu-share 200
  assert_equal "$(property MemoryMax)" 67108864
  assert_equal "$(property TasksMax)" 10
  assert_equal "$(property CPUWeight)" "$(cat "$scope_dir/cpu.weight")"
  assert_equal "$(cat "$scope_dir/pids.max")" 10
  runc update scoped --cpu-period 900000
  assert_equal "$(property CPUQuotaPeriodUSec)" 900ms
  assert_equal "$(cat "$scope_dir/cpu.max")" "504000 900000" # whole percents
  runc update scoped --cpu-quota -1 --cpu-period 100000
  assert_equal "$(property CPUQuotaPerSecUSec)" infinity
  runc update scoped --memory -1 --pids-limit -1
  assert_equal "$(property MemoryMax)" infinity
  assert_equal "$(property TasksMax)" infinity
  runc update -r - scoped <<<'{"unified": {"memory.high": "30000000", "pids.max": "12"}}'
  assert_equal "$(property MemoryHigh)" 30000000
  assert_equal "$(property TasksMax)" 12
}

@test "systemd: annotations set harmless properties; others are refused by name" {
  needs_systemd_on_v2
  start_scoped scoped '.annotations = {"org.systemd.property.TimeoutStopUSec": "uint64 12000000",
    "org.systemd.property.CollectMode": "'\''inactive-or-failed'\''"}'
  assert_equal "$(property TimeoutStopUSec)" 12s
  assert_equal "$(property CollectMode)" inactive-or-failed
  remove_container scoped
  run start_scoped refused '.annotations = {"org.systemd.property.OnFailure": "['\''x.service'\'']"}'
  assert_failed org.systemd.property.OnFailure
  run start_scoped refused '.annotations = {"org.systemd.property.TimeoutStopUSec": "uint64 x"}'
  assert_failed org.systemd.property.TimeoutStopUSec
}

@test "systemd: pause, exec, kill; the scope ends with the container, and the name is free again" {
  needs_systemd_on_v2
  start_scoped scoped
  runc pause scoped
  assert_equal "$(container_status scoped)" paused
  runc resume scoped
  assert_equal "$(inside scoped echo alive)" alive
  run start_scoped_again
  assert_failed "container's cgroup is not empty"
  runc kill scoped KILL
  wait_for 10 is_status scoped stopped
  runc delete scoped
  start_scoped scoped
  assert_equal "$(inside scoped echo alive)" alive
}
start_scoped_again() {
  local dir=$SUITE_DIR/bundles/scoped
  create_by_systemd "$dir" another
}

@test "systemd: create killed in the middle leaves no scope after delete --force" {
  needs_systemd_on_v2
  local dir delay pid
  start_scoped scoped
  dir=$SUITE_DIR/bundles/scoped
  remove_container scoped
  for delay in 0.02 0.05 0.1 0.2; do
    SYSBOX_E2E_OF=$SUITE "$SYSBOX_RUNC" --root "$SUITE_DIR/root" --systemd-cgroup create \
      --bundle "$dir" scoped >/dev/null 2>&1 </dev/null 3>&- 4>&- &
    pid=$!
    sleep "$delay"
    kill -KILL "$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
    run runc delete --force scoped
    assert_ok
    wait_for 10 scope_is_gone
  done
}
scope_is_gone() { [[ ! -e $scope_dir ]]; }

@test "nothing is left behind, and no setting of the host has changed" {
  suite_left_nothing
}
