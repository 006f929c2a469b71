# Docker, with --runtime=sysbox-runc: namespaces of another container, and those of the host.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine

setup_file() {
  export BATS_TEST_TIMEOUT=$((180 * SLOWER))
  suite_start sharing
  daemons_start
  engine_start
  import_images small
}
teardown_file() {
  engine_stop
  suite_stop
}

namespace_of() { readlink "/proc/$(init_pid "$1")/ns/$2"; } # CONTAINER FILE
assert_shared() { # CONTAINER OTHER FILE...
  local file
  for file in "${@:3}"; do
    assert_equal "$(namespace_of "$1" "$file")" "$(namespace_of "$2" "$file")" "$file namespace of $1"
  done
}

@test "--net=container:X: one network for both, which both may configure" {
  drun --detach --name server busybox sh -c \
    'mkdir /www; echo from-server >/www/index.html; exec httpd -f -h /www -p 80'
  drun --detach --name sidecar --net=container:server busybox sleep 1000
  assert_shared sidecar server net user
  fetched() { docker exec sidecar wget -q -O - http://127.0.0.1/ | grep from-server; }
  wait_for 10 fetched
  docker exec sidecar ip link add sysbox-test type bridge
  docker exec sidecar sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/forwarding'
  run docker exec server sh -c 'ls /sys/class/net; cat /proc/sys/net/ipv4/conf/all/forwarding'
  assert_contains "$output" sysbox-test
  assert_equal "${lines[-1]}" 1
  # The server's end does not end the sidecar, and its ids are nobody else's until that ends too.
  local ids
  ids=$(host_uid sidecar)
  docker rm --force server
  drun --detach --name other busybox sleep 1000
  [[ $(host_uid other) != "$ids" ]]
  run docker exec sidecar cat /proc/self/uid_map
  assert_ok
  docker rm --force sidecar other
}

@test "--ipc=container:X and --pid=container:X: shared memory and processes of both" {
  drun --detach --name one --ipc=shareable busybox sleep 1001
  drun --detach --name two --ipc=container:one --pid=container:one busybox sleep 1002
  assert_shared two one ipc pid user
  docker exec one sh -c 'echo by-one >/dev/shm/file'
  assert_equal "$(docker exec two cat /dev/shm/file)" by-one
  run docker exec two ps -o args
  assert_contains "$output" 'sleep 1001'
  assert_contains "$output" 'sleep 1002'
  docker exec --detach two sleep 1003
  docker rm --force two
  run docker exec one ps -o args
  [[ $output != *'sleep 1003'* && $output != *'sleep 1002'* ]] || fail "$output"
  docker rm --force one
}

@test "a container that shares the network is stopped and started again" {
  drun --detach --name holder busybox sleep 1000
  drun --detach --name guest --net=container:holder busybox sleep 1000
  docker stop --time 0 guest
  docker start guest
  assert_shared guest holder net user
  # The holder comes back with another network; the guest goes with it at its own next start.
  docker restart --time 0 holder guest
  assert_shared guest holder net user
  docker rm --force guest holder
}

@test "refused: the host's namespaces, by one line that says which and why" {
  local option
  for option in --net=host --pid=host --ipc=host --uts=host; do
    run drun --rm "$option" busybox true
    assert_failed "would break the container's isolation"
    assert_contains "$output" "$option"
  done
}

@test "--userns=host and --cgroupns=host are no more than Docker's own defaults: nothing is shared" {
  run drun --rm --userns=host --cgroupns=host busybox sh -c \
    'cat /proc/self/uid_map; for n in user cgroup; do readlink /proc/self/ns/$n; done'
  assert_ok
  assert_matches "${lines[0]}" '^ *0 +[1-9][0-9]{5,} +65536$'
  [[ ${lines[1]} != "$(readlink /proc/self/ns/user)" ]]
  [[ ${lines[2]} != "$(readlink /proc/self/ns/cgroup)" ]]
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  suite_left_nothing
}
