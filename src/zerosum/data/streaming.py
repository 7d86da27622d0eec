"""A store of shards whose pictures are decoded each time they are asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from zerosum.data.arrays import Arrays
from zerosum.data.fitting import Plan
from zerosum.data.images import Source
from zerosum.data.lazy import Lazy
from zerosum.data.options import Options
from zerosum.data.shards import Shards
from zerosum.data.sources import ArchiveSource, Rejected
from zerosum.data.store import Store
from zerosum.data.tars import open_tars
from zerosum.errors import RunError, UsageError


def open_streamed(
    found: Arrays | Source,
    options: Options,
    max_rejected: float,
    rejects_to: Path | None,
    note: Callable[[str], None] | None,
) -> Store:
    """The store of shards, of which nothing is decoded yet. Raises UsageError for other data, or without a size."""
    if isinstance(found, ArchiveSource) and found.kind == "tar":
        found = open_tars(found.path, [str(found.path)], options.include, options.labels, None)
    if not isinstance(found, Shards):
        raise UsageError(
            "data.stream is for shards: tars, Parquet files or hf://USER/NAME. Other data are decoded once: "
            "leave it out"
        )
    if options.size is None:
        raise UsageError("data.stream needs data.size, as 64: to find one, all pictures would have to be read")
    if options.half:
        raise UsageError("data.stream is for whole pictures: leave it out for side-by-side ones")
    plan = Plan(*options.size, options.channels or 3, options.fit, "uint8")
    values = Lazy(found, plan, int(max_rejected * len(found)), _teller(rejects_to, note))
    about = json.dumps([found.digest(), asdict(plan), found.classes], sort_keys=True)
    digest = hashlib.sha256(about.encode()).hexdigest()
    store = Store(
        name=found.path.name,
        key=digest[:32],
        digest=digest,
        values=values,
        labels=found.labels,
        classes=tuple(found.classes),
        low=0.0,
        high=255.0,
        rejected=(),
        summary={
            "kind": f"{found.kind}, decoded when shown",
            "count": len(found),
            "rejected": 0,
            "ignored": {},
            "sizes": {},
            "modes": {},
            "formats": {},
            "bytes": found.nbytes(),
            "size": f"{plan.height}x{plan.width}",
            "size_reason": "as asked",
            "fit": plan.fit,
            "notes": list(found.notes),
        },
    )
    if store.labels is not None and (store.labels < 0).any():
        store.summary["notes"].append(f"{int((store.labels < 0).sum()):,} without a label are left out")
        store = store.part(np.flatnonzero(store.labels >= 0))
    return store


def _teller(rejects_to: Path | None, note: Callable[[str], None] | None) -> Callable[[Rejected], None]:
    """Lists what cannot be read as it is found, and tells of the first."""
    told: list[str] = []

    def tell(fault: Rejected) -> None:
        if rejects_to is not None:
            try:
                with rejects_to.open("a", encoding="utf-8") as file:
                    file.write(f"{fault.name}\t{fault.reason}\n")
            except OSError as error:
                raise RunError(f"{rejects_to}: cannot be written: {error.strerror}") from error
        if not told and note is not None:
            where = "" if rejects_to is None else f"; all that are found are listed in {rejects_to}"
            note(f"{fault.name}: {fault.reason}: the next picture is shown in its place{where}")
        told.append(fault.name)

    return tell
