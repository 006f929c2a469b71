# Images made from system containers hold what is in the containers' volumes: inner images.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine

setup_file() {
  export BATS_TEST_TIMEOUT=$((240 * SLOWER))
  suite_start commit
  daemons_start
  engine_start --default-runtime sysbox-runc
  import_images
}
teardown_file() {
  engine_stop
  suite_stop
}

# Docker's engine as the container's program. An image of a running container has its /run, as a disk
# has after a power failure: only systemd's is a tmpfs.
engine_in() { # NAME IMAGE
  drun --detach --name "$1" "$2" sh -c 'rm -rf /run/docker*; exec dockerd'
}
# An engine inside with the image `edited`, in which one file and a whole directory of busybox's are
# deleted: a whiteout and an opaque directory.
make_preloaded() { # NAME
  engine_in "$1" machine
  need_inner_busybox "$1"
  docker exec "$1" docker run --name edit busybox sh -c \
    'rm /etc/group; rm -r /var; mkdir /var; echo new >/var/new; chown 33:44 /var/new'
  docker exec "$1" docker commit edit edited
}
assert_preloaded() { # NAME
  wait_for 60 inner_docker_is_up "$1"
  run docker exec "$1" docker run --rm edited sh -c \
    'ls /var; stat -c %u:%g /var/new; test -e /etc/group || echo group-is-gone'
  assert_equal "$output" "$(printf 'new\n33:44\ngroup-is-gone')"
}

@test "docker commit of a stopped container: the inner images are in the image, for several at once" {
  make_preloaded maker
  docker stop maker
  assert_contains "$(docker diff maker)" 'A /var/lib/docker/overlay2'
  docker commit maker preloaded
  engine_in one preloaded
  engine_in two preloaded
  assert_preloaded one
  assert_preloaded two
  (($(host_uid one) != $(host_uid two)))
  assert_equal "$(docker exec one find /var/lib/docker -maxdepth 1 ! -uid 0)" "" "not root's"
  docker rm --force one two
}

@test "a stopped container's inner images are where docker export and cp look, and it starts again" {
  docker export maker | tar -t >"$SUITE_DIR/exported"
  grep -q '^var/lib/docker/image/overlay2/repositories.json$' "$SUITE_DIR/exported"
  docker cp maker:/var/lib/docker/image/overlay2/repositories.json - | tar -xO | grep -q '"edited"'
  docker start maker
  assert_preloaded maker
  # While it runs they are out of the layer.
  assert_equal "$(docker diff maker | grep -c /var/lib/docker/overlay2)" 0
  [[ -z $(docker exec maker find /var/lib/docker /var/lib/containerd -maxdepth 1 -name '.sysbox*') ]]
}

@test "docker commit of a running container, with a container inside: both go on, the image has all" {
  docker exec maker docker run --detach --name worker busybox sh -c 'while :; do sleep 1; done'
  docker commit maker preloaded:running
  assert_equal "$(docker exec maker docker inspect --format '{{.State.Running}}' worker)" true
  run docker exec maker docker run --rm busybox echo goes-on
  assert_equal "$output" goes-on
  engine_in three preloaded:running
  assert_preloaded three
  assert_equal "$(docker exec three docker ps --all --format '{{.Names}}' --filter name=worker)" worker
  # What is changed after that is in the next one, deleted images are not.
  docker exec maker docker rm --force worker edit
  docker exec maker docker rmi edited
  docker commit maker preloaded:later
  docker rm --force three maker
  engine_in four preloaded:later
  wait_for 60 inner_docker_is_up four
  assert_equal "$(docker exec four docker images --format '{{.Repository}}')" busybox
  docker rm --force four
}

@test "an image made from an image with inner images: changed inside, committed again" {
  engine_in five preloaded
  wait_for 60 inner_docker_is_up five
  docker exec five docker rmi --force busybox
  docker exec five docker tag edited again
  docker stop five
  docker commit five preloaded:second
  docker rm five
  engine_in six preloaded:second
  assert_preloaded six
  assert_equal "$(docker exec six docker images --format '{{.Repository}}' | sort | xargs)" 'again edited'
  docker rm --force six
}

@test "docker build: a RUN step that loads images into the engine inside" {
  local dir=$SUITE_DIR/build
  mkdir "$dir"
  cp "$(busybox_tar)" "$dir/busybox.tar"
  cat >"$dir/Dockerfile" <<'D'
FROM machine
COPY busybox.tar /
RUN dockerd >/var/log/dockerd 2>&1 & for i in $(seq 300); do docker version >/dev/null 2>&1 && break; sleep 0.2; done; \
  docker import /busybox.tar built-in && kill $! && wait $!; rm /busybox.tar
CMD ["dockerd"]
D
  DOCKER_BUILDKIT=0 run docker build --tag built "$dir"
  assert_ok
  drun --detach --name builder built
  wait_for 60 inner_docker_is_up builder
  run docker exec builder docker run --rm built-in echo from-the-image
  assert_equal "$output" from-the-image
  docker rm --force builder
}

@test "files of every kind keep owners, modes and links; nothing is left when the container is removed" {
  local layer
  drun --name kinds busybox sh -c 'cd /var/lib/kubelet && echo text >file && ln file link && ln -s file soft &&
    chown 7:8 file && chmod 4750 file && mkfifo pipe && mkdir -p a/b && chmod 1777 a && mknod gone c 0 0'
  docker commit kinds kinds
  run drun --rm kinds sh -c 'cd /var/lib/kubelet && stat -c "%n %F %u:%g %a %h" file soft a gone; cat link; ls -A'
  assert_equal "${lines[0]}" "file regular file 7:8 4750 2"
  assert_equal "${lines[1]}" "soft symbolic link 0:0 777 1"
  assert_equal "${lines[2]}" "a directory 0:0 1777 3"
  assert_matches "${lines[3]}" '^gone character special file 0:0'
  assert_equal "${lines[4]}" text
  assert_equal "$(grep -c sysbox <<<"$output")" 0
  layer=$(docker inspect --format '{{.GraphDriver.Data.UpperDir}}' kinds)
  docker start kinds
  docker rm --force kinds
  [[ ! -e ${layer%/*} ]]
}

@test "SYSBOX_COMMIT_VOLUMES=FALSE: the volumes stay out of images" {
  drun --name without -e SYSBOX_COMMIT_VOLUMES=FALSE busybox touch /var/lib/docker/file /other
  docker commit without without
  run drun --rm without ls /var/lib/docker /other
  assert_equal "$output" "$(printf '/other\n\n/var/lib/docker:')"
  docker start without
  docker rm --force without
}

@test "without a sysbox-mgr nothing is lost: what is in the volumes is in images again when it is back" {
  drun --detach --name held busybox sh -c 'touch /var/lib/docker/file; trap exit TERM; while :; do sleep 0.1; done'
  has_file() { docker exec held test -e /var/lib/docker/file; }
  wait_for 10 has_file
  daemon_stop mgr
  docker commit held away
  docker exec held true
  docker stop held
  mgr_start
  run drun --rm away ls /var/lib/docker
  assert_equal "$output" ""
  docker start held
  wait_for 10 has_file
  docker commit held here
  run drun --rm here ls /var/lib/docker
  assert_equal "$output" file
  docker rm --force held
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  suite_left_nothing
}
