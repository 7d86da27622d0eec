"""WebDataset's tars: plain archives whose neighbours `key.jpg` and `key.cls` are a picture and its class.

Each tar is walked once, header by header; where its pictures lie is kept in the cache, so that the next start takes
no time, and pictures are then read at their places, in any order.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from zerosum.data.cache import cache_root, writing
from zerosum.data.fitting import Array
from zerosum.data.labels import in_order
from zerosum.data.shards import Shards
from zerosum.data.sources import ARCHIVE_FAULTS, MAX_FILE_BYTES, is_candidate, is_hidden
from zerosum.data.ticker import Progress, Ticker
from zerosum.errors import DataError

SPOT = np.dtype([("file", "<i4"), ("size", "<i4"), ("offset", "<i8"), ("name", "<u8"), ("label", "<i8")])
FORMAT = 1
CLASS = ".cls"
LONGEST = 200  # bytes of a class's name


class Tars(Shards):
    """The pictures of some tars. `spots`: (N,) of `SPOT`, in the order of the files and within them."""

    kind = "tar shards"

    def __init__(self, path: Path, files: Sequence[str], spots: Array, classes: Sequence[str], labelled: bool) -> None:
        counts = np.bincount(spots["file"], minlength=len(files)).tolist()
        super().__init__(path, files, counts, classes if labelled else ())
        self.spots = spots
        self._labels = spots["label"].astype(np.int64) if labelled else None

    def fingerprint(self) -> object:
        """Paths, sizes and times of the tars."""
        return ["tars", state_of(self.files)]

    def digest(self) -> str:
        """SHA-256 of what lies where under which names."""
        return hashlib.sha256(np.ascontiguousarray(self.spots).tobytes()).hexdigest()

    @property
    def labels(self) -> Array | None:
        """int64 (N,), where labels were asked for; -1 where a picture has none."""
        return self._labels

    @property
    def blocks(self) -> Array | None:
        """None: a tar can be sought in."""
        return None

    def hashes(self) -> Array:
        """uint64 (N,): of each member's name."""
        return np.array(self.spots["name"])

    def size(self, row: int) -> int:
        """Bytes of one picture."""
        return int(self.spots["size"][row])

    def nbytes(self) -> int:
        """Of all pictures."""
        return int(self.spots["size"].sum(dtype=np.int64))

    def read(self, row: int) -> bytes:
        """The file of one picture. Raises OSError."""
        spot = self.spots[row]
        with open(self.files[spot["file"]], "rb") as file:  # noqa: PTH123 - a Path for each picture is not free
            file.seek(int(spot["offset"]))
            data = file.read(int(spot["size"]))
        if len(data) != spot["size"]:
            raise OSError("the tar is shorter than it was")
        return data


def open_tars(path: Path, files: Sequence[str], include: str | None, labels: bool, progress: Progress | None) -> Tars:
    """Walk the tars, or read in the cache where their pictures lie. Raises DataError, and RunError for the cache."""
    known = json.dumps([FORMAT, state_of(files), include], sort_keys=True)
    key = hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    place = cache_root() / "shards" / f"{key}.npy"
    found = _kept(place)
    if found is None:
        found = _walk_all(files, include, progress)
        _keep(place, *found)
    spots, classes = found
    if not len(spots):
        raise DataError(f"{path}: {len(files)} tars, and no picture in them; see --data.include")
    if labels and not classes:
        raise DataError(
            f"{path}: labels are asked for, and no picture has a '{CLASS}' of its name beside it; do without "
            "--data.labels"
        )
    return Tars(path, files, spots, classes, labels)


def state_of(files: Sequence[str]) -> list[list[object]]:
    """Of each file its path, size and time. Raises DataError where one cannot be read."""
    state: list[list[object]] = []
    for file in files:
        try:
            status = Path(file).stat()
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror}") from error
        state.append([str(Path(file).resolve()), status.st_size, status.st_mtime_ns])
    return state


def _walk_all(files: Sequence[str], include: str | None, progress: Progress | None) -> tuple[Array, list[str]]:
    ticker = Ticker(progress, "listing shards", len(files))
    parts: list[Array] = []
    numbers: dict[str, int] = {}

    def number_of(label: str) -> int:
        return numbers.setdefault(label, len(numbers))

    for number, file in enumerate(files):
        parts.append(_walk(number, file, include, number_of))
        ticker.advance()
    spots = np.concatenate(parts)
    classes = in_order(set(numbers))
    places = np.array([classes.index(label) for label in numbers] or [0])
    spots["label"] = np.where(spots["label"] >= 0, places[spots["label"]], -1)
    return spots, classes


def _walk(number: int, file: str, include: str | None, number_of: Callable[[str], int]) -> Array:
    """The spots of one tar; the class of a picture has its key, the name to the first dot, and may come before it."""
    spots: list[tuple[int, int, int, int, int]] = []
    keys: list[str] = []
    labels: dict[str, str] = {}
    try:
        with tarfile.open(file, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # or it remembers every member passed
                name = member.name.removeprefix("./")
                if not member.isreg() or is_hidden(name) or member.size > MAX_FILE_BYTES:
                    continue
                if name.endswith(CLASS) and member.size <= LONGEST:
                    labels[_key(name)] = _text(archive, member)
                elif is_candidate(name, include):
                    hashed = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
                    spots.append((number, member.size, member.offset_data, int.from_bytes(hashed, "little"), -1))
                    keys.append(_key(name))
    except ARCHIVE_FAULTS as fault:
        raise DataError(f"{file}: no plain tar, or a damaged one ({fault}); get it again") from fault
    found = np.array(spots, dtype=SPOT)
    for place, key in enumerate(keys):
        if key in labels:
            found["label"][place] = number_of(labels[key])
    return found


def _key(name: str) -> str:
    """WebDataset's: what the files of one sample share."""
    path = PurePosixPath(name)
    return str(path.parent / path.name.partition(".")[0])


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = archive.extractfile(member)
    return "" if file is None else file.read().decode("utf-8", "replace").strip()


def _kept(place: Path) -> tuple[Array, list[str]] | None:
    """What lies in the cache; None where it is not there, or not what it should be."""
    try:
        about = json.loads(place.with_suffix(".json").read_bytes())
        if place.stat().st_size != about["bytes"]:
            return None
        spots = np.load(place, mmap_mode="r", allow_pickle=False)
        return (spots, [str(name) for name in about["classes"]]) if spots.dtype == SPOT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(place: Path, spots: Array, classes: list[str]) -> None:
    with writing(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_name(f".{place.stem}.{os.getpid()}.npy")
        np.save(part, spots, allow_pickle=False)
        about = {"bytes": part.stat().st_size, "classes": classes}
        part.replace(place)
        place.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")
