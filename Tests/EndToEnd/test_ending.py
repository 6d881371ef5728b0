"""SIGTERM ends a server whatever hangs: the database, a row that somebody locks, the reader of its log; and standard files that
were closed when it was started (docs/operations.md)."""

import json
import os
import signal
import subprocess
import threading
import time

import pytest
import requests

from harness.binary import BINARY, LOOPBACK_RECEIVERS, Server
from harness.bodies import payout_body
from harness.client import PAYMENTS, paid_payouts
from harness.postgres import programs
from harness.stalling import StallingProxy

# What is promised is 10 s; the bound leaves room for a busy machine and still tells a bound from none.
ENDS_WITHIN_S = 20


@pytest.fixture
def proxy(postgres):
    proxy = StallingProxy(postgres)
    yield proxy
    proxy.close()


class LockHolder:
    """A session that holds rows until it is told to let go."""

    def __init__(self, nodes, sql):
        self.process = subprocess.Popen(
            [programs() / "psql", "-XqAt", "-d", nodes.postgres.uri(nodes.database)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(f"BEGIN;\n{sql};\n\\echo held\n")
        self.process.stdin.flush()
        while self.process.stdout.readline().strip() != "held":
            assert self.process.poll() is None

    def let_go(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def ask(server, store, hook, invoice):
    """A create that the end of the server may cut off."""
    try:
        server.client(store.operator_key).post(
            PAYMENTS, payout_body(merchant_id=303, invoice=invoice, notification_url=hook.url()))
    except requests.RequestException:
        pass


@pytest.mark.waits
class TestEnding:
    """SIGTERM ends a server within 10 s, whatever hangs; with 0 where nothing was left undone."""

    def ends(self, server):
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(40)
        server.process.stdout.close()
        took = time.monotonic() - began
        print(f"exit {code} after {took:.1f} s")
        assert took < ENDS_WITHIN_S
        return code

    @pytest.mark.parametrize("is_busy", [False, True])
    def test_while_the_database_says_nothing(self, nodes, store, hook, proxy, is_busy):
        server = nodes.serve(REENVIO_STORE=proxy.uri(nodes.database))
        paid_payouts(server, store, 20, hook.url())
        hook.wait_for_acknowledged(20)
        hook.delay = 1
        if is_busy:
            paid_payouts(server, store, 50, hook.url(), tag="busy")
        proxy.stall()
        callers = [threading.Thread(target=ask, args=(server, store, hook, f"late-{n}"), daemon=True)
                   for n in range(10 if is_busy else 0)]
        for one in callers:
            one.start()
        time.sleep(1)
        assert self.ends(server) in (0, 1)
        proxy.go_on()

    def test_while_another_holds_a_row(self, nodes, store, hook):
        server = nodes.serve()
        paid_payouts(server, store, 20, hook.url())
        holder = LockHolder(nodes, "SELECT 1 FROM merchant_clocks WHERE merchant_id = 303 FOR UPDATE")
        caller = threading.Thread(target=ask, args=(server, store, hook, "late"), daemon=True)
        caller.start()
        time.sleep(0.5)
        try:
            assert self.ends(server) in (0, 1)
        finally:
            holder.let_go()

    def test_while_nobody_reads_its_log(self, house, shop, receiver):
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [BINARY, "serve"], stdout=subprocess.PIPE, stderr=writer, text=True, cwd=house.folder,
            env=house.environment(LOOPBACK_RECEIVERS | {"REENVIO_LISTEN": "127.0.0.1:0", "REENVIO_RATE_LIMITS": "off"}))
        os.close(writer)
        try:
            server = Server(process, None, house)
            # Each attempt has a line of some 400 bytes; the pipe takes 64 KiB.
            paid_payouts(server, shop, 600, receiver.url())
            receiver.wait_for_acknowledged(600, within=60)
            assert self.ends(server) in (0, 1)
        finally:
            os.close(reader)
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
def test_closed_standard_files_are_no_sockets(house, shop, receiver, closed):
    process = subprocess.Popen(
        ["sh", "-c", f'exec "{BINARY}" serve {closed}'], stdout=subprocess.PIPE, text=True, cwd=house.folder,
        env=house.environment(LOOPBACK_RECEIVERS | {"REENVIO_LISTEN": "127.0.0.1:0"}))
    try:
        assert "listening" in json.loads(process.stdout.readline())
        files = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in ([0, 2] if "<" in closed else [2])]
        assert set(files) == {"/dev/null"}
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()
