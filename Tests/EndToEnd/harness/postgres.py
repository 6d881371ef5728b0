"""A private PostgreSQL from Debian's programs, on a socket in a folder of its own; never the system's cluster. And a house
whose store lives in it, for as many servers as a test wants."""

import base64
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from urllib.parse import quote

from .binary import House
from .relay import Relay
from .waiting import eventually

NODES_KEY = base64.b64encode(bytes(range(32))).decode()
STARTS_WITHIN_S = 30


def programs():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert found, "no PostgreSQL under /usr/lib/postgresql: run scripts/setup test"
    return found[-1]


class Postgres:
    """One cluster. It is stopped the hard way: what tests want is what a crash leaves."""

    SETTINGS = {
        "listen_addresses": "", "fsync": "off", "full_page_writes": "off", "max_connections": "300",
        "shared_buffers": "256MB", "log_min_messages": "warning", "deadlock_timeout": "200ms", "wal_level": "replica",
        "max_wal_senders": "10",
    }

    def __init__(self, folder=None, **settings):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="reenvio-pg-"))
        self.folder.chmod(0o777)
        self.data = self.folder / "data"
        self.settings = self.SETTINGS | settings
        self.process = None

    def create(self):
        self.program("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        return self

    def as_server(self, *command):
        """initdb and the server refuse to run as root."""
        if os.getuid() == 0:
            command = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command)
        return list(map(str, command))

    def program(self, name, *arguments):
        done = subprocess.run(
            self.as_server(programs() / name, *arguments), cwd="/", text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        return done.stdout

    def start(self):
        options = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.as_server(
                    programs() / "postgres", "-D", self.data, "-c", f"unix_socket_directories={self.folder}", *options),
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self.is_ready, "the private PostgreSQL takes connections", STARTS_WITHIN_S)
        return self

    def is_ready(self):
        assert self.process.poll() is None, (self.folder / "log").read_text(errors="replace")[-2000:]
        ready = subprocess.run([programs() / "pg_isready", "-q", "-h", self.folder], timeout=10)
        return ready.returncode == 0

    def stop(self):
        """Immediate: no checkpoint, every connection cut, as a crash would."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def uri(self, database="postgres", host=None, port=None):
        where = f"host={quote(str(host or self.folder), safe='')}" + (f"&port={port}" if port else "")
        return f"postgresql:///{database}?{where}&user=postgres"

    def query(self, sql, database="postgres", within=60):
        """Rows of text; null is the empty text."""
        done = subprocess.run(
            [programs() / "psql", "-XqAt", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-d", self.uri(database), "-c", sql],
            text=True, capture_output=True, timeout=within)
        assert done.returncode == 0, f"{sql}: {done.stderr}"
        return [line.split("\x1f") for line in done.stdout.splitlines()]


def standby_of(primary):
    """A running standby that follows a running server."""
    standby = Postgres()
    standby.program("pg_basebackup", "-h", primary.folder, "-U", "postgres", "-D", standby.data, "-R", "-c", "fast")
    standby.settings |= {"primary_conninfo": f"host={primary.folder} user=postgres application_name=standby"}
    return standby.start()


class SharedHouse(House):
    """A store in a database of its own; its servers share it."""

    def __init__(self, folder, postgres, settings=None, database=None):
        super().__init__(folder, {"REENVIO_ENCRYPTION_KEY": NODES_KEY} | (settings or {}))
        self.postgres = postgres
        self.database = database or f"d{abs(hash(str(folder))) % 10**12}"
        postgres.query(f"CREATE DATABASE {self.database}")

    @property
    def store(self):
        return self.postgres.uri(self.database)

    def rows(self, sql, *parameters):
        for place, parameter in reversed(list(enumerate(parameters, 1))):
            text = str(parameter) if isinstance(parameter, int) else "'" + str(parameter).replace("'", "''") + "'"
            sql = sql.replace(f"?{place}", text) if f"?{place}" in sql else sql.replace("?", text, 1)
        return [tuple(int(one) if one.lstrip("-").isdigit() else one for one in row)
                for row in self.postgres.query(sql, self.database)]


class CommitCutter(Relay):
    """A proxy in front of a PostgreSQL that, while it is armed, lets a COMMIT through and cuts the connection before its
    answer: the client cannot know whether it took place."""

    ALONE = b"Q\x00\x00\x00\x0bCOMMIT\x00"
    # Behind other statements: to be parsed, at the end of what is sent together.
    PARSED, SYNC = b"P\x00\x00\x00\x0e\x00COMMIT\x00\x00\x00", b"S\x00\x00\x00\x04"

    def __init__(self, postgres):
        self.armed = threading.Event()
        self.cuts = 0
        super().__init__(postgres)

    def _carry(self, client, server):
        threading.Thread(target=self._to_server, args=(client, server), daemon=True).start()
        threading.Thread(target=self._to_client, args=(client, server), daemon=True).start()

    def _to_server(self, client, server):
        try:
            while data := client.recv(1 << 16):
                cut = self.armed.is_set() and self._commits(data)
                if cut:
                    client.shutdown(socket.SHUT_RDWR)
                    self.cuts += 1
                server.sendall(data)
                if cut:
                    # The server works on, and ends by itself once nobody is there.
                    server.shutdown(socket.SHUT_WR)
                    return
        except OSError:
            pass
        finally:
            if not self.armed.is_set():
                self._close(client, server)

    def _commits(self, data):
        return data.endswith(self.ALONE) or self.PARSED in data and data.endswith(self.SYNC)

    def _to_client(self, client, server):
        try:
            while data := server.recv(1 << 16):
                client.sendall(data)
        except OSError:
            pass
        self._close(client, server)

    @staticmethod
    def _close(*ends):
        for end in ends:
            try:
                end.close()
            except OSError:
                pass
