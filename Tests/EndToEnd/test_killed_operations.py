"""Small commits and the kill around them, where no other file tells of it (docs/crashes.md)."""

import itertools
import json
import sqlite3
import subprocess

from harness.binary import House
from harness.bodies import window
from harness.client import PAYMENTS, paid_payouts
from harness.receiver import Receiver
from harness.recount import assert_counters_are_the_rows
from harness.waiting import eventually, never

HOUR_US = 3_600_000_000


def test_one_payouts_resend(house, shop, receiver):
    """C 13.9: killed the moment its 202 was read, it is sent by the next server, once."""
    server = house.serve(REENVIO_RETRY_SCHEDULE="1s,1h")
    paid_payouts(server, shop, 1, receiver.url())
    receiver.wait_for_acknowledged(1)
    house.wait_for_row("SELECT 1 FROM settled", what="the live delivery was settled")
    assert server.client(shop.key).post(f"{PAYMENTS}/1/notifications/resend").status_code == 202
    server.kill()
    assert_counters_are_the_rows(house)
    server = house.serve(REENVIO_RETRY_SCHEDULE="1s,1h")
    assert receiver.wait_for_acknowledged(2)[1].job_id
    eventually(lambda: house.one("SELECT count(*) FROM settled") == 2, "its delivery was settled")
    assert receiver.count == 2
    assert_counters_are_the_rows(house)


def test_a_command_killed_anywhere_leaves_all_or_nothing(tmp_path):
    """Accounts, merchants, keys, users, and the store itself when it is new: killed later and later, until each ran through."""
    house = House(tmp_path)
    commands = [
        ("account", "create", "--name", "Shop"),
        ("merchant", "create", "--account", 1, "--name", "Corner Shop"),
        ("key", "create", "--account", 1, "--name", "k"),
        ("user", "create", "--account", 1, "--merchants", 1),
    ]
    for command in commands:
        done = killed = 0
        for milliseconds in itertools.count(0, 4):
            process = house.spawn(*command, log=tmp_path / "log")
            try:
                done += process.wait(milliseconds / 1_000) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                killed += 1
            process.stdout.close()
            if done == 2:
                break
        assert killed > 0
        assert_whole(house, command[0], done)


def assert_whole(house, kind, done):
    """Every row of it has what belongs to it, and its audit row."""
    count = house.one({"account": "SELECT count(*) FROM accounts", "merchant": "SELECT count(*) FROM merchants",
                       "key": "SELECT count(*) FROM api_keys", "user": "SELECT count(*) FROM users"}[kind])
    assert count >= done
    assert house.one("SELECT count(*) FROM audit WHERE action = ?", f"{kind}.create") == count
    if kind == "merchant":
        assert house.rows("SELECT merchant_id, count(*) FROM secrets GROUP BY 1 HAVING count(*) <> 2") == []
        assert house.one("SELECT count(DISTINCT merchant_id) FROM secrets") == count
    if kind == "user":
        assert house.one("SELECT count(*) FROM user_policies WHERE merchant_id = 1") == count


def age(house, hours, probed=True):
    """Makes what the store has deferred that much older, with no server on it; `probed`: as if one had probed its
    receivers all the time."""
    with sqlite3.connect(house.store_path) as connection:
        connection.execute(
            """UPDATE receivers SET broken_at = broken_at - ?1, probing_since = probing_since - ?1,
            resume_at = resume_at - ?1, probed_at = probed_at - ?2 WHERE broken_at IS NOT NULL""",
            (hours * HOUR_US, 0 if probed else hours * HOUR_US),
        )
        connection.execute(
            "UPDATE deliveries SET due_at = due_at - ?1, created_at = created_at - ?1", (hours * HOUR_US,)
        )
    connection.close()


SLOW = "0s,1h,1h,1h,1h,1h,1h,1h"


def test_given_up_after_72_hours(house, shop, receiver):
    """C 3.4: what a breaker deferred for 72 h of probes is `exhausted`, reason `receiver_broken`, shown and counted; not
    before, not what a pause holds back, and not while no server was there to probe."""
    server = house.serve(REENVIO_RETRY_SCHEDULE=SLOW)
    client = server.client(shop.key)
    given_up = "SELECT count(*) FROM settled WHERE state = 'exhausted' AND reason = 'receiver_broken'"
    paused = Receiver()
    paused.default = receiver.default = 500
    for hook, tag in ((receiver, "broken"), (paused, "paused")):
        for number in range(10):
            paid_payouts(server, shop, 1, hook.url(), tag=f"{tag}-{number}")
            house.wait_for_row(
                "SELECT 1 FROM (SELECT count(*) AS n FROM attempts) WHERE n = ?", number + 1 + 10 * (hook is paused),
                what="the failed attempt was recorded",
            )
    eventually(lambda: house.one("SELECT count(*) FROM receivers WHERE broken_at IS NOT NULL") == 2, "both are broken")
    job_id, total = client.dispatch(window(303))
    client.wait_for_job(job_id)
    (row,) = [one for one in client.get("/v2/receivers").json()["data"] if one["receiver"] == paused.url("")]
    client.expect(200, "POST", f"/v2/receivers/{row['id']}/pause")
    server.kill()
    assert total == 20 and house.one("SELECT count(*) FROM deliveries") == 40

    for hours, probed in ((73, False), (70, True)):
        tried = receiver.count
        age(house, hours, probed)
        server = house.serve(REENVIO_RETRY_SCHEDULE=SLOW)
        eventually(lambda: receiver.count > tried, "the broken receiver was probed")
        never(lambda: house.one(given_up), "something was given up", watch=1.5)
        server.kill()

    age(house, hours=73)
    server = house.serve(REENVIO_RETRY_SCHEDULE=SLOW)
    eventually(lambda: house.one(given_up) >= 18, "what waited behind the breaker was given up")
    (shown,) = house.rows("SELECT object_id FROM settled WHERE reason = 'receiver_broken' LIMIT 1")
    client = server.client(shop.key)
    log = client.expect(200, "GET", f"/v2/payout/payments/{shown[0]}/notifications")["data"]
    assert "receiver_broken" in {one["reason"] for one in log[0]["deliveries"]}
    why = client.expect(200, "GET", f"/v2/payout/payments/{shown[0]}/why")
    assert any("receiver_broken" in sentence for sentence in why["explanation"]), why["explanation"]
    ledger = client.expect(200, "GET", f"/v2/payout/notifications/resend/{job_id}/items?outcome=undelivered")["data"]
    assert {one["last_reason"] for one in ledger} >= {"receiver_broken"}
    server.kill()
    assert_counters_are_the_rows(house)
    ended = {json.loads(one.body)["id"] for one in receiver.received}
    assert {one for (one,) in house.rows("SELECT DISTINCT object_id FROM settled")} <= ended
    assert house.one("SELECT count(*) FROM deliveries") >= 20, "what a pause held back was given up"
    paused.close()
