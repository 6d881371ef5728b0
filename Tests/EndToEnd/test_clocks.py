"""Wall clocks that are wrong, and set right: deliveries go by their schedule, and nothing is destroyed (design rule 9,
`docs/decisions/0009-two-clocks.md`)."""

import json
import time
from datetime import datetime

import pytest

from harness import signatures
from harness.binary import Shop
from harness.bodies import payout_body, window
from harness.client import PAYMENTS, RESEND, paid_payouts
from harness.clocks import DAY_S, HOUR_S, Clock, library
from harness.metrics import sample
from harness.postgres import Postgres, SharedHouse
from harness.receiver import Receiver
from harness.waiting import eventually

WRONG = "the wall clock contradicts the last good time; nothing is removed or given up by it"
SOON = {"REENVIO_RETRY_SCHEDULE": "0s," + ",".join(["1s"] * 99)}
# A lease, and a generous start.
WITHIN_S = 90


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return library(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def clock(tmp_path, shim):
    clock = Clock(tmp_path, shim)
    with signatures.of_wrong_clocks():
        yield clock
        # Before what came is verified for the last time.
        eventually(lambda: not signatures.are_doubtful(), "every webhook verified")
    clock.close()


@pytest.fixture
def hook():
    """Verified by the harness as a whole, not by itself: it would look at the time."""
    receiver = Receiver()
    yield receiver
    receiver.close()


def told(hook):
    return {json.loads(one.body)["id"] for one in hook.acknowledged}


def wrong_lines(server):
    whole = server.log_text().rpartition("\n")[0].splitlines()
    return [line for line in map(json.loads, whole) if line["level"] == "error" and line["message"] == WRONG]


def wake_the_janitor(house, client, operator):
    """A job of a paused receiver is canceled through the server."""
    receiver = operator.expect(200, "GET", "/v2/receivers")["data"][0]["id"]
    operator.expect(200, "POST", f"/v2/receivers/{receiver}/pause")
    job, _ = client.dispatch(window(303))
    client.expect(200, "DELETE", f"{RESEND}/{job}")
    operator.expect(200, "POST", f"/v2/receivers/{receiver}/resume")


def wait_until_told(hook, ids, what):
    eventually(lambda: set(ids) <= told(hook), what, WITHIN_S)


@pytest.mark.parametrize("jump", [HOUR_S, -HOUR_S, DAY_S, -DAY_S, 400 * DAY_S, -400 * DAY_S])
def test_a_jump_while_it_runs(house, shop, hook, clock, jump):
    """Live changes, retries, and a payout made before the jump and paid after it, whose history stays in order."""
    server = house.serve(**SOON, **clock.environment)
    client, operator = server.client(shop.key), server.client(shop.operator_key)
    hook.default = 500
    failing = paid_payouts(server, shop, 5, hook.url(), tag="failing")
    waiting = client.create_payout(notification_url=hook.url(), invoice="waiting")["id"]
    hook.wait_for(5)
    clock.set(jump)
    hook.default = 200
    live = paid_payouts(server, shop, 5, hook.url(), tag="live")
    operator.transition(waiting, 3)
    wait_until_told(hook, failing + live + [waiting], "live webhooks and retries arrived")
    created, updated = house.rows("SELECT created_at, updated_at FROM payouts WHERE id = ?", waiting)[0]
    assert updated >= created
    assert house.run("check", "--deep").returncode == 0


@pytest.mark.parametrize("wrong", [3 * HOUR_S, -3 * HOUR_S])
def test_a_wrong_clock_at_the_start_that_is_set_right(house, shop, hook, clock, wrong):
    """The machine boots with it, its clock is set, the server is killed and started: what waits for a retry and what was
    claimed goes out by its schedule, and what is shown agrees with the wall clock."""
    schedule = {"REENVIO_RETRY_SCHEDULE": "0s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s,3s"}
    clock.set(wrong)
    server = house.serve(**schedule, **clock.environment)
    hook.default = 500
    failing = paid_payouts(server, shop, 5, hook.url(), tag="failing")
    hook.wait_for(5)
    hook.hold()
    claimed = paid_payouts(server, shop, 5, hook.url(), tag="claimed")
    house.wait_for_row(
        "SELECT 1 FROM deliveries WHERE claim_token IS NOT NULL AND payout_id >= ?", min(claimed), what="one was claimed")
    clock.set(0)
    server.kill()
    hook.let_go()
    hook.default = 200
    hook.forget()
    server = house.serve(**schedule, **clock.environment)
    new = paid_payouts(server, shop, 5, hook.url(), tag="new")
    wait_until_told(hook, failing + claimed + new, "retries, claimed and new ones arrived")
    assert house.run("check", "--deep").returncode == 0


def test_times_are_shown_by_the_wall_clock(house, shop, hook, clock):
    """After a clock that was three hours ahead was set right, the next attempt is shown within its wait from now."""
    schedule = {"REENVIO_RETRY_SCHEDULE": "0s,10m"}
    clock.set(3 * HOUR_S)
    server = house.serve(**schedule, **clock.environment)
    hook.default = 500
    (failing,) = paid_payouts(server, shop, 1, hook.url())
    hook.wait_for(1)
    house.wait_for_row("SELECT 1 FROM attempts", what="the attempt was written")
    clock.set(0)
    server.kill()
    server = house.serve(**schedule, **clock.environment)
    client = server.client(shop.key)

    def is_near(shown):
        seconds = datetime.fromisoformat(shown["next_attempt_at"].replace("Z", "+00:00")).timestamp() - time.time()
        return 0 < seconds < 720

    assert is_near(client.expect(200, "GET", f"{PAYMENTS}/{failing}/why"))
    eventually(lambda: is_near(house.json("why", failing)), "a command shows it likewise", WITHIN_S)


def test_a_clock_that_is_401_days_ahead_destroys_nothing(house, shop, hook, clock):
    """People's data, histories, jobs, the audit and keys: while it runs, over a start, and once it is right again."""
    server = house.serve(**SOON, **clock.environment)
    client, operator = server.client(shop.key), server.client(shop.operator_key)
    ids = paid_payouts(server, shop, 20, hook.url())
    hook.wait_for_acknowledged(20)
    client.wait_for_job(client.dispatch(window(303))[0])
    hook.wait_for_acknowledged(40)
    body = payout_body(invoice="once", notification_url=hook.url())
    made = client.request("POST", PAYMENTS, json=body, headers={"Idempotency-Key": "once"})
    house.wait_for_row("SELECT 1 FROM meta WHERE name = 'trusted_time'", what="the last good time was stored")
    eventually(lambda: not house.one("SELECT count(*) FROM deliveries"), "all is recorded")
    tables = ("payouts", "parties", "attempts", "settled", "resends", "audit", "idempotency_keys")

    def counts():
        return {table: house.one(f"SELECT count(*) FROM {table}") for table in tables}

    before = counts()
    clock.set(401 * DAY_S)
    again = client.request("POST", PAYMENTS, json=body, headers={"Idempotency-Key": "once"})
    assert again.json()["id"] == made.json()["id"]
    wake_the_janitor(house, client, operator)
    eventually(lambda: wrong_lines(server), "it is logged by a running server", WITHIN_S)
    server.stop()
    server = house.serve(**SOON, **clock.environment)
    lines = eventually(lambda: wrong_lines(server), "it is logged by one that starts", WITHIN_S)
    assert lines[0]["wall"] > lines[0]["expected"]
    operator = server.client(shop.operator_key)
    assert sample(operator, "reenvio_clock_distrusted") == 1
    assert operator.get("/readyz").status_code == 200
    more = paid_payouts(server, shop, 5, hook.url(), tag="more")
    wait_until_told(hook, more, "webhooks go out meanwhile")
    assert "clock accept" not in house.run("check").stderr
    assert "clock accept" in house.run("check", **clock.environment).stderr
    clock.set(0)
    server.stop()
    server = house.serve(**SOON, **clock.environment)
    operator = server.client(shop.operator_key)
    eventually(lambda: sample(operator, "reenvio_clock_distrusted") == 0, "it is trusted again")
    after = counts()
    assert all(after[table] >= before[table] for table in tables), (before, after)
    assert server.client(shop.key).payout(ids[0])["beneficiary"]["name"]


def test_a_clock_is_accepted(house, shop, clock):
    """An operator's word, on record, is believed by a server that starts."""
    server = house.serve(**clock.environment)
    house.wait_for_row("SELECT 1 FROM meta WHERE name = 'trusted_time'", what="the last good time was stored")
    server.stop()
    clock.set(400 * DAY_S)
    assert "clock accept" in house.run("check", **clock.environment).stderr
    assert house.json("clock", "accept", **clock.environment)["accepted"].endswith("Z")
    assert "clock accept" not in house.run("check", **clock.environment).stderr
    assert house.json("audit")["data"][0]["action"] == "clock.accept"


class Shifted(Postgres):
    """Whose clock is the test's."""

    clock = None

    def as_server(self, *command):
        preloaded = [f"{name}={value}" for name, value in self.clock.environment.items()]
        return ["env", *preloaded, *super().as_server(*command)]


@pytest.mark.parametrize("jump", [HOUR_S, -HOUR_S])
def test_a_database_whose_clock_jumps(tmp_path, jump):
    """As after a failover to a host whose clock differs. A node that starts goes by the running ones: it takes over no
    lease of theirs, and what it accepts goes out at once; alone, it goes on."""
    postgres = Shifted()
    postgres.clock = clock = Clock(postgres.folder, library(postgres.folder))
    house, hook = None, Receiver()
    try:
        house = SharedHouse(tmp_path, postgres.create().start(), SOON)
        shop = Shop(house)
        hook.trust(shop.secret)
        first = house.serve()
        before = paid_payouts(first, shop, 5, hook.url(), tag="before")
        wait_until_told(hook, before, "the first ones arrived")
        hook.hold()
        held = paid_payouts(first, shop, 5, hook.url(), tag="held")
        hook.wait_for(10)
        clock.set(jump)
        second = house.serve()
        new = paid_payouts(second, shop, 5, hook.url(), tag="new")
        eventually(lambda: {json.loads(one.body)["id"] for one in hook.received} >= set(new), "new ones go out", WITHIN_S)
        hook.let_go()
        wait_until_told(hook, held + new, "what both have taken arrived")
        for node in (first, second):
            assert sample(node.client(shop.operator_key), "reenvio_possible_duplicates_total") == 0
        first.stop()
        alone = paid_payouts(second, shop, 5, hook.url(), tag="alone")
        wait_until_told(hook, alone, "the second goes on alone")
    finally:
        if house:
            house.close()
        hook.close()
        postgres.close()
        clock.close()
