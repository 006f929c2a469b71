# Nothing of the host or of other containers is to be read in a container's /proc and /sys, and
# what is read there behaves like the kernel's own files.
# shellcheck shell=bash

load ../lib/suite

: "${SYSBOX_TEST_STRESS_SECONDS:=20}"

setup_file() {
  export BATS_TEST_TIMEOUT=$(((120 + SYSBOX_TEST_STRESS_SECONDS) * SLOWER))
  suite_start leaks
  daemons_start
  start_idle box '.hostname = "box-inside" | .linux.resources = {
    memory: {limit: 134217728, swap: 134217728}, cpu: {quota: 100000, period: 100000}}'
  start_idle secret-tenant '.hostname = "secret-tenant-name"'
  put_reader box
}
teardown_file() { suite_stop; }

put_reader() { cp "$SYSBOX_BUILD/tests/kernel/read-files" "$SUITE_DIR/bundles/$1/rootfs/bin/"; }
results_inside() {
  [[ -e $SUITE_DIR/inside.tsv ]] || inside box read-files /proc /sys >"$SUITE_DIR/inside.tsv"
}

# In a user namespace of its own, and the other namespaces too, but without our daemons.
results_of_the_kernel() {
  local holder
  unshare --user --net --ipc --uts sleep 60 3>&- &
  holder=$!
  in_namespace() { [ "$(readlink "/proc/$holder/ns/user")" != "$(readlink /proc/self/ns/user)" ]; }
  wait_for 5 in_namespace
  echo 0 2147400000 65536 >"/proc/$holder/uid_map"
  echo 0 2147400000 65536 >"/proc/$holder/gid_map"
  cp "$SYSBOX_BUILD/tests/kernel/read-files" "$SUITE_DIR/read-files"
  chmod 755 "$SUITE_DIR" "$SUITE_DIR/read-files"
  nsenter --user --net --ipc --uts --target "$holder" unshare --mount --pid --fork --mount-proc \
    sh -c 'mount -t sysfs sysfs /sys && exec "$0" /proc /sys' "$SUITE_DIR/read-files"
  kill "$holder"
}

@test "every file reads to its end, without an error or an emptiness that is not the kernel's" {
  results_inside
  results_of_the_kernel >"$SUITE_DIR/kernel.tsv"
  assert_between "$(grep -c . "$SUITE_DIR/kernel.tsv")" 1000 1000000 "files of the kernel"
  run awk -F '\t' 'NR == FNR { result[$1] = $2; bytes[$1] = $3; next }
    $2 == "slow" { print $1 " has no end"; next }
    !($1 in result) { next }
    $2 != "ok" && $2 != "long" && result[$1] == "ok" { print $1 ": " $2 ", which the kernel would not say" }
    $1 == "/proc/diskstats" { next } # no disk, as long as the container has used none
    $1 == "/proc/locks" { next } # the locks of that moment
    $2 == "ok" && $3 == 0 && result[$1] == "ok" && bytes[$1] != 0 { print $1 " is empty" }
    ' "$SUITE_DIR/kernel.tsv" "$SUITE_DIR/inside.tsv"
  assert_equal "$output" ""
}

@test "every readable file has been reviewed, and none shows the host that should not" {
  results_inside
  cut -f 1 "$SUITE_DIR/inside.tsv" | "$SYSBOX_BUILD/tests/kernel/read-files" - >"$SUITE_DIR/host.tsv"
  run python3 "$BATS_TEST_DIRNAME/../lib/reviewed.py" "$BATS_TEST_DIRNAME/reviewed-files.txt" \
    "$SUITE_DIR/inside.tsv" "$SUITE_DIR/host.tsv"
  assert_ok
  # It complains about a file that is not in the list, and of one that is as on the host.
  grep -v '/proc/version ' "$BATS_TEST_DIRNAME/reviewed-files.txt" |
    sed 's|^any /proc/config.gz |other /proc/config.gz |; s|^any /proc/devices |other /proc/devices |' \
      >"$SUITE_DIR/another-list"
  run python3 "$BATS_TEST_DIRNAME/../lib/reviewed.py" "$SUITE_DIR/another-list" \
    "$SUITE_DIR/inside.tsv" "$SUITE_DIR/host.tsv"
  assert_failed "/proc/version: nobody has reviewed it"
  assert_contains "$output" "/proc/devices: shows what it shows on the host"
}

# Strings that are found nowhere but on this host, or in the other container.
telltales() {
  {
    hostname
    cat /etc/machine-id /proc/sys/kernel/random/boot_id 2>/dev/null
    cat /proc/cmdline
    tr ' ' '\n' </proc/cmdline | awk '/=/ && length >= 16'
    find /sys/devices -type f \( -name serial -o -name wwid -o -name uuid -o -name unique_number \
      -o -name product_uuid -o -name '*_serial' -o -name backing_file -o -name vpd_pg80 \) \
      -exec grep -a -h -s '' {} + | tr -d '\0'
    cat /sys/class/net/*/address
    echo secret-tenant
    inside secret-tenant cat /proc/sys/kernel/random/boot_id
  } | sed 's/^ *//; s/ *$//' | awk 'length >= 6 && !/^[0:. -]*$/ && !/^(ff:)+ff$/' | sort -u
}

@test "what is read tells nothing of the host and of others" {
  telltales >"$SUITE_DIR/bundles/box/rootfs/telltales"
  assert_between "$(wc -l <"$SUITE_DIR/bundles/box/rootfs/telltales")" 4 1000 "strings to look for"
  # The search finds what is there.
  echo box-inside >>"$SUITE_DIR/bundles/box/rootfs/telltales"
  inside box read-files --find /telltales /proc /sys >"$SUITE_DIR/found.tsv"
  grep -q $'^/proc/sys/kernel/hostname\tholds\tbox-inside$' "$SUITE_DIR/found.tsv"
  run grep $'\tholds\t' "$SUITE_DIR/found.tsv"
  run grep -v $'\tbox-inside$' <<<"$output"
  assert_equal "$output" ""
}

# All that is readable and does not change by itself.
all_settings() {
  host_settings
  find /sys/module/*/parameters /sys/kernel/mm /sys/power /sys/block/*/queue -type f -perm -u=r \
    ! -path '*/hugepages-*/stats/*' ! -name '*_scanned' ! -name full_scans ! -path '/sys/kernel/mm/ksm/*' \
    ! -path '*/khugepaged/*' ! -path '*/page_reporting/*' ! -name wakeup_count -exec grep -a -s '' {} + | sort
}
daemon_use() { # descriptors and threads
  local pid
  pid=$(daemon_pid fs)
  echo "$(ls "/proc/$pid/fd" | wc -l) $(ls "/proc/$pid/task" | wc -l)"
}

@test "stress-ng as root and 200 readers: nothing hangs, no error is logged, no host setting changes" {
  local stress readers before_use log_lines descriptors threads
  stress=$(stress_dir)
  start_idle stressed ".root = {path: \"$stress\", readonly: true}
    | .mounts += [{destination: \"/scratch\", type: \"tmpfs\", source: \"tmpfs\"}]"
  # A first reading: what the daemon keeps for a container, it has then.
  inside box read-files /proc /sys >/dev/null
  all_settings >"$SUITE_DIR/settings-before"
  before_use=$(daemon_use)
  log_lines=$(wc -l <"$SUITE_DIR/log/fs")
  # shellcheck disable=SC2016
  inside box sh -c 'list=$(awk "\$9 ~ /fuse/ || \$8 ~ /fuse/ { print \$5 }" /proc/self/mountinfo)
    [ "$(echo "$list" | wc -l)" -gt 80 ] || exit 1
    for i in $(seq 200); do read-files --seconds '"$SYSBOX_TEST_STRESS_SECONDS"' $list & done; wait' &
  readers=$!
  run inside stressed stress-ng --procfs 2 --sysfs 2 --temp-path /scratch --no-rand-seed \
    --timeout "${SYSBOX_TEST_STRESS_SECONDS}s"
  assert_ok
  wait "$readers"
  run tail -n "+$((log_lines + 1))" "$SUITE_DIR/log/fs"
  assert_equal "$output" "" "the daemon's log"
  run diff "$SUITE_DIR/settings-before" <(all_settings)
  assert_equal "$(grep '^<' <<<"$output")" "" "changed on the host, was"
  read -r descriptors threads <<<"$before_use"
  no_more_in_use() {
    local now_descriptors now_threads
    read -r now_descriptors now_threads <<<"$(daemon_use)"
    ((now_descriptors <= descriptors + 5 && now_threads <= threads + 2))
  }
  wait_for 10 no_more_in_use
  assert_equal "$(inside box awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)" 131072
  remove_container stressed
}

@test "nothing is left behind" {
  remove_container box
  remove_container secret-tenant
  remove_container stressed
  suite_left_nothing
}
