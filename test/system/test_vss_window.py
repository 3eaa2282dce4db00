#!/usr/bin/python3
"""test_vss_window.py BUILD - what the daemon and its guardian ask of the kernel
between the first FIFREEZE and the last FITHAW, as strace(1) sees it: freezing,
thawing, waiting, and talking through sockets. No memory, no path, no file.
"""
import os
import re
import subprocess
import sys
import tempfile

from machine import _die_with_parent as die_with_parent, skip
from vss_driver import ABORT, FAIL, FREEZE, OK, THAW, Driver, start, wait_for
from vssbox import Box

QUIET = {"epoll_wait", "epoll_pwait", "epoll_ctl", "futex", "poll", "ppoll",
         "recvfrom", "recvmsg", "sendto", "sendmsg", "clock_nanosleep",
         "nanosleep", "timerfd_settime", "restart_syscall", "clock_gettime",
         "gettimeofday", "sched_yield", "rt_sigreturn", "getpid"}
LINE = re.compile(r"^\d+\s+(?:<\.\.\. )?(\w+)(\(| resumed)(.*)$")


def trace(pids, path):
    """strace of these processes and their threads, once it has them all."""
    options = [x for pid in pids for x in ("-p", str(pid))]
    tracer = subprocess.Popen(
        ["strace", "-f", "-y", "-o", path, *options], stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    waiting = set(map(str, pids))
    said = b""
    for line in tracer.stderr:
        said += line
        found = re.match(rb"strace: Process (\d+) attached", line)
        if found:
            waiting.discard(found.group(1).decode())
        if not waiting:
            return tracer
    skip(f"strace may not trace here: {said.decode()[:200]}")


def allowed(call, rest):
    """Of the calls that depend on what they are about."""
    if call == "ioctl":
        return "FIFREEZE" in rest or "FITHAW" in rest
    if call in ("read", "write"):
        return re.match(r"\d+<anon_inode:\[?(eventfd|timerfd)", rest)
    if call == "close":         # of a driver that has hung up
        return "<socket:" in rest
    return call in QUIET


def window(path):
    """The calls between the first FIFREEZE and the last FITHAW."""
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    first = next(i for i, line in enumerate(lines) if "FIFREEZE" in line)
    last = max(i for i, line in enumerate(lines) if "FITHAW" in line)
    for line in lines[first:last]:
        found = LINE.match(line)
        if found and found.group(2) == "(":
            yield found.group(1), found.group(3), line


def nothing_but_the_freeze_happens(box, path, end):
    with Driver(box) as driver:
        daemon = start(box)
        driver.accept()
        worker = wait_for(daemon.children)[0]
        assert driver.ask(FREEZE) == (OK, "")       # all code was run once
        assert driver.ask(THAW) == (OK, "")
        tracer = trace([daemon.pid, worker], path)
        assert driver.ask(FREEZE, frozen_ms=2000) == (OK, "")
        if end == "thaw":
            assert driver.ask(THAW) == (OK, "")
        elif end == "deadline":
            assert driver.receive()[:2] == (ABORT, FAIL)
        else:                                       # the driver's end
            driver.hang_up()
            driver.accept()
        assert box.wait_thawed(1)
        tracer.terminate()
        tracer.stderr.close()
        tracer.wait(20)
        daemon.terminate()
        assert daemon.wait(20) == 0
    calls = list(window(path))
    bad = [line for call, rest, line in calls if not allowed(call, rest)]
    assert not bad, "\n".join(bad[:20])
    frozen = sum("FIFREEZE" in rest for _, rest, _ in calls)
    assert frozen == len(box.devices), calls
    print(f"{end}: {len(calls)} calls")


def main(build):
    try:
        subprocess.run(["strace", "-V"], check=True,
                       stdout=subprocess.DEVNULL)
    except (FileNotFoundError, subprocess.CalledProcessError):
        skip("needs strace")
    with Box(build, disks=[("ext4", "/data"), ("ext4", "/more")]) as box, \
            tempfile.TemporaryDirectory(prefix="hvwindow.") as tmp:
        for end in ("thaw", "deadline", "hang-up"):
            nothing_but_the_freeze_happens(box, f"{tmp}/{end}", end)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
