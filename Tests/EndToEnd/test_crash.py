"""Killed, stopped and started again: nothing accepted is lost, nothing of a job is enqueued twice or skipped
(C 2.4, 3.4, 4.4, 5; design rules 1 to 4)."""

import json
import random
import shutil
import signal
import sqlite3
import threading
from collections import Counter

import pytest
import requests

from harness.binary import House, Shop
from harness.bodies import payout_body, window
from harness.client import PAYMENTS, create_payouts
from harness.duplicates import DuplicateBook
from harness.waiting import eventually, never

STAY_PUT = {"REENVIO_RETRY_SCHEDULE": "1h,1h"}
PAYOUTS = 20_000
LEASE_S = 30
"""What a killed server had claimed comes due again by itself after its lease (design rule 4)."""

JOB_ROWS = """
    SELECT object_id, count(*) FROM (
        SELECT payout_id AS object_id FROM deliveries WHERE resend_id = ?1
        UNION ALL SELECT object_id FROM settled WHERE resend_id = ?1
    ) GROUP BY object_id
"""


@pytest.fixture
def seed():
    """Where the kills fall; printed when a test fails."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture(scope="module")
def full_house(tmp_path_factory):
    """A store with 20,000 paid payouts whose webhooks wait for an hour."""
    house = House(tmp_path_factory.mktemp("full"), STAY_PUT)
    house.shop = Shop(house)
    server = house.serve()
    house.ids = create_payouts(server, house.shop, PAYOUTS, "http://127.0.0.1:9/hook", connections=128)
    server.client(house.shop.operator_key).transition_all(house.ids, 3)
    server.stop()
    house.starts = iter(range(7000, 3600, -1))
    yield house
    house.close()


def counts_in_a_copy(house, job_id, folder):
    """What a killed server left behind, read from a copy so that the next server finds it untouched: the job's row, and
    how many deliveries of it there really are."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(house.store_path.parent, folder)
    with sqlite3.connect(folder / house.store_path.name) as copy:
        resend_id, state, total, queued, failed = copy.execute(
            "SELECT id, state, total, queued, failed FROM resends WHERE public_id = ?", (job_id,)
        ).fetchone()
        enqueued = copy.execute(JOB_ROWS, (resend_id,)).fetchall()
    shutil.rmtree(folder)
    return state, total, queued, failed, enqueued


def assert_each_enqueued_once(house, job_id, ids):
    """Counted from the rows of the store, with no server running."""
    resend_id = house.one("SELECT id FROM resends WHERE public_id = ?", job_id)
    enqueued = dict(house.rows(JOB_ROWS, resend_id))
    twice = [one for one, times in enqueued.items() if times > 1]
    assert not twice, f"{len(twice)} payouts were enqueued more than once, e.g. {twice[:5]}"
    missing = set(ids) - set(enqueued)
    assert not missing, f"{len(missing)} payouts were never enqueued, e.g. {sorted(missing)[:5]}"
    assert len(enqueued) == len(ids)


def kill_in_the_middle(house, points, folder):
    """Dispatches a job over all payouts, kills the server once the job has queued that many at each of the points, and
    lets the last server finish it. Returns the job."""
    body = window(303, before_s=next(house.starts))
    server = house.serve()
    job_id, total = server.client(house.shop.key).dispatch(body)
    assert total == PAYOUTS
    kills = 0
    for point in points:
        client = server.client(house.shop.key)
        while (seen := client.job(job_id))["queued"] < point:
            assert seen["status"] == "processing", seen
        server.kill()
        kills += seen["status"] == "processing"
        state, total, queued, failed, enqueued = counts_in_a_copy(house, job_id, folder)
        assert queued >= seen["queued"], "a counter that was shown is not in the store"
        assert queued + failed <= total == PAYOUTS
        assert len(enqueued) == queued and all(times == 1 for _, times in enqueued), "counter and deliveries differ"
        server = house.serve()
        assert server.client(house.shop.key).job(job_id)["queued"] >= queued
    state = server.client(house.shop.key).wait_for_job(job_id)
    assert (state["status"], state["total"]) == ("completed", PAYOUTS)
    assert state["queued"] + state["failed"] == state["total"] and state["failed"] == 0
    server.stop()
    assert_each_enqueued_once(house, job_id, house.ids)
    return kills


class TestKilledInAJob:
    def test_of_twenty_thousand_payouts(self, full_house, seed, tmp_path):
        """Issue 2: at several random points; then `queued + failed == total`, each payout enqueued exactly once."""
        points = sorted(seed.sample(range(200, 16_000), 3))
        print(f"kills at {points}")
        assert kill_in_the_middle(full_house, points, tmp_path / "copy") == 3

    def test_right_after_its_202(self, full_house):
        """C 4.4: a job found `processing` at start-up is resumed."""
        server = full_house.serve()
        job_id, total = server.client(full_house.shop.key).dispatch(window(303, before_s=next(full_house.starts)))
        server.kill()
        server = full_house.serve()
        state = server.client(full_house.shop.key).wait_for_job(job_id)
        assert (state["status"], state["queued"], state["total"]) == ("completed", PAYOUTS, total)
        server.stop()
        assert_each_enqueued_once(full_house, job_id, full_house.ids)

    @pytest.mark.soak
    def test_of_twenty_thousand_payouts_again_and_again(self, full_house, seed, tmp_path):
        """The long form: 25 jobs, up to 5 kills each."""
        for _ in range(25):
            points = sorted(seed.sample(range(200, 18_000), seed.randint(1, 5)))
            print(f"kills at {points}")
            kill_in_the_middle(full_house, points, tmp_path / "copy")


class Load:
    """Creates payouts and reports them paid, over several connections, until the server is gone; keeps what was
    answered with 2xx."""

    def __init__(self, shop, url):
        self.shop, self.url = shop, url
        self.created, self.paid = set(), set()
        self.number = 0
        self.lock = threading.Lock()

    def start(self, server, writers=6):
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._write, args=(server,), daemon=True) for _ in range(writers)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a writer did not end"

    def _write(self, server):
        operator = server.client(self.shop.operator_key)
        try:
            while not self.ended.is_set():
                with self.lock:
                    self.number += 1
                    invoice = f"load-{self.number}"
                body = payout_body(merchant_id=303, invoice=invoice, notification_url=self.url)
                answer = operator.post(PAYMENTS, body)
                if answer.status_code != 201:
                    assert answer.status_code == 503, answer.text
                    continue
                payout_id = answer.json()["id"]
                self.created.add(payout_id)
                if operator.post(f"{PAYMENTS}/{payout_id}/transition", {"status_id": 3}).status_code == 200:
                    self.paid.add(payout_id)
        except requests.RequestException:
            pass


def assert_every_accepted_change_arrived(house, receiver, load, within):
    """The receiver's own ledger against the answers of the server."""
    eventually(
        lambda: house.one("SELECT count(*) FROM deliveries") == 0, "every delivery was settled", within=within
    )
    told = Counter()
    ids = {}
    for one in receiver.acknowledged:
        body = json.loads(one.body)
        assert one.verified and body["status"] == {"id": 3, "name": "Paid"}
        told[body["id"]] += 1
        ids.setdefault(body["id"], set()).add((one.webhook_id, one.body))
    lost = load.paid - set(told)
    assert not lost, f"{len(lost)} of {len(load.paid)} accepted changes never arrived, e.g. {sorted(lost)[:5]}"
    assert all(len(forms) == 1 for forms in ids.values()), "a notification changed its id or bytes"
    known = {one for (one,) in house.rows("SELECT id FROM payouts")}
    assert load.created <= known, "a created payout is gone"


def resume_receivers(server, shop):
    """What a person does who knows that the receiver works again: an open breaker is probed at once."""
    client = server.client(shop.key)
    for one in client.expect(200, "GET", "/v2/receivers")["data"]:
        if one["health"] != "ok":
            client.expect(200, "POST", f"/v2/receivers/{one['id']}/resume")


def kill_under_load(house, shop, receiver, rng, kills, restless=False):
    """Before the last kill the receiver holds its answers, so that something is in flight for certain."""
    load = Load(shop, receiver.url())
    book = DuplicateBook(house, shop, receiver)
    settings = {"REENVIO_RETRY_SCHEDULE": "0s," + ",".join(["1s"] * 99)}
    for kill in range(kills):
        server = book.follow(house.serve(**settings))
        before = len(load.paid)
        load.start(server)
        wanted = rng.randint(20, 300)
        eventually(lambda: len(load.paid) >= before + wanted, f"{wanted} changes were accepted", within=60)
        if restless and rng.random() < 0.3:
            receiver.down()
            eventually(lambda: len(load.paid) >= before + 2 * wanted, "more changes were accepted", within=60)
            receiver.up()
        if restless:
            receiver.answers = [rng.choice([200, 200, 500, 503, 204]) for _ in range(50)]
        if kill == kills - 1:
            receiver.answers = []
            resume_receivers(server, shop)
            receiver.hold()
            seen = receiver.count
            eventually(lambda: receiver.count > seen, "a webhook was in flight")
        book.close()
        server.kill()
        load.stop()
    receiver.let_go()
    receiver.answers = []
    server = book.follow(house.serve(**settings))
    resume_receivers(server, shop)
    assert_every_accepted_change_arrived(house, receiver, load, within=LEASE_S + 90)
    assert_each_claim_has_its_number(receiver)
    book.close()
    print(f"{kills} kills, {len(load.paid)} changes accepted, {receiver.count} webhooks received: {book.check()}")
    return load


def assert_each_claim_has_its_number(receiver):
    """Design rule 4: an attempt is numbered when it is claimed, so what a killed server had claimed comes again with the
    next number, and no number is seen twice."""
    numbers = {}
    for one in receiver.received:
        numbers.setdefault(one.webhook_id, []).append(one.attempt)
    assert all(seen == sorted(set(seen)) for seen in numbers.values()), "a number came twice, or late"
    assert any(len(seen) > 1 for seen in numbers.values()), "no abandoned claim was sent again"


class TestKilledUnderLoad:
    @pytest.mark.waits
    def test_loses_nothing_that_it_accepted(self, house, shop, receiver, seed):
        """C 2.4: no committed change can lose its webhook. Four kills while payouts are created, paid and delivered."""
        load = kill_under_load(house, shop, receiver, seed, kills=4)
        assert len(load.paid) >= 80

    def test_right_after_its_answer(self, house, shop, receiver):
        """Design rule 2, the answer follows the commit: the process ends the moment that 201 or 200 was read."""
        settings = {"REENVIO_RETRY_SCHEDULE": "1s,1s,1s"}
        paid = []
        for number in range(5):
            server = house.serve(**settings)
            created = server.client(shop.key).create_payout(notification_url=receiver.url())
            server.kill()
            server = house.serve(**settings)
            server.client(shop.operator_key).transition(created["id"], 3)
            server.kill()
            paid.append(created["id"])
        server = house.serve(**settings)
        for payout_id in paid:
            assert server.client(shop.key).payout(payout_id)["status"]["id"] == 3
        # One may come twice, where it was acknowledged in the moment of a kill.
        eventually(
            lambda: {json.loads(one.body)["id"] for one in receiver.acknowledged} == set(paid), "each webhook arrived",
            within=LEASE_S + 15)

    @pytest.mark.soak
    def test_again_and_again(self, house, shop, receiver, seed):
        """The long form: 55 kills, a receiver that fails, refuses and vanishes; its ledger holds every accepted
        notification at the end, and every duplicate is one that had been in flight and was counted."""
        load = kill_under_load(house, shop, receiver, seed, kills=55, restless=True)
        assert len(load.paid) >= 800

    @pytest.mark.soak
    def test_with_jobs_running(self, house, shop, receiver, seed):
        """Kills while a job of 3,000 payouts is enqueued *and* delivered; each payout has one delivery of each job, and
        each is acknowledged."""
        settings = {"REENVIO_RETRY_SCHEDULE": "0s," + ",".join(["1s"] * 99), "REENVIO_RESEND_BACKLOG": "600"}
        server = house.serve(**settings)
        ids = create_payouts(server, shop, 3000, receiver.url())
        server.client(shop.operator_key).transition_all(ids, 3)
        receiver.wait_for_acknowledged(3000, within=120)
        for round_number in range(5):
            job_id, total = server.client(shop.key).dispatch(window(303, before_s=3600 - 10 * round_number))
            assert total == 3000
            for _ in range(3):
                target = len(receiver.of_job(job_id)) + seed.randint(1, 600)
                eventually(lambda: len(receiver.of_job(job_id)) >= min(target, 2900), "the job went on", within=120)
                server.kill()
                server = house.serve(**settings)
            state = server.client(shop.key).wait_for_job(job_id, within=180)
            assert (state["status"], state["queued"], state["failed"]) == ("completed", 3000, 0)
            eventually(
                lambda: house.one("SELECT count(*) FROM deliveries") == 0, "every delivery was settled", within=180
            )
            assert_each_enqueued_once(house, job_id, ids)
            acknowledged = {json.loads(one.body)["id"] for one in receiver.of_job(job_id) if one.answered == 200}
            assert acknowledged == set(ids)


class TestRestart:
    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_pending_retries_go_on_where_they_were(self, house, shop, receiver, end):
        """C 3.4: retries and due times survive a restart: the next number, the same id and bytes, not sooner, and not
        from the beginning."""
        settings = {"REENVIO_RETRY_SCHEDULE": "0s,4s,1h"}
        receiver.answers = [500]
        server = house.serve(**settings)
        made = server.client(shop.key).create_payout(notification_url=receiver.url())
        server.client(shop.operator_key).transition(made["id"], 3)
        house.wait_for_row("SELECT 1 FROM attempts WHERE number = 1", what="the first attempt was recorded")
        getattr(server, end)()
        house.serve(**settings)
        first, second = receiver.wait_for(2)
        assert (first.attempt, second.attempt) == (1, 2)
        assert (second.webhook_id, second.body) == (first.webhook_id, first.body)
        assert 4 <= second.at - first.at <= 9


@pytest.mark.waits
class TestSIGTERM:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_when_idle(self, house, number):
        """Operator's surface: exit 0."""
        server = house.serve()
        server.process.send_signal(number)
        assert server.process.wait(10) == 0

    def test_with_attempts_in_flight(self, house, shop, receiver):
        """Finish or release what is in flight, exit 0 within 10 s; afterwards nothing is missing, and nothing waits for a
        lease."""
        receiver.hold()
        settings = {"REENVIO_RETRY_SCHEDULE": "0s," + ",".join(["1s"] * 20)}
        server = house.serve(**settings)
        ids = create_payouts(server, shop, 300, receiver.url())
        server.client(shop.operator_key).transition_all(ids, 3)
        receiver.wait_for(16)
        server.stop()
        assert house.one("SELECT count(*) FROM deliveries WHERE claim_token IS NOT NULL") == 0
        receiver.let_go()
        house.serve(**settings)
        told = eventually(
            lambda: (told := {json.loads(one.body)["id"] for one in receiver.acknowledged}) >= set(ids) and told,
            "every webhook was acknowledged", within=LEASE_S - 10,
        )
        assert told == set(ids)

    def test_with_requests_and_a_job_in_flight(self, house, shop, receiver):
        """Stop accepting, keep every answer given: what was answered 2xx before the end is there after it."""
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s,1s", REENVIO_RESEND_BACKLOG="200")
        ids = create_payouts(server, shop, 800, receiver.url())
        server.client(shop.operator_key).transition_all(ids, 3)
        job_id, total = server.client(shop.key).dispatch(window(303))
        load = Load(shop, receiver.url())
        load.start(server)
        eventually(lambda: len(load.paid) >= 50, "fifty changes were accepted")
        server.stop()
        load.stop()
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1s,1s,1s,1s")
        state = server.client(shop.key).wait_for_job(job_id)
        assert (state["status"], state["queued"], state["failed"]) == ("completed", total, 0)
        assert_every_accepted_change_arrived(house, receiver, load, within=60)

    def test_again_while_it_ends(self, house, shop, receiver):
        """A second SIGTERM neither hangs nor crashes it."""
        receiver.hold()
        server = house.serve()
        made = server.client(shop.key).create_payout(notification_url=receiver.url())
        server.client(shop.operator_key).transition(made["id"], 3)
        receiver.wait_for(1)
        server.process.send_signal(signal.SIGTERM)
        never(lambda: server.process.poll(), "it ended with a failure", watch=0.2)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
