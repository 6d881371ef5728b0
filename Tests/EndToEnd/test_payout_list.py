"""The list of payouts and the merchant's cancel, from outside (C 2.3, 2.4)."""

from datetime import timedelta

import pytest

from harness.bodies import now, rfc3339
from harness.client import PAYMENTS

META = ["current_page", "from", "last_page", "per_page", "to", "total"]
LINKS = ["first", "last", "prev", "next"]


@pytest.fixture(scope="module")
def ids(merchant, operator, other_shop):
    """Seven of merchant 303, in turn Awaiting, Paid and Canceled, with other amounts; two of another account."""
    made = [merchant.create_payout(invoice=f"list-{number}", amount=100 - number)["id"] for number in range(7)]
    for number, status_id in ((1, 3), (2, 6), (4, 3), (5, 6)):
        operator.transition(made[number], status_id, occurred_at=rfc3339(now() + timedelta(seconds=number)))
    for number in range(2):
        operator.create_payout(merchant_id=404, invoice=f"list-{number}")
    return made


def page(client, query=""):
    return client.expect(200, "GET", PAYMENTS + query)


def found(client, query):
    return [one["id"] for one in page(client, query)["data"]]


class TestList:
    def test_rows_meta_and_links(self, merchant, ids):
        """Keys and types; rows are the object of C 2.1; the default is newest id first, fifteen."""
        shown = page(merchant)
        assert list(shown) == ["data", "meta", "links"]
        assert list(shown["meta"]) == META and list(shown["links"]) == LINKS
        assert shown["meta"] == {"current_page": 1, "from": 1, "last_page": 1, "per_page": 15, "to": 7, "total": 7}
        assert [one["id"] for one in shown["data"]] == ids[::-1]
        assert shown["data"][0] == merchant.payout(ids[-1])
        assert shown["links"]["prev"] is None and shown["links"]["next"] is None

    def test_walking_the_links(self, merchant, ids):
        """Filters and order survive; every row once, forwards and back."""
        walked, path, seen = [], "?per_page=2&sort_order=asc&merchant_id=303", []
        while path:
            shown = page(merchant, path)
            walked += [one["id"] for one in shown["data"]]
            seen.append(shown)
            assert all(link is None or link.startswith(merchant.url + PAYMENTS + "?") for link in shown["links"].values())
            path = shown["links"]["next"] and shown["links"]["next"].removeprefix(merchant.url + PAYMENTS)
        assert walked == ids and len(seen) == 4
        assert seen[-1]["meta"] == {"current_page": 4, "from": 7, "last_page": 4, "per_page": 2, "to": 7, "total": 7}
        back = page(merchant, seen[-1]["links"]["prev"].removeprefix(merchant.url + PAYMENTS))
        assert back["data"] == seen[2]["data"]
        assert page(merchant, seen[1]["links"]["first"].removeprefix(merchant.url + PAYMENTS))["data"] == seen[0]["data"]
        assert page(merchant, seen[1]["links"]["last"].removeprefix(merchant.url + PAYMENTS))["data"] == seen[3]["data"]

    def test_filters(self, merchant, ids):
        assert found(merchant, "?status_id=3") == [ids[4], ids[1]]
        assert found(merchant, "?status_id=10") == []
        assert found(merchant, "?invoice=list-2") == found(merchant, "?external_id=list-2") == [ids[2]]
        assert found(merchant, "?invoice=LIST-2") == [], "exact, as in C 2.1"
        today, tomorrow = now().strftime("%Y-%m-%d"), (now() + timedelta(days=1)).strftime("%Y-%m-%d")
        assert found(merchant, f"?created_at_start={today}&created_at_end={tomorrow}") == ids[::-1]
        assert found(merchant, f"?updated_at_start={tomorrow}") in ([], [ids[5], ids[4], ids[2], ids[1]])
        assert found(merchant, "?created_at_end=2020-01-01") == []
        assert found(merchant, "?status_id=&merchant_id=&page=") == ids[::-1], "empty counts as absent"

    def test_orders(self, merchant, ids):
        assert found(merchant, "?sort_by=id&sort_order=asc") == ids
        assert found(merchant, "?sort_by=amount") == ids
        assert found(merchant, "?sort_by=amount&sort_order=asc") == ids[::-1]
        assert found(merchant, "?sort_by=updated_at&status_id=6&sort_order=asc") == [ids[2], ids[5]]
        assert sorted(found(merchant, "?sort_by=created_at")) == ids

    def test_an_empty_page(self, merchant, ids):
        shown = page(merchant, "?page=9")
        assert shown["data"] == [] and (shown["meta"]["from"], shown["meta"]["to"]) == (None, None)
        assert page(merchant, "?status_id=11")["meta"]["last_page"] == 1

    def test_each_sees_its_own(self, merchant, operator, shared_server, other_shop, ids):
        """C 9: the same invoices at another account are another's."""
        other = shared_server.client(other_shop.key)
        theirs = found(other, "")
        assert len(theirs) == 2 and not set(theirs) & set(ids)
        assert found(other, "?invoice=list-0") == [theirs[1]]
        assert set(found(operator, "?per_page=100")) >= set(ids + theirs)
        assert found(operator, "?merchant_id=404") == theirs

    @pytest.mark.parametrize("query, field", [
        ("per_page=0", "per_page"), ("per_page=101", "per_page"), ("per_page=x", "per_page"), ("page=0", "page"),
        ("page=-1", "page"), ("page=1.0", "page"), ("page=1001&per_page=100", "page"), ("page=99999999999999999999", "page"),
        ("page=9223372036854775807&per_page=100", "page"), ("status_id=9", "status_id"), ("status_id=paid", "status_id"),
        ("sort_by=status", "sort_by"), ("sort_order=DESC", "sort_order"), ("created_at_start=24.03.2026", "created_at_start"),
        ("created_at_end=2026-02-30", "created_at_end"), ("updated_at_start=2026-03-24T00:00:00Z", "updated_at_start"),
        ("updated_at_end=yesterday", "updated_at_end"), ("merchant_id=404", "merchant_id"), ("merchant_id=x", "merchant_id"),
        ("merchant_id=999999", "merchant_id"), (f"external_id={'x' * 256}", "external_id"),
        ("status[]=3", "status[]"), ("status%5B%5D=3", "status[]"), ("LIMIT=3", "LIMIT"), ("status=3", "status"),
        ("limit", "limit"),
    ])
    def test_bad_queries(self, merchant, ids, query, field):
        answer = merchant.get(f"{PAYMENTS}?{query}")
        assert answer.status_code == 422, answer.text
        assert answer.json()["message"] == "Validation error." and list(answer.json()["errors"]) == [field]

    def test_the_largest_page(self, merchant, ids):
        """page x per_page is at most 100,000: exactly that is allowed."""
        assert page(merchant, "?page=1000&per_page=100")["data"] == []


class TestCancel:
    def test_from_awaiting_and_received_only(self, merchant, operator):
        for path, code in (([], 200), ([1], 200), ([1, 5], 409), ([1, 2], 409), ([3], 409), ([10], 409)):
            payout_id = merchant.create_payout()["id"]
            for status_id in path:
                operator.transition(payout_id, status_id)
            answer = merchant.post(f"{PAYMENTS}/{payout_id}/cancel")
            assert answer.status_code == code, path
            if code == 409:
                assert answer.json() == {"message": f"Status change from {path[-1]} to 6 is not allowed."}
            else:
                assert answer.json()["status"] == {"id": 6, "name": "Canceled"}
                assert merchant.post(f"{PAYMENTS}/{payout_id}/cancel").json() == answer.json(), "again: no change"

    @pytest.mark.parametrize("payout_id", ["0", "x", "1.0", "999999", "9223372036854775808"])
    def test_one_that_is_not_there(self, merchant, payout_id):
        answer = merchant.post(f"{PAYMENTS}/{payout_id}/cancel")
        assert (answer.status_code, answer.json()) == (404, {"message": "Payout not found."})

    def test_a_foreign_one(self, merchant, shared_server, other_shop):
        payout_id = merchant.create_payout()["id"]
        answer = shared_server.client(other_shop.key).post(f"{PAYMENTS}/{payout_id}/cancel")
        assert (answer.status_code, answer.json()) == (404, {"message": "Payout not found."})
        assert merchant.payout(payout_id)["status"]["id"] == 7
