"""What an operator does beside the server: resends, jobs, keys, merchants, audit (the operator's surface)."""

import json
import os
import pty
import re
import subprocess

import pytest

from harness.binary import BINARY, assert_refused
from harness.bodies import window
from harness.client import PAYMENTS, RESEND, create_payouts, paid_payouts
from harness.waiting import eventually


def flags(merchant_id=303):
    body = window(merchant_id)
    return "--merchant", body["merchant_id"], "--from", body["start_time"], "--to", body["end_time"]


def on_a_terminal(house, *arguments, until=None):
    """Runs a command with standard error on a pseudo-terminal; returns its exit code, output and what the terminal saw."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [BINARY, *map(str, arguments)], env=house.environment(), cwd=house.folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=side,
    )
    os.close(side)
    seen = b""
    while True:
        try:
            part = os.read(main, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(main)
    out = process.communicate(timeout=20)[0]
    return process.returncode, out.decode(), seen.decode()


class TestResend:
    def test_counts_dispatches_and_shows(self, house, shop, receiver):
        """`resend --dry-run`, `resend`, `job show`: the v2 answers and the job state of C 5, and who asked."""
        server = house.serve()
        paid_payouts(server, shop, 5, receiver.url())
        receiver.wait_for_acknowledged(5)
        assert house.json("resend", *flags(), "--dry-run") == {"total": 5}
        assert house.json("resend", *flags(), "--status", "6,4", "--dry-run") == {"total": 0}
        answer = house.json("resend", *flags(), "--status", "3")
        assert list(answer) == ["job_id", "total"] and answer["total"] == 5
        receiver.wait_for_acknowledged(10)
        shown = house.json("job", "show", answer["job_id"])
        eventually(
            lambda: house.json("job", "show", answer["job_id"])["outcome"]["delivered"] == 5, "all were delivered")
        shown = house.json("job", "show", answer["job_id"])
        state = server.client(shop.key).expect(200, "GET", f"{RESEND}/{answer['job_id']}?include=outcome")
        assert shown == {"job_id": answer["job_id"]} | state
        assert (state["status"], state["phase"]) == ("completed", "delivered")
        words = house.run("job", "show", answer["job_id"]).stdout
        assert re.search(r"^matched +5$", words, re.MULTILINE) and re.search(r"^queued +5$", words, re.MULTILINE)
        assert "requested by cli:" in words

    def test_watch_waits_for_the_end(self, house, shop, receiver):
        """One JSON document on standard output, the bar on a terminal only."""
        server = house.serve()
        paid_payouts(server, shop, 450, receiver.url())
        code, out, seen = on_a_terminal(house, "resend", *flags(), "--watch", "--json")
        state = json.loads(out)
        assert code == 0 and state["status"] == "completed" and state["queued"] == state["total"] == 450
        assert "100 %" in seen and "450 of 450" in seen
        silent = house.run("job", "watch", state["job_id"], "--json")
        assert silent.returncode == 0 and silent.stderr == "" and json.loads(silent.stdout) == state

    def test_nothing_undelivered_is_hidden_by_exit_code_0(self, house, shop, receiver):
        """Enqueued and delivered are two things: 163 webhooks at a dead host are no success."""
        server = house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")
        paid_payouts(server, shop, 20, "http://127.0.0.1:9/hook", tag="dead")
        waiting = house.run("resend", *flags(), "--watch", "--timeout", 2)
        assert waiting.returncode == 1 and "20 pending" in waiting.stderr
        assert re.search(r"^state +delivering$", waiting.stdout, re.MULTILINE), waiting.stdout
        job_id = house.json("job", "list")["data"][0]["job_id"]
        enqueued = house.run("job", "watch", job_id, "--wait-for", "enqueued")
        assert enqueued.returncode == 0 and re.search(r"^pending +20$", enqueued.stdout, re.MULTILINE)
        assert "delivering" in house.run("job", "list").stdout
        house.json("job", "cancel", job_id)
        canceled = house.run("job", "watch", job_id)
        assert canceled.returncode == 1 and "canceled" in canceled.stderr
        line = house.run("job", "list").stdout
        assert "  canceled  " in line and "failed  " not in line.replace("failed 0", "")

    def test_undelivered_is_exit_code_1_whatever_was_waited_for(self, house, shop, receiver):
        server = house.serve()
        paid_payouts(server, shop, 8, receiver.url())
        receiver.wait_for_acknowledged(8)
        receiver.answers = [410] * 3
        done = house.run("resend", *flags(), "--watch")
        assert done.returncode == 1 and "3 undelivered" in done.stderr
        assert re.search(r"^state +partly delivered$", done.stdout, re.MULTILINE)
        job_id = house.json("job", "list")["data"][0]["job_id"]
        assert house.run("job", "watch", job_id, "--wait-for", "enqueued").returncode == 1
        assert house.run("resend", *flags(), "--wait-for", "enqueued").returncode == 64, "only with --watch"
        assert house.run("job", "watch", job_id, "--timeout", 0).returncode == 64

    def test_a_job_written_without_a_server_is_taken_up_by_the_next_one(self, house, shop, receiver):
        first = house.serve()
        paid_payouts(first, shop, 3, receiver.url())
        receiver.wait_for_acknowledged(3)
        first.stop()
        job = house.json("resend", *flags())
        assert house.json("job", "show", job["job_id"])["status"] == "processing"
        house.serve()
        receiver.wait_for_acknowledged(6)
        eventually(lambda: house.json("job", "show", job["job_id"])["status"] == "completed", "the job ended")

    def test_a_running_job_for_the_same_start_is_refused(self, house, shop):
        """C 4.3: the 409 text on standard error, exit 1, nothing on standard output."""
        server = house.serve()
        create_payouts(server, shop, 1, "https://shop.example/hook")
        server.client(shop.operator_key).transition_all([1], 3)
        server.stop()
        arguments = flags()
        house.json("resend", *arguments)
        assert_refused(
            house.run("resend", *arguments, "--json"),
            "A resend job is already running for this merchant and time range.",
        )

    def test_every_fault_is_told_with_the_texts_of_the_api(self, house, shop):
        """A 422 prints its texts on standard error and exits 1."""
        done = house.run("resend", "--merchant", 999, "--from", "2026-02-30 10:00:00", "--to", "2026-03-24T10:00:00",
                         "--status", "3,2,x", "--json")
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.splitlines() == [
            "reenvio: The start_time field must match the format YYYY-MM-DD HH:MM:SS.",
            "reenvio: The end_time field must match the format YYYY-MM-DD HH:MM:SS.",
            "reenvio: The selected status is not notifiable.",
            "reenvio: The status_ids.2 field must be an integer.",
            "reenvio: There is no merchant 999.",
        ]
        late = house.run("resend", "--merchant", 303, "--from", "2026-03-24 08:00:00", "--to", "2026-04-24 08:00:01")
        assert_refused(late, "The time range must not exceed 31 days.")

    def test_watching_a_dry_run_is_wrong_usage(self, house, shop):
        assert house.run("resend", *flags(), "--dry-run", "--watch").returncode == 64


class TestJobs:
    def test_list_is_the_list_of_the_api(self, house, shop, receiver):
        """C 13.3 in the CLI: newest first, pages by cursor, filters."""
        server = house.serve()
        client = server.client(shop.key)
        jobs = [client.dispatch(window(303, before_s=3600 - 60 * number))[0] for number in range(5)]
        first = house.json("job", "list", "--limit", 2)
        assert [row["job_id"] for row in first["data"]] == [jobs[4], jobs[3]]
        second = house.json("job", "list", "--limit", 3, "--cursor", first["next"])
        assert [row["job_id"] for row in second["data"]] == [jobs[2], jobs[1], jobs[0]] and second["next"] is None
        assert client.get(RESEND + "?limit=2&include=outcome").json()["data"] == first["data"]
        assert len(house.json("job", "list", "--merchant", 303, "--status", "completed")["data"]) == 5
        assert house.json("job", "list", "--status", "failed") == {"data": [], "next": None}
        assert house.run("job", "list", "--limit", 2).stdout.splitlines()[-1].startswith("More with --cursor c")

    def test_unknown_jobs_and_bad_pages(self, house, shop):
        for command in ("show", "watch"):
            assert_refused(house.run("job", command, "0" * 32, "--json"), "Resend job not found or expired.")
        assert_refused(house.run("job", "list", "--limit", 0), "--limit")
        assert_refused(house.run("job", "list", "--cursor", "x"), "--cursor")
        assert_refused(house.run("job", "list", "--status", "PENDING"), "--status")
        assert house.json("job", "list") == {"data": [], "next": None}
        assert house.run("job", "list").stdout == "There are no jobs.\n"


class TestKeys:
    def test_list_and_revoke(self, house, shop):
        """A revoked key is refused within two seconds by a server that had seen it before."""
        server = house.serve()
        house.json("key", "create", "--account", 1, "--name", "reader", "--scope", "payouts:read",
                   "--cidr", "10.0.0.0/8", "--expires", "2031-01-01T00:00:00Z")
        keys = house.json("key", "list")["keys"]
        assert [(key["name"], key["operator"]) for key in keys] == [
            ("shop", False), ("platform", True), ("reader", False)]
        assert keys[2] == {
            "key_id": keys[2]["key_id"], "name": "reader", "account_id": 1, "operator": False,
            "scopes": ["payouts:read"], "merchants": None, "cidrs": ["10.0.0.0/8"],
            "expires_at": "2031-01-01T00:00:00Z", "revoked_at": None,
        }
        assert keys[1]["account_id"] is None and "secrets:write" not in keys[0]["scopes"]
        key_id = shop.key.split("_")[1]
        assert keys[0]["key_id"] == key_id and shop.key not in json.dumps(keys)
        client = server.client(shop.key)
        assert client.get(RESEND).status_code == 200
        revoked = house.json("key", "revoke", key_id)
        assert revoked["key_id"] == key_id and house.json("key", "revoke", key_id) == revoked
        eventually(lambda: client.get(RESEND).status_code == 401, "the key was refused", within=2)
        assert server.client(shop.operator_key).get(RESEND).status_code == 200
        assert "refused" in house.run("key", "list").stdout
        assert_refused(house.run("key", "revoke", "nonsense", "--json"), "nonsense")

    def test_an_operator_key_has_the_scopes_it_was_given(self, house, shop):
        """C 9: exactly those, and everything where none was given."""
        server = house.serve()
        made = house.json("key", "create", "--operator", "--name", "scraper", "--scope", "metrics:read, payouts:read")
        scraper = server.client(made["key"])
        assert scraper.get("/metrics").status_code == 200 and scraper.get(PAYMENTS).status_code == 200
        assert scraper.get("/v2/audit").status_code == 403 and scraper.post(PAYMENTS, {}).status_code == 403
        for path in ("/v2/payout/transitions", "/v2/merchants/303/webhook-secret/rotate"):
            assert scraper.post(path, {}).status_code == 403, path
        platform = server.client(shop.operator_key)
        assert platform.get("/metrics").status_code == 200 and platform.get("/v2/audit").status_code == 200
        keys = {key["name"]: key["scopes"] for key in house.json("key", "list")["keys"]}
        assert keys["scraper"] == ["metrics:read", "payouts:read"] and "tenants:write" in keys["platform"]
        assert "operator, scopes metrics:read payouts:read" in house.run("audit").stdout

    def test_a_key_of_one_merchant(self, house, shop):
        """C 9: other merchants of its account are unknown to it."""
        house.run("merchant", "create", "--account", 1, "--id", 305, "--name", "Second")
        key = house.json("key", "create", "--account", 1, "--name", "second", "--merchant", 305)["key"]
        server = house.serve()
        second, first = server.client(key), server.client(shop.key)
        payout = first.create_payout(merchant_id=303)["id"]
        own = second.create_payout(invoice="second-1")
        assert own["merchant"]["id"] == 305, "its only merchant is meant where none is named"
        assert [one["id"] for one in second.get(PAYMENTS).json()["data"]] == [own["id"]]
        assert len(first.get(PAYMENTS).json()["data"]) == 2
        for path in (f"{PAYMENTS}/{payout}", f"{PAYMENTS}/{payout}/why", f"{PAYMENTS}/{payout}/notifications"):
            assert second.get(path).status_code == 404
        assert second.post(f"{PAYMENTS}/{payout}/cancel", None).status_code == 404
        assert second.post(RESEND, window(303)).status_code == 422
        assert second.get("/v2/audit").status_code == 403
        assert house.json("key", "list")["keys"][-1]["merchants"] == [305]


class TestMerchants:
    def test_a_closed_merchant_takes_no_new_payouts(self, house, shop, receiver):
        """400 `Account is closed.` (C 10); what exists goes on: changes, webhooks, resends."""
        server = house.serve()
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        made = client.create_payout(notification_url=receiver.url())
        closed = house.json("merchant", "close", "--id", 303)
        assert closed["merchant_id"] == 303 and house.json("merchant", "close", "--id", 303) == closed
        refused = operator.post("/v2/payout/payments", {"merchant_id": 303})
        assert refused.status_code == 400 and refused.json() == {"message": "Account is closed."}
        operator.transition(made["id"], 3)
        receiver.wait_for_acknowledged(1)
        client.dispatch(window(303))
        receiver.wait_for_acknowledged(2)
        assert_refused(house.run("merchant", "close", "--id", 9), "9")


class TestAudit:
    def test_tells_who_did_what(self, house, shop, receiver):
        """C 9: keys, cancels, resends, erasures, over HTTP and in the CLI, newest first."""
        server = house.serve()
        client = server.client(shop.key)
        made = client.create_payout(notification_url=receiver.url())
        client.expect(200, "POST", f"/v2/payout/payments/{made['id']}/cancel")
        job_id, _ = client.dispatch(window(303))
        cli_job = house.json("resend", "--merchant", 303, "--from", "2026-03-24 08:00:00", "--to", "2026-03-24 09:00:00")
        house.json("erase", "--payout", made["id"])
        house.json("merchant", "close", "--id", 303)
        house.json("key", "revoke", shop.key.split("_")[1])
        audit = house.json("audit", "--limit", 100)
        rows = [(row["action"], row["target"], row["actor"].split(":")[0]) for row in audit["data"]]
        assert rows[:6] == [
            ("key.revoke", f"key {shop.key.split('_')[1]}", "cli"),
            ("merchant.close", "merchant 303", "cli"),
            ("payout.erase", f"payout {made['id']}", "cli"),
            ("resend.create", f"job {cli_job['job_id']}", "cli"),
            ("resend.create", f"job {job_id}", "key"),
            ("payout.cancel", f"payout {made['id']}", "key"),
        ]
        assert audit["next"] is None and audit["data"][-1]["action"] == "account.create"
        assert audit["data"][4]["address"].startswith("198.51.") and audit["data"][4]["request_id"]
        answer = server.client(shop.operator_key).get("/v2/audit?limit=100").json()
        assert answer == audit
        assert server.client(shop.operator_key).get("/v2/audit?limit=1").json()["next"].startswith(server.url)
        assert "merchant.close" in house.run("audit").stdout
        assert_refused(house.run("audit", "--limit", 101), "--limit")


class TestErase:
    def test_one_payout_or_a_document(self, house, shop, receiver):
        """C 14: the people go, ids, amounts and history stay, a resend of the erased counts as failed."""
        server = house.serve()
        client, operator = server.client(shop.key), server.client(shop.operator_key)

        def create(number, pix_key):
            made = client.create_payout(
                notification_url=receiver.url(), pix={"pix_key": pix_key},
                beneficiary={"name": "Maria", "document": {"type": "CPF", "number": number}},
            )
            operator.transition(made["id"], 3)
            return made["id"]

        first, second = create("14538220647", "maria@example.com"), create("82608288200", "145.382.206-47")
        third, fourth = create("82608288200", "a@example.com"), create("82608288200", "b@example.com")
        receiver.wait_for_acknowledged(4)
        assert house.json("erase", "--document", "145.382.206-47") == {"erased": 2}
        assert house.json("erase", "--payout", third) == {"erased": 1}
        for payout_id in (first, second, third):
            shown = client.payout(payout_id)
            assert shown["beneficiary"] is None and shown["pix"] is None and shown["amount"] == "R$43.34"
            assert shown["status"]["id"] == 3
        assert client.payout(fourth)["beneficiary"]["name"] == "Maria"
        job = client.wait_for_job(client.dispatch(window(303))[0])
        assert (job["total"], job["queued"], job["failed"]) == (4, 1, 3)
        receiver.wait_for_acknowledged(5)

    def test_a_document_with_letters(self, house, shop):
        """C 2.1, 14: a CNPJ may have letters; its case and punctuation do not matter, as beneficiary or as PIX key."""
        client = house.serve().client(shop.key)
        company = {"name": "Company", "document": {"type": "CNPJ", "number": "12abc34501de35"}}
        first = client.create_payout(beneficiary=company)["id"]
        second = client.create_payout(pix={"pix_key": "12.Abc.345/01dE-35"})["id"]
        third = client.create_payout()["id"]
        assert house.json("erase", "--document", "12.abc.345/01DE-35") == {"erased": 2}
        assert [client.payout(one)["beneficiary"] is None for one in (first, second, third)] == [True, True, False]

    def test_misuse(self, house, shop):
        assert_refused(house.run("erase", "--payout", 99, "--json"), "99")
        assert_refused(house.run("erase", "--document", "123"), "--document")
        assert house.json("erase", "--document", "82608288200") == {"erased": 0}
        for text in ("12ABC34501DE3X", "12ABC34501DE3", "12ABC34501D", "12_ABC_345"):
            assert_refused(house.run("erase", "--document", text), "--document")
        assert house.run("erase").returncode == 64
        assert house.run("erase", "--payout", 1, "--document", "82608288200").returncode == 64


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_scripts_are_made_by_the_binary(self, house, shell, tmp_path):
        """`--generate-completion-script`; bash reads its own."""
        done = house.run("--generate-completion-script", shell)
        assert done.returncode == 0
        for command in ("serve", "resend", "job", "erase", "audit", "user", "token-key"):
            assert command in done.stdout
        if shell == "bash":
            script = tmp_path / "completion.bash"
            script.write_text(done.stdout)
            assert subprocess.run(["bash", "-n", script], capture_output=True).returncode == 0
