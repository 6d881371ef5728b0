"""What `docs/` says of logs, crashes and tests is so: fields are those of a run, commit points and lines those of the
sources, and every test that is named exists."""

import ast
import json
import re

import pytest

from harness.mirror import Mirror, create_qr_code
from harness.binary import ROOT
from harness.bodies import window
from harness.client import PAYMENTS
from harness.waiting import eventually

LOGGING = "docs/logging.md"
NAMED_IN = ["docs/crashes.md", "docs/contract-tests.md"]
NAMED_TEST = re.compile(r"`([\w/]+\.(?:py|swift))::([^`]+)`")


def rows_of(page, heading):
    """The cells of the table below a heading, without its head."""
    below = (ROOT / page).read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in below.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def sources(folder="Sources"):
    return {path: path.read_text() for path in sorted((ROOT / folder).rglob("*.swift"))}


@pytest.fixture
def fields():
    """The wide line's: when each is there."""
    return {row[0].strip("`"): row[1] for row in rows_of(LOGGING, "The wide line: one per attempt")}


class TestLogging:
    def test_the_fields_are_those_of_a_run(self, house, shop, receiver, fields):
        """An acknowledged, a failed, a refused and a resent one; with the right level, `reason` as the page says."""
        server = house.serve(REENVIO_LOG="info", REENVIO_RETRY_SCHEDULE="0s,1h")
        client, operator = server.client(shop.key), server.client(shop.operator_key)
        receiver.answers = [200, 503]
        for number, url in enumerate([receiver.url(), receiver.url(), "http://127.0.0.1:9/hook"], start=1):
            payout_id = client.create_payout(notification_url=url)["id"]
            operator.transition(payout_id, 3)
            house.wait_for_row(
                "SELECT 1 FROM (SELECT count(*) AS n FROM attempts) WHERE n = ?", number, what="it was tried"
            )
        job_id, _ = client.dispatch(window(303))
        assert client.post(f"{PAYMENTS}/1/notifications/resend").status_code == 202
        mirror = Mirror(house, merchant_id=404)
        receiver.trust(mirror.secret)
        user = mirror.sign_in(server)
        for category in ("CASHIN", "CASHOUT"):
            user.register(receiver.url(), category)
        create_qr_code(operator, mirror.merchant_id)
        operator.transition(operator.create_payout(merchant_id=404)["id"], 3)
        lines = eventually(
            lambda: len(found := attempts_of(server)) >= 9 and found, "nine attempts were logged")
        always = {name for name, when in fields.items() if when == "always"}
        seen = set()
        for line in lines:
            names = list(line)
            assert names[:3] == ["at", "level", "message"] and names[3:] == sorted(names[3:])
            assert line["level"] == "info" and all(type(value) is str for value in line.values())
            found = set(names[3:])
            assert always <= found <= set(fields), found ^ always
            assert ("reason" in found) == (line.get("status") != "200")
            seen |= found
        # `probe` needs an open breaker; `test_breaker.py` has those.
        assert seen | {"probe"} == set(fields), "a documented field was never seen"
        assert {line["resend"] for line in lines if "resend" in line} >= {job_id}

    def test_the_example_has_the_form_of_a_line(self, fields):
        (example,) = re.findall(r"```json\n(.+)\n```", (ROOT / LOGGING).read_text())
        names = list(json.loads(example))
        assert names[:3] == ["at", "level", "message"] and names[3:] == sorted(names[3:])
        assert set(names[3:]) <= set(fields)

    def test_every_line_of_the_sources_is_listed(self):
        """Message and level, none missing and none invented."""
        documented = {(row[0].strip("`"), row[1]) for row in rows_of(LOGGING, "The other lines")} | {("attempt", "info")}
        written = set()
        for text in sources().values():
            for level, message in re.findall(r'logger\.(\w+)\(\s*"([^"]+)"', text):
                if not message.startswith("\\("):
                    written.add((message, level))
        assert written == documented

    def test_the_levels_of_the_text_form(self, house):
        """`text` is for people: time, level, then the message at the end."""
        server = house.serve(REENVIO_LOG="info", REENVIO_LOG_FORMAT="text")
        server.stop()
        first = server.log_text().splitlines()[0]
        assert re.fullmatch(r"\S+ warning reenvio: \[\w+\] REENVIO_ALLOW_HTTP_RECEIVERS .+", first), first


def attempts_of(server):
    """The lines of attempts; the last line may be half written."""
    whole = server.log_text().rpartition("\n")[0].splitlines()
    return [line for line in map(json.loads, whole) if line["message"] == "attempt"]


class TestStatuses:
    def test_the_page_for_receivers_opens_with_the_table_that_is_spoken(self, house, shop, receiver):
        """C 1.1, contradiction 1: a ping, the page and the portal show the same meanings of `status.id`."""
        page = "docs/receiving-webhooks.md"
        heading = "Two status tables: know which one you speak"
        assert (ROOT / page).read_text().index(heading) < (ROOT / page).read_text().index("## What arrives")
        shown = {
            int(row[0]): (row[2].strip("*"), row[3] == "yes") for row in rows_of(page, heading) if row[2].startswith("**")
        }
        server = house.serve()
        answer = server.client(shop.key).expect(200, "POST", "/v2/merchants/303/ping", {"url": receiver.url()})
        assert {one["id"]: (one["name"], one["final"]) for one in answer["statuses"]} == shown
        assert shown[5] == ("In Review", False)
        description = server.client().get("/docs").text
        assert "5 is not final" in description


class TestCrashes:
    def test_every_commit_point_is_listed(self):
        """Each function of the store that writes is named in the page, and nothing else is called a commit point."""
        writing = set()
        for path, text in sources("Sources/ReenvioStore").items():
            for match in re.finditer(r"try await engine\.write\(", text):
                writing.add(re.findall(r"func (\w+)", text[: match.start()])[-1])
        assert {"commitIntake", "advanceResend", "recordAndClaim", "sweep"} <= writing
        named = set()
        for line in (ROOT / "docs/crashes.md").read_text().splitlines():
            if line.startswith("| `"):
                named |= set(re.findall(r"`(\w+)`", line.split(" | ")[0].partition(":")[0]))
        assert named == writing


def python_names(path):
    """`test_x` and `TestX::test_y` of a file."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return {one for one in names if one.split("::")[-1].startswith("test_")}


def swift_names(path):
    """Functions that follow `@Test`, with or without arguments."""
    names = set()
    for chunk in re.split(r"@Test\b", path.read_text())[1:]:
        found = re.search(r"\bfunc (?:`([^`]+)`|(\w+))", chunk)
        names.add(found.group(1) or found.group(2))
    return names


@pytest.mark.parametrize("page", NAMED_IN)
def test_every_named_test_exists(page):
    """Files are named from `Tests/` or one of its folders on, so that only one is meant."""
    files = [path for path in (ROOT / "Tests").rglob("*") if path.suffix in (".py", ".swift")]
    named = NAMED_TEST.findall((ROOT / page).read_text())
    assert len(named) >= 20
    missing = []
    for file, name in sorted(set(named)):
        found = [path for path in files if f"/{path.relative_to(ROOT)}".endswith(f"/{file}")]
        if len(found) != 1:
            missing.append(f"{file}: {len(found)} files of that name")
        elif name not in (python_names if file.endswith(".py") else swift_names)(found[0]):
            missing.append(f"{file}::{name}")
    assert not missing, "\n".join(missing)
