# What runs in a container and how: the process of config.json and of exec, hooks, terminals, the
# command line itself. In the order of a container's life.
# shellcheck shell=bash
# shellcheck disable=SC2016 # for the shell inside

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start process
  daemons_start
}
teardown_file() { suite_stop; }
teardown() {
  local id
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
}

nothing_left_of() { # ID
  local left
  left=$(
    find /sys/fs/cgroup -type d -path "*/$SUITE/$1" -prune
    ls -d "$SUITE_DIR/root/$1" 2>/dev/null
    grep -F "$SUITE_DIR/bundles/$1/" /proc/self/mountinfo
  ) || :
  [[ -z $left ]] || fail "left of container $1:" "$left"
}
field() { runc state "$1" | jq -r "$2"; } # ID JQ_FILTER
# A program that listens on a datagram socket and appends what it gets to a file.
listen_for_datagrams() { # SOCKET FILE
  python3 - "$1" "$2" <<'P' 3>&- 4>&- &
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    data, fds, _, _ = socket.recv_fds(s, 4096, 4)
    for fd in fds: os.close(fd)
    with open(sys.argv[2], "a") as f: f.write(data.decode() + "\n")
P
  listener=$!
}

# ---- the command line

@test "help: of the program and of every command, by -h, --help and help" {
  local command
  run runc --help
  assert_ok
  assert_contains "${lines[1]}" "- Open Container Initiative runtime"
  for command in checkpoint create delete exec features kill list pause ps restore resume run spec \
    start state update; do
    assert_contains "$output" "   $command "
    run runc "$command" -h
    assert_ok
    assert_equal "${lines[0]}" NAME:
    assert_contains "${lines[1]}" "sysbox-runc $command - "
    assert_equal "$(runc help "$command")" "$(runc "$command" --help)"
    run runc --help
  done
  run runc frobnicate -h
  assert_failed "No help topic for 'frobnicate'"
}

@test "checkpoint, restore and init say what they are not, and features agrees" {
  run runc checkpoint --image-path /x --leave-running some
  assert_failed "not supported"
  run runc restore --detach --bundle /x some
  assert_failed "not supported"
  run runc init
  assert_failed "internal"
  assert_equal "$(runc features | jq -r '.annotations["org.opencontainers.runc.checkpoint.enabled"]')" false
}

@test "--version has runc's lines" {
  run runc -v
  assert_matches "${lines[0]}" 'runc version [0-9]+\.[0-9]+\.[0-9]+'
  assert_matches "${lines[1]}" '^commit: .'
  assert_matches "${lines[2]}" '^spec: [0-9]+\.[0-9]+\.[0-9]+'
}

@test "--debug tells of each step, the init's too, in text and JSON, to a file or standard error" {
  local dir
  dir=$(bundle debugged . echo Hello)
  run runc --debug run --bundle "$dir" debugged </dev/null
  assert_ok
  assert_contains "$output" level=debug
  assert_contains "$output" "nsexec container setup"
  assert_contains "$output" "child process in init()"
  assert_contains "$output" "init: closing the pipe to signal completion"
  run runc --debug --log "$SUITE_DIR/debug.json" --log-format json run --bundle "$dir" debugged </dev/null
  assert_equal "$output" Hello
  assert_equal "$(jq -r 'select(.msg | test("child process in init")) | .level' "$SUITE_DIR/debug.json")" debug
  start_idle debugged
  run runc --debug exec debugged true </dev/null
  assert_contains "$output" "setns_init: about to exec"
}

@test "list shows owner, bundle and state; as JSON what state shows" {
  start_idle listed
  run runc list
  assert_matches "${lines[0]}" '^ID +PID +STATUS +BUNDLE +CREATED +OWNER$'
  assert_matches "${lines[1]}" "^listed +[0-9]+ +running +$SUITE_DIR/bundles/listed +[0-9T:.-]+Z +root\$"
  assert_equal "$(runc list -f json | jq -r '.[0].owner')" root
  assert_equal "$(runc list -f json | jq 'del(.[0].owner) | .[0]')" "$(runc state listed | jq 'del(.owner)')"
  assert_equal "$(field listed .rootfs)" "$SUITE_DIR/bundles/listed/rootfs"
}

@test "delete: of a paused container, and of one whose state is damaged: one line, and --force" {
  start_idle paused
  runc pause paused
  runc delete --force paused
  nothing_left_of paused
  start_idle damaged
  cp "$SUITE_DIR/root/damaged/state.json" "$SUITE_DIR/state.json"
  echo '{"version": 2, "id":' >"$SUITE_DIR/root/damaged/state.json"
  run runc state damaged
  assert_failed "delete --force damaged"
  assert_equal "${#lines[@]}" 1 "number of lines"
  # The pid is lost with the file: so it has to end first.
  cp "$SUITE_DIR/state.json" "$SUITE_DIR/root/damaged/state.json"
  runc kill damaged KILL
  wait_for 10 is_status damaged stopped
  echo '{"version": 2, "id":' >"$SUITE_DIR/root/damaged/state.json"
  run runc delete --force damaged
  assert_ok
  [[ ! -e $SUITE_DIR/root/damaged ]]
  # Its cgroups too.
  find /sys/fs/cgroup -depth -type d -path "*/$SUITE/damaged*" -exec rmdir {} +
}

@test "kill: names in every spelling; --all of a stopped container is content" {
  local signal
  for signal in term SIGTERM sigterm 15; do
    start_idle spelled
    wait_for 10 catches_term spelled
    runc kill spelled "$signal"
    wait_for 10 is_status spelled stopped
    run runc kill spelled 0
    assert_failed "container not running"
    run runc kill -a spelled 0
    assert_ok
    runc delete spelled
  done
}

@test "two starts at once, and a delete beside a start: one wins, the others are told why" {
  local dir codes=() pids=() pid code
  dir=$(bundle raced . sleep 1000)
  runc create --bundle "$dir" raced >/dev/null 2>&1 </dev/null
  for _ in 1 2 3; do
    runc start raced >/dev/null 2>>"$SUITE_DIR/log/raced" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    code=0
    wait "$pid" || code=$?
    codes+=("$code")
  done
  assert_equal "$(printf '%s\n' "${codes[@]}" | grep -cx 0)" 1 "number of winners"
  assert_contains "$(cat "$SUITE_DIR/log/raced")" "cannot start an already running container"
  runc delete --force raced
  runc create --bundle "$dir" raced >/dev/null 2>&1 </dev/null
  runc start raced >/dev/null 2>&1 &
  pid=$!
  run runc delete --force raced
  assert_ok
  wait "$pid" || :
  nothing_left_of raced
}

@test "run --keep leaves the stopped container for delete; --no-pivot is accepted" {
  local dir
  dir=$(bundle kept . sh -c 'exit 3')
  run runc run --keep --no-pivot --bundle "$dir" kept </dev/null
  assert_equal "$status" 3
  assert_equal "$(container_status kept)" stopped
  assert_equal "$(field kept .pid)" 0
  runc delete kept
  nothing_left_of kept
}

# ---- the process

@test "environment: the last of each name, HOME from /etc/passwd, by user" {
  run run_once '.process.env = ["HOME=", "PATH=/bin", "ONE=two", "ONE=three"]' env
  assert_ok
  assert_equal "$(sort <<<"$output" | tr '\n' ' ')" "HOME=/root ONE=three PATH=/bin "
  run run_once '.process.env += ["HOME=/mine"]' sh -c 'echo $HOME'
  assert_equal "$output" /mine
  run run_once '.process.user.uid = 1234' sh -c 'echo $HOME'
  assert_equal "$output" /
}

@test "HOME: whatever an image has for /etc/passwd, the container starts" {
  local dir kind
  for kind in fifo device huge nonsense outside; do
    dir=$(bundle strange . sh -c 'echo $HOME')
    rm -f "$dir/rootfs/etc/passwd"
    case $kind in
      fifo) mkfifo "$dir/rootfs/etc/passwd" ;;
      device) ln -s /dev/zero "$dir/rootfs/etc/passwd" ;;
      huge) truncate -s 10G "$dir/rootfs/etc/passwd" ;;
      nonsense) printf '::::::\n\n0\n\0\0:x:0:0::nowhere:\nroot:x:0:0' >"$dir/rootfs/etc/passwd" ;;
      outside)
        echo 'root:x:0:0::/of-the-host:' >"$SUITE_DIR/passwd"
        ln -s "../../../../../..$SUITE_DIR/passwd" "$dir/rootfs/etc/passwd"
        ;;
    esac
    run timeout 20 bash -c '"$@" </dev/null 3>&- 4>&-' - "$SYSBOX_RUNC" --root "$SUITE_DIR/root" run --bundle "$dir" strange
    assert_ok
    assert_equal "$output" / "HOME with $kind"
  done
}

@test "umask and additional groups, of the container and of what is executed in it" {
  start_idle masked '.process.user = {uid: 0, gid: 0, umask: 63, additionalGids: [7, 65534]}'
  assert_matches "$(inside masked grep '^Umask:' /proc/1/status)" 0077
  assert_matches "$(inside masked grep '^Umask:' /proc/self/status)" 0077
  assert_equal "$(inside masked id -G)" "0 7 65534"
  run runc exec --user 1000:1000 --additional-gids 100 masked id -G </dev/null
  assert_equal "$output" "1000 7 100 65534"
}

@test "scheduler, I/O priority and CPU affinity, of the container and of what is executed in it" {
  local last=$(($(nproc) - 1))
  start_idle scheduled '.process.scheduler = {policy: "SCHED_BATCH", nice: 19}
    | .process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 4}
    | .process.execCPUAffinity = {initial: "0", final: "'$last'"}'
  local pid
  pid=$(container_pid scheduled)
  run chrt -p "$pid"
  assert_contains "$output" SCHED_BATCH
  assert_equal "$(ionice -p "$pid")" "best-effort: prio 4"
  runc exec --detach --pid-file "$SUITE_DIR/pid" scheduled sleep 100 </dev/null >/dev/null 2>&1
  pid=$(cat "$SUITE_DIR/pid")
  assert_contains "$(chrt -p "$pid")" SCHED_BATCH
  assert_equal "$(ionice -p "$pid")" "best-effort: prio 4"
  assert_equal "$(sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$pid/status")" "$last"
  jq -n '{args: ["sleep", "100"], cwd: "/", ioPriority: {class: "IOPRIO_CLASS_IDLE"},
    env: ["PATH=/bin"], scheduler: {policy: "SCHED_IDLE"}, execCPUAffinity: {initial: "0"}}' >"$SUITE_DIR/process.json"
  runc --debug --log "$SUITE_DIR/affinity.log" exec --detach --pid-file "$SUITE_DIR/pid" \
    --process "$SUITE_DIR/process.json" scheduled </dev/null >/dev/null 2>&1
  pid=$(cat "$SUITE_DIR/pid")
  assert_contains "$(chrt -p "$pid")" SCHED_IDLE
  assert_equal "$(ionice -p "$pid")" idle
  assert_matches "$(cat "$SUITE_DIR/affinity.log")" 'nsexec.*: affinity: 0x1"'
}

@test "the caller's own CPU affinity is no affair of the container" {
  local all
  all=$(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)
  local dir
  dir=$(bundle free . grep Cpus_allowed_list /proc/self/status)
  run taskset -c 0 "$SYSBOX_RUNC" --root "$SUITE_DIR/root" run --bundle "$dir" free </dev/null 3>&- 4>&-
  assert_equal "$output" "Cpus_allowed_list:	$all"
}

@test "linux.personality: of the container and of what is executed in it" {
  local on_32_bits
  on_32_bits=$(setarch linux32 uname -m) # not every kernel tells a difference
  run run_once '.linux.personality = {domain: "LINUX32"}' uname -m
  assert_equal "$output" "$on_32_bits"
  start_idle old '.linux.personality = {domain: "LINUX32"}'
  assert_equal "$(inside old uname -m)" "$on_32_bits"
  run run_once '.linux.personality = {domain: "LINUX"}' uname -m
  assert_equal "$output" "$(uname -m)"
}

@test "AppArmor and SELinux: what the host does not have is refused by name, nothing is left" {
  local dir
  [[ ! -e /sys/fs/selinux/enforce ]] || skip "the host has SELinux"
  dir=$(bundle labelled '.process.selinuxLabel = "system_u:system_r:container_t:s0"' true)
  run runc run --bundle "$dir" labelled </dev/null
  assert_failed "process.selinuxLabel"
  nothing_left_of labelled
  [[ ! -e /sys/kernel/security/apparmor ]] || skip "the host has AppArmor"
  start_idle plain
  run runc exec --apparmor no-such-profile plain true </dev/null
  assert_failed "process.apparmorProfile"
  assert_contains "$output" no-such-profile
}

@test "a created container waits with nothing of the host's open" {
  local dir pid fd target
  dir=$(bundle waiting . true)
  runc create --bundle "$dir" waiting >/dev/null 2>&1 </dev/null
  pid=$(container_pid waiting)
  for fd in "/proc/$pid/fd/"*; do
    target=$(readlink "$fd")
    [[ $target = */exec.fifo || $target = /dev/null || $target = pipe:* ]] ||
      fail "descriptor ${fd##*/} is $target"
  done
}

@test "a program that cannot be run: runc's words, and nothing else on standard error" {
  local dir
  dir=$(bundle wrong . /run.sh)
  printf '#!/no/such/interpreter\n' >"$dir/rootfs/run.sh"
  chmod +x "$dir/rootfs/run.sh"
  run runc run --bundle "$dir" wrong </dev/null
  assert_failed
  assert_equal "$output" "exec /run.sh: no such file or directory"
  nothing_left_of wrong
  run run_once . no-such-program
  assert_failed 'exec: \"no-such-program\": executable file not found in $PATH'
  run run_once . /etc/passwd
  assert_failed "permission denied"
}

# ---- exec

@test "exec: exit codes" {
  start_idle codes
  run inside codes false
  assert_equal "$status" 1
  run inside codes sh -c 'exit 42'
  assert_equal "$status" 42
  run inside codes sh -c 'kill -9 $$'
  assert_equal "$status" 137
  run inside codes no-such-binary
  assert_equal "$status" 255
  run runc exec --pid-file /no/such/directory codes true </dev/null
  assert_equal "$status" 255
  run inside no-such-container true
  assert_equal "$status" 255
  run runc exec codes </dev/null
  assert_equal "$status" 255
}

@test "exec: of a paused or stopped container is refused" {
  start_idle still
  runc pause still
  run inside still true
  assert_failed "cannot exec in a paused container (use --ignore-paused to override)"
  runc resume still
  runc kill still KILL
  wait_for 10 is_status still stopped
  run inside still true
  assert_failed "cannot exec in a stopped container"
}

@test "exec --cap adds to bounding, effective and permitted sets, and to no other" {
  start_idle capped '.process.user.uid = 1000'
  run runc exec --user 1000 --cap CAP_KILL capped grep Cap /proc/self/status </dev/null
  assert_ok
  assert_matches "$output" 'CapInh:	0+'$'\n'
  assert_matches "$output" 'CapAmb:	0+$'
  run runc exec --cap CAP_NONSENSE capped true </dev/null
  assert_failed CAP_NONSENSE
}

@test "exec --no-new-privs, --process-label, and a process file's defaults from the container" {
  start_idle defaults '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}]'
  assert_equal "$(runc exec --no-new-privs defaults sed -n 's/^NoNewPrivs:\t//p' /proc/self/status </dev/null)" 1
  assert_equal "$(inside defaults sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)" 0
  echo '{"args": ["sh", "-c", "ulimit -n"], "cwd": "/", "env": ["PATH=/bin"]}' >"$SUITE_DIR/process.json"
  assert_equal "$(runc exec --process "$SUITE_DIR/process.json" defaults </dev/null)" 100
}

@test "exec --cgroup: a cgroup below the container's own, made inside" {
  local top=/sys/fs/cgroup controller=
  [[ -e /sys/fs/cgroup/cgroup.controllers ]] || { top=/sys/fs/cgroup/pids && controller=pids:; }
  start_idle nested
  run runc exec --cgroup .. nested true </dev/null
  assert_failed " .. is not a sub cgroup path"
  run runc exec --cgroup "${controller}nonexistent" nested true </dev/null
  assert_failed "/nonexistent/cgroup.procs: no such file"
  assert_contains "$output" " adding pid "
  run runc exec --cgroup whaaat:/ nested true </dev/null
  assert_failed "unknown controller "
  inside nested mkdir "$top/inner"
  run runc exec --cgroup "${controller}inner" nested cat /proc/self/cgroup </dev/null
  assert_ok
  assert_matches "$output" '/inner'
}

@test "--pidfd-socket: of create and exec; the pidfd is of the process" {
  cat >"$SUITE_DIR/pidfd.py" <<'P'
import os, signal, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.bind(sys.argv[1])
s.listen()
c, _ = s.accept()
data, fds, _, _ = socket.recv_fds(c, 100, 1)
print(data.decode(), flush=True)
sys.stdin.readline()
signal.pidfd_send_signal(fds[0], signal.SIGKILL)
P
  local dir
  dir=$(bundle watched . sleep 1000)
  mkfifo "$SUITE_DIR/go"
  python3 "$SUITE_DIR/pidfd.py" "$SUITE_DIR/pidfd.sock" <"$SUITE_DIR/go" >"$SUITE_DIR/pidfd.out" 3>&- 4>&- &
  exec 5>"$SUITE_DIR/go"
  wait_for 10 test -S "$SUITE_DIR/pidfd.sock"
  runc create --pidfd-socket "$SUITE_DIR/pidfd.sock" --bundle "$dir" watched >/dev/null 2>&1 </dev/null 5>&-
  wait_for 10 grep -qx standard "$SUITE_DIR/pidfd.out"
  runc start watched 5>&-
  assert_equal "$(container_status watched)" running
  echo >&5
  exec 5>&-
  wait_for 10 is_status watched stopped
}

@test "terminal: the process's user owns it, its size is that of the spec or of the caller's terminal" {
  local dir
  dir=$(bundle sized '.process.terminal = true | .process.consoleSize = {height: 10, width: 110}
    | .process.user = {uid: 1000, gid: 100}' sh -c 'stty size; stat -c %u $(tty)')
  SYSBOX_E2E_OF=$SUITE run timeout 30 "$SYSBOX_RUNC" --root "$SUITE_DIR/root" run --bundle "$dir" sized </dev/null 3>&- 4>&-
  assert_ok
  assert_equal "${lines[0]%$'\r'}" "10 110"
  assert_equal "${lines[1]%$'\r'}" 1000
  dir=$(bundle sized '.process.terminal = true' sh -c 'stty size')
  SYSBOX_E2E_OF=$SUITE run timeout 30 script --quiet --return --command \
    "stty rows 33 cols 99; $SYSBOX_RUNC --root $SUITE_DIR/root run --bundle $dir sized" /dev/null </dev/null 3>&- 4>&-
  assert_contains "$output" "33 99"
}

@test "LISTEN_FDS: the sockets that the caller was given are the process's" {
  local dir
  dir=$(bundle activated . sh -c 'echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3')
  echo passed >"$SUITE_DIR/activation"
  run bash -c 'LISTEN_FDS=1 LISTEN_FDNAMES=web LISTEN_PID=$BASHPID exec "$@" </dev/null 3<"$0" 4>&-' \
    "$SUITE_DIR/activation" "$SYSBOX_RUNC" --root "$SUITE_DIR/root" run --bundle "$dir" activated
  assert_ok
  assert_equal "$output" "$(printf '1 1 web\npassed')"
}

@test "NOTIFY_SOCKET: the service manager learns that the container is ready, and its pid" {
  local dir listener manager=$SUITE_DIR/manager.sock said=$SUITE_DIR/said
  dir=$(bundle notifying . sh -c 'echo $NOTIFY_SOCKET; ls -l $NOTIFY_SOCKET; sleep 1000')
  listen_for_datagrams "$manager" "$said"
  wait_for 10 test -S "$manager"
  NOTIFY_SOCKET=$manager runc run --detach --bundle "$dir" notifying >"$SUITE_DIR/console" 2>&1 </dev/null &
  local runtime=$!
  wait_for 10 grep -q "^s.* /run/notify/notify.sock" "$SUITE_DIR/console"
  assert_equal "$(head -n 1 "$SUITE_DIR/console")" /run/notify/notify.sock
  kill -0 "$runtime" || fail "run ended before the container was ready"
  # What a program inside would send.
  python3 - "/proc/$(container_pid notifying)/root/run/notify/notify.sock" <<'P'
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
os.chdir(os.path.dirname(sys.argv[1]))
s.sendto(b"STATUS=almost\n", "notify.sock")
s.sendto(b"STATUS=there\nREADY=1\n", "notify.sock")
P
  wait "$runtime"
  kill "$listener"
  assert_equal "$(grep -v '^$' "$said")" "$(printf 'READY=1\nMAINPID=%s\nBARRIER=1' "$(container_pid notifying)")"
  runc delete --force notifying
  nothing_left_of notifying
}

# ---- hooks

hook() { # KIND COMMAND: a filter that adds a hook of the host's shell
  jq -n --arg kind "$1" --arg command "$2" -r \
    '".hooks.\($kind) += [{path: \"/bin/sh\", args: [\"sh\", \"-c\", \($command | @json)]}]"'
}

@test "hooks: each kind sees its own state on standard input, and runs in its turn" {
  local dir filter=. kind log=$SUITE_DIR/hooks
  for kind in prestart createRuntime poststart poststop; do
    filter+=" | $(hook "$kind" "jq -c --arg kind $kind '{kind: \$kind, status, id, bundle, pid, annotations, at: \"'\$PWD'\"}' >>$log")"
  done
  filter+=' | .annotations = {"some.key": "value"}'
  # No jq inside.
  filter+=" | $(hook createContainer 'cat >/dev/shm/never 2>/dev/null; true')"
  filter+=" | $(hook startContainer 'cat >/started')"
  dir=$(bundle hooked "$filter" sleep 1000)
  runc create --bundle "$dir" hooked >"$SUITE_DIR/console" 2>&1 </dev/null || fail "$(cat "$SUITE_DIR/console")"
  local pid
  pid=$(container_pid hooked)
  assert_equal "$(jq -r .kind "$log" | tr '\n' ' ')" "prestart createRuntime "
  assert_equal "$(jq -r '"\(.status) \(.id) \(.bundle) \(.pid) \(.at) \(.annotations["some.key"])"' "$log" | sort -u)" \
    "creating hooked $dir $pid $dir value"
  runc start hooked
  assert_equal "$(tail -n 1 "$log" | jq -r '"\(.kind) \(.status) \(.pid)"')" "poststart running $pid"
  wait_for 5 test -s "$dir/rootfs/started"
  assert_equal "$(jq -r '"\(.status) \(.pid)"' "$dir/rootfs/started")" "created 1"
  runc delete --force hooked
  assert_equal "$(tail -n 1 "$log" | jq -r '"\(.kind) \(.status) \(.pid)"')" "poststop stopped null"
}

@test "hooks: the first that fails ends the container, with its name and last words" {
  local kind dir log=$SUITE_DIR/failing
  for kind in prestart createRuntime createContainer startContainer poststart; do
    rm -f "$log"
    dir=$(bundle failing "$(hook "$kind" true) | $(hook "$kind" 'echo the reason >&2; exit 3') | $(hook "$kind" "touch $log.after")
      | $(hook poststop "echo gone >>$log")" sleep 1000)
    run timeout 60 bash -c '"$@" </dev/null 3>&- 4>&-' - "$SYSBOX_RUNC" --root "$SUITE_DIR/root" run --bundle "$dir" failing
    assert_failed "error running $kind hook #1:"
    assert_contains "$output" "the reason"
    [[ ! -e $log.after ]] || fail "went on after a failure"
    assert_equal "$(cat "$log")" gone "poststop after $kind"
    nothing_left_of failing
  done
}

@test "hooks: a timeout kills, poststop's failure is only a warning, a hook has no environment but its own" {
  local dir
  dir=$(bundle slow '.hooks.createRuntime = [{path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1}]' true)
  run runc run --bundle "$dir" slow </dev/null
  assert_failed timeout
  nothing_left_of slow
  dir=$(bundle slow ".hooks.poststop = [{path: \"/bin/false\"}, {path: \"/bin/sh\", args: [\"sh\", \"-c\", \"env >$SUITE_DIR/env\"], env: [\"ONLY=this\"]}]" true)
  run runc run --bundle "$dir" slow </dev/null
  assert_ok
  assert_contains "$output" "error running poststop hook #0"
  assert_equal "$(grep -vE '^(PWD|SHLVL|_)=' "$SUITE_DIR/env")" ONLY=this
}

@test "hooks: startContainer has the container's environment" {
  run run_once '.process.env = ["PATH=/bin", "ONE=two"]
    | .hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "test $ONE = two && test -n \"$HOME\""]}]' echo ran
  assert_ok
  assert_equal "$output" ran
}

@test "nothing is left behind, and no setting of the host has changed" {
  suite_left_nothing
}
