"""HTTP as its RFCs say, byte by byte over raw sockets: HEAD, Expect, Host, targets, how connections end (C 4.4, 10)."""

import gzip
import json
import signal
import socket
import ssl
import subprocess
import time

import pytest

from harness.bodies import payout_body, window
from harness.client import (
    PAYMENTS, RESEND, TRANSITIONS, connect, raw_request, read_answer, read_head, read_one_answer,
)
from harness.tokens import new_user, token_of, sign_in
from harness.waiting import eventually

MEBIBYTE = 1 << 20


def rest_of(connection, within=5):
    """What still comes until the other side closes."""
    connection.settimeout(within)
    data = b""
    while piece := connection.recv(65_536):
        data += piece
    return data


def exchange(server, request, method="POST"):
    """Status, headers and body of the answer to bytes as they are."""
    with connect(server) as connection:
        connection.sendall(request)
        return read_answer(connection, method)


def said(answer):
    status, _, body = answer
    return status, json.loads(body)


def is_silent(connection, seconds=0.3):
    """Nothing comes, and the connection stays open."""
    connection.settimeout(seconds)
    try:
        connection.recv(1)
        return False
    except TimeoutError:
        return True
    finally:
        connection.settimeout(30)


class TestHead:
    def paths(self, merchant):
        payout = merchant.create_payout()["id"]
        job, _ = merchant.dispatch(window(303))
        return [
            "/", "/healthz", "/readyz", "/docs", "/docs/style.css", "/openapi.yaml", "/dashboard", "/dashboard/payouts",
            "/dashboard/assets/style.css", "/nowhere", PAYMENTS, f"{PAYMENTS}/{payout}", f"{PAYMENTS}/999999",
            f"{PAYMENTS}/{payout}/why", f"{RESEND}/{job}", f"{RESEND}/{job}/items", TRANSITIONS, "/v2/audit",
            f"{PAYMENTS}?page=0",
        ]

    def test_the_head_of_get_and_not_a_byte_more(self, shared_server, shared_shop, merchant):
        """RFC 9110 9.3.2: status and Content-Length of GET; the connection goes on with the next request."""
        with connect(shared_server) as connection:
            for path in self.paths(merchant):
                connection.sendall(raw_request("GET", path, key=shared_shop.key))
                status, headers, body = read_answer(connection, "GET")
                connection.sendall(raw_request("HEAD", path, key=shared_shop.key))
                head = read_head(connection).decode()
                fields = dict(line.lower().split(": ", 1) for line in head.rstrip().split("\r\n")[1:])
                assert head.split(" ")[1] == str(status), path
                assert fields["content-length"] == str(len(body)) == headers["content-length"], path
                assert fields.get("content-type") == headers.get("content-type", "").lower(), path
                assert "transfer-encoding" not in fields
                # Were there a body, it would be read as the next answer.
            connection.sendall(raw_request("GET", "/healthz"))
            assert read_answer(connection, "GET")[0] == 200

    def test_of_a_streamed_answer(self, shared_server, shared_shop, merchant):
        """A ledger as a file has no length: the head alone, and the connection goes on."""
        job, _ = merchant.dispatch(window(303, before_s=3000))
        with connect(shared_server) as connection:
            for kind in ("csv", "ndjson"):
                connection.sendall(raw_request("HEAD", f"{RESEND}/{job}/items?format={kind}", key=shared_shop.key))
                head = read_head(connection).lower()
                assert head.startswith(b"http/1.1 200 ") and b"content-length" not in head
                connection.sendall(raw_request("GET", "/healthz"))
                assert read_answer(connection, "GET")[0] == 200

    def test_of_metrics(self, shared_server, shared_shop):
        with connect(shared_server) as connection:
            connection.sendall(raw_request("HEAD", "/metrics", key=shared_shop.operator_key))
            assert read_head(connection).startswith(b"HTTP/1.1 200 ")
            connection.sendall(raw_request("GET", "/healthz"))
            assert read_answer(connection, "GET")[0] == 200

    def test_a_live_stream_is_not_opened(self, house, shop):
        """More HEADs than there are places for streams, and a place is left."""
        server = house.serve()
        client = server.client(shop.key)
        job, _ = client.dispatch(window(303))
        browser = server.client()
        token = browser.get("/dashboard").text.split('name="token" value="')[1].split('"')[0]
        # The cookie is for https only where the public URL is https; here it is not.
        answer = browser.request(
            "POST", "/dashboard/sign-in", data={"key": shop.key, "token": token}, allow_redirects=False)
        assert answer.status_code == 303
        for _ in range(210):
            answer = browser.request("HEAD", f"/dashboard/jobs/{job}/events")
            assert (answer.status_code, answer.content) == (200, b"")
        answer = browser.request("GET", f"/dashboard/jobs/{job}/events", stream=True)
        assert answer.status_code == 200
        answer.close()

    def test_what_cannot_be_read_has_no_body_either(self, shared_server):
        """The answer to a HEAD without a host: its head, then the end."""
        with connect(shared_server) as connection:
            connection.sendall(b"HEAD /healthz HTTP/1.1\r\n\r\n")
            assert read_head(connection).startswith(b"HTTP/1.1 400 ")
            assert rest_of(connection) == b""


EXPECTS = {"Expect": "100-continue", "Content-Type": "application/json"}


class TestExpect:
    def waiting(self, shared_shop, path=PAYMENTS, length=None, key=None, method="POST", **headers):
        body = json.dumps(payout_body()).encode()
        fields = EXPECTS | {"Content-Length": str(len(body) if length is None else length)} | headers
        return raw_request(method, path, key=key or shared_shop.key, headers=fields), body

    def test_continue_comes_before_the_body(self, shared_server, shared_shop):
        """RFC 9110 10.1.1: once the head passed its checks; then the body, then the answer, and the next request."""
        with connect(shared_server) as connection:
            for _ in range(2):
                head, body = self.waiting(shared_shop)
                connection.sendall(head)
                assert read_head(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
                connection.sendall(body)
                status, headers, _ = read_answer(connection)
                assert status == 201 and "connection" not in headers

    def test_curl_does_not_wait(self, shared_server, shared_shop, tmp_path):
        """curl asks for large bodies, and waits a second for an answer that never comes."""
        body = tmp_path / "body.json"
        body.write_text(json.dumps(payout_body(description="x" * 200)).ljust(MEBIBYTE))
        started = time.monotonic()
        done = subprocess.run(
            ["curl", "-s", "-o", tmp_path / "answer", "-w", "%{http_code}", shared_server.url + PAYMENTS,
             "-H", f"Authorization: Bearer {shared_shop.key}", "-H", "Expect: 100-continue",
             "-H", "Content-Type: application/json", "--expect100-timeout", "120", "--data-binary", f"@{body}"],
            capture_output=True, text=True, timeout=300)
        assert done.stdout == "201", done
        assert time.monotonic() - started < 100, "curl waited"

    @pytest.mark.parametrize(
        "case, status",
        [
            ({"path": "/nowhere"}, 404), ({"method": "PUT"}, 405), ({"key": "rnv_000000000000_" + "0" * 64}, 401),
            ({"path": TRANSITIONS}, 403), ({"Content-Type": "text/plain"}, 415), ({"Content-Encoding": "gzip"}, 415),
            ({"length": MEBIBYTE + 1}, 413),
        ],
        ids=["path", "method", "key", "scope", "type", "coding", "length"],
    )
    def test_a_head_that_fails_is_answered_at_once(self, shared_server, shared_shop, case, status):
        """C 4.4: the final status without the body being sent; the connection then ends, so that nothing of a body that
        may still come is read as a request."""
        head, _ = self.waiting(shared_shop, **case)
        with connect(shared_server) as connection:
            connection.sendall(head)
            code, headers, body = read_answer(connection)
            assert code == status and list(json.loads(body))[0] == "message"
            assert headers["connection"] == "close"
            assert rest_of(connection) == b""

    def test_a_resend_is_read_before_it_is_judged(self, shared_server, shared_shop):
        """C 4.4: whether it is a dry run is in the body."""
        body = json.dumps(window(303, dry_run=True)).encode()
        head = raw_request("POST", RESEND, key=shared_shop.key, headers=EXPECTS | {"Content-Length": str(len(body))})
        with connect(shared_server) as connection:
            connection.sendall(head)
            assert read_head(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body)
            assert read_answer(connection)[0] == 200

    def test_chunks(self, shared_server, shared_shop):
        body = json.dumps(payout_body()).encode()
        head = raw_request(
            "POST", PAYMENTS, key=shared_shop.key, headers=EXPECTS | {"Transfer-Encoding": "chunked"})
        with connect(shared_server) as connection:
            connection.sendall(head)
            assert read_head(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            assert read_answer(connection)[0] == 201

    def test_whoever_does_not_wait_gets_one_answer(self, shared_server, shared_shop):
        """A body that came with its head needs no 100; a client that gets one all the same passes over it."""
        head, body = self.waiting(shared_shop)
        with connect(shared_server) as connection:
            connection.sendall(head + body)
            assert read_answer(connection)[0] == 201
            connection.sendall(raw_request("GET", "/healthz"))
            assert read_answer(connection, "GET")[0] == 200

    def test_without_a_body_nothing_is_continued(self, shared_server, shared_shop):
        for path, method in (("/healthz", "GET"), (f"{PAYMENTS}/999999/cancel", "POST")):
            with connect(shared_server) as connection:
                connection.sendall(raw_request(method, path, key=shared_shop.key, headers={"Expect": "100-continue"}))
                assert read_head(connection).startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 404 "))

    @pytest.mark.parametrize("expectation", ["200-ok", "100-continue, more", "x=y", "nonsense"])
    def test_other_expectations(self, shared_server, shared_shop, expectation):
        """417, and nothing is made."""
        head, body = self.waiting(shared_shop, Expect=expectation)
        status, headers, shown = exchange(shared_server, head + body)
        assert status == 417 and list(json.loads(shown)) == ["message"] and headers["connection"] == "close"

    def test_the_case_does_not_matter(self, shared_server, shared_shop):
        head, body = self.waiting(shared_shop, Expect="100-Continue")
        with connect(shared_server) as connection:
            connection.sendall(head)
            assert read_head(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body)
            assert read_answer(connection)[0] == 201

    @pytest.mark.parametrize("expectation", ["100-continue", "200-ok"])
    def test_http_1_0_has_no_expectations(self, shared_server, shared_shop, expectation):
        head, body = self.waiting(shared_shop, Expect=expectation)
        with connect(shared_server) as connection:
            connection.sendall(head.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"))
            assert is_silent(connection)
            connection.sendall(body)
            assert read_answer(connection)[0] == 201

    def test_a_form_of_the_dashboard(self, shared_server):
        form = b"key=x&token=y"
        head = raw_request("POST", "/dashboard/sign-in", headers={
            "Expect": "100-continue", "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": str(len(form))})
        with connect(shared_server) as connection:
            connection.sendall(head)
            assert read_head(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(form)
            assert read_answer(connection)[0] == 403


HOST = {"host": ["The Host header must be given exactly once, as a host and an optional port."]}


class TestHost:
    @pytest.mark.parametrize(
        "lines",
        [
            b"", b"Host: a.example\r\nHost: a.example\r\n", b"Host: a.example\r\nhOST: b.example\r\n", b"Host:\r\n",
            b"Host: a.example, b.example\r\n", b"Host: a.example,b.example\r\n", b"Host: user@a.example\r\n",
            b"Host: a.example/path\r\n", b"Host: http://a.example\r\n", b"Host: a.example:port\r\n",
            b"Host: a.example:99999\r\n", b"Host: a b\r\n", b"Host: [::1\r\n", b"Host: []\r\n", b"Host: [::1]x\r\n",
            b"Host: :80\r\n", b"Host: a\"b\r\n", b"Host: a\\b\r\n", b"Host: a?b\r\n", b"Host: a#b\r\n",
        ],
        ids=lambda lines: repr(lines)[:40],
    )
    def test_missing_repeated_or_invalid(self, shared_server, lines):
        """RFC 9112 3.2: 400, and the connection ends; what follows on it is not processed."""
        more = raw_request("GET", "/healthz")
        for start in (b"GET /healthz HTTP/1.1\r\n", b"POST /v2/payout/payments HTTP/1.1\r\nContent-Length: 0\r\n"):
            with connect(shared_server) as connection:
                connection.sendall(start + lines + b"\r\n" + more)
                status, headers, body = read_answer(connection)
                assert (status, json.loads(body)) == (400, {"message": "Bad request.", "errors": HOST})
                assert headers["connection"] == "close" and headers["content-type"] == "application/json"
                assert headers["x-request-id"]
                assert rest_of(connection) == b""

    @pytest.mark.parametrize(
        "host", ["a.example", "a.example:8080", "a.example:", "127.0.0.1:80", "[::1]", "[::1]:8080", "localhost", "A_b-c.x"])
    def test_what_is_a_host(self, shared_server, host):
        assert exchange(shared_server, raw_request("GET", "/healthz", headers={"Host": host}), "GET")[0] == 200

    def test_http_1_0_needs_none(self, shared_server):
        assert exchange(shared_server, b"GET /healthz HTTP/1.0\r\n\r\n", "GET")[0] == 200
        assert exchange(shared_server, b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "GET")[0] == 400

    def test_behind_an_answer_that_is_still_owed(self, shared_server, shared_shop):
        """The request before it is answered first."""
        good = raw_request("GET", f"{PAYMENTS}/999999", key=shared_shop.key)
        with connect(shared_server) as connection:
            connection.sendall(good + b"GET /healthz HTTP/1.1\r\n\r\n")
            assert read_one_answer(connection)[0] == 404
            assert read_one_answer(connection)[0] == 400


class TestTargets:
    @pytest.mark.parametrize(
        "target, status",
        [
            ("http://other.example/healthz", 200), ("HTTP://other.example:81/healthz", 200),
            ("https://other.example/healthz?x=1", 200), ("http://other.example", 200),
            ("http://other.example?x=1", 200), ("http://other.example//healthz", 404), ("http://user@x.example/", 400),
            ("http:///healthz", 400),
        ],
    )
    def test_absolute_form(self, shared_server, target, status):
        """RFC 9112 3.2.2: taken; its host is not looked at, but must be one."""
        assert exchange(shared_server, raw_request("GET", target), "GET")[0] == status

    @pytest.mark.parametrize(
        "path", ["//v2/payout/payments", "/v2//payout/payments", "/v2/./payout/payments", "/v2/payout%2Fpayments",
                 "/v2/x/../payout/payments", "/v2/payout/payments/", "//", "/healthz/"])
    def test_other_spellings_name_nothing(self, shared_server, shared_shop, path):
        for method, body in (("GET", b""), ("POST", json.dumps(payout_body()).encode())):
            answer = exchange(shared_server, raw_request(method, path, body, shared_shop.key), method)
            assert said(answer) == (404, {"message": "Not found."})

    def test_a_key_belongs_to_the_route(self, shared_server, shared_shop):
        """C 13.8: neither a query nor another spelling of the path makes another request of it."""
        body = json.dumps(payout_body()).encode()
        headers = {"Idempotency-Key": "spelled"}
        ids = set()
        for path in (PAYMENTS, PAYMENTS + "?a=1", "/v2/payout/payment%73", f"http://other.example{PAYMENTS}"):
            answer = exchange(shared_server, raw_request("POST", path, body, shared_shop.key, headers))
            assert answer[0] == 201
            ids.add(json.loads(answer[2])["id"])
        assert len(ids) == 1


class TestConnections:
    def test_close_is_answered_with_close(self, shared_server):
        """RFC 9112 9.6."""
        for value in ("close", "Close", "keep-alive, close"):
            with connect(shared_server) as connection:
                connection.sendall(raw_request("GET", "/healthz", headers={"Connection": value}))
                status, headers, _ = read_answer(connection, "GET")
                assert status == 200 and headers["connection"] == "close"
                assert rest_of(connection) == b""

    def test_http_1_0_ends_with_its_answer(self, shared_server, shared_shop, merchant):
        """No chunks for whoever cannot read them; `keep-alive` is answered."""
        job, _ = merchant.dispatch(window(303, before_s=2500))
        request = raw_request("GET", f"{RESEND}/{job}/items?format=csv", key=shared_shop.key)
        with connect(shared_server) as connection:
            connection.sendall(request.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n"))
            head = read_head(connection).lower()
            assert b"transfer-encoding" not in head and b"connection: close" in head
            assert rest_of(connection).startswith(b"payout_id,")
        with connect(shared_server) as connection:
            for _ in range(2):
                connection.sendall(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                status, headers, _ = read_answer(connection, "GET")
                assert status == 200 and headers["connection"].lower() == "keep-alive"

    def test_a_body_that_goes_on_is_cut_off(self, shared_server, shared_shop):
        """413 closes; whoever goes on sending reads the answer first."""
        headers = {"Content-Length": str(64 * MEBIBYTE), "Content-Type": "application/json"}
        with connect(shared_server) as connection:
            connection.sendall(raw_request("POST", PAYMENTS, key=shared_shop.key, headers=headers))
            status, shown, _ = read_answer(connection)
            assert status == 413 and shown["connection"] == "close"
            with pytest.raises(OSError):
                for _ in range(200):
                    connection.sendall(b" " * MEBIBYTE)

    def test_whoever_sends_slowly_reads_its_answer(self, shared_server, shared_shop):
        """A client that looks for the answer only when its body is sent, which takes it two seconds."""
        headers = {"Content-Length": str(4 * MEBIBYTE), "Content-Type": "application/json"}
        with connect(shared_server) as connection:
            connection.sendall(raw_request("POST", PAYMENTS, key=shared_shop.key, headers=headers))
            for _ in range(16):
                connection.sendall(b" " * (MEBIBYTE // 4))
                time.sleep(0.125)
            assert read_one_answer(connection)[0] == 413
            assert connection.recv(1) == b""

    def test_pipelined_requests_are_answered_in_order(self, shared_server, shared_shop):
        with connect(shared_server) as connection:
            connection.sendall(
                raw_request("HEAD", "/healthz") + raw_request("GET", "/nowhere") + raw_request("GET", "/healthz"))
            assert read_head(connection).startswith(b"HTTP/1.1 200 ")
            assert read_one_answer(connection)[0] == 404
            assert read_one_answer(connection)[0] == 200


class TestBodies:
    def test_gzip(self, shared_server, shared_shop):
        """C 10: 415 where it says so; where it does not, a 400 that recognises it."""
        body = gzip.compress(json.dumps(payout_body()).encode())
        answer = exchange(
            shared_server, raw_request("POST", PAYMENTS, body, shared_shop.key, {"Content-Encoding": "gzip"}))
        assert said(answer) == (
            415, {"message": "The request body must be sent as it is, without a Content-Encoding."})
        assert said(exchange(shared_server, raw_request("POST", PAYMENTS, body, shared_shop.key))) == (
            400, {"message": "Malformed JSON body.", "errors": {"body": ["The body is compressed (gzip), not JSON."]}})

    def test_a_body_cut_short(self, shared_server, shared_shop):
        """The client said more than it sent, and ended its side."""
        with connect(shared_server) as connection:
            connection.sendall(
                raw_request("POST", PAYMENTS, b"{", shared_shop.key, {"Content-Length": "100"}))
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
            first = connection.recv(65_536)
            assert first == b"" or first.startswith(b"HTTP/1.1 400"), first

    def test_an_offset_whose_plus_was_not_escaped(self, shared_house, shared_shop, shared_server):
        """C 7.4: decoded as a blank, and meant as a plus."""
        token = token_of(sign_in(shared_server, new_user(shared_house, shared_shop.account_id, id=911)))
        client = shared_server.client(token)
        for date in ("2026-05-12T10:30:00+00:00", "2026-05-12T10:30:00%2B00:00", "2026-05-12T10:30:00Z"):
            answer = client.get(f"/v3/webhooks/resend?cursor_datetime={date}&cursor_id=1")
            assert answer.status_code == 200, (date, answer.text)


def make_certificate(folder, name="server"):
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=30)
    return certificate, key


def shown_certificate(server):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connect(server)) as connection:
        return connection.getpeercert(binary_form=True)


class TestTLS:
    """The same over a connection that is encrypted by the server itself."""

    @pytest.mark.parametrize("asked", [False, True], ids=["by itself", "SIGHUP"])
    def test_a_renewed_certificate_is_shown(self, house, shop, tmp_path, asked):
        """A key that does not fit yet changes nothing; then new connections get the new one, old ones go on."""
        certificate, key = make_certificate(tmp_path)
        server = house.serve(REENVIO_TLS_CERT=str(certificate), REENVIO_TLS_KEY=str(key))
        first = shown_certificate(server)
        new, new_key = make_certificate(tmp_path, "new")
        context = ssl.create_default_context(cafile=certificate)
        with context.wrap_socket(connect(server), server_hostname="127.0.0.1") as old:
            new.replace(certificate)
            if asked:
                server.process.send_signal(signal.SIGHUP)
            eventually(lambda: shown_certificate(server) and "cannot be read again" in server.log_text(), "it is said")
            assert shown_certificate(server) == first
            new_key.replace(key)
            if asked:
                server.process.send_signal(signal.SIGHUP)
            eventually(lambda: shown_certificate(server) != first, "the new certificate is shown")
            old.sendall(raw_request("GET", "/healthz"))
            assert read_one_answer(old)[0] == 200

    def test_browsers_are_told_to_stay_with_https(self, house, shop):
        plain = house.serve(REENVIO_PUBLIC_URL="https://pay.example")
        for path in ("/healthz", "/dashboard", "/nowhere", PAYMENTS):
            assert plain.client().get(path).headers["strict-transport-security"] == "max-age=31536000"
        plain.stop()
        assert "strict-transport-security" not in house.serve().client().get("/healthz").headers

    def test_heads_bodies_and_ends(self, house, shop, tmp_path):
        certificate, key = make_certificate(tmp_path)
        server = house.serve(REENVIO_TLS_CERT=str(certificate), REENVIO_TLS_KEY=str(key))
        context = ssl.create_default_context(cafile=certificate)
        body = json.dumps(payout_body()).encode()
        waiting = raw_request("POST", PAYMENTS, key=shop.key, headers=EXPECTS | {"Content-Length": str(len(body))})
        with context.wrap_socket(connect(server), server_hostname="127.0.0.1") as connection:
            connection.sendall(raw_request("HEAD", "/docs"))
            assert read_head(connection).startswith(b"HTTP/1.1 200 ")
            connection.sendall(waiting)
            assert read_head(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body)
            assert read_one_answer(connection)[0] == 201
            connection.sendall(raw_request("GET", "/healthz", headers={"Connection": "close"}))
            assert read_one_answer(connection)[1]["connection"] == "close"
            assert connection.recv(1) == b"", "the end is announced, too"
        with context.wrap_socket(connect(server), server_hostname="127.0.0.1") as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            assert read_one_answer(connection)[0] == 400
            assert connection.recv(1) == b""
