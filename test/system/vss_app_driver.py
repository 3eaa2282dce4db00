"""vss_app_driver.py - the VSS driver's end of hv_appvss_dev, for tests of
applications alone. The record's layout is written down here once more, from
hyperv/vss.h, and shares nothing with the C code.
"""
import os
import socket
import struct

CHECK, FREEZE, THAW, ABORT, HELLO, NOTE = 1, 2, 3, 4, 16, 17
OK, FAIL = 0, 1
RECORD = struct.Struct("<IIQ48s")


def _text(raw):
    return raw.split(b"\0")[0].decode()


class AppDriver:
    """One application at a time. Notes are collected in self.notes as
    (part, phase, status)."""

    def __init__(self, run_dir):
        os.makedirs(f"{run_dir}/dev", exist_ok=True)
        self.path = f"{run_dir}/dev/hv_appvss_dev"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.settimeout(30)
        self.listener.listen(4)
        self.conn = None
        self.msgid = 0
        self.notes = []

    def accept(self):
        """Wait for an application; its name."""
        self.hang_up()
        self.conn, _ = self.listener.accept()
        self.conn.settimeout(60)
        opt, _, _, text = RECORD.unpack(self.conn.recv(100))
        assert opt == HELLO
        return _text(text)

    def ask(self, opt, ms=20000):
        """Put a question; its id."""
        self.msgid += 1
        self.conn.send(RECORD.pack(opt, 0, self.msgid,
                                   struct.pack("<II", ms, ms)))
        return self.msgid

    def answer(self):
        """The next answer: option, status, why. None: it is gone."""
        while True:
            try:
                raw = self.conn.recv(100)
            except ConnectionResetError:
                return None
            if not raw:
                return None
            opt, status, msgid, rest = RECORD.unpack(raw)
            if opt != NOTE:
                assert msgid == self.msgid, "an answer to another question"
                return opt, status, _text(rest)
            phase, _ = struct.unpack_from("<II", rest)
            self.notes.append((_text(rest[8:]), phase, status))

    def tell(self, opt, ms=20000):
        """Ask and wait: status, why."""
        self.ask(opt, ms)
        got = self.answer()
        assert got, "it ended instead of answering"
        assert got[0] == opt, got
        return got[1], got[2]

    def hang_up(self):
        if self.conn:
            self.conn.close()
        self.conn = None

    def close(self):
        self.hang_up()
        self.listener.close()
        os.unlink(self.path)
