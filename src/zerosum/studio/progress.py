"""Progress of the library, shown on the page."""

from __future__ import annotations

from typing import Any

from zerosum.training.display import Silent


class Reported(Silent):
    """Passes on how much is done; `progress` is Gradio's."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress

    def loading(self, what: str, done: int, total: int) -> None:
        """How much of what."""
        self._progress((done, total), desc=what)
