"""What changes as a run goes on: a number that falls (or rises) by the same factor in equal parts of the run."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Fading:
    """`start · (end / start)^(progress / until)`, and `end` from `until` on; progress is the share of the run done.

    shape: "factors", as said, or "cosine", along half of one: `end + (start - end) (1 + cos(π progress / until)) / 2`.
    """

    start: float
    end: float
    until: float = 1.0
    shape: str = "factors"

    def at(self, progress: float) -> float:
        """The value at `progress` in [0, 1]. To or from zero, which no factor reaches, it moves linearly."""
        share = progress / self.until
        if share >= 1:
            return self.end
        if self.shape == "cosine":
            return self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2
        if self.end == 0 or self.start == 0:
            return self.start + share * (self.end - self.start)
        return float(self.start * (self.end / self.start) ** share)

    @property
    def constant(self) -> bool:
        """Whether it is the same from the first image to the last."""
        return self.start == self.end
