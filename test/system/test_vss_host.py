"""test_vss_host.py BUILD - backups from the host's side with real processes:
hvhost, hv_utilsd, and a file-system daemon and an application that are played.
What hvhost prints, its exit codes, commands that run while all is frozen, and
who thaws when one of them dies."""
import json
import os
import signal
import subprocess
import sys

from machine import Machine
from vss_party import Party

OK, NO, USAGE, REFUSED, UNREACHABLE, TIMEOUT, IO, OFFLINE = range(8)
WHOLE = ["check", "freeze", "thaw"]


def call(m, *args, command=()):
    """Exit code and all output of hvhost vss."""
    done = subprocess.run(
        [f"{m.build}/prog/hvhost", "vss", *args, "--dir", f"{m.dir}/host",
         *(["--", *command] if command else [])],
        check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode()


def expect(m, code, *args, command=()):
    got, out = call(m, *args, command=command)
    assert got == code, f"hvhost vss {args}: {got}, not {code}: {out}"
    return out


def status(m):
    return json.loads(expect(m, OK, "status", "--json"))


def nobody_to_ask_makes_it_offline(m):
    out = expect(m, OFFLINE, "snapshot")
    assert "offline: the guest" in out and "saved, copied" in out, out
    out = expect(m, NO, "snapshot", "--production-only")
    assert "failed: the guest" in out, out


def a_command_runs_between_freeze_and_thaw(m, fs, app):
    fs.forget()
    app.forget()
    seen = f"{m.dir}/seen"
    out = expect(m, OK, "snapshot", command=[
        "sh", "-c", f'"$0" vss status --json --dir "$1" >{seen}',
        f"{m.build}/prog/hvhost", f"{m.dir}/host"])
    assert "production snapshot: the guest was frozen for" in out, out
    for step in ("check", "dm-info", "freeze", "hold", "thaw", "complete"):
        assert f"{step:13} ok" in out, out
    assert "auto-recover" not in out
    with open(seen, encoding="utf-8") as f:
        then = json.load(f)
    assert then["frozen"] and then["step"] == "hold", then
    assert fs.forget() == WHOLE and app.forget() == WHOLE
    out = expect(m, OK, "snapshot", "--exec", "echo $((40 + 2))")
    assert "\n42\n" in out, out
    assert fs.forget() == WHOLE


def json_is_the_verdict_and_nothing_else(m, fs, _app):
    fs.forget()
    done = subprocess.run(
        [f"{m.build}/prog/hvhost", "vss", "snapshot", "--json", "--luns", "3",
         "--dir", f"{m.dir}/host", "--", "echo", "noise"],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL)
    v = json.loads(done.stdout)
    assert v["outcome"] == "production" and "why" not in v, v
    assert [s["step"] for s in v["steps"]] == \
        ["check", "dm-info", "freeze", "hold", "thaw", "complete"], v
    s = status(m)
    assert s["last"]["outcome"] == "production" and not s["frozen"], s


def a_command_that_fails_fails_the_snapshot(m, fs, app):
    fs.forget()
    for command, why in ((["false"], "failed with status 1"),
                         (["sh", "-c", "kill -9 $$"], "died of signal 9"),
                         ([f"{m.dir}/none"], "failed with status 127")):
        out = expect(m, NO, "snapshot", command=command)
        assert f"failed: the command {why}" in out, out
        assert fs.forget() == WHOLE
    out = expect(m, NO, "snapshot", "--timeout", "1",
                 command=["sh", "-c", "tail -f /dev/null & wait"])
    assert "the command took over 1 s" in out, out
    fs.wait_for("thaw")
    app.wait_for("thaw")
    expect(m, USAGE, "snapshot", "--exec", "true", command=["true"])
    expect(m, USAGE, "snapshot", "--timeout", "0")
    expect(m, REFUSED, "snapshot", "--order", "check,melt")
    expect(m, REFUSED, "snapshot", "--hold", "long")


def a_no_is_told_with_its_why(m, fs, app):
    m.hvctl("kvp", "set", "VSS.LastError", "\x1bthe disk is melting")
    fs.does["freeze"] = "no"
    out = expect(m, NO, "snapshot")
    assert "failed: the guest answered fail to freeze" in out, out
    assert "the guest says: \\x1bthe disk is melting" in out, out
    app.wait_for("abort")
    del fs.does["freeze"]
    fs.does["check"] = "no"
    out = expect(m, OFFLINE, "snapshot")
    assert "offline: the guest answered fail to check" in out, out
    assert expect(m, NO, "check").startswith("fail after")
    del fs.does["check"]
    m.hvctl("kvp", "del", "VSS.LastError")
    m.hvctl("kvp", "set", "VSS.LastResult", "file-system")
    out = expect(m, OK, "snapshot")
    assert "the guest says: file-system" in out, out
    m.hvctl("kvp", "del", "VSS.LastResult")
    assert "says" not in expect(m, OK, "snapshot")


def start_frozen(m, fs, *args):
    """A snapshot that is frozen, with a command that waits for ever."""
    fs.forget()
    p = m.spawn(f"{m.build}/prog/hvhost", "vss", "snapshot", "--dir",
                f"{m.dir}/host", *args, "--", "sh", "-c",
                "echo frozen; exec tail -f /dev/null",
                stdout=subprocess.PIPE)
    for line in p.stdout:
        if line == b"frozen\n":
            return p
    raise AssertionError("it never froze")


def a_client_that_dies_takes_the_snapshot_along(m, fs, app):
    for sig in (signal.SIGKILL, signal.SIGTERM):
        p = start_frozen(m, fs)
        assert status(m)["frozen"]
        p.send_signal(sig)
        p.wait()
        fs.wait_for("thaw")
        app.wait_for("thaw")
        p.stdout.read()             # until its command is gone as well
        p.stdout.close()
        m.hvhost("wait", "thawed")
        m.hvhost("wait", "idle", "vss")
        last = status(m)
        assert not last["frozen"], last
        assert "is gone" in last["last"]["why"], last


def one_snapshot_at_a_time(m, fs, _app):
    p = start_frozen(m, fs)
    out = expect(m, REFUSED, "snapshot")
    assert "another snapshot is being made" in out, out
    p.send_signal(signal.SIGINT)
    assert p.wait() == NO
    fs.wait_for("thaw")
    p.stdout.close()
    m.hvhost("wait", "idle", "vss")
    expect(m, OK, "snapshot")


def single_requests_freeze_and_thaw(m, fs, _app):
    fs.forget()
    assert "flags 0x5" in expect(m, OK, "check")
    expect(m, OK, "freeze", "--luns", "2")
    assert status(m)["frozen"]
    assert "frozen, for" in expect(m, OK, "status")
    expect(m, OFFLINE, "snapshot")      # the guest says no: it is frozen
    expect(m, OK, "thaw")
    expect(m, OK, "complete")
    assert fs.forget() == WHOLE
    for op in ("create", "delete", "dm-info", "auto-recover"):
        expect(m, OK, "send", op)
    assert "not-supported" in expect(m, NO, "send", "cluster-info")
    assert "not-supported" in expect(m, NO, "send", "200")
    expect(m, REFUSED, "send", "melt")


def a_guest_that_is_taken_away_is_thawed(m, fs, app):
    for what in (("rescind", "vss"), ("renegotiate", "vss"), ("restart",)):
        p = start_frozen(m, fs)
        m.hvhost(*what)
        assert p.wait() == NO
        out = p.stdout.read().decode()
        p.stdout.close()
        assert "lost while it was frozen" in out, out
        app.wait_for("abort")
        assert fs.forget()[-1] in ("thaw", "abort")
        if what[0] == "rescind":
            m.hvhost("offer", "vss")
        m.hvhost("wait", "ready", "vss", "--timeout", "20")
    expect(m, OK, "snapshot")


def scenario_files_run_against_it(m, _fs, _app):
    """As vss_single.json, by hvhost itself, with the file's profile."""
    data = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "../scenario/data/vss_single.json")
    trace = f"{m.dir}/trace"
    m.children[0].send_signal(signal.SIGTERM)   # its host: now another's turn
    assert m.children[0].wait() == 0
    host = f"{m.build}/prog/hvhost"
    out = m.run(host, "run", "--dir", f"{m.dir}/host", "--virtual-clock",
                "--record", trace, "--scenario", data)
    assert "passed" in out, out
    out = m.run(host, "trace", trace)
    assert "dm-info: ok flags 0x0" in out and "freeze: fail" in out, out
    out = m.run(host, "replay", "--dir", f"{m.dir}/host", trace)
    assert "0 differences" in out, out


def main():
    with Machine(sys.argv[1]) as m:
        nobody_to_ask_makes_it_offline(m)
        with Party(m, "hv_fsvss_dev", "fs") as fs, \
                Party(m, "hv_appvss_dev", "app") as app:
            m.hvhost("wait", "ready", "vss", "--timeout", "20")
            for test in (a_command_runs_between_freeze_and_thaw,
                         json_is_the_verdict_and_nothing_else,
                         a_command_that_fails_fails_the_snapshot,
                         a_no_is_told_with_its_why,
                         a_client_that_dies_takes_the_snapshot_along,
                         one_snapshot_at_a_time,
                         single_requests_freeze_and_thaw,
                         a_guest_that_is_taken_away_is_thawed,
                         scenario_files_run_against_it):
                test(m, fs, app)


main()
