# shellcheck shell=bash
# Root file systems and engines for the tests, made of Debian's packages and nothing else. They
# are made once and kept in $SYSBOX_TEST_CACHE; a fresh machine pays for them once.

: "${SYSBOX_TEST_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/sysbox-tests}"
export SYSBOX_TEST_CACHE

# One root file system is all of: "a Debian image", "a Debian with systemd", "one with Docker too".
machine_packages=(systemd systemd-sysv dbus libpam-systemd udev kmod procps iproute2 iptables
  docker.io containerd runc ca-certificates)
engine_packages=(docker.io containerd runc)
engine_root_packages=(docker.io docker-cli containerd runc iptables iproute2 dash bash coreutils
  util-linux procps libstdc++6 libcap2 libseccomp2)
mount_tools_packages=(mount util-linux runc bubblewrap fuse3 fuse-overlayfs squashfuse squashfs-tools dash coreutils
  busybox-static)
podman_packages=(podman conmon netavark aardvark-dns golang-github-containers-common)

# What is used on a machine that others are made or run on: inner engines, for root and for users,
# a Kubernetes node's surroundings, tools that look into processes, ways to log in.
workshop_packages=("${machine_packages[@]}" dbus-user-session docker-compose buildah podman crun fuse3
  fuse-overlayfs slirp4netns uidmap rootlesskit netavark aardvark-dns golang-github-containers-common
  catatonit systemd-container bubblewrap openssh-server openssh-client cron strace gdb etcd-server
  containernetworking-plugins conntrack socat curl debootstrap mmdebstrap)

# The newest engines, for root and for users, with systemd or without.
newest_engine_packages=(docker.io docker-cli docker-buildx docker-compose containerd runc iptables
  iproute2 procps podman buildah crun nftables netavark aardvark-dns passt
  golang-github-containers-common uidmap fuse-overlayfs rootlesskit slirp4netns catatonit bubblewrap
  ca-certificates curl systemd systemd-sysv systemd-container dbus dbus-user-session libpam-systemd)

images_source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Makes what is missing, under a name that changes with how it is made, and prints its path.
# MAKER writes to the path that is its first argument; a half-made thing never gets the final name.
cached() { # NAME MAKER [ARGUMENT...]
  local key path
  key=$(
    {
      declare -f "$2"
      echo "${machine_packages[*]} ${engine_packages[*]} ${engine_root_packages[*]}"
      [[ $1 != workshop.tar ]] || echo "${workshop_packages[*]}"
      [[ $1 != engines.tar ]] || echo "${newest_engine_packages[*]}"
      [[ $1 != mount-tools ]] || echo "${mount_tools_packages[*]}"
      [[ $1 != podman ]] || echo "${podman_packages[*]}"
      cat "$images_source/packaging/make-rootfs"
    } | sha256sum | cut -c 1-12
  )
  path=$SYSBOX_TEST_CACHE/${1%%.*}-$key
  [[ $1 != *.* ]] || path+=.${1#*.}
  if [[ ! -e $path ]]; then
    mkdir -p "$SYSBOX_TEST_CACHE"
    (
      flock 8 # suites run side by side
      [[ ! -e $path ]] || exit 0
      rm -rf --one-file-system "$SYSBOX_TEST_CACHE/${1%%.*}"-* # of older recipes
      incomplete=$SYSBOX_TEST_CACHE/incomplete-${path##*/}
      "$2" "$incomplete" "${@:3}" >"$SYSBOX_TEST_CACHE/$1.log" 2>&1 8>&- ||
        { echo "$1 cannot be made: see $SYSBOX_TEST_CACHE/$1.log" >&2 && exit 1; }
      mv "$incomplete" "$path"
    ) 8>"$SYSBOX_TEST_CACHE/${1%%.*}.lock" || return 1
  fi
  echo "$path"
}

fetch_packages() { # DIR PACKAGE...: unpacks them there; the machine's own packages stay as they are
  local dir=$1 debs
  shift
  debs=$(mktemp -d)
  (cd "$debs" && apt-get -q -o APT::Sandbox::User=root download "$@") || return 1
  mkdir -p "$dir"
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$dir" || return 1; done
  rm -rf "$debs"
}

make_busybox_dir() { # a root file system whose only program is busybox, linked statically
  local x program
  x=$(mktemp -d)
  fetch_packages "$x" busybox-static || return 1
  mkdir -p "$1"/{bin,dev,etc,proc,root,run,sys,tmp,var/lib}
  chmod 1777 "$1/tmp"
  cp "$x/bin/busybox" "$1/bin/"
  for program in $("$x/bin/busybox" --list); do
    [[ $program = busybox ]] || ln -s busybox "$1/bin/$program"
  done
  rm -rf "$x"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
  echo 'nobody:x:65534:65534:nobody:/:/bin/false' >>"$1/etc/passwd"
  printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' >"$1/etc/group"
}
make_busybox_tar() { tar -C "$(busybox_dir)" --numeric-owner --owner=0 --group=0 -cf "$1" .; }
make_machine_tar() {
  rm -f "$1.tar"
  "$images_source/packaging/make-rootfs" "$1.tar" "${machine_packages[@]}" && mv "$1.tar" "$1"
}
make_workshop_tar() {
  rm -f "$1.tar"
  "$images_source/packaging/make-rootfs" "$1.tar" "${workshop_packages[@]}" && mv "$1.tar" "$1"
}
make_engines_tar() {
  rm -f "$1.tar"
  DEBIAN_MIRROR="[check-valid-until=no] ${DEBIAN_MIRROR:-http://deb.debian.org}" \
    "$images_source/packaging/make-rootfs" --suite sid "$1.tar" "${newest_engine_packages[@]}" &&
    mv "$1.tar" "$1"
}
# An image as engines exchange them (OCI image layout), of the layers that are on stdin, one file
# name a line. Its command is a shell.
make_oci_tar() { # FILE NAME
  local dir layer layers=() config manifest
  dir=$(mktemp -d)
  mkdir -p "$dir/blobs/sha256"
  while read -r layer; do layers+=("$(add_blob "$dir" <"$layer")"); done
  config=$(jq --null-input --compact-output --args '{architecture: "amd64", os: "linux",
    config: {Cmd: ["/bin/sh"]},
    rootfs: {type: "layers", diff_ids: $ARGS.positional | map("sha256:" + .)}}' -- "${layers[@]}" |
    add_blob "$dir")
  manifest=$(
    for layer in "${layers[@]}"; do blob_of "$dir" "$layer" layer.v1.tar; done |
      jq --slurp --compact-output --argjson config "$(blob_of "$dir" "$config" config.v1+json)" \
        '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
          config: $config, layers: .}' | add_blob "$dir"
  )
  blob_of "$dir" "$manifest" manifest.v1+json | jq --compact-output --arg name "$2" \
    '{schemaVersion: 2, manifests: [. + {annotations: {"io.containerd.image.name": $name,
      "org.opencontainers.image.ref.name": $name}}]}' >"$dir/index.json"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$dir/oci-layout"
  tar -C "$dir" -cf "$1" .
  rm -rf "$dir"
}
add_blob() { # DIR: stdin becomes a blob; prints its digest
  local digest
  cat >"$1/blob"
  digest=$(sha256sum <"$1/blob" | cut -d ' ' -f 1)
  mv "$1/blob" "$1/blobs/sha256/$digest"
  echo "$digest"
}
blob_of() { # DIR DIGEST KIND: its descriptor
  jq --null-input --compact-output --arg digest "sha256:$2" --arg kind "application/vnd.oci.image.$3" \
    --argjson size "$(stat -c %s "$1/blobs/sha256/$2")" \
    '{mediaType: $kind, digest: $digest, size: $size}'
}
make_busybox_oci() { busybox_tar | make_oci_tar "$1" localhost/busybox:latest; }
# More layers than have room in the options of a mount by their full names.
make_layered_oci() {
  local dir i
  dir=$(mktemp -d)
  for i in {1..70}; do
    echo "$i" >"$dir/layer-$i"
    tar -C "$dir" --numeric-owner --owner=0 --group=0 -cf "$dir/$i.tar" "layer-$i"
  done
  {
    busybox_tar
    printf "$dir/%d.tar\n" {1..70}
  } | make_oci_tar "$1" localhost/layered:latest
  rm -rf "$dir"
}
# The newest systemd, which knows cgroup v2 only. What sid's mirror holds may be past the date up
# to which its index is valid, by the clock of a machine that was set up long ago.
make_newest_dir() {
  DEBIAN_MIRROR="[check-valid-until=no] ${DEBIAN_MIRROR:-http://deb.debian.org}" \
    "$images_source/packaging/make-rootfs" --suite sid "$1" \
    systemd systemd-sysv dbus procps iproute2
}
# A root file system with the kernel's stress test.
make_stress_dir() { "$images_source/packaging/make-rootfs" "$1" stress-ng; }
make_engine_dir() { fetch_packages "$1" "${engine_packages[@]}"; }
# What a node's network plug-ins use beside what the workshop has.
make_node_tools_dir() {
  fetch_packages "$1" ipset libipset13 nftables libnftables1 libjansson4 libedit2 libbsd0 libmd0 \
    libgmp10 libxtables12 libmnl0 libnftnl11 iputils-ping
}
make_podman_dir() { fetch_packages "$1" "${podman_packages[@]}"; }

# What debootstrap asks a mirror for, as a mirror has it.
make_archive_dir() {
  local x deb index=main/binary-amd64/Packages
  x=$(mktemp -d)
  fetch_packages "$x" debootstrap || return 1
  DEBOOTSTRAP_DIR=$x/usr/share/debootstrap "$x/usr/sbin/debootstrap" --download-only \
    --variant=minbase bookworm "$x/root" "${DEBIAN_MIRROR:-http://deb.debian.org}/debian" || return 1
  mkdir -p "$1/pool" "$1/dists/bookworm/${index%/*}"
  mv "$x"/root/var/cache/apt/archives/*.deb "$1/pool/"
  (
    cd "$1" || exit 1
    for deb in pool/*.deb; do
      dpkg-deb --field "$deb"
      printf '%s\n' "Filename: $deb" "Size: $(stat -c %s "$deb")" \
        "SHA256: $(sha256sum <"$deb" | cut -d ' ' -f 1)" ''
    done >"dists/bookworm/$index"
    cd dists/bookworm || exit 1
    printf '%s\n' 'Suite: bookworm' 'Codename: bookworm' 'Components: main' 'Architectures: amd64' \
      "Date: $(date --utc --rfc-email)" 'SHA256:' \
      " $(sha256sum <$index | cut -d ' ' -f 1) $(stat -c %s $index) $index" >Release
  )
  rm -rf "$x"
}

# A release's engine with all that its programs need, unpacked and not set up.
make_engine_root() { # DIR RELEASE [PACKAGE...]
  # An archive that is kept for reproducible tests is older than its own signature allows.
  mmdebstrap --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' \
    --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --include="$(IFS=, && echo "${engine_root_packages[*]}" "${@:3}" | tr ' ' ,)" "$2" "$1" || return 1
  ln -s iptables-nft "$1/usr/sbin/iptables" # as the package's set-up would choose
  ln -s ip6tables-nft "$1/usr/sbin/ip6tables"
}

# An image of the stable release's engine: what is unpacked will do.
make_stable_tar() {
  local x
  x=$(mktemp -d)
  rmdir "$x"
  make_engine_root "$x" trixie docker-buildx docker-compose bsdutils grep sed ca-certificates || return 1
  mkdir -p "$x"/{root,run,tmp,var/run}
  tar -C "$x" --numeric-owner -cf "$1" . && rm -rf "$x"
}

# What runs programs of another processor, as its package has it, and one of those: /busybox-arm64.
make_foreign_dir() {
  local x
  x=$(mktemp -d)
  fetch_packages "$x" qemu-user-static || return 1
  mmdebstrap --variant=extract --architectures=arm64 --aptopt='Acquire::Check-Valid-Until "false"' \
    --aptopt='Acquire::Languages "none"' --include=busybox-static bookworm "$x/arm64" || return 1
  mkdir "$1"
  (cd "$x" && cp --parents --archive usr/bin/qemu-aarch64-static usr/lib/binfmt.d/qemu-aarch64.conf \
    usr/libexec/qemu-binfmt/aarch64-binfmt-P "$1")
  cp "$x/arm64/bin/busybox" "$1/busybox-arm64"
  rm -rf "$x"
}

# The newest programs that mount something.
make_mount_tools_dir() {
  local program
  mmdebstrap --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' \
    --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --include="$(IFS=, && echo "${mount_tools_packages[*]}")" sid "$1" || return 1
  for program in bin sbin lib lib64; do
    [[ -e $1/$program ]] || ln -s "usr/$program" "$1/$program"
  done
  for program in awk grep sed; do ln -sf busybox "$1/usr/bin/$program"; done
  ln -s ../proc/self/mounts "$1/etc/mtab"
  chmod u+s "$1/usr/bin/fusermount3" # as the package's set-up would
  echo 'user:x:1000:1000::/tmp:/bin/sh' >>"$1/etc/passwd"
  mkdir -p "$1"/{p,q,mnt,proc,sys,run,root}
}

busybox_dir() { cached busybox make_busybox_dir; }
busybox_tar() { cached import.tar make_busybox_tar; }
busybox_oci() { cached oci.tar make_busybox_oci; }
layered_oci() { cached layered.tar make_layered_oci; }
machine_tar() { cached machine.tar make_machine_tar; }
engines_tar() { cached engines.tar make_engines_tar; }
archive_dir() { cached archive make_archive_dir; }
workshop_tar() { cached workshop.tar make_workshop_tar; }
newest_dir() { cached newest make_newest_dir; }
stress_dir() { cached stress make_stress_dir; }
engine_dir() { cached engine make_engine_dir; }
engine_root() { cached "$1-engine" make_engine_root "$1"; } # RELEASE
node_tools_dir() { cached node-tools make_node_tools_dir; }
podman_dir() { cached podman make_podman_dir; }
stable_tar() { cached stable.tar make_stable_tar; }
foreign_dir() { cached foreign make_foreign_dir; }
mount_tools_dir() { cached mount-tools make_mount_tools_dir; }
