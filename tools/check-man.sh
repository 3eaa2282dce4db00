#!/bin/sh
# check-man.sh - mandoc has nothing to say about our manual pages, every
# program has one, all are installed, and whoever refers to one names its
# section.
set -eu
cd "$(dirname "$0")/.."

pages=$(find man -name '*.[1-9]')
if [ -z "$pages" ]; then
    echo "no manual page yet"
    exit 77
fi
# A page may refer to one that only the installed system has.
found=$(mandoc -T lint -W warning $pages | grep -v 'referenced manual not' || :)
for page in $pages; do
    file=${page##*/} name=${page%.*} name=${name##*/} section=${page##*.}
    grep -q "'$file'" man/meson.build || found="$found
man/meson.build does not install $file"
    wrong=$(git ls-files -- '*.md' '*.[ch]' '*.sh' '*.py' etc man tools |
        xargs grep -nE "(\.Xr |\b)$name( |\()[1-9]\b" |
        grep -E "\.Xr $name |$name\(" |
        grep -vE "$name( |\()$section" || :)
    [ -z "$wrong" ] || found="$found
$wrong"
done
for program in $(sed -n "s/.*executable('\([^']*\)'.*/\1/p" prog/meson.build)
do
    ls "man/$program".[1-9] >/dev/null 2>&1 || found="$found
$program has no manual page"
done
[ -z "$found" ] && exit 0
echo "$found"
exit 1
