"""The files of a SQLite store: what lies beside it, what is put in its place, and what becomes of a server when they are
changed below it. A step that fails leaves things as they were."""

import errno
import os
import shutil
import signal
import sqlite3
import time

import pytest

from harness import disk
from harness.binary import BINARY, House, assert_refused
from harness.bodies import payout_body, window
from harness.client import PAYMENTS, paid_payouts
from harness.metrics import sample
from harness.waiting import eventually


def listing(folder):
    """What is in a folder, with its content; not the index, which is written by whoever looks."""
    return {
        one.name: one.read_bytes() if one.is_file() else None
        for one in folder.iterdir() if not one.name.endswith((".lock", "-shm"))
    }


def log_of(house):
    return house.store_path.with_name("reenvio.db-wal")


def key_of(house):
    return house.store_path.with_name("reenvio.db.key")


@pytest.fixture
def lost(house, shop, receiver, tmp_path):
    """A backup; then more is accepted, the server is killed, and its database file is gone. The log is still there."""
    server = house.serve()
    paid_payouts(server, shop, 20, receiver.url(), tag="before")
    house.json("backup", tmp_path / "copy.db")
    paid_payouts(server, shop, 60, receiver.url(), tag="after")
    receiver.wait_for_acknowledged(80)
    server.kill()
    house.store_path.rename(tmp_path / "damaged.db")
    assert log_of(house).stat().st_size > 0
    return tmp_path / "copy.db"


class TestLeftovers:
    def test_restore_refuses_them(self, house, lost):
        before = listing(house.store_path.parent)
        assert_refused(house.run("restore", lost), "reenvio.db-wal", "--set-aside")
        assert listing(house.store_path.parent) == before

    def test_set_aside_they_are_kept_and_the_store_is_the_backup(self, house, shop, lost):
        log = log_of(house).read_bytes()
        assert house.json("restore", lost, "--set-aside")["payouts"] == 20
        (kept,) = house.store_path.parent.glob("reenvio.db.left-*-wal")
        assert kept.read_bytes() == log
        assert house.one("SELECT count(*) FROM payouts") == 20
        done = house.run("check", "--deep")
        assert done.returncode == 0, done.stderr
        client = house.serve("--hold").client(shop.key)
        assert client.get(f"{PAYMENTS}?per_page=1").json()["meta"]["total"] == 20

    def test_a_whole_store_is_set_aside_with_its_log(self, house, shop, lost, tmp_path):
        """It can be opened under its new name, and put back."""
        shutil.copy(tmp_path / "damaged.db", house.store_path)
        assert_refused(house.run("restore", lost), "exists already")
        assert house.json("restore", lost, "--set-aside")["payouts"] == 20
        (kept,) = [one for one in house.store_path.parent.glob("reenvio.db.left-*") if one.name.endswith("Z")]
        with sqlite3.connect(kept) as old:
            assert old.execute("SELECT count(*) FROM payouts").fetchone() == (80,)
        old.close()

    @pytest.mark.parametrize("command", [("serve", "--listen", "127.0.0.1:0"), ("migrate",), ("account", "create", "--name", "A"), ("check",)])
    def test_no_command_makes_a_store_beside_the_log_of_a_lost_one(self, house, lost, command):
        """SQLite would delete that log."""
        before = listing(house.store_path.parent)
        done = house.run(*command)
        assert done.returncode == 1 and "its log" in done.stderr and "reenvio.db-wal" in done.stderr
        assert listing(house.store_path.parent) == before

    @pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
    def test_a_backup_gets_no_name_with_one_beside_it(self, house, shop, tmp_path, suffix):
        left = tmp_path / f"copy.db{suffix}"
        left.write_bytes(b"somebody's")
        assert_refused(house.run("backup", tmp_path / "copy.db"), left)
        assert left.read_bytes() == b"somebody's" and not (tmp_path / "copy.db").exists()

    def test_what_a_killed_backup_left_is_replaced(self, house, shop, tmp_path):
        for suffix in ("", "-journal", "-wal"):
            (tmp_path / f"copy.db.partial{suffix}").write_bytes(b"half of a copy" * 1000)
        house.json("backup", tmp_path / "copy.db")
        assert sorted(one.name for one in tmp_path.glob("copy.db*")) == ["copy.db"]

    def test_killed_between_its_two_names_the_store_is_used_all_the_same(self, house, shop):
        """A restore gives the file its name before it takes the other one away."""
        os.link(house.store_path, house.store_path.with_name("reenvio.db.partial"))
        house.json("account", "create", "--name", "B")
        assert not house.store_path.with_name("reenvio.db.partial").exists()

    def test_a_running_server_keeps_its_place(self, house, shop, tmp_path):
        house.json("backup", tmp_path / "copy.db")
        house.serve()
        assert_refused(house.run("restore", tmp_path / "copy.db", "--set-aside"), "serves")
        assert house.store_path.exists()

    def test_check_says_that_a_log_is_not_the_files_own(self, house, lost, tmp_path):
        """Somebody put a copy there by hand."""
        shutil.copyfile(lost, house.store_path)
        done = house.run("check")
        assert "the log is not its own" in done.stderr or done.returncode == 1, done.stderr


class TestFullDisk:
    """Every write fails with ENOSPC, or EIO, for files of one kind."""

    @pytest.mark.parametrize("call,code", [(disk.WRITE, errno.ENOSPC), (disk.SYNC, errno.ENOSPC)])
    def test_backup(self, house, shop, tmp_path, call, code):
        (tmp_path / "backups").mkdir()
        faults = disk.Faults(tmp_path / "faults", tmp_path / "backups")
        faults.set(call, code)
        done = house.run("backup", tmp_path / "backups/copy.db", **faults.settings)
        assert_refused(done, "the disk is full", tmp_path / "backups/copy.db")
        assert list((tmp_path / "backups").iterdir()) == []

    def test_restore(self, house, shop, tmp_path):
        house.json("backup", tmp_path / "copy.db")
        other = House(tmp_path / "other")
        other.store_path.parent.mkdir(parents=True)
        faults = disk.Faults(tmp_path / "faults", other.store_path.parent)
        arguments = ("restore", tmp_path / "copy.db", "--key-file", key_of(house))
        for suffix in (".db.partial", ".key.partial"):
            faults.set(disk.WRITE, errno.ENOSPC, suffix=suffix)
            assert_refused(other.run(*arguments, **faults.settings), "the disk is full")
            assert list(other.store_path.parent.iterdir()) == [], suffix
        # The last step of all.
        faults.clear()
        faults.set(disk.SYNC, errno.EIO, suffix="/data")
        assert_refused(other.run(*arguments, **faults.settings))
        assert list(other.store_path.parent.iterdir()) == []
        faults.clear()
        assert other.run(*arguments, **faults.settings).returncode == 0

    @pytest.mark.parametrize("call,code", [(disk.WRITE, errno.ENOSPC), (disk.SYNC, errno.EIO)])
    def test_the_first_key(self, house, tmp_path, call, code):
        house.store_path.parent.mkdir()
        faults = disk.Faults(tmp_path / "faults", house.store_path.parent)
        faults.set(call, code, suffix=".key.partial")
        assert_refused(house.run("account", "create", "--name", "A", **faults.settings), key_of(house))
        assert list(house.store_path.parent.iterdir()) == []
        assert house.json("account", "create", "--name", "A") == {"account_id": 1}

    def test_a_job_waits_for_a_disk_that_cannot_be_read(self, house, shop, receiver, tmp_path):
        faults = disk.Faults(tmp_path / "faults", house.store_path.parent)
        server = house.serve(**faults.settings)
        client = server.client(shop.key)
        paid_payouts(server, shop, 1_500, receiver.url())
        receiver.wait_for_acknowledged(1_500, within=60)
        job, total = client.dispatch(window(303))
        faults.set(disk.READ, errno.EIO)
        eventually(lambda: faults.failed(disk.READ) >= 20, "reading failed")
        assert client.post(PAYMENTS, payout_body()).status_code in (201, 503)
        faults.clear()
        state = client.wait_for_job(job, within=60)
        assert (state["status"], state["queued"]) == ("completed", total)


class TestKeyFile:
    @pytest.mark.parametrize("content", [b"", b"\n"])
    def test_an_empty_one_of_a_first_start_that_failed(self, house, content):
        house.store_path.parent.mkdir()
        key_of(house).write_bytes(content)
        done = house.run("account", "create", "--name", "A")
        if content:
            assert_refused(done, key_of(house), "remove the file")
            assert key_of(house).read_bytes() == content
        else:
            assert done.returncode == 0, done.stderr
            assert key_of(house).stat().st_mode & 0o777 == 0o600

    def test_what_a_kill_left_is_replaced(self, house):
        house.store_path.parent.mkdir()
        key_of(house).with_name("reenvio.db.key.partial").write_text("half a k")
        house.json("account", "create", "--name", "A")
        assert not key_of(house).with_name("reenvio.db.key.partial").exists()

    def test_restore_beside_the_same_key(self, house, shop, tmp_path):
        house.json("backup", tmp_path / "copy.db")
        other = House(tmp_path / "other")
        other.store_path.parent.mkdir(parents=True)
        key_of(other).write_text(key_of(house).read_text())
        done = other.run("restore", tmp_path / "copy.db", "--key-file", key_of(house))
        assert done.returncode == 0, done.stderr

    def test_restore_beside_another_key(self, house, shop, tmp_path):
        """Refused before anything is changed."""
        house.json("backup", tmp_path / "copy.db")
        other = House(tmp_path / "other")
        other.store_path.parent.mkdir(parents=True)
        key_of(other).write_text("A" * 43 + "=\n")
        before = listing(other.store_path.parent)
        assert_refused(other.run("restore", tmp_path / "copy.db", "--key-file", key_of(house)), key_of(other))
        assert listing(other.store_path.parent) == before

    def test_backup_warns_of_a_key_that_is_not_there(self, house, shop, tmp_path):
        key_of(house).rename(tmp_path / "key")
        done = house.run("backup", tmp_path / "copy.db")
        assert done.returncode == 0 and "warning: the key of this store" in done.stderr


class TestNames:
    """One store, one server, whatever it is called."""

    def served(self, house, path):
        return house.run("serve", "--listen", "127.0.0.1:0", REENVIO_STORE=f"sqlite:{path}")

    def test_a_symbolic_link(self, house, shop, tmp_path):
        link = tmp_path / "elsewhere.db"
        link.symlink_to(house.store_path)
        server = house.serve()
        assert_refused(self.served(house, link), "serves")
        assert house.json("account", "create", "--name", "B", REENVIO_STORE=f"sqlite:{link}")
        assert [one.name for one in tmp_path.glob("elsewhere*")] == ["elsewhere.db"]
        server.stop()
        server = house.serve(REENVIO_STORE=f"sqlite:{link}")
        assert_refused(self.served(house, house.store_path), "serves")

    def test_links_among_the_folders(self, house, shop, tmp_path):
        (tmp_path / "around").symlink_to(house.store_path.parent)
        house.serve()
        for path in (tmp_path / "around/reenvio.db", "data/reenvio.db", "data/../around/reenvio.db"):
            assert_refused(self.served(house, path), "serves")
            house.json("account", "create", "--name", "B", REENVIO_STORE=f"sqlite:{path}")

    def test_a_second_name_of_the_file_is_refused_by_every_command(self, house, shop, tmp_path):
        other = tmp_path / "other.db"
        os.link(house.store_path, other)
        key = key_of(house).read_text()
        (tmp_path / "other.db.key").write_text(key)
        for path in (house.store_path, other):
            for command in (("serve", "--listen", "127.0.0.1:0"), ("job", "list"), ("backup", tmp_path / "copy.db")):
                assert_refused(house.run(*command, REENVIO_STORE=f"sqlite:{path}"), "hard links")
        other.unlink()
        assert house.run("job", "list").returncode == 0

    def test_the_file_mounted_elsewhere(self, house, shop, tmp_path):
        """Also refused to commands: they would keep another log for it."""
        other = tmp_path / "mounted.db"
        other.touch()
        (tmp_path / "mounted.db.key").write_text(key_of(house).read_text())
        mount = f'mount --bind "{house.store_path}" "{other}" && exec "$@"'
        def mounted(*arguments):
            own = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
            command = ["unshare", *own, "--mount", "--propagation", "unchanged", "sh", "-c", mount, "sh", BINARY, *arguments]
            return house.run(command=command, REENVIO_STORE=f"sqlite:{other}")
        if mounted("job", "list").returncode != 0:
            pytest.skip("no file can be mounted here")
        house.serve()
        assert_refused(mounted("serve", "--listen", "127.0.0.1:0"), "another name")
        assert_refused(mounted("job", "list"), "another name")


class TestChangedBelowAServer:
    @pytest.mark.parametrize("name", ["-wal", ""])
    def test_nothing_accepted_is_lost(self, house, shop, receiver, name):
        """The log, or the file itself, is removed while changes come in; the server is killed once it has said so."""
        server = house.serve()
        client = server.client(shop.key)
        created = paid_payouts(server, shop, 50, receiver.url())
        house.store_path.with_name(f"reenvio.db{name}").unlink()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            answer = client.post(PAYMENTS, payout_body(notification_url=receiver.url()))
            if answer.status_code != 201:
                break
            created.append(answer.json()["id"])
        assert (answer.status_code, answer.json()) == (503, {"message": "Service unavailable."})
        assert client.get("/readyz").status_code == 503
        lines = eventually(
            lambda: [line for line in server.log_text().splitlines() if "changed below the server" in line], "it is said")
        assert len(lines) == 1 and "removed or replaced" in lines[0] and "is safe in" in lines[0]
        server.kill()
        if not name:
            rescued = house.store_path.with_name("reenvio.db.rescued")
            for one in house.store_path.parent.glob("reenvio.db-*"):
                one.unlink()
            rescued.rename(house.store_path)
        client = house.serve().client(shop.key)
        for one in created:
            assert client.get(f"{PAYMENTS}/{one}").status_code == 200, one

    def test_an_idle_server_notices_too(self, house, shop):
        server = house.serve()
        log_of(house).unlink()
        eventually(lambda: "changed below the server" in server.log_text(), "it is said")
        assert server.client().get("/readyz").status_code == 503
        assert server.terminate() == 0


class TestLogLength:
    def test_a_metric_says_it(self, house, shop, receiver):
        server = house.serve()
        paid_payouts(server, shop, 50, receiver.url())
        receiver.wait_for_acknowledged(50)
        operator = server.client(shop.operator_key)
        assert 0 < eventually(
            lambda: sample(operator, "reenvio_store_log_bytes") == (size := log_of(house).stat().st_size) and size,
            "the metric says what the file says")


    def test_grown_behind_a_reader_it_stops_intake_and_is_given_back_at_its_end(self, house, shop, receiver):
        """Grown with a hole, which costs no room on the disk. Whoever reads an old state keeps SQLite from cutting it."""
        server = house.serve()
        client = server.client(shop.key)
        paid_payouts(server, shop, 1, receiver.url(), tag="old")
        reader = sqlite3.connect(house.store_path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM payouts").fetchone()
        paid_payouts(server, shop, 20, receiver.url(), tag="new")
        receiver.wait_for_acknowledged(21)
        os.truncate(log_of(house), 5 << 30)
        eventually(lambda: client.post(PAYMENTS, payout_body()).status_code == 503, "nothing new is taken in")
        eventually(lambda: client.get("/readyz").status_code == 503, "/readyz says so")
        eventually(lambda: "the log of the store grows" in server.log_text(), "the log says so")
        assert server.log_text().count("the log of the store grows") == 1
        reader.close()
        eventually(lambda: client.get("/readyz").status_code == 200, "it heals by itself")
        eventually(lambda: log_of(house).stat().st_size <= 64 << 20, "the log was cut")
        eventually(lambda: "the log of the store was given back" in server.log_text(), "the log says that, too")
        client.create_payout()
        server.stop()
        assert house.run("check", "--deep").returncode == 0


class TestInterrupted:
    @pytest.fixture
    def heavy(self, house, shop):
        """A store that takes a while to copy."""
        with sqlite3.connect(house.store_path) as store:
            store.execute("CREATE TABLE weight (bytes BLOB)")
            store.executemany("INSERT INTO weight VALUES (zeroblob(?))", [(1 << 20,)] * 150)
        store.close()
        return house

    def interrupt(self, house, partial, *command):
        process = house.spawn(*command, log=house.folder / "log")
        eventually(lambda: partial.exists() or process.poll() is not None, "it began")
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
        process.stdout.close()
        assert list(partial.parent.glob(f"{partial.name}*")) == []
        return code

    def test_a_backup_leaves_nothing(self, heavy, tmp_path):
        code = self.interrupt(heavy, tmp_path / "copy.db.partial", "backup", tmp_path / "copy.db")
        assert code == 128 + signal.SIGINT and not (tmp_path / "copy.db").exists() or code == 0

    def test_a_check_beside_a_server_leaves_nothing(self, heavy):
        server = heavy.serve()
        partial = heavy.store_path.with_name("reenvio.db.check.partial")
        assert self.interrupt(heavy, partial, "check", "--deep") in (0, 128 + signal.SIGINT)
        server.stop()
