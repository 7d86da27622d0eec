"""Filling a store from image files: a look at every header, the decisions that follow, then decoding in parallel.

Memory stays flat: at most `WINDOW` batches of small files a worker, and `WINDOW_BYTES` of them together, are read but
not yet written.
"""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from zerosum.data.cache import writing
from zerosum.data.decode import Header, Unreadable, decode, probe, quiet_pillow
from zerosum.data.fitting import Array, Plan, auto_size
from zerosum.data.labels import Classes, find_classes
from zerosum.data.options import Options
from zerosum.data.shards import Shards
from zerosum.data.sources import ArchiveSource, FolderSource, Item, Rejected
from zerosum.data.store import Writer
from zerosum.data.ticker import Progress, Ticker
from zerosum.errors import DataError

BATCH = 32
BATCH_BYTES = 2**20
WINDOW = 3
WINDOW_BYTES = 64 * 2**20
Source = FolderSource | ArchiveSource | Shards
T = TypeVar("T")


@dataclass
class Survey:
    """What the headers say, added up."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    dtypes: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    grey: int = 0
    animated: int = 0
    narrowed: int = 0
    rejected: dict[int, Rejected] = field(default_factory=dict)
    """By position in the source."""
    names: list[str] = field(default_factory=list)
    """Of the good ones, if labels are asked for."""

    def add(self, item: Item, header: Header) -> None:
        """Counts one good header."""
        self.sizes[header.height, header.width] += 1
        self.modes[header.mode] += 1
        self.formats[header.format] += 1
        self.dtypes[header.dtype] += 1
        self.bytes += item.size
        self.grey += header.grey
        self.animated += header.animated
        self.narrowed += header.narrowed


def build_images(
    source: Source, options: Options, name: str, progress: Progress | None, writer: Writer
) -> dict[str, Any]:
    """Fills `writer` from `source`; returns the store's meta data. Raises DataError where nothing is usable."""
    with quiet_pillow():
        survey = _survey(source, options, progress)
        if not survey.sizes:
            raise DataError(nothing(source, list(survey.rejected.values())))
        plan, reason = _decide(survey, options)
        classes = _classes(survey, source, options)
        rejected = _decode_all(source, plan, survey, classes, progress, writer)
    if not writer.count:
        raise DataError(nothing(source, rejected))
    summary = {
        "kind": source.kind,
        "count": writer.count,
        "rejected": len(rejected),
        "ignored": dict(source.ignored - Counter({".csv": int(classes.from_file)})),
        "sizes": {f"{height}x{width}": n for (height, width), n in survey.sizes.most_common()},
        "modes": dict(survey.modes.most_common()),
        "formats": dict(survey.formats.most_common()),
        "bytes": survey.bytes,
        "size": f"{plan.height}x{plan.width}",
        "size_reason": reason,
        "fit": plan.fit,
        "notes": [*(source.notes if isinstance(source, Shards) else ()), *_notes(survey, options.half), *classes.notes],
    }
    return {
        "name": name,
        "classes": classes.names,
        "rejected": [[r.name, r.reason] for r in rejected],
        "summary": summary,
        "span": None,
        "labelled": options.labels,
    }


def nothing(source: Source, rejected: list[Rejected]) -> str:
    """The message for a source without a single usable image."""
    seen = ", ".join(f"{n} {suffix}" for suffix, n in source.ignored.most_common(5))
    lines = [f"{source.path}: no image that can be used."]
    lines += [f"  {r.name}: {r.reason}" for r in rejected[:5]]
    lines += [f"  … and {len(rejected) - 5} more"] if len(rejected) > 5 else []
    if seen:
        lines.append(f"  passed over, as their names are not those of images: {seen}")
    lines.append("PNG, JPEG, WebP, BMP, GIF and TIFF are read; check the folder and --data.include.")
    return "\n".join(lines)


def _survey(source: Source, options: Options, progress: Progress | None) -> Survey:
    survey = Survey()
    ticker = Ticker(progress, "reading headers", source.total)
    for position, item in enumerate(source.items()):  # in one thread: a header takes less than a hand-over
        ticker.advance()
        header = item if isinstance(item, Rejected) else _try(item, lambda data: probe(data, options.half))
        if isinstance(header, Rejected):
            survey.rejected[position] = header
        elif isinstance(item, Item):
            survey.add(item, header)
            if options.labels:
                survey.names.append(item.name)
    return survey


def _try(item: Item, use: Callable[[bytes], T]) -> T | Rejected:
    try:
        return use(item.read())
    except Unreadable as verdict:
        return Rejected(item.name, str(verdict))
    except OSError as error:
        return Rejected(item.name, f"cannot be read: {error.strerror or error}")


def _decide(survey: Survey, options: Options) -> tuple[Plan, str]:
    """The common size, channels and dtype, and the reason for the size."""
    if options.size is not None:
        (height, width), reason = options.size, "as asked"
    else:
        height, width, reason = auto_size(survey.sizes, options.largest)
    grey = survey.grey == sum(survey.sizes.values())
    channels = options.channels if options.channels is not None else 1 if grey else 3
    dtype = next(dtype for dtype in ("float32", "uint16", "uint8") if survey.dtypes[dtype])
    return Plan(height, width, channels, options.fit, dtype, options.half), reason


def _notes(survey: Survey, half: str) -> list[str]:
    notes = [f"the {half} half of each picture"] if half else []
    if survey.animated:
        verb = "animation" if survey.animated == 1 else "animations"
        notes.append(f"{survey.animated} {verb} or many-page files: the first frame is used")
    if survey.narrowed:
        notes.append(
            f"{survey.narrowed} images have 16 bits a colour, of which the upper 8 are used; "
            "grey files, .npy and .npz keep all 16"
        )
    if len(survey.dtypes) > 1:
        kinds = ", ".join(f"{n} {dtype}" for dtype, n in survey.dtypes.most_common())
        notes.append(f"depths differ ({kinds}): all are brought to the deepest, full range to full range")
    return notes


def _classes(survey: Survey, source: Source, options: Options) -> Classes:
    if not options.labels:
        return Classes([], lambda _: 0, "")
    if isinstance(source, Shards):
        return source.known_classes()
    rejected = [survey.rejected[position].name for position in sorted(survey.rejected)]
    return find_classes(source, options.include, survey.names, rejected)


def _decode_all(
    source: Source,
    plan: Plan,
    survey: Survey,
    classes: Classes,
    progress: Progress | None,
    writer: Writer,
) -> list[Rejected]:
    """Appends every good image to `writer`, in the source's order; returns all rejected, in that order."""

    def one(item: Item) -> Array | Rejected:
        if classes.number_of(item.name) is None:
            return Rejected(item.name, classes.lack)
        return _try(item, lambda data: decode(data, plan))

    rejected = dict(survey.rejected)
    total = sum(survey.sizes.values())
    with writing(writer.folder.parent):
        writer.expect(total * math.prod(plan.shape) * np.dtype(plan.dtype).itemsize)
    ticker = Ticker(progress, "decoding", total)
    for position, item, pixels in _in_order(source, one, frozenset(survey.rejected)):
        if isinstance(pixels, Rejected):
            rejected[position] = pixels
            continue
        with writing(writer.folder.parent):
            writer.append(pixels[None])
        writer.labels.append(classes.number_of(item.name) or 0)
        writer.names.append(item.name)
        ticker.advance()
    return [rejected[position] for position in sorted(rejected)]


def _in_order(
    source: Source, work: Callable[[Item], T | Rejected], skip: frozenset[int]
) -> Iterator[tuple[int, Item | Rejected, T | Rejected]]:
    """(position, item, result of `work`) in the source's order, worked on in threads: Pillow releases the GIL."""
    workers = min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    waiting: deque[tuple[Batch, Future[list[T | Rejected]]]] = deque()
    held = 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="zerosum-decode")
    try:
        for batch in _batches(source, skip):
            while waiting and (len(waiting) >= WINDOW * workers or held + batch.bytes > WINDOW_BYTES):
                first, future = waiting.popleft()
                yield from zip(first.positions, first.items, future.result(), strict=True)
                held -= first.bytes
            waiting.append((batch, pool.submit(batch.each, work)))
            held += batch.bytes
        while waiting:
            first, future = waiting.popleft()
            yield from zip(first.positions, first.items, future.result(), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass
class Batch:
    """Neighbours in the source that one thread works on in one go: small files are not worth a hand-over each."""

    positions: list[int] = field(default_factory=list)
    items: list[Item | Rejected] = field(default_factory=list)
    bytes: int = 0

    def each(self, work: Callable[[Item], T | Rejected]) -> list[T | Rejected]:
        """`work` on each item; what is rejected stays so."""
        return [item if isinstance(item, Rejected) else work(item) for item in self.items]


def _batches(source: Source, skip: frozenset[int]) -> Iterator[Batch]:
    """Up to BATCH items or BATCH_BYTES together; a larger file goes alone."""
    batch = Batch()
    for position, item in enumerate(source.items()):
        if position in skip:
            continue
        size = item.size if isinstance(item, Item) else 0
        if batch.items and (len(batch.items) >= BATCH or batch.bytes + size > BATCH_BYTES):
            yield batch
            batch = Batch()
        batch.positions.append(position)
        batch.items.append(item)
        batch.bytes += size
    if batch.items:
        yield batch
