# What tools that test OCI runtimes, and engines, take for granted, where a system container is
# made in another way than theirs.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start conformance
  daemons_start
}
teardown_file() { suite_stop; }

teardown() {
  local id
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
}

# Type, source and place of each mount that config.json names, as mountinfo lists them.
listed_mounts() { # CONFIG
  local places
  places=$(jq -r '[.mounts[].destination] | join(" ")' "$1")
  awk -v places=" $places " 'index(places, " " $5 " ") {
    for (i = 7; $i != "-"; ++i);
    print $(i + 1), $(i + 2), $5
  }'
}

@test "mountinfo lists the mounts in the order of config.json, with their sources" {
  local dir filter
  # Not with a mount below /sys, which would come with it; that has a place of its own.
  filter='.root.readonly = true | .mounts |= map(select(.type | IN("cgroup", "sysfs") | not)) + [
    {destination: "/sys", type: "sysfs", source: "devices"},
    {destination: "/first", type: "tmpfs", source: "one"},
    {destination: "/second", type: "tmpfs", source: "two"}]
    | .mounts |= map(if .type == "proc" then .source = "processes" else . end)'
  dir=$(bundle order "$filter" cat /proc/self/mountinfo)
  mkdir "$dir/rootfs"/{first,second}
  run runc run --bundle "$dir" order
  assert_ok
  assert_equal "$(listed_mounts "$dir/config.json" <<<"$output")" \
    "$(jq -r '.mounts[] | "\(.type) \(.source) \(.destination)"' "$dir/config.json")" "mounts"
}

sets_inside() { # JQ_FILTER: bounding, effective and ambient
  run_once "$1" sed -n 's/^Cap\(Bnd\|Eff\|Amb\):\t//p' /proc/self/status | sort | xargs
}

@test "capabilities: all instead of an engine's default, but a chosen set to the letter" {
  local all cri_o none=0000000000000000
  all=$(printf '%016x' $(((1 << $(cat /proc/sys/kernel/cap_last_cap) + 1) - 1)))
  cri_o='["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_KILL"]'
  assert_equal "$(sets_inside ".process.capabilities = {bounding: $cri_o, effective: $cri_o}")" \
    "$none $all $all" "by default"
  assert_equal "$(sets_inside '.process.capabilities = {}')" "$none $none $none" "none"
  # One that root has kept: execve gives root what the bounding set allows.
  assert_equal "$(sets_inside '.process.capabilities = {bounding: ["CAP_KILL"]}')" \
    "$none 0000000000000020 0000000000000020" "one"
  assert_equal "$(sets_inside '.process.user.uid = 5 | .process.capabilities =
    (["bounding", "permitted", "inheritable", "effective", "ambient"]
      | map({(.): ["CAP_CHOWN", "CAP_KILL"]}) | add)')" \
    "0000000000000021 0000000000000021 0000000000000021" "ambient"
}

@test "crun's options: --cgroup-manager, and a config.json of another name" {
  local dir
  dir=$(bundle crun .)
  jq '.process.args = ["echo", "from elsewhere"]' "$dir/config.json" >"$dir/other.json"
  run runc --cgroup-manager cgroupfs run --config other.json --bundle "$dir" crun
  assert_ok
  assert_equal "$output" "from elsewhere"
  run runc --cgroup-manager=cgroupfs run --config="$dir/other.json" --bundle "$dir" crun
  assert_ok
  assert_equal "$output" "from elsewhere"
  run runc run --config missing.json --bundle "$dir" crun
  assert_failed "JSON specification file missing.json not found"
  run runc --cgroup-manager=disabled list
  assert_failed "--cgroup-manager: 'disabled' is not supported: cgroupfs or systemd"
}

@test "a terminal that runc relays keeps the line ends of what the program writes" {
  local dir
  dir=$(bundle lines '.process.terminal = true' printf 'one\ntwo\n')
  # The terminal on the host is one of script(1)'s; what is relayed goes to a file.
  SYSBOX_E2E_OF=$SUITE timeout $((60 * SLOWER)) script -qec "'$SYSBOX_RUNC' --root '$SUITE_DIR/root' \
    run --bundle '$dir' lines >'$SUITE_DIR/lines'" /dev/null </dev/null >/dev/null 3>&- 4>&-
  # script(1) types an end of file of its own, which is echoed somewhere.
  assert_contains "$(tr -d '^@' <"$SUITE_DIR/lines")" $'one\ntwo'
}

@test "nothing is left of it" {
  suite_left_nothing
}
