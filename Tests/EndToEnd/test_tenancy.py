"""One tenant's key or token with another tenant's ids, on every path of the API description: nothing is shown, nothing
is changed, and what is foreign looks like what does not exist (C 9)."""

import json
import re
from pathlib import Path

import pytest
import yaml

from harness.bodies import window
from harness.client import PAYMENTS
from harness.receiver import Receiver
from harness.waiting import eventually

SOURCES = Path(__file__).resolve().parents[2] / "Sources"
DESCRIPTION = yaml.safe_load((SOURCES / "ReenvioAPI/Resources/openapi.yaml").read_text())
METHODS = ("get", "post", "patch", "delete", "put")
MARK = "Secretive Beneficiary 7141"
REFUSED = {400, 401, 403, 404, 409, 415, 422}


def operations():
    return [
        (method, path)
        for path, item in DESCRIPTION["paths"].items()
        for method in METHODS
        if method in item and "{" in path
    ]


@pytest.fixture(scope="module")
def stage(shared_house, shared_shop, other_shop):
    """A payout of merchant 303 with its webhook, job, receiver and audit, and the ids by which the API names them."""
    server = shared_house.serve()
    owner, operator = server.client(shared_shop.key), server.client(shared_shop.operator_key)
    hook = Receiver()
    hook.trust(shared_shop.secret)
    payout = owner.create_payout(
        notification_url=hook.url("/tenancy"), invoice="tenancy-7141",
        beneficiary={"name": MARK, "document": {"type": "CPF", "number": "82608288200"}})["id"]
    operator.transition(payout, 3)
    hook.wait_for_acknowledged(1)
    job, _ = owner.dispatch(window(303))
    owner.wait_for_job(job)
    eventually(lambda: owner.get("/v2/receivers").json()["data"], "the receiver is listed")
    rows = owner.get("/v2/receivers?limit=100").json()["data"]
    receiver = next(one["id"] for one in rows if one["receiver"] == hook.url(""))
    yield {
        "server": server, "owner": owner, "other": server.client(other_shop.key), "hook": hook,
        "ids": {"payout": payout, "job": job, "receiver": receiver, "merchant": 303},
    }
    hook.close()


def filled(path, ids):
    """The path with the owner's ids; what a path names is said by what stands before it."""
    def value(match):
        before = path[: match.start()]
        if "/payments/" in before and before.endswith("/payments/"):
            return str(ids["payout"])
        if before.endswith("/notifications/resend/"):
            return ids["job"]
        if before.endswith("/receivers/"):
            return str(ids["receiver"])
        if before.endswith("/merchants/"):
            return str(ids["merchant"])
        return "1"

    return re.sub(r"\{[^}]+\}", value, path)


def state(stage):
    """What the owner sees of its own things."""
    owner, ids = stage["owner"], stage["ids"]
    paths = [
        f"{PAYMENTS}/{ids['payout']}", f"{PAYMENTS}/{ids['payout']}/notifications",
        f"/v2/payout/notifications/resend/{ids['job']}?include=outcome", "/v2/receivers?limit=100",
    ]
    return [owner.get(path).json() for path in paths]


@pytest.mark.parametrize("method,path", operations(), ids=lambda value: str(value))
def test_a_foreign_id_is_refused_and_nothing_changes(stage, method, path):
    before = state(stage)
    body = {"merchant_id": 303, "notification_url": "https://evil.example/x", "url": "https://evil.example/x"}
    more = {} if method in ("get", "delete") else {"json": body}
    answer = stage["other"].request(method.upper(), filled(path, stage["ids"]), **more)
    assert answer.status_code in REFUSED, (answer.status_code, answer.text)
    assert MARK not in answer.text and "tenancy-7141" not in answer.text
    assert state(stage) == before


def test_a_foreign_id_looks_like_one_that_does_not_exist(stage):
    """By the v2 paths that take a number; the published job status alone says 403 for a foreign job (C 5)."""
    for method, path in operations():
        if not path.startswith("/v2/") or "{job_id}" in path or "merchants" in path or "batch" in path:
            continue
        foreign = filled(path, stage["ids"])
        unknown = filled(path, {"payout": 987654321, "job": "0" * 32, "receiver": 987654321, "merchant": 987654321})
        more = {} if method in ("get", "delete") else {"json": {}}
        answers = [stage["other"].request(method.upper(), one, **more) for one in (foreign, unknown)]
        assert answers[0].status_code == answers[1].status_code, path
        assert answers[0].text == answers[1].text, path


def test_lists_show_ones_own(stage):
    """Every list of v2, asked for with the owner's merchant and without."""
    for path in ("/v2/payout/payments", "/v2/receivers", "/v2/payout/notifications/resend"):
        for query in ("", "?merchant_id=303"):
            answer = stage["other"].get(path + query)
            text = json.dumps(answer.json())
            assert MARK not in text and "tenancy-7141" not in text and stage["ids"]["job"] not in text
            assert "303" not in re.findall(r'"merchant_id": (\d+)', text)


def test_a_resend_of_a_foreign_merchant_sends_nothing(stage):
    seen = stage["hook"].count
    answer = stage["other"].post("/v2/payout/notifications/resend", window(303))
    assert answer.status_code == 422 and "merchant_id" in answer.json()["errors"]
    batch = {**window(303), "merchant_ids": [303]}
    batch.pop("merchant_id")
    answer = stage["other"].post("/v2/payout/notifications/resend-batches", batch)
    assert answer.status_code == 422 and "merchant_ids" in answer.json()["errors"], answer.text
    assert stage["hook"].count == seen


def test_v3_takes_no_key_and_v2_no_token(stage):
    for path in ("/v3/webhooks/resend", "/v3/webhooks/resend/1", "/v3/accounts/webhooks"):
        assert stage["owner"].get(path).status_code == 401
