# Many containers at once, and creations that are killed in the middle: none fails that was left
# alone, and nothing leaks.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine

at_once=200

setup_file() {
  export BATS_TEST_TIMEOUT=$((420 * SLOWER))
  suite_start stress $((at_once + 16))
  daemons_start
  killing_runtime >"$SUITE_DIR/killing-runtime"
  chmod +x "$SUITE_DIR/killing-runtime"
  engine_start --add-runtime "sysbox-killed=$SUITE_DIR/killing-runtime"
  import_images small
  drun --rm --network none busybox true # what is made once, for the first container
  sleep 1
  held >"$SUITE_DIR/held"
}
teardown_file() {
  engine_stop
  suite_stop
}

# The runtime, but one create in ten is killed at some moment of its first milliseconds, as the
# kernel's out-of-memory killer would do. Says so in a file.
killing_runtime() {
  cat <<R
#!/bin/bash
runtime=("$SYSBOX_RUNC" --manager-socket "$SYSBOX_MGR_SOCKET" --emulator-socket "$SYSBOX_FS_SOCKET" "\$@")
[[ " \$* " = *" create "* ]] && ((RANDOM % 10 == 0)) || exec "\${runtime[@]}"
"\${runtime[@]}" <&0 &
sleep 0.\$(printf %03d \$((RANDOM % 60)))
kill -KILL \$! 2>/dev/null && echo killed >>"$SUITE_DIR/killed"
wait \$!
R
}

# Without the one that each thread has for itself: of these a few stay, as many as were at work at once.
open_files() { # NAME...: of daemons
  local name count=0
  for name; do
    count=$((count + $(find "/proc/$(daemon_pid "$name")/fd" -mindepth 1 ! -lname '*/task/*/fd' | wc -l)))
  done
  echo "$count"
}
# What the daemons hold and what lies in their directories, apart from what belongs to no container.
held() {
  local kept
  echo "files open: $(open_files mgr fs)"
  find "$SUITE_DIR/data" "$SUITE_DIR/run" -mindepth 1 ! -name '*.sock' | sed 's/^/file: /' | sort
  kept=$(leftovers | grep -v -e "process: .*\(dockerd\|containerd\)" -e "mount: .*$SUITE_DIR/docker" \
    -e "cgroup: .*/$SUITE\$" || :)
  [[ -z $kept ]] || echo "$kept"
}
settled() { [[ $(held) = "$(cat "$SUITE_DIR/held")" ]]; }
nothing_new_is_held() {
  wait_for 20 settled || fail "held, and was not before:" "$(diff "$SUITE_DIR/held" <(held))"
}

@test "200 docker run --rm at once, none fails, nothing is left" {
  local i pids=() failed=0
  for ((i = 0; i < at_once; ++i)); do
    env PATH="$ENGINE_PATH" docker run --rm --runtime=sysbox-runc --name "crowd$i" busybox echo "I am $i" \
      >"$SUITE_DIR/log/crowd$i" 2>&1 3>&- 4>&- </dev/null &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=$((failed + 1)); done
  for ((i = 0; i < at_once; ++i)); do
    [[ $(cat "$SUITE_DIR/log/crowd$i") = "I am $i" ]] || fail "container $i said:" "$(cat "$SUITE_DIR/log/crowd$i")"
  done
  assert_equal "$failed" 0 "number of failures"
  assert_equal "$(docker ps --all --quiet)" "" "containers left"
  nothing_new_is_held
}

@test "200 docker run at once, one create in ten killed: the others work, nothing is left" {
  local i pids=() failed=0 killed
  rm -f "$SUITE_DIR/killed"
  for ((i = 0; i < at_once; ++i)); do
    env PATH="$ENGINE_PATH" docker run --rm --runtime=sysbox-killed --name "chaos$i" busybox echo "I am $i" \
      >"$SUITE_DIR/log/chaos$i" 2>&1 3>&- 4>&- </dev/null &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=$((failed + 1)); done
  killed=$(wc -l <"$SUITE_DIR/killed")
  assert_between "$killed" 1 $at_once "number of killed creations"
  ((failed <= killed)) || fail "$failed failed, but only $killed were killed" \
    "$(grep -h -v '^I am' "$SUITE_DIR"/log/chaos* | sort | uniq -c | sort -rn | head -n 5)"
  # A docker run that failed leaves a container in state "created" for its user to see.
  mapfile -t ids < <(docker ps --all --quiet)
  ((${#ids[@]} == 0)) || docker rm --force "${ids[@]}" >/dev/null
  nothing_new_is_held
}

@test "a create killed at any moment: delete --force removes what there is of it" {
  local i dir id
  for ((i = 0; i < 40; ++i)); do
    id=killed$((i % 4))
    dir=$(bundle "$id" . sleep 100)
    SYSBOX_E2E_OF=$SUITE "$SYSBOX_RUNC" --root "$SUITE_DIR/root" --manager-socket "$SYSBOX_MGR_SOCKET" \
      --emulator-socket "$SYSBOX_FS_SOCKET" create --bundle "$dir" "$id" \
      >"$SUITE_DIR/log/create" 2>&1 </dev/null 3>&- 4>&- &
    sleep "0.$(printf %03d $i)"
    kill -KILL $! 2>/dev/null || :
    wait $! 2>/dev/null || :
    runc delete --force "$id" || fail "delete after a kill at $i ms"
    # The same name can be used again at once.
    runc run --bundle "$dir" --detach "$id" >"$SUITE_DIR/log/again" 2>&1 </dev/null ||
      fail "run after a kill at $i ms:" "$(cat "$SUITE_DIR/log/again")"
    runc delete --force "$id"
  done
  rm -rf --one-file-system "$SUITE_DIR"/bundles/killed* # the volumes live as long as the root file system
  nothing_new_is_held
}

@test "nothing is left behind" {
  engine_stop
  suite_left_nothing
}
