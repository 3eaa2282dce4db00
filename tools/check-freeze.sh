#!/bin/sh
# check-freeze.sh - nothing freezes a file system but the daemon and the test
# box's own tool; whoever else did could freeze the machine it runs on.
set -eu
cd "$(dirname "$0")/.."

self=tools/check-freeze.sh
may='^(src/vss/freeze_linux\.c|test/system/box_do\.c|test/peers/shim\.c):'
calls='[(,] *FIFREEZE *[,)]|0x[cC]0045877'
programs="[\"']fsfreeze[\"']|fsfreeze (-f|--freeze)|xfs_freeze"
found=$(grep -rnE "$calls|$programs" \
    --include='*.[ch]' --include='*.py' --include='*.sh' src prog test tools |
    grep -vE "$may" | grep -v "^$self:" || :)
[ -z "$found" ] && exit 0
echo "$found"
exit 1
