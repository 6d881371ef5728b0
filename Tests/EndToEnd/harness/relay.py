"""A relay on loopback in front of a private PostgreSQL's socket. Subclasses say how bytes are carried."""

import socket
import threading


class Relay:
    def __init__(self, postgres):
        self.target = f"{postgres.folder}/.s.PGSQL.5432"
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def uri(self, database):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.target)
            except OSError:
                client.close()
                continue
            self._carry(client, server)

    def _carry(self, client, server):
        """Starts the threads that carry bytes between the two, and returns."""
        raise NotImplementedError
