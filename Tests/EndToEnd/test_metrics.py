"""`GET /metrics` of a server that works (C 10, docs/operations.md), read with the parser of PyPI `prometheus_client`."""

import os
import re
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.bodies import window
from harness.client import PAYMENTS, paid_payouts
from harness.delivery_log import paid, wait_for_states
from harness.metrics import metrics_of, sample, total_of
from harness.waiting import eventually

from test_documents import rows_of

SERIES_MAX = 2_000


@pytest.fixture
def server(house, shop):
    return house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")


@pytest.fixture
def operator(server, shop):
    return server.client(shop.operator_key)


def documented():
    """Of each family in `docs/operations.md`: its type, and the name of its label or None."""
    rows = rows_of("docs/operations.md", "Metrics")
    return {row[0].strip("`"): (row[1], None if row[2] == "none" else row[2].strip("`")) for row in rows}


class TestPage:
    def test_is_an_operators(self, server, shop):
        assert server.client().get("/metrics").status_code == 401
        assert server.client(shop.key).get("/metrics").status_code == 403
        answer = server.client(shop.operator_key).get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"

    def test_has_the_families_that_are_documented(self, operator):
        """Neither more nor less, each with its type and its one label; every row says what is normal and what to do."""
        families = list(text_string_to_metric_families(operator.get("/metrics").text))
        shown = {}
        for family in families:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for one in family.samples for label in one.labels} - {"le"}
            assert family.documentation and len(labels) <= 1
            shown[name] = (family.type, next(iter(labels), None))
        assert len(shown) == len(families)
        assert shown == documented()
        assert all(len(row) == 6 and all(row) for row in rows_of("docs/operations.md", "Metrics"))

    def test_promtool_finds_nothing_to_complain_of(self, operator):
        """Debian's `prometheus` checks the format, the names and the help of every family."""
        page = operator.get("/metrics").text
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=page, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_names_nobody_and_does_not_grow(self, server, shop, receiver, operator):
        """Whatever was done: the same series, and no label with an id, a URL or an invoice in it."""
        before = {(one.name, *one.labels.items()) for one in metrics_of(operator)}
        merchant = server.client(shop.key)
        for number in range(3):
            wait_for_states(merchant, paid(merchant, operator, receiver.url(f"/{number}")), "acknowledged")
        merchant.get(f"{PAYMENTS}/999999")
        after = {(one.name, *one.labels.items()) for one in metrics_of(operator)}
        assert after == before and len(after) <= SERIES_MAX
        for one in metrics_of(operator):
            for label, value in one.labels.items():
                assert re.fullmatch(r"[a-z_]+", value) or label == "le", one

    def test_histograms_add_up(self, server, shop, receiver, operator):
        """Buckets never fall towards the end, and the last is the count."""
        paid_payouts(server, shop, 20, receiver.url())
        receiver.wait_for_acknowledged(20)
        eventually(lambda: total_of(operator, "reenvio_ack_seconds_count") == 20, "twenty were acknowledged")
        buckets = {}
        for one in metrics_of(operator):
            if one.name.endswith("_bucket"):
                key = (one.name, one.labels.get("operation"))
                buckets.setdefault(key, []).append((float(one.labels["le"]), one.value))
        assert len(buckets) == 2 + 8
        for (name, operation), values in buckets.items():
            assert [bound for bound, _ in values] == sorted(bound for bound, _ in values)
            counts = [count for _, count in values]
            assert counts == sorted(counts) and values[-1][0] == float("inf")
            labels = {"operation": operation} if operation else {}
            assert sample(operator, name.replace("_bucket", "_count"), **labels) >= counts[-1]


class TestCounting:
    def test_changes_and_attempts(self, server, shop, receiver, operator):
        """A change is counted once, one that changes nothing is not; attempts by their reason, in the words of the delivery
        log; the backlog is what waits."""
        receiver.answers = [200, 200, 503]
        merchant = server.client(shop.key)
        ids = [paid(merchant, operator, receiver.url()) for _ in range(2)]
        for payout_id in ids:
            wait_for_states(merchant, payout_id, "acknowledged")
        operator.transition(ids[0], 3)
        failed = paid(merchant, operator, receiver.url())
        refused = paid(merchant, operator, "http://127.0.0.1:9/hook")
        for payout_id in (failed, refused):
            wait_for_states(merchant, payout_id, "waiting")
        eventually(lambda: total_of(operator, "reenvio_attempts_total") == 4, "four attempts were counted")
        assert sample(operator, "reenvio_changes_total") == 4
        for reason, count in {"ok": 2, "http_status": 1, "connection_refused": 1, "timed_out": 0}.items():
            assert sample(operator, "reenvio_attempts_total", reason=reason) == count, reason
        assert sample(operator, "reenvio_attempt_seconds_count") == 4
        assert sample(operator, "reenvio_ack_seconds_count") == 2
        eventually(lambda: sample(operator, "reenvio_backlog", lane="retry") == 2, "two wait for their retry")
        assert sample(operator, "reenvio_oldest_due_seconds", lane="retry") == 0
        assert sample(operator, "reenvio_possible_duplicates_total") == 0

    def test_a_job(self, server, shop, receiver, operator):
        paid_payouts(server, shop, 30, receiver.url())
        receiver.wait_for_acknowledged(30)
        client = server.client(shop.key)
        job_id, _ = client.dispatch(window(303))
        client.wait_for_job(job_id)
        eventually(
            lambda: sample(operator, "reenvio_resend_items", state="delivered") == 30, "thirty were delivered again")
        for state in ("waiting", "pending", "undelivered", "skipped", "failed"):
            assert sample(operator, "reenvio_resend_items", state=state) == 0
        assert sample(operator, "reenvio_ack_seconds_count") == 30, "a resend is not a live delivery"

    def test_what_a_paused_receiver_holds_back(self, server, shop, receiver, operator):
        """It waits, and is not overdue."""
        client = server.client(shop.key)
        wait_for_states(client, paid(client, operator, receiver.url()), "acknowledged")
        (row,) = client.get("/v2/receivers").json()["data"]
        client.expect(200, "POST", f"/v2/receivers/{row['id']}/pause")
        paid_payouts(server, shop, 5, receiver.url(), tag="held")
        eventually(lambda: sample(operator, "reenvio_backlog", lane="live") == 5, "five wait")
        assert sample(operator, "reenvio_oldest_due_seconds", lane="live") == 0

    def test_the_process(self, server, operator):
        """As the system sees it from outside."""
        pages = int(open(f"/proc/{server.process.pid}/statm").read().split()[1])
        assert 0.5 <= sample(operator, "process_resident_memory_bytes") / (pages * os.sysconf("SC_PAGE_SIZE")) <= 2
        assert 0 < sample(operator, "process_cpu_seconds_total") < 600

    def test_the_store(self, operator):
        before = sample(operator, "reenvio_store_seconds_count", operation="intake")
        operator.create_payout(merchant_id=303)
        assert sample(operator, "reenvio_store_seconds_count", operation="intake") > before


class TestDuplicates:
    @pytest.mark.waits
    def test_what_was_in_flight_at_a_kill(self, house, shop, receiver):
        """Each of them comes again after its lease, with the next number, and is counted."""
        settings = {"REENVIO_RETRY_SCHEDULE": "0s,1s,1s"}
        receiver.hold()
        server = house.serve(**settings)
        paid_payouts(server, shop, 12, receiver.url())
        receiver.wait_for(12)
        server.kill()
        receiver.let_go()
        server = house.serve(**settings)
        operator = server.client(shop.operator_key)
        assert sample(operator, "reenvio_possible_duplicates_total") == 0
        eventually(lambda: receiver.count == 24, "each came again", within=50)
        again = receiver.received[12:]
        assert {one.attempt for one in again} == {2}
        assert sample(operator, "reenvio_possible_duplicates_total") == 12
