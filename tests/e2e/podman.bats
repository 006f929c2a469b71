# Debian's Podman, unchanged, with `--runtime sysbox-runc`.
# shellcheck shell=bash

bats_require_minimum_version 1.5.0

load ../lib/suite
load ../lib/containerd
load ../lib/podman

setup_file() {
  export BATS_TEST_TIMEOUT=$((180 * SLOWER))
  suite_start podman
  daemons_start
  make_wrapper
  podman_start
}
teardown_file() {
  podman_stop
  suite_stop
}
image=localhost/busybox

teardown() {
  [[ -e $PODMAN_NET ]] || return 0
  podman pod rm --all --force --time 0 >/dev/null 2>&1 || :
  podman rm --all --force --time 0 >/dev/null 2>&1 || :
}
# On a host that lacks a controller Podman cannot remove the pod's cgroup at once: podman.bash.
remove_pod() { wait_for 20 pod_is_removed; }
pod_is_removed() { podman pod rm --force --time 0 pod || ! podman pod exists pod; }
pid_of() { podman inspect --format '{{.State.Pid}}' "$1"; }
first_uid_of() { awk 'NR == 1 { print $2 }' "/proc/$(pid_of "$1")/uid_map"; }

@test "a container runs: output, exit code, and nothing stays" {
  run prun --rm "$image" sh -c 'echo hello; cat /proc/self/uid_map; exit 7'
  assert_equal "$status" 7
  assert_contains "$output" hello
  assert_matches "$output" '0 +[1-9][0-9]{5,} +65536'
  [[ -z $(podman ps --all --quiet) ]]
  [[ -z $(ls "$SUITE_DIR/root" 2>/dev/null) ]]
}

@test "exec, logs, top, stats, pause, kill: as with any runtime" {
  prun --detach --name long "$image" sh -c 'echo started; trap "exit 5" TERM; while :; do sleep 0.1; done'
  # Standard error may hold a warning of a host without CAP_SYS_RESOURCE.
  run --separate-stderr podman exec --user nobody --workdir /tmp --env COLOUR=blue long \
    sh -c 'id -u; pwd; echo $COLOUR; exit 9'
  assert_equal "$status" 9
  assert_equal "$output" "$(printf '65534\n/tmp\nblue')"
  assert_equal "$(podman logs long)" started
  assert_contains "$(podman top long args)" sleep
  run --separate-stderr podman stats --no-stream --format '{{.PIDS}}' long
  assert_between "$output" 1 10 "number of processes"
  podman pause long
  assert_equal "$(container_state long)" paused
  run podman exec long true
  assert_failed
  podman unpause long
  podman kill --signal TERM long
  wait_for 10 is_container_state long exited
  assert_equal "$(podman inspect --format '{{.State.ExitCode}}' long)" 5
  podman rm long
}

@test "stop, start and restart keep what the container has written" {
  prun --detach --name kept "$image" sh -c 'date +%N >>/starts; trap "exit 0" TERM; while :; do sleep 0.1; done'
  podman stop --time 10 kept
  assert_equal "$(container_state kept)" exited
  podman start kept
  podman restart --time 10 kept
  run --separate-stderr podman exec kept sh -c 'wc -l </starts; stat -c %u /starts'
  assert_equal "$output" "$(printf '3\n0')"
  podman_remove kept
}

@test "-it gives a terminal" {
  run timeout 60 script --quiet --return --command \
    "nsenter --net=$PODMAN_NET -- $PODMAN_PROGRAM run --rm -it --cgroup-parent /$SUITE $image \
      sh -c 'tty; stty size >/dev/null && echo is-a-tty; exit 3'" /dev/null </dev/null 3>&- 4>&-
  assert_equal "$status" 3
  assert_contains "$output" /dev/pts/0
  assert_contains "$output" is-a-tty
}

@test "limits and volumes" {
  mkdir -p "$SUITE_DIR/volume"
  run prun --rm --memory 64m --pids-limit 30 --volume "$SUITE_DIR/volume:/data" --volume named:/named "$image" \
    sh -c 'grep MemTotal /proc/meminfo; touch /data/file /named/file; stat -c %u:%g /named'
  assert_ok
  assert_contains "$(tr -s ' ' <<<"$output")" 'MemTotal: 65536 kB'
  assert_equal "$(stat -c %u:%g "$SUITE_DIR/volume/file")" 0:0
  run prun --rm --volume named:/named "$image" stat -c %u /named/file
  assert_equal "$output" 0
  podman volume rm named
}

@test "a bridge network, which Podman makes on the host: usable, with a published port" {
  prun --detach --name web --publish 127.0.0.1:8080:80 "$image" sh -c \
    'mkdir /www; echo it-works >/www/index.html; exec httpd -f -h /www -p 80'
  answers() { nsenter --net="$PODMAN_NET" "$(busybox_dir)/bin/busybox" wget -q -O - http://127.0.0.1:8080/ | grep it-works; }
  wait_for 15 answers
  run podman exec web ls /sys/class/net
  assert_contains "$output" eth0
  podman_remove web
}

# Podman then leaves the network namespace to the runtime: it belongs to the container.
@test "--userns=auto: ids from Podman, and a network that the container may configure" {
  prun --detach --name one --userns=auto:size=65536 "$image" sleep 1000
  prun --detach --name two --userns=auto:size=65536 "$image" sleep 1000
  [[ $(first_uid_of one) != "$(first_uid_of two)" ]]
  podman exec one ip link add sysbox-test type bridge
  podman exec one sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  assert_contains "$(podman exec one ip address show eth0)" 'inet '
  # The image's own size: as many ids as its password file names.
  run prun --rm --userns=auto "$image" sh -c 'cat /proc/self/uid_map; touch /file && stat -c %u /file'
  assert_ok
  podman_remove one two
}

@test "commit: images hold what is in the volumes, of a stopped container and of a paused one" {
  # To make images Podman wants a policy in /etc.
  mkdir -p "$SUITE_DIR/etc/containers"
  cp "$SUITE_DIR/podman/policy.json" "$SUITE_DIR/etc/containers/"
  commit() {
    SYSBOX_E2E_OF=$SUITE unshare --mount -- sh -c 'mount -t overlay etc -o "lowerdir=$0:/etc" /etc && exec "$@"' \
      "$SUITE_DIR/etc" nsenter --net="$PODMAN_NET" -- "$PODMAN_PROGRAM" commit --quiet "$@" 3>&- 4>&-
  }
  prun --detach --name maker "$image" sh -c \
    'cd /var/lib/docker; [ -e gone ] || { echo text >file; chown 5:6 file; mknod gone c 0 0; }; exec sleep 1000'
  has_file() { podman exec maker test -e /var/lib/docker/gone; }
  wait_for 10 has_file
  commit --pause maker localhost/paused
  has_file
  podman stop --time 0 maker
  commit maker localhost/stopped
  for made in paused stopped; do
    run --separate-stderr prun --rm "localhost/$made" sh -c \
      'cat /var/lib/docker/file; stat -c "%u:%g %F" /var/lib/docker/file /var/lib/docker/gone'
    assert_equal "$output" "$(printf 'text\n5:6 regular file\n0:0 character special file')"
  done
  podman start maker
  has_file
  podman_remove maker
  podman rmi localhost/paused localhost/stopped
}

@test "a pod: two containers in the namespaces of the infra container" {
  podman pod create --name pod --cgroup-parent "/$SUITE" --infra-command '/bin/sleep 1000' --publish 8081:80 >/dev/null
  prun --detach --pod pod --name server "$image" sh -c \
    'mkdir /www; echo from-the-pod >/www/index.html; exec httpd -f -h /www -p 80'
  prun --detach --pod pod --name client "$image" sleep 1000
  local infra file id
  infra=$(podman pod inspect --format '{{.InfraContainerID}}' pod)
  for id in server client; do
    for file in user net ipc uts; do
      assert_equal "$(readlink "/proc/$(pid_of "$id")/ns/$file")" \
        "$(readlink "/proc/$(pid_of "$infra")/ns/$file")" "$file namespace of $id"
    done
  done
  fetched() { podman exec client wget -q -O - http://127.0.0.1/ | grep from-the-pod; }
  wait_for 10 fetched
  podman pod stop --time 1 pod
  podman pod start pod
  wait_for 10 fetched
  podman pod stop --time 1 pod
  remove_pod
}

@test "a pod with a user namespace of its own: its network can be configured from inside" {
  podman pod create --name pod --userns=auto:size=65536 --cgroup-parent "/$SUITE" --infra-command '/bin/sleep 1000' >/dev/null
  prun --detach --pod pod --name first "$image" sleep 1000
  prun --detach --pod pod --name second "$image" sleep 1000
  assert_equal "$(first_uid_of first)" "$(first_uid_of second)"
  podman exec first ip link add sysbox-test type bridge
  assert_contains "$(podman exec second ls /sys/class/net)" sysbox-test
  remove_pod
}

@test "--network container:X between two system containers" {
  prun --detach --name holder --userns=auto:size=65536 "$image" sleep 1000
  prun --detach --name guest --network container:holder "$image" sleep 1000
  assert_equal "$(readlink "/proc/$(pid_of guest)/ns/net")" "$(readlink "/proc/$(pid_of holder)/ns/net")"
  podman exec guest ip link add sysbox-test type bridge
  assert_contains "$(podman exec holder ls /sys/class/net)" sysbox-test
  podman_remove guest
  podman_remove holder
}

@test "refused: the host's namespaces, by one line that says which and why" {
  local option
  for option in --network=host --pid=host --ipc=host --uts=host; do
    run prun --rm "$option" "$image" true
    assert_failed "would break the container's isolation"
    assert_contains "$output" "${option/work/}"
  done
}

@test "nothing is left behind, and no setting of the host has changed" {
  podman_stop
  suite_left_nothing
}
