"""A store in words, for `zerosum data DATA`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zerosum.data.opening import line
from zerosum.data.store import Store

SHOWN = 20


def describe(store: Store) -> str:
    """Counts, sizes, modes, classes, range of values, notes and the first rejects with their reasons."""
    summary = store.summary
    unit = "points" if store.is_points else "images"
    rows = [("data", f"{store.name} ({summary['kind']}, {summary['bytes'] / 1e6:,.1f} MB as found)")]
    whole = f" of {len(store.values):,}" if store.picks is not None else ""
    lost = f", {len(store.rejected):,} rejected" if store.rejected else ""
    rows.append((unit, f"{len(store):,}{whole}{lost}"))
    if store.is_points:
        mean, deviation = store.moments()
        rows.append(("dimensions", str(store.shape[0])))
        rows.append(("mean", " ".join(f"{value:.3f}" for value in mean[:SHOWN])))
        rows.append(("deviation", " ".join(f"{value:.3f}" for value in deviation[:SHOWN])))
    else:
        channels, height, width = store.shape
        rows += [(word, _counts(summary[word])) for word in ("sizes", "modes", "formats") if summary[word]]
        rows.append(("stored as", f"{height}x{width}, {channels} of {store.dtype} ({summary['size_reason']})"))
        rows.append(("range", f"{store.low:g} to {store.high:g} become -1 to 1"))
    if store.labels is not None:
        numbers = np.bincount(store.labels, minlength=len(store.classes)).tolist()
        rows.append(("classes", _counts(dict(zip(store.classes, numbers, strict=True)))))
    if summary["ignored"]:
        rows.append(("passed over", _counts(summary["ignored"])))
    rows += [("note", note) for note in summary["notes"]]
    lines = [f"{word:12}{text}" for word, text in rows]
    if store.rejected:
        lines.append(f"rejected ({len(store.rejected):,}):")
        lines += [f"  {line(rejected)}" for rejected in store.rejected[:SHOWN]]
        if len(store.rejected) > SHOWN:
            lines.append(f"  … and {len(store.rejected) - SHOWN:,} more")
    return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    """'28x28 (5,000), 32x32 (1)', the first SHOWN."""
    shown = [f"{name} ({count:,})" for name, count in list(counts.items())[:SHOWN]]
    return ", ".join(shown) + (f" … and {len(counts) - SHOWN} others" if len(counts) > SHOWN else "")
