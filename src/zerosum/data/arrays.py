"""Sets that are arrays already: IDX (MNIST's format), .npy, .npz, and arrays in memory.

Every file's declared shape is checked against its size before memory is taken, rows are streamed in blocks, and
pickled (object) arrays are refused.
IDX: bytes 0, 0, type, number of dimensions; then each dimension as a big-endian uint32; then the values.
See http://yann.lecun.com/exdb/mnist/ (at its end).
"""

from __future__ import annotations

import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np

from zerosum.data.fitting import Array
from zerosum.errors import DataError

BLOCK_BYTES = 8 * 2**20
IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
IMAGE_KEYS = ("images", "x", "arr_0")
LABEL_KEYS = ("labels", "y")
Opener = Callable[[], Any]


@dataclass(frozen=True)
class Rows:
    """An array that is read in blocks along its first axis: (N, ...) of `dtype`; `where` names it in messages."""

    where: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: Callable[[], Iterator[Array]]
    path: Path | None = None

    def whole(self) -> Array:
        """All rows at once."""
        return np.concatenate(list(self.blocks()))


@dataclass(frozen=True)
class Arrays:
    """A set: rows, labels or None, and what is known beforehand of the values' range (else None)."""

    name: str
    kind: str
    rows: Rows
    labels: Rows | None = None
    span: tuple[float, float] | None = None
    classes: tuple[str, ...] = ()

    def fingerprint(self) -> object:
        """What tells whether the set has changed: its files' paths, sizes and times."""
        paths = [rows.path for rows in (self.rows, self.labels) if rows is not None and rows.path is not None]
        states = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
        return [self.kind, self.name, self.rows.where if not paths else "", states]


def from_memory(where: str, values: Array, path: Path | None = None) -> Rows:
    """Rows of an array that is in memory (or mapped)."""
    step = _rows_a_block(values.shape, values.dtype)

    def blocks() -> Iterator[Array]:
        for start in range(0, len(values), step):
            yield np.asarray(values[start : start + step])

    return Rows(where, values.shape, values.dtype, blocks, path)


def _rows_a_block(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return max(1, BLOCK_BYTES // max(1, math.prod(shape[1:]) * dtype.itemsize))


def _streamed(where: str, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], opened: Opener) -> Rows:
    """Rows read from a stream that `opened` (a context manager) places behind the header."""
    step, row = _rows_a_block(shape, dtype), math.prod(shape[1:]) * dtype.itemsize

    def blocks() -> Iterator[Array]:
        try:
            with opened() as file:
                for start in range(0, shape[0], step):
                    count = min(step, shape[0] - start)
                    data = file.read(count * row)
                    if len(data) != count * row:
                        raise DataError(f"{where}: truncated: its header declares {shape}; get the file again")
                    yield np.frombuffer(data, dtype=dtype).reshape(count, *shape[1:])
                if file.read(1):
                    raise DataError(f"{where}: longer than its header declares ({shape}); get the file again")
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as fault:
            raise DataError(f"{where}: truncated or damaged ({fault}); get the file again") from fault

    return Rows(where, shape, dtype, blocks, path)


def read_idx(path: Path) -> Rows:
    """Rows of an IDX file, gzip-compressed or not. Raises DataError."""
    gz = path.suffix == ".gz"

    def start() -> BinaryIO:
        return cast(BinaryIO, gzip.open(path, "rb")) if gz else path.open("rb")

    try:
        with start() as file:
            magic = file.read(4)
            dimensions = magic[3] if len(magic) == 4 else 0
            sizes = file.read(4 * dimensions)
    except (EOFError, OSError, zlib.error) as fault:
        raise DataError(f"{path}: cannot be read as IDX ({fault})") from fault
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or not 1 <= dimensions <= 4:
        raise DataError(f"{path}: not an IDX file in spite of its name (it starts {magic.hex(' ') or 'empty'})")
    if len(sizes) != 4 * dimensions:
        raise DataError(f"{path}: truncated in its header; get the file again")
    shape = struct.unpack(f">{dimensions}I", sizes)
    dtype = np.dtype(IDX_TYPES[magic[2]])
    header, body = 4 + 4 * dimensions, math.prod(shape) * dtype.itemsize
    if not gz and path.stat().st_size != header + body:
        raise DataError(f"{path}: {path.stat().st_size:,} bytes, but its header declares {header + body:,}")
    if gz and body > 1100 * path.stat().st_size:  # deflate cannot pack tighter than 1032:1
        raise DataError(f"{path}: declares {body:,} bytes, more than so small a file can hold")

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with start() as file:
            file.read(header)
            yield file

    return _streamed(str(path), path, shape, dtype, opened)


def find_idx(folder: Path) -> tuple[Path, Path | None] | None:
    """The (images, labels or None) IDX files of a folder, the train pair preferred; None where there are none."""
    endings = [f"{dot}idx3-ubyte{gz}" for dot in "-." for gz in ("", ".gz")]
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return None
    found = [(name, end) for name in names for end in endings if name.endswith(f"-images{end}")]
    if not found:
        return None
    name, end = min(found, key=lambda pair: (not pair[0].startswith("train"), pair[0]))
    stem = name.removesuffix(f"-images{end}")
    ends = [f"{dot}idx1-ubyte{gz}" for dot in "-." for gz in ("", ".gz")]
    labels = next((f"{stem}-labels{e}" for e in ends if f"{stem}-labels{e}" in names), None)
    return folder / name, folder / labels if labels else None


def idx_set(name: str, images: Path, labels: Path | None) -> Arrays:
    """A set from IDX files."""
    return Arrays(name, "idx", read_idx(images), read_idx(labels) if labels else None)


def read_npy(path: Path) -> Arrays:
    """A set from one .npy file, mapped, not loaded. Raises DataError."""
    try:
        with path.open("rb") as file:
            shape, fortran, dtype = _npy_header(file, str(path))
            offset = file.tell()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    expected = offset + math.prod(shape) * dtype.itemsize
    if path.stat().st_size != expected:
        raise DataError(f"{path}: {path.stat().st_size:,} bytes, but its header declares {expected:,}")
    if math.prod(shape) == 0:
        raise DataError(f"{path}: empty: its shape is {shape}")
    values = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order="F" if fortran else "C")
    return Arrays(path.stem, "npy", from_memory(str(path), values, path))


def read_npz(path: Path) -> Arrays:
    """A set from a .npz: `images`, `x`, `arr_0` or its only array; labels in `labels` or `y`. Raises DataError."""
    try:
        with zipfile.ZipFile(path) as archive:
            keys = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
    except (OSError, zipfile.BadZipFile) as fault:
        raise DataError(f"{path}: cannot be read as .npz ({fault})") from fault
    others = [key for key in keys if key not in LABEL_KEYS]
    images = next((key for key in IMAGE_KEYS if key in keys), others[0] if len(others) == 1 else None)
    if images is None:
        raise DataError(
            f"{path}: which array holds the images? It has {', '.join(keys) or 'none'}; name it 'images' when saving"
        )
    labels = next((key for key in LABEL_KEYS if key in keys), None)
    return Arrays(path.stem, "npz", _npz_rows(path, images), _npz_rows(path, labels) if labels else None)


def _npz_rows(path: Path, key: str) -> Rows:
    where = f"{path}:{key}"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
            shape, fortran, dtype = _npy_header(member, where)
            offset, size = member.tell(), archive.getinfo(f"{key}.npy").file_size
    except (OSError, RuntimeError, zlib.error, zipfile.BadZipFile) as fault:
        raise DataError(f"{where}: cannot be read ({fault})") from fault
    if offset + math.prod(shape) * dtype.itemsize != size:
        raise DataError(f"{where}: {size:,} bytes, but its header declares {shape} of {dtype}")
    if fortran and len(shape) > 1:
        raise DataError(f"{where}: stored in Fortran order; save numpy.ascontiguousarray(...) of it")

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
            member.read(offset)
            yield member

    return _streamed(where, path, shape, dtype, opened)


def _npy_header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise DataError(f"{where}: .npy format {version}; save it again with numpy.save")
    except (ValueError, EOFError) as fault:
        raise DataError(f"{where}: not a .npy array ({fault})") from fault
    if dtype.hasobject or dtype.fields is not None or dtype.kind not in "biuf":
        raise DataError(f"{where}: holds {dtype}, not plain numbers (pickled objects are never read)")
    return shape, fortran, dtype
