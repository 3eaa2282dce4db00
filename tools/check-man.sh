#!/bin/sh
# check-man.sh - mandoc has nothing to say about our manual pages.
set -eu
cd "$(dirname "$0")/.."

pages=$(find man -name '*.[1-9]')
if [ -z "$pages" ]; then
    echo "no manual page yet"
    exit 77
fi
# A page may refer to one that only the installed system has.
found=$(mandoc -T lint -W warning $pages | grep -v 'referenced manual not' || :)
[ -z "$found" ] && exit 0
echo "$found"
exit 1
