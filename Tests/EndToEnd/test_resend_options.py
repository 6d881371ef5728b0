"""What a resend may ask for beyond the published contract: only what was missed, a pace, a canary, an explained count
(C 13.5, 13.6, 13.7, 13.14), over HTTP and by command."""

import sqlite3
import time

import pytest

from harness.binary import LOOPBACK_RECEIVERS, assert_refused
from harness.bodies import window
from harness.client import RESEND, acknowledged_payouts, create_payouts, paid_payouts
from harness.receiver import Receiver
from harness.waiting import eventually, never

JOB_KEYS = ["status", "merchant_id", "start_time", "end_time", "total", "queued", "failed", "started_at", "updated_at"]


@pytest.fixture
def server(shop, house):
    return house.serve()


@pytest.fixture
def merchant(server, shop):
    return server.client(shop.key)


@pytest.fixture
def operator(server, shop):
    return server.client(shop.operator_key)


def outcome(merchant, job_id):
    found = merchant.expect(200, "GET", f"{RESEND}/{job_id}?include=outcome")
    assert sum(found["outcome"].values()) == found["queued"] and min(found["outcome"].values()) >= 0
    return found


class TestValidation:
    @pytest.mark.parametrize(
        "field, value, text",
        [
            ("only_unacknowledged", "yes", "The only_unacknowledged field must be true or false."),
            ("max_per_second", 0, "The max_per_second field must be between 1 and 10000."),
            ("max_per_second", 10_001, "The max_per_second field must be between 1 and 10000."),
            ("max_per_second", "5", "The max_per_second field must be an integer."),
            ("max_per_second", 2.5, "The max_per_second field must be an integer."),
            ("canary", 0, "The canary field must be between 1 and 1000."),
            ("canary", 1_001, "The canary field must be between 1 and 1000."),
            ("explain", 1, "The explain field must be true or false."),
        ],
    )
    def test_each_rule_has_its_text(self, merchant, field, value, text):
        answer = merchant.post(RESEND, window(303) | {field: value})
        assert (answer.status_code, answer.json()) == (422, {"message": "Validation error.", "errors": {field: [text]}})

    def test_who_does_not_ask_sees_nothing_of_it(self, merchant):
        answer = merchant.post(RESEND, window(303) | {"dry_run": True, "explain": False})
        assert (answer.status_code, answer.json()) == (200, {"total": 0})
        answer = merchant.post(RESEND, window(303) | {"explain": True, "canary": 5, "max_per_second": 1})
        assert answer.status_code == 202 and list(answer.json()) == ["job_id", "total"]
        assert list(merchant.job(answer.json()["job_id"])) == JOB_KEYS


class TestOnlyUnacknowledged:
    def test_sends_only_what_was_missed(self, house, shop, receiver):
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h,1h")
        merchant = server.client(shop.key)
        receiver.answers = [500, 200] * 10
        ids = paid_payouts(server, shop, 20, receiver.url())
        receiver.wait_for_acknowledged(10)
        eventually(lambda: merchant.dry_run(window(303) | {"only_unacknowledged": True}) == 10, "ten were missed")
        assert merchant.dry_run(window(303)) == 20
        heard = {one.webhook_id for one in receiver.acknowledged}
        receiver.forget()
        job_id, total = merchant.dispatch(window(303) | {"only_unacknowledged": True})
        assert total == 10
        eventually(lambda: outcome(merchant, job_id)["outcome"]["delivered"] == 10, "the missed ones were delivered")
        again = [one.webhook_id for one in receiver.of_job(job_id)]
        assert len(again) == 10 and not heard & set(again)
        assert merchant.dry_run(window(303) | {"only_unacknowledged": True}) == 0
        assert len(ids) == 20

    def test_one_acknowledged_meanwhile_is_skipped(self, house, shop, receiver):
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h,1h")
        merchant = server.client(shop.key)
        receiver.answers = [500, 200] * 5
        paid_payouts(server, shop, 10, receiver.url())
        receiver.wait_for(10)
        eventually(lambda: merchant.dry_run(window(303) | {"only_unacknowledged": True}) == 5, "five were missed")
        pause = merchant.expect(200, "GET", "/v2/receivers")["data"][0]["id"]
        merchant.expect(200, "POST", f"/v2/receivers/{pause}/pause")
        first, _ = merchant.dispatch(window(303) | {"only_unacknowledged": True})
        second, _ = merchant.dispatch(window(303, before_s=3_599) | {"only_unacknowledged": True})
        merchant.wait_for_job(first), merchant.wait_for_job(second)
        receiver.forget()
        merchant.expect(200, "POST", f"/v2/receivers/{pause}/resume")
        done = eventually(
            lambda: (found := [outcome(merchant, job)["outcome"] for job in (first, second)])
            and all(one["pending"] == 0 for one in found) and found, "both jobs ended")
        assert [one["delivered"] + one["skipped"] for one in done] == [5, 5]
        assert sum(one["delivered"] for one in done) == receiver.count
        skipped = merchant.expect(200, "GET", f"{RESEND}/{second}/items?outcome=skipped")["data"]
        assert all(one["last_reason"] == "acknowledged_elsewhere" for one in skipped)


class TestPace:
    def test_keeps_its_pace(self, server, shop, merchant, receiver):
        """Over ten seconds, after the first three, within 5 %."""
        acknowledged_payouts(server, shop, receiver, 560)
        job_id, total = merchant.dispatch(window(303) | {"max_per_second": 40})
        assert total == 560
        receiver.wait_for(560, within=40)
        times = [one.at for one in receiver.of_job(job_id)]
        counted = [sum(start <= at < start + 10 for at in times) for start in (times[0] + 3, times[0] + 3.5)]
        assert all(380 <= count <= 420 for count in counted), counted
        assert merchant.wait_for_job(job_id)["status"] == "completed"

    def test_a_paced_job_can_be_canceled_at_once(self, server, shop, merchant, receiver):
        acknowledged_payouts(server, shop, receiver, 200)
        job_id, _ = merchant.dispatch(window(303) | {"max_per_second": 10})
        receiver.wait_for(5)
        state = merchant.expect(200, "DELETE", f"{RESEND}/{job_id}")
        assert (state["status"], state["reason"]) == ("failed", "Canceled.")
        heard = receiver.count
        never(lambda: receiver.count > heard, "an attempt began after the answer", 2)
        found = outcome(merchant, job_id)
        assert found["outcome"]["pending"] == 0 and found["ended"] == "canceled"
        job_id, total = merchant.dispatch(window(303))
        assert total == 200, "its lock is free"


class TestCanary:
    def test_the_rest_follows(self, server, shop, merchant, receiver):
        acknowledged_payouts(server, shop, receiver, 60)
        receiver.hold()
        job_id, total = merchant.dispatch(window(303) | {"canary": 20})
        assert total == 60
        eventually(lambda: merchant.job(job_id)["queued"] == 20, "the canary was enqueued")
        never(lambda: merchant.job(job_id)["queued"] != 20, "the rest did not wait", 0.6)
        assert merchant.job(job_id)["status"] == "processing"
        receiver.let_go()
        state = merchant.wait_for_job(job_id)
        assert (state["status"], state["queued"]) == ("completed", 60)
        receiver.wait_for(60)

    def test_ends_the_job(self, server, shop, merchant, receiver):
        acknowledged_payouts(server, shop, receiver, 60)
        receiver.answers = [410, 200, 200] * 6 + [200, 200]
        job_id, _ = merchant.dispatch(window(303) | {"canary": 20})
        state = merchant.wait_for_job(job_id)
        assert (state["status"], state["reason"]) == ("failed", "Canary failed: 14 of 20 acknowledged.")
        assert (state["total"], state["queued"], state["failed"]) == (60, 20, 0)
        assert outcome(merchant, job_id)["outcome"] == {"delivered": 14, "undelivered": 6, "pending": 0, "skipped": 0}
        assert receiver.count == 20
        assert merchant.dispatch(window(303))[1] == 60, "its lock is free"

    def test_a_receiver_that_is_down_ends_it_within_seconds(self, server, shop, merchant, receiver):
        """Ten failures in a row open the breaker; the other canaries are not tried one by one for hours."""
        acknowledged_payouts(server, shop, receiver, 60)
        receiver.default = 503
        job_id, _ = merchant.dispatch(window(303) | {"canary": 20})
        state = merchant.wait_for_job(job_id, within=60)
        assert (state["status"], state["reason"]) == ("failed", "Canary failed: 0 of 20 acknowledged.")


class TestExplain:
    def test_every_number(self, server, shop, merchant, operator, receiver):
        other = Receiver()
        other.trust(shop.secret)
        paid_payouts(server, shop, 12, receiver.url(), tag="a")
        paid_payouts(server, shop, 5, other.url(), tag="b")
        paid_payouts(server, shop, 3, receiver.url(), tag="c", status_id=6)
        paid_payouts(server, shop, 2, receiver.url(), tag="d", status_id=2)
        paid_payouts(server, shop, 4, None, tag="e")
        create_payouts(server, shop, 1, receiver.url(), tag="f")
        receiver.wait_for_acknowledged(15), other.wait_for_acknowledged(5)
        body = window(303) | {"dry_run": True, "explain": True}
        found = merchant.expect(200, "POST", RESEND, body)
        assert list(found) == ["total", "explain"] and found["total"] == 20
        explain = found["explain"]
        assert list(explain) == ["by_status", "by_receiver", "estimated_seconds", "not_matched"]
        assert explain["by_status"] == {"3": 17, "6": 3}
        assert explain["by_receiver"] == [
            {"receiver": receiver.url("").rstrip("/"), "total": 15, "health": "ok"},
            {"receiver": other.url("").rstrip("/"), "total": 5, "health": "ok"}]
        assert explain["estimated_seconds"] == 1
        assert explain["not_matched"] == {"no_url": 4, "not_notifiable_now": 3, "other_status": 0}
        found = merchant.expect(200, "POST", RESEND, body | {"status_ids": [6], "max_per_second": 1})
        assert found["total"] == 3 and found["explain"]["by_status"] == {"6": 3}
        assert found["explain"]["not_matched"] == {"no_url": 4, "not_notifiable_now": 3, "other_status": 17}
        assert found["explain"]["estimated_seconds"] == 3
        eventually(
            lambda: merchant.expect(200, "POST", RESEND, body | {"only_unacknowledged": True})["explain"][
                "not_matched"] == {"no_url": 4, "not_notifiable_now": 3, "other_status": 0, "acknowledged": 20},
            "the acknowledged ones are told, too")
        assert merchant.expect(200, "GET", RESEND)["data"] == [], "nothing was stored"
        other.close()

    def test_no_more_than_twenty_receivers(self, server, shop, merchant):
        urls = [f"http://127.0.0.1:{port}/hook" for port in range(20_001, 20_024)]
        paid_payouts(server, shop, 46, urls)
        explain = merchant.expect(200, "POST", RESEND, window(303) | {"dry_run": True, "explain": True})["explain"]
        assert len(explain["by_receiver"]) == 20 and explain["others"] == 6
        assert list(explain) == ["by_status", "by_receiver", "others", "estimated_seconds", "not_matched"]

    def test_says_how_a_receiver_fares(self, server, shop, house, merchant, receiver):
        acknowledged_payouts(server, shop, receiver, 2)
        one = merchant.expect(200, "GET", "/v2/receivers")["data"][0]["id"]
        merchant.expect(200, "POST", f"/v2/receivers/{one}/pause")
        explain = merchant.expect(200, "POST", RESEND, window(303) | {"dry_run": True, "explain": True})["explain"]
        assert explain["by_receiver"][0]["health"] == "paused"
        assert explain["estimated_seconds"] is None
        assert explain["waiting_on"] == [{"receiver": receiver.url("").rstrip("/"), "reason": "receiver_paused"}]
        assert list(explain) == ["by_status", "by_receiver", "estimated_seconds", "waiting_on", "not_matched"]
        body = window(303)
        words = house.run(
            "resend", "--merchant", 303, "--from", body["start_time"], "--to", body["end_time"], "--dry-run",
            "--explain", **LOOPBACK_RECEIVERS).stdout
        assert f"cannot be estimated: {receiver.url('').rstrip('/')} is paused." in words

    def test_seconds_at_the_edges(self, server, shop, merchant, house):
        """Windows that begin and end anywhere within a minute, against a count by hand."""
        paid_payouts(server, shop, 30, "http://127.0.0.1:9/hook")
        seconds = [one for (one,) in house.rows("SELECT updated_at / 1000000 FROM payouts")]
        first = min(seconds)
        for before, after in ((0, 1), (7, 61), (61, 7), (119, 119), (3_000, 30)):
            body = {"merchant_id": 303, "dry_run": True, "explain": True,
                    "start_time": plain_of(first - before), "end_time": plain_of(first + after)}
            found = merchant.expect(200, "POST", RESEND, body)
            by_hand = sum(first - before <= one <= first + after for one in seconds)
            assert found["total"] == by_hand
            assert sum(one["total"] for one in found["explain"]["by_receiver"]) == by_hand


def plain_of(second):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))


class TestCommand:
    @staticmethod
    def flags(*more):
        start, end = plain_of(time.time() - 600), plain_of(time.time() + 600)
        return ["resend", "--merchant", "303", "--from", start, "--to", end, *more]

    def test_every_option(self, server, shop, merchant, receiver, house):
        acknowledged_payouts(server, shop, receiver, 30)
        counted = house.json(*self.flags("--dry-run", "--explain"))
        assert counted["total"] == 30 and counted["explain"]["by_status"] == {"3": 30}
        words = house.run(*self.flags("--dry-run", "--explain")).stdout
        assert "30 payouts match" in words and "matched by status    3 Paid: 30" in words
        eventually(
            lambda: house.json(*self.flags("--dry-run", "--only-unacknowledged")) == {"total": 0},
            "every acknowledgement was written")
        made = house.json(*self.flags("--canary", "10", "--max-per-second", "50"))
        assert made["total"] == 30
        state = merchant.wait_for_job(made["job_id"])
        assert (state["status"], state["queued"]) == ("completed", 30)
        receiver.wait_for(30)
        assert ", at most 50 per second, canary 10" in str(house.json("audit")["data"])
        assert house.json("check", "--deep")["problems"] == []

    @pytest.mark.parametrize(
        "more, words",
        [
            (["--canary", "0"], "The canary field must be between 1 and 1000."),
            (["--max-per-second", "20000"], "The max_per_second field must be between 1 and 10000."),
        ])
    def test_refuses_what_is_out_of_bounds(self, server, house, more, words):
        assert_refused(house.run(*self.flags(*more)), words)

    def test_explains_only_a_count(self, server, house):
        done = house.run(*self.flags("--explain"))
        assert done.returncode == 64 and "it needs --dry-run" in done.stderr

    def test_a_deep_check_finds_what_does_not_agree(self, server, shop, receiver, house):
        acknowledged_payouts(server, shop, receiver, 3)
        server.stop()
        with sqlite3.connect(house.store_path) as connection:
            connection.execute("UPDATE minute_counts SET current = current + 1")
        done = house.run("check", "--deep")
        assert done.returncode == 1
        assert "minute count [merchant, status, minute] is not what the changes say: [303, 3, " in done.stderr
        assert house.json("check")["problems"] == []
