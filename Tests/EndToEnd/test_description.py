"""`openapi.yaml` against the real server, with PyPI `schemathesis`: no 5xx, and every answer is one that it describes."""

import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml

from harness.mirror import Mirror
from harness.tokens import token_of

EXAMPLES_MAX = 12
# The second is for a machine that is too busy to end a single operation within the first.
RUN_S = [10, 90]
CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance",
]


@pytest.fixture(scope="module")
def mirror(shared_house):
    return Mirror(shared_house)


@pytest.fixture(scope="module")
def server(shared_house, mirror):
    return shared_house.serve(REENVIO_RETRY_SCHEDULE="1h,1h")


def explore(server, tmp_path, only, key=None):
    """Requests made up from the description for the operations that `only` fits, within its time."""
    description = tmp_path / "openapi.yaml"
    description.write_text(requests.get(server.url + "/openapi.yaml", timeout=10).text)
    for seconds in RUN_S:
        command = [
            Path(sys.executable).parent / "schemathesis", "run", description, "--url", server.url, "--checks",
            ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-examples", EXAMPLES_MAX, "--max-time", seconds,
            "--seed", 20260324, "--generation-database", "none", "--no-color", "--suppress-health-check", "all",
            "--no-shrink", "--warnings", "off", "--include-path-regex", only,
        ]
        if key:
            command += ["-H", f"Authorization: Bearer {key}"]
        done = subprocess.run([*map(str, command)], cwd=tmp_path, text=True, capture_output=True, timeout=300)
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
        if "No test cases were generated" not in done.stdout:
            break
    assert "No issues found" in done.stdout, done.stdout


class TestConformance:
    def test_v2_with_an_operators_key(self, server, mirror, tmp_path):
        explore(server, tmp_path, "^/v2/(payout|receivers|merchants|audit)", mirror.operator_key)

    def test_v2_with_a_merchants_key(self, server, mirror, tmp_path):
        explore(server, tmp_path, "^/v2/payout", mirror.key)

    def test_v3_with_a_token(self, server, mirror, tmp_path):
        explore(server, tmp_path, "^/v3/(webhooks|accounts)", token_of(mirror.sign_in(server)))

    def test_the_rest(self, server, mirror, tmp_path):
        explore(server, tmp_path, "^/(v3/cashin|healthz|readyz|metrics|openapi|docs)", mirror.operator_key)
        explore(server, tmp_path, "^/v2/finance")

    def test_without_a_credential(self, server, tmp_path):
        """What needs one answers 401, and in time 429: both are described."""
        explore(server, tmp_path, "^/v[23]/")


class TestText:
    def test_is_openapi_3_1_and_names_each_operation_once(self, server):
        description = yaml.safe_load(requests.get(server.url + "/openapi.yaml", timeout=10).text)
        assert description["openapi"] == "3.1.0"
        operations = [one for path in description["paths"].values() for one in path.values()]
        names = [one["operationId"] for one in operations]
        assert len(names) == len(set(names))
        assert all("summary" in one and one["tags"] and "400" in one["responses"] for one in operations)
