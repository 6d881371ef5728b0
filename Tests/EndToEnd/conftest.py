"""Fixtures. Everything runs on loopback, on ports that the system picks, in folders that are removed."""

import os

import pytest

from harness import here, signatures
from harness.binary import BINARY, House, Shop
from harness.postgres import Postgres, SharedHouse
from harness.receiver import Receiver
from harness.waiting import eventually


def pytest_configure(config):
    if not BINARY.is_file():
        pytest.exit(f"there is no binary at {BINARY}; build it, or set REENVIO_BIN", returncode=2)


def pytest_collection_modifyitems(items):
    if os.environ.get("REENVIO_SOAK") == "1":
        return
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="a long test; REENVIO_SOAK=1 or `make soak` runs it"))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"{signatures.verified()} webhooks were verified with standardwebhooks")
    for one in here.NOT_RUN:
        terminalreporter.write_line(f"not run on this machine: {one}", yellow=True)
    if here.NOT_RUN:
        terminalreporter.write_line(f"{len(here.NOT_RUN)} tests could not run on this machine", yellow=True)


@pytest.fixture(autouse=True)
def every_signature():
    """No webhook of the test, at whatever receiver, that `standardwebhooks` does not accept. A secret is known a moment
    after it signs, where a rotation is still being answered."""
    yield
    doubtful = []

    def is_clear():
        doubtful[:] = signatures.take_doubtful()
        signatures.put_back(doubtful)
        return not doubtful

    try:
        eventually(is_clear, "every webhook verified", signatures.LEARNT_WITHIN_S)
    except AssertionError:
        signatures.take_doubtful()
        pytest.fail(f"standardwebhooks refuses {len(doubtful)} webhooks, e.g. {doubtful[0]}")


@pytest.fixture
def house(tmp_path):
    """An empty folder for a store; every server started on it is gone afterwards."""
    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture(scope="session")
def new_shop(tmp_path_factory):
    """Made once, through the commands, and copied for each test that wants a shop."""
    return Shop(House(tmp_path_factory.mktemp("new-shop")))


@pytest.fixture
def shop(house, new_shop):
    """Account 1 with merchant 303, a key of its own and an operator key."""
    return new_shop.moved_to(house)


@pytest.fixture
def receiver(shop):
    receiver = Receiver()
    receiver.trust(shop.secret)
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def postgres():
    postgres = Postgres().create().start()
    yield postgres
    postgres.close()


@pytest.fixture
def nodes(tmp_path, postgres):
    """A store that servers share, without rate limits; a module with other needs has its own."""
    house = SharedHouse(tmp_path, postgres, {"REENVIO_RATE_LIMITS": "off"})
    yield house
    house.close()


@pytest.fixture
def store(nodes):
    """The shop of a store that servers share."""
    return Shop(nodes)


@pytest.fixture
def hook(store):
    receiver = Receiver()
    receiver.trust(store.secret)
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory):
    """A store for tests that leave nothing behind that another would trip over."""
    house = House(tmp_path_factory.mktemp("shared"))
    yield house
    house.close()


@pytest.fixture(scope="module")
def shared_shop(shared_house):
    return Shop(shared_house)


@pytest.fixture(scope="module")
def other_shop(shared_house, shared_shop):
    """Another tenant on the same store."""
    return Shop(shared_house, merchant_id=404, name="Open Market")


@pytest.fixture(scope="module")
def shared_server(shared_house, shared_shop, other_shop):
    return shared_house.serve(REENVIO_RETRY_SCHEDULE="1h,1h")


@pytest.fixture(scope="module")
def merchant(shared_server, shared_shop):
    """A client with the merchant's key."""
    return shared_server.client(shared_shop.key)


@pytest.fixture(scope="module")
def operator(shared_server, shared_shop):
    return shared_server.client(shared_shop.operator_key)


@pytest.fixture
def hook(shared_shop):
    """A receiver for the shared shop."""
    hook = Receiver()
    hook.trust(shared_shop.secret)
    yield hook
    hook.close()
