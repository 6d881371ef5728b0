"""An HTTP proxy that makes tunnels (CONNECT) and keeps what it was asked."""

import contextlib
import socket
import threading

WITHIN_S = 20


class ConnectProxy:
    """On 127.0.0.1. `answer(target)` is what it says in place of a tunnel, or None."""

    def __init__(self, answer=lambda target: None):
        self.answer = answer
        self.accepted = 0
        self.heads = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def targets(self):
        return [head.split(" ")[1] for head in self.heads]

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
            self.accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(WITHIN_S)
        with contextlib.suppress(OSError), connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65_536)
            self.heads.append(head.decode().removesuffix("\r\n\r\n"))
            target = self.targets[-1]
            said = self.answer(target)
            if said is not None:
                return connection.sendall(said)
            host, port = target.rsplit(":", 1)
            with socket.create_connection((host.strip("[]"), int(port)), timeout=WITHIN_S) as other:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._carry, args=(other, connection), daemon=True)
                back.start()
                self._carry(connection, other)
                back.join(WITHIN_S)

    @staticmethod
    def _carry(source, sink):
        with contextlib.suppress(OSError):
            source.settimeout(None)
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
