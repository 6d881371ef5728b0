"""What was claimed for a receiver but has not begun when the receiver is paused, or asks to be left alone (C 3.4, 13.11).
A receiver that has been quick for a while has many attempts at once, more than it has connections."""

import threading
import time

import pytest

from harness.client import create_payouts
from harness.peers import Peer, answers
from harness.waiting import eventually, never

RECEIVERS = "/v2/receivers"
WARM = 600
SLOW_S = 1.0
HELD_S = 60


class Pace:
    """Quick at first; then each answer takes a second, but for the first one of those when it asks for time."""

    def __init__(self, retry_after=None):
        self.is_slow = False
        self.retry_after = retry_after
        self.began = []
        self.told_at = None
        self._lock = threading.Lock()
        self.peer = Peer(self.react)

    def react(self, connection):
        with self._lock:
            self.began.append(time.time())
            is_asking = self.is_slow and self.retry_after and self.told_at is None
            if is_asking:
                self.told_at = time.time()
        if is_asking:
            return answers(503, headers=f"retry-after: {self.retry_after}\r\n")(connection)
        if self.is_slow:
            time.sleep(SLOW_S)
        answers(200)(connection)

    def began_after(self, moment):
        return [one - moment for one in list(self.began) if one > moment]


@pytest.fixture
def scene(house, shop):
    """A server, its merchant, and a way to give a receiver more than it has connections for."""
    server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")
    operator, client = server.client(shop.operator_key), server.client(shop.key)

    def busy(pace):
        warm, work = (create_payouts(server, shop, count, pace.peer.url(), tag=f"claimed-{count}") for count in (WARM, 400))
        operator.transition_all(warm, 3)
        eventually(lambda: house.one("SELECT count(*) FROM settled") == WARM, "the receiver was quick for a while")
        pace.is_slow = True
        operator.transition_all(work, 3)
        eventually(lambda: len(pace.began) > WARM + 10, "it was busy")
        return client

    return busy


def test_paused(scene):
    """Once the pause was answered no request begins; what was under way may end."""
    pace = Pace()
    client = scene(pace)
    row = client.expect(200, "GET", RECEIVERS)["data"][0]
    assert client.expect(200, "POST", f"{RECEIVERS}/{row['id']}/pause")["health"] == "paused"
    paused = time.time() + 0.2
    never(lambda: pace.began_after(paused), "a request to a paused receiver began", watch=SLOW_S + 0.5)
    pace.peer.close()


def test_asked_to_wait(scene, house):
    """`Retry-After`: no other attempt to that receiver starts before."""
    pace = Pace(retry_after=HELD_S)
    scene(pace)
    eventually(lambda: pace.told_at, "the receiver asked for time")
    held = "SELECT count(*) FROM receivers WHERE resume_at IS NOT NULL"
    eventually(lambda: house.one(held) == 1, "the server knows")
    # What was on its way may still arrive.
    known = time.time() + 0.5
    never(lambda: pace.began_after(known), "a request to a held receiver began", watch=3)
    pace.peer.close()
