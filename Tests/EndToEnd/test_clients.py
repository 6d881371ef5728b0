"""Clients that we did not write, and habits of clients on the wire: curl, requests, keep-alive, chunks, pipelines, TLS.
What a merchant's own program does is in test_client_programs.py, the whole story with curl in test_pages.py."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from harness.bodies import payout_body
from harness.client import PAYMENTS, RESEND, connect, raw_request, read_answer


def curl(*arguments, stdin=None):
    """Runs curl; returns what it printed."""
    done = subprocess.run(
        ["curl", "-q", "--silent", "--show-error", "--max-time", "30", "--noproxy", "*", *map(str, arguments)],
        input=stdin, capture_output=True, timeout=60,
    )
    assert done.returncode == 0, f"curl: exit {done.returncode}, {done.stderr.decode()}"
    return done.stdout.decode()


def bearer(key):
    return ["-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json"]


class TestCurl:
    def test_uses_one_connection_for_many_requests(self, shared_server, shared_shop):
        """Keep-alive, after answers of every kind."""
        url = shared_server.url
        paths = ["/healthz", f"{PAYMENTS}/1", "/nowhere", f"{PAYMENTS}/1/transition", f"{RESEND}/x", "/readyz"]
        arguments = []
        for path in paths:
            arguments += ["-o", "/dev/null", url + path]
        shown = curl(*bearer(shared_shop.key), "-w", "%{http_code} %{num_connects}\n", *arguments)
        codes, connects = zip(*(line.split() for line in shown.splitlines()))
        assert codes[0] == "200" and codes[2:] == ("404", "405", "404", "200")
        assert sum(map(int, connects)) == 1

    def test_sends_chunks_and_waits_for_100(self, shared_server, shared_shop):
        """`Transfer-Encoding: chunked` from a pipe; `Expect: 100-continue` before a body."""
        url = shared_server.url + PAYMENTS
        for more in (["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"], ["--http1.0"]):
            text = curl(
                *bearer(shared_shop.key), *more, "-w", " %{http_code}", "--data-binary", "@-", url,
                stdin=json.dumps(payout_body()).encode(),
            )
            assert text.endswith(" 201"), (more, text)

    def test_sees_a_body_refused_for_its_size(self, shared_server, shared_shop):
        """C 10: 413 reaches a client that is still sending."""
        at_once, chunked = ["-H", "Expect:"], ["-H", "Transfer-Encoding: chunked"]
        for more in ([], at_once, chunked, chunked + at_once):
            shown = curl(
                *bearer(shared_shop.key), *more, "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-",
                shared_server.url + PAYMENTS, stdin=b" " * (3 << 20),
            )
            assert shown == "413", more

    def test_speaks_tls_to_the_server(self, house, shop, tmp_path):
        """REENVIO_TLS_CERT, REENVIO_TLS_KEY: curl and requests trust the certificate, and nothing is spoken in clear."""
        certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=reenvio", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True, timeout=30,
        )
        server = house.serve(REENVIO_TLS_CERT=str(certificate), REENVIO_TLS_KEY=str(key))
        url = f"https://{server.address}"
        show_code = ["-o", "/dev/null", "-w", "%{http_code}"]
        assert curl("--cacert", certificate, *bearer(shop.key), *show_code, f"{url}{PAYMENTS}/1") == "404"
        assert requests.get(f"{url}/healthz", verify=certificate, timeout=10).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{url}/healthz", timeout=10)
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.get(f"http://{server.address}/healthz", timeout=10)

        def handshake(*options):
            done = subprocess.run(
                ["openssl", "s_client", "-connect", server.address, "-CAfile", certificate, *options],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
            return done.returncode == 0 and "Verify return code: 0 (ok)" in done.stdout

        assert handshake("-tls1_3") and handshake("-tls1_2")
        assert handshake("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
        # The client is willing to use what the server must refuse.
        for old in (["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
                    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"]):
            cipher = [] if "-cipher" in old else ["-cipher", "ALL:@SECLEVEL=0"]
            assert not handshake(*old, *cipher), old


class TestRequests:
    def test_reads_json_with_its_length(self, merchant):
        """Every answer is JSON with a length, and carries a request id of its own."""
        answers = [merchant.get(path) for path in ("/healthz", f"{PAYMENTS}/1", "/nowhere", f"{RESEND}/x")]
        for answer in answers:
            assert answer.headers["content-type"].startswith("application/json")
            assert int(answer.headers["content-length"]) == len(answer.content)
            answer.json()
        assert len({answer.headers["x-request-id"] for answer in answers}) == 4

    def test_sees_a_body_refused_for_its_size(self, shared_server, shared_shop):
        """C 10: 413, also for a client that reads only when it has sent everything, and on its next connection all is
        well."""
        for size in ((1 << 20) + 1, 2 << 20, 8 << 20):
            client = shared_server.client(shared_shop.key)
            answer = client.request("POST", PAYMENTS, data=b" " * size, headers={"Content-Type": "application/json"})
            assert answer.status_code == 413, size
            assert client.create_payout()["id"]


class TestOnTheWire:
    def test_requests_in_a_pipeline_are_answered_in_order(self, shared_server, shared_shop):
        """RFC 9112, 9.3.2."""
        paths = ["/healthz", "/nowhere", f"{PAYMENTS}/999999", "/readyz"]
        with connect(shared_server) as connection:
            connection.sendall(b"".join(raw_request("GET", path, key=shared_shop.key) for path in paths))
            reading = connection.makefile("rb")
            codes = []
            for _ in paths:
                codes.append(int(reading.readline().split()[1]))
                length = 0
                while (line := reading.readline().strip().lower()) != b"":
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                reading.read(length)
        assert codes == [200, 404, 404, 200]

    def test_a_request_byte_by_byte(self, shared_server, shared_shop):
        body = json.dumps(payout_body()).encode()
        with connect(shared_server) as connection:
            for byte in raw_request("POST", PAYMENTS, body, shared_shop.key):
                connection.sendall(bytes([byte]))
            assert read_answer(connection)[0] == 201

    def test_a_client_that_leaves_in_the_middle(self, shared_server, shared_shop):
        """Half a request, then nothing: the server goes on."""
        body = json.dumps(payout_body()).encode()
        request = raw_request("POST", PAYMENTS, body, shared_shop.key)
        for cut in (5, 40, len(request) - 1):
            with connect(shared_server) as connection:
                connection.sendall(request[:cut])
        assert shared_server.client(shared_shop.key).create_payout()["id"]

    def test_many_open_connections(self, shared_server, shared_shop):
        """Two hundred that say nothing take no place from one that does."""
        idle = [connect(shared_server) for _ in range(200)]
        try:
            assert shared_server.client(shared_shop.key).create_payout()["id"]
        finally:
            for connection in idle:
                connection.close()

    def test_many_clients_at_once(self, shared_server, shared_shop):
        """Each with its own payout: group commit mixes up nobody's answer (design rule 1)."""

        def story(number):
            client, operator = shared_server.client(shared_shop.key), shared_server.client(shared_shop.operator_key)
            made = client.create_payout(invoice=f"crowd-{number}", amount=number + 1)
            moved = operator.transition(made["id"], 4, rejection_description=f"reason {number}")
            return made["invoice"], moved["id"] == made["id"], moved["amount"], moved["rejection_description"]

        with ThreadPoolExecutor(24) as pool:
            told = list(pool.map(story, range(96)))
        assert told == [(f"crowd-{n}", True, f"R${n + 1}.00", f"reason {n}") for n in range(96)]
