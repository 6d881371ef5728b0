"""`reenvio import` (docs/importing.md): what it prints, what it stores, killed and run again, and beside a live server."""

import json
import os
import pty
import re
import subprocess
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta

import pytest

from harness.binary import BINARY, COMMAND_WITHIN_S, LOOPBACK_RECEIVERS, House, Shop, assert_refused
from harness.bodies import now, rfc3339, window
from harness.client import create_payouts
from harness.postgres import Postgres, SharedHouse
from harness.waiting import eventually, never

STAY_PUT = {"REENVIO_RETRY_SCHEDULE": "1h,1h"}
SHOP_URL = "https://shop.example/webhooks"
PAID = now().replace(microsecond=0) - timedelta(minutes=5)
UNCHANGED = {"imported": 0, "unchanged": 0, "refused": 0}


def line(number, **fields):
    """A payout as a ledger would export it, paid a few minutes ago; fields given as None are null."""
    return {
        "merchant_id": 303, "id": 2_000_000 + number, "invoice": f"ledger-{number:06}", "amount": "43.34",
        "currency": "BRL", "notification_url": SHOP_URL, "status_id": 3, "end_to_end": f"E{number:010}",
        "status_detail": None, "created_at": rfc3339(PAID - timedelta(minutes=5)), "updated_at": rfc3339(PAID),
    } | fields


@pytest.fixture
def write(tmp_path):
    """Writes lines to a file: objects as JSON, texts and bytes as they are."""

    def write(lines, name="ledger.ndjson"):
        path = tmp_path / name
        with open(path, "wb") as file:
            for one in lines:
                text = json.dumps(one) if isinstance(one, dict) else one
                file.write(text if isinstance(text, bytes) else (text + "\n").encode())
        return path

    return write


def counts(**expected):
    return UNCHANGED | expected


def run_import(house, path, **settings):
    """Totals, the lines on standard error and the exit code of `reenvio import --json`."""
    done = house.run("import", path, "--json", **(LOOPBACK_RECEIVERS | settings))
    return json.loads(done.stdout), done.stderr.splitlines(), done.returncode


def spawn_import(house, path, **settings):
    return house.spawn("import", path, "--json", log=house.folder / "import.log", **(LOOPBACK_RECEIVERS | settings))


IN_LEDGER = "SELECT count(*) FROM payouts WHERE id BETWEEN 2000000 AND 2099999"


def a_shop(store, folder, request):
    """A shop in a store on the given engine, gone after the test."""
    if store == "sqlite":
        house = House(folder)
    else:
        postgres = Postgres().create().start()
        request.addfinalizer(postgres.close)
        house = SharedHouse(folder, postgres)
    request.addfinalizer(house.close)
    return house, Shop(house)


def start_import(house, path, source, *options):
    """Of a file, or of a pipe that `cat` fills."""
    where = {
        "env": house.environment(LOOPBACK_RECEIVERS), "cwd": house.folder, "text": True, "stdout": subprocess.PIPE,
        "stderr": subprocess.DEVNULL,
    }
    if source == "file":
        return subprocess.Popen([BINARY, "import", path, "--json", *options], stdin=subprocess.DEVNULL, **where)
    cat = subprocess.Popen(["cat", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        return subprocess.Popen([BINARY, "import", "-", "--json", *options], stdin=cat.stdout, **where)
    finally:
        cat.stdout.close()
        threading.Thread(target=cat.wait, daemon=True).start()


@contextmanager
def creating(server, shop):
    """Payouts are created by two clients meanwhile; their ids."""
    created, is_over, failures = [], threading.Event(), []

    def create(name):
        client, number = server.client(shop.operator_key), 0
        try:
            while not is_over.is_set():
                created.append(client.create_payout(merchant_id=303, invoice=f"live-{name}-{number}")["id"])
                number += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=create, args=(name,), daemon=True) for name in "ab"]
    for thread in threads:
        thread.start()
    eventually(lambda: len(created) > 3 or failures, "payouts are created", 60)
    try:
        yield created
    finally:
        is_over.set()
        for thread in threads:
            thread.join(60)
    assert not failures, failures[0]


def feed(pipe, content):
    """Writes until the reader is gone, and leaves the pipe open."""
    try:
        pipe.write(content)
        pipe.flush()
    except BrokenPipeError:
        pass


def finish(process, within=120):
    text, _ = process.communicate(timeout=within)
    return json.loads(text)


def assert_store_adds_up(house):
    """Counters, numbers and histories, counted again from the rows."""
    differing = house.rows(
        """
        SELECT merchant_id, status_id, minute FROM (
            SELECT merchant_id, status_id, minute, current FROM minute_counts
            UNION ALL
            SELECT merchant_id, status_id, changed_s / 60, -1 FROM status_changes
            WHERE superseded_seq IS NULL AND notification_id IS NOT NULL
        ) GROUP BY 1, 2, 3 HAVING sum(current) <> 0
        """
    )
    assert not differing, f"minute counts differ from the changes, e.g. {differing[0]}"
    assert house.one("SELECT count(*) FROM payouts p WHERE NOT EXISTS (SELECT 1 FROM status_changes c"
                     " WHERE c.merchant_id = p.merchant_id AND c.seq = p.latest_seq AND c.status_id = p.status_id"
                     " AND c.superseded_seq IS NULL)") == 0
    assert house.one("SELECT max(id) FROM payouts") < house.one("SELECT next FROM id_sequences WHERE name = 'payout'")
    assert house.one("SELECT max(seq) FROM status_changes") <= house.one("SELECT max(seq) FROM merchant_clocks")


class TestPrinting:
    def test_stores_once_and_again_is_unchanged(self, shop, write):
        path = write([line(number) for number in range(25)])
        assert run_import(shop.house, path) == (counts(imported=25), [], 0)
        assert run_import(shop.house, path) == (counts(unchanged=25), [], 0)
        done = shop.house.run("import", path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "Imported 0, unchanged 25, refused 0.\n"

    def test_each_refused_line_with_number_and_reason(self, shop, write):
        path = write([
            line(1), line(2, amount="x", status_id=9), "", "{", line(3), line(1), line(1, amount="1.00"),
            line(4, invoice="ledger-000003"), line(5, merchant_id=999),
        ])
        totals, errors, code = run_import(shop.house, path)
        assert totals == counts(imported=2, unchanged=1, refused=5)
        assert code == 1
        assert errors == [
            "line 2: The amount field must be a number. The selected status_id is invalid.",
            "line 4: The line ends in the middle of its JSON.",
            "line 7: The id is stored with other content: amount.",
            "line 8: The invoice has already been used for this merchant.",
            "line 9: The merchant_id names no merchant.",
        ]

    def test_reads_standard_input(self, shop, write):
        path = write([line(number) for number in range(5)])
        with open(path, "rb") as file:
            done = subprocess.run(
                [BINARY, "import", "-", "--json"], env=shop.house.environment(), cwd=shop.house.folder, stdin=file,
                capture_output=True, text=True, timeout=COMMAND_WITHIN_S,
            )
        assert (json.loads(done.stdout), done.stderr, done.returncode) == (counts(imported=5), "", 0)
        piped = subprocess.run(
            [BINARY, "import", "-", "--json"], env=shop.house.environment(), cwd=shop.house.folder,
            input=path.read_text(), capture_output=True, text=True, timeout=COMMAND_WITHIN_S,
        )
        assert json.loads(piped.stdout) == counts(unchanged=5)

    def test_reasons_hold_no_values(self, shop, write):
        """C 14: standard error ends up in logs."""
        secret = "82608288200"
        path = write([
            line(1, invoice=[secret]), line(2, end_to_end={"name": secret}), line(3, notification_url=f"http://{secret}/"),
            line(4, amount=secret * 2), line(5, created_at=secret), f'{{"invoice":"{secret}"', f'"{secret}"',
            line(6, invoice=secret), line(7, invoice=secret), line(6, invoice=secret, end_to_end=secret),
        ])
        totals, errors, _ = run_import(shop.house, path)
        assert totals == counts(imported=1, refused=9)
        assert not [text for text in errors if secret in text]

    @pytest.mark.parametrize("is_terminal", [True, False])
    def test_a_bar_on_a_terminal_only(self, shop, write, is_terminal):
        path = write([line(number) for number in range(2500)] + ["oops"])
        ours, theirs = pty.openpty() if is_terminal else os.pipe()
        process = subprocess.Popen(
            [BINARY, "import", path, "--json"], env=shop.house.environment(), cwd=shop.house.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
        )
        os.close(theirs)
        seen = b""
        while True:
            try:
                more = os.read(ours, 65_536)
            except OSError:
                break
            if not more:
                break
            seen += more
        os.close(ours)
        assert finish(process) == counts(imported=2500, refused=1)
        shown = seen.decode().replace("\r\n", "\n")
        assert "line 2501: The line is not JSON at byte 1.\n" in shown
        bars = re.findall(r"\r\x1b\[K\[[#.]{30}\] \d+ %  \d+ lines/s, \d+ s left", shown)
        assert bool(bars) == is_terminal, shown
        if not is_terminal:
            assert shown == "line 2501: The line is not JSON at byte 1.\n"


class TestFiles:
    def test_none_or_a_folder(self, house):
        assert_refused(house.run("import", "nowhere.ndjson"), "nowhere.ndjson", "No such file")
        assert_refused(house.run("import", house.folder), house.folder, "folder")
        assert not house.store_path.exists(), "a store was made for nothing"

    def test_empty(self, shop, write):
        assert run_import(shop.house, write([])) == (UNCHANGED, [], 0)
        assert run_import(shop.house, write([b"\n \r\n\t\n"])) == (UNCHANGED, [], 0)

    def test_ends_of_lines(self, shop, write):
        """A byte order mark, CRLF, blank lines, and no newline at the end."""
        texts = [json.dumps(line(number)) for number in range(3)]
        content = "\ufeff" + texts[0] + "\r\n\r\n" + texts[1] + "\n   \n" + texts[2]
        assert run_import(shop.house, write([content.encode()])) == (counts(imported=3), [], 0)

    def test_a_line_that_is_too_long(self, shop, write):
        long = json.dumps(line(2, note="x" * (1 << 20)))
        fitting = json.dumps(line(3, note=""))
        fitting = fitting.replace('"note": ""', f'"note": "{"x" * ((1 << 20) - len(fitting))}"')
        totals, errors, code = run_import(shop.house, write([line(1), long, fitting, line(4)]))
        assert (totals, code) == (counts(imported=3, refused=1), 1)
        assert errors == ["line 2: The line is longer than 1048576 bytes."]

    def test_what_is_no_text(self, shop, write):
        totals, errors, code = run_import(shop.house, write([bytes(range(256)) * 400, b"\n", line(1)]))
        assert (totals["imported"], code) == (1, 1)
        assert totals["refused"] == len(errors) > 0
        assert all(re.fullmatch(r"line \d+: The line is not JSON at byte \d+\.", text) for text in errors)
        bad = json.dumps(line(2)).encode().replace(b"ledger-", b"ledger-\xff")
        totals, errors, _ = run_import(shop.house, write([bad]))
        assert errors == ["line 1: The line is not UTF-8."]

    def test_address_rules(self, shop, write):
        """C 3.3, with the settings of the server."""
        path = write([line(1, notification_url="http://127.0.0.1:9/hook"), line(2, notification_url="https://10.0.0.1/")])
        strict = {"REENVIO_ALLOW_HTTP_RECEIVERS": "false", "REENVIO_ALLOW_PRIVATE_RECEIVERS": ""}
        totals, errors, _ = run_import(shop.house, path, **strict)
        assert totals == counts(refused=2)
        assert errors[0].endswith("The notification_url field must be an https URL.")
        assert errors[1].endswith("The notification_url field must be an https URL with a public host.")
        assert run_import(shop.house, path)[0] == counts(imported=1, refused=1)


class TestStored:
    def test_a_payout_as_the_api_shows_it(self, shop, write):
        path = write([
            line(1, created_at="2026-03-24T05:00:00.123456-03:00", updated_at="2026-03-24T08:05:30Z"),
            line(2, status_id=7, notification_url=None, end_to_end=None, amount=7),
        ])
        assert run_import(shop.house, path)[0] == counts(imported=2)
        server = shop.house.serve(**STAY_PUT)
        shown = server.client(shop.key).payout(2_000_001)
        assert shown == {
            "id": 2_000_001, "merchant": {"id": 303, "name": shop.name}, "payment_method": "PIX", "country": "BR",
            "currency": "BRL", "amount": "R$43.34", "source_currency": None, "source_amount": None,
            "invoice": "ledger-000001", "description": None, "authentication_code": None, "rejection_description": "",
            "notification_url": SHOP_URL, "end_to_end": "E0000000001", "status": {"id": 3, "name": "Paid"},
            "beneficiary": None, "receipt_message": "", "pix": None, "purpose": "20",
            "paid_at": "2026-03-24T08:05:30.000000Z", "created_at": "2026-03-24T08:00:00.123456Z",
            "updated_at": "2026-03-24T08:05:30.000000Z",
        }
        awaiting = server.client(shop.key).payout(2_000_002)
        assert (awaiting["status"]["id"], awaiting["amount"], awaiting["paid_at"]) == (7, "R$7.00", None)
        assert awaiting["updated_at"] == awaiting["created_at"]
        assert server.client(shop.key).create_payout(merchant_id=303)["id"] == 2_000_003

    def test_a_line_without_an_id(self, shop, write):
        lines = [{name: value for name, value in line(number).items() if name != "id"} for number in range(3)]
        assert run_import(shop.house, write(lines))[0] == counts(imported=3)
        assert run_import(shop.house, write(lines))[0] == counts(unchanged=3)
        assert shop.house.rows("SELECT id FROM payouts ORDER BY id") == [(1,), (2,), (3,)]

    def test_importing_sends_nothing_and_a_resend_sends_everything_once(self, shop, receiver, write):
        """C 3.2 and 4: body, headers and signatures of what was sent elsewhere; the same message again with each resend."""
        server = shop.house.serve()
        lines = [line(number, notification_url=receiver.url(f"/hook/{number}")) for number in range(40)]
        lines[7] |= {"status_id": 6, "end_to_end": None}
        silent = [line(50, status_id=2), line(51, notification_url=None), line(52, status_id=7)]
        assert run_import(shop.house, write(lines + silent)) == (counts(imported=43), [], 0)
        never(lambda: receiver.count, "an import sent something", 0.5)
        client = server.client(shop.key)
        assert client.dry_run(window(303)) == 40
        job_id, total = client.dispatch(window(303))
        assert total == 40
        first = {one.path: one for one in receiver.wait_for(40)}
        assert len(first) == 40
        for number, sent in enumerate(lines):
            got = first[f"/hook/{number}"]
            status = {"id": 6, "name": "Canceled"} if number == 7 else {"id": 3, "name": "Paid"}
            body = {
                "id": sent["id"], "invoice": sent["invoice"], "end_to_end": sent["end_to_end"], "status": status,
                "updated_at": sent["updated_at"][:19].replace("T", " "),
            }
            assert got.body.decode() == json.dumps(body, separators=(",", ":"))
            assert got.verified and (got.attempt, got.job_id) == (1, job_id)
            assert got.headers["x-webhook-sequence"] == "2"
            assert re.fullmatch(r"msg_[0-9A-Za-z]{20,40}", got.webhook_id)
            assert re.fullmatch(r"Bearer [0-9a-f]{64}", got.headers["x-webhook-wp-signature"])
        assert len({one.webhook_id for one in first.values()}) == 40
        client.wait_for_job(job_id)
        receiver.forget()
        again, _ = client.dispatch(window(303, before_s=3599))
        second = {one.path: one for one in receiver.wait_for(40)}
        assert {path: one.webhook_id for path, one in second.items()} == {
            path: one.webhook_id for path, one in first.items()
        }
        never(lambda: receiver.count > 40, "a webhook was sent twice", 0.5)
        assert client.wait_for_job(again)["status"] == "completed"
        assert_store_adds_up(shop.house)

    def test_a_payout_that_goes_on_is_unchanged_later(self, shop, write):
        path = write([line(1, status_id=1), line(2, status_id=7)])
        assert run_import(shop.house, path)[0] == counts(imported=2)
        server = shop.house.serve(**STAY_PUT)
        operator = server.client(shop.operator_key)
        assert operator.transition(2_000_001, 3)["status"]["id"] == 3
        assert operator.transition(2_000_002, 6)["status"]["id"] == 6
        assert run_import(shop.house, path)[0] == counts(unchanged=2)
        changed = write([line(1, status_id=3)])
        _, errors, code = run_import(shop.house, changed)
        assert code == 1 and "status_id" in errors[0]
        assert_store_adds_up(shop.house)


    def test_what_another_system_got_acknowledged_is_not_missed(self, shop, receiver, write):
        """docs/importing.md: `acknowledged_at` leaves it out of `--only-unacknowledged`, at once or in a second file."""
        house = shop.house
        url = receiver.url()
        acked = rfc3339(PAID)
        first = [line(number, notification_url=url, acknowledged_at=acked) for number in range(5)]
        second = [line(number, notification_url=url) for number in range(5, 10)]
        path = write(first + second)
        assert run_import(house, path)[0] == counts(imported=10)
        assert run_import(house, path)[0] == counts(unchanged=10)
        span = window(303)
        resend = ["--merchant", 303, "--from", span["start_time"], "--to", span["end_time"]]
        assert house.json("resend", *resend, "--dry-run")["total"] == 10
        assert house.json("resend", *resend, "--only-unacknowledged", "--dry-run")["total"] == 5
        later = write([line(7, notification_url=url, acknowledged_at=acked)], "later.ndjson")
        assert run_import(house, later)[0] == counts(imported=1)
        assert run_import(house, later)[0] == counts(unchanged=1)
        server = house.serve()
        log = server.client(shop.key).expect(200, "GET", f"/v2/payout/payments/{2_000_007}/notifications")
        assert log["data"][0]["acknowledged_at"] == PAID.strftime("%Y-%m-%dT%H:%M:%SZ")
        house.json("resend", *resend, "--only-unacknowledged", "--watch")
        receiver.wait_for_acknowledged(4)
        never(lambda: len(receiver.acknowledged) > 4, "more than what was missed was sent", 0.5)
        server.stop()
        assert house.run("check", "--deep").returncode == 0

    @pytest.mark.parametrize(
        "fields, reason",
        [
            ({"acknowledged_at": rfc3339(PAID - timedelta(seconds=1))}, "must not be before updated_at"),
            ({"acknowledged_at": rfc3339(now() + timedelta(hours=1))}, "must not be more than 5 minutes in the future"),
            ({"acknowledged_at": rfc3339(PAID), "notification_url": None}, "accepted only with a notification_url"),
            ({"acknowledged_at": rfc3339(PAID), "status_id": 2}, "accepted only with a notification_url"),
            ({"acknowledged_at": "2026-06-30T23:59:60Z"}, "must not be a leap second"),
        ],
    )
    def test_an_acknowledgement_that_cannot_be(self, shop, write, fields, reason):
        totals, errors, code = run_import(shop.house, write([line(1, **fields)]))
        assert (totals, code) == (counts(refused=1), 1) and reason in errors[0]


class TestKilled:
    def test_and_run_again(self, shop, write):
        """kill -9 at several points: what is stored is whole, and running it again goes on there."""
        path = write([line(number, notification_url=SHOP_URL if number % 3 else None) for number in range(8000)])
        stored = "SELECT count(*) FROM payouts"
        for point in (1, 2500, 5000):
            # A pipe that stays open: however fast it is, the import has not come to its end.
            process = subprocess.Popen(
                [BINARY, "import", "-"], env=shop.house.environment(), cwd=shop.house.folder, stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            feeder = threading.Thread(target=feed, args=(process.stdin, path.read_bytes()[:-1]), daemon=True)
            feeder.start()
            eventually(lambda: shop.house.one(stored) >= point, f"{point} payouts were stored", 60)
            process.kill()
            assert process.wait(20) == -9
            feeder.join(20)
            process.stdin.close()
            done = shop.house.one(stored)
            assert done == shop.house.one("SELECT count(*) / 2 FROM status_changes")
            assert_store_adds_up(shop.house)
        assert 5000 <= done < 8000
        assert finish(spawn_import(shop.house, path)) == counts(imported=8000 - done, unchanged=done)
        assert finish(spawn_import(shop.house, path)) == counts(unchanged=8000)
        assert_store_adds_up(shop.house)


    @pytest.mark.parametrize("store", ["sqlite", "postgres"])
    @pytest.mark.parametrize("source", ["file", "pipe"])
    def test_beside_creates_and_run_again(self, tmp_path, write, store, source, request):
        """kill -9 at several points beside a server that creates payouts: each line is stored once, none is refused, and no
        payout of the server has an id of the lines."""
        house, shop = a_shop(store, tmp_path, request)
        lines = [line(number) for number in range(6000)]
        path = write(lines)
        server = house.serve(**STAY_PUT)
        with creating(server, shop) as created:
            for part in (1, 2000, 4000):
                process = start_import(house, path, source)
                eventually(lambda: house.one(IN_LEDGER) >= part or process.poll() is not None, f"{part} were stored", 120)
                process.kill()
                process.communicate(timeout=30)
            process = start_import(house, path, source)
            totals = finish(process)
        assert totals["refused"] == 0 and totals["imported"] + totals["unchanged"] == 6000
        assert finish(start_import(house, path, source)) == counts(unchanged=6000)
        assert created and not [id for id in created if 2_000_000 <= id < 2_006_000]
        assert house.one("SELECT count(*) FROM payouts") == 6000 + len(created)
        assert house.one(f"{IN_LEDGER} AND invoice LIKE 'ledger-%'") == 6000
        server.stop()
        assert house.run("check", "--deep").returncode == 0


class TestIDs:
    def test_a_pipe_whose_largest_id_is_named(self, shop, write):
        path = write([line(number) for number in reversed(range(100))])
        assert finish(start_import(shop.house, path, "pipe", "--ids-to", "7000000")) == counts(imported=100)
        assert shop.house.serve(**STAY_PUT).client(shop.key).create_payout(merchant_id=303)["id"] == 7_000_001

    def test_a_pipe_reserves_far_ahead(self, shop, write):
        path = write([line(number) for number in range(100)])
        assert finish(start_import(shop.house, path, "pipe")) == counts(imported=100)
        assert shop.house.serve(**STAY_PUT).client(shop.key).create_payout(merchant_id=303)["id"] > 2_900_000

    def test_a_largest_id_that_cannot_be(self, shop, write):
        for wrong in (0, 1 << 63, "x"):
            done = shop.house.run("import", write([line(1)]), "--ids-to", wrong)
            assert done.returncode == 64 and "ids-to" in done.stderr

    def test_an_id_that_a_payout_of_the_server_has(self, shop, write):
        taken = shop.house.serve(**STAY_PUT).client(shop.key).create_payout(merchant_id=303)["id"]
        totals, errors, code = run_import(shop.house, write([line(1), line(2, id=taken)]))
        assert (totals, code) == (counts(imported=1, refused=1), 1)
        assert errors[0].startswith("line 2: The id is stored with other content: ")

    def test_a_file_that_changes_meanwhile(self, shop, write):
        """What came later was not looked at: it is said, and nothing of it is stored."""
        path = write([line(number) for number in range(30_000)])
        process = spawn_import(shop.house, path)
        eventually(lambda: shop.house.one(IN_LEDGER) >= 1, "the import began", 120)
        with open(path, "a") as file:
            file.write(json.dumps(line(40_000)) + "\n")
        assert process.wait(120) == 1
        assert "the file changed while it was read" in (shop.house.folder / "import.log").read_text()
        assert shop.house.one("SELECT count(*) FROM payouts WHERE id = 2040000") == 0
        assert run_import(shop.house, path)[0]["refused"] == 0


class TestBesideAServer:
    def test_the_server_goes_on(self, shop, write):
        """Creates, changes and a resend, all answered while an import runs, and all counts exact."""
        server = shop.house.serve(**STAY_PUT)
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        ids = create_payouts(server, shop, 300, SHOP_URL)
        path = write([line(number) for number in range(12_000)])
        process = spawn_import(shop.house, path)
        changed, job_id = 0, None
        while process.poll() is None and changed < len(ids):
            operator.transition(ids[changed], 3)
            changed += 1
            if changed == 20:
                eventually(lambda: shop.house.one("SELECT count(*) FROM payouts") > 300, "the import began")
                job_id, total = client.dispatch(window(303))
        assert changed > 40, "the import ended before the server was asked much"
        assert finish(process) == counts(imported=12_000)
        state = client.wait_for_job(job_id)
        assert (state["status"], state["queued"], state["failed"]) == ("completed", total, 0)
        assert client.dry_run(window(303, before_s=3599)) == 12_000 + changed
        assert client.create_payout(merchant_id=303)["id"] > 2_000_000 + 11_999
        server.stop()
        assert set(Counter(shop.house.deliveries_of(job_id)).values()) == {1}
        assert_store_adds_up(shop.house)

    def test_two_imports_of_one_file(self, shop, write):
        path = write([line(number) for number in range(3000)])
        both = [spawn_import(shop.house, path) for _ in range(2)]
        totals = [finish(one) for one in both]
        assert sum(one["imported"] for one in totals) == 3000
        assert sum(one["unchanged"] for one in totals) == 3000
        assert_store_adds_up(shop.house)
