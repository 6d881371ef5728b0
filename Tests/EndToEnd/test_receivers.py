"""The receivers of `docs/receiving-webhooks.md`, one and the same in five languages: what Reenvio sends them, and what
nobody should get past them. Each is asked what it answers, and looked up what it has stored."""

import base64
import fcntl
import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.bodies import window
from harness.client import raw_request, send_together
from harness.examples import RECEIVERS, SWIFT_RECEIVER, ExampleReceiver, HandMade, record_arguments
from harness.waiting import eventually

BODY_BYTES_MAX = 64 * 1024
OTHER_SECRET = "whsec_" + base64.b64encode(b"another-merchants-secret").decode()


@pytest.fixture(scope="module")
def server(shared_house, shared_shop):
    return shared_house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s,1s")


@pytest.fixture(scope="module", params=RECEIVERS)
def example(request, shared_house, shared_shop, tmp_path_factory):
    """Running, with the secret of a merchant of its own."""
    assert SWIFT_RECEIVER, "ReceiverExample is missing: swift build --build-tests makes it"
    merchant = shared_house.json("merchant", "create", "--account", shared_shop.account_id, "--name", request.param)
    # A blank in the path, as on other people's machines.
    folder = tmp_path_factory.mktemp(f"{request.param} receiver")
    example = ExampleReceiver(request.param, folder, merchant["signing_secret"])
    example.merchant_id = merchant["merchant_id"]
    assert not example.start().has_ended, (folder / "receiver.log").read_text()
    yield example
    example.kill()


@pytest.fixture
def hand_made(example):
    return lambda **fields: HandMade(example.secret, **fields)


def assert_refused(example, webhook, code):
    before = example.events()
    assert example.take(webhook) == code
    assert example.events() == before


def waits_for_lock(inode):
    with open("/proc/locks") as locks:
        return any("->" in line and f":{inode} " in line for line in locks)


class TestFromReenvio:
    def test_stores_each_change_once(self, example, server, shared_house, shared_shop):
        """C 3: live webhooks are stored with the bytes that were sent; a resend of one is acknowledged, not stored again."""
        client, operator = server.client(shared_shop.key), server.client(shared_shop.operator_key)
        payout_id = client.create_payout(merchant_id=example.merchant_id, notification_url=example.url)["id"]
        for count, status_id in enumerate((1, 3), start=1):
            operator.transition(payout_id, status_id)
            eventually(lambda: len(example.events()) == count, f"{count} events were stored")
        rows = shared_house.rows("SELECT sequence, body FROM notifications WHERE payout_id = ? ORDER BY id", payout_id)
        assert [(one["sequence"], one["body"].encode()) for one in example.events()] == rows
        assert [(one["payout_id"], one["sequence"]) for one in example.events()] == [(payout_id, 2), (payout_id, 3)]

        job_id, _ = client.dispatch(window(example.merchant_id))
        eventually(
            lambda: len(shared_house.rows("SELECT 1 FROM settled WHERE object_id = ?", payout_id)) == 3,
            "both live deliveries and the resend's were settled",
        )
        states = shared_house.rows("SELECT state, attempts FROM settled WHERE object_id = ?", payout_id)
        assert states == [("acknowledged", 1)] * 3 and shared_house.deliveries_of(job_id) == {payout_id: 1}
        assert len(example.events()) == 2


class TestSignature:
    @pytest.mark.parametrize("age_s", [0, 270, -270])
    def test_a_genuine_one(self, example, hand_made, age_s):
        """Signed within the last five minutes, or as much ahead, since clocks differ."""
        webhook = hand_made(age_s=age_s)
        assert example.take(webhook) == 200
        assert [one["body"].encode() for one in example.stored(webhook.id)] == [webhook.body]

    def test_the_bytes_as_they_came(self, example, hand_made):
        """The signature is over the raw body: blanks, escapes and unknown members are none of its business."""
        body = ' {"status":{"id":3},"id":9000001, "new":[1.50,"\\u00e9é\\/"]}\n'.encode()
        webhook = hand_made(body=body)
        assert example.take(webhook) == 200
        (stored,) = example.stored(webhook.id)
        assert stored["body"].encode() == body and stored["payout_id"] == 9000001

    def test_one_of_two_signatures(self, example, hand_made):
        """C 3.2: while a secret is changed, `webhook-signature` has two values, in any order."""
        for order in ([OTHER_SECRET, example.secret], [example.secret, OTHER_SECRET]):
            webhook = hand_made()
            webhook.with_headers(webhook_signature=" ".join(map(webhook.signature, order)))
            assert example.take(webhook) == 200
            assert len(example.stored(webhook.id)) == 1

    def test_another_body(self, example, hand_made):
        webhook = hand_made(status_id=4)
        webhook.body = webhook.body.replace(b'"id":4', b'"id":3')
        assert_refused(example, webhook, 401)

    @pytest.mark.parametrize("header, value", [
        ("webhook-id", "msg_SomebodyElsesWebhook"), ("webhook-timestamp", str(2**31)), ("webhook-timestamp", "now"),
        ("webhook-signature", "v1,"), ("webhook-signature", "* $(id) v1"), ("webhook-signature", "v1," + "A" * 43 + "="),
        ("webhook-id", None), ("webhook-timestamp", None), ("webhook-signature", None),
    ])
    def test_a_header_changed_or_missing(self, example, hand_made, header, value):
        webhook = hand_made()
        assert_refused(example, webhook.with_headers(**{header: value}), 401)

    def test_another_secret(self, example):
        assert_refused(example, HandMade(OTHER_SECRET), 401)

    def test_an_empty_id(self, example, hand_made):
        """It would make every webhook a duplicate of the first."""
        webhook = hand_made()
        webhook.id = ""
        webhook.with_headers(webhook_id="", webhook_signature=webhook.signature(example.secret))
        assert_refused(example, webhook, 401)

    @pytest.mark.parametrize("age_s", [360, -360])
    def test_a_stale_one(self, example, hand_made, age_s):
        """What was signed long ago may be a recording."""
        assert_refused(example, hand_made(age_s=age_s), 401)


class TestDuplicatesAndOrder:
    def test_the_same_id_again(self, example, hand_made):
        """C 3.2: `webhook-id` stays the same on retries and resends; the second is acknowledged and changes nothing."""
        webhook = hand_made()
        assert [example.take(webhook), example.take(webhook)] == [200, 200]
        assert len(example.stored(webhook.id)) == 1

    def test_the_same_id_at_the_same_moment(self, example, hand_made):
        """Over connections of their own, the last byte of each at the same time."""
        for _ in range(1 if example.language == "bash" else 5):
            webhook = hand_made()
            answers = send_together(example, raw_request("POST", "/", webhook.body, headers=webhook.headers), 8)
            assert [code for code, _, _ in answers] == [200] * 8
            assert len(example.stored(webhook.id)) == 1

    @pytest.mark.parametrize("example", ["php", "bash"], indirect=True)
    def test_the_file_is_locked_from_the_check_on(self, example, hand_made):
        """Where each request is a process: while one is between its check and its line, another waits."""
        assert example.take(hand_made()) == 200
        webhook = hand_made()
        with ThreadPoolExecutor(1) as pool, open(example.events_file, "a") as events:
            fcntl.flock(events, fcntl.LOCK_EX)
            answer = pool.submit(example.take, webhook)
            inode = os.stat(example.events_file).st_ino
            eventually(lambda: answer.done() or waits_for_lock(inode), "the receiver waited for the lock")
            events.write(json.dumps({"webhook_id": webhook.id, "payout_id": webhook.payout_id, "sequence": 2}) + "\n")
            events.flush()
            fcntl.flock(events, fcntl.LOCK_UN)
            assert answer.result(30) == 200
        assert len(example.stored(webhook.id)) == 1

    def test_an_older_one_after_a_newer_one(self, example, hand_made):
        """C 3.4: receivers order by `x-webhook-sequence`, per payout, as a number."""
        newer = hand_made(sequence=10)
        older = hand_made(payout_id=newer.payout_id, sequence=9, status_id=1)
        newest = hand_made(payout_id=newer.payout_id, sequence=11)
        other = hand_made(sequence=2)
        assert [example.take(one) for one in (newer, older, newest, other)] == [200] * 4
        assert [len(example.stored(one.id)) for one in (newer, older, newest, other)] == [1, 0, 1, 1]

    @pytest.mark.parametrize("sequence", [None, "", "two", "$(id)"])
    def test_no_sequence(self, example, hand_made, sequence):
        assert_refused(example, hand_made().with_headers(x_webhook_sequence=sequence), 400)


class TestWhatElseComesIn:
    def test_the_largest_body_and_one_byte_more(self, example, hand_made):
        largest = b'{"id":9000002}'.rjust(BODY_BYTES_MAX)
        webhook = hand_made(body=largest)
        assert example.take(webhook) == 200
        assert len(example.stored(webhook.id)) == 1
        before = example.events()
        assert example.take(hand_made(body=largest + b" ")) in (413, None)
        assert example.events() == before

    def test_something_signed_that_is_no_payout(self, example, hand_made):
        for body in (b"[", b"[]", b'"id"', b"{}", b'{"id":null}'):
            assert_refused(example, hand_made(body=body), 400)

    def test_no_post(self, example, hand_made):
        webhook = hand_made()
        request = "".join(f"{name}: {value}\r\n" for name, value in webhook.headers.items())
        with socket.create_connection(("127.0.0.1", example.port), timeout=10) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: example\r\n{request}\r\n".encode())
            assert b" 200 " not in connection.recv(4096).splitlines()[0]
        assert example.stored(webhook.id) == []

    def test_a_client_that_stalls(self, example, hand_made):
        """Half a request holds up nobody else."""
        with socket.create_connection(("127.0.0.1", example.port), timeout=10) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: example\r\nContent-Length: 10\r\n\r\n{")
            assert example.take(hand_made()) == 200


class TestStoring:
    @pytest.fixture
    def own(self, example, tmp_path):
        """One in the same language that a test may kill."""
        own = ExampleReceiver(example.language, tmp_path, example.secret)
        yield own.start()
        own.kill()

    def test_what_is_stored_outlives_a_kill(self, own, hand_made):
        """After kill -9 it knows ids and order as before, and a line that was cut off spoils no other."""
        first, second = hand_made(sequence=5), hand_made()
        assert own.take(first) == 200
        own.kill()
        with open(own.events_file, "a") as events:
            events.write('{"webhook_id":"' + second.id)
        own.start()
        older = hand_made(payout_id=first.payout_id, sequence=4)
        assert [own.take(one) for one in (first, second, older)] == [200] * 3
        assert [one["webhook_id"] for one in own.events()] == [first.id, second.id]

    def test_what_is_not_on_disk_is_not_acknowledged(self, example, tmp_path, hand_made):
        """`/dev/null` takes every write and refuses to sync; the same webhook is refused again, not taken for known."""
        receiver = ExampleReceiver(example.language, tmp_path, example.secret, events_file="/dev/null").start()
        try:
            webhook = hand_made()
            assert [receiver.take(webhook), receiver.take(webhook)] == [500, 500]
        finally:
            receiver.kill()

    @pytest.mark.parametrize("secret", [None, "", "whsec_", "whsec_c2hvcnQ=", "no-secret-but-long-enough-to-be-one"])
    def test_without_a_secret_it_takes_nothing(self, example, tmp_path, secret):
        """An empty key would verify what anybody signs with an empty key."""
        receiver = ExampleReceiver(example.language, tmp_path, secret).start()
        try:
            for key in ("whsec_", "whsec_c2hvcnQ="):
                assert receiver.take(HandMade(key)) in (500, None)
            assert receiver.has_ended or receiver.language == "php"
            assert receiver.events() == []
        finally:
            receiver.kill()

    def test_it_shows_nobody_the_key(self, tmp_path):
        """What bash runs gets neither the key in any form nor the body as an argument; no file is left behind."""
        key = bytes(range(0x80, 0xA0))
        path, record = record_arguments(tmp_path)
        left = tmp_path / "temporary"
        left.mkdir()
        receiver = ExampleReceiver("bash", tmp_path, "whsec_" + base64.b64encode(key).decode())
        receiver.start(PATH=path, TMPDIR=str(left))
        try:
            webhook = HandMade(receiver.secret)
            assert receiver.take(webhook) == 200
        finally:
            receiver.kill()
        assert list(left.iterdir()) == []
        arguments = record.read_text()
        assert "openssl " in arguments and "jq " in arguments and webhook.id in arguments
        for form in (base64.b64encode(key).decode(), key.hex(), " ".join(map(str, key)), "invoice-"):
            assert form not in arguments
