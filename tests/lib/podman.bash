# shellcheck shell=bash
# A private Podman of Debian's packages, unpacked beside the system, with its storage, networks and
# state in the suite's directory, in a network namespace of its own.

podman_start() {
  local dir=$SUITE_DIR/podman packages
  packages=$(podman_dir)
  export PODMAN_NET=$dir/net PODMAN_PROGRAM=$packages/usr/bin/podman
  export CONTAINERS_CONF=$dir/containers.conf CONTAINERS_STORAGE_CONF=$dir/storage.conf
  export CONTAINERS_REGISTRIES_CONF=$dir/registries.conf
  mkdir -p "$dir"/{root,run,tmp,networks,volumes}
  touch "$dir/registries.conf"
  cat >"$dir/storage.conf" <<C
[storage]
driver = "overlay"
graphroot = "$dir/root"
runroot = "$dir/run"
[storage.options]
root-auto-userns-user = "$SUITE"
auto-userns-max-size = 65536
C
  cat >"$dir/containers.conf" <<C
[containers]
cgroups = "enabled"
seccomp_profile = "$packages/usr/share/containers/seccomp.json"
apparmor_profile = "unconfined"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "sysbox-runc"
conmon_path = ["$packages/usr/bin/conmon"]
helper_binaries_dir = ["$packages/usr/lib/podman"]
tmp_dir = "$dir/tmp"
static_dir = "$dir/root/libpod"
volume_path = "$dir/volumes"
infra_image = "localhost/busybox"
[engine.runtimes]
sysbox-runc = ["$SYSBOX_WRAPPER"]
[network]
network_backend = "netavark"
network_config_dir = "$dir/networks"
C
  touch "$PODMAN_NET"
  unshare --net sh -c "ip link set lo up && mount --bind /proc/self/ns/net '$PODMAN_NET'"
  echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$dir/policy.json"
  podman import --signature-policy "$dir/policy.json" --change 'CMD ["/bin/sh"]' "$(busybox_tar)" localhost/busybox >/dev/null
}
podman_stop() {
  [[ -e ${PODMAN_NET:-} ]] || return 0
  podman rm --all --force --time 0 >/dev/null 2>&1 || :
  podman pod rm --all --force --time 0 >/dev/null 2>&1 || :
  # Of the cgroup parent that it was given, Podman leaves the part for its watchers.
  wait_for 10 podman_cgroups_are_removed
  umount "$PODMAN_NET"
  rm "$PODMAN_NET"
  awk -v dir="$SUITE_DIR/podman" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | tac |
    while read -r path; do umount "$path"; done
}
# Podman takes for a cgroup hierarchy what is an empty directory where a controller's would be.
podman_cgroups_are_removed() {
  find /sys/fs/cgroup -xdev -path "*/$SUITE/*" -type f -delete || :
  find /sys/fs/cgroup -depth -type d -path "*/$SUITE/*" -exec rmdir {} + || :
  [[ -z $(find /sys/fs/cgroup -type d -path "*/$SUITE/*") ]]
}
# Podman has no daemon: each command is a process of the engine, and conmon watches a container.
podman() {
  SYSBOX_E2E_OF=$SUITE timeout $((90 * SLOWER)) \
    nsenter --net="$PODMAN_NET" -- "$PODMAN_PROGRAM" "$@" 3>&- 4>&-
}
prun() { podman run --cgroup-parent "/$SUITE" "$@"; }
container_state() { podman inspect --format '{{.State.Status}}' "$1"; }
is_container_state() { [[ $(container_state "$1") = "$2" ]]; }

# Removes containers that may still run. Podman's own cleaning up after the end of one runs beside it and
# may hold the container's /dev/shm for a moment.
podman_remove() {
  local tries=5
  until podman rm --force --time 0 --ignore "$@"; do
    ((--tries)) || return 1
    sleep 0.5
  done
}
