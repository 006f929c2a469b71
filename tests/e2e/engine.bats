# Debian's Docker, unchanged, with --runtime=sysbox-runc: what people run first.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine

# A program for bash: fetches / from host $1, port $2, once somebody listens there.
fetch='for i in {1..100}; do { exec 5<>"/dev/tcp/$1/$2"; } 2>/dev/null && break; sleep 0.1; done
  printf "GET / HTTP/1.0\r\n\r\n" >&5; cat <&5'

setup_file() {
  export BATS_TEST_TIMEOUT=$((240 * SLOWER))
  suite_start engine
  daemons_start
  engine_start --live-restore
  import_images
}
teardown_file() {
  engine_stop
  suite_stop
}

@test "busybox runs and its output and exit code come back" {
  run drun --rm busybox echo hello
  assert_ok
  assert_equal "$output" hello
  run drun --rm busybox sh -c 'exit 7'
  assert_equal "$status" 7
}

@test "a Debian image runs, as root inside and as nobody outside" {
  run drun --rm machine sh -c 'cat /etc/debian_version; id -u; cat /proc/self/uid_map'
  assert_ok
  assert_matches "${lines[0]}" '^12'
  assert_equal "${lines[1]}" 0
  assert_matches "${lines[2]}" '^ *0 +[1-9][0-9]{5,} +65536$'
}

@test "systemd starts, with no failed unit" {
  need_machine machine
  assert_equal "$(docker exec machine systemctl --failed --plain --no-legend)" "" "failed units"
  run docker exec machine systemctl is-system-running
  assert_equal "$output" running
}

@test "docker exec: exit code, user, working directory, environment" {
  need_machine machine
  run docker exec machine sh -c 'exit 5'
  assert_equal "$status" 5
  run docker exec --user nobody --workdir /usr --env COLOUR=blue machine \
    sh -c 'id -un; pwd; echo $COLOUR'
  assert_ok
  assert_equal "$output" "$(printf 'nobody\n/usr\nblue')"
}

@test "docker logs keeps what the container said, on both streams" {
  drun --name talker busybox sh -c 'echo to-stdout; echo to-stderr >&2'
  assert_equal "$(docker logs talker 2>/dev/null)" to-stdout
  assert_equal "$(docker logs talker 2>&1 >/dev/null)" to-stderr
  docker rm talker
}

@test "docker stop ends systemd in an orderly way, docker start brings it back, docker rm removes it" {
  need_machine stopper
  run docker stop --time 30 stopper
  assert_ok
  run docker inspect --format '{{.State.Status}} {{.State.OOMKilled}}' stopper
  assert_equal "$output" "exited false"
  docker start stopper
  wait_for 90 systemd_is_up stopper
  docker rm --force stopper
  [[ -z $(docker ps --all --quiet --filter name=stopper) ]]
}

@test "-it gives a terminal of the right kind" {
  local typed='tty; stty size >/dev/null && echo is-a-tty; exit 3'
  PATH=$ENGINE_PATH run timeout 60 script --quiet --return --command \
    "docker run --runtime=sysbox-runc --rm -it busybox sh -c '$typed'" /dev/null </dev/null 3>&- 4>&-
  assert_equal "$status" 3
  assert_contains "$output" /dev/pts/0
  assert_contains "$output" is-a-tty
}

@test "docker exec -it gives a terminal" {
  need_machine machine
  PATH=$ENGINE_PATH run timeout 60 script --quiet --return --command \
    "docker exec -it machine bash -c 'tty; test -t 0 && echo is-a-tty'" /dev/null </dev/null 3>&- 4>&-
  assert_ok
  assert_contains "$output" /dev/pts/
  assert_contains "$output" is-a-tty
}

@test "--memory is seen inside and enforced" {
  run drun --rm --memory 256m busybox sh -c 'grep MemTotal /proc/meminfo'
  assert_ok
  assert_equal "$(tr -s ' ' <<<"$output")" "MemTotal: 262144 kB"
  run drun --rm --memory 64m --memory-swap 64m busybox dd if=/dev/zero of=/dev/null bs=256M count=1
  assert_equal "$status" 137
}

@test "--cpus is seen inside and enforced" {
  run drun --rm --cpus 1 busybox sh -c 'grep -c ^processor /proc/cpuinfo'
  assert_ok
  assert_equal "$output" 1
  # Two busy loops for two seconds under half a CPU: about one second of work, not four.
  run drun --rm --cpus 0.5 busybox sh -c \
    'for i in 1 2; do timeout 2 sh -c "while :; do :; done" & done; wait; cut -d" " -f16,17 /proc/1/stat'
  local user system
  read -r user system <<<"$output"
  assert_between $((user + system)) 20 180 "CPU time in ticks"
}

@test "--pids-limit is seen inside and enforced" {
  run drun --rm --pids-limit 20 busybox sh -c \
    'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null'
  assert_contains "$output" 20
  run drun --rm --pids-limit 20 busybox sh -c 'for i in $(seq 40); do sleep 5 & done'
  assert_failed "can't fork"
}

@test "-v: root inside is root on both sides of the mount" {
  local dir=$SUITE_DIR/volume
  mkdir "$dir"
  touch "$dir/from-host"
  chown 33:44 "$dir/from-host"
  run drun --rm --volume "$dir:/data" busybox sh -c \
    'stat -c %u:%g /data/from-host /data; touch /data/from-inside; chown 1000:1001 /data/from-inside'
  assert_ok
  assert_equal "$output" "$(printf '33:44\n0:0')"
  assert_equal "$(stat -c %u:%g "$dir/from-inside")" 1000:1001
}

@test "-v :ro cannot be made writable or uncovered from inside" {
  local dir=$SUITE_DIR/readonly
  mkdir "$dir"
  run drun --rm --volume "$dir:/data:ro" busybox sh -c \
    'mount -o remount,rw /data; mount -o remount,bind,rw /data; umount /data; umount -l /data
     touch /data/x; mkdir /other; mount --bind /data /other && touch /other/x; true'
  [[ ! -e $dir/x ]]
  assert_contains "$output" 'Read-only file system'
}

@test "a named volume keeps its content and its owners between containers" {
  run drun --rm --volume kept:/data busybox sh -c 'echo content >/data/file; chown 5:6 /data/file'
  assert_ok
  run drun --rm --volume kept:/data busybox sh -c 'cat /data/file; stat -c %u:%g /data/file'
  assert_equal "$output" "$(printf 'content\n5:6')"
  docker volume rm kept
}

@test "-p publishes a port" {
  drun --detach --name web --publish 127.0.0.1:8080:80 busybox sh -c \
    'mkdir /www; echo it-works >/www/index.html; exec httpd -f -h /www -p 80'
  answers() { in_engine_net bash -c "$fetch" fetch 127.0.0.1 8080 | grep it-works; }
  wait_for 15 answers
  docker rm --force web
}

@test "two containers reach each other by name on a network" {
  docker network create meeting
  drun --detach --name server --network meeting busybox sh -c \
    'mkdir /www; echo by-name >/www/index.html; exec httpd -f -h /www -p 80'
  run drun --rm --network meeting machine bash -c "$fetch" fetch server 80
  assert_ok
  assert_contains "$output" by-name
  docker rm --force server
  docker network rm meeting
}

@test "docker commit keeps content, owners and modes" {
  drun --name original busybox sh -c \
    'echo changed >/added; chown 12:34 /added; chmod 4750 /added; rm /etc/group'
  docker commit original copy
  run drun --rm copy sh -c 'cat /added; stat -c "%u:%g %a" /added; ls /etc/group 2>&1'
  assert_contains "$output" "$(printf 'changed\n12:34 4750')"
  assert_contains "$output" 'No such file'
  # The image is an ordinary one: any other runtime sees the same owners.
  docker rm original
  docker rmi copy
}

@test "docker cp goes both ways and keeps owners right" {
  echo from-host >"$SUITE_DIR/file"
  mkdir "$SUITE_DIR/volume-of-copied"
  # The mount point is new: the engine's view of the root file system has to know of it.
  drun --detach --name copied --volume "$SUITE_DIR/volume-of-copied:/new/place" busybox sleep 1000
  docker cp "$SUITE_DIR/file" copied:/file
  run docker exec copied sh -c 'cat /file; stat -c %u /file; echo from-inside >/other'
  assert_equal "$output" "$(printf 'from-host\n0')"
  docker cp "$SUITE_DIR/file" copied:/new/place
  assert_equal "$(cat "$SUITE_DIR/volume-of-copied/file")" from-host
  docker cp copied:/other "$SUITE_DIR/other"
  assert_equal "$(cat "$SUITE_DIR/other")" from-inside
  assert_equal "$(stat -c %u "$SUITE_DIR/other")" 0
  docker rm --force copied
}

@test "docker pause, unpause, top and stats work" {
  drun --detach --name held busybox sh -c 'while :; do sleep 0.1; done'
  docker pause held
  assert_equal "$(docker inspect --format '{{.State.Status}}' held)" paused
  docker unpause held
  assert_contains "$(docker top held)" sleep
  run docker stats --no-stream --format '{{.PIDs}}' held
  assert_between "$output" 1 10 "number of processes"
  docker rm --force held
}

@test "docker update changes the limit that the container sees" {
  drun --detach --name grown --memory 128m --memory-swap 512m busybox sleep 1000
  docker update --memory 256m --memory-swap 512m grown
  run docker exec grown grep MemTotal /proc/meminfo
  assert_equal "$(tr -s ' ' <<<"$output")" "MemTotal: 262144 kB"
  docker rm --force grown
}

@test "two containers share no host id" {
  local first second
  drun --detach --name one busybox sleep 1000
  drun --detach --name two busybox sleep 1000
  first=$(host_uid one) second=$(host_uid two)
  ((first >= second + 65536 || second >= first + 65536)) || fail "ranges at $first and $second"
  docker rm --force one two
}

@test "Docker inside, started by systemd: overlay2, an image, a container, its network and limits" {
  need_machine machine
  need_inner_busybox machine
  assert_equal "$(docker exec machine docker info --format '{{.Driver}}')" overlay2
  run docker exec machine docker run --rm busybox echo hello-from-inner
  assert_ok
  assert_contains "$output" hello-from-inner
  run docker exec machine docker run --rm --memory 64m --pids-limit 50 busybox sh -c \
    'grep MemTotal /proc/meminfo'
  assert_ok
  assert_equal "$(tail -n 1 <<<"$output" | tr -s ' ')" "MemTotal: 65536 kB"
  docker exec machine docker run --detach --name inner-web busybox sh -c \
    'mkdir /www; echo inner-web >/www/index.html; exec httpd -f -h /www -p 80'
  run docker exec machine bash -c "$fetch" fetch \
    "$(docker exec machine docker inspect --format '{{.NetworkSettings.IPAddress}}' inner-web)" 80
  assert_contains "$output" inner-web
  run docker exec machine docker rm --force inner-web
  assert_ok
}

@test "Docker inside as process 1, without systemd" {
  drun --detach --name engine machine dockerd
  need_inner_busybox engine
  assert_equal "$(docker exec engine docker info --format '{{.Driver}}')" overlay2
  run docker exec engine docker run --rm busybox echo hello-from-inner
  assert_ok
  assert_contains "$output" hello-from-inner
  docker rm --force engine
}

@test "what the inner Docker has survives docker stop and start, and goes with docker rm" {
  need_machine keeper
  need_inner_busybox keeper
  docker exec keeper docker run --name kept busybox sh -c 'echo content >/file'
  docker stop --time 30 keeper
  docker start keeper
  wait_for 90 systemd_is_up keeper
  wait_for 90 inner_docker_is_up keeper
  run docker exec keeper docker cp kept:/file -
  assert_contains "$output" content
  volume=$(find "$SUITE_DIR/docker/data" -type d -path '*/sysbox-volumes/docker' -prune \
    -inum "$(stat --format %i "/proc/$(init_pid keeper)/root/var/lib/docker")")
  [[ -d $volume/overlay2 ]]
  docker rm --force keeper
  volume_is_gone() { [[ ! -e $volume ]]; }
  wait_for 15 volume_is_gone
}

@test "--privileged: a machine as any other, with nothing of the host's" {
  need_machine mighty --privileged
  assert_equal "$(docker exec mighty systemctl --failed --plain --no-legend)" "" "failed units"
  run docker exec mighty sh -c 'mkdir /m && mount -t tmpfs none /m && touch /m/x && umount /m &&
    ip link add b0 type bridge && echo 1 >/proc/sys/net/ipv4/ip_forward && echo fine'
  assert_equal "$output" fine
  assert_equal "$(docker exec mighty find /dev -type b)" "" "block devices"
  assert_equal "$(docker exec mighty sh -c 'ls -d /dev/mem /dev/port /dev/loop* 2>/dev/null')" ""
  need_inner_busybox mighty
  run docker exec mighty docker run --rm --privileged busybox sh -c \
    'mkdir /m && mount -t tmpfs none /m && mount -t proc none /m && echo inner'
  assert_equal "$output" inner
  docker rm --force mighty
}

@test "--read-only holds, with places to write to" {
  run drun --rm --read-only busybox sh -c 'touch /x; mount -o remount,rw /; touch /y
    touch /run/a /tmp/b /dev/shm/c && echo writable; sysctl -n net.ipv4.ip_unprivileged_port_start'
  assert_contains "$output" '/x: Read-only file system'
  assert_contains "$output" '/y: Read-only file system'
  assert_contains "$output" writable
}

@test "--device: the owner of the node is known inside" {
  run drun --rm --device /dev/zero:/dev/mine:r busybox sh -c \
    'stat -c "%u %t:%T" /dev/mine; head -c 2 /dev/mine | wc -c'
  assert_equal "${lines[0]} ${lines[1]}" "0 1:5 2"
}

@test "-e SYSBOX_...: settings of Nestybox Sysbox" {
  run drun --rm -e SYSBOX_SYSCONT_MODE=FALSE busybox mount -t tmpfs none /tmp
  assert_failed "permission denied"
  run drun --rm -e SYSBOX_HONOUR_CAPS=TRUE busybox true
  assert_failed "'SYSBOX_HONOUR_CAPS' is not a setting"
}

@test "a container lives on while dockerd is stopped, and is under its command when dockerd is back" {
  local running pid
  mapfile -t running < <(docker ps --all --quiet)
  ((${#running[@]} == 0)) || docker rm --force "${running[@]}" >/dev/null
  drun --detach --network none --name survivor busybox sleep 1000
  pid=$(init_pid survivor)
  daemon_stop dockerd
  kill -0 "$pid"
  engine_start --live-restore
  assert_equal "$(init_pid survivor)" "$pid"
  run docker exec survivor echo still-here
  assert_ok
  assert_equal "$output" still-here
  docker stop --time 1 survivor
  wait_for 5 process_is_gone "$pid"
  docker start survivor
  run docker exec survivor echo here-again
  assert_equal "$output" here-again
  docker rm --force survivor
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  suite_left_nothing
}
