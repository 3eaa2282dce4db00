"""laggnet.py - network namespaces for the aggregate: a guest with hn0, a VF and
lagg0, a host with a bridge, and the world behind it.

    guest  hn0, lagg0 (TAPs, served by lagg_do)    vf0 (veth)
              |  synthetic path, user space          |
    host    hsyn (TAP) ------ br0 ----------------- vfh
                               |
                              xh (veth)
    world                     x0   10.7.0.2/24  fd00:7::2/64

    with Net(build) as n:
        n.do("hn hn0")
        n.guest("ip", "addr", "add", "10.7.0.1/24", "dev", "hn0")

All of it ends with the processes that hold the namespaces.
"""
import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from machine import _die_with_parent as die_with_parent, skip

MAC = "00:15:5d:07:00:01"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
BUDGET = 10         # seconds for what should take milliseconds


@contextlib.contextmanager
def inside(pid):
    """This thread in a process's network: sockets made here stay there."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if LIBC.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        LIBC.setns(own, CLONE_NEWNET)
        os.close(own)
        os.close(there)


def wait_for(what, condition):
    end = time.monotonic() + BUDGET
    while not condition():
        assert time.monotonic() < end, f"waited for: {what}"
        threading.Event().wait(0.002)


class Lost:
    """What a probe says of one direction."""

    def __init__(self, words):
        self.sent, self.lost, self.twice, self.late, self.gap_us = \
            (int(w) for w in words)

    def __repr__(self):
        return (f"{self.lost} of {self.sent} lost, {self.twice} twice, "
                f"{self.late} late, gap {self.gap_us / 1000:.1f} ms")


class Probe:
    """Datagrams both ways; out is guest to world."""

    def __init__(self, net, a="10.7.0.1", b="10.7.0.2", port=4000, us=500):
        self.process = subprocess.Popen(
            [f"{net.build}/test/system/udp_probe",
             f"/proc/{net.guest_pid}/ns/net", a,
             f"/proc/{net.world_pid}/ns/net", b, str(port), str(us)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=die_with_parent)
        self.out = self.back = None

    def __enter__(self):
        line = self.process.stdout.readline()
        assert line == "ready\n", f"udp_probe said {line!r}"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        lines = self.process.stdout.read().splitlines()
        self.process.wait(BUDGET)
        self.out = Lost(lines[0].split()[1:])
        self.back = Lost(lines[1].split()[1:])
        print(f"  out {self.out}; back {self.back}")


class Net:
    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.holders, self.owner = [], None
        self.dir = None
        self.guest_pid = self.host_pid = self.world_pid = 0

    def __enter__(self):
        if os.geteuid() != 0:
            skip("needs root for namespaces")
        for tool in ("unshare", "nsenter", "ip", "bridge"):
            if not shutil.which(tool):
                skip(f"no {tool}")
        if not os.path.exists("/dev/net/tun"):
            skip("no /dev/net/tun")
        if subprocess.run(["unshare", "-n", "-m", "true"],
                          check=False).returncode:
            skip("this kernel or container allows no namespaces")
        self.dir = tempfile.mkdtemp(prefix="hvlagg.")
        try:
            self._make()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._end()

    def _make(self):
        os.mkdir(f"{self.dir}/bpf")
        self.guest_pid = self._hold("-n", "-m")
        self.host_pid = self._hold("-n")
        self.world_pid = self._hold("-n")
        # For pins; a test may go without.
        self.guest("mount", "-t", "bpf", "none", f"{self.dir}/bpf",
                   may_fail=True)
        for run in (self.guest, self.host, self.world):
            run("ip", "link", "set", "lo", "up")
        self.host("ip", "link", "add", "br0", "type", "bridge",
                  "mcast_snooping", "0", "forward_delay", "0")
        self.host("ip", "link", "set", "br0", "addrgenmode", "none", "up")
        self.host("ip", "link", "add", "xh", "type", "veth", "peer", "name",
                  "x0", "netns", str(self.world_pid))
        self._join("xh")
        self.world("ip", "link", "set", "x0", "up")
        self.world("ip", "addr", "add", "10.7.0.2/24", "dev", "x0")
        self.world("ip", "addr", "add", "fd00:7::2/64", "nodad", "dev", "x0")

    def _join(self, port):
        self.host("ip", "link", "set", port, "addrgenmode", "none")
        self.host("ip", "link", "set", port, "master", "br0")
        self.host("ip", "link", "set", port, "up")

    def _hold(self, *flags):
        """A process that only keeps namespaces."""
        child = subprocess.Popen(
            ["unshare", "--propagation", "private", *flags, "cat"]
            if "-m" in flags else ["unshare", *flags, "cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=die_with_parent)
        self.holders.append(child)
        child.stdin.write(b"\n")        # its echo says that it is in there
        child.stdin.flush()
        assert child.stdout.readline() == b"\n"
        return child.pid

    def _run(self, pid, argv, may_fail=False):
        done = subprocess.run(
            ["nsenter", "-t", str(pid), "-n"] +
            (["-m"] if pid == self.guest_pid else []) + list(argv),
            capture_output=True, text=True, check=False)
        assert may_fail or not done.returncode, \
            f"{' '.join(argv)}: {done.stderr}"
        return done.stdout

    def guest(self, *argv, may_fail=False):
        return self._run(self.guest_pid, argv, may_fail)

    def host(self, *argv):
        return self._run(self.host_pid, argv)

    def world(self, *argv):
        return self._run(self.world_pid, argv)

    # The owner of the aggregate

    def start(self):
        self.owner = subprocess.Popen(
            ["nsenter", "-t", str(self.guest_pid), "-n", "-m",
             f"{self.build}/test/system/lagg_do",
             f"/proc/{self.host_pid}/ns/net", "hsyn", f"{self.dir}/bpf", MAC],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=die_with_parent)
        said = self.owner.stdout.readline()
        if said.startswith("error E"):
            skip(f"no TAP here: {said.strip()}")
        assert said == "ok\n", said
        self.host("ip", "link", "set", "hsyn", "txqueuelen", "8000")
        self._join("hsyn")
        said = self.ask("choose auto")
        if not said.startswith("ok bpf*"):
            skip(f"no aggregate by BPF here: {said}")

    def ask(self, command):
        self.owner.stdin.write(command + "\n")
        self.owner.stdin.flush()
        return self.owner.stdout.readline().strip()

    def do(self, command):
        said = self.ask(command)
        assert said.startswith("ok"), f"{command}: {said}"
        return said[3:]

    def status(self):
        return dict(w.split("=") for w in
                    self.do("status").replace("tcx, pinned", "tcx-pinned")
                    .split())

    def kill_owner(self):
        self.owner.kill()
        self.owner.wait()

    # The guest's links

    def vf_arrives(self):
        self.host("ip", "link", "add", "vfh", "type", "veth", "peer", "name",
                  "vf0", "address", MAC, "netns", str(self.guest_pid))
        self._join("vfh")

    def vf_is_torn_out(self):
        self.host("ip", "link", "del", "vfh")

    def lagg(self, name="lagg0", mtu=1500):
        """lagg0 with its address and the VF, on the synthetic path."""
        self.do(f"create {name} {mtu}")
        self.do("receive 0")
        self.guest("ip", "link", "set", name, "txqueuelen", "8000", "up")
        self.addresses(name)

    def addresses(self, name):
        self.guest("ip", "addr", "add", "10.7.0.1/24", "dev", name)
        self.guest("ip", "addr", "add", "fd00:7::1/64", "nodad", "dev", name)

    def _end(self):
        if self.owner:
            self.owner.kill()
            self.owner.wait()
        for child in self.holders:
            child.stdin.close()
            child.wait(BUDGET)
        for child in self.holders:
            child.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def main(tests, build):
    failed = 0
    for test in tests:
        begin = time.monotonic()
        print(f"{test.__name__}:", flush=True)
        try:
            with Net(build) as net:
                net.start()
                test(net)
        except (AssertionError, OSError):
            failed += 1
            traceback.print_exc(file=sys.stdout)
        print(f"  {time.monotonic() - begin:.2f} s", flush=True)
    sys.exit(1 if failed else 0)
