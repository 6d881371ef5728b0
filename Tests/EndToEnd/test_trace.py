"""W3C `traceparent`: in with a request, on with the webhooks that follow, out with the answer (C 3.2)."""

import json
import re

import pytest

from harness.binary import Shop
from harness.bodies import window
from harness.client import PAYMENTS, RESEND, TRANSITIONS
from harness.postgres import Postgres, SharedHouse
from harness.waiting import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def server(house, shop):
    return house.serve(REENVIO_RETRY_SCHEDULE="0s,1h", REENVIO_LOG="info")


def trace_of(one):
    return one.headers["traceparent"].split("-")[1]


class TestTrace:
    def test_goes_in_on_and_out(self, server, shop, receiver):
        operator = server.client(shop.operator_key)
        made = operator.create_payout(merchant_id=303, notification_url=receiver.url())
        path = f"{PAYMENTS}/{made['id']}/transition"
        answer = operator.post(path, {"status_id": 3}, headers={"traceparent": PARENT})
        version, trace, span, flags = answer.headers["traceparent"].split("-")
        assert (version, trace, flags) == ("00", TRACE, "01") and span == answer.headers["x-request-id"]
        receiver.wait_for_acknowledged(1)
        sent = receiver.received[0].headers["traceparent"].split("-")
        assert sent[1] == TRACE and sent[2] not in (span, "00f067aa0ba902b7")
        line = re.compile(f'"message":"attempt".*"trace":"{TRACE}"')
        eventually(lambda: line.search(server.log_text()), "the attempt's line names the trace")

    def test_a_resend_has_the_trace_of_who_asked(self, server, shop, receiver):
        operator = server.client(shop.operator_key)
        made = operator.create_payout(merchant_id=303, notification_url=receiver.url())
        operator.transition(made["id"], 3)
        receiver.wait_for_acknowledged(1)
        own = receiver.received[0].headers["traceparent"].split("-")[1]
        assert own == receiver.received[0].headers["x-webhook-attempt-id"]
        answer = operator.post(RESEND, window(303), headers={"traceparent": PARENT})
        assert answer.status_code == 202
        receiver.wait_for_acknowledged(2)
        assert receiver.received[1].headers["traceparent"].split("-")[1] == TRACE

    def test_one_that_is_none_is_ignored(self, server, shop):
        for header in ["nonsense", PARENT.upper(), f"ff{PARENT[2:]}"]:
            answer = server.client(shop.key).get(PAYMENTS, headers={"traceparent": header})
            assert answer.status_code == 200 and "traceparent" not in answer.headers

    def test_errors_have_it_too(self, server, shop):
        answer = server.client(shop.key).get(f"{PAYMENTS}/999", headers={"traceparent": PARENT})
        assert answer.status_code == 404 and answer.headers["traceparent"].split("-")[1] == TRACE
        assert answer.headers["x-request-id"] and json.loads(answer.text)["message"]

    def test_a_batch_and_one_payouts_resend_go_on_in_it(self, server, shop, receiver):
        operator = server.client(shop.operator_key)
        made = operator.create_payout(merchant_id=303, notification_url=receiver.url())
        body = {"transitions": [{"id": made["id"], "status_id": 3}]}
        assert operator.post(TRANSITIONS, body, headers={"traceparent": PARENT}).status_code == 200
        receiver.wait_for_acknowledged(1)
        other = PARENT.replace(TRACE, TRACE[::-1])
        assert operator.post(f"{PAYMENTS}/{made['id']}/notifications/resend", headers={"traceparent": other}).status_code == 202
        receiver.wait_for_acknowledged(2)
        assert [trace_of(one) for one in receiver.received] == [TRACE, TRACE[::-1]]


class TestElsewhere:
    """It is stored with what follows from the request."""

    def test_a_restart_keeps_it(self, house, shop, receiver):
        """kill -9 between the report and its delivery, and between the attempts."""
        settings = {"REENVIO_RETRY_SCHEDULE": "2s,1s,1h"}
        server = house.serve(**settings)
        operator = server.client(shop.operator_key)
        made = operator.create_payout(merchant_id=303, notification_url=receiver.url())
        receiver.answers = [500]
        operator.post(f"{PAYMENTS}/{made['id']}/transition", {"status_id": 3}, headers={"traceparent": PARENT})
        server.kill()
        assert receiver.count == 0
        house.serve(**settings)
        receiver.wait_for_acknowledged(1)
        assert [trace_of(one) for one in receiver.received] == [TRACE, TRACE]
        assert receiver.received[0].headers["traceparent"] != receiver.received[1].headers["traceparent"]

    def test_a_restart_keeps_that_of_a_job(self, house, shop, receiver):
        settings = {"REENVIO_RETRY_SCHEDULE": "2s,1h"}
        server = house.serve(**settings)
        operator = server.client(shop.operator_key)
        made = operator.create_payout(merchant_id=303, notification_url=receiver.url())
        operator.transition(made["id"], 3)
        receiver.wait_for_acknowledged(1)
        assert operator.post(RESEND, window(303), headers={"traceparent": PARENT}).status_code == 202
        server.kill()
        assert receiver.count == 1
        house.serve(**settings)
        receiver.wait_for_acknowledged(2)
        assert trace_of(receiver.received[1]) == TRACE

    def test_another_node_goes_on_in_it(self, tmp_path, receiver):
        """Reported to a node that is gone before the webhook is due; the other sends it."""
        postgres = Postgres().create().start()
        house = SharedHouse(tmp_path, postgres, {"REENVIO_RETRY_SCHEDULE": "2s,1h"})
        try:
            shop = Shop(house)
            receiver.trust(shop.secret)
            first = house.serve()
            house.serve()
            operator = first.client(shop.operator_key)
            made = operator.create_payout(merchant_id=303, notification_url=receiver.url())
            operator.post(f"{PAYMENTS}/{made['id']}/transition", {"status_id": 3}, headers={"traceparent": PARENT})
            first.kill()
            receiver.wait_for_acknowledged(1)
            assert trace_of(receiver.received[0]) == TRACE
        finally:
            house.close()
            postgres.close()
