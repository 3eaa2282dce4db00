"""dbservers.py - a PostgreSQL and a MariaDB of our own: the unpacked programs
of build/peers, data and socket below the test's directory, no TCP, as an
unprivileged user.

    with Postgres(build, directory) as pg:
        print(pg.sql("SELECT 1"))
"""
import ctypes
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from machine import skip

NOBODY = 65534
PR_SET_PDEATHSIG = 1


def _become(uid):
    """In the child: end with the test, and be nobody."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if uid:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """What both have in common. dir is the server's own directory; data may
    be somewhere else, on a file system of its own for example."""

    def __init__(self, build, directory, data=None):
        self.build = os.path.abspath(build)
        # sockets have short names, and nobody has to get in
        self.dir = tempfile.mkdtemp(prefix="hvdb.", dir=directory)
        self.uid = NOBODY if os.geteuid() == 0 else 0
        os.chmod(self.dir, 0o755)
        self.data = data or f"{self.dir}/data"
        self.proc = None
        self.own(self.dir)
        self.peers = self._peers()
        self.libs = ":".join(
            d for pattern in ("usr/lib/*-linux-gnu", "lib/*-linux-gnu")
            for d in glob.glob(f"{self.peers}/*/{pattern}"))

    def _peers(self):
        """The unpacked programs; a copy if our user may not go there, as in
        a clone below /root."""
        peers = f"{self.build}/peers"
        parents = [peers]
        while parents[-1] != "/":
            parents.append(os.path.dirname(parents[-1]))
        if not self.uid or not os.path.isdir(peers) or \
                all(os.stat(d).st_mode & 0o001 for d in parents):
            return peers
        return shutil.copytree(peers, f"{self.dir}/peers", symlinks=True)

    def own(self, path):
        os.makedirs(path, exist_ok=True)
        if self.uid:
            os.chown(path, self.uid, self.uid)

    def find(self, package, path):
        """A program; the test is skipped if it is not there for us."""
        program = f"{self.peers}/{package}/{path}"
        if not os.path.exists(program):
            skip(f"{program} is not there (tools/peers.sh)")
        return program

    def _how(self):
        return {"preexec_fn": lambda: _become(self.uid), "cwd": "/",
                "stdin": subprocess.DEVNULL,
                "env": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC",
                        "HOME": self.dir, "LC_ALL": "C",
                        "LD_LIBRARY_PATH": self.libs}}

    def run(self, *argv, **how):
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT,
               "timeout": 120, **self._how(), **how}
        try:
            done = subprocess.run(argv, check=False, **how)
        except PermissionError:
            skip(f"user {self.uid} may not run {argv[0]}")
        out = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{argv}: {done.returncode}: {out}"
        return out.strip()

    def start_until(self, words, *argv):
        """Start the server, and read its log until it says these words."""
        self.proc = subprocess.Popen(argv, **self._how(),
                                     stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE)
        said = []
        for line in self.proc.stderr:
            said.append(line.decode(errors="replace"))
            if words in said[-1]:
                self.drain = threading.Thread(target=self._drain,
                                              daemon=True)
                self.drain.start()
                return
        raise AssertionError(f"{argv[0]} ended: {''.join(said)}")

    def _drain(self):
        for _ in self.proc.stderr:
            pass

    def spawn(self, *argv, **how):
        """A client, for example a load, as the server's user."""
        return subprocess.Popen(argv, **{**self._how(), **how})

    def stop(self, sig=signal.SIGTERM):
        if not self.proc:
            return
        self.proc.send_signal(signal.SIGCONT)
        self.proc.send_signal(sig)
        self.proc.wait(60)
        self.drain.join()
        self.proc.stderr.close()
        self.proc = None

    def __enter__(self):
        try:
            self.init()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop(signal.SIGQUIT if isinstance(self, Postgres)
                      else signal.SIGKILL)
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)


class Postgres(Server):
    BIN = "usr/lib/postgresql/15/bin"

    def program(self, name):
        package = "postgresql-client-15" if name in ("psql", "pgbench") \
            and not os.path.exists(f"{self.build}/peers/postgresql-15/"
                                   f"{self.BIN}/{name}") else "postgresql-15"
        return self.find(package, f"{self.BIN}/{name}")

    def init(self):
        self.own(self.data)
        os.chmod(self.data, 0o700)
        self.run(self.program("initdb"), "-D", self.data, "-U", "postgres",
                 "-A", "trust", "-N", "-E", "UTF8", "--locale=C")

    def start(self, *options):
        self.start_until("ready to accept connections",
                         self.program("postgres"), "-D", self.data,
                         "-c", "listen_addresses=",
                         "-c", f"unix_socket_directories={self.dir}",
                         "-c", "jit=off", *options)

    @property
    def conninfo(self):
        return f"host={self.dir} user=postgres dbname=postgres"

    def sql(self, text, user="postgres"):
        return self.run(self.program("psql"), "-XAtq", "-v",
                        "ON_ERROR_STOP=1", "-h", self.dir, "-U", user,
                        "-d", "postgres", "-c", text)


class Mariadb(Server):
    def init(self):
        """The system tables, by the server's own script's files."""
        share = self.find("mariadb-server-core", "usr/share/mysql")
        self.own(self.data)
        parts = ["CREATE DATABASE mysql;\nCREATE DATABASE test;\n"
                 "USE mysql;\nSET @auth_root_socket=NULL;\n"
                 "SET @skip_auth_anonymous=NULL;\n"]
        for name in ("mysql_system_tables", "mysql_performance_tables",
                     "mysql_system_tables_data", "fill_help_tables"):
            path = f"{share}/{name}.sql"
            if os.path.exists(path) and name != "fill_help_tables":
                with open(path, encoding="utf-8") as f:
                    parts.append(f.read())
        script = f"{self.dir}/init.sql"
        with open(script, "w", encoding="utf-8") as f:
            f.write("\n".join(parts))
        with open(script, "rb") as f:
            self.run(*self._argv(), "--bootstrap", "--skip-grant-tables",
                     stdin=f)

    def _argv(self):
        return [self.find("mariadb-server-core", "usr/sbin/mariadbd"),
                "--no-defaults", f"--datadir={self.data}",
                "--lc-messages-dir=" + self.find("mariadb-server-core",
                                                 "usr/share/mysql"),
                "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M",
                "--aria-pagecache-buffer-size=8M", "--key-buffer-size=1M",
                f"--tmpdir={self.dir}", "--skip-networking"]

    @property
    def socket(self):
        return f"{self.dir}/s"

    def start(self, *options):
        self.start_until("ready for connections", *self._argv(),
                         f"--socket={self.socket}",
                         f"--pid-file={self.dir}/pid", *options)

    def client(self, *more, user="root"):
        return [self.find("mariadb-client-core", "usr/bin/mariadb"),
                "--no-defaults", f"--socket={self.socket}", "-u", user, "-BN",
                *more]

    def sql(self, text, user="root"):
        return self.run(*self.client("-e", text, user=user))
