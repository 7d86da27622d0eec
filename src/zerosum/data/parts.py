"""Parts of a store that its contents choose: what is held out, what is taken for labelled.

Which rows is decided by a hash of each row's own bytes, so that it is the same wherever, and in whatever order and
company, a picture was read: no picture changes sides when files are added, renamed or shuffled.
"""

from __future__ import annotations

import hashlib

import numpy as np

from zerosum.data.fitting import Array
from zerosum.data.lazy import Lazy
from zerosum.data.opening import line
from zerosum.data.store import Store
from zerosum.data.ticker import Progress, Ticker
from zerosum.errors import DataError, UsageError

PATIENCE = 2.0  # seconds of hashing before progress is told
MOST_CLASSES = 10_000
SHOWN = 5


def holdout(store: Store, share: float, progress: Progress | None = None) -> tuple[Store, Store]:
    """(kept, held): a part to train on and a part of about `share` of the rows that training never sees.

    share: between 0 and 1. A row is held if its hash, as a number from 0 to 1, is under it: copies of one picture lie
    on one side, and what is held at a smaller share is held at a larger one, and of `kept` the same share is nothing.
    Labels play no role.
    progress: called with ("hashing", done, total) where it takes over two seconds.
    Raises UsageError (share), DataError (a side would be empty).
    """
    check_holdout(share)
    by = "place" if store.streamed else "content, copies together"
    kept, held = under_share(store, content_hashes(store, b"holdout", progress), share, by)
    return store.part(kept), store.part(held)


def check_holdout(share: float) -> None:
    """Raises UsageError for what is no share."""
    if not 0 < share < 1:
        raise UsageError(f"data.holdout: {share} is not a share between 0 and 1; 0.1 holds out a tenth")


def under_share(store: Store, hashes: Array, share: float, by: str) -> tuple[Array, Array]:
    """(kept, held): int64 numbers of the rows whose hash, uint64 (N,) as a number from 0 to 1, is not and is under it.

    by: what was hashed, for the message. Raises DataError (a side would be empty).
    """
    held = hashes < np.uint64(int(share * 2**64))
    if held.all() or not held.any():
        what = "none to train on" if held.all() else "none to hold out"
        raise DataError(
            f"{store.name}: data.holdout {share:g} of {len(store):,} rows leaves {what} (each falls to its side "
            f"by its {by}); choose another share, or give more data"
        )
    return np.flatnonzero(~held), np.flatnonzero(held)


def labelled(store: Store, count: int, progress: Progress | None = None) -> Store:
    """The part of `count` rows, equally many of each class (the first ones get one more where it does not divide).

    Of each class those with the lowest hashes, in the store's order; fewer are a part of more.
    progress: as for `holdout`.
    Raises UsageError (count less than one a class), DataError (no labels; a class has too few rows).
    """
    if store.labels is None:
        raise DataError(f"{store.name}: data.labelled needs labels, and it was read without; add --data.labels")
    classes = len(store.classes)
    if count < classes:
        raise UsageError(f"data.labelled: {count} is less than one for each of {classes} classes; ask for more")
    least, more = divmod(count, classes)
    hashes = content_hashes(store, b"labelled", progress)
    chosen = []
    for number, sized in enumerate(_sizes(store)):
        wanted = least + (number < more)
        if sized < wanted:
            raise DataError(
                f"{store.name}: data.labelled {count} takes {wanted} of class {store.classes[number]!r}, which has "
                f"{sized}; all classes have enough for {classes * min(_sizes(store))}"
            )
        rows = np.flatnonzero(store.labels == number)
        chosen.append(rows[np.argsort(hashes[rows], kind="stable")[:wanted]])
    return store.part(np.sort(np.concatenate(chosen)))


def refuse_empty_classes(store: Store) -> None:
    """Raises DataError that names the classes without a single row, or where there are too many classes.

    Nothing where the store has no labels.
    """
    if len(store.classes) > MOST_CLASSES:
        raise DataError(
            f"{store.name}: {len(store.classes):,} classes, and {MOST_CLASSES:,} are taken at most: are the labels "
            "names of single images? Do without --data.labels, or give labels that several images share."
        )
    names = [name for name, count in zip(store.classes, _sizes(store), strict=True) if not count]
    if not names:
        return
    shown = ", ".join(repr(name) for name in names[:SHOWN])
    shown += f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    have = "class has" if len(names) == 1 else "classes have"
    unit = "points" if store.is_points else "images"
    others = len(store.classes) - len(names)
    rejected = ""
    if store.rejected:
        rejected = f"\n{len(store.rejected):,} were rejected, the first: {line(store.rejected[0])}"
    raise DataError(
        f"{store.name}: {len(names)} {have} no {unit}: {shown} (the other {others} have some); "
        "add some, or take the class out: its folder, its lines in labels.csv, or its number from the labels"
        f"{rejected}"
    )


def content_hashes(store: Store, purpose: bytes, progress: Progress | None = None) -> Array:
    """uint64 (N,): the first 8 bytes of each row's BLAKE2b, personalised by `purpose` (at most 16 bytes).

    Other purposes give independent numbers: what is labelled is not what was held out. Rows that are decoded each time
    would all have to be read for it: of those the hash is of what they are called.
    """
    if isinstance(store.values, Lazy):
        named = store.values.shards.hashes()
        return _hashed((named if store.picks is None else named[store.picks])[:, None], purpose)
    ticker = Ticker(progress, "hashing", len(store), patience=PATIENCE)
    hashes = np.empty(len(store), dtype=np.uint64)
    done = 0
    for block in store.blocks():
        hashes[done : done + len(block)] = _hashed(block, purpose)
        done += len(block)
        ticker.advance(len(block))
    return hashes


def _hashed(rows: Array, purpose: bytes) -> Array:
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8, person=purpose).digest() for row in flat)
    return np.frombuffer(digests, dtype="<u8")


def _sizes(store: Store) -> list[int]:
    """How many rows each class has; [] without labels."""
    if store.labels is None:
        return []
    counts: list[int] = np.bincount(store.labels, minlength=len(store.classes)).tolist()
    return counts
