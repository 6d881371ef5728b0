"""A relay in front of a private PostgreSQL that can fall silent: connections stay, and are made, but nothing goes through."""

import selectors
import threading

from .relay import Relay


class StallingProxy(Relay):
    def __init__(self, postgres):
        self.open = threading.Event()
        self.open.set()
        super().__init__(postgres)

    def stall(self):
        self.open.clear()

    def go_on(self):
        self.open.set()

    def _carry(self, client, server):
        threading.Thread(target=self._relay, args=(client, server), daemon=True).start()

    def _relay(self, client, server):
        with client, server, selectors.DefaultSelector() as ends:
            ends.register(client, selectors.EVENT_READ, server)
            ends.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ends.select():
                    self.open.wait()
                    try:
                        data = key.fileobj.recv(1 << 16)
                        if not data:
                            return
                        key.data.sendall(data)
                    except OSError:
                        return

    def close(self):
        self.open.set()
        super().close()
