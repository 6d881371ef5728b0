"""What goes to a receiver that fails, and when: the breaker, `Retry-After`, and who is not delayed by it (C 3.4). The
stories mostly wait, so they run at the same time on one server."""

import json
import time
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime

import pytest

from harness.binary import House, Shop
from harness.bodies import now, window
from harness.client import PAYMENTS
from harness.receiver import Receiver
from harness.recount import assert_counters_are_the_rows
from harness.stories import story, tell_all
from harness.waiting import eventually, never

pytestmark = pytest.mark.waits

RECEIVERS = "/v2/receivers"
OPENS_AT = 10
FIRST_PROBE_S, SECOND_PROBE_S = 5, 10
ONE_TRY = {"REENVIO_RETRY_SCHEDULE": "0s,1h"}


class Scene:
    """A receiver of its own, and what a merchant and the platform do with it."""

    def __init__(self, server, shop, answers=()):
        self.server, self.shop = server, shop
        self.client, self.operator = server.client(shop.key), server.client(shop.operator_key)
        self.hook = Receiver()
        self.hook.trust(shop.secret)
        self.hook.answers = list(answers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.hook.close()

    def moved_to(self, server):
        self.server = server
        self.client, self.operator = server.client(self.shop.key), server.client(self.shop.operator_key)

    def paid(self, count=1, url=None):
        url = url or self.hook.url()
        made = [self.client.create_payout(merchant_id=303, notification_url=url) for _ in range(count)]
        ids = [one["id"] for one in made]
        self.operator.transition_all(ids, 3)
        return ids

    def log(self, payout_id):
        (one,) = self.client.expect(200, "GET", f"{PAYMENTS}/{payout_id}/notifications")["data"]
        return one["deliveries"]

    def live(self, payout_id):
        return next(one for one in self.log(payout_id) if one["kind"] == "live")

    def attempts_recorded(self, payout_id):
        return self.live(payout_id)["attempts"]

    def fail(self, count):
        """So many webhooks, one after the other, each failed and recorded before the next. The answers are prepared."""
        for _ in range(count):
            (payout_id,) = self.paid()
            eventually(lambda: self.attempts_recorded(payout_id), "the failed attempt was recorded")

    def row(self):
        rows = self.client.expect(200, "GET", f"{RECEIVERS}?limit=100")["data"]
        return next((one for one in rows if one["receiver"] == self.hook.url("")), None)

    def is_broken(self):
        return self.row()["health"] == "broken"

    def broken(self):
        """Ten failures in a row. Returns when the last of them came in."""
        self.hook.default = 500
        self.fail(OPENS_AT)
        eventually(self.is_broken, "the breaker opened")
        return self.hook.received[-1].at

    def told(self):
        return {json.loads(one.body)["id"] for one in self.hook.acknowledged}


class World:
    def __init__(self, server, shop, other_shop, folder):
        self.server, self.shop, self.other_shop, self.folder = server, shop, other_shop, folder

    def scene(self, **more):
        return Scene(self.server, self.shop, **more)


@pytest.fixture(scope="module")
def stories(request, shared_house, shared_shop, other_shop, tmp_path_factory):
    server = shared_house.serve(**ONE_TRY)
    yield from tell_all(request, World(server, shared_shop, other_shop, tmp_path_factory.mktemp("own")))


@story
def test_opens_after_ten_failures_and_probes(world):
    """Ten in a row, not nine; then nothing goes until there is a reason to probe; two acknowledgements close it."""
    with own_house(world, "opens") as scene:
        scene.hook.default = 500
        scene.fail(9)
        assert not scene.is_broken()
        scene.fail(1)
        eventually(scene.is_broken, "the breaker opened at the tenth failure")
        never(lambda: scene.hook.count > OPENS_AT, "an attempt was made through the open breaker", watch=2.5)
        scene.hook.default = 200
        resent = [json.loads(one.body)["id"] for one in scene.hook.received[:2]]
        for one in resent:
            assert scene.client.post(f"{PAYMENTS}/{one}/notifications/resend").status_code == 202
        eventually(lambda: scene.told() == set(resent), "a resend brought the probes forward", within=FIRST_PROBE_S)
        eventually(lambda: not scene.is_broken(), "two acknowledgements closed it")


@story
def test_a_live_webhook_that_arrives_is_the_probe(world):
    """Once a second, whatever the schedule says: the webhook that just came in goes, those before it wait."""
    with world.scene() as scene:
        scene.broken()
        for number in range(3):
            (arrived,) = scene.paid()
            came = scene.hook.wait_for(OPENS_AT + 1 + number, within=3, what="the webhook that arrived was a probe")[-1]
            assert json.loads(came.body)["id"] == arrived
        assert scene.is_broken()
        scene.hook.default = 200
        ids = scene.paid(20)
        eventually(lambda: scene.told() >= set(ids), "all went once it was well again", within=4)
        eventually(lambda: not scene.is_broken(), "the breaker closed")


REFUSALS = [201, 202, 204, 301, 302, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451]


@story
def test_refused_messages_stop_nobody(world):
    """Whatever a machine that is well refuses: the breaker stays closed, and another URL of the host gets its webhook
    at once."""
    with world.scene() as scene:
        scene.hook.answer = lambda request: (
            200 if request.path == "/takes" else REFUSALS[json.loads(request.body)["id"] % len(REFUSALS)])
        scene.paid(72, url=scene.hook.url("/refuses"))
        scene.hook.wait_for(72)
        assert scene.row()["health"] == "ok"
        ids = scene.paid(20, url=scene.hook.url("/takes"))
        eventually(lambda: scene.told() >= set(ids), "the other URL got its webhooks", within=2)
        assert scene.row()["health"] == "ok"


@story
def test_a_duplicate_refused_stops_nobody(world):
    """A receiver that answers 409 to an id that it has seen: after a bulk resend the next live webhook goes at once."""
    with own_house(world, "duplicates") as scene:
        seen = set()

        def once(request):
            key = request.headers["webhook-id"]
            return 409 if key in seen else seen.add(key) or 200

        scene.hook.answer = once
        ids = scene.paid(30)
        eventually(lambda: scene.told() >= set(ids), "each was acknowledged once")
        for one in ids:
            assert scene.client.post(f"{PAYMENTS}/{one}/notifications/resend").status_code == 202
        scene.hook.wait_for(60)
        (arrived,) = scene.paid()
        eventually(lambda: arrived in scene.told(), "the next webhook came", within=2)
        assert scene.row()["health"] == "ok"


@story
def test_a_probe_that_is_refused_fails_nothing(world):
    """409 to a probe: the machine is well, so the next probe goes at once; it closes nothing by itself."""
    with own_house(world, "refused") as scene:
        scene.broken()
        scene.hook.default = 409
        ids = [json.loads(one.body)["id"] for one in scene.hook.received]
        for one in ids:
            assert scene.client.post(f"{PAYMENTS}/{one}/notifications/resend").status_code == 202
        eventually(lambda: scene.hook.count == 2 * OPENS_AT, "one refused probe followed the other", within=9)
        assert scene.is_broken()
        scene.hook.default = 200
        arrived = scene.paid(2)
        eventually(lambda: scene.told() >= set(arrived), "live webhooks were the probes", within=4)
        eventually(lambda: not scene.is_broken(), "the breaker closed")


@story
def test_never_opens_on_fewer(world):
    """Nine failures, an acknowledgement, nine failures: the next webhook goes at once."""
    with world.scene(answers=[500] * 9 + [200] + [503] * 9 + [200]) as scene:
        scene.fail(9)
        scene.paid()
        scene.hook.wait_for_acknowledged(1)
        scene.fail(9)
        assert not scene.is_broken()
        scene.paid()
        scene.hook.wait_for_acknowledged(2, within=4)


@story
def test_counts_failures_of_every_kind(world):
    """Refused connections, and answers that speak of the machine."""
    with world.scene(answers=[500, 408, 425, 429, 503]) as scene:
        scene.fail(5)
        scene.hook.down()
        scene.fail(4)
        assert not scene.is_broken()
        scene.fail(1)
        eventually(scene.is_broken, "the breaker opened")


@story
def test_a_receiver_that_says_gone(world):
    """410 ends each delivery at once (C 3.4), whether or not it counts as a failure of the receiver."""
    with world.scene() as scene:
        scene.hook.default = 410
        ids = scene.paid(3)
        for one in ids:
            eventually(lambda: scene.live(one)["state"] == "stopped", "the delivery was stopped")
        assert scene.hook.count == 3


@story
def test_delays_nobody_else(world):
    """While it is open: another merchant at the same origin, and other receivers of the same merchant, go at once."""
    with world.scene() as scene, world.scene() as neighbour:
        scene.broken()
        (elsewhere,) = neighbour.paid()
        neighbour.hook.wait_for_acknowledged(1, within=4)
        theirs = scene.operator.create_payout(merchant_id=404, notification_url=scene.hook.url("/theirs"))["id"]
        scene.operator.transition(theirs, 3)
        eventually(
            lambda: any(one.path == "/theirs" for one in scene.hook.received), "the other merchant's came", within=4)
        assert elsewhere in neighbour.told()
        theirs = world.server.client(world.other_shop.key).get(f"{RECEIVERS}?limit=100").json()["data"]
        assert [one["health"] != "broken" for one in theirs if one["receiver"] == scene.hook.url("")] == [True]


@story
def test_one_acknowledgement_does_not_close_it(world):
    """Two do, in a row: after one and a failure it is open, and waits for its next probe."""
    with world.scene() as scene:
        scene.broken()
        scene.paid(8)
        scene.hook.answers = [200]
        eventually(lambda: len(scene.hook.acknowledged) == 1, "the first probe was acknowledged")
        eventually(lambda: scene.hook.count == OPENS_AT + 2, "a second probe was made")
        never(lambda: scene.hook.count > OPENS_AT + 2, "more than a probe came", watch=2.5)
        assert scene.is_broken()


@story
def test_a_webhook_that_comes_when_a_probe_is_due_is_the_probe(world):
    """Probes come after 5 s, 10 s ... 5 min, not when the next retry happens to be due: what failed waits for an hour
    here, and the webhook that comes later finds a receiver that is well again."""
    with world.scene() as scene:
        opened = scene.broken()
        eventually(lambda: time.time() > opened + FIRST_PROBE_S + 1, "the first probe would have been due")
        scene.hook.default = 200
        ids = scene.paid(3)
        eventually(lambda: scene.told() >= set(ids), "the webhooks came", within=SECOND_PROBE_S + 5)
        eventually(lambda: not scene.is_broken(), "the breaker closed")


@story
def test_paused_while_it_is_open(world):
    """C 13.11: a pause of a broken receiver stops the probes as well; after the pause it recovers."""
    with world.scene() as scene:
        opened = scene.broken()
        row = scene.row()
        shown = scene.client.expect(200, "POST", f"{RECEIVERS}/{row['id']}/pause")
        assert shown["health"] == "paused"
        ids = scene.paid(2)
        scene.hook.default = 200
        eventually(lambda: time.time() > opened + FIRST_PROBE_S + 1.5, "the first probe would have been due")
        assert scene.hook.count == OPENS_AT, "a paused receiver was probed"
        scene.client.expect(200, "POST", f"{RECEIVERS}/{row['id']}/resume")
        eventually(lambda: scene.told() >= set(ids), "the webhooks came after the pause", within=SECOND_PROBE_S + 5)


@story
def test_many_at_once_to_a_dead_receiver(world):
    """The breaker stops a flood early: what had not begun spends no attempt, and all arrives in the end."""
    with world.scene() as scene:
        scene.hook.default = 500
        ids = scene.paid(900)
        eventually(scene.is_broken, "the breaker opened")
        tried = scene.hook.count
        assert OPENS_AT <= tried <= OPENS_AT + 256, "more than was in flight went on"
        scene.hook.default = 200
        later = set(ids) - {json.loads(one.body)["id"] for one in scene.hook.received}
        eventually(lambda: scene.told() >= later, "what had waited came", within=30)
        assert all(one.attempt == 1 for one in scene.hook.received)


@story
def test_flapping(world):
    """Up and down, never ten in a row: nothing is deferred."""
    with world.scene(answers=[500, 503, 200, 404] * 15) as scene:
        for _ in range(6):
            seen = scene.hook.count
            for _ in range(10):
                scene.paid()
            scene.hook.wait_for(seen + 10, within=10)
            assert not scene.is_broken()


@story
def test_retry_after_holds_everything_to_that_receiver(world):
    """503 with 3 s: no attempt of any delivery or lane before, and none later than need be; nobody else waits."""
    with world.scene(answers=[(503, {"Retry-After": "3"})]) as scene, world.scene() as neighbour:
        (first,) = scene.paid()
        eventually(lambda: scene.attempts_recorded(first), "the answer was recorded")
        asked = scene.hook.received[0].at
        ids = scene.paid(10)
        assert scene.client.post(f"{PAYMENTS}/{ids[0]}/notifications/resend").status_code == 202
        (elsewhere,) = neighbour.paid()
        neighbour.hook.wait_for_acknowledged(1, within=2.5)
        scene.hook.wait_for_acknowledged(11, within=10)
        after = [one.at - asked for one in scene.hook.received[1:]]
        assert min(after) >= 3 and elsewhere in neighbour.told()
        assert scene.told() == set(ids)


@story
def test_retry_after_as_a_date(world):
    """429, an HTTP date; another merchant at the same origin does not wait."""
    with world.scene() as scene:
        until = now().replace(microsecond=0) + timedelta(seconds=4)
        scene.hook.answers = [(429, {"Retry-After": format_datetime(until, usegmt=True)})]
        (first,) = scene.paid()
        eventually(lambda: scene.attempts_recorded(first), "the answer was recorded")
        (held,) = scene.paid()
        made = scene.operator.create_payout(merchant_id=404, notification_url=scene.hook.url("/theirs"))
        scene.operator.transition(made["id"], 3)
        eventually(lambda: made["id"] in scene.told(), "the other merchant's came", within=2.5)
        eventually(lambda: held in scene.told(), "it came after the date", within=12)
        (came,) = [one.at for one in scene.hook.acknowledged if json.loads(one.body)["id"] == held]
        assert came >= until.timestamp() - 0.05


@story
def test_retry_after_from_a_clock_of_its_own(world):
    """A date that has passed, no number, a minus: nothing is held. Another code: not heeded."""
    odd = ["Thu, 01 Jan 1970 00:00:00 GMT", "-5", "soon", "1.5", "", "99999999999999999999x"]
    answers = [(503, {"Retry-After": text}) for text in odd] + [(500, {"Retry-After": "60"})]
    with world.scene(answers=answers) as scene:
        scene.fail(len(answers))
        (next_one,) = scene.paid()
        eventually(lambda: next_one in scene.told(), "the next webhook came at once", within=4)


@story
def test_retry_after_is_capped_at_an_hour(world):
    """`max(step, min(Retry-After, 1 h))`, shown as the next attempt; everything to that receiver waits as long."""
    def seconds_from(moment, text):
        return (time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone) - moment

    for value in ("86400", "99999999999999999999", format_datetime(now() + timedelta(days=400), usegmt=True)):
        with world.scene(answers=[(503, {"Retry-After": value})]) as scene:
            (first,) = scene.paid()
            eventually(lambda: scene.attempts_recorded(first), "the answer was recorded")
            came = scene.hook.received[0].at
            assert 3_599 <= seconds_from(came, scene.live(first)["next_attempt_at"]) <= 3_600 * 1.1 + 5, value
            (held,) = scene.paid()
            eventually(lambda: scene.row()["waiting"] == 2, "both waited")
            never(lambda: scene.hook.count > 1, f"Retry-After {value[:12]} did not hold", watch=0.3)
            assert scene.attempts_recorded(held) == []


@story
def test_retry_after_of_a_short_time_does_not_shorten_a_retry(world):
    """The step is an hour here; the receiver is free again after a second."""
    with world.scene(answers=[(429, {"Retry-After": "1"})]) as scene:
        (first,) = scene.paid()
        eventually(lambda: scene.attempts_recorded(first), "the answer was recorded")
        (second,) = scene.paid()
        eventually(lambda: second in scene.told(), "the second came")
        never(lambda: scene.hook.count > 2, "the first was tried again before its step", watch=1)
        assert scene.live(first)["state"] == "waiting"


@story
def test_slow_beside_fast(world):
    """A receiver that answers after 6 s, so never in time, and a fast one of the same merchant: the fast one waits for
    nothing, before and after the slow one is known."""
    with world.scene() as slow, world.scene() as fast:
        slow.hook.delay = 6
        slow.paid(60)
        slow.hook.wait_for(1)
        for _ in range(5):
            started = len(fast.hook.acknowledged)
            fast.paid(30)
            fast.hook.wait_for_acknowledged(started + 30, within=4)
        ids = [json.loads(one.body)["id"] for one in slow.hook.received[:3]]
        for one in ids:
            eventually(lambda: slow.attempts_recorded(one), "the slow one's attempt was recorded", within=15)
            assert slow.attempts_recorded(one)[0]["reason"] == "timed_out"


def own_scene(world, name, **more):
    """A house of its own, so that its server may be killed."""
    house = House(world.folder / name)
    house.folder.mkdir()
    return house, Scene(house.serve(**ONE_TRY), Shop(house), **more)


@contextmanager
def own_house(world, name):
    """The same to its end, for stories that resend: that brings forward the probes of every receiver of a merchant."""
    house, scene = own_scene(world, name)
    try:
        with scene:
            yield scene
    finally:
        house.close()


@story
def test_a_url_that_hangs_delays_no_other(world):
    """Forty webhooks wait for a URL that never answers; live ones to another URL of that host go within two seconds."""
    with own_house(world, "hung") as scene:
        scene.hook.hanging_path = "/hangs"
        scene.paid(40, scene.hook.url("/hangs"))
        waits = []
        for _ in range(12):
            (payout_id,) = scene.paid(1, scene.hook.url("/good"))
            began = time.time()
            eventually(lambda: payout_id in scene.told(), "the good one was told", within=60)
            waits.append(time.time() - began)
            time.sleep(1)
        print("waits:", [round(one, 2) for one in waits])
        # Half of what one attempt to the URL that hangs takes; without going ahead, good ones wait for many of those.
        assert sorted(waits)[6] < 2.5, waits


@story
def test_killed_while_the_breaker_is_open(world):
    """kill -9: nothing is lost, no count is wrong, the dead receiver is not stormed by the next server, and what was
    deferred has still all of its attempts."""
    house, scene = own_scene(world, "breaker")
    try:
        with scene:
            scene.broken()
            known = scene.paid(30)
            job_id, total = scene.client.dispatch(window(303))
            scene.client.wait_for_job(job_id)
            assert total == 40
            scene.server.kill()
            assert_counters_are_the_rows(house)
            seen = scene.hook.count
            server = house.serve(**ONE_TRY)
            scene.moved_to(server)
            assert scene.is_broken() and scene.row()["waiting"] == 80
            known += scene.paid(5)
            never(lambda: scene.hook.count > seen + 1, "a broken receiver was stormed after a restart", watch=1)
            server.kill()
            assert_counters_are_the_rows(house)
            # What was a probe meanwhile has spent its attempt.
            waited = set(known) - {json.loads(one.body)["id"] for one in scene.hook.received}
            scene.hook.default = 200
            scene.moved_to(house.serve(**ONE_TRY))
            eventually(lambda: scene.told() >= waited, "all that had waited came", within=50)
            eventually(
                lambda: len({json.loads(one.body)["id"] for one in scene.hook.of_job(job_id)}) == 40, "the job's came")
            assert not scene.is_broken()
            eventually(
                lambda: house.one("SELECT count(*) FROM deliveries WHERE attempts = 0") == 0, "each had its attempt")
            assert_counters_are_the_rows(house)
    finally:
        house.close()


@story
def test_killed_while_retry_after_holds(world):
    """The receiver said when: that it said so outlives the process."""
    house, scene = own_scene(world, "hold", answers=[(503, {"Retry-After": "6"})])
    try:
        with scene:
            (first,) = scene.paid()
            eventually(lambda: scene.attempts_recorded(first), "the answer was recorded")
            asked = scene.hook.received[0].at
            ids = scene.paid(5)
            scene.server.kill()
            assert_counters_are_the_rows(house)
            scene.moved_to(house.serve(**ONE_TRY))
            ids += scene.paid(1)
            eventually(lambda: scene.told() >= set(ids), "the others came", within=15)
            assert min(one.at for one in scene.hook.received[1:]) - asked >= 5.9
    finally:
        house.close()
