#!/usr/bin/python3
"""test_vss_endtoend.py BUILD [COUNT] - snapshots in a row under write load,
with random faults: nothing stays frozen, no acknowledged write is missing in a
copy, no verdict is wrong.

On each of ext4, xfs and btrfs a writer appends numbered records and syncs each
(vss_writer.c). The host copies the images of the disks while they are frozen.
Meanwhile, at a random moment, something may happen: see FAULTS. A snapshot that
the host calls a success is then taken at its word:

  - no record was acknowledged while the images were copied;
  - the history has it as a success, and its window holds the whole copy;
  - with the application killed before the end of the copy it is called
    file-system consistent, not more;
  - each copy passes its file system's own check, can be mounted, and has every
    record that was acknowledged when the copy began, in order, whole.

HV_SOAK_SEED gives the seed that an earlier run printed, HV_SOAK_COUNT or COUNT
how many snapshots; "make soak" makes 100.
"""
import collections
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time

from machine import skip
from test_vss_freeze import Guest, wait_for
from vssbox import Box, filesystems, tool_path

COUNT = 12
WINDOW = 6.0        # a copy on a loaded machine has to fit
SLACK = 2.0
SETTINGS = "[vss]\nfrozen-window = 6s\n"
PRODUCTION = "production"

COPY = """#!/bin/sh
# Runs on the host while the guest is frozen.
set -e
now() { cut -d" " -f1 /proc/uptime; }
cd "$1"
cp "$2"/run/ack.* before/
now >began
%s
now >ended
cp "$2"/run/ack.* after/
"""


class Soak(Guest):
    def __init__(self, build, box, types):
        self.types = types
        self.copies = f"{box.dir}/copies"
        for name in ("before", "after"):
            os.makedirs(f"{self.copies}/{name}")
        self.script = f"{box.dir}/copy.sh"
        with open(self.script, "w", encoding="ascii") as f:
            f.write(COPY % "\n".join(
                f"cp --sparse=always {box.images['/' + t]} {t}.img"
                for t in types))
        super().__init__(build, box)
        self.writers = [
            box.spawn("vss_writer", f"/{t}/log", f"/run/ack.{t}")
            for t in types]
        for t in types:
            wait_for(lambda t=t: self.ack(box.path(f"/run/ack.{t}")))
        self.killed_app = None

    @staticmethod
    def ack(path):
        try:
            with open(path, "rb") as f:
                return struct.unpack("<Q", f.read(8))[0]
        except (FileNotFoundError, struct.error):
            return 0

    def worker(self):
        children = self.daemon.children()
        return children[0] if children else None

    def hit(self, pid, number):
        try:
            if pid:
                os.kill(pid, number)
        except ProcessLookupError:
            pass

    def snapshot(self):
        self.killed_app = None
        return subprocess.Popen(
            [f"{self.build}/prog/hvhost", "vss", "snapshot", "--dir", self.dir,
             "--production-only", "--json", "--", "sh", self.script,
             self.copies, self.box.path("/")], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def heal(self):
        """Whoever died is started again, as a service manager does."""
        if self.host.poll() is not None:
            self.start_host()
        if self.utilsd.poll() is not None:
            self.start_utilsd()
        if self.daemon.poll() is not None:
            self.start_daemon()
        if self.app.poll() is not None:
            self.start_app()
        for writer in self.writers:
            assert writer.poll() is None, "a writer ended"
        self.hvhost("offer", "vss")     # after a rescind; else refused

    def clocks(self):
        """When the copy began and ended, CLOCK_BOOTTIME here and there."""
        out = []
        for name in ("began", "ended"):
            with open(f"{self.copies}/{name}", encoding="ascii") as f:
                out.append(float(f.read()))
        return out

    # Faults. Each is done at some moment of a snapshot.

    def nothing(self):
        pass

    def kill_daemon(self):
        self.hit(self.worker(), signal.SIGKILL)

    def kill_guardian(self):
        self.daemon.kill()

    def kill_both(self):
        pids = (self.worker(), self.daemon.pid)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                self.hit(pid, number)
        self.daemon.wait(20)
        self.start_daemon()

    def kill_driver(self):
        self.utilsd.kill()
        self.utilsd.wait(20)
        self.start_utilsd()

    def kill_application(self):
        for pid in (*self.app.children(), self.app.pid):
            self.hit(pid, signal.SIGKILL)
        self.app.wait(20)
        self.killed_app = time.clock_gettime(time.CLOCK_BOOTTIME)

    def kill_host(self):
        self.host.kill()
        self.host.wait(20)

    def kill_snapshot(self):
        self.running.kill()

    def rescind(self):
        self.hvhost("rescind", "vss")

    def renegotiate(self):
        self.hvhost("renegotiate", "vss")

    def stop_daemon(self):
        pid = self.worker()
        self.hit(pid, signal.SIGSTOP)
        threading.Event().wait(self.chance.random() * WINDOW)
        self.hit(pid, signal.SIGCONT)

    def cover(self):
        self.box.overmount("/ext4")
        self.undo = lambda: self.box.umount("/ext4")

    def unmount(self):
        self.box.umount("/spare", lazy=True)
        self.undo = self.mount_spare

    def mount_spare(self):
        self.box.mount(self.box.devices["/spare"], "/spare", "ext4")

    # One round

    def round(self, fault, moment):
        self.undo = lambda: None
        started = time.monotonic()
        self.running = self.snapshot()
        threading.Event().wait(moment)
        fault(self)
        try:
            out, _ = self.running.communicate(timeout=60)
            self.took = time.monotonic() - started
        except subprocess.TimeoutExpired:
            self.running.kill()
            raise
        assert self.box.wait_thawed(WINDOW + SLACK), self.box.any_frozen()
        self.undo()
        verdict = self.verdict(out)
        if verdict == PRODUCTION:
            self.judge()
        self.heal()
        wait_for(lambda: self.hvhost("vss", "check")[0] == 0, 30)
        assert not self.box.any_frozen()
        return verdict

    def verdict(self, out):
        try:
            said = json.loads(out)
        except ValueError:
            said = {"outcome": "none", "why": "no verdict came"}
        self.why = said.get("guest") or said.get("why") or ""
        return said["outcome"]

    def judge(self):
        began, ended = self.clocks()
        for t in self.types:
            before = self.ack(f"{self.copies}/before/ack.{t}")
            after = self.ack(f"{self.copies}/after/ack.{t}")
            # One was durable already, and only had to be said.
            assert after <= before + 1, f"{t}: {after - before} while frozen"
            self.check_copy(t, before)
        record = self.recorded(began)
        assert record["result"] in ("application", "file-system"), record
        window = record["window"]
        frozen_at = window["frozen_at_us"] / 1e6
        # /proc/uptime has hundredths, cut off.
        assert frozen_at <= began + 0.01 and \
            ended <= frozen_at + window["frozen_us"] / 1e6, (began, record)
        if self.killed_app and self.killed_app < ended - 0.05:
            assert record["result"] == "file-system", record

    def recorded(self, began):
        """The history's record of the backup that was frozen then."""
        def found():
            for r in self.records():
                at = r.get("window", {}).get("frozen_at_us", 0) / 1e6
                until = at + r.get("window", {}).get("frozen_us", 0) / 1e6
                if at and at <= began + 0.01 <= until + 0.01:
                    return r
            return None
        try:
            return wait_for(found, 20)
        except AssertionError:
            raise AssertionError(f"nothing in the history at {began}: "
                                 f"{self.records()[-2:]}") from None

    def check_copy(self, t, acked):
        image = f"{self.copies}/{t}.img"
        if t != "xfs":          # whose log wants to be replayed, always
            passes_its_check(t, image)
        inside = f"/run/{t}.img"
        subprocess.run(["cp", "--sparse=always", image, self.box.path(inside)],
                       check=True)
        try:
            data = self.content(t, inside)
            passes_its_check(t, self.box.path(inside))
        finally:
            os.remove(self.box.path(inside))
        verify(t, data, acked)

    def content(self, t, image):
        """The writer's file in the copy: mounted, as a restore would."""
        device = self.box.loop(image)
        try:
            self.box.mount(device, "/run/restored", t,
                           data="nouuid" if t == "xfs" else "")
            data = self.box.read("/run/restored/log")
            self.box.umount("/run/restored")
        finally:
            holder = self.box.left_behind.pop()
            holder.helper.kill()
            holder.helper.wait()
        return data

    def finish(self):
        for writer in self.writers:
            writer.kill()
        super().end()


def passes_its_check(t, image):
    check = {"ext4": ("e2fsck", "-fn"), "xfs": ("xfs_repair", "-n", "-f"),
             "btrfs": ("btrfs", "check", "--readonly")}[t]
    done = subprocess.run([*check, image], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, env={**os.environ, "PATH": tool_path()})
    assert done.returncode == 0, (check, done.stdout.decode())


def verify(t, data, acked):
    """Records from 1 on, whole and in order; the last may be torn."""
    count = len(data) // 32
    assert count >= acked, f"{t}: {acked} were acknowledged, {count} are there"
    mask = (1 << 64) - 1
    for i, (n, *rest) in enumerate(struct.iter_unpack("<4Q",
                                                      data[:count * 32])):
        assert n == i + 1 and rest == [
            n * 0x9e3779b97f4a7c15 & mask, ~n & mask,
            n ^ 0x5a5a5a5a5a5a5a5a] or i >= acked, f"{t}: record {i + 1}"


FAULTS = (
    Soak.kill_daemon, Soak.kill_guardian, Soak.kill_both, Soak.kill_driver,
    Soak.kill_application, Soak.kill_host, Soak.kill_snapshot, Soak.rescind,
    Soak.renegotiate, Soak.stop_daemon, Soak.cover, Soak.unmount,
)


def main(build, count):
    seed = int(os.environ.get("HV_SOAK_SEED", random.randrange(1 << 32)))
    print(f"seed {seed} (HV_SOAK_SEED), {count} snapshots", flush=True)
    chance = random.Random(seed)
    types = filesystems("ext4", "xfs", "btrfs")
    for tool in ("e2fsck", "xfs_repair", "btrfs"):
        if not shutil.which(tool, path=tool_path()):
            skip(f"no {tool}")
    # Each fault once before any comes again; every third round has none.
    plan = []
    while len(plan) < count:
        plan += chance.sample(FAULTS, len(FAULTS))
    plan = [Soak.nothing if i % 3 == 0 else plan[i] for i in range(count)]
    with Box(build, disks=[(t, f"/{t}") for t in types] +
             [("ext4", "/spare", 32), ("ext4", "/var/log", 32)], shell=True,
             programs=[f"{build}/test/system/vss_writer"],
             files={"/etc/hyperv/hvtools.conf": SETTINGS}) as box:
        box.mkdir("/run/restored")
        soak = Soak(build, box, types)
        soak.chance = chance
        verdicts = collections.Counter()
        usual = 1.0
        try:
            for i, fault in enumerate(plan):
                began = time.monotonic()
                moment = 0 if fault == Soak.nothing else \
                    chance.random() * usual
                verdict = soak.round(fault, moment)
                if fault == Soak.nothing:
                    usual = soak.took
                verdicts[verdict] += 1
                print(f"{i + 1}: {fault.__name__} at {moment:.2f} s: "
                      f"{verdict}; {time.monotonic() - began:.1f} s"
                      f"{verdict != PRODUCTION and '; ' + soak.why or ''}",
                      flush=True)
        except BaseException:
            print(soak.log()[-4000:], file=sys.stderr)
            raise
        acked = {t: soak.ack(box.path(f"/run/ack.{t}")) for t in types}
        soak.finish()
    print(f"verdicts: {dict(verdicts)}; acknowledged: {acked}")
    assert verdicts[PRODUCTION] * 4 >= count, "too few succeeded to say much"


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]),
         int(sys.argv[2] if len(sys.argv) > 2 else
             os.environ.get("HV_SOAK_COUNT", COUNT)))
