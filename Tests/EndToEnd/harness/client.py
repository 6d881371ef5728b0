"""The API as its users call it, through `requests`, and many calls at once over connections of their own."""

import http.client
import itertools
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import requests

from . import signatures
from .bodies import payout_body
from .waiting import eventually

ANSWERS_WITHIN_S = 30
RESEND = "/v2/payout/notifications/resend"
PAYMENTS = "/v2/payout/payments"
TRANSITIONS = "/v2/payout/transitions"


ADDRESSES = (f"198.51.{number // 256 % 256}.{number % 256}" for number in itertools.count())


class Client:
    """One kept-alive connection with one key, from an address of its own: failed authentications count by address."""

    def __init__(self, url, key=None):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["X-Forwarded-For"] = next(ADDRESSES)
        if key:
            self.session.headers["Authorization"] = f"Bearer {key}"

    def request(self, method, path, **options):
        answer = self.session.request(method, self.url + path, timeout=ANSWERS_WITHIN_S, **options)
        if path.endswith("/rotate"):
            signatures.learn(answer.text)
        return answer

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, json=body, **options)

    def expect(self, code, method, path, body=None):
        answer = self.request(method, path, json=body)
        assert answer.status_code == code, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def create_payout(self, **fields):
        return self.expect(201, "POST", PAYMENTS, payout_body(**fields))

    def payout(self, payout_id):
        return self.expect(200, "GET", f"{PAYMENTS}/{payout_id}")

    def transition(self, payout_id, status_id, **fields):
        return self.expect(200, "POST", f"{PAYMENTS}/{payout_id}/transition", {"status_id": status_id} | fields)

    def transition_all(self, payout_ids, status_id, at_once=1000, **fields):
        """Batch transitions; every one of them must be applied."""
        for start in range(0, len(payout_ids), at_once):
            items = [{"id": one, "status_id": status_id} | fields for one in payout_ids[start : start + at_once]]
            results = self.expect(200, "POST", TRANSITIONS, {"transitions": items})["results"]
            assert [one["id"] for one in results] == [one["id"] for one in items]
            refused = [one for one in results if one["result"] != "applied"]
            assert not refused, f"{len(refused)} transitions were not applied, e.g. {refused[0]}"

    def dry_run(self, body):
        return self.expect(200, "POST", RESEND, body | {"dry_run": True})["total"]

    def dispatch(self, body):
        answer = self.expect(202, "POST", RESEND, body)
        return answer["job_id"], answer["total"]

    def job(self, job_id):
        return self.expect(200, "GET", f"{RESEND}/{job_id}")

    def wait_for_job(self, job_id, within=60.0):
        """The state of the job once it has ended."""
        return eventually(
            lambda: (state := self.job(job_id))["status"] != "processing" and state, f"job {job_id} ended", within
        )


def create_payouts(server, shop, count, url, tag="p", connections=64):
    """Creates payouts, one at a time on each of many connections, and returns their ids in the order of their invoices.
    Several URLs take turns."""
    urls = [url] if url is None or isinstance(url, str) else url
    sockets = [connect(server) for _ in range(min(connections, count))]
    ids = []
    try:
        for start in range(0, count, len(sockets)):
            numbers = range(start, min(start + len(sockets), count))
            for connection, number in zip(sockets, numbers):
                body = payout_body(
                    merchant_id=shop.merchant_id, invoice=f"{tag}-{number:06}", notification_url=urls[number % len(urls)])
                connection.sendall(raw_request("POST", PAYMENTS, json.dumps(body).encode(), shop.key))
            for connection, _ in zip(sockets, numbers):
                status, body = read_short_answer(connection)
                assert status == 201, f"{status} {body}"
                ids.append(json.loads(body)["id"])
    finally:
        for connection in sockets:
            connection.close()
    return ids


def paid_payouts(server, shop, count, url, tag="p", status_id=3):
    """Creates payouts and reports that status of all of them, in batches."""
    ids = create_payouts(server, shop, count, url, tag)
    server.client(shop.operator_key).transition_all(ids, status_id)
    return ids


def acknowledged_payouts(server, shop, receiver, count):
    """Paid payouts whose webhooks the receiver acknowledged, and has forgotten since."""
    ids = paid_payouts(server, shop, count, receiver.url())
    receiver.wait_for_acknowledged(count, within=60)
    receiver.forget()
    return ids


def read_short_answer(connection):
    """Status and body of an answer with a Content-Length: much cheaper than `http.client` for thousands of them."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536) or _cut_off()
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536) or _cut_off()
    return int(head.split(b" ", 2)[1]), body


def _cut_off():
    raise ConnectionError("the server closed the connection before its answer was complete")


def raw_request(method, path, body=b"", key=None, headers=None):
    """The bytes of an HTTP/1.1 request."""
    fields = {"Host": "reenvio.test"}
    if key:
        fields["Authorization"] = f"Bearer {key}"
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= headers or {}
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return head.encode() + b"\r\n" + body


def connect(server):
    host, port = server.address.split(":")
    connection = socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_answer(connection, method="POST"):
    """Status, headers and body of the next answer on a plain socket."""
    answer = http.client.HTTPResponse(connection, method=method)
    answer.begin()
    body = answer.read()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def read_head(connection):
    """The bytes of the next head, and not one more."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += connection.recv(1) or _cut_off()
    return data


def read_one_answer(connection):
    """Status, headers and body of the next answer, and not a byte of the one behind it: for pipelined requests."""
    head = read_head(connection).decode()
    headers = dict(line.split(": ", 1) for line in head.rstrip().split("\r\n")[1:])
    headers = {name.lower(): value for name, value in headers.items()}
    body = b""
    while len(body) < int(headers["content-length"]):
        body += connection.recv(int(headers["content-length"]) - len(body)) or _cut_off()
    return int(head.split(" ")[1]), headers, body


def send_together(server, request, count):
    """The same request over `count` connections, complete on all of them at the same moment: each connection is open
    and has sent all but its last byte before the first last byte goes. Returns the answers."""
    connections = [connect(server) for _ in range(count)]
    try:
        for connection in connections:
            connection.sendall(request[:-1])
        barrier = threading.Barrier(count)

        def finish(connection):
            barrier.wait(ANSWERS_WITHIN_S)
            connection.sendall(request[-1:])
            return read_answer(connection)

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(finish, connections))
    finally:
        for connection in connections:
            connection.close()
