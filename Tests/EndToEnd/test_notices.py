"""Operator notices: what the operator's own URL is told (docs/operations.md), signed, until it answers 200."""

import base64
import json

import pytest

from harness import signatures
from harness.bodies import window
from harness.client import RESEND, paid_payouts
from harness.receiver import Receiver
from harness.waiting import eventually

SECRET = "whsec_" + base64.b64encode(b"operator-secret-for-tests-0001").decode()


@pytest.fixture
def ear():
    """The operator's side."""
    ear = Receiver()
    ear.trust(SECRET)
    signatures.learn(SECRET)
    yield ear
    ear.close()


@pytest.fixture
def server(house, shop, ear):
    return house.serve(
        REENVIO_RETRY_SCHEDULE="0s,0s", REENVIO_OPERATOR_WEBHOOK=ear.url("/notices"), REENVIO_OPERATOR_WEBHOOK_SECRET=SECRET)


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
