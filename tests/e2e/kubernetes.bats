# A Kubernetes cluster of two system containers, with the programs, the configuration and the
# container engine that a machine would have.
# shellcheck shell=bash

bats_require_minimum_version 1.5.0
load ../lib/suite
load ../lib/engine
load ../lib/kubernetes

setup_file() {
  export BATS_TEST_TIMEOUT=$((300 * SLOWER))
  [[ -n $KUBERNETES_BIN ]] || return 0
  suite_start kubernetes
  kubernetes_programs "$SUITE_DIR/kubernetes"
  cluster_files "$SUITE_DIR/kubernetes" 10.99.0.11
  daemons_start
  engine_start
  import_images workshop
  docker network create --subnet 10.99.0.0/24 cluster >/dev/null
}
teardown_file() {
  [[ -n $KUBERNETES_BIN ]] || return 0
  engine_stop
  suite_stop
}
setup() { [[ -n $KUBERNETES_BIN ]] || skip "no Kubernetes programs: KUBERNETES_BIN names none"; }

@test "a node becomes ready" {
  node_start node1 10.99.0.11
  docker exec node1 /opt/kubernetes/control-plane 10.99.0.11
  run docker exec node1 /opt/kubernetes/worker 10.244.1.0/24
  assert_ok
  wait_for 90 node_is_ready node1 || fail "$(node_says node1 kube-apiserver containerd kubelet)"
  run docker exec node1 systemctl --failed --plain --no-legend
  assert_equal "$output" "" "failed units"
}

@test "two replicas run, see their own limits, and answer at their addresses and the service's" {
  cat >"$SUITE_DIR/kubernetes/web.yaml" <<'Y'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: localhost/busybox:latest
        imagePullPolicy: Never
        command: [sh, -c, "mkdir /www; hostname >/www/index.html; exec httpd -f -h /www -p 80"]
        resources: {limits: {cpu: 200m, memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
Y
  kubectl apply --filename /opt/kubernetes/web.yaml
  kubectl rollout status deployment/web --timeout "$((90 * SLOWER))s" ||
    fail "$(kubectl get events)" "$(node_says node1 containerd kubelet)"
  local names addresses service
  read -ra names <<<"$(pods_of web metadata.name)"
  read -ra addresses <<<"$(pods_of web status.podIP)"
  service=$(kubectl get service web --output 'jsonpath={.spec.clusterIP}')
  assert_equal "$(docker exec node1 curl -s -m 10 "http://${addresses[0]}/")" "${names[0]}"
  assert_equal "$(docker exec node1 curl -s -m 10 "http://${addresses[1]}/")" "${names[1]}"
  service_answers() { docker exec node1 curl -s -m 5 "http://$service/" | grep -x "${names[0]}\|${names[1]}"; }
  wait_for 30 service_answers || fail "$(node_says node1 kube-proxy)"
  # Its own last word comes by the other stream, and may come first.
  run --separate-stderr kubectl exec "${names[0]}" -- sh -c 'hostname; grep MemTotal /proc/meminfo; exit 3'
  assert_equal "$status" 3
  assert_equal "${lines[0]}" "${names[0]}"
  assert_equal "$(tr -s ' ' <<<"${lines[1]}")" "MemTotal: 65536 kB"
}

@test "a pod's volumes: memory, configuration, one file of it, a directory of the node; a privileged one" {
  cat >"$SUITE_DIR/kubernetes/volumes.yaml" <<'Y'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
---
apiVersion: v1
kind: Pod
metadata: {name: volumes, labels: {app: volumes}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: pod
    image: localhost/busybox:latest
    imagePullPolicy: Never
    command: [sleep, "1000"]
    securityContext: {privileged: true}
    volumeMounts:
    - {name: memory, mountPath: /memory}
    - {name: settings, mountPath: /settings}
    - {name: settings, mountPath: /one-file, subPath: colour}
    - {name: node, mountPath: /node, mountPropagation: Bidirectional}
  volumes:
  - {name: memory, emptyDir: {medium: Memory}}
  - {name: settings, configMap: {name: settings}}
  - {name: node, hostPath: {path: /srv}}
Y
  kubectl apply --filename /opt/kubernetes/volumes.yaml
  kubectl wait --for condition=ready pod/volumes --timeout "$((60 * SLOWER))s" ||
    fail "$(kubectl describe pod volumes)"
  run kubectl exec volumes -- sh -ec 'grep -q " /memory tmpfs" /proc/mounts
    cat /settings/colour /one-file; echo; mkdir /node/m; mount -t tmpfs none /node/m; touch /node/m/file
    sysctl -w net.ipv4.ip_local_port_range="2000 3000" >/dev/null; mkdir /p; mount -t proc none /p
    test -e /p/self; umount /p; echo done'
  assert_ok
  assert_equal "${lines[0]} ${lines[-1]}" "blueblue done"
  docker exec node1 test -e /srv/m/file # the mount came out of the pod, into the node
  docker exec node1 umount /srv/m
  kubectl delete pod volumes --wait
}

@test "a second node joins, and pods on both reach each other and the service" {
  node_start node2 10.99.0.12
  run docker exec node2 /opt/kubernetes/worker 10.244.2.0/24
  assert_ok
  docker exec node1 ip route add 10.244.2.0/24 via 10.99.0.12
  docker exec node2 ip route add 10.244.1.0/24 via 10.99.0.11
  wait_for 90 node_is_ready node2 || fail "$(node_says node2 containerd kubelet)"
  kubectl scale deployment/web --replicas 4
  kubectl rollout status deployment/web --timeout "$((90 * SLOWER))s" ||
    fail "$(kubectl get events)" "$(node_says node2 containerd kubelet)"
  local names addresses nodes service from to
  read -ra names <<<"$(pods_of web metadata.name)"
  read -ra addresses <<<"$(pods_of web status.podIP)"
  read -ra nodes <<<"$(pods_of web spec.nodeName)"
  service=$(kubectl get service web --output 'jsonpath={.spec.clusterIP}')
  assert_contains "${nodes[*]}" node1
  assert_contains "${nodes[*]}" node2
  for from in "${!names[@]}"; do
    for to in "${!names[@]}"; do
      [[ ${nodes[from]} != "${nodes[to]}" ]] || continue
      run kubectl exec "${names[from]}" -- wget -q -O - "http://${addresses[to]}/"
      assert_equal "$output" "${names[to]}" "answer from ${nodes[to]} to ${nodes[from]}"
    done
    run kubectl exec "${names[from]}" -- wget -q -O - "http://$service/"
    assert_ok
  done
}

@test "a node that is restarted comes back, and its pods with it" {
  docker restart --time 30 node2
  need_machine node2
  docker exec node2 ip route add 10.244.1.0/24 via 10.99.0.11
  docker exec node2 /opt/kubernetes/worker 10.244.2.0/24
  pods_are_back() { [[ $(pods_of web 'status.containerStatuses[0].ready') = "true true true true" ]]; }
  pod_restarted() { [[ $(pods_of web 'status.containerStatuses[0].restartCount') = *1* ]]; }
  wait_for 120 pod_restarted || fail "$(kubectl get pods)" "$(node_says node2 containerd kubelet)"
  wait_for 60 pods_are_back || fail "$(kubectl get pods)" "$(node_says node2 containerd kubelet)"
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  suite_left_nothing
}
