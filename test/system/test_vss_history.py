"""test_vss_history.py BUILD - hvctl vss history, last and status over history
files, with and without a driver that knows more."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as xml

ESC = "\x1b[2J\nforged"


def step(opt, at_us, took_us, outcome="yes", name="opt", key="outcome"):
    return {name: opt, "at_us": at_us, "took_us": took_us, key: outcome}


def record(id_, result="application", started="2026-01-02T03:04:05.678Z",
           at_us=1000000, **more):
    return {"id": id_, "boot": "b", "started": started, "at_us": at_us,
            "took_us": 200000, "result": result,
            "host": [step("freeze", at_us, 90000, "ok", "op", "status"),
                     step("thaw", at_us + 150000, 50000, "ok", "op",
                          "status")],
            "daemon": [step("freeze", at_us + 40000, 50000)],
            "applications": [
                {"name": "pg", "pid": 7, "uid": 0,
                 "steps": [step("freeze", at_us, 40000),
                           step("thaw", at_us + 160000, 20000)],
                 "notes": [{"part": "15/main", "phase": "freeze",
                            "took_us": 30000, "outcome": "yes"}]}],
            "mounts": [
                {"path": "/data", "type": "ext4", "action": "freeze",
                 "flush_us": 20000, "freeze_at_us": at_us + 70000,
                 "freeze_us": 4321, "frozen_us": 90000, "thaw_us": 1234,
                 "outcome": "thawed"},
                {"path": "/proc", "type": "proc", "action": "skip",
                 "outcome": "skipped"}],
            "window": {"frozen_at_us": at_us + 70000, "frozen_us": 95555,
                       "thawed_by": "daemon"}, **more}


class Rig:
    def __init__(self, build):
        self.hvctl = f"{os.path.abspath(build)}/prog/hvctl"
        self.dir = tempfile.mkdtemp(prefix="hvhist.")

    def write(self, *lines):
        with open(f"{self.dir}/vss_history.jsonl", "w",
                  encoding="utf-8") as f:
            f.writelines(line if isinstance(line, str) else
                         json.dumps(line) + "\n" for line in lines)

    def run(self, *args, status=0, locale="C.UTF-8"):
        done = subprocess.run(
            [self.hvctl, "--state-dir", self.dir, "--run-dir", self.dir,
             "vss", *args], capture_output=True, text=True, check=False,
            env={"LC_ALL": locale}, stdin=subprocess.DEVNULL, timeout=30)
        assert done.returncode == status, (args, done)
        assert "\x1b" not in done.stdout + done.stderr
        return done.stdout

    def ids(self, *args):
        return [r["id"] for r in json.loads(self.run(*args, "--json"))]

    def driver(self, answers, times):
        """A fake hv_utilsd's control socket."""
        path = f"{self.dir}/hv_utilsd.ctl"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def serve():
            for _ in range(times):
                peer, _ = listener.accept()
                with peer, peer.makefile("r") as lines:
                    cmd = json.loads(lines.readline())["cmd"]
                    peer.sendall(answers[cmd])
            listener.close()
            os.remove(path)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return thread


def nothing_known_is_said(rig):
    rig.run("history", status=1)
    rig.run("last", status=1)
    rig.write("rubbish\n")
    rig.run("history", status=1)
    rig.run("history", "0", status=2)
    rig.run("history", "-1", status=2)


def the_table_lines_up(rig):
    rig.write(record("1"), record("2", "failed", why="pg: disk full",
                                  started="2026-01-02T04:00:00.000Z"))
    head, one, two = rig.run("history").splitlines()
    for name, text in (("RESULT", "application"), ("FROZEN", "95.6 ms")):
        at = head.index(name)
        assert one[at:].startswith(text), one
    assert two.endswith("pg: disk full")
    assert len(rig.run("history", "1").splitlines()) == 2


def a_torn_line_and_strangers_are_passed_over(rig):
    rig.write(record("1"), "[]\n", "\n", '{"id":7}\n',
              json.dumps(record("2"))[:-7])
    assert rig.ids("history") == ["1"]


def the_last_account_counts(rig):
    half = record("1", "interrupted")
    del half["host"], half["daemon"]
    rig.write(half, record("2", at_us=5000000), record("1"))
    got = json.loads(rig.run("history", "--json"))
    assert sorted(r["id"] for r in got) == ["1", "2"]
    assert all(r["result"] == "application" for r in got)


def the_last_backup_is_drawn(rig):
    rig.write(record("1"), record("3", "checked",
                                  started="2026-01-02T05:00:00.000Z"))
    text = rig.run("last")
    assert text.startswith("Backup: application-consistent\n")
    assert "█" in text and "▒" in text
    row = [l for l in text.splitlines() if l.startswith("/data (ext4)")][0]
    assert row.split()[2:] == ["-", "20", "4.321", "90", "1.234", "thawed"]
    assert "15/main" in text and "/proc" not in text
    ascii_text = rig.run("last", locale="C")
    assert ascii_text.isascii() and "#" in ascii_text


def check(id_, at_us, result="checked", **more):
    rec = record(id_, result, f"2026-01-02T03:{at_us // 60000000:02}:"
                 f"{at_us // 1000000 % 60:02}.000Z", at_us, took_us=1000,
                 **more)
    for half in "window", "mounts", "applications":
        del rec[half]
    rec["host"] = [step("check", at_us, 1000, "ok", "op", "status")]
    return rec


def a_check_that_its_backup_followed_is_left_out(rig):
    """One that failed, or was only asked, or was of a boot before, is not."""
    sec = 1000000
    rig.write(check("1", 10 * sec), check("2", 200 * sec, "failed", why="x"),
              check("3", 210 * sec, boot="a"), check("4", 220 * sec),
              check("5", 221 * sec),
              record("6", "file-system", "2026-01-02T03:03:45.000Z",
                     225 * sec, applications=[]),
              check("7", 300 * sec))
    head, *text = rig.run("history").splitlines()
    ids = [line[head.index(" ID") + 1:].split()[0] for line in text]
    assert ids == ["1", "2", "3", "6", "7"], ids
    assert rig.ids("history") == list("1234567")
    assert len(rig.run("history", "--all").splitlines()) == 8
    assert len(rig.run("history", "2").splitlines()) == 3
    assert "no application takes part" in text[3], text


def who_thawed_is_said_if_it_was_not_the_daemon(rig):
    one, two = record("1"), record("2")
    one["window"]["thawed_by"] = "guardian"
    two["window"]["thawed_by"] = "restart"
    rig.write(record("3"), one, two)
    text = rig.run("history")
    assert text.count("ms (guardian)") == 1, text
    assert text.count("ms (next start)") == 1, text


def status_is_one_line_a_question(rig):
    rig.write(record("1"))
    utils = {"ok": True, "vss": {
        "state": "idle", "channel": True, "version": "7.0",
        "negotiation_held": False,
        "daemon": {"name": ESC, "pid": 9, "form": "linux"},
        "applications": [{"name": f"app{i}", "pid": i, "holding": i == 0}
                         for i in range(9)]}}
    answers = {"status": json.dumps(utils).encode() + b"\n",
               "vss-backups": b'{"ok": true, "backups": []}\n'}
    thread = rig.driver(answers, 2)
    lines = rig.run("status").splitlines()
    thread.join()
    assert [line[:14].strip() for line in lines] == [
        "driver", "daemon", "applications", "last backup", "next backup"]
    assert lines[0].endswith("idle, VSS 7.0"), lines
    assert "pid 9" in lines[1] and "does not answer" in lines[1], lines
    assert "app0 (pid 0, holding), app1" in lines[2] and \
        lines[2].endswith(" and 3 more"), lines
    assert "backup 1: application-consistent" in lines[3], lines
    thread = rig.driver(answers, 2)
    told = json.loads(rig.run("status", "--json"))
    thread.join()
    assert told["driver"] == utils["vss"] and told["last"]["id"] == "1"
    assert told["daemon"] is None and told["plan"] is None


def exit_status_tells_how_it_went(rig):
    rig.write(record("1"), record("2", "failed", why="x",
                                  started="2026-01-02T05:00:00.000Z"))
    rig.run("last", status=1)
    rig.run("last", "--json", status=1)
    rig.run("last", "1")
    rig.run("last", "17", status=1)
    rig.run("status", status=4)


def svg_is_one_well_formed_file(rig):
    rig.write(record("1", "failed", why=f'<b>&"{ESC}', applications=[
        {"name": f'<script>&"\x01{ESC}', "steps": [
            step("freeze", 1000000, 40000, "silent")]}]))
    path = f"{rig.dir}/x.svg"
    rig.run("last", "--svg", path, status=1)
    tree = xml.parse(path)
    names = {e.tag.split("}")[1] for e in tree.iter()}
    assert "rect" in names and "script" not in names, names
    with open(path, encoding="utf-8") as f:
        text = f.read()
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    rig.run("last", "--svg", f"{rig.dir}/no/such/x.svg", status=5)


def what_others_said_cannot_drive_the_terminal(rig):
    bad = record(f"4{ESC}", ESC, ESC, why=ESC, host=[
        step(ESC, 1, 9223372036854775807, ESC, "op", "status")])
    bad["mounts"][0].update(path=ESC, type=ESC, outcome=ESC, why=ESC,
                            freeze_at_us=9223372036854775807)
    bad["applications"][0]["notes"][0].update(part=ESC, phase=ESC)
    rig.write(bad)
    for cmd in ("history", "last", "status"):
        text = rig.run(cmd, status={"history": 0, "last": 1}.get(cmd, 4))
        assert not any(l.startswith("forged") for l in text.splitlines())


def what_the_driver_knows_is_added(rig):
    mine = record("1")
    half = record("2", "interrupted", at_us=9000000,
                  started="2026-01-02T05:00:00.000Z")
    del half["host"], half["daemon"]
    rig.write(mine, half)
    told = [record("1"), record("2", at_us=9000000,
                                started="2026-01-02T05:00:00.000Z"),
            record("1", at_us=77000000, started="2026-01-02T06:00:00.000Z")]
    for r in told:
        del r["mounts"], r["window"]
    thread = rig.driver({"vss-backups": json.dumps(
        {"ok": True, "backups": told + [7, {}, {"id": "9"}]}).encode() +
        b"\n"}, 1)
    got = json.loads(rig.run("history", "--json"))
    thread.join()
    assert [r["id"] for r in got] == ["1", "2", "1"], got
    assert [r["result"] for r in got] == ["application"] * 3
    assert "mounts" in got[1] and "mounts" not in got[2]


def a_driver_that_talks_rubbish_is_nobody(rig):
    rig.write(record("1"))
    thread = rig.driver({"vss-backups": b"\xff{}\n"}, 1)
    assert rig.ids("history") == ["1"]
    thread.join()


CASES = (
    nothing_known_is_said, the_table_lines_up,
    a_torn_line_and_strangers_are_passed_over, the_last_account_counts,
    the_last_backup_is_drawn, a_check_that_its_backup_followed_is_left_out,
    who_thawed_is_said_if_it_was_not_the_daemon,
    status_is_one_line_a_question, exit_status_tells_how_it_went,
    svg_is_one_well_formed_file, what_others_said_cannot_drive_the_terminal,
    what_the_driver_knows_is_added, a_driver_that_talks_rubbish_is_nobody,
)

for case in CASES:
    print(case.__name__)
    rig = Rig(sys.argv[1])
    try:
        case(rig)
    finally:
        shutil.rmtree(rig.dir)
