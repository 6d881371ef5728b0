"""Resends over a range longer than one window, or over several merchants (C 13.17): by command, killed and
run again."""

import json
from collections import Counter
from datetime import timedelta

import pytest

from harness.binary import assert_refused
from harness.bodies import now, payout_body, plain, rfc3339
from harness.client import PAYMENTS, RESEND
from harness.waiting import eventually, never

MERCHANTS = [303, 401, 402, 403, 404, 405]
END = now().replace(microsecond=0) - timedelta(minutes=1)
START = END - timedelta(hours=24)


@pytest.fixture
def outage(house, shop, receiver):
    """Six merchants, each with payouts paid all over a day, on and around the edges of its windows; all acknowledged."""
    for merchant in MERCHANTS[1:]:
        made = house.json(
            "merchant", "create", "--account", shop.account_id, "--id", merchant, "--name", f"Shop {merchant}")
        receiver.trust(made["signing_secret"])
    server = house.serve()
    operator = server.client(shop.operator_key)
    seconds = [0, 1, 3 * 3600 - 1, 3 * 3600, 3 * 3600 + 1, 12 * 3600, 24 * 3600 - 1, 24 * 3600]
    transitions = []
    for merchant in MERCHANTS:
        for second in seconds:
            at = START + timedelta(seconds=second)
            body = payout_body(merchant_id=merchant, notification_url=receiver.url(), occurred_at=rfc3339(at))
            made = operator.expect(201, "POST", PAYMENTS, body)["id"]
            transitions.append({"id": made, "status_id": 3, "occurred_at": rfc3339(at)})
    operator.expect(200, "POST", "/v2/payout/transitions", {"transitions": transitions})
    receiver.wait_for_acknowledged(len(transitions))
    receiver.forget()
    return server, len(transitions)


def flags(*more):
    return ["--from", plain(START), "--to", plain(END), *more]


def finished(house, batch_id, total):
    def state():
        found = house.json("batch", "show", batch_id)
        return found["status"] == "completed" and found["outcome"]["delivered"] == total and found

    return eventually(state, "everything of the batch was delivered", 60)


class TestCommand:
    def test_a_day_over_several_merchants(self, house, shop, receiver, outage):
        _, total = outage
        count = house.json("resend", "--all-merchants", *flags("--dry-run"))
        assert (count["total"], count["windows"]) == (total, 8)
        assert count["by_merchant"] == [{"merchant_id": one, "total": 8} for one in MERCHANTS]
        batch = house.json("resend", "--all-merchants", *flags("--watch"))
        assert (batch["status"], batch["merchants"], batch["queued"]) == ("completed", len(MERCHANTS), total)
        assert finished(house, batch["batch_id"], total)["phase"] == batch["phase"] == "delivered"
        assert f" delivered  merchants {len(MERCHANTS)}, " in house.run("batch", "list").stdout
        times = Counter(one.webhook_id for one in receiver.acknowledged)
        assert len(times) == total and set(times.values()) == {1}, "each payout once"
        jobs = house.json("job", "list", "--limit", 100)["data"]
        assert len({job["job_id"] for job in jobs}) == batch["jobs"] and sum(job["total"] for job in jobs) == total

    def test_a_list_of_merchants_and_the_options(self, house, outage, receiver):
        _, total = outage
        missed = house.json("resend", "--merchant", "303,401", *flags("--only-unacknowledged", "--dry-run"))
        assert missed["total"] == 0
        batch = house.json("resend", "--merchant", "303, 401", *flags("--status", "3,6", "--canary", 2, "--watch"))
        assert (batch["merchants"], batch["queued"]) == (2, 16)

    def test_one_merchant_and_a_short_window_is_a_job_as_before(self, house, shop, outage):
        job = house.json("resend", "--merchant", 303, "--from", plain(END - timedelta(hours=3)), "--to", plain(END))
        assert list(job) == ["job_id", "total"] and job["total"] == 2
        assert house.json("batch", "list")["data"] == []

    def test_bad_input(self, house, shop):
        day = flags()
        assert house.run("resend", *day).returncode == 64
        assert house.run("resend", "--merchant", 303, "--all-merchants", *day).returncode == 64
        assert_refused(house.run("resend", "--merchant", "303,999", *day), "There is no merchant 999.")
        assert_refused(house.run("resend", "--merchant", "303,x", *day), "must be an integer")
        long = ["--from", plain(END - timedelta(days=32)), "--to", plain(END)]
        assert_refused(house.run("resend", "--merchant", 303, *long), "The time range must not exceed 31 days.")
        assert_refused(house.run("batch", "show", "none"), "Resend batch not found or expired.")


class TestKilled:
    def test_after_the_command(self, house, shop, receiver, outage):
        """The server dies in the middle, the command is run again: nothing is sent twice, nothing is left out."""
        server, total = outage
        first = house.json("resend", "--all-merchants", *flags("--max-per-second", 20))
        eventually(lambda: house.json("batch", "show", first["batch_id"])["queued"] > 0, "it has begun")
        server.kill()
        again = house.run("resend", "--all-merchants", *flags("--max-per-second", 20, "--json"))
        assert json.loads(again.stdout)["batch_id"] == first["batch_id"]
        assert "nothing new is sent (--again sends it again)" in again.stderr
        house.serve()
        finished(house, first["batch_id"], total)
        assert house.one("SELECT count(*) FROM resend_batches") == 1
        assert house.one("SELECT count(DISTINCT object_id) FROM settled WHERE resend_id IS NOT NULL") == total
        assert house.one("SELECT count(*) FROM settled WHERE resend_id IS NOT NULL") == total

    def test_again_is_said(self, house, shop, receiver, outage):
        _, total = outage
        first = house.json("resend", "--all-merchants", *flags("--watch"))
        finished(house, first["batch_id"], total)
        second = house.json("resend", "--all-merchants", *flags("--again", "--watch"))
        assert second["batch_id"] != first["batch_id"]
        finished(house, second["batch_id"], total)

    def test_cancel(self, house, shop, receiver, outage):
        server, total = outage
        batch = house.json("resend", "--all-merchants", *flags("--max-per-second", 1))
        eventually(lambda: house.json("batch", "show", batch["batch_id"])["queued"] > 0, "it has begun")
        canceled = house.json("batch", "cancel", batch["batch_id"])
        assert (canceled["status"], canceled["jobs_running"], canceled["outcome"]["pending"]) == ("canceled", 0, 0)
        never(lambda: house.json("batch", "show", batch["batch_id"])["queued"] > canceled["queued"], "it went on", 1.0)


class TestPublishedApi:
    def test_keeps_its_window(self, shop, outage):
        server, _ = outage
        answer = server.client(shop.key).post(
            RESEND, {"merchant_id": 303, "start_time": plain(START), "end_time": plain(END)})
        assert answer.json()["errors"] == {"end_time": ["The time range must not exceed 3 hours."]}
