#!/bin/sh
# check.sh - all that CI runs. Ends with one line: N passed, N failed,
# N skipped. A check is a command: exit 0 passes, 77 skips (its last line of
# output is the reason), anything else fails and its output is shown.
set -u
cd "$(dirname "$0")/.."

logs=build/check
mkdir -p $logs
tally=$logs/tally
: >$tally

record()    # passed|failed|skipped, name, reason
{
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>$tally
    printf '%-8s %s%s\n' "$1" "$2" "${3:+: $3}"
}

check()     # name, command...
{
    name=$1 log=$logs/$1.log
    shift
    "$@" >"$log" 2>&1 </dev/null
    case $? in
    0)  record passed "$name" "" ;;
    77) record skipped "$name" "$(tail -n 1 "$log")" ;;
    *)  sed 's/^/    /' "$log"
        record failed "$name" "see $log"
        return 1 ;;
    esac
}

configure() # directory, compiler, meson options...
{
    dir=$1 cc=$2
    shift 2
    [ -e "$dir/build.ninja" ] || CC=$cc meson setup "$dir" "$@"
}

build()     # the same, then compile; every warning is an error
{
    configure "$@" && ninja --quiet -k 0 -C "$1"
}

suites()    # directory, meson test options...: run tests, count each
{
    dir=$1
    shift
    rm -f "$dir/meson-logs/testlog.json"
    meson test -C "$dir" --no-rebuild "$@" >"$logs/test-$dir.log" 2>&1 \
        </dev/null
    tools/testlog.py "$dir" >"$logs/tests"
    while IFS='	' read -r result name reason; do
        record "$result" "$name" "$reason"
    done <"$logs/tests"
    if [ ! -s "$logs/tests" ]; then
        tail -n 20 "$logs/test-$dir.log"
        record failed "$dir" "no test ran"
    fi
}

switched_off()  # -Dhyperv=false configures, builds nothing, says so
{
    dir=$logs/off
    rm -rf $dir $dir.root
    meson setup $dir -Dhyperv=false &&
        grep -q 'left out' $dir/meson-logs/meson-log.txt &&
        DESTDIR=$PWD/$dir.root meson install -C $dir &&
        [ -z "$(find $dir.root -type f 2>/dev/null)" ]
}

check include-rules tools/check-includes.sh
check include-rules-notice tools/check-includes.sh --self-test
check no-sleeps tools/check-sleeps.sh
check freezing tools/check-freeze.sh
check defects tools/check-defects.sh
check defects-notice tools/check-defects.sh --self-test
check vss-table tools/check-fsm.sh
check vss-table-notice tools/check-fsm.sh --self-test
check devd-rules tools/check-devd.sh
check devd-rules-notice tools/check-devd.sh --self-test
check manual-pages tools/check-man.sh
check hyperv-off switched_off
check model tools/model.py --fast
check model-notice tools/model.py --self-test

check build-gcc build build gcc &&
    suites build -t 3
check build-clang-asan build build-asan clang -Db_lundef=false \
    -Db_sanitize=address,undefined -Dbench=false &&
    suites build-asan --suite unit --suite scenario -t 4 &&
    check clang-tidy tools/check-tidy.sh build-asan

count()
{
    grep -c "^$1" $tally
}
printf '\n'
grep -v '^passed' $tally | tr '\t' ' '
echo "$(count passed) passed, $(count failed) failed, $(count skipped) skipped"
[ "$(count failed)" -eq 0 ]
