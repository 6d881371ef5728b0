"""Damage at rest, and power cuts: `reenvio check --deep` calls no damaged store sound, and each state that a power cut permits
holds what was answered."""

import random
import shutil
import sqlite3
import struct
import threading
import time

import pytest

from harness import disk
from harness.binary import House, Shop
from harness.client import paid_payouts
from harness.postgres import NODES_KEY, SharedHouse
from harness.waiting import eventually

FRAME = 24 + 4096
SEED = 20261130


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder with a store of some hundred pages and the log of a killed server; what it was when it was killed."""
    house = House(tmp_path_factory.mktemp("killed"))
    shop = Shop(house)
    server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")
    paid_payouts(server, shop, 300, "http://127.0.0.1:9/dead")
    eventually(lambda: house.one("SELECT count(*) FROM attempts") >= 10, "some were tried")
    with sqlite3.connect(house.store_path) as store:
        store.execute("PRAGMA wal_checkpoint(RESTART)")
    store.close()
    paid_payouts(server, shop, 40, "http://127.0.0.1:9/dead", tag="more")
    server.kill()
    return house


@pytest.fixture
def copied(killed, tmp_path):
    """A copy of it that may be damaged, and the path of its database file."""
    house = House(tmp_path)
    shutil.copytree(killed.store_path.parent, house.store_path.parent)
    return house


def log_of(house):
    return house.store_path.with_name("reenvio.db-wal")


def frames_of(house):
    """How many its index counts; what lies behind them is of older generations."""
    return struct.unpack_from("=I", house.store_path.with_name("reenvio.db-shm").read_bytes(), 16)[0]


def cut_log(house, less):
    """Cuts the log within the frames that count."""
    with open(log_of(house), "r+b") as file:
        file.truncate(32 + frames_of(house) * FRAME - less)


def flip(path, place, bit):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << bit]))


def blank(path, page):
    with open(path, "r+b") as file:
        file.seek(page * 4096)
        file.write(bytes(4096))


def cut(path, bytes_less):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - bytes_less)


def is_sound(house):
    """What SQLite says, of a copy."""
    probe = house.folder / "probe"
    shutil.copytree(house.store_path.parent, probe)
    try:
        with sqlite3.connect(probe / "reenvio.db") as store:
            return [word for (word,) in store.execute("PRAGMA integrity_check")] == ["ok"]
    except sqlite3.DatabaseError:
        return False
    finally:
        store.close()
        shutil.rmtree(probe)


class TestOfTheFile:
    @pytest.mark.parametrize("number", range(12))
    def test_no_damaged_store_is_in_order(self, copied, number):
        """A bit, a page, the tail."""
        dice = random.Random(SEED + number)
        path, size = copied.store_path, copied.store_path.stat().st_size
        match number % 3:
            case 0:
                flip(path, dice.randrange(100, size), dice.randrange(8))
            case 1:
                blank(path, dice.randrange(1, size // 4096))
            case 2:
                cut(path, 4096 * dice.randint(1, 20) + dice.choice([0, 1000]))
        sound = is_sound(copied)
        done = copied.run("check", "--deep", within=60)
        assert done.returncode in (0, 1)
        if not sound:
            assert done.returncode == 1 and "in order" not in done.stdout
            assert 1 <= len(done.stderr.splitlines()) <= 30

    def test_a_page_in_the_middle_of_a_table_is_named_as_damage(self, copied):
        with sqlite3.connect(copied.store_path) as store:
            store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (page,) = store.execute(
                "SELECT pageno FROM dbstat WHERE name = 'status_changes' AND pagetype = 'leaf' LIMIT 1 OFFSET 2").fetchone()
        store.close()
        blank(copied.store_path, page - 1)
        done = copied.run("check", "--deep")
        assert done.returncode == 1 and "the file is damaged" in done.stderr

    def test_of_a_store_that_is_served(self, killed, copied):
        """A copy of it is read, and nothing of that stays."""
        server = copied.serve()
        done = copied.run("check", "--deep", within=60)
        assert done.returncode == 0, done.stderr
        assert list(copied.store_path.parent.glob("*.check*")) == []
        server.stop()


class TestOfTheLog:
    def test_a_recovered_one_is_reported_with_its_frames(self, copied):
        frames = frames_of(copied)
        done = copied.run("check", "--deep")
        assert done.returncode == 0, done.stderr
        assert f"the log of a killed process was recovered: {frames} frames" in done.stderr

    @pytest.mark.parametrize("place", [5, 40, 32 + 24 + 100, 32 + 3 * FRAME + 2000], ids=["head", "frame head", "first page", "fourth page"])
    def test_a_bit_in_the_middle(self, copied, place):
        """SQLite passes over all that follows; here that is said, and the files stay as they are."""
        flip(log_of(copied), place, 3)
        before = copied.store_path.read_bytes(), log_of(copied).read_bytes()
        done = copied.run("check", "--deep")
        assert done.returncode == 1 and "the log is damaged" in done.stderr, done.stderr
        assert (copied.store_path.read_bytes(), log_of(copied).read_bytes()) == before

    @pytest.mark.parametrize("less", [FRAME * 10, 1000])
    def test_cut(self, copied, less):
        cut_log(copied, less)
        done = copied.run("check")
        assert done.returncode == 1 and "the log is cut" in done.stderr, done.stderr

    def test_gone(self, copied):
        log_of(copied).unlink()
        done = copied.run("check")
        assert done.returncode == 1 and "gone" in done.stderr, done.stderr

    def test_a_server_that_starts_on_one_says_so(self, copied):
        cut_log(copied, FRAME * 10)
        server = copied.serve()
        assert "the log of the store is damaged" in server.log_text()
        server.kill()
        assert "the log of the store is damaged" not in copied.serve().log_text(), "what is left is sound"

    def test_one_transaction_that_was_not_finished_is_no_damage(self, copied):
        """A power cut leaves no more of it; the index went with the memory."""
        cut_log(copied, 100)
        copied.store_path.with_name("reenvio.db-shm").unlink()
        done = copied.run("check", "--deep")
        assert done.returncode == 0, done.stderr


class TestOnPostgreSQL:
    def test_without_amcheck_rows_are_read_and_a_warning_says_so(self, tmp_path, postgres):
        """A user that may not install it."""
        house = SharedHouse(tmp_path, postgres)
        postgres.query("CREATE ROLE tenant LOGIN", house.database)
        postgres.query(f"ALTER DATABASE {house.database} OWNER TO tenant", house.database)
        house.settings["REENVIO_STORE"] = house.store.replace("user=postgres", "user=tenant")
        Shop(house)
        done = house.run("check", "--deep")
        assert done.returncode == 0 and "amcheck is not installed" in done.stderr, done.stderr

    @pytest.mark.parametrize("is_installed", [True, False])
    def test_a_damaged_index_is_found(self, tmp_path, postgres, is_installed):
        house = SharedHouse(tmp_path, postgres)
        Shop(house)
        if is_installed:
            postgres.query("CREATE EXTENSION amcheck", house.database)
        done = house.run("check", "--deep", within=60)
        assert done.returncode == 0 and "amcheck" not in done.stderr, done.stderr
        # An index that does not hold each row of its table.
        for is_kept in ("false", "true"):
            postgres.query(
                f"UPDATE pg_index SET indisready = {is_kept} WHERE indexrelid = 'meta_pkey'::regclass", house.database)
            postgres.query(f"INSERT INTO meta (name, value) VALUES ('kept: {is_kept}', '')", house.database)
        done = house.run("check", "--deep", within=60)
        assert done.returncode == 1 and "meta_pkey is damaged" in done.stderr, done.stderr
        found = postgres.query("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'", house.database)
        assert found == [["1" if is_installed else "0"]], "the check leaves nothing behind"


class TestPowerCuts:
    """A server under load on a disk that is remembered from the first command on."""

    LOAD_S = 2
    SETTLED = ("all", "none", "some")

    def recorded(self, tmp_path):
        house = House(tmp_path)
        house.store_path.parent.mkdir()
        house.settings = disk.settings(house.store_path.parent, DISK_RECORD=str(tmp_path / "recording"))
        shop = Shop(house)
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")
        accepted, ended = [], threading.Event()

        def work(tag):
            client = server.client(shop.operator_key)
            number = 0
            while not ended.is_set():
                number += 1
                made = client.create_payout(merchant_id=303, invoice=f"{tag}-{number}", notification_url="http://127.0.0.1:9/x")
                accepted.append((made["id"], 1, time.monotonic_ns()))
                client.transition(made["id"], 3)
                accepted.append((made["id"], 3, time.monotonic_ns()))

        threads = [threading.Thread(target=work, args=(tag,)) for tag in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(accepted) > 300, "some was accepted", 60)
        ended.set()
        for thread in threads:
            thread.join(30)
        server.kill()
        return house, accepted

    def judge(self, contents, root, folder, accepted, until):
        """What is wrong with a state; empty where nothing is."""
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "data").mkdir(parents=True)
        disk.put(contents, root, folder / "data")
        house = House(folder)
        known = [(one, status) for one, status, at in accepted if at < until]
        if not house.store_path.exists():
            done = house.run("account", "create", "--name", "again")
            return f"{len(known)} were accepted" if known else "" if done.returncode == 0 else done.stderr
        with sqlite3.connect(house.store_path) as store:
            if [word for (word,) in store.execute("PRAGMA integrity_check(3)")] != ["ok"]:
                return "damaged"
            if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'payouts'").fetchone():
                return f"{len(known)} were accepted" if known else ""
            stored = dict(store.execute("SELECT id, status_id FROM payouts"))
        store.close()
        lost = [one for one, status in known if stored.get(one, 0) < status]
        return f"lost {lost[:5]}" if lost else ""

    def run(self, tmp_path, cuts):
        house, accepted = self.recorded(tmp_path)
        calls = disk.recording(tmp_path / "recording")
        dice = random.Random(SEED)
        chosen = set(dice.sample(range(len(calls)), min(cuts, len(calls)))) | set(range(0, 40, 4))
        state, wrong = disk.Disk(), []
        for number, call in enumerate(calls):
            state.follow(call)
            if number not in chosen:
                continue
            until = calls[number + 1].nanoseconds if number + 1 < len(calls) else 1 << 63
            for how in self.SETTLED:
                said = self.judge(
                    state.after_a_cut(how, dice), house.store_path.parent, tmp_path / "state", accepted, until)
                if said:
                    wrong.append((number, how, said))
        assert not wrong, wrong[:5]

    def test_thirty(self, tmp_path):
        self.run(tmp_path, 20)

    @pytest.mark.soak
    def test_three_hundred(self, tmp_path):
        self.run(tmp_path, 300)
