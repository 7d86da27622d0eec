"""Parquet files with a column of pictures: a folder of them, or a dataset on Hugging Face, `hf://USER/NAME`.

Pictures are what Hugging Face's `datasets` writes, a column of type Image, or any column of a picture's bytes. A row
group is read at one go, and some are held at a time. Needs pyarrow (extra `datasets`), for `hf://` huggingface_hub too.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import numpy as np

from zerosum.data.decode import Unreadable
from zerosum.data.fitting import Array
from zerosum.data.labels import in_order
from zerosum.data.shards import WAITING, Shards
from zerosum.data.tars import state_of
from zerosum.data.ticker import Progress, Ticker
from zerosum.errors import DataError, RunError, UsageError

REMOTE = "hf://"
PICTURES = ("image", "img", "picture", "jpg", "jpeg", "png", "webp", "bytes")  # names of columns of bytes
LABELS = ("label", "labels", "class", "cls")
TRAIN = "train"  # of several splits, the one that is read
READERS = 16  # footers that are read at once
MOST_BLOCKS = 64
LARGEST_BLOCK = 2**30


@dataclass(frozen=True)
class Columns:
    """What is read of a table: its pictures, their labels (""), and the names of classes, where labels are numbers."""

    picture: str
    label: str
    names: tuple[str, ...]


class Tables(Shards):
    """The pictures of some Parquet files, whose footers have been read."""

    kind = "Parquet"

    def __init__(self, path: Path, files: Sequence[str], disk: Any, footers: Sequence[Any], labels: bool) -> None:
        self._disk, self._footers = disk, footers
        self.columns = _columns(path, footers[0], labels)
        groups = [(file, group) for file, footer in enumerate(footers) for group in range(footer.num_row_groups)]
        self._groups = [group for group in groups if footers[group[0]].row_group(group[1]).num_rows]
        counts = [footers[file].row_group(group).num_rows for file, group in self._groups]
        self._starts = np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))])
        super().__init__(path, files, [footer.num_rows for footer in footers], self.columns.names)
        self._held: OrderedDict[int, Any] = OrderedDict()
        self._lock = Lock()
        self._bytes = [
            _column_bytes(footers[file].row_group(group), self.columns.picture) for file, group in self._groups
        ]
        if max(self._bytes) > LARGEST_BLOCK:
            raise DataError(
                f"{path}: a row group of {max(self._bytes) / 2**20:,.0f} MiB of pictures, too large to be held; write "
                "it again with fewer rows a group"
            )
        if labels:
            self._labels, self.classes = self._read_labels()

    def fingerprint(self) -> object:
        """Paths, sizes and times of the files; of remote ones what the hub calls their content."""
        return ["parquet", self.state, self.columns.picture, self.columns.label]

    @cached_property
    def state(self) -> list[list[object]]:
        """Of each file what tells whether it has changed."""
        if self._disk is None:
            return state_of(self.files)
        infos = [self._disk.info(file) for file in self.files]
        return [[info["name"], info["size"], str(info.get("blob_id", ""))] for info in infos]

    def digest(self) -> str:
        """SHA-256 of the names, sizes and rows of the files."""
        sizes = [[PurePosixPath(str(state[0])).name, state[1]] for state in self.state]
        return hashlib.sha256(json.dumps([sizes, self.firsts.tolist()]).encode()).hexdigest()

    @property
    def labels(self) -> Array | None:
        """int64 (N,), where labels were asked for; -1 where a picture has none."""
        return self._labels if self.columns.label else None

    @cached_property
    def blocks(self) -> Array:
        """int64 (N,): the row group of each picture."""
        return np.repeat(np.arange(len(self._groups)), np.diff(self._starts))

    @property
    def mixed(self) -> int:
        """As many row groups as `WAITING` bytes hold."""
        return int(np.clip(WAITING // max(1, int(np.mean(self._bytes))), 1, MOST_BLOCKS))

    def hashes(self) -> Array:
        """uint64 (N,): of the name of each picture's file, and its number there."""
        parts = []
        for file, count in zip(self.files, np.diff(self.firsts).tolist(), strict=True):
            name = hashlib.blake2b(PurePosixPath(file).name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
            parts.append(_scattered(np.arange(count, dtype=np.uint64) + np.uint64(int.from_bytes(name, "little"))))
        return np.concatenate(parts)

    def nbytes(self) -> int:
        """Of the columns of pictures, unpacked."""
        return sum(self._bytes)

    def size(self, row: int) -> int:
        """Bytes of one picture: the mean of its row group."""
        block = self._block_of(row)
        return self._bytes[block] // int(self._starts[block + 1] - self._starts[block])

    def read(self, row: int) -> bytes:
        """The file of one picture. Raises Unreadable where there is none, OSError for its row group."""
        block = self._block_of(row)
        found = self._block(block)[row - int(self._starts[block])].as_py()
        data = found["bytes"] if isinstance(found, dict) else found
        if not isinstance(data, bytes):
            raise Unreadable("the table holds no bytes of it")
        return data

    def _block_of(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def _block(self, block: int) -> Any:
        """The column of a row group: one of the last few, or read now."""
        with self._lock:
            if block in self._held:
                self._held.move_to_end(block)
                return self._held[block]
            file, group = self._groups[block]
            try:
                with self._opened(file) as table:
                    column = table.read_row_group(group, columns=[self.columns.picture]).column(0)
            except _faults(self._disk) as error:
                raise OSError(f"row group {group} of {self.files[file]}: {_first_line(error)}") from error
            while len(self._held) > self.mixed + 1:
                self._held.popitem(last=False)
            self._held[block] = column
            return column

    def _opened(self, file: int) -> Any:
        where = self.files[file]
        source = where if self._disk is None else self._disk.open(where)
        return _arrow().ParquetFile(source, metadata=self._footers[file])

    def _read_labels(self) -> tuple[Array, tuple[str, ...]]:
        """The labels of all, and the classes: those that are named, or the values there are."""
        found: list[Any] = []
        for file in range(len(self.files)):
            with self._opened(file) as table:
                found += table.read(columns=[self.columns.label]).column(0).to_pylist()
        if self.columns.names:
            numbers = np.array([-1 if value is None else int(value) for value in found], dtype=np.int64)
            if numbers.max() >= len(self.columns.names):
                raise DataError(
                    f"{self.path}: a label {numbers.max()}, and {len(self.columns.names)} classes have names"
                )
            return np.maximum(numbers, -1), self.columns.names
        names = in_order({str(value) for value in found if value is not None})
        place = {name: number for number, name in enumerate(names)}
        return np.array([place.get(str(value), -1) for value in found], dtype=np.int64), tuple(names)


def open_tables(path: Path, files: Sequence[str], labels: bool, progress: Progress | None, disk: Any = None) -> Tables:
    """Read the footers of Parquet files. `disk`: where they lie, a file system of fsspec; None: here.

    Raises DataError for what is none, or has no column of pictures, and UsageError where pyarrow is not installed.
    """
    arrow = _arrow()
    faults = _faults(disk)
    ticker = Ticker(progress, "listing shards", len(files))

    def footer(file: str) -> Any:
        try:
            with arrow.ParquetFile(file if disk is None else disk.open(file)) as table:
                return table.metadata
        except faults as error:
            raise DataError(f"{file}: no Parquet file, or a damaged one ({_first_line(error)})") from error

    footers = []
    with ThreadPoolExecutor(READERS) as pool:
        for found in pool.map(footer, files):
            footers.append(found)
            ticker.advance()
    if not sum(each.num_rows for each in footers):
        raise DataError(f"{path}: {len(files)} Parquet files without a row")
    return Tables(path, files, disk, footers, labels)


def open_hub(source: str, labels: bool, progress: Progress | None, endpoint: str | None = None) -> Tables:
    """`hf://USER/NAME`, also with `@REVISION`, or a folder or pattern in it after it: the Parquet files of a dataset.

    Of several splits the training images are read. Raises DataError where there is none, RunError where the hub
    cannot be reached, UsageError where huggingface_hub is not installed.
    """
    try:
        hub = import_module("huggingface_hub")
    except ImportError as error:
        raise UsageError(f"{source}: needs huggingface_hub; pip install 'zerosum[datasets]'") from error
    name = source.removeprefix(REMOTE).removeprefix("datasets/").strip("/")
    parts = name.split("/")
    if len(parts) < 2 or not all(parts):
        raise UsageError(f"{source}: write {REMOTE}USER/NAME, as on the dataset's page")
    disk = hub.HfFileSystem(endpoint=endpoint)
    inside = "/".join(["datasets", *parts])
    pattern = inside if inside.endswith(".parquet") else f"{inside}/**/*.parquet"
    try:
        found = sorted(disk.glob(pattern))
    except _faults(disk) as error:
        raise RunError(f"{source}: cannot be read: {_first_line(error)}") from error
    if not found:
        raise DataError(
            f"{source}: no Parquet files there (or no such dataset, or one that 'hf auth login' would open); of "
            "another kind of dataset, download the files and give their folder"
        )
    of_train = [
        file for file in found if TRAIN in PurePosixPath(file).parts[-2:-1] or TRAIN in PurePosixPath(file).name
    ]
    tables = open_tables(Path(name), of_train or found, labels, progress, disk)
    if of_train and len(of_train) < len(found):
        tables.notes = (f"of {len(found)} Parquet files the {len(of_train)} of the split '{TRAIN}'",)
    return tables


def _arrow() -> Any:
    try:
        return import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError("Parquet files need pyarrow; pip install 'zerosum[datasets]'") from error


def _faults(disk: Any) -> tuple[type[Exception], ...]:
    """What reading a file raises, here or, through `disk`, far away."""
    near = (OSError, ValueError, import_module("pyarrow").ArrowException)
    return near if disk is None else (*near, import_module("huggingface_hub.errors").HTTPError)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _columns(path: Path, footer: Any, labels: bool) -> Columns:
    """The columns that Hugging Face's description names, or that look like it."""
    schema = footer.schema.to_arrow_schema()
    told = _features(schema.metadata or {})
    picture = next((name for name, feature in told.items() if feature.get("_type") == "Image"), "")
    binary = [field.name for field in schema if str(field.type) in ("binary", "large_binary") or _is_struct(field.type)]
    picture = picture or next((name for name in binary if name.lower() in PICTURES), "")
    if picture not in schema.names:
        raise DataError(
            f"{path}: no column of pictures; there are {', '.join(schema.names)}. Call a column of the files' bytes "
            "'image'"
        )
    if not labels:
        return Columns(picture, "", ())
    named = next((name for name, feature in told.items() if feature.get("_type") == "ClassLabel"), "")
    label = named or next((name for name in schema.names if name.lower() in LABELS), "")
    if label not in schema.names:
        raise DataError(
            f"{path}: labels are asked for, and there is no column 'label'; there are {', '.join(schema.names)}"
        )
    return Columns(picture, label, tuple(map(str, told.get(label, {}).get("names", ()))))


def _features(metadata: dict[bytes, bytes]) -> dict[str, dict[str, Any]]:
    """What Hugging Face's `datasets` says of the columns; nothing where it did not write the file."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {str(name): feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _is_struct(kind: Any) -> bool:
    """Whether a column holds bytes and a path, as Hugging Face's Image does."""
    return str(kind).startswith("struct<") and "bytes: " in str(kind)


def _column_bytes(group: Any, column: str) -> int:
    """Of the pictures of a row group, unpacked."""
    columns = (group.column(number) for number in range(group.num_columns))
    return sum(int(each.total_uncompressed_size) for each in columns if each.path_in_schema.split(".")[0] == column)


def _scattered(numbers: Array) -> Array:
    """SplitMix64's mixing: neighbours become numbers that have nothing to do with each other."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
