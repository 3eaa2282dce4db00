#!/bin/sh
# check-devd.sh [--self-test] - etc/devd/hyperv.conf has the rules that FreeBSD's
# own has, each once, and nothing that devd(8) would not read.
set -eu
cd "$(dirname "$0")/.."

expected()
{
    cat <<'RULES'
10 system=DEVFS subsystem=CDEV type=CREATE cdev=hv_kvp_dev: /usr/sbin/hv_kvp_daemon
10 system=DEVFS subsystem=CDEV type=DESTROY cdev=hv_kvp_dev: pkill -x hv_kvp_daemon
10 system=ETHERNET type=IFATTACH vm_guest=hv: /usr/libexec/hyperv/hyperv_vfattach $subsystem 0
10 system=HYPERV_NIC_VF type=VF_UP: /usr/libexec/hyperv/hyperv_vfup $subsystem
11 system=DEVFS subsystem=CDEV type=CREATE cdev=hv_fsvss_dev: /usr/sbin/hv_vss_daemon
11 system=DEVFS subsystem=CDEV type=DESTROY cdev=hv_fsvss_dev: pkill -x hv_vss_daemon
RULES
}

# One line a rule. What is neither that nor a comment is printed as it is.
rules_of()  # file
{
    awk -F'"' '
    /^#/ || /^$/ { next }
    /^notify [0-9]+ \{$/ && !open {
        open = 1; split($0, word, " "); rule = word[2]; next
    }
    /^\tmatch "[a-z_]+"\t+"[A-Za-z_]+";$/ && open {
        rule = rule " " $2 "=" $4; next
    }
    /^\taction "[^"]+";$/ && open { rule = rule ": " $2; next }
    /^};$/ && open { print rule; open = 0; next }
    { print "not a rule: " $0 }
    END { if (open) print "a rule without an end" }' "$1" | LC_ALL=C sort
}

check()     # file
{
    tmp=$(mktemp)
    rules_of "$1" >"$tmp"
    status=0
    expected | diff - "$tmp" || status=1
    rm "$tmp"
    return $status
}

# A rule left out, changed, doubled or broken is noticed.
self_test()
{
    broken=$(mktemp)
    trap 'rm "$broken"' EXIT
    for edit in 's/hv_fsvss_dev/hv_appvss_dev/' 's/notify 11/notify 12/' \
        '/vm_guest/d' '$d' 's/;$//' 's/^};/& x/' 's/VF_UP/VF_DOWN/'; do
        sed "$edit" etc/devd/hyperv.conf >"$broken"
        check "$broken" >/dev/null && return 1
    done
    return 0
}

case ${1:-} in
--self-test) self_test ;;
*) check etc/devd/hyperv.conf ;;
esac
