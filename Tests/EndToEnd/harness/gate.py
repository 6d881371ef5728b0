"""A relay in front of a private PostgreSQL that lets nobody through while it is shut, and can cut those who are inside."""

import socket
import threading

from .relay import Relay


class Gate(Relay):
    def __init__(self, postgres):
        self.inside = set()
        self.lock = threading.Lock()
        super().__init__(postgres)

    def shut(self):
        """From now on nobody gets through, and nobody stays inside. Who knocks is refused: libpq leaves a host only for
        that."""
        _shut(self.listener)
        self.listener.close()
        self.cut()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        with self.lock:
            inside, self.inside = self.inside, set()
        for end in inside:
            _shut(end)

    def _carry(self, client, server):
        with self.lock:
            self.inside |= {client, server}
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one, other):
        try:
            while data := one.recv(1 << 16):
                other.sendall(data)
        except OSError:
            pass
        _shut(one)
        _shut(other)

    def close(self):
        self.shut()


def _shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
