"""Deliveries through an egress proxy, `REENVIO_EGRESS_PROXY` (decision 4). `ProxyTests.swift` has each way to fail."""

import base64
import json

import pytest

from harness.binary import assert_refused
from harness.delivery_log import first_attempt, paid, wait_for_states
from harness.peers import certificate
from harness.proxy import ConnectProxy
from harness.receiver import Receiver

PASSWORD = "a-pass:word/of@theirs"
ENCODED = "a-pass%3Aword%2Fof%40theirs"


@pytest.fixture
def proxy():
    proxy = ConnectProxy()
    yield proxy
    proxy.close()


class TestDelivering:
    def test_every_webhook_goes_through_it(self, house, shop, proxy, tmp_path):
        """TLS from end to end inside the tunnel, which is used again; the proxy is asked for an address, with the
        credentials, which stand nowhere else."""
        file, context = certificate(tmp_path / "tls", "receiver")
        receiver = Receiver(tls=context)
        receiver.trust(shop.secret)
        server = house.serve(
            REENVIO_EGRESS_PROXY=f"http://reenvio:{ENCODED}@{proxy.address}", REENVIO_TRUST_ROOTS=str(file),
            REENVIO_ALLOW_HTTP_RECEIVERS="false", REENVIO_LOG="trace")
        merchant, operator = server.client(shop.key), server.client(shop.operator_key)
        try:
            for _ in range(3):
                wait_for_states(merchant, paid(merchant, operator, receiver.url()), "acknowledged")
            assert [one.verified for one in receiver.received] == [True] * 3
            credentials = base64.b64encode(f"reenvio:{PASSWORD}".encode()).decode()
            target = receiver.url("").removeprefix("https://")
            assert proxy.heads == [
                f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\nproxy-authorization: Basic {credentials}"]
            assert all(not name.startswith("proxy") for one in receiver.received for name in one.headers)
        finally:
            receiver.close()
        server.stop()
        for secret in (PASSWORD, ENCODED, credentials):
            assert secret not in server.log_text()

    def test_a_forbidden_address_is_not_asked_for(self, house, shop, proxy):
        """Contract 15: made while private receivers were allowed, sent when they are not any more: the proxy hears
        nothing."""
        server = house.serve()
        made = server.client(shop.key).create_payout(notification_url="https://127.0.0.1:9/hook")
        server.stop()
        server = house.serve(
            REENVIO_EGRESS_PROXY=f"http://{proxy.address}", REENVIO_ALLOW_PRIVATE_RECEIVERS="",
            REENVIO_ALLOW_HTTP_RECEIVERS="")
        server.client(shop.operator_key).transition(made["id"], 3)
        _, attempt = first_attempt(server.client(shop.key), made["id"])
        assert attempt["reason"] == "address_forbidden" and proxy.accepted == 0

    @pytest.mark.parametrize("answer, reason", [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "connection_refused"),
        (b"", "connection_failed"), (b"220 mail.example ESMTP\r\n", "malformed_response"),
    ])
    def test_a_proxy_that_makes_no_tunnel(self, house, shop, receiver, proxy, answer, reason):
        proxy.answer = lambda target: answer
        server = house.serve(REENVIO_EGRESS_PROXY=f"http://{proxy.address}", REENVIO_RETRY_SCHEDULE="0s,1h")
        payout_id = paid(server.client(shop.key), server.client(shop.operator_key), receiver.url())
        _, attempt = first_attempt(server.client(shop.key), payout_id)
        assert (attempt["reason"], attempt["status_code"]) == (reason, None) and receiver.count == 0


class TestSetting:
    @pytest.mark.parametrize("text", [
        "proxy:3128", "https://proxy:3128", f"http://me:{PASSWORD}@proxy", "http://proxy:3128/path",
    ])
    def test_a_mistake_is_named_and_not_repeated(self, house, text):
        assert_refused(house.run("serve", REENVIO_EGRESS_PROXY=text), "REENVIO_EGRESS_PROXY", "http://host:port")
        shown = house.run("check", "--json", REENVIO_EGRESS_PROXY=text)
        assert shown.returncode == 1 and PASSWORD not in shown.stdout + shown.stderr

    def test_check_shows_it_without_credentials(self, house):
        text = f"http://me:{ENCODED}@proxy.internal:3128"
        shown = house.json("check", REENVIO_EGRESS_PROXY=text)
        assert shown["settings"]["REENVIO_EGRESS_PROXY"] == "http://proxy.internal:3128 (credentials hidden)"
        assert shown["problems"] == [] and ENCODED not in json.dumps(shown)
        plain = house.json("check", REENVIO_EGRESS_PROXY="http://[fd00::1]:3128")
        assert plain["settings"]["REENVIO_EGRESS_PROXY"] == "http://[fd00::1]:3128"
