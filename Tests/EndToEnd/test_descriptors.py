"""Few open files: callers never take what deliveries and the store need, and a moment without any heals by itself
(contract 3.4, docs/operations.md)."""

import json
import os
import subprocess
import time

import pytest
import requests

from harness.binary import BINARY
from harness.client import connect, create_payouts, raw_request, read_short_answer
from harness.metrics import sample
from harness.waiting import eventually

LIMIT = 256
INBOUND = 32
"""What a limit of 256 leaves to callers: 96 are not for deliveries, 64 of them for the store and the system."""
WATCH_S = 3


def open_files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def set_limit(server, files):
    subprocess.run(["prlimit", f"--pid={server.process.pid}", f"--nofile={files}:{LIMIT}"], check=True, timeout=60)


def cpu_seconds(server):
    fields = open(f"/proc/{server.process.pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lines(server, beginning):
    found = [json.loads(line) for line in server.log_text().splitlines() if line.startswith("{")]
    return [one for one in found if one["message"].startswith(beginning)]


@pytest.fixture
def server(house, shop):
    return house.serve(
        command=["prlimit", f"--nofile={LIMIT}:{LIMIT}", str(BINARY), "serve"], REENVIO_RETRY_SCHEDULE="0s,1h")


def test_the_longest_idle_gives_way(server, shop):
    """Three times as many callers as there is room for, each with a request answered: every one is answered, those that
    came first are closed."""
    connections = []
    for _ in range(3 * INBOUND):
        connections.append(connect(server))
        connections[-1].settimeout(120)
        connections[-1].sendall(raw_request("GET", "/healthz"))
        assert read_short_answer(connections[-1])[0] == 200
    assert open_files(server) < LIMIT - 32
    assert connections[0].recv(1) == b"", "the first one was closed"
    connections[-1].sendall(raw_request("GET", "/healthz"))
    assert read_short_answer(connections[-1])[0] == 200, "the last one is open"
    for one in connections:
        one.close()
    assert requests.get(server.url + "/readyz", timeout=120).status_code == 200


def test_callers_leave_deliveries_their_descriptors(server, house, shop, receiver):
    """Connections that say nothing, as many as a flood brings: the webhooks go out all the same, no attempt is spent."""
    made = create_payouts(server, shop, 60, receiver.url(), connections=8)
    silent = [connect(server) for _ in range(LIMIT)]
    operator = server.client(shop.operator_key)
    operator.transition_all(made, 3)
    receiver.wait_for_acknowledged(60, within=120)
    eventually(lambda: house.one("SELECT count(*) FROM settled") == 60, "every attempt is written", 60)
    assert house.rows("SELECT DISTINCT number, status_code FROM attempts") == [(1, 200)]
    assert server.process.poll() is None
    for one in silent:
        one.close()


def test_a_moment_without_descriptors(server, house, shop, receiver):
    """The limit falls below what is open: nothing is accepted or dialed, nobody spins and no attempt is spent; when it rises
    again everything goes on, without a restart."""
    ids = create_payouts(server, shop, 20, receiver.url(), connections=4)
    operator = server.client(shop.operator_key)
    operator.transition_all(ids[:10], 3)
    receiver.wait_for_acknowledged(10)
    kept = connect(server)
    kept.settimeout(120)
    kept.sendall(raw_request("GET", "/healthz"))
    read_short_answer(kept)
    set_limit(server, 16)
    waiting = [connect(server) for _ in range(4)]
    for one in waiting:
        one.settimeout(120)
        one.sendall(raw_request("GET", "/healthz"))
    spent = cpu_seconds(server)
    time.sleep(WATCH_S)
    assert cpu_seconds(server) - spent < WATCH_S / 2, "the server spins"
    kept.sendall(raw_request("GET", "/healthz"))
    assert read_short_answer(kept)[0] == 200, "who is connected is answered"
    set_limit(server, LIMIT)
    for one in waiting:
        assert read_short_answer(one)[0] == 200, "who waited is answered"
        one.close()
    operator = server.client(shop.operator_key)
    operator.transition_all(ids[10:], 3)
    receiver.wait_for_acknowledged(20, within=60)
    eventually(lambda: house.one("SELECT count(*) FROM settled") == 20, "every attempt is written", 60)
    assert house.rows("SELECT DISTINCT number, status_code FROM attempts") == [(1, 200)]
    assert sample(operator, "reenvio_accept_pauses_total") > 0
    assert len(lines(server, "connections are accepted with pauses")) == 1, "one line a minute"
