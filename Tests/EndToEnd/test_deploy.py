"""`deploy/`: alert rules, board, service and package files, as far as they can be checked without running them."""

import json
import os
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


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())["services"]


@pytest.fixture(scope="module")
def proxy():
    return (DEPLOY / "docker/nginx.conf").read_text()


class TestCompose:
    """The pieces fit together: what one of them names, the other has."""

    def test_the_proxy_asks_the_nodes_where_they_listen(self, services, proxy):
        node = services["node-1"]["environment"]
        ports = {"api": node["REENVIO_LISTEN"].split(":")[1], "admin": node["REENVIO_ADMIN_LISTEN"].split(":")[1]}
        for name, port in ports.items():
            servers = re.findall(r"server ([\w-]+):(\d+)", re.search(rf"upstream {name} {{(.*?)}}", proxy, re.S)[1])
            assert servers == [("node-1", port), ("node-2", port)]
            assert f"proxy_pass http://{name};" in proxy

    def test_the_proxy_takes_bodies_that_the_api_takes(self, proxy):
        assert "client_max_body_size 1m;" in proxy

    def test_what_is_mounted_and_published_is_there(self, services, proxy):
        for volume in services["proxy"]["volumes"]:
            assert (DEPLOY / "docker" / volume.split(":")[0]).is_file()
        listening = re.findall(r"listen (\d+);", proxy)
        assert [port.rsplit(":", 1)[1] for port in services["proxy"]["ports"]] == listening

    def test_settings_are_ours(self, services, house):
        known = house.run("check").stdout
        environment = (DEPLOY / "systemd/environment").read_text()
        named = set(services["node-1"]["environment"]) | set(re.findall(r"^#?(REENVIO_\w+)=", environment, re.M))
        assert len(named) >= 6
        assert [one for one in named if not re.search(rf"^{one}\b", known, re.M)] == []

    def test_the_image_is_built_from_what_there_is(self):
        folder = DEPLOY / "docker"
        copied = re.findall(r"^COPY (?!--from)(\S+)", (folder / "Dockerfile").read_text(), re.M)
        admitted = re.findall(r"^!(\S+)", (folder / "Dockerfile.dockerignore").read_text(), re.M)
        assert copied and copied == admitted
        assert all((ROOT / one).exists() for one in copied)
        flags = re.search(r"^static=\((.*?)\)", (ROOT / "scripts/release").read_text(), re.M | re.S)[1].split()
        built = re.search(r"swift build (.*?)&&", (folder / "Dockerfile").read_text(), re.S)[1].replace("\\\n", "").split()
        assert flags and built[-len(flags) :] == flags, "the image has another binary than the package"
        # Package.swift names targets by path; without one of them nothing is built.
        paths = re.findall(r'path: "(\w+)/', (ROOT / "Package.swift").read_text())
        assert set(paths) <= set(copied)


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


class TestSupply:
    def test_every_dependency_has_an_exact_version(self):
        """What is built is what was tried."""
        manifest = (ROOT / "Package.swift").read_text()
        wanted = dict(re.findall(r'\.package\(url: "https://[^"]*/([^"/]+)", exact: "([0-9.]+)"', manifest))
        assert len(wanted) == manifest.count(".package(url:") > 10
        state = json.loads((ROOT / ".build/workspace-state.json").read_text())
        resolved = {
            found["packageRef"]["identity"]: found["state"]["checkoutState"]["version"]
            for found in state["object"]["dependencies"]
        }
        assert {name.lower(): version for name, version in wanted.items()}.items() <= resolved.items()

    def test_a_release_says_what_it_is_made_of(self, tmp_path):
        key, made = tmp_path / "key.pem", tmp_path / "checkout/.build/dist"
        (tmp_path / "checkout").mkdir()
        for name in ("scripts", "deploy", "Sources", "LICENSE"):
            (tmp_path / "checkout" / name).symlink_to(ROOT / name)
        (tmp_path / "checkout/.build").mkdir()
        for name in ("workspace-state.json", "checkouts"):
            (tmp_path / "checkout/.build" / name).symlink_to(ROOT / ".build" / name)
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, timeout=60)
        release = tmp_path / "checkout/release"
        release.write_text((ROOT / "scripts/release").read_text().replace('cd "$(dirname "$0")/.."', 'cd "$(dirname "$0")"'))
        done = subprocess.run(
            ["bash", release], text=True, capture_output=True, timeout=120,
            env=os.environ | {"REENVIO_RELEASE_BINARY": "/bin/true", "REENVIO_SIGNING_KEY": str(key)})
        assert done.returncode == 0, done.stderr
        sums = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=made, text=True, capture_output=True, timeout=60)
        assert sums.returncode == 0 and sums.stdout.count(": OK") == 4, sums.stdout
        public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], check=True, capture_output=True, timeout=60).stdout
        (tmp_path / "key.pub").write_bytes(public)
        verify = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", tmp_path / "key.pub", "-in", "SHA256SUMS",
                  "-sigfile", "SHA256SUMS.sig"]
        assert subprocess.run(verify, cwd=made, capture_output=True, timeout=60).returncode == 0
        bill = json.loads((made / "reenvio.cdx.json").read_text())
        assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
        names = {component["name"]: component for component in bill["components"]}
        assert {"hummingbird", "swift-nio", "grdb.swift", "swift-crypto"} <= names.keys()
        assert all(component["version"] and component["licenses"] for component in bill["components"])
        licences = (made / "THIRD-PARTY-LICENSES.txt").read_text()
        assert all(f"\n{name} {component['version']} " in licences for name, component in names.items())
        listed = subprocess.run(["dpkg-deb", "--contents", *made.glob("*.deb")], text=True, capture_output=True, timeout=60)
        assert "doc/reenvio/reenvio.cdx.json" in listed.stdout and "doc/reenvio/THIRD-PARTY-LICENSES.txt" in listed.stdout
