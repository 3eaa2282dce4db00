#!/bin/sh
# check-defects.sh [--self-test] - every test that doc/defects.md names is
# there, and every row names one. The last column has, for each program,
# `suite/file`, then the tests in it: names, with commas between them, and
# ";" before the next program. A program that is one test needs no name.
set -eu

tests_of()  # file: "LINE FILE NAME" for each test, NAME may be empty
{
    awk -F'|' '
    /^\|/ && !/^\| *(source item|---)/ && !/^\|-/ {
        n = split($(NF - 1), program, ";")
        for (i = 1; i <= n; i++) {
            text = program[i]
            if (!match(text, /`[^`]*`/)) {
                print NR, "none", text
                continue
            }
            file = substr(text, RSTART + 1, RLENGTH - 2)
            text = substr(text, RSTART + RLENGTH)
            names = split(text, name, ",")
            for (j = 1; j <= names; j++) {
                gsub(/ /, "", name[j])
                print NR, file, name[j]
            }
            if (!names)
                print NR, file
        }
    }' "$1"
}

check()     # document, directory with test/ in it
{
    tests_of "$1" | {
        bad=0 rows=0
        while read -r line file name; do
            rows=$((rows + 1)) source=
            for s in "$2/test/$file".c "$2/test/$file".py "$2/test/$file".sh
            do
                [ ! -e "$s" ] || source=$s
            done
            if [ -z "$source" ]; then
                [ "$file" = none ] && echo "$1:$line: names no test:$name" ||
                    echo "$1:$line: there is no test/$file"
                bad=1
            elif [ -n "$name" ] && ! grep -Eq \
                "^(static void|def) $name\(" "$source"; then
                echo "$1:$line: $source has no test $name"
                bad=1
            fi
        done
        [ $rows -gt 0 ] && [ $bad -eq 0 ]
    }
}

# What is wrong must be noticed, and nothing else.
self_test()
{
    tree=$(mktemp -d)
    trap 'rm -rf "$tree"' EXIT
    mkdir -p "$tree/test/unit"
    echo 'static void is_there(void **state)' >"$tree/test/unit/test_a.c"
    cat >"$tree/doc" <<'DOC'
| source item | upstream | here | test |
|---|---|---|---|
| good | x | y | `unit/test_a` is_there, is_there; `unit/test_a` |
| no name | x | y | `unit/test_a` is_th |
| no file | x | y | `unit/test_b` is_there |
| no test | x | y | read it |
DOC
    found=$(check "$tree/doc" "$tree") && return 1
    echo "$found"
    [ "$(echo "$found" | wc -l)" -eq 3 ]
}

cd "$(dirname "$0")/.."
case ${1:-} in
--self-test) self_test ;;
*) check doc/defects.md . ;;
esac
