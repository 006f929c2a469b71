# Container engines inside a system container, as their distributions ship them, down to an engine
# inside an engine's container. Those of ordinary users are in nested_users.bats.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine
load ../lib/nested

setup_file() {
  export BATS_TEST_TIMEOUT=$((300 * SLOWER))
  suite_start nested
  daemons_start
  engine_start
  import_images small
}
teardown_file() {
  engine_stop
  suite_stop
}

in_machine() { timeout $((150 * SLOWER)) docker exec machine bash -c "$1"; }
# As a user who has logged in.
as_ann() { in_machine "su - ann -c 'export XDG_RUNTIME_DIR=/run/user/1000; $1'"; }

need_workshop() {
  need_image machine workshop --change 'CMD ["/sbin/init"]'
  need_machine machine
  in_machine 'test -e /compose' && return
  give machine /busybox.oci <"$(busybox_oci)"
  # Of the container's 65536 ids: what useradd would choose lies beyond them.
  in_machine 'useradd --create-home --shell /bin/bash ann
    useradd --system dockremap; printf "%s:2000:60000\n" ann dockremap | tee /etc/subuid >/etc/subgid
    loginctl enable-linger ann; loginctl enable-linger root'
  put_recipes machine
}
@test "Docker 20.10: limits, privileged, networks, ports, volumes, a container's life" {
  need_workshop
  need_inner_busybox machine
  as_root machine
  tell "Docker $(docker exec machine docker version --format '{{.Server.Version}}')"
  check_docker_limits
  check_docker machine
  check_docker_life
}

@test "Docker 20.10: classic builds, BuildKit, compose" {
  need_workshop
  need_inner_busybox machine
  as_root machine
  check_build 0
  check_build 1
  check_compose docker-compose
}

@test "Docker inside a container of the inner Docker" {
  need_workshop
  need_inner_busybox machine
  give machine /first <<<"$(engine_first)"
  in_machine 'tar --one-file-system -C / -cf - bin sbin lib lib64 etc usr/bin usr/sbin usr/lib usr/lib64 |
    docker import - system >/dev/null
    docker run --detach --privileged --name third --volume /var/lib/docker --volume /first:/first:ro system \
      sh -c "mkdir -p /run /tmp /var/run /root; . /first; exec dockerd" >/dev/null'
  third_is_up() { in_machine 'docker exec third docker version'; }
  third_is_up_or_ended() { third_is_up || [[ $(in_machine 'docker ps --quiet --filter name=third') = "" ]]; }
  wait_for 60 third_is_up_or_ended || :
  third_is_up >/dev/null || fail "$(in_machine 'docker logs third 2>&1 | tail')"
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
  # An image without systemd is an old one to nspawn, which gives it the cgroups of its day if not told otherwise.
  run in_machine 'mkdir -p /srv/small/usr && tar -C /srv/small -xf /busybox.tar && touch /srv/small/etc/os-release
    [[ ! -e /sys/fs/cgroup/cgroup.controllers ]] || export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
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

# A container whose only service is the engine.
start_docker() { # NAME IMAGE [DAEMON_CONFIG]
  docker rm --force --volumes "$1" >/dev/null 2>&1 || :
  need_image "$2"
  drun --detach --name "$1" "$2" sh -c \
    "mkdir -p /etc/docker; echo '${3:-{\}}' >/etc/docker/daemon.json
    $(engine_first)
    exec dockerd" >/dev/null
  wait_for 60 inner_docker_is_up_or_ended "$1" || :
  inner_docker_is_up "$1" >/dev/null || fail "$(docker logs "$1" 2>&1 | tail)"
  docker exec --interactive "$1" docker import - busybox <"$(busybox_tar)" >/dev/null
  put_recipes "$1"
  as_root "$1"
  tell "Docker $(docker exec "$1" docker version --format '{{.Server.Version}}')," \
    "$(docker exec "$1" runc --version | head -n 1)"
}

@test "Docker 26: everything" {
  start_docker stable stable
  assert_matches "$(docker exec stable docker version --format '{{.Server.Version}}')" '^26\.'
  check_docker_limits
  check_docker stable
  check_docker_life
  check_build 0
  check_build 1
  check_compose "docker compose"
  docker rm --force --volumes stable
}

need_newest() {
  as_root newest
  [[ -n $(docker ps --quiet --filter 'name=^newest$') ]] ||
    start_docker newest engines '{"runtimes": {"crun": {"path": "/usr/bin/crun"}}}'
}

@test "the newest Docker: overlay2, classic builds, buildx, compose" {
  need_newest
  assert_equal "$(docker exec newest docker info --format '{{.Driver}}')" overlay2
  check_docker_limits
  check_docker newest
  check_docker_life
  check_build 0
  check_build 1
  check_compose "docker compose"
}

@test "the newest Docker with crun as its runtime" {
  need_newest
  tell "$(docker exec newest crun --version | head -n 1)"
  run inner 'docker run --rm --runtime crun --memory 64m busybox grep MemTotal /proc/meminfo'
  assert_equal "$(tr -s ' ' <<<"$output")" "MemTotal: 65536 kB"
}

# Not beside Docker, which lets through what is for its own containers only, as on any machine.
@test "the newest Podman, with crun and with runc" {
  need_image engines
  drun --detach --name pods engines sh -c \
    'mount --make-rshared / && trap "exit 0" TERM; while :; do sleep 1 & wait; done' >/dev/null
  put_recipes pods
  as_root pods
  tell "$(docker exec pods podman --version), $(docker exec pods buildah --version)"
  check_podman
  check_podman --runtime runc
  check_podman_networks pods
  check_podman_pods
  run inner 'for runtime in crun runc; do podman --runtime $runtime run --rm --memory 64m \
    localhost/busybox grep MemTotal /proc/meminfo; done'
  assert_equal "$(tr -s ' ' <<<"${lines[*]: -2}")" "MemTotal: 65536 kB MemTotal: 65536 kB"
  docker rm --force --volumes pods
}

@test "containerd 2 with ctr" {
  need_newest
  give newest /busybox.oci <"$(busybox_oci)"
  tell "$(docker exec newest ctr --version)"
  # dockerd's own containerd.
  run inner 'export CONTAINERD_ADDRESS=/run/docker/containerd/containerd.sock
    [ -S $CONTAINERD_ADDRESS ] || export CONTAINERD_ADDRESS=/var/run/docker/containerd/containerd.sock
    ctr images import /busybox.oci >/dev/null
    ctr run --rm --memory-limit 33554432 localhost/busybox:latest one grep MemTotal /proc/meminfo
    ctr run --rm --privileged --net-host localhost/busybox:latest two sh -c "mkdir /m; mount -t proc none /m; ls -d /m/self"'
  assert_ok
  assert_equal "$(tr -s ' ' <<<"$output")" "$(printf 'MemTotal: 32768 kB\n/m/self')"
}

@test "the newest Docker with containerd's image store" {
  start_docker newest engines '{"features": {"containerd-snapshotter": true}}'
  assert_equal "$(docker exec newest docker info --format '{{.Driver}}')" overlayfs
  check_docker_limits
  check_docker newest
  check_build 1
  docker rm --force --volumes newest
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  suite_left_nothing
}
