"""Cash-in and cash-out events on their way to registrations (C 6.5, 8)."""

import json

import pytest

from harness.client import PAYMENTS
from harness.mirror import REGISTRATIONS, Mirror, create_qr_code, report_cash_in
from harness.mirror_stage import mirror, new_mirror, platform, server, shop, user  # noqa: F401 (fixtures)
from harness.receiver import Receiver

CASH_OUT_KEYS = [
    "worked", "transaction_id", "end_to_end", "status", "amount", "fee", "key", "tag", "payment_date", "from_accout",
    "recipient_name",
]
CASH_IN_KEYS = [
    "amount", "amount_chargeback", "base_64_image", "base_64_image_url", "account_number", "agency_number",
    "debtor_document", "debtor_name", "due_date", "expiration_date", "fee", "fine", "fine_date", "pix_copy_and_paste",
    "qr_code_id", "status", "tag", "tx_id", "type_document", "type_fine", "worked",
]


@pytest.fixture
def new_receiver(mirror):
    """Another receiver that knows the secret."""
    made = []

    def make():
        made.append(Receiver())
        made[-1].trust(mirror.secret)
        return made[-1]

    yield make
    for one in made:
        one.close()


def events_of(receiver, path="/hook"):
    """Type and data of each event, in the order of their numbers."""
    bodies = [one for one in receiver.received if one.path == path]
    return [json.loads(one.body) for one in sorted(bodies, key=lambda one: int(one.headers["x-webhook-sequence"]))]


class TestCashOut:
    def test_a_change_is_two_messages(self, platform, user, mirror, receiver):
        """C 8.4: the 3.1 body to the payout's own URL, the 8.1 envelope to the registration."""
        user.register(receiver.url("/v3"), "CASHOUT", authorization_token="Bearer abc", x_functions_key="fk-1")
        payout = platform.create_payout(merchant_id=mirror.merchant_id, notification_url=receiver.url("/v2"))
        platform.transition(payout["id"], 3, end_to_end="E123")
        receiver.wait_for(2)
        plain = next(one for one in receiver.received if one.path == "/v2")
        event = next(one for one in receiver.received if one.path == "/v3")
        assert json.loads(plain.body)["status"] == {"id": 3, "name": "Paid"}
        assert "x-webhook-wp-signature" in plain.headers and "authorization" not in plain.headers
        body = json.loads(event.body)
        assert body["type"] == "PIX_CASHOUT_SUCCESS"
        assert list(body["data"]) == CASH_OUT_KEYS
        data = body["data"]
        assert (data["transaction_id"], data["status"], data["amount"]) == (payout["id"], "SUCCESS", 43.34)
        assert (data["key"], data["recipient_name"], data["from_accout"]) == (
            "82******00", "Beneficiary Name", mirror.number,
        )
        assert data["payment_date"].endswith("Z") and data["end_to_end"] == "E123"
        assert event.headers["authorization"] == "Bearer abc"
        assert event.headers["x-functions-key"] == "fk-1"
        assert "x-webhook-wp-signature" not in event.headers
        assert event.verified and plain.verified

    @pytest.mark.parametrize(
        "steps, types",
        [
            ([1, 5, 1, 2, 3], ["PIX_CASHOUT_CREATED", "PIX_CASHOUT_SUCCESS"]),
            ([1, 2, 4], ["PIX_CASHOUT_CREATED", "PIX_CASHOUT_ERROR"]),
            ([10], ["PIX_CASHOUT_ERROR"]),
            ([11], ["PIX_CASHOUT_ERROR"]),
            ([6], ["PIX_CASHOUT_CANCELED"]),
        ],
    )
    def test_which_event_a_status_is(self, platform, user, mirror, receiver, steps, types):
        user.register(receiver.url(), "CASHOUT")
        payout = platform.create_payout(merchant_id=mirror.merchant_id)
        for status in steps:
            platform.transition(payout["id"], status)
        receiver.wait_for(len(types))
        assert [one["type"] for one in events_of(receiver)] == types

    def test_additions(self, platform, user, mirror, receiver):
        user.register(receiver.url(), "CASHOUT")
        rejected = platform.create_payout(merchant_id=mirror.merchant_id)
        platform.transition(rejected["id"], 4, rejection_description="No such key")
        canceled = platform.create_payout(merchant_id=mirror.merchant_id)
        platform.transition(canceled["id"], 6)
        receiver.wait_for(2)
        by_type = {one["type"]: one["data"] for one in events_of(receiver)}
        assert by_type["PIX_CASHOUT_ERROR"]["error"] == "No such key"
        assert list(by_type["PIX_CASHOUT_ERROR"]) == [*CASH_OUT_KEYS, "error"]
        assert list(by_type["PIX_CASHOUT_CANCELED"]) == [*CASH_OUT_KEYS, "cancel_description"]

    def test_a_refund(self, platform, server, user, mirror, receiver):
        """C 8.4: only from 3 and once; status and `updated_at` stay."""
        user.register(receiver.url(), "PIX_CASHOUT_REFUND")
        payout = platform.create_payout(merchant_id=mirror.merchant_id)
        path = f"{PAYMENTS}/{payout['id']}/refund"
        assert platform.post(path, {"end_to_end": "D1"}).status_code == 409
        paid = platform.transition(payout["id"], 3, end_to_end="E1")
        assert server.client(mirror.key).post(path, {"end_to_end": "D1"}).status_code == 403
        assert platform.post(path, {"end_to_end": 7}).status_code == 422
        assert platform.post(f"{PAYMENTS}/999999/refund", {"end_to_end": "D1"}).status_code == 404
        refunded = platform.expect(200, "POST", path, {"end_to_end": "D1"})
        assert refunded == paid
        again = platform.post(path, {"end_to_end": "D1"})
        assert (again.status_code, again.json()) == (409, {"message": "The payout has already been refunded."})
        receiver.wait_for(1)
        data = events_of(receiver)[0]["data"]
        assert list(data) == [*CASH_OUT_KEYS, "origin_end_to_end", "origin_transaction_id"]
        assert (data["status"], data["end_to_end"]) == ("REFUNDED", "D1")
        assert (data["origin_end_to_end"], data["origin_transaction_id"]) == ("E1", payout["id"])

    def test_a_merchant_without_account_has_no_events(self, platform, house, mirror):
        plain = house.json("merchant", "create", "--account", mirror.account_id, "--id", 404, "--name", "Plain")
        payout = platform.create_payout(merchant_id=plain["merchant_id"])
        platform.transition(payout["id"], 3)
        assert house.one("SELECT count(*) FROM object_events") == 0


class TestCashIn:
    def test_a_qr_code_and_its_events(self, platform, user, mirror, receiver):
        user.register(receiver.url(), "CASHIN")
        body = {"debtor_name": "Payer Name", "expiration_date": "2024-01-01 00:00:00.000000+00:00", "fee": 0}
        code = create_qr_code(platform, mirror.merchant_id, **body)
        paid = report_cash_in(platform, code, "QR_CODE_COPY_AND_PASTE_PAID", end_to_end="E9", payment_date="today")
        assert paid == {"qr_code_id": code, "status": "PAID"}
        refunded = report_cash_in(platform, code, "QR_CODE_COPY_AND_PASTE_REFUNDED", amount_chargeback=4)
        assert refunded == {"qr_code_id": code, "status": "CHARGEBACK"}
        failed = report_cash_in(platform, code, "PIX_CASHIN_REFUNDED_ERROR", chargeback_id=7)
        assert failed["status"] == "CHARGEBACK"
        receiver.wait_for(4)
        created, paid, refunded, failed = events_of(receiver)
        assert created["type"] == "QR_CODE_COPY_AND_PASTE_CREATED"
        assert list(created["data"]) == CASH_IN_KEYS
        assert created["data"]["debtor_document"] == "0******32"
        assert created["data"]["expiration_date"] == "2024-01-01 00:00:00.000000+00:00", "as the operator gave it"
        assert (created["data"]["account_number"], created["data"]["agency_number"]) == (mirror.number, mirror.branch)
        assert list(paid["data"]) == [*CASH_IN_KEYS, "end_to_end", "payment_date"]
        assert (paid["data"]["end_to_end"], paid["data"]["payment_date"]) == ("E9", "today")
        assert refunded["data"]["amount_chargeback"] == 4
        assert failed["data"]["chargeback_id"] == 7

    def test_a_debtor_whose_number_has_letters(self, platform, user, house, mirror, receiver):
        """C 8.2, 14: in upper case behind the mask, and found by `erase` however it is written."""
        user.register(receiver.url(), "CASHIN")
        create_qr_code(platform, mirror.merchant_id, debtor_document="z2.abc.345/01de-35", type_document="CNPJ")
        (created,) = (receiver.wait_for(1), events_of(receiver))[1]
        assert created["data"]["debtor_document"] == "Z******35"
        assert house.json("erase", "--document", "Z2ABC34501DE35") == {"erased": 1}

    @pytest.mark.parametrize(
        "body, field",
        [
            ({"amount": 10}, "merchant_id"),
            ({"merchant_id": 303}, "amount"),
            ({"merchant_id": 999, "amount": 10}, "merchant_id"),
            ({"merchant_id": 303, "amount": "10"}, "amount"),
            ({"merchant_id": 303, "amount": 10.001}, "amount"),
            ({"merchant_id": 303, "amount": 10, "debtor_name": 1}, "debtor_name"),
        ],
    )
    def test_a_bad_qr_code(self, platform, body, field):
        answer = platform.post("/v3/cashin/qrcodes", body)
        assert answer.status_code == 422
        assert answer.json()["message"] == "Validation error.", "the operator's endpoints speak v2"
        assert list(answer.json()["errors"]) == [field]

    def test_a_bad_event(self, platform, mirror):
        code = create_qr_code(platform, mirror.merchant_id)
        for body, field in [
            ({}, "type"), ({"type": "PIX_CASHOUT_SUCCESS"}, "type"), ({"type": "PIX_CASHIN_RECEIVED", "data": 1}, "data"),
        ]:
            answer = platform.post(f"/v3/cashin/qrcodes/{code}/events", body)
            assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
        for path in ["999999", "x", "99999999999999999999"]:
            answer = platform.post(f"/v3/cashin/qrcodes/{path}/events", {"type": "PIX_CASHIN_RECEIVED"})
            assert (answer.status_code, answer.json()) == (404, {"message": "Object not found."})

    def test_who_may_report(self, server, mirror, user):
        """C 9: an operator key; any other key there is 403, a token 401."""
        body = {"merchant_id": mirror.merchant_id, "amount": 10}
        assert server.client(mirror.key).post("/v3/cashin/qrcodes", body).status_code == 403
        assert user.post("/v3/cashin/qrcodes", body).status_code == 401
        assert server.client().post("/v3/cashin/qrcodes", body).status_code == 401

    def test_closed_and_plain_merchants(self, platform, house, mirror):
        house.json("merchant", "create", "--account", mirror.account_id, "--id", 404, "--name", "Plain")
        answer = platform.post("/v3/cashin/qrcodes", {"merchant_id": 404, "amount": 10})
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["merchant_id"])
        house.json("merchant", "close", "--id", mirror.merchant_id)
        answer = platform.post("/v3/cashin/qrcodes", {"merchant_id": mirror.merchant_id, "amount": 10})
        assert (answer.status_code, answer.json()) == (400, {"message": "Account is closed."})


class TestRegistrationsThatChange:
    def test_what_waits_follows_to_the_new_address(self, platform, user, mirror, receiver, new_receiver):
        old, new = receiver, new_receiver()
        old.default = 500
        webhook = user.register(old.url("/old"), "CASHOUT")
        payout = platform.create_payout(merchant_id=mirror.merchant_id)
        platform.transition(payout["id"], 3)
        old.wait_for(1)
        user.expect(200, "PATCH", f"{REGISTRATIONS}/{webhook}", {"url": new.url("/new")})
        assert new.wait_for(1)[0].path == "/new"
        assert new.received[0].webhook_id == old.received[0].webhook_id

    def test_a_deleted_one_gets_nothing_more(self, platform, user, house, mirror, receiver):
        receiver.default = 500
        webhook = user.register(receiver.url(), "CASHOUT")
        payout = platform.create_payout(merchant_id=mirror.merchant_id)
        platform.transition(payout["id"], 3)
        receiver.wait_for(1)
        user.expect(200, "DELETE", f"{REGISTRATIONS}/{webhook}")
        house.wait_for_row(
            "SELECT 1 FROM settled WHERE state = 'skipped' AND reason = 'canceled'", what="the delivery ended")
        assert house.one("SELECT count(*) FROM deliveries") == 0


class TestPeople:
    def test_bodies_are_sealed_and_erased(self, platform, user, house, mirror, receiver):
        """C 14: v3 bodies repeat people's data, so they are stored encrypted and destroyed with it."""
        user.register(receiver.url(), "CASHOUT")
        user.register(receiver.url(), "CASHIN")
        payout = platform.create_payout(merchant_id=mirror.merchant_id)
        platform.transition(payout["id"], 3)
        code = create_qr_code(platform, mirror.merchant_id, debtor_document="82608288200", debtor_name="Payer Name")
        receiver.wait_for(2)
        stored = b"".join(bytes(body) for (body,) in house.rows("SELECT body FROM notifications"))
        assert stored and b"Beneficiary Name" not in stored and b"Payer Name" not in stored
        assert house.json("erase", "--document", "826.082.882-00") == {"erased": 2}
        assert house.one("SELECT count(*) FROM notifications WHERE length(body) > 0 AND event_id IS NOT NULL") == 0
        assert house.one("SELECT count(*) FROM parties") == 0
        log = user.resend({"resend_type": "CASHIN", "object_reference_id": code})
        ended = user.wait_for_log(log["id"])
        assert ended["error_message"] == "QR code webhook could not be resent: personal data erased"
