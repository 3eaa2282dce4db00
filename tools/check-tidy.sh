#!/bin/sh
# check-tidy.sh BUILD - clang-tidy over what BUILD compiles (clang built it),
# with the settings of .clang-tidy.
set -eu
cd "$(dirname "$0")/.."
build=${1:?usage: check-tidy.sh BUILD}

command -v clang-tidy >/dev/null || { echo "no clang-tidy"; exit 77; }

# Tests are compiled with every warning on and run under ASan; the analyser's
# time goes to what people install.
status=0
found=$(sed -nE 's@.*"file": "\.\./((src|prog)/.*\.c)".*@\1@p' \
    "$build/compile_commands.json" | sort -u |
    xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p "$build" 2>&1) || status=1
echo "$found" | grep -Ev '^[0-9]+ warnings? generated|^Suppressed' || :
exit $status
