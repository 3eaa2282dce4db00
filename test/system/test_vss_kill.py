#!/usr/bin/python3
"""test_vss_kill.py BUILD - nothing stays frozen, whoever dies: the daemon, its
guardian, both, the driver; stopped instead of killed; at any moment. In a box;
the test plays the driver. What is told afterwards has to be what happened.
"""
import json
import os
import random
import signal
import sys
import threading
import time

from vss_driver import (ABORT, CHECK, FAIL, FREEZE, OK, THAW, RUN, Driver,
                        start, wait_for)
from vssbox import Box, filesystems

HISTORY = "/var/lib/hyperv/vss_history.jsonl"
WINDOW = 1.5        # seconds that something may be frozen at most
AT_ONCE = 1.0       # well before the window ends
SLACK = 0.5         # a loaded machine
EX_UNAVAILABLE, EX_CONFIG = 69, 78


def millis(seconds):
    return int(seconds * 1000)


class Case:
    """A daemon with its driver, and what they are asked."""

    def __init__(self, box):
        self.box, self.driver = box, Driver(box)
        self.daemon = self.worker = None
        self.start()

    def start(self):
        self.daemon = start(self.box)
        self.driver.accept()
        self.worker = self.find_worker()

    def find_worker(self):
        return wait_for(self.daemon.children)[0]

    def freeze(self, window=WINDOW):
        assert self.driver.ask(FREEZE, frozen_ms=millis(window)) == (OK, "")
        frozen = self.box.any_frozen()
        assert sorted(frozen) == sorted(self.box.devices), frozen
        return str(self.driver.msgid)

    def thawed(self, seconds):
        assert self.box.wait_thawed(seconds), self.box.any_frozen()

    def record(self, number):
        """The history's last line about this backup. With no hv_utilsd there,
        the daemon would wait for the driver's account; ending, it does not."""
        self.daemon.terminate()
        assert self.daemon.wait(20) == 0
        self.start()
        return records(self.box)[number]

    def works(self):
        """A whole backup, after whatever happened."""
        number = self.freeze(10)
        assert self.driver.ask(THAW) == (OK, "")
        self.thawed(0)
        record = self.record(number)
        assert record["window"]["thawed_by"] == "daemon"
        assert outcomes(record) == {"thawed"}, record

    def end(self):
        self.driver.close()
        self.daemon.terminate()
        assert self.daemon.wait(20) == 0
        assert not self.box.any_frozen()


def records(box):
    try:
        lines = box.read(HISTORY).decode().splitlines()
    except FileNotFoundError:
        return {}
    return {r["id"]: r for r in map(json.loads, lines)}


def outcomes(record):
    """Of what was to be frozen."""
    return {m.get("outcome") for m in record["mounts"]
            if m["action"] == "freeze"}


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)


# The daemon, the guardian, both

def a_killed_daemon_is_thawed_for_and_started_again(case):
    number = case.freeze(20)
    kill(case.worker)
    case.thawed(AT_ONCE)
    assert case.driver.gone()
    case.driver.accept()
    case.worker = case.find_worker()
    record = case.record(number)
    assert record["window"]["thawed_by"] == "guardian", record
    assert "killed by signal 9" in record["why"], record
    assert outcomes(record) == {"thawed"}, record
    case.works()


def a_daemon_without_guardian_thaws_says_so_and_ends(case):
    number = case.freeze(20)
    case.daemon.kill()
    case.thawed(AT_ONCE)
    opt, status, msgid, why = case.driver.receive()
    assert (opt, status, str(msgid)) == (ABORT, FAIL, number)
    assert why == "the guardian died", why
    assert case.driver.gone()
    case.daemon.wait(20)
    case.start()
    record = case.record(number)
    assert record["window"]["thawed_by"] == "daemon", record
    assert "guardian died" in record["why"], record
    case.works()


def kill_both(case):
    """At the same moment, as far as that goes: stopped, neither sees the
    other's end."""
    for pid in (case.daemon.pid, case.worker):
        kill(pid, signal.SIGSTOP)
    for pid in (case.worker, case.daemon.pid):
        kill(pid)
    case.daemon.wait(20)
    wait_for(lambda: not os.path.exists(f"/proc/{case.worker}"))


def kill_in_turn(case, chance):
    """One sees the other's end, and is killed in the middle of what it does
    about that; a worker that was just made lives on."""
    victims = [case.worker, case.daemon.pid]
    chance.shuffle(victims)
    kill(victims[0])
    threading.Event().wait(chance.choice((0, 0.0003, 0.001, 0.003)))
    try:
        kill(victims[1])
    except ProcessLookupError:
        pass
    case.daemon.wait(20)


def what_both_left_frozen_is_thawed_at_the_next_start(case):
    number = case.freeze(20)
    kill_both(case)
    assert case.box.any_frozen()        # closing descriptors thaws nothing
    case.start()
    case.thawed(0)                      # before it serves
    assert "was left frozen; thawed" in case.box.log()
    record = case.record(number)
    assert record["window"]["thawed_by"] == "restart", record
    assert "guardian were killed" in record["why"], record
    case.works()


def what_is_left_is_found_under_other_mounts_and_without_any(case):
    case.freeze(20)
    case.box.overmount("/data")
    kill_both(case)
    case.box.umount("/more")            # now nothing holds it
    said = case.box.run_status("hv_vss_daemon", "--thaw-left", "-c",
                               "/dev/null")
    assert said[0] == 0, said
    case.thawed(0)
    case.box.umount("/data")
    case.box.mount(case.box.devices["/more"], "/more", "ext4")
    case.start()
    case.works()


def a_stopped_daemon_is_thawed_for_at_the_deadline(case):
    number = case.freeze()
    began = time.monotonic()
    kill(case.worker, signal.SIGSTOP)
    case.thawed(WINDOW + SLACK)
    assert time.monotonic() - began > WINDOW / 2    # not before
    kill(case.worker, signal.SIGCONT)
    opt, status, msgid, _ = case.driver.receive()
    assert (opt, status, str(msgid)) == (ABORT, FAIL, number)
    assert case.driver.ask(THAW)[0] == FAIL         # it was not frozen on
    assert case.record(number)["window"]["thawed_by"] == "guardian"
    case.works()


def a_stopped_guardian_is_no_harm(case):
    number = case.freeze()
    kill(case.daemon.pid, signal.SIGSTOP)
    case.thawed(WINDOW + SLACK)
    kill(case.daemon.pid, signal.SIGCONT)
    assert case.driver.receive()[:2] == (ABORT, FAIL)
    assert case.record(number)["window"]["thawed_by"] == "daemon"
    case.works()


def a_stopped_daemon_without_guardian_is_ended_by_the_next_start(case):
    number = case.freeze(20)
    kill(case.worker, signal.SIGSTOP)
    case.daemon.kill()
    case.daemon.wait(20)
    assert case.box.any_frozen()
    case.start()
    case.thawed(0)
    assert case.record(number)["window"]["thawed_by"] == "restart"
    case.works()


def told_to_end_each_of_them_thaws_first(case):
    for who in ("daemon", "worker"):
        case.freeze(20)
        kill(case.daemon.pid if who == "daemon" else case.worker,
             signal.SIGTERM)
        assert case.daemon.wait(20) == 0
        case.thawed(0)
        case.start()
    case.works()


def killed_at_any_moment_nothing_stays_frozen(case):
    seed = int(os.environ.get("HV_TEST_SEED", random.randrange(1 << 32)))
    print(f"seed {seed} (HV_TEST_SEED)", flush=True)
    chance = random.Random(seed)
    for _ in range(12):
        victim = chance.choice(("worker", "guardian", "both", "in turn"))
        case.driver.send(FREEZE, frozen_ms=millis(WINDOW))
        threading.Event().wait(chance.random() * 0.3)
        if victim == "both":
            kill_both(case)
        elif victim == "in turn":
            kill_in_turn(case, chance)
        else:
            kill(case.worker if victim == "worker" else case.daemon.pid)
        if victim == "worker":
            case.thawed(WINDOW + SLACK)
            case.driver.accept()
            case.worker = case.find_worker()
            continue
        if victim == "guardian":
            case.thawed(AT_ONCE)
            case.daemon.wait(20)
        case.start()
        case.thawed(0)
    case.works()


def fill(pipe):
    """Until whoever writes there has to wait."""
    os.set_blocking(pipe, False)
    for size in (4096, 1):
        try:
            while True:
                os.write(pipe, b"x" * size)
        except BlockingIOError:
            pass
    os.set_blocking(pipe, True)


def a_log_that_nobody_reads_keeps_nothing_frozen(case):
    case.end()
    box = case.box
    how = {"worker": signal.SIGKILL, "guardian": signal.SIGKILL,
           "stopped": signal.SIGSTOP, "next": signal.SIGKILL}
    for victim, number in how.items():
        unread, log = os.pipe()
        case.driver = Driver(box)
        case.daemon = box.popen(
            "hv_vss_daemon", "-n", "-d", "-c", "/dev/null", "--confine",
            box.confine, stdout=log, stderr=log)
        case.driver.accept()
        case.worker = case.find_worker()
        case.freeze()
        fill(log)
        if victim == "next":
            kill_both(case)
            case.daemon = box.popen(
                "hv_vss_daemon", "-n", "-c", "/dev/null", "--confine",
                box.confine, stdout=log, stderr=log)
        else:
            kill(case.daemon.pid if victim == "guardian" else case.worker,
                 number)
        case.thawed(WINDOW + SLACK)
        os.close(log)
        os.close(unread)
        case.driver.close()
        case.daemon.kill()
        case.daemon.wait(20)
    case.driver = Driver(box)
    case.start()
    case.works()


# The host and its driver

def a_driver_that_dies_thaws_at_once(case):
    number = case.freeze(20)
    case.driver.hang_up()
    case.thawed(AT_ONCE)
    case.driver.accept()
    assert case.record(number)["window"]["thawed_by"] == "daemon"
    case.driver.send(FREEZE, frozen_ms=20000)       # before it is frozen
    case.driver.hang_up()
    case.driver.accept()
    case.thawed(AT_ONCE)
    case.works()


def a_host_that_never_thaws_is_not_waited_for(case):
    number = case.freeze()
    case.thawed(WINDOW)
    opt, status, msgid, why = case.driver.receive()
    assert (opt, status, str(msgid)) == (ABORT, FAIL, number)
    assert why == "frozen for longer than 1500 ms", why
    assert case.driver.ask(THAW) == (FAIL, why)
    assert case.driver.ask(THAW) == (OK, "")        # nothing is frozen
    record = case.record(number)
    assert record["window"]["thawed_by"] == "daemon"
    assert record["why"] == why
    case.works()


def an_abort_overtakes_whatever_is_in_hand(case):
    for pause in (0, 0.02, 0.05, 0.1, 0.2):
        case.driver.send(FREEZE, frozen_ms=20000)
        threading.Event().wait(pause)
        msgid = case.driver.send(ABORT)
        got = case.driver.receive()
        if got[0] == FREEZE:                        # it was done before
            got = case.driver.receive()
        assert got == (ABORT, OK, msgid, ""), got
        case.thawed(0)
        assert case.driver.silent()
        wait_for(lambda: case.driver.ask(CHECK) == (OK, ""))
    case.works()


def questions_while_it_is_frozen_are_refused(case):
    case.freeze(20)
    for opt in (CHECK, FREEZE):
        assert case.driver.ask(opt) == (FAIL, "a backup is in hand")
    assert case.driver.ask(77) == (FAIL, "unknown request")
    assert len(case.box.any_frozen()) == len(case.box.devices)
    assert case.driver.ask(THAW) == (OK, "")
    case.works()


# Mounts

def what_is_covered_or_unmounted_while_frozen_is_thawed(case):
    number = case.freeze(20)
    case.box.overmount("/data")
    case.box.umount("/more", lazy=True)
    assert case.driver.ask(THAW) == (OK, "")
    case.thawed(0)
    assert outcomes(case.record(number)) == {"thawed"}
    case.box.umount("/data")
    wait_for(lambda: not remount_fails(case.box, "/more"))
    case.works()


def remount_fails(box, path):
    try:
        box.mount(box.devices[path], path, "ext4")
        return None
    except AssertionError as why:
        return why


def what_somebody_else_froze_is_named_and_left_alone(case):
    case.box.freeze("/more")
    status, why = case.driver.ask(FREEZE)
    assert (status, why) == (FAIL, "/more: frozen by somebody else")
    number = str(case.driver.msgid)
    assert case.box.any_frozen() == ["/more"]
    assert "/more" in [m["path"] for m in case.record(number)["mounts"]
                       if m.get("outcome") == "foreign"]
    assert case.driver.ask(THAW) == (OK, "")
    assert case.box.any_frozen() == ["/more"]
    case.box.thaw("/more")
    case.works()


def a_thaw_behind_our_back_fails_the_backup(case):
    number = case.freeze(20)
    case.box.thaw("/data")
    assert case.driver.ask(THAW) == (FAIL, "/data: somebody else thawed it")
    case.thawed(0)
    assert "somebody else" in case.record(number)["why"]
    case.works()


# Starting

def a_second_daemon_is_refused_and_breaks_nothing(case):
    case.freeze(20)
    for more in ((), ("--thaw-left",)):
        status, _, said = case.box.run_status(
            "hv_vss_daemon", "-n", "-c", "/dev/null", "--confine",
            case.box.confine, *more)
        assert status == EX_UNAVAILABLE, (status, said)
        assert "another hv_vss_daemon is running" in said, said
    assert case.box.any_frozen()
    assert case.driver.ask(THAW) == (OK, "")
    case.works()


def a_plan_beyond_confinement_is_refused(case):
    case.end()
    box = case.box
    status, _, said = box.run_status(
        "hv_vss_daemon", "-n", "-c", "/dev/null", "--confine",
        box.devices["/"])
    assert status == EX_CONFIG and "outside of --confine" in said, said
    case.driver = Driver(box)
    box.umount("/more")
    case.daemon = start(box, confine=",".join(
        box.devices[p] for p in box.devices if p != "/more"))
    case.driver.accept()
    assert case.driver.ask(CHECK) == (OK, "")
    box.mount(box.devices["/more"], "/more", "ext4")
    for opt in (CHECK, FREEZE):
        assert case.driver.ask(opt) == (FAIL, "/more: outside of --confine")
    assert not box.any_frozen()
    case.driver.close()
    case.daemon.terminate()
    assert case.daemon.wait(20) == 0
    case.driver = Driver(box)
    case.start()


def a_file_system_within_another_thaws_after_it(case):
    """Its own FITHAW writes to the file that it lies on."""
    box = case.box
    case.end()
    box.mkfs("ext4", "/data/inner.img", 16)
    inner = box.loop("/data/inner.img")
    box.mkdir("/tmp/inner")
    box.mount(inner, "/tmp/inner", "ext4")
    case.driver = Driver(box)
    case.daemon = start(box, confine=f"{box.confine},{inner}")
    case.driver.accept()
    case.freeze(20)
    assert box.frozen(inner)
    assert case.driver.ask(THAW) == (OK, "")
    assert not box.frozen(inner)
    case.freeze(20)
    case.worker = case.find_worker()
    kill(case.worker)
    case.thawed(AT_ONCE)
    wait_for(lambda: not box.frozen(inner))
    case.driver.accept()
    case.worker = case.find_worker()
    number = case.freeze(20)
    kill_both(case)
    case.daemon = start(box, confine=f"{box.confine},{inner}")
    case.thawed(0)
    assert not box.frozen(inner)
    case.driver.accept()
    box.umount("/tmp/inner")
    times = {m["path"]: m for m in case.record(number)["mounts"]}
    assert times["/tmp/inner"]["level"] > times["/data"]["level"], times
    assert times["/tmp/inner"]["freeze_at_us"] < \
        times["/data"]["freeze_at_us"] < times["/"]["freeze_at_us"], times


def a_daemon_that_hangs_in_the_kernel_is_waited_for(case):
    """On a loop file system whose backing somebody else has frozen."""
    case.end()
    box = case.box
    box.mkfs("ext4", "/data/hanging.img", 16)
    inner = box.loop("/data/hanging.img")
    confine = f"{box.confine},{inner}"
    box.mkdir("/tmp/hanging")
    box.mount(inner, "/tmp/hanging", "ext4")
    case.driver = Driver(box)
    case.daemon = start(box, confine=confine)
    case.driver.accept()
    box.dirty("/tmp/hanging/file", 2)
    box.freeze("/data")
    status, why = case.driver.ask(FREEZE, answer_ms=2000)
    assert (status, why) == (FAIL, "/tmp/hanging: flushing takes too long")
    assert box.any_frozen() == ["/data"]
    assert case.driver.ask(CHECK) == (FAIL,
                                      "/tmp/hanging: still hangs from before")
    case.worker = case.find_worker()
    for pid in (case.daemon.pid, case.worker):
        kill(pid)
    case.daemon.wait(20)
    status, _, said = box.run_status("hv_vss_daemon", "-n", "-c", "/dev/null",
                                     "--confine", confine)
    assert status == EX_UNAVAILABLE and "hangs in the kernel" in said, said
    box.thaw("/data")
    case.daemon = start(box, confine=confine)
    case.driver.accept()
    assert case.driver.ask(FREEZE) == (OK, "")
    assert case.driver.ask(THAW) == (OK, "")
    case.end()
    box.umount("/tmp/hanging")
    case.driver = Driver(box)
    case.start()


CASES = (
    a_file_system_within_another_thaws_after_it,
    a_killed_daemon_is_thawed_for_and_started_again,
    a_daemon_without_guardian_thaws_says_so_and_ends,
    what_both_left_frozen_is_thawed_at_the_next_start,
    what_is_left_is_found_under_other_mounts_and_without_any,
    a_stopped_daemon_is_thawed_for_at_the_deadline,
    a_stopped_guardian_is_no_harm,
    a_stopped_daemon_without_guardian_is_ended_by_the_next_start,
    told_to_end_each_of_them_thaws_first,
    killed_at_any_moment_nothing_stays_frozen,
    a_log_that_nobody_reads_keeps_nothing_frozen,
    a_driver_that_dies_thaws_at_once,
    a_host_that_never_thaws_is_not_waited_for,
    an_abort_overtakes_whatever_is_in_hand,
    questions_while_it_is_frozen_are_refused,
    what_is_covered_or_unmounted_while_frozen_is_thawed,
    what_somebody_else_froze_is_named_and_left_alone,
    a_thaw_behind_our_back_fails_the_backup,
    a_second_daemon_is_refused_and_breaks_nothing,
    a_daemon_that_hangs_in_the_kernel_is_waited_for,
    a_plan_beyond_confinement_is_refused,
)


def main(build, only):
    third = filesystems("xfs", "btrfs", "ext4")[0]
    with Box(build, disks=[("ext4", "/data"), ("ext4", "/more"),
                           (third, "/third")]) as box:
        for step in CASES:
            if only and step.__name__ not in only:
                continue
            began = time.monotonic()
            case = Case(box)
            step(case)
            case.end()
            print(f"{step.__name__}: {time.monotonic() - began:.1f} s",
                  flush=True)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), sys.argv[2:])
