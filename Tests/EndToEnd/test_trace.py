"""W3C `traceparent`: in with a request, on with the webhooks that follow, out with the answer (C 3.2)."""

import json
import re

import pytest

from harness.bodies import window
from harness.client import PAYMENTS, RESEND
from harness.waiting import eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def server(house, shop):
    return house.serve(REENVIO_RETRY_SCHEDULE="0s,1h", REENVIO_LOG="info")


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
