# shellcheck shell=bash
# A private dockerd of Debian's packages, unpacked beside the system, in a network namespace of
# its own, with the runtime under test added to it. ENGINE_RELEASE names the Debian release that it
# comes from: without it, the one that the tests' packages come from. A newer one keeps its images
# in containerd. ENGINE_TOOLS is a directory of programs that it finds before its own.

engine_start() { # [OPTION...]: for dockerd
  local pid
  export ENGINE_DIR DOCKER_HOST ENGINE_PATH
  local store=(--storage-driver overlay2)
  if [[ -n ${ENGINE_RELEASE:-} ]]; then
    store=(--storage-driver overlayfs --feature containerd-snapshotter=true)
    ENGINE_DIR=$(engine_root "$ENGINE_RELEASE")
    ENGINE_PATH=$SUITE_DIR/engine:/usr/sbin:/usr/bin:/sbin:/bin
    mkdir -p "$SUITE_DIR/engine"
    engine_program docker
    engine_program dockerd
  else
    ENGINE_DIR=$(engine_dir)
    ENGINE_PATH=${ENGINE_TOOLS:+$ENGINE_TOOLS:}$ENGINE_DIR/usr/bin:$ENGINE_DIR/usr/sbin:/usr/sbin:/usr/bin:/sbin:/bin
  fi
  DOCKER_HOST=unix://$SUITE_DIR/docker.sock
  mkdir -p "$SUITE_DIR"/docker/{data,exec}
  jq -n --arg path "$SYSBOX_RUNC" --arg mgr "$SYSBOX_MGR_SOCKET" --arg fs "$SYSBOX_FS_SOCKET" \
    '{runtimes: {"sysbox-runc": {path: $path,
       runtimeArgs: ["--manager-socket", $mgr, "--emulator-socket", $fs]}}}' \
    >"$SUITE_DIR/docker/daemon.json"
  # On a host with cgroup v2 docker would ask systemd for its cgroups.
  PATH=$ENGINE_PATH SYSBOX_E2E_OF=$SUITE setsid unshare --net -- \
    sh -c 'ip link set lo up && exec "$@"' sh dockerd --host "$DOCKER_HOST" \
    --config-file "$SUITE_DIR/docker/daemon.json" --data-root "$SUITE_DIR/docker/data" \
    --exec-root "$SUITE_DIR/docker/exec" --pidfile "$SUITE_DIR/docker/pid" \
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$SUITE" "${store[@]}" \
    "$@" >>"$SUITE_DIR/log/dockerd" 2>&1 </dev/null 3>&- 4>&- &
  pid=$!
  disown "$pid"
  echo "$pid" >"$SUITE_DIR/dockerd.pid"
  wait_for 60 engine_answers_or_died "$pid"
  docker version >/dev/null 2>&1 || fail "dockerd died:" "$(tail -n 20 "$SUITE_DIR/log/dockerd")"
}
# A program of another release needs that release's C library: it sees its own /usr.
engine_program() { # NAME
  cat >"$SUITE_DIR/engine/$1" <<P
#!/bin/sh
exec unshare --mount -- sh -c 'mount --bind "$ENGINE_DIR/usr" /usr && PATH=/usr/sbin:/usr/bin exec "\$@"' sh $1 "\$@"
P
  chmod +x "$SUITE_DIR/engine/$1"
}
engine_answers_or_died() { docker version || ! kill -0 "$1"; }

engine_stop() {
  local ids
  [[ -e $SUITE_DIR/dockerd.pid ]] || return 0
  mapfile -t ids < <(docker ps --all --quiet)
  ((${#ids[@]} == 0)) || docker rm --force --volumes "${ids[@]}" >/dev/null
  daemon_stop dockerd
  # dockerd leaves the namespaces of its networks mounted, and its data root on itself.
  awk -v dir="$SUITE_DIR/docker" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo |
    while read -r path; do umount "$path"; done
}

docker() { PATH=$ENGINE_PATH command docker "$@" 3>&- 4>&-; }
in_engine_net() { nsenter --net="/proc/$(daemon_pid dockerd)/ns/net" -- "$@"; }

import_images() { # [small | workshop]: what is named machine
  docker import --change 'CMD ["/bin/sh"]' - busybox <"$(busybox_tar)" >/dev/null
  [[ ${1:-} = small ]] ||
    docker import --change 'CMD ["/sbin/init"]' - machine <"$("${1:-machine}_tar")" >/dev/null
}

# `docker run` with the runtime under test.
drun() { timeout $((60 * SLOWER)) env PATH="$ENGINE_PATH" docker run --runtime=sysbox-runc "$@" 3>&- 4>&-; }
init_pid() { docker inspect --format '{{.State.Pid}}' "$1"; }
host_uid() { awk 'NR == 1 { print $2 }' "/proc/$(init_pid "$1")/uid_map"; }

systemd_is_up() { [[ $(docker exec "$1" systemctl is-system-running 2>/dev/null) =~ running|degraded ]]; }
# A container with systemd, up to the end of its start; made when a test first asks for it.
need_machine() { # NAME [DOCKER_OPTION...]
  if [[ -z $(docker ps --quiet --filter "name=^$1\$") ]]; then
    docker rm --force "$1" >/dev/null 2>&1 || :
    drun --detach --stop-signal SIGRTMIN+3 --name "$1" "${@:2}" machine /sbin/init >/dev/null
  fi
  wait_for 90 systemd_is_up_or_ended "$1" || :
  systemd_is_up "$1" ||
    fail "systemd says '$(docker exec "$1" systemctl is-system-running 2>&1)'" \
      "$(docker logs "$1" 2>&1 | tail -n 20)"
  # A kernel may have no nf_tables for IP, as user-mode Linux: then Docker inside needs what an
  # administrator would choose there.
  docker exec "$1" sh -c '! command -v iptables ||
    { iptables --table nat --new-chain probe && iptables --table nat --delete-chain probe; } || {
      update-alternatives --set iptables /usr/sbin/iptables-legacy
      systemctl reset-failed && systemctl restart docker.socket docker
    }' >/dev/null 2>&1 || :
}
systemd_is_up_or_ended() { systemd_is_up "$1" || ! is_running "$1"; }
is_running() { [[ $(docker inspect --format '{{.State.Running}}' "$1") = true ]]; }
inner_docker_is_up() { docker exec "$1" docker version; }
inner_docker_is_up_or_failed() {
  inner_docker_is_up "$1" || docker exec "$1" systemctl is-failed docker || ! is_running "$1"
}
need_inner_busybox() { # NAME: the inner engine is up and has an image
  wait_for 90 inner_docker_is_up_or_failed "$1" || :
  inner_docker_is_up "$1" >/dev/null 2>&1 ||
    fail "$(docker exec "$1" journalctl --no-pager -u docker -n 30 2>&1)"
  [[ -n $(docker exec "$1" docker images --quiet busybox) ]] ||
    docker exec --interactive "$1" docker import - busybox <"$(busybox_tar)" >/dev/null
}
