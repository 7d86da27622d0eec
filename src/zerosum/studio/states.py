"""How a run stands: what its status.json says, and whether a process still holds its lock.

A trainer that was killed cannot say so. Its lock is the operating system's and ended with it, so a run that says it is
running and whose lock nobody holds is dead.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zerosum.metrics.figures import LESS, MORE, bare
from zerosum.studio.cursor import Line
from zerosum.studio.places import LOG, STARTED, Place, shown
from zerosum.studio.processes import process_of

SAID = ("running", "done", "stopped", "diverged", "collapsed")
RECENT = 5  # reports that the pace is taken from
TAIL = 2000  # bytes of a log that are looked at


@dataclass(frozen=True)
class State:
    """`word` is one of SAID, or starting, busy, dead or failed; `reason` says why, in words."""

    word: str
    reason: str = ""
    images: int = 0
    seconds: float = 0.0

    @property
    def lives(self) -> bool:
        """Whether a process trains."""
        return self.word in ("running", "starting", "busy")


def state_of(place: Place) -> State:
    """How the run stands now."""
    held = is_held(place)
    said = _said(place)
    if said is None:
        if held or process_of(place) is not None:
            return State("starting", "reading the data")
        if place.has(STARTED):
            return State("failed", last_words(place) or "it ended before its first step")
        return State("dead", "it ended before its first step")
    if said.word == "running" and not held:
        return State("dead", "its process is gone; the same command goes on", said.images, said.seconds)
    if said.word != "running" and held:
        return State("busy", "reading the data, or writing the report", said.images, said.seconds)
    return said


def is_held(place: Place) -> bool:
    """Whether a process trains in the folder: holds the lock on its file .lock, as `training.run_folder` does.

    Asked by a shared lock that is given back at once: two who ask do not disturb each other.
    """
    try:
        handle = os.open(place.file(".lock"), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)  # and with it the lock
    return False


def _said(place: Place) -> State | None:
    try:
        table = json.loads(place.file("status.json").read_bytes())
        word, images, seconds = table["state"], table["images"], table["seconds"]
        if word not in SAID:
            return None
        return State(word, shown(str(table["reason"])), int(images), float(seconds))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def last_words(place: Place) -> str:
    """The end of what a training said that the studio started."""
    try:
        with place.file(LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return shown(next((line for line in reversed(lines) if line.strip()), ""))


def settings_of(place: Place) -> dict[str, dict[str, Any]]:
    """The sections of the run's config.toml; none where there is none yet, or it is damaged."""
    try:
        table = tomllib.loads(place.file("config.toml").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {name: section for name, section in table.items() if isinstance(section, dict)}


def time_left(place: Place, lines: Sequence[Line], state: State) -> float | None:
    """Seconds until the end that was asked for, by the pace of the newest reports; None where nobody can tell."""
    training = settings_of(place).get("training", {})
    if not lines:
        return None
    try:
        age = max(0.0, time.time() - place.file("status.json").stat().st_mtime)
        if training.get("minutes"):
            left = 60 * float(training["minutes"]) - state.seconds
        else:
            left = (_goal(place, training) - state.images) / _pace(lines)
    except (OSError, ValueError, TypeError, KeyError, ArithmeticError):
        return None
    return max(0.0, left - age) if math.isfinite(left) else None


def _goal(place: Place, training: dict[str, Any]) -> float:
    if training.get("images"):
        return float(training["images"])
    count = json.loads(place.file("data.json").read_bytes())["count"]
    return float(training["epochs"]) * float(count)


def _pace(lines: Sequence[Line]) -> float:
    """Images a second."""
    first, last = lines[-RECENT:][0], lines[-1]
    if last.seconds > first.seconds:
        return (last.images - first.images) / (last.seconds - first.seconds)
    return last.images / last.seconds


def best_of(place: Place, lines: Sequence[Line]) -> tuple[str, float, int] | None:
    """The best figure of all evaluations: its name, value, and after how many images; None where nobody judged.

    By the figure that the run itself goes by, or the first that can be better one way.
    """
    seen = [line for line in lines if line.curves["evaluation"]]
    names = dict.fromkeys(name for line in seen for name in line.curves["evaluation"])
    chosen = settings_of(place).get("evaluation", {}).get("best")
    figure = chosen if chosen in names else next((name for name in names if _one_way(name)), None)
    if figure is None or not _one_way(figure):
        return None
    sign = -1 if bare(figure) in MORE else 1
    found = [(line.curves["evaluation"].get(figure, math.nan), line.images) for line in seen]
    finite = [pair for pair in found if math.isfinite(pair[0])]
    if not finite:
        return None
    value, images = min(finite, key=lambda pair: sign * pair[0])
    return figure, value, images


def _one_way(figure: str) -> bool:
    """Whether one way of a figure is better: density is best at about 1, and has none."""
    return bare(figure) in LESS | MORE
