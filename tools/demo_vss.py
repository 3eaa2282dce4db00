#!/usr/bin/python3
"""demo_vss.py BUILD - the demo's act about backups: the host takes snapshots of
a guest whose PostgreSQL is busy, once with its help and once without.

The guest lives in the test box (test/system/vssbox.py): a mount and process
namespace that holds nothing but file systems made for it, on loop devices.
Nothing of this machine is frozen or changed. Exit status 77: not possible
here, the last line says why.
"""
import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{HERE}/../test/system")
from vssbox import Box, skip                                  # noqa: E402

PG = "/usr/lib/postgresql/15"
SETPRIV = ("setpriv", "--reuid=106", "--regid=106", "--clear-groups")
BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() \
    else ("", "", "")
NEEDS = ("prog/hvhost", "prog/hv_utilsd", "prog/hv_vss_daemon", "prog/hvctl",
         "prog/hv_vss_pg", "prog/hv_kvp_daemon", "test/system/vssbox")
BLKFLSBUF = 0x1261
MOMENT = 300            # acknowledged transactions


def say(*lines):
    print(*lines, sep="\n", flush=True)


def act(title, text):
    say("", f"{BOLD}{title}{PLAIN}", textwrap.fill(text, 78), "")


def shown(text, indent=10):
    say(textwrap.indent(text.rstrip("\n"), " " * indent))


def typed(who, *words):
    quoted = " ".join(f"'{w}'" if re.search(r"[^\w./:=-]", w) else w
                      for w in words)
    say(f"  {DIM}{who:>5} ${PLAIN} {quoted}")


def row(name, *values):
    say(f"          {name:<42}" + "".join(f"{v:>16}" for v in values))


class Teller:
    """A client that inserts numbers one by one and notes when each one's
    COMMIT was acknowledged."""

    def __init__(self, guest):
        self.acked = []                 # (number, time), in this order
        self.changed = threading.Condition()
        self.psql = guest.client("psql", "-XAtq", "-d", "postgres")
        self.over = False
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        n = 0
        while not self.over:
            n += 1
            self.psql.stdin.write(
                f"INSERT INTO ack VALUES ({n}) RETURNING n;\n".encode())
            self.psql.stdin.flush()
            if self.psql.stdout.readline() != f"{n}\n".encode():
                return
            with self.changed:
                self.acked.append((n, time.monotonic()))
                self.changed.notify_all()

    def wait_for(self, more):
        with self.changed:
            want = len(self.acked) + more
            assert self.changed.wait_for(lambda: len(self.acked) >= want,
                                         60), "the database has stopped"

    def until(self, moment):
        """Numbers acknowledged before that moment."""
        with self.changed:
            return {n for n, at in self.acked if at < moment}

    def end(self):
        self.over = True
        self.psql.terminate()
        self.thread.join(10)


class Guest:
    """The box, and in it what runs in a guest."""

    def __init__(self, build, box):
        self.build, self.box = build, box
        self.run_dir = box.path("/run/hyperv")
        self.helper = None
        self.load = None

    def sql(self, text, where="/run/pg"):
        return self.box.run(*SETPRIV, f"{PG}/bin/psql", "-XAtq", "-h", where,
                            "-U", "postgres", "-d", "postgres", "-c",
                            text).strip()

    def client(self, program, *args):
        return self.box.popen(
            *SETPRIV, f"{PG}/bin/{program}", "-h", "/run/pg", "-U",
            "postgres", *args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)

    def postgres(self, data, sockets, *options):
        """A server; its log until it serves, and after that in the box's."""
        box = self.box
        if not os.path.isdir(box.path(sockets)):
            box.mkdir(sockets)
        os.chown(box.path(sockets), 106, 106)
        at = len(box.log())
        server = box.start_until(
            "ready to accept connections", *SETPRIV, f"{PG}/bin/postgres",
            "-D", data, "-c", "listen_addresses=", "-c",
            f"unix_socket_directories={sockets}", "-c", "jit=off", *options,
            env={"TZ": "UTC", "LC_ALL": "C"})
        return server, box.log()[at:]

    def start_database(self):
        box = self.box
        os.chown(box.path("/pg"), 106, 106)
        box.run(*SETPRIV, f"{PG}/bin/initdb", "-D", "/pg/data", "-U",
                "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C",
                env={"LC_ALL": "C", "TZ": "UTC"})
        self.postgres("/pg/data", "/run/pg", "-c", "checkpoint_timeout=1h",
                      "-c", "max_wal_size=160MB", "-c", "shared_buffers=64MB")
        self.sql("CREATE TABLE ack (n int PRIMARY KEY)")
        box.run(*SETPRIV, f"{PG}/bin/pgbench", "-h", "/run/pg", "-U",
                "postgres", "-i", "-q", "-s", "3", "postgres")
        self.load = self.client("pgbench", "-c", "4", "-R", "500", "-T", "600",
                                "postgres")

    def start_tools(self):
        box = self.box
        box.start_until("serving", "hv_utilsd", "-n", "--host",
                        "/run/host/vmbus")
        box.start_until("registered with the driver", "hv_kvp_daemon", "-n")
        box.start_until("registered with the driver", "hv_vss_daemon", "-n",
                        "--confine", box.confine)

    def start_helper(self):
        self.helper = self.box.spawn(
            "hv_vss_pg", "-n", "--conninfo",
            "host=/run/pg user=postgres dbname=postgres")
        end = time.monotonic() + 10
        while not self.applications():
            assert time.monotonic() < end, "hv_vss_pg does not take part"
            threading.Event().wait(0.02)

    def applications(self):
        """Those that take part in backups now."""
        status = json.loads(self.hvctl("vss", "status", "--json"))
        return status["driver"]["applications"]

    def stop_helper(self):
        self.helper.terminate()
        self.helper.wait(10)

    def hvctl(self, *args):
        done = subprocess.run(
            [f"{self.build}/prog/hvctl", "--run-dir", self.run_dir,
             "--state-dir", self.box.path("/var/lib/hyperv"), *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False, text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"})
        return done.stdout


class Copy:
    """A copy of the disk that the host made: checked, mounted, started."""

    def __init__(self, guest, image):
        self.guest, self.image = guest, image
        self.fsck = self.redo_kib = self.found = self.seconds = None

    def check_disk(self):
        done = subprocess.run(
            ["fsck.ext4", "-fn", self.image], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
            env={**os.environ, "PATH": os.environ["PATH"] + ":/sbin"})
        assert done.returncode == 0, done.stdout
        self.fsck = "clean"

    def mount(self):
        """In the place of the spare disk, inside the box."""
        box = self.guest.box
        with open(self.image, "rb") as source, \
                open(box.images["/copy"], "r+b") as disk:
            disk.truncate(0)
            disk.truncate(os.path.getsize(self.image))
            while block := source.read(1 << 20):
                if block.count(0) < len(block):
                    disk.seek(source.tell() - len(block))
                    disk.write(block)
        with open(box.devices["/copy"], "rb") as device:
            fcntl.ioctl(device, BLKFLSBUF)      # what it remembers is old
        box.mount(box.devices["/copy"], "/copy", "ext4")

    def start(self):
        box = self.guest.box
        pid_file = box.path("/copy/data/postmaster.pid")
        if os.path.exists(pid_file):    # of the server that was copied
            os.unlink(pid_file)
        began = time.monotonic()
        server, log = self.guest.postgres("/copy/data", "/run/pg-copy")
        self.seconds = time.monotonic() - began
        lsn = dict(re.findall(r"redo (starts|done) at ([0-9A-F/]+)", log))
        self.redo_kib = replayed(lsn) / 1024
        self.found = {int(n) for n in self.guest.sql(
            "SELECT n FROM ack", "/run/pg-copy").split()}
        server.terminate()
        server.wait(30)
        self.guest.box.umount("/copy")


def replayed(lsn):
    """Bytes of the log between these two places; none: nothing to do."""
    if "starts" not in lsn or "done" not in lsn:
        return 0
    at = {k: int(v.split("/")[0], 16) << 32 | int(v.split("/")[1], 16)
          for k, v in lsn.items()}
    return at["done"] - at["starts"]


def snapshot(guest, hvhost, name):
    """The host's half; a Copy of the database's disk."""
    image = f"{guest.box.dir}/{name}.img"
    copy = f"cp --sparse=always {shlex.quote(guest.box.images['/pg'])} " \
           f"{shlex.quote(image)}"
    typed("host", "hvhost", "vss", "snapshot", "--exec",
          f"cp pg-disk.img {name}.img")
    shown(hvhost("vss", "snapshot", "--exec", copy))
    return Copy(guest, image)


def last_record(guest):
    return json.loads(guest.hvctl("vss", "last", "--json"))


def hold_began(record):
    """When the application said that it holds; without one, the freeze."""
    for app in record.get("applications", []):
        for step in app["steps"]:
            if step["opt"] == "freeze" and step.get("outcome") == "yes":
                return (step["at_us"] + step["took_us"]) / 1e6
    return record["window"]["frozen_at_us"] / 1e6


def verified(guest, copy, teller):
    before = teller.until(hold_began(last_record(guest)))
    copy.check_disk()
    copy.mount()
    copy.start()
    missing = before - copy.found
    assert not missing, f"{len(missing)} acknowledged transactions are gone"
    return len(before)


def draw(guest, svg):
    typed("guest", "hvctl", "vss", "last", "--svg", svg)
    shown(guest.hvctl("vss", "last", "--svg", svg), 2)
    say("", f"          The same as a drawing: {svg}")


def play(build, guest, hvhost, svg):
    teller = Teller(guest)
    try:
        typed("guest", "hvctl", "vss", "plan")
        shown(guest.hvctl("vss", "plan"))

        act("8. The host takes a snapshot, the database helps",
            "hv_vss_pg has PostgreSQL make a checkpoint, then the file "
            "systems are flushed and frozen; the host copies the disk; all "
            "goes on. Writers just wait that long.")
        guest.start_helper()
        teller.wait_for(MOMENT)
        helped = snapshot(guest, hvhost, "helped")
        draw(guest, svg)
        teller.wait_for(MOMENT)
        n_helped = verified(guest, helped, teller)

        act("9. The same without the database's help",
            "hv_vss_pg has ended. The file systems are consistent all the "
            "same, but PostgreSQL does not know of the snapshot: more of its "
            "log has to be replayed.")
        guest.stop_helper()
        teller.wait_for(MOMENT)
        alone = snapshot(guest, hvhost, "alone")
        teller.wait_for(MOMENT)
        n_alone = verified(guest, alone, teller)
        say("")
        typed("guest", "hvctl", "vss", "history")
        shown(guest.hvctl("vss", "history"))

        act("10. What the two copies are worth",
            "Each copy was checked, mounted, and a second PostgreSQL was "
            "started on it. A client had noted every transaction that was "
            "acknowledged before the hold: all of them must be there.")
        row("", "with help", "without")
        row("fsck -fn of the copy", helped.fsck, alone.fsck)
        row("acknowledged before the hold", n_helped, n_alone)
        row("  of these in the copy", n_helped, n_alone)
        row("log (WAL) to replay, KiB", f"{helped.redo_kib:.0f}",
            f"{alone.redo_kib:.0f}")
        row("server's start on the copy, s", f"{helped.seconds:.2f}",
            f"{alone.seconds:.2f}")
    finally:
        teller.end()


def peers_or_skip(build):
    """Where the unpacked PostgreSQL is, by paths inside the box."""
    server = f"{build}/peers/postgresql-15"
    client = f"{build}/peers/postgresql-client-15"
    for path in (server, client):
        if not os.path.isdir(f"{path}{PG}/bin"):
            skip("PostgreSQL could not be downloaded (tools/peers.sh)")
    os.environ["LD_LIBRARY_PATH"] = ":".join(
        f"{build}/peers/{p}/usr/lib/{os.uname().machine}-linux-gnu"
        for p in sorted(os.listdir(f"{build}/peers")) if p != "done")
    return [(f"{server}{PG}", PG), (f"{client}{PG}/bin", f"{PG}/bin"),
            (f"{server}/usr/share/postgresql", "/usr/share/postgresql")]


def main(build):
    build = os.path.abspath(build)
    for path in NEEDS:
        if not os.path.exists(f"{build}/{path}"):
            skip(f"{path} was not built")
    trees = peers_or_skip(build)
    svg = f"{build}/demo/vss.svg"
    os.makedirs(os.path.dirname(svg), exist_ok=True)
    with Box(build, [("ext4", "/pg", 320), ("ext4", "/copy", 320)],
             programs=(shutil.which("setpriv"), f"{build}/prog/hv_vss_pg",
                       f"{build}/prog/hv_kvp_daemon"),
             trees=trees, shell=True, root_megabytes=512) as box:
        del os.environ["LD_LIBRARY_PATH"]
        guest = Guest(build, box)
        act("7. A guest with a busy database, and what a backup would do",
            "A root file system and one for PostgreSQL's data, both made for "
            "this demo inside a namespace of its own; pgbench keeps four "
            "clients writing. hv_vss_daemon tells beforehand what it would "
            "freeze, in which order, and why.")
        host = subprocess.Popen(
            [f"{build}/prog/hvhost", "run", "--dir", box.path("/run/host"),
             "--vm-name", "demo"], stderr=subprocess.PIPE)

        def hvhost(*args):
            return subprocess.run(
                [f"{build}/prog/hvhost", *args, "--dir",
                 box.path("/run/host")], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                check=True).stdout
        try:
            for line in host.stderr:
                if b"guests connect" in line:
                    break
            guest.start_tools()
            guest.start_database()
            hvhost("wait", "ready", "vss", "--timeout", "10")
            box.umount("/copy")
            play(build, guest, hvhost, svg)
        finally:
            host.terminate()
            host.wait(10)


if __name__ == "__main__":
    main(*sys.argv[1:])
