#!/usr/bin/python3
"""test_lagg.py BUILD [NAME...] - the aggregate by BPF in namespaces of its own
(laggnet.py): what it carries, and what is lost when the VF comes, goes, is torn
out, or the owner is killed.
"""
import hashlib
import os
import socket
import struct
import sys
import threading

from laggnet import MAC, Probe, inside, main, wait_for

GROUP4, GROUP6 = "239.7.7.7", "ff05::7:7"


def pause(seconds):
    """Traffic goes on meanwhile."""
    threading.Event().wait(seconds)


def with_vf(net):
    net.lagg()
    net.vf_arrives()
    net.do("add vf vf0")
    net.do("watch vf0")


def nothing_lost(probe):
    assert not probe.out.lost and not probe.back.lost, "some were lost"
    assert not probe.out.twice and not probe.back.twice, "some came twice"


# Switching

def frames_take_the_path_that_is_in_use(net):
    with_vf(net)
    with Probe(net) as probe:
        pause(0.1)
    nothing_lost(probe)
    s = net.status()
    assert int(s["tx_synthetic"]) >= probe.out.sent and s["tx_vf"] == "0", s
    assert int(s["rx_synthetic"]) >= probe.back.sent, s
    net.do("use vf")
    with Probe(net) as probe:
        pause(0.1)
    nothing_lost(probe)
    s = net.status()
    assert s["path"] == "vf" and int(s["tx_vf"]) >= probe.out.sent, s
    assert int(s["rx_vf"]) >= probe.back.sent, s


def fifty_planned_switches_lose_nothing(net):
    with_vf(net)
    with Probe(net, us=200) as probe:
        for _ in range(25):
            net.do("use vf")
            pause(0.015)
            net.do("use synthetic")
            pause(0.015)
    nothing_lost(probe)


def a_vf_that_is_torn_out_costs_little(net):
    with_vf(net)
    for _ in range(5):
        net.do("use vf")
        with Probe(net) as probe:
            pause(0.1)
            net.vf_is_torn_out()
            pause(0.2)
        assert probe.out.lost <= 10, f"out: {probe.out}"
        assert net.status()["path"] == "synthetic"
        net.vf_arrives()
        net.do("add vf vf0")
        net.do("watch vf0")


def the_kernel_leaves_a_vf_that_is_gone(net):
    """Nobody watches, nobody switches: what is sent is not lost."""
    net.lagg()
    net.vf_arrives()
    net.do("add vf vf0")
    net.do("use vf")
    with Probe(net) as probe:
        pause(0.1)
        net.vf_is_torn_out()
        pause(0.2)
    assert probe.out.lost <= 10, f"out: {probe.out}"
    s = net.status()
    assert s["path"] == "vf" and int(s["healed"]) > 50, s
    net.do("remove vf")
    assert net.status()["path"] == "synthetic"


# What survives

def a_killed_owner_costs_nothing_and_is_followed(net):
    with_vf(net)
    net.do("use vf")
    before = net.status()
    with Probe(net) as probe:
        pause(0.1)
        net.kill_owner()
        pause(0.1)
        net.start()
        net.do("restore lagg0 1500")
        net.do("receive 0")
        pause(0.1)
    nothing_lost(probe)
    s = net.status()
    assert s["path"] == "vf" and s["vf"] == before["vf"], s
    assert s["index"] == before["index"]
    assert int(s["tx_vf"]) > int(before["tx_vf"]), "counters begin anew"
    with Probe(net) as probe:
        net.do("use synthetic")
        pause(0.1)
    nothing_lost(probe)
    net.do("destroy")
    assert "lagg0" not in net.guest("ip", "link")
    assert os.listdir(f"{net.dir}/bpf") in ([], ["maps.debug", "progs.debug"])


def the_vf_may_go_while_there_is_no_owner(net):
    with_vf(net)
    net.do("use vf")
    net.kill_owner()
    net.vf_is_torn_out()
    net.start()
    net.do("restore lagg0 1500")
    net.do("receive 0")
    s = net.status()
    assert s["vf"] == "0" and s["path"] == "synthetic", s
    with Probe(net) as probe:
        pause(0.05)
    nothing_lost(probe)


def without_a_bpffs_its_owner_sets_it_up_again(net):
    net.guest("umount", f"{net.dir}/bpf")
    with_vf(net)
    net.do("use vf")
    if net.status()["how"] == '"clsact"':
        return                          # which stays without a bpffs, too
    with Probe(net) as probe:
        pause(0.05)
    nothing_lost(probe)
    net.kill_owner()
    net.start()
    net.do("restore lagg0 1500")
    net.do("receive 0")
    assert net.status()["path"] == "synthetic"
    with Probe(net) as probe:
        net.do("add vf vf0")
        net.do("use vf")
        pause(0.05)
    nothing_lost(probe)
    assert int(net.status()["tx_vf"]) > 0


def clsact_does_the_same(net):
    net.do("clsact")
    with_vf(net)
    assert net.status()["how"] == '"clsact"'
    with Probe(net) as probe:
        for path in ("vf", "synthetic") * 5:
            net.do(f"use {path}")
            pause(0.02)
        net.do("use vf")
        pause(0.02)
        net.kill_owner()
        pause(0.05)
        net.start()
        net.do("clsact")
        net.do("restore lagg0 1500")
        net.do("receive 0")
        net.do("add vf vf0")
        net.do("use vf")
        pause(0.05)
    nothing_lost(probe)
    with Probe(net) as probe:
        net.vf_is_torn_out()
        net.do("use synthetic")
        pause(0.1)
    assert probe.out.lost <= 50, f"out: {probe.out}"
    net.do("destroy")
    assert "lagg0" not in net.guest("ip", "link")


# Whose link it is

def what_others_made_is_left_alone(net):
    net.guest("ip", "tuntap", "add", "lagg0", "mode", "tap")
    assert net.ask("create lagg0 1500") == "error EEXIST"
    assert net.ask("restore lagg0 1500") == "error EEXIST"
    assert net.ask("restore lagg1 1500") == "error ENOENT"
    assert "lagg0" in net.guest("ip", "link")


def ports_are_checked_and_given_back(net):
    net.lagg()
    net.vf_arrives()
    assert net.ask("use vf") == "error ENOLINK"
    assert net.ask("add vf nosuch") == "error ENODEV"
    net.guest("ip", "link", "add", "other", "type", "veth")
    assert net.ask("add vf other") == "error EINVAL"
    assert net.ask("add vf lagg0") == "error EINVAL"
    net.guest("ip", "link", "set", "lagg0", "mtu", "1400")
    before = net.guest("ip", "-d", "link", "show", "vf0")
    net.do("add vf vf0")
    net.do("add vf vf0")
    muted = net.guest("ip", "-d", "link", "show", "vf0")
    for word in ("NOARP", "ALLMULTI", "mtu 1400", "addrgenmode none"):
        assert word in muted, muted
    assert "inet6" not in net.guest("ip", "addr", "show", "vf0")
    net.do("remove vf")
    net.do("remove vf")
    after = net.guest("ip", "-d", "link", "show", "vf0")
    for word in ("mtu 1500", "addrgenmode eui64"):
        assert word in before and word in after, after
    assert "NOARP" not in after and "ALLMULTI" not in after, after


def a_vf_with_addresses_is_made_mute(net):
    net.lagg()
    net.vf_arrives()
    net.guest("ip", "link", "set", "vf0", "up")
    wait_for("vf0's own address", lambda: "fe80" in
             net.guest("ip", "addr", "show", "vf0"))
    net.do("add vf vf0")
    assert "fe80" not in net.guest("ip", "addr", "show", "vf0")


# What is carried

def each_path(net):
    """On either, groups come by the synthetic path alone, as on a host."""
    with_vf(net)
    net.host("bridge", "link", "set", "dev", "vfh", "mcast_flood", "off",
             "bcast_flood", "off")
    for path in ("synthetic", "vf"):
        net.do(f"use {path}")
        net.guest("ip", "neigh", "flush", "all")
        net.world("ip", "neigh", "flush", "all")
        yield path


def udp(pid, family=socket.AF_INET, address=None, port=0):
    with inside(pid):
        s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.settimeout(3)
    if address is not None:
        s.bind((address, port))
    return s


def answered(a, b, to, size):
    """A datagram of this size and its answer."""
    data = os.urandom(size)
    a.sendto(data, to)
    got, sender = b.recvfrom(65536)
    assert got == data
    b.sendto(data, sender)
    assert a.recv(65536) == data


def neighbours_small_and_fragmented_datagrams(net):
    for _ in each_path(net):
        for family, here, there in ((socket.AF_INET, "10.7.0.1", "10.7.0.2"),
                                    (socket.AF_INET6, "fd00:7::1",
                                     "fd00:7::2")):
            with udp(net.guest_pid, family, here) as a, \
                    udp(net.world_pid, family, there, 5000) as b:
                for size in (1, 1400, 8000):
                    answered(a, b, (there, 5000), size)
            # and the first word from the other side
            net.guest("ip", "neigh", "flush", "all")
            net.world("ip", "neigh", "flush", "all")
            with udp(net.world_pid, family, there) as a, \
                    udp(net.guest_pid, family, here, 5000) as b:
                answered(a, b, (here, 5000), 100)


def echo(sock, kind, to, size):
    """An ICMP echo; the senders of its answers."""
    body = struct.pack("!BBHHH", kind, 0, 0, 7, 1) + b"x" * size
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    sock.sendto(body[:2] + struct.pack("!H", ~total & 0xffff) + body[4:], to)


def pings(net):
    for _ in each_path(net):
        with inside(net.guest_pid):
            v4 = socket.socket(socket.AF_INET, socket.SOCK_RAW,
                               socket.IPPROTO_ICMP)
            v6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW,
                               socket.IPPROTO_ICMPV6)
            index = socket.if_nametoindex("lagg0")
        with v4, v6:
            v4.settimeout(3)
            v6.settimeout(3)
            for size in (56, 8000):
                echo(v4, 8, ("10.7.0.2", 0), size)
                wait_for("an echo", lambda: v4.recv(65536)[20] == 0)
                echo(v6, 128, ("fd00:7::2", 0), size)
                wait_for("an echo", lambda: v6.recv(65536)[0] == 129)
            # everybody on the link
            v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            v6.bind(("fd00:7::1", 0))
            echo(v6, 128, ("ff02::1", 0, 0, index), 56)
            wait_for("the world's", lambda: v6.recvfrom(65536)[1][0] ==
                     "fd00:7::2")


def group_member(pid, link, family):
    s = udp(pid, family, "", 5007)
    with inside(pid):
        index = socket.if_nametoindex(link)
    if family == socket.AF_INET:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack(
            "4s4si", socket.inet_aton(GROUP4), bytes(4), index))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                     struct.pack("4s4si", bytes(4), bytes(4), index))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    else:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack(
            "16si", socket.inet_pton(family, GROUP6), index))
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    return s


def takes_each_once(s, sent):
    got = [s.recv(100) for _ in sent]
    assert sorted(got) == sorted(sent), got
    s.settimeout(0.05)
    try:
        raise AssertionError(f"once more: {s.recv(100)}")
    except socket.timeout:
        s.settimeout(3)


def groups_arrive_once(net):
    for _ in each_path(net):
        for family, group in ((socket.AF_INET, GROUP4),
                              (socket.AF_INET6, GROUP6)):
            with group_member(net.guest_pid, "lagg0", family) as a, \
                    group_member(net.world_pid, "x0", family) as b:
                sent = [bytes([i]) for i in range(10)]
                for i in sent:
                    a.sendto(i, (group, 5007))
                takes_each_once(b, sent)
                for i in sent:
                    b.sendto(i, (group, 5007))
                takes_each_once(a, sent)


def send_all(s, data):
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)


def receive_all(s):
    digest = hashlib.md5()
    while data := s.recv(1 << 20):
        digest.update(data)
    return digest.hexdigest()


def connection(net, here, there, family=socket.AF_INET):
    """A TCP connection from the guest to the world."""
    with inside(net.world_pid):
        listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((there, 5001))
    listener.listen()
    with inside(net.guest_pid):
        a = socket.socket(family, socket.SOCK_STREAM)
    a.settimeout(10)
    a.bind((here, 0))
    a.connect((there, 5001))
    b, _ = listener.accept()
    b.settimeout(10)
    listener.close()
    return a, b


def streams_arrive_whole(net):
    data = os.urandom(8 << 20)
    want = hashlib.md5(data).hexdigest()
    for path in each_path(net):
        for family, here, there in ((socket.AF_INET, "10.7.0.1", "10.7.0.2"),
                                    (socket.AF_INET6, "fd00:7::1",
                                     "fd00:7::2")):
            a, b = connection(net, here, there, family)
            with a, b:
                for one, other in ((a, b), (b, a)):
                    sender = threading.Thread(target=send_all,
                                              args=(one, data))
                    sender.start()
                    assert receive_all(other) == want, "bytes differ"
                    sender.join()
        s = net.status()
        # four streams of 8 MB, two of them out, in segments of 1448 or less
        sent = int(s[f"tx_{path}"])
        assert sent > 2 * len(data) / 1500, f"segments are not counted: {sent}"


def large_datagrams_are_segmented(net):
    segment = 1200
    for _ in each_path(net):
        with udp(net.guest_pid, socket.AF_INET, "10.7.0.1") as a, \
                udp(net.world_pid, socket.AF_INET, "10.7.0.2", 5002) as b:
            a.setsockopt(socket.SOL_UDP, 103, segment)      # UDP_SEGMENT
            data = os.urandom(20 * segment)
            a.sendto(data, ("10.7.0.2", 5002))
            got = [b.recv(65536) for _ in range(20)]
            assert b"".join(got) == data


def tagged_socket(pid, link):
    with inside(pid):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind((link, 3))
    s.setsockopt(263, 8, 1)                     # SOL_PACKET, PACKET_AUXDATA
    s.settimeout(3)
    return s


def next_tagged(s):
    """VLAN and payload of the next frame of our own type, else None."""
    data, aux, *_ = s.recvmsg(65536, 100)
    if data[12:14] != b"\x88\xb5" or s.getsockname()[4] == data[6:12]:
        return None
    return struct.unpack("IIIHHHH", aux[0][2][:20])[5], data[14:]


def vlans_and_jumbo_frames(net):
    for link in ("br0", "xh", "hsyn"):
        net.host("ip", "link", "set", link, "mtu", "9000")
    net.world("ip", "link", "set", "x0", "mtu", "9000")
    net.do("create lagg0 9000")
    net.do("receive 0")
    net.guest("ip", "link", "set", "lagg0", "up")
    net.vf_arrives()
    net.host("ip", "link", "set", "vfh", "mtu", "9000")
    net.do("add vf vf0")
    assert "mtu 9000" in net.guest("ip", "link", "show", "vf0")
    net.addresses("lagg0")
    world = net.world("ip", "-o", "link", "show", "x0")
    world = world.split("link/ether ")[1].split()[0]
    with tagged_socket(net.guest_pid, "lagg0") as a, \
            tagged_socket(net.world_pid, "x0") as b:
        for path in ("synthetic", "vf"):
            net.do(f"use {path}")
            for one, other, to, by in ((a, b, world, MAC), (b, a, MAC, world)):
                frame = bytes.fromhex((to + by).replace(":", "")) + \
                    b"\x81\x00\x00\x05\x88\xb5" + path.encode() * 8
                one.send(frame)
                wait_for(f"the frame by {path}", lambda s=other, p=path:
                         next_tagged(s) == (5, p.encode() * 8))
            with udp(net.guest_pid, socket.AF_INET, "10.7.0.1") as c, \
                    udp(net.world_pid, socket.AF_INET, "10.7.0.2", 5000) as d:
                c.setsockopt(socket.IPPROTO_IP, 10, 2)  # never in fragments
                answered(c, d, ("10.7.0.2", 5000), 8900)


def frames_of_our_own_do_not_come_back(net):
    with_vf(net)
    net.do("use vf")
    raw = bytes.fromhex(MAC.replace(":", "")) * 2 + b"\x88\xb5" + b"echo" * 15
    with inside(net.world_pid):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with s:
        s.bind(("x0", 0))
        net.host("bridge", "fdb", "replace", MAC, "dev", "vfh", "master",
                 "static", "sticky")
        s.send(raw)
    wait_for("an echo", lambda: int(net.status()["echoes"]) >= 1)


TESTS = (
    frames_take_the_path_that_is_in_use,
    fifty_planned_switches_lose_nothing,
    a_vf_that_is_torn_out_costs_little,
    the_kernel_leaves_a_vf_that_is_gone,
    a_killed_owner_costs_nothing_and_is_followed,
    the_vf_may_go_while_there_is_no_owner,
    without_a_bpffs_its_owner_sets_it_up_again,
    clsact_does_the_same,
    what_others_made_is_left_alone,
    ports_are_checked_and_given_back,
    a_vf_with_addresses_is_made_mute,
    neighbours_small_and_fragmented_datagrams,
    pings,
    groups_arrive_once,
    streams_arrive_whole,
    large_datagrams_are_segmented,
    vlans_and_jumbo_frames,
    frames_of_our_own_do_not_come_back,
)

if __name__ == "__main__":
    main([t for t in TESTS if not sys.argv[2:] or t.__name__ in sys.argv[2:]],
         sys.argv[1])
