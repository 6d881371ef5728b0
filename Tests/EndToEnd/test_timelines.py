"""Two databases that both take writes after a failover: a node works on one of them, the promoted one."""

import json
from collections import Counter

import pytest

from harness.bodies import payout_body
from harness.binary import Shop
from harness.client import PAYMENTS, create_payouts, paid_payouts
from harness.gate import Gate
from harness.postgres import Postgres, SharedHouse, standby_of
from harness.receiver import Receiver
from harness.waiting import eventually


class TwoHosts(SharedHouse):
    """Knows both servers, the old primary first, through gates; reads from `postgres`."""

    def __init__(self, folder, primary, standby):
        self.gates = [Gate(primary), Gate(standby)]
        super().__init__(folder, primary)

    @property
    def store(self):
        hosts = ",".join("127.0.0.1" for _ in self.gates)
        ports = ",".join(str(gate.port) for gate in self.gates)
        return f"postgresql:///{self.database}?host={hosts}&port={ports}&user=postgres"

    def close(self):
        super().close()
        for gate in self.gates:
            gate.close()


@pytest.fixture
def servers():
    """A primary and a standby of it."""
    primary = Postgres().create()
    with open(primary.data / "pg_hba.conf", "a") as access:
        access.write("local replication all trust\nhost all all 127.0.0.1/32 trust\n")
    primary.start()
    standby = None
    try:
        standby = standby_of(primary)
        yield primary, standby
    finally:
        primary.close()
        if standby:
            standby.close()


@pytest.fixture
def nodes(tmp_path, servers):
    house = TwoHosts(tmp_path, *servers)
    yield house
    house.close()


def payouts_in(postgres, house):
    return {int(one) for (one,) in postgres.query("SELECT id FROM payouts", house.database)}


def fail_over(nodes, primary, standby):
    """The standby is promoted because the primary cannot be reached; the primary does not know of it."""
    caught_up = primary.query("SELECT pg_current_wal_lsn()")[0][0]
    eventually(
        lambda: standby.query(f"SELECT pg_last_wal_replay_lsn() >= '{caught_up}'") == [["t"]], "the standby has everything")
    nodes.gates[0].shut()
    standby.query("SELECT pg_promote()")
    nodes.postgres = standby


def taken(client, shop, url, invoice):
    answer = client.post(PAYMENTS, payout_body(merchant_id=shop.merchant_id, invoice=invoice, notification_url=url))
    return answer.status_code == 201 and answer.json()["id"]


class TestOldPrimary:
    def test_is_refused_when_it_comes_back(self, nodes, servers):
        primary, standby = servers
        shop = Shop(nodes)
        hook = Receiver()
        hook.trust(shop.secret)
        try:
            node = nodes.serve()
            client = node.client(shop.key)
            before = paid_payouts(node, shop, 50, hook.url(), tag="before")
            hook.wait_for_acknowledged(50)
            fail_over(nodes, primary, standby)
            eventually(lambda: taken(client, shop, hook.url(), "first"), "the promoted server is followed")
            left_behind = payouts_in(primary, nodes)

            nodes.gates[0].open()
            nodes.gates[1].cut()
            eventually(lambda: taken(client, shop, hook.url(), "second"), "the node goes on")
            after = paid_payouts(node, shop, 100, hook.url(), tag="after")
            for one in before + after:
                assert client.payout(one)["id"] == one
            hook.wait_for_acknowledged(150)
            assert payouts_in(primary, nodes) == left_behind, "the old primary got payouts"
            assert set(before + after) < payouts_in(standby, nodes)
            told = Counter(json.loads(one.body)["id"] for one in hook.received)
            assert told == Counter(before + after), "each payout is told once"
            assert node.client().get("/readyz").status_code == 200
            eventually(lambda: "a database server was refused" in node.log_text(), "the refusal is logged")
            assert "an old primary that came back" in node.log_text()

            second = nodes.serve()
            made = create_payouts(second, shop, 5, hook.url(), tag="started")
            assert set(made) <= payouts_in(standby, nodes) and not set(made) & payouts_in(primary, nodes)
            done = nodes.run("check", "--deep")
            assert done.returncode == 0 and "an old primary that came back" in done.stderr, done.stderr
        finally:
            hook.close()

    def test_alone_it_makes_a_node_not_ready(self, nodes, servers):
        primary, standby = servers
        shop = Shop(nodes)
        node = nodes.serve()
        client = node.client(shop.key)
        fail_over(nodes, primary, standby)
        eventually(lambda: taken(client, shop, None, "first"), "the promoted server is followed")
        nodes.gates[0].open()
        nodes.gates[1].shut()
        eventually(lambda: client.get("/readyz").status_code == 503, "/readyz says no")
        refused = client.post(PAYMENTS, payout_body(merchant_id=shop.merchant_id, invoice="refused"))
        assert refused.status_code == 503
        assert client.get("/readyz").status_code == 503
        eventually(lambda: "an old primary that came back" in node.log_text(), "the refusal is logged")
        nodes.gates[1].open()
        eventually(lambda: client.get("/readyz").status_code == 200, "/readyz says yes again")
        assert taken(client, shop, None, "second") in payouts_in(standby, nodes)


class TestAnotherSystem:
    def test_is_taken_by_a_start(self, tmp_path, servers):
        """The store moves to another cluster by a dump, as for a major version."""
        primary, _ = servers
        house = SharedHouse(tmp_path, primary)
        other = Postgres().create().start()
        try:
            Shop(house)
            dump = primary.program("pg_dump", "-h", primary.folder, "-U", "postgres", "--no-sync", house.database)
            file = other.folder / "dump.sql"
            file.write_text(dump)
            other.query(f"CREATE DATABASE {house.database}")
            other.program("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", other.uri(house.database), "-f", file)
            first = house.run("check", REENVIO_STORE=other.uri(house.database))
            assert first.returncode == 0 and "another database system than before" in first.stderr, first.stderr
            again = house.run("check", REENVIO_STORE=other.uri(house.database))
            assert again.returncode == 0 and "another database system" not in again.stderr
        finally:
            house.close()
            other.close()
