"""Receivers over HTTP: listed, paused, resumed; what a pause holds back and what it does not (C 3.4, 13.11)."""

import json
import re

import pytest

from harness.bodies import window
from harness.client import PAYMENTS, paid_payouts
from harness.peers import Crowd
from harness.receiver import Receiver
from harness.waiting import eventually, never

RECEIVERS = "/v2/receivers"
KEYS = ["id", "merchant_id", "receiver", "health", "since", "waiting"]
HEALTH = {"ok", "slow", "broken", "paused"}
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
MAY_NOT = (403, {
    "message": "This key may not do that.", "errors": {"scope": ["The key lacks the scope receivers:write."]}})
AGAIN = {"REENVIO_RETRY_SCHEDULE": "0s," + ",".join(["1s"] * 60)}
LEASE_S = 30


@pytest.fixture(scope="module")
def server(shared_house, shared_shop, other_shop):
    return shared_house.serve(**AGAIN)


@pytest.fixture(scope="module")
def merchant(server, shared_shop):
    return server.client(shared_shop.key)


@pytest.fixture(scope="module")
def operator(server, shared_shop):
    return server.client(shared_shop.operator_key)


@pytest.fixture(scope="module")
def other(server, other_shop):
    return server.client(other_shop.key)


@pytest.fixture
def hook(shared_shop, other_shop):
    """A receiver of both merchants."""
    hook = Receiver()
    hook.trust(shared_shop.secret)
    hook.trust(other_shop.secret)
    yield hook
    hook.close()


@pytest.fixture(scope="module")
def crowd(server, shared_shop, other_shop):
    """Five receivers of merchant 303 and three of merchant 404 that have each got one webhook."""
    crowd = Crowd(8)
    for number, url in enumerate(crowd.urls()):
        shop = shared_shop if number < 5 else other_shop
        paid_payouts(server, shop, 1, url, tag=f"crowd-{number}")
    eventually(lambda: len(crowd.arrived) == 8, "each of the crowd got its webhook")
    yield crowd
    crowd.close()


def page(client, query=""):
    return client.expect(200, "GET", RECEIVERS + query)


def every_row(client, query=""):
    """All pages, by following `next`."""
    rows, shown = [], page(client, query)
    rows += shown["data"]
    while shown["next"]:
        assert shown["next"].startswith(client.url + RECEIVERS + "?")
        shown = page(client, shown["next"].removeprefix(client.url + RECEIVERS))
        rows += shown["data"]
    return rows


def row_of(client, hook):
    return row_at(client, hook.url())


def row_at(client, url):
    """The caller's row for that URL's origin, or None."""
    origin = url.removesuffix("/hook")
    rows = [one for one in every_row(client, "?limit=100") if one["receiver"] == origin]
    assert len(rows) <= 1, rows
    return rows[0] if rows else None


def pause(client, row, verb="pause"):
    return client.expect(200, "POST", f"{RECEIVERS}/{row['id']}/{verb}")


def resume(client, row):
    return pause(client, row, "resume")


def known(client, operator, hook, **fields):
    """Makes the receiver known with one webhook, and returns its row."""
    payout_id = client.create_payout(notification_url=hook.url(), **fields)["id"]
    operator.transition(payout_id, 3)
    hook.wait_for_acknowledged(1)
    return row_of(client, hook)


def paid(client, operator, url):
    payout_id = client.create_payout(notification_url=url)["id"]
    operator.transition(payout_id, 3)
    return payout_id


def told(hook):
    return {json.loads(one.body)["id"] for one in hook.acknowledged}


class TestList:
    def test_a_row(self, merchant, crowd, shared_shop):
        rows = [one for one in every_row(merchant) if one["receiver"] in {url.removesuffix("/hook") for url in crowd.urls()}]
        assert len(rows) == 5
        for one in rows:
            assert list(one) == KEYS and type(one["id"]) is int and type(one["waiting"]) is int
            assert one["merchant_id"] == shared_shop.merchant_id and one["health"] in HEALTH
            assert DATE.fullmatch(one["since"])

    def test_is_there_from_the_first_delivery_on(self, merchant, operator, hook):
        """C 13.11: not for a payout alone; scheme, host and port without path."""
        payout_id = merchant.create_payout(notification_url=hook.url("/a?b=c"))["id"]
        assert row_of(merchant, hook) is None
        operator.transition(payout_id, 3)
        assert row_of(merchant, hook)["receiver"] == hook.url("")
        hook.wait_for_acknowledged(1)
        operator.transition(merchant.create_payout(notification_url=hook.url("/other"))["id"], 3)
        assert row_of(merchant, hook)["receiver"] == hook.url("")

    def test_ports_are_always_shown(self, merchant, operator):
        """C 13.11: `https://a.example:443`; case and a default port make no second receiver."""
        for url in ("HTTP://127.0.0.55/hook", "http://127.0.0.55:80/other"):
            operator.transition(merchant.create_payout(notification_url=url)["id"], 3)
        shown = [one["receiver"] for one in every_row(merchant) if "127.0.0.55" in one["receiver"]]
        assert shown == ["http://127.0.0.55:80"]

    def test_pages(self, merchant, operator, crowd):
        """Whole and without doubles, whatever the limit; `next` is absolute, with the filters in it."""
        whole = every_row(merchant, "?limit=100")
        for limit in (1, 2, 100):
            rows = every_row(merchant, f"?limit={limit}")
            assert [one["id"] for one in rows] == [one["id"] for one in whole]
        everybody = every_row(operator, "?limit=3")
        assert {303, 404} == {one["merchant_id"] for one in everybody}
        only = every_row(operator, "?limit=2&merchant_id=404")
        assert [one["id"] for one in only] == [one["id"] for one in everybody if one["merchant_id"] == 404]
        assert len(page(merchant, "?limit=1")["data"]) == 1

    def test_the_default_is_twenty(self, house, shop):
        crowd = Crowd(21, prefix="127.0.76.")
        server = house.serve()
        client = server.client(shop.key)
        ids = [client.create_payout(notification_url=url)["id"] for url in crowd.urls()]
        server.client(shop.operator_key).transition_all(ids, 3)
        first = page(client)
        assert len(first["data"]) == 20 and first["next"]
        assert len(every_row(client)) == 21
        crowd.close()

    def test_each_sees_its_own(self, merchant, other, operator, crowd):
        """C 9: an operator key sees all."""
        mine, theirs = ({one["id"] for one in every_row(client)} for client in (merchant, other))
        assert mine and theirs and not mine & theirs
        assert mine | theirs <= {one["id"] for one in every_row(operator)}
        assert {one["merchant_id"] for one in every_row(other)} == {404}

    @pytest.mark.parametrize("query, field", [
        ("?limit=0", "limit"), ("?limit=101", "limit"), ("?limit=-1", "limit"), ("?limit=x", "limit"), ("?limit=1.5", "limit"),
        ("?limit=99999999999999999999", "limit"), ("?cursor=x", "cursor"), ("?cursor=%00", "cursor"), ("?cursor=c", "cursor"),
        ("?cursor=c-1", "cursor"), ("?cursor=c99999999999999999999", "cursor"), ("?merchant_id=404", "merchant_id"),
        ("?merchant_id=999999", "merchant_id"), ("?merchant_id=x", "merchant_id"), ("?merchant_id=3.0", "merchant_id"),
    ])
    def test_bad_queries(self, merchant, query, field):
        """C 13.3's rule for lists; a foreign merchant looks like an unknown one."""
        answer = merchant.get(RECEIVERS + query)
        assert answer.status_code == 422, answer.text
        assert answer.json()["message"] == "Validation error." and list(answer.json()["errors"]) == [field]

    def test_an_operator_and_an_unknown_merchant(self, operator):
        answer = operator.get(f"{RECEIVERS}?merchant_id=999999")
        assert answer.status_code == 422 and list(answer.json()["errors"]) == ["merchant_id"]


class TestWhoMay:
    @pytest.mark.parametrize("verb", ["pause", "resume"])
    def test_a_foreign_receiver_is_unknown(self, other, merchant, crowd, verb):
        """C 9, 13.11: 404, and nothing happened to it."""
        row = row_at(merchant, crowd.urls()[0])
        answer = other.post(f"{RECEIVERS}/{row['id']}/{verb}")
        assert answer.status_code == 404 and list(answer.json()) == ["message"]
        assert row_at(merchant, crowd.urls()[0]) == row and row["health"] == "ok"
        unknown = other.post(f"{RECEIVERS}/987654321/{verb}")
        assert (unknown.status_code, unknown.json()) == (404, answer.json())

    @pytest.mark.parametrize("row_id", [
        "0", "-1", "x", "1.0", "1e0", "%20", "+1", "9223372036854775807", "9223372036854775808", "9" * 40,
    ])
    def test_ids_that_are_none(self, merchant, operator, crowd, row_id):
        """C 2.1."""
        for client in (merchant, operator):
            for verb in ("pause", "resume"):
                answer = client.post(f"{RECEIVERS}/{row_id}/{verb}")
                assert answer.status_code == 404 and list(answer.json()) == ["message"], row_id

    def test_scopes(self, server, shared_house, shared_shop, crowd, merchant):
        """C 9: `receivers:write`, which is one of the default."""
        row = row_at(merchant, crowd.urls()[0])
        make = ("key", "create", "--account", shared_shop.account_id, "--name", "k", "--scope")
        without = server.client(
            shared_house.json(*make, "payouts:read,payouts:write,resend:write,resend:dry-run,secrets:write")["key"])
        for verb in ("pause", "resume"):
            answer = without.post(f"{RECEIVERS}/{row['id']}/{verb}")
            assert (answer.status_code, answer.json()) == MAY_NOT
            answer = without.post(f"{RECEIVERS}/987654321/{verb}")
            assert (answer.status_code, answer.json()) == MAY_NOT
        may = server.client(shared_house.json(*make, "receivers:write")["key"])
        assert pause(may, row)["health"] == "paused" and resume(may, row)["health"] == "ok"

    def test_without_a_key(self, server):
        client = server.client()
        assert [client.get(RECEIVERS).status_code, client.post(f"{RECEIVERS}/1/pause").status_code] == [401, 401]

    def test_methods(self, merchant, server):
        for client in (merchant, server.client()):
            for method, path, allowed in (
                ("POST", RECEIVERS, "GET"), ("DELETE", RECEIVERS, "GET"), ("GET", f"{RECEIVERS}/1/pause", "POST"),
                ("PUT", f"{RECEIVERS}/1/resume", "POST"), ("DELETE", f"{RECEIVERS}/1/pause", "POST"),
            ):
                answer = client.request(method, path)
                assert answer.status_code == 405 and list(answer.json()) == ["message"]
                assert allowed in answer.headers["allow"].split(", ")
            for path in (f"{RECEIVERS}/1/stop", f"{RECEIVERS}/1/pause/x", f"{RECEIVERS}/1/2/pause"):
                assert client.post(path).status_code == 404

    def test_audit(self, merchant, operator, crowd):
        """C 9: each pause is a row; resuming too."""
        row = row_at(merchant, crowd.urls()[0])
        pause(merchant, row)
        resume(operator, row)
        rows = operator.get("/v2/audit?limit=2").json()["data"]
        assert ["resume" in rows[0]["action"], "pause" in rows[1]["action"]] == [True, True]
        for one in rows:
            assert str(row["id"]) in one["target"] and one["actor"].startswith("key:") and one["request_id"]
            assert one["account_id"] == 1
        assert rows[0]["actor"] != rows[1]["actor"]
        assert rows[1]["address"] == merchant.session.headers["X-Forwarded-For"]


class TestPause:
    def test_holds_back_and_lets_go(self, merchant, operator, hook):
        """C 13.11: 200 with the row; what is accepted meanwhile waits and is counted, none is dropped, and no attempt is
        spent (C 3.4)."""
        row = known(merchant, operator, hook)
        shown = pause(merchant, row)
        assert list(shown) == KEYS and (shown["id"], shown["health"], shown["waiting"]) == (row["id"], "paused", 0)
        ids = [paid(merchant, operator, hook.url()) for _ in range(12)]
        assert merchant.post(f"{PAYMENTS}/{ids[0]}/notifications/resend").status_code == 202
        never(lambda: hook.count > 1, "a paused receiver got something", watch=0.5)
        assert row_of(merchant, hook)["waiting"] == 13
        log = merchant.get(f"{PAYMENTS}/{ids[0]}/notifications").json()["data"]
        deliveries = [one for notification in log for one in notification["deliveries"]]
        assert sorted((one["kind"], one["state"], one["attempts"]) for one in deliveries) == [
            ("live", "waiting", []), ("resend", "waiting", [])]
        assert resume(merchant, row)["health"] == "ok"
        hook.wait_for_acknowledged(13)
        eventually(lambda: row_of(merchant, hook)["waiting"] == 0, "nothing waited any more")
        assert set(ids) < told(hook) and all(one.attempt == 1 and one.verified for one in hook.received)

    def test_twice_is_once(self, merchant, operator, hook):
        row = known(merchant, operator, hook)
        first, second = pause(merchant, row), pause(merchant, row)
        assert first == second
        assert [resume(merchant, row)["health"], resume(merchant, row)["health"]] == ["ok", "ok"]
        paid(merchant, operator, hook.url())
        hook.wait_for_acknowledged(2)

    def test_takes_no_body(self, merchant, operator, hook):
        """C 13.11: whatever is sent along changes nothing."""
        row = known(merchant, operator, hook)
        answer = merchant.post(f"{RECEIVERS}/{row['id']}/pause", {"anything": 1})
        assert (answer.status_code, answer.json()["health"]) == (200, "paused")
        assert resume(merchant, row)["health"] == "ok"

    def test_stops_nobody_else(self, merchant, other, operator, hook, crowd):
        """C 13.11: another merchant at the same origin and another origin of the same merchant go on."""
        row = known(merchant, operator, hook)
        pause(merchant, row)
        held = paid(merchant, operator, hook.url())
        theirs = paid(other, operator, hook.url("/theirs"))
        elsewhere = paid(merchant, operator, crowd.urls()[0])
        eventually(lambda: theirs in told(hook), "the other merchant's webhook came")
        eventually(lambda: elsewhere in crowd.arrived, "the webhook to another origin came")
        assert row_of(other, hook)["health"] == "ok" and row_of(merchant, hook)["health"] == "paused"
        assert held not in told(hook)
        resume(merchant, row)
        eventually(lambda: held in told(hook), "the webhook that waited came")

    def test_retries_and_what_is_in_flight(self, merchant, operator, hook):
        """A retry that comes due waits too; what is in flight ends as it will."""
        row = known(merchant, operator, hook)
        hook.default = 500
        failing = paid(merchant, operator, hook.url())
        hook.wait_for(2)
        hook.hold()
        hook.default = 200
        in_flight = paid(merchant, operator, hook.url())
        eventually(lambda: any(json.loads(one.body)["id"] == in_flight for one in hook.received), "it was in flight")
        pause(merchant, row)
        seen = hook.count
        hook.let_go()
        eventually(
            lambda: merchant.get(f"{PAYMENTS}/{in_flight}/notifications").json()["data"][0]["acknowledged_at"],
            "what was in flight at the pause was acknowledged",
        )
        never(lambda: hook.count > seen, "a retry went to a paused receiver", watch=1.3)
        assert row_of(merchant, hook)["waiting"] == 1 or failing in told(hook)
        resume(merchant, row)
        eventually(lambda: failing in told(hook), "the retry came after the pause")

    def test_a_job_completes_meanwhile(self, house, shop, receiver):
        """C 5, 13.11: enqueueing does not wait for deliveries; live and resend deliveries all come afterwards, once each."""
        server = house.serve(**AGAIN)
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        before = paid_payouts(server, shop, 300, receiver.url(), tag="before")
        receiver.wait_for_acknowledged(300)
        row = pause(client, row_of(client, receiver))
        ids = before + paid_payouts(server, shop, 100, receiver.url(), tag="while")
        job_id, total = client.dispatch(window(303))
        state = client.wait_for_job(job_id)
        assert (total, state["status"], state["queued"], state["failed"]) == (400, "completed", 400, 0)
        assert row_of(client, receiver)["waiting"] == 500
        assert receiver.count == 300
        resume(client, row)
        eventually(lambda: len(receiver.of_job(job_id)) == 400, "the job's webhooks came")
        eventually(lambda: row_of(client, receiver)["waiting"] == 0, "nothing waited any more")
        sent = [json.loads(one.body)["id"] for one in receiver.of_job(job_id)]
        assert sorted(sent) == sorted(ids) and told(receiver) == set(ids)
        assert house.deliveries_of(job_id) == {one: 1 for one in ids}

    def test_a_receiver_that_only_a_job_knows(self, house, shop, receiver):
        """Paused before the job's first delivery is due: its deliveries start waiting."""
        server = house.serve(REENVIO_RETRY_SCHEDULE="1s,1s,1s,1s")
        client = server.client(shop.key)
        paid_payouts(server, shop, 5, receiver.url())
        row = pause(client, row_of(client, receiver))
        assert row["waiting"] == 5
        job_id, _ = client.dispatch(window(303))
        client.wait_for_job(job_id)
        never(lambda: receiver.count, "a paused receiver got something", watch=1.5)
        assert resume(client, row)["health"] == "ok"
        eventually(lambda: len(receiver.of_job(job_id)) == 5, "the job's webhooks came after the pause")

    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_outlives_the_process(self, house, shop, receiver, end):
        """Paused stays paused after SIGTERM and kill -9, with what waits; a pause that was answered is durable."""
        server = house.serve(**AGAIN)
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        row = known(client, operator, receiver)
        ids = [paid(client, operator, receiver.url()) for _ in range(2)]
        receiver.wait_for_acknowledged(3)
        receiver.default = 500
        ids.append(paid(client, operator, receiver.url()))
        house.wait_for_row("SELECT 1 FROM attempts WHERE status_code = 500", what="a failed attempt was recorded")
        pause(client, row)
        getattr(server, end)()
        seen = receiver.count
        receiver.default = 200

        server = house.serve(**AGAIN)
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        ids.append(paid(client, operator, receiver.url()))
        shown = row_of(client, receiver)
        assert (shown["id"], shown["health"], shown["waiting"]) == (row["id"], "paused", 2)
        never(lambda: receiver.count > seen, "a paused receiver got something after a restart", watch=1.3)
        resume(client, row)
        getattr(server, end)()
        house.serve(**AGAIN)
        eventually(lambda: told(receiver) >= set(ids), "everything came after the pause", within=LEASE_S + 10)
