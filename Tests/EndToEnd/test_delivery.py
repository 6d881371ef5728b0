"""Webhooks out: exact bytes, both signatures, retries, and which answer acknowledges (C 3)."""

import hashlib
import json
import ssl
import subprocess
from datetime import datetime

import pytest
from standardwebhooks.webhooks import Webhook

from harness.binary import House, Shop
from harness.client import create_payouts
from harness.receiver import Receiver
from harness.waiting import eventually, never

AT_ONCE = "0s,0s,0s,0s,0s,0s,0s,0s"


def expected_body(payout, status_id, status_name, end_to_end=None, detail=None):
    """The bytes of C 3.1, from the payout as the API shows it."""
    updated = datetime.fromisoformat(payout["updated_at"]).strftime("%Y-%m-%d %H:%M:%S")
    body = {
        "id": payout["id"], "invoice": payout["invoice"], "end_to_end": end_to_end,
        "status": {"id": status_id, "name": status_name}, "updated_at": updated,
    }
    if detail:
        body["status_detail"] = detail
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


class TestRequest:
    def test_is_exactly_the_published_one(self, house, shop, receiver):
        """C 3.1, 3.2: body bytes, every header, both signatures; creation itself sends nothing (C 1.2)."""
        server = house.serve()
        invoice = "a/b é \\ \" 日本"
        made = server.client(shop.key).create_payout(
            invoice=invoice, amount=100, notification_url=receiver.url("/path?token=1")
        )
        paid = server.client(shop.operator_key).transition(made["id"], 3, end_to_end="E18236120202403240805s0123456789")
        (one,) = receiver.wait_for(1)

        assert one.path == "/path?token=1"
        assert one.body == expected_body(paid, 3, "Paid", "E18236120202403240805s0123456789")
        assert one.verified, "the standardwebhooks package refuses the signature"
        formula = hashlib.sha256(f"{invoice}BRL100.00{shop.secret}".encode()).hexdigest()
        assert one.headers["x-webhook-wp-signature"] == f"Bearer {formula}"
        assert one.headers["content-type"] == "application/json"
        assert one.headers["content-length"] == str(len(one.body))
        assert one.headers["host"] == receiver.url("").removeprefix("http://")
        assert one.headers["user-agent"].startswith("Reenvio")
        assert one.webhook_id.startswith("msg_") and one.webhook_id[4:].isalnum()
        assert 20 <= len(one.webhook_id[4:]) <= 40
        assert abs(int(one.headers["webhook-timestamp"]) - one.at) <= 2
        assert one.headers["webhook-signature"].startswith("v1,") and " " not in one.headers["webhook-signature"]
        assert one.attempt == 1
        assert one.headers["x-webhook-sequence"] == "2"
        assert one.headers["x-webhook-attempt-id"]
        assert one.job_id is None

    def test_signs_with_the_keys_that_the_merchant_was_given(self, house):
        """C 3.2: a given signing secret and compat key; the vectors' key bytes and compat key."""
        secret = "whsec_dGVzdC1zaWduaW5nLXNlY3JldC0wMDAx"
        shop = Shop(house, more=["--signing-secret", secret, "--compat-key", "k-test-0001"])
        assert shop.secret == secret
        receiver = Receiver()
        receiver.trust(secret)
        try:
            server = house.serve()
            invoice = "575e8327-f145-48ff-b207-737eef2d6f3f"
            made = server.client(shop.key).create_payout(invoice=invoice, notification_url=receiver.url())
            server.client(shop.operator_key).transition(made["id"], 3)
            (one,) = receiver.wait_for(1)
        finally:
            receiver.close()
        vector = "3caf3d3335f4a02b916602ab0ee891bfd0273a7bacbbe3f611735471b7a94954"
        assert one.headers["x-webhook-wp-signature"] == f"Bearer {vector}"
        assert one.verified

    def test_status_detail_goes_along_with_canceled_only(self, house):
        """C 3.1: present only for Canceled under the Account Mismatch setting, else the key is absent."""
        shop = Shop(house, more=["--account-mismatch"])
        receiver = Receiver()
        try:
            server = house.serve()
            operator = server.client(shop.operator_key)
            detail = {"code": "WE0001", "detail": "The payment was made to an unregistered account"}
            made = server.client(shop.key).create_payout(notification_url=receiver.url())
            received = operator.transition(made["id"], 1)
            canceled = operator.transition(made["id"], 6, status_detail=detail)
            bodies = {one.body for one in receiver.wait_for(2)}
        finally:
            receiver.close()
        assert bodies == {
            expected_body(received, 1, "Received"), expected_body(canceled, 6, "Canceled", detail=detail)
        }

    def test_each_notifiable_status_sends_once_and_silent_ones_never(self, house, shop, receiver):
        """C 1.1: {1, 3, 4, 5, 6, 10, 11} notify; 7, 2 and 8 do not. Receivers order by `x-webhook-sequence` (C 3.2)."""
        server = house.serve()
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        paths = [[1, 5, 1, 2, 8, 3], [4], [6], [10], [11]]
        for path in paths:
            payout_id = client.create_payout(notification_url=receiver.url(f"/{path[-1]}"))["id"]
            for status_id in path:
                operator.transition(payout_id, status_id)
                operator.transition(payout_id, status_id)
        receiver.wait_for_acknowledged(8)
        never(lambda: receiver.count > 8, "a silent or repeated status was sent", watch=0.5)
        sent = {}
        for one in receiver.received:
            sequence = int(one.headers["x-webhook-sequence"])
            sent.setdefault(one.path, {})[sequence] = json.loads(one.body)["status"]["id"]
        assert sent == {"/3": {2: 1, 3: 5, 4: 1, 7: 3}, "/4": {2: 4}, "/6": {2: 6}, "/10": {2: 10}, "/11": {2: 11}}
        assert len({one.webhook_id for one in receiver.received}) == 8

    def test_without_a_url_nothing_is_sent(self, house, shop, receiver):
        """C 4.2: a payout without `notification_url` never has a webhook."""
        server = house.serve()
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        silent = client.create_payout()["id"]
        loud = client.create_payout(notification_url=receiver.url())["id"]
        operator.transition(silent, 3)
        operator.transition(loud, 3)
        assert json.loads(receiver.wait_for(1)[0].body)["id"] == loud
        assert house.one("SELECT count(*) FROM deliveries") + house.one("SELECT count(*) FROM settled") == 1

    def test_each_merchant_signs_with_its_own_secret(self, house, shop, receiver):
        """C 3.2: what one merchant's secret signed does not verify with another's."""
        other = Shop(house, merchant_id=404, name="Open Market")
        server = house.serve()
        operator = server.client(shop.operator_key)
        for merchant_id in (303, 404):
            made = operator.create_payout(merchant_id=merchant_id, notification_url=receiver.url(f"/{merchant_id}"))
            operator.transition(made["id"], 3)
        received = {one.path: one for one in receiver.wait_for(2)}
        assert received["/303"].verified and not received["/404"].verified
        Webhook(other.secret).verify(received["/404"].body, received["/404"].headers)

    def test_goes_over_tls_to_a_receiver_that_it_trusts(self, tmp_path):
        """C 3.3, REENVIO_TRUST_ROOTS: https with a certificate of an extra authority; refused without it."""
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "2", "-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem",
             "-out", tmp_path / "cert.pem"],
            check=True, capture_output=True, timeout=30,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        house = House(tmp_path)
        shop = Shop(house)
        receiver = Receiver(tls=context)
        receiver.trust(shop.secret)
        try:
            server = house.serve(REENVIO_ALLOW_HTTP_RECEIVERS="false", REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s,1s")
            made = server.client(shop.key).create_payout(notification_url=receiver.url())
            server.client(shop.operator_key).transition(made["id"], 3)
            ((reason,),) = house.wait_for_row("SELECT reason FROM attempts LIMIT 1", what="an attempt was recorded")
            assert reason == "tls_untrusted" and receiver.count == 0
            server.stop()
            house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s,1s", REENVIO_TRUST_ROOTS=str(tmp_path / "cert.pem"))
            assert receiver.wait_for_acknowledged(1)[0].verified
        finally:
            receiver.close()
            house.close()


class TestAcknowledgement:
    @pytest.mark.parametrize("code", [201, 202, 204, 301, 302, 307, 400, 401, 404, 429, 500, 503])
    def test_exactly_200_acknowledges(self, house, shop, receiver, code):
        """C 3.3: anything else is a failure and is retried; redirects are not followed."""
        receiver.answers = [(code, {"Location": receiver.url("/elsewhere")}), code]
        server = house.serve(REENVIO_RETRY_SCHEDULE=AT_ONCE)
        made = server.client(shop.key).create_payout(notification_url=receiver.url())
        server.client(shop.operator_key).transition(made["id"], 3)
        received = receiver.wait_for(3, what=f"a webhook answered {code} twice was sent a third time")
        house.wait_for_row("SELECT 1 FROM settled", what="the delivery was settled")
        assert house.rows("SELECT state, attempts, last_status_code FROM settled") == [("acknowledged", 3, 200)]
        assert receiver.count == 3 and {one.path for one in received} == {"/hook"}

    def test_410_stops_at_once(self, house, shop, receiver):
        """C 3.4: no further attempt."""
        receiver.default = 410
        server = house.serve(REENVIO_RETRY_SCHEDULE=AT_ONCE)
        made = server.client(shop.key).create_payout(notification_url=receiver.url())
        server.client(shop.operator_key).transition(made["id"], 3)
        receiver.wait_for(1)
        house.wait_for_row("SELECT 1 FROM settled", what="the delivery was settled")
        assert house.rows("SELECT state, attempts, last_status_code FROM settled") == [("stopped", 1, 410)]
        never(lambda: receiver.count > 1, "a stopped delivery was sent again", watch=0.5)

    def test_a_receiver_that_takes_too_long_has_not_acknowledged(self, house, shop, receiver):
        """C 3.3: 200 within 5 seconds."""
        receiver.hold()
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")
        made = server.client(shop.key).create_payout(notification_url=receiver.url())
        server.client(shop.operator_key).transition(made["id"], 3)
        receiver.wait_for(1)
        ((reason, milliseconds),) = house.wait_for_row(
            "SELECT reason, duration_ms FROM attempts", what="the attempt was given up"
        )
        assert reason == "timed_out" and 4_900 <= milliseconds <= 6_500


class TestRetry:
    def test_retries_until_acknowledged(self, house, shop, receiver):
        """C 3.1, 3.2, 3.4: the same id and bytes, a new attempt id, numbers from 1, each signature fresh and valid; waits
        run from the end of the attempt before, at most 10 % longer, never sooner."""
        receiver.answers = [500, 503]
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,2s,1h")
        made = server.client(shop.key).create_payout(notification_url=receiver.url())
        server.client(shop.operator_key).transition(made["id"], 4)
        received = receiver.wait_for_acknowledged(1) and receiver.received
        assert [one.attempt for one in received] == [1, 2, 3]
        assert len({one.webhook_id for one in received}) == len({one.body for one in received}) == 1
        assert len({one.headers["x-webhook-attempt-id"] for one in received}) == 3
        assert all(one.verified for one in received)
        stamps = [int(one.headers["webhook-timestamp"]) for one in received]
        assert stamps == sorted(stamps) and stamps[2] - stamps[0] >= 2
        assert received[1].at - received[0].at >= 1 and received[2].at - received[1].at >= 2

    def test_the_schedule_ends(self, house, shop, receiver):
        """C 3.4: after the last attempt the delivery is exhausted."""
        receiver.default = 500
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,0s,0s")
        made = server.client(shop.key).create_payout(notification_url=receiver.url())
        server.client(shop.operator_key).transition(made["id"], 3)
        house.wait_for_row("SELECT 1 FROM settled", what="the delivery was settled")
        assert house.rows("SELECT state, attempts, last_status_code FROM settled") == [("exhausted", 3, 500)]
        assert [one.attempt for one in receiver.received] == [1, 2, 3]

    def test_the_first_wait_holds_for_the_first_attempt(self, house, shop, receiver):
        """REENVIO_RETRY_SCHEDULE: the first may be longer than 0 s."""
        server = house.serve(REENVIO_RETRY_SCHEDULE="2s,1h")
        made = server.client(shop.key).create_payout(notification_url=receiver.url())
        server.client(shop.operator_key).transition(made["id"], 3)
        changed = eventually(lambda: house.rows("SELECT created_at FROM deliveries"), "a delivery was stored")[0][0]
        (one,) = receiver.wait_for(1)
        assert one.at - changed / 1e6 >= 1.95

    def test_retry_after_is_heeded(self, house, shop, receiver):
        """C 3.4: 429 and 503 with Retry-After wait at least that long; what does not parse counts as absent."""
        receiver.answers = [(503, {"Retry-After": "2"}), (429, {"Retry-After": "soon"})]
        server = house.serve(REENVIO_RETRY_SCHEDULE=AT_ONCE)
        made = server.client(shop.key).create_payout(notification_url=receiver.url())
        server.client(shop.operator_key).transition(made["id"], 3)
        one, two, three = receiver.wait_for(3)
        assert two.at - one.at >= 2
        assert three.at - two.at < 1.5

    def test_an_outage_is_outlived(self, house, shop, receiver):
        """C 3.4: connections refused for a while; everything arrives once the receiver is back."""
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s," + ",".join(["1s"] * 40))
        ids = create_payouts(server, shop, 40, receiver.url())
        receiver.down()
        server.client(shop.operator_key).transition_all(ids, 3)
        house.wait_for_row(
            "SELECT 1 FROM attempts WHERE reason = 'connection_refused'", what="an attempt met a refused connection"
        )
        receiver.up()
        received = receiver.wait_for_acknowledged(40, within=60)
        assert {json.loads(one.body)["id"] for one in received} == set(ids)
        assert all(one.verified for one in received)

    def test_a_dead_receiver_delays_no_other(self, house, shop, receiver):
        """C 3.4: attempts in flight are capped per receiver."""
        dead = Receiver()
        dead.hold()
        try:
            server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")
            operator = server.client(shop.operator_key)
            operator.transition_all(create_payouts(server, shop, 400, dead.url(), tag="dead"), 3)
            dead.wait_for(1)
            operator.transition_all(create_payouts(server, shop, 40, receiver.url(), tag="alive"), 3)
            receiver.wait_for_acknowledged(40, within=4)
        finally:
            dead.close()


class TestLogs:
    def test_say_nothing_that_is_secret(self, house, shop, receiver):
        """C 14, design rule 15: no key, no secret, no person, no query string of a receiver, at any level."""
        server = house.serve(REENVIO_LOG="trace")
        made = server.client(shop.key).create_payout(
            notification_url=receiver.url("/hook?token=s3cr3t-token"), description="a private matter",
            beneficiary={"name": "Maria Inventada", "document": {"type": "CPF", "number": "82608288200"}},
        )
        server.client(shop.operator_key).transition(made["id"], 3)
        receiver.wait_for_acknowledged(1)
        server.stop()
        log = server.log_text()
        assert '"attempt"' in log
        for secret in (
            shop.key, shop.operator_key, shop.secret, shop.secret.removeprefix("whsec_"), "s3cr3t-token",
            "Maria Inventada", "82608288200", "a private matter",
        ):
            assert secret not in log
        assert all(json.loads(line) for line in log.splitlines())
