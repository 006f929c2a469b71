# linux.seccomp with an agent of the engine's own, which answers instead of the kernel.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start seccomp
  daemons_start
}
teardown_file() { suite_stop; }
setup() {
  socket=$SUITE_DIR/agent.sock
  rm -f "$socket"
  agent "$socket" "$SUITE_DIR/told" 3>&- 4>&- &
  agent=$!
  wait_for 10 test -S "$socket"
}
teardown() {
  local id
  kill "$agent" 2>/dev/null || :
  for id in $(runc list --quiet 2>/dev/null); do remove_container "$id" || :; done
}

# Answers each call with ENOMEDIUM, for every process whose listener it gets; writes down what it
# was told of them.
agent() { # SOCKET FILE
  exec python3 -c '
import array, fcntl, os, socket, struct, sys, threading
RECV, SEND, ENOMEDIUM = 0xC0502100, 0xC0182101, 123
def answer(listener):
    try:
        while True:
            call = bytearray(80)
            fcntl.ioctl(listener, RECV, call)
            (number,) = struct.unpack_from("Q", call)
            fcntl.ioctl(listener, SEND, bytearray(struct.pack("QqiI", number, 0, -ENOMEDIUM, 0)))
    except OSError:
        os.close(listener)
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
while True:
    text, fds, _, _ = socket.recv_fds(server.accept()[0], 65536, 1)
    with open(sys.argv[2], "ab") as told:
        told.write(text + b"\n")
    threading.Thread(target=answer, args=(fds[0],), daemon=True).start()
' "$@"
}
with_agent() { # CALL
  echo '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", listenerPath: "'"$socket"'",
    listenerMetadata: "for the agent", architectures: ["SCMP_ARCH_X86_64"],
    syscalls: [{names: ["'"$1"'"], action: "SCMP_ACT_NOTIFY"}]}'
}

@test "the agent answers for the container and for what is executed in it" {
  [[ $(uname -m) = x86_64 ]] || skip "the profile is written for x86-64"
  start_idle watched "$(with_agent mkdir)"
  run inside watched mkdir /made
  assert_failed "No medium found"
  run inside watched test -e /made
  assert_failed
  assert_equal "$(jq -r .metadata "$SUITE_DIR/told" | sort -u)" "for the agent"
  assert_equal "$(jq -r .fds[0] "$SUITE_DIR/told" | sort -u)" seccompFd
  assert_equal "$(jq -r '.state.id' "$SUITE_DIR/told" | sort -u)" watched
  assert_equal "$(head -n 1 "$SUITE_DIR/told" | jq -c '[.state.status, .pid == .state.pid]')" '["creating",true]'
}

@test "without an agent at the named place the container is refused" {
  kill "$agent"
  rm -f "$socket"
  run run_once "$(with_agent mkdir)" true
  assert_failed "failed to connect with seccomp agent"
  run run_once "$(with_agent write)" true
  assert_failed "SCMP_ACT_NOTIFY cannot be used for the write syscall"
}

@test "nothing is left behind, and no setting of the host has changed" {
  kill "$agent"
  suite_left_nothing
}
