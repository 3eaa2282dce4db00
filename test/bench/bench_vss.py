#!/usr/bin/python3
"""bench_vss BUILD - what a snapshot costs those who write meanwhile, and what
many file systems cost. Everything in a box (test/system/vssbox.py).

Stall: four ext4 with steady writers (stall_writer.c) and tens of megabytes of
dirty data each; the host makes a snapshot with no hold. The longest write(2)
on any of them, ours and Debian's hv_vss_daemon in turn on the same driver and
disks, medians of ROUNDS snapshots each.

Growth: how long everything is frozen in a snapshot with no hold, by the
history, with the root alone and with 31 more file systems; medians.
"""
import json
import os
import statistics
import struct
import sys
import tempfile
import threading

sys.path[:0] = [f"@SOURCE@/test/{d}" for d in ("system", "peers")]
from test_debian_vss import DEBIAN_VSS, DebianGuest, trees  # noqa: E402
from test_vss_freeze import Guest, wait_for  # noqa: E402
from vssbox import Box  # noqa: E402

ROUNDS = 7
DIRTY = 64              # MB on each file system
PLACES = ["/fs0", "/fs1", "/fs2", "/fs3"]
MANY = 32
STALL = "vss, longest stall of a writer, ours / Debian's"
GROWTH = f"vss, frozen time, {MANY} file systems / 1"


def print_row(**row):
    print(json.dumps(row), flush=True)


class Pair(DebianGuest):
    """One guest, now with our daemon, now with Debian's."""
    ours = True

    def start_daemon(self):
        (Guest if self.ours else DebianGuest).start_daemon(self)

    def change(self, ours):
        self.daemon.terminate()
        self.daemon.wait(20)
        self.ours = ours
        self.start_daemon()
        wait_for(lambda: self.hvhost("vss", "check")[0] == 0)

    def snapshot(self):
        code, out = self.hvhost("vss", "snapshot", "--production-only")
        assert code == 0, out


def stall_ms(guest, ours, results):
    """The longest wait during one snapshot."""
    guest.change(ours)
    for place in PLACES:
        guest.box.dirty(f"{place}/dirty", DIRTY)
    with open(results, "r+b") as f:
        f.write(bytes(8 * len(PLACES)))
    guest.snapshot()
    threading.Event().wait(0.05)        # the last writers come back
    with open(results, "rb") as f:
        worst = struct.unpack(f"<{len(PLACES)}Q", f.read())
    return max(worst) / 1e6


def bench_stall(build):
    if not os.path.exists(f"{build}/{DEBIAN_VSS}"):
        print_row(name=STALL,
                  skipped="Debian's hv_vss_daemon is not in build/peers")
        return
    with tempfile.TemporaryDirectory() as tmp, \
            Box(build, disks=[("ext4", place, 256) for place in PLACES],
                trees=trees(build, tmp), shell=True,
                programs=[f"{build}/test/bench/stall_writer"]) as box:
        guest = Pair(build, box)
        box.spawn("stall_writer", "/run/stall", *PLACES)
        results = box.path("/run/stall")
        wait_for(lambda: os.path.exists(results) and
                 os.path.getsize(results) == 8 * len(PLACES))
        got = {True: [], False: []}
        for _ in range(ROUNDS):
            for ours in (True, False):
                got[ours].append(stall_ms(guest, ours, results))
        for ours, each in got.items():
            print(f"{'ours' if ours else 'Debian'}: "
                  f"{[round(ms, 1) for ms in each]} ms", file=sys.stderr)
        guest.end()
    mine, theirs = (statistics.median(got[w]) for w in (True, False))
    print_row(name=STALL, unit="ms", ours=mine, peer=theirs,
              peer_name="Debian hv_vss_daemon", ratio=mine / theirs,
              sense="<=", bar=0.2)


def frozen_ms(build, count):
    """The median with so many file systems, the root among them."""
    disks = [("ext4", f"/fs{i}", 16) for i in range(1, count)]
    with Box(build, disks=disks, shell=True) as box:
        guest = Pair(build, box)
        for i in range(ROUNDS):
            for where in box.devices:
                box.dirty(f"{where.rstrip('/')}/dirty", 1)
            guest.snapshot()
            wait_for(lambda i=i: len(windows(guest)) == i + 1)
        got = windows(guest)
        guest.end()
    print(f"{count} file systems: {[round(ms, 1) for ms in got]} ms",
          file=sys.stderr)
    return statistics.median(got)


def windows(guest):
    return [r["window"]["frozen_us"] / 1e3 for r in guest.records()
            if "window" in r]


def bench_growth(build):
    one, many = frozen_ms(build, 1), frozen_ms(build, MANY)
    print_row(name=GROWTH, unit="ms", ours=many, peer=one,
              peer_name="ours, 1 file system", ratio=many / one, sense="<=",
              bar=MANY / 4)


def main(build):
    if os.geteuid() != 0:
        for name in (STALL, GROWTH):
            print_row(name=name, skipped="needs root for a box")
        return
    bench_stall(build)
    bench_growth(build)


main(os.path.abspath(sys.argv[1]))
