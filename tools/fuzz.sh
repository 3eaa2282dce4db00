#!/bin/sh
# fuzz.sh SECONDS - let each fuzz target look for trouble that long, starting
# from its committed seeds. What it finds is left in build-fuzz/findings/; a
# finding belongs into test/fuzz/corpus/ with the commit that fixes it.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:?usage: fuzz.sh SECONDS}

[ -e build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Dfuzz=true \
    -Dbench=false -Db_lundef=false -Db_sanitize=address,undefined
ninja -C build-fuzz

failed=0
mkdir -p build-fuzz/findings
for target in $(find build-fuzz/test/fuzz -maxdepth 1 -type f -perm -u+x \
    -name 'fuzz_*' | sort); do
    name=${target##*/fuzz_}
    mkdir -p "build-fuzz/corpus/$name"
    echo "== $name, $seconds s"
    "$target" -max_total_time="$seconds" -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="build-fuzz/findings/$name-" \
        "build-fuzz/corpus/$name" "test/fuzz/corpus/$name" || failed=1
done
exit $failed
