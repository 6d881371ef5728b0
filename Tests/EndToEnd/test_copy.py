"""Moving house: a SQLite store copied to PostgreSQL, whole, resumed where it was killed, and served from there."""

import sqlite3
from contextlib import closing

import pytest

from harness.binary import assert_refused
from harness.bodies import window
from harness.client import RESEND, paid_payouts
from harness.postgres import NODES_KEY, SharedHouse
from harness.seeding import seed
from harness.waiting import eventually


@pytest.fixture
def target(tmp_path, postgres):
    """An empty database that servers share."""
    (tmp_path / "target").mkdir()
    house = SharedHouse(tmp_path / "target", postgres)
    yield house
    house.close()


def key_of(house):
    return (house.store_path.parent / (house.store_path.name + ".key")).read_text().strip()


def copy(house, target, *more, within=60):
    return house.run("copy", "--from", house.store, "--to", target.store, *more, within=within)


def fill(house, count):
    with sqlite3.connect(house.store_path, timeout=60) as connection:
        seed(connection, 303, 1_000, count, "http://127.0.0.1:9/hook")
    connection.close()


def test_everything_is_there(house, shop, receiver, target):
    server = house.serve()
    merchant = server.client(shop.key)
    ids = paid_payouts(server, shop, 30, receiver.url())
    receiver.wait_for_acknowledged(30)
    job_id, _ = merchant.dispatch(window(303))
    eventually(
        lambda: merchant.expect(200, "GET", f"{RESEND}/{job_id}?include=outcome")["outcome"]["delivered"] == 30,
        "the job was delivered")
    before = [merchant.payout(one) for one in ids], merchant.job(job_id)
    server.stop()
    copied = copy(house, target, "--json")
    assert copied.returncode == 0, copied.stderr
    assert '"verified":true' in copied.stdout
    key = {"REENVIO_ENCRYPTION_KEY": key_of(house)}
    server = target.serve(**key)
    merchant = server.client(shop.key)
    assert ([merchant.payout(one) for one in ids], merchant.job(job_id)) == before
    receiver.forget()
    more = paid_payouts(server, shop, 5, receiver.url(), tag="more")
    assert min(more) > max(ids), "ids go on behind those that were copied"
    receiver.wait_for_acknowledged(5)
    assert all(one.verified for one in receiver.received), "signing secrets open with the key"
    assert merchant.dispatch(window(303))[1] == 35
    server.stop()
    done = target.run("check", "--deep", **key)
    assert done.returncode == 0, done.stderr


def test_goes_on_where_it_was(house, shop, target):
    fill(house, 20_000)
    process = house.spawn("copy", "--from", house.store, "--to", target.store, log=house.folder / "copy.log")
    eventually(lambda: _copied(target) > 3_000, "some of it was copied", 60)
    process.kill()
    process.wait(10)
    process.stdout.close()
    seen = _copied(target)
    key = {"REENVIO_ENCRYPTION_KEY": key_of(house)}
    assert_refused(target.run("job", "list", **key), "a copy that has not ended")
    done = copy(house, target, "--json", within=120)
    assert done.returncode == 0, done.stderr
    assert _copied(target) >= seen > 3_000
    assert target.run("check", "--deep", within=60, **key).returncode == 0
    assert_refused(copy(house, target), "not empty")


def _copied(target):
    try:
        return target.one("SELECT count(*) FROM notifications")
    except Exception:  # noqa: BLE001, the table may not be there yet
        return 0


def test_a_source_that_changed_meanwhile(house, shop, target):
    fill(house, 20_000)
    process = house.spawn("copy", "--from", house.store, "--to", target.store, log=house.folder / "copy.log")
    eventually(lambda: _copied(target) > 1_000, "some of it was copied", 60)
    process.kill()
    process.wait(10)
    process.stdout.close()
    house.json("key", "create", "--operator", "--name", "late")
    assert_refused(copy(house, target), "changed since the copy began")


def test_both_never_deliver(house, shop, target):
    """The source remembers that it was copied, until that is undone."""
    assert copy(house, target).returncode == 0
    assert_refused(house.run("serve", "--listen", "127.0.0.1:0"), "copied to", "--undo")
    assert "copied to" in house.run("check").stderr
    assert house.run("job", "list").returncode == 0
    done = house.run("copy", "--from", house.store, "--undo")
    assert done.returncode == 0 and "may be served again" in done.stdout
    house.serve().stop()
    assert house.json("copy", "--from", house.store, "--undo") == {"undone": False}
    assert house.run("copy", "--from", house.store).returncode == 64


class TestRefused:
    def test_beside_a_server(self, house, shop, target):
        house.serve()
        assert_refused(copy(house, target), "serves")

    @pytest.mark.parametrize(
        "planted", ['CREATE TABLE "x" (id INTEGER PRIMARY KEY)', 'ALTER TABLE accounts ADD "a""; DROP" TEXT'])
    def test_of_a_file_that_declares_more(self, house, shop, target, planted):
        """A column's name would become part of a statement on the other side."""
        with closing(sqlite3.connect(house.store_path)) as store:
            store.executescript(planted)
        assert_refused(copy(house, target), "which no store of reenvio has")

    def test_to_a_store_in_use(self, house, shop, target):
        assert target.run("account", "create", "--name", "A", REENVIO_ENCRYPTION_KEY=key_of(house)).returncode == 0
        assert_refused(copy(house, target), "not empty")

    def test_with_another_key(self, house, shop, target):
        assert target.run("account", "create", "--name", "A").returncode == 0
        assert_refused(copy(house, target), "encryption key")

    def test_from_nothing(self, house, target):
        assert_refused(house.run("copy", "--from", "sqlite:/nowhere/x.db", "--to", target.store), "there is no file")

    def test_the_wrong_way(self, house, shop, target):
        done = house.run("copy", "--from", target.store, "--to", house.store, REENVIO_ENCRYPTION_KEY=NODES_KEY)
        assert_refused(done, "--from must be sqlite:PATH")

    def test_to_nowhere(self, house, shop):
        assert_refused(house.run("copy", "--from", house.store, "--to", "mysql://x"), "--to must be a URI")
