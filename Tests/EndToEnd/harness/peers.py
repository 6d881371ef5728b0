"""Receivers that no library would make: answers byte by byte as a test writes them, bad certificates, and a crowd of
receivers on addresses of their own."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import subprocess
import threading
import time

from . import signatures
from .waiting import eventually

READ_WITHIN_S = 20


class Peer:
    """Takes connections on 127.0.0.1, reads one request of each, and does what `reaction(connection)` does."""

    def __init__(self, reaction, tls=None):
        self.reaction = reaction
        self.tls = tls
        self.count = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path="/hook", scheme=None):
        scheme = scheme or ("https" if self.tls else "http")
        return f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}{path}"

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(READ_WITHIN_S)
        with contextlib.suppress(OSError), connection:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            if request := _request(connection):
                signatures.note(*request)
            self.reaction(connection)


def _headers(head):
    lines = [line.split(": ", 1) for line in head.decode().rstrip().split("\r\n")[1:]]
    return {name.lower(): value for name, value in lines}


def _request(connection):
    """Headers and body of one request, or None where no HTTP comes; what is cut off raises OSError."""
    data = b""
    while b"\r\n\r\n" not in data:
        if data and not data.startswith(b"POST"):
            return None
        data += connection.recv(65_536) or _cut_off()
    head, _, body = data.partition(b"\r\n\r\n")
    headers = _headers(head)
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65_536) or _cut_off()
    return headers, body


def _cut_off():
    raise ConnectionError("the other side went away")


def says(data):
    """Sends these bytes and closes."""
    return lambda connection: connection.sendall(data)


def answers(code, body=b"", headers=""):
    """A whole answer of that status and body."""
    head = f"HTTP/1.1 {code} Any\r\ncontent-length: {len(body)}\r\n{headers}connection: close\r\n\r\n"
    return says(head.encode() + body)


def resets(connection):
    """Closes with a reset in place of an answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def is_silent(connection):
    """Never answers; ends when the other side does."""
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass


def certificate(folder, name, address="127.0.0.1", days=2, names=()):
    """A self-signed certificate for that address and these names; expired with negative days. The file, and a context that
    shows it."""
    folder.mkdir(exist_ok=True)
    subjects = ",".join([f"IP:{address}", *(f"DNS:{one}" for one in names)])
    key, request, file = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.pem"
    for arguments in (
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName={subjects}", "-keyout", key, "-out", request],
        ["x509", "-req", "-in", request, "-signkey", key, "-days", days, "-copy_extensions", "copy", "-out", file],
    ):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return file, context


class Crowd:
    """Many healthy receivers, each on a loopback address of its own, in one thread. Notes when each payout came."""

    def __init__(self, count, prefix="127.0.77."):
        self.hosts = [f"{prefix}{number}" for number in range(1, count + 1)]
        self.arrived = {}
        self.at_once = 0
        self.at_once_most = 0
        self.pause_s = 0.0
        with socket.create_server((self.hosts[0], 0)) as free:
            self.port = free.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._server = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        eventually(lambda: self._server, "the crowd listens")

    def urls(self):
        return [f"http://{host}:{self.port}/hook" for host in self.hosts]

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, self.hosts, self.port, backlog=1024)
        )
        self._loop.run_forever()
        self._server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                headers = _headers(head)
                body = await reader.readexactly(int(headers["content-length"]))
                signatures.note(headers, body)
                body = json.loads(body)
                self.at_once += 1
                self.at_once_most = max(self.at_once_most, self.at_once)
                if self.pause_s:
                    await asyncio.sleep(self.pause_s)
                self.at_once -= 1
                self.arrived.setdefault(body["id"], time.time())
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        writer.close()


class Mute:
    """Takes connections into its queue on many loopback addresses and never says a word."""

    def __init__(self, count, prefix="127.0.78."):
        self.hosts = [f"{prefix}{number}" for number in range(1, count + 1)]
        self._sockets = []
        for host in self.hosts:
            port = self._sockets[0].getsockname()[1] if self._sockets else 0
            self._sockets.append(socket.create_server((host, port), backlog=4096))

    def urls(self):
        port = self._sockets[0].getsockname()[1]
        return [f"http://{host}:{port}/hook" for host in self.hosts]

    def close(self):
        for one in self._sockets:
            one.close()
