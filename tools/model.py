#!/usr/bin/python3
"""model.py [--fast] [-v] | --self-test - verify the models in test/model/ with spin.

Each run is a bounded configuration (see the model). A run must find no failed
assertion and no invalid end state. Besides:

  no run is endless    a search for cycles finds none, so what is asserted of
                       every last state ("all thawed, everybody told, every
                       request answered") holds "in the end" of every run
  in the end           the same as a formula, under weak fairness
  every row is taken   of src/vss/vss_fsm.def, in one of the runs

  what is expected     of guardian.pml: what cannot be helped is found, and so
                       is a mistake that was mended

--fast does the small runs alone. --self-test plants a row that cannot be taken
and one that must not be, and sees both reported. 77, skipped, without spin.
"""
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FSM = "src/vss/vss_fsm.def"
MEGABYTES = 2000
# What the table becomes in C takes gcc ten times as long with -O as without.
SMALL = ["-O0", "-DSAFETY"]
SAFETY = ["-O1", "-DSAFETY", "-DCOLLAPSE"]
CYCLES = ["-O0", "-DNP", "-DCOLLAPSE", "-DNFAIR=3"]
FORMULA = ["-O0", "-DCOLLAPSE", "-DNFAIR=3"]


def vss(apps, faults, requests, resets, *more):
    return [f"-DAPPS={apps}", f"-DFAULTS={faults}", f"-DREQUESTS={requests}",
            f"-DRESETS={resets}", *more]


# Each must be found wrong: what cannot be helped, and what was mended.
def wrong(name, cflags, args, *macros):
    return (name, "guardian", list(macros), cflags, args, True)


GUARDIAN = ["-O0", "-DNFAIR=4"]
EXPECTED = [
    wrong("killed before EBUSY is stored", SMALL, ["-E"], "-DNEVER=OVER"),
    wrong("late before EBUSY is stored", SMALL, ["-E"], "-DNEVER=ASKED"),
    wrong("an orphan taken for dead", GUARDIAN, ["-a", "-f"], "-DFORMULA",
          "-DFOREIGN=0", "-DORPHAN_IS_DEAD"),
]
STATES = re.compile(r"^\tFREEZE_([A-Z]+),", re.M)

# name, model, its macros, how pan is compiled and called, in --fast as well
RUNS = [
    ("one application, a fault", "vss", vss(1, 1, 2, 0), SMALL, [], True),
    ("one application, a reset", "vss", vss(1, 0, 2, 1), SMALL, [], True),
    ("who thaws: nobody else's", "guardian", [], SMALL, ["-E"], True),
    ("who thaws: in the end", "guardian", ["-DFORMULA", "-DFOREIGN=0"],
     GUARDIAN, ["-a", "-f"], True),
    ("one application, a fault and a reset", "vss", vss(1, 1, 2, 1),
     SAFETY, [], False),
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


def rows(top):
    """The table's rows by their line numbers."""
    with open(f"{top}/{FSM}", encoding="ascii") as f:
        return {n: line.split("/*")[0].strip()
                for n, line in enumerate(f, 1) if line.startswith("ROW(")}


def show(top, model, macros, where):
    """How it came to that."""
    _, out = call("spin", *macros, "-k", f"{model}.pml.trail", "-p", "-g",
                  f"{top}/test/model/{model}.pml", where=where)
    return out


def same_states():
    """The model's states are those of vss/frozen.h."""
    with open(f"{TOP}/src/vss/frozen.h", encoding="ascii") as f:
        ours = set(STATES.findall(f.read())) - {"N_STATES"}
    with open(f"{TOP}/test/model/guardian.pml", encoding="ascii") as f:
        text = re.search(r"enum freeze_state \*/(.*?)\}", f.read(), re.S)[1]
    theirs = {name.rstrip("_") for name in re.findall(r"[A-Z_]+", text)}
    if ours - theirs or theirs - ours:
        print(f"guardian.pml has not frozen.h's states: {ours ^ theirs}")
    return ours == theirs


def verify(top, run, verbose, wrong_is_right=False):
    """Verified or not, and the rows that this run took."""
    name, model, macros, cflags, args, _ = run
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hvmodel.") as where:
        must("spin", *macros, "-a", f"{top}/test/model/{model}.pml",
             where=where)
        must("gcc", "-w", f"-DMEMLIM={MEGABYTES}", *cflags, "-o",
             "pan", "pan.c", where=where)
        _, out = call("./pan", "-m100000", *args, where=where)
        good = re.search(r"errors: 0\b", out) and \
            "Search not completed" not in out and "too small" not in out
        if wrong_is_right:
            good = re.search(r"assertion violated|acceptance cycle", out)
        if not good:
            print(out, show(top, model, macros, where) if verbose else "",
                  sep="\n")
    states = re.search(r"(\d\S*) states, stored", out)
    memory = re.search(r"(\S+)\s+total actual memory", out)
    print(f"{('found' if wrong_is_right else 'verified') if good else 'FAILED':9} {name}: "
          f"{states[1] if states else '?'} states, "
          f"{memory[1] if memory else '?'} MB, "
          f"{time.monotonic() - began:.1f} s", flush=True)
    return bool(good), {int(n) for n in re.findall(r"row taken: (\d+)", out)}


def verify_all(top, runs, verbose):
    """All verified or not, and the rows that no run took."""
    good, never = True, rows(top)
    for run in runs:
        ok, taken = verify(top, run, verbose)
        good = good and ok
        for n in taken:
            never.pop(n, None)
    return good, list(never.values())


def planted(edit):
    """What is said of a small run when the table is another one."""
    with tempfile.TemporaryDirectory(prefix="hvmodel.") as top:
        shutil.copytree(f"{TOP}/test/model", f"{top}/test/model")
        os.makedirs(os.path.dirname(f"{top}/{FSM}"))
        with open(f"{TOP}/{FSM}", encoding="ascii") as f:
            table = f.read()
        with open(f"{top}/{FSM}", "w", encoding="ascii") as f:
            f.write(edit(table))
        with contextlib.redirect_stdout(io.StringIO()):
            return verify_all(top, RUNS[1:2], False)


def self_test():
    extra = ["ROW(CHECK_APPS,  WINDOW,  IDLE,        nothing)",
             "ROW(IDLE,        FS_OK,   IDLE,        reply_ok)"]
    good, never = planted(lambda table: table + "\n".join(extra) + "\n")
    known = "ROW(FROZEN,      WINDOW,  BREAK_FS,    abort_fs)"
    if not good or known in never or not set(extra) <= set(never):
        print("rows that cannot be taken are not noticed")
        return 1
    # The snapshot ends, and nobody thaws.
    good, _ = planted(lambda table: table.replace(
        known, "ROW(FROZEN,      WINDOW,  BROKEN,      nothing)"))
    if good:
        print("a row that leaves applications waiting is not noticed")
        return 1
    print("a row never taken, and a wrong one: both are noticed")
    return 0


def main(argv):
    for tool in ("spin", "gcc"):
        if not shutil.which(tool):
            print(f"{tool} is not there")
            return 77
    if "--self-test" in argv:
        return self_test()
    runs = [run for run in RUNS if run[-1] or "--fast" not in argv]
    good, never = verify_all(TOP, runs, "-v" in argv)
    for row in never:
        print(f"never taken: {row}")
    if not never:
        print(f"every one of {len(rows(TOP))} rows is taken")
    good = same_states() and good
    for run in EXPECTED:
        good = verify(TOP, run, "-v" in argv, True)[0] and good
    return 0 if good and not never else 1


sys.exit(main(sys.argv[1:]))
