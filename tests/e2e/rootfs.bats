# Root file systems of all kinds: their owners on disk stay as they are, or are made so again.
# shellcheck shell=bash disable=SC2016 # expressions for the shell inside

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((180 * SLOWER))
  suite_start rootfs
  daemons_start
}
teardown_file() { suite_stop; }

setup() {
  disk=$SUITE_DIR/disk-$BATS_TEST_NUMBER
  mkdir -p "$disk"
}
teardown() {
  local id
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
  awk -v dir="$SUITE_DIR" 'index($5, dir "/disk-") == 1 || index($5, dir "/bundles/") == 1 { print $5 }' \
    /proc/self/mountinfo | tac | while read -r path; do umount --lazy "$path"; done
}

run_bundle() { # NAME
  timeout $((120 * SLOWER)) "$SYSBOX_RUNC" --root "$SUITE_DIR/root" --manager-socket "$SYSBOX_MGR_SOCKET" \
    --emulator-socket "$SYSBOX_FS_SOCKET" run --bundle "$SUITE_DIR/bundles/$1" "$1" </dev/null 3>&- 4>&-
}
# A bundle whose rootfs is DIRECTORY, made of busybox.
bundle_on() { # NAME DIRECTORY COMMAND...
  local dir
  dir=$(bundle "$1" ".root.path = \"$2\"" "${@:3}")
  [[ -e $2/bin ]] || cp -a "$dir/rootfs/." "$2"
}
owners='id -u; echo text >/new; touch /bin/made; stat -c "%n %u:%g" / /bin/busybox /new /bin/made /owned'
owners_are_right() { # after run: what $owners prints
  assert_ok
  assert_equal "$output" "$(printf '0\n/ 0:0\n/bin/busybox 0:0\n/new 0:0\n/bin/made 0:0\n/owned 33:44')"
}

@test "on tmpfs: mapped, nothing is changed on disk" {
  mount -t tmpfs rootfs "$disk"
  bundle_on tmpfs "$disk" sh -c "$owners"
  touch "$disk/owned"
  chown 33:44 "$disk/owned"
  run run_bundle tmpfs
  owners_are_right
  assert_equal "$(stat -c %u:%g "$disk/owned" "$disk/new")" "$(printf '33:44\n0:0')"
}

@test "on ext4: mapped, nothing is changed on disk" {
  truncate -s 64M "$SUITE_DIR/ext4.img"
  mkfs.ext4 -q "$SUITE_DIR/ext4.img"
  mount -o loop "$SUITE_DIR/ext4.img" "$disk" 2>/dev/null || skip "this machine has no loop devices"
  bundle_on ext4 "$disk" sh -c "$owners"
  touch "$disk/owned"
  chown 33:44 "$disk/owned"
  run run_bundle ext4
  owners_are_right
  assert_equal "$(stat -c %u:%g "$disk/owned" "$disk/new")" "$(printf '33:44\n0:0')"
  umount "$disk"
}

@test "an overlay of three hundred layers, named relative to where the engine stood" {
  local n lower=base
  mount -t tmpfs layers "$disk"
  mkdir "$disk"/{base,upper,work,merged}
  cp -a "$(busybox_dir)/." "$disk/base"
  touch "$disk/base/owned"
  chown 33:44 "$disk/base/owned"
  for n in {1..299}; do
    mkdir -p "$disk/$n/layers"
    echo "$n" >"$disk/$n/layers/$n"
    lower=$n:$lower
  done
  # Such a mount has to be made where the engine would: two directories above its own.
  mkdir -p "$disk/merged/inner"
  (cd "$disk" && mount -t overlay overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" merged/inner) ||
    skip "this kernel takes no overlay of 300 layers"
  bundle_on many "$disk/merged/inner" sh -c "$owners; ls /layers | wc -l"
  run run_bundle many
  assert_ok
  assert_contains "$output" "/owned 33:44"
  assert_equal "${lines[-1]}" 299
  assert_equal "$(stat -c %u:%g "$disk/upper/new")" 0:0
}

# A directory inside an overlay cannot be id-mapped: overlayfs itself cannot, and it has no layers of
# its own to map.
unmappable() {
  mount -t tmpfs layers "$disk"
  mkdir "$disk"/{lower,upper,work,merged}
  mount -t overlay overlay -o "lowerdir=$disk/lower,upperdir=$disk/upper,workdir=$disk/work" "$disk/merged"
  mkdir "$disk/merged/rootfs"
}

@test "where nothing can be mapped the owners move on disk, with a warning, and delete moves them back" {
  local all
  unmappable
  bundle_on moved "$disk/merged/rootfs" sh -c "$owners; stat -c '%a' /setuid; sleep 1000"
  touch "$disk/merged/rootfs/owned" "$disk/merged/rootfs/setuid"
  chown 33:44 "$disk/merged/rootfs/owned"
  chmod 4755 "$disk/merged/rootfs/setuid"
  setcap cap_net_raw+ep "$disk/merged/rootfs/setuid" 2>/dev/null || :
  owners_of() { (cd "$disk/merged/rootfs" && find "$@" -exec stat -c '%n %u:%g %a' {} + | sort | md5sum); }
  all=$(owners_of bin etc owned setuid)
  runc run --detach --bundle "$SUITE_DIR/bundles/moved" moved >"$disk/log" 2>&1 </dev/null
  wait_for 10 grep -q 4755 "$disk/log"
  assert_contains "$(cat "$disk/log")" "cannot be id-mapped"
  assert_contains "$(cat "$disk/log")" "/owned 33:44"
  assert_contains "$(cat "$disk/log")" "/new 0:0"
  [[ $(stat -c %u "$disk/merged/rootfs/bin/busybox") != 0 ]] || fail "the owners did not move"
  [[ -e $disk/merged/.rootfs.sysbox-owners ]]
  # Nobody else may have it meanwhile.
  bundle_on other "$disk/merged/rootfs" true
  run run_bundle other
  assert_failed "in use by container 'moved'"
  assert_equal "$(inside moved cat /new)" text
  runc delete --force moved
  assert_equal "$(stat -c %u:%g "$disk/merged/rootfs/new")" 0:0
  rm "$disk/merged/rootfs/new" "$disk/merged/rootfs/bin/made"
  assert_equal "$(owners_of bin etc owned setuid)" "$all"
  [[ ! -e $disk/merged/.rootfs.sysbox-owners ]]
  run run_bundle other
  assert_ok
}

@test "a create that is killed while the owners move: delete, or the next create, puts it right" {
  local n pid delay
  unmappable
  bundle_on cut "$disk/merged/rootfs" sh -c "$owners"
  touch "$disk/merged/rootfs/owned"
  chown 33:44 "$disk/merged/rootfs/owned"
  mkdir "$disk/merged/rootfs/many"
  (cd "$disk/merged/rootfs/many" && seq 3000 | xargs touch)
  for delay in 0.02 0.04 0.06 0.09; do
    SYSBOX_E2E_OF=$SUITE "$SYSBOX_RUNC" --root "$SUITE_DIR/root" create --bundle "$SUITE_DIR/bundles/cut" cut \
      >/dev/null 2>&1 </dev/null 3>&- 4>&- &
    pid=$!
    sleep "$delay"
    kill -KILL "$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
    runc delete --force cut
    rm -f "$disk/merged/rootfs/new" "$disk/merged/rootfs/bin/made"
    run run_bundle cut
    assert_ok
    assert_contains "$output" "/owned 33:44"
    n=$(find "$disk/merged/rootfs/many" ! -user 0 | wc -l)
    assert_equal "$n" 0 "files with a moved owner after delete"
  done
}

@test "nothing is left behind, and no setting of the host has changed" {
  suite_left_nothing
}
