"""The delivery log of a payout (C 13.10), and ids, methods and keys that its endpoints refuse."""

import re

import pytest

from harness.bodies import window
from harness.client import PAYMENTS
from harness.delivery_log import first_attempt, log_of, paid, resend_path, wait_for_states
from harness.peers import Peer, answers, certificate, is_silent, resets, says
from harness.waiting import eventually

ATTEMPT_KEYS = ["number", "at", "duration_ms", "status_code", "reason", "answer", "location"]
DELIVERY_KEYS = ["url", "kind", "resend", "state", "reason", "next_attempt_at", "attempts"]
NOTIFICATION_KEYS = ["webhook_id", "status", "sequence", "created_at", "acknowledged_at", "deliveries"]
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
NO_IDS = [
    "0", "-1", "x", "1.0", "1e3", "%20", "999999999", "9223372036854775807", "9223372036854775808", "9" * 40, "+1",
]


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    """Certificates: one that is trusted but expired, one for another address, and one that nobody trusts."""
    folder = tmp_path_factory.mktemp("certificates")
    made = {
        "tls_expired": certificate(folder, "expired", days=-1),
        "tls_wrong_host": certificate(folder, "elsewhere", address="127.0.0.2"),
        "tls_untrusted": certificate(folder, "unknown"),
    }
    roots = folder / "roots.pem"
    roots.write_text("".join(made[name][0].read_text() for name in ("tls_expired", "tls_wrong_host")))
    return roots, {name: context for name, (_, context) in made.items()}


@pytest.fixture(scope="module")
def server(shared_house, shared_shop, other_shop, trusted):
    return shared_house.serve(REENVIO_RETRY_SCHEDULE="0s,1h", REENVIO_TRUST_ROOTS=str(trusted[0]))


@pytest.fixture(scope="module")
def merchant(server, shared_shop):
    return server.client(shared_shop.key)


@pytest.fixture(scope="module")
def operator(server, shared_shop):
    return server.client(shared_shop.operator_key)


class TestShape:
    def test_every_key_of_an_acknowledged_one(self, merchant, operator, hook):
        """C 13.10, 1.4: keys, types and dates; `answer` is what the receiver said."""
        payout_id = paid(merchant, operator, hook.url())
        (received,) = hook.wait_for(1)
        wait_for_states(merchant, payout_id, "acknowledged")
        (one,) = log_of(merchant, payout_id)
        assert list(one) == NOTIFICATION_KEYS
        assert one["webhook_id"] == received.webhook_id and one["sequence"] == 2
        assert one["status"] == {"id": 3, "name": "Paid"} and list(one["status"]) == ["id", "name"]
        assert DATE.fullmatch(one["created_at"]) and DATE.fullmatch(one["acknowledged_at"])
        (delivery,) = one["deliveries"]
        assert list(delivery) == DELIVERY_KEYS
        assert (delivery["url"], delivery["kind"], delivery["resend"]) == (hook.url(), "live", None)
        assert delivery["next_attempt_at"] is None
        (attempt,) = delivery["attempts"]
        assert list(attempt) == ATTEMPT_KEYS
        assert (attempt["number"], attempt["status_code"], attempt["reason"]) == (1, 200, None)
        assert type(attempt["duration_ms"]) is int and 0 <= attempt["duration_ms"] < 5_000
        assert DATE.fullmatch(attempt["at"])

    def test_nothing_notified(self, merchant, operator, hook):
        """C 1.2, 4.2: creation, a silent status and a payout without URL have no notification."""
        silent = merchant.create_payout(notification_url=hook.url())["id"]
        operator.transition(silent, 2)
        assert log_of(merchant, silent) == []
        assert log_of(merchant, paid(merchant, operator, None)) == []

    def test_newest_first(self, merchant, operator, hook):
        """C 13.10, and C 3.2 for the numbers: silent changes leave gaps."""
        payout_id = merchant.create_payout(notification_url=hook.url())["id"]
        for status_id in (1, 5, 1, 2, 3):
            operator.transition(payout_id, status_id)
        hook.wait_for_acknowledged(4)
        eventually(lambda: all(one["acknowledged_at"] for one in log_of(merchant, payout_id)), "all were acknowledged")
        shown = [(one["sequence"], one["status"]["id"]) for one in log_of(merchant, payout_id)]
        assert shown == [(6, 3), (4, 1), (3, 5), (2, 1)]

    def test_in_flight(self, merchant, operator, hook):
        hook.hold()
        payout_id = paid(merchant, operator, hook.url())
        hook.wait_for(1)
        (delivery,) = wait_for_states(merchant, payout_id, "in_flight")
        assert log_of(merchant, payout_id)[0]["acknowledged_at"] is None
        hook.let_go()
        wait_for_states(merchant, payout_id, "acknowledged")

    def test_waiting_then_acknowledged_elsewhere(self, merchant, operator, hook):
        """C 4.2: the resend's acknowledgement settles the open live delivery; both stand in the log."""
        hook.answers = [500]
        payout_id = paid(merchant, operator, hook.url())
        delivery, _ = first_attempt(merchant, payout_id)
        assert delivery["state"] == "waiting" and DATE.fullmatch(delivery["next_attempt_at"])
        assert delivery["attempts"][0]["reason"] == "http_status"
        job_id, total = merchant.dispatch(window(303, before_s=9000, after_s=1800))
        assert total >= 1
        deliveries = wait_for_states(merchant, payout_id, "acknowledged", "skipped")
        shown = {(one["kind"], one["resend"], one["state"], len(one["attempts"])) for one in deliveries}
        assert shown == {("live", None, "skipped", 1), ("resend", job_id, "acknowledged", 1)}
        assert all(one["next_attempt_at"] is None for one in deliveries)

    def test_stopped(self, merchant, operator, hook):
        """C 3.4: 410."""
        hook.default = 410
        payout_id = paid(merchant, operator, hook.url())
        (delivery,) = wait_for_states(merchant, payout_id, "stopped")
        assert [(one["status_code"], one["reason"]) for one in delivery["attempts"]] == [(410, "gone")]
        assert delivery["next_attempt_at"] is None

    def test_attempts_stand_in_order_until_exhausted(self, house, shop, receiver):
        receiver.default = 500
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,0s,0s,0s")
        client = server.client(shop.key)
        payout_id = paid(client, server.client(shop.operator_key), receiver.url())
        (delivery,) = wait_for_states(client, payout_id, "exhausted")
        assert [one["number"] for one in delivery["attempts"]] in ([1, 2, 3, 4], [4, 3, 2, 1])
        assert delivery["next_attempt_at"] is None


class TestAnswers:
    """C 13.10: `answer` = first 1,000 bytes as text."""

    @pytest.mark.parametrize("body, shown", [
        (b"got it", "got it"),
        (b"x" * 1_000, "x" * 1_000),
        (b"x" * 1_001, "x" * 1_000),
        (b"y" * 60_000, "y" * 1_000),
        ("né\u2028\U0001f600".encode(), "né\u2028\U0001f600"),
        (b'{"quoted":"\\n"}', '{"quoted":"\\n"}'),
    ], ids=["short", "exact", "one-more", "long", "unicode", "json"])
    def test_text(self, merchant, operator, body, shown):
        peer = Peer(answers(500, body))
        _, attempt = first_attempt(merchant, paid(merchant, operator, peer.url()))
        peer.close()
        assert (attempt["status_code"], attempt["reason"], attempt["answer"]) == (500, "http_status", shown)

    @pytest.mark.parametrize("body", [
        b"a\xff\xfeb", b"\xc3(\xed\xa0\x80)", b"\xf0\x9f\x98", b"nul\x00inside", b"\x01\x1b[31m\x7f\r\n\t",
        b"\x80" * 2_000,
        b"z" * 999 + "é".encode() * 10,
    ], ids=["bytes", "surrogate", "cut", "nul", "control", "many", "cut-at-1000"])
    def test_what_is_no_text(self, merchant, operator, body):
        """Broken UTF-8 becomes some text, and never spoils the page; what is ASCII stays."""
        peer = Peer(answers(200, body))
        payout_id = paid(merchant, operator, peer.url())
        _, attempt = first_attempt(merchant, payout_id)
        peer.close()
        raw = merchant.get(f"{PAYMENTS}/{payout_id}/notifications").content
        raw.decode("utf-8")
        kept = body[:1_000].decode("utf-8", errors="replace").replace("\N{REPLACEMENT CHARACTER}", "")
        assert attempt["answer"].replace("\N{REPLACEMENT CHARACTER}", "") == kept
        assert len(attempt["answer"]) <= 1_000

    def test_an_empty_one(self, merchant, operator):
        peer = Peer(answers(500))
        _, attempt = first_attempt(merchant, paid(merchant, operator, peer.url()))
        peer.close()
        assert not attempt["answer"]


class TestReasons:
    """C 13.10: the closed list."""

    @pytest.mark.parametrize("reaction, code, reason", [
        (answers(201), 201, "http_status"), (answers(204), 204, "http_status"),
        (answers(404, b"no"), 404, "http_status"),
        (answers(301, headers="location: http://127.0.0.1:9/\r\n"), 301, "http_status"),
        (answers(307, headers="location: /elsewhere\r\n"), 307, "http_status"),
        (answers(410), 410, "gone"),
        (says(b"SSH-2.0-OpenSSH_9.2p1\r\n"), None, "malformed_response"),
        (says(b"HTTP/1.1 two hundred\r\n\r\n"), None, "malformed_response"),
        (says(b"HTTP/1.1 404 No\r\nbroken header\r\n\r\n"), 404, "http_status"),
        (resets, None, "connection_reset"),
        (says(b""), None, "connection_reset"),
    ], ids=["201", "204", "404", "301", "307", "410", "ssh", "bad-status", "bad-header", "reset", "closed"])
    def test_of_what_answered(self, merchant, operator, reaction, code, reason):
        peer = Peer(reaction)
        _, attempt = first_attempt(merchant, paid(merchant, operator, peer.url()))
        connections = peer.count
        peer.close()
        assert (attempt["status_code"], attempt["reason"]) == (code, reason)
        assert connections == 1, "a redirect was followed, or a failure repeated at once"

    def test_refused(self, merchant, operator):
        gone = Peer(resets)
        url = gone.url()
        gone.close()
        delivery, attempt = first_attempt(merchant, paid(merchant, operator, url))
        assert (attempt["status_code"], attempt["reason"], attempt["answer"]) == (None, "connection_refused", None)
        assert delivery["state"] == "waiting"

    @pytest.mark.parametrize("reason", ["tls_expired", "tls_wrong_host", "tls_untrusted"])
    def test_certificates(self, merchant, operator, trusted, reason):
        peer = Peer(answers(200), tls=trusted[1][reason])
        _, attempt = first_attempt(merchant, paid(merchant, operator, peer.url()))
        peer.close()
        assert (attempt["status_code"], attempt["reason"], attempt["answer"]) == (None, reason, None)

    def test_no_tls_at_all(self, merchant, operator):
        peer = Peer(says(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        _, attempt = first_attempt(merchant, paid(merchant, operator, peer.url(scheme="https")))
        peer.close()
        assert (attempt["status_code"], attempt["reason"]) == (None, "tls_failed")

    def test_too_slow(self, merchant, operator):
        """C 3.3: the status within 5 s; once it is read the attempt stands, whatever stalls after it."""
        def stalls(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart")
            is_silent(connection)

        def drips(connection):
            for byte in b"HTTP/1.1 103 Early Hints\r\nx: " + b"y" * 1_000:
                connection.sendall(bytes([byte]))
                connection.settimeout(0.05)
                try:
                    connection.recv(1)
                except TimeoutError:
                    continue

        def begins(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-len")
            is_silent(connection)

        peers = [Peer(is_silent), Peer(stalls), Peer(drips), Peer(begins)]
        ids = [paid(merchant, operator, peer.url()) for peer in peers]
        (_, silent), (_, stalled), (_, dripped), (_, begun) = [first_attempt(merchant, one) for one in ids]
        for peer in peers:
            peer.close()
        for one in (silent, dripped):
            assert (one["status_code"], one["reason"]) == (None, "timed_out") and one["duration_ms"] >= 4_900
        for one in (stalled, begun):
            assert (one["status_code"], one["reason"]) == (200, None)
        assert log_of(merchant, ids[1])[0]["acknowledged_at"]


class TestForbidden:
    def test_an_address_that_is_no_longer_allowed(self, house, shop):
        """C 3.3: judged again when the connection is made; nothing reaches it."""
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")
        client = server.client(shop.key)
        peer = Peer(answers(200))
        payout_id = client.create_payout(notification_url=peer.url())["id"]
        server.stop()
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h", REENVIO_ALLOW_PRIVATE_RECEIVERS="")
        server.client(shop.operator_key).transition(payout_id, 3)
        _, attempt = first_attempt(server.client(shop.key), payout_id)
        peer.close()
        assert (attempt["status_code"], attempt["reason"]) == (None, "address_forbidden") and peer.count == 0


class TestBadInput:
    @pytest.mark.parametrize("payout_id", NO_IDS)
    def test_ids_that_are_none(self, merchant, operator, payout_id):
        """C 2.1: a path id that does not fit is 404, like one that is unknown."""
        for client in (merchant, operator):
            for answer in (client.get(f"{PAYMENTS}/{payout_id}/notifications"), client.post(resend_path(payout_id))):
                assert (answer.status_code, answer.json()) == (404, {"message": "Payout not found."})

    def test_a_foreign_payout(self, merchant, operator, server, other_shop, hook):
        payout_id = paid(merchant, operator, hook.url())
        answer = server.client(other_shop.key).get(f"{PAYMENTS}/{payout_id}/notifications")
        assert (answer.status_code, answer.json()) == (404, {"message": "Payout not found."})

    def test_methods(self, merchant, server):
        """C 10: 405 with Allow, before 401."""
        for client in (merchant, server.client()):
            for method, path, allowed in (
                ("DELETE", f"{PAYMENTS}/1/notifications", "GET"), ("POST", f"{PAYMENTS}/1/notifications", "GET"),
                ("GET", resend_path(1), "POST"), ("PUT", resend_path(1), "POST"),
            ):
                answer = client.request(method, path)
                assert answer.status_code == 405 and list(answer.json()) == ["message"]
                assert allowed in answer.headers["allow"].split(", ")

    def test_without_a_key(self, server):
        assert server.client().get(f"{PAYMENTS}/1/notifications").status_code == 401
        assert server.client().post(resend_path(1)).status_code == 401

    def test_a_key_that_may_not_read(self, server, shared_house, shared_shop):
        make = ("key", "create", "--account", shared_shop.account_id, "--name", "k", "--scope", "resend:write")
        answer = server.client(shared_house.json(*make)["key"]).get(f"{PAYMENTS}/1/notifications")
        refused = {"message": "This key may not do that.", "errors": {"scope": ["The key lacks the scope payouts:read."]}}
        assert (answer.status_code, answer.json()) == (403, refused)
