"""Payouts in: create, read, and report what became of them (C 1.2, 1.4, 2.1, 2.2, 2.4)."""

import json
import re
from datetime import timedelta

import pytest

from harness.binary import Shop
from harness.bodies import now, payout_body, rfc3339
from harness.client import PAYMENTS, TRANSITIONS, raw_request, send_together

MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

# The 201 body of C 2.1 with `end_to_end` added; the dates are compared by their form.
PUBLISHED_BODY = {
    "payment_method": "PIX", "currency": "BRL", "country": "BR", "amount": 43.34,
    "invoice": "6cc85ff5-7a35-45cb-a8fd-22b9bbe27896",
    "beneficiary": {"name": "Beneficiary Name", "document": {"type": "CPF", "number": "82608288200"}},
    "pix": {"pix_key": "82608288200"},
}
PUBLISHED_ANSWER = {
    "id": int, "merchant": {"id": 303, "name": "Corner Shop"}, "payment_method": "PIX", "country": "BR",
    "currency": "BRL", "amount": "R$43.34", "source_currency": None, "source_amount": None,
    "invoice": "6cc85ff5-7a35-45cb-a8fd-22b9bbe27896", "description": None, "authentication_code": None,
    "rejection_description": "", "notification_url": None, "end_to_end": None,
    "status": {"id": 7, "name": "Awaiting"},
    "beneficiary": {
        "name": "Beneficiary Name", "document": {"type": "CPF", "number": "82608288200"}, "birthdate": None,
        "phone": None,
        "address": {"address": None, "city": None, "country": None, "state_code": None, "zip_code": None},
    },
    "receipt_message": "",
    "pix": {
        "pix_key": "82608288200", "bank_code": "", "bank_branch": None, "bank_branch_digit": None, "account": None,
        "account_digit": None, "account_type": "",
    },
    "purpose": "20", "paid_at": None, "created_at": MICROSECONDS, "updated_at": MICROSECONDS,
}


def assert_shaped(shown, expected, where="body"):
    """Equal, key for key in any order; a type or a pattern stands for any value of that form."""
    if isinstance(expected, dict):
        assert isinstance(shown, dict) and set(shown) == set(expected), f"{where}: {sorted(shown)}"
        for key, value in expected.items():
            assert_shaped(shown[key], value, f"{where}.{key}")
    elif isinstance(expected, type):
        assert type(shown) is expected, f"{where}: {shown!r}"
    elif isinstance(expected, re.Pattern):
        assert isinstance(shown, str) and expected.fullmatch(shown), f"{where}: {shown!r}"
    else:
        assert shown == expected and type(shown) is type(expected), f"{where}: {shown!r}"


def faults(answer):
    assert answer.status_code == 422, f"{answer.status_code} {answer.text}"
    body = answer.json()
    assert list(body) == ["message", "errors"] and body["message"] == "Validation error."
    return body["errors"]


class TestCreate:
    def test_answers_the_published_body(self, merchant):
        """C 2.1: 201, every key with its type; the key's account owns one merchant, so none is named."""
        answer = merchant.post(PAYMENTS, PUBLISHED_BODY)
        assert answer.status_code == 201
        assert answer.headers["content-type"].startswith("application/json")
        body = answer.json()
        assert_shaped(body, PUBLISHED_ANSWER)
        assert body["created_at"] == body["updated_at"]

    def test_can_be_read_again(self, merchant):
        """C 2.2: the same object, for its owner and for the operator."""
        made = merchant.create_payout(notification_url="https://receiver.example/hook")
        assert merchant.payout(made["id"]) == made
        assert made["notification_url"] == "https://receiver.example/hook"

    def test_keeps_everything_it_was_told(self, merchant):
        """C 2.1: optional fields, a bank account instead of a key, texts beyond ASCII; unknown fields are ignored."""
        pix = {
            "bank_code": "001", "bank_branch": "1234", "bank_branch_digit": "5", "account": "678", "account_digit": "9",
            "account_type": "CHECKING",
        }
        address = {"address": "Rua Um 1", "city": "São Paulo", "country": "BR", "state_code": "SP", "zip_code": "01000"}
        made = merchant.create_payout(
            amount=0.10, pix=pix, description="café / 日本", purpose="10", receipt_message="obrigado", unknown={"a": [1]},
            beneficiary={
                "name": "Firma Ltda", "document": {"type": "CNPJ", "number": "12345678000195"},
                "birthdate": "1990-01-31", "phone": "+5511999999999", "address": address,
            },
        )
        assert made["amount"] == "R$0.10"
        assert made["pix"] == {"pix_key": None} | pix
        assert made["beneficiary"]["address"] == address
        assert (made["description"], made["purpose"], made["receipt_message"]) == ("café / 日本", "10", "obrigado")
        assert "unknown" not in made

    @pytest.mark.parametrize(
        "written, shown",
        [("43.340", "R$43.34"), ("4334e-2", "R$43.34"), ("1", "R$1.00"), ("0.01", "R$0.01"),
         ("999999999.99", "R$999999999.99"), ("1E3", "R$1000.00")],
    )
    def test_amounts_are_decimal(self, merchant, written, shown):
        """C 2.1: two decimals by value, never a binary float, no thousands separator."""
        text = json.dumps(payout_body()).replace("43.34", written)
        answer = merchant.request("POST", PAYMENTS, data=text, headers={"Content-Type": "application/json"})
        assert answer.status_code == 201, answer.text
        assert answer.json()["amount"] == shown

    @pytest.mark.parametrize("written", ["0", "-1", "43.341", "1000000000", "0.001", "1e400"])
    def test_amounts_that_nobody_can_pay(self, merchant, written):
        """C 2.1: more than 0, at most two decimals by value, at most 999999999.99."""
        text = json.dumps(payout_body()).replace("43.34", written)
        answer = merchant.request("POST", PAYMENTS, data=text, headers={"Content-Type": "application/json"})
        assert list(faults(answer)) == ["amount"]

    def test_names_every_missing_field_at_once(self, merchant):
        """C 2.1: dotted paths, the texts of 4.1."""
        assert faults(merchant.post(PAYMENTS, {})) | {"pix": ["any"]} == {
            "payment_method": ["The payment_method field is required."],
            "currency": ["The currency field is required."],
            "country": ["The country field is required."],
            "amount": ["The amount field is required."],
            "invoice": ["The invoice field is required."],
            "beneficiary.name": ["The beneficiary.name field is required."],
            "beneficiary.document.type": ["The beneficiary.document.type field is required."],
            "beneficiary.document.number": ["The beneficiary.document.number field is required."],
            "pix": ["any"],
        }

    @pytest.mark.parametrize(
        "fields, field, text",
        [
            ({"merchant_id": "303"}, "merchant_id", "The merchant_id field must be an integer."),
            ({"merchant_id": 303.0}, "merchant_id", "The merchant_id field must be an integer."),
            ({"merchant_id": 404}, "merchant_id", "The merchant_id is not associated with your account."),
            ({"merchant_id": 999}, "merchant_id", "The merchant_id is not associated with your account."),
            ({"invoice": 7}, "invoice", "The invoice field must be a string."),
            ({"invoice": "x" * 256}, "invoice", "The invoice field must not be longer than 255 characters."),
            ({"description": "x" * 256}, "description", "The description field must not be longer than 255 characters."),
            ({"description": True}, "description", "The description field must be a string."),
            ({"payment_method": "TED"}, "payment_method", None),
            ({"currency": "USD"}, "currency", None),
            ({"country": "US"}, "country", None),
            ({"amount": "43.34"}, "amount", None),
            ({"beneficiary": []}, "beneficiary", None),
            ({"pix": {}}, "pix", None),
            ({"pix": {"pix_key": "k", "bank_code": "001"}}, "pix", None),
        ],
    )
    def test_names_what_is_wrong_with_a_field(self, merchant, other_shop, fields, field, text):
        """C 2.1: one fault, under its own key. A foreign merchant and an unknown one look alike."""
        shown = faults(merchant.post(PAYMENTS, payout_body(**fields)))
        assert list(shown) == [field]
        assert text is None or shown[field] == [text]

    @pytest.mark.parametrize(
        "document, field",
        [
            ({"type": "CPF", "number": "8260828820"}, "beneficiary.document.number"),
            ({"type": "CPF", "number": "826.082.882"}, "beneficiary.document.number"),
            ({"type": "CNPJ", "number": "82608288200"}, "beneficiary.document.number"),
            ({"type": "CNPJ", "number": "12.ABC.345/01DE-35"}, "beneficiary.document.number"),
            ({"type": "CNPJ", "number": "12ABC34501DE3X"}, "beneficiary.document.number"),
            ({"type": "CPF", "number": "12ABC34501D"}, "beneficiary.document.number"),
            ({"type": "RG", "number": "82608288200"}, "beneficiary.document.type"),
        ],
    )
    def test_documents_have_their_length(self, merchant, document, field):
        """C 2.1: 11 digits for CPF; for CNPJ 12 digits or letters and 2 digits; no punctuation."""
        body = payout_body(beneficiary={"name": "Somebody", "document": document})
        assert list(faults(merchant.post(PAYMENTS, body))) == [field]

    @pytest.mark.parametrize("number", ["12ABC34501DE35", "12abc34501de35", "12345678000195"])
    def test_a_company_may_have_letters_in_its_number(self, merchant, number):
        """C 2.1: kept and shown in upper case; a PIX key stays as it came."""
        body = payout_body(
            beneficiary={"name": "Somebody", "document": {"type": "CNPJ", "number": number}}, pix={"pix_key": number})
        made = merchant.expect(201, "POST", PAYMENTS, body)
        for shown in (made, merchant.payout(made["id"])):
            assert shown["beneficiary"]["document"] == {"type": "CNPJ", "number": number.upper()}
            assert shown["pix"]["pix_key"] == number

    def test_a_bank_account_names_its_missing_parts(self, merchant):
        """C 2.1: bank_code, bank_branch, account and account_type are required where no key is given."""
        shown = faults(merchant.post(PAYMENTS, payout_body(pix={"bank_code": "001", "account": "678"})))
        assert set(shown) == {"pix.bank_branch", "pix.account_type"}

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://receiver.example/", "https://10.0.0.1/hook", "https://[::1]/hook", "https://user:pw@receiver.example/",
            "https://[::ffff:10.0.0.1]/", "https://169.254.169.254/latest", "not a url", "https://",
            "https://receiver.example/" + "x" * 240,
        ],
    )
    def test_urls_that_deliveries_must_not_reach(self, merchant, url):
        """C 3.3: judged at creation by syntax and literal address; the shared server lets loopback through, no more."""
        assert list(faults(merchant.post(PAYMENTS, payout_body(notification_url=url)))) == ["notification_url"]

    def test_an_operator_names_the_merchant(self, operator):
        """C 9: an operator key acts on every account, so `merchant_id` is required."""
        assert faults(operator.post(PAYMENTS, payout_body())) == {
            "merchant_id": ["The merchant_id field is required."]
        }
        assert operator.create_payout(merchant_id=404)["merchant"] == {"id": 404, "name": "Open Market"}

    def test_an_account_with_two_merchants_names_one(self, house):
        """C 2.1: required when the account owns more than one merchant."""
        shop = Shop(house)
        house.json("merchant", "create", "--account", shop.account_id, "--id", 305, "--name", "Second")
        client = house.serve().client(shop.key)
        assert faults(client.post(PAYMENTS, payout_body())) == {"merchant_id": ["The merchant_id field is required."]}
        assert client.create_payout(merchant_id=305)["merchant"]["id"] == 305


class TestInvoices:
    def test_an_invoice_is_used_once(self, merchant, operator):
        """C 2.1, duplication block: refused whatever became of the first."""
        made = merchant.create_payout(invoice="once")
        assert list(faults(merchant.post(PAYMENTS, payout_body(invoice="once")))) == ["invoice"]
        operator.transition(made["id"], 6)
        assert list(faults(merchant.post(PAYMENTS, payout_body(invoice="once")))) == ["invoice"]

    def test_an_invoice_is_free_again_after_invalid_data(self, merchant, operator):
        """C 2.1: several Invalid Data payouts may share an invoice, at most one other."""
        for _ in range(2):
            operator.transition(merchant.create_payout(invoice="again")["id"], 11)
        merchant.create_payout(invoice="again")
        assert list(faults(merchant.post(PAYMENTS, payout_body(invoice="again")))) == ["invoice"]

    def test_invoices_are_unique_per_merchant_and_exact(self, merchant, operator):
        """C 2.1: scope is the merchant, comparison the exact text."""
        merchant.create_payout(invoice="Exact")
        merchant.create_payout(invoice="exact")
        operator.create_payout(invoice="Exact", merchant_id=404)

    def test_of_simultaneous_equal_invoices_one_is_taken(self, shared_server, shared_shop):
        """C 2.1: enforced in the database, not by read-then-write."""
        body = json.dumps(payout_body(invoice="raced")).encode()
        answers = send_together(shared_server, raw_request("POST", PAYMENTS, body, shared_shop.key), 20)
        assert sorted(status for status, _, _ in answers) == [201] + [422] * 19


class TestTransition:
    def test_moves_a_payout(self, merchant, operator):
        """C 2.4: 200 with the payout; what the platform reports is shown."""
        made = merchant.create_payout()
        moved = operator.transition(
            made["id"], 3, end_to_end="E18236120202403240805s0123456789", authentication_code="AUTH-1"
        )
        assert moved["status"] == {"id": 3, "name": "Paid"}
        assert moved["end_to_end"] == "E18236120202403240805s0123456789"
        assert moved["authentication_code"] == "AUTH-1"
        assert MICROSECONDS.fullmatch(moved["paid_at"]) and moved["paid_at"] == moved["updated_at"]
        assert moved["created_at"] == made["created_at"]
        assert merchant.payout(made["id"]) == moved

    def test_the_same_status_again_changes_nothing(self, merchant, operator):
        """C 1.2: 200, no change."""
        made = merchant.create_payout()
        moved = operator.transition(made["id"], 4, rejection_description="no such account")
        assert moved["rejection_description"] == "no such account"
        assert operator.transition(made["id"], 4) == moved

    @pytest.mark.parametrize("path", [[1, 5, 1, 2, 8, 3], [3], [1, 4], [10], [11], [2, 6], [5, 4], [8, 4]])
    def test_takes_what_is_reachable(self, merchant, operator, path):
        """C 1.2: directly, or through states that nobody reported."""
        made = merchant.create_payout()
        for status_id in path:
            assert operator.transition(made["id"], status_id)["status"]["id"] == status_id

    @pytest.mark.parametrize(
        "path, refused", [([3], 6), ([6], 3), ([4], 1), ([10], 1), ([11], 7), ([2], 1), ([8], 6), ([1], 10), ([1], 7)]
    )
    def test_refuses_what_is_not(self, merchant, operator, path, refused):
        """C 2.4: 409 with both ids; nothing leaves a final status."""
        made = merchant.create_payout()
        for status_id in path:
            operator.transition(made["id"], status_id)
        answer = operator.post(f"{PAYMENTS}/{made['id']}/transition", {"status_id": refused})
        assert answer.status_code == 409
        assert answer.json() == {"message": f"Status change from {path[-1]} to {refused} is not allowed."}

    @pytest.mark.parametrize("body", [{}, {"status_id": 9}, {"status_id": 12}, {"status_id": "3"}, {"status_id": 3.0}])
    def test_refuses_what_is_no_status(self, merchant, operator, body):
        """C 2.4: 422 for an unknown status; 9 is refused everywhere (C 1.1)."""
        made = merchant.create_payout()
        assert list(faults(operator.post(f"{PAYMENTS}/{made['id']}/transition", body))) == ["status_id"]

    def test_is_dated_by_the_ledger(self, merchant, operator):
        """C 1.2: `occurred_at` up to 5 minutes ahead; `updated_at` never runs backwards."""
        made = merchant.create_payout()
        path = f"{PAYMENTS}/{made['id']}/transition"
        ahead = now() + timedelta(minutes=4)
        assert operator.transition(made["id"], 1, occurred_at=rfc3339(ahead))["updated_at"] == rfc3339(ahead)
        assert operator.transition(made["id"], 5)["updated_at"] == rfc3339(ahead)
        answer = operator.post(path, {"status_id": 4, "occurred_at": rfc3339(now())})
        assert (answer.status_code, answer.json()) == (409, {"message": "A later status is already recorded."})
        too_far = {"status_id": 4, "occurred_at": rfc3339(now() + timedelta(minutes=6))}
        assert list(faults(operator.post(path, too_far))) == ["occurred_at"]
        assert list(faults(operator.post(path, {"status_id": 4, "occurred_at": "2026-03-24 08:00:00"}))) == ["occurred_at"]

    @pytest.mark.parametrize("digits", range(7))
    def test_a_date_is_compared_at_its_own_precision(self, merchant, operator, digits):
        """C 1.2: the same instant, written shorter, is not earlier; what is earlier at its own precision is."""
        made = merchant.create_payout()
        at = now() + timedelta(seconds=30)
        at = at.replace(microsecond=at.microsecond // 10 * 10 + 7)
        operator.transition(made["id"], 1, occurred_at=rfc3339(at))
        shorter = at.strftime("%Y-%m-%dT%H:%M:%S.%f")[: 20 + digits].rstrip(".")
        for zone, status_id in (("Z", 5), ("+00:00", 4)):
            shown = operator.transition(made["id"], status_id, occurred_at=shorter + zone)
            assert shown["updated_at"] == rfc3339(at)
        other = merchant.create_payout()
        operator.transition(other["id"], 1, occurred_at=rfc3339(at))
        earlier = (at - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%f")[: 20 + digits].rstrip(".")
        answer = operator.post(f"{PAYMENTS}/{other['id']}/transition", {"status_id": 3, "occurred_at": earlier + "Z"})
        assert (answer.status_code, answer.json()) == (409, {"message": "A later status is already recorded."})

    def test_a_creation_may_be_dated_by_the_platform(self, operator):
        """C 2.1: with an operator key; nothing later may be earlier."""
        at = now() - timedelta(days=3)
        made = operator.create_payout(merchant_id=303, occurred_at=rfc3339(at))
        assert made["created_at"] == made["updated_at"] == rfc3339(at)
        before = {"status_id": 3, "occurred_at": rfc3339(at - timedelta(seconds=1))}
        assert operator.post(f"{PAYMENTS}/{made['id']}/transition", before).status_code == 409
        paid = operator.transition(made["id"], 3, occurred_at=at.strftime("%Y-%m-%dT%H:%M:%SZ"))
        assert paid["paid_at"] == rfc3339(at)

    def test_status_detail_needs_the_merchants_setting(self, merchant, operator):
        """C 2.4: only with status 6 and the Account Mismatch setting, else 422 on `status_detail`."""
        made = merchant.create_payout()
        detail = {"code": "WE0001", "detail": "The payment was made to an unregistered account"}
        answer = operator.post(f"{PAYMENTS}/{made['id']}/transition", {"status_id": 6, "status_detail": detail})
        assert list(faults(answer)) == ["status_detail"]

    def test_an_unknown_payout(self, operator):
        """C 2.2, 2.4: 404, also for an id that does not fit 64 bits (C 2.1)."""
        for payout_id in ("999999", "0", "-1", "abc", "99999999999999999999"):
            answer = operator.post(f"{PAYMENTS}/{payout_id}/transition", {"status_id": 3})
            assert (answer.status_code, answer.json()) == (404, {"message": "Payout not found."}), payout_id


class TestTransitions:
    def test_results_stand_in_input_order(self, merchant, operator):
        """C 2.4: items on one payout apply in order, and one refused item does not stop the others."""
        one, two = merchant.create_payout()["id"], merchant.create_payout()["id"]
        items = [
            {"id": one, "status_id": 1},
            {"id": one, "status_id": 1},
            {"id": one, "status_id": 3},
            {"id": one, "status_id": 6},
            {"id": 999999, "status_id": 3},
            {"id": two, "status_id": 9},
            {"id": two, "status_id": 6, "status_detail": {"code": "WE0001", "detail": "x"}},
            {"id": two, "status_id": 4, "rejection_description": "closed"},
        ]
        answer = operator.post(TRANSITIONS, {"transitions": items})
        assert answer.status_code == 200
        results = answer.json()["results"]
        assert [one["id"] for one in results] == [item["id"] for item in items]
        assert results[0] == {"id": one, "result": "applied"}
        assert results[1] == {"id": one, "result": "unchanged"}
        assert results[2] == {"id": one, "result": "applied"}
        assert results[3] == {
            "id": one, "result": "refused", "code": 409, "message": "Status change from 3 to 6 is not allowed.",
        }
        assert results[4] == {"id": 999999, "result": "refused", "code": 404, "message": "Payout not found."}
        for index, field in ((5, "status_id"), (6, "status_detail")):
            assert list(results[index]) == ["id", "result", "code", "message", "errors"]
            assert (results[index]["result"], results[index]["code"]) == ("refused", 422)
            assert list(results[index]["errors"]) == [field]
        assert results[7] == {"id": two, "result": "applied"}
        assert merchant.payout(one)["status"]["id"] == 3
        assert merchant.payout(two)["rejection_description"] == "closed"

    @pytest.mark.parametrize(
        "body, field",
        [
            ({}, "transitions"), ({"transitions": None}, "transitions"), ({"transitions": {}}, "transitions"),
            ({"transitions": []}, "transitions"), ({"transitions": [{"id": 1, "status_id": 3}] * 1001}, "transitions"),
            ({"transitions": [{"status_id": 3}]}, "transitions.0.id"),
            ({"transitions": [{"id": 1, "status_id": 3}, {"id": "2", "status_id": 3}]}, "transitions.1.id"),
            ({"transitions": [3]}, "transitions.0.id"),
        ],
    )
    def test_the_whole_is_refused_only_when_it_cannot_be_read(self, operator, body, field):
        """C 2.4: absent, no array, empty, over 1,000, or an element without an integer id; nothing is applied then."""
        assert list(faults(operator.post(TRANSITIONS, body))) == [field]

    def test_a_thousand_at_once(self, operator):
        """C 2.4: up to 1,000 items in one commit."""
        items = [{"id": 999_000 + index, "status_id": 3} for index in range(1000)]
        results = operator.expect(200, "POST", TRANSITIONS, {"transitions": items})["results"]
        assert [one["code"] for one in results] == [404] * 1000


class TestTenancy:
    def test_a_foreign_payout_is_unknown(self, operator, merchant):
        """C 2.2: 404 `Payout not found.` for an unknown id and for one outside the account alike."""
        foreign = operator.create_payout(merchant_id=404)["id"]
        for payout_id in (foreign, 999999, "abc", "99999999999999999999"):
            answer = merchant.get(f"{PAYMENTS}/{payout_id}")
            assert (answer.status_code, answer.json()) == (404, {"message": "Payout not found."}), payout_id
        assert operator.payout(foreign)["id"] == foreign
