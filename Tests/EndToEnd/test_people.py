"""People's data stays where it belongs (C 14): a run with everything in it, then a search through all that came out."""

import json

import requests

from harness.bodies import now, payout_body, rfc3339, window
from harness.client import PAYMENTS, RESEND, connect, raw_request, read_answer

PERSON = {
    "beneficiary": {
        "name": "Maria Inventada da Silva",
        "document": {"type": "CPF", "number": "14538220647"},
        "birthdate": "1987-06-05",
        "phone": "+5511987654321",
        "address": {
            "address": "Rua dos Bobos 0", "city": "Cidade Inventada", "country": "BR", "state_code": "SP",
            "zip_code": "01234567",
        },
    },
    "pix": {"pix_key": "maria.inventada@example.com"},
    "description": "remédio para a tosse",
    "receipt_message": "obrigada pela paciência",
}
BANK = {
    "pix": {
        "bank_code": "341", "bank_branch": "9876Z-branch", "account": "7654321987", "account_digit": "4",
        "account_type": "CHECKING",
    }
}
TEXTS = [
    "Maria Inventada", "14538220647", "1987-06-05", "5511987654321", "Rua dos Bobos", "Cidade Inventada", "01234567",
    "maria.inventada", "tosse", "paciência", "9876Z-branch", "7654321987", "t0ken-in-a-query",
]


def everything_that_can_happen(house, shop, receiver):
    """Plays the whole surface with the person in it, and returns every answer that is not the payout itself."""
    server = house.serve(REENVIO_LOG="trace", REENVIO_RETRY_SCHEDULE="0s,1h")
    client, operator = server.client(shop.key), server.client(shop.operator_key)
    url = receiver.url("/hook?token=t0ken-in-a-query")
    answers = []

    made = client.create_payout(notification_url=url, **PERSON)
    other = client.create_payout(notification_url=url, **(PERSON | BANK))
    broken = client.create_payout(notification_url="http://127.0.0.1:1/?token=t0ken-in-a-query", **PERSON)
    body = payout_body(notification_url=url, **PERSON)

    # Each of these is refused, with the person in the body.
    refused = [
        client.post(PAYMENTS, body | {"amount": "ten"}),
        client.post(PAYMENTS, body | {"invoice": made["invoice"]}),
        client.post(PAYMENTS, body | {"merchant_id": 999}),
        client.post(PAYMENTS, body | {"beneficiary": PERSON["beneficiary"] | {"name": 14538220647}}),
        client.post(PAYMENTS, body | {"beneficiary": PERSON["beneficiary"] | {"document": {"number": "14538220647x"}}}),
        client.post(PAYMENTS, body | {"pix": PERSON["pix"] | BANK["pix"]}),
        client.request("POST", PAYMENTS, data=(json.dumps(body) + "{").encode()),
        client.request("POST", PAYMENTS, data=json.dumps(body), headers={"Content-Type": "text/plain"}),
        requests.post(server.url + PAYMENTS, json=body, headers={"Authorization": "Bearer " + "x" * 20}, timeout=10),
        client.post("/v2/payout/nowhere", body),
        client.post(f"{PAYMENTS}/{made['id']}/transition", {"status_id": 3}),
        operator.post(f"{PAYMENTS}/{made['id']}/transition", {"status_id": "14538220647"}),
    ]
    assert all(answer.status_code >= 400 for answer in refused)
    answers += [answer.text + str(answer.headers) for answer in refused]
    # A body that breaks off in the middle.
    with connect(server) as cut:
        cut.sendall(raw_request("POST", PAYMENTS, json.dumps(body).encode(), shop.key)[:-20])

    operator.transition_all([made["id"], other["id"], broken["id"]], 3, occurred_at=rfc3339(now()))
    receiver.wait_for_acknowledged(2)
    answers.append(json.dumps(client.wait_for_job(client.dispatch(window(303))[0])))
    answers.append(client.get(RESEND).text)
    receiver.wait_for_acknowledged(4)
    for arguments in (("erase", "--document", "145.382.206-47"), ("job", "list"), ("audit", "--limit", 100)):
        done = house.run(*arguments)
        answers.append(done.stdout + done.stderr)
    answers.append(operator.get("/v2/audit?limit=100").text)
    answers += [json.dumps(dict(one.headers)) + one.body.decode() for one in receiver.received]
    server.stop()
    answers.append(server.log_text())
    return answers


def test_no_person_in_logs_errors_audit_or_webhooks(house, shop, receiver):
    """Never in a log, an error, an audit row, a webhook of v2 or a URL; query strings of receiver URLs neither."""
    answers = everything_that_can_happen(house, shop, receiver)
    assert '"attempt"' in answers[-1], "the log is too quiet to prove anything"
    for text in TEXTS:
        found = [answer for answer in answers if text in answer]
        assert not found, f"{text} in {found[0][:500]}"


def test_people_are_sealed_in_the_store_and_gone_once_erased(house, shop, receiver):
    """Encrypted under a key that does not lie in the store; destroyed by `erase`, ciphertext and all."""
    server = house.serve(REENVIO_RETRY_SCHEDULE="1h,1h")
    client = server.client(shop.key)
    made = client.create_payout(**PERSON)
    (sealed,) = house.rows("SELECT sealed FROM parties WHERE object_id = ?", made["id"])[0]
    client.create_payout(**PERSON)
    server.stop()

    def stored():
        return b"".join(path.read_bytes() for path in house.store_path.parent.iterdir() if path.suffix != ".key")

    assert sealed in stored()
    for text in TEXTS:
        assert text.encode() not in stored()
    house.json("erase", "--payout", made["id"])
    assert sealed not in stored(), "the erased bytes still lie in the file"


def test_a_key_without_people_read_sees_masks(house, shop):
    """C 14: the same members, masked; with the scope a list is noted, once, and counted."""
    server = house.serve()
    owner, operator = server.client(shop.key), server.client(shop.operator_key)
    made = owner.create_payout(**PERSON)["id"]
    key = house.json("key", "create", "--account", shop.account_id, "--name", "r", "--scope", "payouts:read")["key"]
    reader = server.client(key)
    for path in (PAYMENTS, f"{PAYMENTS}/{made}"):
        masked, whole = reader.get(path), owner.get(path)
        assert masked.headers["cache-control"] == whole.headers["cache-control"] == "no-store"
        assert PERSON["beneficiary"]["name"] in whole.text and "14******47" in masked.text
        for text in TEXTS:
            assert text not in masked.text, text
    owner.get(PAYMENTS)
    rows = [row for row in operator.get("/v2/audit").json()["data"] if row["action"] == "people.read"]
    assert [row["actor"] for row in rows] == [f"key:{shop.key.split('_')[1]}"]
    assert "reenvio_people_read_total 3" in operator.get("/metrics").text
