# Container engines of an ordinary user inside a system container, with the subordinate ids that
# the distribution gives her; programs of another processor.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine
load ../lib/nested

setup_file() {
  export BATS_TEST_TIMEOUT=$((300 * SLOWER))
  suite_start users 32
  daemons_start
  engine_start
  import_images small
}
teardown_file() {
  engine_stop
  suite_stop
}

# useradd gives the first user 65536 ids from 100000 on. Her images lie on a volume: an overlay in
# an overlay is refused by the kernel.
enough_ids=(--env SYSBOX_IDS=196608 --volume /home)
need_user_machine() {
  need_image machine workshop --change 'CMD ["/sbin/init"]'
  need_machine machine "${enough_ids[@]}"
  docker exec machine id ann >/dev/null 2>&1 || {
    add_user machine
    put_recipes machine
  }
  as_user machine
}
need_newest() { # without systemd
  [[ -z $(docker ps --quiet --filter 'name=^newest$') ]] || { as_user newest && return; }
  need_image engines
  drun --detach --name newest "${enough_ids[@]}" engines sh -c \
    'mount --make-rshared / && trap "exit 0" TERM; while :; do sleep 1 & wait; done' >/dev/null
  docker exec newest sh -c "$(choose_iptables)"
  add_user newest
  put_recipes newest
  as_user newest
}
use_driver() { # LINE...: of storage.conf
  run inner "podman system reset --force >/dev/null 2>&1; mkdir -p ~/.config/containers
    printf '%s\n' '[storage]' '$1' '${2:-}' '${3:-}' >~/.config/containers/storage.conf"
  assert_ok
}
formats_of_host() { unshare --mount sh -c 'mount -t binfmt_misc none /mnt && ls /mnt'; }
start_rootless_docker() { # COMMAND...: that starts dockerd-rootless.sh
  run inner "$* && for i in \$(seq 150); do docker version >/dev/null 2>&1 && exit; sleep 0.2; done
    tail -n 20 ~/log; exit 1"
  assert_ok
  run inner 'docker import - busybox </busybox.tar'
  assert_ok
  run inner 'docker info --format "{{.ServerVersion}} {{.Driver}} {{.SecurityOptions}}"'
  tell "rootless Docker $output"
  assert_contains "$output" rootless
}

@test "a container has as many ids as it asks for, which are its own alone" {
  need_user_machine
  run inner 'cat /proc/self/uid_map /etc/subuid; podman unshare cat /proc/self/uid_map'
  assert_matches "$(tr -s ' \n' ' ' <<<"$output")" \
    '^ 0 [0-9]+ 196608 ann:100000:65536 0 1000 1 1 100000 65536 $'
  drun --rm --env SYSBOX_IDS=131072 busybox cat /proc/self/uid_map /proc/self/gid_map >"$SUITE_DIR/two"
  assert_equal "$(awk '{ print $1, $3 }' "$SUITE_DIR/two" | tr '\n' ' ')" "0 131072 0 131072 "
  run drun --rm --env SYSBOX_IDS=65535 busybox true
  assert_failed "SYSBOX_IDS: '65535' is not a value of it; expected: 65536 … 2147483648"
  run drun --rm --env SYSBOX_IDS=2147483648 busybox true
  assert_failed "no 2147483648 host ids in a row are free"
}

@test "rootless Podman: overlay, fuse-overlayfs, builds, networks, pods, buildah" {
  need_user_machine
  run inner 'podman --version; slirp4netns --version; fuse-overlayfs --version'
  tell "$(grep -E 'version' <<<"$output" | tr '\n' ' ')"
  use_driver 'driver = "overlay"'
  check_podman
  run inner 'podman info --format "{{.Store.GraphDriverName}} {{.Store.GraphOptions}}"'
  assert_equal "$output" "overlay map[]"
  check_podman_networks machine
  check_podman_pods
  run inner 'c=$(buildah from localhost/busybox); buildah run $c sh -c "id -u; touch /made"
    buildah commit --quiet $c of-buildah >/dev/null; buildah rm $c >/dev/null; podman run --rm of-buildah ls /made'
  assert_equal "${lines[*]}" "0 /made"
}

@test "rootless Podman on fuse-overlayfs" {
  need_user_machine
  use_driver 'driver = "overlay"' '[storage.options.overlay]' 'mount_program = "/usr/bin/fuse-overlayfs"'
  check_podman
  run inner 'podman run --rm localhost/busybox head -n 1 /proc/mounts; podman system reset --force >/dev/null 2>&1'
  assert_matches "$output" '^fuse-overlayfs / fuse'
}

@test "rootless Docker 20.10 as a service of the user's own systemd" {
  need_user_machine
  start_rootless_docker 'systemd-run --user --quiet --unit docker --setenv PATH=$PATH dockerd-rootless.sh'
  check_docker machine
  check_build 0
  check_build 1
  check_compose docker-compose
  run inner 'docker info --format "{{.Driver}}"; systemctl --user stop docker'
  assert_equal "$output" overlay2
}

@test "the newest rootless Docker: overlay2" {
  need_newest
  start_rootless_docker 'setsid dockerd-rootless.sh >~/log 2>&1 </dev/null & echo $! >~/pid; true'
  check_docker newest
  check_build 1
  check_compose "docker compose"
  run inner 'docker info --format "{{.Driver}}"; kill $(cat ~/pid)'
  assert_equal "$output" overlay2
}

@test "the newest rootless Podman and buildah" {
  need_newest
  run inner 'podman --version; buildah --version; pasta --version | head -n 1'
  tell "$(tr '\n' ' ' <<<"$output")"
  check_podman
  run inner 'podman info --format "{{.Store.GraphDriverName}}"'
  assert_equal "$output" overlay
  check_podman_networks newest
  check_podman_pods
}

# Containers with user namespaces of their own: their layers, and volumes that ask for it, get the ids of those.
need_new_ids() { kernel_has_call 467 || skip "this kernel gives no mount other ids"; } # open_tree_attr

@test "the newest Podman of root: containers of user namespaces, with new ids for layers and volumes" {
  need_new_ids
  need_newest
  as_root newest
  run inner 'for name in root containers; do echo $name:65536:131072 | tee -a /etc/subuid >>/etc/subgid; done
    podman import --quiet /busybox.tar localhost/busybox && podman info --format "{{.Store.GraphStatus}}"'
  assert_ok
  assert_contains "$output" "Supports shifting:true"
  local runtime
  for runtime in crun runc; do
    run inner "mkdir -p /var/lib/containers/shared && cd /var/lib/containers/shared && rm -f * && echo text >file && chown 7:8 file
      podman --runtime $runtime run --rm --userns=auto --volume \$PWD:/v:idmap --volume $runtime:/named:idmap localhost/busybox sh -ec '
        cat /v/file; stat -c %u:%g /v/file /bin/busybox; touch /v/new /named/new; chown 3:4 /v/new; stat -c %u:%g /v/new
        read first outside count </proc/self/uid_map; echo \$((outside > 0))' && stat -c %u:%g file new"
    assert_ok
    assert_equal "${lines[*]}" "text 7:8 0:0 3:4 1 7:8 3:4" "with $runtime"
  done
  as_user newest
}

@test "the newest containerd: a container of a user namespace, with new ids for its layer and a volume" {
  need_new_ids
  need_newest
  as_root newest
  give newest /busybox.oci <"$(busybox_oci)"
  run inner 'setsid containerd >/var/log/containerd 2>&1 </dev/null & pid=$!
    for i in $(seq 150); do ctr version >/dev/null 2>&1 && break; sleep 0.2; done
    ctr image import --base-name localhost/busybox /busybox.oci >/dev/null
    mkdir -p /var/lib/kubelet/volume && cd /var/lib/kubelet/volume && echo text >file && chown 7:8 file
    ctr run --rm --uidmap 0:2000:500 --gidmap 0:2000:500 --remap-labels \
      --mount type=bind,src=$PWD,dst=/v,options=rbind:rw:idmap localhost/busybox:latest one sh -ec "
        read first outside count </proc/self/uid_map; echo \$outside
        cat /v/file; stat -c %u:%g /v/file /bin/busybox; touch /v/new; chown 3:4 /v/new; stat -c %u:%g /v/new" ||
      tail -n 20 /var/log/containerd
    stat -c %u:%g file new $(find /var/lib/containerd -name busybox -links 1); kill $pid'
  assert_ok
  assert_equal "${lines[*]}" "2000 text 7:8 0:0 3:4 7:8 3:4 0:0"
  as_user newest
}

# It moves a new root over the old one, and then no path leads to the container's procfs; the kernel counts
# that as one that the user namespace sees.
@test "systemd-nspawn with a user namespace of its own" {
  python3 -c 'import fcntl; fcntl.ioctl(open("/proc/self/ns/mnt"), 0x8008b705, bytes(8))' 2>/dev/null ||
    skip "this kernel does not tell of mounts that no path leads to"
  need_user_machine
  run docker exec machine bash -c 'mkdir -p /srv/small/usr && tar -C /srv/small -xf /busybox.tar
    touch /srv/small/etc/os-release
    [[ ! -e /sys/fs/cgroup/cgroup.controllers ]] || export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    systemd-nspawn --quiet --private-users=identity --directory /srv/small --pipe --register=no sh -c "
      id -u; readlink /proc/self/ns/user; head -n 1 /proc/meminfo; echo >/dev/null
      umount /proc/meminfo 2>/dev/null; umount /proc/meminfo 2>/dev/null || echo held"
    head -n 1 /proc/meminfo; readlink /proc/self/ns/user'
  assert_ok
  assert_equal "${lines[0]} ${lines[3]}" "0 held"
  assert_equal "${lines[2]}" "${lines[4]}" "its memory"
  [[ ${lines[1]} = user:* && ${lines[1]} != "${lines[5]}" ]] || fail "one user namespace:" "$output"
}

@test "programs of another processor, registered for this container alone" {
  need_user_machine
  local before
  before=$(formats_of_host)
  run docker exec machine sh -c 'ls /proc/sys/fs/binfmt_misc; exec sleep 0'
  # Linux 6.7: before, the formats are the whole machine's, and not a container's to change.
  [[ $output = *register* ]] || skip "this kernel has no binfmt_misc of a user namespace's own"
  tar -C "$(foreign_dir)" -c . | docker exec --interactive machine tar -C / -x
  run docker exec machine bash -c '/busybox-arm64 uname -m'
  assert_failed "cannot execute binary file: Exec format error"
  docker exec machine systemctl restart systemd-binfmt
  run inner '/busybox-arm64 uname -m; head -n 1 /proc/sys/fs/binfmt_misc/qemu-aarch64'
  assert_equal "$output" "$(printf 'aarch64\nenabled')"
  run inner 'mkdir -p arm64/bin; cp /busybox-arm64 arm64/bin/busybox; tar -C arm64 -cf arm64.tar .
    podman import --quiet --arch arm64 arm64.tar localhost/arm64 >/dev/null
    podman run --rm --arch arm64 localhost/arm64 /bin/busybox uname -m'
  assert_equal "$output" aarch64
  run drun --rm busybox ls /proc/sys/fs/binfmt_misc
  assert_equal "$output" "$(printf 'register\nstatus')" "what another container has"
  assert_equal "$(formats_of_host)" "$before" "what the host has"
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  suite_left_nothing
}
