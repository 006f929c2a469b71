# The tools that people look at a machine with, inside containers: they tell the container's limits
# and use, whichever file they take them from.
# shellcheck shell=bash

load ../lib/suite

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start resources
  daemons_start
  # The machine's own procps and util-linux beside busybox.
  local tools='.mounts += [["/usr", "/lib", "/lib64"][] |
    {destination: ., type: "bind", source: ("/usr" + ltrimstr("/usr")), options: ["bind", "ro"]}]'
  start_idle tight "$tools"' | .linux.resources = {memory: {limit: 134217728, swap: 134217728},
    cpu: {quota: 100000, period: 100000}}'
  start_idle loose "$tools"
}
teardown_file() { suite_stop; }

cpus_of_host() { getconf _NPROCESSORS_ONLN; }
tool() { inside "$1" "/usr/bin/$2" "${@:3}"; }

@test "free tells the limit" {
  run tool tight free -k
  assert_ok
  assert_equal "$(awk '/^Mem:/ { print $2 }' <<<"$output")" 131072
  assert_equal "$(awk '/^Swap:/ { print $2 }' <<<"$output")" 0
  # procps has its own idea of "used": total - available.
  assert_equal "$(awk '/^Mem:/ { print ($3 <= $2 && $4 + $6 <= $2 && $7 <= $2) }' <<<"$output")" 1 "$output"
  run inside tight busybox free -k
  assert_equal "$(awk '/^Mem:/ { print $2 }' <<<"$output")" 131072
}

@test "top, uptime, vmstat and slabtop work and tell the container's numbers" {
  run tool tight top -b -n 1 -E k
  assert_ok
  assert_matches "$output" 'KiB Mem : *131072.*total'
  # sh, sleep, top, and what runc exec needs.
  assert_between "$(sed -n 's/^Tasks: *\([0-9]*\) total.*/\1/p' <<<"$output")" 2 10 tasks
  run tool tight uptime
  assert_matches "$output" 'up [0-9]+ min.*load average: [0-9]'
  run tool tight vmstat -n 1 2
  assert_ok
  run tool tight vmstat -s
  assert_equal "$(awk '/K total memory/ { print $1 }' <<<"$output")" 131072
  run tool tight vmstat -d
  assert_ok
  run tool tight slabtop --once
  assert_ok
}

@test "getconf, nproc and lscpu count what the quota pays for" {
  assert_equal "$(tool tight getconf _NPROCESSORS_ONLN)" 1
  assert_equal "$(tool tight getconf _NPROCESSORS_CONF)" 1
  assert_equal "$(tool tight nproc) $(tool tight nproc --all)" "1 1"
  run tool tight lscpu
  assert_ok
  assert_equal "$(awk '/^CPU\(s\):/ { print $2 }' <<<"$output")" 1
  assert_equal "$(awk '/^On-line CPU/ { print $NF }' <<<"$output")" 0
  assert_equal "$(tool tight lscpu --parse=CPU,CORE | grep -vc '^#')" 1
  assert_equal "$(tool loose lscpu --parse=CPU | grep -vc '^#')" "$(cpus_of_host)"
  [[ ! -e /sys/devices/system/node/node0 ]] ||
    assert_equal "$(tool tight lscpu | awk '/^NUMA node0 CPU/ { print $NF }')" 0
}

@test "no processor beyond the limit shows in /sys, and each that shows is readable" {
  assert_equal "$(inside tight sh -c 'cd /sys/devices/system/cpu && echo cpu[0-9]*')" cpu0
  run inside tight ls /sys/devices/system/cpu/cpu1
  assert_failed "No such file"
  assert_equal "$(inside loose sh -c 'ls -d /sys/devices/system/cpu/cpu[0-9]*' | wc -l)" "$(cpus_of_host)"
  run inside loose sh -c 'find /sys/devices/system/cpu -type f -exec cat {} + >/dev/null'
  assert_ok
  assert_equal "$output" ""
  assert_equal "$(inside tight cat /sys/devices/system/cpu/cpu0/topology/core_siblings_list)" 0
  assert_equal "$(inside tight cat /sys/devices/system/cpu/cpu0/topology/core_siblings)" 1
}

@test "the number of processors follows an update at once" {
  (($(cpus_of_host) > 1)) || skip "one processor is all that there is"
  runc update --cpu-quota 200000 --cpu-period 100000 tight
  assert_equal "$(tool tight getconf _NPROCESSORS_ONLN)" 2
  assert_equal "$(inside tight cat /sys/devices/system/cpu/cpu1/topology/physical_package_id)" \
    "$(cat /sys/devices/system/cpu/cpu1/topology/physical_package_id)"
  runc update --cpu-quota 100000 --cpu-period 100000 tight
  assert_equal "$(tool tight getconf _NPROCESSORS_ONLN)" 1
  run inside tight ls /sys/devices/system/cpu/cpu1
  assert_failed "No such file"
}

@test "the memory nodes have the container's memory" {
  [[ -e /sys/devices/system/node/node0 ]] || skip "a kernel without memory nodes"
  assert_equal "$(inside tight cat /sys/devices/system/node/node*/meminfo |
    awk '$3 == "MemTotal:" { sum += $4 } END { print sum }')" 131072
  assert_equal "$(inside tight cat /sys/devices/system/node/node0/cpulist)" 0
  assert_equal "$(inside tight readlink /sys/devices/system/cpu/cpu0/node0)" ../../node/node0
  run inside loose sh -c 'find /sys/devices/system/node -type f -exec cat {} + >/dev/null'
  assert_ok
  assert_equal "$output" ""
}

@test "zoneinfo and buddyinfo agree with meminfo" {
  local page
  page=$(($(getconf PAGESIZE) / 1024))
  assert_equal "$(inside tight awk '$1 == "managed" { print $2 }' /proc/zoneinfo)" $((131072 / page))
  assert_equal "$(inside tight grep -c ^Node /proc/zoneinfo)" 1
  run inside tight sh -c 'cat /proc/meminfo /proc/buddyinfo'
  assert_equal "$(awk -v page="$page" '$1 == "MemFree:" { free = $2 }
    $1 == "Node" { for (i = 5; i <= NF; ++i) sum += $i * 2 ^ (i - 5) * page }
    END { print (sum - free) ^ 2 < 4096 ^ 2 }' <<<"$output")" 1 "$output"
}

@test "no interrupt, disk or processor time of the host shows" {
  assert_equal "$(inside tight wc -l </dev/null /proc/interrupts | cut -d ' ' -f 1)" 1
  assert_equal "$(inside tight awk '$1 == "RCU:" { print NF, $2 }' /proc/softirqs)" "2 0"
  assert_equal "$(inside loose awk '$1 == "intr" { print $2 }' /proc/stat)" 0
  run inside tight sh -c 'cat /proc/partitions /proc/diskstats'
  assert_ok
  assert_equal "$(grep -c loop <<<"$output")" 0 "$output"
}

@test "context switches, forks and tasks are counted and do not go back" {
  local before after
  counts() { inside tight awk '$1 == "ctxt" || $1 == "processes" { print $2 }' /proc/stat | paste -s -d ' '; }
  before=$(counts)
  inside tight sh -c 'for i in $(seq 30); do sleep 0.01; done'
  sleep 6 # they are counted anew after five seconds
  after=$(counts)
  read -r switches forks <<<"$after"
  assert_between "$switches" "${before% *}" 100000000 "context switches"
  assert_between "$forks" "${before#* }" 100000 forks
  assert_between "$(inside tight cut -d ' ' -f 4 /proc/loadavg | cut -d / -f 2)" 2 12 tasks
}

@test "pressure is the container's, or refused where none is kept" {
  local kept='' dir
  dir=$(find /sys/fs/cgroup -type d -path "*/$SUITE/tight" -exec test -e '{}/cpu.pressure' ';' -print -quit)
  [[ ! -e /proc/pressure/cpu ]] || kept=$dir
  if [[ -n $kept ]] && cat "$dir/cpu.pressure" >/dev/null 2>&1; then
    for kind in cpu io memory; do
      assert_matches "$(inside tight cat "/proc/pressure/$kind")" '^some avg10=[0-9.]+ avg60='
    done
    inside tight sh -c 'timeout 3 sh -c "while :; do :; done" & timeout 3 sh -c "while :; do :; done"; wait' || true
    assert_between "$(inside tight sed -n 's/^some.*total=//p' /proc/pressure/cpu)" 500000 20000000 "stalled, in µs"
    assert_equal "$(inside tight ls /proc/pressure | paste -s -d ' ')" "$(ls /proc/pressure | paste -s -d ' ')"
  elif [[ -e /proc/pressure/cpu ]]; then
    run inside tight cat /proc/pressure/cpu
    assert_failed "not supported"
  else
    run inside tight ls /proc/pressure
    assert_failed "No such file"
  fi
}

@test "who comes from the host by nsenter sees the container's numbers" {
  local pid
  pid=$(container_pid tight)
  assert_equal "$(nsenter -t "$pid" -m -p -- awk '/^MemTotal:/ { print $2 }' /proc/meminfo)" 131072
  assert_equal "$(nsenter -t "$pid" -m -p -- cat /sys/devices/system/cpu/online)" 0
  assert_equal "$(nsenter -t "$pid" -a -- awk '/^MemTotal:/ { print $2 }' /proc/meminfo)" 131072
}

@test "in a cgroup made inside, its own limits show" {
  local script='
    cg=/sys/fs/cgroup; file=memory.max
    if [ -d $cg/memory ]; then cg=$cg/memory; file=memory.limit_in_bytes
    else
      mkdir -p $cg/main && for pid in $(cat $cg/cgroup.procs); do echo $pid >$cg/main/cgroup.procs; done
      echo +memory >$cg/cgroup.subtree_control
    fi
    mkdir -p $cg/inner/leaf && echo 67108864 >$cg/inner/$file
    sh -c "echo \$\$ >$cg/inner/leaf/cgroup.procs; exec awk \"/^MemTotal:/ { print \\\$2 }\" /proc/meminfo"
    awk "/^MemTotal:/ { print \$2 }" /proc/meminfo
    rmdir $cg/inner/leaf $cg/inner'
  start_idle nesting '.linux.resources = {memory: {limit: 134217728}}
    | .mounts += [{destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: []}]'
  run inside nesting sh -e -c "$script"
  remove_container nesting
  assert_ok
  assert_equal "$output" "$(printf '65536\n131072')"
}

@test "a second sysfs, a nested user namespace and a time namespace show the same machine" {
  run inside tight sh -c 'mkdir -p /s && mount -t sysfs sysfs /s && ls -d /s/devices/system/cpu/cpu[0-9]*; umount /s'
  assert_equal "$output" /s/devices/system/cpu/cpu0
  run inside tight unshare --user --map-root-user --pid --mount --fork --mount-proc sh -c \
    'wc -l </proc/interrupts; ls /sys/devices/system/cpu/cpu1'
  assert_contains "$output" "No such file"
  assert_equal "${lines[0]}" 1
  [[ -e /proc/self/timens_offsets ]] || skip "a kernel without time namespaces"
  run tool tight unshare --time --boottime 86400 --fork cut -d . -f 1 /proc/uptime
  assert_ok
  assert_between "$output" 86400 90000 "uptime in a time namespace"
}

@test "nothing is left behind" {
  remove_container tight
  remove_container loose
  suite_left_nothing
}
