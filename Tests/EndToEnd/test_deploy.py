"""`deploy/`: alert rules, board, service and package files, as far as they can be checked without running them."""

import json
import re
import subprocess

import pytest
import yaml

from harness.binary import ROOT

DEPLOY = ROOT / "deploy"


def families():
    """The metrics that `docs/operations.md` has a row for."""
    text = (ROOT / "docs/operations.md").read_text()
    return set(re.findall(r"^\| `((?:reenvio|process)_\w+)` \|", text, re.M))


def named_in(expression):
    return {re.sub(r"_(bucket|sum|count)$", "", one) for one in re.findall(r"(?:reenvio|process)_\w+", expression)}


class TestPrometheus:
    @pytest.mark.parametrize(
        "arguments", [("check", "rules", "reenvio.rules.yml"), ("test", "rules", "reenvio.test.yml"),
                      ("check", "config", "prometheus.yml")], ids=" ".join)
    def test_promtool(self, arguments):
        done = subprocess.run(
            ["promtool", *arguments], cwd=DEPLOY / "prometheus", text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_rules_name_existing_metrics(self):
        rules = yaml.safe_load((DEPLOY / "prometheus/reenvio.rules.yml").read_text())["groups"][0]["rules"]
        assert len(rules) >= 8
        for rule in rules:
            assert named_in(rule["expr"]) <= families(), rule["alert"]
            assert {"summary", "description"} <= set(rule["annotations"])


class TestGrafana:
    def test_the_board_shows_every_metric_and_no_other(self):
        board = json.loads((DEPLOY / "grafana/reenvio.json").read_text())
        shown = set()
        for panel in board["panels"]:
            for target in panel["targets"]:
                shown |= named_in(target["expr"])
        assert shown == families()


class TestFiles:
    def test_compose_runs_two_nodes_that_share_a_store(self):
        services = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())["services"]
        assert set(services) == {"database", "node-1", "node-2", "proxy"}
        nodes = [services["node-1"]["environment"], services["node-2"]["environment"]]
        assert nodes[0] == nodes[1] and nodes[0]["REENVIO_STORE"].startswith("postgres://")

    def test_the_image_does_not_run_as_root(self):
        lines = (DEPLOY / "docker/Dockerfile").read_text().splitlines()
        users = [line.split()[1] for line in lines if line.startswith("USER")]
        assert users and users[-1].split(":")[0] not in ("0", "root")

    def test_the_man_page_names_every_command(self, house):
        said = house.run("--help").stdout
        commands = re.findall(r"^  (\S+) {2,}", said.split("SUBCOMMANDS:")[1], re.M)
        page = (DEPLOY / "debian/reenvio.1").read_text()
        assert len(commands) > 10
        missing = [one for one in commands if not re.search(rf"^\.It Cm .*\b{re.escape(one)}\b", page, re.M)]
        assert missing == []

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completions_can_be_made(self, house, shell):
        done = house.run("--generate-completion-script", shell)
        assert done.returncode == 0 and "reenvio" in done.stdout
