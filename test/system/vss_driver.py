"""vss_driver.py - the driver's end of hv_fsvss_dev, played by the test.

    with Driver(box) as driver:
        daemon = start(box)
        driver.accept()
        assert driver.ask(FREEZE, frozen_ms=2000) == (OK, "")
"""
import os
import select
import socket
import struct
import time

NONE, CHECK, FREEZE, THAW, ABORT = range(5)
HELLO = 16
OK, FAIL = 0, 1
BUDGET = 20         # seconds for anything that must come
RUN = "/run/hyperv"


class Driver:
    msgid = 1000        # unlike any other's, for the history

    def __init__(self, box):
        self.path = box.path(f"{RUN}/dev/hv_fsvss_dev")
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(BUDGET)
        self.listener.bind(self.path)
        self.listener.listen(4)
        self.conn = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def accept(self):
        """The daemon registers; its HELLO is read. Of several that came, all
        but the last are of lives that have ended."""
        if self.conn:
            self.conn.close()
        self.conn, _ = self.listener.accept()
        while select.select([self.listener], [], [], 0)[0]:
            self.conn.close()
            self.conn, _ = self.listener.accept()
        self.conn.settimeout(BUDGET)
        opt, _, _, name = self.receive()
        assert (opt, name) == (HELLO, "hv_vss_daemon"), (opt, name)

    def hang_up(self):
        self.conn.close()
        self.conn = None

    def close(self):
        for s in (self.conn, self.listener):
            if s:
                s.close()
        if os.path.exists(self.path):
            os.remove(self.path)

    def send(self, opt, answer_ms=10000, frozen_ms=5000, msgid=None):
        if msgid is None:
            Driver.msgid += 1
            msgid = Driver.msgid
        self.conn.send(struct.pack("<IIQII40x", opt, 0, msgid, answer_ms,
                                   frozen_ms))
        return msgid

    def receive(self, timeout=BUDGET):
        """opt, status, msgid, text."""
        self.conn.settimeout(timeout)
        data = self.conn.recv(128)
        assert data, "the daemon hung up"
        opt, status, msgid, text = struct.unpack("<IIQ48s", data)
        return opt, status, msgid, text.split(b"\0")[0].decode()

    def silent(self):
        return not select.select([self.conn], [], [], 0)[0]

    def gone(self, timeout=BUDGET):
        """The daemon has hung up."""
        self.conn.settimeout(timeout)
        try:
            return self.conn.recv(128) == b""
        except ConnectionResetError:
            return True

    def ask(self, opt, **how):
        """Its answer: status, text."""
        msgid = self.send(opt, **how)
        got = self.receive()
        assert got[0] == opt and got[2] == msgid, (opt, msgid, got)
        return got[1], got[3]


def wait_for(what, seconds=BUDGET):
    """What it gives, as soon as that is true."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got:
            return got
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        select.select([], [], [], 0.01)


def start(box, *more, confine=None):
    return box.start_until(
        "registered with the driver", "hv_vss_daemon", "-n", "-d", "-c",
        "/dev/null", "--confine", confine or box.confine, *more)
