#!/usr/bin/python3
"""test_vssbox.py BUILD - the box keeps what it promises: nothing of the
machine is in it, what is frozen in it is found and thawed, nothing stays.
"""
import glob
import os
import signal
import subprocess
import sys
import tempfile

from vssbox import Box, filesystems

OWN = ["/", "/dev", "/proc", "/run", "/sys", "/tmp"]


def loops_on(directory):
    """Loop devices of this machine whose file is below directory."""
    found = []
    for path in glob.glob("/sys/block/loop*/loop/backing_file"):
        try:
            with open(path, encoding="utf-8") as f:
                if f.read().startswith(directory):
                    found.append(path)
        except OSError:
            pass
    return found


def holds_nothing_else(box, disks):
    with open(f"/proc/{box.pid}/mountinfo", encoding="ascii") as f:
        mounted = sorted(line.split()[4] for line in f)
    assert mounted == sorted(OWN + [d[1] for d in disks]), mounted
    for fd in os.listdir(f"/proc/{box.pid}/fd"):
        to = os.readlink(f"/proc/{box.pid}/fd/{fd}")
        assert to.startswith(("/dev/", "pipe:", "anon_inode:")), to


def freezes_and_thaws(box):
    for where in box.devices:
        assert not box.frozen(where), where
        box.freeze(where)
        assert box.frozen(where), where
        assert box.any_frozen() == [where]
        with tempfile.NamedTemporaryFile() as f:    # the machine goes on
            f.write(b"x")
            f.flush()
            os.fsync(f.fileno())
        assert loops_on(box.dir)
        try:
            box.write(f"{where}/blocked", "x", timeout=0.2)
            raise AssertionError(f"a write to {where} went through")
        except subprocess.TimeoutExpired:
            pass
        box.thaw(where)
        assert box.wait_thawed(5)
        box.write(f"{where}/after", "y")
        assert box.read(f"{where}/after") == b"y"


def finds_what_is_covered(box):
    box.freeze("/data")
    box.overmount("/data")
    assert box.frozen("/data")
    box.umount("/data")
    box.thaw("/data")
    box.freeze("/data")
    box.umount("/data", lazy=True)
    assert box.frozen("/data")      # and its end has to thaw it


def runs_programs(box):
    child = box.popen("vssbox", stderr=subprocess.PIPE)
    assert b"usage" in child.stderr.read()
    assert child.wait(10) == 2
    lasting = box.popen("vssbox", "serve", "x", "y", "z",
                        stderr=subprocess.PIPE)
    assert lasting.wait(10) == 2
    assert box.run_status(box.tool)[0] == 2


def ends_with_its_test(build):
    """The process that made a box is killed while something is frozen."""
    code = ("import sys; sys.path.insert(0, sys.argv[2])\n"
            "from vssbox import Box\n"
            "box = Box(sys.argv[1]).__enter__()\n"
            "box.freeze('/data')\n"
            "print(box.dir, box.pid, flush=True)\n"
            "sys.stdin.read()\n")
    child = subprocess.Popen(
        [sys.executable, "-c", code, build, os.path.dirname(__file__)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    directory, pid = child.stdout.readline().decode().split()
    assert int(pid) and loops_on(directory)
    child.send_signal(signal.SIGKILL)
    child.wait()
    signal.alarm(20)
    while loops_on(directory) or os.path.exists(directory):
        os.sched_yield()
    signal.alarm(0)


def ends_without_its_init(build):
    """Process 1 is killed, and cannot thaw what it leaves."""
    with Box(build, disks=[("ext4", "/data"), ("ext4", "/more")]) as box:
        box.freeze("/data")
        box.freeze("/")
        os.kill(box.pid, signal.SIGKILL)
        directory = box.dir
    assert not loops_on(directory) and not os.path.exists(directory)


def main(build):
    disks = [(fs, where) for fs, where in
             (("ext4", "/data"), ("xfs", "/x"), ("btrfs", "/b"))
             if filesystems(fs)]
    with Box(build, disks=disks) as box, Box(build) as other:
        holds_nothing_else(box, disks)
        holds_nothing_else(other, [("ext4", "/data")])
        freezes_and_thaws(box)
        runs_programs(box)
        other.freeze("/data")
        other.freeze("/")
        finds_what_is_covered(box)
        directories = (box.dir, other.dir)
    for directory in directories:
        assert not loops_on(directory), loops_on(directory)
        assert not os.path.exists(directory)
    ends_with_its_test(build)
    ends_without_its_init(build)


if __name__ == "__main__":
    main(sys.argv[1])
