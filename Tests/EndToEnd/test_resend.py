"""Bulk resends: validation to the letter, answers to the letter, and what matches (C 4, 5)."""

import json
import re
from datetime import timedelta

import pytest

from harness.bodies import now, plain, rfc3339, window
from harness.client import RESEND, paid_payouts
from harness.waiting import eventually

STAY_PUT = "1h,1h"
"""Deliveries wait an hour for their first attempt: nothing moves while a test looks at it."""

JOB_KEYS = [
    "status", "merchant_id", "start_time", "end_time", "total", "queued", "failed", "started_at", "updated_at",
]
WITH_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


class TestValidation:
    """C 4.1, rule by rule; C 4.3 for the shape."""

    GOOD = {"merchant_id": 303, "start_time": "2026-03-24 08:00:00", "end_time": "2026-03-24 11:00:00"}

    def faults(self, merchant, body):
        answer = merchant.post(RESEND, body)
        assert answer.status_code == 422, f"{answer.status_code} {answer.text}"
        assert list(answer.json()) == ["message", "errors"]
        assert answer.json()["message"] == "Validation error."
        return answer.json()["errors"]

    @pytest.mark.parametrize(
        "field, value, text",
        [
            ("merchant_id", None, "The merchant_id field is required."),
            ("merchant_id", "303", "The merchant_id field must be an integer."),
            ("merchant_id", 303.5, "The merchant_id field must be an integer."),
            ("merchant_id", True, "The merchant_id field must be an integer."),
            ("merchant_id", [303], "The merchant_id field must be an integer."),
            ("merchant_id", 404, "The merchant_id is not associated with your account."),
            ("merchant_id", 999999, "The merchant_id is not associated with your account."),
            ("merchant_id", -303, "The merchant_id is not associated with your account."),
            ("start_time", None, "The start_time field is required."),
            ("start_time", "", "The start_time field is required."),
            ("start_time", 1774339200, "The start_time field must be a string."),
            ("start_time", {}, "The start_time field must be a string."),
            ("start_time", "2026-03-24T08:00:00", "The start_time field must match the format YYYY-MM-DD HH:MM:SS."),
            ("start_time", "2026-03-24 08:00:00Z", "The start_time field must match the format YYYY-MM-DD HH:MM:SS."),
            ("start_time", "2026-03-24 8:00:00", "The start_time field must match the format YYYY-MM-DD HH:MM:SS."),
            ("start_time", "2026-02-29 08:00:00", "The start_time field must match the format YYYY-MM-DD HH:MM:SS."),
            ("start_time", "2026-03-24 24:00:00", "The start_time field must match the format YYYY-MM-DD HH:MM:SS."),
            ("start_time", "2026-03-24 08:00:60", "The start_time field must match the format YYYY-MM-DD HH:MM:SS."),
            ("start_time", " 2026-03-24 08:00:0", "The start_time field must match the format YYYY-MM-DD HH:MM:SS."),
            ("end_time", None, "The end_time field is required."),
            ("end_time", "", "The end_time field is required."),
            ("end_time", 7, "The end_time field must be a string."),
            ("end_time", "2026-03-24", "The end_time field must match the format YYYY-MM-DD HH:MM:SS."),
            ("end_time", "2026-13-24 11:00:00", "The end_time field must match the format YYYY-MM-DD HH:MM:SS."),
            ("end_time", "2026-03-24 08:00:00", "The end_time field must be after start_time."),
            ("end_time", "2026-03-24 07:59:59", "The end_time field must be after start_time."),
            ("end_time", "2026-03-24 11:00:01", "The time range must not exceed 3 hours."),
            ("end_time", "2027-03-24 08:00:00", "The time range must not exceed 3 hours."),
            ("status_ids", [], "The status_ids field must be a non-empty array."),
            ("status_ids", 3, "The status_ids field must be a non-empty array."),
            ("status_ids", "3,6", "The status_ids field must be a non-empty array."),
            ("status_ids", {}, "The status_ids field must be a non-empty array."),
            ("dry_run", "true", "The dry_run field must be true or false."),
            ("dry_run", 1, "The dry_run field must be true or false."),
        ],
    )
    def test_each_rule_has_its_text(self, merchant, other_shop, field, value, text):
        assert self.faults(merchant, self.GOOD | {field: value}) == {field: [text]}
        if value is None:
            assert self.faults(merchant, {k: v for k, v in self.GOOD.items() if k != field}) == {field: [text]}

    @pytest.mark.parametrize("status_id", ["3", 3.0, "", None, True, [3], {}])
    def test_each_status_is_an_integer(self, merchant, status_id):
        shown = self.faults(merchant, self.GOOD | {"status_ids": [3, status_id, 6]})
        assert shown == {"status_ids.1": ["The status_ids.1 field must be an integer."]}

    @pytest.mark.parametrize("status_id", [2, 7, 8, 9, 12, 0, -1])
    def test_each_status_is_a_notifiable_one(self, merchant, status_id):
        shown = self.faults(merchant, self.GOOD | {"status_ids": [3, status_id, 6]})
        assert shown == {"status_ids.1": ["The selected status is not notifiable."]}

    def test_all_faults_are_told_at_once(self, merchant):
        shown = self.faults(
            merchant, {"merchant_id": 999, "start_time": 5, "end_time": "soon", "status_ids": [2, 3, 9], "dry_run": "yes"}
        )
        assert shown == {
            "merchant_id": ["The merchant_id is not associated with your account."],
            "start_time": ["The start_time field must be a string."],
            "end_time": ["The end_time field must match the format YYYY-MM-DD HH:MM:SS."],
            "status_ids.0": ["The selected status is not notifiable."],
            "status_ids.2": ["The selected status is not notifiable."],
            "dry_run": ["The dry_run field must be true or false."],
        }
        assert self.faults(merchant, {}) == {
            field: [f"The {field} field is required."] for field in ("merchant_id", "start_time", "end_time")
        }

    def test_range_rules_run_only_when_both_times_parse(self, merchant):
        shown = self.faults(merchant, self.GOOD | {"start_time": "later", "end_time": "2020-01-01 00:00:00"})
        assert list(shown) == ["start_time"]

    @pytest.mark.parametrize(
        "more",
        [
            {}, {"status_ids": None}, {"dry_run": None}, {"status_ids": [3, 3, 6, 3]}, {"unknown": {"x": 1}},
            {"status_ids": [1, 3, 4, 5, 6, 10, 11]}, {"end_time": "2026-03-24 08:00:01"},
            {"start_time": "2099-12-31 23:00:00", "end_time": "2100-01-01 01:00:00"},
            {"start_time": "2024-02-29 00:00:00", "end_time": "2024-02-29 03:00:00"},
        ],
    )
    def test_what_is_allowed(self, merchant, more):
        """Exactly 3 hours, an end in the future, duplicates, null for absent, fields that nobody knows."""
        assert merchant.dry_run(self.GOOD | more) == 0

    def test_a_foreign_merchant_is_422_and_the_operator_may(self, merchant, operator):
        """C 4.1: not 403; an operator key acts on every account (C 9)."""
        assert list(self.faults(merchant, self.GOOD | {"merchant_id": 404})) == ["merchant_id"]
        assert operator.dry_run(self.GOOD | {"merchant_id": 404}) == 0

    def test_an_operator_still_names_a_merchant_that_exists(self, operator):
        assert list(self.faults(operator, self.GOOD | {"merchant_id": 999999})) == ["merchant_id"]


class TestAnswers:
    """C 4.3, 4.4 and 5, on a store with a few paid payouts."""

    def test_dry_run_counts_and_does_nothing_else(self, house, shop, receiver):
        """C 4.3: 200 with `total` and no other key. C 4.4: stores nothing, neither takes nor respects the lock."""
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        paid_payouts(server, shop, 7, receiver.url())
        client = server.client(shop.key)
        answer = client.post(RESEND, window(303, dry_run=True))
        assert (answer.status_code, answer.json()) == (200, {"total": 7})
        assert house.one("SELECT count(*) FROM resends") == 0
        assert house.one("SELECT count(*) FROM deliveries WHERE resend_id IS NOT NULL") == 0

    def test_dispatch_and_follow(self, house, shop, receiver):
        """C 4.3: 202; C 5: keys, order, types, formats, the times verbatim, no `reason`, no-store."""
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        paid_payouts(server, shop, 450, receiver.url())
        client = server.client(shop.key)
        body = window(303)
        answer = client.post(RESEND, body)
        assert answer.status_code == 202
        assert list(answer.json()) == ["job_id", "total"]
        assert answer.json()["total"] == 450
        job_id = answer.json()["job_id"]
        assert re.fullmatch("[0-9a-f]{32}", job_id)

        client.wait_for_job(job_id)
        answer = client.get(f"{RESEND}/{job_id}")
        state = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert list(state) == JOB_KEYS
        assert state["status"] == "completed"
        assert (state["total"], state["queued"], state["failed"]) == (450, 450, 0)
        assert all(type(state[key]) is int for key in ("merchant_id", "total", "queued", "failed"))
        assert (state["merchant_id"], state["start_time"], state["end_time"]) == (
            303, body["start_time"], body["end_time"],
        )
        assert all(WITH_OFFSET.fullmatch(state[key]) for key in ("started_at", "updated_at"))
        assert state["started_at"] <= state["updated_at"]
        assert server.client(shop.operator_key).job(job_id) == state

    def test_a_job_that_matches_nothing_is_completed_at_once(self, merchant):
        """C 4.3: still 202."""
        job_id, total = merchant.dispatch(window(303, status_ids=[10]))
        assert total == 0
        state = merchant.job(job_id)
        assert (state["status"], state["total"], state["queued"], state["failed"]) == ("completed", 0, 0, 0)

    def test_the_key_is_free_once_the_job_has_completed(self, merchant):
        """C 4.4: the lock ends with `completed`."""
        body = window(303, status_ids=[10])
        first, _ = merchant.dispatch(body)
        second, _ = merchant.dispatch(body)
        assert first != second

    @pytest.mark.parametrize("job_id", ["0" * 32, "xyz", "A" * 32, "0" * 31, "%20", "0" * 500])
    def test_unknown_and_malformed_ids(self, merchant, job_id):
        """C 5: 404 with one text for all of them."""
        answer = merchant.get(f"{RESEND}/{job_id}")
        assert (answer.status_code, answer.json()) == (404, {"message": "Resend job not found or expired."})

    def test_a_job_of_another_account(self, merchant, operator, shared_server, other_shop):
        """C 5: 403, its text; every key of the owning account may read it."""
        job_id, _ = operator.dispatch(window(404))
        answer = merchant.get(f"{RESEND}/{job_id}")
        assert answer.status_code == 403
        assert answer.json() == {"message": "You do not have access to this resend job."}
        assert shared_server.client(other_shop.key).job(job_id)["merchant_id"] == 404
        second_key = other_shop.house.json("key", "create", "--account", other_shop.account_id, "--name", "second")["key"]
        assert shared_server.client(second_key).job(job_id)["merchant_id"] == 404

    def test_a_payout_whose_url_is_refused_now_counts_as_failed(self, house, shop, receiver):
        """C 5: `failed` + 1 and the job goes on; here http is no longer allowed."""
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        paid_payouts(server, shop, 5, receiver.url(), tag="http")
        paid_payouts(server, shop, 300, "https://127.0.0.1:9/hook", tag="https")
        server.stop()
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT, REENVIO_ALLOW_HTTP_RECEIVERS="false")
        client = server.client(shop.key)
        job_id, total = client.dispatch(window(303))
        state = client.wait_for_job(job_id)
        assert total == 305
        assert (state["status"], state["queued"], state["failed"]) == ("completed", 300, 5)


class TestMatching:
    """C 4.2."""

    def test_the_window_is_inclusive_whole_seconds_of_the_last_change(self, house, shop, receiver):
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        second = now().replace(microsecond=0) + timedelta(seconds=120)
        for fraction in (0, 1, 500_000, 999_999):
            payout_id = client.create_payout(notification_url=receiver.url())["id"]
            operator.transition(payout_id, 3, occurred_at=rfc3339(second + timedelta(microseconds=fraction)))

        def count(start, end):
            span = {"start_time": plain(second + timedelta(seconds=start)), "end_time": plain(second + timedelta(seconds=end))}
            return client.dry_run({"merchant_id": 303} | span)

        assert [count(-1, 0), count(0, 1), count(-60, 60), count(-7200, 3600), count(0, 10800)] == [4] * 5
        assert [count(1, 2), count(-2, -1), count(1, 10801), count(-10801, -1)] == [0] * 4

    def test_status_url_merchant_and_silence(self, house, shop, receiver):
        """Current status in the filter; silent statuses and payouts without URL never match."""
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        for path, url in [
            ([3], True), ([3], True), ([3], False), ([6], True), ([1, 2], True), ([1], True), ([1, 5, 4], True), ([], True),
        ]:
            payout_id = client.create_payout(notification_url=receiver.url() if url else None)["id"]
            for status_id in path:
                operator.transition(payout_id, status_id)
        assert client.dry_run(window(303)) == 5
        assert {one: client.dry_run(window(303, status_ids=[one])) for one in (1, 3, 4, 5, 6, 10, 11)} == {
            1: 1, 3: 2, 4: 1, 5: 0, 6: 1, 10: 0, 11: 0,
        }
        assert client.dry_run(window(303, status_ids=[3, 6])) == 3

    def test_a_resend_carries_the_latest_notification_again(self, house, shop, receiver):
        """C 3.2, 4.2: same `webhook-id` and bytes, fresh time and signature, `x-webhook-resend`, attempts from 1; the
        acknowledgement settles the open live delivery as `acknowledged_elsewhere`."""
        receiver.default = 500
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")
        client = server.client(shop.key)
        ids = paid_payouts(server, shop, 9, receiver.url())
        missed = {one.webhook_id: one for one in receiver.wait_for(9)}
        wait_until = max(int(one.headers["webhook-timestamp"]) for one in missed.values()) + 1
        eventually(lambda: now().timestamp() >= wait_until, "the clock showed the next second")

        receiver.default = 200
        job_id, total = client.dispatch(window(303))
        assert total == 9
        received = receiver.wait_for_acknowledged(9)
        for one in received:
            first = missed[one.webhook_id]
            assert one.body == first.body and one.path == first.path
            assert one.job_id == job_id and first.job_id is None
            assert one.attempt == 1 and one.verified
            assert int(one.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
            assert one.headers["webhook-signature"] != first.headers["webhook-signature"]
            assert one.headers["x-webhook-attempt-id"] != first.headers["x-webhook-attempt-id"]
            assert one.headers["x-webhook-wp-signature"] == first.headers["x-webhook-wp-signature"]
            assert one.headers["x-webhook-sequence"] == first.headers["x-webhook-sequence"]
        assert {json.loads(one.body)["id"] for one in received} == set(ids)
        eventually(
            lambda: house.rows("SELECT resend_id IS NULL, state, reason, count(*) FROM settled GROUP BY 1, 2, 3 ORDER BY 1")
            == [(0, "acknowledged", None, 9), (1, "skipped", "acknowledged_elsewhere", 9)],
            "the resend was settled as acknowledged, and the live deliveries as acknowledged elsewhere",
        )
        assert house.one("SELECT count(*) FROM deliveries") == 0

    def test_an_acknowledged_webhook_is_sent_again_when_asked(self, house, shop, receiver):
        """C 4.2: an earlier acknowledgement does not settle a resend, which was asked for."""
        server = house.serve()
        client = server.client(shop.key)
        paid_payouts(server, shop, 10, receiver.url())
        receiver.wait_for_acknowledged(10)
        job_id, _ = client.dispatch(window(303))
        eventually(lambda: len(receiver.of_job(job_id)) == 10, "ten acknowledged webhooks were sent again")
        assert len({one.webhook_id for one in receiver.received}) == 10

    def test_a_resend_revives_what_was_exhausted_or_stopped(self, house, shop, receiver):
        """C 3.4: only a resend revives it; its budget is its own (C 4.2)."""
        receiver.answers = [410, 500, 500, 500]
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,0s")
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        for state in ("stopped", "exhausted"):
            operator.transition(client.create_payout(notification_url=receiver.url())["id"], 3)
            house.wait_for_row("SELECT 1 FROM settled WHERE state = ?", state, what=f"a delivery was {state}")
        job_id, total = client.dispatch(window(303))
        assert total == 2
        eventually(
            lambda: sorted((one.attempt, one.answered) for one in receiver.of_job(job_id)) == [(1, 200), (1, 500), (2, 200)],
            "both were delivered by the job, one at its second attempt",
        )

    def test_a_payout_that_moved_on_goes_with_its_latest_notification(self, house, shop, receiver):
        """C 4.2: the matched set is frozen at dispatch; the then latest notification goes. A silent status sends the one
        before it, never a body of its own."""
        server = house.serve(REENVIO_RETRY_SCHEDULE="3s,1h")
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        ids = paid_payouts(server, shop, 3, receiver.url(), status_id=1)
        job_id, total = client.dispatch(window(303, status_ids=[1]))
        assert total == 3
        operator.transition(ids[0], 2)
        operator.transition(ids[1], 3)
        eventually(lambda: len(receiver.of_job(job_id)) == 3, "the job delivered three webhooks")
        shown = {json.loads(one.body)["id"]: json.loads(one.body)["status"]["id"] for one in receiver.of_job(job_id)}
        assert shown == {ids[0]: 1, ids[1]: 3, ids[2]: 1}

    def test_what_is_recorded_after_dispatch_never_joins(self, house, shop, receiver):
        """C 4.2, with the window's end in the future."""
        server = house.serve(REENVIO_RETRY_SCHEDULE=STAY_PUT)
        client = server.client(shop.key)
        paid_payouts(server, shop, 30, receiver.url(), tag="before")
        job_id, total = client.dispatch(window(303))
        paid_payouts(server, shop, 30, receiver.url(), tag="after")
        state = client.wait_for_job(job_id)
        assert (total, state["total"], state["queued"]) == (30, 30, 30)
        assert client.dry_run(window(303)) == 60
