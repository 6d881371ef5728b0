"""A job's outcome and its cancel (C 13.1, 13.2), from outside."""

import time

import pytest
import requests

from harness.binary import Shop
from harness.bodies import window
from harness.client import RESEND, acknowledged_payouts
from harness.waiting import eventually

STATE_KEYS = [
    "status", "merchant_id", "start_time", "end_time", "total", "queued", "failed", "started_at", "updated_at",
]


@pytest.fixture
def server(shop, house):
    return house.serve()


@pytest.fixture
def merchant(server, shop):
    return server.client(shop.key)


@pytest.fixture
def operator(server, shop):
    return server.client(shop.operator_key)


def details(client, job_id):
    found = client.expect(200, "GET", f"{RESEND}/{job_id}?include=outcome")
    outcome = found["outcome"]
    assert list(outcome) == ["delivered", "undelivered", "pending", "skipped"]
    assert sum(outcome.values()) == found["queued"] and min(outcome.values()) >= 0, found
    return found


class TestOutcome:
    def test_says_what_was_delivered(self, server, shop, merchant, receiver):
        acknowledged_payouts(server, shop, receiver, 20)
        receiver.answers = [410] * 3
        job_id, _ = merchant.dispatch(window(303))
        ended = eventually(
            lambda: (found := details(merchant, job_id))["outcome"]["pending"] == 0
            and found["status"] == "completed" and found, "every delivery ended")
        assert ended["outcome"] == {"delivered": 17, "undelivered": 3, "pending": 0, "skipped": 0}
        assert list(ended) == [*STATE_KEYS, "outcome", "ended", "requested_by", "phase"]
        assert ended["phase"] == "partly_delivered"
        assert ended["ended"] == "completed" and ended["requested_by"].startswith("key:")
        assert list(merchant.job(job_id)) == STATE_KEYS, "nobody who does not ask sees more"

    def test_bad_questions(self, server, house, merchant, other_key):
        assert merchant.get(f"{RESEND}/nobody?include=outcome").status_code == 404
        job_id, _ = merchant.dispatch(window(303))
        answer = merchant.get(f"{RESEND}/{job_id}?include=all")
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["include"])
        assert server.client(other_key).get(f"{RESEND}/{job_id}?include=outcome").status_code == 403

    def test_a_job_that_can_only_wait(self, server, shop, house, merchant, receiver):
        acknowledged_payouts(server, shop, receiver, 3)
        receiver_id = merchant.expect(200, "GET", "/v2/receivers")["data"][0]["id"]
        merchant.expect(200, "POST", f"/v2/receivers/{receiver_id}/pause")
        job_id, _ = merchant.dispatch(window(303))
        merchant.wait_for_job(job_id)
        assert details(merchant, job_id)["waiting_on"] == "receiver_paused"
        merchant.expect(200, "POST", f"/v2/receivers/{receiver_id}/resume")
        eventually(lambda: details(merchant, job_id)["outcome"]["delivered"] == 3, "they were delivered")
        assert "waiting_on" not in details(merchant, job_id)


@pytest.fixture
def other_key(house, shop):
    return Shop(house, merchant_id=404, name="Open Market").key


class TestCancel:
    def test_stops_what_is_under_way(self, server, shop, house, merchant, receiver):
        """Nothing starts later than a second after the answer; what was in flight counts as skipped."""
        acknowledged_payouts(server, shop, receiver, 400)
        receiver.hold()
        job_id, total = merchant.dispatch(window(303))
        assert total == 400
        merchant.wait_for_job(job_id)
        eventually(lambda: receiver.count > 0, "some are under way")
        state = merchant.expect(200, "DELETE", f"{RESEND}/{job_id}")
        answered = time.time()
        assert list(state) == STATE_KEYS and state["status"] == "completed", "it had completed before"
        seen = details(merchant, job_id)
        assert seen["ended"] == "canceled" and seen["outcome"]["pending"] == 0
        assert seen["outcome"]["skipped"] == 400 - seen["outcome"]["delivered"]
        receiver.let_go()
        eventually(lambda: house.one("SELECT count(*) FROM deliveries") == 0, "what was left is swept", 40)
        late = [one for one in receiver.received if one.at > answered + 1]
        assert not late, f"{len(late)} started more than a second after the cancel"
        assert details(merchant, job_id)["outcome"] == seen["outcome"]
        again = merchant.request("DELETE", f"{RESEND}/{job_id}")
        assert (again.status_code, again.json()) == (409, {"message": "The resend job has already ended."})

    def test_behind_a_pause_and_the_lock(self, server, shop, house, merchant, receiver):
        acknowledged_payouts(server, shop, receiver, 5)
        receiver_id = merchant.expect(200, "GET", "/v2/receivers")["data"][0]["id"]
        merchant.expect(200, "POST", f"/v2/receivers/{receiver_id}/pause")
        job_id, _ = merchant.dispatch(window(303))
        merchant.wait_for_job(job_id)
        merchant.expect(200, "DELETE", f"{RESEND}/{job_id}")
        assert details(merchant, job_id)["outcome"]["skipped"] == 5
        eventually(lambda: house.one("SELECT count(*) FROM deliveries") == 0, "swept behind the pause, too")
        merchant.expect(200, "POST", f"/v2/receivers/{receiver_id}/resume")
        again, _ = merchant.dispatch(window(303, before_s=3000))
        eventually(lambda: details(merchant, again)["outcome"]["delivered"] == 5, "a new job is delivered")

    def test_who_may(self, server, house, shop, merchant, other_key):
        job_id, _ = merchant.dispatch(window(303))
        path = f"{RESEND}/{job_id}"
        assert requests.delete(server.url + path, timeout=10).status_code == 401
        reader = house.json(
            "key", "create", "--account", shop.account_id, "--name", "r", "--scope", "payouts:read")["key"]
        assert server.client(reader).request("DELETE", path).status_code == 403
        foreign = server.client(other_key).request("DELETE", path)
        assert (foreign.status_code, foreign.json()["message"]) == (
            403, "You do not have access to this resend job.")
        assert merchant.request("DELETE", f"{RESEND}/nobody").status_code == 404

    def test_by_command_beside_a_server(self, server, shop, house, merchant, operator, receiver):
        acknowledged_payouts(server, shop, receiver, 50)
        receiver.hold()
        job_id, _ = merchant.dispatch(window(303))
        merchant.wait_for_job(job_id)
        done = house.json("job", "cancel", job_id)
        assert done["job_id"] == job_id
        receiver.let_go()
        eventually(lambda: house.one("SELECT count(*) FROM deliveries") == 0, "what was left is swept", 70)
        assert details(merchant, job_id)["outcome"]["pending"] == 0
        refused = house.run("job", "cancel", job_id)
        assert refused.returncode == 1 and "already ended" in refused.stderr
        rows = operator.expect(200, "GET", "/v2/audit?limit=100")["data"]
        row = next(one for one in rows if one["action"] == "resend.cancel")
        assert row["target"] == f"job {job_id}" and row["actor"].startswith("cli:")


class TestKilled:
    def test_right_after_its_answer(self, server, shop, house, merchant, receiver):
        acknowledged_payouts(server, shop, receiver, 300)
        receiver_id = merchant.expect(200, "GET", "/v2/receivers")["data"][0]["id"]
        merchant.expect(200, "POST", f"/v2/receivers/{receiver_id}/pause")
        job_id, _ = merchant.dispatch(window(303))
        merchant.wait_for_job(job_id)
        merchant.expect(200, "DELETE", f"{RESEND}/{job_id}")
        server.kill()
        server = house.serve()
        merchant = server.client(shop.key)
        assert details(merchant, job_id)["outcome"] == {
            "delivered": 0, "undelivered": 0, "pending": 0, "skipped": 300}
        merchant.expect(200, "POST", f"/v2/receivers/{receiver_id}/resume")
        eventually(lambda: house.one("SELECT count(*) FROM deliveries") == 0, "what was left is swept", 70)
        assert receiver.count == 0
