"""A network of a test's own: a namespace in which any address can be ours, a name server that answers as it is told,
and a capture of what leaves. Nothing of it reaches the machine outside, whose addresses and names stay as they are."""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from ipaddress import ip_address
from pathlib import Path

from . import here

INSIDE = "REENVIO_TEST_INSIDE_A_NAMESPACE"
ENDS_WITHIN_S = 300
A, AAAA = 1, 28
PACKET_OUTGOING = 4
ETH_P_ALL, IPV4, IPV6 = 0x0003, 0x0800, 0x86DD


# Outside

def run_inside(tests):
    """Runs these pytest files in a network and mount namespace; returns the finished process."""
    unshare = here.mount_namespace("--net")
    if unshare is None:
        here.cannot_run("`unshare --net --mount` is not permitted: run it as root, or allow unprivileged user namespaces")
    return subprocess.run(
        [*unshare, sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *map(str, tests)],
        cwd=Path(__file__).resolve().parents[1], env=os.environ | {INSIDE: "1"}, text=True, capture_output=True,
        timeout=ENDS_WITHIN_S,
    )


# Inside

def set_up(folder, addresses):
    """Every address leads to the loopback interface, these are ours, and names are asked of 127.0.0.1."""
    assert os.environ.get(INSIDE) == "1", "run this by `network.run_inside`: it changes addresses and mounts"
    commands = ["link set lo up", "route add default dev lo", "-6 route add default dev lo"]
    commands += [f"addr add {one}/{ip_address(one).max_prefixlen} dev lo" for one in addresses]
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True, timeout=10)
    files = {
        "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n",
        "/etc/nsswitch.conf": "hosts: dns\n", "/etc/hosts": "127.0.0.1 localhost\n",
    }
    for path, text in files.items():
        own = Path(folder) / Path(path).name
        own.write_text(text)
        subprocess.run(["mount", "--bind", own, path], check=True, timeout=10)


class NameServer:
    """DNS over UDP on 127.0.0.1:53. `names[name]` is a list of addresses, or a function of how often the name was asked
    before; others do not exist. Its answers may be kept for no time at all."""

    def __init__(self):
        self.names = {}
        self.asked = Counter()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._socket.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                query, client = self._socket.recvfrom(1500)
                self._socket.sendto(self._answer(query), client)

    def _answer(self, query):
        labels, place = [], 12
        while length := query[place]:
            labels.append(query[place + 1 : place + 1 + length].decode())
            place += 1 + length
        name, end = ".".join(labels).lower(), place + 5
        kind = struct.unpack(">H", query[place + 1 : place + 3])[0]
        known = self.names.get(name)
        if callable(known):
            known = known(self.asked[name, kind])
        self.asked[name, kind] += 1
        found = [ip_address(one) for one in known or []]
        records = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(one.packed)) + one.packed
            for one in found if {4: A, 6: AAAA}[one.version] == kind)
        count = sum({4: A, 6: AAAA}[one.version] == kind for one in found)
        flags = 0x8580 if known is not None else 0x8583
        return query[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0) + query[12:end] + records


class Capture:
    """Every packet that leaves, by where to; and the connections that were begun (SYN without ACK) by address and
    port."""

    def __init__(self):
        self.packets = Counter()
        self.begun = Counter()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self._socket.bind(("lo", 0))
        threading.Thread(target=self._read, daemon=True).start()

    def close(self):
        self._socket.close()

    def to(self, address):
        """Connections begun to that address, whatever the port."""
        return sum(count for (host, _), count in self.begun.items() if host == str(ip_address(address)))

    def _read(self):
        with contextlib.suppress(OSError):
            while True:
                packet, (_, protocol, direction, *_) = self._socket.recvfrom(65_536)
                if direction == PACKET_OUTGOING:
                    self._note(packet, protocol)

    def _note(self, packet, protocol):
        if protocol == IPV4:
            host, kind, payload = packet[16:20], packet[9], packet[(packet[0] & 15) * 4 :]
        elif protocol == IPV6:
            host, kind, payload = packet[24:40], packet[6], packet[40:]
        else:
            return
        address = str(ip_address(host))
        self.packets[address] += 1
        if kind == socket.IPPROTO_TCP and payload[13] & 0x12 == 0x02:
            self.begun[address, struct.unpack(">H", payload[2:4])[0]] += 1
