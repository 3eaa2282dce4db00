#!/bin/sh
# deps.sh build|check... - install the Debian packages that building, or
# checking and measuring, needs. Says nothing and needs no network when they
# are there. Nothing in these lists runs a service or changes how the machine
# behaves; the programs we only test against are unpacked, not installed
# (peers.sh). llvm: without its symbolizer sanitizers cannot name functions, and
# what a test lets leak on purpose is told by name.
set -eu

build_packages="gcc libc6-dev meson ninja-build pkg-config
    libevent-dev libjansson-dev libinih-dev libmnl-dev libunistring-dev zlib1g-dev
    libcmocka-dev libmount-dev libpq-dev libmariadb-dev
    clang libbpf-dev"
check_packages="clang-tidy libclang-rt-dev llvm mandoc iproute2 spin
    python3 python3-requests python3-yaml e2fsprogs xfsprogs btrfs-progs strace"

wanted=
for set in "$@"; do
    case $set in
    build) wanted="$wanted $build_packages" ;;
    check) wanted="$wanted $check_packages" ;;
    *) echo "usage: deps.sh build|check..." >&2; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    for tool in cc meson ninja pkg-config; do
        command -v $tool >/dev/null && continue
        echo "deps: no $tool, and this is not Debian. Please install what" \
            "these packages hold:" $wanted >&2
        exit 1
    done
    exit 0
fi

missing=
for p in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) || state=
    [ "$state" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "deps: missing:$missing" >&2
    echo "deps: run \"make deps\" as root, or: apt-get install$missing" >&2
    exit 1
fi

echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt_get="apt-get -q -y -o DPkg::Lock::Timeout=300"
$apt_get update
$apt_get install --no-install-recommends $missing
