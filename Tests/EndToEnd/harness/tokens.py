"""Users, their access tokens, and tokens made by hand with the server's own key: independent of its code, from the
standard library and openssl."""

import base64
import hashlib
import hmac
import json
import subprocess
import time

AUTH = "/v2/finance/auth-token/"


def new_user(house, account_id=1, **options):
    """What `user create` prints: user_id, client_id, client_secret."""
    flags = [text for name, value in options.items() for text in (f"--{name}", value)]
    return house.json("user", "create", "--account", account_id, *flags)


def pair(user):
    return {"client_id": user["client_id"], "client_secret": user["client_secret"]}


def sign_in(server, user):
    """A client with the user's access token."""
    answer = server.client().expect(200, "POST", AUTH, pair(user))
    assert list(answer) == ["worked", "access_token"] and answer["worked"] is True
    return server.client(answer["access_token"])


def token_of(client):
    return client.session.headers["Authorization"].removeprefix("Bearer ")


def encode(data):
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token):
    """Header and claims."""
    header, claims, _ = token.split(".")
    return json.loads(decode(header)), json.loads(decode(claims))


def forge(header, claims, secret, digest="sha256"):
    """A token signed with HMAC; unsigned where the secret is None."""
    head, body = (encode(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, claims))
    code = hmac.new(secret, f"{head}.{body}".encode(), digest).digest() if secret is not None else b""
    return f"{head}.{body}.{encode(code)}"


def claims_now(user_id):
    """The claims of a token that is valid now."""
    now = int(time.time())
    return {"token_type": "access", "exp": now + 3600, "iat": now, "jti": "00" * 16, "user_id": user_id}


def signing_key(house):
    """`kid` and secret of the newest key, out of the store: AES-256-GCM, of which openssl knows the counter mode."""
    kid, sealed = house.rows("SELECT id, sealed FROM token_keys ORDER BY version DESC LIMIT 1")[0]
    key = base64.b64decode(house.store_path.with_name(house.store_path.name + ".key").read_text())
    nonce, text = sealed[:12], sealed[12:-16]
    done = subprocess.run(
        ["openssl", "enc", "-d", "-aes-256-ctr", "-K", key.hex(), "-iv", (nonce + b"\0\0\0\2").hex()],
        input=text, capture_output=True, check=True, timeout=20,
    )
    return kid, done.stdout


def hmac_header(key, body):
    """The `hmac` header of C 9."""
    return hmac.new(key.encode(), body, hashlib.sha512).hexdigest()
