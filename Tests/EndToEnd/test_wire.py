"""Deliveries over real sockets: what is sent, what is made of answers that are not as they should be, and what this
machine's own shortages cost (contract 3.2 to 3.4, 13.10, 13.13)."""

import gzip
import json
import resource
import zlib

import pytest

from harness.binary import BINARY
from harness.client import connect, create_payouts, paid_payouts
from harness.delivery_log import first_attempt, log_of, paid
from harness.metrics import sample
from harness.mirror import Mirror
from harness.peers import Crowd, Peer
from harness.receiver import Receiver
from harness.waiting import eventually
from test_notices import SECRET, ear, heard  # noqa: F401  (a fixture)

PING = "/v2/merchants/303/ping"


@pytest.fixture
def server(house, shop):
    return house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")


@pytest.fixture
def merchant(server, shop):
    return server.client(shop.key)


@pytest.fixture
def operator(server, shop):
    return server.client(shop.operator_key)


@pytest.fixture
def peer():
    """A receiver that answers with these bytes; the connection stays open unless they say otherwise."""
    peers = []

    def answering(data, closes=True):
        def react(connection):
            connection.sendall(data)
            if not closes:
                connection.recv(1)

        peers.append(Peer(react))
        return peers[-1].url()

    yield answering
    for one in peers:
        one.close()


class TestRequest:
    def test_every_request_accepts_anything(self, house, shop, receiver, ear):  # noqa: F811
        """Webhooks, retries, resends, pings and notices."""
        server = house.serve(
            REENVIO_RETRY_SCHEDULE="0s,0s", REENVIO_OPERATOR_WEBHOOK=ear.url(), REENVIO_OPERATOR_WEBHOOK_SECRET=SECRET)
        merchant, operator = server.client(shop.key), server.client(shop.operator_key)
        receiver.answers = [404]
        payout_id = paid(merchant, operator, receiver.url())
        receiver.wait_for_acknowledged(1)
        merchant.expect(202, "POST", f"/v2/payout/payments/{payout_id}/notifications/resend")
        receiver.wait_for_acknowledged(2)
        merchant.expect(200, "POST", PING, {"url": receiver.url("/ping")})
        receiver.default = 404
        paid(merchant, operator, receiver.url())
        ear.wait_for(1)
        for one in receiver.received + ear.received:
            assert one.headers["accept"] == "*/*", one.path
        assert receiver.count >= 6

    def test_events_of_v3_accept_anything(self, house):
        mirror = Mirror(house)
        server = house.serve()
        user = mirror.sign_in(server)
        receiver = Receiver()
        receiver.trust(mirror.secret)
        try:
            user.register(receiver.url(), "CASHOUT")
            paid_payouts(server, mirror, 1, receiver.url("/payout"))
            receiver.wait_for(2)
            assert {one.headers["accept"] for one in receiver.received} == {"*/*"}
        finally:
            receiver.close()


class TestURLs:
    @pytest.mark.parametrize("given, sent", [
        ("/ação?q=não", "/a%C3%A7%C3%A3o?q=n%C3%A3o"), ("/a%C3%A9", "/a%C3%A9"), ("/100%", "/100%25"),
        ("/{id}|x", "/%7Bid%7D%7Cx"),
    ])
    def test_any_script_and_character(self, merchant, operator, receiver, given, sent):
        """The payout is answered with its URL as it was given; the receiver sees it percent-encoded."""
        url = receiver.url(given)
        payout_id = paid(merchant, operator, url)
        assert merchant.payout(payout_id)["notification_url"] == url
        assert receiver.wait_for_acknowledged(1)[0].path == sent
        assert log_of(merchant, payout_id)[0]["deliveries"][0]["url"] == url
        assert merchant.expect(200, "POST", PING, {"url": url})["acknowledged"]

    def test_a_host_in_another_script_is_taken(self, merchant, operator):
        payout = merchant.create_payout(notification_url="https://Café.example/hook")
        assert payout["notification_url"] == "https://Café.example/hook"
        operator.transition(payout["id"], 3)
        _, attempt = first_attempt(merchant, payout["id"])
        assert attempt["reason"] == "name_not_resolved"
        (row,) = merchant.expect(200, "GET", "/v2/receivers?merchant_id=303")["data"]
        assert row["receiver"] == "https://xn--caf-dma.example:443"

    def test_what_is_refused_is_named(self, merchant):
        for url, rule in [
            ("https://user:pw@a.example/", "must not contain user info"), ("ftp://a.example/", "must be an https URL"),
            ("https://a.example:0/", "must be a URL with a port from 1 to 65535"),
            ("https:///x", "must be a URL with a host"), ("https://10.0.0.1/", "must be an https URL with a public host"),
        ]:
            for path, body, field in [
                ("/v2/payout/payments", {"notification_url": url}, "notification_url"), (PING, {"url": url}, "url"),
            ]:
                errors = merchant.expect(422, "POST", path, body)["errors"]
                assert errors[field] == [f"The {field} field {rule}."]

    def test_the_operators_own_url(self, house, shop):
        done = house.run(
            "check", REENVIO_OPERATOR_WEBHOOK="https://me:pw@ops.example/", REENVIO_OPERATOR_WEBHOOK_SECRET=SECRET)
        assert done.returncode == 1
        assert "REENVIO_OPERATOR_WEBHOOK must not contain user info" in done.stdout + done.stderr
        done = house.run(
            "check", REENVIO_OPERATOR_WEBHOOK="https://opções.example/", REENVIO_OPERATOR_WEBHOOK_SECRET=SECRET)
        assert done.returncode == 0, done.stderr


class TestAnswers:
    @pytest.mark.parametrize("answer", [
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * (17 << 10) + b"\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 129 + b"content-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * (128 << 10) + b"\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nno field at all\r\n\r\n", b"HTTP/1.1 200\r\ncontent-length: 1, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot a chunk", b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-len", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20 + b"HTTP/1.1 200 OK\r\n\r\n",
    ])
    def test_a_200_stands_whatever_is_wrong_after(self, merchant, operator, peer, answer):
        delivery, attempt = first_attempt(merchant, paid(merchant, operator, peer(answer)))
        assert (attempt["status_code"], attempt["reason"]) == (200, None)
        assert delivery["state"] == "acknowledged"

    @pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b'{"ok":true}', b"HTTP/2 200\r\n\r\n", b"200 OK\r\n"])
    def test_what_is_no_http_is_malformed(self, merchant, operator, peer, answer):
        _, attempt = first_attempt(merchant, paid(merchant, operator, peer(answer)))
        assert (attempt["status_code"], attempt["reason"]) == (None, "malformed_response")

    def test_answers_are_shown_as_text(self, merchant, operator, peer):
        text = json.dumps({"error": "conta não existe"}, ensure_ascii=False)
        for header, body in [
            ("content-encoding: gzip", gzip.compress(text.encode())),
            ("content-encoding: deflate", zlib.compress(text.encode())),
            ("content-type: text/plain; charset=ISO-8859-1", text.encode("latin-1")),
            ("content-type: text/plain; charset=utf-16", text.encode("utf-16")),
            ("content-type: text/html; charset=windows-1252\r\ncontent-encoding: gzip", gzip.compress(text.encode("cp1252"))),
        ]:
            url = peer(f"HTTP/1.1 502 No\r\n{header}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            _, attempt = first_attempt(merchant, paid(merchant, operator, url))
            assert (attempt["status_code"], attempt["answer"]) == (502, text), header
            assert merchant.expect(200, "POST", PING, {"url": url})["answer"] == text

    def test_a_bomb_costs_nothing(self, merchant, operator, peer):
        bomb = gzip.compress(b"0" * (50 << 20))
        url = peer(
            f"HTTP/1.1 500 No\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n".encode() + bomb)
        _, attempt = first_attempt(merchant, paid(merchant, operator, url))
        assert (attempt["status_code"], attempt["answer"]) == (500, "0" * 1000)

    def test_a_redirect_says_where_to(self, merchant, operator, peer):
        location = "https://user:secret@shop.example/new?token=t#x"
        url = peer(f"HTTP/1.1 308 Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode())
        _, attempt = first_attempt(merchant, paid(merchant, operator, url))
        assert (attempt["status_code"], attempt["location"]) == (308, "https://shop.example/new")
        pinged = merchant.expect(200, "POST", PING, {"url": url})
        assert (pinged["status_code"], pinged["location"]) == (308, "https://shop.example/new")


class TestShortage:
    LIMIT = 256
    RECEIVERS = 400

    @pytest.fixture
    def crowd(self):
        crowd = Crowd(250), Crowd(self.RECEIVERS - 250, prefix="127.0.79.")
        yield crowd
        for one in crowd:
            one.close()

    @pytest.mark.parametrize("callers", [0, 120])
    def test_few_open_files_spend_no_attempt(self, house, shop, crowd, callers):
        """400 receivers at once, and 256 open files for all of the server: hard limit too, so that nothing can be raised.
        With many callers connected even what deliveries leave to others is used up."""
        command = ["prlimit", f"--nofile={self.LIMIT}:{self.LIMIT}", str(BINARY), "serve"]
        server = house.serve(command=command, REENVIO_LOG="info", REENVIO_RETRY_SCHEDULE="0s,1h")
        urls = [url for one in crowd for url in one.urls()]
        operator = server.client(shop.operator_key)

        def arrived():
            return sum(len(one.arrived) for one in crowd)

        # Of receivers that are known to be well, all are called at once.
        for number, tag in enumerate(("first", "second")):
            ids = create_payouts(server, shop, self.RECEIVERS, urls, tag, connections=16)
            operator.transition_all(ids, 3)
            eventually(
                lambda: arrived() == (number + 1) * self.RECEIVERS, f"every {tag} webhook arrived", within=60)
            if number == 0:
                connected = [connect(server) for _ in range(callers)]
                for one in crowd:
                    one.pause_s = 2.0
        for one in connected:
            one.close()
        eventually(lambda: house.one("SELECT count(*) FROM attempts") == 2 * self.RECEIVERS, "every attempt is written")
        assert house.rows("SELECT DISTINCT number, status_code FROM attempts") == [(1, 200)]
        assert house.one("SELECT count(*) FROM receivers WHERE broken_at IS NOT NULL") == 0
        put_off = sample(operator, "reenvio_sender_shortages_total", resource="descriptors")
        assert put_off > 0, "the limit was never met"
        lines = [json.loads(line) for line in server.log_text().splitlines()]
        short = [one for one in lines if one["message"].startswith("this machine is short of")]
        assert len(short) == 1 and short[0]["short_of"] == "descriptors", "one line a minute"
        (limit,) = [one for one in lines if one["message"].startswith("the limit of open files")]
        assert (limit["level"], limit["open_files"]) == ("warning", str(self.LIMIT))

    def test_the_soft_limit_is_raised(self, house, shop):
        hard = min(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        server = house.serve(command=["prlimit", f"--nofile=1024:{hard}", str(BINARY), "serve"], REENVIO_LOG="info")
        lines = [json.loads(line) for line in server.log_text().splitlines()]
        (limit,) = [one for one in lines if one["message"].startswith("the limit of open files")]
        assert (limit["level"], limit["open_files"]) == ("info" if hard >= 4096 else "warning", str(hard))
        limits = open(f"/proc/{server.process.pid}/limits").read()
        assert [line for line in limits.splitlines() if line.startswith("Max open files")][0].split()[3] == str(hard)
