"""Which folders are runs: those below one root, each with a key that stands for it in addresses.

An address never holds a path: only a key that is looked up among what was found, so nothing else can be named.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEPTH = 4  # folders below the root: an ensemble's members lie at runs/NAME/members/0
MOST = 500  # runs that are listed
CONFIG, STARTED = "config.toml", "studio.json"  # either makes a folder a run
LOG = "studio.log"  # what a training says that was started here


@dataclass(frozen=True)
class Place:
    """A run folder: its key in addresses, its name below the root, and its real path."""

    key: str
    name: str
    path: Path

    def file(self, *parts: str) -> Path:
        """The real path of a file of the run. Raises `FileNotFoundError` for none, and where a link leads out of it."""
        real = self.path.joinpath(*parts).resolve(strict=True)
        if not real.is_relative_to(self.path):
            raise FileNotFoundError(f"{'/'.join(parts)} leads out of the run")
        return real

    def has(self, *parts: str) -> bool:
        """Whether there is such a file or folder."""
        try:
            self.file(*parts)
        except OSError:
            return False
        return True


def find(root: Path) -> list[Place]:
    """The runs at or below `root`, those last written to first; links are not followed.

    Of an ensemble, its members. A root that does not exist holds none.
    """
    top = root.resolve()
    places = [_place(path, top) for path in _runs(top, DEPTH)]
    return sorted(places, key=lambda place: (-_written(place), place.name))[:MOST]


def place_of(path: Path, root: Path) -> Place:
    """The place of a run folder below `root`."""
    return _place(path.resolve(), root.resolve())


def _place(path: Path, top: Path) -> Place:
    name = path.name if path == top else path.relative_to(top).as_posix()
    return Place(hashlib.sha256(os.fsencode(name)).hexdigest()[:16], shown(name), path)


def shown(name: str) -> str:
    """A file's name as text that any page can hold: what is no UTF-8, or does not print, becomes a question mark."""
    whole = name.encode("utf-8", "replace").decode("utf-8")
    return "".join(letter if letter.isprintable() else "?" for letter in whole)


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    members = (folder / "members").is_dir() and not (folder / "members").is_symlink()
    if not members and any((folder / name).is_file() for name in (CONFIG, STARTED)):
        yield folder
        return
    if not depth:
        return
    try:
        inner = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # not there, or not ours to read
        return
    for entry in inner:
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from _runs(Path(entry.path), depth - 1)


def _written(place: Place) -> float:
    for name in ("status.json", STARTED, CONFIG):
        try:
            return place.file(name).stat().st_mtime
        except OSError:
            continue
    return 0.0
