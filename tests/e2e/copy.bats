# Files that the engine copies into and out of running containers. The engine does it in an overlay
# of its own over the same layers.
# shellcheck shell=bash

load ../lib/suite
load ../lib/engine

setup_file() {
  export BATS_TEST_TIMEOUT=$((120 * SLOWER))
  suite_start copy
  daemons_start
  engine_start --default-runtime sysbox-runc
  import_images small
  # An image with directories that no container has changed yet.
  docker create --name maker busybox true
  mkdir -p "$SUITE_DIR"/tree/{opt/app/deep/er,srv/empty,usr/bin}
  echo old >"$SUITE_DIR/tree/opt/app/deep/er/file"
  echo old >"$SUITE_DIR/tree/opt/app/config"
  docker cp "$SUITE_DIR/tree/." maker:/
  docker commit maker image
  docker rm maker
  echo new >"$SUITE_DIR/file"
}
teardown_file() {
  engine_stop
  suite_stop
}

start() { # NAME [OPTION...]: all its directories are in use
  docker run --detach --name "$1" "${@:2}" image sh -c 'cd /opt/app/deep/er && sleep 3000 & cd /srv/empty && sleep 3000 &
    ls -R / >/dev/null 2>&1; touch /ready; cd /opt/app; wait'
  wait_for 20 docker exec "$1" test -e /ready
}
inside() { docker exec "$name" sh -c "$1"; }
has_inside() { [[ $(inside "$1") = "$2" ]]; }

@test "a file copied in is there, also where the name was missing before; its directories stay writable" {
  name=first
  start first
  inside '! cat /opt/app/deep/er/new && ! cat /usr/bin/new'
  docker cp "$SUITE_DIR/file" first:/opt/app/deep/er/new
  docker cp "$SUITE_DIR/file" first:/usr/bin/new
  docker cp "$SUITE_DIR/file" first:/opt/app/config
  wait_for 20 has_inside 'cat /opt/app/deep/er/new /usr/bin/new /opt/app/config' $'new\nnew\nnew'
  sleep 1
  run inside 'cd /opt/app/deep/er && echo inside >made && mkdir d d/e && mv file file2 && cat made file2 new; rm new
    for d in / /opt /opt/app /opt/app/deep /usr /usr/bin; do touch $d && mkdir $d/m && rmdir $d/m || echo $d; done'
  assert_equal "$output" $'inside\nold\nnew'
}

@test "directories alone, links, owners and modes arrive too" {
  name=kinds
  start kinds
  mkdir -p "$SUITE_DIR/kinds/deep/only/directories"
  ln -s target "$SUITE_DIR/kinds/deep/link"
  docker cp "$SUITE_DIR/kinds/deep/only" kinds:/opt/app/deep/er
  wait_for 20 inside 'test -d /opt/app/deep/er/only/directories'
  docker cp "$SUITE_DIR/kinds/deep/link" kinds:/srv/empty
  wait_for 20 inside 'test -L /srv/empty/link'
  mkdir "$SUITE_DIR/empty"
  echo "#!" >"$SUITE_DIR/empty/script"
  chown 33:44 "$SUITE_DIR/empty/script"
  chmod 4751 "$SUITE_DIR/empty/script"
  docker cp --archive "$SUITE_DIR/empty/." kinds:/srv/empty
  wait_for 20 has_inside 'stat -c "%u:%g %a" /srv/empty/script' '33:44 4751'
  inside 'touch /srv/empty/made /opt/app/deep/er/only/directories/made'
}

@test "what a container has changed is copied out, and copies go on top of it" {
  name=out
  start out
  for n in 1 2 3; do
    # The engine looks before it is there, and again after.
    run docker cp out:/opt/app/deep/er/result "$SUITE_DIR/result"
    assert_failed
    docker cp out:/opt/app/deep/er "$SUITE_DIR/before"
    inside "echo $n >/opt/app/deep/er/file; echo $n >/opt/app/deep/er/result; mkdir -p /usr/bin/sub$n && echo $n >/usr/bin/sub$n/file"
    sleep 1
    docker cp out:/opt/app/deep/er/file "$SUITE_DIR/result"
    assert_equal "$(<"$SUITE_DIR/result")" "$n"
    docker cp out:/usr/bin/sub$n/file "$SUITE_DIR/result"
    assert_equal "$(<"$SUITE_DIR/result")" "$n"
    docker cp out:/opt/app/deep/er/result "$SUITE_DIR/result"
    assert_equal "$(<"$SUITE_DIR/result")" "$n"
    docker cp "$SUITE_DIR/file" out:/usr/bin/sub$n/copied
    docker cp "$SUITE_DIR/file" out:/opt/app/deep/er/copied
    wait_for 20 has_inside "cat /usr/bin/sub$n/copied /opt/app/deep/er/copied" $'new\nnew'
    inside "rm /opt/app/deep/er/copied /opt/app/deep/er/result"
  done
}

@test "a user that was added inside is known to docker exec" {
  name=users
  start users
  docker exec --user nobody users true
  inside 'echo "late:x:1234:1234::/:/bin/sh" >>/etc/passwd'
  is_known() { [[ $(docker exec --user late users id -u) = 1234 ]]; }
  wait_for 20 is_known
}

@test "it goes on when sysbox-fs was killed, what was copied meanwhile included" {
  name=first
  mkdir -p "$SUITE_DIR/more/deep"
  daemon_stop fs KILL
  docker cp "$SUITE_DIR/more/deep" first:/opt/app/deep
  docker cp "$SUITE_DIR/file" first:/opt/app/deep/meanwhile
  fs_start
  wait_for 20 has_inside 'cat /opt/app/deep/meanwhile' new
  docker cp "$SUITE_DIR/file" first:/opt/app/deep/later
  wait_for 20 has_inside 'cat /opt/app/deep/later' new
  inside 'touch /opt/app/deep/made'
}

@test "a stopped container and its image have all that was copied and made; nothing else is in its layer" {
  name=first
  docker stop --time 1 first
  docker cp "$SUITE_DIR/file" first:/opt/app/deep/er/stopped
  run docker diff first
  assert_contains "$output" 'A /opt/app/deep/er/made'
  assert_equal "$(grep -c sysbox <<<"$output")" 0
  docker commit first copied
  run docker run --rm copied sh -c 'cd /opt/app; cat deep/er/made deep/er/stopped deep/er/file2 deep/later config'
  assert_equal "$output" $'inside\nnew\nold\nnew\nnew'
  layer=$(docker inspect --format '{{.GraphDriver.Data.UpperDir}}' first)
  [[ ! -e ${layer%/*}/sysbox-set-aside ]]
  docker start first
  wait_for 20 has_inside 'cat /opt/app/deep/er/stopped' new
  docker cp "$SUITE_DIR/file" first:/opt/app/deep/er/again
  wait_for 20 has_inside 'cat /opt/app/deep/er/again' new
  docker rm --force first
  [[ ! -e ${layer%/*} ]]
}

@test "nothing is left behind, and no setting of the host has changed" {
  engine_stop
  suite_left_nothing
}
