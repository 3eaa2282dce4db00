#!/bin/sh
# demo.sh BUILD - host and guest talk, and a person watches.
#
# Three programs run, each a process of its own, below one temporary directory
# that is removed at the end: hvhost is the other side of the wire, a
# simulated Hyper-V host; hv_utilsd holds the guest's drivers; hv_kvp_daemon
# keeps the guest's keys. The acts about backups (demo_vss.py) have a guest of
# their own in a namespace. Nothing of this machine is changed.
set -eu

build=$(cd "${1:?usage: demo.sh BUILD}" && pwd)
tools=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/hvdemo.XXXXXX")
host_pid= utils_pid= kvp_pid= wait_pid= vss_pid= log_pids=

bold= dim= plain=
if [ -t 1 ]; then
    bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
fi

end()   # pid...: ask each to end, and wait until it has
{
    for pid in "$@"; do
        kill "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null || :
    done
}

leave()
{
    status=$?
    trap - EXIT
    trap '' INT TERM HUP
    end $vss_pid $wait_pid $kvp_pid $utils_pid $host_pid $log_pids
    if [ "$status" -ne 0 ] && [ -s "$dir/log" ]; then
        echo "The demo failed; what the programs logged:" >&2
        sed 's/^/    /' "$dir/log" >&2
    fi
    rm -rf "$dir"
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

act()
{
    printf '\n%s%s%s\n' "$bold" "$1" "$plain"
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@" | fold -s -w 78 | sed "s/ *$//"
    echo
}

typed() # who, command...: print it as if typed
{
    printf '  %s%5s $%s' "$dim" "$1" "$plain"
    shift
    for word in "$@"; do
        case $word in
        *[!A-Za-z0-9_./:=-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    echo
}

show()  # who, command...: the same, then what it answers
{
    typed "$@"
    shift
    "$@" >"$dir/answer" 2>&1 && rc=0 || rc=$?
    sed 's/^/          /' "$dir/answer"
    return $rc
}

# The two command lines, without the directories that they would find by
# themselves on a machine where all this is installed.
hvhost()
{
    "$build/prog/hvhost" "$@" --dir "$dir/host"
}

hvctl()
{
    "$build/prog/hvctl" --run-dir "$dir" --state-dir "$dir/state" "$@"
}

host() { show host hvhost "$@"; }
guest() { show guest hvctl "$@"; }

start() # words, program...: start it, and wait until its log has the words
{
    words=$1
    shift
    rm -f "$dir/says"
    mkfifo "$dir/says"
    "$@" 2>"$dir/says" &
    pid=$!
    exec 3<"$dir/says"
    while read -r line <&3; do
        echo "$line" >>"$dir/log"
        case $line in *"$words"*) break ;; esac
        line=
    done
    cat <&3 >>"$dir/log" &
    log_pids="$log_pids $!"
    exec 3<&-
    [ -n "$line" ]
}

start_daemon()
{
    start "registered with the driver" "$build/prog/hv_kvp_daemon" -n \
        --run-dir "$dir" --state-dir "$dir/state"
    kvp_pid=$pid
}

echo "${bold}open-hv-tools: a Hyper-V host and its guest on one wire$plain"
cat <<'INTRO'

        hvhost  <== shared-memory rings ==>  hv_utilsd  <==>  hv_kvp_daemon
   the host, simulated                    the guest's       the guest's keys
                                            drivers
INTRO

act "1. The host offers its devices, the guest finds them" \
    "Version negotiation and channel set-up are the real protocol; only the\
 hypervisor is missing."
start "guests connect" "$build/prog/hvhost" run --dir "$dir/host" \
    --vm-name demo
host_pid=$pid
start "serving" "$build/prog/hv_utilsd" -n --run-dir "$dir" \
    --host "$dir/host/vmbus"
utils_pid=$pid
start_daemon
host wait ready --timeout 10
host status

act "2. The host tells the guest something" \
    "Pool \"external\": what the host's administrator wants the guest to know."
host kvp set BackupWindow 02:00-04:00
guest kvp get BackupWindow --pool external

act "3. The host asks who the guest is" \
    "Pool \"auto\": facts that the guest's daemon finds out when it is asked."
host kvp list --pool auto
for mac in $(cat /sys/class/net/*/address 2>/dev/null | sort -u); do
    [ "$mac" = 00:00:00:00:00:00 ] || break
done
case ${mac:-00:00:00:00:00:00} in
00:00:00:00:00:00) ;;
*) host kvp ip "$mac" ;;
esac

act "4. A program in the guest tells the host something" \
    "Pool \"guest\": hvctl writes it here; cloud-init and others do the same."
guest kvp set BackupAgent "ready, 3 databases"
host kvp get BackupAgent --pool guest

act "5. The guest waits for the host's word" \
    "hvctl sleeps until the host's change arrives; nothing polls."
wait_for="kvp wait BackupWindow --value now --timeout 10"
typed guest hvctl $wait_for
hvctl $wait_for >"$dir/waited" 2>&1 &
wait_pid=$!
host kvp set BackupWindow now
wait $wait_pid
wait_pid=
printf '  %s%5s :%s %s\n' "$dim" guest "$plain" "$(cat "$dir/waited")"

act "6. A daemon dies, and nobody is left waiting" \
    "kill -9 of hv_kvp_daemon: the host is told at once that nobody answers.\
 Started again, the daemon has all it acknowledged."
kill -9 $kvp_pid
wait $kvp_pid 2>/dev/null || :
host kvp get BackupAgent --pool guest || :
start_daemon
host kvp get BackupAgent --pool guest

python3 "$tools/demo_vss.py" "$build" 2>"$dir/vss-log" &
vss_pid=$!
wait $vss_pid && rc=0 || rc=$?
vss_pid=
case $rc in
0) ;;
77) echo "The acts about backups are left out on this machine, because of that." ;;
*)  cat "$dir/vss-log" >>"$dir/log"
    exit $rc ;;
esac

act "That was it" \
    "All programs end now and $dir is removed. Next: README.md, hvhost(8),\
 hvctl(8)."
