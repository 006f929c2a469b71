# Namespaces that exist already: made by an engine before it calls the runtime, or of another
# container. The bundles are written as engines write them, without the engine.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start namespaces
  daemons_start
}
teardown_file() { suite_stop; }

teardown() {
  local id
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
  unpin_all
}

# What an engine does: namespaces made by a process that ends, held by their files. The ids of the
# user namespace are the suite's N-th range from its end.
pinned() { echo "$SUITE_DIR/pinned/$1"; }
pin() { # N OPTION...: for unshare(1); pins what it makes at pinned/{user,net,ipc,uts,pid}
  local pid low high first file
  read -r low high <<<"$(suite_ids)"
  first=$((high + 1 - $1 * 65536))
  mkdir -p "$SUITE_DIR/pinned"
  SYSBOX_E2E_OF=$SUITE unshare "${@:2}" sleep 1000 </dev/null >/dev/null 2>&1 3>&- 4>&- &
  pid=$!
  disown "$pid"
  wait_for 10 has_left_ours "$pid" "${2#--}"
  if [[ " $* " = *' --user '* ]]; then
    echo "0 $first 65536" >"/proc/$pid/uid_map"
    echo "0 $first 65536" >"/proc/$pid/gid_map"
  fi
  for file in user net ipc uts; do
    [[ " $* " = *" --$file "* ]] || continue
    touch "$(pinned "$file")"
    mount --bind "/proc/$pid/ns/$file" "$(pinned "$file")"
  done
  kill "$pid"
  wait_for 10 process_is_gone "$pid" # until then it has the ids
}
has_left_ours() { [[ $(readlink "/proc/$1/ns/$2") != "$(readlink "/proc/self/ns/$2")" ]]; }
unpin_all() {
  local file
  for file in "$SUITE_DIR"/pinned/*; do
    [[ ! -e $file ]] || { umount "$file" && rm "$file"; }
  done
}
# jq filters: the spec names a namespace by path, and has a user namespace
path_of() { echo ".linux.namespaces |= map(if .type == \"$1\" then .path = \"$2\" else . end)"; }
user_path() { echo ".linux.namespaces += [{type: \"user\", path: \"$1\"}]"; }
ns_of() { echo "/proc/$(container_pid "$1")/ns/$2"; } # CONTAINER FILE
same_namespace() { # CONTAINER FILE PATH
  assert_equal "$(stat -Lc %i "$(ns_of "$1" "$2")")" "$(stat -Lc %i "$3")" "$2 namespace of $1"
}
first_uid_of() { awk 'NR == 1 { print $2 }' "/proc/$(container_pid "$1")/uid_map"; }
free_ranges() {
  perl -MIO::Socket::UNIX -e '$/ = "\0"; $mgr = IO::Socket::UNIX->new(Peer => shift) or die $!;
    print $mgr "{\"method\":\"io.sysbox.manager.List\",\"parameters\":{}}\0"; $mgr->flush;
    $_ = <$mgr>; chomp; print' "$SYSBOX_MGR_SOCKET" | jq .parameters.free_ranges
}

@test "a pod: user and network namespace of the engine, shared by two containers" {
  pin 1 --user --net
  local filter before
  before=$(free_ranges)
  filter="$(path_of network "$(pinned net)") | $(user_path "$(pinned user)")"
  start_idle pause "$filter"
  same_namespace pause net "$(pinned net)"
  same_namespace pause user "$(pinned user)"
  assert_equal "$(free_ranges)" $((before - 1)) "free ranges with the first container"
  start_idle app "$filter
    | $(path_of ipc "$(ns_of pause ipc)") | $(path_of uts "$(ns_of pause uts)")"
  local file
  for file in user net ipc uts; do same_namespace app "$file" "$(ns_of pause "$file")"; done
  assert_equal "$(first_uid_of app)" "$(first_uid_of pause)"
  assert_equal "$(free_ranges)" $((before - 1)) "free ranges with the second container"
  # Both are machines of their own: the network is theirs to configure, and /sys shows it.
  inside app ip link add sysbox-test type bridge
  inside pause test -e /sys/class/net/sysbox-test
  inside app sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  assert_equal "$(inside pause cat /proc/sys/net/ipv4/ip_forward)" 1
  assert_equal "$(inside app sh -c 'touch /file && stat -c %u /file')" 0
  runc delete --force pause
  assert_equal "$(free_ranges)" $((before - 1)) "free ranges while one container is left"
  inside app test -e /sys/class/net/sysbox-test
  runc delete --force app
  assert_equal "$(free_ranges)" "$before" "free ranges without the pod"
}

# As containerd 1.7 writes it: the mappings of the user namespace that it made the network in.
@test "a pod: a network of the engine's and mappings that are those of its user namespace" {
  pin 1 --user --net
  local high filter
  read -r _ high <<<"$(suite_ids)"
  filter="$(path_of network "$(pinned net)") | .linux.namespaces += [{type: \"user\"}]
    | .linux.uidMappings = [{containerID: 0, hostID: $((high - 65535)), size: 65536}]
    | .linux.gidMappings = .linux.uidMappings"
  start_idle pause "$filter"
  same_namespace pause user "$(pinned user)"
  inside pause ip link add sysbox-test type bridge
  start_idle app "$filter | $(path_of ipc "$(ns_of pause ipc)")"
  inside app test -e /sys/class/net/sysbox-test
}

@test "a pod: the processes of both containers in one pid namespace, and none is left behind" {
  pin 1 --user --net
  local filter pids
  filter="$(path_of network "$(pinned net)") | $(user_path "$(pinned user)")"
  start_idle pause "$filter"
  start_idle app "$filter | $(path_of pid "$(ns_of pause pid)")"
  same_namespace app pid "$(ns_of pause pid)"
  assert_equal "$(inside app sh -c 'readlink /proc/1/ns/pid')" "$(inside pause readlink /proc/self/ns/pid)"
  inside app sh -c 'sleep 1000 </dev/null >/dev/null 2>&1 &'
  pids=$(inside pause ps -o pid,args)
  assert_contains "$pids" 'sleep 1000'
  # The kill of an init that is not process 1 does not end the others: the runtime must.
  runc kill app KILL
  wait_for 10 is_status app stopped
  runc delete app
  pids=$(inside pause ps -o pid,args)
  [[ $pids != *'sleep 1000'* ]] || fail "$pids"
}

@test "a pod: emulated files are each container's own, and stay where they are" {
  pin 1 --user --net
  local filter
  filter="$(path_of network "$(pinned net)") | $(user_path "$(pinned user)")"
  start_idle pause "$filter | .linux.resources.memory.limit = 134217728"
  start_idle app "$filter | $(path_of pid "$(ns_of pause pid)")
    | .linux.resources.memory.limit = 67108864"
  assert_equal "$(inside pause awk '/MemTotal/ { print $2 }' /proc/meminfo)" 131072
  assert_equal "$(inside app awk '/MemTotal/ { print $2 }' /proc/meminfo)" 65536
  run inside app sh -c 'umount /proc/meminfo; umount -l /proc/uptime; mkdir /p && mount -t proc proc /p &&
    grep MemTotal /p/meminfo'
  assert_contains "$output" '65536 kB'
}

@test "the network of another container: its user namespace comes along" {
  start_idle first
  start_idle second "$(path_of network "$(ns_of first net)")"
  same_namespace second net "$(ns_of first net)"
  same_namespace second user "$(ns_of first user)"
  inside second ip link add sysbox-test type bridge
  inside first test -e /sys/class/net/sysbox-test
  # The ids are not free while the second one runs.
  local first_uid
  first_uid=$(first_uid_of first)
  runc delete --force first
  start_idle third
  [[ $(first_uid_of third) != "$first_uid" ]]
  inside second ip link show sysbox-test
}

@test "every kind of namespace of another container can be shared" {
  start_idle first
  local type file filter=.
  for type in network:net ipc:ipc uts:uts pid:pid cgroup:cgroup; do
    filter+=" | $(path_of "${type%:*}" "$(ns_of first "${type#*:}")")"
  done
  filter='.linux.namespaces |= map(select(.type != "cgroup")) + [{type: "cgroup"}]'" | $filter"
  [[ ! -e /proc/self/ns/time ]] ||
    filter+=" | .linux.namespaces += [{type: \"time\", path: \"$(ns_of first time)\"}]"
  start_idle second "$filter"
  for file in net ipc uts pid cgroup user; do same_namespace second "$file" "$(ns_of first "$file")"; done
  [[ ! -e /proc/self/ns/time ]] || same_namespace second time "$(ns_of first time)"
  inside second hostname named-by-second
  assert_equal "$(inside first hostname)" named-by-second
}

@test "the mount namespace of another container: its files, whatever the bundle says" {
  local filter
  start_idle first
  inside first sh -c 'echo of-first >/mark; mount -t tmpfs none /tmp'
  filter=".linux.namespaces |= map(if .type == \"mount\" then .path = \"$(ns_of first mnt)\" else . end)"
  run create --bundle "$(bundle second "$filter")" second
  assert_failed "can be shared with its container's pid namespace only"
  start_idle second "$filter | $(path_of pid "$(ns_of first pid)")"
  same_namespace second mnt "$(ns_of first mnt)"
  assert_equal "$(inside second cat /mark)" of-first
  inside second sh -c 'touch /tmp/by-second && umount /proc/sys 2>/dev/null; mount -t tmpfs none /run'
  inside first sh -c 'test -e /tmp/by-second && grep " /run tmpfs" /proc/mounts'
  runc delete --force second
  inside first cat /proc/uptime
}

@test "a network that the engine made on the host: usable, seen in /sys, with a warning" {
  pin 1 --net
  nsenter --net="$(pinned net)" ip link set lo up
  start_idle foreign "$(path_of network "$(pinned net)")
    | .linux.sysctl = {\"net.ipv4.ip_forward\": \"1\", \"net.ipv4.ping_group_range\": \"0 0\"}"
  assert_contains "$(cat "$SUITE_DIR/log/foreign.console")" "root inside can use it, but cannot configure it"
  same_namespace foreign net "$(pinned net)"
  [[ $(stat -Lc %i "$(ns_of foreign user)") != "$(stat -Lc %i /proc/self/ns/user)" ]]
  assert_equal "$(inside foreign ls /sys/class/net)" lo
  assert_equal "$(inside foreign cat /proc/sys/net/ipv4/ip_forward)" 1
  # Ports below 1024 and ping need no rights over the namespace.
  assert_equal "$(nsenter --net="$(pinned net)" cat /proc/sys/net/ipv4/ping_group_range)" \
    "$(printf '%d\t%d' "$(first_uid_of foreign)" "$(first_uid_of foreign)")" "groups that may ping"
  inside foreign sh -c 'echo hello | nc -l -p 22 -w 5 >/dev/null & sleep 0.5; nc -w 1 127.0.0.1 22 </dev/null' >&2
  run inside foreign ip link add sysbox-test type bridge
  assert_failed
}

@test "ipc, uts and pid namespaces that the engine made on the host can be joined" {
  pin 1 --ipc --uts
  start_idle foreign "$(path_of ipc "$(pinned ipc)") | $(path_of uts "$(pinned uts)")
    | .hostname = \"by-the-spec\" | .linux.sysctl = {\"kernel.msgmax\": \"4321\"}"
  same_namespace foreign ipc "$(pinned ipc)"
  same_namespace foreign uts "$(pinned uts)"
  assert_equal "$(inside foreign hostname)" by-the-spec
  assert_equal "$(nsenter --ipc="$(pinned ipc)" cat /proc/sys/kernel/msgmax)" 4321
  inside foreign sh -c 'grep " /dev/mqueue mqueue" /proc/mounts && touch /dev/mqueue/queue'
  SYSBOX_E2E_OF=$SUITE unshare --pid --fork sleep 1000 </dev/null >/dev/null 2>&1 3>&- 4>&- &
  local pid=$!
  disown "$pid"
  wait_for 10 has_left_ours "$pid" pid_for_children
  start_idle joined "$(path_of pid "/proc/$pid/ns/pid_for_children")"
  same_namespace joined pid "/proc/$pid/ns/pid_for_children"
  assert_contains "$(inside joined ps -o args)" 'sleep 1000'
  pkill -KILL -P "$pid"
}

@test "exec joins what was joined" {
  pin 1 --user --net --ipc
  start_idle joined "$(path_of network "$(pinned net)") | $(path_of ipc "$(pinned ipc)")
    | $(user_path "$(pinned user)")"
  local file
  for file in user net ipc pid mnt cgroup uts; do
    assert_equal "$(inside joined readlink "/proc/self/ns/$file")" \
      "$(inside joined readlink "/proc/1/ns/$file")" "$file namespace"
  done
  assert_equal "$(inside joined id -u)" 0
}

@test "the foreground run of a container in a user namespace of the engine" {
  pin 1 --user --net
  run run_once "$(path_of network "$(pinned net)") | $(user_path "$(pinned user)")" \
    sh -c 'echo said; cat /proc/self/uid_map; exit 7'
  assert_equal "$status" 7
  assert_equal "${lines[0]}" said
  assert_matches "${lines[1]}" '^ *0 +[1-9][0-9]+ +65536$'
  runc list --quiet | grep . && fail "left in the list"
  true
}

@test "refused: ids that are another container's, and mappings that differ" {
  pin 1 --user
  local low high
  read -r low high <<<"$(suite_ids)"
  start_idle holder ".linux.namespaces += [{type: \"user\"}]
    | .linux.uidMappings = [{containerID: 0, hostID: $((high - 65535)), size: 65536}]
    | .linux.gidMappings = .linux.uidMappings"
  run create --bundle "$(bundle refused "$(user_path "$(pinned user)")")" refused
  assert_failed "in use outside of it, by process"
  runc delete --force holder
  run create --bundle "$(bundle refused "$(user_path "$(pinned user)")
    | .linux.uidMappings = [{containerID: 0, hostID: $low, size: 65536}]
    | .linux.gidMappings = .linux.uidMappings")" refused
  assert_failed "its ids are not those of linux.uidMappings"
  assert_failed "$(pinned user)"
}

@test "refused: the host's namespaces, by path and by absence, by the engine's name for it" {
  local type
  for type in pid:--pid=host network:--net=host ipc:--ipc=host uts:--uts=host user:--userns=host; do
    local name=${type%:*} option=${type#*:} file=${type%:*}
    [[ $name != network ]] || file=net
    run create --bundle "$(bundle refused ".linux.namespaces |= map(select(.type != \"$name\"))
      + [{type: \"$name\", path: \"/proc/$$/ns/$file\"}]")" refused
    assert_failed "$option"
    assert_equal "$(wc -l <<<"$output")" 1 "lines of the error for $name"
    [[ $name != user ]] || continue
    run create --bundle "$(bundle refused ".linux.namespaces |= map(select(.type != \"$name\"))")" refused
    assert_failed "$option"
    assert_contains "$output" "would break the container's isolation"
  done
}

@test "refused: what is no namespace of that type, and a type that is listed twice" {
  run create --bundle "$(bundle refused "$(path_of network /proc/self/ns/ipc)")" refused
  assert_failed "is a namespace of type ipc, not network"
  run create --bundle "$(bundle refused "$(path_of network /dev/null)")" refused
  assert_failed "'/dev/null' is not a namespace"
  run create --bundle "$(bundle refused '.linux.namespaces += [{type: "pid"}]')" refused
  assert_failed "'pid' is listed twice"
  SYSBOX_E2E_OF=$SUITE unshare --mount sleep 1000 </dev/null >/dev/null 2>&1 3>&- 4>&- &
  local pid=$!
  disown "$pid"
  wait_for 10 has_left_ours "$pid" mnt
  run create --bundle "$(bundle refused "$(path_of mount "/proc/$pid/ns/mnt")")" refused
  assert_failed "shows the host's files"
  kill "$pid"
}

@test "a time namespace with offsets" {
  [[ -e /proc/self/timens_offsets ]] || skip "the kernel has no time namespaces"
  local offsets='.linux.timeOffsets = {boottime: {secs: 864000, nanosecs: 5}}'
  run run_once ".linux.namespaces += [{type: \"time\"}] | $offsets" cat /proc/self/timens_offsets
  assert_ok
  assert_matches "$output" 'boottime +864000 +5'
  run run_once "$offsets" true
  assert_failed "without a namespace of type time"
}

@test "nothing is left behind, and no setting of the host has changed" { suite_left_nothing; }
