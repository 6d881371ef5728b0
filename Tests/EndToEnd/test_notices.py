"""Operator notices: what the operator's own URL is told (docs/operations.md), signed, until it answers 200, whatever is
killed meanwhile."""

import base64
import json
from collections import Counter

import pytest

from harness import signatures
from harness.binary import LOOPBACK_RECEIVERS, House, Shop
from harness.bodies import window
from harness.client import RESEND, paid_payouts
from harness.postgres import Postgres, SharedHouse
from harness.receiver import Receiver
from harness.waiting import eventually, never
from test_crash import LEASE_S

SECRET = "whsec_" + base64.b64encode(b"operator-secret-for-tests-0001").decode()


@pytest.fixture
def ear():
    """The operator's side."""
    ear = Receiver()
    ear.trust(SECRET)
    signatures.learn(SECRET)
    yield ear
    ear.close()


def telling(ear, schedule="0s,0s"):
    return {
        "REENVIO_RETRY_SCHEDULE": schedule, "REENVIO_OPERATOR_WEBHOOK": ear.url("/notices"),
        "REENVIO_OPERATOR_WEBHOOK_SECRET": SECRET}


@pytest.fixture
def server(house, shop, ear):
    return house.serve(**telling(ear))


def heard(ear, kind):
    told = [json.loads(one.body) for one in ear.received if one.answered == 200]
    return [one["data"] for one in told if one["type"] == kind]


class TestNotices:
    def test_tells_what_happened(self, server, shop, receiver, ear):
        receiver.default = 500
        paid_payouts(server, shop, 12, receiver.url())
        ear.wait_for(2)
        broken = eventually(lambda: heard(ear, "receiver.broken"), "it is told of the broken receiver")
        assert broken[0]["merchant_id"] == 303 and broken[0]["reason"] == "http_status"
        exhausted = eventually(lambda: heard(ear, "delivery.exhausted"), "it is told of what was given up")
        assert exhausted[0]["attempts"] == 2 and exhausted[0]["payout_id"] and exhausted[0]["webhook_id"]
        receiver.default = 200
        client = server.client(shop.key)
        job, total = client.dispatch(window(303))
        ended = eventually(lambda: heard(ear, "resend.ended"), "it is told that the job ended")
        assert ended[0]["job_id"] == job and ended[0]["ended"] == "completed" and ended[0]["total"] == total == 12
        recovered = eventually(lambda: heard(ear, "receiver.recovered"), "it is told of the recovery", within=30)
        assert recovered[0]["receiver_id"] == broken[0]["receiver_id"]
        assert all(one.verified for one in ear.received)

    def test_tries_again_until_200(self, server, shop, receiver, ear):
        ear.answers = [503]
        paid_payouts(server, shop, 1, receiver.url())
        receiver.wait_for_acknowledged(1)
        server.client(shop.key).dispatch(window(303))
        ear.wait_for_acknowledged(1)
        first, second = ear.received[:2]
        assert first.webhook_id == second.webhook_id and [first.attempt, second.attempt] == [1, 2]

    def test_a_canceled_job_is_told(self, server, shop, receiver, ear):
        paid_payouts(server, shop, 5, receiver.url())
        receiver.wait_for_acknowledged(5)
        receiver.hold()
        client = server.client(shop.key)
        job, _ = client.dispatch(window(303))
        client.wait_for_job(job)
        assert client.request("DELETE", f"{RESEND}/{job}").status_code == 200
        ear.wait_for_acknowledged(2)
        assert [one["ended"] for one in heard(ear, "resend.ended")] == ["completed", "canceled"]
        receiver.let_go()


    def test_a_job_that_a_command_cancels_is_told(self, house, server, shop, receiver, ear):
        receiver.hold()
        paid_payouts(server, shop, 2, receiver.url())
        client = server.client(shop.key)
        job, _ = client.dispatch(window(303))
        client.wait_for_job(job)
        house.json("job", "cancel", job, **(telling(ear) | LOOPBACK_RECEIVERS))
        ear.wait_for_acknowledged(2)
        assert [one["ended"] for one in heard(ear, "resend.ended")] == ["completed", "canceled"]
        receiver.let_go()

    def test_without_a_url_nothing_is_written(self, house, shop, receiver):
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s")
        receiver.default = 500
        paid_payouts(server, shop, 3, receiver.url())
        eventually(lambda: house.one("SELECT count(*) FROM settled") == 3, "all are given up")
        assert house.one("SELECT count(*) FROM notices") == 0


class TestKilled:
    @pytest.mark.waits
    def test_before_the_acknowledgement(self, house, shop, receiver, ear):
        """kill -9 while the operator's side has a notice in hand: told again, under the same name, with the next number."""
        server = house.serve(**telling(ear, "0s,1s,1s"))
        receiver.default = 500
        ear.hold()
        paid_payouts(server, shop, 2, receiver.url())
        first = {one.webhook_id: one for one in ear.wait_for(2)}
        server.kill()
        ear.let_go()
        house.serve(**telling(ear, "0s,1s,1s"))
        again = eventually(lambda: ear.received[2:4] if ear.count >= 4 else None, "both are told again", LEASE_S + 15)
        assert {one.webhook_id for one in again} == set(first)
        for one in again:
            assert one.body == first[one.webhook_id].body and one.attempt == first[one.webhook_id].attempt + 1
        eventually(lambda: house.one("SELECT count(*) FROM notices") == 0, "nothing is left to tell")
        assert ear.count == 4

    def test_before_anything_was_sent(self, house, shop, receiver, ear):
        """The operator's side is down while it happens, and while the server is killed."""
        ear.down()
        server = house.serve(**telling(ear, "0s,2s,2s,2s,2s,2s"))
        paid_payouts(server, shop, 1, receiver.url())
        receiver.wait_for_acknowledged(1)
        job, _ = server.client(shop.key).dispatch(window(303))
        house.wait_for_row("SELECT 1 FROM notices WHERE type = 'resend.ended'", what="it stands in the store")
        server.kill()
        ear.up()
        house.serve(**telling(ear, "0s,2s,2s,2s,2s,2s"))
        ended = eventually(lambda: heard(ear, "resend.ended"), "it is told after the restart", LEASE_S + 15)
        assert [one["job_id"] for one in ended] == [job]

    def test_a_restored_store_tells_nothing_on_hold(self, house, shop, receiver, ear, tmp_path):
        """What its notices say was told after the backup."""
        ear.down()
        server = house.serve(**telling(ear, "0s,1s,1s,1s,1s"))
        paid_payouts(server, shop, 1, receiver.url())
        receiver.wait_for_acknowledged(1)
        server.client(shop.key).dispatch(window(303))
        house.wait_for_row("SELECT 1 FROM notices", what="it stands in the store")
        house.json("backup", tmp_path / "copy.db")
        ear.up()
        ear.wait_for_acknowledged(1)
        server.stop()
        other = House(tmp_path / "other")
        other.folder.mkdir()
        assert other.run("restore", tmp_path / "copy.db", "--key-file", f"{house.store_path}.key").returncode == 0
        other.serve("--hold", **telling(ear))
        never(lambda: ear.count > 1, "it was told again", 2)
        other.json("release")
        told = ear.wait_for_acknowledged(2)
        assert told[0].webhook_id == told[1].webhook_id
        other.close()


class TestNodes:
    def test_each_notice_is_told_by_one(self, tmp_path, ear, receiver):
        """Two nodes on one PostgreSQL share them; what a killed node had in hand the other tells."""
        postgres = Postgres().create().start()
        house = SharedHouse(tmp_path, postgres)
        try:
            shop = Shop(house)
            receiver.trust(shop.secret)
            nodes = [house.serve(**telling(ear, "0s")) for _ in range(2)]
            # Never as many failures in a row as open the breaker.
            receiver.answers = [500, 500, 500, 200] * 10
            for number, node in enumerate(nodes):
                paid_payouts(node, shop, 20, receiver.url(), tag=f"node{number}")
            eventually(lambda: house.one("SELECT count(*) FROM settled") == 40, "every delivery was settled", 30)
            eventually(lambda: len(heard(ear, "delivery.exhausted")) == 30, "each one is told", 30)
            eventually(lambda: house.one("SELECT count(*) FROM notices") == 0, "nothing is left to tell")
            assert set(Counter(one.webhook_id for one in ear.received).values()) == {1}
            ear.hold()
            client = nodes[1].client(shop.key)
            jobs = {client.dispatch(window(303, before_s=3600 - 60 * number))[0] for number in range(3)}
            eventually(lambda: ear.count > 30, "somebody has one in hand")
            nodes[0].kill()
            ear.let_go()
            ended = eventually(
                lambda: [told for told in [heard(ear, "resend.ended")] if {one["job_id"] for one in told} == jobs],
                "each end is told", LEASE_S + 15)
            assert {one["ended"] for one in ended[0]} == {"completed"}
            eventually(lambda: house.one("SELECT count(*) FROM notices") == 0, "nothing is left to tell", LEASE_S)
            # Whoever tells a notice twice gives it the same name.
            bodies = {one.webhook_id: one.body for one in ear.received}
            assert len(bodies) == 33 and all(bodies[one.webhook_id] == one.body for one in ear.received)
        finally:
            house.close()
            postgres.close()


class TestSettings:
    def test_url_and_secret_go_together(self, house, shop):
        done = house.run("check", REENVIO_OPERATOR_WEBHOOK="https://ops.example/hook")
        assert done.returncode == 1 and "must be set together" in done.stdout + done.stderr
        done = house.run(
            "check", REENVIO_OPERATOR_WEBHOOK="http://ops.example/hook", REENVIO_OPERATOR_WEBHOOK_SECRET=SECRET)
        assert done.returncode == 1 and "must be an https URL" in done.stdout + done.stderr

    def test_the_secret_is_not_shown(self, house, shop):
        done = house.run(
            "check", REENVIO_OPERATOR_WEBHOOK="https://ops.example/hook", REENVIO_OPERATOR_WEBHOOK_SECRET=SECRET)
        assert done.returncode == 0 and SECRET[6:] not in done.stdout + done.stderr
