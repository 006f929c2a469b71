# New ids for mounts inside: of volumes, and of binds that have the container's own ids.
# shellcheck shell=bash disable=SC2016 # expressions for the shell inside

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start idmaps
  daemons_start
  start_one
}
teardown_file() { suite_stop; }

# A container of ids that are known before, with all kinds of binds; its root has more programs.
start_one() {
  local first dir s=$SUITE_DIR/source
  first=$(suite_ids | cut -d ' ' -f 1)
  mkdir -p "$s"/{volume/sub,owned,other,tree/below,exposed}
  echo text >"$s/volume/file"
  chown 33:44 "$s/volume/file"
  chown $((first + 7)) "$s/owned"
  mount -t tmpfs below "$s/tree/below"
  dir=$(bundle one ".linux.namespaces += [{type: \"user\"}]
    | .linux.uidMappings = [{containerID: 0, hostID: $first, size: 65536}] | .linux.gidMappings = .linux.uidMappings
    | .mounts += ([[\"volume\", \"volume\", \"bind\"], [\"read-only\", \"volume\", \"bind\", \"ro\", \"nosuid\"], [\"file\", \"volume/file\", \"bind\"],
        [\"owned\", \"owned\", \"bind\"], [\"tree\", \"tree\", \"rbind\"]]
        | map({destination: \"/\\(.[0])\", type: \"bind\", source: \"$s/\\(.[1])\", options: .[2:]}))
    | .mounts += [{destination: \"/other\", type: \"bind\", source: \"$s/other\", options: [\"bind\"],
        uidMappings: [{containerID: 0, hostID: $((first + 9)), size: 5}],
        gidMappings: [{containerID: 0, hostID: $((first + 9)), size: 5}]}]" \
    sh -c 'trap "exit 0" TERM; while :; do sleep 5000 & wait; done')
  cp "$SYSBOX_BUILD/tests/kernel/map-ids" "$dir/rootfs/bin/"
  mkdir "$dir/rootfs/target"
  touch "$dir/rootfs/target-file"
  runc run --detach --bundle "$dir" one >"$SUITE_DIR/log/console" 2>&1 </dev/null ||
    fail "$(cat "$SUITE_DIR/log/console")"
}
in_one() { inside one sh -c "$1"; }
# open_tree_attr(2): Linux 6.15.
has_clones_with_ids() { kernel_has_call 467; }
need_clones_with_ids() { has_clones_with_ids || skip "this kernel gives no mount other ids"; }
ids='--ids "0 1000 100"'

with_namespace_of() { # PROCESS OPTION...
  SYSBOX_E2E_OF=$SUITE timeout $((60 * SLOWER)) "$SYSBOX_RUNC" --root "$SUITE_DIR/root" \
    --manager-socket "$SYSBOX_MGR_SOCKET" --emulator-socket "$SYSBOX_FS_SOCKET" exec --preserve-fds 1 one \
    map-ids --namespace /proc/self/fd/3 "${@:2}" 3<"/proc/$1/ns/user" 4>&- </dev/null
}
# Which the kernel refuses by itself, so the answer is its own.
assert_refused() { # CALL ERROR
  run in_one "map-ids $1; umount /target 2>/dev/null && echo attached"
  assert_equal "${lines[*]}" "$2" "map-ids $1"
}
on_disk() { (cd "$SUITE_DIR/source" && stat -c %u:%g "$@"); }

@test "a volume gets the ids of a user namespace: its owners, and those of new files on the disk" {
  need_clones_with_ids
  chmod 777 "$SUITE_DIR/source/volume"
  local call
  for call in '' --attr --tree --tree-ids '--attr --tree'; do
    run in_one "map-ids $call $ids /volume /target && stat -c %u:%g /target /target/file && cat /target/file"
    assert_equal "${lines[*]}" "ok 1000:1000 1033:1044 text" "by '$call'"
    run inside --user 1005:1006 one sh -c '>/target/new; stat -c %u:%g /target/new'
    assert_equal "$output" 1005:1006 "by '$call', a new file"
    assert_equal "$(on_disk volume/file volume/new | xargs)" "33:44 5:6" "by '$call', on disk"
    # Of an id that is not in the namespace, the container's root neither.
    run inside --user 2000:2000 one touch /target/foreign
    assert_failed "Value too large"
    run in_one 'touch /target/foreign; rm /target/new && umount /target && ls /target'
    assert_equal "$output" "touch: /target/foreign: Value too large for defined data type" "by '$call'"
  done
  run in_one "umount /target; map-ids $ids /volume/file /target-file && stat -c %u:%g /target-file && cat /target-file
    umount /target-file; cat /target-file; map-ids --times 100 $ids /volume /target && umount /target"
  assert_equal "${lines[*]}" "umount: can't unmount /target: Invalid argument ok 1033:1044 text ok" "a file, and a hundred times"
  # A copy of the descriptor from before leads to the old ids.
  run in_one "map-ids --copy $ids /volume /target && stat -c %u:%g /target/file; umount /target"
  assert_equal "${lines[*]}" "ok 33:44" "a copy"
}

@test "directories of engines and the root itself get ids, a container's own file systems as ever" {
  need_clones_with_ids
  run in_one "mkdir -p /var/lib/docker/layer /var/lib/kubelet/pod && chown 3:4 /var/lib/docker/layer
    map-ids $ids /var/lib/docker /target && stat -c %u:%g /target/layer && umount /target
    map-ids $ids /var/lib/kubelet/pod /target && stat -c %u:%g /target && umount /target
    map-ids $ids /bin /target && stat -c %u:%g /target/busybox && umount /target
    mkdir /own && mount -t tmpfs none /own && >/own/file && map-ids $ids /own /target && stat -c %u:%g /target/file
    umount /target /own"
  assert_equal "${lines[*]}" "ok 1003:1004 ok 1000:1000 ok 1000:1000 ok 1000:1000"
}

@test "what is read-only stays so, and what is mounted on a volume is left to the kernel" {
  need_clones_with_ids
  run in_one "map-ids $ids /read-only /target && touch /target/new; mount -o remount,bind,rw /target; umount /target"
  assert_contains "$output" "/target/new: Read-only file system"
  assert_contains "$output" "permission denied"
  assert_refused "--read-write $ids /read-only /target" "mount_setattr: EPERM"
  assert_refused "--read-write --attr $ids /read-only /target" "open_tree_attr: EPERM"
  # A locked mount lies on it, which no clone may uncover.
  assert_refused "$ids /tree /target" "mount_setattr: EPERM"
  assert_refused "--attr $ids /tree /target" "open_tree_attr: EINVAL"
  assert_refused "--tree $ids /tree /target" "mount_setattr: EPERM"
  assert_refused "--tree-ids $ids /tree /target" "mount_setattr: EPERM"
  assert_refused "--attr --tree $ids /tree /target" "open_tree_attr: EPERM"
  assert_refused "--tree --below below $ids /tree /target" "mount_setattr: EINVAL"
  # One of its own.
  in_one 'mount -t tmpfs none /volume/sub'
  assert_refused "--tree-ids $ids /volume /target" "mount_setattr: EPERM"
  in_one 'umount /volume/sub'
}

@test "no other mount, no foreign user namespace, no ids beyond the container's, nobody but its root" {
  need_clones_with_ids
  # Owned by the container on disk, and of other ids.
  assert_refused "$ids /owned /target" "mount_setattr: EPERM"
  assert_refused "--attr $ids /owned /target" "open_tree_attr: EPERM"
  assert_refused "$ids /other /target" "mount_setattr: EPERM"
  assert_refused "--attr $ids /other /target" "open_tree_attr: EPERM"
  # Ids on disk that the container has not, of users or groups.
  local beyond
  for beyond in "0 1000 100,65536 2000 1" "4294967294 1000 1" "65500 1000 37"; do
    assert_refused "--ids '$beyond' /volume /target" "mount_setattr: EPERM"
    assert_refused "--attr --ids '$beyond' /volume /target" "open_tree_attr: EPERM"
  done
  # Its own user namespace, the host's, another container's, and no namespace of users.
  assert_refused "--namespace /proc/self/ns/user /volume /target" "mount_setattr: EPERM"
  assert_refused "--namespace /proc/self/ns/mnt /volume /target" "mount_setattr: EINVAL"
  start_idle other
  local pid of
  pid=$(container_pid other)
  for of in self "$pid"; do
    run with_namespace_of "$of" /volume /target
    assert_equal "$output" "mount_setattr: EPERM" "by the namespace of $of"
    run with_namespace_of "$of" --attr /volume /target
    assert_equal "$output" "open_tree_attr: EPERM" "by the namespace of $of"
  done
  remove_container other
  # Without the capability, and as root of a user namespace inside.
  assert_refused "--drop $ids /volume /target" "mount_setattr: EPERM"
  assert_refused "--drop --attr $ids /volume /target" "open_tree_attr: EPERM"
  run in_one "unshare -Urm map-ids --ids '0 0 1' /volume /target"
  assert_equal "$output" "mount_setattr: EPERM"
  run in_one "unshare -Urm map-ids --attr --ids '0 0 1' /volume /target"
  assert_equal "$output" "open_tree_attr: EPERM"
  run in_one 'umount /target'
  assert_failed
}

@test "a kernel that gives no mount other ids refuses" {
  ! has_clones_with_ids || skip "this kernel can"
  assert_refused "$ids /volume /target" "mount_setattr: EPERM"
  assert_refused "--attr $ids /volume /target" "open_tree_attr: ENOSYS"
}

@test "nothing is left behind, and no setting of the host has changed" {
  remove_container one
  remove_container other || :
  umount "$SUITE_DIR/source/tree/below"
  suite_left_nothing
}
