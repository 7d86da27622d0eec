"""How far long work on data has come, told to whoever wants to know."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much; 0: not known


class Ticker:
    """Passes progress on, five times a second at most, and the last count always.

    patience: seconds to say nothing at first; what is done by then passes in silence.
    """

    def __init__(self, progress: Progress | None, what: str, total: int, patience: float = 0.0) -> None:
        self.progress, self.what, self.total, self.done = progress, what, total, 0
        self._last = 0.0
        self._first = time.monotonic() + patience

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count
        now = time.monotonic()
        if self.progress is None or now < self._first:
            return
        if now - self._last > 0.2 or self.done == self.total:
            self._last = now
            self.progress(self.what, self.done, self.total)
