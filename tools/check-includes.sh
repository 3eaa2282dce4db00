#!/bin/sh
# check-includes.sh [--self-test] - a folder is a layer. It includes base/ and
# what stands between it and the ring; the simulated host shares with the
# guest only what the host itself defined.
set -eu

# layer       what it may include: a folder/, or one file
rules() { cat <<'RULES'
base          base/
vmbus         base/ vmbus/
ic            base/ vmbus/ ic/
kvp           base/ vmbus/ ic/ kvp/
vss           base/ vmbus/ ic/ vss/
hn            base/ vmbus/ hn/
lagg          base/ lagg/
endpoint      base/ endpoint/
lib           base/ endpoint/ kvp/ vss/ lib/
app           base/ app/ vss/vss_devmsg.h
host          base/ vmbus/ host/ ic/hv_utilreg.h kvp/kvp_reg.h vss/vss_reg.h hn/nvs_reg.h hn/rndis_reg.h
prog          base/ vmbus/ ic/ kvp/ vss/ hn/ lagg/ endpoint/ lib/ app/
prog/hvhost   base/ vmbus/ host/ prog/ ic/hv_utilreg.h kvp/kvp_reg.h vss/vss_reg.h
RULES
}

layer_of()  # path: src/kvp/pool.c is kvp, prog/hvhost_kvp.c is prog/hvhost
{
    case $1 in
    prog/hvhost*) echo prog/hvhost ;;
    prog/*) echo prog ;;
    src/*) rest=${1#src/}; echo "${rest%%/*}" ;;
    esac
}

may_include()   # layer, header
{
    allowed=$(rules | sed -n "s|^$1  *||p")
    for a in $allowed; do
        case $2 in
        *..*) return 1 ;;
        "$a"|"${a%/}"/*) return 0 ;;
        esac
    done
    return 1
}

check_tree()    # directory; prints violations, fails if there are any
{
    cd "$1"
    bad=0
    for file in $(find src prog -name '*.[ch]' | sort); do
        layer=$(layer_of "$file")
        # Headers without a folder are the file's own neighbours.
        for header in $(sed -n \
            's|^[ \t]*#[ \t]*include[ \t]*"\([^"]*/[^"]*\)".*|\1|p' "$file"); do
            case $header in hyperv/*) continue ;; esac  # the public headers
            may_include "$layer" "$header" && continue
            echo "$file: $layer may not include $header"
            bad=1
        done
    done
    return $bad
}

# Planted violations must be noticed, each of them, and nothing else.
self_test()
{
    tree=$(mktemp -d)
    trap 'rm -rf "$tree"' EXIT
    mkdir -p "$tree/src/kvp" "$tree/src/host" "$tree/src/base" "$tree/prog"
    echo '#include "host/host_kvp.h"' >"$tree/src/kvp/a.c"
    echo '#include "kvp/kvp_wire.h"' >"$tree/src/host/b.c"
    echo '# include "vmbus/ring.h"' >"$tree/src/base/c.h"
    echo '#include "base/../host/host_kvp.h"' >"$tree/src/kvp/d.c"
    echo '#include "host/host_kvp.h"' >"$tree/prog/e.c"
    printf '#include "host/host_kvp.h"\n#include "base/rd.h"\n' \
        >"$tree/prog/hvhost.c"
    printf '#include "kvp/kvp_reg.h"\n#include <stdio.h>\n' \
        >"$tree/src/host/f.h"
    found=$(check_tree "$tree") && found=
    echo "$found"
    [ "$(echo "$found" | wc -l)" -eq 5 ]
}

root=$(dirname "$0")/..
case ${1:-} in
--self-test) self_test ;;
*) check_tree "$root" ;;
esac
