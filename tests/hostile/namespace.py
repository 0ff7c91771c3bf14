"""Runs commands where every packet is seen: in a network namespace of its own, in which all addresses are this machine.

`unshare --net --mount` gives a network that consists of the loopback device alone. A route makes every IPv4 and IPv6 address
local, so whatever is sent anywhere goes over that device, where a packet socket records it; a name server on it answers every
name with an address, and records the name. Nothing is missed, whichever library, language or thread sends it (obstore resolves
and connects in Rust, where patching Python's `socket` sees nothing), and nothing leaves the machine.
"""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

ELSEWHERE = "203.0.113.66"
"""What the name server says of every name that it was not told."""
ETHERTYPE_ALL = 3
IPV4, IPV6 = 0x0800, 0x86DD
TCP, UDP = 6, 17
SYN, ACK = 0x02, 0x10
DNS = 53


def enter_command() -> list[str]:
    """What to put before a command to run it in a namespace of its own; empty where this machine can't do that."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *own, "--net", "--mount", "--"]
    if not shutil.which("unshare") or not shutil.which("ip"):
        return []
    return command if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0 else []


def make_everything_local(folder: Path) -> None:
    """Inside: bring the device up, route all addresses to it, and let names be asked for at it."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo"], check=True)
    # Where the kernel has no IPv6, nothing can be sent by it.
    subprocess.run(["ip", "-6", "route", "add", "local", "::/0", "dev", "lo"], check=False, capture_output=True)
    for name, text in (
        ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
    ):
        (folder / name).write_text(text)
        subprocess.run(["mount", "--bind", str(folder / name), f"/etc/{name}"], check=True)


class Recorder:
    """What was sent: TCP connections and UDP packets as ``tcp ADDRESS PORT``, names that were asked for as ``name NAME``."""

    def __init__(self, known: Mapping[str, str]) -> None:
        """``known``: names that the name server has, each with its address."""
        self.known = known
        self.seen: set[str] = set()
        self._packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETHERTYPE_ALL))
        self._packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    @contextlib.contextmanager
    def running(self) -> Iterator["Recorder"]:
        self._packets.bind(("lo", ETHERTYPE_ALL))
        self._names.bind(("127.0.0.1", DNS))
        for work in (self._record, self._answer):
            threading.Thread(target=work, daemon=True).start()
        yield self
        time.sleep(0.2)  # what was sent last is still on its way to the recording thread

    def _record(self) -> None:
        while True:
            packet, (_, protocol, *_) = self._packets.recvfrom(65_536)
            if protocol == IPV4:
                to, kind, rest = socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[9], packet[(packet[0] & 15) * 4 :]
            elif protocol == IPV6:
                to, kind, rest = socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[6], packet[40:]
            else:
                continue
            port = struct.unpack("!H", rest[2:4])[0] if len(rest) >= 4 else 0
            if kind == TCP and rest[13] & (SYN | ACK) == SYN:
                self.seen.add(f"tcp {to} {port}")
            elif kind == UDP and port == DNS:
                self.seen.add(f"name {asked(rest[8:])}")
            elif kind == UDP and struct.unpack("!H", rest[:2])[0] != DNS:
                self.seen.add(f"udp {to} {port}")

    def _answer(self) -> None:
        while True:
            query, client = self._names.recvfrom(4096)
            end = 12 + query[12:].index(0) + 5
            found = socket.inet_aton(self.known.get(asked(query), ELSEWHERE))
            is_ipv4 = query[end - 4 : end - 2] == b"\0\1"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + found if is_ipv4 else b""
            self._names.sendto(
                query[:2] + b"\x81\x80\0\1" + struct.pack("!H", is_ipv4) + b"\0" * 4 + query[12:end] + answer, client
            )


def asked(query: bytes) -> str:
    """The name in a question for one."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
        at += query[at] + 1
    return ".".join(labels).lower()
