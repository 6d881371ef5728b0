"""A merchant's side, written with nothing of ours: records every webhook, verifies it with the `standardwebhooks`
package, and answers as it is told."""

import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from . import signatures
from .waiting import eventually

HELD_AT_MOST_S = 30
HANGS_S = 7


@dataclass
class Received:
    """One webhook as it came in. Header names are lower case."""

    path: str
    headers: dict
    body: bytes
    at: float
    answered: int = 0
    verified: bool = False

    @property
    def webhook_id(self):
        return self.headers.get("webhook-id")

    @property
    def attempt(self):
        return int(self.headers["x-webhook-attempt"])

    @property
    def job_id(self):
        return self.headers.get("x-webhook-resend")


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        """A peer that was killed closes its connections; that is no error here."""


class Receiver:
    """An HTTP/1.1 server with keep-alive on a port of its own.

    `answer`, where it is set, decides by the request; else `answers` is used up one per request, then `default` holds.
    An answer is a status code, or a code and headers.
    """

    def __init__(self, tls=None, host="127.0.0.1", port=0):
        self.answer = None
        self.answers = []
        # Requests to this path get their answer after the sender has stopped waiting.
        self.hanging_path = None
        self.default = 200
        self.delay = 0.0
        self._secrets = []
        self._received = []
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._tls = tls
        self._host = host
        self._port = port
        self._listener = None
        self._connections = set()
        self.up()

    # What tests say to it

    def trust(self, secret):
        """Verify with this signing secret from now on."""
        self._secrets.append(Webhook(secret))

    def url(self, path="/hook"):
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}{path}"

    def hold(self):
        """Take requests in, and answer none until `let_go`."""
        self._open.clear()

    def let_go(self):
        self._open.set()

    def down(self):
        """The process is gone: connections are cut, and new ones refused."""
        self._listener.shutdown()
        self._listener.server_close()
        self._listener = None
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def up(self):
        self._listener = _Listener((self._host, self._port), self._handler())
        self._port = self._listener.server_address[1]
        if self._tls:
            self._listener.socket = self._tls.wrap_socket(self._listener.socket, server_side=True)
        listener = self._listener
        threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.let_go()
        if self._listener:
            self.down()

    # What tests ask it

    @property
    def received(self):
        with self._lock:
            return list(self._received)

    @property
    def count(self):
        with self._lock:
            return len(self._received)

    @property
    def acknowledged(self):
        return [one for one in self.received if one.answered == 200]

    def of_job(self, job_id):
        return [one for one in self.received if one.job_id == job_id]

    def wait_for(self, count, within=20.0, what=None):
        """The first `count` webhooks, once they are all there."""
        eventually(lambda: self.count >= count, what or f"the receiver got {count} webhooks", within)
        return self.received[:count]

    def wait_for_acknowledged(self, count, within=20.0):
        eventually(
            lambda: len(self.acknowledged) >= count, f"{count} webhooks were acknowledged by the receiver", within
        )
        return self.acknowledged

    def forget(self):
        with self._lock:
            self._received.clear()

    # How it answers

    def _take(self, path, headers, body):
        one = Received(path, headers, body, time.time())
        one.verified = self._verifies(one)
        signatures.note(headers, body)
        with self._lock:
            if self.answer:
                answer = self.answer(one)
            else:
                answer = self.answers.pop(0) if self.answers else self.default
            code, extra = answer if isinstance(answer, tuple) else (answer, {})
            one.answered = code
            self._received.append(one)
        if self.delay:
            time.sleep(self.delay)
        if self.hanging_path and path.startswith(self.hanging_path):
            time.sleep(HANGS_S)
        self._open.wait(HELD_AT_MOST_S)
        return code, extra

    def _verifies(self, one):
        for secret in self._secrets:
            try:
                secret.verify(one.body, one.headers, json_parse=False)
                return True
            except WebhookVerificationError:
                continue
        return False

    def _handler(receiver):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                with receiver._lock:
                    receiver._connections.add(self.connection)

            def finish(self):
                with receiver._lock:
                    receiver._connections.discard(self.connection)
                try:
                    super().finish()
                except OSError:
                    pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                code, extra = receiver._take(self.path, headers, body)
                try:
                    self.send_response(code)
                    for name, value in extra.items():
                        self.send_header(name, value)
                    if code != 204:
                        self.send_header("content-length", "0")
                    self.end_headers()
                except OSError:
                    pass

            do_GET = do_POST

            def log_message(self, *_):
                pass

        return Handler
