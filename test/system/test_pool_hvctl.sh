#!/bin/bash
# test_pool_hvctl.sh HVCTL SOURCE LIBDIR - hvctl kvp as scripts see it: output,
# exit codes, texts; and the example of hyperv_kvp(3).
set -u
hvctl=$1 source=$2 libdir=$3
dir=$(mktemp -d)
children=()
trap 'kill "${children[@]}" 2>/dev/null; rm -rf "$dir"' EXIT
fails=0

h() { "$hvctl" --config "$dir/conf" --state-dir "$dir/state" \
    --run-dir "$dir/run" "$@"; }
# The same in the background, printing to a file; exec makes the pid hvctl's.
start()
{
    local out=$1
    shift
    (exec "$hvctl" --config "$dir/conf" --state-dir "$dir/state" \
        --run-dir "$dir/run" "$@" >"$out") &
    children+=($!)
}
mkdir "$dir/state" "$dir/run"
: >"$dir/conf"

# expect CODE STDOUT STDERR-PART -- arguments of hvctl
expect()
{
    local code=$1 out=$2 err=$3 got_out got_err got
    shift 4
    got_out=$(h "$@" 2>"$dir/err" </dev/null)
    got=$?
    got_err=$(cat "$dir/err")
    if [[ $got != "$code" || $got_out != "$out" || $got_err != *"$err"* ||
        ( -z $err && -n $got_err ) ]]; then
        printf 'hvctl %s\n  exit %s, want %s\n  out %q\n  err %q\n' "$*" \
            "$got" "$code" "$got_out" "$got_err"
        fails=$((fails + 1))
    fi
}

# Done, found, absent.
expect 0 '' '' -- kvp set state ready
expect 0 ready '' -- kvp get state
expect 0 ready '' -- kvp get state --pool guest
expect 0 ready '' -- kvp -p 1 get state
expect 1 '' 'no pool has a key "none"' -- kvp get none
expect 1 '' 'pool guest has no key "none"' -- kvp del none
expect 1 '' 'pool auto-external has no key "state"' -- kvp get -p 3 state
expect 0 '' '' -- kvp set --append state again
expect 0 $'POOL   KEY    VALUE\nguest  state  ready\nguest  state  again' '' \
    -- kvp list
expect 0 '' '' -- kvp del state
expect 0 again '' -- kvp get state
expect 0 '' '' -- kvp set -- --dash -value
expect 0 -value '' -- kvp get -- --dash

# What cannot be written is not done.
for words in 'kvp list' 'kvp get state' 'kvp export' status '--json status' \
    --help --version; do
    # shellcheck disable=SC2086
    h $words >/dev/full 2>"$dir/err"
    got=$?
    want=5
    [[ $words == *status ]] && want=4	# nobody answers comes first
    if [[ $got != "$want" ]]; then
        echo "hvctl $words >/dev/full: $got"
        fails=$((fails + 1))
    fi
done

# Bad input is named.
expect 2 '' 'key "\xff" is not UTF-8' -- kvp set $'\xff' x
expect 2 '' 'value "a\xc3" is not UTF-8' -- kvp set x $'a\xc3'
expect 2 '' 'the key is empty' -- kvp set '' x
expect 2 '' 'the key is empty' -- kvp get ''
expect 2 '' '512 bytes, and 511 fit' -- kvp set "$(printf %0512d 0)" x
expect 2 '' '2048 bytes, and 2047 fit' -- kvp set x "$(printf %02048d 0)"
expect 0 '' '' -- kvp set "$(printf %0511d 0)" "$(printf %02047d 0)"
expect 0 '' '' -- kvp del "$(printf %0511d 0)"
expect 2 '' 'no pool is called "\x1b[31m"' -- kvp list $'\e[31m'
expect 2 '' 'no pool is called "5"' -- kvp set -p 5 x y
expect 2 '' 'usage: hvctl kvp set KEY VALUE' -- kvp set x
expect 2 '' 'no command is called "frobnicate"' -- kvp frobnicate
expect 2 '' 'kvp: which command?' -- kvp
expect 2 '' 'is no number of seconds' -- kvp wait x --timeout soon
expect 2 '' 'unrecognized option' -- --frobnicate

# The host's pools.
expect 3 '' 'pool external belongs to the host' -- kvp set -p external x y
expect 3 '' 'pool auto-external belongs' -- kvp del -p 3 x
expect 3 '' 'computed by hv_kvp_daemon' -- kvp set -f -p auto x y
expect 0 '' '' -- kvp set --force -p external both host
expect 0 '' '' -- kvp set both ours
expect 0 host '' -- kvp get both
expect 0 ours '' -- kvp get -p guest both

# Nobody there.
expect 4 '' 'hv_kvp_daemon' -- kvp get -p auto OSName
expect 4 $'hv_utilsd      not running\nhv_kvp_daemon  not running\nhv_vss_daemon  not running' '' \
    -- status
expect 4 'POOL  KEY  VALUE' 'No such file' -- kvp list --state-dir /nonexistent
expect 4 '' 'No such file' -- kvp set a b --state-dir /nonexistent

# Another program holds the lock.
exec 9<>"$dir/state/.kvp_pool_1"
flock 9
expect 5 '' 'another program keeps pool guest locked' -- kvp get -p guest both
exec 9>&-

# Control characters reach a pipe as they are in get, and nobody in list.
expect 0 '' '' -- kvp set esc $'a\e[31m\nb'
expect 0 $'a\e[31m\nb' '' -- kvp get esc
[[ $(h kvp list guest) == *'"a\x1b[31m\x0ab"'* ]] || {
    echo "list lets control characters through"; fails=$((fails + 1)); }

# JSON, and a round trip.
expect 0 $'{\n  "pool": "guest",\n  "key": "both",\n  "value": "ours"\n}' '' \
    -- kvp get -p guest both --json
h kvp set -a dup 1; h kvp set -a dup 2
h kvp export guest >"$dir/all.json"
h kvp export guest | h kvp import --replace || fails=$((fails + 1))
h kvp export guest | cmp - "$dir/all.json" || fails=$((fails + 1))
echo '[{"key":"i1","value":"x"},{"pool":"guest","key":"i2","value":"\u00e9"},
    {"pool":1,"key":"i1","value":"y"}]' >"$dir/in.json"
expect 0 '' '' -- kvp import "$dir/in.json"
expect 0 y '' -- kvp get i1
expect 0 é '' -- kvp get i2
echo '[{"key":"i3","value":"x"},{"key":"","value":"y"}]' >"$dir/in.json"
expect 2 '' 'entry 1: the key is empty' -- kvp import "$dir/in.json"
expect 1 '' 'no pool has' -- kvp get i3
echo '[{"key":"i3","value":"x"},{"key":"k"}]' >"$dir/in.json"
expect 2 '' 'entry 1 has no text "value"' -- kvp import "$dir/in.json"
echo '[{"key":"i3","value":"x"},{"pool":0,"key":"k","value":""}]' \
    >"$dir/in.json"
expect 3 '' 'pool external belongs' -- kvp import "$dir/in.json"
expect 1 '' 'no pool has' -- kvp get i3
echo '[{"key":' >"$dir/in.json"
expect 2 '' 'line ' -- kvp import "$dir/in.json"
echo '{}' >"$dir/in.json"
expect 2 '' 'no JSON array' -- kvp import "$dir/in.json"

# Waiting: there already; not in time; coming while we wait.
expect 0 ours '' -- kvp wait both -p guest
expect 1 '' 'did not come in time' -- kvp wait never --timeout 0.05
mkfifo "$dir/out"
start "$dir/out" kvp wait late --value right --timeout 60
exec 8<"$dir/out"       # opened by both: it runs
h kvp set late wrong
h kvp set late right
read -r -t 60 line <&8
[[ $line == right ]] || { echo "wait printed '$line'"; fails=$((fails + 1)); }
wait "${children[0]}" || { echo "wait failed"; fails=$((fails + 1)); }

# Watching: set until the watch says the first thing; then exactly what is done.
mkfifo "$dir/changes"
start "$dir/changes" --json kvp watch guest
exec 7<"$dir/changes"
n=0
while h kvp set tick $((n++)); ! read -r -t 0.1 line <&7; do
    [[ $n -lt 600 ]] || break
done
h kvp set last 1
while [[ $line != *'"last"'* ]] && read -r -t 60 line <&7; do :; done
[[ $line == *'"guest"'*'"last"'*'"1"'*'"set"'* ]] || {
    echo "watch printed '$line'"; fails=$((fails + 1)); }
h kvp del last
read -r -t 60 line <&7
[[ $line == *'"last"'*'"deleted"'* ]] || {
    echo "watch printed '$line'"; fails=$((fails + 1)); }

# No permission, where we can become nobody.
if [[ $(id -u) == 0 ]] && command -v setpriv >/dev/null; then
    chmod 755 "$dir" "$dir/state"
    cp "$hvctl" "$dir/hvctl"
    setpriv --reuid=65534 --regid=65534 --clear-groups "$dir/hvctl" \
        --config "$dir/conf" --state-dir "$dir/state" kvp set x y 2>"$dir/err"
    code=$?
    [[ $code == 3 && $(cat "$dir/err") == *"Permission denied"* ]] || {
        echo "nobody: exit $code, $(cat "$dir/err")"; fails=$((fails + 1)); }
    value=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$dir/hvctl" \
        --config "$dir/conf" --state-dir "$dir/state" kvp get both -p guest)
    [[ $value == ours ]] || { echo "nobody reads '$value'"
        fails=$((fails + 1)); }
fi

# The manual's example compiles against the library and its header.
sed -n '/^\.Bd -literal$/,/^\.Ed/p' "$source/man/hyperv_kvp.3" |
    sed '1d;$d;s/\\e/\\/g' >"$dir/example.c"
${CC:-cc} -Wall -Wextra -Werror -I"$source/include" -o "$dir/example" \
    "$dir/example.c" -L"$libdir" -lhyperv || fails=$((fails + 1))

echo "$fails failed"
[[ $fails == 0 ]]
