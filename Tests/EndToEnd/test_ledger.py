"""The ledger of a job: each payout once, what became of it, in pages or all at once (C 13.4)."""

import csv
import io
import json
import re
import sqlite3
from collections import Counter

import pytest
import requests

from harness.bodies import window
from harness.client import RESEND, paid_payouts
from harness.receiver import Receiver
from harness.waiting import eventually

KEYS = [
    "payout_id", "invoice", "webhook_id", "outcome", "attempts", "last_status_code", "last_reason", "last_attempt_at",
]
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SIZE = 1010
"""More than one piece of a streamed ledger."""
GONE = 40
OUTCOMES = ["delivered", "undelivered", "pending", "skipped"]
TRICKY = 'a "b", c;d =1+1,é'


def items(job_id, query=""):
    return f"{RESEND}/{job_id}/items{query}"


def outcome(client, job_id):
    return client.expect(200, "GET", f"{RESEND}/{job_id}?include=outcome")["outcome"]


def walk(client, job_id, query):
    rows, path = [], items(job_id, query)
    while path:
        shown = client.expect(200, "GET", path)
        assert list(shown) == ["data", "next"]
        rows += shown["data"]
        assert shown["next"] is None or shown["next"].startswith(client.url + items(job_id) + "?")
        path = shown["next"] and shown["next"].removeprefix(client.url)
    return rows


@pytest.fixture(scope="module")
def shared_server(shared_house, shared_shop, other_shop):
    """One that delivers at once."""
    return shared_house.serve()


@pytest.fixture(scope="module")
def job(shared_server, shared_shop, merchant):
    """A job of which some were answered with 410: its id and its payouts."""
    hook = Receiver()
    hook.trust(shared_shop.secret)
    payouts = paid_payouts(shared_server, shared_shop, SIZE - 1, hook.url(), tag="ledger")
    operator = shared_server.client(shared_shop.operator_key)
    tricky = merchant.create_payout(merchant_id=303, invoice=TRICKY, notification_url=hook.url())["id"]
    operator.transition_all([tricky], 3)
    hook.wait_for(SIZE)
    # Never ten in a row, which would open a breaker.
    hook.answers = [410, 200] * GONE
    job_id, total = merchant.dispatch(window(303))
    assert total == SIZE
    eventually(lambda: outcome(merchant, job_id)["delivered"] == SIZE - GONE, "the others were delivered", 60)
    eventually(lambda: outcome(merchant, job_id)["undelivered"] == GONE, "those refused were given up")
    yield job_id, payouts + [tricky]
    hook.close()


class TestPages:
    @pytest.mark.parametrize("limit", [7, 100])
    def test_each_payout_once_by_id(self, merchant, job, limit):
        job_id, payouts = job
        rows = walk(merchant, job_id, f"?limit={limit}")
        assert [row["payout_id"] for row in rows] == sorted(payouts)
        for row in rows:
            assert list(row) == KEYS
            assert row["webhook_id"].startswith("msg_") and row["attempts"] == 1
            assert DATE.fullmatch(row["last_attempt_at"])
            ended = (row["outcome"], row["last_status_code"], row["last_reason"])
            assert ended in [("delivered", 200, None), ("undelivered", 410, "gone")]

    def test_twenty_without_a_limit(self, merchant, job):
        assert len(merchant.expect(200, "GET", items(job[0]))["data"]) == 20

    def test_counts_are_those_of_the_outcome(self, merchant, job):
        """C 13.1."""
        rows = walk(merchant, job[0], "?limit=100")
        counted = Counter(row["outcome"] for row in rows)
        assert {name: counted[name] for name in OUTCOMES} == outcome(merchant, job[0])
        for name in OUTCOMES:
            part = walk(merchant, job[0], f"?limit=100&outcome={name}")
            assert part == [row for row in rows if row["outcome"] == name]


class TestFormats:
    def test_csv(self, merchant, job):
        """RFC 4180, as Python's own reader takes it."""
        answer = merchant.get(items(job[0], "?format=csv"))
        assert answer.status_code == 200 and answer.headers["content-type"] == "text/csv; charset=utf-8"
        header, *lines = csv.reader(io.StringIO(answer.content.decode(), newline=""), strict=True)
        assert header == KEYS
        expected = [
            ["" if value is None else str(value) for value in row.values()] for row in walk(merchant, job[0], "?limit=100")
        ]
        assert lines == expected
        assert TRICKY in [line[1] for line in lines]

    def test_ndjson(self, merchant, job):
        answer = merchant.get(items(job[0], "?format=ndjson"))
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/x-ndjson"
        assert answer.content.endswith(b"\n")
        rows = [json.loads(line) for line in answer.content.decode().removesuffix("\n").split("\n")]
        assert rows == walk(merchant, job[0], "?limit=100")

    @pytest.mark.parametrize("format, count", [("csv", GONE + 1), ("ndjson", GONE)])
    def test_with_an_outcome(self, merchant, job, format, count):
        answer = merchant.get(items(job[0], f"?format={format}&outcome=undelivered"))
        assert len(answer.text.splitlines()) == count
        assert answer.text.count("gone") == GONE

    def test_the_connection_serves_on(self, merchant, job):
        """A streamed answer has an end of its own; the next request goes over the same connection."""
        first = merchant.get(items(job[0], "?format=ndjson"))
        assert first.headers["transfer-encoding"] == "chunked"
        assert merchant.get(items(job[0], "?limit=1")).status_code == 200

    def test_an_error_in_the_middle_is_no_complete_answer(self, house, shop, receiver):
        """The connection closes without an end; the log says why."""
        server = house.serve()
        client = server.client(shop.key)
        payouts = paid_payouts(server, shop, SIZE, receiver.url())
        receiver.wait_for(SIZE)
        job_id, _ = client.dispatch(window(303))
        eventually(lambda: outcome(client, job_id)["delivered"] == SIZE, "all were delivered", 60)
        with sqlite3.connect(house.store_path, timeout=10) as connection:
            connection.execute(
                "UPDATE settled SET state = 'damaged' WHERE resend_id IS NOT NULL AND object_id = ?", (max(payouts),))
        connection.close()
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        for format in ("csv", "ndjson"):
            answer = client.get(
                items(job_id, f"?format={format}"), stream=True, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
            with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
                answer.content
            lines = [json.loads(line) for line in server.log_text().splitlines() if "answer broken off" in line]
            assert (lines[-1]["request"], lines[-1]["trace"]) == (answer.headers["x-request-id"], trace)
        assert client.get(items(job_id, "?limit=1")).status_code == 200


class TestBadInput:
    @pytest.mark.parametrize("query, field", [
        ("limit=0", "limit"), ("limit=101", "limit"), ("limit=ten", "limit"), ("cursor=x", "cursor"),
        ("cursor=c-1", "cursor"), ("outcome=sent", "outcome"), ("outcome=Pending", "outcome"), ("format=xml", "format"),
        ("format=csv&limit=5", "limit"), ("format=ndjson&cursor=c1", "cursor"),
    ])
    def test_is_422(self, merchant, job, query, field):
        answer = merchant.get(items(job[0], "?" + query))
        assert answer.status_code == 422, answer.text
        assert answer.json()["message"] == "Validation error." and list(answer.json()["errors"]) == [field]

    def test_all_at_once(self, merchant, job):
        answer = merchant.get(items(job[0], "?limit=0&cursor=x&outcome=no&format=xml"))
        assert sorted(answer.json()["errors"]) == ["cursor", "format", "limit", "outcome"]

    def test_who_may(self, shared_server, merchant, other_shop, job):
        assert shared_server.client().get(items(job[0])).status_code == 401
        answer = shared_server.client(other_shop.key).get(items(job[0]))
        assert (answer.status_code, answer.json()) == (403, {"message": "You do not have access to this resend job."})
        for unknown in ("x", "0" * 32):
            answer = merchant.get(items(unknown))
            assert (answer.status_code, answer.json()) == (404, {"message": "Resend job not found or expired."})
        assert merchant.request("POST", items(job[0])).status_code == 405


class TestCommand:
    def test_show_items(self, shared_house, merchant, job):
        rows = walk(merchant, job[0], "?limit=100&outcome=undelivered")
        shown = shared_house.json("job", "show", job[0], "--items", "--outcome", "undelivered", "--limit", "30")
        assert shown["data"] == rows[:30]
        rest = shared_house.json(
            "job", "show", job[0], "--items", "--outcome", "undelivered", "--limit", "30", "--cursor", shown["next"])
        assert rest == {"data": rows[30:], "next": None}
        words = shared_house.run("job", "show", job[0], "--items", "--limit", "1").stdout
        assert f"payout {min(job[1])} " in words and "delivered" in words and "More with --cursor c" in words

    @pytest.mark.parametrize("arguments, text", [
        (["--items", "--outcome", "sent"], "--outcome must be delivered, undelivered, pending, skipped or failed"),
        (["--outcome", "pending"], "--outcome, --limit and --cursor go with --items"),
        (["--items", "--limit", "0"], "--limit must be between 1 and 100"),
    ])
    def test_refuses(self, shared_house, job, arguments, text):
        done = shared_house.run("job", "show", job[0], *arguments)
        assert done.returncode == 1 and done.stderr == f"reenvio: {text}\n"


class TestFailed:
    def test_each_has_a_name_and_a_reason(self, house, shop, receiver):
        """C 5, 13.4, 13.7: what cannot be enqueued is named by the ledger in every form, and known ahead."""
        server = house.serve()
        refused = paid_payouts(server, shop, 30, receiver.url(), tag="http")
        erased = paid_payouts(server, shop, 2, "https://127.0.0.1:9/hook", tag="erased")
        paid_payouts(server, shop, 4, "https://127.0.0.1:9/hook", tag="https")
        receiver.wait_for_acknowledged(30)
        for one in erased:
            house.json("erase", "--payout", one)
        server.stop()
        server = house.serve(REENVIO_ALLOW_HTTP_RECEIVERS="false")
        client = server.client(shop.key)
        counted = client.expect(200, "POST", RESEND, window(303) | {"dry_run": True, "explain": True})
        assert counted["total"] == 36
        assert counted["explain"]["would_fail"] == {"erased": 2, "address_forbidden": 30}
        assert [one["health"] for one in counted["explain"]["by_receiver"]].count("refused") == 1
        why = client.expect(200, "GET", f"/v2/payout/payments/{refused[0]}/why")
        assert why["resend"]["status"] == 409 and why["resend"]["would_fail"] == "address_forbidden"
        job_id, total = client.dispatch(window(303))
        state = client.wait_for_job(job_id)
        assert (total, state["queued"], state["failed"]) == (36, 4, 32)
        rows = walk(client, job_id, "?outcome=failed&limit=7")
        assert {row["payout_id"]: row["last_reason"] for row in rows} == (
            dict.fromkeys(refused, "address_forbidden") | dict.fromkeys(erased, "erased"))
        for row in rows:
            assert list(row) == KEYS and row["attempts"] == 0 and row["invoice"]
            assert row["last_status_code"] is row["last_attempt_at"] is None
        lines = client.get(items(job_id, "?format=ndjson&outcome=failed")).text.splitlines()
        assert [json.loads(line) for line in lines] == rows
        assert len(client.get(items(job_id, "?format=csv&outcome=failed")).text.splitlines()) == 33
        assert len(walk(client, job_id, "?limit=100")) == 36
        shown = house.json("job", "show", job_id, "--items", "--outcome", "failed", "--limit", 100)
        assert shown["data"] == rows
        assert "payout" in house.run("job", "show", job_id, "--items", "--outcome", "failed").stdout
        log = server.log_text()
        assert "resend items could not be queued" in log and '"address_forbidden"' in log
        assert house.json("check", "--deep")
