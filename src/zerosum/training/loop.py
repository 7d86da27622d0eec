"""The training loop: turns, steps, reports, checkpoints, from top to bottom."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Protocol, Self

import torch
from torch import Tensor

from zerosum.errors import DivergedError
from zerosum.games import Batch, Draw, Randomness, Turn
from zerosum.games.game import number_of
from zerosum.training.checkpoint import State
from zerosum.training.feed import Feed
from zerosum.training.guard import Guard, explain
from zerosum.training.optim import norm_of
from zerosum.training.records import Records

FIRST_REPORT = 3.0  # seconds; by the clock, reports come closer at the beginning, when more happens
REPORT_SHARE = 0.05  # of the time trained so far, from one report to the next
LONGEST_REPORT = 600.0
CHECKPOINT_SECONDS = 60.0
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Plan:
    """How much at a time, and how long. Exactly one of `images` and `seconds` ends the run."""

    batch: int
    micro_batch: int
    images: int | None
    seconds: float | None
    report_every: int | None = None  # images; None: by the clock
    checkpoint_every: int | None = None  # images; None: a minute
    autocast: torch.dtype | None = None
    device: torch.device = CPU

    def progress(self, images: int, seconds: float) -> float:
        """The share of the run that is done."""
        return images / self.images if self.images is not None else seconds / (self.seconds or 1.0)


class Watcher(Protocol):
    """What the loop tells of itself."""

    def tick(self, state: State, progress: float) -> None:
        """After each step; must cost nothing."""

    def report(self, state: State, means: dict[str, float], rate: float) -> None:
        """At each report: the means since the last, and images a second."""

    def checkpoint(self, state: State) -> None:
        """When everything is to be saved."""


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


def play_on(state: State, feed: Feed, plan: Plan, watcher: Watcher, interrupts: Interrupts) -> None:
    """Train until the plan's end or an interrupt; report and save on the way and at the end.

    Raises `DivergedError` at the report after a loss or gradient became NaN or infinite; nothing was updated since,
    and nothing is saved.
    """
    guard, records = Guard(plan.device), Records()
    started = time.monotonic() - state.seconds
    pace = Pace(plan, state)
    while interrupts.number is None and (progress := plan.progress(state.images, state.seconds)) < 1:
        step(state, feed, plan, guard, records, progress)
        state.seconds = time.monotonic() - started
        watcher.tick(state, plan.progress(state.images, state.seconds))
        save = pace.saves(state)
        if pace.reports(state) or save:
            _stop_if_ill(state, feed, plan, guard)
            if pace.reports(state):
                watcher.report(state, records.read(), pace.rate(state))
                pace.reported(state)
            if save:
                watcher.checkpoint(state)
                pace.saved(state)
            state.seconds = time.monotonic() - started
            pace.resume(state)
    _stop_if_ill(state, feed, plan, guard)
    if means := records.read():
        watcher.report(state, means, pace.rate(state))
    watcher.checkpoint(state)


class Pace:
    """When to report and when to save, in images where the plan says so, else by the clock."""

    def __init__(self, plan: Plan, state: State) -> None:
        self.plan = plan
        self.reported(state)
        self.saved(state)
        self.resume(state)

    def reports(self, state: State) -> bool:
        """Whether a report is due."""
        if self.plan.report_every is not None:
            return state.images // self.plan.report_every > self._reported_images // self.plan.report_every
        gap = max(FIRST_REPORT, min(REPORT_SHARE * self._reported_seconds, LONGEST_REPORT))
        return state.seconds - self._reported_seconds >= gap

    def saves(self, state: State) -> bool:
        """Whether a checkpoint is due."""
        if self.plan.checkpoint_every is not None:
            return state.images // self.plan.checkpoint_every > self._saved_images // self.plan.checkpoint_every
        return state.seconds - self._saved_seconds >= CHECKPOINT_SECONDS

    def rate(self, state: State) -> float:
        """Images a second since the last report or save."""
        return (state.images - self._resumed_images) / max(state.seconds - self._resumed_seconds, 1e-9)

    def reported(self, state: State) -> None:
        """A report was made."""
        self._reported_images, self._reported_seconds = state.images, state.seconds

    def saved(self, state: State) -> None:
        """A checkpoint was made."""
        self._saved_images, self._saved_seconds = state.images, state.seconds

    def resume(self, state: State) -> None:
        """Training goes on now: what came before does not count for the rate."""
        self._resumed_images, self._resumed_seconds = state.images, state.seconds


def step(state: State, feed: Feed, plan: Plan, guard: Guard, records: Records, progress: float) -> None:
    """Every turn of the game once, in order, then the average."""
    for player in state.players:
        player.schedule(progress)
    before = state.images
    batches: list[tuple[Batch, Draw]] = []
    for turn in state.game.turns:
        for _ in range(turn.repeat):
            if turn.shows or not batches:
                batches = list(_batches(feed, plan, state.images))
                state.images += plan.batch
            take_turn(state, turn, batches, plan, guard, records)
    if state.ema is not None:
        state.ema.update(state.images, state.images - before)


def _batches(feed: Feed, plan: Plan, first: int) -> list[tuple[Batch, Draw]]:
    return [
        (
            feed.batch(first + offset, plan.micro_batch),
            Draw(feed.randomness, first + offset, plan.micro_batch, plan.batch, first // plan.batch),
        )
        for offset in range(0, plan.batch, plan.micro_batch)
    ]


def take_turn(
    state: State, turn: Turn, batches: list[tuple[Batch, Draw]], plan: Plan, guard: Guard, records: Records
) -> None:
    """One update of the turn's players, its gradient gathered over the micro-batches."""
    players = [player for player in state.players if player.name in turn.players]
    for player in players:
        player.forget_gradients()
    share = 1 / len(batches)
    watched: Tensor | None = None
    for batch, draw in batches:
        seed_torch(draw.randomness, turn.name, draw.first)
        with _autocast(plan):
            loss = state.game.play(turn.name, batch, draw)
        total = loss.total if len(batches) == 1 else loss.total * share
        total.backward()
        watched = total.detach() if watched is None else watched + total.detach()
        scalars = {f"losses/{name}": value for name, value in loss.losses.items()}
        scalars |= {f"parts/{name}": value for name, value in loss.parts.items()}
        scalars |= {f"outputs/{name}": value for name, value in loss.outputs.items()}
        if draw is not batches[-1][1]:
            records.add(turn.name, scalars)
    gradients = [player.gradients() for player in players]
    for player, own in zip(players, gradients, strict=True):
        norm = norm_of(own)
        scalars[f"gradients/{player.name}"] = norm
        watched = norm if watched is None else watched + norm
    records.add(turn.name, scalars)
    called_off = guard.called_off(watched, turn.name, batches[0][1])
    for player, own in zip(players, gradients, strict=True):
        player.step(own, called_off)


def seed_torch(randomness: Randomness, turn: str, first: int) -> None:
    """Seed PyTorch's own generator, from which dropout and noise layers draw, anew for a turn at image `first`."""
    seed = number_of(randomness.seed, turn, first)
    if randomness.device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _autocast(plan: Plan) -> AbstractContextManager[object]:
    return nullcontext() if plan.autocast is None else torch.autocast(plan.device.type, plan.autocast)


def _stop_if_ill(state: State, feed: Feed, plan: Plan, guard: Guard) -> None:
    trouble = guard.trouble()
    if trouble is None:
        return
    turn, draw = trouble
    players = [
        player for player in state.players if player.name in next(t for t in state.game.turns if t.name == turn).players
    ]
    seed_torch(feed.randomness, turn, draw.first)
    with _autocast(plan):
        why = explain(state.game, turn, players, feed.batch(draw.first, draw.count), draw)
    state.images = draw.first
    raise DivergedError(
        f"The game diverged at image {draw.first:,}, in the {turn} turn: {why}. Nothing was updated with it; the last "
        "checkpoint is good. Lower --generator.lr and --discriminator.lr, add --game.penalties.r1.gamma 1, or take "
        "--training.precision float32."
    )
