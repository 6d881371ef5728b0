"""A disk that fails on demand or is remembered call by call (shims/disk.c), and the states that a power cut permits."""

import functools
import mmap
import os
import random
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "shims/disk.c"
WRITE, SYNC, READ = range(3)
FAULT = struct.Struct("<iii24s")
HEAD = struct.Struct("<cxxxII4xqQ")


@functools.cache
def library():
    """Built once for all tests, in a folder that is removed with the process."""
    folder = tempfile.TemporaryDirectory(prefix="reenvio-shim-")
    library.folder = folder
    built = Path(folder.name) / "disk.so"
    done = subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-o", built, SOURCE, "-ldl", "-lpthread"], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return built


def settings(root, **more):
    return {"LD_PRELOAD": str(library()), "DISK_ROOT": str(root)} | more


class Faults:
    """What fails below `root`; `settings` puts a process on that disk."""

    def __init__(self, path, root):
        path.write_bytes(bytes(FAULT.size * 3))
        self.settings = settings(root, DISK_FAULTS=str(path))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    def set(self, call, code, left=-1, suffix=""):
        FAULT.pack_into(self.memory, call * FAULT.size, code, left, 0, suffix.encode())

    def failed(self, call):
        """How many calls have failed since `set`."""
        return FAULT.unpack_from(self.memory, call * FAULT.size)[2]

    def clear(self):
        self.memory[:] = bytes(len(self.memory))


@dataclass
class Call:
    kind: str
    name: str
    at: int
    data: bytes
    nanoseconds: int


def recording(path):
    """The calls of a recording, in order."""
    data, place, calls = Path(path).read_bytes(), 0, []
    while place < len(data):
        kind, name_bytes, data_bytes, at, nanoseconds = HEAD.unpack_from(data, place)
        place += HEAD.size
        name = data[place : place + name_bytes].decode()
        place += name_bytes
        calls.append(Call(kind.decode(), name, at, data[place : place + data_bytes], nanoseconds))
        place += data_bytes
    return calls


class File:
    def __init__(self):
        self.durable = bytearray()
        self.pending = []


def apply(image, call):
    if call.kind == "t":
        del image[call.at :]
        image.extend(bytes(call.at - len(image)))
    else:
        image.extend(bytes(max(0, call.at - len(image))))
        image[call.at : call.at + len(call.data)] = call.data


class Disk:
    """Follows a recording. What was synced is there after a cut, of the rest any part: whole calls here, in any choice; a
    name that was given or taken away since its folder was synced may be there or not."""

    def __init__(self):
        self.names, self.durable_names, self.since_sync = {}, {}, []

    def follow(self, call):
        match call.kind:
            case "c":
                self._give(call.name, File())
            case "u":
                self._take(call.name)
            case "r":
                self._give(call.data.decode(), self.names.get(call.name) or File())
                self._take(call.name)
            case "l":
                self._give(call.data.decode(), self.names[call.name])
            case "w" | "t":
                if call.name in self.names:
                    self.names[call.name].pending.append(call)
            case "s" if call.name in self.names:
                file = self.names[call.name]
                for one in file.pending:
                    apply(file.durable, one)
                file.pending = []
            case "s":
                self.durable_names, self.since_sync = dict(self.names), []

    def _give(self, name, file):
        self.names[name] = file
        self.since_sync.append((name, file))

    def _take(self, name):
        self.names.pop(name, None)
        self.since_sync.append((name, None))

    def after_a_cut(self, how, dice: random.Random):
        """name -> content. `how`: "all" or "none" of what was not synced, or "some"."""
        kept = {"all": lambda: True, "none": lambda: False, "some": lambda: dice.random() < 0.5}[how]
        names = dict(self.durable_names)
        for name, file in self.since_sync:
            # The usual file systems make the name of a new file durable with its content.
            if kept() or (file is not None and file.durable):
                if file is None:
                    names.pop(name, None)
                else:
                    names[name] = file
        contents = {}
        for name, file in names.items():
            image = bytearray(file.durable)
            for call in file.pending:
                if kept():
                    apply(image, call)
            contents[name] = bytes(image)
        return contents


def put(contents, root, folder):
    """The files of a state, as they lay below `root`, into another folder."""
    for name, content in contents.items():
        path = Path(folder) / os.path.relpath(name, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
