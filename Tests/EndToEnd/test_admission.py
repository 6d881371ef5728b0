"""Who may do what, how often, and what is not there (C 4.4, 5, 9, 10)."""

import sqlite3

import pytest

from harness.bodies import payout_body, window
from harness.client import PAYMENTS, RESEND, connect, raw_request, read_short_answer

SCOPES = ["payouts:read", "payouts:write", "resend:dry-run", "resend:write", "receivers:write", "secrets:write"]
MAY_NOT = "This key may not do that."
ENDPOINTS = [
    ("GET", PAYMENTS, None, "payouts:read", 200),
    ("GET", f"{PAYMENTS}/999999", None, "payouts:read", 404),
    ("GET", f"{PAYMENTS}/999999/notifications", None, "payouts:read", 404),
    ("POST", PAYMENTS, {}, "payouts:write", 422),
    ("POST", f"{PAYMENTS}/999999/cancel", None, "payouts:write", 404),
    ("POST", RESEND, {}, "resend:write", 422),
    ("POST", f"{PAYMENTS}/999999/notifications/resend", None, "resend:write", 404),
    ("POST", "/v2/receivers/999999/pause", None, "receivers:write", 404),
    ("POST", "/v2/receivers/999999/resume", None, "receivers:write", 404),
    ("POST", "/v2/merchants/999999/webhook-secret/rotate", {}, "secrets:write", 404),
]
SAMPLE_TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIiwidXNlcl9pZCI6MjQ2fQ.c2lnbmF0dXJl"


@pytest.fixture(scope="module")
def without(shared_house, shared_shop, shared_server):
    """A client per scope that has every scope but that one, and one that has only it."""
    def client(scopes):
        made = shared_house.json(
            "key", "create", "--account", shared_shop.account_id, "--name", "k", "--scope", ",".join(scopes))
        return shared_server.client(made["key"])

    return {one: (client([other for other in SCOPES if other != one]), client([one])) for one in SCOPES}


class TestScopes:
    @pytest.mark.parametrize("method, path, body, scope, code", ENDPOINTS, ids=lambda value: str(value)[:40])
    def test_each_endpoint_needs_its_own(self, without, method, path, body, scope, code):
        """C 9: without it 403, with nothing but it the answer that the request deserves."""
        lacking, having = without[scope]
        answer = lacking.request(method, path, json=body)
        assert answer.status_code == 403
        assert answer.json() == {"message": MAY_NOT, "errors": {"scope": [f"The key lacks the scope {scope}."]}}
        assert having.request(method, path, json=body).status_code == code

    def test_dispatching_includes_counting_and_following(self, without):
        """C 5, 9: a key that may dispatch may also count, list and follow its jobs; any key of the account reads the
        status of one; neither reads payouts."""
        sender, reader, other = (without[one][1] for one in ("resend:write", "payouts:read", "secrets:write"))
        assert sender.post(RESEND, window(303, dry_run=True)).status_code == 200
        job, _ = sender.dispatch(window(303, before_s=1800))
        for path in (RESEND, f"{RESEND}/{job}", f"{RESEND}/{job}?include=outcome", f"{RESEND}/{job}/items"):
            assert sender.get(path).status_code == 200, path
            assert reader.get(path).status_code == 200, path
        assert sender.get(PAYMENTS).status_code == 403
        assert other.get(f"{RESEND}/{job}").status_code == 200
        for path in (RESEND, f"{RESEND}/{job}/items"):
            answer = other.get(path)
            assert answer.status_code == 403
            assert answer.json()["errors"] == {"scope": ["The key lacks the scope payouts:read or resend:write."]}
        both = "The key lacks the scope resend:dry-run or resend:write."
        assert reader.post(RESEND, window(303, dry_run=True)).json()["errors"] == {"scope": [both]}

    def test_counting_is_not_dispatching(self, without):
        """C 9, 4.4: a key that may count gets 403 for a dispatch, whatever `dry_run` looks like but `true`."""
        counter = without["resend:dry-run"][1]
        assert counter.post(RESEND, window(303, dry_run=True)).status_code == 200
        for dry_run in (False, None, "true", 1):
            assert counter.post(RESEND, window(303, dry_run=dry_run)).status_code == 403

    @pytest.mark.parametrize("path", ["/v2/audit", "/v2/payout/transitions", f"{PAYMENTS}/1/transition"])
    def test_no_scope_opens_an_operators_endpoint(self, shared_house, shared_shop, shared_server, path):
        key = shared_house.json(
            "key", "create", "--account", shared_shop.account_id, "--name", "k", "--scope", ",".join(SCOPES))["key"]
        method = "GET" if path == "/v2/audit" else "POST"
        assert shared_server.client(key).request(method, path, json=None).status_code == 403

    def test_a_token_of_v3_opens_nothing_here(self, shared_server):
        """C 9: one kind of credential per dialect."""
        answer = shared_server.client(SAMPLE_TOKEN).get(PAYMENTS)
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})


def answers(server, request, count):
    """Status and body of each of so many equal requests over one connection, as fast as it goes."""
    with connect(server) as connection:
        found = []
        for _ in range(count):
            connection.sendall(request)
            found.append(read_short_answer(connection))
        return found


class TestRateLimits:
    """C 10: the defaults; per credential, a bucket of N at once. An empty setting is none."""

    def test_thirty_resends_at_once(self, house, shop):
        """409 and 422 count, a dry run counts as a read; another key has a bucket of its own."""
        server = house.serve(REENVIO_RATE_LIMITS="")
        client = server.client(shop.key)
        codes = [client.post(RESEND, {}).status_code for _ in range(31)]
        assert codes == [422] * 30 + [429]
        assert client.post(RESEND, {}).headers["retry-after"].isdigit()
        assert client.dry_run(window(303)) == 0
        assert server.client(shop.operator_key).post(RESEND, {}).status_code == 422

    def test_six_hundred_reads_at_once(self, house, shop):
        """The polling of C 5, every 3 s, is far below. Writing payouts is not limited."""
        server = house.serve(REENVIO_RATE_LIMITS="")
        found = answers(server, raw_request("GET", f"{RESEND}/{'0' * 32}", key=shop.key), 640)
        assert [code for code, _ in found[:600]] == [404] * 600
        assert (429, b'{"message":"Too many requests."}') in found[600:]
        written = answers(server, raw_request("POST", PAYMENTS, b"{}", shop.key), 200)
        assert {code for code, _ in written} == {422}


class TestInternalErrors:
    def test_damage_is_500_and_leaks_nothing(self, house, shop):
        """C 10: a row that cannot be opened any more; the others can."""
        server = house.serve()
        client = server.client(shop.key)
        damaged, whole = (client.create_payout()["id"] for _ in range(2))
        with sqlite3.connect(house.store_path, timeout=10) as connection:
            connection.execute("UPDATE parties SET sealed = zeroblob(40) WHERE object_id = ?", (damaged,))
        connection.close()
        answer = client.get(f"{PAYMENTS}/{damaged}")
        assert (answer.status_code, answer.json()) == (500, {"message": "Internal server error."})
        assert client.get(f"{PAYMENTS}/{whole}").status_code == 200
        assert answer.headers["x-request-id"] in server.log_text()


class TestNotExposed:
    @pytest.mark.parametrize("path", ["/v2/payin/notifications/resend", "/v1/payout/payments", "/v2/payin/payments"])
    def test_siblings(self, merchant, path):
        """C 5, 11: the same contract for payins is not offered."""
        assert merchant.post(path, payout_body()).status_code == 404
