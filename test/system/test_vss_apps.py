#!/usr/bin/python3
"""test_vss_apps.py BUILD SOURCE - applications as processes: the library's
example programs, `hvctl vss hold`, and hv_vss_hooks with scripts as
qemu-guest-agent's and open-vm-tools' users have them.

The driver is played by the test; no file system is frozen.
"""
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile

from machine import _die_with_parent as die_with_parent
from vss_app_driver import ABORT, CHECK, FAIL, FREEZE, OK, THAW, AppDriver

EX_UNAVAILABLE = 69


class Rig:
    def __init__(self, build, source):
        self.build, self.source = os.path.abspath(build), source
        self.dir = tempfile.mkdtemp(prefix="hvsys.")
        os.chmod(self.dir, 0o755)
        self.run = f"{self.dir}/run"
        self.driver = AppDriver(self.run)
        self.children = []

    def start(self, *argv, **how):
        """A program, as soon as it has opened the device; its name there."""
        child = self.spawn(*argv, **how)
        return child, self.driver.accept()

    def spawn(self, *argv, env=None, **how):
        child = subprocess.Popen(
            argv, env={**os.environ, "HYPERV_RUN_DIR": self.run, **(env or {})},
            preexec_fn=die_with_parent,
            **{"stdin": subprocess.DEVNULL, **how})
        self.children.append(child)
        return child

    def hold(self, *args, **how):
        return self.start(f"{self.build}/prog/hvctl", "--config", "/dev/null",
                          "--run-dir", self.run, "vss", "hold", *args,
                          **how)[0]

    def script(self, path, body="", mode=0o755):
        """It writes down how it was called."""
        path = f"{self.dir}/{path}"
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\necho "${{0##*/}} $*" >>{self.dir}/calls\n'
                    f'{body}\n')
        os.chmod(path, mode)
        return path

    def calls(self):
        try:
            with open(f"{self.dir}/calls", encoding="utf-8") as f:
                got = f.read().splitlines()
        except FileNotFoundError:
            return []
        os.unlink(f"{self.dir}/calls")
        return got

    def accepted(self, *opts):
        for opt in opts:
            got = self.driver.tell(opt)
            assert got == (OK, ""), (opt, got)

    def refused(self, opt, words):
        status, why = self.driver.tell(opt)
        assert status == FAIL and words in why, (status, why)

    def end(self, child, sig=signal.SIGTERM):
        child.send_signal(sig)
        return self.wait(child)

    @staticmethod
    def wait(child):
        code = child.wait(30)
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe:
                pipe.close()
        return code

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
                self.wait(child)
        self.driver.close()
        shutil.rmtree(self.dir)


# The library


def the_manuals_example_holds_writers(rig):
    """It is compiled as printed there, and as C++."""
    with open(f"{rig.source}/man/hyperv_vss.3", encoding="utf-8") as page:
        text = re.search(r"^\.Sh EXAMPLES.*?^\.Bd -literal\n(.*?)^\.Ed",
                         page.read(), re.M | re.S).group(1)
    program = f"{rig.dir}/example"
    with open(f"{program}.c", "w", encoding="utf-8") as f:
        f.write(text.replace(r"\en", r"\n"))
    lib = f"{rig.build}/src/lib"
    subprocess.run([os.environ.get("CC", "cc"), "-Wall", "-Wextra", "-Werror",
                    f"-I{rig.source}/include", "-o", program, f"{program}.c",
                    f"-L{lib}", "-lhyperv", f"-Wl,-rpath,{lib}"], check=True)
    child, name = rig.start(program, stderr=subprocess.PIPE)
    assert name == "journal"
    rig.accepted(CHECK, FREEZE, THAW, FREEZE, ABORT)
    rig.driver.hang_up()
    assert b"driver went away" in child.stderr.read()
    assert rig.wait(child) == 0


def the_header_is_good_for_cxx(rig):
    cxx = shutil.which("c++") or shutil.which("clang++")
    if not cxx:
        print("no C++ compiler: the header was not compiled as C++")
        return
    subprocess.run([cxx, "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                    "-x", "c++", f"-I{rig.source}/include", "-"],
                   input=b"#include <hyperv/vss.h>\n", check=True)


def the_example_program_behaves_as_told(rig):
    program = f"{rig.build}/examples/hv_vss_example"
    child, name = rig.start(program, "--name", "db", "--freeze=fail=busy",
                            "--thaw=delay=0.1", "--once",
                            stdout=subprocess.PIPE)
    assert name == "db"
    rig.accepted(CHECK)
    rig.refused(FREEZE, "busy")
    rig.accepted(ABORT)
    said = child.stdout.read().decode().split()
    assert said[0] == "open", said
    assert said[1::2] == ["check", "freeze", "abort"], said
    assert rig.wait(child) == 0
    child, _ = rig.start(program, "--freeze=silent", "--abort=die",
                         stdout=subprocess.PIPE)
    rig.driver.ask(FREEZE)
    rig.driver.ask(ABORT)
    assert rig.driver.answer() is None
    assert rig.wait(child) == 3


# hvctl vss hold


def a_command_is_run_with_the_phase(rig):
    child = rig.hold("--once", "--", rig.script("cmd"), "an", "argument")
    rig.accepted(CHECK, FREEZE)
    assert rig.calls() == ["cmd freeze an argument"]
    rig.accepted(THAW)
    assert rig.calls() == ["cmd thaw an argument"]
    assert rig.wait(child) == 0


def shell_commands_are_run_around_it(rig):
    log = f"{rig.dir}/calls"
    child = rig.hold(
        "--check", f"test ! -e {rig.dir}/no",
        "--freeze", f"echo flush $HV_VSS_PHASE >>{log}",
        "--thaw", f"echo go $HV_VSS_PHASE >>{log}",
        "--abort", f"echo undo $HV_VSS_PHASE >>{log}",
        "--", rig.script("cmd"), stderr=subprocess.PIPE)
    rig.accepted(CHECK, FREEZE, THAW)
    assert rig.calls() == ["flush freeze", "cmd freeze", "cmd thaw",
                           "go thaw"]
    rig.accepted(FREEZE, ABORT)
    assert rig.calls()[2:] == ["cmd thaw", "undo abort"]
    with open(f"{rig.dir}/no", "w", encoding="utf-8"):
        pass
    rig.refused(CHECK, "check command: exit status 1")
    # the driver goes away in between; so does hvctl
    rig.accepted(FREEZE)
    rig.calls()
    rig.driver.accept()
    until_calls(rig, ["cmd thaw", "undo abort"])
    rig.accepted(FREEZE)
    rig.calls()
    assert rig.end(child) == 0
    assert rig.calls() == ["cmd thaw", "undo abort"]


def until_calls(rig, expected):
    got = []
    for _ in range(1000):
        got += rig.calls()
        if got == expected:
            return
        select.select([], [], [], 0.02)
    raise AssertionError(f"{got} instead of {expected}")


def a_failing_freeze_command_refuses(rig):
    child = rig.hold("--freeze", "exit 7", "--thaw",
                     f"echo thaw >>{rig.dir}/calls", stderr=subprocess.PIPE)
    rig.refused(FREEZE, "freeze command: exit status 7")
    rig.accepted(ABORT)
    assert rig.calls() == ["thaw"]
    assert rig.end(child) == 0


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def until_running(pid):
    for _ in range(1000):
        if state_of(pid) != "T":
            return
        select.select([], [], [], 0.02)
    raise AssertionError(f"{pid} is still stopped")


WRITER = "trap 'exit 5' TERM; echo $$; while :; do read line || exit 9; " \
    "echo got $line; done"


def a_wrapped_command_is_stopped_and_continued(rig):
    for end in (THAW, ABORT):
        child = rig.hold("--stop", "--", "sh", "-c", WRITER,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        pid = int(child.stdout.readline())
        rig.accepted(CHECK, FREEZE)
        assert state_of(pid) == "T"
        child.stdin.write(b"a\n")
        child.stdin.flush()
        rig.accepted(end)
        assert child.stdout.readline() == b"got a\n"
        child.stdin.close()
        child.stdin = None
        assert rig.wait(child) == 9      # the COMMAND's status


def a_stopped_command_goes_on_when_hvctl_is_killed(rig):
    child = rig.hold("--stop", "--", "sh", "-c", WRITER,
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = int(child.stdout.readline())
    rig.accepted(FREEZE)
    assert state_of(pid) == "T"
    child.kill()
    child.wait(30)
    until_running(pid)
    child.stdin.write(b"b\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"got b\n"
    rig.wait(child)                     # its input ends, and so does it


def a_command_is_told_to_end_with_hvctl(rig):
    child = rig.hold("--stop", "--", "sh", "-c", WRITER,
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = int(child.stdout.readline())
    rig.accepted(FREEZE)
    child.send_signal(signal.SIGTERM)
    child.stdin.write(b"\n")            # dash runs the trap after read
    child.stdin.flush()
    assert rig.wait(child) == 5
    assert not os.path.exists(f"/proc/{pid}")


def another_process_gets_signals(rig):
    other = rig.spawn("bash", "-c", "trap 'echo usr1' USR1; "
                      "trap 'echo usr2' USR2; echo ready; "
                      "while :; do read -r line; done <&0",
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"ready\n"
    child = rig.hold("--signal", "USR1,SIGUSR2", "--pid", str(other.pid),
                     stderr=subprocess.PIPE)
    rig.accepted(FREEZE)
    assert other.stdout.readline() == b"usr1\n"
    rig.accepted(THAW)
    assert other.stdout.readline() == b"usr2\n"
    other.kill()
    rig.wait(other)
    assert rig.wait(child) == 0         # what it held has ended


def wrong_use_is_said(rig):
    for args, words in ((["--signal", "USR1", "--", "x"], b"two signals"),
                        (["--stop"], b"which COMMAND"),
                        (["--pid", "0"], b"no process"),
                        ([], b"hold what?")):
        done = subprocess.run([f"{rig.build}/prog/hvctl", "--config",
                               "/dev/null", "vss", "hold", *args],
                              stderr=subprocess.PIPE, check=False, timeout=30)
        assert done.returncode == 2 and words in done.stderr, done


# hv_vss_hooks


def hooks(rig, *args):
    return rig.start(f"{rig.build}/prog/hv_vss_hooks", "-n", "--config",
                     "/dev/null", "--run-dir", rig.run, "--dir",
                     f"{rig.dir}/vss.d", *args,
                     stderr=open(f"{rig.dir}/log", "ab"))[0]


def foreign_scripts_run_unchanged(rig):
    """As qemu-guest-agent's mysql example and open-vm-tools' documentation
    have them: they look at their first argument and nothing else."""
    rig.script("vss.d/10-native")
    rig.script("qemu/50-db.sh", """case "$1" in
        freeze) echo locked >&2 ;;
        thaw) ;;
        *) exit 9 ;;
        esac""")
    rig.script("vmware/90-app", """if [ "$1" = freeze ]; then exit 0
        elif [ "$1" = freezeFail ]; then exit 0
        elif [ "$1" = thaw ]; then exit 0
        else echo "Usage: `/bin/basename $0` [ freeze | freezeFail | thaw ]"
             exit 1; fi""")
    child = hooks(rig, "--qemu-ga-dir", f"{rig.dir}/qemu",
                  "--open-vm-tools-dir", f"{rig.dir}/vmware")
    rig.accepted(CHECK, FREEZE, THAW)
    assert rig.calls() == ["10-native check", "10-native freeze",
                           "50-db.sh freeze", "90-app freeze", "90-app thaw",
                           "50-db.sh thaw", "10-native thaw"]
    rig.accepted(FREEZE, ABORT)
    assert rig.calls()[3:] == ["90-app freezeFail", "50-db.sh thaw",
                               "10-native fail"]
    assert ("50-db.sh", FREEZE, OK) in rig.driver.notes
    with open(f"{rig.dir}/log", encoding="utf-8") as log:
        assert 'hook 50-db.sh: "locked"' in log.read()
    assert rig.end(child) == 0


def a_second_runner_ends_with_a_reason(rig):
    child = hooks(rig)
    second = rig.spawn(f"{rig.build}/prog/hv_vss_hooks", "-n", "--config",
                       "/dev/null", "--run-dir", rig.run,
                       stderr=subprocess.PIPE)
    assert b"another hv_vss_hooks is running" in second.stderr.read()
    assert rig.wait(second) == EX_UNAVAILABLE
    assert rig.end(child) == 0


def frozen_hooks_are_told_the_end_by_the_next_runner(rig):
    child = hooks(rig)
    rig.accepted(FREEZE)
    assert rig.calls() == ["10-native freeze"]
    rig.end(child, signal.SIGKILL)
    child = hooks(rig)
    assert rig.calls() == ["10-native fail"]
    assert not os.path.exists(f"{rig.run}/hv_vss_hooks.frozen")
    # killed while a hook freezes: that one was begun
    rig.script("vss.d/20-slow", "[ $1 != freeze ] || exec tail -f /dev/null")
    rig.driver.ask(FREEZE)
    until_calls(rig, ["10-native freeze", "20-slow freeze"])
    rig.end(child, signal.SIGKILL)
    child = hooks(rig)
    assert rig.calls() == ["20-slow fail", "10-native fail"]
    os.unlink(f"{rig.dir}/vss.d/20-slow")
    assert rig.end(child) == 0


def hooks_are_released_when_the_runner_or_the_driver_ends(rig):
    child = hooks(rig)
    rig.accepted(FREEZE)
    rig.driver.accept()                 # hangs up first
    until_calls(rig, ["10-native freeze", "10-native fail"])
    rig.accepted(FREEZE)
    assert rig.end(child) == 0
    assert rig.calls() == ["10-native freeze", "10-native fail"]


def a_hook_that_others_can_change_is_refused_and_named(rig):
    path = rig.script("vss.d/30-open", mode=0o777)
    child = hooks(rig)
    rig.refused(FREEZE, "hook 30-open is not safe to run")
    rig.accepted(ABORT)
    assert not rig.calls()
    shown = subprocess.run([f"{rig.build}/prog/hv_vss_hooks", "--config",
                            "/dev/null", "--dir", f"{rig.dir}/vss.d",
                            "--list"], stdout=subprocess.PIPE, check=False)
    assert shown.returncode == 1
    assert b"30-open: not safe to run" in shown.stdout, shown.stdout
    os.unlink(path)
    assert rig.end(child) == 0


def main(build, source):
    rig = Rig(build, source)
    tests = [the_manuals_example_holds_writers, the_header_is_good_for_cxx,
             the_example_program_behaves_as_told,
             a_command_is_run_with_the_phase,
             shell_commands_are_run_around_it,
             a_failing_freeze_command_refuses,
             a_wrapped_command_is_stopped_and_continued,
             a_stopped_command_goes_on_when_hvctl_is_killed,
             a_command_is_told_to_end_with_hvctl,
             another_process_gets_signals, wrong_use_is_said,
             foreign_scripts_run_unchanged,
             a_second_runner_ends_with_a_reason,
             frozen_hooks_are_told_the_end_by_the_next_runner,
             hooks_are_released_when_the_runner_or_the_driver_ends,
             a_hook_that_others_can_change_is_refused_and_named]
    try:
        for test in tests:
            print(test.__name__, flush=True)
            test(rig)
    finally:
        rig.close()


main(*sys.argv[1:])
