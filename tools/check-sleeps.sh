#!/bin/sh
# check-sleeps.sh - tests and scripts wait for what they wait for, they do not
# sleep and hope.
set -eu
cd "$(dirname "$0")/.."

calls='\b(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep) *\('
commands='(^|[;&|]|\b(do|then|else)\b)[ \t]*sleep[ \t]+[0-9$.]'
found=$(
    grep -rnE "$calls" --include='*.[ch]' --include='*.py' test tools || :
    grep -rnE "$commands" --include='*.sh' test tools || :
)
[ -z "$found" ] && exit 0
echo "$found"
exit 1
