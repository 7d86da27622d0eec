"""The training loop: steps, reports, checkpoints, from top to bottom."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Protocol

from zerosum.training.checkpoint import State
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.halt import Halt
from zerosum.training.interrupts import Interrupts
from zerosum.training.plan import Plan
from zerosum.training.world import World

FIRST_REPORT = 3.0  # seconds; by the clock, reports come closer at the beginning, when more happens
REPORT_SHARE = 0.05  # of the whole run, or of the time trained so far, from one report to the next
SHORTEST_REPORT = 0.25
REPORT_COST = 0.05  # reports by the clock take no more of the time than this
LONGEST_REPORT = 600.0
CHECKPOINT_SECONDS = 60.0


class Watcher(Protocol):
    """What the loop tells of itself."""

    def tick(self, state: State, progress: float) -> None:
        """After each step; must cost nothing."""

    def report(self, state: State, means: dict[str, float], rate: float) -> Halt | None:
        """At each report: the means since the last, and images a second. Says why not to go on, if so."""

    def checkpoint(self, state: State) -> None:
        """When everything is to be saved."""


class Led:
    """A watcher that process 0 has, and all others wait for.

    Args:
        watcher: process 0's own; None on the others.
        world: the processes.
    """

    def __init__(self, watcher: Watcher | None, world: World) -> None:
        self._watcher, self._world = watcher, world

    def tick(self, state: State, progress: float) -> None:
        """After each step."""
        if self._watcher is not None:
            self._watcher.tick(state, progress)

    def report(self, state: State, means: dict[str, float], rate: float) -> Halt | None:
        """At each report; what process 0 says holds for all."""
        said = self._world.lead(lambda: self._reported(state, means, rate))
        return None if said is None else Halt(**said)

    def _reported(self, state: State, means: dict[str, float], rate: float) -> dict[str, str] | None:
        halt = None if self._watcher is None else self._watcher.report(state, means, rate)
        return None if halt is None else asdict(halt)

    def checkpoint(self, state: State) -> None:
        """When everything is to be saved."""
        self._world.lead(lambda: None if self._watcher is None else self._watcher.checkpoint(state))


def play_on(engine: Engine, feed: Feed, plan: Plan, watcher: Watcher, interrupts: Interrupts) -> Halt | None:
    """Train until the plan's end, an interrupt, or the watcher's word; report and save on the way and at the end.

    Returns that word. What is to be left, for a checkpoint further back, is not saved. Raises `DivergedError` at the
    report after a loss or gradient became NaN or infinite; nothing was updated since, and nothing is saved.
    """
    state = engine.state
    started = time.monotonic() - state.seconds

    def clock() -> float:
        """Seconds of training, and whether to stop: on all processes what process 0 says."""
        return engine.world.agree(time.monotonic() - started, interrupts)

    pace = Pace(plan, state)
    while interrupts.number is None and (progress := plan.progress(state.images, state.seconds)) < 1:
        engine.step(feed, progress)
        state.seconds = clock()
        watcher.tick(state, plan.progress(state.images, state.seconds))
        save = pace.saves(state)
        if pace.reports(state) or save:
            engine.stop_if_ill(feed)
            if pace.reports(state):
                halt = watcher.report(state, engine.records.read(), pace.rate(state))
                if halt is not None:
                    return _halted(halt, state, watcher)
                pace.reported(state, clock() - state.seconds)
            if save:
                watcher.checkpoint(state)
                pace.saved(state)
            state.seconds = clock()
            pace.resume(state)
    engine.stop_if_ill(feed)
    if means := engine.records.read():
        halt = watcher.report(state, means, pace.rate(state))
        if halt is not None and interrupts.number is None:
            return _halted(halt, state, watcher)
    watcher.checkpoint(state)
    return None


def _halted(halt: Halt, state: State, watcher: Watcher) -> Halt:
    if halt.kind != "back":
        watcher.checkpoint(state)
    return halt


class Pace:
    """When to report and when to save, in images where the plan says so, else by the clock."""

    def __init__(self, plan: Plan, state: State) -> None:
        self.plan = plan
        self._rate, self._resumed_images, self._resumed_seconds = 0.0, state.images, state.seconds
        self.reported(state)
        self.saved(state)
        self.resume(state)

    def reports(self, state: State) -> bool:
        """Whether a report is due."""
        every = self.plan.evaluate_every
        if every is not None and state.images // every > self._reported_images // every:
            return True
        if self.plan.report_every is not None:
            return state.images // self.plan.report_every > self._reported_images // self.plan.report_every
        gone = state.seconds - self._reported_seconds
        share = self._share(state)
        if share > self._reported_share and gone >= max(SHORTEST_REPORT, self._cost / REPORT_COST):
            return True  # a run of seconds is seen at twenty points too
        gap = max(FIRST_REPORT, min(REPORT_SHARE * self._reported_seconds, LONGEST_REPORT))
        return gone >= max(gap, self._cost / REPORT_COST)

    def _share(self, state: State) -> int:
        return int(self.plan.progress(state.images, state.seconds) / REPORT_SHARE)

    def saves(self, state: State) -> bool:
        """Whether a checkpoint is due."""
        if self.plan.checkpoint_every is not None:
            return state.images // self.plan.checkpoint_every > self._saved_images // self.plan.checkpoint_every
        return state.seconds - self._saved_seconds >= CHECKPOINT_SECONDS

    def rate(self, state: State) -> float:
        """Images a second since the last report or save; where there were none, as before that."""
        if state.images == self._resumed_images:
            return self._rate
        return (state.images - self._resumed_images) / max(state.seconds - self._resumed_seconds, 1e-9)

    def reported(self, state: State, cost: float = 0.0) -> None:
        """A report was made, in `cost` seconds."""
        self._cost = cost
        self._reported_images, self._reported_seconds = state.images, state.seconds
        self._reported_share = self._share(state)

    def saved(self, state: State) -> None:
        """A checkpoint was made."""
        self._saved_images, self._saved_seconds = state.images, state.seconds

    def resume(self, state: State) -> None:
        """Training goes on now: what came before does not count for the rate."""
        self._rate = self.rate(state)
        self._resumed_images, self._resumed_seconds = state.images, state.seconds
