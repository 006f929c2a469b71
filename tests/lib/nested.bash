# shellcheck shell=bash
# shellcheck disable=SC2154 # output, lines: set by bats' run
# What container engines inside a system container have to do, whoever runs them. Before a check,
# as_root or as_user says where; `inner` runs a script there.

as_root() { INNER=(--env PODMAN_IGNORE_CGROUPSV1_WARNING=1 "$1" bash -c); } # CONTAINER
as_user() { INNER=("$1" su - ann -c); }
inner() { # SCRIPT
  timeout $((120 * SLOWER)) env PATH="$ENGINE_PATH" docker exec "${INNER[@]}" "$1" 3>&- 4>&-
}
# What a check says about itself, among the results.
tell() { echo "# $*" >&3; }

# The image of an archive, when a test first asks for it.
need_image() { # NAME [ARCHIVE [IMPORT_OPTION...]]
  docker image inspect "$1" >/dev/null 2>&1 || docker import "${@:3}" - "$1" <"$("${2:-$1}_tar")" >/dev/null
}
# What comes before an engine that is its container's first process, in sh, as in any container: cgroup v2 has
# no cgroup that holds processes and limited cgroups too.
engine_first() {
  cat <<'S'
for try in 1 2 3 4 5; do
  [ -e /sys/fs/cgroup/cgroup.controllers ] || break
  mkdir -p /sys/fs/cgroup/init
  while read -r pid; do echo $pid >/sys/fs/cgroup/init/cgroup.procs; done </sys/fs/cgroup/cgroup.procs
  sed "s/[^ ][^ ]*/+&/g" /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control && break
done
S
  choose_iptables
}
# The kernel may have only the older one of iptables' two interfaces to it, as user-mode Linux.
choose_iptables() {
  cat <<'S'
iptables --table nat --new-chain probe && iptables --table nat --delete-chain probe ||
  for name in iptables ip6tables; do ln -sfn $name-legacy /usr/sbin/$name; done
S
}
inner_docker_is_up_or_ended() { inner_docker_is_up "$1" || ! is_running "$1"; }

# A user as useradd makes her, with the distribution's own choice of subordinate ids.
add_user() { # CONTAINER
  docker exec --interactive "$1" bash -e <<'S'
useradd --create-home --shell /bin/bash ann
[[ ! -d /run/systemd/system ]] || loginctl enable-linger ann
install -d -m 700 -o ann -g ann /run/user/1000
cat >>/home/ann/.profile <<'P'
export XDG_RUNTIME_DIR=/run/user/1000 DOCKER_HOST=unix:///run/user/1000/docker.sock
export PATH=/usr/share/docker.io/contrib:/usr/sbin:/usr/bin PODMAN_IGNORE_CGROUPSV1_WARNING=1
P
S
}
give() { docker exec --interactive "$1" sh -c "cat >$2 && chmod 644 $2"; } # CONTAINER FILE
put_recipes() { # CONTAINER: an image, what is built of it, and what is composed
  give "$1" /busybox.tar <"$(busybox_tar)"
  docker exec --interactive "$1" sh -ec 'mkdir -p /build /compose && cat >/build/Dockerfile' <<'D'
FROM busybox AS first
RUN echo built >/out && chown 12:34 /out
FROM busybox
COPY --from=first --chown=7:8 /out /copied
COPY --chown=1000:1001 file /file
VOLUME /volume
RUN mkdir /made && chmod 1777 /made
D
  docker exec "$1" sh -c 'echo file >/build/file
    sed "s|FROM busybox|FROM localhost/busybox|" /build/Dockerfile >/build/Containerfile'
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
web() { echo "/bin/sh -c 'mkdir /www; echo $1 >/www/index.html; exec httpd -f -h /www -p 80'"; }
get() { echo "for i in \$(seq 50); do wget -q -O /tmp/got http://$1/ && break; sleep 0.2; done; cat /tmp/got"; }
# The same from outside of the outer container, which publishes nothing: its address will do.
get_from_outside() { # CONTAINER PORT
  local address tries=10 box
  box=$(busybox_dir)/bin/busybox
  address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1")
  until in_engine_net timeout 10 "$box" wget -q -O - "http://$address:$2/"; do
    ((--tries)) || return 1
    sleep 0.5
  done
}

check_docker_limits() {
  run inner 'docker run --rm --memory 64m --cpus 0.5 --pids-limit 50 busybox sh -c "
    grep MemTotal /proc/meminfo; grep -c ^processor /proc/cpuinfo"'
  assert_ok
  assert_equal "$(tr -s ' \n' ' ' <<<"$output")" "MemTotal: 65536 kB 1 "
}
check_docker() { # CONTAINER
  run inner 'docker run --rm --privileged busybox sh -c "
    mkdir /m && mount -t tmpfs none /m && mount -t proc none /m && ls -d /m/self && umount /m"'
  assert_ok
  run inner 'docker run --rm --net=host busybox ip link show docker0'
  assert_ok
  run inner "docker run --detach --publish 8080:80 --name published busybox $(web published) >/dev/null
    docker run --rm --net=host busybox sh -c '$(get 127.0.0.1:8080)'"
  assert_contains "$output" published
  run get_from_outside "$1" 8080
  assert_equal "$output" published "what a published port says outside of both containers"
  run inner "docker rm --force published; docker network create meeting >/dev/null
    docker run --detach --net meeting --name named busybox $(web by-name) >/dev/null
    docker run --rm --net meeting busybox sh -c '$(get named)'
    docker rm --force named && docker network rm meeting"
  assert_contains "$output" by-name
  run inner 'docker run --rm --volume kept:/data busybox sh -c "echo >/data/f; chown 5:6 /data/f"
    docker run --rm --volume kept:/data:ro busybox sh -c "stat -c %u:%g /data/f; touch /data/g"'
  assert_contains "$output" 5:6
  assert_contains "$output" 'Read-only file system'
  run inner 'docker run --rm --sysctl net.ipv4.ip_unprivileged_port_start=100 busybox \
    sysctl -n net.ipv4.ip_unprivileged_port_start'
  assert_equal "$output" 100
}
# What happens in a container's life, beside its start and its end.
check_docker_life() {
  run inner 'docker run --detach --name life --init --tmpfs /scratch --ipc host \
      --health-cmd "test -e /well" --health-interval 1s busybox sleep 600 >/dev/null
    docker exec life sh -c "cat /proc/1/comm; stat -f -c %T /scratch; touch /well"
    echo given >/tmp/given; docker cp /tmp/given life:/given; docker cp life:/given /tmp/back; cat /tmp/back
    for i in $(seq 100); do
      docker inspect --format "{{.State.Health.Status}}" life | grep -w healthy && break; sleep 0.2
    done
    docker pause life; docker unpause life
    docker commit --change "CMD [\"cat\", \"/given\"]" life committed >/dev/null
    docker run --rm committed; docker rm --force life >/dev/null; docker rmi committed >/dev/null'
  assert_ok
  assert_equal "${lines[*]}" "docker-init tmpfs given healthy life life given"
  run inner 'script --quiet --return --command \
    "docker run --rm --interactive --tty busybox tty" /dev/null </dev/null'
  assert_contains "$output" /dev/pts/0
  run inner 'docker run --detach --name again --restart on-failure:2 busybox false >/dev/null
    for i in $(seq 100); do
      [ "$(docker inspect --format "{{.RestartCount}} {{.State.Status}}" again)" = "2 exited" ] && break
      sleep 0.2
    done
    docker inspect --format "{{.RestartCount}}" again; docker rm again >/dev/null'
  assert_equal "$output" 2
  run inner 'docker run --rm --pid=host busybox cat /proc/1/comm; cat /proc/1/comm'
  assert_equal "${lines[0]}" "${lines[1]}" "the first process as --pid=host shows it"
}
check_build() { # BUILDKIT
  run inner "DOCKER_BUILDKIT=$1 docker build --tag built-$1 /build"
  assert_ok
  run inner "docker run --rm built-$1 sh -c 'cat /copied; stat -c %u:%g /copied /file; stat -c %a /made'"
  assert_equal "${lines[*]}" "built 7:8 1000:1001 1777"
}
check_compose() { # COMMAND
  run inner "cd /compose && $1 up --detach
    for i in \$(seq 50); do $1 logs client | grep composed && break; sleep 0.2; done; $1 down --volumes"
  assert_ok
  assert_matches "$output" 'client.* composed'
}

# Podman: a container, a build, and who owns what; the image is the same one.
check_podman() { # [OPTION...]: Podman's own
  local podman="podman $*"
  run inner "$podman import --quiet /busybox.tar localhost/busybox >/dev/null
    $podman run --rm localhost/busybox sh -c 'id -u; touch /x; chown 5:6 /x; stat -c %u:%g /x; ls -d /proc/self'
    $podman run --rm --privileged localhost/busybox sh -c 'mkdir /m; mount -t proc none /m && ls -d /m/self'"
  assert_ok
  assert_equal "${lines[*]}" "0 5:6 /proc/self /m/self"
  run inner "$podman build --quiet --file /build/Containerfile --tag built /build >/dev/null
    $podman run --rm built sh -c 'cat /copied; stat -c %u:%g /copied /file'"
  assert_equal "${lines[*]}" "built 7:8 1000:1001"
}
check_podman_networks() { # CONTAINER
  run inner "podman run --detach --name published --publish 8081:80 localhost/busybox $(web podman) >/dev/null"
  assert_ok
  run get_from_outside "$1" 8081
  assert_equal "$output" podman
  run inner "podman rm --force --time 0 published >/dev/null; podman network create meeting >/dev/null
    podman run --detach --network meeting --name named localhost/busybox $(web by-name) >/dev/null
    podman run --rm --network meeting localhost/busybox sh -c '$(get named)'
    podman rm --force --time 0 named >/dev/null; podman network rm --force meeting"
  assert_contains "$output" by-name
}
# A pod, written down and made again from what is written.
check_podman_pods() {
  run inner "cd /tmp; podman pod create --name pod >/dev/null
    podman run --detach --pod pod --name web localhost/busybox $(web podded) >/dev/null
    podman run --rm --pod pod localhost/busybox sh -c '$(get 127.0.0.1)'
    podman generate kube pod >pod.yaml 2>/dev/null; podman pod rm --force --time 0 pod >/dev/null
    podman play kube pod.yaml >/dev/null
    podman run --rm --pod pod localhost/busybox sh -c '$(get 127.0.0.1)'
    podman pod rm --force --time 0 pod >/dev/null"
  assert_contains "${lines[*]}" "podded podded"
}
