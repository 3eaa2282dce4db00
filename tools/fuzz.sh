#!/bin/sh
# fuzz.sh SECONDS - let each fuzz target look for trouble that long, starting
# from its committed seeds. What it finds is left in build-fuzz/findings/; a
# finding belongs into test/fuzz/corpus/ with the commit that fixes it.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:?usage: fuzz.sh SECONDS}

# The libraries count what they execute too, or the fuzzer would be blind.
[ -e build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Dfuzz=true \
    -Dbench=false -Db_lundef=false -Db_sanitize=address,undefined \
    -Dc_args=-fsanitize=fuzzer-no-link
targets=$(ninja -C build-fuzz -t targets all |
    sed -n 's|^\(test/fuzz/fuzz_[^./]*\): .*|\1|p' | sort)
ninja -C build-fuzz $targets

failed=0
mkdir -p build-fuzz/findings
for target in $targets; do
    name=${target##*/fuzz_}
    mkdir -p "build-fuzz/corpus/$name"
    echo "== $name, $seconds s"
    "build-fuzz/$target" -max_total_time="$seconds" -verbosity=0 \
        -print_final_stats=1 \
        -artifact_prefix="build-fuzz/findings/$name-" \
        "build-fuzz/corpus/$name" "test/fuzz/corpus/$name" || failed=1
done
exit $failed
