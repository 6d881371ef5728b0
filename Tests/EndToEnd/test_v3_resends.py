"""Resends of v3 from request to outcome (C 6, 7), on the real binary, killed in the middle of it."""

from datetime import timedelta

import pytest

from harness.bodies import now
from harness.client import create_payouts
from harness.mirror import LOG_KEYS, RESEND, Mirror, create_qr_code, report_cash_in, zulu
from harness.mirror_stage import mirror, new_mirror, platform, server, shop, user  # noqa: F401 (fixtures)

LEASE_S = 30


def paid(server, mirror, count):
    """Paid payouts without a webhook of v2's."""
    ids = create_payouts(server, mirror, count, None, connections=8)
    server.client(mirror.operator_key).transition_all(ids, 3)
    return ids


class TestOutcomes:
    def test_fails_in_part_and_completes_when_repeated(self, server, user, platform, mirror, receiver):
        """Issue: a bulk resend of cash-in and cash-out events against a receiver that fails some of them."""
        user.register(receiver.url(), "CASHOUT")
        user.register(receiver.url(), "CASHIN")
        paid(server, mirror, 30)
        codes = [create_qr_code(platform, mirror.merchant_id) for _ in range(5)]
        report_cash_in(platform, codes[0], "QR_CODE_COPY_AND_PASTE_PAID", end_to_end="E1")
        receiver.wait_for_acknowledged(36)
        receiver.forget()
        receiver.answers = [410] * 3
        out = user.resend(user.range("CASHOUT"))
        ended = user.wait_for_log(out["id"])
        assert ended["status"] == "FAILED"
        assert ended["error_message"] == "3 of 30 webhooks could not be resent: HTTP 410"
        assert ended["processed_at"] == ended["updated_at"] is not None
        assert {one.job_id for one in receiver.received} == {str(out["id"])}
        receiver.answers = [410] * 2
        cash_in = user.wait_for_log(user.resend(user.range("CASHIN"))["id"])
        assert cash_in["error_message"] == "2 of 6 webhooks could not be resent: HTTP 410"
        for resend_type, count in [("CASHOUT", 30), ("CASHIN", 6)]:
            receiver.forget()
            again = user.wait_for_log(user.resend(user.range(resend_type))["id"])
            assert (again["status"], again["error_message"]) == ("COMPLETED", None)
            assert len({one.webhook_id for one in receiver.acknowledged}) == receiver.count == count

    def test_the_two_published_log_objects(self, server, user, mirror, receiver):
        """C 7: one object, and a range; key for key."""
        webhook = user.register(receiver.url(), "CASHOUT")
        payout_id = paid(server, mirror, 1)[0]
        receiver.wait_for_acknowledged(1)
        one = user.wait_for_log(
            user.resend({"resend_type": "CASHOUT", "object_reference_id": payout_id})["id"])
        assert list(one) == LOG_KEYS
        assert (one["object_reference_id"], one["account_mirror_id"]) == (str(payout_id), None)
        assert one["start_datetime"] is one["end_datetime"] is one["error_message"] is None
        assert (one["status"], one["user_id"]) == ("COMPLETED", mirror.user["user_id"])
        body = user.range("CASHOUT")
        user.expect(200, "DELETE", f"/v3/accounts/api/webhooks/{webhook}")
        many = user.wait_for_log(user.resend(body)["id"])
        assert many["object_reference_id"] is None
        assert many["account_mirror_id"] == mirror.merchant_id
        assert (many["start_datetime"], many["end_datetime"]) == (body["start_datetime"], body["end_datetime"])
        assert many["error_message"] == "No webhook is registered for this account and type."

    def test_nothing_in_the_range(self, user, mirror):
        old = {"start_datetime": "2026-01-01T00:00:00Z", "end_datetime": "2026-01-02T00:00:00Z"}
        log = user.resend({"resend_type": "CASHIN"} | mirror.account | old)
        assert user.wait_for_log(log["id"])["status"] == "COMPLETED"

    def test_a_dead_receiver_fails_after_three_attempts_of_its_own_schedule(self, house, mirror, receiver):
        """C 6.4: 0 s, +5 s, +5 min whatever `REENVIO_RETRY_SCHEDULE` says; here as far as the second."""
        server = house.serve(REENVIO_RETRY_SCHEDULE="1h")
        user = mirror.sign_in(server)
        user.register(receiver.url(), "CASHOUT")
        payout_id = paid(server, mirror, 1)[0]
        receiver.default = 500
        log = user.resend({"resend_type": "CASHOUT", "object_reference_id": payout_id})
        first, second = receiver.wait_for(2, within=20)
        assert (first.attempt, second.attempt) == (1, 2)
        assert first.job_id == second.job_id == str(log["id"])
        assert second.at - first.at >= 5
        assert user.log(log["id"])["status"] == "PROCESSING"


class TestKilled:
    @pytest.mark.waits
    def test_in_the_middle_of_a_range(self, house, mirror, receiver):
        """Logs left PROCESSING are taken up again at start-up; what was in flight comes again after its lease."""
        server = house.serve()
        user = mirror.sign_in(server)
        user.register(receiver.url(), "CASHOUT")
        paid(server, mirror, 60)
        receiver.wait_for_acknowledged(60)
        receiver.forget()
        receiver.hold()
        log = user.resend(user.range("CASHOUT"))
        receiver_has_some = house.wait_for_row(
            "SELECT 1 FROM deliveries WHERE resend_id = ? AND claim_token IS NOT NULL", log["id"], what="some are claimed")
        assert receiver_has_some
        server.kill()
        receiver.let_go()
        server = house.serve()
        user = mirror.sign_in(server)
        ended = user.wait_for_log(log["id"], within=2 * LEASE_S + 20)
        assert (ended["status"], ended["error_message"]) == ("COMPLETED", None)
        assert len({one.webhook_id for one in receiver.acknowledged}) == 60
        queued, delivered = house.rows(
            "SELECT r.queued, t.delivered FROM resends r JOIN resend_tallies t ON t.resend_id = r.id WHERE r.id = ?",
            log["id"])[0]
        assert (queued, delivered) == (60, 60)


class TestLedger:
    def test_says_which_failed(self, server, user, platform, mirror, receiver):
        """C 13.18: which of a range failed, where and why; by pages, whole, and at the terminal."""
        webhook = user.register(receiver.url(), "CASHOUT")
        payouts = paid(server, mirror, 30)
        receiver.wait_for_acknowledged(30)
        receiver.forget()
        receiver.answers = [410] * 3
        log = user.wait_for_log(user.resend(user.range("CASHOUT"))["id"])
        shown = user.expect(200, "GET", f"{RESEND}/{log['id']}?include=outcome")
        assert list(shown) == LOG_KEYS + ["total", "queued", "failed", "outcome", "ended", "requested_by", "phase"]
        assert shown["outcome"] == {"delivered": 27, "undelivered": 3, "pending": 0, "skipped": 0}
        assert (shown["phase"], shown["ended"]) == ("partly_delivered", "failed")
        assert user.expect(200, "GET", f"{RESEND}/{log['id']}") == log
        rows, path = [], f"{RESEND}/{log['id']}/items?limit=7"
        while path:
            page = user.expect(200, "GET", path)
            assert list(page) == ["next", "results"]
            rows += page["results"]
            path = page["next"] and page["next"].removeprefix(user.url)
        assert sorted(int(row["object_reference_id"]) for row in rows) == sorted(payouts)
        assert {row["webhook_id"] for row in rows} == {webhook}
        refused = {one.webhook_id for one in receiver.received} - {one.webhook_id for one in receiver.acknowledged}
        failed = user.expect(200, "GET", f"{RESEND}/{log['id']}/items?outcome=undelivered")["results"]
        assert {row["message_id"] for row in failed} == refused and len(failed) == 3
        assert {(row["last_status_code"], row["last_reason"], row["attempts"]) for row in failed} == {(410, "gone", 1)}
        csv = user.get(f"{RESEND}/{log['id']}/items?format=csv&outcome=undelivered")
        assert csv.headers["content-type"] == "text/csv; charset=utf-8" and len(csv.text.splitlines()) == 4
        house = mirror.house
        assert house.json("job", "show", log["id"], "--items", "--outcome", "undelivered")["data"] == failed
        assert house.json("job", "show", log["id"])["outcome"] == shown["outcome"]
        assert house.json("job", "list", "--logs")["data"][0]["id"] == log["id"]
        watched = house.run("job", "watch", log["id"])
        assert watched.returncode == 1 and "3 undelivered" in watched.stderr
        receiver.forget()
        again = user.wait_for_log(user.resend(user.range("CASHOUT"))["id"])
        assert house.run("job", "watch", again["id"]).returncode == 0


class TestCancel:
    def test_ends_as_failed_and_sends_no_more(self, server, user, mirror, receiver):
        """C 13.18: FAILED, `Canceled.`; the twelve keys, once, for its own user."""
        user.register(receiver.url(), "CASHOUT")
        paid(server, mirror, 40)
        receiver.wait_for_acknowledged(40)
        receiver.forget()
        receiver.hold()
        log = user.resend(user.range("CASHOUT"))
        receiver.wait_for(1)
        canceled = user.expect(200, "DELETE", f"{RESEND}/{log['id']}")
        assert list(canceled) == LOG_KEYS
        assert (canceled["status"], canceled["error_message"]) == ("FAILED", "Canceled.")
        assert canceled["processed_at"] == canceled["updated_at"]
        receiver.let_go()
        again = user.request("DELETE", f"{RESEND}/{log['id']}")
        assert (again.status_code, again.json()) == (409, {"message": "The resend log has already ended."})
        shown = user.expect(200, "GET", f"{RESEND}/{log['id']}?include=outcome")
        assert (shown["phase"], shown["ended"], shown["outcome"]["pending"]) == ("canceled", "canceled", 0)
        assert user.log(log["id"]) == canceled
        assert mirror.house.run("job", "watch", log["id"]).returncode == 1
        assert mirror.house.run("job", "cancel", log["id"]).returncode == 1
        mirror.house.json("check", "--deep")

    def test_killed_right_after_its_answer(self, house, mirror, receiver):
        """Canceled for good: the next server sweeps what was left and sends nothing of it."""
        server = house.serve()
        user = mirror.sign_in(server)
        user.register(receiver.url(), "CASHOUT")
        paid(server, mirror, 300)
        receiver.wait_for_acknowledged(300)
        receiver.forget()
        receiver.hold()
        log = user.resend(user.range("CASHOUT"))
        receiver.wait_for(1)
        user.expect(200, "DELETE", f"{RESEND}/{log['id']}")
        server.kill()
        receiver.let_go()
        begun = receiver.count
        server = house.serve()
        user = mirror.sign_in(server)
        assert user.log(log["id"])["error_message"] == "Canceled."
        house.wait_for_row(
            "SELECT 1 WHERE (SELECT count(*) FROM deliveries WHERE resend_id = ? AND claim_token IS NULL) = 0",
            log["id"], what="what waited is swept")
        assert receiver.count == begun
        skipped = house.rows("SELECT skipped FROM resend_tallies WHERE resend_id = ?", log["id"])[0][0]
        assert skipped == house.rows("SELECT queued FROM resends WHERE id = ?", log["id"])[0][0] - house.rows(
            "SELECT delivered FROM resend_tallies WHERE resend_id = ?", log["id"])[0][0]


class TestRequests:
    def test_errors(self, server, user, platform, house, mirror):
        other = Mirror(house, merchant_id=404, user_id=247, branch="0001", number="999")
        foreign = paid(server, other, 1)[0]
        silent = server.client(mirror.operator_key).create_payout(merchant_id=mirror.merchant_id)["id"]
        for body, code, message in [
            ({"resend_type": "CASHOUT", "object_reference_id": 999_999}, 404, "Object not found."),
            ({"resend_type": "CASHOUT", "object_reference_id": foreign}, 404, "Object not found."),
            ({"resend_type": "CASHIN", "object_reference_id": foreign}, 404, "Object not found."),
            ({"resend_type": "CASHOUT", "object_reference_id": silent}, 404, "Object not found."),
            (user.range("CASHOUT") | other.account, 404, "Account not found."),
            (user.range("CASHOUT") | {"source_account_number": "000"}, 404, "Account not found."),
        ]:
            answer = user.post(RESEND, body)
            assert (answer.status_code, answer.json()) == (code, {"message": message}), body
        assert user.logs()["results"] == []
        house.json("merchant", "close", "--id", mirror.merchant_id)
        answer = user.post(RESEND, user.range("CASHOUT"))
        assert (answer.status_code, answer.json()) == (400, {"message": "Account is closed."})

    @pytest.mark.parametrize(
        "body, fields",
        [
            ({}, ["resend_type", "object_reference_id"]),
            ({"resend_type": "cashin", "object_reference_id": 1}, ["resend_type"]),
            ({"resend_type": "CASHIN", "object_reference_id": "1"}, ["object_reference_id"]),
            ({"resend_type": "CASHIN", "object_reference_id": -1}, ["object_reference_id"]),
            (
                {"resend_type": "CASHIN", "start_datetime": "2026-05-01T00:00:00Z"},
                ["source_account_branch_identifier", "source_account_number", "end_datetime"],
            ),
            (
                {"resend_type": "CASHIN", "source_account_branch_identifier": "0001", "source_account_number": "1"},
                ["start_datetime", "end_datetime"],
            ),
        ],
    )
    def test_validation(self, user, body, fields):
        answer = user.post(RESEND, body)
        assert answer.status_code == 422
        assert answer.json()["message"] == "Validation error"
        assert sorted(answer.json()["errors"]) == sorted(fields)

    def test_ranges(self, user):
        def answer(start, end):
            dates = {"start_datetime": start, "end_datetime": end}
            return user.post(RESEND, user.range("CASHOUT") | dates)

        assert answer("2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z").status_code == 201, "31 days exactly"
        for start, end in [
            ("2026-05-01T00:00:00Z", "2026-06-01T00:00:01Z"),
            ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z"),
            ("2026-05-01T00:00:00", "2026-05-02T00:00:00Z"),
        ]:
            assert answer(start, end).status_code == 422, (start, end)

    def test_object_and_range_together(self, server, user, mirror, receiver):
        """C 6.2: accepted, narrowing; the log stores all values."""
        user.register(receiver.url(), "CASHOUT")
        first, _ = paid(server, mirror, 2)
        receiver.wait_for_acknowledged(2)
        log = user.resend(user.range("CASHOUT", object_reference_id=first))
        assert (log["object_reference_id"], log["account_mirror_id"]) == (str(first), mirror.merchant_id)
        assert user.wait_for_log(log["id"])["status"] == "COMPLETED"
        assert len(receiver.of_job(str(log["id"]))) == 1
        outside = {"start_datetime": zulu(now() - timedelta(days=3)), "end_datetime": zulu(now() - timedelta(days=2))}
        answer = user.post(RESEND, user.range("CASHOUT", object_reference_id=first) | outside)
        assert (answer.status_code, answer.json()) == (404, {"message": "Object not found."})

    def test_idempotency(self, server, user, mirror, receiver):
        """C 13.8."""
        user.register(receiver.url(), "CASHOUT")
        paid(server, mirror, 1)
        body, key = user.range("CASHOUT"), {"Idempotency-Key": "k-1"}
        first = user.post(RESEND, body, headers=key)
        assert first.status_code == 201
        user.wait_for_log(first.json()["id"])
        again = user.post(RESEND, body, headers=key)
        assert again.json() == first.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        other = user.post(RESEND, body | {"resend_type": "CASHIN"}, headers=key)
        assert (other.status_code, list(other.json()["errors"])) == (422, ["idempotency_key"])
        assert len(user.logs()["results"]) == 1

    def test_it_is_audited(self, server, user, platform, mirror):
        log = user.resend(user.range("CASHIN"))
        rows = platform.expect(200, "GET", "/v2/audit?limit=100")["data"]
        row = next(one for one in rows if one["action"] == "resend.create")
        assert (row["actor"], row["target"]) == (f"user:{mirror.user['user_id']}", f"log {log['id']}")


class TestImported:
    def test_what_was_imported_can_be_resent(self, server, user, mirror, house, receiver):
        """An import writes the v3 event of a status; nothing is delivered by importing."""
        user.register(receiver.url(), "CASHOUT")
        moment = zulu(now())
        line = (
            '{"merchant_id":%d,"id":2322977,"invoice":"i-1","amount":"43.34","currency":"BRL",'
            '"status_id":3,"created_at":"%s","updated_at":"%s"}\n' % (mirror.merchant_id, moment, moment)
        )
        (house.folder / "lines.ndjson").write_text(line)
        assert house.json("import", str(house.folder / "lines.ndjson"))["imported"] == 1
        log = user.resend({"resend_type": "CASHOUT", "object_reference_id": 2322977})
        assert user.wait_for_log(log["id"])["status"] == "COMPLETED"
        assert [one.job_id for one in receiver.received] == [str(log["id"])]
