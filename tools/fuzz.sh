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
    printf '%-16s %s s: ' "$name" "$seconds"
    if "build-fuzz/$target" -max_total_time="$seconds" -print_final_stats=1 \
        -artifact_prefix="build-fuzz/findings/$name-" \
        "build-fuzz/corpus/$name" "test/fuzz/corpus/$name" \
        >"build-fuzz/$name.log" 2>&1; then
        sed -n 's/^stat::number_of_executed_units: *\(.*\)/\1 inputs, no finding/p' \
            "build-fuzz/$name.log"
    else
        echo "FINDING, see build-fuzz/$name.log"
        grep -A 12 -m 1 -E 'ERROR|runtime error|Assertion' \
            "build-fuzz/$name.log" || tail -n 20 "build-fuzz/$name.log"
        failed=1
    fi
done
exit $failed
