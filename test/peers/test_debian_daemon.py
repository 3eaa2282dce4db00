#!/usr/bin/python3
"""test_debian_daemon.py BUILD - Debian's hv_kvp_daemon, unmodified, on our
driver: what works on Hyper-V works here.
"""
import json
import os
import sys

sys.path.insert(0, f"{os.path.dirname(__file__)}/../system")
from machine import DEBIAN, Machine, need  # noqa: E402

LONG_KEY, LONG_VALUE = "k" * 254, "v" * 1022
ITEMS = [("greeting", "hello"), ("Grüße", "Straße 东京"), (LONG_KEY, "1"),
         ("long", LONG_VALUE), ("empty", "")]


def listed(m, pool):
    items = json.loads(m.hvhost("kvp", "list", "--pool", pool, "--json"))
    return [(i["key"], i["value"]) for i in items["items"]]


def exchanges_keys(m):
    for key, value in ITEMS:
        m.hvhost("kvp", "set", key, value)
    for key, value in ITEMS:
        got = m.hvhost("kvp", "get", key, "--pool", "external")
        assert got == value + "\n", f"{key}: {got!r}"
    assert listed(m, "external") == ITEMS, listed(m, "external")
    assert m.pool(0) == ITEMS, "the pool file holds something else"
    assert m.hvctl("kvp", "get", "greeting", "--pool", "external") == "hello\n"


def deletes(m):
    m.hvhost("kvp", "del", "greeting")
    assert listed(m, "external") == ITEMS[1:]
    m.expect_failure("hvhost", "kvp", "get", "greeting", "--pool", "external")


def tells_about_itself(m):
    facts = dict(listed(m, "auto"))
    assert facts["OSName"] and facts["ProcessorArchitecture"], facts
    # It reports what the driver told it at registration.
    assert facts["IntegrationServicesVersion"], facts


def dies_and_comes_back(m):
    m.daemon.kill()
    m.daemon.wait()
    m.expect_failure("hvhost", "kvp", "get", "long", "--pool", "external")
    m.daemon = m.start_daemon("debian")
    assert listed(m, "external") == ITEMS[1:]


def main(build):
    need(build, DEBIAN)
    with Machine(build, daemon="debian") as m:
        exchanges_keys(m)
        deletes(m)
        tells_about_itself(m)
        dies_and_comes_back(m)


main(sys.argv[1])
