#!/bin/sh
# peers.sh DIR - unpack the programs of others that we test and measure
# against below DIR, unmodified and not installed: cloud-init writes pool 1,
# Debian's hv_kvp_daemon serves the device that ours serves, PostgreSQL and
# MariaDB are backed up while they work. The last lines are libraries of theirs
# that a machine need not have.
#
# Without them the tests that need them are skipped and say so; it is no
# failure to be offline.
set -eu

packages="cloud-init hyperv-daemons
    postgresql-15 postgresql-client-15
    mariadb-server-core mariadb-client-core
    libaio1 liburing2 libnuma1 libxml2 libicu72 libpcre2-8-0 libedit2 libbsd0
    libmd0 libncurses6"
dir=${1:?usage: peers.sh DIR}

have_all()
{
    for p in $packages; do
        grep -qs "^${p}_" "$dir/done" || return 1
    done
}

have_all && exit 0
if ! command -v apt-get >/dev/null; then
    echo "peers: no apt-get here; tests against $packages are skipped" >&2
    exit 0
fi

# apt drops to the user _apt for downloads, who may not enter a home.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
chmod 755 "$tmp"
[ "$(id -u)" -ne 0 ] || chown _apt "$tmp" 2>/dev/null || :

download()
{
    (cd "$tmp" && apt-get -q -q download $packages >log 2>&1)
}

if ! download; then
    # The package lists may be old or absent; only root can renew them.
    [ "$(id -u)" -eq 0 ] && apt-get -q -q update >/dev/null 2>&1 || :
    if ! download; then
        sed 's/^/peers: /' "$tmp/log" >&2
        echo "peers: could not download; tests against $packages" \
            "are skipped" >&2
        exit 0
    fi
fi

rm -rf "$dir"
mkdir -p "$dir"
for p in $packages; do
    dpkg-deb -x "$tmp/$p"_*.deb "$dir/$p"
done
(cd "$tmp" && ls -- *.deb) >"$dir/done"
sed 's/^/peers: unpacked /' "$dir/done"
