"""Tests that mostly wait, all at the same time: each is a story that runs in a thread of its own."""

from concurrent.futures import ThreadPoolExecutor

import pytest

ENDS_WITHIN_S = 120


def story(tell):
    """Makes a test of `tell(world)`. The module's fixture `stories` is made with `tell_all`."""
    def test(stories):
        stories[tell].result(ENDS_WITHIN_S)

    test.__name__, test.__doc__, test.story = tell.__name__, tell.__doc__, tell
    return test


def tell_all(request, world):
    """Starts every story of the module that was selected; yields the futures."""
    chosen = [item.function.story for item in request.session.items
              if item.module is request.module and hasattr(item.function, "story")]
    if not chosen:
        pytest.fail("no story was selected")
    pool = ThreadPoolExecutor(len(chosen))
    yield {tell: pool.submit(tell, world) for tell in chosen}
    pool.shutdown(wait=True, cancel_futures=True)
