"""Fixtures of the v3 tests: a store whose only merchant is an account mirror. A test file imports them by name."""

import pytest

from .binary import House
from .mirror import Mirror


@pytest.fixture(scope="module")
def new_mirror(tmp_path_factory):
    return Mirror(House(tmp_path_factory.mktemp("new-mirror")))


@pytest.fixture
def shop(new_mirror, house):
    """In the place of the plain shop, so that `receiver` knows this one's secret."""
    return new_mirror.moved_to(house)


@pytest.fixture
def mirror(shop):
    return shop


@pytest.fixture
def server(mirror):
    return mirror.house.serve()


@pytest.fixture
def platform(server, mirror):
    return server.client(mirror.operator_key)


@pytest.fixture
def user(server, mirror):
    return mirror.sign_in(server)
