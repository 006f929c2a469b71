# System calls that are answered in the kernel's place, and those that are left to it.
# shellcheck shell=bash disable=SC2016 # expressions for the shell inside

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start syscalls
  daemons_start
}
teardown_file() { suite_stop; }
teardown() {
  local id
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
}

@test "sysinfo: busybox's free and uptime print the container's numbers" {
  run run_once '.linux.resources = {memory: {limit: 134217728}}' sh -c '
    free -k | awk "/^Mem/ { print \$2 }"; awk "/^MemTotal/ { print \$2 }" /proc/meminfo; uptime'
  assert_ok
  assert_equal "${lines[0]}" 131072
  assert_equal "${lines[1]}" 131072
  assert_contains "$output" "up 0 min"
}

@test "nproc: as many cpus as the quota allows, also one that is set later" {
  local all
  all=$(nproc)
  ((all > 1)) || skip "one cpu cannot be fewer"
  start_idle quota '.linux.resources = {cpu: {quota: 50000, period: 100000}}'
  run inside quota sh -c 'nproc; grep -c ^processor /proc/cpuinfo; taskset -p 1 | grep -c .'
  assert_equal "${lines[0]}" 1
  assert_equal "${lines[1]}" 1
  remove_container quota
  start_idle whole
  assert_equal "$(inside whole nproc)" "$all"
  runc update --cpu-period 100000 --cpu-quota 100000 whole
  assert_equal "$(inside whole nproc)" 1
}

@test "mknod: a device of the list is made, on the root and in /dev, and can be used" {
  run run_once . sh -c '
    mknod -m 666 /null c 1 3 && echo text >/null && stat -c "%F %t:%T %u:%g %a" /null
    mkdir -p /dev/sub && mknod /dev/sub/tun c 10 200 && exec 3<>/dev/sub/tun && echo opened
    mknod /zero c 1 5 && head -c 3 /zero | wc -c
    su -s /bin/sh nobody -c "echo more >/null" && echo by another user
    rm /null /zero /dev/sub/tun && echo removed'
  assert_ok
  assert_equal "$output" "$(printf '%s\n' 'character special file 1:3 0:0 666' opened 3 'by another user' removed)"
}

@test "mknod: no other device, none by a user or without the capability, none where it could not be opened" {
  run run_once . sh -c '
    for n in "b 7 0" "b 8 0" "c 1 1" "c 10 237" "c 4 0" "b 1 3"; do mknod /node $n; done
    mkdir -m 777 /open /mounted; su -s /bin/sh nobody -c "mknod /open/null c 1 3"
    mount -t tmpfs tmpfs /mounted; mknod /mounted/null c 1 3
    unshare -Ur mknod /open/null c 1 3; ls /open /mounted; mknod /open/whiteout c 0 0 && echo whiteout'
  assert_equal "$(grep -c 'Operation not permitted' <<<"$output")" 9 "refusals"
  assert_equal "$(tail -n 1 <<<"$output")" whiteout
  run run_once '.process.capabilities = (["bounding", "effective", "permitted"] | map({key: ., value: ["CAP_CHOWN"]}) | from_entries)
    | .annotations["io.sysbox.honor-capabilities"] = "true"' mknod /null c 1 3
  assert_failed "Operation not permitted"
}

@test "the kernel log is empty, and no window on the host's" {
  run run_once . sh -c 'dmesg && dmesg -c && dmesg -s 100000 && echo read; cat /dev/kmsg && echo files'
  assert_ok
  assert_equal "$output" "$(printf '%s\n' read files)"
}

assert_answers() { # PROGRAM COLUMN
  run compare_answers "$@" <"$SUITE_DIR/answers"
  assert_ok
}
# Compares what a program printed with a column of its table: a value may be one of several.
compare_answers() { # PROGRAM COLUMN <OUTPUT
  awk -v column="$2" -v table="$BATS_TEST_DIRNAME/../kernel/${1/-/_}.expected" '
    BEGIN {
      while ((getline line <table) > 0) {
        if (line ~ /^#/) continue
        fields = split(line, f)
        expected[f[1]] = f[column]
        # Nothing may differ from a machine without a reason.
        if (fields < 5 && f[2] != f[3]) { print f[1] ": no reason"; bad++ }
      }
    }
    !($1 in expected) { print $1 ": is not in the table"; bad++; next }
    index("," expected[$1] ",", "," $2 ",") == 0 { print $1 ": " $2 ", expected " expected[$1]; bad++ }
    { delete expected[$1] }
    END {
      for (name in expected) if (expected[name] != "") { print name ": no answer"; bad++ }
      exit bad > 0
    }'
}
answers_inside() { # PROGRAM [OPTION...]
  local dir=$SUITE_DIR/bundles/answers
  rm -rf --one-file-system "$dir"
  bundle answers . sh -c 'mkdir -p /scratch; cd /scratch && exec /answers "$@"' "$@" >/dev/null
  cp "$SYSBOX_BUILD/tests/kernel/$1" "$dir/rootfs/answers"
  runc run --bundle "$dir" answers >"$SUITE_DIR/answers" 2>&1 </dev/null || fail "$(cat "$SUITE_DIR/answers")"
}
answers_outside() { # PROGRAM [WRAPPER...]
  mkdir -p "$SUITE_DIR/scratch"
  chmod 777 "$SUITE_DIR/scratch"
  (cd "$SUITE_DIR/scratch" && "${@:2}" "$SYSBOX_BUILD/tests/kernel/$1") >"$SUITE_DIR/answers"
}
user_namespace=(unshare --user --map-root-user --mount --pid --fork --mount-proc --uts --ipc --net)
needs_a_machine() {
  [[ -e /run/sysbox-throw-away-machine ]] || skip "$1: only in a virtual machine (tests/vm/run)"
}

@test "every decided call answers as the table says: inside" {
  answers_inside syscall-answers
  assert_answers syscall-answers 3
}

@test "every decided call answers as the table says: root of a user namespace" {
  answers_outside syscall-answers "${user_namespace[@]}"
  assert_answers syscall-answers 4
}

@test "every decided call answers as the table says: root of a machine" {
  needs_a_machine "sets clocks and asks for swap"
  answers_outside syscall-answers
  assert_answers syscall-answers 2
}

@test "calls around mounts answer as the table says: inside" {
  answers_inside mount-answers
  assert_answers mount-answers 3
}

@test "calls around mounts answer as the table says: inside, by a 32-bit program" {
  answers_inside mount-answers --32
  [[ $(cat "$SUITE_DIR/answers") != "no 32-bit"* ]] || skip "no 32-bit system calls here"
  assert_answers mount-answers 3
}

@test "calls around mounts answer as the table says: root of a user namespace" {
  answers_outside mount-answers "${user_namespace[@]}"
  assert_answers mount-answers 4
}

@test "calls around mounts answer as the table says: root of a machine" {
  needs_a_machine "makes nodes and mounts of the machine's own"
  answers_outside mount-answers
  assert_answers mount-answers 2
}

@test "nothing is left behind, and no setting of the host has changed" {
  suite_left_nothing
}
