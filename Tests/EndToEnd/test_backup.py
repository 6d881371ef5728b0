"""Backup, restore and hold of a SQLite store, from outside: the copy is whole, and nothing goes out twice by surprise."""

import sqlite3
import threading
from contextlib import closing

import pytest

from harness.binary import House, assert_refused
from harness.client import paid_payouts
from harness.waiting import never


# What no store declares, and the words that name it.
PLANTED = [
    ("CREATE TRIGGER planted AFTER INSERT ON payouts BEGIN DELETE FROM audit; END", "trigger planted of payouts"),
    ("CREATE VIEW planted AS SELECT * FROM payouts", "view planted"),
    ('CREATE TABLE "x) VALUES (1); DROP TABLE audit; --" (id INTEGER PRIMARY KEY)', "table x) VALUES"),
    ('ALTER TABLE accounts ADD COLUMN "planted" TEXT', "column accounts.planted"),
    ("CREATE INDEX planted ON payouts (abs(id))", "index planted of payouts"),
    ("DROP TABLE set_aside", "lacks the column set_aside.at"),
]


def restored(house, tmp_path, file, *more, **settings):
    other = House(tmp_path / "other")
    other.folder.mkdir()
    done = other.run("restore", file, *more, "--json", **settings)
    return other, done


def test_beside_a_server_under_load(house, shop, receiver, tmp_path):
    server = house.serve()
    paid_payouts(server, shop, 50, receiver.url())
    ended = threading.Event()

    def write():
        number = 0
        while not ended.is_set():
            number += 1
            paid_payouts(server, shop, 20, receiver.url(), tag=f"more-{number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [house.json("backup", tmp_path / f"copy-{number}.db") for number in range(3)]
    finally:
        ended.set()
        writer.join(60)
    assert made[0]["payouts"] >= 50 and made[0]["payouts"] <= made[1]["payouts"] <= made[2]["payouts"]
    other, done = restored(house, tmp_path, tmp_path / "copy-2.db", "--key-file", f"{house.store_path}.key")
    assert done.returncode == 0, done.stderr
    assert other.one("SELECT count(*) FROM payouts") == made[2]["payouts"]
    assert other.run("check", "--deep").returncode == 0
    assert (other.store_path.parent / (other.store_path.name + ".key")).stat().st_mode & 0o777 == 0o600
    again = other.serve()
    assert again.client(shop.key).payout(1)["id"] == 1, "people's data opens with the key"
    other.close()


def test_a_restored_store_begins_on_hold(house, shop, receiver, tmp_path):
    """What was sent after the backup would be sent again."""
    server = house.serve(REENVIO_RETRY_SCHEDULE="3s,1h")
    paid_payouts(server, shop, 5, receiver.url())
    house.json("backup", tmp_path / "copy.db")
    receiver.wait_for_acknowledged(5)
    server.stop()
    receiver.forget()
    other, done = restored(house, tmp_path, tmp_path / "copy.db", "--key-file", f"{house.store_path}.key")
    assert done.returncode == 0, done.stderr
    server = other.serve("--hold")
    never(lambda: receiver.count, "what had been sent went out again", 1.5)
    assert other.one("SELECT count(*) FROM deliveries") == 5
    assert "held until they are released" in server.log_text()
    other.json("release")
    receiver.wait_for_acknowledged(5)
    other.close()


def test_hold_and_release(house, shop, receiver):
    server = house.serve()
    merchant = server.client(shop.key)
    paid_payouts(server, shop, 3, receiver.url())
    receiver.wait_for_acknowledged(3)
    assert house.json("hold") == {"held": 1}
    assert house.json("hold") == {"held": 1}, "a hold on a hold is the same one"
    paid_payouts(server, shop, 4, receiver.url(), tag="held")
    never(lambda: receiver.count > 3, "something went to a held receiver", 1.5)
    assert merchant.expect(200, "GET", "/v2/receivers")["data"][0]["health"] == "paused"
    assert_refused(house.run("release", "--merchant", 999), "There is no merchant 999.")
    assert house.json("release") == {"released": 1}
    receiver.wait_for_acknowledged(7)
    assert house.json("release") == {"released": 0}
    actions = [one["action"] for one in house.json("audit")["data"]]
    assert actions.count("store.hold") == 2 and actions.count("store.release") == 2


def test_who_is_paused_during_a_hold_stays_paused(house, shop, receiver):
    server = house.serve()
    merchant = server.client(shop.key)
    paid_payouts(server, shop, 1, receiver.url())
    receiver.wait_for_acknowledged(1)
    one = merchant.expect(200, "GET", "/v2/receivers")["data"][0]["id"]
    assert house.json("hold") == {"held": 1}
    merchant.expect(200, "POST", f"/v2/receivers/{one}/pause")
    assert house.json("release") == {"released": 0}
    assert merchant.expect(200, "GET", "/v2/receivers")["data"][0]["health"] == "paused"
    assert "receiver.pause" in [one["action"] for one in house.json("audit")["data"]]


def test_who_was_paused_before_stays_paused(house, shop, receiver):
    server = house.serve()
    merchant = server.client(shop.key)
    paid_payouts(server, shop, 1, receiver.url())
    receiver.wait_for_acknowledged(1)
    one = merchant.expect(200, "GET", "/v2/receivers")["data"][0]["id"]
    merchant.expect(200, "POST", f"/v2/receivers/{one}/pause")
    assert house.json("hold") == {"held": 0}
    assert house.json("release") == {"released": 0}
    assert merchant.expect(200, "GET", "/v2/receivers")["data"][0]["health"] == "paused"


class TestRefused:
    def test_a_file_that_is_there(self, house, shop, tmp_path):
        (tmp_path / "there").write_text("mine")
        assert_refused(house.run("backup", tmp_path / "there"), "exists already")
        assert (tmp_path / "there").read_text() == "mine"

    def test_a_store_that_is_there(self, house, shop, tmp_path):
        house.json("backup", tmp_path / "copy.db")
        assert_refused(house.run("restore", tmp_path / "copy.db"), "exists already")

    @pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"x" * 200])
    def test_what_is_no_copy(self, house, shop, tmp_path, content):
        (tmp_path / "bad.db").write_bytes(content)
        other, done = restored(house, tmp_path, tmp_path / "bad.db", "--key-file", f"{house.store_path}.key")
        assert_refused(done)
        assert not other.store_path.exists()

    def test_a_damaged_copy(self, house, shop, tmp_path):
        house.json("backup", tmp_path / "copy.db")
        data = bytearray((tmp_path / "copy.db").read_bytes())
        for place in range(8_192, len(data), 4_096):
            data[place : place + 64] = b"\xff" * 64
        (tmp_path / "copy.db").write_bytes(data)
        other, done = restored(house, tmp_path, tmp_path / "copy.db", "--key-file", f"{house.store_path}.key")
        assert_refused(done)
        assert not other.store_path.exists()

    @pytest.mark.parametrize("planted, word", PLANTED)
    def test_a_copy_that_declares_more(self, house, shop, tmp_path, planted, word):
        """What somebody put beside the schema would run, or be trusted, with the rest."""
        house.json("backup", tmp_path / "copy.db")
        with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            copy.executescript(planted)
        other, done = restored(house, tmp_path, tmp_path / "copy.db", "--key-file", f"{house.store_path}.key")
        assert_refused(done, word)
        assert not other.store_path.exists() and not (other.store_path.parent / "reenvio.db.key").exists()

    def test_the_store_itself_declares_more(self, house, shop):
        with closing(sqlite3.connect(house.store_path)) as store:
            store.executescript(PLANTED[0][0])
        done = house.run("check", "--deep")
        assert done.returncode == 1 and "trigger planted of payouts" in done.stdout + done.stderr

    def test_the_wrong_key_or_none(self, house, shop, tmp_path):
        house.json("backup", tmp_path / "copy.db")
        other, done = restored(house, tmp_path, tmp_path / "copy.db")
        assert_refused(done, "--key-file")
        (tmp_path / "key").write_text("A" * 43 + "=\n")
        done = other.run("restore", tmp_path / "copy.db", "--key-file", tmp_path / "key")
        assert_refused(done, "not the one")
        assert not other.store_path.exists()

    def test_nothing_to_copy(self, tmp_path):
        assert_refused(House(tmp_path).run("backup", tmp_path / "copy.db"), "there is no file")
