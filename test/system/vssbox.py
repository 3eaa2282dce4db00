"""vssbox.py - a box in which file systems may be frozen: a mount and process
namespace whose mount table holds nothing but file systems made for it, on loop
devices. The only place where a test, bench or demo may freeze anything.

    with Box(build, disks=[("ext4", "/data"), ("xfs", "/x")]) as box:
        daemon = box.start_until("registered", "hv_vss_daemon", "-n",
                                 "--confine", box.confine)
        box.run("hvctl", "vss", "plan")
        assert not box.frozen("/data")

Inside, programs are in /usr/bin, /etc, /var and /root are on the root image,
/run and /tmp are a tmpfs, /dev has null, zero, urandom and the box's own loop
devices. Outside, box.path("/run/x") leads to what is /run/x inside, as long as
the box runs; box.images["/data"] is the image file under /data.

What it needs and how it stays safe: box_init.c. A machine that denies loop
devices or namespaces ends the test with 77, skipped.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

from machine import _die_with_parent as die_with_parent, skip

MEGABYTES = {"ext4": 96, "ext3": 96, "ext2": 96, "xfs": 320, "btrfs": 160}
MKFS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "ext3": ("mkfs.ext3", "-q", "-F"),
    "ext2": ("mkfs.ext2", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
# Those of our programs that a box gets when they are built.
PROGRAMS = ("prog/hv_vss_daemon", "prog/hv_utilsd", "prog/hvctl",
            "prog/hv_vss_hooks")
PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/:/bin/false
postgres:x:106:106:postgres:/var/lib/postgresql:/bin/sh
mysql:x:107:107:mysql:/var/lib/mysql:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""
GROUP = "root:x:0:\ndaemon:x:1:\npostgres:x:106:\nmysql:x:107:\n" \
        "nogroup:x:65534:\n"
BUDGET = 15         # seconds for any small thing done inside
STRAY = "hvbox."    # below the temporary directory


def filesystems(*types):
    """Those of these types that this machine can make and mount; says which
    it leaves out."""
    with open("/proc/filesystems", encoding="ascii") as f:
        kernel = {line.split()[-1] for line in f}
    have = []
    for fs in types:
        if fs not in kernel:
            print(f"without {fs}: not in this kernel")
        elif fs not in MKFS or not shutil.which(MKFS[fs][0], path=tool_path()):
            print(f"without {fs}: no mkfs.{fs}")
        else:
            have.append(fs)
    return have


def tool_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def libraries(program):
    """The shared libraries and the loader that an ELF file needs, as
    (path here, path in the box). What is no program itself may lack some:
    a server comes with modules that nobody here loads."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True,
                          check=False).stdout
    if "not found" in said and os.access(program, os.X_OK):
        raise AssertionError(f"{program}: {said}")
    for path in re.findall(r"(?:=> |^\s)(/\S+) \(", said, re.M):
        system = path.startswith(("/lib", "/usr/lib"))
        yield path, path if system else f"/usr/lib/{os.path.basename(path)}"


class RootTar:
    """The content of the root image. Standard directories are merged below
    /usr, as Debian's are."""

    def __init__(self, path):
        self.have = set()
        self.tar = tarfile.open(path, "w")
        for name in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc",
                     "var/lib/hyperv", "var/log", "var/tmp", "root", "home"):
            self.directory(name)
        for name in ("bin", "sbin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            self.tar.addfile(link)
        self.text("/etc/passwd", PASSWD)
        self.text("/etc/group", GROUP)
        self.text("/etc/nsswitch.conf", "passwd: files\ngroup: files\n")

    def directory(self, name, mode=0o755):
        parts = name.strip("/").split("/")
        for i in range(1, len(parts) + 1):
            part = "/".join(parts[:i])
            if part in self.have:
                continue
            self.have.add(part)
            info = tarfile.TarInfo(part)
            info.type, info.mode = tarfile.DIRTYPE, mode
            self.tar.addfile(info)

    def text(self, path, content, mode=0o644):
        info = tarfile.TarInfo(self.place(path))
        data = content.encode()
        info.size, info.mode = len(data), mode
        with tempfile.TemporaryFile() as f:
            f.write(data)
            f.seek(0)
            self.tar.addfile(info, f)

    def place(self, path):
        name = path.lstrip("/")
        if name.split("/")[0] in ("bin", "sbin", "lib", "lib64"):
            name = f"usr/{name}"
        self.directory(os.path.dirname(name))
        return name

    def file(self, source, path, mode=None):
        name = self.place(path)
        if name in self.have:
            return
        self.have.add(name)
        info = self.tar.gettarinfo(os.path.realpath(source), name)
        info.type = tarfile.REGTYPE
        info.size = os.stat(source).st_size
        info.uid = info.gid = 0
        info.mode = mode or info.mode
        with open(source, "rb") as f:
            self.tar.addfile(info, f)

    def program(self, source, path=None):
        path = path or f"/usr/bin/{os.path.basename(source)}"
        self.file(source, path, 0o755)
        self.closure(source)

    def closure(self, source):
        for library, inside in libraries(source):
            self.file(library, inside, 0o755)

    def tree(self, source, path):
        """A whole directory, links kept as they are, with the libraries that
        its programs need."""
        for folder, folders, files in os.walk(source):
            at = os.path.normpath(f"{path}/{os.path.relpath(folder, source)}")
            if at.strip("/"):
                self.directory(self.place(f"{at}/x")[:-2])
            for name in files + [f for f in folders
                                 if os.path.islink(f"{folder}/{f}")]:
                self._tree_entry(f"{folder}/{name}", f"{at}/{name}")

    def _tree_entry(self, source, path):
        name = self.place(path)
        if name in self.have:
            return
        self.have.add(name)
        info = self.tar.gettarinfo(source, name)
        info.uid = info.gid = 0
        if info.islnk():            # a hard link, perhaps to outside
            info.type, info.size = tarfile.REGTYPE, os.stat(source).st_size
        if not info.isreg():
            self.tar.addfile(info)
            return
        with open(source, "rb") as f:
            elf = f.read(4) == b"\x7fELF"
            f.seek(0)
            self.tar.addfile(info, f)
        if elf:
            self.closure(source)

    def close(self):
        self.tar.close()


class Process:
    """A program that runs in a box. pid is its number outside."""

    def __init__(self, helper, pid, argv):
        self.helper, self.pid, self.argv = helper, pid, argv
        try:
            self._pidfd = os.pidfd_open(pid) if pid else -1
        except ProcessLookupError:      # it has ended already
            self._pidfd = -1
        self.stdin, self.stdout = helper.stdin, helper.stdout
        self.stderr = helper.stderr

    @property
    def returncode(self):
        """As subprocess has it: -9 for killed."""
        status = self.helper.returncode
        return 128 - status if status is not None and status > 128 else status

    def send_signal(self, number):
        try:
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            pass

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def poll(self):
        self.helper.poll()
        return self.returncode

    def wait(self, timeout=None):
        self.helper.wait(timeout)
        return self.returncode

    def communicate(self, given=None, timeout=None):
        return self.helper.communicate(given, timeout)

    def children(self):
        """The numbers, outside, of its children."""
        path = f"/proc/{self.pid}/task/{self.pid}/children"
        with open(path, encoding="ascii") as f:
            return [int(pid) for pid in f.read().split()]


class Box:
    """disks: (type, mount point) or (type, mount point, megabytes).
    programs: more executables, paths here; they are in /usr/bin inside.
    trees: (directory here, path inside), with the libraries needed.
    files: {path inside: text}. shell: whether there is a /bin/sh.
    net: a network of its own with a loopback that is up, or the machine's."""

    def __init__(self, build, disks=(("ext4", "/data"),), programs=(),
                 root="ext4", root_megabytes=None, trees=(), files=None,
                 shell=False, net=True):
        self.build = os.path.abspath(build)
        self.disks = [(root, "/", root_megabytes or
                       max(256, MEGABYTES[root]))]
        self.disks += [(d[0], d[1], d[2] if len(d) > 2 else MEGABYTES[d[0]])
                       for d in disks]
        self.programs, self.trees = programs, trees
        self.files, self.shell, self.net = files or {}, shell, net
        self.tool = f"{self.build}/test/system/vssbox"
        self.dir = None
        self.init = None
        self.control = -1
        self.pid = 0
        self.children, self.left_behind = [], []
        self.images, self.devices = {}, {}
        self._log, self._log_lock = bytearray(), threading.Lock()
        self._old_sigterm = None

    # Its life

    def __enter__(self):
        if os.geteuid() != 0:
            skip("needs root for loop devices and namespaces")
        if len(filesystems(*{d[0] for d in self.disks})) < \
                len({d[0] for d in self.disks}):
            skip("a file system that this test needs is missing")
        self.dir = tempfile.mkdtemp(prefix=STRAY)
        self._catch_sigterm()
        try:
            self._make_images()
            self._make_root()
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.log(), file=sys.stderr)
        self._end()

    def _catch_sigterm(self):
        """SIGTERM ends the test like an exception, so that all is undone."""
        def end(*_):
            raise SystemExit(143)
        if threading.current_thread() is threading.main_thread() and \
                signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._old_sigterm = signal.signal(signal.SIGTERM, end)

    def _make_images(self):
        for i, (fs, where, megabytes) in enumerate(self.disks):
            image = f"{self.dir}/{i}{where.replace('/', '-').rstrip('-')}.img"
            with open(image, "wb") as f:
                f.truncate(megabytes << 20)
            self.images[where] = image
            subprocess.run([*MKFS[fs], image], check=True,
                           stdout=subprocess.DEVNULL,
                           env={**os.environ, "PATH": tool_path()})

    def _make_root(self):
        tar = RootTar(f"{self.dir}/root.tar")
        tar.program(self.tool)
        ours = [f"{self.build}/{p}" for p in PROGRAMS]
        for program in [p for p in ours if os.path.exists(p)]:
            tar.program(program)
        for program in self.programs:
            tar.program(program)
        if self.shell:
            shell = os.path.realpath("/bin/sh")
            tar.program(shell, "/usr/bin/sh")
        for source, path in self.trees:
            tar.tree(source, path)
        for path, content in self.files.items():
            tar.text(path, content,
                     0o755 if content.startswith("#!") else 0o644)
        tar.close()

    def _start(self):
        status, says = os.pipe()
        control, self.control = os.pipe()
        specs = [f"{fs}:{self.images[where]}:{where}"
                 for fs, where, _ in self.disks]
        self.init = subprocess.Popen(
            [self.tool, "start", self.dir, str(says), str(control),
             "net" if self.net else "nonet", *specs],
            pass_fds=(says, control), stdin=subprocess.DEVNULL)
        os.close(says)
        os.close(control)
        devices = []
        with open(status, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                word, _, rest = line.strip().partition(" ")
                if word == "skip":
                    self._end()
                    skip(f"no box here: {rest}")
                assert word != "error", f"the box did not start: {rest}"
                if word == "pid":
                    self.pid = int(rest)
                if word == "disk":
                    devices.append(rest)
                if word == "ready":
                    break
            else:
                raise AssertionError("the box ended while it started")
        os.remove(f"{self.dir}/root.tar")
        self.devices = dict(zip((d[1] for d in self.disks), devices))

    def _end(self):
        for step in (self._end_inside, self._rescue, self._end_dir):
            step()
        if self._old_sigterm is not None:
            signal.signal(signal.SIGTERM, self._old_sigterm)

    def _end_inside(self):
        """Process 1 thaws, ends everything and unmounts."""
        if self.control >= 0:
            os.close(self.control)
            self.control = -1
        if not self.init:
            return
        try:
            self.init.wait(timeout=30)
        except subprocess.TimeoutExpired:
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
        for child in self.children + self.left_behind:
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                print(f"still there: {child.argv}", file=sys.stderr)

    def _rescue(self):
        """Had process 1 no chance, something may still be frozen."""
        for device in self.devices.values():
            if self._attached(device):
                subprocess.run([self.tool, "thaw", device], check=False,
                               timeout=20)
        end = time.monotonic() + 10
        for device in self.devices.values():
            while self._attached(device) and time.monotonic() < end:
                threading.Event().wait(0.02)
            if self._attached(device):
                print(f"{device} is still attached", file=sys.stderr)

    def _attached(self, device):
        """Whether the loop device still holds one of our images."""
        name = os.path.basename(device)
        try:
            with open(f"/sys/block/{name}/loop/backing_file",
                      encoding="utf-8") as f:
                return f.read().startswith(self.dir + "/")
        except OSError:
            return False

    def _end_dir(self):
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)

    # Programs inside

    @property
    def confine(self):
        """For hv_vss_daemon --confine: all its block devices."""
        return ",".join(self.devices.values())

    def path(self, inside):
        """What is `inside` in the box, from outside."""
        return f"/proc/{self.pid}/root/{inside.lstrip('/')}"

    def _inside(self, program):
        """A program built here is in /usr/bin there."""
        if program.startswith(self.build + "/") or program in self.programs:
            return f"/usr/bin/{os.path.basename(program)}"
        return program

    def popen(self, *argv, env=None, **how):
        """Start a program inside, with subprocess.Popen's keywords."""
        status, says = os.pipe()
        argv = (self._inside(argv[0]), *argv[1:])
        how = {"stdin": subprocess.DEVNULL, **how}
        helper = subprocess.Popen(
            [self.tool, "in", str(self.pid), str(says), *argv],
            pass_fds=(says,), preexec_fn=die_with_parent,
            env={**os.environ, **(env or {})}, **how)
        os.close(says)
        with open(status, encoding="utf-8", errors="replace") as lines:
            said = lines.readline().split()
        if not said or said[0] != "pid":
            helper.wait()
            raise AssertionError(f"{argv[0]} did not start: {said}")
        child = Process(helper, int(said[1]), argv)
        self.children.append(child)
        return child

    def spawn(self, *argv, env=None, **how):
        """The same; what it prints goes to log()."""
        child = self.popen(*argv, env=env, **{
            "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **how})
        for pipe in (child.stdout, child.stderr):
            if pipe and subprocess.PIPE not in how.values():
                threading.Thread(target=self._drain, args=[pipe],
                                 daemon=True).start()
        return child

    def start_until(self, words, *argv, env=None, timeout=60):
        """Start a program and wait until its log has these words; one that
        does not say them in time is killed."""
        child = self.popen(*argv, env=env, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
        patience = threading.Timer(timeout, child.kill)
        patience.daemon = True
        patience.start()
        for line in child.stdout:
            self._note(line)
            if words.encode() in line:
                patience.cancel()
                threading.Thread(target=self._drain, args=[child.stdout],
                                 daemon=True).start()
                return child
        patience.cancel()
        raise AssertionError(f"{argv[0]} ended, or was ended, before it said "
                             f"'{words}': {self.log()}")

    def _drain(self, pipe):
        for line in pipe:
            self._note(line)

    def _note(self, line):
        with self._log_lock:
            self._log += line

    def log(self):
        with self._log_lock:
            return self._log.decode(errors="replace")

    def run_status(self, *argv, given=b"", timeout=60, env=None):
        """A command's exit status, output and error output."""
        child = self.popen(*argv, env=env, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = child.communicate(given, timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
        return child.returncode, out.decode(), err.decode()

    def run(self, *argv, given=b"", timeout=60, env=None):
        """A command's output; a failing one fails the test."""
        status, out, err = self.run_status(*argv, given=given, env=env,
                                           timeout=timeout)
        assert status == 0, f"{' '.join(argv)}: {status}: {err}"
        return out

    # File systems inside

    def _do(self, *verb, given=None, timeout=BUDGET):
        """One of box_do.c's verbs: status, output. One that hangs is left
        behind, and ends with the box."""
        child = subprocess.Popen(
            [self.tool, "do", str(self.pid), *verb],
            stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = child.communicate(given, timeout)
        except subprocess.TimeoutExpired:
            self.left_behind.append(Process(child, 0, verb))
            raise
        return child.returncode, (out + err).decode(errors="replace").strip()

    def do(self, *verb, given=None, timeout=BUDGET):
        status, said = self._do(*verb, given=given, timeout=timeout)
        assert status == 0, f"{' '.join(verb)}: {said}"
        return said

    def frozen(self, path):
        """Whether writers have to wait there. path: of a disk of this box,
        whatever is mounted on it by now, or a loop device, or any path. Does
        not wait itself."""
        device = self.devices.get(path, path)
        verb = "frozen-device" if device.startswith("/dev/") else "frozen"
        status, said = self._do(verb, device)
        assert status in (0, 1), f"{verb} {device}: {said}"
        return status == 1

    def any_frozen(self):
        """The disks of this box that are frozen."""
        return [where for where in self.devices if self.frozen(where)]

    def wait_thawed(self, timeout):
        """Until nothing of the box is frozen: True; False if that takes
        longer than `timeout` seconds."""
        end = time.monotonic() + timeout
        while self.any_frozen():
            if time.monotonic() > end:
                return False
            threading.Event().wait(0.02)
        return True

    def write(self, path, data, timeout=BUDGET):
        self.do("put", path, timeout=timeout,
                given=data.encode() if isinstance(data, str) else data)

    def read(self, path):
        with open(self.path(path), "rb") as f:
            return f.read()

    def mkdir(self, path):
        self.do("mkdir", path)

    def mount(self, source, target, fs, flags="", data=""):
        """flags: any of bind, ro, remount, in one string."""
        self.do("mount", source, target, fs, flags, data)

    def bind(self, source, target):
        self.mount(source, target, "none", "bind")

    def overmount(self, path):
        """Cover a mount point with an empty tmpfs."""
        self.mount("cover", path, "tmpfs")

    def umount(self, path, lazy=False):
        self.do("umount", path, "lazy" if lazy else "now")

    def dirty(self, path, megabytes):
        """Write a file and do not flush it."""
        self.do("dirty", path, str(megabytes), timeout=60)

    def freeze(self, path):
        """As somebody else than our daemon would."""
        self.do("freeze", path)

    def thaw(self, path):
        self.do("thaw", path)

    def loop(self, file):
        """A loop device on a file inside. Stays until the box ends. Returns
        /dev/loopN."""
        return self._keep("loop", file)

    def mkfs(self, fs, path, megabytes=None):
        """Make a file at `path` that holds a file system of that type."""
        image = f"{self.dir}/inner.img"
        with open(image, "wb") as f:
            f.truncate((megabytes or MEGABYTES[fs]) << 20)
        subprocess.run([*MKFS[fs], image], check=True,
                       stdout=subprocess.DEVNULL,
                       env={**os.environ, "PATH": tool_path()})
        with open(image, "rb") as f:
            child = subprocess.run(
                [self.tool, "do", str(self.pid), "put", path], stdin=f,
                check=False, timeout=120)
        os.remove(image)
        assert child.returncode == 0, f"{path} could not be written"

    def mount_elsewhere(self, source, target, fs):
        """Mount it in another mount namespace, inside the same box."""
        self._keep("mount-elsewhere", source, target, fs)

    def end_kept(self):
        """End other namespaces; their file systems and the loop devices that
        are not mounted here go with that."""
        for child in self.left_behind:
            child.helper.kill()
            child.wait(BUDGET)
        self.left_behind.clear()

    def _keep(self, *verb):
        """Do something that lasts as long as its process; its first line."""
        child = subprocess.Popen(
            [self.tool, "do", str(self.pid), *verb],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        said = child.stdout.readline().decode().strip()
        assert said, f"{' '.join(verb)} failed"
        self.left_behind.append(Process(child, 0, verb))
        return said
