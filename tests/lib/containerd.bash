# shellcheck shell=bash
# A private containerd of Debian's packages, unpacked beside the system, that calls the runtime
# under test through its own shim. ENGINE_RELEASE as in engine.bash, which goes with this file.

containerd_start() { # [CONTAINERD_PROGRAM]
  local dir=$SUITE_DIR/containerd pid
  export ENGINE_DIR CONTAINERD_PATH CONTAINERD_ADDRESS=$dir/sock CONTAINERD_NAMESPACE=$SUITE
  if [[ -n ${ENGINE_RELEASE:-} ]]; then
    ENGINE_DIR=$(engine_root "$ENGINE_RELEASE")
    CONTAINERD_PATH=$SUITE_DIR/engine:/usr/sbin:/usr/bin:/sbin:/bin
    mkdir -p "$SUITE_DIR/engine"
    engine_program containerd
    engine_program ctr
  else
    CONTAINERD_PATH=$(engine_dir)/usr/bin:$(engine_dir)/usr/sbin:/usr/sbin:/usr/bin:/sbin:/bin
  fi
  mkdir -p "$dir"/{root,state}
  cat >"$dir/config.toml" <<C
version = 2
root = "$dir/root"
state = "$dir/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime", "io.containerd.internal.v1.opt"]
[grpc]
  address = "$CONTAINERD_ADDRESS"
[plugins."io.containerd.gc.v1.scheduler"]
  startup_delay = "0s"
C
  PATH=$CONTAINERD_PATH SYSBOX_E2E_OF=$SUITE setsid containerd --config "$dir/config.toml" \
    >>"$SUITE_DIR/log/containerd" 2>&1 </dev/null 3>&- 4>&- &
  pid=$!
  disown "$pid"
  echo "$pid" >"$SUITE_DIR/containerd.pid"
  wait_for 30 containerd_answers_or_died "$pid"
  ctr version >/dev/null 2>&1 ||
    fail "containerd died:" "$(tail -n 20 "$SUITE_DIR/log/containerd")"
}
containerd_answers_or_died() { ctr version || ! kill -0 "$1"; }
# The containers stay: their shims do not belong to the daemon.
containerd_stop() { daemon_stop containerd "${1:-TERM}"; }

ctr() { PATH=$CONTAINERD_PATH timeout $((60 * SLOWER)) ctr "$@" 3>&- 4>&-; }

# containerd passes no options on to a runtime.
make_wrapper() {
  export SYSBOX_WRAPPER=$SUITE_DIR/sysbox-runc
  printf '#!/bin/sh\nexec %q --manager-socket %q --emulator-socket %q "$@"\n' \
    "$SYSBOX_RUNC" "$SYSBOX_MGR_SOCKET" "$SYSBOX_FS_SOCKET" >"$SYSBOX_WRAPPER"
  chmod +x "$SYSBOX_WRAPPER"
}
# `ctr run` with the runtime under test.
crun() {
  ctr run --runtime io.containerd.runc.v2 --runc-binary "$SYSBOX_WRAPPER" \
    --runc-root "$SUITE_DIR/root" "$@"
}
# For bats' run, of commands that print something. ctr loses all output of a short process now and
# then (4 of 150 with runc): then it is asked again.
cexec() { # [OPTION...] TASK COMMAND...
  local code text
  for _ in 1 2 3; do
    code=0
    text=$(ctr tasks exec --exec-id "exec-$BASHPID-$RANDOM" "$@") || code=$?
    [[ -z $text ]] || break
  done
  printf '%s\n' "$text"
  return "$code"
}
task_status() { ctr tasks list | awk -v id="$1" '$1 == id { print $3 }'; }
task_pid() { ctr tasks list | awk -v id="$1" '$1 == id { print $2 }'; }
is_task_status() { [[ $(task_status "$1") = "$2" ]]; }
remove_task_and_container() {
  ctr tasks kill --signal KILL "$1" || :
  wait_for 15 is_task_status "$1" STOPPED
  ctr tasks delete "$1"
  ctr containers delete "$1"
}
