"""Stores that cannot be used, and the key that belongs to one (design rules 6 and 15, the operator's surface)."""

import base64
import os
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest

from harness import here
from harness.binary import BINARY, House, assert_refused
from harness.bodies import payout_body
from harness.client import PAYMENTS
from harness.waiting import eventually


class TestStores:
    """A store that cannot be used is refused with one clear line, by the server and by every command."""

    COMMANDS = [("serve", "--listen", "127.0.0.1:0"), ("migrate",), ("account", "create", "--name", "A")]

    @pytest.fixture(params=COMMANDS, ids=lambda command: command[0])
    def attempt(self, house, request):
        return lambda: house.run(*request.param)

    def test_a_database_of_somebody_else(self, house, attempt):
        house.store_path.parent.mkdir()
        house.store_path.with_name("reenvio.db.key").write_text(base64.b64encode(bytes(32)).decode())
        with sqlite3.connect(house.store_path) as foreign:
            foreign.execute("CREATE TABLE recipes (name TEXT)")
            foreign.execute("INSERT INTO recipes VALUES ('soup')")
        before = house.store_path.read_bytes()
        assert_refused(attempt(), house.store_path)
        assert house.store_path.read_bytes() == before, "a file that is not ours was changed"

    def test_a_file_that_is_no_database(self, house, attempt):
        house.store_path.parent.mkdir()
        house.store_path.with_name("reenvio.db.key").write_text(base64.b64encode(bytes(32)).decode())
        house.store_path.write_bytes(b"Dear diary,\n" * 1000)
        assert_refused(attempt(), house.store_path)
        assert house.store_path.read_bytes() == b"Dear diary,\n" * 1000

    def test_a_missing_key_file(self, house, shop, attempt):
        """A new key is never made for a store that exists: what it holds could not be read."""
        key = house.store_path.with_name("reenvio.db.key")
        text = key.read_text()
        key.unlink()
        assert_refused(attempt(), key)
        assert not key.exists()
        key.write_text(text)
        house.json("account", "create", "--name", "B")

    def test_a_damaged_key_file(self, house, shop, attempt):
        key = house.store_path.with_name("reenvio.db.key")
        key.write_text("garbage\n")
        assert_refused(attempt(), key)

    def test_the_key_of_another_store(self, house, shop, attempt):
        key = house.store_path.with_name("reenvio.db.key")
        key.write_text(base64.b64encode(os.urandom(32)).decode())
        assert_refused(attempt(), "key")

    def test_a_store_that_is_newer_than_the_binary(self, house, shop, attempt):
        with sqlite3.connect(house.store_path) as store:
            store.execute("INSERT INTO migrations (version, name, applied_at) VALUES (9999, 'from the future', 0)")
            store.execute("UPDATE meta SET value = '9999' WHERE name = 'schema_needs'")
        assert_refused(attempt(), "9999", "newer")

    def test_a_folder_in_its_place(self, house, attempt):
        house.store_path.mkdir(parents=True)
        assert_refused(attempt(), house.store_path)

    def test_a_file_in_place_of_its_folder(self, house, attempt):
        house.store_path.parent.write_text("a file")
        assert_refused(attempt(), house.store_path.parent)

    def test_a_damaged_store(self, house, shop, attempt):
        """Half of its pages are gone; whatever is said, it is one line, and no crash."""
        size = house.store_path.stat().st_size
        with open(house.store_path, "r+b") as store:
            store.seek(4096)
            store.write(b"\xde\xad" * ((size - 4096) // 2))
        assert_refused(attempt())

    def test_a_store_that_this_version_does_not_support(self, house):
        assert_refused(house.run("migrate", REENVIO_STORE="postgres://u:pw@127.0.0.1/x"), "REENVIO_ENCRYPTION_KEY")
        assert_refused(house.run("migrate", REENVIO_STORE="reenvio.db"), "REENVIO_STORE")

    def test_the_key_file_is_for_its_owner_only(self, house, shop):
        """Design rule 15: created on first start beside the SQLite file."""
        key = house.store_path.with_name("reenvio.db.key")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert len(base64.b64decode(key.read_text(), validate=False)) == 32

    def test_all_that_is_made_is_for_its_owner_only(self, house, shop, tmp_path):
        """Whatever the umask: the store, its log, its locks, copies, and the folder."""
        command = ["sh", "-c", 'umask 0; exec "$@"', "sh", BINARY]
        other = House(tmp_path / "other")
        other.folder.mkdir()
        server = other.serve(command=[*command, "serve"])
        assert other.run(command=[*command, "backup", "copy.db"]).returncode == 0
        made = [path for path in other.folder.rglob("*") if path.suffix != ".log"]
        assert {"reenvio.db", "reenvio.db-wal", "reenvio.db-shm", "reenvio.db.key"} <= {path.name for path in made}
        assert {path.name: oct(path.stat().st_mode & 0o077) for path in made if path.stat().st_mode & 0o077} == {}
        server.stop()

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_a_key_file_that_others_may_read_is_refused(self, house, shop, mode):
        key = house.store_path.with_name("reenvio.db.key")
        key.chmod(mode)
        assert_refused(house.run("serve", "--listen", "127.0.0.1:0"), "chmod 600")
        assert "chmod 600" in house.run("check").stderr
        key.chmod(0o600)
        house.serve().stop()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_settings_of_somebody_else_are_refused(self, house, shop):
        settings = house.folder / "reenvio.yaml"
        settings.write_text("log: info\n")
        settings.chmod(0o646)
        assert_refused(house.run("account", "create", "--name", "A"), "reenvio.yaml can be changed by others")
        settings.chmod(0o644)
        house.json("account", "create", "--name", "A")
        os.chown(settings, 12_345, -1)
        assert_refused(house.run("account", "create", "--name", "A"), "reenvio.yaml can be changed by others")

    def test_a_key_from_the_settings(self, house):
        """REENVIO_ENCRYPTION_KEY: no key file then; the store opens with that key only."""
        key, other = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
        house.json("account", "create", "--name", "A", REENVIO_ENCRYPTION_KEY=key)
        assert not house.store_path.with_name("reenvio.db.key").exists()
        house.json("account", "create", "--name", "B", REENVIO_ENCRYPTION_KEY=key)
        assert_refused(house.run("migrate", REENVIO_ENCRYPTION_KEY=other), "key")


class FullDisk:
    """A store on a file system of 4 MiB that only the server's mount namespace sees. Where there is no such namespace, a
    limit of 2 MiB on each file says that nothing more can be written."""

    MOUNT = "mount -t tmpfs -o size=4m tmpfs data && cp -a spare/. data && head -c 2000000 /dev/zero > data/ballast && "

    LIMIT = 2 << 20

    def __init__(self, house):
        self.house = house
        self.namespace = here.mount_namespace()
        if self.namespace is None:
            return
        house.store_path.parent.rename(house.folder / "spare")
        house.store_path.parent.mkdir()

    def command(self, *arguments, more=0):
        """The same command line, with the small disk under the store, `more` bytes of it in use."""
        if self.namespace is None:
            limit = max(4096, self.LIMIT - more)
            return ["sh", "-c", f"trap '' XFSZ; exec prlimit --fsize={limit}:unlimited \"$@\"", "sh", BINARY, *arguments]
        fill = f"head -c {more} /dev/zero > data/more 2>/dev/null; " if more else ""
        return [*self.namespace, "sh", "-c", self.MOUNT + fill + 'exec "$@"', "sh", BINARY, *arguments]

    def make_room(self, server):
        if self.namespace is None:
            subprocess.run(["prlimit", f"--pid={server.process.pid}", "--fsize=unlimited"], check=True, timeout=60)
        else:
            folder = Path(f"/proc/{server.process.pid}/root") / self.house.store_path.parent.relative_to("/")
            (folder / "ballast").unlink()


class TestFullDisk:
    def test_a_server_refuses_and_recovers(self, house, shop, receiver):
        """C 10: 503 without detail while nothing can be written, ready again within 20 s after it can; what was answered
        2xx is there, what was refused is not."""
        disk = FullDisk(house)
        server = house.serve(command=disk.command("serve"))
        client = server.client(shop.key)
        created = []
        for _ in range(20_000):
            answer = client.post(PAYMENTS, payout_body())
            if answer.status_code != 201:
                break
            created.append(answer.json()["id"])
        assert (answer.status_code, answer.json()) == (503, {"message": "Service unavailable."})
        # What is too large for a payout may hold some smaller writes: twice a second one of them is tried.
        eventually(lambda: client.get("/readyz").status_code == 503, "/readyz answered 503", within=15)
        assert client.get("/healthz").status_code == 200
        assert client.payout(created[-1])["id"] == created[-1], "reading goes on"
        disk.make_room(server)
        eventually(lambda: client.get("/readyz").status_code == 200, "/readyz answered 200 again", within=20)
        created.append(client.create_payout()["id"])
        listed = client.get(f"{PAYMENTS}?per_page=1").json()["meta"]["total"]
        assert listed == len(created)
        assert server.process.poll() is None
        server.stop()

    def test_a_command_says_so_in_one_line(self, house, shop):
        disk = FullDisk(house)
        command = disk.command("account", "create", "--name", "A" * 255, more=4_000_000)
        assert_refused(house.run(command=command), "disk")


class TestClientLibrary:
    def test_a_node_on_sqlite_loads_nothing_of_postgresql(self, house):
        server = house.serve()
        mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "libsqlite3" in mapped
        assert "libpq" not in mapped and "libgssapi" not in mapped and "libldap" not in mapped

    def test_a_library_that_cannot_be_loaded_is_named(self, house):
        (house.folder / "libpq.so.5").touch()
        done = house.run(
            "migrate", REENVIO_STORE="postgres://nobody@127.0.0.1:1/none", LD_LIBRARY_PATH=str(house.folder),
            REENVIO_ENCRYPTION_KEY=base64.b64encode(bytes(32)).decode())
        assert_refused(done, "libpq.so.5")
