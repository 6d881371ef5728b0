"""Not even a SYN goes to a forbidden address (contract 3.3 and 15): proved in a network namespace, with a name server that
changes its answers and a capture of every packet."""

import re
from pathlib import Path

import pytest

from harness.network import run_inside

FILE = Path(__file__).parent / "inside" / "guarded.py"


@pytest.mark.waits
def test_nothing_goes_to_a_forbidden_address():
    """Each test of `inside/guarded.py`, and none left out."""
    done = run_inside([FILE])
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    assert re.search(r"^\d+ passed in", said, re.MULTILINE), f"something was left out:\n{said[-3000:]}"
