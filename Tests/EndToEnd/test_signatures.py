"""That the harness would notice a webhook whose signature is not genuine, whoever receives it."""

import base64
import os

import pytest

from harness import signatures
from harness.examples import HandMade, send
from harness.peers import Crowd, Peer, answers
from harness.receiver import Receiver


def new_secret():
    return "whsec_" + base64.b64encode(os.urandom(24)).decode()


@pytest.fixture(params=["receiver", "peer", "crowd"])
def url(request):
    one = {"receiver": Receiver, "peer": lambda: Peer(answers(200)), "crowd": lambda: Crowd(1)}[request.param]()
    yield one.urls()[0] if request.param == "crowd" else one.url()
    one.close()


def test_an_unknown_secret(url):
    webhook = HandMade(new_secret())
    assert send(url, webhook) == 200
    ((headers, body),) = signatures.take_doubtful()
    assert (headers["webhook-id"], body) == (webhook.id, webhook.body)


def test_a_secret_that_is_learnt_later(url):
    secret, known = new_secret(), signatures.verified()
    assert send(url, HandMade(secret)) == 200
    signatures.learn(f'{{"signing_secret":"{secret}"}}')
    assert signatures.take_doubtful() == [] and signatures.verified() == known + 1


def test_each_of_two_signatures(url):
    """In an overlap both must be genuine."""
    old, new = new_secret(), new_secret()
    signatures.learn(old, new)
    for other, is_genuine in ((new, True), (new_secret(), False)):
        webhook = HandMade(old)
        webhook.headers["webhook-signature"] += " " + webhook.signature(other)
        assert send(url, webhook) == 200
        assert (signatures.take_doubtful() == []) == is_genuine


@pytest.mark.parametrize("headers", [
    {"webhook_signature": None}, {"webhook_signature": ""}, {"webhook_signature": "v1,"}, {"webhook_id": "msg_other"},
    {"webhook_timestamp": "1"}, {"webhook_signature": "nonsense"},
])
def test_headers_that_are_wrong(url, headers):
    secret = new_secret()
    signatures.learn(secret)
    assert send(url, HandMade(secret).with_headers(**headers)) == 200
    assert len(signatures.take_doubtful()) == 1


def test_a_changed_body(url):
    secret = new_secret()
    signatures.learn(secret)
    webhook = HandMade(secret)
    webhook.body = webhook.body.replace(b'"id": ', b'"id":').replace(b'"id":', b'"id": ', 1)
    assert send(url, webhook) == 200
    assert len(signatures.take_doubtful()) == 1
