# shellcheck shell=bash
# Kubernetes nodes in system containers of engine.bash's Docker: what an administrator would set up
# on a machine by hand, with nothing said about containers. KUBERNETES_BIN names the directory of
# the programs (kubelet, kube-apiserver and so on, or their archive kubernetes-*.tar.zst) and of
# pause.tar, the image of a pod's first container.

: "${KUBERNETES_BIN:=}"

# On a host whose disk is nearly full kubelet would remove the images and then the pods.
kubelet_keeps_pods='evictionHard: {nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100'

kubernetes_programs() { # DIR: has them afterwards
  local archive
  mkdir -p "$1"
  if [[ -x $KUBERNETES_BIN/kubelet ]]; then
    cp "$KUBERNETES_BIN"/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy,kubectl} "$1"
  else
    archive=$(echo "$KUBERNETES_BIN"/kubernetes-*.tar.zst)
    [[ -e $archive ]] || fail "no kubelet and no kubernetes-*.tar.zst in '$KUBERNETES_BIN'" || return 1
    tar -C "$1" --use-compress-program=zstd -xf "$archive"
  fi
  cp "$KUBERNETES_BIN/pause.tar" "$1/"
  cp "$(busybox_oci)" "$1/busybox.tar"
}

# What all nodes of the cluster share: how to reach it and as whom.
cluster_files() { # DIR SERVER_ADDRESS
  cat >"$1/kubeconfig" <<C
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://$2:6443", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: the-token}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
C
  echo 'the-token,admin,1,"system:masters"' >"$1/tokens.csv"
  openssl genrsa -out "$1/accounts.key" 2048 2>/dev/null
  openssl rsa -in "$1/accounts.key" -pubout -out "$1/accounts.pub" 2>/dev/null
  cat >"$1/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
failSwapOn: false
$kubelet_keeps_pods
C
  cat >"$1/control-plane" <<'S'
#!/bin/bash -e
# control-plane ADDRESS
PATH=/opt/kubernetes:$PATH
start() { systemd-run --quiet --unit="$1" --property=Restart=on-failure "${@:2}"; }
systemctl stop etcd 2>/dev/null || :
start the-etcd /usr/bin/etcd --data-dir /var/lib/the-etcd --unsafe-no-fsync
start kube-apiserver /opt/kubernetes/kube-apiserver --etcd-servers=http://127.0.0.1:2379 \
  --cert-dir=/var/lib/kube-apiserver --advertise-address="$1" --token-auth-file=/opt/kubernetes/tokens.csv \
  --authorization-mode=AlwaysAllow --allow-privileged=true --service-cluster-ip-range=10.96.0.0/16 \
  --disable-admission-plugins=ServiceAccount --service-account-issuer=https://kubernetes.default.svc \
  --service-account-signing-key-file=/opt/kubernetes/accounts.key \
  --service-account-key-file=/opt/kubernetes/accounts.pub
start kube-controller-manager /opt/kubernetes/kube-controller-manager \
  --kubeconfig=/opt/kubernetes/kubeconfig --leader-elect=false \
  --service-account-private-key-file=/opt/kubernetes/accounts.key
start kube-scheduler /opt/kubernetes/kube-scheduler --kubeconfig=/opt/kubernetes/kubeconfig \
  --leader-elect=false
S
  cat >"$1/pods" <<'S'
#!/bin/bash -e
# pods POD_NETWORK: the container engine is ready for pods of this network
mkdir -p /etc/cni/net.d
cat >/etc/cni/net.d/10-bridge.conflist <<C
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$1"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
# A host that has no CAP_SYS_RESOURCE to give makes no process dearer than others: then the pods are
# told to do without, as on any such machine.
(echo -1 >/proc/self/oom_score_adj) 2>/dev/null || grep -q restrict_oom /etc/containerd/config.toml ||
  sed -i '/plugins."io.containerd.grpc.v1.cri"\]/a restrict_oom_score_adj = true' /etc/containerd/config.toml
# kubelet counts what a processor's clock makes possible; a kernel that is a program has none.
grep -q 'cpu MHz' /proc/cpuinfo || {
  sed '/^processor/a cpu MHz\t\t: 1000.000' /proc/cpuinfo >/run/cpuinfo
  mount --bind /run/cpuinfo /proc/cpuinfo
}
systemctl restart containerd
for image in pause busybox; do ctr --namespace k8s.io images import /opt/kubernetes/$image.tar; done
pause=$(ctr --namespace k8s.io images list --quiet | grep -m 1 pause:)
wanted=$(containerd config dump | sed -n 's/.*sandbox_image = "\(.*\)"/\1/p')
[[ $pause = "$wanted" ]] || ctr --namespace k8s.io images tag --force "$pause" "$wanted"
S
  cat >"$1/worker" <<'S'
#!/bin/bash -e
# worker POD_NETWORK
start() { systemd-run --quiet --unit="$1" --property=Restart=on-failure "${@:2}"; }
"${0%/*}/pods" "$1"
start kubelet --property=KillMode=process --setenv=PATH="$PATH" /opt/kubernetes/kubelet \
  --config=/opt/kubernetes/kubelet.yaml --kubeconfig=/opt/kubernetes/kubeconfig \
  --container-runtime=remote --container-runtime-endpoint=unix:///run/containerd/containerd.sock
start kube-proxy /opt/kubernetes/kube-proxy --kubeconfig=/opt/kubernetes/kubeconfig \
  --proxy-mode=iptables --cluster-cidr=10.244.0.0/16 --hostname-override="$(hostname)"
S
  chmod +x "$1/control-plane" "$1/pods" "$1/worker"
}

# A machine of its own that has the programs, and nothing of Docker running.
node_start() { # NAME ADDRESS
  drun --detach --stop-signal SIGRTMIN+3 --name "$1" --hostname "$1" --network cluster --ip "$2" \
    --volume "$SUITE_DIR/kubernetes:/opt/kubernetes:ro" machine sh -c \
    'systemctl mask --quiet docker.service docker.socket etcd.service && exec /sbin/init' >/dev/null
  need_machine "$1"
}
kubectl() { docker exec node1 /opt/kubernetes/kubectl --kubeconfig /opt/kubernetes/kubeconfig "$@"; }
node_is_ready() { [[ $(kubectl get node "$1" --no-headers) = *" Ready "* ]]; }
pods_of() { # LABEL TEMPLATE: of each pod, what the template says of it
  kubectl get pods --selector "app=$1" --output "jsonpath={.items[*].$2}"
}
# Of a node's part that does not do what it should, the end of what it said.
node_says() { # NODE UNIT...
  local unit
  for unit in "${@:2}"; do
    echo "---- $unit on $1"
    # A program in Go ends with its reason and then with much else.
    docker exec "$1" journalctl --no-pager --quiet --output cat --unit "$unit" |
      grep '^F[0-9]\{4\} ' | tail -n 1
    docker exec "$1" journalctl --no-pager --quiet --lines 25 --output cat --unit "$unit"
  done 2>&1 | cut -c 1-300
}
