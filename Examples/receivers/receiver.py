#!/usr/bin/env python3
"""Receives Reenvio's webhooks with Python 3.9 or later and its standard library: verifies, stores, answers 200.

    WEBHOOK_SECRET=whsec_... EVENTS_FILE=events.jsonl python3 receiver.py 9000

It listens on 127.0.0.1; a web server in front of it speaks HTTPS. The work is done later, by whoever reads the
events.
"""

import base64
import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_BYTES_MAX = 64 * 1024
TOLERANCE_S = 300


def signing_key(secret):
    """The bytes behind `whsec_`. Too short a key is refused: with an empty one anybody could sign."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    if not secret.startswith("whsec_") or len(key) < 24:
        raise ValueError("WEBHOOK_SECRET must be whsec_ and the base64 of at least 24 bytes")
    return key


def is_genuine(key, headers, body):
    """Whether the webhook was signed with the key, not long ago. `body` is the bytes as they came in."""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256"))
    # There are several signatures while a secret is being changed. One that fits is enough.
    shown = headers.get("webhook-signature", "").encode().split(b" ")
    if not webhook_id or not any(hmac.compare_digest(one, expected) for one in shown):
        return False
    return timestamp.isdecimal() and abs(time.time() - int(timestamp)) <= TOLERANCE_S


class Events:
    """The accepted events, one JSON document a line. In your system: a table with a unique index on `webhook_id`."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.seen = set()
        self.newest = {}
        self.file = open(path, "ab", buffering=0)
        with open(path, "rb") as lines:
            for line in lines:
                try:
                    self.remember(json.loads(line))
                except ValueError:
                    continue  # an empty line, or one that a crash cut off before it was acknowledged

    def remember(self, event):
        payout_id = event["payout_id"]
        self.seen.add(event["webhook_id"])
        self.newest[payout_id] = max(event["sequence"], self.newest.get(payout_id, 0))

    def take(self, event):
        """Returns once the event is on disk. One that is known, or older than what is known, changes nothing."""
        with self.lock:
            if event["webhook_id"] in self.seen or event["sequence"] < self.newest.get(event["payout_id"], 0):
                return
            # A line break in front, too: whatever a crash cut off cannot spoil this line.
            line = b"\n" + json.dumps(event).encode() + b"\n"
            if self.file.write(line) != len(line):
                raise OSError("the event was written in part only")
            os.fsync(self.file.fileno())
            self.remember(event)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open
    timeout = 10  # seconds, for a client that stalls

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdecimal():
            return self.answer(411)
        if int(length) > BODY_BYTES_MAX:
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not is_genuine(self.key, self.headers, body):
            return self.answer(401)
        try:
            payout_id, sequence = json.loads(body)["id"], int(self.headers["x-webhook-sequence"])
        except (ValueError, TypeError, KeyError):
            return self.answer(400)
        if type(payout_id) is not int:
            return self.answer(400)
        webhook_id = self.headers["webhook-id"]
        try:
            self.events.take(
                {"webhook_id": webhook_id, "payout_id": payout_id, "sequence": sequence, "body": body.decode()}
            )
        except OSError:
            return self.answer(500)  # not stored, hence not acknowledged: it will come again
        self.answer(200)

    def answer(self, code):
        self.send_response(code)
        self.send_header("content-length", "0")
        if code != 200:
            self.send_header("connection", "close")
        self.end_headers()


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # connections that may wait to be accepted


if __name__ == "__main__":
    Receiver.key = signing_key(os.environ["WEBHOOK_SECRET"])
    Receiver.events = Events(os.environ["EVENTS_FILE"])
    Server(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
