"""test_hvhost.py BUILD - hvhost's command line against real processes: what it
prints, its exit codes, scenarios, and a trace that is played again."""
import json
import os
import signal
import subprocess
import sys
import threading

from machine import Machine

OK, NO, USAGE, REFUSED, UNREACHABLE, TIMEOUT, IO = range(7)
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                    "../scenario/data")


def call(m, *args):
    """Exit code, stdout, stderr."""
    done = subprocess.run([f"{m.build}/prog/hvhost", *args], check=False,
                          stdin=subprocess.DEVNULL, capture_output=True)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def ask(m, *args):
    return call(m, *args, "--dir", f"{m.dir}/host")


def expect(m, code, *args):
    got, out, err = ask(m, *args)
    assert got == code, f"hvhost {args}: {got}, not {code}: {out}{err}"
    return out + err


def exit_codes_tell_no_refused_and_absent_apart(m):
    expect(m, OK, "kvp", "set", "colour", "blue")
    assert expect(m, OK, "kvp", "get", "-p", "external", "colour") == "blue\n"
    assert "no-more-items" in expect(m, NO, "kvp", "get", "missing")
    assert "no-such-adapter" in expect(m, NO, "kvp", "ip", "02:ff:ff:ff:ff:fe")
    expect(m, REFUSED, "kvp", "set", "k" * 256, "v")
    expect(m, REFUSED, "kvp", "set", "-t", "u32", "n", "4294967296")
    expect(m, REFUSED, "kvp", "get", "-p", "nowhere", "k")
    expect(m, REFUSED, "clock", "advance", "5")
    expect(m, REFUSED, "offer", "kvp")
    expect(m, USAGE, "kvp", "get")
    expect(m, USAGE, "kvp", "get", "one", "two")
    expect(m, USAGE, "kvp", "fetch")
    assert "hvhost status: unrecognized option" in \
        expect(m, USAGE, "status", "--no-such-option")
    assert "'redy'" in expect(m, USAGE, "wait", "redy")
    expect(m, USAGE, "wait", "ready", "--timeout", "soon")
    expect(m, USAGE, "kvp", "get", "--type", "u32", "k")
    assert '"u33"' in expect(m, REFUSED, "kvp", "set", "-t", "u33", "k", "v")
    assert '"nic"' in expect(m, REFUSED, "rescind", "nic")
    assert "kvp is ready" in expect(m, TIMEOUT, "wait", "gone", "--timeout",
                                    "0.05")
    assert call(m, "status", "--dir", f"{m.dir}/x")[0] == UNREACHABLE
    assert call(m, "run", "--profile", "ws1999")[0] == USAGE
    assert call(m, "run", "--poll", "often")[0] == USAGE
    assert call(m, "replay", "--timeout", "x", "t")[1:] == ("",
        "hvhost replay: 'x' is no time of 1 to 86400 seconds\n")
    for option in ("--items", "--scenario"):
        code, _, err = call(m, "run", "--dir", f"{m.dir}/y", option, "none")
        assert code == USAGE and "none: No such file" in err, err


def what_cannot_be_written_is_not_ok(m):
    for args in (["--help"], ["--version"], ["profiles"], ["faults"],
                 ["status", "--dir", f"{m.dir}/host"],
                 ["status", "--json", "--dir", f"{m.dir}/host"],
                 ["kvp", "list", "-p", "auto", "--dir", f"{m.dir}/host"]):
        with open("/dev/full", "w", encoding="utf-8") as full:
            code = subprocess.run([f"{m.build}/prog/hvhost", *args],
                                  check=False, stdin=subprocess.DEVNULL,
                                  stdout=full,
                                  stderr=subprocess.DEVNULL).returncode
        assert code == IO, f"hvhost {args}: {code}"


def an_item_outlives_channel_and_guest(m):
    expect(m, OK, "rescind", "kvp")
    assert "not offered" in expect(m, OK, "status")
    expect(m, NO, "kvp", "get", "-p", "0", "colour")
    expect(m, REFUSED, "rescind", "kvp")
    assert "stored" in expect(m, OK, "kvp", "set", "colour", "green")
    expect(m, OK, "offer", "kvp")
    expect(m, OK, "wait", "pushed")
    assert expect(m, OK, "kvp", "get", "-p", "0", "colour") == "green\n"
    expect(m, OK, "kvp", "del", "colour")
    expect(m, NO, "kvp", "del", "colour")
    expect(m, OK, "restart")
    expect(m, OK, "wait", "pushed")
    assert "colour" not in expect(m, OK, "kvp", "list", "-p", "external")


def status_is_json_too(m):
    s = json.loads(expect(m, OK, "status", "--json"))
    assert s["guest"] and s["ok"]
    assert s["ics"][0]["state"] == "ready"
    assert s["ics"][0]["health_codes"] == [2, 2]
    assert s["violations"] == 0 and s["ics"][0]["unanswered"] == 0


def the_guests_programs_name_things_alike(m):
    programs = json.loads(m.hvctl("status", "--json"))
    assert not programs.pop("hv_vss_daemon")["running"]
    drivers, daemon = programs["hv_utilsd"], programs["hv_kvp_daemon"]
    for program, s in programs.items():
        assert s["program"] == program and s["running"]
        assert isinstance(s["uptime_ms"], int)
    assert drivers["version"] == daemon["version"]
    assert drivers["kvp"]["form"] == daemon["form"] == "linux"
    assert drivers["kvp"]["requests"].keys() == daemon["requests"].keys()
    text = m.hvctl("status")
    assert "\n  kvp\n    daemon            ready\n" in text, text
    assert "\n  pools           pool 0  name external  " in text, text
    assert " GET_IP_INFO 1, " in text and "uptime_ms" not in text, text


def watching_prints_what_a_program_writes(m):
    watch = m.spawn(f"{m.build}/prog/hvhost", "kvp", "watch", "--json", "-p",
                    "guest", "-i", "0.05", "--dir", f"{m.dir}/host",
                    stdout=subprocess.PIPE)
    timer = threading.Timer(30, watch.kill)     # a hang must end, failing
    timer.start()
    m.hvctl("kvp", "set", "progress", "10")
    line = json.loads(watch.stdout.readline())
    assert (line["change"], line["key"], line["value"]) == \
        ("added", "progress", "10"), line
    m.hvctl("kvp", "set", "progress", "20")
    line = json.loads(watch.stdout.readline())
    assert (line["change"], line["value"]) == ("changed", "20"), line
    timer.cancel()
    watch.send_signal(signal.SIGTERM)
    watch.wait()
    watch.stdout.close()


def a_trace_plays_again_and_shows_a_difference(m):
    trace, other = f"{m.dir}/trace", f"{m.dir}/other"
    code, out, err = ask(m, "run", "--virtual-clock", "--record", trace,
                         "--scenario", f"{DATA}/negotiation_lists.json")
    assert code == OK and "passed" in out, out + err
    code, out, _ = call(m, "trace", trace)
    assert code == OK and "NEGOTIATE" in out and "HostName" in out
    code, out, err = ask(m, "replay", trace)
    assert code == OK and "0 differences" in out, out + err
    with open(trace, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    answer = [line for line in lines if line.get("dir") == "g2h"][3]
    answer["hex"] = answer["hex"][:40] + "05400080" + answer["hex"][48:]
    with open(other, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    code, out, _ = ask(m, "replay", other)
    assert code == NO and "status: fail then, ok now" in out, out


def watches_files(pid):
    """Does the process hold an inotify descriptor that watches something?"""
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
                if "inotify wd" in f.read():
                    return True
        except FileNotFoundError:
            pass
    return False


def waiting_begins_before_there_is_a_host(m):
    where = ("--dir", f"{m.dir}/later/host")
    code, _, err = call(m, "wait", "gone", "--timeout", "0.05", *where)
    assert code == UNREACHABLE and "no host is running" in err, err
    wait = m.spawn(f"{m.build}/prog/hvhost", "wait", "gone", *where)
    while not watches_files(wait.pid):
        assert wait.poll() is None
    host = m.start_until("guests connect", f"{m.build}/prog/hvhost", "run",
                         *where)
    assert wait.wait(timeout=30) == OK
    host.send_signal(signal.SIGTERM)
    assert host.wait() == OK


def scenarios_run_against_any_guest(m):
    for name in ("channel_restart", "channel_ring", "fault_headers",
                 "negotiation_malformed"):
        code, out, err = ask(m, "run", "--virtual-clock", "--scenario",
                             f"{DATA}/{name}.json")
        assert code == OK, out + err
    wrong = f"{m.dir}/wrong.json"
    with open(wrong, "w", encoding="utf-8") as f:
        f.write('{"name": "n", "steps": [{"wait": "ready"}, '
                '{"do": "kvp-get", "pool": 1, "key": "no such key", '
                '"expect": {"status": "ok"}}]}')
    code, out, _ = ask(m, "run", "--virtual-clock", "--scenario", wrong)
    assert code == NO and "FAILED: status is no-more-items" in out, out


def main():
    with Machine(sys.argv[1]) as m:
        exit_codes_tell_no_refused_and_absent_apart(m)
        what_cannot_be_written_is_not_ok(m)
        an_item_outlives_channel_and_guest(m)
        status_is_json_too(m)
        the_guests_programs_name_things_alike(m)
        watching_prints_what_a_program_writes(m)
        m.children[0].send_signal(signal.SIGTERM)   # its host: now others'
        assert m.children[0].wait() == 0
        a_trace_plays_again_and_shows_a_difference(m)
        scenarios_run_against_any_guest(m)
        waiting_begins_before_there_is_a_host(m)


main()
