#!/usr/bin/python3
"""test_kvp_daemon.py BUILD - hv_kvp_daemon as a process: started twice, killed
at any time, in the background, with a driver that comes and goes, and with no
more rights and memory than it needs.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from kvp_driver import Driver, INVALID
from machine import _die_with_parent as die_with_parent

RSS_LIMIT_KIB = 4096
EX_UNAVAILABLE = 69


class Daemon:
    def __init__(self, build, tmp, *more):
        self.tmp = tmp
        self.proc = subprocess.Popen(
            [f"{build}/prog/hv_kvp_daemon", "-n", "--device",
             f"{tmp}/dev/hv_kvp_dev", "--state-dir", f"{tmp}/state",
             "--run-dir", f"{tmp}/run", "--config", "/dev/null", *more],
            stderr=subprocess.PIPE, preexec_fn=die_with_parent)

    def ctl(self, cmd):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(f"{self.tmp}/run/hv_kvp_daemon.ctl")
            s.sendall(json.dumps({"cmd": cmd}).encode() + b"\n")
            with s.makefile() as lines:
                reply = json.loads(lines.readline())
        assert reply["ok"], reply
        return reply

    def proc_status(self):
        with open(f"/proc/{self.proc.pid}/status", encoding="ascii") as f:
            return dict(line.split(":", 1) for line in f)

    def end(self, sig=signal.SIGTERM):
        self.proc.send_signal(sig)
        code = self.proc.wait(20)
        self.proc.stderr.close()
        return code


def serves_and_tells(build, tmp, form):
    driver = Driver(f"{tmp}/dev/hv_kvp_dev", form)
    daemon = Daemon(build, tmp, "--form", form, "--no-sync")
    driver.accept()
    assert driver.set(0, "k", form) == 0
    assert driver.get(0, "k") == (0, form)
    assert driver.enumerate(0) == [("k", form)]
    assert driver.get(9, "k")[0] == INVALID
    assert driver.delete(0, "k") == 0
    status = daemon.ctl("status")
    assert status["registered"] and status["form"] == form
    assert status["driver_version"] == ("3.1" if form == "linux" else "")
    assert status["requests"]["GET"] == 2
    assert status["outcomes"]["refused"] == 1
    assert [p["pool"] for p in status["pools"]] == [0, 1, 2, 3, 4]
    items = daemon.ctl("auto")["items"]
    assert [i["key"] for i in items][:2] == [
        "FullyQualifiedDomainName", "IntegrationServicesVersion"]
    assert items == [{"key": k, "value": v} for k, v in driver.enumerate(2)]
    assert daemon.end() == 0
    assert not os.path.exists(f"{tmp}/run/hv_kvp_daemon.ctl")
    driver.close()


def a_second_instance_fails_and_breaks_nothing(build, tmp):
    driver = Driver(f"{tmp}/dev/hv_kvp_dev")
    daemon = Daemon(build, tmp, "--no-sync")
    driver.accept()
    assert driver.set(1, "k", "v") == 0
    second = Daemon(build, tmp)
    _, said = second.proc.communicate(timeout=20)
    assert second.proc.returncode == EX_UNAVAILABLE
    assert b"another hv_kvp_daemon is running" in said, said
    assert driver.get(1, "k") == (0, "v")
    assert daemon.ctl("status")["registered"]
    assert daemon.end() == 0
    driver.close()


def acknowledged_changes_survive_kill_9(build, tmp):
    driver = Driver(f"{tmp}/dev/hv_kvp_dev")
    for i in range(20):
        daemon = Daemon(build, tmp, "--no-sync")
        driver.accept()
        if i:
            assert driver.get(3, "round") == (0, str(i - 1))
        assert driver.set(3, "round", str(i)) == 0
        if i % 2:               # dies with a request under way
            driver.conn.send(bytes(driver._record(1, 1, f"k{i}", b"v")))
        assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
        driver.conn.close()
    driver.close()


def comes_back_to_a_driver_that_comes_back(build, tmp):
    daemon = Daemon(build, tmp)     # before there is any driver
    for _ in range(5):
        driver = Driver(f"{tmp}/dev/hv_kvp_dev")
        driver.accept()
        assert driver.enumerate(2)
        driver.close()
        shutil.rmtree(f"{tmp}/dev")
    assert daemon.end() == 0


def goes_to_the_background(build, tmp):
    """The one who started it returns when it serves; 1 when it cannot."""
    driver = Driver(f"{tmp}/dev/hv_kvp_dev")
    argv = [f"{build}/prog/hv_kvp_daemon", "--device", driver.path,
            "--state-dir", f"{tmp}/state", "--run-dir", f"{tmp}/run",
            "--config", "/dev/null"]
    assert subprocess.run(argv, check=False, timeout=20).returncode == 0
    driver.accept()
    pid = int.from_bytes(driver.conn.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, 4), sys.byteorder)
    try:
        assert driver.enumerate(2)
        again = subprocess.run(argv, check=False, timeout=20,
                               capture_output=True)
        assert again.returncode == 1, again
    finally:
        os.kill(pid, signal.SIGTERM)
    assert driver.conn.recv(1) == b""
    driver.close()


def is_small_and_has_no_rights(build, tmp):
    driver = Driver(f"{tmp}/dev/hv_kvp_dev")
    daemon = Daemon(build, tmp, "--no-sync")
    driver.accept()
    for i in range(100):
        assert driver.set(0, f"key{i}", "v" * 1000) == 0
    driver.enumerate(2)
    driver.ip(4, "00:15:5d:00:00:00")
    daemon.ctl("status")
    status = daemon.proc_status()
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    if os.geteuid() == 0:
        assert int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    with open(f"/proc/{daemon.proc.pid}/maps", encoding="utf-8") as maps:
        sanitized = "asan" in maps.read() or int(
            status["VmSize"].split()[0]) > 1 << 30
    if not sanitized:
        assert status["Seccomp"].strip() == "2"
        rss = int(status["VmRSS"].split()[0])
        print(f"{rss} KiB resident after work")
        assert rss < RSS_LIMIT_KIB
    assert daemon.end() == 0
    driver.close()


def main(build):
    steps = [lambda b, t: serves_and_tells(b, t, "linux"),
             lambda b, t: serves_and_tells(b, t, "freebsd"),
             a_second_instance_fails_and_breaks_nothing,
             acknowledged_changes_survive_kill_9,
             comes_back_to_a_driver_that_comes_back, goes_to_the_background,
             is_small_and_has_no_rights]
    for step in steps:
        tmp = tempfile.mkdtemp(prefix="hvkvp.")
        try:
            print(step.__name__, flush=True)
            step(build, tmp)
        finally:
            shutil.rmtree(tmp)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
