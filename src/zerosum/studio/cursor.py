"""`records.jsonl` read by cursor: each look reads only what was written since the last one, and whole lines only.

The trainer neither knows nor waits: it appends, and a page that is closed costs it nothing.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = ("losses", "outputs", "evaluation", "figures", "gradients")  # tables of a record that are curves
PIECE = 1 << 20  # bytes that are read at once
LONGEST = 1 << 24  # bytes of a line: more is no record


@dataclass(frozen=True)
class Line:
    """One report: numbers by kind and name, NaN for what was not finite."""

    images: int
    seconds: float
    rate: float
    health: str
    curves: dict[str, dict[str, float]]


@dataclass
class Cursor:
    """What a file of records held when it was last looked at, in order of images shown.

    A trainer that goes back writes the file anew: the line before the cursor is then another, and all is read again.
    """

    path: Path
    lines: list[Line] = field(default_factory=list)
    _offset: int = 0
    _last: bytes = b""

    def read(self) -> bool:
        """Look again; whether anything has changed. A file that is not there, or no longer, has no lines."""
        try:
            with self.path.open("rb") as file:
                changed = self._check(file)
                return self._follow(file) or changed
        except OSError:
            changed = bool(self.lines)
            self._forget()
            return changed

    def _check(self, file: Any) -> bool:
        """Begin anew where what was read last is not what stands there; whether so."""
        file.seek(self._offset - len(self._last))
        if file.read(len(self._last)) == self._last:
            return False
        self._forget()
        file.seek(0)
        return True

    def _follow(self, file: Any) -> bool:
        rest, changed = b"", False
        while piece := file.read(PIECE):
            *whole, rest = (rest + piece).split(b"\n")
            for raw in whole:
                self._offset += len(raw) + 1
                self._last = raw + b"\n"
                changed |= self._take(raw)
            if len(rest) > LONGEST:
                break
        return changed

    def _take(self, raw: bytes) -> bool:
        line = line_of(raw)
        if line is None:
            return False
        while self.lines and self.lines[-1].images >= line.images:
            self.lines.pop()  # of a run that was resumed from before its last report the later record counts
        self.lines.append(line)
        return True

    def _forget(self) -> None:
        self.lines, self._offset, self._last = [], 0, b""


def line_of(raw: bytes) -> Line | None:
    """The record of a line; None for what is none of zerosum's."""
    try:
        table = json.loads(raw)
        return Line(
            images=int(table["images"]),
            seconds=_number(table["seconds"]),
            rate=_number(table["images_per_second"]),
            health=str(table["health"]),
            curves={kind: _numbers(table.get(kind)) for kind in KINDS},
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _numbers(table: Any) -> dict[str, float]:
    return {str(name): _number(value) for name, value in table.items()} if isinstance(table, dict) else {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
