"""kvp_driver.py - a KVP driver's end of the device socket, for tests of
hv_kvp_daemon alone. The message's layout is written down here once more, from
doc/wire/kvp.md, and shares nothing with the C code.
"""
import os
import socket
import struct

SIZE = {"linux": 7432, "freebsd": 7430}
GET, SET, DELETE, ENUMERATE, GET_IP, SET_IP = range(6)
NO_MORE, GUID_NOT_FOUND = 0x80070103, 0x80041002
NOT_SUPPORTED, INVALID = 0x80070032, 0x80070057
IP_FIELDS = {"adapter": (4, 256), "addrs": (262, 2048), "masks": (2310, 2048),
             "gateways": (4358, 1024), "dns": (5382, 2048)}


def _text(buf, at, size):
    return bytes(buf[at:at + size]).split(b"\0")[0].decode()


class Driver:
    def __init__(self, path, form="linux"):
        self.form, self.size = form, SIZE[form]
        self.path = path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.settimeout(20)
        self.listener.listen(4)
        self.conn = None

    def accept(self, version=b"3.1"):
        self.conn, _ = self.listener.accept()
        self.conn.settimeout(20)
        hello = self.conn.recv(8192)
        assert len(hello) == self.size, len(hello)
        assert hello[0] == (100 if self.form == "linux" else 4)
        if self.form == "linux":
            self.conn.send(struct.pack("<BBH512s", 100, 0, 0, version)
                           .ljust(self.size, b"\0"))

    def close(self):
        for s in (self.conn, self.listener):
            if s:
                s.close()
        self.conn = None
        os.unlink(self.path)

    def ask(self, buf):
        self.conn.send(bytes(buf))
        answer = self.conn.recv(8192)
        assert len(answer) == self.size, len(answer)
        return struct.unpack_from("<I", answer)[0], answer

    def _record(self, op, pool, key, value=b""):
        buf = bytearray(self.size)
        key, value = key.encode() + b"\0", value + b"\0"
        if op == DELETE:
            struct.pack_into("<BBHI", buf, 0, op, pool, 0, len(key))
            buf[8:8 + len(key)] = key
            return buf
        struct.pack_into("<BBHIII", buf, 0, op, pool, 0, 1, len(key),
                         len(value))
        buf[16:16 + len(key)] = key
        buf[528:528 + len(value)] = value
        return buf

    def set(self, pool, key, value):
        return self.ask(self._record(SET, pool, key, value.encode()))[0]

    def get(self, pool, key):
        status, a = self.ask(self._record(GET, pool, key))
        return status, _text(a, 528, 2048)

    def delete(self, pool, key):
        return self.ask(self._record(DELETE, pool, key))[0]

    def enumerate(self, pool):
        items, status = [], 0
        while True:
            buf = bytearray(self.size)
            struct.pack_into("<BBHI", buf, 0, ENUMERATE, pool, 0, len(items))
            status, a = self.ask(buf)
            if status:
                assert status == NO_MORE, hex(status)
                return items
            items.append((_text(a, 20, 512), _text(a, 532, 2048)))

    def ip(self, op, adapter, family=0, dhcp=0, **lists):
        buf = bytearray(self.size)
        buf[0:2] = bytes((op, 1))
        buf[260], buf[261] = family, dhcp
        for name, text in dict(lists, adapter=adapter).items():
            at, _ = IP_FIELDS[name]
            buf[at:at + len(text)] = text.encode()
        status, a = self.ask(buf)
        got = {n: _text(a, *where) for n, where in IP_FIELDS.items()}
        return status, dict(got, family=a[260], dhcp=a[261])
