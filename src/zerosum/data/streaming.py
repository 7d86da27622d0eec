"""A store of shards whose pictures are decoded each time they are asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict

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
from zerosum.errors import UsageError


def open_streamed(
    found: Arrays | Source,
    options: Options,
    max_rejected: float,
    tell: Callable[[Rejected], None],
) -> Store:
    """The store of shards, of which nothing is decoded yet; `tell` hears of each picture that cannot be.

    Raises UsageError for other data, or without a size.
    """
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
    values = Lazy(found, plan, int(max_rejected * len(found)), tell)
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
