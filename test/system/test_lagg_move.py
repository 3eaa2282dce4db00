#!/usr/bin/python3
"""test_lagg_move.py BUILD [NAME...] - hn0's configuration moves to lagg0 and
back while traffic runs: make before break, and the exchange of identities.
"""
import re
import socket
import struct
import sys
import threading

from laggnet import Probe, inside, main, wait_for
from test_lagg import (GROUP4, GROUP6, connection, group_member, nothing_lost,
                       pause, takes_each_once, udp)


def with_hn(net):
    """hn0 with a static configuration of all kinds, served; lagg0 beside."""
    net.do("hn hn0")
    net.guest("ip", "link", "set", "hn0", "txqueuelen", "8000", "up")
    net.addresses("hn0")
    for words in (
            "addr add 10.7.0.9/24 dev hn0 label hn0:1",
            "addr add 10.8.0.1/32 dev hn0 valid_lft 9000 preferred_lft 8000",
            "addr add 10.9.0.1 peer 10.9.0.2/30 dev hn0",
            "addr add 10.10.0.1/24 dev hn0 noprefixroute",
            "-6 addr add fd00:8::1/64 dev hn0 nodad valid_lft 9000 "
            "preferred_lft 8000",
            "route add default via 10.7.0.2 dev hn0",
            "route add 10.20.0.0/16 via 10.7.0.3 dev hn0 metric 50 mtu 1300",
            "route add 10.21.0.0/16 via 10.99.0.1 dev hn0 onlink table 77",
            "route add 10.22.0.0/16 dev hn0 src 10.7.0.9",
            "-6 route add default via fd00:7::2 dev hn0",
            "-6 route add fd00:30::/48 via fd00:7::3 dev hn0 metric 50 "
            "table 77",
            "neigh add 10.7.0.77 lladdr 02:00:00:00:00:77 dev hn0 nud "
            "permanent"):
        net.guest("ip", *words.split())
    # Another link in some of the same places.
    net.guest("ip", "link", "add", "eth9", "type", "veth", "peer", "eth9p")
    for link in ("eth9", "eth9p"):
        net.guest("ip", "link", "set", link, "addrgenmode", "none", "up")
    net.guest("ip", "addr", "add", "10.7.0.50/24", "dev", "eth9",
              "noprefixroute")
    net.guest("ip", "-6", "addr", "add", "fe80::9/64", "dev", "eth9", "nodad")
    net.guest("ip", "-6", "addr", "add", "fe80::7/64", "dev", "hn0", "nodad")
    net.guest("ip", "route", "append", "default", "via", "10.7.0.60", "dev",
              "eth9", "onlink")
    net.guest("ip", "route", "add", "10.23.0.0/16", "nexthop", "via",
              "10.7.0.3", "dev", "hn0", "nexthop", "via", "10.7.0.60", "dev",
              "eth9", "onlink")
    net.do("create lagg0 1500")
    net.guest("ip", "link", "set", "lagg0", "txqueuelen", "8000")
    wait_for("hn0's own address", lambda: "tentative" not in
             net.guest("ip", "addr", "show", "hn0"))


def configuration(net, link, plain=False):
    """What ip says, without what time alone changes. plain: nor whose the
    connected routes are, nor labels."""
    said = []
    for family in ("-4", "-6"):
        addrs = net.guest("ip", "-o", family, "addr", "show", "dev", link)
        said += [" ".join(line.split()[2:]).split("\\")[0].strip()
                 for line in addrs.splitlines()]
        routes = net.guest("ip", "-o", family, "route", "show", "table", "all")
        said += [" ".join(line.split()) for line in routes.splitlines()
                 if f"dev {link} " in f"{line} "
                 and not line.startswith(("local", "broadcast", "multicast",
                                          "anycast"))]
    said = [re.sub(r" linkdown| expires \d+sec", "", line)
            .replace(link, "LINK") for line in said]
    if link == "eth9":      # next hops beside its own
        said = [re.sub("dev (hn|lagg)0", "dev PAIR", line) for line in said]
    if plain:
        said = [re.sub(r" noprefixroute|:\d+$", "", line) for line in said]
    return sorted(said)


def same(a, b):
    assert a == b, "\n  " + "\n  ".join(
        [f"- {x}" for x in a if x not in b] +
        [f"+ {x}" for x in b if x not in a])


def everything_moves_and_comes_back_as_it_was(net):
    with_hn(net)
    before, around = configuration(net, "hn0"), configuration(net, "eth9")
    plain = configuration(net, "hn0", plain=True)
    assert len(before) > 15, before
    net.do("move hn0 lagg0 to")
    same(configuration(net, "hn0"), [])
    same(configuration(net, "lagg0", plain=True), plain)
    assert "lagg0:1" in net.guest("ip", "addr", "show", "lagg0")
    assert "lladdr 02:00:00:00:00:77 PERMANENT" in \
        net.guest("ip", "neigh", "show", "dev", "lagg0")
    hops = net.guest("ip", "route", "show", "10.23.0.0/16")
    assert "dev lagg0" in hops and "dev eth9" in hops, hops
    same(configuration(net, "eth9"), around)
    assert net.do("move hn0 lagg0 to") == "steps=0 stuck=0"
    net.do("move lagg0 hn0 back")
    same(configuration(net, "lagg0"), [])
    same(configuration(net, "hn0"), before)
    same(configuration(net, "eth9"), around)


def a_move_under_traffic_loses_nothing(net):
    with_hn(net)
    net.vf_arrives()
    net.do("add vf vf0")
    for strict in ("0", "1"):
        for where in ("all", "hn0", "lagg0"):
            net.guest("sh", "-c", f"echo {strict} > "
                      f"/proc/sys/net/ipv4/conf/{where}/rp_filter")
        with Probe(net, us=300) as v4, Probe(net, "fd00:7::1", "fd00:7::2",
                                             us=300) as v6:
            pause(0.05)
            net.do("move hn0 lagg0 to")
            pause(0.05)
            net.do("use vf")
            pause(0.05)
            net.do("use synthetic")
            net.do("move lagg0 hn0 back")
            pause(0.05)
        print(f"  rp_filter {strict}")
        nothing_lost(v4)
        nothing_lost(v6)
        for where in ("hn0", "lagg0"):
            assert net.guest("cat", "/proc/sys/net/ipv4/conf/"
                             f"{where}/rp_filter").strip() == strict


def a_step_that_fails_leaves_all_as_it_was(net):
    """The caller's own part comes after addresses and routes."""
    with_hn(net)
    before, around = configuration(net, "hn0"), configuration(net, "eth9")
    with Probe(net) as v4, Probe(net, "fd00:7::1", "fd00:7::2") as v6:
        net.do("refuse")
        said = net.ask("move hn0 lagg0 to")
        pause(0.05)
    assert said == "error EIO at receive", said
    nothing_lost(v4)
    nothing_lost(v6)
    same(configuration(net, "lagg0"), [])
    same(configuration(net, "hn0"), before)
    same(configuration(net, "eth9"), around)
    assert "PERMANENT" not in net.guest("ip", "neigh", "show", "dev", "lagg0")
    assert "state DOWN" in net.guest("ip", "link", "show", "lagg0")
    net.do("move hn0 lagg0 to")


def a_half_done_move_is_finished(net):
    with_hn(net)
    before = configuration(net, "hn0", plain=True)
    net.guest("ip", "link", "set", "lagg0", "up")
    for words in ("addr add 10.7.0.1/24 dev lagg0 noprefixroute",
                  "-6 addr add fd00:7::1/64 dev lagg0 nodad noprefixroute",
                  "route replace 10.22.0.0/16 dev lagg0 src 10.7.0.9",
                  "addr del 10.10.0.1/24 dev hn0",
                  "addr add 10.10.0.1/24 dev lagg0 noprefixroute"):
        net.guest("ip", *words.split())
    net.do("move hn0 lagg0 to")
    same(configuration(net, "hn0"), [])
    same(configuration(net, "lagg0", plain=True), before)


def members_of_groups_go_on(net):
    with_hn(net)
    with group_member(net.guest_pid, "hn0", socket.AF_INET) as a4, \
            group_member(net.guest_pid, "hn0", socket.AF_INET6) as a6, \
            udp(net.world_pid) as b4, \
            udp(net.world_pid, socket.AF_INET6) as b6:
        with inside(net.world_pid):
            index = socket.if_nametoindex("x0")
        b4.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                      struct.pack("4s4si", bytes(4), bytes(4), index))
        b6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        for where in ("to", "moved", "back"):
            for a, b, group in ((a4, b4, GROUP4), (a6, b6, GROUP6)):
                sent = [f"{where} {i}".encode() for i in range(5)]
                for data in sent:
                    b.sendto(data, (group, 5007))
                takes_each_once(a, sent)
            if where == "to":
                assert net.do("move hn0 lagg0 to").endswith("stuck=0")
            elif where == "moved":
                net.do("move lagg0 hn0 back")


class Stream:
    """A TCP connection that is busy until told."""

    def __init__(self, net):
        self.a, self.b = connection(net, "10.7.0.1", "10.7.0.2")
        self.over = threading.Event()
        self.sent = self.got = 0
        self.threads = [threading.Thread(target=self._send),
                        threading.Thread(target=self._take)]

    def _send(self):
        while not self.over.is_set():
            self.sent += self.a.send(bytes(65536))
            self.over.wait(0.001)
        self.a.shutdown(socket.SHUT_WR)

    def _take(self):
        while data := self.b.recv(1 << 20):
            self.got += len(data)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.a.close()
        self.b.close()


def names_change_under_a_connection(net):
    """hn0's link becomes lagg0 with all it has; the new link is hn0."""
    with_hn(net)
    net.vf_arrives()
    before = configuration(net, "hn0", plain=True)
    index = net.guest("ip", "-o", "link", "show", "hn0").split(":")[0]
    with Stream(net) as stream, Probe(net) as probe:
        pause(0.05)
        said = net.ask("swap hn0 lagg0")
        if said == "error EBUSY":
            print("  this kernel renames no link that is up")
            return
        assert said == "ok", said
        net.do("rebase lagg0")
        net.do("add vf vf0")
        net.do("use vf")
        pause(0.1)
        net.do("use synthetic")
        net.do("swap lagg0 hn0")
        pause(0.05)
        net.do("swap hn0 lagg0")
    nothing_lost(probe)
    assert stream.got == stream.sent > 0
    # The kernel gives new labels with the name, so those are not compared.
    same(configuration(net, "lagg0", plain=True), before)
    assert net.guest("ip", "-o", "link", "show",
                     "lagg0").split(":")[0] == index
    assert int(net.status()["tx_vf"]) > 50
    # What was lent is given back, not removed.
    net.do("destroy")
    assert "lagg0" in net.guest("ip", "link")


def what_is_received_is_the_aggregates_while_hn_is_down(net):
    with_hn(net)
    net.do("move hn0 lagg0 to")
    net.vf_arrives()
    net.do("add vf vf0")
    net.do("use vf")
    net.guest("ip", "link", "set", "hn0", "down")
    # The switch sends to the synthetic path, though the guest sends by the VF.
    net.host("bridge", "fdb", "replace", "00:15:5d:07:00:01", "dev", "hsyn",
             "master", "static", "sticky")
    before = net.status()
    with Probe(net) as probe:
        pause(0.1)
    nothing_lost(probe)
    after = net.status()
    assert int(after["tx_vf"]) - int(before["tx_vf"]) >= probe.out.sent
    assert int(after["rx_synthetic"]) - int(before["rx_synthetic"]) >= \
        probe.back.sent, (before, after)


def what_hn_receives_is_the_aggregates(net):
    """For a driver that cannot write to the aggregate itself."""
    with_hn(net)
    net.do("add hn hn0")
    net.do("move hn0 lagg0 to")
    net.do("receive 0")                 # hn0's TAP
    before = net.status()
    with Probe(net) as probe:
        pause(0.1)
    nothing_lost(probe)
    after = net.status()
    assert int(after["rx_synthetic"]) - int(before["rx_synthetic"]) >= \
        probe.back.sent, (before, after)
    assert after["rx_vf"] == "0", after


TESTS = (
    everything_moves_and_comes_back_as_it_was,
    a_move_under_traffic_loses_nothing,
    a_step_that_fails_leaves_all_as_it_was,
    a_half_done_move_is_finished,
    members_of_groups_go_on,
    names_change_under_a_connection,
    what_is_received_is_the_aggregates_while_hn_is_down,
    what_hn_receives_is_the_aggregates,
)

if __name__ == "__main__":
    main([t for t in TESTS if not sys.argv[2:] or t.__name__ in sys.argv[2:]],
         sys.argv[1])
