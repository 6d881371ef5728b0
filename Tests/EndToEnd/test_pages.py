"""The pages for users are true: their commands run and print what is shown, their excerpts are the files', their example
is signed as it says, their links lead somewhere."""

import errno
import json
import re
from datetime import datetime, timezone

import pytest
from standardwebhooks.webhooks import Webhook

from harness import disk
from harness.binary import BINARY, ROOT, clean_environment
from harness.client import Client, paid_payouts
from harness.examples import EXAMPLES, free_port
from harness.pages import Shell, blocks_of, commands_of, is_shown

RECEIVING = "docs/receiving-webhooks.md"
STARTING = "docs/getting-started.md"
EXCERPTED = {"python", "js", "php", "swift", "bash"}
RECEIVERS = [
    EXAMPLES / "receivers" / name
    for name in ("receiver.py", "receiver.mjs", "receiver.php", "receiver.sh", "swift/Receiver.swift")
]
PAGES = ["README.md", *sorted(str(one.relative_to(ROOT)) for one in ROOT.glob("docs/**/*.md"))]


def run_page(path, shell, replacing=None):
    """Runs every command of a page in order; returns how many outcomes were as shown."""
    count = 0
    for block, shown in commands_of(path):
        for old, new in (replacing or {}).items():
            block.text = block.text.replace(old, new)
        printed = shell.run_until_shown(block, shown) if "until-shown" in block.words else shell.run(block)
        if shown:
            assert is_shown(shown, printed), f"{path}:{shown.line} shows {shown.text!r}, but it was {printed!r}"
            count += 1
    return count


@pytest.fixture
def shell(tmp_path):
    """With the binary under test on its PATH, and no setting of whoever runs the tests."""
    listen = f"127.0.0.1:{free_port()}"
    environment = clean_environment({"REENVIO_LISTEN": listen, "no_proxy": "127.0.0.1"})
    environment["PATH"] = f"{BINARY.parent}:{environment['PATH']}"
    shell = Shell(tmp_path, environment)
    shell.listen = listen
    yield shell
    shell.close()


class TestGettingStarted:
    def test_every_command_as_it_stands(self, shell, tmp_path):
        """All but the two ports, which may be taken on this machine."""
        ports = {"127.0.0.1:8080": shell.listen, "127.0.0.1:9000": f"127.0.0.1:{free_port()}"}
        shown = run_page(STARTING, shell, ports)
        assert shown == sum(block.language in ("json", "text") for block in blocks_of(STARTING)) == 10
        assert [one.name for one in tmp_path.iterdir() if one.is_dir()] == ["reenvio-trial"]


class TestWorstEvening:
    """`docs/operations.md`: a server that was killed, a page of its store that is gone, its log left behind, no key, and a disk
    that is full for one of the commands."""

    PAGE = "docs/operations.md"

    @pytest.fixture
    def evening(self, house, shop, receiver, tmp_path):
        server = house.serve()
        paid_payouts(server, shop, 20, receiver.url())
        receiver.wait_for_acknowledged(20)
        for name in ("backups", "keys"):
            (tmp_path / name).mkdir()
        house.json("backup", tmp_path / "backups/reenvio.db")
        paid_payouts(server, shop, 50, receiver.url(), tag="more")
        receiver.wait_for_acknowledged(70)
        server.kill()
        data = house.store_path.parent.rename(tmp_path / "reenvio-data")
        (data / "reenvio.db.key").rename(tmp_path / "keys/reenvio.db.key")
        with open(data / "reenvio.db", "r+b") as file:
            file.truncate((data / "reenvio.db").stat().st_size // 2)
        return disk.Faults(tmp_path / "faults", data)

    def test_every_command_as_it_stands(self, evening, tmp_path, shop):
        environment = clean_environment(evening.settings | {"REENVIO_LISTEN": "127.0.0.1:0", "no_proxy": "127.0.0.1"})
        environment["PATH"] = f"{BINARY.parent}:{environment['PATH']}"
        shell = Shell(tmp_path, environment)
        try:
            count = 0
            for block, shown in commands_of(self.PAGE):
                if "evening" not in block.words:
                    continue
                if "full" in block.words:
                    evening.set(disk.WRITE, errno.ENOSPC)
                printed = shell.run(block)
                evening.clear()
                assert shown is None or is_shown(shown, printed), f"{self.PAGE}:{block.line}: {printed!r}"
                count += 1
            assert count >= 7
            address = json.loads((tmp_path / "serving.json").read_text())["listening"]
            listed = Client(f"http://{address}", shop.key).get("/v2/payout/payments?per_page=1")
            assert listed.json()["meta"]["total"] == 20
        finally:
            shell.close()


class TestReceivingWebhooks:
    def test_every_command_as_it_stands(self, shell):
        assert run_page(RECEIVING, shell) == 2

    def test_excerpts_are_the_files(self):
        """Each block in a programming language stands, line by line, in the file that is linked above it."""
        excerpted = []
        for block in blocks_of(RECEIVING):
            if block.language in EXCERPTED:
                target = re.search(r"\]\(([^)]+)\)", block.above).group(1)
                file = (ROOT / "docs" / target).resolve()
                assert "\n" + block.text in file.read_text(), f"{RECEIVING}:{block.line} differs from {target}"
                excerpted.append(file)
        assert sorted(excerpted) == sorted(RECEIVERS)

    def test_the_example_is_what_arrives(self, house, shop, receiver):
        """The headers of a real webhook, and a signature that verifies with the secret that the page names."""
        (example,) = [block.text for block in blocks_of(RECEIVING) if block.language == "http"]
        head, body = example.split("\n\n", 1)
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
        body = body.rstrip("\n")
        secret = re.search(r"whsec_[\w+/=]{20,}", (ROOT / RECEIVING).read_text()).group()
        moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), timezone.utc)
        signed = Webhook(secret).sign(headers["webhook-id"], moment, body)
        assert headers["webhook-signature"] == signed and int(headers["content-length"]) == len(body)

        server = house.serve()
        made = server.client(shop.key).create_payout(notification_url=receiver.url())
        server.client(shop.operator_key).transition(made["id"], 3, end_to_end="E1")
        (one,) = receiver.wait_for(1)
        assert set(one.headers) == set(headers)


class TestLinks:
    @pytest.mark.parametrize("page", PAGES)
    def test_lead_somewhere(self, page):
        """To a file of the repository, and to a heading where one is named."""
        folder = (ROOT / page).parent
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", (ROOT / page).read_text()):
            file, _, heading = target.partition("#")
            path = (folder / file).resolve() if file else ROOT / page
            assert path.exists(), f"{page} links to {target}"
            if heading:
                assert heading in headings(path), f"{page} links to {target}"


def headings(path):
    """The anchors that GitHub makes of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
