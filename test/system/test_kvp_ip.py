#!/usr/bin/python3
"""test_kvp_ip.py BUILD - what hv_kvp_daemon tells the host about adapters, in
a network and mount namespace of its own: TAPs, a bond, a bridge, addresses of
both families, default routes with several next hops, resolv.conf.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from kvp_driver import (Driver, GET_IP, SET_IP, GUID_NOT_FOUND, INVALID,
                        NOT_SUPPORTED)
from machine import _die_with_parent as die_with_parent

HN0, HN1, HN10 = (f"00:15:5d:01:02:{n}" for n in ("03", "04", "05"))
RESOLV = "search example.org\nnameserver 10.0.0.53\nnameserver fd00::53\n"


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def ip(*args, may_fail=False):
    r = subprocess.run(("ip",) + args, capture_output=True, text=True,
                       check=False)
    assert may_fail or r.returncode == 0, f"ip {' '.join(args)}: {r.stderr}"
    return r.returncode == 0


def enter_namespaces(build):
    """Run this file again inside; what is mounted and made ends with it."""
    if os.geteuid() != 0:
        skip("needs root for namespaces")
    for tool in ("unshare", "ip"):
        if not shutil.which(tool):
            skip(f"no {tool}")
    if subprocess.run(["unshare", "-n", "-m", "true"],
                      check=False).returncode:
        skip("this kernel or container allows no namespaces")
    tmp = tempfile.mkdtemp(prefix="hvip.")
    try:
        return subprocess.run(
            ["unshare", "-n", "-m", "--propagation", "private",
             sys.executable, __file__, build, tmp], check=False).returncode
    finally:
        shutil.rmtree(tmp)


def make_network(tmp):
    with open(f"{tmp}/resolv.conf", "w", encoding="ascii") as f:
        f.write(RESOLV)
    real = os.path.realpath("/etc/resolv.conf")
    subprocess.run(["mount", "--bind", f"{tmp}/resolv.conf", real],
                   check=True)
    ip("link", "set", "lo", "up")
    if not ip("tuntap", "add", "hn0", "mode", "tap", may_fail=True):
        skip("no TAP interfaces")
    for name, mac in (("hn0", HN0), ("hn1", HN1), ("hn10", HN10)):
        if name != "hn0":
            ip("tuntap", "add", name, "mode", "tap")
        ip("link", "set", name, "address", mac)
        # its own link-local address would stay tentative without a carrier
        ip("link", "set", name, "addrgenmode", "none")
        ip("link", "set", name, "up")
    ip("addr", "add", "10.0.0.1/24", "valid_lft", "3600", "preferred_lft",
       "3600", "dev", "hn0")
    ip("addr", "add", "10.0.3.2/30", "dev", "hn0")
    ip("addr", "add", "fd00::1/48", "nodad", "dev", "hn0")
    ip("addr", "add", "2001:db8::1/64", "nodad", "dev", "hn0")
    ip("addr", "add", "10.1.0.1/16", "dev", "hn1")
    ip("addr", "add", "10.10.0.1/8", "dev", "hn10")
    ip("link", "add", "docker0", "type", "bridge")
    ip("addr", "add", "172.17.0.1/16", "dev", "docker0")
    ip("link", "set", "docker0", "up")
    ip("route", "add", "default", "metric", "50", "nexthop", "via",
       "10.0.0.254", "dev", "hn0", "nexthop", "via", "10.1.255.254", "dev",
       "hn1")
    ip("route", "add", "default", "via", "10.0.0.253", "dev", "hn0", "metric",
       "100")
    ip("-6", "route", "add", "default", "via", "fd00::ffff", "dev", "hn0")
    # not a default route of the main table: not a gateway
    ip("route", "add", "default", "via", "10.0.0.99", "dev", "hn0", "table",
       "7")
    ip("route", "add", "192.0.2.0/24", "via", "10.0.0.98", "dev", "hn0")


def same(got, **want):
    for key, value in want.items():
        assert got[key] == value, f"{key}: {got[key]!r}, not {value!r}"


def adapters(d):
    for adapter in (HN0, HN0.upper(), HN0.replace(":", "-")):
        status, got = d.ip(GET_IP, adapter)
        assert status == 0, hex(status)
        same(got, family=3, dhcp=1,
             addrs="10.0.0.1;10.0.3.2;2001:db8::1;fd00::1",
             masks="255.255.255.0;255.255.255.252;/64;/48",
             gateways="10.0.0.254;10.0.0.253;fd00::ffff",
             dns="10.0.0.53;fd00::53")


def whole_names(d):
    """hn1 is not hn10, an empty or shortened MAC is nobody's."""
    same(d.ip(GET_IP, HN1)[1], family=1, dhcp=0, addrs="10.1.0.1",
         masks="255.255.0.0", gateways="10.1.255.254")
    same(d.ip(GET_IP, HN10)[1], addrs="10.10.0.1", masks="255.0.0.0",
         gateways="")
    for adapter in ("", "00:15:5d:01:02", HN0 + "0", "hn0"):
        assert d.ip(GET_IP, adapter)[0] == INVALID, adapter
    for adapter in ("00:15:5d:01:02:ff", "00:00:00:00:00:00"):
        assert d.ip(GET_IP, adapter)[0] == GUID_NOT_FOUND, adapter
        assert d.ip(SET_IP, adapter, dhcp=1)[0] == GUID_NOT_FOUND, adapter


def items(d):
    got = dict(d.enumerate(2))
    same(got, NetworkAddressIPv4="10.0.0.1;10.0.3.2;10.1.0.1;10.10.0.1",
         NetworkAddressIPv6="2001:db8::1;fd00::1",
         IntegrationServicesVersion="3.1")
    ip("addr", "add", "10.0.0.77/24", "dev", "hn0")
    ip("link", "set", "hn10", "down")
    same(dict(d.enumerate(2)),
         NetworkAddressIPv4="10.0.0.1;10.0.3.2;10.0.0.77;10.1.0.1")
    ip("addr", "del", "10.0.0.77/24", "dev", "hn0")
    ip("link", "set", "hn10", "up")


def settings(d):
    sound = {"addrs": "10.0.0.1;fd00::1", "masks": "255.255.255.0;64",
             "gateways": "10.0.0.254", "dns": "10.0.0.53", "family": 3}
    assert d.ip(SET_IP, HN0, **sound)[0] == NOT_SUPPORTED
    for wrong in ({"addrs": "10.0.0.1"}, {"masks": "255.0.255.0;64"},
                  {"gateways": "`reboot`"}, {"dns": "x"}, {"family": 1}):
        assert d.ip(SET_IP, HN0, **dict(sound, **wrong))[0] == INVALID, wrong


def vf_pair(d):
    """A VF with the same MAC and no address; then both under a bond."""
    ip("tuntap", "add", "hnvf", "mode", "tap")
    ip("link", "set", "hnvf", "address", HN1)
    same(d.ip(GET_IP, HN1)[1], addrs="10.1.0.1")
    if not ip("link", "add", "lagg0", "type", "bond", "mode", "active-backup",
              may_fail=True):
        print("no bonding in this kernel: that part is left out")
        return
    ip("link", "set", "hn1", "down")
    ip("link", "set", "hn1", "master", "lagg0")
    ip("addr", "flush", "dev", "hn1")
    ip("link", "set", "lagg0", "up")
    ip("addr", "add", "10.1.0.9/16", "dev", "lagg0")
    same(d.ip(GET_IP, HN1)[1], addrs="10.1.0.9")


def many_addresses(d):
    """The list ends with a whole address and fits the host's field."""
    batch = "".join(f"addr add 2001:db8:1111:2222:3333:4444:5555:{i:x}/64 "
                    "nodad dev hn10\n" for i in range(0x1000, 0x1080))
    subprocess.run(["ip", "-6", "-batch", "-"], input=batch, text=True,
                   check=True)
    _, got = d.ip(GET_IP, HN10)
    addrs, masks = got["addrs"].split(";"), got["masks"].split(";")
    assert len(got["addrs"]) <= 1022 and len(addrs) == len(masks)
    assert {len(a) for a in addrs[1:]} == {38}, addrs[-1]
    value = dict(d.enumerate(2))["NetworkAddressIPv6"]
    assert len(value) <= 1022 and len(value.split(";")[-1]) == 38


def inside(build, tmp):
    make_network(tmp)
    d = Driver(f"{tmp}/dev")
    daemon = subprocess.Popen(
        [f"{build}/prog/hv_kvp_daemon", "-n", "--device", f"{tmp}/dev",
         "--state-dir", f"{tmp}/state", "--run-dir", f"{tmp}/run", "--config",
         "/dev/null"], preexec_fn=die_with_parent)
    try:
        d.accept()
        for step in (adapters, whole_names, items, settings, vf_pair,
                     many_addresses):
            print(step.__name__, flush=True)
            step(d)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.exit(enter_namespaces(os.path.abspath(sys.argv[1])))
    inside(*sys.argv[1:])
