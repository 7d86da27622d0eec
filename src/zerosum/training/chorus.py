"""Several members that train at once, to the loop one watcher: each reports and saves as it would alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from zerosum.diagnosis import HEALTHY
from zerosum.training.checkpoint import State
from zerosum.training.display import Display
from zerosum.training.plan import Plan
from zerosum.training.reporter import Reporter
from zerosum.training.stacked import Stacked


class Chorus:
    """The watcher of a stack.

    A member's seconds are its share of the time of all; its images a second, those in its share.

    Args:
        stack: what is watched.
        reporters: the members', in the same order.
        names: the members', for people.
        display: where all of them are shown as one.
    """

    def __init__(self, stack: Stacked, reporters: Sequence[Reporter], names: Sequence[str], display: Display) -> None:
        self.stack, self.reporters, self.names, self.display = stack, list(reporters), list(names), display
        self._seconds = stack.state.seconds
        self._own_seconds = [state.seconds for state in stack.members]

    def begin(self, plan: Plan) -> None:
        """Before the first step."""
        for state, reporter in zip(self.stack.members, self.reporters, strict=True):
            reporter.begin(state)
        self.display.begin(self.stack.state.images, self.stack.state.seconds, plan)

    def tick(self, state: State, progress: float) -> None:
        """Move the progress bar."""
        self.display.tick(state.images, state.seconds, progress)

    def report(self, state: State, means: dict[str, float], rate: float) -> None:
        """Each member's line of records and samples, and the mean of all lines for the display."""
        self.share(state)
        count = len(self.reporters)
        for place, (own, reporter) in enumerate(zip(self.stack.members, self.reporters, strict=True)):
            mark = f"{place}/"
            mine = {name.removeprefix(mark): value for name, value in means.items() if name.startswith(mark)}
            for player, stacked in zip(own.players, state.players, strict=True):
                player.progress = stacked.progress
            reporter.report(own, mine, rate * count)
        self.display.report(self._mean([reporter.history[-1] for reporter in self.reporters]))

    def checkpoint(self, state: State) -> None:
        """Save each member, and release its generator."""
        self.share(state)
        for own, reporter in zip(self.stack.members, self.reporters, strict=True):
            reporter.checkpoint(own)

    def share(self, state: State) -> None:
        """Give each member its count of images, and its share of the time."""
        share = (state.seconds - self._seconds) / len(self.stack.members)
        for own, before in zip(self.stack.members, self._own_seconds, strict=True):
            own.images, own.seconds = state.images, before + share

    def _mean(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        """The members' last records as one, of mean losses and outputs; who is ill is named."""
        ill = [
            f"{name}: {record['health']}"
            for name, record in zip(self.names, records, strict=True)
            if record["health"] != HEALTHY
        ]
        means: dict[str, Any] = {
            kind: {name: _mean_of([record[kind].get(name) for record in records]) for name in records[0][kind]}
            for kind in ("losses", "outputs")
        }
        return records[0] | means | {"health": "; ".join(ill[:3]) or HEALTHY}


def _mean_of(values: list[float | None]) -> float | None:
    """None where any is no number."""
    if any(value is None or not math.isfinite(value) for value in values):
        return None
    return sum(value for value in values if value is not None) / len(values)
