"""A job of a million payouts, killed again and again, with a pace and a cancel in it (C 4.4, 5, 13.2, 13.6)."""

import random
import sqlite3
import time

import pytest

from harness.client import RESEND
from harness.seeding import START_S, WINDOW_S, seed as seed_payouts
from harness.waiting import eventually

PAYOUTS = 1_000_000
STAY_PUT = "3h,1h"
ROWS = """
    SELECT count(*), count(DISTINCT object_id) FROM (
        SELECT payout_id AS object_id FROM deliveries WHERE resend_id = ?1
        UNION ALL SELECT object_id FROM settled WHERE resend_id = ?1)
"""


def plain(second):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))


def window(**more):
    return {"merchant_id": 303, "start_time": plain(START_S), "end_time": plain(START_S + WINDOW_S)} | more


def fill(house, receiver, count):
    with sqlite3.connect(house.store_path, timeout=60) as connection:
        seed_payouts(connection, 303, 1_000, count, receiver.url())
    connection.close()


def assert_sound(house):
    done = house.run("check", "--deep", within=300)
    assert done.returncode == 0, done.stderr


def outcome(client, job_id):
    found = client.expect(200, "GET", f"{RESEND}/{job_id}?include=outcome")
    assert sum(found["outcome"].values()) == found["queued"] and min(found["outcome"].values()) >= 0
    return found


def enqueue_with_kills(house, shop, count, kills, rng):
    server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
    job_id, total = server.client(shop.key).dispatch(window())
    assert total == count
    for point in sorted(rng.sample(range(count // 100, count * 9 // 10), kills)):
        client = server.client(shop.key)
        while (seen := client.job(job_id))["queued"] < point:
            assert seen["status"] == "processing", seen
        server.kill()
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        assert server.client(shop.key).job(job_id)["queued"] >= seen["queued"], "a counter that was shown is gone"
    state = server.client(shop.key).wait_for_job(job_id, within=600)
    assert (state["status"], state["queued"], state["failed"]) == ("completed", count, 0)
    resend_id = house.one("SELECT id FROM resends WHERE public_id = ?", job_id)
    assert house.rows(ROWS, resend_id) == [(count, count)], "each payout once"
    server.client(shop.key).expect(200, "DELETE", f"{RESEND}/{job_id}")
    assert outcome(server.client(shop.key), job_id)["outcome"] == {
        "delivered": 0, "undelivered": 0, "pending": 0, "skipped": count}
    server.kill()


def paced_with_kills_and_a_cancel(house, shop, receiver, count, kills):
    """What was left of the job before is swept meanwhile."""
    pace = 100
    server = house.serve()
    job_id, total = server.client(shop.key).dispatch(window(max_per_second=pace, only_unacknowledged=True))
    assert total == count
    for kill in range(kills):
        receiver.wait_for((kill + 1) * 3 * pace, within=60)
        outcome(server.client(shop.key), job_id)
        server.kill()
        server = house.serve()
    receiver.wait_for(kills * 3 * pace + pace, within=60)
    state = server.client(shop.key).expect(200, "DELETE", f"{RESEND}/{job_id}")
    answered = time.time()
    server.kill()
    assert (state["status"], state["reason"]) == ("failed", "Canceled.")
    server = house.serve()
    client = server.client(shop.key)
    again, total = client.dispatch(window(max_per_second=1, canary=1))
    assert total == count, "the lock is free"
    client.expect(200, "DELETE", f"{RESEND}/{again}")
    eventually(
        lambda: not house.one("SELECT count(*) FROM resends WHERE sweep_pending = 1"), "everything was swept", 600)
    late = [one for one in receiver.of_job(job_id) if one.at > answered + 1]
    assert not late, f"{len(late)} attempts began later than a second after the answer"
    times = [one.at for one in receiver.of_job(job_id)]
    most = max(sum(start <= at < start + 10 for at in times) for start in times[::50])
    assert most <= pace * 10 * 1.05 + pace, f"{most} in ten seconds, at {pace} a second"
    found = outcome(client, job_id)
    assert found["outcome"]["pending"] == 0 and found["ended"] == "canceled"
    assert found["outcome"]["delivered"] >= kills * 3 * pace
    server.stop()
    assert_sound(house)


def test_twenty_thousand(house, shop, receiver):
    """The short form, with what is seeded checked, too."""
    rng = random.Random(7)
    fill(house, receiver, 20_000)
    assert_sound(house)
    enqueue_with_kills(house, shop, 20_000, 2, rng)
    paced_with_kills_and_a_cancel(house, shop, receiver, 20_000, 1)


@pytest.mark.soak
def test_a_million(house, shop, receiver):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    fill(house, receiver, PAYOUTS)
    enqueue_with_kills(house, shop, PAYOUTS, 8, random.Random(seed))
    paced_with_kills_and_a_cancel(house, shop, receiver, PAYOUTS, 5)
