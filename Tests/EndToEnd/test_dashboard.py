"""The dashboard as people use it, in a real browser: the journeys, what another tenant sees, and how it looks."""

import re
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from harness import signatures
from harness.bodies import now, plain
from harness.browser import DESKTOP, PHONE, person
from harness.client import paid_payouts
from harness.delivery_log import wait_for_states

PAGES = ["", "/payouts", "/resend", "/jobs", "/receivers", "/settings"]
NAVIGATION = ["Overview", "Payouts", "Resend", "Jobs and logs", "Receivers", "Settings"]
FIRST_PAINT_BYTES = 100 * 1024


@pytest.fixture(scope="module")
def server(shared_house, shared_shop, other_shop):
    return shared_house.serve(REENVIO_RETRY_SCHEDULE="0s,1h")


@pytest.fixture(scope="module")
def operator(server, shared_shop):
    with person(server) as somebody:
        somebody.sign_in(shared_shop.operator_key)
        yield somebody


@pytest.fixture(scope="module")
def merchant(server, shared_shop):
    with person(server) as somebody:
        somebody.sign_in(shared_shop.key)
        yield somebody


def fill_window(somebody, shop, before=timedelta(minutes=30), after=timedelta(minutes=30)):
    somebody.open("/dashboard/resend")
    somebody.fill("Merchant", str(shop.merchant_id))
    somebody.fill("Start", plain(now() - before))
    somebody.fill("End", plain(now() + after))


def first_paint(somebody):
    """Bytes of the page that is open, its style and its script; fails where it loads anything else."""
    page, loaded = somebody.driver.execute_script("""
        const of = (kind) => performance.getEntriesByType(kind).map((one) =>
            ({ name: one.name, by: one.initiatorType, size: one.decodedBodySize }));
        return [of('navigation')[0], of('resource').filter((one) => !one.name.endsWith('/events'))];""")
    assert sorted(one["by"] for one in loaded) == ["link", "script"], loaded
    assert all(one["size"] > 0 for one in [page, *loaded])
    return sum(one["size"] for one in [page, *loaded])


def send_often(house, payout_id, deliveries, attempts):
    """Ended deliveries of a payout's webhook, each answered with a page of some length."""
    answer = b'<p class="message">502 Bad Gateway</p>\n' * 25
    with closing(sqlite3.connect(house.store_path, timeout=10)) as store, store:
        merchant, notification, at = store.execute(
            "SELECT merchant_id, latest_notification_id, updated_at FROM payouts WHERE id = ?", (payout_id,)).fetchone()
        for delivery in range(9_000_000, 9_000_000 + deliveries):
            store.execute(
                "INSERT INTO settled (merchant_id, object_id, delivery_id, queue_id, notification_id, state, attempts, "
                "created_at, ended_at) VALUES (?, ?, ?, 4, ?, 'exhausted', ?, ?, ?)",
                (merchant, payout_id, delivery, notification, attempts, at, at))
            for number in range(1, attempts + 1):
                store.execute(
                    """INSERT INTO attempts (merchant_id, delivery_id, number, attempt_id, notification_id, started_at,
                    duration_ms, status_code, reason, answer)
                    VALUES (?, ?, ?, randomblob(16), ?, ?, 70, 502, 'http_status', ?)""",
                    (merchant, delivery, number, notification, at, answer))


class TestSession:
    def test_signs_in_walks_around_and_signs_out(self, server, shared_shop):
        with person(server) as somebody:
            somebody.open("/dashboard")
            assert somebody.heading == "Sign in"
            assert len(somebody.find_all("input[type=password]")) == 1
            somebody.field("API key").send_keys("rnv_nothing")
            somebody.press("Sign in")
            assert "not valid" in somebody.text
            somebody.sign_in(shared_shop.key)
            assert [one.text for one in somebody.find_all("nav a")] == NAVIGATION
            for name in NAVIGATION:
                somebody.follow(name)
                assert somebody.heading == name
                assert somebody.find("nav a[aria-current]").text == name
            cookie = somebody.driver.get_cookie("reenvio_session")
            assert cookie["httpOnly"] and cookie["sameSite"] == "Lax" and cookie["path"] == "/dashboard"
            somebody.find("form[action*='sign-out'] button").click()
            somebody.wait_for("input[type=password]")
            somebody.open("/dashboard/payouts")
            assert somebody.heading == "Sign in"

    def test_a_link_survives_the_sign_in(self, server, shared_shop):
        with person(server) as somebody:
            somebody.sign_in(shared_shop.key, "/dashboard/payouts?q=no-such-invoice")
            assert somebody.path == "/dashboard/payouts?q=no-such-invoice"


class TestPayouts:
    def test_finds_a_payout_and_its_story(self, server, shared_shop, hook, operator):
        hook.default = 500
        client = server.client(shared_shop.operator_key)
        made = client.create_payout(merchant_id=303, invoice="needle-1", notification_url=hook.url("/x?secret=1"))
        client.transition(made["id"], 3, end_to_end="E-needle-1")
        hook.wait_for(1)
        wait_for_states(client, made["id"], "waiting")
        for text in ["needle-1", "E-needle-1", str(made["id"])]:
            operator.open("/dashboard/payouts")
            operator.find("input[name=q]").send_keys(text)
            operator.press("Search")
            assert f"q={text}" in operator.path
            operator.follow(str(made["id"]))
            assert operator.heading == f"Payout {made['id']}"
        assert "secret=1" not in operator.text
        assert "needle-1" in operator.text and "Paid" in operator.text and "500" in operator.text
        assert "It has not been acknowledged." in operator.text

    def test_people_are_masked_until_a_click_that_is_noted(self, server, shared_shop, operator):
        client = server.client(shared_shop.operator_key)
        beneficiary = {"name": "Maria Souza", "document": {"type": "CPF", "number": "14538220647"}}
        made = client.create_payout(merchant_id=303, invoice="people-1", beneficiary=beneficiary)
        operator.open(f"/dashboard/payouts/{made['id']}")
        assert "Maria Souza" not in operator.driver.page_source and "14538220647" not in operator.driver.page_source
        assert "14******47" in operator.text
        before = len(self.reveals(client))
        operator.press("Reveal")
        assert "Maria Souza" in operator.text and "14538220647" in operator.text
        assert len(self.reveals(client)) == before + 1
        operator.open(f"/dashboard/payouts/{made['id']}")
        assert "Maria Souza" not in operator.text

    @staticmethod
    def reveals(client):
        rows = client.expect(200, "GET", "/v2/audit?limit=100")["data"]
        return [one for one in rows if one["action"] == "payout.reveal"]

    def test_a_merchant_sees_nothing_of_another(self, server, shared_shop, other_shop, merchant):
        client = server.client(other_shop.key)
        made = client.create_payout(merchant_id=404, invoice="foreign-1")
        merchant.open(f"/dashboard/payouts/{made['id']}")
        assert merchant.heading == "404"
        for text in ["foreign-1", str(made["id"])]:
            merchant.open(f"/dashboard/payouts?q={text}")
            assert "foreign-1" not in merchant.find("main section").text

    def test_what_was_sent_very_often_is_shown_in_parts(self, server, shared_house, shared_shop, hook, operator):
        client = server.client(shared_shop.operator_key)
        made = client.create_payout(merchant_id=303, invoice="often-1", notification_url=hook.url())
        client.transition(made["id"], 3)
        wait_for_states(client, made["id"], "acknowledged")
        send_often(shared_house, made["id"], deliveries=30, attempts=2)
        operator.open(f"/dashboard/payouts/{made['id']}")
        assert "61 attempts so far" in operator.text
        shown = []
        while True:
            assert first_paint(operator) <= FIRST_PAINT_BYTES
            shown.append(len(operator.find_all(".delivery tbody tr")))
            assert operator.find_all("main form[action$='/resend']"), "every part is the whole page"
            if not (older := operator.find_all("#timeline a[href*=cursor]")):
                break
            operator.open(older[0].get_attribute("href").removeprefix(server.url))
        assert shown == [24, 24, 13]

    def test_markup_is_text(self, server, shared_shop, hook, operator):
        nasty = "<img src=x onerror=\"document.title='gotcha'\">\"'\u0301onfocus=x autofocus"
        hook.default = 500
        client = server.client(shared_shop.operator_key)
        made = client.create_payout(merchant_id=303, invoice=nasty, notification_url=hook.url("/%3Cscript%3E"))
        client.transition(made["id"], 4, rejection_description=nasty)
        hook.wait_for(1)
        operator.open(f"/dashboard/payouts/{made['id']}")
        assert nasty.split('"')[0] in operator.text
        assert not operator.find_all("img") and not operator.find_all("main [onfocus]")
        operator.open("/dashboard/payouts")
        assert not operator.find_all("img") and operator.driver.title == "Payouts - Reenvio"


class TestResend:
    def test_dry_run_resend_and_watch(self, server, shared_shop, hook, operator):
        paid_payouts(server, shared_shop, 30, hook.url(), tag="watch")
        hook.wait_for(30)
        hook.hold()
        fill_window(operator, shared_shop, before=timedelta(minutes=11))
        operator.press("Dry run")
        total = int(re.search(r"(\d+) payouts match", operator.text)[1])
        assert total >= 30
        operator.press("Resend")
        assert re.fullmatch(r"/dashboard/jobs/[0-9a-f]{32}", operator.path)
        operator.wait_until(lambda: operator.find("[data-field=total]").text == str(total), "the total is shown")
        assert operator.find("[data-field=delivered]").text == "0"
        hook.let_go()
        operator.wait_until(
            lambda: int(operator.find("[data-field=delivered]").text) >= 30, "the bar is full without a reload")

    def test_a_job_is_canceled(self, server, shared_shop, hook, operator):
        paid_payouts(server, shared_shop, 20, hook.url(), tag="cancel")
        hook.wait_for(20)
        hook.hold()
        fill_window(operator, shared_shop, before=timedelta(minutes=12))
        operator.press("Dry run")
        operator.press("Resend")
        operator.press("Cancel")
        operator.wait_until(lambda: operator.find("[data-field=job_state]").text == "canceled", "it is canceled")
        assert not operator.find_all("form[action$='/cancel']")
        hook.let_go()

    def test_a_job_that_delivered_nothing_is_not_green(self, server, shared_shop, operator):
        """The list says what became of a job, in the word of its page; a dry run says why it cannot estimate."""
        paid_payouts(server, shared_shop, 15, "http://127.0.0.1:9/hook", tag="dead")
        fill_window(operator, shared_shop, before=timedelta(minutes=14))
        operator.press("Dry run")
        operator.press("Resend")
        job = operator.path.rsplit("/", 1)[1]
        word = operator.find("[data-field=job_state]").text
        operator.open("/dashboard/jobs")
        pill = operator.driver.find_element("xpath", f"//tr[.//a[contains(@href, '{job}')]]//span[contains(@class, 'pill')]")
        assert pill.text in ("delivering", "processing", "partly delivered") and "good" not in pill.get_attribute("class"), word
        operator.open(f"/dashboard/jobs/{job}")
        operator.press("Cancel")
        operator.wait_until(lambda: operator.find("[data-field=job_state]").text == "canceled", "it is canceled")
        operator.open("/dashboard/jobs")
        pill = operator.driver.find_element("xpath", f"//tr[.//a[contains(@href, '{job}')]]//span[contains(@class, 'pill')]")
        assert pill.text == "canceled"

    def test_what_is_wrong_is_said_and_kept(self, operator, shared_shop):
        operator.open("/dashboard/resend")
        operator.fill("Merchant", "303")
        operator.fill("Start", "yesterday")
        operator.press("Dry run")
        assert "must match the format YYYY-MM-DD HH:MM:SS" in operator.text
        assert operator.field("Start").get_attribute("value") == "yesterday"

    def test_everything_but_live_updates_works_without_a_script(self, server, shared_shop, hook):
        with person(server, javascript=False) as somebody:
            somebody.sign_in(shared_shop.key)
            paid_payouts(server, shared_shop, 3, hook.url(), tag="plain")
            hook.wait_for(3)
            fill_window(somebody, shared_shop, before=timedelta(minutes=13))
            somebody.press("Dry run")
            somebody.press("Resend")
            assert "Progress" in somebody.text and not somebody.find_all("main button[data-copy]:not([hidden])")


class TestReceivers:
    def test_pauses_and_resumes(self, server, shared_shop, hook, merchant):
        paid_payouts(server, shared_shop, 1, hook.url(), tag="pause")
        hook.wait_for(1)
        merchant.open("/dashboard/receivers")
        row = f"//tr[contains(., '{hook.url('')}')]"
        merchant.driver.find_element("xpath", row + "//button[normalize-space()='Pause']").click()
        merchant.wait_until(lambda: "paused" in merchant.driver.find_element("xpath", row).text, "it is paused")
        merchant.driver.find_element("xpath", row + "//button[normalize-space()='Resume']").click()
        merchant.wait_until(lambda: "paused" not in merchant.driver.find_element("xpath", row).text, "it is resumed")

    def test_pings(self, shared_shop, hook, merchant):
        merchant.open("/dashboard/receivers")
        merchant.fill("URL", hook.url())
        merchant.press("Ping")
        assert "answered 200" in merchant.text


class TestSettings:
    def test_rotates_a_secret(self, server, shared_shop, operator, merchant):
        merchant.open("/dashboard/settings")
        assert not merchant.find_all("form[action*='/rotate']")
        operator.open("/dashboard/settings")
        operator.driver.find_element(
            "css selector", "form[action='/dashboard/settings/secrets/303/rotate'] button").click()
        operator.wait_for(".note.good code")
        secret = operator.find(".note.good code").text
        assert secret.startswith("whsec_")
        signatures.learn(f'{{"signing_secret":"{secret}"}}')
        operator.open("/dashboard/settings")
        assert secret not in operator.driver.page_source and "secret.rotate" in operator.text


class TestLooks:
    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    @pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
    def test_every_page(self, server, shared_shop, hook, size, dark):
        """Readable texts, names on everything, no page wider than the window, nothing for the browser to complain of."""
        client = server.client(shared_shop.operator_key)
        paid = paid_payouts(server, shared_shop, 2, hook.url(), tag=f"look-{size[0]}-{dark}")
        name = f"{'phone' if size == PHONE else 'desktop'}-{'dark' if dark else 'light'}"
        with person(server, size=size, dark=dark) as somebody:
            somebody.open("/dashboard")
            somebody.picture(f"sign-in-{name}")
            assert somebody.faults() == []
            somebody.sign_in(shared_shop.operator_key)
            job = client.expect(200, "GET", "/v2/payout/notifications/resend")["data"]
            more = [f"/payouts/{paid[0]}"] + [f"/jobs/{one['job_id']}" for one in job[:1]]
            for page in PAGES + more:
                somebody.open("/dashboard" + page)
                somebody.picture(f"{page.strip('/').replace('/', '-')[:16] or 'overview'}-{name}")
                assert somebody.faults() == [], page
                assert first_paint(somebody) <= FIRST_PAINT_BYTES, page
