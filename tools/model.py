#!/usr/bin/python3
"""model.py [--fast] [-v] - verify the models in test/model/ with spin.

Each run is a bounded configuration (see the model). A run must find no failed
assertion and no invalid end state. Besides:

  no run is endless    a search for cycles finds none, so what is asserted of
                       every last state ("all thawed, everybody told, every
                       request answered") holds "in the end" of every run
  in the end           the same as a formula, under weak fairness
  every row is taken   of src/vss/vss_fsm.def, in one of the runs

--fast does the first run alone. 77, skipped, without spin.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FSM = f"{TOP}/src/vss/vss_fsm.def"
MEGABYTES = 2000
SAFETY = ["-DSAFETY", "-DCOLLAPSE"]
CYCLES = ["-DNP", "-DCOLLAPSE", "-DNFAIR=3"]
FORMULA = ["-DCOLLAPSE", "-DNFAIR=3"]


def vss(apps, faults, requests, resets, *more):
    return [f"-DAPPS={apps}", f"-DFAULTS={faults}", f"-DREQUESTS={requests}",
            f"-DRESETS={resets}", *more]


# name, model, its macros, how pan is compiled and called, in --fast as well
RUNS = [
    ("one application, a fault and a reset", "vss", vss(1, 1, 2, 1),
     SAFETY, [], True),
    ("one application, no fault", "vss", vss(1, 0, 3, 0), SAFETY, [], False),
    ("no run is endless", "vss", vss(1, 1, 1, 1), CYCLES, ["-l"], False),
    ("in the end", "vss", vss(1, 1, 1, 1, "-DFORMULA"), FORMULA,
     ["-a", "-f"], False),
    ("one application, three requests", "vss", vss(1, 0, 3, 1), SAFETY, [],
     False),
    ("one application, two faults", "vss", vss(1, 2, 2, 0), SAFETY, [],
     False),
    ("two applications", "vss", vss(2, 0, 2, 1), SAFETY, [], False),
    ("two applications, a fault", "vss", vss(2, 1, 1, 0), SAFETY, [], False),
]


def call(*argv, where, env=None):
    done = subprocess.run(argv, cwd=where, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, text=True,
                          stdin=subprocess.DEVNULL, env=env)
    return done.returncode, done.stdout


def must(*argv, where):
    status, out = call(*argv, where=where)
    if status:
        sys.exit(f"model: {' '.join(argv)}: {out}")


def rows():
    """Line numbers of the table's rows."""
    with open(FSM, encoding="ascii") as f:
        return {n: line.split("/*")[0].strip()
                for n, line in enumerate(f, 1) if line.startswith("ROW(")}


def untaken(out):
    return {int(n) for n in re.findall(r"vss_fsm\.def:(\d+), state", out)}


def show(model, macros, where):
    """How it came to that."""
    _, out = call("spin", *macros, "-k", f"{model}.pml.trail", "-p", "-g",
                  f"{TOP}/test/model/{model}.pml", where=where)
    return out


def verify(name, model, macros, cflags, args, verbose):
    """Verified or not, and the rows that this run did not take."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hvmodel.") as where:
        must("spin", *macros, "-a", f"{TOP}/test/model/{model}.pml",
             where=where)
        must("gcc", "-w", "-O1", f"-DMEMLIM={MEGABYTES}", *cflags, "-o",
             "pan", "pan.c", where=where)
        _, out = call("./pan", "-m100000", *args, where=where)
        good = re.search(r"errors: 0\b", out) and \
            "Search not completed" not in out and "too small" not in out
        if not good:
            print(out, show(model, macros, where) if verbose else "", sep="\n")
    states = re.search(r"(\d\S*) states, stored", out)
    memory = re.search(r"(\S+)\s+total actual memory", out)
    print(f"{'verified' if good else 'FAILED':9} {name}: "
          f"{states[1] if states else '?'} states, "
          f"{memory[1] if memory else '?'} MB, "
          f"{time.monotonic() - began:.1f} s", flush=True)
    return bool(good), untaken(out)


def main(fast, verbose):
    for tool in ("spin", "gcc"):
        if not shutil.which(tool):
            print(f"{tool} is not there")
            return 77
    good, never = True, set(rows())
    for name, model, macros, cflags, args, always in RUNS:
        if fast and not always:
            continue
        ok, missed = verify(name, model, macros, cflags, args, verbose)
        good = good and ok
        if model == "vss" and "-DSAFETY" in cflags:
            never &= missed
    for line in sorted(never):
        print(f"never taken: {rows()[line]}")
    if not never:
        print(f"every one of {len(rows())} rows is taken")
    return 0 if good and not never else 1


sys.exit(main("--fast" in sys.argv, "-v" in sys.argv))
