# BuildKit of Debian's Docker, which calls `runc` by itself for each step of a build: here the
# runtime under test bears that name.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine

setup_file() {
  export BATS_TEST_TIMEOUT=$((180 * SLOWER))
  suite_start buildkit
  daemons_start
  export ENGINE_TOOLS=$SUITE_DIR/tools
  mkdir "$ENGINE_TOOLS"
  cat >"$ENGINE_TOOLS/runc" <<R
#!/bin/sh
echo "\$*" >>"$SUITE_DIR/called"
# BuildKit itself leaves this to the runtime.
case " \$* " in *" --root "*) ;; *) set -- --root "$SUITE_DIR/root" "\$@" ;; esac
exec "$SYSBOX_RUNC" --manager-socket "$SYSBOX_MGR_SOCKET" --emulator-socket "$SYSBOX_FS_SOCKET" "\$@"
R
  chmod +x "$ENGINE_TOOLS/runc"
  engine_start
  import_images small
}
teardown_file() {
  engine_stop
  suite_stop
}

@test "a build of several stages: each step is a system container, owners are right" {
  mkdir "$SUITE_DIR/context"
  echo from-context >"$SUITE_DIR/context/file"
  cat >"$SUITE_DIR/context/Dockerfile" <<'D'
FROM busybox AS first
RUN cut -c 1-40 /proc/self/uid_map >/map && echo somebody:x:1234:1234::/home/somebody:/bin/sh >>/etc/passwd
COPY --chown=1234:1234 file /home/somebody/file
RUN su somebody -c 'cp /home/somebody/file /tmp/copy'
FROM busybox
COPY --from=first /map /map
COPY --from=first /tmp/copy /home/copy
RUN stat -c '%u %a' /home/copy >/owner && mkdir -m 750 /made && chown 77:88 /made
D
  run env PATH="$ENGINE_PATH" DOCKER_BUILDKIT=1 docker build --progress plain --network none \
    --tag built "$SUITE_DIR/context" 3>&- 4>&-
  assert_ok
  grep -q ' run .*--bundle' "$SUITE_DIR/called"
  run docker run --rm --network none built sh -c 'cat /map /home/copy; stat -c "%u:%g %a" /made'
  assert_ok
  assert_matches "${lines[0]}" '^ *0 +[1-9][0-9]{5,} +65536$'
  assert_equal "${lines[1]}" from-context
  assert_equal "${lines[2]}" "77:88 750"
}

@test "a step that fails fails the build, with its output and exit code" {
  printf 'FROM busybox\nRUN echo why-it-failed; exit 33\n' >"$SUITE_DIR/context/Dockerfile"
  run env PATH="$ENGINE_PATH" DOCKER_BUILDKIT=1 docker build --progress plain --network none \
    "$SUITE_DIR/context" 3>&- 4>&-
  assert_failed "exit code: 33"
  assert_contains "$output" why-it-failed
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  # The parent that BuildKit names is not the containers'.
  find /sys/fs/cgroup -type d -path "*/$SUITE/buildkit" -exec rmdir {} + 2>/dev/null || :
  suite_left_nothing
}
