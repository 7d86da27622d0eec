"""Filling a store from arrays: which axis is which, which dtype holds the values, and the common size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zerosum.data.arrays import Arrays, Rows
from zerosum.data.cache import writing
from zerosum.data.fitting import Array, Plan, auto_size, fit_planes
from zerosum.data.options import Options
from zerosum.data.store import Writer
from zerosum.data.ticker import Progress, Ticker
from zerosum.errors import DataError, UsageError


def build_arrays(found: Arrays, options: Options, progress: Progress | None, writer: Writer) -> dict[str, Any]:
    """Fills `writer` from `found`; returns the store's meta data. Raises DataError.

    Arrays keep the channels they have unless `options.channels` asks for others.
    """
    rows = found.rows
    if math.prod(rows.shape) == 0:
        raise DataError(f"{rows.where}: empty: its shape is {rows.shape}")
    labels, classes = _labels(found) if options.labels else (None, ())
    plan, reason, axes = _decide(rows, options)
    row = math.prod(plan.shape if plan else rows.shape[1:]) * np.dtype(plan.dtype if plan else np.float32).itemsize
    with writing(writer.folder.parent):
        writer.expect(rows.shape[0] * row)
    rejected = []
    ticker = Ticker(progress, "reading", rows.shape[0])
    start = 0
    for block in rows.blocks():
        good = np.isfinite(block.reshape(len(block), -1)).all(axis=1)
        rejected += [[f"row {start + n}", "holds NaN or infinity"] for n in np.flatnonzero(~good)]
        kept = _prepare(block[good], axes, plan)
        if len(kept):
            with writing(writer.folder.parent):
                writer.append(kept)
        if labels is not None:
            writer.labels += labels[start : start + len(block)][good].tolist()
        start += len(block)
        ticker.advance(len(block))
    if not writer.count:
        raise DataError(f"{rows.where}: every row holds NaN or infinity")
    summary = {
        "kind": found.kind,
        "count": writer.count,
        "rejected": len(rejected),
        "ignored": {},
        "sizes": {"x".join(map(str, rows.shape[1:])): rows.shape[0]},
        "modes": {str(rows.dtype): rows.shape[0]},
        "formats": {found.kind: rows.shape[0]},
        "bytes": math.prod(rows.shape) * rows.dtype.itemsize,
        "size": f"{plan.height}x{plan.width}" if plan else "",
        "size_reason": reason,
        "fit": options.fit,
        "notes": [],
    }
    return {
        "name": found.name,
        "classes": list(classes),
        "rejected": rejected,
        "summary": summary,
        "span": found.span if plan and plan.dtype == "uint8" else None,
        "labelled": labels is not None,
    }


def _decide(rows: Rows, options: Options) -> tuple[Plan | None, str, str]:
    """The plan (None: points), the reason for its size, and the order of the axes: NHW, NHWC, NCHW or ND."""
    shape = rows.shape
    if len(shape) == 2 and rows.dtype.kind == "f":
        if options.size is not None or options.channels is not None:
            raise UsageError(
                f"{rows.where}: points ({shape[1]} numbers each) have no size or channels; "
                "leave them out, or give images"
            )
        return None, "points", "ND"
    axes = _axes(rows.where, shape)
    height, width = {"NHW": shape[1:3], "NHWC": shape[1:3], "NCHW": shape[2:4]}[axes]
    native = {"NHW": 1, "NHWC": shape[-1], "NCHW": shape[1]}[axes]
    if options.size is not None:
        size, reason = options.size, "as asked"
    else:
        *pair, reason = auto_size({(height, width): shape[0]}, options.largest)
        size = (pair[0], pair[1])
    channels = options.channels if options.channels is not None else native
    return Plan(*size, channels, options.fit, _dtype(rows)), reason, axes


def _axes(where: str, shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return "NHW"
    if len(shape) == 4:
        first, last = 1 <= shape[1] <= 4, 1 <= shape[3] <= 4
        if last and not first:
            return "NHWC"
        if first and not last:
            return "NCHW"
        if first and last:
            raise DataError(
                f"{where}: {shape} can be (N, H, W, C) or (N, C, H, W); save larger images, as (N, H, W, C)"
            )
    raise DataError(
        f"{where}: {shape} is none of (N, H, W), (N, H, W, C), (N, C, H, W) with C from 1 to 4, "
        "or (N, D) float points; reshape it before saving"
    )


def _dtype(rows: Rows) -> str:
    """The stored dtype that holds all values; for wide integers that takes a look at all of them."""
    if rows.dtype.kind == "f":
        return "float32"
    if rows.dtype.kind == "b" or rows.dtype == np.uint8:
        return "uint8"
    if rows.dtype.kind == "u" and rows.dtype.itemsize == 2:
        return "uint16"
    low = min(int(block.min()) for block in rows.blocks())
    high = max(int(block.max()) for block in rows.blocks())
    if low < 0 or high > 65535:
        raise DataError(f"{rows.where}: integers from {low} to {high}; images hold 0 to 255, 0 to 65535, or floats")
    return "uint8" if high <= 255 else "uint16"


def _prepare(block: Array, axes: str, plan: Plan | None) -> Array:
    """A block of rows as they are stored."""
    if plan is None:
        return block.astype(np.float32)
    if axes == "NHW":
        block = block[..., None]
    elif axes == "NCHW":
        block = block.transpose(0, 2, 3, 1)
    scale = 255 if block.dtype.kind == "b" else 1
    block = block.astype(plan.dtype) * np.array(scale, dtype=plan.dtype)
    if block.shape[1:] == plan.shape:
        return block
    fitted = [fit_planes(image, plan) for image in block]
    return np.stack(fitted) if fitted else block[:0]


def _labels(found: Arrays) -> tuple[Array, tuple[str, ...]]:
    """int64 (N,) numbers from 0 and the class names; labels that are no such numbers are numbered in their order."""
    if found.labels is None:
        raise DataError(f"{found.name}: labels are asked for, but it has none; do without --data.labels")
    labels = found.labels.whole().reshape(-1)
    if len(labels) != found.rows.shape[0]:
        raise DataError(f"{found.labels.where}: {len(labels)} labels for {found.rows.shape[0]} rows")
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.rint(labels))).all():
        raise DataError(f"{found.labels.where}: labels are not whole numbers")
    labels = labels.astype(np.int64)
    if found.classes:
        if labels.min() < 0 or labels.max() >= len(found.classes):
            raise DataError(f"{found.labels.where}: labels outside 0 to {len(found.classes) - 1}")
        return labels, found.classes
    values, numbers = np.unique(labels, return_inverse=True)
    return numbers.astype(np.int64), tuple(str(value) for value in values)
