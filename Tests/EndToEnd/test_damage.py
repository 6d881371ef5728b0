"""One damaged row of one merchant in a store: the other merchant's changes are all delivered, the damaged one's error is
said once and seen by the commands (docs/operations.md)."""

import json
import sqlite3

import pytest

from harness.bodies import payout_body
from harness.client import PAYMENTS, create_payouts
from harness.metrics import sample
from harness.waiting import eventually

SOUND, DAMAGED = 303, 304
COUNT = 40


def flip(store):
    """One bit of each sealed secret."""
    for kind, version, sealed in store.execute(
        "SELECT kind, version, sealed FROM secrets WHERE merchant_id = 304"
    ).fetchall():
        broken = bytearray(sealed)
        broken[-3] ^= 4
        store.execute("UPDATE secrets SET sealed = ? WHERE merchant_id = 304 AND kind = ? AND version = ?",
                      (bytes(broken), kind, version))


SETTLED = """INSERT INTO settled SELECT merchant_id, payout_id, id, queue_id, notification_id, NULL, NULL, 'acknowledged',
    NULL, 1, 200, created_at, created_at FROM deliveries WHERE merchant_id = 304"""

# What is done to the store, and whether something of the other merchant's must be set aside or said.
DAMAGE = {
    "secret, one bit": (flip, "deliveries cannot be signed; they wait"),
    "secrets gone": ("DELETE FROM secrets WHERE merchant_id = 304", "deliveries cannot be signed; they wait"),
    "notification gone": ("DELETE FROM notifications WHERE merchant_id = 304", "set aside"),
    "payout gone": ("DELETE FROM payouts WHERE merchant_id = 304", "set aside"),
    "receiver gone": ("DELETE FROM receivers WHERE merchant_id = 304", None),
    "clock gone": ("DELETE FROM merchant_clocks WHERE merchant_id = 304", None),
    "counts gone": ("DELETE FROM second_counts WHERE merchant_id = 304", None),
    "URL garbage": ("UPDATE payouts SET notification_url = 'http://127.0.0.1:99999999/x' WHERE merchant_id = 304", None),
    "wrong queue": ("UPDATE deliveries SET queue_id = queue_id + 3 WHERE merchant_id = 304", None),
    "ended already": (SETTLED, "set aside"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_row_stops_nobody_else(house, shop, receiver, name):
    damage, said = DAMAGE[name]
    other = house.json("merchant", "create", "--account", shop.account_id, "--id", DAMAGED, "--name", "Broken Shop")
    receiver.trust(other["signing_secret"])
    server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s")
    operator = server.client(shop.operator_key)
    receiver.default = 500
    before = [operator.create_payout(merchant_id=DAMAGED, invoice=f"b-{n}", notification_url=receiver.url())["id"]
              for n in range(3)]
    operator.transition_all(before, 3)
    eventually(lambda: house.one("SELECT count(*) FROM attempts") >= 3, "the damaged one's were tried", 60)
    server.kill()
    receiver.default = 200
    receiver.forget()
    with sqlite3.connect(house.store_path) as store:
        damage(store) if callable(damage) else store.execute(damage)
    store.close()

    server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s")
    operator = server.client(shop.operator_key)
    ids = create_payouts(server, shop, COUNT, receiver.url(), "sound")
    operator.transition_all(ids, 3)
    eventually(lambda: house.one(
        "SELECT count(*) FROM settled WHERE merchant_id = 303 AND state = 'acknowledged'") == COUNT,
        "every change of the sound merchant was told and recorded", 90)
    # New work of the damaged one beside it, as far as it is accepted, and more of the sound one after it.
    try_all(operator, receiver)
    more = create_payouts(server, shop, COUNT, receiver.url(), "more")
    operator.transition_all(more, 3)
    eventually(lambda: house.one(
        "SELECT count(*) FROM settled WHERE merchant_id = 303 AND state = 'acknowledged'") == 2 * COUNT,
        "nothing of it stopped what came later", 90)
    if said is None:
        return
    eventually(lambda: any(said in line for line in errors(server)), f"the log says {said!r}", 60)
    assert len(errors(server)) <= 12, errors(server)
    if said == "set aside":
        checked = house.run("check")
        count = checked.stderr.count("is set aside until")
        assert checked.returncode == 0 and count >= 1, checked.stderr
        eventually(lambda: sample(operator, "reenvio_set_aside") >= count, "the metric shows them", 60)
        if name != "payout gone":
            assert "is set aside until" in house.run("why", before[0]).stdout


def try_all(operator, receiver):
    for number in range(3):
        made = operator.post(PAYMENTS, payout_body(
            merchant_id=DAMAGED, invoice=f"late-{number}", notification_url=receiver.url()))
        if made.status_code == 201:
            operator.post(f"{PAYMENTS}/{made.json()['id']}/transition", {"status_id": 3})


def errors(server):
    lines = [json.loads(line) for line in server.log_text().splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if line["level"] == "error"]
