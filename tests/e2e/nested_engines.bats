# Container engines inside a system container, as their distribution ships them: for root and for
# ordinary users, down to an engine inside an engine's container.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine

setup_file() {
  export BATS_TEST_TIMEOUT=$((300 * SLOWER))
  suite_start nested
  daemons_start
  engine_start
  import_images workshop
  # No init: the newest systemd and the oldest cgroups do not go together.
  docker import - engines <"$(engines_tar)" >/dev/null
}
teardown_file() {
  engine_stop
  suite_stop
}

in_machine() { timeout $((150 * SLOWER)) docker exec machine bash -c "$1"; }
# As a user who has logged in.
as_ann() { in_machine "su - ann -c 'export XDG_RUNTIME_DIR=/run/user/1000; $1'"; }

give() { docker exec --interactive "$1" sh -c "cat >$2"; } # CONTAINER FILE
need_workshop() {
  need_machine machine
  in_machine 'test -e /compose' && return
  give machine /busybox.tar <"$(busybox_tar)"
  give machine /busybox.oci <"$(busybox_oci)"
  # Of the container's 65536 ids: what useradd would choose lies beyond them.
  in_machine 'chmod 644 /busybox.*; useradd --create-home --shell /bin/bash ann
    useradd --system dockremap; printf "%s:2000:60000\n" ann dockremap | tee /etc/subuid >/etc/subgid
    loginctl enable-linger ann; loginctl enable-linger root'
  put_recipes machine
}
put_recipes() { # NAME: what is built, and what is composed
  docker exec --interactive "$1" sh -ec 'mkdir -p /build /compose && cat >/build/Dockerfile' <<'D'
FROM busybox AS first
RUN echo built >/out && chown 12:34 /out
FROM busybox
COPY --from=first --chown=7:8 /out /copied
COPY --chown=1000:1001 file /file
VOLUME /volume
RUN mkdir /made && chmod 1777 /made
D
  docker exec "$1" sh -c 'echo file >/build/file'
  docker exec --interactive "$1" sh -c 'cat >/compose/docker-compose.yml' <<'C'
version: "3"
services:
  web:
    image: busybox
    command: sh -c "mkdir /www; echo composed >/www/index.html; exec httpd -f -h /www -p 80"
    volumes: ["data:/data"]
  client:
    image: busybox
    depends_on: [web]
    command: sh -c "until wget -q -O /tmp/got http://web/; do sleep 0.2; done; cat /tmp/got"
volumes: {data: {}}
C
}
# A program for sh: a web server that says a word, and one that asks for it.
web() { echo "sh -c 'mkdir /www; echo $1 >/www/index.html; exec httpd -f -h /www -p 80'"; }
get() { echo "for i in \$(seq 50); do wget -q -O /tmp/got http://$1/ && break; sleep 0.2; done; cat /tmp/got"; }

# What every Docker has to do; the arguments say where it runs.
check_docker() { # CONTAINER
  local in=(timeout $((120 * SLOWER)) docker exec "$1" sh -c)
  run "${in[@]}" 'docker run --rm --memory 64m --cpus 0.5 --pids-limit 50 busybox sh -c "
    grep MemTotal /proc/meminfo; grep -c ^processor /proc/cpuinfo"'
  assert_ok
  assert_equal "$(tr -s ' \n' ' ' <<<"$output")" "MemTotal: 65536 kB 1 "
  run "${in[@]}" 'docker run --rm --privileged busybox sh -c "
    mkdir /m && mount -t tmpfs none /m && mount -t proc none /m && ls -d /m/self && umount /m"'
  assert_ok
  run "${in[@]}" 'docker run --rm --net=host busybox ls -d /sys/class/net/docker0'
  assert_ok
  run "${in[@]}" "docker run --detach --publish 8080:80 --name published busybox $(web published) >/dev/null
    docker run --rm --net=host busybox sh -c '$(get 127.0.0.1:8080)'; docker rm --force published"
  assert_contains "$output" published
  run "${in[@]}" "docker network create meeting >/dev/null
    docker run --detach --net meeting --name named busybox $(web by-name) >/dev/null
    docker run --rm --net meeting busybox sh -c '$(get named)'
    docker rm --force named && docker network rm meeting"
  assert_contains "$output" by-name
  run "${in[@]}" 'docker run --rm --volume kept:/data busybox sh -c "echo >/data/f; chown 5:6 /data/f"
    docker run --rm --volume kept:/data:ro busybox sh -c "stat -c %u:%g /data/f; touch /data/g"'
  assert_contains "$output" 5:6
  assert_contains "$output" 'Read-only file system'
  run "${in[@]}" 'docker run --rm --sysctl net.ipv4.ip_unprivileged_port_start=100 busybox \
    sysctl -n net.ipv4.ip_unprivileged_port_start'
  assert_equal "$output" 100
}
check_build() { # CONTAINER BUILDKIT
  run docker exec --env DOCKER_BUILDKIT="$2" "$1" docker build --tag "built-$2" /build
  assert_ok
  run docker exec "$1" docker run --rm "built-$2" sh -c 'cat /copied; stat -c %u:%g /copied /file; stat -c %a /made'
  assert_equal "${lines[*]}" "built 7:8 1000:1001 1777"
}
check_compose() { # CONTAINER COMPOSE
  run docker exec --workdir /compose "$1" sh -c "$2 up --detach
    for i in \$(seq 50); do $2 logs client | grep composed && break; sleep 0.2; done; $2 down --volumes"
  assert_ok
  assert_matches "$output" 'client.* composed'
}

@test "Docker 20.10: limits, privileged, networks, ports, volumes" {
  need_workshop
  need_inner_busybox machine
  check_docker machine
}

@test "Docker 20.10: classic builds, BuildKit, compose" {
  need_workshop
  need_inner_busybox machine
  check_build machine 0
  check_build machine 1
  check_compose machine docker-compose
}

@test "Docker inside a container of the inner Docker" {
  need_workshop
  need_inner_busybox machine
  in_machine 'tar --one-file-system -C / -cf - bin sbin lib lib64 etc usr/bin usr/sbin usr/lib usr/lib64 |
    docker import - system >/dev/null
    docker run --detach --privileged --name third --volume /var/lib/docker system \
      sh -c "mkdir -p /run /tmp /var/run /root; exec dockerd" >/dev/null'
  third_is_up() { in_machine 'docker exec third docker version'; }
  wait_for 60 third_is_up || fail "$(in_machine 'docker logs third 2>&1 | tail')"
  in_machine 'docker exec --interactive third docker import - busybox </busybox.tar >/dev/null'
  run in_machine 'docker exec third docker info --format "{{.Driver}}"
    docker exec third docker run --rm --memory 32m busybox grep MemTotal /proc/meminfo
    docker exec third docker run --rm --privileged busybox sh -c "mkdir /p; mount -t proc none /p; umount /p; ls /p | wc -l"
    docker rm --force --volumes third >/dev/null; docker rmi system >/dev/null'
  assert_equal "$(tr -s ' ' <<<"$output")" "$(printf 'overlay2\nMemTotal: 32768 kB\n0')"
}

@test "Docker with userns-remap inside" {
  need_workshop
  in_machine 'mkdir -p /etc/docker; echo "{\"userns-remap\": \"default\"}" >/etc/docker/daemon.json
    systemctl restart docker; docker import - busybox </busybox.tar >/dev/null'
  run in_machine 'docker run --rm --memory 40m busybox sh -c "cat /proc/self/uid_map; grep MemTotal /proc/meminfo"
    docker run --rm --publish 81:80 --volume vol:/d busybox sh -c "touch /d/x; stat -c %u /d/x"
    stat -c %u /var/lib/docker/*/volumes/vol/_data/x; docker volume rm vol'
  in_machine 'rm /etc/docker/daemon.json; systemctl restart docker'
  assert_equal "$(tr -s ' \n' ' ' <<<"$output")" " 0 2000 60000 MemTotal: 40960 kB 0 2000 vol "
}

@test "rootless Podman" {
  need_workshop
  run as_ann 'podman import /busybox.tar localhost/busybox 2>/dev/null >/dev/null
    podman run --rm localhost/busybox sh -c "id -u; cat /proc/self/uid_map; grep -c MemTotal /proc/meminfo"
    podman run --detach --name web --publish 8088:80 localhost/busybox sh -c \
      "mkdir /www; echo rootless >/www/index.html; exec httpd -f -h /www -p 80" >/dev/null
    curl -s --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8088/; podman rm --force --time 0 web >/dev/null'
  assert_ok
  assert_equal "$(tr -s ' \n' ' ' <<<"$output")" "0 0 1000 1 1 2000 60000 1 rootless "
}

@test "Podman and buildah as root" {
  need_workshop
  run in_machine 'podman import /busybox.tar localhost/busybox >/dev/null 2>&1
    podman info --format "{{.Store.GraphDriverName}}"
    for runtime in crun runc; do
      podman --runtime $runtime run --rm --privileged --memory 64m localhost/busybox sh -c \
        "mkdir /m && mount -t proc none /m && grep MemTotal /m/meminfo"
    done'
  assert_ok
  assert_equal "$(tr -s ' ' <<<"$output")" "$(printf 'overlay\nMemTotal: 65536 kB\nMemTotal: 65536 kB')"
  # For root of a user namespace Podman asks that root's own systemd for the DNS server.
  run in_machine "export XDG_RUNTIME_DIR=/run/user/0; podman network create meeting >/dev/null
    podman run --detach --network meeting --name named localhost/busybox $(web by-name) >/dev/null
    podman run --rm --network meeting localhost/busybox sh -c '$(get named)'
    podman rm --force --time 0 named >/dev/null; podman network rm meeting"
  assert_contains "$output" by-name
  run in_machine 'sed "s|FROM busybox|FROM localhost/busybox|" /build/Dockerfile >/build/Containerfile
    buildah bud --file /build/Containerfile --tag built /build >/dev/null 2>&1
    podman run --rm built sh -c "cat /copied; stat -c %u:%g /copied /file"
    c=$(buildah from localhost/busybox); buildah run $c echo in-buildah; buildah rm $c >/dev/null'
  assert_equal "${lines[*]}" "built 7:8 1000:1001 in-buildah"
}

@test "containerd with ctr" {
  need_workshop
  run in_machine 'ctr images import /busybox.oci >/dev/null
    ctr run --rm --memory-limit 33554432 localhost/busybox:latest one grep MemTotal /proc/meminfo
    ctr run --rm --privileged --net-host localhost/busybox:latest two sh -c "mkdir /m; mount -t proc none /m; ls -d /m/self"
    ctr run --rm --snapshotter native localhost/busybox:latest three echo native'
  assert_ok
  assert_equal "$(tr -s ' ' <<<"$output")" "$(printf 'MemTotal: 32768 kB\n/m/self\nnative')"
}

@test "systemd-nspawn, bubblewrap, unshare" {
  need_workshop
  run in_machine 'mkdir -p /srv/small/usr && tar -C /srv/small -xf /busybox.tar && touch /srv/small/etc/os-release
    systemd-nspawn --quiet --directory /srv/small --pipe --register=no sh -c "id -u; ls -d /proc/self; cat /proc/sys/kernel/hostname"'
  assert_ok
  assert_equal "${lines[*]}" "0 /proc/self small"
  run as_ann 'bwrap --ro-bind / / --proc /proc --dev /dev --unshare-user --unshare-pid --unshare-ipc \
      --die-with-parent sh -c "id -u; ps ax | grep -c [s]ystemd; touch /x"'
  assert_equal "${lines[*]:0:2}" "1000 0"
  assert_contains "$output" 'Read-only file system'
  run as_ann 'unshare --map-root-user --mount-proc --fork --pid sh -c "id -u; ps ax | grep -c [s]ystemd;
    mount -t tmpfs none /mnt && mkdir /mnt/p && mount -t proc none /mnt/p && umount /mnt/p && echo unmounted"'
  assert_equal "${lines[*]}" "0 0 unmounted"
}

@test "a restart of the outer container keeps what the inner engine has" {
  need_workshop
  need_inner_busybox machine
  docker exec machine docker run --name kept busybox sh -c 'echo content >/file'
  docker restart --time 30 machine
  wait_for 90 systemd_is_up machine
  wait_for 90 inner_docker_is_up machine
  assert_equal "$(docker exec machine docker start --attach kept && docker exec machine docker cp kept:/file - | tar -xO)" content
  docker rm --force machine
}

start_newest() { # DAEMON_CONFIG
  docker rm --force newest >/dev/null 2>&1 || :
  drun --detach --name newest engines sh -c \
    "mkdir -p /etc/docker; echo '$1' >/etc/docker/daemon.json; exec dockerd" >/dev/null
  wait_for 60 inner_docker_is_up newest || fail "$(docker logs newest 2>&1 | tail)"
  docker exec --interactive newest docker import - busybox <"$(busybox_tar)" >/dev/null
  put_recipes newest
}

@test "the newest Docker: overlay2, classic builds, buildx, compose" {
  start_newest '{}'
  assert_equal "$(docker exec newest docker info --format '{{.Driver}}')" overlay2
  check_docker newest
  check_build newest 0
  check_build newest 1
  check_compose newest "docker compose"
}

@test "the newest Docker with containerd's image store" {
  start_newest '{"features": {"containerd-snapshotter": true}}'
  assert_equal "$(docker exec newest docker info --format '{{.Driver}}')" overlayfs
  check_docker newest
  check_build newest 1
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  suite_left_nothing
}
