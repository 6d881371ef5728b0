"""Waiting for something to become true, never for time to pass."""

import time

LOOK_S = 0.02
PATIENCE_S = 30.0
"""No wait ends sooner: how fast a machine is decides no test."""


def eventually(look, what, within=20.0):
    """Calls `look` until it returns something true, and returns that.

    `what` completes the sentence of the failure: "within 20 s it did not happen that ...". An AssertionError inside
    `look` counts as "not yet"; the last one is part of the failure.
    """
    within = max(within, PATIENCE_S)
    deadline = time.monotonic() + within
    last = None
    while True:
        try:
            found = look()
            if found:
                return found
            last = f"last seen: {found!r}"
        except AssertionError as failure:
            last = f"last failure: {failure}"
        if time.monotonic() >= deadline:
            raise AssertionError(f"within {within:g} s it did not happen that {what} ({last})")
        time.sleep(LOOK_S)


def never(look, what, watch):
    """Watches for `watch` seconds that `look` stays false. For what must not happen and leaves no other trace."""
    deadline = time.monotonic() + watch
    while time.monotonic() < deadline:
        found = look()
        assert not found, f"it happened that {what}: {found!r}"
        time.sleep(LOOK_S)
