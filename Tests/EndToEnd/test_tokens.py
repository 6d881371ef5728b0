"""Users and access tokens (C 9): the token endpoint, what is taken for a token and what is not, the commands."""

import hashlib
import json
import re
import subprocess
import time

import pytest

from harness.binary import assert_refused
from harness.client import PAYMENTS
from harness.tokens import (
    AUTH, claims_now, decode, encode, forge, hmac_header, new_user, pair, parts, sign_in, signing_key, token_of,
)
from harness.waiting import eventually

LOGS = "/v3/webhooks/resend"
HOOKS = "/v3/accounts/api/webhooks"
PLAIN = (401, {"message": "Unauthorized"})
NOT_VALID = (401, {"message": "Unauthorized", "code": "token_not_valid"})


@pytest.fixture(scope="module")
def user(shared_house, shared_shop):
    return new_user(shared_house, shared_shop.account_id, id=246)


@pytest.fixture(scope="module")
def signed_in(shared_server, user):
    return sign_in(shared_server, user)


@pytest.fixture(scope="module")
def key(shared_house, signed_in):
    """`kid` and secret: made by the first sign-in."""
    return signing_key(shared_house)


def ask(server, token):
    """Status and body of a request of v3 with that token."""
    answer = server.client(token).get(LOGS)
    return answer.status_code, answer.json()


class TestSignIn:
    def test_claims_as_documented(self, shared_house, signed_in, key):
        """HS256; token_type, exp, iat, jti of 32 hex digits, user_id; an hour."""
        header, claims = parts(token_of(signed_in))
        assert header == {"alg": "HS256", "typ": "JWT", "kid": key[0]}
        assert set(claims) == {"token_type", "exp", "iat", "jti", "user_id"}
        assert claims["token_type"] == "access" and claims["user_id"] == 246
        assert claims["exp"] - claims["iat"] == 3600 and abs(claims["iat"] - time.time()) < 60
        assert re.fullmatch("[0-9a-f]{32}", claims["jti"])

    def test_the_signature_is_that_of_the_key(self, signed_in, key):
        """What openssl and `hmac` make of the stored key signs exactly this token."""
        token = token_of(signed_in)
        head, body, _ = token.split(".")
        assert forge(decode(head), decode(body), key[1]) == token

    @pytest.mark.parametrize("path", [AUTH, AUTH.rstrip("/")])
    def test_with_and_without_the_slash(self, shared_server, user, path):
        answer = shared_server.client().post(path, pair(user))
        assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
        assert ask(shared_server, answer.json()["access_token"])[0] == 200

    def test_a_wrong_pair(self, shared_server, user):
        for wrong in ({"client_id": "x"}, {"client_secret": "x"}, {"client_secret": user["client_secret"].upper()}):
            answer = shared_server.client().post(AUTH, pair(user) | wrong)
            assert (answer.status_code, answer.json()) == PLAIN
            assert answer.headers["www-authenticate"] == "Bearer"

    def test_missing_fields_with_the_words_of_v2(self, shared_server):
        answer = shared_server.client().post(AUTH, {"client_id": ""})
        assert (answer.status_code, answer.json()) == (422, {"message": "Validation error.", "errors": {
            "client_id": ["The client_id field is required."],
            "client_secret": ["The client_secret field is required."],
        }})

    def test_guessing_is_stopped(self, shared_server, user):
        """C 4.4: after the 21st failure such a pair is 429; the right one passes."""
        client = shared_server.client()
        codes = [client.post(AUTH, pair(user) | {"client_secret": "x"}).status_code for _ in range(22)]
        assert codes == [401] * 21 + [429]
        assert client.post(AUTH, pair(user) | {"client_secret": "x"}).status_code == 429
        assert client.post(AUTH, pair(user)).status_code == 200

    def test_audit(self, house, shop):
        server = house.serve()
        sign_in(server, new_user(house, id=246))
        row = house.json("audit")["data"][0]
        assert (row["action"], row["actor"], row["target"]) == ("user.sign-in", "user:246", "user 246")
        assert row["address"].startswith("198.51.") and row["request_id"]


class TestOneKindPerDialect:
    def test_a_token_on_v2(self, shared_server, signed_in):
        for path in (PAYMENTS, "/v2/audit"):
            answer = signed_in.get(path)
            assert (answer.status_code, answer.json()) == PLAIN
            assert answer.headers["www-authenticate"] == "Bearer"

    def test_a_key_on_v3(self, shared_server, shared_shop):
        for one in (shared_shop.key, shared_shop.operator_key):
            assert ask(shared_server, one) == NOT_VALID

    def test_none_at_all(self, shared_server):
        """The code is for a token that is there."""
        assert ask(shared_server, None) == PLAIN


class TestForged:
    """C 9: each is 401 with the code, and a forged one that is right in everything is 200."""

    def test_the_forger_knows_how(self, shared_server, key):
        kid, secret = key
        within_the_leeway = {"exp": int(time.time()) - 5}
        for changed in ({}, within_the_leeway):
            assert ask(shared_server, forge({"alg": "HS256", "kid": kid}, claims_now(246) | changed, secret))[0] == 200

    @pytest.mark.parametrize("changed", [
        {"exp": 1}, {"exp": 60}, {"exp": None}, {"exp": "9999999999"}, {"token_type": "refresh"}, {"token_type": None},
        {"user_id": 999}, {"user_id": "246"}, {"user_id": 246.5}, {"user_id": None}, {"user_id": True},
    ], ids=str)
    def test_claims(self, shared_server, key, changed):
        kid, secret = key
        if changed.get("exp") == 60:
            changed = {"exp": int(time.time()) - 60}
        token = forge({"alg": "HS256", "kid": kid}, claims_now(246) | changed, secret)
        assert ask(shared_server, token) == NOT_VALID

    @pytest.mark.parametrize("header", [
        {"alg": "none"}, {"alg": "None"}, {"alg": ""}, {"alg": None}, {}, {"alg": "hs256"}, {"alg": "HS512"},
        {"alg": "RS256"}, {"alg": ["HS256"]}, {"alg": "HS256", "crit": ["exp"]},
    ], ids=str)
    def test_headers(self, shared_server, key, header):
        """Signed with the right key all the same, and then not signed at all."""
        kid, secret = key
        for signer in (secret, None):
            assert ask(shared_server, forge(header | {"kid": kid}, claims_now(246), signer)) == NOT_VALID

    def test_another_algorithm_with_the_right_key(self, shared_server, key):
        kid, secret = key
        token = forge({"alg": "HS512", "kid": kid}, claims_now(246), secret, hashlib.sha512)
        assert ask(shared_server, token) == NOT_VALID

    def test_rs256_confused(self, shared_server, key, tmp_path):
        """Signed with an RSA key, and with HMAC over the text of its public key."""
        run = lambda *command, **more: subprocess.run(command, capture_output=True, check=True, timeout=60, **more).stdout
        private = tmp_path / "rsa.pem"
        private.write_bytes(run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"))
        public = run("openssl", "pkey", "-in", private, "-pubout")
        header = {"alg": "RS256", "kid": key[0]}
        signed = forge(header, claims_now(246), None).rstrip(".")
        signature = run("openssl", "dgst", "-sha256", "-sign", private, input=signed.encode())
        assert ask(shared_server, f"{signed}.{encode(signature)}") == NOT_VALID
        for alg in ("RS256", "HS256"):
            assert ask(shared_server, forge(header | {"alg": alg}, claims_now(246), public)) == NOT_VALID

    @pytest.mark.parametrize("kid", [None, "", "0011223344556677", 7], ids=str)
    def test_unknown_kid(self, shared_server, key, kid):
        assert ask(shared_server, forge({"alg": "HS256", "kid": kid}, claims_now(246), key[1])) == NOT_VALID
        assert ask(shared_server, forge({"alg": "HS256"}, claims_now(246), key[1])) == NOT_VALID

    def test_unsigned_or_changed(self, shared_server, signed_in, key):
        token = token_of(signed_in)
        head, body, signature = token.split(".")
        flipped = bytearray(decode(signature))
        flipped[0] ^= 1
        other = encode(json.dumps(claims_now(1)).encode())
        for text in (f"{head}.{body}.", f"{head}.{body}", f"{head}.{other}.{signature}",
                     f"{head}.{body}.{encode(flipped)}", token + "=", token + ".", "a.b.c", "..", "x" * 3_000):
            assert ask(shared_server, text) == NOT_VALID, text


class TestUsersEnd:
    def test_deactivated_is_refused_at_once(self, house, shop):
        server = house.serve()
        user = new_user(house, id=246)
        client = sign_in(server, user)
        assert client.get(LOGS).status_code == 200
        done = house.json("user", "deactivate", "--id", 246)
        assert done["user_id"] == 246 and house.json("user", "deactivate", "--id", 246) == done
        answer = client.get(LOGS)
        assert (answer.status_code, answer.json()) == NOT_VALID
        answer = server.client().post(AUTH, pair(user))
        assert (answer.status_code, answer.json()) == PLAIN


class TestRotation:
    def test_beside_a_running_server(self, house, shop):
        """The two newest keys are valid; a server follows within seconds, and knows a new kid at once."""
        server = house.serve()
        user = new_user(house, id=246)
        first = sign_in(server, user)
        kid = house.json("token-key", "rotate")["kid"]
        assert signing_key(house)[0] == kid
        assert ask(server, forge({"alg": "HS256", "kid": kid}, claims_now(246), signing_key(house)[1]))[0] == 200
        assert first.get(LOGS).status_code == 200
        second = eventually(
            lambda: parts(token_of(client := sign_in(server, user)))[0]["kid"] == kid and client, "the new key signed")
        house.json("token-key", "rotate")
        eventually(lambda: first.get(LOGS).status_code == 401, "the oldest key was forgotten", within=5)
        assert second.get(LOGS).status_code == 200

    def test_tokens_outlive_the_process(self, house, shop):
        server = house.serve()
        token = token_of(sign_in(server, new_user(house)))
        server.kill()
        assert ask(house.serve(), token)[0] == 200


class TestCommands:
    def test_create(self, house, shop):
        made = new_user(house, id=246, merchants="303")
        assert list(made) == ["user_id", "client_id", "client_secret"] and made["user_id"] == 246
        assert re.fullmatch("[0-9a-f]{32}", made["client_id"]) and re.fullmatch("[0-9a-f]{64}", made["client_secret"])
        assert new_user(house)["user_id"] == 247
        secret_hash, everything = house.rows("SELECT secret_hash, all_merchants FROM users WHERE id = 246")[0]
        assert secret_hash == hashlib.sha256(made["client_secret"].encode()).digest() and everything == 0
        assert made["client_secret"].encode() not in house.store_path.read_bytes()
        said = house.run("user", "create", "--account", 1).stdout
        assert "client id" in said and "only now" in said

    def test_misuse(self, house, shop):
        new_user(house, id=246)
        for arguments, word in [
            (("create", "--account", 9), "9"), (("create", "--account", 1, "--id", 246), "246"),
            (("create", "--account", 1, "--id", 0), "--id"),
            (("create", "--account", 1, "--merchants", "x"), "--merchants"),
            (("create", "--account", 1, "--merchants", "303,404"), "404"), (("deactivate", "--id", 9), "9"),
            (("create", "--account", 1, "--merchants", ""), "--merchants"),
            (("hmac-key", "--id", 9), "9"), (("hmac-key", "--id", 246, "--key", ""), "--key"),
        ]:
            assert_refused(house.run("user", *arguments, "--json"), word)
        assert house.one("SELECT count(*) FROM users") == 1
        assert house.run("user", "create").returncode == 64

    def test_the_hmac_key_is_shown_once_and_sealed(self, house, shop):
        new_user(house, id=246)
        key = house.json("user", "hmac-key", "--id", 246)["hmac_key"]
        assert re.fullmatch("[0-9a-f]{64}", key)
        assert house.json("user", "hmac-key", "--id", 246, "--key", "hmac-test-0001") == {"hmac_key": "hmac-test-0001"}
        (sealed,) = house.rows("SELECT hmac_sealed FROM users")[0]
        assert b"hmac-test-0001" not in sealed and key.encode() not in sealed
        actions = [(row["action"], row["target"]) for row in house.json("audit")["data"]][:3]
        assert actions == [("user.hmac-key", "user 246")] * 2 + [("user.create", "user 246")]


class TestSignedBodies:
    """C 9: the `hmac` header, over the bytes as they come."""

    BODY = b'{"url":"https://receiver.example/hook","type_webhook":"CASHOUT"}'
    VECTOR = (
        "cad56756e8ec81b458dc72b7afb90f976d183c3449882befcc0788c0e1c00cf4"
        "b001967943b66088388d2e6f005b80a09d20abc93663e9a12ad92ef38fb3b88e"
    )

    def test_the_contracts_vector(self, house, shop):
        """Signed as published the body is looked at, one bit off it is not."""
        server = house.serve()
        client = sign_in(server, new_user(house, id=246))
        post = lambda body, header: client.request(
            "POST", HOOKS, data=body, headers={"Content-Type": "application/json"} | ({"hmac": header} if header else {}))
        assert post(self.BODY, None).status_code == 422
        house.json("user", "hmac-key", "--id", 246, "--key", "hmac-test-0001")
        assert hmac_header("hmac-test-0001", self.BODY) == self.VECTOR
        assert post(self.BODY, self.VECTOR).status_code == 422
        first = int(self.VECTOR[0], 16)
        for bit in range(4):
            answer = post(self.BODY, f"{first ^ 1 << bit:x}" + self.VECTOR[1:])
            assert (answer.status_code, answer.json()) == PLAIN
        for body, header in [(self.BODY, None), (self.BODY + b" ", self.VECTOR), (self.BODY, self.VECTOR[:-1]),
                             (b"{", self.VECTOR), (self.BODY, self.VECTOR + "00")]:
            answer = post(body, header)
            assert (answer.status_code, answer.json()) == PLAIN
        assert post(b"{", hmac_header("hmac-test-0001", b"{")).status_code == 400
