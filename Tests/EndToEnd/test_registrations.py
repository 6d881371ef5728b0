"""Webhook registrations of v3 (C 6.5)."""

import json

import pytest

from harness.binary import House, Shop
from harness.client import raw_request, send_together
from harness.tokens import new_user, sign_in, token_of

HOOKS = "/v3/accounts/api/webhooks"
ACCOUNT = {"source_account_branch_identifier": "0001", "source_account_number": "123456"}
QUERY = "?source_account_branch_identifier=0001&source_account_number=123456"
TYPES = [
    "CASHIN", "CASHOUT", "QR_CODE_COPY_AND_PASTE_CREATED", "QR_CODE_COPY_AND_PASTE_PAID",
    "QR_CODE_COPY_AND_PASTE_REFUNDED", "QR_CODE_COPY_AND_PASTE_REFUNDED_ERROR", "PIX_CASHIN_RECEIVED",
    "PIX_CASHIN_REFUNDED", "PIX_CASHIN_REFUNDED_ERROR", "PIX_CASHOUT_CREATED", "PIX_CASHOUT_SUCCESS",
    "PIX_CASHOUT_ERROR", "PIX_CASHOUT_REFUND", "PIX_CASHOUT_CANCELED",
]


def hook(**fields):
    return {"url": "https://a.example/hook", "type_webhook": "CASHOUT"} | ACCOUNT | fields


def said(answer):
    return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def mirror_shop(tmp_path_factory):
    """Made once: a shop whose merchant is an account mirror, and another account with one."""
    house = House(tmp_path_factory.mktemp("mirrors"))
    shop = Shop(house, more=("--branch", "0001", "--number", "123456"))
    shop.other = Shop(house, merchant_id=404, name="Other", more=("--branch", "0001", "--number", "999"))
    shop.user, shop.other_user = new_user(house, 1, id=246), new_user(house, 2, id=247)
    return shop


@pytest.fixture
def server(house, mirror_shop):
    mirror_shop.moved_to(house)
    return house.serve()


@pytest.fixture
def client(server, mirror_shop):
    return sign_in(server, mirror_shop.user)


@pytest.fixture
def stranger(server, mirror_shop):
    return sign_in(server, mirror_shop.other_user)


def errors_of(answer):
    assert answer.status_code == 422 and answer.json()["message"] == "Validation error", answer.text
    return answer.json()["errors"]


class TestStory:
    def test_create_list_update_delete(self, client):
        """201, 200, 200, 200 with the documented keys in their order; both mounts of the list."""
        made = client.expect(201, "POST", HOOKS, hook(url="  https://a.example/hook ", authorization_token="Bearer x"))
        assert list(made.items()) == [
            ("webhook_id", 1), ("url", "https://a.example/hook"), ("type_webhook", "CASHOUT"),
            ("source_account_branch_identifier", "0001"), ("source_account_number", "123456"),
            ("authorization_token_set", True), ("x_functions_key_set", False),
        ]
        for path in (HOOKS, "/v3/accounts/webhooks"):
            assert client.expect(200, "GET", path + QUERY) == {"results": [made]}
        changed = client.expect(
            200, "PATCH", f"{HOOKS}/1", {"authorization_token": None, "x_functions_key": "k", "type_webhook": "CASHIN"})
        assert changed == made | {
            "type_webhook": "CASHIN", "authorization_token_set": False, "x_functions_key_set": True}
        assert said(client.request("DELETE", f"{HOOKS}/1")) == (200, {"message": "Webhook deleted successfully"})
        assert client.expect(200, "GET", HOOKS + QUERY) == {"results": []}
        assert said(client.request("DELETE", f"{HOOKS}/1")) == (404, {"message": "Webhook not found."})

    def test_every_type(self, client):
        """Both categories and the twelve types of C 8.1; the list finds each."""
        for number, kind in enumerate(TYPES, start=1):
            assert client.expect(201, "POST", HOOKS, hook(type_webhook=kind))["webhook_id"] == number
        for number, kind in enumerate(TYPES, start=1):
            found = client.expect(200, "GET", f"{HOOKS}{QUERY}&type_webhook={kind}")["results"]
            assert [one["webhook_id"] for one in found] == [number]
        assert len(client.expect(200, "GET", HOOKS + QUERY)["results"]) == len(TYPES)
        assert len(client.expect(200, "GET", f"{HOOKS}{QUERY}&webhook_id=3")["results"]) == 1

    def test_at_most_a_hundred(self, client):
        for number in range(100):
            client.expect(201, "POST", HOOKS, hook(url=f"https://a.example/{number}"))
        assert errors_of(client.post(HOOKS, hook())) == {"url": ["An account may have at most 100 webhooks."]}
        client.expect(200, "DELETE", f"{HOOKS}/50")
        client.expect(201, "POST", HOOKS, hook())


class TestOnce:
    """One registration per merchant, URL and type; spellings of one URL are equal."""

    TAKEN = {"url": ["The url has already been registered for this type_webhook."]}

    @pytest.mark.parametrize("url", [
        "https://a.example/hook", " https://a.example/hook ", "https://A.EXAMPLE/hook", "HTTPS://a.example:443/hook",
        "https://a.example/hook#x", "https://a.example/%68ook",
    ])
    def test_a_second_create_is_refused(self, client, url):
        client.expect(201, "POST", HOOKS, hook())
        assert errors_of(client.post(HOOKS, hook(url=url, authorization_token="another"))) == self.TAKEN
        assert len(client.expect(200, "GET", HOOKS + QUERY)["results"]) == 1

    def test_another_type_or_url_is_another_one(self, client):
        """A category and one of its types on one URL are two registrations."""
        for more in ({}, {"type_webhook": "PIX_CASHOUT_SUCCESS"}, {"type_webhook": "CASHIN"},
                     {"url": "https://a.example/Hook"}, {"url": "https://a.example:8443/hook"},
                     {"url": "https://a.example/hook?x=1"}):
            client.expect(201, "POST", HOOKS, hook(**more))

    def test_a_change_into_an_equal_one_is_refused(self, client):
        client.expect(201, "POST", HOOKS, hook())
        client.expect(201, "POST", HOOKS, hook(url="https://b.example/hook"))
        client.expect(201, "POST", HOOKS, hook(type_webhook="CASHIN"))
        for number, change in [
            (2, {"url": "https://a.example:443/hook"}), (3, {"type_webhook": "CASHOUT"}),
            (2, {"url": "https://a.example/hook", "type_webhook": "CASHIN"}),
        ]:
            assert errors_of(client.request("PATCH", f"{HOOKS}/{number}", json=change)) == self.TAKEN, change
        changed = client.expect(200, "PATCH", f"{HOOKS}/1", {"url": "https://A.example/hook", "x_functions_key": "k"})
        assert changed["url"] == "https://A.example/hook", "its own spelling may change"

    def test_what_was_deleted_is_free_again(self, client):
        client.expect(201, "POST", HOOKS, hook())
        client.expect(200, "DELETE", f"{HOOKS}/1")
        assert client.expect(201, "POST", HOOKS, hook())["webhook_id"] == 2

    def test_of_simultaneous_creates_one_is_taken(self, client, server):
        body = json.dumps(hook()).encode()
        request = raw_request("POST", HOOKS, body, token_of(client))
        codes = sorted(status for status, _, _ in send_together(server, request, 10))
        assert codes == [201] + [422] * 9


class TestValidation:
    def test_names_everything_missing_at_once(self, client):
        fields = ["url", "type_webhook", "source_account_branch_identifier", "source_account_number"]
        assert errors_of(client.post(HOOKS, {})) == {one: [f"The {one} field is required."] for one in fields}

    PUBLIC = "must be an https URL with a public host"
    SPELLING = "must be a URL whose host is a domain name or an IP address in its usual spelling"

    @pytest.mark.parametrize("url, rule", [
        ("ftp://a.example/", "must be an https URL"), ("https://10.0.0.1/", PUBLIC), ("https://[::1]/", PUBLIC),
        ("https://169.254.169.254/", PUBLIC), ("https://a.internal/", PUBLIC),
        ("https://u@a.example/", "must not contain user info"),
        ("https://a.example:0/", "must be a URL with a port from 1 to 65535"), ("https://2130706433/", SPELLING),
        ("https://１２７.0.0.1/", SPELLING), ("https://caf%C3%A9.example/", SPELLING),
        ("a.example", "must be an absolute URL such as https://shop.example/webhooks"),
        ("https:///hook", "must be a URL with a host"),
        ("https://a.exam ple/", "must not contain blanks, control characters or backslashes"),
    ])
    def test_the_guard(self, client, url, rule):
        """The rules of C 3.3 and 15, on create and update: what is refused is named."""
        fault = {"url": [f"The url field {rule}."]}
        assert errors_of(client.post(HOOKS, hook(url=url))) == fault
        client.expect(201, "POST", HOOKS, hook())
        assert errors_of(client.request("PATCH", f"{HOOKS}/1", json={"url": url})) == fault

    @pytest.mark.parametrize("field, value, text", [
        ("url", None, "must be a string."), ("url", 5, "must be a string."),
        ("url", "https://a.example/" + "x" * 240, "must not be longer than 255 characters."),
        ("type_webhook", None, "must be a string."), ("type_webhook", "cashin", "is invalid."),
        ("type_webhook", "MED_CREATED", "is invalid."), ("authorization_token", 1, "must be a string."),
        ("authorization_token", "a\r\nb", "must not contain control characters."),
        ("x_functions_key", "\x7f", "must not contain control characters."),
        ("x_functions_key", "x" * 256, "must not be longer than 255 characters."),
        ("source_account_number", None, "must be a string."), ("source_account_number", 123456, "must be a string."),
    ])
    def test_each_field(self, client, field, value, text):
        ((name, texts),) = errors_of(client.post(HOOKS, hook(**{field: value}))).items()
        assert name == field and len(texts) == 1 and texts[0].endswith(text)
        client.expect(201, "POST", HOOKS, hook())
        ((name, _),) = errors_of(client.request("PATCH", f"{HOOKS}/1", json={field: value})).items()
        assert name == field

    def test_the_account_cannot_be_changed(self, client):
        client.expect(201, "POST", HOOKS, hook())
        assert client.expect(200, "PATCH", f"{HOOKS}/1", ACCOUNT)["webhook_id"] == 1
        faults = errors_of(client.request("PATCH", f"{HOOKS}/1", json={"source_account_number": "999"}))
        assert faults == {"source_account_number": ["The source_account_number field cannot be changed."]}

    @pytest.mark.parametrize("query, field", [
        ("", "source_account_number"), ("?source_account_number=123456", "source_account_branch_identifier"),
        (QUERY + "&webhook_id=abc", "webhook_id"), (QUERY + "&type_webhook=x", "type_webhook"),
        (QUERY + "&webhook_id=", "webhook_id"), (QUERY + "&source_account_number=123456", "source_account_number"),
    ])
    def test_the_list(self, client, query, field):
        assert field in errors_of(client.get(HOOKS + query))


class TestWhoMay:
    def test_others_see_nothing(self, client, stranger):
        """C 9: account and webhook of another look unknown."""
        client.expect(201, "POST", HOOKS, hook())
        account, webhook = (404, {"message": "Account not found."}), (404, {"message": "Webhook not found."})
        assert said(stranger.post(HOOKS, hook())) == account
        assert said(stranger.get(HOOKS + QUERY)) == account
        assert said(stranger.request("PATCH", f"{HOOKS}/1", json={})) == webhook
        assert said(stranger.request("DELETE", f"{HOOKS}/1")) == webhook
        assert said(client.post(HOOKS, hook(source_account_number="0"))) == account
        for name in ("2", "x", "1.0", "9" * 20):
            assert said(client.request("DELETE", f"{HOOKS}/{name}")) == webhook

    def test_a_user_narrowed_to_other_merchants(self, house, server):
        house.json("merchant", "create", "--account", 1, "--id", 43, "--name", "N", "--branch", "1", "--number", "43")
        narrow = sign_in(server, new_user(house, merchants="43"))
        assert said(narrow.post(HOOKS, hook())) == (404, {"message": "Account not found."})
        mine = hook(source_account_branch_identifier="1", source_account_number="43")
        assert narrow.post(HOOKS, mine).status_code == 201

    def test_a_closed_account(self, house, client):
        client.expect(201, "POST", HOOKS, hook())
        house.json("merchant", "close", "--id", 303)
        closed = (400, {"message": "Account is closed."})
        assert said(client.post(HOOKS, hook())) == closed
        assert said(client.request("PATCH", f"{HOOKS}/1", json={})) == closed
        assert said(client.request("DELETE", f"{HOOKS}/1")) == closed
        assert said(client.get(HOOKS + QUERY)) == closed

    def test_methods_and_no_credential(self, server, client):
        assert client.request("PUT", f"{HOOKS}/1").headers["allow"] == "DELETE, PATCH"
        assert client.request("DELETE", HOOKS).headers["allow"] == "GET, HEAD, POST"
        for method, path in [("POST", HOOKS), ("GET", HOOKS), ("PATCH", f"{HOOKS}/1"), ("DELETE", f"{HOOKS}/1")]:
            assert said(server.client().request(method, path, json=None)) == (401, {"message": "Unauthorized"})


class TestSecrets:
    def test_tokens_lie_nowhere_in_the_open(self, house, mirror_shop):
        """Sealed in the store, never shown or logged; destroyed with the registration. Changes are audited by name."""
        mirror_shop.moved_to(house)
        server = house.serve(REENVIO_LOG="trace")
        client = sign_in(server, mirror_shop.user)
        secrets = ["t0p-s3cret-one", "t0p-s3cret-two", "t0p-s3cret-three"]
        answers = [client.post(HOOKS, hook(authorization_token=secrets[0], x_functions_key=secrets[1])),
                   client.request("PATCH", f"{HOOKS}/1", json={"authorization_token": secrets[2]}),
                   client.get(HOOKS + QUERY), client.post(HOOKS, hook(authorization_token=secrets[0] + "\n"))]
        row = house.rows("SELECT authorization_sealed, functions_key_sealed FROM registrations")[0]
        assert all(row) and client.expect(200, "DELETE", f"{HOOKS}/1")
        assert house.rows("SELECT authorization_sealed, functions_key_sealed FROM registrations")[0] == (None, None)
        audit = house.json("audit")["data"]
        assert [(one["action"], one["parameters"]) for one in audit[:3]] == [
            ("webhook.delete", ""), ("webhook.update", "authorization_token"),
            ("webhook.create", "merchant 303, CASHOUT to https://a.example:443")]
        assert {one["actor"] for one in audit[:3]} == {"user:246"}
        files = [path.read_bytes() for path in house.store_path.parent.iterdir()]
        texts = [answer.content for answer in answers] + files + [server.log.read_bytes(), str(audit).encode()]
        for secret in secrets + [token_of(client), mirror_shop.user["client_secret"]]:
            assert not any(secret.encode() in text for text in texts), secret


class TestKilled:
    def test_right_after_its_answer(self, house, mirror_shop):
        """Whatever was answered is there after kill -9."""
        mirror_shop.moved_to(house)
        steps = [
            ("POST", HOOKS, hook()), ("POST", HOOKS, hook(type_webhook="CASHIN")),
            ("PATCH", f"{HOOKS}/1", {"url": "https://b.example/"}), ("DELETE", f"{HOOKS}/2", None),
        ]
        for method, path, body in steps:
            server = house.serve()
            assert sign_in(server, mirror_shop.user).request(method, path, json=body).status_code in (200, 201)
            server.kill()
        client = sign_in(house.serve(), mirror_shop.user)
        (left,) = client.expect(200, "GET", HOOKS + QUERY)["results"]
        assert (left["webhook_id"], left["url"]) == (1, "https://b.example/")
        rows = house.rows("SELECT deleted_at IS NOT NULL FROM registrations ORDER BY id")
        assert rows == [(0,), (1,)]
