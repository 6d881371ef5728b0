"""SIGTERM behind a balancer: not ready first, everything else as before, then the port closes (C 10, architecture)."""

import json
import signal
import socket
import time

import pytest
import requests

from harness.bodies import payout_body
from harness.client import PAYMENTS, connect, raw_request, read_answer, read_one_answer
from harness.waiting import eventually

LONG = "120s"


def code_of(server, path, key=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return requests.get(server.url + path, headers=headers, timeout=10).status_code


def refuses(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def ended(server, within=10):
    code = server.process.wait(within)
    server.process.stdout.close()
    return code


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_not_ready_while_everything_works_and_the_second_signal_skips_the_rest(house, shop, receiver, first):
    server = house.serve(REENVIO_DRAIN_DELAY=LONG)
    operator = server.client(shop.operator_key)
    assert code_of(server, "/readyz") == 200
    server.process.send_signal(first)
    eventually(lambda: code_of(server, "/readyz") == 503, "/readyz answered 503", within=5)
    assert requests.get(server.url + "/readyz", timeout=10).json() == {"message": "Service unavailable."}
    assert code_of(server, "/healthz") == 200
    payout = operator.expect(201, "POST", PAYMENTS, payout_body(merchant_id=303, notification_url=receiver.url()))
    operator.transition(payout["id"], 3)
    assert len(receiver.wait_for_acknowledged(1)) == 1, "deliveries go on"
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert ended(server) == 0
    assert refuses(server.address)
    stopping = [json.loads(line) for line in server.log_text().splitlines() if '"stopping"' in line]
    assert [(one["level"], one["drain_seconds"]) for one in stopping] == [("notice", "120")]


def test_the_delay_ends_by_itself(house, shop):
    server = house.serve(REENVIO_DRAIN_DELAY="2s")
    server.process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    eventually(lambda: code_of(server, "/readyz") == 503, "/readyz answered 503", within=2)
    assert not refuses(server.address)
    assert ended(server, within=12) == 0
    assert time.monotonic() - started >= 1.8


def test_connections_are_told_to_go(house, shop):
    """From the signal on each answer says `Connection: close` and ends its connection; one before it did not."""
    server = house.serve(REENVIO_DRAIN_DELAY=LONG)
    request = raw_request("GET", f"{PAYMENTS}/999999", key=shop.key)
    with connect(server) as kept, connect(server) as other:
        for connection in (kept, other):
            connection.sendall(request)
            status, headers, _ = read_answer(connection, "GET")
            assert status == 404 and "connection" not in headers
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: code_of(server, "/readyz") == 503, "/readyz answered 503", within=5)
        # Two at once: the last one says it.
        kept.sendall(request + request)
        assert "connection" not in read_one_answer(kept)[1]
        assert read_one_answer(kept)[1]["connection"] == "close"
        assert kept.recv(1) == b""
        # An idle one is closed with the port.
        server.process.send_signal(signal.SIGTERM)
        other.settimeout(10)
        assert other.recv(1) == b""
    assert ended(server) == 0


def test_a_request_under_way_is_answered(house, shop):
    """Its body comes after the port has closed."""
    server = house.serve()
    body = json.dumps(payout_body()).encode()
    with connect(server) as connection:
        connection.sendall(raw_request("POST", PAYMENTS, body, shop.key)[: -len(body)])
        # The head has been read once the server asks for the body of another one.
        connection.sendall(body[:5])
        with connect(server) as probe:
            probe.sendall(raw_request("GET", "/healthz"))
            read_answer(probe, "GET")
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: refuses(server.address), "the port closed", within=5)
        connection.sendall(body[5:])
        status, headers, _ = read_answer(connection)
        assert status == 201 and headers["connection"] == "close"
    assert ended(server) == 0
    assert house.one("SELECT count(*) FROM payouts") == 1


def test_without_the_setting_the_port_closes_at_once(house, shop):
    server = house.serve()
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: refuses(server.address), "the port closed", within=2)
    assert ended(server) == 0


def test_both_listeners(house, shop):
    """With an admin address, /readyz there says it and both ports stay open."""
    server = house.serve(REENVIO_DRAIN_DELAY=LONG, REENVIO_ADMIN_LISTEN="127.0.0.1:0")
    admin = "http://" + json.loads(server.announced)["admin"]
    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: requests.get(admin + "/readyz", timeout=10).status_code == 503, "/readyz answered 503", within=5)
    assert requests.get(admin + "/metrics", timeout=10).status_code == 200
    assert code_of(server, PAYMENTS, shop.key) == 200
    server.process.send_signal(signal.SIGTERM)
    assert ended(server) == 0


@pytest.mark.parametrize("text", ["soon", "301s", "6m", "-1s", "10"])
def test_a_delay_that_is_none_is_named(house, shop, text):
    done = house.run("check", REENVIO_DRAIN_DELAY=text)
    assert done.returncode == 1
    assert "REENVIO_DRAIN_DELAY must be a time of at most 5m, such as 10s" in done.stdout + done.stderr
