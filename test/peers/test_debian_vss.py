#!/usr/bin/python3
"""test_debian_vss.py BUILD - Debian's hv_vss_daemon, unmodified, on our
driver: a snapshot works. In a box, and with shim.c, which lets it freeze this
box's disks and nothing else.
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, f"{os.path.dirname(__file__)}/../system")
from machine import need  # noqa: E402
from test_vss_freeze import Guest, wait_for  # noqa: E402
from vssbox import Box  # noqa: E402

DEBIAN_VSS = "peers/hyperv-daemons/usr/sbin/hv_vss_daemon"
SHIM = "test/peers/hvshim.so"


class DebianGuest(Guest):
    """The same guest with the other daemon, and no application."""

    def __init__(self, build, box, freeze=None):
        self.freeze_devices = box.confine if freeze is None else freeze
        super().__init__(build, box)

    def start_daemon(self):
        self.daemon = self.box.start_until(
            "kernel module version", "/usr/bin/debian_hv_vss_daemon", "-n",
            env={"LD_PRELOAD": "/usr/lib/hvshim.so",
                 "HV_SHIM_DEV_DIR": "/run/hyperv/dev",
                 "HV_SHIM_STATE": "/run/state",
                 "HV_SHIM_FREEZE": self.freeze_devices})

    def start_app(self):
        pass

    def ready(self):
        code, out = self.hvhost("wait", "ready", "vss", "--timeout", "20")
        assert code == 0, out

    def end(self):
        for p in (self.daemon, self.utilsd):
            p.terminate()
            p.wait(20)
        self.host.terminate()
        self.host.wait(20)


def trees(build, to):
    """The daemon and the shim, as Box takes them."""
    for source, path in ((DEBIAN_VSS, "usr/bin/debian_hv_vss_daemon"),
                         (SHIM, "usr/lib/hvshim.so")):
        os.makedirs(os.path.dirname(f"{to}/{path}"), exist_ok=True)
        subprocess.run(["cp", f"{build}/{source}", f"{to}/{path}"], check=True)
    return [(to, "/")]


def freezes_and_thaws(g):
    code, out = g.hvhost("vss", "check")
    assert code == 0, out
    code, out = g.hvhost("vss", "freeze")
    assert code == 0, out
    frozen = g.box.any_frozen()
    assert sorted(frozen) == sorted(g.box.devices), frozen
    code, out = g.hvhost("vss", "thaw")
    assert code == 0, out
    assert not g.box.any_frozen()
    log = g.box.log()
    assert "op=FREEZE: succeeded" in log and "op=THAW: succeeded" in log, log


def makes_snapshots(g):
    for _ in range(3):
        code, out = g.hvhost("vss", "snapshot", "--production-only", "--exec",
                             "echo made")
        assert code == 0 and "made" in out, out
        assert not g.box.any_frozen()


def only_one_daemon_at_a_time(g):
    """Ours finds the place taken, and takes it when it is free."""
    ours = g.box.spawn("hv_vss_daemon", "-n", "-d", "--confine",
                       g.box.confine)
    code, out = g.hvhost("vss", "check")
    assert code == 0, out
    g.daemon.kill()
    g.daemon.wait(20)
    wait_for(lambda: g.hvhost("vss", "check")[0] == 0)
    code, out = g.hvhost("vss", "snapshot", "--production-only")
    assert code == 0, out
    ours.terminate()
    assert ours.wait(20) == 0
    g.start_daemon()
    makes_snapshots(g)


def what_the_shim_is_not_told_stays_as_it_is(g):
    """The brace that keeps it off other file systems."""
    g.daemon.kill()
    g.daemon.wait(20)
    g.freeze_devices = g.box.devices["/data"]
    g.start_daemon()
    code, out = g.hvhost("vss", "freeze")
    assert code == 1, out
    assert not g.box.any_frozen()


def main(build):
    need(build, DEBIAN_VSS)
    with tempfile.TemporaryDirectory(prefix="hvpeer.") as tmp, \
            Box(build, disks=[("ext4", "/data"), ("xfs", "/more")], shell=True,
                trees=trees(build, tmp)) as box:
        guest = DebianGuest(build, box)
        freezes_and_thaws(guest)
        makes_snapshots(guest)
        only_one_daemon_at_a_time(guest)
        what_the_shim_is_not_told_stays_as_it_is(guest)
        guest.end()


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
