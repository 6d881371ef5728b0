"""The binary under test: its commands, and a server that can be stopped, killed and started again."""

import copy
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path

from . import signatures
from .client import Client
from .waiting import eventually

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("REENVIO_BIN") or ROOT / ".build/debug/reenvio").resolve()

STARTS_WITHIN_S = 60
ENDS_WITHIN_S = 20
"""The server's own bound is 9 s; the rest is the machine's."""
COMMAND_WITHIN_S = 60

LOOPBACK_RECEIVERS = {
    "REENVIO_ALLOW_HTTP_RECEIVERS": "true",
    "REENVIO_ALLOW_PRIVATE_RECEIVERS": "127.0.0.0/8",
}


def clean_environment(settings):
    """The environment without settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REENVIO_")}
    return kept | settings


class Server:
    """A running `reenvio serve`."""

    def __init__(self, process, log, house):
        self.process = process
        self.log = log
        self.house = house
        line = self._first_line()
        self.announced = line
        self.address = json.loads(line)["listening"]
        self.url = f"http://{self.address}"

    def _first_line(self):
        lines = []
        reader = threading.Thread(target=lambda: lines.append(self.process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(STARTS_WITHIN_S)
        if not lines or not lines[0]:
            self.process.kill()
            self.process.wait(10)
            raise AssertionError(f"the server announced no address; its log:\n{self.log_text()[-2000:]}")
        return lines[0]

    def log_text(self):
        return self.log.read_text(errors="replace")

    def client(self, key=None):
        return Client(self.url, key)

    def terminate(self):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise AssertionError(f"the server did not end within {ENDS_WITHIN_S} s of SIGTERM") from None
        finally:
            self.process.stdout.close()

    def stop(self):
        code = self.terminate()
        assert code == 0, f"SIGTERM ended the server with {code}; its log:\n{self.log_text()[-2000:]}"

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()

    def discard(self):
        if self.process.poll() is None:
            self.kill()


class House:
    """One store in an empty folder, the settings for it, and everything that was started on it."""

    def __init__(self, folder, settings=None):
        self.folder = Path(folder)
        self.settings = dict(settings or {})
        self.servers = []

    @property
    def store_path(self):
        return self.folder / "data" / "reenvio.db"

    @property
    def store(self):
        return f"sqlite:{self.store_path}"

    def environment(self, settings=None):
        return clean_environment({"REENVIO_STORE": self.store} | self.settings | (settings or {}))

    def run(self, *arguments, command=None, within=COMMAND_WITHIN_S, **settings):
        """A command of the binary, run to its end; `command` is a whole command line in its place."""
        try:
            done = subprocess.run(
                command or [BINARY, *map(str, arguments)], env=self.environment(settings), cwd=self.folder, text=True,
                stdin=subprocess.DEVNULL, capture_output=True, timeout=within,
            )
            signatures.learn(done.stdout, *map(str, arguments))
            return done
        except subprocess.TimeoutExpired as hung:
            said = ((hung.stdout or b"") + (hung.stderr or b"")).decode()
            raise AssertionError(f"{arguments} did not end within {within} s; it said {said!r}") from None

    def json(self, *arguments, **settings):
        """What a command prints with --json: one document, and nothing on standard error."""
        done = self.run(*arguments, "--json", **settings)
        assert done.returncode == 0, f"{arguments}: exit {done.returncode}, {done.stderr}"
        return json.loads(done.stdout)

    def spawn(self, *arguments, log, command=None, **settings):
        with open(log, "ab") as errors:
            return subprocess.Popen(
                command or [BINARY, *map(str, arguments)], env=self.environment(settings), cwd=self.folder, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            )

    def serve(self, *flags, command=None, **settings):
        """A server on a port of its own that may deliver to loopback."""
        defaults = LOOPBACK_RECEIVERS | {
            "REENVIO_LISTEN": "127.0.0.1:0", "REENVIO_LOG": "notice", "REENVIO_RATE_LIMITS": "off",
            "REENVIO_TRUSTED_PROXIES": "127.0.0.1",
        }
        log = self.folder / f"serve-{len(self.servers) + 1}.log"
        server = Server(self.spawn("serve", *flags, log=log, command=command, **(defaults | self.settings | settings)), log, self)
        self.servers.append(server)
        return server

    def rows(self, sql, *parameters):
        """Reads the store from outside."""
        with sqlite3.connect(f"file:{self.store_path}?mode=ro", uri=True, timeout=10) as connection:
            return connection.execute(sql, parameters).fetchall()

    def one(self, sql, *parameters):
        return self.rows(sql, *parameters)[0][0]

    def wait_for_row(self, sql, *parameters, what, within=20.0):
        return eventually(lambda: self.rows(sql, *parameters), what, within)

    def deliveries_of(self, job_id):
        """How often each payout was enqueued for a job, open and settled deliveries together."""
        rows = self.rows(
            """
            SELECT object_id, count(*) FROM (
                SELECT d.payout_id AS object_id FROM deliveries d JOIN resends r ON r.id = d.resend_id
                WHERE r.public_id = ?1
                UNION ALL
                SELECT s.object_id FROM settled s JOIN resends r ON r.id = s.resend_id WHERE r.public_id = ?1
            ) GROUP BY object_id
            """,
            job_id,
        )
        return dict(rows)

    def close(self):
        for server in self.servers:
            server.discard()


def assert_refused(done, *words):
    """Exit 1, nothing on standard output, one clear line on standard error that names what matters."""
    assert done.returncode == 1, f"exit {done.returncode}: {done.stderr}"
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("reenvio: "), done.stderr
    for word in words:
        assert str(word) in lines[0], lines[0]
    assert "Error" not in lines[0] and "Swift" not in lines[0], "an inside name is shown"


class Shop:
    """An account with one merchant, a key of its own, and an operator key beside it."""

    def __init__(self, house, merchant_id=303, name="Corner Shop", more=()):
        self.house = house
        self.account_id = house.json("account", "create", "--name", name)["account_id"]
        made = house.json(
            "merchant", "create", "--account", self.account_id, "--id", merchant_id, "--name", name, *more
        )
        self.merchant_id = made["merchant_id"]
        self.secret = made["signing_secret"]
        self.name = name
        self.key = house.json("key", "create", "--account", self.account_id, "--name", "shop")["key"]
        self.operator_key = house.json("key", "create", "--operator", "--name", "platform")["key"]

    def moved_to(self, house):
        """The same shop in another, still empty house: its store is copied, which costs nothing."""
        shutil.copytree(self.house.store_path.parent, house.store_path.parent)
        moved = copy.copy(self)
        moved.house = house
        return moved
