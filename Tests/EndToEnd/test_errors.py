"""Answers that are not the one asked for: shapes, codes, and the order of the checks (C 4.4, 9, 10)."""

import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.bodies import payout_body
from harness.client import PAYMENTS, RESEND, TRANSITIONS, connect, raw_request, read_answer
from harness.waiting import eventually

MALFORMED = "Malformed JSON body."
MEBIBYTE = 1 << 20


def nested(depth):
    """A JSON object of that depth, the object itself included."""
    return b'{"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def is_malformed(answer):
    """C 10: the published body, and the reason beside it."""
    body = answer.json()
    reasons = body["errors"].pop("body")
    assert len(reasons) == 1 and reasons[0].endswith(".")
    return answer.status_code == 400 and body == {"message": MALFORMED, "errors": {}}


def plain_answer(server, request):
    """Sends bytes as they are; returns status, headers and the JSON body."""
    with connect(server) as connection:
        connection.sendall(request)
        status, headers, body = read_answer(connection)
        return status, headers, json.loads(body)


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"{", b"", b"null", b"[]", b"[{}]", b'"text"', b"7", b"{}{}", b"{} x", b"{'a':1}", b'{"a":1,}', b'{"a":01}',
            b'{"a":NaN}', b'{"a":+1}', b'{"a":.5}', b'{"a":"\x01"}', b'{"a":"\\x"}', b'{"a":"\xff"}', b'{"a":"\xc0\xaf"}',
            b'{"a":"\xed\xa0\x80"}', b'\xef\xbb\xbf{"a":1', b'{"invoice":"a","invoice":"b"}', b'{"a":1,"\\u0061":2}',
            b'{"x":{"k":1,"k":1}}', nested(33), nested(5000),
        ],
        ids=lambda body: repr(body[:24]),
    )
    def test_malformed(self, merchant, body):
        """C 2.1, 10: unparsable, not an object, repeated keys, deeper than 32, not UTF-8."""
        answer = merchant.request("POST", PAYMENTS, data=body, headers={"Content-Type": "application/json"})
        assert is_malformed(answer)

    @pytest.mark.parametrize("body, reason", [
        (b"", "The body is empty."), (b"[]", "The body must be a JSON object."),
        (b'\xef\xbb\xbf{"a":1}', "The body begins with a byte order mark; JSON is sent without one."),
        (b'{"invoice":"a",\n "invoice":"b"}', "The JSON repeats a key at line 2, column 2 (byte 18)."),
        (b'{"a":"\xff"}', "The text is not UTF-8 at line 1, column 7 (byte 7)."),
        (nested(33), "The JSON nests deeper than 32 at line 1, column 37 (byte 37)."),
    ], ids=repr)
    def test_says_what_and_where(self, merchant, body, reason):
        """C 10."""
        answer = merchant.request("POST", PAYMENTS, data=body, headers={"Content-Type": "application/json"})
        assert answer.json()["errors"] == {"body": [reason]}

    def test_depth_32_is_read(self, merchant):
        """C 2.1: deeper than 32 is malformed, 32 is not; what is wrong then are the fields."""
        answer = merchant.request("POST", PAYMENTS, data=nested(32), headers={"Content-Type": "application/json"})
        assert answer.status_code == 422

    @pytest.mark.parametrize("path", [RESEND, TRANSITIONS, f"{PAYMENTS}/1/transition"])
    def test_every_endpoint_with_a_body_says_the_same(self, operator, path):
        """C 4.1, 10."""
        for body in (b"[]", b"{", b'{"a":1,"a":1}'):
            answer = operator.request("POST", path, data=body, headers={"Content-Type": "application/json"})
            assert is_malformed(answer), (path, body)

    def test_a_body_of_one_mebibyte_is_read(self, shared_server, shared_shop):
        """C 10: over 1 MiB is 413; exactly 1 MiB is not."""
        body = json.dumps(payout_body()).encode().ljust(MEBIBYTE)
        status, _, shown = plain_answer(shared_server, raw_request("POST", PAYMENTS, body, shared_shop.key))
        assert status == 201, shown

    def test_a_body_that_is_announced_too_large(self, shared_server, shared_shop):
        """C 10: 413 by its Content-Length, before it was sent."""
        headers = {"Content-Length": str(MEBIBYTE + 1), "Content-Type": "application/json"}
        request = raw_request("POST", PAYMENTS, key=shared_shop.key, headers=headers)
        status, _, body = plain_answer(shared_server, request)
        assert (status, list(body)) == (413, ["message"])

    def test_a_body_that_turns_out_too_large(self, shared_server, shared_shop):
        """C 10: 413 for chunks that add up to more than 1 MiB; small chunks are read."""
        headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
        head = raw_request("POST", PAYMENTS, key=shared_shop.key, headers=headers)
        with connect(shared_server) as connection:
            connection.sendall(head)
            piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
            try:
                for _ in range(17):
                    connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass
            status, _, body = read_answer(connection)
            assert (status, list(json.loads(body))) == (413, ["message"])
        text = json.dumps(payout_body()).encode()
        pieces = b"".join(b"%x\r\n%b\r\n" % (len(text[at : at + 9]), text[at : at + 9]) for at in range(0, len(text), 9))
        status, _, body = plain_answer(shared_server, head + pieces + b"0\r\n\r\n")
        assert status == 201, body

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
    )
    def test_a_body_that_is_no_json(self, merchant, content_type):
        """C 10: 415."""
        answer = merchant.request("POST", PAYMENTS, data=json.dumps(payout_body()), headers={"Content-Type": content_type})
        assert answer.status_code == 415 and list(answer.json()) == ["message"]

    @pytest.mark.parametrize(
        "content_type",
        ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json"],
    )
    def test_content_types_that_count_as_json(self, merchant, content_type):
        """C 10."""
        answer = merchant.request("POST", PAYMENTS, data=json.dumps(payout_body()), headers={"Content-Type": content_type})
        assert answer.status_code == 201

    def test_an_absent_content_type_counts_as_json(self, shared_server, shared_shop):
        """C 10."""
        body = json.dumps(payout_body()).encode()
        head = raw_request("POST", PAYMENTS, key=shared_shop.key, headers={"Content-Length": str(len(body))})
        status, _, shown = plain_answer(shared_server, head + body)
        assert status == 201, shown


class TestCredentials:
    @pytest.mark.parametrize(
        "header",
        [
            None, "", "Bearer", "Bearer ", "Bearer nonsense", "Basic dXNlcjpwdw==", "rnv_000000000000_" + "0" * 64,
            "Bearer rnv_000000000000_" + "0" * 64, "Bearer " + "x" * 5000,
        ],
        ids=lambda header: repr(header)[:24],
    )
    @pytest.mark.parametrize("method, path", [("GET", f"{PAYMENTS}/1"), ("POST", PAYMENTS), ("GET", f"{RESEND}/{'0' * 32}")])
    def test_none_or_a_wrong_one(self, shared_server, header, method, path):
        """C 9, 10: 401 with WWW-Authenticate, whatever is wrong with it."""
        headers = {"Authorization": header} if header is not None else {}
        answer = shared_server.client().request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"message": "Unauthorized"}
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_a_key_with_a_changed_secret(self, shared_server, shared_shop):
        """C 9: the id alone opens nothing."""
        last = "0" if shared_shop.key[-1] != "0" else "1"
        assert shared_server.client(shared_shop.key[:-1] + last).get(f"{PAYMENTS}/1").status_code == 401

    def test_the_scheme_is_case_insensitive(self, shared_server, shared_shop):
        """RFC 9110, 11.1."""
        answer = shared_server.client().get(f"{PAYMENTS}/999999", headers={"Authorization": f"bearer {shared_shop.key}"})
        assert answer.status_code == 404

    def test_an_expired_key(self, shared_house, shared_shop, shared_server):
        """C 9: every key has optionally an expiry; then 401."""
        arguments = ("key", "create", "--account", shared_shop.account_id, "--name", "k", "--expires")
        gone = shared_house.json(*arguments, "2020-01-01T00:00:00Z")["key"]
        good = shared_house.json(*arguments, "2099-01-01T00:00:00+03:00")["key"]
        assert shared_server.client(gone).get(f"{PAYMENTS}/999999").status_code == 401
        assert shared_server.client(good).get(f"{PAYMENTS}/999999").status_code == 404

    def test_scopes_and_addresses(self, shared_house, shared_shop, shared_server):
        """C 9: a missing scope or a foreign address is 403."""
        arguments = ("key", "create", "--account", shared_shop.account_id, "--name", "k")
        reader = shared_house.json(*arguments, "--scope", "payouts:read")["key"]
        assert shared_server.client(reader).get(f"{PAYMENTS}/999999").status_code == 404
        assert shared_server.client(reader).post(PAYMENTS, {}).status_code == 403
        elsewhere = shared_house.json(*arguments, "--cidr", "203.0.113.0/24")["key"]
        answer = shared_server.client(elsewhere).get(PAYMENTS)
        assert answer.status_code == 403 and answer.json() == {"message": "This key may not do that."}

    def test_guessing_is_stopped(self, house, shop):
        """C 4.4: the 21st failure of a credential is still 401, then 429; a good key behind the address passes. One line
        in the log, and a metric."""
        server = house.serve()
        guesser = server.client("rnv_000000000000_" + "0" * 64)
        codes = [guesser.get(f"{PAYMENTS}/1").status_code for _ in range(22)]
        assert codes == [401] * 21 + [429]
        answer = guesser.get(f"{PAYMENTS}/1")
        assert answer.status_code == 429 and 1 <= int(answer.headers["retry-after"]) <= 61
        guesser.session.headers["Authorization"] = f"Bearer {shop.key}"
        assert guesser.get(f"{PAYMENTS}/1").status_code == 404
        assert server.log_text().count("authentications failed") == 1
        metrics = server.client(shop.operator_key).get("/metrics").text
        assert 'reenvio_failed_authentications_total{reason="unknown"} 21' in metrics
        assert 'reenvio_failed_authentications_total{reason="throttled"} 2' in metrics
        assert guesser.get("/healthz").status_code == 200
        assert server.client(shop.key).get(f"{PAYMENTS}/1").status_code == 404

    @pytest.mark.parametrize("path", [TRANSITIONS, f"{PAYMENTS}/1/transition", f"{PAYMENTS}/999999/transition"])
    def test_a_merchant_on_an_operators_endpoint(self, merchant, path):
        """C 2.4: 403 whether or not the object exists."""
        answer = merchant.post(path, {"status_id": 3})
        assert answer.status_code == 403 and answer.json() == {
            "message": "This key may not do that.", "errors": {"scope": ["Only an operator key may do that."]}}


class TestPathsAndMethods:
    @pytest.mark.parametrize(
        "path", ["/v2", "/v2/", "/v2/payout", "/v1/payout/payments", f"{PAYMENTS}/1/x", f"{RESEND}/a/b", "/%00", "/a%2Fb"]
    )
    def test_an_unknown_path(self, shared_server, merchant, path):
        """C 10: 404 with the envelope, with and without a credential (C 4.4: before 401)."""
        for client in (merchant, shared_server.client()):
            answer = client.get(path)
            assert answer.status_code == 404 and list(answer.json()) == ["message"]
            assert answer.headers["content-type"].startswith("application/json")

    @pytest.mark.parametrize(
        "method, path, allowed",
        [
            ("DELETE", PAYMENTS, "POST"), ("PUT", f"{PAYMENTS}/1", "GET"), ("GET", TRANSITIONS, "POST"),
            ("GET", f"{PAYMENTS}/1/transition", "POST"), ("PATCH", RESEND, "POST"), ("POST", f"{RESEND}/{'0' * 32}", "GET"),
            ("POST", "/healthz", "GET"), ("DELETE", "/readyz", "GET"),
        ],
    )
    def test_a_method_that_a_path_does_not_take(self, shared_server, merchant, method, path, allowed):
        """C 10: 405 with Allow, before 401 (C 4.4)."""
        for client in (merchant, shared_server.client()):
            answer = client.request(method, path)
            assert answer.status_code == 405 and list(answer.json()) == ["message"]
            assert allowed in [one.strip() for one in answer.headers["allow"].split(",")]

    def test_what_is_no_http(self, shared_server):
        """Whatever comes, the server answers 400 or closes, and goes on."""
        for rubbish in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
            with connect(shared_server) as connection:
                connection.sendall(rubbish)
                connection.settimeout(10)
                first = connection.recv(65_536)
                assert first == b"" or first.startswith(b"HTTP/1.1 400"), first
        assert shared_server.client().get("/healthz").status_code == 200

    @pytest.mark.parametrize("chunks", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}X0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n"])
    def test_broken_chunks_end_the_connection(self, shared_server, shared_shop, chunks):
        """C 10, RFC 9112 7.1: where the next request begins is unknown, so that none is read."""
        headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
        request = raw_request("POST", PAYMENTS, key=shared_shop.key, headers=headers) + chunks
        with connect(shared_server) as connection:
            connection.sendall(request + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            status, fields, _ = read_answer(connection)
            assert (status, fields["connection"]) == (400, "close")
            assert connection.recv(1) == b""

    @pytest.mark.parametrize(
        "version, coding",
        [
            ("1.1", "gzip, chunked"), ("1.1", "chunked, chunked"), ("1.1", "identity"), ("1.1", "xchunked"),
            ("1.1", "chunked\r\nTransfer-Encoding: chunked"), ("1.0", "chunked"), ("1.1", "chunked;q=1"),
        ],
    )
    def test_other_transfer_codings_are_refused(self, shared_server, version, coding):
        """C 10, RFC 9112 6.1: what stands before the server may read another end of the body."""
        head = f"POST /v2/audit HTTP/{version}\r\nHost: x\r\nTransfer-Encoding: {coding}\r\n\r\n".encode()
        with connect(shared_server) as connection:
            connection.sendall(head + b"2\r\n{}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            status, fields, body = read_answer(connection)
            assert (status, json.loads(body), fields["connection"]) == (400, {"message": "Bad request."}, "close")
            assert connection.recv(1) == b""

    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: v\r\n" % n for n in range(20_000)) + b"\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n",
            b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /v2/audit HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
            b"POST /v2/audit HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}",
            b"POST /v2/audit HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
        ],
        ids=["headers", "long-header", "long-path", "two-lengths", "negative-length", "both-lengths", "tls"],
    )
    def test_what_cannot_be_read_is_400_in_the_contracts_shape(self, shared_server, request_bytes):
        """C 10: always JSON, also where no request can be made out; the connection is closed."""
        with connect(shared_server) as connection:
            try:
                connection.sendall(request_bytes)
            except OSError:
                pass
            status, headers, body = read_answer(connection)
            assert (status, json.loads(body)) == (400, {"message": "Bad request."})
            assert headers["content-type"] == "application/json" and headers["connection"] == "close"
        assert shared_server.client().get("/healthz").status_code == 200

    def test_headers_without_end_cost_no_memory(self, house, shop):
        """A client that never ends its head is cut off long before it has sent much."""
        server = house.serve()
        line = b"X-Flood: " + b"y" * 1_000 + b"\r\n"
        before = memory_of(server)
        with connect(server) as connection:
            connection.settimeout(2)
            try:
                for _ in range(100_000):
                    connection.sendall(line * 10)
            except OSError:
                pass
            else:
                pytest.fail("a gigabyte of headers was taken")
        assert server.client().get("/healthz").status_code == 200
        assert memory_of(server) - before < 32 << 10


def memory_of(server):
    """KiB that the process has in memory."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))


class TestOrderOfChecks:
    """C 4.4: 404 path, 405, 401, 403, 415, 413, 400, 422, 409."""

    TOO_LARGE = str(MEBIBYTE + 1)

    def status(self, server, method, path, key, content_type, length=None, body=b""):
        headers = {"Content-Type": content_type} | ({"Content-Length": length} if length else {})
        return plain_answer(server, raw_request(method, path, body, key, headers))[0]

    def test_each_check_hides_the_later_ones(self, shared_server, shared_shop):
        key, operator_key = shared_shop.key, shared_shop.operator_key
        text, large = "text/plain", self.TOO_LARGE
        assert self.status(shared_server, "POST", "/nowhere", None, text, large) == 404
        assert self.status(shared_server, "PUT", TRANSITIONS, None, text, large) == 405
        assert self.status(shared_server, "POST", TRANSITIONS, None, text, large) == 401
        assert self.status(shared_server, "POST", TRANSITIONS, key, text, large) == 403
        assert self.status(shared_server, "POST", TRANSITIONS, operator_key, text, large) == 415
        assert self.status(shared_server, "POST", TRANSITIONS, operator_key, "application/json", large) == 413
        assert self.status(shared_server, "POST", TRANSITIONS, operator_key, "application/json", None, b"[") == 400
        assert self.status(shared_server, "POST", TRANSITIONS, operator_key, "application/json", None, b"{}") == 422


class TestHealth:
    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    def test_needs_no_credential_and_says_only_ok(self, shared_server, path):
        """C 10."""
        answer = shared_server.client().get(path)
        assert answer.status_code == 200 and len(answer.content) < 40

    @pytest.mark.waits
    def test_a_store_that_cannot_be_written(self, house, shop, receiver):
        """C 10: /readyz is 503 within 3 s when the store cannot be written and 200 within 20 s after it can be again; a
        write meanwhile is 503 without any detail, and safe to repeat (design rule 1); the process stays."""
        server = house.serve()
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        payout_id = client.create_payout(notification_url=receiver.url())["id"]
        assert client.get("/readyz").status_code == 200

        lock = sqlite3.connect(house.store_path, timeout=10, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        try:
            with ThreadPoolExecutor(1) as pool:
                writing = pool.submit(operator.post, f"{PAYMENTS}/{payout_id}/transition", {"status_id": 3})
                eventually(lambda: client.get("/readyz").status_code == 503, "/readyz answered 503")
                assert client.get("/healthz").status_code == 200
                assert client.payout(payout_id)["status"]["id"] == 7, "reading needs no writer"
                answer = writing.result(120)
                assert (answer.status_code, answer.json()) == (503, {"message": "Service unavailable."})
                assert client.get("/readyz").json() == {"message": "Service unavailable."}
        finally:
            lock.rollback()
            lock.close()
        eventually(lambda: client.get("/readyz").status_code == 200, "/readyz answered 200 again", within=20)
        operator.transition(payout_id, 3)
        assert len(receiver.wait_for_acknowledged(1)) == 1
        assert server.process.poll() is None
