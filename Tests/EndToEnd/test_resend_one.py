"""One payout's webhook is sent again (C 13.9)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.bodies import window
from harness.client import PAYMENTS, RESEND
from harness.delivery_log import log_of, paid, resend_path, wait_for_states


@pytest.fixture(scope="module")
def server(shared_house, shared_shop, other_shop):
    return shared_house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")


@pytest.fixture(scope="module")
def merchant(server, shared_shop):
    return server.client(shared_shop.key)


@pytest.fixture(scope="module")
def operator(server, shared_shop):
    return server.client(shared_shop.operator_key)


class TestResendOne:
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
            assert answer.status_code == 403 and answer.json() == {
                "message": "This key may not do that.",
                "errors": {"scope": ["The key lacks the scope resend:write."]}}, scopes
        resender = server.client(shared_house.json(*make, "resend:write")["key"])
        assert resender.post(resend_path(payout_id)).status_code == 202
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
