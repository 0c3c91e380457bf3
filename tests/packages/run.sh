#!/bin/sh
# Proves the Debian package and the container image, as root on Debian 12:
#
#   deb    on a bare root made by debootstrap, under a booted systemd (systemd-nspawn)
#   image  built by buildah on bases made by debootstrap, no registry and no engine needed
#
# tests/packages/run.sh deb|image; everything it makes is below target/packages.
# PROFILE=ci builds faster; what is published has PROFILE=release.
set -eu

cd "$(dirname "$0")/../.."
PROFILE=${PROFILE:-release}
WORK=$PWD/target/packages
MIRROR=${MIRROR:-http://deb.debian.org/debian}
mkdir -p "$WORK"

say() { echo "== $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# A bare Debian 12, made once; the mark is there when it is whole.
bare() {
    [ -e "$WORK/bare.made" ] && return
    say "a bare Debian 12"
    rm -rf "$WORK/bare"
    debootstrap --variant=minbase bookworm "$WORK/bare" "$MIRROR" >"$WORK/debootstrap.log" 2>&1 \
        || { tail "$WORK/debootstrap.log"; fail debootstrap; }
    touch "$WORK/bare.made"
}

# bare_with NAME PACKAGE…: another root with some packages more, made once.
bare_with() {
    name=$1
    shift
    [ -e "$WORK/$name.made" ] && return
    bare
    say "the same with $*"
    rm -rf "${WORK:?}/$name"
    cp -a "$WORK/bare" "$WORK/$name"
    { chroot "$WORK/$name" apt-get update -qq \
        && DEBIAN_FRONTEND=noninteractive chroot "$WORK/$name" \
            apt-get install -y -qq --no-install-recommends "$@"; } >"$WORK/$name.log" 2>&1 \
        || { tail "$WORK/$name.log"; fail "apt-get install $*"; }
    touch "$WORK/$name.made"
}

deb() {
    bare_with deb systemd-sysv dbus curl
    say "two packages, one to upgrade to"
    make --no-print-directory deb DEB_PROFILE="$PROFILE" DEB_VERSION=0.1.0-1 DEB_OUT="$WORK/old.deb"
    make --no-print-directory deb DEB_PROFILE="$PROFILE" DEB_VERSION=0.1.0-2 DEB_OUT="$WORK/new.deb"
    root=$WORK/deb.run
    rm -rf "$root"
    cp -a "$WORK/deb" "$root"
    mkdir -p "$root/proof"
    cp "$WORK/old.deb" "$WORK/new.deb" tests/packages/inside.sh "$root/proof/"
    cp tests/messages/spam/README-callback.eml "$root/proof/spam.eml"
    cat >"$root/etc/systemd/system/proof.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /proof/inside.sh
StandardOutput=file:/proof/log
StandardError=file:/proof/log
# The exit status of the container is the proof's.
ExecStopPost=/bin/sh -c 'systemctl exit $EXIT_STATUS'
[Install]
WantedBy=default.target
UNIT
    chroot "$root" systemctl -q enable proof.service
    say "boot"
    # A network of its own: the ports may be taken outside.
    if timeout 600 systemd-nspawn -q -D "$root" --register=no --keep-unit --private-network -b \
        >"$WORK/boot.log" 2>&1 </dev/null && grep -q '^all well$' "$root/proof/log"; then
        cat "$root/proof/log"
        rm -rf "$root"
    else
        cat "$root/proof/log" 2>/dev/null || tail -n 30 "$WORK/boot.log"
        fail "the package, see $root"
    fi
}

b() { buildah --storage-driver vfs --root "$WORK/storage" --runroot "$WORK/runroot" "$@"; }

# base NAME IMAGE: a root as an image.
base() {
    made=$(b from scratch)
    b copy -q "$made" "$WORK/$1" / >/dev/null
    b commit -q "$made" "$2" >/dev/null
    b rm "$made" >/dev/null
}

image() {
    bare_with builder gcc libc6-dev binutils
    if [ ! -e "$WORK/builder.rust" ]; then
        say "the compiler that is installed here, in place of the image rust:1.95"
        mkdir -p "$WORK/builder/usr/local/rust"
        toolchain=$(rustc --print sysroot)
        cp -a "$toolchain/bin" "$toolchain/lib" "$WORK/builder/usr/local/rust/"
        for program in cargo rustc; do
            ln -sf "../rust/bin/$program" "$WORK/builder/usr/local/bin/$program"
        done
        touch "$WORK/builder.rust"
    fi
    say "bases"
    b rmi -af >/dev/null 2>&1 || true
    base builder localhost/rust
    base bare localhost/debian
    say "build"
    cargo fetch --locked
    # What was compiled stays for the next time.
    mkdir -p "$WORK/image-target"
    # Docker's format, because the other one has no health checks.
    b bud --format docker --isolation chroot --pull-never -t calspamd \
        --build-arg RUST_IMAGE=localhost/rust --build-arg RUNTIME_IMAGE=localhost/debian \
        --build-arg PROFILE="$PROFILE" --build-arg CARGO_NET_OFFLINE=true \
        -v "$WORK/image-target:/build/target" \
        -v "${CARGO_HOME:-$HOME/.cargo}/registry:/root/.cargo/registry" . >"$WORK/bud.log" 2>&1 \
        || { tail -n 30 "$WORK/bud.log"; fail "the image"; }

    say "what is in it"
    b inspect --type image --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.Docker.Config.Healthcheck}}' calspamd
    echo
    [ "$(b inspect --type image --format '{{.OCIv1.Config.User}}' calspamd)" = 65532:65532 ] \
        || fail "the image runs as somebody else"
    container=$(b from --pull-never calspamd)
    files=$(b mount "$container")
    echo "size: $(du -sm "$files" | cut -f1) MB, of which the base $(du -sm "$WORK/bare" | cut -f1) MB"
    echo "program: $(stat -c %s "$files/usr/bin/calspamd") bytes"
    ls "$files/usr/share/calspamd/rules" | tr '\n' ' '; echo

    say "run: as nobody, without a capability, with a root it cannot write"
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cp tests/messages/spam/README-callback.eml "$files/tmp/spam.eml"
    chmod 644 "$files/tmp/spam.eml"
    b umount "$container" >/dev/null
    # In this isolation the network is the machine's, so the container listens on loopback here.
    run() { b run --isolation chroot --cap-drop all --env CALSPAMD_SPAMD__LISTEN=none \
        --env CALSPAMD_HTTP__LISTEN="127.0.0.1:$port" "$container" -- "$@"; }
    run /usr/bin/calspamd serve >"$WORK/run.log" 2>&1 &
    runner=$!
    trap 'kill $runner 2>/dev/null || true' EXIT
    tries=0
    # The check of the image's HEALTHCHECK.
    until run /usr/bin/calspamd health 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 40 ] || { cat "$WORK/run.log"; fail "no health"; }
        sleep 0.5
    done
    action=$(curl -sS --data-binary @tests/messages/spam/README-callback.eml \
        "http://127.0.0.1:$port/checkv2" | python3 -c 'import json, sys; print(json.load(sys.stdin)["action"])')
    echo "the spam of the README: $action"
    [ "$action" = "add header" ] || fail "it was not found"
    service=
    for process in /proc/[0-9]*; do
        # Others end while we look.
        if { tr '\0' ' ' <"$process/cmdline" | grep -q '^/usr/bin/calspamd serve' \
            && tr '\0' '\n' <"$process/environ" | grep -q "127.0.0.1:$port\$"; } 2>/dev/null; then
            service=${process#/proc/}
        fi
    done
    [ -n "$service" ] || fail "no process"
    grep -E '^(Uid|CapEff|CapBnd)' "/proc/$service/status"
    grep -q '^Uid:.65532' "/proc/$service/status" || fail "not as 65532"
    grep -q '^CapEff:.0000000000000000' "/proc/$service/status" || fail "it has capabilities"
    # Nothing of the root is its own but its state: nobody could write there.
    writable=$(run /usr/bin/find / -xdev -writable ! -type l ! -path '/proc/*' ! -path '/sys/*' \
        ! -path '/dev/*' ! -path '/tmp*' ! -path '/var/tmp*' ! -path '/run/*' \
        ! -path '/var/lib/calspamd*' ! -path '/var/lock' 2>/dev/null || true)
    [ -z "$writable" ] || fail "it may write: $writable"

    begin=$(date +%s%N)
    kill -TERM "$service"
    wait $runner || fail "it ended with an error"
    echo "stopped after $((($(date +%s%N) - begin) / 1000000)) ms"
    trap - EXIT
    b rm "$container" >/dev/null
}

case ${1:-} in
    deb) deb ;;
    image) image ;;
    *) fail "say deb or image" ;;
esac
say "$1: well"
