"""The pages under `docs/`: their fenced blocks, and a shell that runs the blocks of a page one after the other."""

import os
import queue
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

from .binary import ROOT

BLOCK_WITHIN_S = 30
LOOK_S = 0.05
END = "end-of-block"


@dataclass
class Block:
    """A fenced block: its language, the words after that, its text, and the line of the page above it."""

    language: str
    words: list
    text: str
    above: str
    line: int


def blocks_of(path):
    """Every fenced block of a page, in order."""
    found, opened = [], None
    above = ""
    for number, line in enumerate((ROOT / path).read_text().splitlines(), start=1):
        if opened is None and line.startswith("```"):
            language, *words = line[3:].split() or [""]
            opened = Block(language, words, "", above, number)
        elif opened is not None and line == "```":
            found.append(opened)
            opened = None
        elif opened is not None:
            opened.text += line + "\n"
        elif line.strip():
            above = line
    assert opened is None, f"{path}:{opened.line}: the block has no end"
    return found


def commands_of(path):
    """Each `sh` block, with the block right below it that shows its outcome, if there is one."""
    blocks = blocks_of(path)
    for block, below in zip(blocks, [*blocks[1:], None]):
        if block.language == "sh":
            end = block.line + block.text.count("\n") + 1
            yield block, below if below and below.line == end + 1 else None


def is_shown(shown, printed):
    """Whether that was printed; `...` stands for anything within a line."""
    pattern = re.escape(shown.text.strip()).replace(r"\.\.\.", ".+")
    return re.fullmatch(pattern, printed.strip()) is not None


class Shell:
    """One bash for all blocks of a page, as for a reader who types them in. A command that fails ends it."""

    def __init__(self, folder, environment):
        self.errors = folder / "shell.err"
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(
                ["bash", "--noprofile", "--norc"], cwd=folder, env=environment, text=True, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
            )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._send("set -e -o pipefail")

    def run(self, block):
        """What the block printed, once it has ended."""
        self._send(f"{{\n{block.text}}} </dev/null\necho; echo {END}")
        printed, deadline = [], time.monotonic() + BLOCK_WITHIN_S
        while True:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"this did not end within {BLOCK_WITHIN_S} s: {block.text}") from None
            if line is None:
                raise AssertionError(f"line {block.line} of the page failed: {block.text}{self.errors.read_text()[-2000:]}")
            if line == END + "\n":
                return "".join(printed).rstrip("\n")
            printed.append(line)

    def run_until_shown(self, block, shown):
        """The block again and again until it prints what the page shows."""
        deadline = time.monotonic() + BLOCK_WITHIN_S
        while not is_shown(shown, printed := self.run(block)) and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        return printed

    def close(self):
        """Ends it with everything that it has started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)

    def _send(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)
