"""Every webhook that reaches a receiver of this suite, verified with the PyPI package `standardwebhooks`: each value of its
`webhook-signature`, one by one, so that in an overlap both are genuine. The fixture `every_signature` fails the test in
which one is not.

Secrets are known as soon as a command or an answer shows one. Not seen here: what goes to the programs of `Examples/` and
to `reenvio receiver`, which verify for themselves."""

import contextlib
import re
import threading
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{32,}=*")
LEARNT_WITHIN_S = 5.0


class AtAnyTime(Webhook):
    """Verifies what a server with a wrong clock signs: everything but how old it is."""

    def _Webhook__verify_timestamp(self, header):
        return datetime.fromtimestamp(float(header), tz=timezone.utc)



_lock = threading.Lock()
_secrets = {}
_doubtful = []
_verified = 0
_kind = Webhook


def learn(*texts):
    """Notes every signing secret in these texts."""
    found = {secret for text in texts for secret in SECRET.findall(text)}
    with _lock:
        for secret in found - set(_secrets):
            _secrets[secret] = _kind(secret)


@contextlib.contextmanager
def of_wrong_clocks():
    """For a test whose servers' clocks are wrong: timestamps are not compared with the time."""
    _use(AtAnyTime)
    try:
        yield
    finally:
        _use(Webhook)


def _use(kind):
    global _kind
    with _lock:
        _kind = kind
        for secret in _secrets:
            _secrets[secret] = kind(secret)


def note(headers, body):
    """A webhook came. Header names are lower case."""
    global _verified
    if _is_genuine(headers, body):
        with _lock:
            _verified += 1
    else:
        with _lock:
            _doubtful.append((dict(headers), body))


def verified():
    """How many webhooks were verified in this run."""
    return _verified


def take_doubtful():
    """Those that no known secret has signed, also of secrets that were learnt since they came; they are forgotten."""
    global _verified
    with _lock:
        looked, _doubtful[:] = _doubtful[:], []
    still = [one for one in looked if not _is_genuine(*one)]
    with _lock:
        _verified += len(looked) - len(still)
    return still


def are_doubtful():
    """Whether there are any now that no known secret has signed."""
    still = take_doubtful()
    put_back(still)
    return bool(still)


def put_back(doubtful):
    with _lock:
        _doubtful.extend(doubtful)


def _is_genuine(headers, body):
    values = headers.get("webhook-signature", "").split(" ")
    return all(_is_signed(headers | {"webhook-signature": value}, body) for value in values)


def _is_signed(headers, body):
    with _lock:
        # The secret that fitted last stands last.
        known = list(_secrets.items())[::-1]
    for secret, webhook in known:
        try:
            webhook.verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError):
            continue
        if secret != known[0][0]:
            with _lock:
                _secrets[secret] = _secrets.pop(secret)
        return True
    return False
