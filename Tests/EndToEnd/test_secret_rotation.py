"""A merchant's signing secret is replaced over HTTP and by the command, under traffic (C 3.2, 13.12). A server that runs
takes seconds to notice, so the tests that wait for it are stories, told at the same time."""

import base64
import hashlib
import itertools
import json
import re
from datetime import datetime, timedelta, timezone

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from harness.binary import assert_refused
from harness.bodies import now
from harness.client import PAYMENTS, paid_payouts
from harness.receiver import Receiver
from harness.stories import story, tell_all
from harness.waiting import eventually

SECRET = re.compile(r"whsec_[A-Za-z0-9+/]+=*")
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
MAY_NOT = (403, {
    "message": "This key may not do that.", "errors": {"scope": ["The key lacks the scope secrets:write."]}})
SIGNS_WITHIN_S = 15
HOURS_MAX = 720


def rotate_path(merchant_id=303):
    return f"/v2/merchants/{merchant_id}/webhook-secret/rotate"


def rotate(client, merchant_id=303, **body):
    return client.expect(200, "POST", rotate_path(merchant_id), body)


def verifies(secret, one):
    try:
        Webhook(secret).verify(one.body, one.headers, json_parse=False)
        return True
    except WebhookVerificationError:
        return False


def values_of(one):
    return one.headers["webhook-signature"].split(" ")


def moment(shown):
    return datetime.strptime(shown["overlap_ends_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def compat(one, key, payout):
    """The published header, with that key (C 3.2)."""
    formula = hashlib.sha256(f"{payout['invoice']}BRL43.34{key}".encode()).hexdigest()
    return one.headers["x-webhook-wp-signature"] == f"Bearer {formula}"


class Traffic:
    """A merchant of its own with a receiver; every webhook of the run is kept."""

    def __init__(self, server, merchant_id, secret, operator_key):
        self.merchant_id, self.secret, self.operator_key = merchant_id, secret, operator_key
        self.moved_to(server)
        self.receiver = Receiver()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.receiver.close()

    def moved_to(self, server):
        self.server = server
        self.operator = server.client(self.operator_key)

    def rotate(self, **body):
        return rotate(self.operator, self.merchant_id, **body)

    def sent(self):
        """Sends one webhook; returns it and its payout."""
        seen = self.receiver.count
        made = self.operator.create_payout(merchant_id=self.merchant_id, notification_url=self.receiver.url())
        self.operator.transition(made["id"], 3)
        return self.receiver.wait_for(seen + 1)[-1], made

    def sent_with(self, secret):
        """Sends webhooks until one is signed with it: a server that runs knows within seconds."""
        return eventually(
            lambda: (found := self.sent()) and verifies(secret, found[0]) and found,
            "a webhook was signed with the new secret", SIGNS_WITHIN_S,
        )


class World:
    numbers = itertools.count(5000)

    def __init__(self, house, shop, server):
        self.house, self.shop, self.server = house, shop, server

    def traffic(self, server=None):
        number = next(self.numbers)
        made = self.house.json("merchant", "create", "--account", self.shop.account_id, "--id", number, "--name", "Rotating")
        return Traffic(server or self.server, number, made["signing_secret"], self.shop.operator_key)

    def rotator(self):
        """A merchant's key that may do nothing else."""
        make = ("key", "create", "--account", self.shop.account_id, "--name", "rotator", "--scope", "secrets:write")
        return self.server.client(self.house.json(*make)["key"])


@pytest.fixture(scope="module")
def server(shared_house, shared_shop, other_shop):
    return shared_house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s")


@pytest.fixture(scope="module")
def stories(request, shared_house, shared_shop, server):
    yield from tell_all(request, World(shared_house, shared_shop, server))


@story
def test_every_signature_of_the_overlap_has_both(world):
    """From the new secret on, each webhook verifies with either, alone; no webhook of the run with neither."""
    with world.traffic() as traffic:
        before = [traffic.sent()[0] for _ in range(3)]
        new = rotate(world.rotator(), traffic.merchant_id, overlap_hours=1)["signing_secret"]
        traffic.sent_with(new)
        known = traffic.receiver.count
        for _ in range(10):
            traffic.sent()
        seen = traffic.receiver.received
        assert all(verifies(traffic.secret, one) for one in seen), "the old secret stopped too early"
        assert not any(verifies(new, one) for one in before)
        assert all(verifies(new, one) for one in seen[known:]) and len(seen) >= known + 10
        assert all(len(set(values_of(one))) == len(values_of(one)) == 2 for one in seen[known:])
        assert all(value.startswith("v1,") for one in seen for value in values_of(one))


@story
def test_without_overlap_only_the_new_one(world):
    """0 hours, for a secret that got out; each webhook of the run verifies with one of the two."""
    with world.traffic() as traffic:
        traffic.sent()
        new = traffic.rotate(overlap_hours=0)["signing_secret"]
        last, _ = traffic.sent_with(new)
        assert not verifies(traffic.secret, last) and len(values_of(last)) == 1
        known = traffic.receiver.count
        for _ in range(5):
            traffic.sent()
        assert all(verifies(new, one) and not verifies(traffic.secret, one) for one in traffic.receiver.received[known:])
        assert all(verifies(new, one) != verifies(traffic.secret, one) for one in traffic.receiver.received)


@story
def test_retries_and_resends_are_signed_anew(world):
    """C 3.2: the signature is of the moment of sending; id and bytes stay."""
    with world.traffic() as traffic:
        traffic.receiver.default = 500
        first, payout = traffic.sent()
        new = traffic.rotate(overlap_hours=0)["signing_secret"]
        again = eventually(
            lambda: next((one for one in traffic.receiver.received if verifies(new, one)), None),
            "a retry was signed with the new secret", SIGNS_WITHIN_S)
        assert verifies(traffic.secret, first) and not verifies(traffic.secret, again) and again.attempt > 1
        assert (again.webhook_id, again.body) == (first.webhook_id, first.body)
        traffic.receiver.default = 200
        traffic.operator.expect(202, "POST", f"{PAYMENTS}/{payout['id']}/notifications/resend")
        resent = eventually(
            lambda: next((one for one in traffic.receiver.acknowledged if one.job_id), None), "the resend came")
        assert verifies(new, resent) and (resent.webhook_id, resent.body) == (first.webhook_id, first.body)


@story
def test_the_compat_key_stays(world):
    """Unless asked for."""
    with world.traffic() as traffic:
        new = traffic.rotate(overlap_hours=0)["signing_secret"]
        one, payout = traffic.sent_with(new)
        assert compat(one, traffic.secret, payout) and not compat(one, new, payout)


@story
def test_the_compat_key_changes_at_the_end_of_the_overlap(world):
    """The old one is used until then, also when it is rotated again meanwhile."""
    with world.traffic() as traffic:
        traffic.rotate(overlap_hours=1, compat_key=True)
        new = traffic.rotate(overlap_hours=1, compat_key=True)["signing_secret"]
        one, payout = traffic.sent_with(new)
        assert compat(one, traffic.secret, payout)


@story
def test_the_compat_key_without_overlap(world):
    with world.traffic() as traffic:
        new = traffic.rotate(overlap_hours=0, compat_key=True)["signing_secret"]
        one, payout = traffic.sent_with(new)
        assert compat(one, new, payout)


@story
def test_another_merchant_signs_as_before(world):
    with world.traffic() as traffic, world.traffic() as neighbour:
        new = traffic.rotate(overlap_hours=0)["signing_secret"]
        traffic.sent_with(new)
        one, _ = neighbour.sent()
        assert verifies(neighbour.secret, one) and len(values_of(one)) == 1


@story
def test_again_and_again(world):
    """A script that runs wild: the newest always signs, and the header stays short."""
    with world.traffic() as traffic:
        for _ in range(12):
            newest = traffic.rotate(overlap_hours=HOURS_MAX)["signing_secret"]
        one, _ = traffic.sent_with(newest)
        assert 2 <= len(values_of(one)) <= 12 and len(one.headers["webhook-signature"]) < 1_000


def by_the_command(world, traffic, *flags):
    """The operator's surface: `merchant rotate-secret` beside the server that runs."""
    traffic.sent()
    shown = world.house.json("merchant", "rotate-secret", "--id", traffic.merchant_id, *flags)
    assert shown["merchant_id"] == traffic.merchant_id and DATE.fullmatch(shown["overlap_ends_at"])
    one, payout = traffic.sent_with(shown["signing_secret"])
    return shown["signing_secret"], one, payout


@story
def test_by_the_command(world):
    with world.traffic() as traffic:
        _, one, payout = by_the_command(world, traffic)
        assert verifies(traffic.secret, one) and len(values_of(one)) == 2 and compat(one, traffic.secret, payout)


@story
def test_by_the_command_without_overlap(world):
    with world.traffic() as traffic:
        new, one, payout = by_the_command(world, traffic, "--overlap-hours", 0, "--compat-key")
        assert len(values_of(one)) == 1 and compat(one, new, payout)


class TestAnswer:
    def test_shows_the_new_secret_once(self, server, shared_house, shared_shop):
        """C 3.2, 13.12: `whsec_` and base64; no two are alike; stored nowhere in clear, the old one neither."""
        operator = server.client(shared_shop.operator_key)
        first, second = rotate(operator), rotate(operator)
        for one in (first, second):
            assert one["merchant_id"] == 303 and SECRET.fullmatch(one["signing_secret"])
            assert 24 <= len(base64.b64decode(one["signing_secret"].removeprefix("whsec_"))) <= 64
        assert len({first["signing_secret"], second["signing_secret"], shared_shop.secret}) == 3
        stored = b"".join(one.read_bytes() for one in shared_house.store_path.parent.iterdir())
        for secret in (first["signing_secret"], shared_shop.secret):
            assert secret.encode() not in stored and secret.removeprefix("whsec_").encode() not in stored

    @pytest.mark.parametrize("hours", [None, 0, 1, 24, HOURS_MAX])
    def test_says_when_the_overlap_ends(self, server, shared_shop, hours):
        """C 13.12: after 24 h unless told otherwise."""
        asked = now()
        shown = rotate(server.client(shared_shop.operator_key), **({} if hours is None else {"overlap_hours": hours}))
        assert DATE.fullmatch(shown["overlap_ends_at"])
        assert abs((moment(shown) - asked - timedelta(hours=24 if hours is None else hours)).total_seconds()) <= 3

    def test_a_second_rotation_does_not_lengthen_the_first(self, house, shop):
        """C 13.12: whoever was told that the old secret ends in an hour relies on it, whatever is rotated later."""
        operator = house.serve().client(shop.operator_key)
        promised = moment(rotate(operator, overlap_hours=1)).timestamp()
        rotate(operator, overlap_hours=HOURS_MAX)
        ends = house.one("SELECT expires_at FROM secrets WHERE kind = 'signing' AND version = 1")
        assert ends / 1e6 <= promised + 1

    def test_is_durable(self, house, shop, receiver):
        """Killed the moment it was read: the secret that somebody now has is the one that signs, also without a server
        that had known the old one."""
        new = rotate(house.serve().client(shop.operator_key), overlap_hours=0)["signing_secret"]
        house.servers[-1].kill()
        newest = house.json("merchant", "rotate-secret", "--id", 303, "--overlap-hours", 1)["signing_secret"]
        server = house.serve()
        paid_payouts(server, shop, 1, receiver.url())
        (one,) = receiver.wait_for(1)
        assert verifies(new, one) and verifies(newest, one) and not verifies(shop.secret, one)

    def test_audit_and_log_hold_no_secret(self, house, shop):
        """C 9, 14: a row each: who, what, which request; no secret, neither old nor new."""
        server = house.serve(REENVIO_LOG="trace")
        operator = server.client(shop.operator_key)
        shown = rotate(operator, overlap_hours=2, compat_key=True)
        (row,) = operator.get("/v2/audit?limit=1").json()["data"]
        assert "rotate" in row["action"] and "303" in row["target"] and row["actor"].startswith("key:")
        assert row["account_id"] == 1 and row["request_id"]
        assert row["address"] == operator.session.headers["X-Forwarded-For"]
        done = house.json("merchant", "rotate-secret", "--id", 303)
        rows = operator.get("/v2/audit?limit=2").json()["data"]
        assert rows[0]["actor"].startswith("cli:") and rows[0]["action"] == row["action"]
        text = json.dumps(rows) + house.run("audit").stdout + server.log_text()
        for secret in (shown["signing_secret"], done["signing_secret"], shop.secret):
            assert secret not in text and secret.removeprefix("whsec_") not in text


class TestWhoMay:
    def test_the_scope_is_not_a_default_one(self, server, shared_house, shared_shop):
        """C 9: `secrets:write`; a key made without scopes has it not."""
        make = ("key", "create", "--account", shared_shop.account_id, "--name", "k", "--scope")
        default = server.client(shared_shop.key)
        others = server.client(
            shared_house.json(*make, "payouts:read,payouts:write,resend:dry-run,resend:write,receivers:write")["key"])
        for client in (default, others):
            for merchant_id in (303, 404, 999999):
                answer = client.post(rotate_path(merchant_id), {})
                assert (answer.status_code, answer.json()) == MAY_NOT
        may = server.client(shared_house.json(*make, "secrets:write")["key"])
        assert may.post(rotate_path(), {}).status_code == 200

    @pytest.mark.parametrize("merchant_id", [
        "404", "999999", "0", "-303", "x", "303.0", "3e2", "%20303", "9223372036854775808", "9" * 40,
    ])
    def test_a_merchant_that_is_not_there(self, server, shared_house, shared_shop, merchant_id):
        """C 2.1, 9: foreign, unknown and no number look alike."""
        make = ("key", "create", "--account", shared_shop.account_id, "--name", "k", "--scope", "secrets:write")
        client = server.client(shared_house.json(*make)["key"])
        before = shared_house.one("SELECT count(*) FROM secrets")
        answer = client.post(rotate_path(merchant_id), {})
        assert answer.status_code == 404 and list(answer.json()) == ["message"]
        unknown = client.post(rotate_path(123456789), {})
        assert answer.json() == unknown.json() and shared_house.one("SELECT count(*) FROM secrets") == before

    @pytest.mark.parametrize("field, value", [
        ("overlap_hours", -1), ("overlap_hours", HOURS_MAX + 1), ("overlap_hours", 1.5), ("overlap_hours", "24"),
        ("overlap_hours", True), ("overlap_hours", [1]), ("overlap_hours", 2**70), ("overlap_hours", ""),
        ("compat_key", 1), ("compat_key", "true"), ("compat_key", {}),
    ])
    def test_wrong_fields(self, server, shared_house, shared_shop, field, value):
        """422, and nothing was rotated."""
        before = shared_house.one("SELECT count(*) FROM secrets")
        answer = server.client(shared_shop.operator_key).post(rotate_path(), {field: value})
        assert answer.status_code == 422, answer.text
        assert answer.json()["message"] == "Validation error." and list(answer.json()["errors"]) == [field]
        assert shared_house.one("SELECT count(*) FROM secrets") == before

    def test_null_is_absent_and_unknown_fields_are_ignored(self, server, shared_shop):
        """C 2.1."""
        client = server.client(shared_shop.operator_key)
        body = {"overlap_hours": None, "compat_key": None, "signing_secret": shared_shop.secret}
        shown = client.expect(200, "POST", rotate_path(), body)
        assert shown["signing_secret"] != shared_shop.secret

    @pytest.mark.parametrize("body", [b"[]", b"{", b'{"overlap_hours":1,"overlap_hours":2}', b"null"])
    def test_a_body_that_cannot_be_read(self, server, shared_shop, body):
        client = server.client(shared_shop.operator_key)
        answer = client.request("POST", rotate_path(), data=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400 and answer.json()["message"] == "Malformed JSON body."

    def test_methods_and_no_key(self, server, shared_shop):
        for client in (server.client(shared_shop.operator_key), server.client()):
            for method in ("GET", "PUT", "DELETE"):
                answer = client.request(method, rotate_path())
                assert answer.status_code == 405 and answer.headers["allow"] == "POST"
        assert server.client().post(rotate_path(), {}).status_code == 401


class TestCommand:
    def test_misuse(self, house, shop):
        before = house.one("SELECT count(*) FROM secrets")
        assert_refused(house.run("merchant", "rotate-secret", "--id", 9, "--json"), "9")
        for hours in (-1, HOURS_MAX + 1):
            assert_refused(house.run("merchant", "rotate-secret", "--id", 303, f"--overlap-hours={hours}"), "overlap")
        assert house.run("merchant", "rotate-secret").returncode == 64
        assert house.run("merchant", "rotate-secret", "--id", "x").returncode == 64
        assert house.one("SELECT count(*) FROM secrets") == before
