"""Figures over the members of an ensemble: the error bars that one training has not.

The deviation is the sample's, √(Σ (x − mean)² / (n − 1)): an estimate for all seeds from those that were trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Spread:
    """One figure over the members, in their order; None: a member has none, or there is no second one to deviate."""

    values: tuple[float | None, ...]
    mean: float
    deviation: float | None


def over_members(members: Mapping[str, Mapping[str, float]]) -> dict[str, Spread]:
    """The spread of each figure over members, by name, whose figures `members` has."""
    found = {}
    for name in dict.fromkeys(name for figures in members.values() for name in figures):
        values = tuple(figures.get(name) for figures in members.values())
        known = [value for value in values if value is not None]
        found[name] = Spread(values, fmean(known), stdev(known) if len(known) > 1 else None)
    return found


def of_members(members: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Lines for people: each figure's mean and deviation, then a line for each member."""
    spreads = over_members(members)
    width = max(map(len, spreads))
    each = "member" if len(members) == 1 else "members, mean ± standard deviation"
    lines = [f"over {len(members)} {each}:"]
    for name, spread in spreads.items():
        around = "" if spread.deviation is None else f" ± {spread.deviation:.2g}"
        lines.append(f"{name:<{width}}  {spread.mean:.5g}{around}")
    for member, figures in members.items():
        lines.append(f"{member}: " + ", ".join(f"{name} {value:.5g}" for name, value in figures.items()))
    return lines
