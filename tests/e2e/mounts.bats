# The tree that a container sees: its mounts with every option, its devices, its kernel settings,
# what is masked and read-only in it.
# shellcheck shell=bash disable=SC2016 # expressions for the shell inside

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start mounts
  daemons_start
}
teardown_file() { suite_stop; }

setup() {
  source=$SUITE_DIR/source-$BATS_TEST_NUMBER
  mkdir -p "$source"
}
# After each test its containers and its mounts on the host are gone.
teardown() {
  local id
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
  awk -v dir="$source" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | tac |
    while read -r path; do umount --lazy "$path"; done
}

bind() { # SOURCE DESTINATION OPTION...: a jq filter
  local source=$1 destination=$2
  shift 2
  jq --null-input --compact-output --raw-output --arg s "$source" --arg d "$destination" \
    '".mounts += \([{destination: $d, type: "bind", source: $s, options: $ARGS.positional}])"' \
    --args -- "$@"
}
tmpfs() { # DESTINATION OPTION...
  local destination=$1
  shift
  jq --null-input --compact-output --raw-output --arg d "$destination" \
    '".mounts += \([{destination: $d, type: "tmpfs", source: "tmpfs", options: $ARGS.positional}])"' \
    --args -- "$@"
}
# What mountinfo says of a mount point: its options, its propagation, its superblock's options.
mount_options='mount_options() { awk -v p="$1" "\$5 == p { o = \$6 } END { print o }" /proc/self/mountinfo; }
  propagation() { awk -v p="$1" "\$5 == p { s = \"\"; for (i = 7; \$i != \"-\"; ++i) s = s \$i \" \" } END { print s }" /proc/self/mountinfo; }
  super_options() { awk -v p="$1" "\$5 == p { s = \$NF } END { print s }" /proc/self/mountinfo; }
'
# A bundle to change by hand: prints its directory, run it with run_bundle.
run_bundle() { # NAME
  timeout $((60 * SLOWER)) "$SYSBOX_RUNC" --root "$SUITE_DIR/root" --manager-socket "$SYSBOX_MGR_SOCKET" \
    --emulator-socket "$SYSBOX_FS_SOCKET" run --bundle "$SUITE_DIR/bundles/$1" "$1" </dev/null 3>&- 4>&-
}

# ---- options

@test "attribute words: each has its effect, and its r twin on the mounts below as well" {
  local word
  mount -t tmpfs top "$source"
  mkdir "$source/below"
  mount -t tmpfs below "$source/below"
  for word in ro nosuid nodev noexec noatime nodiratime nosymfollow; do
    run run_once "$(bind "$source" /m rbind "$word")" sh -c "$mount_options"'mount_options /m; mount_options /m/below'
    assert_ok
    assert_contains ",${lines[0]}," ",$word,"
    [[ ,${lines[1]}, != *",$word,"* ]] || fail "'$word' is on the mount below: ${lines[1]}"
    run run_once "$(bind "$source" /m rbind "r$word")" sh -c "$mount_options"'mount_options /m; mount_options /m/below'
    assert_ok
    assert_contains ",${lines[0]}," ",$word,"
    assert_contains ",${lines[1]}," ",$word,"
  done
}

@test "access times: every word of the family, of which the last one holds" {
  local row
  for row in atime:relatime noatime:noatime strictatime: nostrictatime:relatime relatime:relatime \
    norelatime:relatime rnoatime:noatime rstrictatime: rrelatime:relatime ratime:relatime; do
    run run_once "$(bind "$source" /m rbind "${row%:*}")" sh -c "$mount_options"'mount_options /m'
    assert_ok
    if [[ -n ${row#*:} ]]; then
      assert_contains ",$output," ",${row#*:},"
    else
      [[ $output != *atime* ]] || fail "'${row%:*}' gives $output"
    fi
  done
  run run_once "$(bind "$source" /m rbind noatime atime)" sh -c "$mount_options"'mount_options /m'
  assert_contains ",$output," ,relatime,
}

@test "rbind,ro is read-only at the top only; rro is all the way down; neither can be undone" {
  mount -t tmpfs top "$source"
  mkdir "$source/below"
  mount -t tmpfs below "$source/below"
  run run_once "$(bind "$source" /m rbind ro)" sh -c 'touch /m/a; touch /m/below/a && echo below'
  assert_contains "$output" "/m/a: Read-only file system"
  assert_contains "$output" below
  run run_once "$(bind "$source" /m rbind rro)" sh -c '
    mount -o remount,bind,rw /m; mount -o remount,bind,rw /m/below; umount /m/below; umount -l /m/below; umount /m
    touch /m/a; touch /m/below/b'
  assert_contains "$output" "/m/a: Read-only file system"
  assert_contains "$output" "/m/below/b: Read-only file system"
}

@test "propagation words: private, shared, slave, unbindable; received from the host by rslave" {
  mount -t tmpfs volume "$source"
  mount --make-shared "$source"
  local row
  for row in private: rprivate: shared:shared: rshared:shared: slave:master: rslave:master: \
    unbindable:unbindable runbindable:unbindable; do
    run run_once "$(bind "$source" /m rbind "${row%%:*}")" sh -c "$mount_options"'propagation /m'
    assert_ok
    if [[ -n ${row#*:} ]]; then
      assert_contains "$output" "${row#*:}"
    else
      assert_equal "$output" "" "propagation of ${row%%:*}"
    fi
  done
  mkdir "$source/later"
  start_idle receiver "$(bind "$source" /m rbind rslave) | $(bind "$source" /p rbind rprivate)"
  mount -t tmpfs later "$source/later"
  echo from-host >"$source/later/file"
  assert_equal "$(inside receiver cat /m/later/file)" from-host
  [[ -z $(inside receiver ls /p/later) ]] || fail "the private one received the mount too"
  # Nothing goes back.
  inside receiver sh -c 'mkdir /m/own && mount -t tmpfs own /m/own'
  ! grep -qF "$source/own" /proc/self/mountinfo || fail "a mount of the container is on the host"
  umount "$source/later"
  [[ -z $(inside receiver ls /m/later) ]] || fail "the host's umount was not received"
}

@test "rootfsPropagation: every value, and the host's mounts only by slave" {
  local row
  mount -t tmpfs rootfs "$source"
  mount --make-shared "$source"
  for row in shared:shared: rshared:shared: private: rprivate: slave: rslave: unbindable:unbindable \
    runbindable:unbindable; do
    cp -a "$(busybox_dir)/." "$source"
    run run_once ".linux.rootfsPropagation = \"${row%%:*}\" | .root.path = \"$source\"" sh -c "$mount_options"'propagation /'
    assert_ok
    [[ ${row%%:*} = *slave ]] || [[ $output != *master* ]] || fail "${row%%:*} follows the host: $output"
    case ${row#*:} in
      '') [[ $output != *shared* && $output != *unbindable* ]] || fail "${row%%:*}: $output" ;;
      *) [[ $output = *"${row#*:}"* && $output != *master* ]] || fail "${row%%:*}: $output" ;;
    esac
  done
}

@test "bind: of files, by a source relative to the bundle, type left out; data options are refused" {
  local dir
  dir=$(bundle relative '.mounts += [{destination: "/a/file", source: "config.json", options: ["bind"]},
      {destination: "b/relative", type: "bind", source: ".", options: []}]' \
    sh -c 'grep -c ociVersion /a/file; test -f /a/file && ls /b/relative')
  run run_bundle relative
  assert_ok
  assert_contains "$output" config.json
  [[ -e $dir/rootfs/a/file ]]
  run run_once "$(bind "$source" /m bind size=1m)" true
  assert_failed "cannot have any filesystem-specific options"
}

@test "links in the target stay inside, also those that lead nowhere; what is missing is made for root" {
  local dir
  dir=$(bundle links "$(bind "$source" /etc/hosts bind) | $(bind "$source" /conf/stack bind)
    | $(bind "$source" /up/x bind) | $(tmpfs /setgid/a/b mode=700)" \
    sh -c 'stat -c "%n %u:%g %a" /tmp/foo/bar/baz/hosts /real/conf/stack /outside/x /setgid /setgid/a
      grep -c " /tmp/foo/bar/baz/hosts \| /real/conf/stack \| /outside/x " /proc/self/mountinfo')
  mkdir -p "$dir"/rootfs/{etc,real/conf,setgid}
  chmod 7755 "$dir/rootfs/setgid"
  ln -s /tmp/foo/bar "$dir/rootfs/jump"
  rm -f "$dir/rootfs/etc/hosts"
  ln -s /jump/baz/hosts "$dir/rootfs/etc/hosts"
  ln -s /real/conf "$dir/rootfs/conf"
  ln -s ../../../outside "$dir/rootfs/up"
  run run_bundle links
  assert_ok
  assert_contains "$output" "/setgid 0:0 7755"
  assert_contains "$output" "/setgid/a 0:0 2755"
  assert_equal "${lines[-1]}" 3
  [[ ! -e $dir/outside && ! -e $SUITE_DIR/outside && ! -e /outside ]]
  assert_equal "$(stat -c %u:%g "$dir/rootfs/tmp/foo/bar/baz/hosts")" 0:0
}

@test "a mount over the root, or into /proc, is refused; the files that lxcfs covers are not" {
  local place dir
  for place in / /proc/sys /proc/self /proc/1/cwd /proc/kmsg /proc/acpi/x; do
    run run_once "$(bind "$source" "$place" bind)" true
    assert_failed mount
  done
  assert_contains "$output" "inside /proc"
  # Wherever the path of the specification leads.
  dir=$(bundle detour "$(bind "$source" /detour bind)" true)
  ln -s proc/sys "$dir/rootfs/detour"
  run run_bundle detour
  assert_failed "inside /proc"
  dir=$(bundle top "$(bind "$source" /detour bind)" true)
  ln -s / "$dir/rootfs/detour"
  run run_bundle top
  assert_failed "on top of the root"
  echo 12.34 5.67 >"$source/uptime"
  run run_once "$(bind "$source/uptime" /proc/uptime bind ro)" cat /proc/uptime
  assert_ok
  assert_equal "$output" "12.34 5.67"
}

@test "an image whose /proc or /sys is a link or a file is refused" {
  local dir what
  for what in proc sys; do
    dir=$(bundle linked . true)
    rm -rf "$dir/rootfs/$what"
    mkdir "$dir/rootfs/elsewhere"
    ln -s /elsewhere "$dir/rootfs/$what"
    run run_bundle linked
    assert_failed "must be mounted on ordinary directory"
    rm "$dir/rootfs/$what"
    echo >"$dir/rootfs/$what"
    run run_bundle linked
    assert_failed "must be mounted on ordinary directory"
    rm "$dir/rootfs/$what"
    run run_bundle linked # missing ones are made
    assert_ok
  done
}

@test "the order of mounts: each sees those before it, also as its source in the rootfs" {
  local dir part
  mkdir -p "$source"/{a/x,b/y,c/z}
  for part in a/x b/y c/z; do echo "$part" >"$source/$part/file"; done
  dir=$(bundle order . sh -c 'cat /final/x/y/file /final/file2; umount /final/x; umount -l /final/x; cat /final/x/y/file')
  mkdir -p "$dir"/rootfs/{mnt,final}
  echo top >"$source/a/file2"
  cp "$dir/config.json" "$SUITE_DIR/bundles/order-plain.json"
  jq "$(bind "$source/a" /mnt bind) | $(bind "$source/b" /mnt/x rbind)
    | $(bind "$dir/rootfs/mnt" "$dir/rootfs/final" rbind)" "$dir/config.json" >"$dir/changed"
  mv "$dir/changed" "$dir/config.json"
  run run_bundle order
  assert_ok
  assert_equal "$(grep -c b/y <<<"$output")" 2
  assert_contains "$output" top
  # One place covered twice, by parts of what is there.
  mkdir -p "$source"/{a/x,b/y,c/z}/{x,y,z}
  jq "$(bind "$source/a" /mnt rbind) | $(bind "$source/b" /mnt/x rbind) | $(bind "$source/c" /mnt/x/y rbind)
    | $(bind "$source/a" /mnt/x/y/z rbind) | $(bind "$dir/rootfs/mnt/x" "$dir/rootfs/mnt/x/y/z/x" rbind)
    | $(bind "$dir/rootfs/mnt/x/y" "$dir/rootfs/mnt/x/y/z" rbind) | $(bind "$dir/rootfs/mnt" "$dir/rootfs/final" rbind)
    | .process.args = [\"cat\", \"/final/x/y/z/z/x/y/z/x/file\"]" "$SUITE_DIR/bundles/order-plain.json" >"$dir/config.json"
  run run_bundle order
  assert_ok
  assert_contains "$output" a/x
}

# ---- ids of mounts

@test "binds show the host's owners as the container's; idmap and ridmap without maps do the same" {
  mount -t tmpfs top "$source"
  mkdir "$source/below"
  mount -t tmpfs below "$source/below"
  touch "$source/file" "$source/below/file"
  chown 33:44 "$source/file" "$source/below/file"
  local row
  for row in rbind:33:44 rbind,ridmap:33:44 rbind,idmap:65534:65534; do
    run run_once "$(bind "$source" /m ${row%%:*} | sed "s/\"${row%%:*}\"/\"${row%%:*}\"/; s/,ridmap/\",\"ridmap/; s/,idmap/\",\"idmap/")" \
      stat -c %u:%g /m/file /m/below/file
    assert_ok
    assert_equal "${lines[0]}" 33:44 "${row%%:*}: owner at the top"
    assert_equal "${lines[1]}" "${row#*:}" "${row%%:*}: owner below"
  done
}

@test "idmap with maps of the mount's own: of an engine that chose the container's ids, and of one that did not" {
  local first maps
  touch "$source"/{foo,bar}
  chown 100:211 "$source/foo"
  chown 101:222 "$source/bar"
  # The engine believes that the container's ids are the host's.
  maps='uidMappings: [{containerID: 100, hostID: 1000, size: 2}],
    gidMappings: [{containerID: 211, hostID: 2000, size: 1}, {containerID: 222, hostID: 3000, size: 1}]'
  run run_once ".mounts += [{destination: \"/m\", source: \"$source\", options: [\"bind\"], $maps}]" \
    sh -c 'stat -c %u:%g /m/foo /m/bar; touch /m/new'
  assert_contains "$output" "1000:2000"
  assert_contains "$output" "1001:3000"
  assert_contains "$output" "Value too large" # root is not in the map
  # The engine knows the host's ids.
  first=$(suite_ids | cut -d ' ' -f 1)
  maps="uidMappings: [{containerID: 100, hostID: $((first + 5)), size: 2}],
    gidMappings: [{containerID: 211, hostID: $((first + 6)), size: 12}]"
  run run_once ".linux.namespaces += [{type: \"user\"}] | .linux.uidMappings = [{containerID: 0, hostID: $first, size: 65536}]
    | .linux.gidMappings = .linux.uidMappings
    | .mounts += [{destination: \"/m\", source: \"$source\", options: [\"bind\"], $maps}]" \
    stat -c %u:%g /m/foo /m/bar
  assert_ok
  assert_equal "$output" "$(printf '5:6\n6:17')"
  run run_once ".mounts += [{destination: \"/m\", type: \"tmpfs\", source: \"tmpfs\", options: [\"idmap\"]}]" true
  assert_failed "only bind mounts can be id-mapped"
  run run_once ".mounts += [{destination: \"/m\", source: \"$source\", options: [\"bind\"],
    uidMappings: [{containerID: 0, hostID: 100000, size: 65536}], gidMappings: [{containerID: 0, hostID: 100000, size: 65536}]}]" true
  assert_failed "maps onto no id"
}

# ---- tmpfs and the kernel's own

@test "tmpfs: takes the mode of what it covers, or the one given; size; read-only once all is mounted" {
  local dir
  dir=$(bundle modes "$(tmpfs /covers rw) | $(tmpfs /given mode=1500 size=64k uid=7 gid=8) | $(tmpfs /none/such nodev)
    | $(tmpfs /fixed ro) | $(tmpfs /fixed/inner size=1m) | $(bind "$source" /fixed/volume bind)" \
    sh -c "$mount_options"'stat -c "%n %a %u:%g" /covers /given /none/such; super_options /given
      touch /fixed/x; touch /fixed/inner/y /fixed/volume/z && echo inner; mount_options /fixed')
  mkdir "$dir"/rootfs/{covers,given}
  chmod 710 "$dir/rootfs/covers"
  run run_bundle modes
  assert_ok
  assert_contains "$output" "/covers 710 0:0"
  assert_contains "$output" "/given 1500 7:8"
  assert_contains "$output" "/none/such 1777 0:0"
  assert_contains "$output" "size=64k"
  assert_contains "$output" "/fixed/x: Read-only file system"
  assert_contains "$output" inner
  assert_matches "${lines[-1]}" '^ro,'
  assert_equal "$(stat -c %a "$dir/rootfs/given")" 755
}

@test "tmpcopyup: the content of what is covered, with owners, modes, links and attributes" {
  local dir
  dir=$(bundle copied "$(tmpfs /data tmpcopyup) | $(tmpfs /moded tmpcopyup mode=711)" \
    sh -c 'cd /data; stat -c "%n %a %u:%g %h" . dir file twin; cat dir/deep; readlink link; stat -c %a /moded
      cat /moded/kept; echo changed >file')
  mkdir -p "$dir"/rootfs/data/dir "$dir/rootfs/moded"
  echo deep >"$dir/rootfs/data/dir/deep"
  echo text >"$dir/rootfs/data/file"
  echo kept >"$dir/rootfs/moded/kept"
  ln "$dir/rootfs/data/file" "$dir/rootfs/data/twin"
  ln -s /etc/passwd "$dir/rootfs/data/link"
  chown 5:6 "$dir/rootfs/data/file"
  chmod 4751 "$dir/rootfs/data/file"
  chmod 777 "$dir/rootfs/data/dir"
  chmod 2750 "$dir/rootfs/data"
  run run_bundle copied
  assert_ok
  assert_contains "$output" ". 2750 0:0"
  assert_contains "$output" "dir 777 0:0"
  assert_contains "$output" "file 4751 5:6 2"
  assert_contains "$output" deep
  assert_contains "$output" /etc/passwd
  assert_contains "$output" 711
  assert_equal "$(cat "$dir/rootfs/data/file")" text
}

@test "/dev read-only, devpts, mqueue and shm with their options; cgroup writable; all of the container's own" {
  run run_once '(.mounts[] | select(.destination == "/dev") | .options) += ["ro"]
    | (.mounts[] | select(.destination == "/dev/pts") | .options) = ["newinstance", "ptmxmode=0600", "mode=0600", "gid=7"]
    | (.mounts[] | select(.destination == "/dev/shm") | .options) = ["nosuid", "mode=1755", "size=128k"]' \
    sh -c "$mount_options"'mount_options /dev; touch /dev/x; touch /dev/shm/x && super_options /dev/pts
      super_options /dev/shm; stat -f -c %T /dev/mqueue; mkdir -p /sys/fs/cgroup/pids/mine /sys/fs/cgroup/mine && echo mine'
  assert_contains "$output" "/dev/x: Read-only file system"
  assert_matches "${lines[0]}" '^ro,'
  assert_contains "$output" ",mode=600,ptmxmode=600"
  assert_contains "$output" "size=128k"
  assert_contains "$output" mine
}

@test "a read-only root: volumes, tmpfs and missing mount points still work, and it stays read-only" {
  run run_once ".root.readonly = true | $(bind "$source" /no/such/place bind) | $(tmpfs /also/missing rw)" sh -c '
    echo kept >/no/such/place/file && echo >/also/missing/x && echo written
    touch /root-file; mount -o remount,rw /; mount -o remount,bind,rw /; touch /root-file'
  assert_contains "$output" written
  assert_equal "$(cat "$source/file")" kept
  assert_equal "$(grep -c '/root-file: Read-only file system' <<<"$output")" 2
}

# ---- devices

@test "linux.devices: each type, mode and owner; duplicates of the standard ones; nothing else" {
  run run_once '.linux.devices = [
      {path: "/dev/test1", type: "c", major: 10, minor: 666, fileMode: 432, uid: 3, gid: 4},
      {path: "/dev/test2", type: "b", major: 8, minor: 666, fileMode: 432, uid: 0, gid: 0},
      {path: "/dev/test3", type: "p", fileMode: 432},
      {path: "/dev/deep/er/test4", type: "u", major: 1, minor: 5},
      {path: "/dev/tty", type: "c", major: 5, minor: 0},
      {path: "/dev/ptmx", type: "c", major: 5, minor: 2},
      {path: "/dev/zero", type: "c", major: 1, minor: 5, fileMode: 384}]' sh -c '
    stat -c "%n %F %t:%T %a %u:%g" /dev/test1 /dev/test2 /dev/test3 /dev/deep/er/test4 /dev/tty /dev/zero
    stat -L -c "%n %F %t:%T %a" /dev/ptmx; head -c 3 /dev/deep/er/test4 | od -An -tx1
    for f in null zero full random urandom tty; do stat -c "%t:%T" /dev/$f; done'
  assert_ok
  assert_contains "$output" "/dev/test1 character special file a:29a 660 3:4"
  assert_contains "$output" "/dev/test2 block special file 8:29a 660 0:0"
  assert_contains "$output" "/dev/test3 fifo 0:0 660 0:0"
  assert_contains "$output" "/dev/deep/er/test4 character special file 1:5 666 0:0"
  assert_contains "$output" "/dev/tty character special file 5:0 666 0:0"
  assert_contains "$output" "/dev/zero character special file 1:5 600 0:0"
  assert_contains "$output" "/dev/ptmx character special file 5:2 666"
  assert_contains "$output" "00 00 00"
  assert_equal "$(printf '%s\n' "${lines[@]:8}")" "$(printf '%s\n' 1:3 1:5 1:7 1:8 1:9 5:0)" "the standard ones"
}

@test "devices outside /dev, where nothing was: they work, and no node stays in the image" {
  local dir
  dir=$(bundle outside '.linux.devices = [{path: "/opt/chroot/dev/zero", type: "c", major: 1, minor: 5, uid: 9, gid: 9, fileMode: 438},
      {path: "/run/below/null", type: "c", major: 1, minor: 3}]
    | .mounts += [{destination: "/run", type: "tmpfs", source: "tmpfs", options: ["nodev"]}]' \
    sh -c 'stat -c "%n %F %t:%T %u:%g" /opt/chroot/dev/zero /run/below/null; head -c 2 /opt/chroot/dev/zero | od -An -tx1
      echo gone >/run/below/null')
  run run_bundle outside
  assert_ok
  assert_contains "$output" "/opt/chroot/dev/zero character special file 1:5 9:9"
  assert_contains "$output" "/run/below/null character special file 1:3 0:0"
  assert_contains "$output" "00 00"
  assert_equal "$(stat -c %F "$dir/rootfs/opt/chroot/dev/zero")" "regular empty file"
  run run_once '.linux.devices = [{path: "/dev", type: "c", major: 1, minor: 5}]' true
  assert_failed 'linux.devices[0].path'
}

# ---- kernel settings, names, hidden paths

@test "sysctl: of the namespaces, by either separator; the host's are refused by name; names conflict as in runc" {
  run run_once '.linux.sysctl = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/rp_filter": "2", "kernel.msgmax": "4096",
      "fs.mqueue.msg_max": "33", "kernel.domainname": "dom.example"}' sh -c '
    cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/conf/lo/rp_filter kernel/msgmax fs/mqueue/msg_max kernel/domainname'
  assert_ok
  assert_equal "$output" "$(printf '1\n2\n4096\n33\ndom.example')"
  run run_once '.linux.sysctl = {"kernel.hostname": "x"}' true
  assert_failed "conflicts with the OCI"
  run run_once '.linux.sysctl = {"kernel.overflowuid": "65534"}' true
  assert_failed "is not in a separate kernel namespace"
  assert_contains "$output" kernel.overflowuid
  local name
  for name in ../../1/oom_score_adj net.ipv4..ip_forward /kernel/msgmax kernel.../x ''; do
    run run_once ".linux.sysctl = {\"$name\": \"1\"}" true
    assert_failed sysctl
  done
  run run_once '.linux.sysctl = {"net.ipv4.no_such_setting": "1"}' true
  assert_failed no_such_setting
}

@test "hostname and domainname" {
  run run_once '.hostname = "box" | .domainname = "dom.example"' sh -c 'hostname; cat /proc/sys/kernel/domainname'
  assert_ok
  assert_equal "$output" "$(printf 'box\ndom.example')"
}

@test "masked and read-only paths: files and directories, those that are missing, those that cannot be read" {
  local dir
  dir=$(bundle hidden '.linux.maskedPaths = ["/masked", "/masked2", "/masked/sub", "/secret", "/none", "/secret/none"]
      | .linux.readonlyPaths = ["/fixed", "/fixed-file", "/none"]' sh -c '
    ls -A /masked /masked2; cat /secret; touch /masked/x; echo >/fixed/x; echo >/fixed-file; cat /fixed/a /fixed-file
    umount /masked; umount -l /secret; mount -o remount,rw /fixed; echo >/fixed/x
    cat /secret /masked/a; stat -c %d /masked /masked2 | uniq | wc -l')
  mkdir -p "$dir"/rootfs/{masked/sub,masked2,fixed}
  echo hidden-text | tee "$dir"/rootfs/{masked/a,masked/sub/a,masked2/a,secret} >/dev/null
  echo open-text | tee "$dir"/rootfs/{fixed/a,fixed-file} >/dev/null
  run run_bundle hidden
  [[ $output != *hidden-text* ]] || fail "masked content is seen:" "$output"
  assert_equal "$(grep -c open-text <<<"$output")" 2
  assert_contains "$output" "/masked/x: Read-only file system"
  assert_equal "$(grep -c "/fixed/x: Read-only file system" <<<"$output")" 2
  assert_contains "$output" "/fixed-file: Read-only file system"
  assert_equal "${lines[-1]}" 1 "number of tmpfs for masks"
  dir=$(bundle loop '.linux.maskedPaths = ["/loop"]' true)
  ln -s loop "$dir/rootfs/loop"
  run run_bundle loop
  assert_failed /loop
  run run_once '.linux.maskedPaths = ["relative"]' true
  assert_failed 'linux.maskedPaths[0]'
}

@test "intelRdt: a schema without the kernel's resctrl is named; a class alone is not missed" {
  [[ ! -e /sys/fs/resctrl/info ]] || skip "this host has resctrl"
  run run_once '.linux.intelRdt = {closID: "guaranteed"}' true
  assert_ok
  run run_once '.linux.intelRdt = {l3CacheSchema: "L3:0=f"}' true
  assert_failed "Intel RDT/CAT is not enabled"
  run run_once '.linux.intelRdt = {memBwSchema: "MB:0=20"}' true
  assert_failed "Intel RDT/MBA is not enabled"
  run run_once '.linux.intelRdt = {closID: "../x"}' true
  assert_failed linux.intelRdt.closID
}

@test "nothing is left behind, and no setting of the host has changed" {
  suite_left_nothing
}
