"""Resend jobs at work: one job per key, counts that are exact whatever changes meanwhile, dead receivers (C 4.4, 5)."""

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor

from harness.bodies import window
from harness.client import RESEND, paid_payouts, raw_request, send_together
from harness.waiting import eventually, never

STAY_PUT = "1h,1h"
"""Deliveries wait an hour for their first attempt: nothing moves while a test looks at it."""

JOB_KEYS = [
    "status", "merchant_id", "start_time", "end_time", "total", "queued", "failed", "started_at", "updated_at",
]
RUNNING = {"message": "A resend job is already running for this merchant and time range."}


class TestOneJobPerKey:
    """C 4.4. A small REENVIO_RESEND_BACKLOG keeps a job running as long as its deliveries wait."""

    BUSY = {"REENVIO_RETRY_SCHEDULE": STAY_PUT, "REENVIO_RESEND_BACKLOG": "200"}

    def test_fifty_simultaneous_dispatches_make_one_job(self, house, shop, receiver):
        """Exactly one 202, the rest 409, over fifty connections at once; several keys, one after the other."""
        server = house.serve(**self.BUSY)
        paid_payouts(server, shop, 3000, receiver.url())
        for round_number in range(4):
            body = json.dumps(window(303, before_s=3600 - 10 * round_number)).encode()
            answers = send_together(server, raw_request("POST", RESEND, body, shop.key), 50)
            assert sorted(status for status, _, _ in answers) == [202] + [409] * 49
            assert all(json.loads(text) == RUNNING for status, _, text in answers if status == 409)
            (winner,) = [json.loads(text) for status, _, text in answers if status == 202]
            assert winner["total"] == 3000
        assert house.one("SELECT count(*) FROM resends") == 4

    def test_the_key_is_merchant_and_start_time(self, house, shop, receiver):
        """A different end or filter still conflicts, also one that would match nothing; a different start, another merchant
        and a dry run do not."""
        server = house.serve(**self.BUSY)
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        house.json("merchant", "create", "--account", shop.account_id, "--id", 305, "--name", "Second")
        paid_payouts(server, shop, 500, receiver.url())
        body = window(303)
        job_id, _ = client.dispatch(body)
        earlier_end = {"end_time": window(303, after_s=1800)["end_time"]}
        for more in ({}, earlier_end, {"status_ids": [6]}, {"status_ids": [3]}):
            answer = client.post(RESEND, body | more)
            assert (answer.status_code, answer.json()) == (409, RUNNING), more
        assert operator.post(RESEND, body).status_code == 409
        assert client.dry_run(body) == 500
        assert client.dispatch(body | {"merchant_id": 305})[1] == 0
        assert client.dispatch(body | {"start_time": window(303, before_s=3500)["start_time"]})[1] == 500
        assert client.post(RESEND, body | {"end_time": body["start_time"]}).status_code == 422
        state = client.job(job_id)
        assert state["status"] == "processing" and state["queued"] < 500
        assert "reason" not in state and list(state) == JOB_KEYS

    def test_the_lock_survives_a_restart(self, house, shop, receiver):
        """C 4.4: a job found `processing` is resumed from its saved position and still holds its key."""
        server = house.serve(**self.BUSY)
        client = server.client(shop.key)
        paid_payouts(server, shop, 500, receiver.url())
        body = window(303)
        job_id, _ = client.dispatch(body)
        eventually(lambda: client.job(job_id)["queued"] >= 200, "the first chunk was queued")
        server.stop()
        server = house.serve(**self.BUSY)
        client = server.client(shop.key)
        assert client.post(RESEND, body).status_code == 409
        assert client.job(job_id)["status"] == "processing"
        server.stop()
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        client = server.client(shop.key)
        state = client.wait_for_job(job_id)
        assert (state["status"], state["queued"], state["failed"]) == ("completed", 500, 0)
        assert client.post(RESEND, body).status_code == 202


class TestCountsUnderChange:
    """C 4.2, 5: whatever changes while a job runs, `queued + failed == total` at its end, and never more before."""

    def test_changes_between_two_chunks(self, house, shop, receiver):
        """The receiver holds its answers, so the runner waits after the first chunk with a full backlog; the payouts of
        all later chunks change, to silent and to notifying statuses; then the receiver lets go."""
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s,1s", REENVIO_RESEND_BACKLOG="200")
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        ids = paid_payouts(server, shop, 800, receiver.url(), status_id=1)
        receiver.wait_for_acknowledged(800, within=60)

        receiver.hold()
        job_id, total = client.dispatch(window(303))
        assert total == 800
        eventually(lambda: client.job(job_id)["queued"] >= 200, "the first chunk was queued")
        order = random.Random(7).sample(ids, len(ids))
        operator.transition_all(order[:250], 2)
        operator.transition_all(order[250:500], 3)
        operator.transition_all(order[500:600], 2)
        operator.transition_all(order[500:600], 3)
        state = client.job(job_id)
        assert state["status"] == "processing" and state["queued"] + state["failed"] < 800
        receiver.let_go()

        state = client.wait_for_job(job_id, within=90)
        assert (state["status"], state["total"], state["queued"], state["failed"]) == ("completed", 800, 800, 0)
        eventually(
            lambda: house.one("SELECT count(*) FROM deliveries WHERE resend_id IS NOT NULL") == 0,
            "every delivery of the job was settled", within=60,
        )
        assert house.deliveries_of(job_id) == {payout_id: 1 for payout_id in ids}
        shown = {json.loads(one.body)["status"]["id"] for one in receiver.of_job(job_id)}
        assert shown <= {1, 3}, "a silent status was sent"

    def test_changes_at_the_same_time(self, house, shop, receiver):
        """Free-running: jobs are dispatched and followed while the same payouts move to Processing and Paid."""
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        client = server.client(shop.key)
        jobs = []
        for round_number in range(3):
            ids = paid_payouts(server, shop, 1000, receiver.url(), tag=f"round{round_number}", status_id=1)
            random.Random(round_number).shuffle(ids)
            started = threading.Event()

            def change(part):
                operator = server.client(shop.operator_key)
                started.wait(20)
                for start in range(0, len(part), 50):
                    operator.transition_all(part[start : start + 50], 2)
                    operator.transition_all(part[start : start + 25], 3)

            with ThreadPoolExecutor(3) as pool:
                changing = [pool.submit(change, ids[start::3]) for start in range(3)]
                before = client.dry_run(window(303))
                started.set()
                job_id, total = client.dispatch(window(303, before_s=3600 - 10 * round_number))
                seen = 0
                while (state := client.job(job_id))["status"] == "processing":
                    assert seen <= state["queued"] and state["queued"] + state["failed"] <= state["total"]
                    seen = state["queued"]
                for done in changing:
                    done.result(60)
            assert total <= before
            assert (state["status"], state["total"]) == ("completed", total), state
            assert state["queued"] == total and state["failed"] == 0
            jobs.append((job_id, total))
        server.stop()
        for job_id, total in jobs:
            enqueued = house.deliveries_of(job_id)
            assert len(enqueued) == total and set(enqueued.values()) <= {1}
        during = house.one(
            """
            SELECT count(*) FROM resends r JOIN status_changes c ON c.merchant_id = r.merchant_id
            AND c.seq > r.frozen_seq AND c.changed_at BETWEEN r.started_at AND r.ended_at
            """
        )
        assert during > 0, "no change fell into a running job: this run proved nothing"

    def test_creating_and_paying_at_the_same_time(self, house, shop, receiver):
        """What is created and paid while jobs are dispatched is in the next job, or not; never half."""
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        client = server.client(shop.key)
        paid_payouts(server, shop, 600, receiver.url(), tag="base")
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(paid_payouts_in_steps, server, shop, receiver.url())
            jobs = []
            for number in range(8):
                jobs.append(client.dispatch(window(303, before_s=4000 - 10 * number)))
                state = client.wait_for_job(jobs[-1][0])
                assert (state["status"], state["queued"], state["failed"]) == ("completed", state["total"], 0)
            writing.result(60)
        totals = [total for _, total in jobs]
        assert totals == sorted(totals) and totals[0] >= 600
        assert client.dry_run(window(303)) == 900
        server.stop()
        for job_id, total in jobs:
            enqueued = house.deliveries_of(job_id)
            assert len(enqueued) == total and set(enqueued.values()) <= {1}


def paid_payouts_in_steps(server, shop, url):
    for step in range(15):
        paid_payouts(server, shop, 20, url, tag=f"step{step}")


class TestJobOutlivesItsReceiver:
    def test_a_job_completes_although_the_receiver_is_dead(self, house, shop, receiver):
        """C 5: enqueueing does not wait for deliveries; queued is not delivered."""
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        client = server.client(shop.key)
        paid_payouts(server, shop, 450, receiver.url())
        receiver.down()
        server.stop()
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")
        client = server.client(shop.key)
        job_id, _ = client.dispatch(window(303))
        state = client.wait_for_job(job_id)
        assert (state["status"], state["queued"]) == ("completed", 450)
        never(lambda: receiver.count, "a dead receiver got something", watch=0.2)
