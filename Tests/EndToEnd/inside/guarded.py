"""The guard, seen from the wire: in a network namespace where every address leads to a capture, no packet at all goes to
a forbidden one (contract 3.3 and 15); a name that moves, and a machine without ports (3.4). `test_guard.py` runs this file; by itself it does not."""

import itertools
import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from harness.binary import House
from harness.delivery_log import first_attempt, log_of
from harness.metrics import sample
from harness.network import A, AAAA, Capture, NameServer, set_up
from harness.peers import certificate
from harness.receiver import Receiver
from harness.waiting import eventually

GOOD, OTHER = "8.8.4.1", "8.8.4.2"
BAD = "10.9.9.9"
FORBIDDEN = [
    BAD, "192.168.7.7", "172.16.7.7", "100.64.7.7", "169.254.169.254", "169.254.7.7", "192.0.2.7", "198.18.7.7",
    "203.0.113.7", "127.0.0.9", "fd00::7", "fd00:ec2::254", "fe80::7", "2001:db8::7", "64:ff9b::a09:909",
    "::ffff:10.9.9.9",
]
NAMES = ["good.example", "rebind.example", "moved.example", "ports.example", "*.once.example", "*.mixed.example", "*.bad.example"]
STRICT = {
    "REENVIO_ALLOW_HTTP_RECEIVERS": "", "REENVIO_ALLOW_PRIVATE_RECEIVERS": "", "REENVIO_RETRY_SCHEDULE": "0s,1h",
    "REENVIO_RECEIVER_PORTS": "any",
}
KEPT_S = 30
"""How long the server keeps a name's addresses."""


class World:
    """A server with the guard as it is by default but for ports, a TLS receiver at each of two public addresses."""

    def __init__(self, house, shop, folder):
        set_up(folder, [GOOD, OTHER])
        self.marks = itertools.count(1)
        file, self.tls = certificate(folder / "tls", "receiver", address=GOOD, names=NAMES)
        self.dns, self.capture = NameServer(), Capture()
        self.receiver, self.other = Receiver(tls=self.tls, host=GOOD), Receiver(tls=self.tls, host=OTHER)
        self.house, self.shop = house, shop
        self.settings = STRICT | {"REENVIO_TRUST_ROOTS": str(file)}
        self.serve()

    def serve(self, **settings):
        if self.house.servers:
            self.house.servers[-1].stop()
        server = self.house.serve(**(self.settings | settings))
        self.merchant, self.operator = server.client(self.shop.key), server.client(self.shop.operator_key)

    def url(self, host, receiver=None):
        port = (receiver or self.receiver).url("").rsplit(":", 1)[1]
        return f"https://{f'[{host}]' if ':' in host else host}:{port}/hook"

    def created(self, url):
        return self.merchant.create_payout(notification_url=url)["id"]

    def sent(self, url):
        payout_id = self.created(url)
        self.operator.transition(payout_id, 3)
        return payout_id

    def reason(self, payout_id):
        return first_attempt(self.merchant, payout_id)[1]["reason"]

    def assert_nothing_went_to(self, *addresses):
        """The capture has counted what was sent so far when it has counted what is sent now."""
        mark = f"9.9.{next(self.marks)}.9"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"mark", (mark, 9))
        eventually(lambda: self.capture.packets[mark], "the capture caught up")
        seen = {one: count for one in addresses if (count := self.capture.packets[str(plain(one))])}
        assert not seen, f"packets went to {seen}"

    def close(self):
        for one in (self.receiver, self.other, self.dns, self.capture):
            one.close()


def plain(address):
    """As it stands in a packet: a mapped address is the IPv4 one inside."""
    address = ip_address(address)
    return getattr(address, "ipv4_mapped", None) or address


@pytest.fixture(scope="module")
def world(new_shop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    house = House(folder)
    world = World(house, new_shop.moved_to(house), folder)
    yield world
    world.close()
    house.close()


def test_a_public_name_is_reached(world):
    """So that silence means something: the webhook arrives, over TLS, and the capture saw its connection begin."""
    world.dns.names["good.example"] = [GOOD]
    payout_id = world.sent(world.url("good.example"))
    assert world.reason(payout_id) is None
    assert world.receiver.wait_for_acknowledged(1)[0].headers["host"].startswith("good.example:")
    assert world.capture.to(GOOD) == 1 and world.dns.asked["good.example", A] == 1


@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_name_with_a_forbidden_address(world, address):
    name = f"n{FORBIDDEN.index(address)}.bad.example"
    world.dns.names[name] = [address]
    assert world.reason(world.sent(world.url(name))) == "address_forbidden"
    assert world.dns.asked[name, A] == 1
    world.assert_nothing_went_to(address)


@pytest.mark.parametrize("answer", [
    [OTHER, BAD], [BAD, OTHER], [OTHER, "::1"], [OTHER, "fd00:ec2::254"], [OTHER] * 3 + ["169.254.169.254"],
])
def test_a_good_address_beside_a_bad_one(world, answer):
    """Refused whole: the good one gets no packet either."""
    name = f"n{'-'.join(answer).replace('.', '-').replace(':', 'x')}.mixed.example"
    world.dns.names[name] = answer
    assert world.reason(world.sent(world.url(name, world.other))) == "address_forbidden"
    assert world.dns.asked[name, A] == world.dns.asked[name, AAAA] == 1
    assert world.other.count == 0
    world.assert_nothing_went_to(OTHER, BAD, "fd00:ec2::254", "169.254.169.254")


def test_what_was_judged_is_dialed(world):
    """The name server gives the good address once and the bad one ever after: whoever asked again to connect would go
    there."""
    for number in range(10):
        name = f"n{number}.once.example"
        world.dns.names[name] = lambda asked: [GOOD] if asked == 0 else [BAD]
        assert world.reason(world.sent(world.url(name))) is None
        assert world.dns.asked[name, A] == 1
    world.assert_nothing_went_to(BAD)


def test_rebinding(world):
    """A good answer, and later, when the kept one has expired and its connections are closed, a bad one."""
    world.receiver.default = (200, {"Connection": "close"})
    world.dns.names["rebind.example"] = [GOOD]
    first = world.sent(world.url("rebind.example"))
    assert world.reason(first) is None
    world.dns.names["rebind.example"] = [BAD]
    ids = []

    def is_refused():
        ids.append(world.sent(world.url("rebind.example")))
        return world.reason(ids[-1]) == "address_forbidden"

    eventually(is_refused, "the changed answer was judged", within=KEPT_S + 30)
    told = {world.reason(one) for one in ids[:-1]}
    assert told <= {None}, "what went out before went to the address that was judged"
    assert world.dns.asked["rebind.example", A] == 2
    assert all(one["state"] == "waiting" for one in log_of(world.merchant, ids[-1])[0]["deliveries"])
    world.assert_nothing_went_to(BAD)


def test_a_literal_forbidden_address(world):
    """Refused when the payout is made; and those that were stored while they were allowed are judged when they go."""
    for address in FORBIDDEN:
        answer = world.merchant.post("/v2/payout/payments", {"notification_url": world.url(address)})
        assert answer.status_code == 422 and "notification_url" in answer.json()["errors"]
    allowed = ",".join(f"{one}/{128 if ':' in one else 32}" for one in FORBIDDEN)
    world.serve(REENVIO_ALLOW_PRIVATE_RECEIVERS=allowed)
    ids = [world.created(world.url(address)) for address in FORBIDDEN]
    world.serve()
    world.operator.transition_all(ids, 3)
    assert {world.reason(one) for one in ids} == {"address_forbidden"}
    world.assert_nothing_went_to(*FORBIDDEN)


def test_denied_addresses_and_ports(world):
    """Refused with the payout where that can be said; judged again when it goes."""
    world.dns.names["ports.example"] = [GOOD]
    before = world.receiver.count
    named, literal = world.created(world.url("ports.example")), world.created(world.url(GOOD))
    world.serve(REENVIO_RECEIVER_PORTS="443, 8443")
    for host in ("ports.example", GOOD):
        answer = world.merchant.post("/v2/payout/payments", {"notification_url": world.url(host)})
        assert answer.status_code == 422 and "notification_url" in answer.json()["errors"]
        assert "notification_url" not in world.merchant.post(
            "/v2/payout/payments", {"notification_url": f"https://{host}:8443/hook"}).json()["errors"]
    world.operator.transition(named, 3)
    assert world.reason(named) == "address_forbidden"
    world.serve(REENVIO_DENY_RECEIVERS=f"{GOOD}/32")
    world.operator.transition(literal, 3)
    assert world.reason(literal) == "address_forbidden"
    assert world.receiver.count == before


def test_the_capture_would_have_seen_it(world):
    """The same name with the same answer, allowed: a connection is begun, and it is seen."""
    world.serve(REENVIO_ALLOW_PRIVATE_RECEIVERS=f"{BAD}/32")
    world.dns.names["allowed.bad.example"] = [BAD]
    world.sent(world.url("allowed.bad.example"))
    eventually(lambda: world.capture.to(BAD) >= 1, "the capture saw the connection to an allowed address")


def test_a_receiver_that_moved_is_found(world):
    """The old machine still answers, 503; the name says another address since. The retry goes there."""
    world.serve(REENVIO_RETRY_SCHEDULE="0s,2s,1h")
    old = Receiver(tls=world.tls, host=GOOD)
    port = int(old.url("").rsplit(":", 1)[1])
    new = Receiver(tls=world.tls, host=OTHER, port=port)
    try:
        old.default = 503
        world.dns.names["moved.example"] = [GOOD]
        payout_id = world.created(world.url("moved.example", old))
        world.operator.transition(payout_id, 3)
        old.wait_for(1)
        world.dns.names["moved.example"] = [OTHER]
        new.wait_for_acknowledged(1)
        assert old.count == 1
        codes = [one["status_code"] for one in log_of(world.merchant, payout_id)[0]["deliveries"][0]["attempts"]]
        assert codes[0] == 503
    finally:
        old.close()
        new.close()


def test_without_a_port_no_attempt_is_spent(world):
    """Ten local ports, and a receiver that holds what it gets: those that find no port wait, and go out later."""
    world.serve()
    range_file = Path("/proc/sys/net/ipv4/ip_local_port_range")
    usual = range_file.read_text()
    receiver = Receiver(tls=world.tls, host=GOOD)
    range_file.write_text("50000 50009")
    try:
        world.dns.names["ports.example"] = [GOOD]
        receiver.hold()
        ids = [world.created(world.url("ports.example", receiver)) for _ in range(40)]
        world.operator.transition_all(ids, 3)
        eventually(
            lambda: sample(world.operator, "reenvio_sender_shortages_total", resource="ports") > 0, "ports were lacking")
        receiver.let_go()
        receiver.wait_for_acknowledged(len(ids))
        attempts = [first_attempt(world.merchant, one)[1] for one in ids]
        assert {(one["number"], one["status_code"], one["reason"]) for one in attempts} == {(1, 200, None)}
    finally:
        range_file.write_text(usual)
        receiver.close()
