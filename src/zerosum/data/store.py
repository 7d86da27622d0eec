"""A store: a data set decoded once, memory-mapped, in the dtype it came in.

On disk a folder named by its key, in the user's cache: `values.bin` (rows, C order, little-endian), `labels.bin`
(int64, if there are labels), `names.json` (a list of the files' relative names, if the rows came from files) and
`store.json` (everything else). It is written under another name, fsynced and renamed, so it exists whole or not at
all; sizes are checked whenever it is opened.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zerosum.data.cache import cache_root, writing
from zerosum.data.fitting import Array
from zerosum.data.in_place import in_place
from zerosum.data.lazy import Lazy
from zerosum.data.shards import order_of
from zerosum.data.sources import Rejected
from zerosum.errors import DataError, RunError, UsageError

if TYPE_CHECKING:
    import torch

FORMAT = 2
DTYPES = ("uint8", "uint16", "float32")
BLOCK_BYTES = 8 * 2**20


class DamagedStoreError(Exception):
    """A cache entry that is not what its store.json says; it is built again."""


@dataclass(eq=False)
class Store:
    """One opened, decoded data set."""

    name: str
    """What people call it: the built-in name, or the folder's or file's."""
    key: str
    """Fingerprint of what was read (paths, names, sizes, times) and how (size, fit, channels …)."""
    digest: str
    """SHA-256 of the stored values and labels: equal for equal data, wherever and whenever it was read."""
    values: Array | Lazy
    """All that is stored, memory-mapped or decoded when asked for: (N, H, W, C) uint8, uint16, float32; points: (N, D).

    A part (see `part`) has its whole store's values here; its own rows are what `take`, `blocks` and `gather` give.
    """
    labels: Array | None
    """int64 (N,), if labels were asked for; a part has those of its own rows."""
    classes: tuple[str, ...]
    low: float
    high: float
    """The values that become -1 and 1. Points: -1 and 1, so that they stay as they are; see `standardised`."""
    rejected: tuple[Rejected, ...]
    summary: dict[str, Any]
    """Counts for people, JSON-able; see `describe`."""
    picks: Array | None = None
    """Of a part: int64 (n,), which of `values` are its rows. None: all, as they come."""
    names_file: Path | None = None
    """The JSON list of the file names of all `values`; None where they are no files'."""

    def __post_init__(self) -> None:
        self._rows = self.values if isinstance(self.values, Lazy) else in_place(self.values)

    def __len__(self) -> int:
        return len(self._rows if self.picks is None else self.picks)

    def part(self, rows: np.ndarray[Any, Any]) -> Store:
        """A view of some rows as a store of its own, without a copy of the values.

        rows: int (n,), numbers of this store's rows, in the order they shall have.
        Its digest follows from this store's and `rows`.
        Raises IndexError (no such row), TypeError (not whole numbers in one row), DataError (n = 0).
        """
        rows = np.asarray(rows)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise TypeError(f"rows of a part are whole numbers (n,), not {rows.dtype} {rows.shape}")
        if not len(rows):
            raise DataError(f"{self.name}: a part of it without any row was asked for; choose at least one")
        if rows.min() < 0 or rows.max() >= len(self):
            raise IndexError(f"rows from {rows.min()} to {rows.max()} of a store of {len(self)}")
        rows = rows.astype("<i8")
        numbers = hashlib.sha256(rows.tobytes()).hexdigest()
        return replace(
            self,
            key=hashlib.sha256(f"{self.key} {numbers}".encode()).hexdigest()[:32],
            digest=hashlib.sha256(f"{self.digest} {numbers}".encode()).hexdigest(),
            labels=None if self.labels is None else self.labels[rows],
            summary=self.summary | {"count": len(rows)},
            picks=rows if self.picks is None else self.picks[rows],
        )

    def standardised(self) -> Store:
        """The same points, to be trained on less the mean of all their numbers and by their deviation.

        Raises UsageError for images, which are in [-1, 1] already, and DataError for points that are all one number.
        """
        if not self.is_points:
            raise UsageError("--data.standardise is for points; pictures are in [-1, 1] already: leave it out.")
        means, deviations = self.moments()
        mean = float(means[0] + np.mean(means - means[0]))  # of equal numbers exactly that number
        deviation = float(np.sqrt(np.mean(deviations**2 + (means - mean) ** 2)))
        if deviation == 0:
            raise DataError(f"{self.name}: all numbers are {mean:g}, there is nothing to standardise")
        return replace(self, low=mean - deviation, high=mean + deviation)

    def moments(self) -> tuple[Array, Array]:
        """Mean and deviation of each number of a row over all rows: float64, both of a row's shape as stored."""
        first = self.take(np.zeros(1, dtype=np.int64))[0].astype(np.float64)
        total, squares = np.zeros_like(first), np.zeros_like(first)
        for block in self.blocks():
            total += (block - first).sum(axis=0)  # less the first row, so that what is all alike is so exactly
        mean = first + total / len(self)
        for block in self.blocks():
            squares += ((block - mean) ** 2).sum(axis=0)
        return mean, np.sqrt(squares / len(self))

    @cached_property
    def names(self) -> tuple[str, ...] | None:
        """The file each row came from: (N,) names relative to the folder or archive, with /. None for arrays.

        Read when first asked for. Raises RunError where the cache has been harmed since it was opened.
        """
        if self.names_file is None:
            return None
        try:
            names = json.loads(self.names_file.read_bytes())
        except (OSError, ValueError) as error:
            raise self._harmed(str(error)) from error
        if len(names) != len(self._rows):
            raise self._harmed(f"{len(names)} names for {len(self._rows)} rows")
        return tuple(names) if self.picks is None else tuple(names[row] for row in self.picks.tolist())

    def _harmed(self, how: str) -> RunError:
        return RunError(f"{self.names_file}: damaged ({how}); delete the folder it is in, and it is made again")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored values: uint8, uint16 or float32."""
        return self._rows.dtype

    @property
    def is_points(self) -> bool:
        """Whether rows are points (N, D), not images."""
        return len(self._rows.shape) == 2

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row as a network sees it: (C, H, W) or (D,)."""
        if self.is_points:
            return (self._rows.shape[1],)
        height, width, channels = self._rows.shape[1:]
        return channels, height, width

    def take(self, indices: np.ndarray[Any, Any]) -> Array:
        """Rows by number: a fresh array (B, H, W, C) or (B, D) as stored. IndexError if out of range."""
        return self._take(indices if self.picks is None else self.picks[indices])

    def _take(self, rows: np.ndarray[Any, Any]) -> Array:
        return np.take(self._rows, rows, axis=0) if isinstance(self._rows, np.ndarray) else self._rows.take(rows)

    @property
    def streamed(self) -> bool:
        """Whether rows are decoded each time they are asked for."""
        return isinstance(self._rows, Lazy)

    def expect(self, indices: np.ndarray[Any, Any]) -> None:
        """Rows that will be taken next: where they are decoded each time, that begins now."""
        if isinstance(self._rows, Lazy):
            self._rows.expect(indices if self.picks is None else self.picks[indices])

    def order(self, generator: np.random.Generator) -> Array:
        """int64 (N,): the rows in an order to be shown in, drawn by `generator`; see `shards.order_of`."""
        if not isinstance(self._rows, Lazy):
            return generator.permutation(len(self))
        rows = np.arange(len(self._rows)) if self.picks is None else self.picks
        return order_of(self._rows.shards.blocks, self._rows.shards.mixed, rows, generator)

    def blocks(self) -> Iterator[Array]:
        """All rows in their order, as stored, some `BLOCK_BYTES` at a time; of a whole store not copied."""
        step = max(1, BLOCK_BYTES // (math.prod(self._rows.shape[1:]) * self.dtype.itemsize))
        for start in range(0, len(self), step):
            if self.picks is None and isinstance(self._rows, np.ndarray):
                yield self._rows[start : start + step]
            else:
                yield self.take(np.arange(start, min(start + step, len(self))))

    def gather(self, indices: np.ndarray[Any, Any]) -> torch.Tensor:
        """Rows by number: a fresh CPU tensor (B, H, W, C) or (B, D) in the stored dtype. IndexError if out of range."""
        import torch

        return torch.from_numpy(self.take(indices))


class Writer:
    """Appends rows to a store under construction; of them number, range, hash, labels and names stay in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.row: tuple[int, ...] = ()
        self.dtype = ""
        self.low, self.high = math.inf, -math.inf
        self.labels: list[int] = []
        self.names: list[str] = []
        self._hash = hashlib.sha256()
        self._file = (folder / "values.bin").open("wb")

    def expect(self, size: int) -> None:
        """Raises OSError now if `size` bytes will not fit, not after an hour of decoding."""
        if shutil.disk_usage(self.folder).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def append(self, rows: Array) -> None:
        """rows: (n, ...) of one of DTYPES, all calls alike. Raises OSError."""
        rows = np.ascontiguousarray(rows)
        self.row, self.dtype = rows.shape[1:], str(rows.dtype)
        if self.dtype != "uint8":
            self.low, self.high = min(self.low, float(rows.min())), max(self.high, float(rows.max()))
        view = rows.reshape(-1).view(np.uint8).data
        self._hash.update(view)
        self._file.write(view)
        self.count += len(rows)

    def finish(self, meta: dict[str, Any], span: tuple[float, float] | None, labelled: bool) -> None:
        """Writes labels, names (if there are any) and store.json, and everything to the disk."""
        low, high = span if span is not None else value_range(self.dtype, len(self.row), self.low, self.high)
        if labelled:
            labels = np.array(self.labels, dtype=np.int64)
            self._hash.update(labels.tobytes())
            _write(self.folder / "labels.bin", labels.tobytes())
        names = json.dumps(self.names).encode() if self.names else b""  # in ASCII, so that undecodable bytes survive
        if names:
            _write(self.folder / "names.json", names)
        meta |= {"format": FORMAT, "shape": [self.count, *self.row], "dtype": self.dtype}
        meta |= {"low": low, "high": high, "labelled": labelled, "digest": self._hash.hexdigest()}
        meta |= {"names_bytes": len(names)}
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        _write(self.folder / "store.json", json.dumps(meta, indent=1).encode())

    def close(self) -> None:
        """Lets go of the file, finished or not."""
        self._file.close()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def value_range(dtype: str, dimensions: int, low: float, high: float) -> tuple[float, float]:
    """What maps to [-1, 1], for values of `dtype` seen from `low` to `high`.

    uint8: 0 to 255. uint16: 0 to the smallest 2^k - 1 (k ≥ 8) that holds them, so that 12-bit cameras fill the range.
    float32: 0 to 1, -1 to 1 or 0 to 255, the first that holds them, else their own range.
    Points: -1 to 1 (as they are).
    """
    if dimensions == 1:
        return -1.0, 1.0
    if dtype == "uint8":
        return 0.0, 255.0
    if dtype == "uint16":
        return 0.0, float(2 ** max(8, int(high).bit_length()) - 1)
    for span in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        if span[0] <= low and high <= span[1]:
            return span
    return (low, high) if high > low else (low, low + 1.0)


Build = Callable[[Writer], dict[str, Any]]


def open_or_build(key: str, build: Build) -> Store:
    """The store under `key`; if there is none, `build` fills a writer and returns its meta data.

    One process builds while others wait for it. A damaged entry is built again, and a note says so.
    Raises RunError (disk full, cache not writable) and whatever `build` raises; nothing half-made stays.
    """
    from filelock import FileLock

    folder = cache_root() / "stores" / key
    damage = ""
    try:
        return _open(folder, key)
    except FileNotFoundError:
        pass
    except DamagedStoreError as error:
        damage = str(error)
    with writing(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    try:
        try:
            return _open(folder, key)  # made while we waited
        except (FileNotFoundError, DamagedStoreError):
            _build(folder, build, damage)
        return _open(folder, key)
    except (FileNotFoundError, DamagedStoreError) as error:
        raise RunError(f"{folder}: what was just written cannot be read ({error}); check the disk") from error
    finally:
        lock.release()


def _build(folder: Path, build: Build, damage: str) -> None:
    part = folder.with_name(f"{folder.name}.part")
    with writing(folder.parent):
        for leftover in (part, folder):  # of a killed build, or damaged; the lock is ours
            if leftover.exists():
                shutil.rmtree(leftover)
        part.mkdir()
        writer = Writer(part)
    try:
        meta = build(writer)
        if damage:
            meta["summary"]["notes"].append(f"the cached copy was damaged ({damage}) and was made again")
        with writing(folder.parent):
            writer.finish(meta, meta.pop("span"), meta.pop("labelled"))
            part.rename(folder)
            if sys.platform != "win32":
                handle = os.open(folder.parent, os.O_RDONLY)
                os.fsync(handle)
                os.close(handle)
    finally:
        writer.close()
        shutil.rmtree(part, ignore_errors=True)


def _open(folder: Path, key: str) -> Store:
    """Raises FileNotFoundError where there is no store, DamagedStoreError where it is not what it says."""
    if not folder.exists():
        raise FileNotFoundError(folder)
    try:
        meta = json.loads((folder / "store.json").read_bytes())
        shape, dtype = tuple(int(side) for side in meta["shape"]), str(meta["dtype"])
        if meta["format"] != FORMAT or dtype not in DTYPES or len(shape) not in (2, 4) or min(shape) < 1:
            raise DamagedStoreError("its description makes no sense")
        _check_size(folder / "values.bin", math.prod(shape) * np.dtype(dtype).itemsize)
        labels = None
        if meta["labelled"]:
            _check_size(folder / "labels.bin", shape[0] * 8)
            labels = np.fromfile(folder / "labels.bin", dtype=np.int64)
        if meta["names_bytes"]:
            _check_size(folder / "names.json", meta["names_bytes"])
        return Store(
            name=meta["name"],
            key=key,
            digest=meta["digest"],
            values=np.memmap(folder / "values.bin", dtype=dtype, mode="r", shape=shape),
            labels=labels,
            classes=tuple(meta["classes"]),
            low=float(meta["low"]),
            high=float(meta["high"]),
            rejected=tuple(Rejected(name, reason) for name, reason in meta["rejected"]),
            summary=dict(meta["summary"]),
            names_file=folder / "names.json" if meta["names_bytes"] else None,
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedStoreError(f"{type(error).__name__}: {error}") from error


def _check_size(path: Path, expected: int) -> None:
    size = path.stat().st_size
    if size != expected:
        raise DamagedStoreError(f"{path.name} has {size:,} bytes, not {expected:,}")
