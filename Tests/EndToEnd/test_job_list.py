"""The list of resend jobs (C 13.3)."""

import pytest

from harness.bodies import window
from harness.client import RESEND

KEYS = [
    "job_id", "status", "merchant_id", "start_time", "end_time", "total", "queued", "failed", "started_at", "updated_at",
]


@pytest.fixture(scope="module")
def jobs(shared_house, merchant, operator, shared_shop, other_shop):
    """Seven of merchant 303, one of its sister 305 and two of another account: ids, newest first."""
    shared_house.json("merchant", "create", "--account", shared_shop.account_id, "--id", 305, "--name", "Second")
    made = [merchant.dispatch(window(303, before_s=3600 - 60 * number))[0] for number in range(7)]
    sister, _ = merchant.dispatch(window(305))
    foreign = [operator.dispatch(window(404, before_s=3600 - 60 * number))[0] for number in range(2)]
    return {303: made[::-1], 305: [sister], 404: foreign[::-1]}


def walk(client, query):
    """Every page, by its `next`."""
    ids, path = [], RESEND + query
    while path:
        shown = client.expect(200, "GET", path)
        assert list(shown) == ["data", "next"]
        ids += [one["job_id"] for one in shown["data"]]
        assert shown["next"] is None or shown["next"].startswith(client.url + RESEND + "?")
        path = shown["next"] and shown["next"].removeprefix(client.url)
    return ids


class TestList:
    def test_rows_are_the_state_and_the_id(self, merchant, jobs):
        """`job_id` plus the keys of C 5; times verbatim."""
        for row in merchant.expect(200, "GET", RESEND)["data"]:
            assert list(row) == KEYS
            assert {key: row[key] for key in KEYS[1:]} == merchant.job(row["job_id"])

    def test_with_outcomes(self, merchant, jobs):
        """C 13.3: `include=outcome` adds what C 13.1 says, and survives the pages."""
        page = merchant.expect(200, "GET", RESEND + "?include=outcome&limit=3&merchant_id=303")
        assert "include=outcome" in page["next"]
        for row in page["data"]:
            shown = merchant.expect(200, "GET", f"{RESEND}/{row['job_id']}?include=outcome")
            assert row == {"job_id": row["job_id"]} | shown
            assert (row["total"], row["ended"], row["phase"]) == (0, "completed", "empty")
        answer = merchant.get(RESEND + "?include=all")
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["include"])

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    def test_newest_first_whatever_the_page(self, merchant, jobs, limit):
        assert walk(merchant, f"?limit={limit}") == jobs[305] + jobs[303]

    def test_filters_survive_the_pages(self, merchant, jobs):
        assert walk(merchant, "?merchant_id=303&limit=2") == jobs[303]
        assert walk(merchant, "?limit=2&status=completed&merchant_id=303") == jobs[303]
        assert walk(merchant, "?merchant_id=305") == jobs[305]
        assert walk(merchant, "?status=failed") == walk(merchant, "?status=processing") == []
        assert walk(merchant, "?limit=&cursor=") == jobs[305] + jobs[303], "empty counts as absent (C 2.3)"

    def test_each_sees_its_own(self, shared_server, other_shop, operator, jobs):
        """C 9."""
        assert walk(shared_server.client(other_shop.key), "?limit=1") == jobs[404]
        assert set(walk(operator, "?limit=4")) >= set(jobs[303] + jobs[305] + jobs[404])
        assert walk(operator, "?merchant_id=404&limit=1") == jobs[404]

    def test_new_jobs_do_not_shift_a_page(self, shared_server, other_shop, jobs):
        client = shared_server.client(other_shop.key)
        first = client.expect(200, "GET", f"{RESEND}?limit=1")
        client.dispatch(window(404, before_s=1800))
        second = client.expect(200, "GET", first["next"].removeprefix(client.url))
        assert [one["data"][0]["job_id"] for one in (first, second)] == jobs[404]


class TestBadInput:
    @pytest.mark.parametrize("query, field", [
        ("limit=0", "limit"), ("limit=101", "limit"), ("limit=-1", "limit"), ("limit=ten", "limit"), ("limit=1e1", "limit"),
        ("limit=99999999999999999999", "limit"), ("cursor=x", "cursor"), ("cursor=c", "cursor"), ("cursor=c-1", "cursor"),
        ("cursor=c99999999999999999999", "cursor"), ("status=COMPLETED", "status"), ("status=canceled", "status"),
        ("merchant_id=404", "merchant_id"), ("merchant_id=999999", "merchant_id"), ("merchant_id=x", "merchant_id"),
        ("merchant_id=303.0", "merchant_id"),
    ])
    def test_is_422(self, merchant, jobs, query, field):
        answer = merchant.get(f"{RESEND}?{query}")
        assert answer.status_code == 422, answer.text
        assert answer.json()["message"] == "Validation error." and list(answer.json()["errors"]) == [field]

    def test_all_at_once(self, merchant, jobs):
        answer = merchant.get(f"{RESEND}?limit=0&cursor=x&status=no&merchant_id=404")
        assert sorted(answer.json()["errors"]) == ["cursor", "limit", "merchant_id", "status"]

    def test_who_may(self, shared_server, shared_house, shared_shop, jobs):
        """C 9, 10: no key 401; a wrong method 405, which names what goes."""
        assert shared_server.client().get(RESEND).status_code == 401
        answer = shared_server.client(shared_shop.key).request("PUT", RESEND)
        assert answer.status_code == 405 and set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
