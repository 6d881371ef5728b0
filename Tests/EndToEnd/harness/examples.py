"""The programs of `Examples/`, run as their first comments say, and webhooks made by hand."""

import base64
import hmac
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import requests

from .binary import BINARY, ROOT, clean_environment
from .waiting import eventually

EXAMPLES = ROOT / "Examples"
STARTS_WITHIN_S = 20
ANSWERS_WITHIN_S = 30
SWIFT_RECEIVER = next(
    (path for path in (BINARY.parent / "ReceiverExample", ROOT / ".build/debug/ReceiverExample") if path.is_file()), None
)

_numbers = itertools.count(1)


def receiver_command(language, port):
    folder = EXAMPLES / "receivers"
    return {
        "python": [sys.executable, folder / "receiver.py", port],
        "javascript": ["node", folder / "receiver.mjs", port],
        "php": ["php", "-S", f"127.0.0.1:{port}", folder / "receiver.php"],
        "swift": [SWIFT_RECEIVER or "ReceiverExample", port],
        "bash": [folder / "receiver.sh", port],
    }[language]


def client_command(language):
    folder = EXAMPLES / "clients"
    return {
        "python": [sys.executable, folder / "client.py"],
        "javascript": ["node", folder / "client.mjs"],
        "php": ["php", folder / "client.php"],
        "bash": [folder / "client.sh"],
    }[language]


RECEIVERS = ["python", "javascript", "php", "swift", "bash"]
CLIENTS = ["python", "javascript", "php", "bash"]


def record_arguments(folder):
    """A PATH on which each command that the scripts in bash use writes its arguments down first: everybody on a machine
    can read those. Returns the PATH and the file."""
    record = folder / "arguments"
    record.touch()
    commands = folder / "commands"
    commands.mkdir()
    for name in ("base64", "cat", "curl", "flock", "head", "jq", "mktemp", "od", "openssl", "rm", "socat", "sync", "timeout"):
        command = commands / name
        command.write_text(f"""#!/bin/sh\nprintf '%s\\n' "{name} $*" >>'{record}'\nexec '{shutil.which(name)}' "$@"\n""")
        command.chmod(0o755)
    return f"{commands}:{os.environ['PATH']}", record


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class ExampleReceiver:
    """One of the receivers, on a port of its own."""

    def __init__(self, language, folder, secret, events_file=None):
        self.language = language
        self.folder = folder
        self.secret = secret
        self.events_file = events_file or folder / "events.jsonl"
        self.port = free_port()
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"http://{self.address}/webhooks"

    def start(self, **settings):
        """Returns once it takes connections, or has ended: see `has_ended`."""
        # Two requests at once in PHP as in the others.
        settings |= {"EVENTS_FILE": str(self.events_file), "PHP_CLI_SERVER_WORKERS": "4"}
        if self.secret is not None:
            settings["WEBHOOK_SECRET"] = self.secret
        with open(self.folder / "receiver.log", "ab") as log:
            self.process = subprocess.Popen(
                list(map(str, receiver_command(self.language, self.port))), env=clean_environment(settings),
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        eventually(
            lambda: self.has_ended or self._takes_connections(), f"the {self.language} receiver listens", STARTS_WITHIN_S
        )
        return self

    @property
    def has_ended(self):
        return self.process.poll() is not None

    def _takes_connections(self):
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        """kill -9, workers included; they are a process group of their own."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)
        eventually(lambda: not self._takes_connections(), f"the last process of the {self.language} receiver ended")

    def events(self):
        """What it has stored; a line that is no JSON was cut off by a crash."""
        found = []
        if not os.path.exists(self.events_file):
            return found
        for line in self.events_file.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def stored(self, webhook_id):
        return [one for one in self.events() if one["webhook_id"] == webhook_id]

    def take(self, webhook):
        """The status code that answers a webhook made by hand; None when the connection was cut instead."""
        try:
            return send(self.url, webhook)
        except requests.exceptions.ConnectionError:
            return None


def send(url, webhook):
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(url, data=webhook.body, headers=webhook.headers, timeout=ANSWERS_WITHIN_S)
    return answer.status_code


class HandMade:
    """A webhook as Reenvio would send it (C 3.1, 3.2), and signed with whatever secret a test likes."""

    def __init__(self, secret, payout_id=None, sequence=2, status_id=3, webhook_id=None, age_s=0, body=None):
        number = next(_numbers)
        self.payout_id = payout_id or 1_000_000 + number
        self.id = webhook_id or f"msg_HandMade{number:012}"
        self.body = body or json.dumps(
            {"id": self.payout_id, "invoice": f"invoice-{number}", "end_to_end": None,
             "status": {"id": status_id, "name": "Any"}, "updated_at": "2026-03-24 08:05:30"},
            separators=(",", ":"),
        ).encode()
        self.timestamp = int(time.time()) - age_s
        self.headers = {
            "content-type": "application/json", "webhook-id": self.id, "webhook-timestamp": str(self.timestamp),
            "webhook-signature": self.signature(secret), "x-webhook-sequence": str(sequence),
        }

    def signature(self, secret):
        key = base64.b64decode(secret.removeprefix("whsec_"))
        code = hmac.digest(key, f"{self.id}.{self.timestamp}.".encode() + self.body, "sha256")
        return "v1," + base64.b64encode(code).decode()

    def with_headers(self, **headers):
        """Underscores stand for hyphens; None removes a header."""
        for name, value in headers.items():
            name = name.replace("_", "-")
            self.headers.pop(name) if value is None else self.headers.update({name: value})
        return self
