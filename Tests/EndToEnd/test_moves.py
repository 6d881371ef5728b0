"""A shop moves to another origin (C 13.16): its payouts, what waits for them, its registrations; and one payout alone."""

import json

import pytest

from harness.binary import LOOPBACK_RECEIVERS, assert_refused
from harness.bodies import window
from harness.client import PAYMENTS, paid_payouts
from harness.receiver import Receiver
from harness.waiting import eventually

MOVE = "/v2/merchants/303/notification-urls/move"


@pytest.fixture
def moved_to(shop):
    """Where the shop is from now on."""
    receiver = Receiver()
    receiver.trust(shop.secret)
    yield receiver
    receiver.close()


def origin(receiver):
    return receiver.url("").rstrip("/")


def move(old, new, **more):
    return {"from": origin(old), "to": origin(new)} | more


class TestMove:
    def test_a_shop_that_moved(self, house, shop, receiver, moved_to):
        """Old payouts are resent to the new address, and what waited for the dead one arrives there."""
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1h,1h")
        operator, merchant = server.client(shop.operator_key), server.client(shop.key)
        old = paid_payouts(server, shop, 20, receiver.url("/hook?shop=7"), tag="old")
        receiver.wait_for_acknowledged(20)
        receiver.down()
        waiting = paid_payouts(server, shop, 5, receiver.url("/hook?shop=7"), tag="waiting")
        planned = operator.expect(200, "POST", MOVE, move(receiver, moved_to, dry_run=True))
        assert (planned["payouts"], planned["open_deliveries"]) == (25, 5)
        moved = operator.expect(200, "POST", MOVE, move(receiver, moved_to))
        assert (moved["payouts"], moved["open_deliveries"], moved["next"]) == (25, 5, None)
        job_id, total = merchant.dispatch(window(303))
        assert total == 25
        state = merchant.wait_for_job(job_id)
        assert (state["queued"], state["failed"]) == (25, 0)
        heard = lambda: {json.loads(one.body)["id"] for one in moved_to.acknowledged}
        eventually(lambda: heard() == set(old + waiting), "everything arrived at the new address", 60)
        assert {one.path for one in moved_to.acknowledged} == {"/hook?shop=7"}
        assert merchant.payout(old[0])["notification_url"] == moved_to.url("/hook?shop=7")
        again = operator.expect(200, "POST", MOVE, move(receiver, moved_to))
        assert (again["payouts"], again["open_deliveries"]) == (0, 0)
        audit = operator.expect(200, "GET", "/v2/audit")["data"]
        named = [row["parameters"] for row in audit if row["action"] == "merchant.move-urls"]
        assert named and all(origin(receiver) in row and origin(moved_to) in row for row in named)
        assert house.run("check", "--deep").returncode == 0

    def test_by_command_beside_a_server(self, house, shop, receiver, moved_to):
        server = house.serve(REENVIO_RETRY_SCHEDULE="1h,1h")
        paid_payouts(server, shop, 10, receiver.url())
        flags = ["--id", 303, "--from", origin(receiver), "--to", origin(moved_to)]
        assert house.json("merchant", "move-urls", *flags, "--dry-run", **LOOPBACK_RECEIVERS)["payouts"] == 10
        assert house.json("merchant", "move-urls", *flags, **LOOPBACK_RECEIVERS)["open_deliveries"] == 10
        assert house.one("SELECT count(*) FROM payouts WHERE notification_url = ?", moved_to.url()) == 10
        elsewhere = house.run("merchant", "move-urls", *flags[2:], "--id", 999, **LOOPBACK_RECEIVERS)
        assert_refused(elsewhere, "there is no merchant 999")
        refused = house.run("merchant", "move-urls", "--id", 303, "--from", origin(receiver), "--to", "https://10.0.0.1")
        assert_refused(refused, "must be an https URL with a public host")


class TestOnePayout:
    def test_by_api_and_by_command(self, house, shop, receiver, moved_to):
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1h")
        operator = server.client(shop.operator_key)
        receiver.default = 500
        first, second = paid_payouts(server, shop, 2, receiver.url())
        path = f"{PAYMENTS}/{first}"
        changed = operator.expect(200, "PATCH", path, {"notification_url": moved_to.url("/one")})
        assert changed["notification_url"] == moved_to.url("/one")
        done = house.json("payout", "set-url", second, "--url", moved_to.url("/two"), **LOOPBACK_RECEIVERS)
        assert done == {"payout_id": second, "notification_url": moved_to.url("/two")}
        for payout in (first, second):
            operator.expect(202, "POST", f"{PAYMENTS}/{payout}/notifications/resend")
        eventually(lambda: {one.path for one in moved_to.acknowledged} == {"/one", "/two"}, "both arrived there", 30)
        assert server.client(shop.key).request("PATCH", path, json={"notification_url": "x"}).status_code == 403
        assert_refused(house.run("payout", "set-url", 99, "--url", "https://shop.example/"), "there is no payout 99")

    def test_one_that_had_none(self, house, shop, receiver):
        server = house.serve()
        operator = server.client(shop.operator_key)
        (silent,) = paid_payouts(server, shop, 1, None)
        resend = f"{PAYMENTS}/{silent}/notifications/resend"
        operator.expect(200, "PATCH", f"{PAYMENTS}/{silent}", {"notification_url": receiver.url()})
        operator.expect(409, "POST", resend)
        assert not receiver.acknowledged, "what happened before stays untold"
