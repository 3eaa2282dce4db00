#!/usr/bin/python3
"""test_vss_freeze.py BUILD - real backups: hvhost, hv_utilsd, hv_vss_daemon, an
application, and file systems that really freeze, among them the root with the
daemon's own binary and its state, and the one it logs to. Then each of the
programs is killed while all is frozen, and the host misbehaves. Everything is
thawed within the window, and the history tells what happened.
"""
import json
import os
import signal
import subprocess
import sys
import time

from machine import _die_with_parent as die_with_parent
from vss_driver import wait_for
from vssbox import Box, filesystems

OK, NO, OFFLINE = 0, 1, 7
WINDOW = 2.0
SLACK = 0.5
HISTORY = "/var/lib/hyperv/vss_history.jsonl"
SETTINGS = """
[vss]
frozen-window = 2s
"""


class Guest:
    def __init__(self, build, box):
        self.build, self.box = build, box
        self.dir = box.path("/run/host")
        self.host = self.utilsd = self.daemon = self.app = None
        self.start_host()
        self.start_utilsd()
        self.start_daemon()
        self.start_app()
        self.ready()

    def start_host(self):
        self.host = subprocess.Popen(
            [f"{self.build}/prog/hvhost", "run", "--dir", self.dir],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
        for line in self.host.stderr:
            if b"guests connect" in line:
                return
        raise AssertionError("hvhost did not start")

    def start_utilsd(self):
        self.utilsd = self.box.start_until(
            "serving", "hv_utilsd", "-n", "--host", "/run/host/vmbus")

    def start_daemon(self):
        """It logs to a file on a file system of its own, and says a lot."""
        with open(self.box.path("/var/log/daemon"), "ab") as log:
            self.daemon = self.box.popen(
                "hv_vss_daemon", "-n", "-d", "--confine", self.box.confine,
                stdout=log, stderr=log)

    def start_app(self):
        self.app = self.box.spawn("hvctl", "vss", "hold", "--name", "app",
                                  "--freeze", "true")

    def log(self):
        return self.box.read("/var/log/daemon").decode()

    def hvhost(self, *args):
        """Exit code and output."""
        done = subprocess.run(
            [f"{self.build}/prog/hvhost", *args, "--dir", self.dir],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False, timeout=60)
        return done.returncode, done.stdout.decode()

    def ready(self):
        def whole():
            status = json.loads(self.box.run("hvctl", "status", "--json"))
            text = json.dumps(status)
            return '"registered": true' in text and self.registered()
        wait_for(whole)
        code, out = self.hvhost("wait", "ready", "vss", "--timeout", "20")
        assert code == OK, out

    def registered(self):
        code, out = self.hvhost("vss", "check")
        return code == OK, out

    def freeze(self):
        wait_for(lambda: self.hvhost("vss", "check")[0] == OK)
        code, out = self.hvhost("vss", "freeze")
        assert code == OK, out
        frozen = self.box.any_frozen()
        assert sorted(frozen) == sorted(self.box.devices), frozen

    def thawed(self, seconds):
        assert self.box.wait_thawed(seconds), self.box.any_frozen()

    def records(self):
        try:
            lines = self.box.read(HISTORY).decode().splitlines()
        except FileNotFoundError:
            return []
        return list({r["id"]: r for r in map(json.loads, lines)}.values())

    def last(self, what):
        """The last record, once it is as expected."""
        def found():
            frozen = [r for r in self.records() if "window" in r]
            return frozen and what(frozen[-1]) and frozen[-1]
        try:
            return wait_for(found)
        except AssertionError:
            raise AssertionError(self.records()[-1:]) from None

    def works(self):
        wait_for(lambda: self.hvhost("vss", "check")[0] == OK)
        code, out = self.hvhost("vss", "snapshot", "--production-only")
        assert code == OK, out
        self.thawed(0)
        self.last(lambda r: r["result"] in ("application", "file-system"))

    def end(self):
        for p in (self.app, self.daemon, self.utilsd):
            p.terminate()
            p.wait(20)
        self.host.terminate()
        self.host.wait(20)


def a_snapshot_while_our_own_disks_are_frozen(g):
    code, out = g.hvhost("vss", "snapshot", "--production-only", "--exec",
                         "echo made")
    assert code == OK and "made" in out, out
    record = g.last(lambda r: r["result"] == "application")
    by_path = {m["path"]: m for m in record["mounts"]}
    for path in g.box.devices:          # log, binary and state among them
        assert by_path[path]["outcome"] == "thawed", by_path[path]
    assert record["window"]["thawed_by"] == "daemon"
    assert by_path["/proc"]["action"] == "skip"
    assert [a["name"] for a in record["applications"]] == ["app"]
    wait_for(lambda: f"backup {record['id']}: application" in g.log())


def a_host_that_never_thaws(g):
    g.freeze()
    g.thawed(WINDOW + SLACK)
    code, out = g.hvhost("vss", "thaw")
    assert code == NO, out
    record = g.last(lambda r: r["result"] == "failed")
    assert "frozen" in record["why"] or "window" in record["why"], record


def the_driver_killed(g):
    g.freeze()
    g.utilsd.kill()
    g.thawed(1)
    g.utilsd.wait(20)
    g.start_utilsd()
    wait_for(lambda: g.registered()[0])


def the_host_killed(g):
    g.freeze()
    g.host.kill()
    g.thawed(1)
    g.host.wait(20)
    g.start_host()
    code, out = g.hvhost("wait", "ready", "vss", "--timeout", "30")
    assert code == OK, out
    g.last(lambda r: r["result"] == "failed")


def the_application_killed(g):
    g.freeze()
    for pid in (*g.app.children(), g.app.pid):
        os.kill(pid, signal.SIGKILL)
    g.app.wait(20)
    code, out = g.hvhost("vss", "thaw")
    assert code == OK, out
    g.thawed(0)
    record = g.last(lambda r: r["result"] == "file-system")
    assert "gone" in json.dumps(record["applications"]), record
    g.start_app()


def the_daemon_killed(g):
    g.freeze()
    os.kill(wait_for(g.daemon.children)[0], signal.SIGKILL)
    g.thawed(1)
    code, out = g.hvhost("vss", "thaw")
    assert code == NO, out              # it was not frozen to the end
    record = g.last(lambda r: r["window"].get("thawed_by") == "guardian" and
                    r["result"] == "failed")
    assert record["why"], record


def the_guardian_killed(g):
    g.freeze()
    g.daemon.kill()
    g.thawed(1)
    g.daemon.wait(20)
    g.start_daemon()
    wait_for(lambda: g.registered()[0])
    g.last(lambda r: r["window"].get("thawed_by") == "daemon" and
           r["result"] == "failed")


def both_killed(g):
    g.freeze()
    worker = wait_for(g.daemon.children)[0]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (worker, g.daemon.pid):
            os.kill(pid, number)
    g.daemon.wait(20)
    assert g.box.any_frozen()
    g.start_daemon()
    g.thawed(5)
    g.last(lambda r: r["window"].get("thawed_by") == "restart" and
           r["result"] == "failed")


def the_daemon_stopped(g):
    g.freeze()
    worker = wait_for(g.daemon.children)[0]
    os.kill(worker, signal.SIGSTOP)
    g.thawed(WINDOW + SLACK)
    os.kill(worker, signal.SIGCONT)
    g.last(lambda r: r["window"].get("thawed_by") == "guardian" and
           r["result"] == "failed")


def the_channel_taken_away(g):
    for what in ("rescind", "renegotiate"):
        g.freeze()
        code, out = g.hvhost(what, "vss")
        assert code == OK, out
        g.thawed(1)
        if what == "rescind":
            g.hvhost("offer", "vss")
        code, out = g.hvhost("wait", "ready", "vss", "--timeout", "20")
        assert code == OK, out
        g.last(lambda r: r["result"] == "failed")


def the_host_restarted(g):
    g.freeze()
    g.hvhost("restart")
    g.thawed(1)
    code, out = g.hvhost("wait", "ready", "vss", "--timeout", "20")
    assert code == OK, out


def a_veto_tells_its_name_everywhere(g):
    g.box.freeze("/more")
    code, out = g.hvhost("vss", "snapshot", "--production-only")
    assert code == NO, out
    g.last(lambda r: r["result"] == "failed" and "/more" in r["why"])
    error = wait_for(lambda: item(g, "VSS.LastError"))
    assert error == "/more: frozen by somebody else", error
    g.box.thaw("/more")
    g.works()
    wait_for(lambda: item(g, "VSS.LastError") is None)
    wait_for(lambda: (item(g, "VSS.LastResult") or "").startswith(
        ("application 20", "file-system 20")))


def item(g, key):
    status, out, _ = g.box.run_status("hvctl", "kvp", "get", key, "--pool",
                                      "guest")
    return out.strip() if status == 0 else None


STEPS = (
    a_snapshot_while_our_own_disks_are_frozen, a_host_that_never_thaws,
    the_driver_killed, the_host_killed, the_application_killed,
    the_daemon_killed, the_guardian_killed, both_killed, the_daemon_stopped,
    the_channel_taken_away, the_host_restarted,
    a_veto_tells_its_name_everywhere,
)


def main(build, only):
    third = filesystems("xfs", "btrfs", "ext4")[0]
    with Box(build, disks=[("ext4", "/var/log"), ("ext4", "/more"),
                           (third, "/third")], shell=True,
             files={"/etc/hyperv/hvtools.conf": SETTINGS}) as box:
        guest = Guest(build, box)
        try:
            for step in STEPS:
                if only and step.__name__ not in only:
                    continue
                began = time.monotonic()
                step(guest)
                guest.works()
                print(f"{step.__name__}: {time.monotonic() - began:.1f} s",
                      flush=True)
        except BaseException:
            print(guest.log()[-3000:], file=sys.stderr)
            raise
        guest.end()


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), sys.argv[2:])
