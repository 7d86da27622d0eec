"""Mean and spread over the members of an ensemble, of every figure that their records hold.

The deviation is the sample's, √(Σ (x − mean)² / (n − 1)): an estimate for all seeds from those that were trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zerosum.report.records import Record

FARTHEST = 1e30  # what a member sends farther is put here: squares overflow beyond
MOST_POINTS = 400  # of a curve; more could not be seen


@dataclass(frozen=True)
class Spread:
    """Over the members that have a finite value, `count` of them; NaN where there is none, or one deviates from nil.

    Each is a float, or an array (n,) over the points of a curve.
    """

    mean: np.ndarray
    deviation: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class Band:
    """A figure against real images shown (n,)."""

    images: np.ndarray
    spread: Spread


Figures = dict[str, dict[str, float]]


def figures_of(record: Record) -> Figures:
    """The figures of one report, by kind and name."""
    figures = {
        "losses": record.losses,
        "parts": record.parts,
        "outputs": record.outputs,
        "gradients": record.gradients,
        "figures": record.figures,
        "pace": {"images_per_second": record.images_per_second},
    }
    if record.evaluation:
        figures["evaluation"] = record.evaluation
    if record.points is not None:
        moments = {f"mean {number}": value for number, value in enumerate(record.points.mean, start=1)}
        for i, row in enumerate(record.points.covariance, start=1):
            moments |= {f"covariance {i} {j}": value for j, value in enumerate(row, start=1) if j >= i}
        figures["points"] = moments
    return figures


def spread_of(values: np.ndarray) -> Spread:
    """Over the first axis of values (members, …), NaN for a member that has none."""
    values = np.clip(values, -FARTHEST, FARTHEST)
    kept = np.isfinite(values)
    count = kept.sum(axis=0)
    filled = np.where(kept, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / count
        squares = np.where(kept, (values - mean) ** 2, 0.0).sum(axis=0)
        deviation = np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan)
    none = count == 0
    lowest = np.where(none, np.nan, np.where(kept, values, np.inf).min(axis=0))
    highest = np.where(none, np.nan, np.where(kept, values, -np.inf).max(axis=0))
    return Spread(mean, deviation, lowest, highest, count)


def last_figures(members: Sequence[Sequence[Record]]) -> dict[str, dict[str, Spread]]:
    """The spread of each figure as each member's newest record that names it has it, by kind and name.

    A lazy penalty is not in every record.
    """
    ends: list[Figures] = []
    for records in members:
        newest: Figures = {}
        for record in records:
            for kind, named in figures_of(record).items():
                newest.setdefault(kind, {}).update(named)
        ends.append(newest)
    return {
        kind: {
            name: spread_of(np.array([end.get(kind, {}).get(name, math.nan) for end in ends]))
            for name in dict.fromkeys(name for end in ends for name in end.get(kind, {}))
        }
        for kind in dict.fromkeys(kind for end in ends for kind in end)
    }


def bands(members: Sequence[Sequence[Record]]) -> dict[str, dict[str, Band]]:
    """The spread of each figure over the run, by kind and name.

    Where members reported at different moments (by the clock), each is taken on the line between two of its reports.
    Curves begin where every member has reported; at a moment that a member has not come to, it does not count.
    """
    curves = [[(record.images, figures_of(record)) for record in records] for records in members if records]
    moments = np.unique([images for curve in curves for images, _ in curve])
    moments = moments[moments >= max((curve[0][0] for curve in curves), default=0)]
    if len(moments) > MOST_POINTS:
        moments = moments[np.unique(np.linspace(0, len(moments) - 1, MOST_POINTS).round().astype(int))]
    names = dict.fromkeys(
        (kind, name) for curve in curves for _, figures in curve for kind in figures for name in figures[kind]
    )
    found: dict[str, dict[str, Band]] = {}
    for kind, name in names:
        values = np.array([_at(moments, curve, kind, name) for curve in curves])
        found.setdefault(kind, {})[name] = Band(moments, spread_of(values))
    return found


def _at(moments: np.ndarray, curve: list[tuple[int, Figures]], kind: str, name: str) -> np.ndarray:
    """One member's values at `moments` (n,): on the lines between its reports, NaN outside of them."""
    points = [(images, figures.get(kind, {}).get(name, math.nan)) for images, figures in curve]
    finite = [(images, value) for images, value in points if math.isfinite(value)]
    if not finite:
        return np.full(len(moments), np.nan)
    images, values = zip(*finite, strict=True)
    line: np.ndarray = np.interp(moments, images, np.clip(values, -FARTHEST, FARTHEST), left=np.nan, right=np.nan)
    return line
