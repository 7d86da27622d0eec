"""Progress of what takes its time: what is done, of how much, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from zerosum.data.ticker import Ticker

PATIENCE = 2.0  # seconds before progress is shown

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it is done, and how much there is."""


def ticker(progress: Progress | None, what: str, total: int, done: int = 0) -> Ticker:
    """Counts to `total`, and passes it on with the time left from two seconds on; `done`: what was done before."""
    begun = time.monotonic()

    def timed(what: str, now: int, total: int) -> None:
        left = timedelta(seconds=round((time.monotonic() - begun) * (total - now) / max(now - done, 1)))
        if progress is not None:
            progress(f"{what}, {left} left", now, total)

    made = Ticker(None if progress is None else timed, what, total, PATIENCE)
    made.done = done
    return made
