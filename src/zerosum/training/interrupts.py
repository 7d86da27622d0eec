"""Signals that ask for an end: remembered, so that the loop can save first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Interrupts:
    """Within it, SIGINT and SIGTERM are remembered in `number` instead of ending the process; a second one ends it."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __enter__(self) -> Self:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number


class SharedInterrupts(Interrupts):
    """Those of one of several processes: heard here, and in `number` once all have agreed to stop (`World.agree`).

    A further one changes nothing: the launcher, which sent the first, ends by itself what takes too long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard: int | None = None

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.heard = self.heard or number
