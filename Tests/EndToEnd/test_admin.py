"""`REENVIO_ADMIN_LISTEN`: health, metrics and the dashboard on an address of their own (C 10)."""

import json

import pytest
import requests

from harness.bodies import payout_body
from harness.client import PAYMENTS


@pytest.fixture
def server(house, shop):
    return house.serve(REENVIO_ADMIN_LISTEN="127.0.0.1:0")


@pytest.fixture
def admin(server):
    return "http://" + json.loads(server.announced)["admin"]


class TestAddress:
    def test_operators_have_it_to_themselves(self, server, shop, admin):
        for path in ["/healthz", "/readyz", "/metrics", "/dashboard"]:
            assert requests.get(admin + path, timeout=10).status_code == 200, path
            assert server.client(shop.operator_key).get(path).status_code == 404, path
        assert "reenvio_changes_total" in requests.get(admin + "/metrics", timeout=10).text
        key = {"Authorization": f"Bearer {shop.operator_key}"}
        assert requests.get(admin + PAYMENTS, headers=key, timeout=10).status_code == 404
        assert server.client(shop.key).get(PAYMENTS).status_code == 200
        assert server.client().get("/docs").status_code == 200

    def test_the_root_of_both(self, server, admin):
        """C 10: a browser goes to the pages that its address has; a program is told the same at both."""
        for base, pages in ((server.url, "/docs"), (admin, "/dashboard")):
            for method in ("GET", "HEAD"):
                answer = requests.request(
                    method, base + "/", headers={"Accept": "text/html,*/*;q=0.8"}, timeout=10, allow_redirects=False)
                assert (answer.status_code, answer.headers["location"]) == (303, pages)
                assert requests.get(base + pages, timeout=10).status_code == 200
            told = requests.get(base + "/", timeout=10).json()
            assert list(told) == ["name", "version", "docs", "openapi"]
            assert told["name"] == "Reenvio" and told["version"][0].isdigit()
            for link in (told["docs"], told["openapi"]):
                assert requests.get(link, timeout=10).status_code == 200

    def test_deliveries_never_reach_it(self, house, shop):
        """A URL of the server's own is refused, whichever of its addresses it names."""
        first = house.serve(REENVIO_ADMIN_LISTEN="127.0.0.1:0")
        port = json.loads(first.announced)["admin"].split(":")[1]
        first.stop()
        server = house.serve(REENVIO_ADMIN_LISTEN=f"127.0.0.1:{port}")
        body = payout_body(merchant_id=303, notification_url=f"http://127.0.0.1:{port}/metrics")
        answer = server.client(shop.key).post(PAYMENTS, body)
        assert answer.status_code == 422 and "notification_url" in answer.json()["errors"]

    def test_an_address_that_is_none_is_named(self, house, shop):
        done = house.run("check", REENVIO_ADMIN_LISTEN="nowhere")
        assert done.returncode == 1 and "REENVIO_ADMIN_LISTEN must be host:port" in done.stdout + done.stderr
