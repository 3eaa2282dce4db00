"""machine.py - a host and a guest below a temporary directory, as real
processes: hvhost, hv_utilsd and a KVP daemon. For the system tests.

    with Machine(build) as m:
        m.hvhost("kvp", "set", "key", "value")
        print(m.hvctl("kvp", "get", "key", "--pool", "external"))
"""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

DEBIAN = "peers/hyperv-daemons/usr/sbin/hv_kvp_daemon"
CLOUD_INIT = "peers/cloud-init/usr/lib/python3/dist-packages"
PR_SET_PDEATHSIG = 1
KEY, RECORD = 512, 2560


def skip(reason):
    """End this test as skipped; Meson takes 77 for that."""
    print(reason)
    sys.exit(77)


def need(build, path):
    if not os.path.exists(f"{build}/{path}"):
        skip(f"{build}/{path} is not there (tools/peers.sh)")


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Machine:
    def __init__(self, build, daemon="ours", settings="", host_args=()):
        self.build = os.path.abspath(build)
        self.dir = tempfile.mkdtemp(prefix="hvsys.")
        self.state = f"{self.dir}/state"
        self.children = []
        self.host_args = host_args
        try:
            os.mkdir(self.state)
            with open(f"{self.dir}/conf", "w", encoding="utf-8") as conf:
                conf.write(settings)
            self._start(daemon)
        except BaseException:
            self._end()
            raise

    def _start(self, daemon):
        self.start_until("guests connect", f"{self.build}/prog/hvhost", "run",
                         "--dir", f"{self.dir}/host", *self.host_args)
        self.start_until("serving", f"{self.build}/prog/hv_utilsd", "-n",
                         "--config", f"{self.dir}/conf", "--run-dir",
                         self.dir, "--host", f"{self.dir}/host/vmbus")
        self.daemon = self.start_daemon(daemon)
        self.hvhost("wait", "ready", "--timeout", "10")

    def start_daemon(self, which="ours"):
        """Ours, or Debian's hv_kvp_daemon, unmodified, on our device."""
        if which == "ours":
            return self.start_until(
                "registered with the driver",
                f"{self.build}/prog/hv_kvp_daemon", "-n", "--config",
                f"{self.dir}/conf", "--run-dir", self.dir,
                "--state-dir", self.state)
        return self.start_until(
            "KVP LIC Version", f"{self.build}/{DEBIAN}", "-n",
            env={"LD_PRELOAD": f"{self.build}/test/peers/hvshim.so",
                 "HV_SHIM_DEV_DIR": f"{self.dir}/dev",
                 "HV_SHIM_STATE": self.state})

    def start_until(self, words, *argv, env=None):
        """Start a program and wait until its log has these words."""
        child = self.spawn(*argv, env=env, stderr=subprocess.PIPE)
        for line in child.stderr:
            self._log(line)
            if words.encode() in line:
                threading.Thread(target=self._drain, args=[child.stderr],
                                 daemon=True).start()
                return child
        raise AssertionError(f"{argv[0]} ended before it said '{words}': "
                             f"{self.log()}")

    def _drain(self, pipe):
        for line in pipe:
            self._log(line)

    def _log(self, line):
        try:
            with open(f"{self.dir}/log", "ab") as log:
                log.write(line)
        except FileNotFoundError:
            pass                # the test is over

    def spawn(self, *argv, env=None, **how):
        """Start a process that ends with the test, however that ends."""
        with open(f"{self.dir}/log", "ab") as log:
            how = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log,
                   **how}
            child = subprocess.Popen(argv, env={**os.environ, **(env or {})},
                                     preexec_fn=_die_with_parent, **how)
        self.children.append(child)
        return child

    def run(self, *argv):
        """A command's output; a failing one fails the test."""
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            raise AssertionError(f"{' '.join(argv)}: {done.returncode}: "
                                 f"{done.stderr.decode()}")
        return done.stdout.decode()

    def hvhost(self, *args):
        return self.run(f"{self.build}/prog/hvhost", *args,
                        "--dir", f"{self.dir}/host")

    def hvctl(self, *args):
        return self.run(f"{self.build}/prog/hvctl", "--run-dir", self.dir,
                        "--state-dir", self.state, *args)

    def expect_failure(self, program, *args):
        """hvhost or hvctl has to say no."""
        try:
            said = getattr(self, program)(*args)
        except AssertionError:
            return
        raise AssertionError(f"{program} {' '.join(args)} gave {said!r}")

    def pool(self, number):
        """The records of a pool file as (key, value), byte for byte."""
        with open(f"{self.state}/.kvp_pool_{number}", "rb") as pool:
            raw = pool.read()
        assert len(raw) % RECORD == 0, "a record was torn"
        records = (raw[i:i + RECORD] for i in range(0, len(raw), RECORD))
        return [(r[:KEY].split(b"\0")[0].decode(),
                 r[KEY:].split(b"\0")[0].decode()) for r in records]

    def log(self):
        with open(f"{self.dir}/log", encoding="utf-8",
                  errors="replace") as log:
            return log.read()

    def _end(self):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.log(), file=sys.stderr)
        self._end()
