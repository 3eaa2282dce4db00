"""vss_party.py - a file-system daemon or an application on hv_utilsd's VSS
sockets, played by a thread. Nothing is frozen: it only says so.

    with Party(m, "hv_fsvss_dev") as fs:
        fs.does["freeze"] = "no"
        ...
        assert fs.asked == ["check", "freeze"]
"""
import socket
import struct
import threading

OPTS = ["none", "check", "freeze", "thaw", "abort"]
HELLO = 16


class Party:
    """does[opt]: "yes", "no" or "never"; asked: what it was told so far."""

    def __init__(self, m, device, name="party"):
        self.path = f"{m.dir}/dev/{device}"
        self.name = name
        self.does = {}
        self.asked = []
        self.changed = threading.Condition()
        self.conn = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def __enter__(self):
        self.conn.connect(self.path)
        self.conn.send(struct.pack("<IIQ48s", HELLO, 0, 0,
                                   self.name.encode()))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.conn.shutdown(socket.SHUT_RDWR)
        self.conn.close()

    def _serve(self):
        try:
            while data := self.conn.recv(64):
                self._answer(*struct.unpack("<IIQ48s", data))
        except OSError:
            pass

    def _answer(self, opt, _status, msgid, _reserved):
        what = self.does.get(OPTS[opt], "yes")
        with self.changed:
            self.asked.append(OPTS[opt])
            self.changed.notify_all()
        if what == "never":
            return
        why = f"{self.name} says no" if what == "no" else ""
        self.conn.send(struct.pack("<IIQ48s", opt, what == "no", msgid,
                                   why.encode()))

    def wait_for(self, opt, seconds=20):
        """Until the last thing it was told is this."""
        with self.changed:
            assert self.changed.wait_for(
                lambda: self.asked and self.asked[-1] == opt, seconds), \
                f"{self.name} was told {self.asked}, not {opt}"

    def forget(self):
        with self.changed:
            told, self.asked = self.asked, []
        return told
