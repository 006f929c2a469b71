# A system container in the role of a cluster's node: what k3s, kubelet, kube-proxy and network
# plug-ins do to a machine when they start, with nothing said about containers.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine
load ../lib/kubernetes

setup_file() {
  export BATS_TEST_TIMEOUT=$((300 * SLOWER))
  suite_start node
  daemons_start
  engine_start
  import_images workshop
  mkdir "$SUITE_DIR/kubernetes"
  [[ -z $KUBERNETES_BIN ]] || kubernetes_programs "$SUITE_DIR/kubernetes"
  need_machine node --hostname node --cpus 1 --memory 1g \
    --volume "$SUITE_DIR/kubernetes:/opt/kubernetes:ro" --volume "$(node_tools_dir):/opt/tools:ro"
  docker exec node sh -c 'tar -C /opt/tools -c . | tar -C / -x --keep-directory-symlink && ldconfig'
}
teardown_file() {
  engine_stop
  suite_stop
}

in_node() { timeout $((200 * SLOWER)) docker exec --interactive node bash -ec "$1"; }

@test "an engine inside counts the container's processors and memory" {
  wait_for 90 inner_docker_is_up_or_failed node
  run in_node 'docker info --format "{{.NCPU}} {{.MemTotal}}" 2>/dev/null; nproc
    python3 -c "import os; print(len(os.sched_getaffinity(os.getpid())))"'
  assert_ok
  assert_equal "${lines[*]}" "1 1073741824 1 1"
}

# Each name with the value that is written there, as the programs do it.
node_settings='
  vm/overcommit_memory 1
  vm/panic_on_oom 0
  vm/max_map_count 262144
  kernel/panic 10
  kernel/panic_on_oops 1
  kernel/keys/root_maxkeys 1000000
  kernel/keys/root_maxbytes 25000000
  fs/inotify/max_user_instances 8192
  fs/inotify/max_user_watches 1048576
  net/core/somaxconn 32768
  net/ipv4/ip_forward 1
  net/ipv4/conf/all/forwarding 1
  net/ipv4/conf/default/forwarding 1
  net/ipv4/conf/all/route_localnet 1
  net/ipv4/conf/all/rp_filter 0
  net/ipv4/conf/all/arp_ignore 1
  net/ipv4/conf/all/arp_announce 2
  net/ipv6/conf/all/forwarding 1
  net/ipv6/conf/default/forwarding 1
  net/netfilter/nf_conntrack_max 131072
  net/netfilter/nf_conntrack_tcp_timeout_established 86400
  net/netfilter/nf_conntrack_tcp_timeout_close_wait 3600
  net/netfilter/nf_conntrack_tcp_be_liberal 1
  net/netfilter/nf_conntrack_udp_timeout 30
  net/netfilter/nf_conntrack_udp_timeout_stream 180'

@test "what k3s, kubelet and kube-proxy set at their start is taken and kept" {
  in_node 'iptables --wait --table nat --append POSTROUTING --match conntrack --ctstate DNAT --jump RETURN'
  run in_node 'while read -r name value; do
      echo "$value" >"/proc/sys/$name" && [[ $(cat "/proc/sys/$name") = "$value" ]] ||
        echo "not so: $name $value"
    done
    echo 65536 >/sys/module/nf_conntrack/parameters/hashsize' <<<"${node_settings#$'\n'}"
  assert_ok
  assert_equal "$output" ""
}

@test "what kubelet looks at and mounts at its start is there" {
  run in_node 'head -n 1 /proc/swaps | cut -c 1-8; grep -c memory /proc/cgroups; exec 5</dev/kmsg
    ls -d /sys/devices/system/cpu/cpu0 /sys/devices/system/node; ls -A /sys/block; test -s /proc/vmstat
    mkdir -p /var/lib/kubelet; mount --bind /var/lib/kubelet /var/lib/kubelet; mount --make-rshared /var/lib/kubelet
    findmnt --noheadings --output PROPAGATION /var/lib/kubelet | tail -n 1; umount /var/lib/kubelet
    dir=/var/lib/rancher/k3s/agent/containerd/probe; mkdir -p $dir/{lower,upper,work,merged}
    mount -t overlay overlay -o lowerdir=$dir/lower,upperdir=$dir/upper,workdir=$dir/work $dir/merged
    touch $dir/merged/file; ls $dir/upper; umount $dir/merged'
  assert_ok
  assert_equal "${lines[*]}" "Filename 1 /sys/devices/system/cpu/cpu0 /sys/devices/system/node shared file"
}

@test "the rules of kube-proxy and of network plug-ins are taken, by each interface to them" {
  local tool
  for tool in iptables-nft ip6tables-nft iptables-legacy ip6tables-legacy; do
    run docker exec --interactive node "$tool-restore" --noflush <<'R'
*mangle
-A PREROUTING -p tcp -m socket --transparent -j MARK --set-xmark 0x200/0x200
-A PREROUTING -p tcp -j TPROXY --on-port 15001 --tproxy-mark 0x1/0x1
COMMIT
*raw
-A PREROUTING -p udp --dport 53 -j NOTRACK
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SEP-A - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -p tcp -m tcp --dport 80 -m addrtype --dst-type LOCAL -m statistic --mode random --probability 0.50000 -j KUBE-SEP-A
-A KUBE-SEP-A -m recent --name A --rcheck --seconds 10800 --reap -j RETURN
-A KUBE-SEP-A -j MARK --or-mark 0x4000
-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE --random-fully
COMMIT
*filter
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A INPUT -p tcp -m multiport --dports 9000,9001 -m limit --limit 5/sec -j NFLOG --nflog-group 100
-A INPUT -p tcp --dport 9002 -j REJECT
COMMIT
R
    assert_ok
    assert_contains "$(docker exec node "${tool}-save" --table nat)" "--random-fully"
  done
  run in_node 'ipset create pods hash:net; ipset add pods 10.244.0.0/16; ipset create ports bitmap:port range 1-100
    iptables --wait --append FORWARD --match set --match-set pods src --jump ACCEPT; ipset list --name
    nft -f - && nft list map inet kube-proxy services | grep -c verdict' <<'N'
table inet kube-proxy {
  set nodes { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }; }
  chain endpoint { ip protocol tcp dnat ip to 10.244.1.5:80; }
  map services { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.96.0.1 . tcp . 80 : goto endpoint }; }
  chain services { ip daddr . ip protocol . th dport vmap @services; }
  chain balance { numgen random mod 2 vmap { 0 : accept, 1 : goto endpoint }; }
  chain prerouting { type nat hook prerouting priority -100; jump services; }
  chain postrouting { type nat hook postrouting priority 100; mark & 0x4000 == 0x4000 masquerade fully-random; }
}
N
  assert_ok
  assert_equal "${lines[*]}" "pods ports 1"
  # Rules like these keep pods from being reached.
  in_node 'nft flush ruleset; for table in mangle raw nat filter; do
      for tool in iptables-legacy ip6tables-legacy; do printf "*$table\nCOMMIT\n" | $tool-restore; done
    done'
}

@test "the links of network plug-ins are made, and the machine's addresses answer" {
  run in_node 'ip link add flannel.1 type vxlan id 1 dev eth0 dstport 8472 nolearning
    ip addr add 10.42.0.0/32 dev flannel.1; ip link set flannel.1 up
    bridge fdb append 02:00:00:00:00:01 dev flannel.1 dst 172.17.0.99
    ip neigh replace 10.42.1.0 lladdr 02:00:00:00:00:01 dev flannel.1 nud permanent
    ip route add 10.42.1.0/24 via 10.42.1.0 dev flannel.1 onlink; ip route add 10.42.2.0/24 via 172.17.0.1
    ip rule add fwmark 0x200 lookup 100; ip route add local 0.0.0.0/0 dev lo table 100
    ip netns add pod; ip link add veth0 type veth peer name eth0 netns pod; ip link add cni9 type bridge
    ip link set veth0 master cni9 up; ip addr add 10.42.0.1/24 dev cni9; ip link set cni9 up
    ip -n pod addr add 10.42.0.2/24 dev eth0; ip -n pod link set eth0 up
    ip link add link eth0 name mac0 type macvlan mode bridge; ip tuntap add tun9 mode tun
    ping -q -c 1 -W 5 10.42.0.2 | grep -c " 0% packet loss"
    useradd user; su user -c "ping -q -c 1 -W 5 10.42.0.2" | grep -c " 0% packet loss"
    find /sys/class/net/*/uevent ! -user root; udevadm trigger --action=add --subsystem-match=net; ip netns del pod
    for link in flannel.1 cni9 mac0 tun9; do ip link del $link; done'
  assert_ok
  assert_equal "${lines[*]}" "1 1"
}

@test "kubelet starts on the machine's own defaults, counts its limits, and runs a pod by the CRI" {
  [[ -n $KUBERNETES_BIN ]] || skip "no Kubernetes programs: KUBERNETES_BIN names none"
  cluster_files "$SUITE_DIR/kubernetes" 127.0.0.1
  # shellcheck disable=SC2154 # kubernetes.bash has it
  cat >"$SUITE_DIR/kubernetes/alone.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
protectKernelDefaults: true
staticPodPath: /etc/kubernetes/manifests
$kubelet_keeps_pods
Y
  cat >"$SUITE_DIR/kubernetes/web.yaml" <<'Y'
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: web
    image: localhost/busybox:latest
    imagePullPolicy: Never
    command: [sh, -c, "mkdir /www; hostname >/www/index.html; exec httpd -f -h /www -p 80"]
Y
  run in_node '/opt/kubernetes/pods 10.244.7.0/24
    sysctl --quiet vm.overcommit_memory=1 kernel.panic=10 kernel.panic_on_oops=1
    mkdir -p /etc/kubernetes/manifests; cp /opt/kubernetes/web.yaml /etc/kubernetes/manifests/
    systemd-run --quiet --unit=kubelet --property=KillMode=process /opt/kubernetes/kubelet \
      --config=/opt/kubernetes/alone.yaml --container-runtime=remote \
      --container-runtime-endpoint=unix:///run/containerd/containerd.sock'
  assert_ok
  kubelet() { docker exec node curl --silent --insecure --max-time 5 "https://127.0.0.1:10250/$1"; }
  pod_address() { kubelet pods | jq --raw-output --exit-status '.items[0].status.podIP | strings'; }
  wait_for 90 pod_address || fail "$(node_says node containerd kubelet)"
  pod_answers() { docker exec node curl --silent --max-time 5 "http://$(pod_address)/" | grep --line-regexp web-node; }
  wait_for 30 pod_answers || fail "$(node_says node containerd kubelet)"
  run kubelet metrics/cadvisor
  assert_equal "$(awk '/^machine_(cpu_cores|memory_bytes)/ { printf "%d ", $NF }' <<<"$output")" "1 1073741824 "
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  suite_left_nothing
}
