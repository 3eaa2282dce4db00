#!/usr/bin/python3
"""testlog.py BUILD - Meson's JSON test log as lines: result, name, reason.

What a failed test printed goes to stderr, where a person finds it; a skipped
test's reason is the last line it printed, on stdout if there is one: the
programs it ran say theirs on stderr.
"""
import json
import sys

RESULT = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}


def last_line(test):
    for said in test.get("stdout", ""), test.get("stderr", ""):
        lines = [line.strip() for line in said.split("\n") if line.strip()]
        if lines:
            return lines[-1].replace("\t", " ").removeprefix("skipped: ")
    return "no reason given"


def main(build):
    try:
        log = open(f"{build}/meson-logs/testlog.json", encoding="utf-8")
    except FileNotFoundError:
        return
    for test in map(json.loads, log):
        result = RESULT.get(test["result"], "failed")
        # "open-hv-tools:unit / ring" is unit/ring to us
        name = test["name"].rpartition(":")[2].replace(" / ", "/")
        if build != "build":
            name = f"{build}/{name}"
        reason = ""
        if result == "skipped":
            reason = last_line(test)
        elif result == "failed":
            reason = test["result"].lower()
            print(f"---- {name}: {reason}", file=sys.stderr)
            print(test.get("stdout", ""), test.get("stderr", ""),
                  sep="", file=sys.stderr)
        print(result, name, reason, sep="\t")


main(sys.argv[1])
