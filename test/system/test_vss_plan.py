#!/usr/bin/python3
"""test_vss_plan.py BUILD - what hv_vss_daemon plans on a system with bind
mounts, loop devices on loop devices, btrfs subvolumes, covered and read-only
mounts and a second mount namespace; and that the kernel can do it like that.
"""
import json
import sys

from vssbox import Box, filesystems
from vss_driver import CHECK, FREEZE, THAW, FAIL, OK, Driver, start, wait_for

REFUSED, UNREACHABLE = 1, 4


def plan(box):
    """By path. hvctl's exit status has to agree with it."""
    status, out, err = box.run_status("hvctl", "vss", "plan", "--json")
    assert not err, err
    said = json.loads(out)
    assert status == (0 if said["consistent"] else REFUSED), status
    return said, {fs["path"] or fs.get("mounted_at"): fs
                  for fs in said["file_systems"]}


def mount_loop(box, file, megabytes, where, flags=""):
    box.mkfs("ext4", file, megabytes)
    device = box.loop(file)
    box.mkdir(where)
    box.mount(device, where, "ext4", flags)
    return device


def prepare(box):
    """Mount all sorts of things; the loop devices, by mount point."""
    for where in ("/data/dir", "/bound", "/sub", "/x2", "/ro-bind", "/ram"):
        box.mkdir(where)
    box.bind("/data/dir", "/bound")
    box.bind("/data", "/ro-bind")
    box.mount("none", "/ro-bind", "none", "bind,remount,ro")
    box.bind("/x", "/x2")
    box.overmount("/x")
    box.mount("ram", "/ram", "tmpfs")
    box.do("subvolume", "/b/sub")
    box.mount(box.devices["/b"], "/sub", "btrfs", "", "subvol=sub")
    loops = {"/inner": mount_loop(box, "/data/inner.img", 24, "/inner")}
    loops["/deep"] = mount_loop(box, "/inner/deep image", 8, "/deep")
    loops["/still"] = mount_loop(box, "/data/still.img", 8, "/still", "ro")
    return loops


def is_as_expected(box):
    said, by_path = plan(box)
    assert said["consistent"], said["summary"]
    frozen = [fs["path"] for fs in said["file_systems"] if fs["order"]]
    assert sorted(frozen) == ["/", "/b", "/data", "/deep", "/inner", "/x2"], \
        frozen
    at = {path: frozen.index(path) for path in frozen}
    assert at["/deep"] < at["/inner"] < at["/data"] < at["/"], frozen
    assert frozen[-1] == "/"
    assert by_path["/data"]["mounts"] == 3 and by_path["/b"]["mounts"] == 2
    assert by_path["/still"]["reason"] == "read-only"
    assert by_path["/ram"]["reason"] == "in memory only"
    assert by_path["/x"]["type"] == "tmpfs"
    assert said["summary"].startswith("A backup would freeze 6 file systems")


def table_is_for_people(box):
    lines = box.run("hvctl", "vss", "plan").splitlines()
    column = lines[0].index("PATH")
    assert lines[0].split() == ["ORDER", "PATH", "TYPE", "SOURCE", "ACTION",
                                "REASON"]
    assert lines[6].startswith("6") and lines[6][column:].startswith("/ ")
    assert lines[-1].endswith("and be consistent."), lines[-1]
    assert box.run("hv_vss_daemon", "--plan").splitlines() == lines


def kernel_does_it(box, driver, loops):
    """Everything the plan says is frozen, at once, and thawed again."""
    box.dirty("/deep/file", 2)
    status, why = driver.ask(FREEZE)
    assert status == OK, why
    for where in box.devices:
        assert box.frozen(where), where
    for where in ("/inner", "/deep"):
        assert box.frozen(loops[where]), where
    assert driver.ask(THAW)[0] == OK
    assert not box.any_frozen() and not box.frozen(loops["/deep"])
    box.write("/deep/after", "x")


def second_namespace(box, driver):
    """A file system that only another namespace has mounted: it is frozen if
    its paths are ours to open, and else vetoes; never is it passed over."""
    box.mkfs("ext4", "/data/private.img", 8)
    device = box.loop("/data/private.img")
    box.mkdir("/private")
    box.mount_elsewhere(device, "/private", "ext4")
    said, _ = plan(box)
    private = [fs for fs in said["file_systems"] if fs["source"] == device]
    assert len(private) == 1 and private[0]["elsewhere"], said
    assert private[0]["action"] in ("freeze", "veto")
    status, why = driver.ask(CHECK)
    if private[0]["action"] == "veto":
        assert said["file_systems"][0] == private[0]    # what matters, first
        assert status == FAIL and "out of reach" in said["summary"]
        return
    # Confined, it is none of the devices that the daemon was told.
    assert status == FAIL and "confine" in why, why


RULES = """[vss-rules]
skip = source /dev/null
sync-only = path /b
veto = path /bound
veto = type no-such*
"""


def rules_and_vetoes(box, driver):
    """A rule on any mount point decides; who vetoes is named everywhere."""
    box.write("/etc/rules.conf", RULES)
    daemon = box.start_until("registered with the driver", "hv_vss_daemon",
                             "-n", "-c", "/etc/rules.conf", "--confine",
                             box.confine)
    driver.accept()
    said, by_path = plan(box)
    assert said["file_systems"][0]["path"] == "/data"
    assert by_path["/data"]["reason"] == "rule: path /bound"
    assert by_path["/b"]["action"] == "sync-only"
    assert said["summary"] == "A backup would be refused: /data " \
        "(rule: path /bound).", said["summary"]
    for question in (CHECK, FREEZE):
        status, why = driver.ask(question)
        assert status == FAIL and "/data" in why, why
    assert not box.any_frozen()
    stop(daemon)


def stop(daemon):
    daemon.terminate()
    wait_for(lambda: daemon.poll() is not None)


def main(build):
    if "btrfs" not in filesystems("btrfs") or "xfs" not in filesystems("xfs"):
        sys.exit(77)
    disks = [("ext4", "/data"), ("xfs", "/x"), ("btrfs", "/b")]
    with Box(build, disks=disks) as box:
        status, _, err = box.run_status("hvctl", "vss", "plan")
        assert status == UNREACHABLE and "not running" in err, err
        loops = prepare(box)
        with Driver(box) as driver:
            daemon = start(box, confine=",".join(
                [box.confine, *loops.values()]))
            driver.accept()
            is_as_expected(box)
            table_is_for_people(box)
            kernel_does_it(box, driver, loops)
            second_namespace(box, driver)
            stop(daemon)
        box.end_kept()
        for where in ("/still", "/deep", "/inner"):
            box.umount(where)
        with Driver(box) as driver:
            rules_and_vetoes(box, driver)


if __name__ == "__main__":
    main(sys.argv[1])
