#!/usr/bin/python3
"""test_vss_together.py BUILD - a whole backup, from hvhost through hv_utilsd to
every kind of application at once: the example program, hooks, a wrapped
command, and MariaDB and PostgreSQL where they can be had. What holds, holds
while the host makes its snapshot, and the record tells of each.

The file-system daemon is a few lines here that answer yes: nothing is frozen.
"""
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading

from dbservers import Mariadb
from machine import Machine, _die_with_parent as die_with_parent

RECORD = struct.Struct("<IIQ48s")


class FsDaemon(threading.Thread):
    def __init__(self, m):
        super().__init__(daemon=True)
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.connect(f"{m.dir}/dev/hv_fsvss_dev")
        self.start()

    def run(self):
        while data := self.s.recv(128):
            opt, _, msgid, _ = RECORD.unpack(data)
            if opt:
                self.s.send(RECORD.pack(opt, 0, msgid, b""))


def ctl(m, cmd):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(f"{m.dir}/hv_utilsd.ctl")
        s.sendall(json.dumps({"cmd": cmd}).encode() + b"\n")
        with s.makefile() as lines:
            return json.loads(lines.readline())


def last(m):
    return ctl(m, "vss-backups")["backups"][-1]


def apps(m):
    return {a["name"] for a in ctl(m, "status")["vss"]["applications"]}


def until(what, *args):
    for _ in range(1500):
        if what(*args):
            return
        select.select([], [], [], 0.02)
    raise AssertionError(f"{what.__name__}{args[1:]} did not come true")


def takes_part(m, name):
    return name in apps(m)


def snapshot(m, *command):
    """The verdict; command runs while all is frozen."""
    done = subprocess.run(
        [f"{m.build}/prog/hvhost", "vss", "snapshot", "--json", "--dir",
         f"{m.dir}/host", *(["--", *command] if command else [])],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60,
        check=False, preexec_fn=die_with_parent)
    return json.loads(done.stdout)["outcome"]


def start(m, name, *argv, **how):
    child = m.spawn(*argv, **how)
    until(takes_part, m, name)
    return child


def make_hook(m):
    path = f"{m.dir}/vss.d/10-hook"
    os.mkdir(os.path.dirname(path), 0o755)
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\necho $1 >>{m.dir}/hook-calls\n")
    os.chmod(path, 0o755)


def hook_calls(m):
    path = f"{m.dir}/hook-calls"
    with open(path, encoding="utf-8") as f:
        got = f.read().split()
    os.unlink(path)
    return got


def outcomes(record, name):
    app = next(a for a in record["applications"] if a["name"] == name)
    return {s["opt"]: s["outcome"] for s in app["steps"]}, app.get("notes", [])


def all_hold_while_the_host_makes_its_snapshot(m, wrapped):
    look = f"grep '^State:' /proc/{wrapped}/status >{m.dir}/seen; " \
        f"cat {m.dir}/hook-calls >>{m.dir}/seen"
    assert snapshot(m, "sh", "-c", look) == "production"
    with open(f"{m.dir}/seen", encoding="utf-8") as f:
        seen = f.read().split()
    assert seen == ["State:", "T", "(stopped)", "check", "freeze"], seen
    assert hook_calls(m) == ["check", "freeze", "thaw"]
    record = last(m)
    assert record["result"] == "application", record
    for name in "hv_vss_hooks", "job", "hv_vss_example":
        steps, notes = outcomes(record, name)
        assert steps == {"freeze": "yes", "thaw": "yes"}, (name, steps)
        if name == "hv_vss_hooks":
            assert [n["part"] for n in notes] == ["10-hook"] * 2, notes


def one_that_refuses_is_named_and_the_others_are_let_go(m):
    veto = start(m, "veto", f"{m.build}/examples/hv_vss_example", "--name",
                 "veto", "--freeze=fail=a job is running", "--device",
                 f"{m.dir}/dev/hv_appvss_dev")
    assert snapshot(m) != "production"
    record = last(m)
    assert record["result"] == "failed", record
    assert record["why"] == "veto: a job is running", record["why"]
    until(hook_was_let_go, m)
    veto.kill()
    veto.wait()
    until(lambda: not takes_part(m, "veto"))


def hook_was_let_go(m):
    """Its freeze may have been stopped before it got to say so."""
    with open(f"{m.dir}/hook-calls", encoding="utf-8") as f:
        if f.read().split() not in (["check", "freeze", "fail"],
                                    ["check", "fail"]):
            return False
    hook_calls(m)
    return True


def one_that_dies_while_it_holds_lessens_the_backup(m):
    victim = start(m, "victim", f"{m.build}/examples/hv_vss_example",
                   "--name", "victim", "--device",
                   f"{m.dir}/dev/hv_appvss_dev")
    fifo = f"{m.dir}/fifo"
    os.mkfifo(fifo)
    host = subprocess.Popen(
        [f"{m.build}/prog/hvhost", "vss", "snapshot", "--dir",
         f"{m.dir}/host", "--", "cat", fifo], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
    with open(fifo, "w", encoding="utf-8"):     # the host's command runs
        victim.kill()
        until(lambda: not takes_part(m, "victim"))
    host.wait(30)
    victim.wait()
    record = last(m)
    assert record["result"] == "file-system", record
    assert record["why"].startswith("victim:"), record
    assert hook_calls(m) == ["check", "freeze", "thaw"]


def mariadb_holds_commits_during_the_snapshot(m):
    with Mariadb(m.build, m.dir) as db:
        db.sql("CREATE TABLE test.t (n int) ENGINE=InnoDB")
        helper = start(m, "hv_vss_mariadb", f"{m.build}/prog/hv_vss_mariadb",
                       "-n", "--config", "/dev/null", "--run-dir", m.dir,
                       "--socket", db.socket, "--user", "root")
        client = " ".join(db.client())
        look = f"export LD_LIBRARY_PATH={db.libs}; " \
            f"echo 'SET lock_wait_timeout=0; " \
            f"INSERT INTO test.t VALUES (1)' | {client} 2>{m.dir}/seen; true"
        assert snapshot(m, "sh", "-c", look) == "production"
        with open(f"{m.dir}/seen", encoding="utf-8") as f:
            assert "Lock wait timeout" in f.read()
        assert db.sql("SELECT count(*) FROM test.t") == "0"
        db.sql("INSERT INTO test.t VALUES (2)")
        steps, notes = outcomes(last(m), "hv_vss_mariadb")
        assert steps["freeze"] == "yes", steps
        assert "block commit" in [n["part"] for n in notes], notes
        helper.send_signal(signal.SIGTERM)
        assert helper.wait(30) == 0


def main(build):
    with Machine(build) as m:
        fs = FsDaemon(m)
        m.hvhost("wait", "ready", "--timeout", "10")
        make_hook(m)
        os.chmod(m.dir, 0o755)
        start(m, "hv_vss_hooks", f"{m.build}/prog/hv_vss_hooks", "-n",
              "--config", "/dev/null", "--run-dir", m.dir, "--dir",
              f"{m.dir}/vss.d")
        start(m, "hv_vss_example", f"{m.build}/examples/hv_vss_example",
              "--device", f"{m.dir}/dev/hv_appvss_dev")
        job = start(m, "job", f"{m.build}/prog/hvctl", "--config",
                    "/dev/null", "--run-dir", m.dir, "vss", "hold", "--stop",
                    "--name", "job", "--", "sh", "-c",
                    "echo $$; exec tail -f /dev/null", stdout=subprocess.PIPE)
        wrapped = int(job.stdout.readline())
        all_hold_while_the_host_makes_its_snapshot(m, wrapped)
        one_that_refuses_is_named_and_the_others_are_let_go(m)
        one_that_dies_while_it_holds_lessens_the_backup(m)
        if os.path.exists(f"{m.build}/prog/hv_vss_mariadb") and \
                os.path.exists(f"{m.build}/peers/mariadb-server-core"):
            mariadb_holds_commits_during_the_snapshot(m)
        job.terminate()
        job.wait(30)
        job.stdout.close()
        fs.s.shutdown(socket.SHUT_RDWR)


main(*sys.argv[1:])
