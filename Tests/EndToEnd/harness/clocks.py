"""A wall clock in the test's hand: a small library, compiled when it is first wanted, shifts that of a process
(`shims/clock.c`). Monotonic clocks stay the real ones."""

import mmap
import struct
import subprocess
from pathlib import Path

HOUR_S, DAY_S = 3_600, 86_400
SOURCE = Path(__file__).parent / "shims/clock.c"


def library(folder):
    """The compiled shim, readable for a server that runs as another user."""
    built = Path(folder) / "clock.so"
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-o", built, SOURCE, "-ldl"], check=True, capture_output=True, timeout=60)
    built.chmod(0o755)
    return built


class Clock:
    """The wall clock of whatever runs in `environment`."""

    def __init__(self, folder, built):
        self.path = Path(folder) / "clock"
        self.path.write_bytes(bytes(8))
        self.path.chmod(0o644)
        self._file = open(self.path, "r+b")
        self._shift = mmap.mmap(self._file.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(built), "CLOCK_FILE": str(self.path)}

    def set(self, seconds):
        """Off by so many seconds from now on."""
        struct.pack_into("=q", self._shift, 0, seconds * 1_000_000)

    def close(self):
        self._shift.close()
        self._file.close()
