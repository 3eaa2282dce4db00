#!/usr/bin/python3
"""bench.py BUILD [NAME...] - run the benches, print one table, judge the bars.

Each build/test/bench/bench_* prints rows as JSON (test/bench/bench.h). All
rows go to BUILD/bench.json. The exit status is 1 when a bar is missed or a
bench fails.
"""
import glob
import json
import os
import platform
import subprocess
import sys
import tempfile


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        for line in cpuinfo:
            if line.startswith(("model name", "CPU part")):
                model = line.split(":", 1)[1].strip()
                break
    return (f"{model}, {os.cpu_count()} cores, "
            f"{platform.system()} {platform.release()}")


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def meets(row):
    """True, False, or None when the row has no bar."""
    if row.get("bar") is None:
        return None
    got = row["ours"] if row.get("ratio") is None else row["ratio"]
    return got >= row["bar"] if row["sense"] == ">=" else got <= row["bar"]


def cells(row):
    if "skipped" in row:
        return [row["name"], "", "", "", "", "", "skipped: " + row["skipped"]]
    bar = ""
    if row.get("bar") is not None:
        bar = f"{row['sense']} {number(row['bar'])}"
    verdict = {True: "met", False: "MISSED", None: ""}[meets(row)]
    peer = number(row.get("peer"))
    if row.get("peer_name"):
        peer += f" ({row['peer_name']})"
    return [row["name"], f"{number(row['ours'])} {row['unit']}", peer,
            number(row.get("ratio")), bar, verdict, ""]


def print_table(rows):
    table = [["", "ours", "peer", "ratio", "bar", "", ""]]
    table += [cells(row) for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(7)]
    for line in table:
        print("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip())


def run(program, build):
    """The rows of one bench and whether it ended well."""
    print(f"-- {os.path.basename(program)}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="hvbench.") as tmp:
        done = subprocess.run([program, build], stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, check=False,
                              env=dict(os.environ, TMPDIR=tmp))
    rows = [json.loads(line) for line in done.stdout.splitlines()
            if line.startswith(b"{")]
    if done.returncode:
        print(f"{program} failed: {done.returncode}", file=sys.stderr)
    return rows, done.returncode == 0


def main(build, names):
    build = os.path.abspath(build)
    programs = [p for p in sorted(glob.glob(f"{build}/test/bench/bench_*"))
                if os.path.isfile(p) and os.access(p, os.X_OK)
                and (not names or os.path.basename(p)[6:] in names)]
    all_rows, good = [], bool(programs)
    for program in programs:
        rows, ended_well = run(program, build)
        all_rows += rows
        good = good and ended_well
    with open(f"{build}/bench.json", "w", encoding="utf-8") as out:
        json.dump(all_rows, out, indent=1)
        out.write("\n")

    print(f"\n{machine()}\n")
    print_table(all_rows)
    missed = [row["name"] for row in all_rows if meets(row) is False]
    print(f"\n{len(all_rows)} rows, {len(missed)} bars missed"
          f"{': ' + ', '.join(missed) if missed else ''}"
          f"; also in {os.path.relpath(build)}/bench.json")
    return 0 if good and not missed else 1


sys.exit(main(sys.argv[1], sys.argv[2:]))
