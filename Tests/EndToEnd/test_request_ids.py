"""Whatever goes wrong, the answer names its request in `x-request-id`, and so does each line that was written because of it
(C 10, docs/logging.md)."""

import json
import re
import socket
import sqlite3

import pytest
import requests

from harness.client import PAYMENTS, RESEND, read_answer
from harness.waiting import eventually

MEBIBYTE = 1 << 20

# Lines of what runs by itself, whoever asks for anything. A batch holds many requests; each has a line of its own.
BACKGROUND = {"a background step failed; it is tried again", "a batch of changes was not committed"}


def assert_named(headers, seen, what):
    name = headers.get("x-request-id", "")
    assert re.fullmatch("[0-9a-f]{16}", name), f"{what}: {name!r}"
    assert name not in seen, what
    seen.add(name)


def sign_in(server, key):
    """A browser without a window, signed in at the dashboard."""
    visitor = requests.Session()
    page = visitor.get(f"{server.url}/dashboard", timeout=10).text
    token = re.search(r'name="token" value="([^"]+)"', page).group(1)
    visitor.post(f"{server.url}/dashboard/sign-in", data={"token": token, "key": key, "next": "/dashboard"}, timeout=10)
    assert visitor.cookies.get("reenvio_session")
    return visitor


class TestRequestIDs:
    def test_every_kind_of_error(self, house, shop, receiver):
        server = house.serve(REENVIO_ADMIN_LISTEN="127.0.0.1:0")
        admin = "http://" + json.loads(server.announced)["admin"]
        key, operator = f"Bearer {shop.key}", f"Bearer {shop.operator_key}"
        payout = server.client(shop.operator_key).create_payout(merchant_id=303, notification_url=receiver.url())["id"]
        server.client(shop.operator_key).transition(payout, 3)
        transition = f"{PAYMENTS}/{payout}/transition"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        kinds = [
            # v2: path, method, credential, scope, type, size, syntax, fields, state
            (404, server.url, "GET", "/nowhere", key, {}, None), (405, server.url, "PUT", RESEND, key, {}, None),
            (404, server.url, "GET", f"{PAYMENTS}/999", key, {}, None), (401, server.url, "GET", PAYMENTS, None, {}, None),
            (401, server.url, "GET", PAYMENTS, "Bearer rnv_nonsense", {}, None),
            (403, server.url, "POST", transition, key, {}, b"{}"),
            (415, server.url, "POST", transition, operator, {"Content-Type": "text/plain"}, b"{}"),
            (413, server.url, "POST", transition, operator, {}, b" " * (MEBIBYTE + 1)),
            (400, server.url, "POST", transition, operator, {}, b"{"), (422, server.url, "POST", transition, operator, {}, b"{}"),
            (409, server.url, "POST", transition, operator, {}, b'{"status_id":2}'),
            (404, server.url, "DELETE", f"{RESEND}/{'0' * 32}", key, {}, None),
            (404, server.url, "GET", f"{RESEND}/{'0' * 32}/items?format=csv", key, {}, None),
            # v3 and tokens
            (401, server.url, "GET", "/v3/webhooks/resend", "Bearer x.y.z", {}, None),
            (401, server.url, "POST", "/v3/webhooks/resend", key, {}, b"{}"),
            (401, server.url, "POST", "/v2/finance/auth-token", None, {}, b'{"client_id":"a","client_secret":"b"}'),
            (422, server.url, "POST", "/v2/finance/auth-token", None, {}, b"{}"),
            # the address for operators
            (404, admin, "GET", PAYMENTS, key, {}, None), (405, admin, "POST", "/metrics", None, {}, None),
            (401, admin, "GET", "/dashboard/payouts", None, {}, None),
            (404, admin, "GET", "/dashboard/nowhere", None, {}, None),
            (415, admin, "POST", "/dashboard/sign-in", None, {}, b"{}"),
            (403, admin, "POST", "/dashboard/sign-in", None, form, b"key=x"),
            (401, admin, "GET", "/dashboard/jobs/1/events", None, {}, None),
        ]
        seen = set()
        for status, base, method, path, credential, headers, body in kinds:
            headers = {"Content-Type": "application/json"} | ({"Authorization": credential} if credential else {}) | headers
            answer = requests.request(method, base + path, headers=headers, data=body, timeout=10)
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:200]}"
            assert_named(answer.headers, seen, path)
        for address in (server.url, admin):
            with socket.create_connection(address.removeprefix("http://").split(":"), timeout=10) as connection:
                connection.sendall(b"\x16\x03\x01 no request\r\n\r\n")
                status, headers, _ = read_answer(connection)
                assert status == 400
                assert_named(headers, seen, "unreadable")
        assert len(seen) == len(kinds) + 2
        assert '"level":"error"' not in server.log_text(), "nothing of ours failed"

    @pytest.mark.waits
    def test_what_is_our_fault_is_in_the_log_under_it(self, house, shop):
        """500 and 503, of the API and the pages: each answer's id stands in a line, with the trace."""
        server = house.serve()
        key = {"Authorization": f"Bearer {shop.key}"}
        operator = server.client(shop.operator_key)
        payout = operator.create_payout(merchant_id=303)["id"]
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        traced = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        visitor = sign_in(server, shop.operator_key)
        with sqlite3.connect(house.store_path, timeout=10) as connection:
            connection.execute("UPDATE parties SET sealed = zeroblob(40)")
        connection.close()
        failed = [requests.get(f"{server.url}{PAYMENTS}/{payout}", headers=key | traced, timeout=10)]
        failed.append(visitor.get(f"{server.url}/dashboard/payouts/{payout}", headers=traced, timeout=10))
        assert [one.status_code for one in failed] == [500, 500]
        lock = sqlite3.connect(house.store_path, timeout=10, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        try:
            failed.append(operator.post(f"{PAYMENTS}/{payout}/transition", {"status_id": 3}, headers=traced))
            eventually(lambda: operator.get("/readyz").status_code == 503, "/readyz answered 503")
            failed.append(operator.get("/readyz", headers=traced))
        finally:
            lock.rollback()
            lock.close()
        assert [one.status_code for one in failed[2:]] == [503, 503]
        lines = [json.loads(line) for line in server.log_text().splitlines()]
        errors = [line for line in lines if line["level"] == "error"]
        for answer in failed:
            (line,) = [line for line in errors if line.get("request") == answer.headers["x-request-id"]]
            assert (line["message"], line["status"]) == ("request failed", str(answer.status_code))
            assert line["trace"] == trace and line["error"]
        assert {line["message"] for line in errors if "request" not in line} <= BACKGROUND
