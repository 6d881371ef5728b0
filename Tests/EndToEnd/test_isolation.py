"""Two hundred receivers of which three quarters are dead: the healthy ones do not notice (C 3.4)."""

import time

import pytest

from harness.binary import Shop
from harness.client import create_payouts
from harness.peers import Crowd, Mute
from harness.recount import assert_counters_are_the_rows
from harness.waiting import eventually

HEALTHY, DEAD = 50, 150
EACH = 4
TO_EACH_DEAD = 8
"""Together more than a node may have in flight (design rule 12)."""


@pytest.fixture
def crowd():
    crowd = Crowd(HEALTHY)
    yield crowd
    crowd.close()


@pytest.fixture
def mute():
    mute = Mute(DEAD)
    yield mute
    mute.close()


def delays(operator, crowd, ids):
    """Pays them bit by bit, and returns how long each took from being reported to its receiver."""
    told = {}
    for start in range(0, len(ids), 10):
        part = ids[start : start + 10]
        told |= dict.fromkeys(part, time.time())
        operator.transition_all(part, 3)
    eventually(lambda: all(one in crowd.arrived for one in ids), "each healthy receiver got its webhooks", within=60)
    return {one: crowd.arrived[one] - told[one] for one in ids}


@pytest.mark.parametrize("whose", ["same merchant", "other merchant"])
def test_the_healthy_ones_are_not_delayed(house, shop, crowd, mute, whose):
    """Compared with the same run before the dead ones had work: 150 receivers take connections and never answer, each
    with eight webhooks, all reported in the same moment; nothing is known of them yet."""
    dead_shop = shop if whose == "same merchant" else Shop(house, merchant_id=404, name="Open Market")
    server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s,1h")
    operator = server.client(shop.operator_key)
    first, second = (create_payouts(server, shop, EACH * HEALTHY, crowd.urls(), tag) for tag in ("before", "during"))
    dead = create_payouts(server, dead_shop, TO_EACH_DEAD * DEAD, mute.urls(), "dead")

    baseline = sorted(delays(operator, crowd, first).values())
    operator.transition_all(dead, 3)
    eventually(
        lambda: house.one("SELECT count(*) FROM deliveries WHERE claim_token IS NOT NULL") >= 32,
        "the dead ones had attempts in flight",
    )
    during = sorted(delays(operator, crowd, second).values())
    middle, worst = during[len(during) // 2], during[-1]
    print(f"baseline {baseline[len(baseline) // 2]:.3f} {baseline[-1]:.3f} s, beside the dead {middle:.3f} {worst:.3f} s")
    assert middle <= 5 * baseline[len(baseline) // 2] + 1, "most waited for the dead ones"
    assert worst <= 5 * baseline[-1] + 2, "some waited for the dead ones"
    server.kill()
    assert_counters_are_the_rows(house)


def test_no_receiver_gets_more_at_once_than_its_share(house, shop):
    """Design rule 12: at most 256 attempts in flight to one receiver, also when it answers all of them."""
    crowd = Crowd(1)
    crowd.pause_s = 0.15
    try:
        server = house.serve()
        ids = create_payouts(server, shop, 700, crowd.urls()[0])
        server.client(shop.operator_key).transition_all(ids, 3)
        eventually(lambda: len(crowd.arrived) == 700, "all arrived", within=40)
        assert 4 <= crowd.at_once_most <= 256
    finally:
        crowd.close()
