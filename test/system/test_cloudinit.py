#!/usr/bin/python3
"""test_cloudinit.py BUILD - cloud-init, unmodified, and our own writers share
pool 1 while the host enumerates it: nothing lost, nothing torn, order kept.

cloud-init appends under flock and knows nothing of fcntl locks or journals.
Most of our keys are set through the library by one process; a part of them,
HVCTL_KEYS (environment), each by a process of its own, as scripts do with
`hvctl kvp set`.
"""
import json
import os
import subprocess
import sys
import threading

from cloudinit_reporter import message
from machine import CLOUD_INIT, Machine, need

EVENTS = 10000
OUR_KEYS = 10000
HVCTL_KEYS = int(os.environ.get("HVCTL_KEYS", "200"))
SETTINGS = "[kvp]\nsync = no\n"


def start_writers(m):
    """Both are up and wait for a line before they begin."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    writers = [
        m.spawn("/usr/bin/python3", f"{os.path.dirname(__file__)}"
                "/cloudinit_reporter.py", f"{m.state}/.kvp_pool_1",
                str(EVENTS), env={"PYTHONPATH": f"{m.build}/{CLOUD_INIT}"},
                **pipes),
        m.spawn(f"{m.build}/test/system/kvp_writer", m.state,
                str(OUR_KEYS - HVCTL_KEYS), **pipes)]
    for w in writers:
        assert w.stdout.readline() == b"ready\n", m.log()
    for w in writers:
        w.stdin.write(b"\n")
        w.stdin.close()
    return writers


def host_sees(m):
    listed = json.loads(m.hvhost("kvp", "list", "--pool", "guest", "--json"))
    return [(item["key"], item["value"]) for item in listed["items"]]


def write_and_watch(m):
    """Until all is written, what each enumeration of the host found."""
    walks, done = [], threading.Event()

    def watch():
        while not done.is_set():
            walks.append(host_sees(m))

    host = threading.Thread(target=watch)
    writers = start_writers(m)
    host.start()
    try:
        for n in range(HVCTL_KEYS):
            m.hvctl("kvp", "set", f"hvctl-{n:05}", f"value {n}")
        assert all(w.wait() == 0 for w in writers), m.log()
    finally:
        done.set()
        host.join()
    assert walks, "the host found nothing"
    return walks


def check_ours(records, prefix, count):
    ours = [(k, v) for k, v in records if k.startswith(prefix)]
    assert ours == [(f"{prefix}{i:05}", f"value {i}") for i in range(count)], \
        f"{prefix}: lost, torn or out of order"


def check_events(records):
    """All events in order, the long ones whole again from their parts."""
    records = iter(records)
    for i in range(EVENTS):
        got, part = "", 0
        while len(got) < len(message(i)):
            key, value = next(records)
            event, fields = json.loads(value), key.split("|")
            assert fields[2:4] == ["start", f"event-{i:05}"], \
                f"{key} instead of event {i}"
            assert event["name"] == f"event-{i:05}"
            if "msg_i" in event:
                assert fields[5] == str(part) == str(event["msg_i"]), key
            got, part = got + event["msg"], part + 1
        assert got == message(i), f"event {i} was torn"
    assert next(records, None) is None, "more events than were published"


def main(build):
    need(build, CLOUD_INIT)
    with Machine(build, settings=SETTINGS) as m:
        walks = write_and_watch(m)
        records = m.pool(1)
        check_ours(records, "ours-", OUR_KEYS - HVCTL_KEYS)
        check_ours(records, "hvctl-", HVCTL_KEYS)
        check_events(r for r in records if r[0].startswith("CLOUD_INIT|"))

        # All keys differ, so the file only grew: whatever the host saw on
        # the way is how the final list begins.
        assert host_sees(m) == records, "the host sees something else"
        for walk in walks:
            assert walk == records[:len(walk)], "an enumeration was torn"
        switches = sum(a[0][:4] != b[0][:4]
                       for a, b in zip(records, records[1:]))
        print(f"{len(records)} records, {switches} changes of writer, "
              f"{len(walks)} enumerations meanwhile")


main(sys.argv[1])
