"""Two sets of pictures that belong together: pairs by name, the halves of one picture, two domains without pairs.

Of a pair, `given` is what a translator starts from and `wanted` is what it should make. Partners have one relative
name but for the last suffix: "a/1.png" and "a/1.tif". The folder that wraps all an archive holds is left out of its
names where more of them fit so. Arrays have no names: their rows are matched in order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from zerosum.data.fitting import Array
from zerosum.data.labels import wrapping_folder
from zerosum.data.opening import check_share, judge, printable, read_data, write_rejected
from zerosum.data.options import make_options
from zerosum.data.parts import PATIENCE, check_holdout, under_share
from zerosum.data.sources import Rejected
from zerosum.data.store import Store, value_range
from zerosum.data.ticker import Progress, Ticker
from zerosum.errors import DataError, UsageError, nearest

ORDERS = ("left-to-right", "right-to-left")
SHOWN = 5
ROUNDING = 1.02  # two shapes whose height / width differ by less are one but for rounding


@dataclass(frozen=True)
class Pairs:
    """Pictures given and wanted, row by row; both of one height and width, each of its own channels and depth."""

    given: Store
    wanted: Store
    alone: tuple[str, ...]
    """Files left out, as they have no partner: "source: NAME" or "target: NAME", and why where it was rejected."""

    def __len__(self) -> int:
        return len(self.wanted)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What `open_data` takes beside the source and the half, each as there; `rejects_to` lists both sides' rejects."""

    size: str | None = None
    fit: str = "crop"
    channels: int | None = None
    include: str | None = None
    root: Path | None = None
    labels: bool = False
    max_rejected: float = 0.01
    largest: int = 64
    rejects_to: Path | None = None
    progress: Progress | None = None


def open_pairs(source: str | Path, target: str | Path, **reading: Any) -> Pairs:
    """Pictures to start from and pictures to make of them, matched by name, in the target's order.

    source, target: each as `open_data` takes it; target decides the size.
    reading: see `Reading`. channels and labels are the target's alone: the source keeps its own channels.
        max_rejected is judged for each side.
    Raises DataError (no pair, two files of one folder with one name but for the suffix, arrays of unequal length,
    sides of other shapes that would be cut apart, points, and what `open_data` raises), UsageError, RunError.
    """
    sides = _Sides(Reading(**reading))
    wanted = sides.open("target", target)
    given = sides.open("source", source, size=_size(wanted), channels=None, labels=False)
    _check_shapes(given, wanted, f"{source} and {target}", sides.reading.fit)
    if given.names is None and wanted.names is None:
        if len(given) != len(wanted):
            raise DataError(
                f"{source} has {len(given):,} rows and {target} has {len(wanted):,}: arrays have no names to match by, "
                "so they must have as many; save them again, row by row"
            )
        return Pairs(given, wanted, ())
    if given.names is None or wanted.names is None:
        named, unnamed = (target, source) if given.names is None else (source, target)
        raise DataError(
            f"{unnamed} is an array, whose rows have no names, and {named} holds files, which are matched by name; "
            "give both as files or both as arrays"
        )
    ways = product(_Files("source", given).ways(), _Files("target", wanted).ways())
    best = max(ways, key=lambda way: len(way[0].rows.keys() & way[1].rows.keys()))  # of equals the first
    return _paired(*best, f"{source} and {target}", sides.reading.progress)


def open_halves(source: str | Path, order: str = "left-to-right", **reading: Any) -> Pairs:
    """Side-by-side pictures: one half of each is given, the other wanted; of an odd width the middle column is neither.

    source: a folder or an archive of images.
    order: "left-to-right" makes the right half of the left one, "right-to-left" the left half of the right one.
    reading: see `Reading`. size is a half's. channels and labels are those of the half that is wanted.
    Raises as `open_data`, and UsageError (order; arrays).
    """
    if order not in ORDERS:
        raise UsageError(f"data.side-by-side: {order!r} is unknown; {nearest(order, ORDERS)}")
    start, _, end = order.split("-")
    sides = _Sides(Reading(**reading))
    wanted = sides.open(end, source, half=end)
    given = sides.open(start, source, half=start, size=_size(wanted), channels=None, labels=False)
    return _paired(_Files(start, given, key=str), _Files(end, wanted, key=str), str(source), sides.reading.progress)


def open_domains(a: str | Path, b: str | Path, **reading: Any) -> tuple[Store, Store]:
    """Two sets without pairs, of one size and one number of channels.

    a, b: each as `open_data` takes it; a decides the size.
    reading: see `Reading`. channels None: the larger number of the two.
    Raises as `open_data`, and DataError (points).
    """
    sides = _Sides(Reading(**reading))
    first = sides.open("a", a)
    size = _size(first)
    second = sides.open("b", b, size=size)
    channels = max(first.shape[0], second.shape[0])
    if first.shape[0] < channels:
        first = sides.open("a", a, size=size, channels=channels)
    if second.shape[0] < channels:
        second = sides.open("b", b, size=size, channels=channels)
    return first, second


def hold_out_by_name(store: Store, share: float) -> tuple[Array, Array]:
    """(kept, held): int64 row numbers of `store`, about `share` of them held.

    A row is held if the hash of its file's name without the last suffix, and without the folder that wraps all of an
    archive (of its number in the whole store, where there are no names), as a number from 0 to 1, is under `share`. So
    no file changes sides when others are added to its folder, when it is saved in another format or when all are put
    into an archive, and what is held at a smaller share is held at a larger one.
    Raises UsageError (share), DataError (a side would be empty).
    """
    check_holdout(share)
    if store.names is not None:
        wrapper = _wrapper(store)
        texts = [stem(name.removeprefix(wrapper)) for name in store.names]
    else:
        texts = [str(row) for row in (range(len(store)) if store.picks is None else store.picks.tolist())]
    digests = b"".join(
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=b"holdout name").digest()
        for text in texts
    )
    return under_share(store, np.frombuffer(digests, dtype="<u8"), share, "name")


def stem(name: str) -> str:
    """A relative name without its last suffix: "a.b/1.png" and "a.b/1" to "a.b/1"."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + (file.rpartition(".")[0] or file)


def _wrapper(store: Store) -> str:
    """What all names of an archive begin with, "folder/", for a part too; "" where there is no such, and of folders."""
    if store.summary["kind"] == "folder":
        return ""
    whole = store if store.picks is None else replace(store, picks=None, labels=None)
    folder = wrapping_folder(list(whole.names or ()))
    return f"{folder}/" if folder else ""


def _check_shapes(given: Store, wanted: Store, where: str, fit: str) -> None:
    """Raises DataError where no source has its target's height / width, and `fit` cuts or pads each side its own way.

    Then one place of a picture is another one of its partner's. Told from all sizes found, those of files without a
    partner among them: a few pairs of unequal shapes among others are not seen.
    """
    if fit == "stretch":
        return
    ours, theirs = _slopes(given), _slopes(wanted)
    if min(ours) <= ROUNDING * max(theirs) and min(theirs) <= ROUNDING * max(ours):
        return
    found = [[*store.summary["sizes"]] for store in (given, wanted)]  # the most frequent first
    shapes = [f"{sizes[0]}{' and others' if len(sizes) > 1 else ''}" for sizes in found]
    done = {"crop": "cut", "pad": "padded"}[fit]
    raise DataError(
        f"{where}: the sources are {shapes[0]} and the targets {shapes[1]} (height x width); {done} to one shape "
        f"(data.fit {fit}), partners would no longer lie on each other. Where both show the whole scene, give "
        "--data.fit stretch; else cut the files so that partners have one shape"
    )


def _slopes(store: Store) -> list[float]:
    """Height / width of each size that was found in its files."""
    found = []
    for text in store.summary["sizes"]:
        sides = [int(side) for side in text.split("x")]
        if len(sides) == 3:  # rows of an array, with the channels first or last
            sides = sides[1:] if sides[0] <= 4 < sides[2] else sides[:2]
        found.append(sides[0] / sides[1])
    return found


def _size(store: Store) -> str:
    return "x".join(str(side) for side in store.shape[1:])


@dataclass
class _Sides:
    """Opens one side after another, and keeps one list of what each rejected."""

    reading: Reading
    rejected: dict[str, list[Rejected]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_share(self.reading.max_rejected)

    def open(self, word: str, source: str | Path, half: str = "", **other: Any) -> Store:
        """`source`, called `word` in the list of rejects, read as asked but for `other`. Raises as `open_data`."""
        how = replace(self.reading, **other)
        options = make_options(
            size=how.size,
            fit=how.fit,
            channels=how.channels,
            include=how.include,
            labels=how.labels,
            largest=how.largest,
            half=half,
        )
        store = read_data(source, options, how.root, how.progress)
        # Halves are of one file, which is listed once where both were rejected for one reason.
        named = [replace(r, name=r.name if half else f"{word}: {r.name}") for r in store.rejected]
        self.rejected[word] = named
        every = tuple(dict.fromkeys(rejected for side in self.rejected.values() for rejected in side))
        if every and how.rejects_to is not None:
            write_rejected(how.rejects_to, every)
        judge(store, source, how.max_rejected, how.rejects_to)
        if store.is_points:
            raise DataError(f"{source}: its rows are points, and only pictures are translated; give images")
        return store


@dataclass
class _Files:
    """The files of one side by what they are matched by. Raises DataError where two are matched by the same."""

    word: str
    store: Store
    wrapper: str = ""
    """What their names begin with, and those they are matched by do not."""
    key: Callable[[str], str] = stem
    rows: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.names):
            rows.setdefault(self.key_of(name), []).append(row)
        doubles = [same for same in rows.values() if len(same) > 1]
        if doubles:
            shown = "".join(
                f"\n  {' and '.join(printable(self.names[row]) for row in same)}" for same in doubles[:SHOWN]
            )
            more = f"\n  … and {len(doubles) - SHOWN} more" if len(doubles) > SHOWN else ""
            raise DataError(
                f"{self.word}: files that have one name but for the suffix, so that it is not known which one is the "
                f"partner:{shown}{more}\nRename or remove one of each, or choose with --data.include."
            )
        self.rows = {key: same[0] for key, same in rows.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all rows."""
        return self.store.names or ()

    def key_of(self, name: str) -> str:
        """What the file of this name is matched by."""
        return self.key(name.removeprefix(self.wrapper))

    def ways(self) -> list[_Files]:
        """As they are, and without the folder that holds all there is in an archive."""
        wrapper = _wrapper(self.store)
        return [self, replace(self, wrapper=wrapper)] if wrapper else [self]

    def without(self, other: _Files) -> Iterator[str]:
        """A line for each file that has no partner among the `other` side's."""
        lost = {other.key_of(rejected.name): rejected for rejected in other.store.rejected}
        for key, row in self.rows.items():
            if key not in other.rows:
                why = lost.get(key)
                partner = f" (its partner {printable(why.name)} was rejected: {why.reason})" if why else ""
                yield f"{self.word}: {printable(self.names[row])}{partner}"


def _paired(given: _Files, wanted: _Files, where: str, progress: Progress | None) -> Pairs:
    """The rows that have partners, in the order of `wanted`. Raises DataError where there is no pair."""
    both = [key for key in wanted.rows if key in given.rows]
    if not both:
        shown = "".join(
            f"\n  {side.word}: {', '.join(printable(name) for name in side.names[:SHOWN])}"
            + (" …" if len(side.names) > SHOWN else "")
            for side in (given, wanted)
        )
        raise DataError(
            f"{where}: no file of one has a partner in the other.{shown}\nPartners have one name but for the last "
            "suffix, in subfolders of one name: a/1.png and a/1.tif. Rename the files, or give the folders from "
            "which on their names agree."
        )
    return Pairs(
        _rows(given.store, [given.rows[key] for key in both], progress),
        _rows(wanted.store, [wanted.rows[key] for key in both], progress),
        (*given.without(wanted), *wanted.without(given)),
    )


def _rows(store: Store, rows: list[int], progress: Progress | None) -> Store:
    """Some rows as they would be were they all there is: digest, low and high are what they make them, so that a file
    without a partner changes none. Of all rows as they come, the store itself, which is faster to take rows of.
    """
    if rows == list(range(len(store))):
        return store
    part = store.part(np.array(rows, dtype=np.int64))
    ticker = Ticker(progress, "hashing", len(part), patience=PATIENCE)
    digest = hashlib.sha256()
    low, high = math.inf, -math.inf
    for block in part.blocks():
        digest.update(block.reshape(-1).view(np.uint8).data)
        if part.dtype != np.uint8:
            low, high = min(low, float(block.min())), max(high, float(block.max()))
        ticker.advance(len(block))
    if part.labels is not None:
        digest.update(part.labels.tobytes())
    low, high = value_range(str(part.dtype), len(part.shape), low, high)
    return replace(part, digest=digest.hexdigest(), low=low, high=high)
