"""kill -9 of any process at any point of 1,000 random operations.

The host sets, deletes and reads keys of pool 3 through the whole chain, and
hvctl writes pool 1 beside it. At random points a random process is killed:
before an operation, or while it is under way. Afterwards

  - the pool files hold exactly what was acknowledged, in order; an operation
    that was not acknowledged happened whole or not at all;
  - the chain comes back by itself once the process is started again;
  - the host heard an answer to each request, yes or no, and never ran into
    its own time limit.

The seed is printed; give it as the second argument to run the same again.
"""
import json
import random
import signal
import socket
import subprocess
import sys
import time

from machine import Machine

OPERATIONS = 1000
KILL_ONE_IN = 12


class HostGone(Exception):
    """hvhost itself was killed: nobody is left to hear the answer."""


class Host:
    """hvhost's control socket, one connection for all requests."""

    def __init__(self, path):
        self.path = path
        self.sock = None

    def send(self, request):
        deadline = time.monotonic() + 10
        while self.sock is None:
            try:
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.connect(self.path)
                self.sock.settimeout(60)
                self.file = self.sock.makefile("r", encoding="utf-8")
            except OSError:
                self.sock = None
                if time.monotonic() > deadline:
                    raise
        try:
            self.sock.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            self._lost()

    def hear(self):
        try:
            line = self.file.readline()
        except OSError:
            line = ""
        if not line.endswith("\n"):
            self._lost()
        return json.loads(line)

    def ask(self, request):
        self.send(request)
        return self.hear()

    def _lost(self):
        self.sock.close()
        self.sock = None
        raise HostGone


def apply(state, op, key, value):
    """What a pool holds after an operation on `state`, a tuple of pairs."""
    keys = [k for k, _ in state]
    if op == "set" and key in keys:
        i = keys.index(key)
        return state[:i] + ((key, value),) + state[i + 1:]
    if op == "set":
        return state + ((key, value),)
    if op == "del" and key in keys:
        i = keys.index(key)
        return state[:i] + state[i + 1:]
    return state


class Pool:
    """All the states that a pool file may be in."""

    def __init__(self, machine, number):
        self.machine, self.number = machine, number
        self.possible = {()}

    def changed(self, op, key, value, sure):
        after = {apply(s, op, key, value) for s in self.possible}
        self.possible = after if sure else self.possible | after

    def check(self):
        now = tuple(self.machine.pool(self.number))
        assert now in self.possible, \
            f"pool {self.number} holds {now}, not one of {self.possible}"
        return now

    def settle(self):
        """Nothing is under way any more: there is one state, the file's."""
        self.possible = {self.check()}


class Torture:
    def __init__(self, machine, rng):
        self.m, self.rng = machine, rng
        self.host = Host(f"{machine.dir}/host/ctl")
        self.host_pool, self.guest_pool = Pool(machine, 3), Pool(machine, 1)
        self.count = {"answered": 0, "failed": 0, "cancelled": 0,
                      "not-ready": 0, "host killed": 0}
        self.kills = {}
        self.procs = {
            "hvhost": (machine.children[0], machine.children[0].args),
            "hv_utilsd": (machine.children[1], machine.children[1].args),
            "hv_kvp_daemon": (machine.daemon, machine.daemon.args),
        }

    def kill(self, name):
        child, argv = self.procs[name]
        child.send_signal(signal.SIGKILL)
        child.wait()
        self.m.children.remove(child)
        self.kills[name] = self.kills.get(name, 0) + 1
        return argv

    def restart(self, name, argv):
        self.procs[name] = (self.m.spawn(*argv), argv)
        answer = None
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self.host.ask({"cmd": "wait", "for": "ready"})
                answer = self.host.ask({"cmd": "kvp-get", "pool": 3,
                                        "key": "is anybody there"})
            except HostGone:
                continue
            if answer.get("status") == "no-more-items":
                return
        raise AssertionError(f"after {name} died: {answer}")

    def host_operation(self, victim):
        op = self.rng.choice(["set", "set", "set", "del", "get"])
        key = f"key{self.rng.randrange(40)}"
        value = "".join(self.rng.choices("abc🐧é", k=self.rng.randrange(200)))
        request = {"cmd": f"kvp-{op}", "pool": 3, "key": key}
        if op == "set":
            request["value"] = value
        argv = None
        try:
            self.host.send(request)
            if victim:
                argv = self.kill(victim)
            answer = self.host.hear()
        except HostGone:
            assert victim == "hvhost"
            answer = {"result": "host killed"}
        if argv:
            self.restart(victim, argv)
        self.judge(op, key, value, answer, victim)

    def judge(self, op, key, value, answer, victim):
        result = answer["result"]
        if result != "answered":
            # "not-ready": the guest was gone before the host had read this.
            assert victim and result in ("cancelled", "not-ready",
                                         "host killed"), answer
            self.count[result] += 1
            self.host_pool.changed(op, key, value, sure=False)
            return
        if answer["status"] == "fail":
            assert victim == "hv_kvp_daemon", answer
            self.count["failed"] += 1
            self.host_pool.changed(op, key, value, sure=False)
            return
        self.count["answered"] += 1
        if op == "get" and "value" in answer:
            values = {dict(s).get(key) for s in self.host_pool.possible}
            assert answer["value"] in values, (answer, values)
        self.host_pool.changed(op, key, value, sure=True)
        self.host_pool.check()

    def guest_operation(self, kill_it):
        op = self.rng.choice(["set", "set", "del"])
        key, value = f"g{self.rng.randrange(40)}", str(self.rng.random())
        argv = [f"{self.m.build}/prog/hvctl", "--state-dir", self.m.state,
                "kvp", op, key] + ([value] if op == "set" else [])
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        if kill_it:
            for _ in range(self.rng.randrange(3000)):
                pass                    # somewhere in its short life
            child.send_signal(signal.SIGKILL)
            self.kills["hvctl"] = self.kills.get("hvctl", 0) + 1
        status = child.wait()
        assert kill_it or status in (0, 1), (argv, status)
        # What a killed one left in the journal is done by the next one.
        self.guest_pool.changed(op, key, value, sure=status in (0, 1))
        if status in (0, 1):
            self.guest_pool.settle()

    def run(self):
        for _ in range(OPERATIONS):
            hit = self.rng.randrange(KILL_ONE_IN) == 0
            if self.rng.randrange(3) == 0:
                self.guest_operation(hit)
            elif hit and self.rng.randrange(3) == 0:
                name = self.rng.choice(sorted(self.procs))
                self.restart(name, self.kill(name))
            else:
                self.host_operation(
                    self.rng.choice(sorted(self.procs)) if hit else None)
        # One that is answered is behind all that was under way.
        self.host.ask({"cmd": "kvp-set", "pool": 3, "key": "end",
                       "value": "end"})
        self.host_pool.changed("set", "end", "end", sure=True)
        self.host_pool.settle()
        walk = self.host.ask({"cmd": "kvp-list", "pool": 3})
        assert [(i["key"], i["value"]) for i in walk["items"]] == \
            self.m.pool(3), walk


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**9)
    print(f"seed {seed}")
    # The host's facts go to pool 3, too; this test wants it for itself.
    with Machine(sys.argv[1], host_args=["--no-push"]) as machine:
        torture = Torture(machine, random.Random(seed))
        try:
            torture.run()
        except BaseException:
            print(machine.log()[-4000:])
            raise
        print(f"host requests: {torture.count}; killed: {torture.kills}")


main()
