"""The delivery log of a payout, and sending one payout's webhook again (C 13.9, 13.10)."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.bodies import window
from harness.client import PAYMENTS, RESEND
from harness.peers import Peer, answers, certificate, is_silent, resets, says
from harness.receiver import Receiver
from harness.waiting import eventually

ATTEMPT_KEYS = ["number", "at", "duration_ms", "status_code", "reason", "answer"]
DELIVERY_KEYS = ["url", "kind", "resend", "state", "next_attempt_at", "attempts"]
NOTIFICATION_KEYS = ["webhook_id", "status", "sequence", "created_at", "acknowledged_at", "deliveries"]
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
NO_IDS = ["0", "-1", "x", "1.0", "1e3", "%20", "999999999", "9223372036854775807", "9223372036854775808", "9" * 40, "+1"]


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


@pytest.fixture
def hook(shared_shop):
    hook = Receiver()
    hook.trust(shared_shop.secret)
    yield hook
    hook.close()


def log_of(client, payout_id):
    return client.expect(200, "GET", f"{PAYMENTS}/{payout_id}/notifications")["data"]


def resend_path(payout_id):
    return f"{PAYMENTS}/{payout_id}/notifications/resend"


def paid(merchant, operator, url, status_id=3):
    payout_id = merchant.create_payout(notification_url=url)["id"]
    operator.transition(payout_id, status_id)
    return payout_id


def first_attempt(client, payout_id, within=20.0):
    """The first attempt in the payout's log, once there is one, with its delivery."""
    def look():
        (notification,) = log_of(client, payout_id)
        (delivery,) = notification["deliveries"]
        return delivery["attempts"] and (delivery, delivery["attempts"][0])

    return eventually(look, f"payout {payout_id} had an attempt in its log", within)


def wait_for_states(client, payout_id, *states):
    """The newest notification's deliveries, once they are in these states, whatever their order."""
    def look():
        deliveries = log_of(client, payout_id)[0]["deliveries"]
        return sorted(one["state"] for one in deliveries) == sorted(states) and deliveries

    return eventually(look, f"the deliveries of payout {payout_id} were {states}")


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
        b"a\xff\xfeb", b"\xc3(\xed\xa0\x80)", b"\xf0\x9f\x98", b"nul\x00inside", b"\x01\x1b[31m\x7f\r\n\t", b"\x80" * 2_000,
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
        (answers(201), 201, "http_status"), (answers(204), 204, "http_status"), (answers(404, b"no"), 404, "http_status"),
        (answers(301, headers="location: http://127.0.0.1:9/\r\n"), 301, "http_status"),
        (answers(307, headers="location: /elsewhere\r\n"), 307, "http_status"),
        (answers(410), 410, "gone"),
        (says(b"SSH-2.0-OpenSSH_9.2p1\r\n"), None, "malformed_response"),
        (says(b"HTTP/1.1 two hundred\r\n\r\n"), None, "malformed_response"),
        (says(b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n"), None, "malformed_response"),
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
        """C 3.3: the head within 5 s; a body that stalls after a 200 stands as its status says."""
        def stalls(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart")
            is_silent(connection)

        def drips(connection):
            for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1_000:
                connection.sendall(bytes([byte]))
                connection.settimeout(0.05)
                try:
                    connection.recv(1)
                except TimeoutError:
                    continue

        peers = [Peer(is_silent), Peer(stalls), Peer(drips)]
        ids = [paid(merchant, operator, peer.url()) for peer in peers]
        (_, silent), (_, stalled), (_, dripped) = [first_attempt(merchant, one) for one in ids]
        for peer in peers:
            peer.close()
        for one in (silent, dripped):
            assert (one["status_code"], one["reason"]) == (None, "timed_out") and one["duration_ms"] >= 4_900
        assert (stalled["status_code"], stalled["reason"]) == (200, None)
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


class TestResendOne:
    """C 13.9."""

    def test_sends_the_latest_notification_again(self, merchant, operator, hook):
        """Same id and bytes, `x-webhook-resend`, attempts from 1 (C 3.2, 4.2). `resend` in the log names jobs only."""
        payout_id = paid(merchant, operator, hook.url())
        (first,) = hook.wait_for_acknowledged(1)
        answer = merchant.post(resend_path(payout_id))
        assert (answer.status_code, answer.json()) == (202, {"webhook_id": first.webhook_id})
        again = hook.wait_for_acknowledged(2)[1]
        assert (again.webhook_id, again.body, again.attempt, again.verified) == (first.webhook_id, first.body, 1, True)
        assert again.job_id and first.job_id is None
        deliveries = wait_for_states(merchant, payout_id, "acknowledged", "acknowledged")
        assert {(one["kind"], one["resend"]) for one in deliveries} == {("live", None), ("resend", None)}

    def test_nothing_was_ever_notified(self, merchant, operator, hook):
        for payout_id in (
            merchant.create_payout(notification_url=hook.url())["id"],
            paid(merchant, operator, hook.url(), status_id=2), paid(merchant, operator, None),
        ):
            answer = merchant.post(resend_path(payout_id))
            assert answer.status_code == 409 and list(answer.json()) == ["message"]

    def test_the_one_before_a_silent_status(self, merchant, operator, hook):
        """C 4.2: never a body of a silent status."""
        payout_id = paid(merchant, operator, hook.url(), status_id=1)
        operator.transition(payout_id, 2)
        (first,) = hook.wait_for_acknowledged(1)
        assert merchant.post(resend_path(payout_id)).json() == {"webhook_id": first.webhook_id}
        assert hook.wait_for_acknowledged(2)[1].body == first.body

    def test_revives_what_was_stopped(self, merchant, operator, hook):
        """C 3.4: only a resend does."""
        hook.answers = [410]
        payout_id = paid(merchant, operator, hook.url())
        wait_for_states(merchant, payout_id, "stopped")
        assert merchant.post(resend_path(payout_id)).status_code == 202
        wait_for_states(merchant, payout_id, "stopped", "acknowledged")
        assert log_of(merchant, payout_id)[0]["acknowledged_at"]

    def test_an_idempotency_key(self, merchant, operator, hook):
        """C 13.8, 13.9: the first answer again, and no second message; another payout's path is another key."""
        payout_id, other = (paid(merchant, operator, hook.url()) for _ in range(2))
        hook.wait_for_acknowledged(2)
        headers = {"Idempotency-Key": "once"}
        first, second = (merchant.request("POST", resend_path(payout_id), headers=headers) for _ in range(2))
        assert (first.status_code, first.json()) == (second.status_code, second.json())
        assert first.status_code == 202 and second.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers
        third = merchant.request("POST", resend_path(other), headers=headers)
        assert third.status_code == 202 and third.json() != first.json()
        hook.wait_for_acknowledged(4)
        wait_for_states(merchant, payout_id, "acknowledged", "acknowledged")

    def test_at_the_same_time_with_one_key(self, merchant, operator, server, shared_shop, hook):
        """C 13.8: simultaneous equal requests wait for the first and replay its answer."""
        payout_id = paid(merchant, operator, hook.url())
        hook.wait_for_acknowledged(1)
        with ThreadPoolExecutor(8) as pool:
            clients = [server.client(shared_shop.key) for _ in range(8)]
            done = list(pool.map(
                lambda one: one.request("POST", resend_path(payout_id), headers={"Idempotency-Key": "together"}), clients
            ))
        assert [one.status_code for one in done] == [202] * 8
        assert sorted("idempotent-replayed" in one.headers for one in done) == [False] + [True] * 7
        wait_for_states(merchant, payout_id, "acknowledged", "acknowledged")
        assert hook.count == 2

    def test_who_may(self, server, shared_house, shared_shop, merchant, operator, other_shop, hook):
        """C 9, 2.2: scope `resend:write`; a foreign payout is unknown; an operator may."""
        payout_id = paid(merchant, operator, hook.url())
        make = ("key", "create", "--account", shared_shop.account_id, "--name", "k", "--scope")
        for scopes in ("payouts:read", "payouts:write", "resend:dry-run", "receivers:write,secrets:write"):
            client = server.client(shared_house.json(*make, scopes)["key"])
            answer = client.post(resend_path(payout_id))
            assert (answer.status_code, answer.json()) == (403, {"message": "This key may not do that."}), scopes
        assert server.client(shared_house.json(*make, "resend:write")["key"]).post(resend_path(payout_id)).status_code == 202
        assert operator.post(resend_path(payout_id)).status_code == 202
        foreign = server.client(other_shop.key)
        assert foreign.post(resend_path(payout_id)).json() == {"message": "Payout not found."}
        assert foreign.post(resend_path(payout_id)).status_code == 404

    def test_counts_against_the_bucket_of_resends(self, house, shop, receiver):
        """C 10: 30 a minute by default, here 2; before anything else is judged; reading goes on."""
        server = house.serve(REENVIO_RATE_LIMITS="resend=2/min,read=600/min")
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        payout_id = paid(client, operator, receiver.url())
        codes = [client.post(resend_path(payout_id)).status_code for _ in range(3)]
        assert codes == [202, 202, 429]
        refused = client.post(RESEND, window(303))
        assert refused.status_code == 429 and 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json() == {"message": "Too many requests."}
        assert client.get(f"{PAYMENTS}/{payout_id}/notifications").status_code == 200
        assert operator.post(resend_path(payout_id)).status_code == 202

    def test_is_in_the_audit(self, server, merchant, operator, hook):
        """C 9: each resend is a row: who, what, which request, from where."""
        payout_id = paid(merchant, operator, hook.url())
        assert merchant.post(resend_path(payout_id)).status_code == 202
        row = operator.get("/v2/audit?limit=1").json()["data"][0]
        assert "resend" in row["action"] and str(payout_id) in row["target"] and row["actor"].startswith("key:")
        assert row["address"] == merchant.session.headers["X-Forwarded-For"] and row["request_id"]

    def test_is_no_job(self, merchant, operator, hook):
        """C 13.3 lists bulk jobs; C 5: the status page knows only those."""
        payout_id = paid(merchant, operator, hook.url())
        hook.wait_for_acknowledged(1)
        before = merchant.get(f"{RESEND}?limit=100").json()["data"]
        assert merchant.post(resend_path(payout_id)).status_code == 202
        hook.wait_for_acknowledged(2)
        assert merchant.get(f"{RESEND}?limit=100").json()["data"] == before


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
        assert (answer.status_code, answer.json()) == (403, {"message": "This key may not do that."})
