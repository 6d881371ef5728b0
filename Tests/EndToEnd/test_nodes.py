"""Several nodes on one PostgreSQL: killed nodes, a server that crashes, connections cut in the middle of a commit. Nothing
accepted is lost, nothing of a job is enqueued twice, `queued + failed == total` (C 2.4, 4.4, 5; design rules 1 to 5)."""

import json
from collections import Counter

import pytest

from harness.binary import Shop, assert_refused
from harness.bodies import window
from harness.client import paid_payouts
from harness.postgres import NODES_KEY, CommitCutter, Postgres, SharedHouse, standby_of
from harness.receiver import Receiver
from harness.waiting import eventually
from test_crash import JOB_ROWS, LEASE_S, Load, assert_every_accepted_change_arrived, resume_receivers, seed  # noqa: F401

RETRY_SOON = {"REENVIO_RETRY_SCHEDULE": "0s," + ",".join(["1s"] * 99)}


@pytest.fixture
def nodes(tmp_path, postgres):
    """An empty store that servers share."""
    house = SharedHouse(tmp_path, postgres, RETRY_SOON)
    yield house
    house.close()


def assert_sound(house):
    """Counted again from the rows, by the product itself."""
    done = house.run("check", "--deep")
    assert done.returncode == 0, done.stderr


def settle(house, within=LEASE_S + 60.0):
    eventually(lambda: house.one("SELECT count(*) FROM deliveries") == 0, "every delivery was settled", within)


def assert_job_is_whole(house, job_id, ids):
    """Each payout of the set was enqueued once, and the sums meet the total."""
    resend_id, state, total, queued, failed = house.rows(
        "SELECT id, state, total, queued, failed FROM resends WHERE public_id = ?1", job_id)[0]
    assert (state, queued + failed, failed) == ("completed", total, 0)
    enqueued = dict(house.rows(JOB_ROWS.replace("\n    )", "\n    ) AS enqueued"), resend_id))
    assert set(enqueued) == set(ids) and set(enqueued.values()) == {1}


class TestTogether:
    def test_work_of_one_is_done_by_all(self, nodes, store, hook):
        """Changes reported to one node, a job dispatched at the other; each payout is told once per reason."""
        first, second = nodes.serve(), nodes.serve()
        ids = paid_payouts(first, store, 600, hook.url())
        hook.wait_for_acknowledged(600, within=30)
        job_id, total = second.client(store.key).dispatch(window(303))
        assert total == 600
        assert first.client(store.key).wait_for_job(job_id)["queued"] == 600
        hook.wait_for_acknowledged(1200, within=30)
        told = Counter((json.loads(one.body)["id"], one.job_id) for one in hook.received)
        assert set(told.values()) == {1} and len(told) == 1200
        settle(nodes)
        assert_job_is_whole(nodes, job_id, ids)
        assert_sound(nodes)
        first.stop()
        second.stop()

    def test_a_command_wakes_a_node(self, nodes, store, hook):
        """`reenvio resend` beside running nodes, which are told and do not wait for their next look."""
        server = nodes.serve()
        paid_payouts(server, store, 3, hook.url())
        hook.wait_for_acknowledged(3)
        asked = window(303)
        made = nodes.json(
            "resend", "--merchant", 303, "--from", asked["start_time"], "--to", asked["end_time"], "--status", 3)
        hook.wait_for_acknowledged(6)
        assert {one.job_id for one in hook.received[3:]} == {made["job_id"]}

    def test_readiness_follows_the_database(self, nodes, store, postgres):
        server = nodes.serve()
        client = server.client()
        assert client.get("/readyz").status_code == 200
        postgres.stop()
        eventually(lambda: client.get("/readyz").status_code == 503, "/readyz says no")
        assert client.get("/healthz").status_code == 200
        postgres.start()
        eventually(lambda: client.get("/readyz").status_code == 200, "/readyz says yes again")


@pytest.mark.waits
class TestKilled:
    def test_a_node_under_load(self, nodes, store, hook, seed):  # noqa: F811
        """kill -9, again and again, of one of two nodes while payouts are created, paid, delivered and resent."""
        kill_nodes(nodes, store, hook, seed, kills=3)

    @pytest.mark.soak
    def test_three_nodes_again_and_again(self, nodes, store, hook, seed):  # noqa: F811
        kill_nodes(nodes, store, hook, seed, kills=30, count=3)


def kill_nodes(nodes, store, hook, rng, kills, count=2):
    servers = [nodes.serve() for _ in range(count)]
    before = paid_payouts(servers[0], store, 1500, hook.url())
    load = Load(store, hook.url())
    jobs = []
    for kill in range(kills):
        victim = rng.randrange(count)
        seen = len(load.paid)
        job_id, _ = servers[(victim + 1) % count].client(store.key).dispatch(window(303, before_s=7000 - 10 * kill))
        jobs.append(job_id)
        load.start(servers[victim])
        wanted = rng.randint(20, 150)
        eventually(lambda: len(load.paid) >= seen + wanted, f"{wanted} changes were accepted", within=60)
        servers[victim].kill()
        load.stop()
        servers[victim] = nodes.serve()
    for job_id in jobs:
        state = servers[0].client(store.key).wait_for_job(job_id, within=90)
        assert state["queued"] + state["failed"] == state["total"] and state["status"] == "completed"
    assert_every_accepted_change_arrived_of(nodes, hook, load, before)
    for job_id in jobs:
        enqueued = enqueued_times(nodes, job_id)
        assert set(enqueued.values()) == {1} and set(before) <= set(enqueued)
    assert_sound(nodes)
    print(f"{kills} kills, {len(load.paid)} changes accepted, {hook.count} webhooks received")


def enqueued_times(nodes, job_id):
    resend_id = nodes.one("SELECT id FROM resends WHERE public_id = ?1", job_id)
    return dict(nodes.rows(JOB_ROWS.replace("\n    )", "\n    ) AS enqueued"), resend_id))


def assert_every_accepted_change_arrived_of(nodes, hook, load, more=(), within=LEASE_S + 90):
    settle(nodes, within)
    told = {json.loads(one.body)["id"] for one in hook.acknowledged}
    lost = (load.paid | set(more)) - told
    assert not lost, f"{len(lost)} accepted changes never arrived, e.g. {sorted(lost)[:5]}"
    known = {one for (one,) in nodes.rows("SELECT id FROM payouts")}
    assert load.created <= known, "a created payout is gone"


class TestDatabase:
    def test_crashes_and_comes_back(self, nodes, store, hook, postgres, seed):  # noqa: F811
        """Stopped at once and started again, under load and in the middle of a job. Nodes answer 503 meanwhile, and go
        on by themselves."""
        crash_database(nodes, store, hook, postgres, seed, crashes=2)

    @pytest.mark.soak
    def test_crashes_again_and_again(self, nodes, store, hook, postgres, seed):  # noqa: F811
        crash_database(nodes, store, hook, postgres, seed, crashes=20)

    def test_is_somebody_elses(self, nodes, postgres):
        postgres.query("CREATE TABLE theirs (id INT)", nodes.database)
        assert_refused(nodes.run("migrate"), nodes.database, "not a store of reenvio")

    def test_is_not_there(self, house):
        refused = house.run("migrate", REENVIO_STORE="postgres://u:s3cret@127.0.0.1:1/x", REENVIO_ENCRYPTION_KEY=NODES_KEY)
        assert_refused(refused, "127.0.0.1")
        assert "s3cret" not in refused.stderr


def crash_database(nodes, store, hook, postgres, rng, crashes):
    servers = [nodes.serve(), nodes.serve()]
    before = paid_payouts(servers[0], store, 3000, hook.url())
    load = Load(store, hook.url())
    jobs = []
    for crash in range(crashes):
        seen = len(load.paid)
        load.start(servers[crash % 2])
        job_id, _ = servers[0].client(store.key).dispatch(window(303, before_s=7000 - 10 * crash))
        jobs.append(job_id)
        wanted = rng.randint(20, 100)
        eventually(lambda: len(load.paid) >= seen + wanted, f"{wanted} changes were accepted", within=60)
        postgres.restart()
        eventually(lambda: len(load.paid) >= seen + 2 * wanted, "changes are accepted again", within=60)
        load.stop()
    for job_id in jobs:
        assert servers[1].client(store.key).wait_for_job(job_id, within=90)["status"] == "completed"
    resume_receivers(servers[0], store)
    assert_every_accepted_change_arrived_of(nodes, hook, load, before)
    for job_id in jobs:
        enqueued = enqueued_times(nodes, job_id)
        assert set(enqueued.values()) == {1} and set(before) <= set(enqueued)
    assert_sound(nodes)
    print(f"{crashes} crashes, {len(load.paid)} changes accepted, {hook.count} webhooks received")


FUTURE = """
    BEGIN;
    ALTER TABLE payouts ADD COLUMN future TEXT;
    ALTER TABLE notifications ADD COLUMN future BYTEA;
    ALTER TABLE deliveries ADD COLUMN future BIGINT NOT NULL DEFAULT 0;
    ALTER TABLE attempts ADD COLUMN future TEXT;
    ALTER TABLE resends ADD COLUMN future BIGINT NOT NULL DEFAULT 7;
    CREATE INDEX payouts_future ON payouts (future) WHERE future IS NOT NULL;
    CREATE TABLE futures (id BIGINT PRIMARY KEY);
    INSERT INTO migrations (version, name, applied_at) VALUES (9999, 'what a newer binary adds', 0);
    COMMIT
"""


def added_to_the_schema(nodes):
    """A step is taken again where the server gives it up for others, as the binary does it."""
    try:
        nodes.postgres.query(FUTURE, nodes.database)
    except AssertionError as error:
        if "deadlock detected" not in str(error):
            raise
        return False
    return True


class TestOldAndNew:
    def test_nodes_go_on_while_a_newer_one_adds_to_the_schema(self, nodes, store, hook):
        """The binary under test is the old one: what a newer one would add comes under its load, in the middle of a job.
        Nodes that run go on, and one that is killed comes up again."""
        servers = [nodes.serve(), nodes.serve()]
        before = paid_payouts(servers[0], store, 1500, hook.url())
        load = Load(store, hook.url())
        load.start(servers[0])
        job_id, _ = servers[1].client(store.key).dispatch(window(303))
        eventually(lambda: len(load.paid) >= 50, "changes were accepted", within=60)
        eventually(lambda: added_to_the_schema(nodes), "the newer one's step was taken", within=60)
        seen = len(load.paid)
        eventually(lambda: len(load.paid) >= seen + 50, "changes are accepted beside the new schema", within=60)
        servers[1].kill()
        servers[1] = nodes.serve()
        load.stop()
        state = servers[1].client(store.key).wait_for_job(job_id, within=90)
        assert state["queued"] + state["failed"] == state["total"] and state["status"] == "completed"
        assert_every_accepted_change_arrived_of(nodes, hook, load, before)
        enqueued = enqueued_times(nodes, job_id)
        assert set(enqueued.values()) == {1} and set(before) <= set(enqueued)
        assert_sound(nodes)

    def test_a_change_that_needs_more_stops_older_binaries(self, nodes, store):
        nodes.postgres.query(FUTURE, nodes.database)
        nodes.postgres.query("UPDATE meta SET value = '9999' WHERE name = 'schema_needs'", nodes.database)
        assert_refused(nodes.run("migrate"), "9999", "newer")


@pytest.mark.waits
class TestUnknownCommits:
    def test_are_answered_503_and_cost_nothing(self, nodes, store, hook, postgres):
        """The connection is cut after COMMIT was sent and before it is answered, for whatever a node commits then."""
        cutter = CommitCutter(postgres)
        try:
            server = nodes.serve(REENVIO_STORE=postgres.uri(nodes.database, "127.0.0.1", cutter.port))
            before = paid_payouts(server, store, 1500, hook.url())
            job_id, _ = server.client(store.key).dispatch(window(303))
            load = Load(store, hook.url())
            load.start(server)
            for round_number in range(5):
                seen = len(load.paid)
                eventually(lambda: len(load.paid) >= seen + 20, "20 changes were accepted", within=60)
                cuts = cutter.cuts
                cutter.armed.set()
                eventually(lambda: cutter.cuts >= cuts + 3, "three commits were cut", within=30)
                cutter.armed.clear()
            load.stop()
            server.client(store.key).wait_for_job(job_id, within=60)
            assert_every_accepted_change_arrived_of(nodes, hook, load, before)
            enqueued = enqueued_times(nodes, job_id)
            assert set(enqueued.values()) == {1} and set(before) <= set(enqueued)
            assert_sound(nodes)
            print(f"{cutter.cuts} commits cut, {len(load.paid)} changes accepted")
        finally:
            cutter.close()


class TestSettings:
    def test_the_key_is_required_and_is_the_stores(self, nodes, store):
        other = NODES_KEY.replace("A", "B")
        assert_refused(nodes.run("migrate", REENVIO_ENCRYPTION_KEY=""), "REENVIO_ENCRYPTION_KEY")
        assert_refused(nodes.run("migrate", REENVIO_ENCRYPTION_KEY=other), "encryption key")

    @pytest.mark.parametrize("store_text", [
        "postgres://user:s3cret@127.0.0.1:1/db", "postgresql:///db?host=%2Fnowhere&user=u&password=s3cret",
        "postgres://user:s3%63ret@127.0.0.1:1/db", "postgres://[::1:s3cret@x/db",
    ])
    def test_no_password_is_shown(self, house, store_text):
        done = house.run("check", "--json", REENVIO_STORE=store_text, REENVIO_ENCRYPTION_KEY=NODES_KEY)
        assert done.returncode == 1
        assert "s3cret" not in done.stdout + done.stderr and "s3%63ret" not in done.stdout + done.stderr


@pytest.mark.soak
class TestStandby:
    def test_is_promoted_under_load(self, tmp_path, seed):  # noqa: F811
        """A synchronous standby takes over when the primary crashes: nodes follow, nothing acknowledged is lost."""
        primary = Postgres().create()
        with open(primary.data / "pg_hba.conf", "a") as access:
            access.write("local replication all trust\n")
        primary.start()
        standby = nodes = None
        try:
            standby = standby_of(primary)
            primary.query("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            primary.query("SELECT pg_reload_conf()")
            eventually(
                lambda: primary.query("SELECT sync_state FROM pg_stat_replication") == [["sync"]], "the standby is in step")
            nodes = PromotedHouse(tmp_path, primary, standby)
            promote_under_load(nodes, primary, standby, seed)
        finally:
            if nodes:
                nodes.close()
            primary.close()
            if standby:
                standby.close()


class PromotedHouse(SharedHouse):
    """Knows both servers, as libpq does, and reads from the one that takes writes."""

    def __init__(self, folder, primary, standby):
        self.hosts = f"{primary.folder},{standby.folder}"
        super().__init__(folder, primary, RETRY_SOON)

    @property
    def store(self):
        return self.postgres.uri(self.database, self.hosts)


def promote_under_load(nodes, primary, standby, rng):
    shop = Shop(nodes)
    hook = Receiver()
    hook.trust(shop.secret)
    try:
        servers = [nodes.serve(), nodes.serve()]
        before = paid_payouts(servers[0], shop, 2000, hook.url())
        job_id, _ = servers[1].client(shop.key).dispatch(window(303))
        load = Load(shop, hook.url())
        load.start(servers[0])
        wanted = rng.randint(50, 200)
        eventually(lambda: len(load.paid) >= wanted, f"{wanted} changes were accepted", within=60)
        primary.stop()
        seen = len(load.paid)
        standby.query("SELECT pg_promote()")
        nodes.postgres = standby
        eventually(lambda: len(load.paid) >= seen + 50, "changes are accepted by the new primary", within=60)
        load.stop()
        servers[1].client(shop.key).wait_for_job(job_id, within=90)
        resume_receivers(servers[0], shop)
        assert_every_accepted_change_arrived_of(nodes, hook, load, before)
        enqueued = enqueued_times(nodes, job_id)
        assert set(enqueued.values()) == {1} and set(before) <= set(enqueued)
        assert_sound(nodes)
        print(f"{len(load.paid)} changes accepted, {hook.count} webhooks received")
    finally:
        hook.close()
