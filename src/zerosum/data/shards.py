"""Pictures in shards: what a row of WebDataset's tars or of Parquet files holds, by number, read where it lies.

A block is what is read at one go: a picture of a tar, which can be sought in, or a row group of a Parquet file.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from itertools import product
from math import prod
from pathlib import Path, PurePosixPath

import numpy as np

from zerosum.data.fitting import Array
from zerosum.data.labels import Classes
from zerosum.data.sources import Item, Rejected, list_folder
from zerosum.errors import DataError, UsageError

ENDINGS = (".tar", ".parquet")
BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_FILES = 100_000
WAITING = 256 * 2**20  # bytes of blocks that are mixed with each other


class Shards(ABC):
    """A set of encoded pictures, numbered through all of its files."""

    kind: str
    total: int
    ignored: Counter[str]
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, files: Sequence[str], counts: Sequence[int], classes: Sequence[str]) -> None:
        self.path, self.files, self.classes = path, tuple(files), tuple(classes)
        self.firsts = np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))])
        self.total, self.ignored = int(self.firsts[-1]), Counter()

    def __len__(self) -> int:
        return self.total

    @abstractmethod
    def fingerprint(self) -> object:
        """JSON-able; what tells whether the set has changed."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of what it holds, wherever it lies, as far as that is known without reading all."""

    @abstractmethod
    def read(self, row: int) -> bytes:
        """The file of one picture; may be called by several threads.

        Raises Unreadable where there is none, OSError where it cannot be reached now.
        """

    @property
    @abstractmethod
    def labels(self) -> Array | None:
        """int64 (N,), where labels were asked for; -1 where a picture has none."""

    @property
    @abstractmethod
    def blocks(self) -> Array | None:
        """int64 (N,), never falling: the block of each picture; None where each is one of its own."""

    @property
    def mixed(self) -> int:
        """How many blocks are held at a time, so that their pictures can be shown in each other's company."""
        return 1

    @abstractmethod
    def hashes(self) -> Array:
        """uint64 (N,): of what each picture is called, by which a share of them is held out."""

    def name(self, row: int) -> str:
        """What one picture is called in messages: its file, and its number there."""
        file = int(np.searchsorted(self.firsts, row, side="right")) - 1
        return f"{self._names[file]}/{row - self.firsts[file]}"

    @abstractmethod
    def nbytes(self) -> int:
        """Of all pictures, or of the files they are in."""

    def items(self) -> Iterator[Item | Rejected]:
        """All pictures in their order, as those of a folder come."""
        for row in range(self.total):
            yield Item(self.name(row), self.size(row), partial(self.read, row))

    def size(self, row: int) -> int:
        """Bytes of one picture, as far as it is known without reading it."""
        return 0

    def known_classes(self) -> Classes:
        """Of each picture, by its name."""
        labels = self.labels
        if labels is None or not self.classes:
            raise DataError(f"{self.path}: labels are asked for, and it has none; do without --data.labels")

        def number_of(name: str) -> int | None:
            file, _, number = name.rpartition("/")
            label = int(labels[self._first[file] + int(number)])
            return label if label >= 0 else None

        return Classes(list(self.classes), number_of, "labels are asked for, but it has none")

    @cached_property
    def _names(self) -> list[str]:
        """What the files are called: their paths where two have one name."""
        names = [PurePosixPath(file).name for file in self.files]
        return names if len({*names}) == len(names) else list(self.files)

    @cached_property
    def _first(self) -> dict[str, int]:
        return dict(zip(self._names, self.firsts[:-1].tolist(), strict=True))


def order_of(blocks: Array | None, mixed: int, rows: Array, generator: np.random.Generator) -> Array:
    """int64 (n,): the places 0 to n - 1 of `rows` in an order to be shown in.

    Without blocks, any. With blocks (see `Shards.blocks`), blocks come in any order, and pictures of `mixed`
    neighbours in it are shown in each other's company, so that no more need be held at a time.
    """
    if blocks is None:
        return generator.permutation(len(rows))
    own, inverse = np.unique(blocks[rows], return_inverse=True)
    rank = generator.permutation(len(own)).astype(np.float64)
    place = rank[inverse] + mixed * generator.random(len(rows))
    return np.argsort(place, kind="stable")


def shard_files(path: Path) -> list[str]:
    """The shards that a pattern, a folder or a file means, sorted; none where it means something else.

    A pattern holds {0000..0012} or *; a folder is one of shards where tars or Parquet files, these also in its folder
    `data`, and no pictures at any depth lie in it. Raises DataError for a pattern that nothing matches.
    """
    text = str(path)
    if text.endswith(ENDINGS) and ("*" in text or BRACES.search(text)):
        found = [each for expanded in _expanded(text) for each in _matching(expanded)]
        if not found:
            raise DataError(f"{path}: no file matches this pattern")
        return sorted(found)
    if path.is_file():
        return [text] if path.suffix == ".parquet" else []
    if not path.is_dir():
        return []
    ways = ([*path.glob("*.tar")], [*path.glob("*.parquet"), *path.glob("data/*.parquet")])
    for listed in ways:
        files = sorted(str(entry) for entry in listed if entry.is_file() and not entry.name.startswith("."))
        if files:
            return [] if list_folder(path, None).files else files
    return []


def _expanded(text: str) -> list[str]:
    """`a-{08..11}.tar` as `a-08.tar` to `a-11.tar`."""
    spans = [(first, int(first), int(last)) for first, last in BRACES.findall(text)]
    if any(low > high for _, low, high in spans) or prod(high - low + 1 for _, low, high in spans) > MOST_FILES:
        raise UsageError(f"{text}: a range in braces counts upwards, over {MOST_FILES:,} files at most")
    pieces = BRACES.sub("\0", text).split("\0")
    names = []
    for numbers in product(*(range(low, high + 1) for _, low, high in spans)):
        inner = [f"{number:0{len(first)}d}" for number, (first, _, _) in zip(numbers, spans, strict=True)]
        names.append("".join(a + b for a, b in zip(pieces, [*inner, ""], strict=True)))
    return names


def _matching(text: str) -> list[str]:
    """The files of a pattern with *; without one the file itself. Raises DataError where that is not there."""
    path = Path(text)
    if "*" in text:
        return [str(each) for each in path.parent.glob(path.name) if each.is_file()]
    if not path.is_file():
        raise DataError(f"{path}: a shard that the pattern names is not there")
    return [text]
