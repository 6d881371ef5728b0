"""Every command from outside (the operator's surface): what it prints, how it ends, what it leaves behind."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
from datetime import datetime, timezone

import pytest
import requests
from standardwebhooks.webhooks import Webhook

from harness.binary import BINARY, House, Server, Shop, assert_refused, clean_environment
from harness.waiting import eventually


def refused_serve(house, **settings):
    return house.run("serve", REENVIO_LISTEN="127.0.0.1:0", **settings)


class TestServe:
    def test_announces_itself_with_one_line(self, house):
        """`{"listening":"127.0.0.1:43211"}` on standard output, nothing else there; logs go to standard error."""
        server = house.serve()
        assert re.fullmatch(r'\{"listening":"127\.0\.0\.1:\d+"\}\n', server.announced)
        assert server.client().get("/healthz").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert server.process.stdout.read() == ""

    def test_listens_where_the_flag_says(self, house):
        """Flags before environment."""
        log = house.folder / "serve.log"
        server = Server(house.spawn("serve", "--listen", "[::1]:0", log=log, REENVIO_LISTEN="127.0.0.1:0"), log, house)
        house.servers.append(server)
        assert server.address.startswith("[::1]:")
        assert server.client().get("/healthz").status_code == 200

    def test_warns_of_development_settings(self, house):
        """REENVIO_ALLOW_HTTP_RECEIVERS: `check` and `serve` warn; logs are one JSON document a line."""
        server = house.serve()
        server.stop()
        lines = [json.loads(line) for line in server.log_text().splitlines()]
        warnings = [line["message"] for line in lines if line["level"] == "warning"]
        assert any("REENVIO_ALLOW_HTTP_RECEIVERS" in text for text in warnings)

    def test_a_second_one_on_the_same_store(self, house, shop):
        """Design rule 6: two `serve` on one SQLite file are refused; the first goes on, and a killed one locks nobody out."""
        first = house.serve()
        assert_refused(refused_serve(house), house.store_path)
        assert first.client(shop.key).create_payout()["id"]
        first.kill()
        house.serve().stop()

    def test_an_address_in_use(self, house):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert_refused(house.run("serve", "--listen", f"127.0.0.1:{port}"), port)

    def test_every_mistake_in_the_settings_at_once(self, house):
        """Settings are read once and checked whole."""
        done = refused_serve(
            house, REENVIO_RETRY_SCHEDULE="soon", REENVIO_RESEND_BACKLOG="0", REENVIO_LOG="loud",
            REENVIO_ALLOW_PRIVATE_RECEIVERS="here", REENVIO_ENCRYPTION_KEY="short", REENVIO_TLS_CERT="/nonexistent",
        )
        assert done.returncode == 1 and done.stdout == ""
        lines = done.stderr.splitlines()
        assert all(line.startswith("reenvio: ") for line in lines)
        for name in ("RETRY_SCHEDULE", "RESEND_BACKLOG", "LOG", "ALLOW_PRIVATE_RECEIVERS", "ENCRYPTION_KEY", "TLS_CERT"):
            assert [line for line in lines if f"REENVIO_{name} " in line], f"{name} is not named:\n{done.stderr}"
        assert not house.store_path.exists(), "a store was made in spite of the mistakes"


class TestMigrateAndCheck:
    def test_migrate_names_what_it_applied(self, house):
        applied = house.json("migrate")["applied"]
        assert applied and applied == sorted(applied) and all(type(one) is int for one in applied)
        assert house.json("migrate") == {"applied": []}
        done = house.run("migrate")
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 1

    def test_ten_at_once_on_a_new_store(self, tmp_path):
        """Each creates and migrates a store that is new, one at a time, under a lock; one key is made. Five stores, for
        what two of them do in the same moment shows only now and then."""
        for round_number in range(5):
            folder = tmp_path / str(round_number)
            folder.mkdir()
            house = House(folder)
            running = [
                subprocess.Popen(
                    [BINARY, "account", "create", "--name", f"A{number}", "--json"], env=house.environment(), cwd=folder,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                )
                for number in range(10)
            ]
            done = [one.communicate(timeout=60) + (one.returncode,) for one in running]
            assert [(code, errors) for _, errors, code in done] == [(0, "")] * 10
            assert sorted(json.loads(text)["account_id"] for text, _, _ in done) == list(range(1, 11))

    def test_check_shows_the_settings_in_force(self, house):
        key = base64.b64encode(bytes(32)).decode()
        shown = house.json("check", REENVIO_RETRY_SCHEDULE="0s,7s", REENVIO_ENCRYPTION_KEY=key)
        assert list(shown) == ["settings", "problems", "warnings"]
        settings = shown["settings"]
        assert settings["REENVIO_STORE"] == house.store
        assert settings["REENVIO_LISTEN"] == "127.0.0.1:8080"
        assert settings["REENVIO_RETRY_SCHEDULE"] == "0s,7s"
        assert settings["REENVIO_RESEND_BACKLOG"] == "1000000"
        assert key not in json.dumps(shown), "a secret is shown"
        assert (shown["problems"], shown["warnings"]) == ([], [])

    def test_check_warns_of_development_settings_and_unknown_ones(self, house):
        warnings = house.json("check", REENVIO_ALLOW_HTTP_RECEIVERS="true", REENVIO_NONSENSE="1")["warnings"]
        for name in ("REENVIO_ALLOW_HTTP_RECEIVERS", "REENVIO_NONSENSE"):
            assert [text for text in warnings if name in text], name

    def test_check_names_every_mistake_at_once(self, house):
        done = house.run("check", "--json", REENVIO_LOG="loud", REENVIO_RETRY_SCHEDULE="soon", REENVIO_LISTEN="here")
        assert done.returncode == 1
        problems = json.loads(done.stdout)["problems"]
        assert len(problems) == 3
        for name in ("REENVIO_LOG", "REENVIO_RETRY_SCHEDULE", "REENVIO_LISTEN"):
            assert [text for text in problems if name in text], name

    def test_check_names_a_store_that_cannot_be_used(self, house):
        house.store_path.mkdir(parents=True)
        done = house.run("check", "--json")
        assert done.returncode == 1 and len(json.loads(done.stdout)["problems"]) == 1

    def test_check_for_people(self, house):
        done = house.run("check")
        assert (done.returncode, done.stderr) == (0, "")
        assert "REENVIO_STORE" in done.stdout and house.store in done.stdout

    def test_flags_come_before_environment_before_file(self, house):
        (house.folder / "reenvio.yaml").write_text("listen: 127.0.0.1:1111\nlog: debug\nresend_backlog: 777\n")
        settings = house.json("check", REENVIO_LOG="error")["settings"]
        assert settings["REENVIO_LISTEN"] == "127.0.0.1:1111"
        assert settings["REENVIO_RESEND_BACKLOG"] == "777"
        assert settings["REENVIO_LOG"] == "error"
        other = f"sqlite:{house.folder}/other.db"
        assert house.json("check", "--store", other)["settings"]["REENVIO_STORE"] == other

    def test_a_file_that_is_no_yaml(self, house):
        (house.folder / "reenvio.yaml").write_text("listen: [\n")
        assert_refused(house.run("migrate"), "reenvio.yaml")


class TestCreating:
    @pytest.mark.parametrize("name", ["a\x1b[2Jb", "two\nlines", "\x9b31m", "n" * 256])
    def test_names_are_one_bounded_line(self, house, name):
        """C 2.1: a terminal obeys control characters."""
        house.json("account", "create", "--name", "A")
        commands = [("account", "create"), ("merchant", "create", "--account", 1), ("key", "create", "--account", 1)]
        for command in commands:
            assert_refused(house.run(*command, "--name", name), "--name must not")
        refused = house.run("merchant", "create", "--account", 1, "--name", "M", "--branch", name, "--number", "1")
        assert_refused(refused, "--branch must not")

    def test_accounts_are_numbered(self, house):
        assert house.json("account", "create", "--name", "A") == {"account_id": 1}
        assert house.json("account", "create", "--name", "B") == {"account_id": 2}

    def test_merchants(self, house):
        """`{"merchant_id":303,"signing_secret":"whsec_..."}`, the secret of 24 to 64 bytes."""
        house.json("account", "create", "--name", "A")
        made = house.json(
            "merchant", "create", "--account", 1, "--id", 303, "--name", "M", "--branch", "0001", "--number", "123456"
        )
        assert list(made) == ["merchant_id", "signing_secret"] and made["merchant_id"] == 303
        assert made["signing_secret"].startswith("whsec_")
        assert 24 <= len(base64.b64decode(made["signing_secret"][6:], validate=True)) <= 64
        next_one = house.json("merchant", "create", "--account", 1, "--name", "N")
        assert next_one["merchant_id"] != 303 and next_one["signing_secret"] != made["signing_secret"]

    def test_keys_are_shown_once_and_stored_as_hashes(self, house, shop):
        """C 9. Nothing secret stands readable in the store (design rule 15)."""
        assert list(house.json("key", "create", "--account", shop.account_id, "--name", "k")) == ["key"]
        house.serve().stop()
        stored = b"".join(path.read_bytes() for path in house.store_path.parent.iterdir() if path.suffix != ".key")
        for secret in (shop.key, shop.operator_key, shop.key.rpartition("_")[2], shop.secret, shop.secret[6:]):
            assert secret.encode() not in stored
        assert base64.b64decode(shop.secret[6:]) not in stored

    @pytest.mark.parametrize(
        "arguments, word",
        [
            (["key", "create", "--name", "k"], "--account"),
            (["key", "create", "--name", "k", "--account", "1", "--operator"], "--operator"),
            (["key", "create", "--name", "k", "--account", "77"], "77"),
            (["key", "create", "--name", "k", "--account", "1", "--expires", "tomorrow"], "--expires"),
            (["key", "create", "--name", "k", "--account", "1", "--cidr", ""], "--cidr"),
            (["key", "create", "--name", "k", "--account", "1", "--cidr", "10.0.0.0/8,"], "--cidr"),
            (["key", "create", "--name", "k", "--account", "1", "--scope", ""], "--scope"),
            (["key", "create", "--name", "k", "--operator", "--scope", " , "], "--scope"),
            (["key", "create", "--name", "k", "--operator", "--scope", "everything"], "payouts:report, metrics:read"),
            (["key", "create", "--name", "k", "--account", "1", "--scope", "metrics:read"], "--operator"),
            (["key", "create", "--name", "k", "--operator", "--merchant", "303"], "--merchant"),
            (["key", "create", "--name", "k", "--account", "1", "--merchant", "999"], "999"),
            (["key", "create", "--name", "k", "--account", "1", "--merchant", "303", "--scope", "audit:read"], "audit"),
            (["merchant", "create", "--account", "77", "--name", "M"], "77"),
            (["merchant", "create", "--account", "1", "--id", "303", "--name", "M"], "303"),
            (["merchant", "create", "--account", "1", "--id", "0", "--name", "M"], "--id"),
            (["merchant", "create", "--account", "1", "--name", "M", "--branch", "0001"], "--number"),
            (["merchant", "create", "--account", "1", "--name", "M", "--signing-secret", "secret"], "--signing-secret"),
            (
                ["merchant", "create", "--account", "1", "--name", "M", "--signing-secret", "whsec_c2hvcnQ="],
                "--signing-secret",
            ),
            (["merchant", "create", "--account", "1", "--name", "M", "--compat-key", ""], "--compat-key"),
            (["merchant", "create", "--account", "1", "--name", "M", "--compat-key", "x" * 256], "--compat-key"),
        ],
        ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
    )
    def test_misuse_is_one_clear_line(self, house, shop, arguments, word):
        assert_refused(house.run(*arguments), word)
        assert house.run(*arguments, "--json").stdout == ""

    def test_a_number_of_the_mirror_is_taken_once(self, house, shop):
        """Branch and number name one merchant."""
        mirror = ("--branch", "0001", "--number", "123456")
        house.json("merchant", "create", "--account", 1, "--name", "M", *mirror)
        assert_refused(house.run("merchant", "create", "--account", 1, "--name", "N", *mirror))

    @pytest.mark.parametrize(
        "arguments", [["nonsense"], ["key", "create"], ["account", "create", "--nmae", "A"], ["serve", "x"]]
    )
    def test_wrong_usage_is_64(self, house, arguments):
        done = house.run(*arguments)
        assert done.returncode == 64 and done.stdout == "" and done.stderr

    def test_help_and_version(self, house):
        shown = house.run("--help")
        assert shown.returncode == 0
        for command in ("serve", "demo", "check", "migrate", "account", "merchant", "key", "import", "receiver"):
            assert re.search(rf"^  {command}\b", shown.stdout, re.MULTILINE), command
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", house.run("--version").stdout)
        assert not house.store_path.parent.exists()

    def test_beside_a_running_server(self, house):
        """Design rule 6: the CLI may write beside a server, which knows the new at once."""
        server = house.serve()
        shop = Shop(house)
        client = server.client(shop.key)
        made = client.create_payout()
        server.client(shop.operator_key).transition(made["id"], 3)
        assert client.payout(made["id"])["status"]["id"] == 3

    def test_a_merchants_secret_made_beside_a_server_signs(self, house, shop, receiver):
        """The server that is already running signs with it."""
        server = house.serve()
        made = house.json("merchant", "create", "--account", shop.account_id, "--id", 305, "--name", "Second")
        operator = server.client(shop.operator_key)
        operator.transition(operator.create_payout(merchant_id=305, notification_url=receiver.url())["id"], 3)
        (one,) = receiver.wait_for(1)
        Webhook(made["signing_secret"]).verify(one.body, one.headers)


def processes_of_session(session):
    """Ids of the processes that were started in a session, zombies left out."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry))
    return found


class TestDemo:
    def test_tells_the_story_and_leaves_nothing(self, tmp_path):
        """Issue 2: under 20 s, no flag, exit 0, nothing left running or lying about."""
        scratch, home = tmp_path / "scratch", tmp_path / "home"
        scratch.mkdir()
        home.mkdir()
        before = set(os.listdir("/tmp"))
        started = datetime.now(timezone.utc)
        demo = subprocess.Popen(
            [BINARY, "demo"], env=clean_environment({"TMPDIR": str(scratch), "HOME": str(home)}), cwd=home, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )
        try:
            shown, errors = demo.communicate(timeout=60)
        finally:
            demo.kill()
        took = (datetime.now(timezone.utc) - started).total_seconds()
        assert (demo.returncode, errors) == (0, "")
        assert took < 20, f"it took {took:.1f} s"
        assert list(scratch.iterdir()) == [] and list(home.iterdir()) == []
        left = {name for name in set(os.listdir("/tmp")) - before if "reenvio-demo" in name}
        assert not left
        assert processes_of_session(demo.pid) == []

        assert re.search(r"dry_run=true -> 200, total \(matched\): (\d+)", shown)
        assert re.search(r"202 x 1, 409 x [1-9]", shown)
        assert re.search(r"signatures that did not verify \.+ 0\b", shown)
        assert re.search(r"undelivered \.+ 0\b", shown)

    def test_ignores_the_settings_of_a_real_server(self, tmp_path):
        """It plays on a scratch store, whatever REENVIO_STORE says."""
        store = tmp_path / "real.db"
        done = subprocess.run(
            [BINARY, "demo"], cwd=tmp_path,
            env=clean_environment({"REENVIO_STORE": f"sqlite:{store}", "REENVIO_LISTEN": "127.0.0.1:1"}),
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
        )
        assert done.returncode == 0 and not store.exists()


class TestReceiver:
    """`reenvio receiver`: verifies, counts, `GET /stats`."""

    @pytest.fixture
    def start(self, house):
        started = []

        def start(*arguments):
            log = house.folder / "receiver.log"
            one = Server(house.spawn("receiver", "--listen", "127.0.0.1:0", *arguments, log=log), log, house)
            started.append(one)
            return one

        yield start
        for one in started:
            one.discard()

    def signed(self, secret, body=b'{"id":1}', webhook_id="msg_0001"):
        moment = datetime.now(timezone.utc)
        return {
            "webhook-id": webhook_id, "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(secret).sign(webhook_id, moment, body.decode()),
        }

    def test_verifies_what_the_server_sends(self, house, start):
        shop = Shop(house)
        receiver = start("--secret", shop.secret)
        server = house.serve()
        operator = server.client(shop.operator_key)
        for _ in range(20):
            made = operator.create_payout(merchant_id=303, notification_url=receiver.url + "/any/path")
            operator.transition(made["id"], 3)
        stats = eventually(
            lambda: (stats := receiver.client().get("/stats").json())["received"] == 20 and stats,
            "the receiver counted twenty webhooks",
        )
        assert (stats["acknowledged"], stats["refused"], stats["invalid_signatures"]) == (20, 0, 0)
        assert (stats["distinct_acknowledged"], stats["repeated"], stats["resends"]) == (20, 0, 0)

    def test_tells_true_from_forged(self, start):
        secrets = ["whsec_" + base64.b64encode(os.urandom(32)).decode() for _ in range(3)]
        receiver = start("--secret", secrets[0], "--secret", secrets[1])
        body = b'{"id":1}'

        def post(headers, body=body):
            return requests.post(receiver.url + "/hook", data=body, headers=headers, timeout=10).status_code

        assert post(self.signed(secrets[0])) == 200
        assert post(self.signed(secrets[1])) == 200
        both = self.signed(secrets[2])
        both["webhook-signature"] += " " + self.signed(secrets[0])["webhook-signature"]
        assert post(both) == 200
        assert post(self.signed(secrets[2])) == 401
        assert post(self.signed(secrets[0]), b'{"id":2}') == 401
        assert post({}) == 401
        stats = receiver.client().get("/stats").json()
        assert (stats["received"], stats["acknowledged"], stats["invalid_signatures"]) == (6, 3, 3)
        assert stats["repeated"] == 1

    def test_fails_and_dawdles_as_told(self, start):
        receiver = start("--fail-every", 3, "--delay", 100)
        client = receiver.client()
        answers = [client.post("/hook", {}) for _ in range(6)]
        assert [one.status_code for one in answers] == [200, 200, 500, 200, 200, 500]
        assert all(one.elapsed.total_seconds() >= 0.1 for one in answers)

    def test_ends_on_sigterm(self, start):
        receiver = start()
        assert receiver.client().get("/stats").json()["received"] == 0
        assert receiver.terminate() == 0

    @pytest.mark.parametrize(
        "arguments, word",
        [
            (["--secret", "nonsense"], "--secret"), (["--listen", "nowhere"], "--listen"),
            (["--fail-every", "-1"], "--fail-every"), (["--delay", "99999999"], "--delay"),
        ],
    )
    def test_misuse_is_one_clear_line(self, house, arguments, word):
        if "--listen" not in arguments:
            arguments = [*arguments, "--listen", "127.0.0.1:0"]
        name, value, *rest = arguments
        assert_refused(house.run("receiver", f"{name}={value}", *rest), word)

    def test_an_address_in_use(self, house):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert_refused(house.run("receiver", "--listen", f"127.0.0.1:{port}"), port)


class TestSecretsFromFiles:
    """What stands on a command line, other users of the machine can read: each secret also comes from a file or stdin."""

    SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()

    def fed(self, house, text, *arguments):
        """A command with a text on its standard input."""
        return subprocess.run(
            [BINARY, *map(str, arguments), "--json"], input=text, capture_output=True, text=True, timeout=60,
            env=house.environment(), cwd=house.folder, check=False)

    def test_merchants_users_and_erasures(self, house, tmp_path):
        house.json("account", "create", "--name", "A")
        (tmp_path / "secret").write_text(self.SECRET + "\n")
        (tmp_path / "compat").write_text("compat key\r\n")
        make = ("merchant", "create", "--account", 1, "--name", "M")
        made = house.json(
            *make, "--signing-secret-file", tmp_path / "secret", "--compat-key-file", tmp_path / "compat")
        assert made["signing_secret"] == self.SECRET
        fed = self.fed(house, self.SECRET, *make, "--signing-secret-file", "-")
        assert fed.returncode == 0 and json.loads(fed.stdout)["signing_secret"] == self.SECRET, fed.stderr
        house.json("user", "create", "--account", 1, "--id", 7)
        key = self.fed(house, "hmac key\n", "user", "hmac-key", "--id", 7, "--key-file", "-")
        assert json.loads(key.stdout) == {"hmac_key": "hmac key"}
        erased = self.fed(house, "145.382.206-47\n", "erase", "--document-file", "-")
        assert json.loads(erased.stdout) == {"erased": 0}, erased.stderr

    def test_what_is_refused(self, house, tmp_path):
        (tmp_path / "empty").write_text("\n")
        (tmp_path / "large").write_bytes(b"x" * 70_000)
        (tmp_path / "bytes").write_bytes(b"\xff\xfe")
        for name in ("empty", "large", "bytes", "nowhere"):
            assert_refused(house.run("erase", "--document-file", tmp_path / name, "--json"), "--document-file")
        (tmp_path / "good").write_text("14538220647")
        both = house.run("erase", "--document-file", tmp_path / "good", "--document", "14538220647", "--json")
        assert both.returncode != 0 and "--document-file" in both.stderr
        make = ("merchant", "create", "--account", 1, "--name", "M")
        twice = house.run(*make, "--signing-secret-file", "-", "--compat-key-file", "-", "--json")
        assert_refused(twice, "standard input")
