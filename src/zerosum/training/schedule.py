"""Learning rates over a run, as a factor on the rate a run begins with."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """1 until `decay_from` (a share of the run), then to `decay_to` at `decay_until`: "linear" or by half a "cosine".

    >>> Schedule("linear", 0.5, 0.05).at(0.75)
    0.525
    """

    kind: str = "constant"
    decay_from: float = 0.0
    decay_to: float = 0.0
    decay_until: float = 1.0

    def at(self, progress: float) -> float:
        """The factor at `progress`, the share of the run that is done, from 0 to 1."""
        return 1 + self.gone(progress) * (self.decay_to - 1)

    def gone(self, progress: float) -> float:
        """How much of the way is gone, 0 to 1."""
        if self.kind == "constant" or progress <= self.decay_from:
            return 0.0
        gone = min((progress - self.decay_from) / (self.decay_until - self.decay_from), 1.0)
        return (1 - math.cos(math.pi * gone)) / 2 if self.kind == "cosine" else gone
