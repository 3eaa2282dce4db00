#!/usr/bin/python3
"""test_vss_databases.py BUILD - hv_vss_pg and hv_vss_mariadb with real
servers: the hold holds what it promises, its end releases it, and so does the
helper's death; a server that hangs or dies leaves nothing held and nobody
waiting.

The driver is played by the test; no file system is frozen.
"""
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from dbservers import Mariadb, Postgres
from machine import _die_with_parent as die_with_parent
from vss_app_driver import ABORT, CHECK, FAIL, FREEZE, OK, THAW, AppDriver

EX_USAGE = 64


class Helper:
    def __init__(self, build, tmp, program, *args):
        self.driver = AppDriver(f"{tmp}/run")
        self.argv = [f"{build}/prog/{program}", "-n", "--config", "/dev/null",
                     "--run-dir", f"{tmp}/run", *args]
        self.log = open(f"{tmp}/log", "ab")
        self.proc = None
        self.start()

    def start(self):
        self.proc = subprocess.Popen(self.argv, stderr=self.log,
                                     preexec_fn=die_with_parent)
        name = self.driver.accept()
        assert self.argv[0].endswith(name), name

    def end(self, sig=signal.SIGTERM):
        self.proc.send_signal(sig)
        return self.proc.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.proc.poll() is None:
            self.end(signal.SIGKILL)
        self.driver.close()
        self.log.close()
        if kind:
            with open(self.log.name, encoding="utf-8") as log:
                print(log.read(), file=sys.stderr)


def refused(driver, opt, words, ms=20000):
    status, why = driver.tell(opt, ms)
    assert status == FAIL and words in why, (status, why)


def accepted(driver, *opts):
    for opt in opts:
        got = driver.tell(opt)
        assert got == (OK, ""), (opt, got)


# PostgreSQL


def redo_bytes(pg):
    """How much log a crash now would have to replay."""
    return int(pg.sql("SELECT pg_current_wal_lsn() - redo_lsn "
                      "FROM pg_control_checkpoint()"))


def pg_sessions(pg):
    return int(pg.sql("SELECT count(*) FROM pg_stat_activity "
                      "WHERE application_name = 'hv_vss_pg'"))


def until(what, *args):
    """Poll a server that has no event for it; bounded."""
    end = time.monotonic() + 30
    while not what(*args):
        assert time.monotonic() < end, f"{what.__name__} did not come true"
        select.select([], [], [], 0.02)


def pg_leaves_little_to_replay(pg, helper):
    driver = helper.driver
    accepted(driver, CHECK)
    pg.sql("CREATE TABLE IF NOT EXISTS t AS "
           "SELECT generate_series(1, 200000) AS n")
    before = redo_bytes(pg)
    driver.notes.clear()
    accepted(driver, FREEZE)
    after = redo_bytes(pg)
    assert after < 10000 < 1000000 < before, (before, after)
    assert pg_sessions(pg) == 1
    assert ("checkpoint", FREEZE, OK) in driver.notes, driver.notes
    accepted(driver, THAW)
    until(lambda: pg_sessions(pg) == 0)


def pg_commits_that_did_not_wait_survive_a_crash(pg, helper):
    """synchronous_commit off: acknowledged, and not on the disk yet."""
    pg.sql("CREATE TABLE async (n int)")
    pg.sql("ALTER SYSTEM SET wal_writer_delay = '10s'; ")
    pg.sql("SELECT pg_reload_conf()")
    pg.sql("SET synchronous_commit = off; "
           "INSERT INTO async SELECT generate_series(1, 1000)")
    accepted(helper.driver, FREEZE)
    pg.stop(signal.SIGKILL)
    # the held session ended with the server: our device is closed for it
    assert helper.driver.answer() is None
    pg.start()
    assert pg.sql("SELECT count(*) FROM async") == "1000"
    assert helper.driver.accept()
    accepted(helper.driver, CHECK)


def pg_needs_a_role_that_may(build, tmp, pg):
    pg.sql("CREATE ROLE weak LOGIN")
    info = pg.conninfo.replace("user=postgres", "user=weak")
    with Helper(build, tmp, "hv_vss_pg", "--conninfo", info) as helper:
        refused(helper.driver, CHECK, "role weak may not CHECKPOINT")
        pg.sql("GRANT pg_checkpoint TO weak")
        accepted(helper.driver, CHECK, FREEZE, THAW)


def pg_backup_mode_starts_and_stops(build, tmp, pg):
    with Helper(build, tmp, "hv_vss_pg", "--backup-mode", "--conninfo",
                pg.conninfo) as helper:
        accepted(helper.driver, FREEZE, THAW)
        accepted(helper.driver, FREEZE, ABORT)
        assert ("backup start", FREEZE, OK) in helper.driver.notes
        assert ("backup stop", THAW, OK) in helper.driver.notes
        assert helper.end() == 0
    with open(f"{tmp}/log", encoding="utf-8") as log:
        assert "START WAL LOCATION" in log.read()


def pg_that_hangs_keeps_nobody_waiting(pg, helper):
    """The server's processes are stopped: nothing answers any more."""
    driver = helper.driver
    pg.proc.send_signal(signal.SIGSTOP)
    try:
        refused(driver, CHECK, "no answer from the server in time", 800)
        driver.ask(FREEZE, 600000)
        accepted(driver, ABORT)
    finally:
        pg.proc.send_signal(signal.SIGCONT)
    accepted(driver, CHECK)


def pg_that_is_down_refuses(pg, helper):
    pg.stop(signal.SIGINT)
    refused(helper.driver, CHECK, "cannot connect: ")
    accepted(helper.driver, ABORT)
    pg.start()
    accepted(helper.driver, CHECK)


def helper_that_dies_or_ends_lets_go(pg, helper):
    accepted(helper.driver, FREEZE)
    helper.end(signal.SIGKILL)
    until(lambda: pg_sessions(pg) == 0)
    helper.start()
    accepted(helper.driver, FREEZE)
    assert helper.end() == 0
    until(lambda: pg_sessions(pg) == 0)
    helper.start()


def passwords_do_not_belong_on_a_command_line(build):
    done = subprocess.run([f"{build}/prog/hv_vss_pg", "-n", "--config",
                           "/dev/null", "--conninfo", "password=secret"],
                          stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == EX_USAGE and b"everybody can read" in done.stderr


def postgres(build, tmp):
    passwords_do_not_belong_on_a_command_line(build)
    with Postgres(build, tmp) as pg:
        with Helper(build, tmp, "hv_vss_pg", "--conninfo",
                    pg.conninfo) as helper:
            pg_leaves_little_to_replay(pg, helper)
            helper_that_dies_or_ends_lets_go(pg, helper)
            pg_that_hangs_keeps_nobody_waiting(pg, helper)
            pg_that_is_down_refuses(pg, helper)
            pg_commits_that_did_not_wait_survive_a_crash(pg, helper)
        pg_needs_a_role_that_may(build, tmp, pg)
        pg_backup_mode_starts_and_stops(build, tmp, pg)


# MariaDB


class Writer:
    """A session that commits a row and says so."""

    def __init__(self, db, user="root"):
        self.proc = db.spawn(*db.client("-n", "test", user=user),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def write(self):
        self.proc.stdin.write(b"INSERT INTO t VALUES (1); SELECT 'done';\n")
        self.proc.stdin.flush()

    def written(self, seconds):
        """Has it been acknowledged, within this time?"""
        if not select.select([self.proc.stdout], [], [], seconds)[0]:
            return False
        return self.proc.stdout.readline() == b"done\n"

    def close(self):
        self.proc.stdin.close()
        self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()


def commits_wait(db):
    return db.sql("SELECT count(*) FROM information_schema.processlist WHERE "
                  "state LIKE 'Waiting for backup lock' OR "
                  "state LIKE '%read lock'") != "0"


def maria_holds_commits(db, helper, writer, end):
    writer.write()
    assert writer.written(30)
    accepted(helper.driver, CHECK, FREEZE)
    writer.write()
    until(commits_wait, db)         # it waits for the hold, not for us
    assert not writer.written(0)
    end()
    assert writer.written(30)


def maria_releases_in_each_way(db, helper):
    writer = Writer(db)
    try:
        maria_holds_commits(db, helper, writer,
                            lambda: accepted(helper.driver, THAW))
        maria_holds_commits(db, helper, writer,
                            lambda: accepted(helper.driver, ABORT))
        maria_holds_commits(db, helper, writer,
                            lambda: helper.end(signal.SIGKILL))
        helper.start()
        maria_holds_commits(db, helper, writer, helper.end)
        helper.start()
        # the driver goes away
        maria_holds_commits(db, helper, writer, helper.driver.hang_up)
        helper.driver.accept()
    finally:
        writer.close()


def maria_gives_up_a_lock_that_it_does_not_get(db, helper):
    """A table is locked for writing; the helper waits for it, is told that it
    is over, and leaves no statement behind."""
    holder = Writer(db)
    try:
        holder.proc.stdin.write(b"LOCK TABLES t WRITE; SELECT 'done';\n")
        holder.proc.stdin.flush()
        assert holder.written(30)
        blocked = db.sql("SELECT 1")
        assert blocked == "1"
        helper.driver.ask(FREEZE, 600000)
        until(lambda: "BACKUP STAGE" in db.sql("SHOW PROCESSLIST"))
        accepted(helper.driver, ABORT)
        until(lambda: "BACKUP STAGE" not in db.sql("SHOW PROCESSLIST"))
        refused(helper.driver, FREEZE, "", 1500)
    finally:
        holder.close()
    accepted(helper.driver, FREEZE, THAW)


def maria_needs_the_privilege(build, tmp, db):
    db.sql("CREATE USER weak@localhost")
    with Helper(build, tmp, "hv_vss_mariadb", "--user", "weak", "--socket",
                db.socket) as helper:
        refused(helper.driver, CHECK, "denied")
        db.sql("GRANT RELOAD ON *.* TO weak@localhost")
        accepted(helper.driver, CHECK, FREEZE, THAW)


def maria_that_dies_ends_our_part(db, helper):
    accepted(helper.driver, FREEZE)
    db.stop(signal.SIGKILL)
    assert helper.driver.answer() is None
    helper.driver.accept()
    refused(helper.driver, CHECK, "")
    db.start()
    accepted(helper.driver, CHECK)


def mariadb(build, tmp):
    with Mariadb(build, tmp) as db:
        db.sql("CREATE TABLE test.t (n int) ENGINE=InnoDB")
        with open(f"{tmp}/my.cnf", "w", encoding="utf-8") as f:
            f.write(f"[hv_vss_mariadb]\nuser=root\nsocket={db.socket}\n")
        with Helper(build, tmp, "hv_vss_mariadb", "--defaults-file",
                    f"{tmp}/my.cnf") as helper:
            maria_releases_in_each_way(db, helper)
            maria_gives_up_a_lock_that_it_does_not_get(db, helper)
            maria_that_dies_ends_our_part(db, helper)
        maria_needs_the_privilege(build, tmp, db)


def main(build, which):
    program, test = {"pg": ("hv_vss_pg", postgres),
                     "mariadb": ("hv_vss_mariadb", mariadb)}[which]
    if not os.path.exists(f"{build}/prog/{program}"):
        print(f"{program} was not built")
        sys.exit(77)
    tmp = tempfile.mkdtemp(prefix="hvsys.")
    os.chmod(tmp, 0o755)
    os.mkdir(f"{tmp}/run")
    try:
        test(os.path.abspath(build), tmp)
    finally:
        shutil.rmtree(tmp)


main(*sys.argv[1:])
