#!/usr/bin/python3
"""test_vss_input.py BUILD - hv_utilsd's VSS device files against clients that
send rubbish, come in crowds, never answer, never read, or may not come at all:
each gets a clear error, and the backup ends as the policy says. Nothing is
frozen: the file-system daemon is a few lines that answer yes.
"""
import errno
import grp
import json
import os
import resource
import select
import socket
import struct
import subprocess
import sys
import threading

from machine import Machine, _die_with_parent as die_with_parent

NONE, CHECK, FREEZE, THAW, ABORT, HELLO = 0, 1, 2, 3, 4, 16
OK, FAIL = 0, 1
RECORD = struct.Struct("<IIQ48s")
BUDGET = 20         # seconds for anything that must come
CROWD = 1000
NOBODY = 65534

SETTINGS = """
[vss]
max-applications = 1000
check-application-timeout = 2s
freeze-application-timeout = 2s
thaw-timeout = 700ms
thaw-application-timeout = 2s
"""


class Client:
    """A client of one of the device files."""
    def __init__(self, m, name=None, node="hv_appvss_dev"):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.connect(f"{m.dir}/dev/{node}")
        self.s.settimeout(BUDGET)
        if name:
            self.send(HELLO, text=name)

    def send(self, opt, status=OK, msgid=0, text=""):
        self.s.send(RECORD.pack(opt, status, msgid, text.encode()))

    def receive(self):
        """opt, status, msgid, text; None at the end."""
        data = self.s.recv(128)
        if not data:
            return None
        opt, status, msgid, text = RECORD.unpack(data)
        if opt != NONE:
            text = b""          # budgets
        return opt, status, msgid, text.split(b"\0")[0].decode()

    def expect(self, opt):
        """The next question's msgid."""
        got = self.receive()
        assert got and got[0] == opt, (opt, got)
        return got[2]

    def answer(self, opt, status=OK, text=""):
        self.send(opt, status, self.expect(opt), text)

    def refused(self):
        """An error, and why."""
        got = self.receive()
        assert got and got[:2] == (NONE, FAIL) and got[3], got
        return got[3]

    def close(self):
        self.s.close()


class FsDaemon(threading.Thread):
    """Says yes to everything; and what it was asked."""
    def __init__(self, m):
        super().__init__(daemon=True)
        self.client = Client(m, node="hv_fsvss_dev")
        self.asked = []
        self.start()

    def run(self):
        while True:
            try:
                got = self.client.receive()
            except OSError:
                return
            if not got:
                return
            self.asked.append(got[0])
            self.client.send(got[0], OK, got[2])


class LinuxDaemon(FsDaemon):
    """The same in hv_utils' form, on hv_vss."""
    REGISTER1 = bytes([129]) + bytes(11)

    def __init__(self, m):
        threading.Thread.__init__(self, daemon=True)
        self.s = Client(m, node="hv_vss").s
        self.s.send(self.REGISTER1)
        assert self.s.recv(64) == struct.pack("<I", 129)
        self.asked = []
        self.start()

    def run(self):
        while True:
            got = self.s.recv(64)
            if not got:
                return
            assert len(got) == 12, got
            self.asked.append(got[0])
            self.s.send(bytes(12))      # the status, over the operation


class Snapshot:
    """hvhost vss snapshot, beside us; hold: until thaw()."""
    def __init__(self, m, hold=False):
        self.fifo = f"{m.dir}/hold"
        what = ["--", "cat", self.fifo] if hold else []
        if hold:
            os.mkfifo(self.fifo)
        self.proc = subprocess.Popen(
            [f"{m.build}/prog/hvhost", "vss", "snapshot", "--json", "--dir",
             f"{m.dir}/host", *what], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, preexec_fn=die_with_parent)

    def thaw(self):
        """Waits until the host's command waits for us, and lets it go."""
        os.close(os.open(self.fifo, os.O_WRONLY))
        os.remove(self.fifo)

    def outcome(self):
        out, _ = self.proc.communicate(timeout=BUDGET)
        return json.loads(out)["outcome"]


def ctl(m, cmd):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(BUDGET)
        s.connect(f"{m.dir}/hv_utilsd.ctl")
        s.sendall(json.dumps({"cmd": cmd}).encode() + b"\n")
        with s.makefile() as lines:
            reply = json.loads(lines.readline())
    assert reply["ok"], reply
    return reply


def last(m):
    """The record of the last backup that was more than a check."""
    return [b for b in ctl(m, "vss-backups")["backups"]
            if b["result"] != "checked"][-1]


def wait_for(what, seconds=BUDGET):
    """Until it is true; there is nothing to be woken by."""
    while seconds > 0 and not what():
        select.select([], [], [], 0.02)
        seconds -= 0.02
    assert what(), "in vain"


def take_part(*apps):
    for opt in CHECK, FREEZE, THAW:
        for app in apps:
            app.answer(opt)


def check(apps):
    for app in apps:
        app.answer(CHECK)


# What must hold ------------------------------------------------------------

def half_a_record_ends_a_client_and_not_the_backup(m, good):
    for size in 1, 63, 65, 128:
        bad = Client(m, "bad")
        bad.s.send(b"x" * size)
        if size <= 64:
            assert bad.refused() == "a message is 64 bytes"
        assert bad.receive() is None
        bad.close()
    bad, snapshot = Client(m, "bad"), Snapshot(m)
    check([bad, good])
    bad.expect(FREEZE)
    bad.s.send(b"x" * 63)       # gone while it was to hold
    for opt in FREEZE, THAW:
        good.answer(opt)
    assert snapshot.outcome() == "production"
    assert last(m)["result"] == "file-system", last(m)
    assert last(m)["why"] == "bad: it is gone", last(m)
    bad.close()


def a_wrong_msgid_is_refused_and_the_right_one_still_counts(m, good):
    bad, snapshot = Client(m, "bad"), Snapshot(m)
    check([bad, good])
    msgid = bad.expect(FREEZE)
    for wrong in 0, msgid - 1, msgid + 1, 2**64 - 1:
        bad.send(FREEZE, OK, wrong)
        assert bad.refused() == "that answers no open question"
    bad.send(THAW, OK, msgid)   # another question's answer
    bad.refused()
    bad.send(FREEZE, OK, msgid)
    bad.send(FREEZE, OK, msgid)     # twice
    bad.refused()
    for app, opt in (good, FREEZE), (good, THAW), (bad, THAW):
        app.answer(opt)
    assert snapshot.outcome() == "production"
    assert last(m)["result"] == "application", last(m)
    bad.close()


def answers_without_a_question_end_a_client_at_last(m, good):
    bad = Client(m, "bad")
    for i in range(64):
        bad.send(CHECK + i % 4, FAIL, i)
        bad.refused()
    assert bad.receive() is None
    snapshot = Snapshot(m)
    take_part(good)
    assert snapshot.outcome() == "production"
    assert last(m)["result"] == "application", last(m)
    bad.close()


def deaf_client(m):
    """Errors that it causes fill its queue, so that it cannot be asked."""
    deaf, before = Client(m, "deaf"), ctl(m, "status")["vss"]["late_answers"]
    for i in range(1000):
        deaf.send(HELLO, text="deaf")
        deaf.send(THAW, OK, i)
    wait_for(lambda: ctl(m, "status")["vss"]["late_answers"] == before + 1000)
    return deaf


def a_client_that_never_reads_is_named(m, good):
    deaf = deaf_client(m)
    snapshot = Snapshot(m)
    outcome = snapshot.outcome()
    assert outcome != "production", outcome
    record = ctl(m, "vss-backups")["backups"][-1]
    assert record["result"] == "failed", record
    assert record["why"] == "deaf: could not be asked", record
    steps = record["applications"][-1]["steps"]
    assert steps[-1]["outcome"] == "unreached", record
    deaf.close()
    # Whoever was asked before it: nothing was frozen, so nothing is told.
    good.expect(CHECK)


def one_that_never_answers_fails_the_backup(m, good):
    bad, snapshot = Client(m, "silent"), Snapshot(m)
    check([good, bad])
    bad.expect(FREEZE)
    msgid = good.expect(FREEZE)
    good.send(FREEZE, OK, msgid)
    good.answer(ABORT)
    got = bad.receive()         # it was told to freeze: it is told the end
    assert got[0] == ABORT, got
    bad.send(FREEZE, OK, msgid)     # now
    bad.refused()
    assert snapshot.outcome() != "production"
    assert last(m)["result"] == "failed", last(m)
    assert last(m)["why"] == "silent: no answer in time", last(m)
    assert [a["steps"][0]["outcome"] for a in last(m)["applications"]] == \
        ["yes", "silent"], last(m)
    bad.close()


def one_that_never_answers_is_let_pass(m, good):
    bad, snapshot = Client(m, "silent"), Snapshot(m)
    good.answer(CHECK)
    bad.expect(CHECK)
    good.answer(FREEZE)
    bad.expect(FREEZE)
    good.answer(THAW)
    bad.answer(THAW)
    assert snapshot.outcome() == "production"
    assert last(m)["result"] == "file-system", last(m)
    assert last(m)["why"] == "silent: no answer in time", last(m)
    bad.close()


def a_client_that_never_reads_is_let_pass(m, good):
    deaf = deaf_client(m)
    snapshot = Snapshot(m)
    take_part(good)
    assert snapshot.outcome() == "production"
    assert last(m)["result"] == "file-system", last(m)
    assert last(m)["why"] == "deaf: could not be asked", last(m)
    deaf.close()


def a_thousand_take_part_and_one_more_is_refused(m, good):
    crowd = [Client(m, f"app {i}") for i in range(CROWD - 1)]
    wait_for(lambda: len(ctl(m, "status")["vss"]["applications"]) == CROWD)
    one_more = Client(m)
    assert one_more.refused() == "1000 applications have it open already"
    assert one_more.receive() is None
    one_more.close()
    snapshot = Snapshot(m)
    take_part(good, *crowd)
    assert snapshot.outcome() == "production"
    assert last(m)["result"] == "application", last(m)["why"]
    assert len(last(m)["applications"]) == 256
    assert last(m)["left_out"] >= CROWD - 256
    for client in crowd:
        client.close()
    wait_for(lambda: len(ctl(m, "status")["vss"]["applications"]) == 1)


def rubbish_does_not_fill_the_log(m):
    for _ in range(200):
        bad = Client(m)
        bad.s.send(b"x")
        bad.refused()
        bad.close()
    assert m.log().count("sent what is no record") <= 20, m.log()


def as_user(m, gid, node):
    """What open says to another user: 0 or an errno."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(NOBODY)
        Client(m, node=node).close()
        code = 0
    except OSError as e:
        code = e.errno
    os._exit(code)


def only_those_who_may_can_open(m, group):
    """group: the settings let that one open the applications' device."""
    if os.geteuid():
        print("not root: permissions are not tested")
        return
    os.chmod(m.dir, 0o755)
    for node in "hv_fsvss_dev", "hv_vss":
        assert as_user(m, NOBODY, node) == errno.EACCES
    assert as_user(m, NOBODY, "hv_appvss_dev") == errno.EACCES
    if group:
        assert as_user(m, group, "hv_appvss_dev") == 0


def there_is_one_daemon(m):
    for node in "hv_fsvss_dev", "hv_vss":
        second = Client(m, node=node)
        assert second.receive() is None
        second.close()


def the_linux_form_is_the_same_daemon(m, good, daemon):
    daemon.client.s.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: not ctl(m, "status")["vss"]["daemon"])
    rubbish = Client(m, node="hv_vss")
    rubbish.s.send(b"no registration")
    assert rubbish.receive() is None
    linux = LinuxDaemon(m)
    there_is_one_daemon(m)
    assert ctl(m, "status")["vss"]["daemon"]["form"] == "linux"
    snapshot = Snapshot(m)
    take_part(good)
    assert snapshot.outcome() == "production"
    assert last(m)["result"] == "application", last(m)
    assert linux.asked == [2, 5, 6]     # check, freeze, thaw


def nothing_is_logged_while_frozen(m, good):
    """And KVP goes on: its daemon leaves and comes back, a key is set."""
    snapshot = Snapshot(m, hold=True)
    for opt in CHECK, FREEZE:
        good.answer(opt)
    wait_for(lambda: ctl(m, "status")["vss"]["state"] == "frozen")
    assert ctl(m, "status")["vss"]["applications"][0]["holding"]
    assert ctl(m, "status")["vss"]["backup"]["began_with"] == "freeze"
    m.daemon.terminate()
    m.daemon.wait(BUDGET)
    m.daemon = m.start_daemon()
    m.hvhost("wait", "ready", "--timeout", "10")
    m.hvhost("kvp", "set", "frozen", "no")
    assert m.hvctl("kvp", "get", "frozen", "--pool", "external") == "no\n"
    assert "hv_kvp_dev: process" not in m.log(), "not held"
    snapshot.thaw()
    good.answer(THAW)
    assert snapshot.outcome() == "production"
    wait_for(lambda: "hv_kvp_dev: process" in m.log())
    assert last(m)["result"] == "application", last(m)


def a_daemon_that_dies_frozen_ends_the_holding_of_lines(m, good, daemon):
    """Its guardian thaws by then; so lines come out, and tell of it."""
    snapshot = Snapshot(m, hold=True)
    for opt in CHECK, FREEZE:
        good.answer(opt)
    wait_for(lambda: ctl(m, "status")["vss"]["state"] == "frozen")
    daemon.client.s.shutdown(socket.SHUT_RDWR)
    good.answer(ABORT)
    gone = "hv_fsvss_dev: process"
    assert gone not in m.log(), "not held"
    wait_for(lambda: gone in m.log())
    assert last(m)["result"] == "failed", last(m)
    assert last(m)["why"] == "file systems: the daemon is gone", last(m)
    snapshot.thaw()
    assert snapshot.outcome() != "production"
    return FsDaemon(m)


def watchers_are_told(m, good):
    """Idle connections make room for each other, not at a watcher's expense."""
    idle = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(BUDGET)
        s.connect(f"{m.dir}/hv_utilsd.ctl")
        s.sendall(b'{"cmd": "vss-watch"}\n')
        with s.makefile() as lines:
            for crowd in [], idle:
                for i in crowd:
                    i.connect(f"{m.dir}/hv_utilsd.ctl")
                snapshot = Snapshot(m)
                take_part(good)
                snapshot.outcome()
                told = [json.loads(lines.readline())["backup"]
                        for _ in range(2)]
                assert told[0]["result"] == "checked", told
                assert told[1] == last(m), told
    for i in idle:
        i.close()


def bad_budgets_end_the_start(build):
    with Machine(build) as m:
        with open(f"{m.dir}/conf", "w", encoding="utf-8") as conf:
            conf.write("[vss]\ncheck-timeout = 25s\n")
        got = subprocess.run(
            [f"{build}/prog/hv_utilsd", "-n", "--config", f"{m.dir}/conf",
             "--run-dir", f"{m.dir}/other"], stderr=subprocess.PIPE,
            check=False)
    assert got.returncode == os.EX_CONFIG, got
    assert b"check-timeout make 30.000 s" in got.stderr, got
    assert b"less than host-limit" in got.stderr, got


def main(build):
    with Machine(build, settings=SETTINGS) as m:
        # Only now: hv_utilsd has to see to its own limit.
        resource.setrlimit(resource.RLIMIT_NOFILE, [4096, max(
            4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])])
        daemon = FsDaemon(m)
        good = Client(m, "good")
        watchers_are_told(m, good)
        nothing_is_logged_while_frozen(m, good)
        a_daemon_that_dies_frozen_ends_the_holding_of_lines(m, good, daemon)
        there_is_one_daemon(m)
        half_a_record_ends_a_client_and_not_the_backup(m, good)
        a_wrong_msgid_is_refused_and_the_right_one_still_counts(m, good)
        answers_without_a_question_end_a_client_at_last(m, good)
        one_that_never_answers_fails_the_backup(m, good)
        a_client_that_never_reads_is_named(m, good)
        rubbish_does_not_fill_the_log(m)
        only_those_who_may_can_open(m, None)
        good.close()
        good = Client(m, "good")
        a_thousand_take_part_and_one_more_is_refused(m, good)
    group = [g for g in grp.getgrall() if g.gr_gid not in (0, NOBODY)][-1]
    with Machine(build, settings=SETTINGS + f"""
silent-application = go-on
application-device-mode = 0660
application-device-group = {group.gr_name}
""") as m:
        daemon = FsDaemon(m)
        good = Client(m, "good")
        one_that_never_answers_is_let_pass(m, good)
        a_client_that_never_reads_is_let_pass(m, good)
        the_linux_form_is_the_same_daemon(m, good, daemon)
        only_those_who_may_can_open(m, group.gr_gid)
    bad_budgets_end_the_start(build)


main(sys.argv[1])
