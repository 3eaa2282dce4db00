#!/bin/sh
# check-fsm.sh [--self-test] - the rows of the VSS coordinator's table as
# doc/wire/vss.md shows them are those of src/vss/vss_fsm.def; likewise those of
# the VF behaviour, doc/vf.md and src/hn/vf_fsm.def.
set -eu
cd "$(dirname "$0")/.."

rows_of_source()
{
    sed -n 's/^ROW(\([A-Z_]*\), *\([A-Z_]*\), *\([A-Z_]*\), *\([a-z_]*\)).*/\1 \2 \3 \4/p' "$1" |
        sort
}

# One line of the table may have several events.
rows_of_document()
{
    awk -F'|' 'NF == 6 && $2 ~ /^ [A-Z_]+ $/ && $4 ~ /^ [A-Z_]+ $/ &&
        $5 ~ /^ [a-z_]+ $/ {
        n = split($3, event, ",")
        for (i = 1; i <= n; i++) {
            line = $2 " " event[i] " " $4 " " $5
            gsub(/ +/, " ", line); gsub(/^ | $/, "", line)
            print line
        }
    }' "$1" | sort
}

compare()   # source, document
{
    tmp=$(mktemp -d)
    rows_of_source "$1" >"$tmp/source"
    rows_of_document "$2" >"$tmp/document"
    status=0
    [ -s "$tmp/source" ] && diff "$tmp/source" "$tmp/document" || status=1
    rm -r "$tmp"
    return $status
}

# A row left out, changed or made up is noticed.
self_test()
{
    dir=$(mktemp -d)
    trap 'rm -r "$dir"' EXIT
    for edit in '/FROZEN.*WINDOW/d' 's/| FROZEN | THAW | THAW_FS/| FROZEN | THAW | IDLE/' \
        's/^| IDLE | THAW |/| IDLE | THAW, RESET |/'; do
        sed "$edit" doc/wire/vss.md >"$dir/vss.md"
        compare src/vss/vss_fsm.def "$dir/vss.md" && return 1
    done
    return 0
}

case ${1:-} in
--self-test) self_test ;;
*)
    compare src/vss/vss_fsm.def doc/wire/vss.md
    compare src/hn/vf_fsm.def doc/vf.md
    ;;
esac
