"""What all pages share of the runs: the list, each one's records by cursor, and words about them."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from zerosum.errors import RunError
from zerosum.report.drawing import count_text, time_text
from zerosum.studio.cursor import Cursor, Line
from zerosum.studio.places import Place, find
from zerosum.studio.states import State, best_of, state_of, time_left

FRESH = 1.0  # seconds: a page asks for many pictures at once


@dataclass(frozen=True)
class View:
    """One run as it stands: its place, its state, its reports, and the best figure in words."""

    place: Place
    state: State
    lines: tuple[Line, ...]
    best: str

    @property
    def health(self) -> str:
        """The last report's words."""
        return self.lines[-1].health if self.lines else ""

    @property
    def mark(self) -> tuple[object, ...]:
        """Another one whenever anything of it is another."""
        last = self.lines[-1].images if self.lines else 0
        return (self.place.key, self.state, len(self.lines), last)

    def facts(self) -> list[tuple[str, str]]:
        """Name and words of what is known: health, progress, time left, speed."""
        state, found = self.state, []
        if self.health:
            found.append(("health", self.health))
        if state.images:
            found.append(("images shown", count_text(state.images)))
        if state.seconds:
            found.append(("trained for", time_text(state.seconds)))
        left = time_left(self.place, self.lines, state) if state.word == "running" else None
        if left is not None:
            found.append(("time left", f"about {time_text(left)}"))
        if self.lines and state.word == "running":
            found.append(("images a second", f"{self.lines[-1].rate:,.0f}"))
        if self.best:
            found.append(("best", self.best))
        return found


@dataclass
class Watch:
    """The runs below `root`."""

    root: Path
    _cursors: dict[Path, Cursor] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _found: list[Place] = field(default_factory=list)
    _looked: float = -math.inf

    def places(self) -> list[Place]:
        """All of them, those last written to first, as they were within the last second."""
        if time.monotonic() - self._looked > FRESH:
            self._found, self._looked = find(self.root), time.monotonic()
        return self._found

    def place(self, key: object) -> Place:
        """The run of a key. Raises `RunError` where there is none, or no longer."""
        for places in (self.places, lambda: find(self.root)):  # one that was begun just now is not among the first
            for place in places():
                if place.key == key and place.path.is_dir():
                    return place
        raise RunError("There is no such run, or no longer: choose another.")

    def view(self, place: Place) -> View:
        """The run as it stands now."""
        lines = self.lines(place)
        best = best_of(place, lines)
        words = "" if best is None else f"{best[0]} {best[1]:.4g} at {count_text(best[2])} images"
        return View(place, state_of(place), lines, words)

    def lines(self, place: Place) -> tuple[Line, ...]:
        """Its reports so far."""
        with self._lock:
            cursor = self._cursors.setdefault(place.path, Cursor(place.path / "records.jsonl"))
            if place.has("records.jsonl"):
                cursor.read()
            return tuple(cursor.lines)
