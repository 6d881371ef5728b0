"""The client programs of `Examples/clients`, one and the same in four languages, against the real server: dry run,
dispatch, polling (C 4, 5), creating payouts (C 2.1), and what they make of 401, 409, 422 and 429."""

import itertools
import json
import os
import signal
import subprocess

import pytest

from harness.binary import House, Shop, clean_environment
from harness.bodies import payout_body, window
from harness.client import RESEND, paid_payouts
from harness.examples import CLIENTS, client_command, record_arguments
from harness.receiver import Receiver
from harness.waiting import eventually

ENDS_WITHIN_S = 30
MATCHING = 300
"""More than one chunk of 200, so that a full backlog keeps the job at work."""


class Program:
    """A running client program. Its standard error goes to a file, to be read while it runs."""

    def __init__(self, language, folder, url, key, arguments, **settings):
        self.errors = folder / f"{language}-{len(list(folder.iterdir()))}.err"
        environment = {"API_URL": url, "API_KEY": key, "no_proxy": "127.0.0.1"} | settings
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(
                [*client_command(language), *map(str, arguments)], env=clean_environment(environment), text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
            )

    def said(self, text):
        return [line for line in self.errors.read_text().splitlines() if text in line]

    def end(self):
        """Exit code, what it printed, and the lines of its standard error."""
        try:
            printed, _ = self.process.communicate(timeout=ENDS_WITHIN_S)
        finally:
            self.stop()
        return self.process.returncode, printed, self.errors.read_text().splitlines()

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # with what the script in bash has started
            self.process.communicate(timeout=10)


@pytest.fixture(params=CLIENTS)
def language(request):
    return request.param


@pytest.fixture(scope="module")
def server(shared_house, shared_shop):
    """With a backlog that keeps a job at work as long as its receiver holds its answers."""
    return shared_house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s,1s", REENVIO_RESEND_BACKLOG="200")


@pytest.fixture(scope="module")
def receiver(server, shared_shop):
    """It has acknowledged the first webhooks of 300 payouts."""
    receiver = Receiver()
    paid_payouts(server, shared_shop, MATCHING, receiver.url())
    receiver.wait_for_acknowledged(MATCHING, within=60)
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A server that lets through one read a second, once sixty are used up, and a key for it."""
    house = House(tmp_path_factory.mktemp("limited"))
    shop = Shop(house)
    yield house.serve(REENVIO_RATE_LIMITS="read=60/min"), shop.key
    house.close()


@pytest.fixture
def run(language, server, shared_shop, tmp_path):
    running = []

    def run(*arguments, url=server.url, key=shared_shop.key, **settings):
        running.append(Program(language, tmp_path, url, key, arguments, **settings))
        return running[-1]

    yield run
    for program in running:
        program.stop()


_before_s = itertools.count(7000, -60)


def own_window():
    """Start and end around now; each start later than the one before, hence with a lock of its own."""
    body = window(303, before_s=next(_before_s))
    return body["start_time"], body["end_time"]


LONG_AGO = "2020-01-01 00:00:00", "2020-01-01 03:00:00"


class TestResend:
    def test_counts_dispatches_and_follows(self, run, receiver, server, shared_shop):
        """C 4, 5: while the receiver holds its answers the job is `processing`, and a second program is refused (409); then
        the receiver lets go, and the final state is printed."""
        client = server.client(shared_shop.key)
        period = own_window()
        receiver.hold()
        try:
            first = run("resend", 303, *period, POLL_SECONDS="0.05")
            eventually(lambda: len(first.said("processing: 200 of 300 queued")) >= 2, "the program looked twice")
            code, printed, said = run("resend", 303, *period).end()
            assert (code, printed) == (11, "")
            assert said[-1] == "409: A resend job is already running for this merchant and time range."
        finally:
            receiver.let_go()
        code, printed, said = first.end()
        (job_id,) = [line.removeprefix("job ") for line in said if line.startswith("job ")]
        assert code == 0 and f"{MATCHING} payouts match" in said
        state = json.loads(printed)
        assert state == client.job(job_id)
        assert (state["status"], state["queued"], state["failed"]) == ("completed", MATCHING, 0)

    def test_looks_every_three_seconds(self, run, receiver):
        """C 5: the documented pace, unless told otherwise."""
        receiver.hold()
        try:
            program = run("resend", 303, *own_window())
            eventually(lambda: program.said("queued; next look in 3 s"), "the program looked once")
        finally:
            receiver.let_go()

    def test_nothing_to_resend(self, run, shared_house):
        """The dry run says so, and nothing is dispatched."""
        jobs = shared_house.one("SELECT count(*) FROM resends")
        code, printed, said = run("resend", 303, *LONG_AGO).end()
        assert (code, printed, said[-1]) == (0, "", "0 payouts match")
        assert shared_house.one("SELECT count(*) FROM resends") == jobs

    def test_a_wrong_request(self, run):
        """C 4.1: 422 with every fault."""
        code, printed, said = run("resend", 999, LONG_AGO[1], LONG_AGO[0]).end()
        assert (code, printed) == (12, "")
        assert said[-3:] == [
            "422: Validation error.",
            "merchant_id: The merchant_id is not associated with your account.",
            "end_time: The end_time field must be after start_time.",
        ]

    def test_a_wrong_key(self, run):
        """C 10."""
        code, printed, said = run("resend", 303, *LONG_AGO, key="rnv_wrong").end()
        assert (code, printed, said[-1]) == (10, "", "401: Unauthorized")

    def test_no_server(self, run):
        code, printed, said = run("resend", 303, *LONG_AGO, url="http://127.0.0.1:1").end()
        assert code not in (0, 10, 11, 12) and printed == "" and said


class TestLimits:
    def test_too_many_requests(self, run, limited):
        """C 10: 429 is waited out as `Retry-After` says. The test takes every token until the program was refused one; a
        program that was quicker than the test is followed by another."""
        server, key = limited
        client = server.client(key)

        def refused():
            eventually(lambda: client.get(f"{RESEND}/x").status_code == 429, "no token was left")
            program = run("resend", 303, *LONG_AGO, url=server.url, key=key)
            eventually(
                lambda: client.get(f"{RESEND}/x").status_code
                and (program.said("too many requests; again in 1 s") or program.process.poll() is not None),
                "the program was refused, or ended",
            )
            code, _, said = program.end()
            return "too many requests; again in 1 s" in said and (code, said[-1])

        assert eventually(refused, "a program was refused", within=60) == (0, "0 payouts match")


class TestPay:
    def test_creates_a_payout(self, run, language, tmp_path, shared_house):
        """C 2.1: 201, the file's bytes as they are, so the amount is exact; the same invoice again is 422."""
        file = tmp_path / "payout.json"
        file.write_text(json.dumps(payout_body(merchant_id=303, invoice=f"order-{language}", amount=-1)).replace(
            '"amount": -1', '"amount": 90071992.10'
        ))
        code, printed, _ = run("pay", file).end()
        made = json.loads(printed)
        assert code == 0 and (made["amount"], made["status"]["name"]) == ("R$90071992.10", "Awaiting")

        code, printed, said = run("pay", file).end()
        assert (code, printed) == (12, "")
        assert said[-2] == "422: Validation error." and said[-1].startswith("invoice: ")
        assert shared_house.one("SELECT count(*) FROM payouts WHERE invoice = ?", f"order-{language}") == 1

    def test_a_wrong_key(self, run, tmp_path):
        file = tmp_path / "payout.json"
        file.write_text(json.dumps(payout_body()))
        code, printed, said = run("pay", file, key="rnv_wrong").end()
        assert (code, printed, said[-1]) == (10, "", "401: Unauthorized")

    def test_shows_nobody_the_key(self, server, shared_shop, tmp_path):
        """What bash runs gets neither the key nor a person's data as an argument."""
        file = tmp_path / "payout.json"
        file.write_text(json.dumps(payout_body()))
        path, record = record_arguments(tmp_path)
        program = Program("bash", tmp_path, server.url, shared_shop.key, ["pay", file], PATH=path)
        assert program.end()[0] == 0
        assert "curl " in record.read_text()
        assert shared_shop.key not in record.read_text() and "82608288200" not in record.read_text()
