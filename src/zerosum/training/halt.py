"""Why a training does not go on as it is: a better figure does not come, or the game has collapsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from zerosum.diagnosis import COLLAPSE, HEALTHY

MOST = 3  # rollbacks of one run
IN_A_ROW = 2  # reports that must have seen a collapse: one may be a bad moment

OnCollapse = Literal["continue", "rollback", "stop"]


@dataclass(frozen=True)
class Halt:
    """What the loop is told at a report. `kind`: "end", all is well and done; "back", to the last healthy checkpoint;
    "fail", there is nothing left to try.
    """

    kind: Literal["end", "back", "fail"]
    reason: str


def healthy_until(history: Sequence[Mapping[str, Any]]) -> int:
    """The images of the newest report that looked and found the game healthy; 0 where none did: the beginning is."""
    healthy = [record["images"] for record in history if record.get("evidence") and record["health"] == HEALTHY]
    return max(healthy, default=0)


def after_collapse(history: Sequence[Mapping[str, Any]], rule: OnCollapse, rollbacks: int) -> Halt | None:
    """What follows from the newest verdicts of `history`, lines of records.jsonl; None: go on.

    Of reports that did not look at samples, the verdict repeats an older one, and counts for nothing.
    """
    seen = [record["health"] for record in history if record.get("evidence")][-IN_A_ROW:]
    if rule == "continue" or len(seen) < IN_A_ROW or not all(words.startswith(COLLAPSE) for words in seen):
        return None
    if rule == "rollback" and rollbacks < MOST:
        return Halt("back", seen[-1])
    tried = f" It went back {MOST} times, and collapsed again." if rule == "rollback" else ""
    return Halt("fail", f"Stopped at a {seen[-1]}.{tried} --on-collapse continue goes on all the same.")
