"""What a process did to the files of a folder, from strace; and what a power cut at any moment may have left of it.

A write may be lost, whole or in part, until a sync of its file that began after it has ended; of several such writes
any may be kept. A name (a new file, a rename) may be lost until its folder or its file is synced; what is kept of them
is kept in their order, as file systems with a journal do.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

CALLS = (
    "openat,close,write,pwrite64,writev,pwritev,lseek,ftruncate,fallocate,fsync,fdatasync,rename,renameat,renameat2,"
    "unlink,unlinkat,link,linkat,mkdir,mkdirat,rmdir,copy_file_range,sendfile,msync,sync_file_range"
)
_LINE = re.compile(r"(?P<pid>\d+) +(?P<time>\d+\.\d+) (?P<rest>.*)")
_RESUMED = re.compile(r"<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)")
_CALL = re.compile(r"(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)(?P<more>.*)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"^(\d+)<([^>]*)>")
_SECTOR = 512
# Rebuilt by SQLite from the log; a lock.
_NOT_KEPT = ("-shm", ".lock")


def tracing(file: Path) -> list[str]:
    """The beginning of a command line that is traced into a file."""
    return ["strace", "-f", "-qq", "-y", "-ttt", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o", str(file)]


@dataclass(frozen=True)
class Write:
    """Bytes at a place of a file; `size` without bytes: its length is set."""

    file: int
    began: float
    ended: float
    offset: int = 0
    data: bytes = b""
    size: int | None = None


@dataclass(frozen=True)
class Naming:
    """A name that was made, moved or removed."""

    began: float
    ended: float
    file: int
    old: str = ""
    new: str = ""


@dataclass(frozen=True)
class Sync:
    """A sync of a file, or of a folder by its path."""

    began: float
    ended: float
    file: int = -1
    folder: str = ""


@dataclass
class Trace:
    """Everything that happened below a folder, in order of completion."""

    root: str
    writes: list[Write] = field(default_factory=list)
    names: list[Naming] = field(default_factory=list)
    syncs: list[Sync] = field(default_factory=list)
    _files: dict[str, int] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    _places: dict[int, int] = field(default_factory=dict)
    _appending: set[int] = field(default_factory=set)

    @classmethod
    def read(cls, file: Path, root: Path) -> Trace:
        """The trace of a process that began with an empty folder."""
        trace = cls(os.fspath(root))
        for began, ended, call, arguments, result in _calls(file):
            trace._take(began, ended, call, arguments, result)
        return trace

    def _take(self, began: float, ended: float, call: str, arguments: str, result: int) -> None:
        strings = [bytes.fromhex(found.replace("\\x", "")) for found in _STRING.findall(arguments)]
        match = _DESCRIPTOR.match(arguments)
        descriptor, path = (int(match[1]), _plain(match[2])) if match else (-1, "")
        if call == "openat":
            self._open(began, ended, os.fsdecode(strings[0]), arguments, result)
        elif call.startswith("rename"):
            old, new = (os.fsdecode(each) for each in strings)
            if self._is_below(new):
                moved = self._files.pop(old)
                self._files[new] = moved
                self.names.append(Naming(began, ended, moved, old, new))
        elif call.startswith("unlink"):
            gone = os.fsdecode(strings[0])
            if gone in self._files:
                self.names.append(Naming(began, ended, self._files.pop(gone), gone))
        elif call.startswith(("mkdir", "rmdir")) or not self._is_below(path):
            pass  # folders are made as files in them need them
        elif call in {"fsync", "fdatasync"}:
            known = self._files.get(path, -1)
            self.syncs.append(Sync(began, ended, known, "" if known >= 0 else path))
        elif path in self._files:
            self._write(began, ended, call, arguments, result, b"".join(strings), descriptor, self._files[path])

    def _open(self, began: float, ended: float, path: str, arguments: str, descriptor: int) -> None:
        if not self._is_below(path) or path.endswith(_NOT_KEPT) or "O_DIRECTORY" in arguments:
            return
        if path not in self._files:
            if "O_CREAT" not in arguments:
                return
            self._files[path] = len(self._sizes)
            self._sizes[self._files[path]] = 0
            self.names.append(Naming(began, ended, self._files[path], new=path))
        elif "O_TRUNC" in arguments:
            self._sizes[self._files[path]] = 0
            self.writes.append(Write(self._files[path], began, ended, size=0))
        self._places[descriptor] = 0
        (self._appending.add if "O_APPEND" in arguments else self._appending.discard)(descriptor)

    def _write(
        self,
        began: float,
        ended: float,
        call: str,
        arguments: str,
        result: int,
        data: bytes,
        descriptor: int,
        file: int,
    ) -> None:
        if call == "lseek":
            self._places[descriptor] = result
        elif call in {"ftruncate", "fallocate"}:
            size = int(arguments.rpartition(", ")[2])
            self._sizes[file] = size if call == "ftruncate" else max(size, self._sizes[file])
            self.writes.append(Write(file, began, ended, size=self._sizes[file]))
        elif call in {"write", "writev", "pwrite64", "pwritev"}:
            if call.startswith("p"):
                offset = int(arguments.rpartition(", ")[2])
            else:
                offset = self._sizes[file] if descriptor in self._appending else self._places.get(descriptor, 0)
                self._places[descriptor] = offset + result
            self._sizes[file] = max(self._sizes[file], offset + result)
            self.writes.append(Write(file, began, ended, offset, data[:result]))
        elif call != "close":
            raise AssertionError(f"{call} is not understood: {arguments[:200]}")

    def _is_below(self, path: str) -> bool:
        return path.startswith(self.root)

    def image(self, moment: float, folder: Path, chance: Random | None = None) -> None:
        """Lay out what a power cut at that time may have left: of what was not synced nothing, or what chance keeps."""
        names = self._names_at(moment, chance)
        contents: dict[int, bytearray] = defaultdict(bytearray)
        for write in self.writes:
            if write.began > moment:
                continue
            data = write.data
            if not any(s.file == write.file and s.began >= write.ended and s.ended <= moment for s in self.syncs):
                if chance is None or chance.random() < 0.5:
                    continue
                if write.size is None and chance.random() < 0.2:
                    data = data[: _SECTOR * chance.randint(0, len(data) // _SECTOR)]  # torn
            _apply(contents[write.file], write, data)
        folder.mkdir(parents=True)
        for path, file in names.items():
            target = folder / os.path.relpath(path, self.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents[file])

    def _names_at(self, moment: float, chance: Random | None) -> dict[str, int]:
        happened = [naming for naming in self.names if naming.began <= moment]
        kept = max((place + 1 for place, naming in enumerate(happened) if self._lasts(naming, moment)), default=0)
        if chance is not None:
            kept = chance.randint(kept, len(happened))
        names: dict[str, int] = {}
        for naming in happened[:kept]:
            names.pop(naming.old, None)
            if naming.new:
                names[naming.new] = naming.file
        return names

    def _lasts(self, naming: Naming, moment: float) -> bool:
        folder = os.fspath(Path(naming.new or naming.old).parent)
        return any(
            sync.began >= naming.ended and sync.ended <= moment and (sync.folder == folder or sync.file == naming.file)
            for sync in self.syncs
        )


def _apply(content: bytearray, write: Write, data: bytes) -> None:
    if write.size is not None:
        del content[write.size :]
        content.extend(bytes(write.size - len(content)))
        return
    content.extend(bytes(max(0, write.offset - len(content))))
    content[write.offset : write.offset + len(data)] = data


def _calls(file: Path) -> Iterator[tuple[float, float, str, str, int]]:
    """Calls that succeeded: when they began and ended, name, arguments, result."""
    begun: dict[str, tuple[float, str]] = {}
    with file.open() as lines:
        for line in lines:
            if not (match := _LINE.match(line)):
                continue
            pid, time, rest = match["pid"], float(match["time"]), match["rest"]
            if rest.endswith("<unfinished ...>"):
                begun[pid] = time, rest.removesuffix("<unfinished ...>")
                continue
            began = time
            if resumed := _RESUMED.match(rest):
                began, first = begun.pop(pid)
                rest = first + resumed["rest"]
            if (call := _CALL.match(rest)) and int(call["result"]) >= 0:
                yield began, time, call["call"], call["arguments"], int(call["result"])


def _plain(text: str) -> str:
    """A path as -xx shows it."""
    return os.fsdecode(bytes.fromhex(text.replace("\\x", ""))) if text.startswith("\\x") else text
