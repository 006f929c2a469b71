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

@test "nothing is left of it" {
  suite_left_nothing
}
