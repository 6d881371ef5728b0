"""The list of resend logs (C 7): rows written by hand, read by a client that follows the links."""

import itertools
import random
import sqlite3
from urllib.parse import parse_qsl, urlsplit

import pytest

from harness.binary import Shop
from harness.tokens import new_user, sign_in

LOGS = "/v3/webhooks/resend"
KEYS = [
    "id", "resend_type", "status", "object_reference_id", "account_mirror_id", "start_datetime", "end_datetime",
    "user_id", "created_at", "updated_at", "processed_at", "error_message",
]
START_S = 1_778_573_730  # 2026-05-12T08:15:30Z
START = "2026-05-12T08:15:30Z"


@pytest.fixture
def server(house, shop):
    """Logs of user 246 at its public URL."""
    return house.serve(REENVIO_PUBLIC_URL="https://api.example.com/")


@pytest.fixture
def client(house, server):
    return sign_in(server, new_user(house, id=246))


class Rows:
    """Logs of one second after the other, or of one and the same."""

    def __init__(self, house):
        self.house = house
        self.ids = itertools.count(1)

    def add(self, count=1, user=246, second=0, status="COMPLETED", object_id=5, mirror=None, kind="v3-cashout"):
        """Returns the ids."""
        ids = list(itertools.islice(self.ids, count))
        at = (START_S + second) * 1_000_000
        with sqlite3.connect(self.house.store_path, timeout=10) as connection:
            connection.executemany(
                """
                INSERT INTO resends (id, merchant_id, account_id, kind, user_id, requested_by, state, log_status,
                    statuses, object_id, mirror_id, frozen_seq, cursor_s, cursor_seq, total, started_at, updated_at)
                VALUES (?, 303, 1, ?, ?, 'user', 'completed', ?, '', ?, ?, 0, 0, 0, 0, ?, ?)
                """,
                [(one, kind, user, status, object_id, mirror, at, at) for one in ids],
            )
        connection.close()
        return ids


@pytest.fixture
def rows(house, server):
    return Rows(house)


def page_of(client, link):
    """The page behind a link of the server's own, or behind parameters."""
    query = link.removeprefix("https://api.example.com" + LOGS)
    return client.expect(200, "GET", LOGS + query)


def ids(page):
    assert list(page) == ["next", "previous", "results"]
    assert all(list(log) == KEYS for log in page["results"])
    return [log["id"] for log in page["results"]]


class TestPages:
    def test_an_empty_list(self, client):
        assert client.expect(200, "GET", LOGS) == {"next": None, "previous": None, "results": []}

    def test_a_log_as_it_is_written(self, client, rows):
        """All twelve keys, null where nothing is to say; the object's id is text."""
        rows.add(object_id=66300134, status="PROCESSING")
        (log,) = client.expect(200, "GET", LOGS)["results"]
        assert list(log.items()) == list(zip(KEYS, [
            1, "CASHOUT", "PROCESSING", "66300134", None, None, None, 246, START, START, None, None]))

    def test_links_as_published(self, client, rows):
        """C 7.4: order, literal colons, `limit` always, filters behind; base from the settings, whatever Host says."""
        rows.add(5, status="FAILED", mirror=42)
        page = client.get(LOGS + "?limit=2", headers={"Host": "evil.example"}).json()
        base = "https://api.example.com/v3/webhooks/resend?"
        assert page["next"] == f"{base}cursor_datetime={START}&cursor_id=4&cursor_direction=NEXT&limit=2"
        assert page["previous"] is None
        filters = "status=FAILED&object_reference_id=5&account_mirror_id=42"
        page = page_of(client, f"?account_mirror_id=42&object_reference_id=5&limit=1&status=FAILED&"
                               f"cursor_id=4&cursor_datetime={START}")
        assert page["next"] == f"{base}cursor_datetime={START}&cursor_id=3&cursor_direction=NEXT&limit=1&{filters}"
        assert page["previous"] == f"{base}cursor_datetime={START}&cursor_id=3&cursor_direction=PREVIOUS&limit=1&{filters}"
        assert all("%" not in link for link in (page["next"], page["previous"]))

    def test_twenty_by_default_and_a_hundred_at_most(self, client, rows):
        rows.add(101)
        first = client.expect(200, "GET", LOGS)
        assert ids(first) == list(range(101, 81, -1)) and "limit=20" in first["next"]
        assert len(ids(page_of(client, "?limit=100"))) == 100

    def test_spellings_of_the_cursor(self, client, rows):
        """C 7.4: Z, offsets, fractions, %3A; the row it names need not exist."""
        rows.add(3)
        for moment in (START, "2026-05-12T05:15:30-03:00", "2026-05-12T08:15:30.000000Z", "2026-05-12T08%3A15%3A30Z",
                       "2026-05-12T08:15:30%2B00:00"):
            assert ids(page_of(client, f"?cursor_id=2&cursor_datetime={moment}")) == [1]
            assert ids(page_of(client, f"?cursor_id=2&cursor_direction=PREVIOUS&cursor_datetime={moment}")) == [3]
        assert ids(page_of(client, f"?cursor_id=999&cursor_datetime={START}")) == [3, 2, 1]
        assert ids(page_of(client, "?cursor_id=0&cursor_datetime=2000-01-01T00:00:00Z")) == []

    def test_filters_combine(self, client, rows):
        rows.add(status="FAILED", mirror=42)
        rows.add(status="FAILED", mirror=43)
        rows.add(status="PENDING", mirror=42)
        rows.add(status="FAILED", mirror=42, object_id=6)
        for query, expected in [
            ("?status=FAILED", [4, 2, 1]), ("?account_mirror_id=42", [4, 3, 1]), ("?object_reference_id=5", [3, 2, 1]),
            ("?status=FAILED&account_mirror_id=42", [4, 1]), ("?status=FAILED&object_reference_id=5", [2, 1]),
            ("?status=FAILED&account_mirror_id=42&object_reference_id=5", [1]), ("?status=COMPLETED", []),
            ("?account_mirror_id=44", []), ("?object_reference_id=5", [3, 2, 1]),
        ]:
            assert ids(page_of(client, query)) == expected, query

    def test_only_ones_own(self, house, server, client, rows):
        """Sharing an account changes nothing; a v2 job is no log."""
        rows.add(2)
        rows.add(3, user=247)
        Shop(house, merchant_id=404, name="Other")
        other, far = sign_in(server, new_user(house, id=247)), sign_in(server, new_user(house, 2))
        assert ids(client.expect(200, "GET", LOGS)) == [2, 1]
        assert ids(other.expect(200, "GET", LOGS)) == [5, 4, 3]
        assert ids(far.expect(200, "GET", LOGS)) == []


class TestWalks:
    @pytest.mark.parametrize("seed", range(8))
    def test_down_and_up_again_while_new_ones_arrive(self, client, rows, seed):
        """C 7.3: each row once, in both directions, many of one second; under a filter whose column does not change."""
        dice = random.Random(seed)
        chosen = dice.choice(["", "&account_mirror_id=42", "&object_reference_id=6"])
        second = 0

        def insert(most):
            nonlocal second
            for _ in range(dice.randint(0, most)):
                second += dice.random() < 0.3
                rows.add(second=second, mirror=dice.choice([42, 43]), object_id=dice.choice([5, 6]),
                         user=dice.choice([246, 246, 247]))

        def everything():
            found = page_of(client, f"?limit=100{chosen}")
            assert found["next"] is None
            return ids(found)

        insert(40)
        expected, walked = everything(), []
        page = page_of(client, f"?limit={dice.randint(1, 5)}{chosen}")
        assert page["previous"] is None
        while True:
            walked += ids(page)
            if page["next"] is None:
                break
            assert dict(parse_qsl(urlsplit(page["next"]).query))["cursor_id"] == str(ids(page)[-1])
            insert(2)
            page = page_of(client, page["next"])
        assert walked == expected
        climbed = ids(page)
        while page["previous"]:
            insert(1 if len(climbed) < 60 else 0)
            page = page_of(client, page["previous"])
            climbed = ids(page) + climbed
        assert climbed == everything()


class TestBadInput:
    @pytest.mark.parametrize("query, field", [
        ("limit=0", "limit"), ("limit=101", "limit"), ("limit=abc", "limit"), ("limit=", "limit"),
        ("limit=5&limit=5", "limit"), ("limit=+5", "limit"), ("limit=5.0", "limit"),
        ("status=failed", "status"), ("status=", "status"), ("status=FAILED&status=FAILED", "status"),
        ("object_reference_id=abc", "object_reference_id"), ("object_reference_id=0", "object_reference_id"),
        ("object_reference_id=", "object_reference_id"), ("account_mirror_id=x", "account_mirror_id"),
        ("account_mirror_id=", "account_mirror_id"), ("account_mirror_id=1&account_mirror_id=1", "account_mirror_id"),
        ("cursor_id=5", "cursor_datetime"), (f"cursor_datetime={START}", "cursor_id"),
        (f"cursor_id=abc&cursor_datetime={START}", "cursor_id"), (f"cursor_id=&cursor_datetime={START}", "cursor_id"),
        ("cursor_id=5&cursor_datetime=2026-05-12T10:30:00", "cursor_datetime"),
        ("cursor_id=5&cursor_datetime=2026-05-12 10:30:00", "cursor_datetime"),
        ("cursor_id=5&cursor_datetime=2026-13-12T10:30:00Z", "cursor_datetime"),
        (f"cursor_id=5&cursor_datetime={START}&cursor_datetime={START}", "cursor_datetime"),
        ("cursor_direction=PREVIOUS", "cursor_direction"), ("cursor_direction=previous", "cursor_direction"),
        (f"cursor_id=5&cursor_datetime={START}&cursor_direction=next", "cursor_direction"),
        (f"cursor_id=5&cursor_datetime={START}&cursor_direction=", "cursor_direction"),
        ("status[]=FAILED", "status[]"), ("STATUS=FAILED", "STATUS"), ("page=1", "page"), ("x=&x=1", "x"),
    ])
    def test_each(self, client, query, field):
        """422 with the words of v3, naming the one parameter."""
        answer = client.get(f"{LOGS}?{query}")
        assert answer.status_code == 422, answer.text
        assert list(answer.json()) == ["message", "errors"] and answer.json()["message"] == "Validation error"
        ((name, texts),) = answer.json()["errors"].items()
        assert name == field and len(texts) == 1

    def test_several(self, client):
        faults = client.get(f"{LOGS}?limit=0&status=x&cursor_id=1").json()["errors"]
        assert list(faults) == ["limit", "status", "cursor_datetime"]
