"""What a person sees of a training: one live panel in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from zerosum.training.plan import Plan

REFRESH = 0.25  # seconds
LETTERS = {"generator": "G", "discriminator": "D", "encoder": "E"}  # other losses are called by their names


class Display(Protocol):
    """Where a training is shown. `label`: which of several it is; empty where it is the only one."""

    label: str

    def note(self, text: str) -> None:
        """A sentence for the user."""

    def loading(self, what: str, done: int, total: int) -> None:
        """Progress of reading the data."""

    def begin(self, images: int, seconds: float, plan: Plan) -> None:
        """Training begins or goes on."""

    def tick(self, images: int, seconds: float, progress: float) -> None:
        """After each step."""

    def report(self, record: dict[str, Any]) -> None:
        """After each report: one line of records.jsonl."""

    def end(self) -> None:
        """Nothing more will come."""


def make_display(console: Console) -> Display:
    """A live one where the console is a terminal, else a plain one."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


def count(number: float) -> str:
    """A count of images as people say it: 950, 12.8k, 1.20M."""
    if number < 1_000:
        return f"{number:.0f}"
    return f"{number / 1_000:.1f}k" if number < 1_000_000 else f"{number / 1_000_000:.2f}M"


class Remaining:
    """Time left, from the pace since this process began to train."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._progress: float | None = None

    def at(self, seconds: float, progress: float) -> str:
        """`0:02:10`, or `?` until something is done."""
        if self._progress is None:
            self._progress = progress
        gone, done = seconds - self._seconds, progress - self._progress
        if done <= 0 or gone <= 0.5:
            return "?"
        return str(timedelta(seconds=round(gone * max(1 - progress, 0) / done)))


def in_words(record: dict[str, Any]) -> str:
    """One report as a line."""

    def number(value: float | None) -> str:
        return "not finite" if value is None else f"{value:.3f}"

    pieces = [
        f"{count(record['images'])} images (epoch {record['epoch']:.1f})",
        f"{record['images_per_second']:.0f} images/s",
    ]
    pieces += [f"{LETTERS.get(name, name)} loss {number(value)}" for name, value in record["losses"].items()]
    pieces += [f"{name} {number(value)}" for name, value in record["outputs"].items()]
    pieces += [f"{name} {value:.4g}" for name, value in record.get("evaluation", {}).items()]
    return " · ".join([*pieces, record["health"]])


class PlainDisplay:
    """A line a report; for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console, self.label = console, ""
        self._remaining = Remaining(0)
        self._stands = (0.0, 0.0)
        self._said = 0.0

    def note(self, text: str) -> None:
        """A line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def loading(self, what: str, done: int, total: int) -> None:
        """A line each five seconds."""
        if time.monotonic() - self._said > 5:
            self._said = time.monotonic()
            self.note(f"{what}: {done:,} of {total:,}")

    def begin(self, images: int, seconds: float, plan: Plan) -> None:
        """Count the time left from here."""
        self._remaining = Remaining(seconds)

    def tick(self, images: int, seconds: float, progress: float) -> None:
        """Remember how it stands."""
        self._stands = (seconds, progress)

    def report(self, record: dict[str, Any]) -> None:
        """A line."""
        seconds, progress = self._stands
        which = f"{self.label} · " if self.label else ""
        left = self._remaining.at(seconds, progress)
        self.note(f"{min(progress, 1):.0%} done, {left} left · {which}{in_words(record)}")

    def end(self) -> None:
        """Nothing to take down."""


class LiveDisplay:
    """A bar with the time left, and the last report as a table, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self.console, self.label = console, ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[facts]}"),
            console=console,
            expand=True,
        )
        self._task = self._bar.add_task("starting", total=1.0, facts="")
        self._record: dict[str, Any] | None = None
        self._judged: dict[str, float] = {}
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._drawn = 0.0
        self._remaining = Remaining(0)
        self._since = (0, 0.0)

    def note(self, text: str) -> None:
        """A line above the panel."""
        self.console.print(text, markup=False, highlight=False)

    def loading(self, what: str, done: int, total: int) -> None:
        """The bar, while data are read."""
        self._live.start()
        self._bar.update(self._task, description=what, completed=done / max(total, 1), facts=f"{done:,} of {total:,}")
        self._draw(force=done == total)

    def begin(self, images: int, seconds: float, plan: Plan) -> None:
        """Show the panel."""
        self._remaining = Remaining(seconds)
        self._since = (images, seconds)
        self._live.start()

    def tick(self, images: int, seconds: float, progress: float) -> None:
        """Redraw, four times a second at most."""
        if time.monotonic() - self._drawn < REFRESH:
            return
        rate = (images - self._since[0]) / max(seconds - self._since[1], 1e-9)
        facts = f"{count(images)} images · {rate:.0f}/s · {self._remaining.at(seconds, progress)} left"
        self._bar.update(self._task, description=self.label or "training", completed=min(progress, 1.0), facts=facts)
        self._draw(force=True)

    def report(self, record: dict[str, Any]) -> None:
        """Show the newest figures."""
        self._record = record
        self._judged = record.get("evaluation", self._judged)
        self._draw(force=True)

    def end(self) -> None:
        """Leave the last panel on the screen."""
        if self._live.is_started:
            self._draw(force=True)
            self._live.stop()

    def _draw(self, *, force: bool) -> None:
        if not force and time.monotonic() - self._drawn < REFRESH:
            return
        self._drawn = time.monotonic()
        parts: list[Any] = [self._bar]
        if self._record is not None:
            parts.append(self._table(self._record))
            if self._judged:
                figures = (f"{name} {value:.4g}" for name, value in self._judged.items())
                parts.append(Text(f"judged: {' · '.join(figures)}"))
            parts.append(self._health(self._record["health"]))
        self._live.update(Group(*parts), refresh=True)

    @staticmethod
    def _table(record: dict[str, Any]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0))
        cells = []
        for title, value in (
            ("images", count(record["images"])),
            ("epoch", f"{record['epoch']:.1f}"),
            *((f"{name} loss", value) for name, value in record["losses"].items()),
            *record["outputs"].items(),
        ):
            table.add_column(title, justify="right")
            cells.append(value if isinstance(value, str) else "not finite" if value is None else f"{value:.3f}")
        table.add_row(*cells)
        return table

    @staticmethod
    def _health(text: str) -> Text:
        return Text(f"health: {text}", style="green" if text == "healthy" else "bold yellow")


class Silent:
    """Shows nothing: for a member of several that train at once, which are shown as one."""

    label = ""

    def note(self, text: str) -> None:
        """Nothing."""

    def loading(self, what: str, done: int, total: int) -> None:
        """Nothing."""

    def begin(self, images: int, seconds: float, plan: Plan) -> None:
        """Nothing."""

    def tick(self, images: int, seconds: float, progress: float) -> None:
        """Nothing."""

    def report(self, record: dict[str, Any]) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class Several:
    """Shows the trainings of an ensemble as one: which is at it, and the progress and the time left over all.

    Args:
        display: where.
        of: how many trainings there are.
    """

    def __init__(self, display: Display, of: int) -> None:
        self.display, self.of, self.label = display, of, ""
        self._done, self._share = 0, 1
        self._before = (0, 0.0)
        self._begun = False

    def at(self, label: str, done: int, images: int, seconds: float, share: int = 1) -> None:
        """What `label` says comes now, `share` trainings at once.

        `done` of them are over; `images` and `seconds` are what those not at it now were shown, and took.
        """
        self.label = self.display.label = label
        self._done, self._share, self._before = done, share, (images, seconds)

    def note(self, text: str) -> None:
        """A sentence for the user."""
        self.display.note(text)

    def loading(self, what: str, done: int, total: int) -> None:
        """Progress of reading the data."""
        self.display.loading(what, done, total)

    def begin(self, images: int, seconds: float, plan: Plan) -> None:
        """Training begins or goes on; for the display, all of them once."""
        if not self._begun:
            self.display.begin(self._before[0] + images * self._share, self._before[1] + seconds, plan)
        self._begun = True

    def tick(self, images: int, seconds: float, progress: float) -> None:
        """After each step: `images` of each of those at it, `seconds` of all of them."""
        progress = (self._done + min(progress, 1.0) * self._share) / self.of
        self.display.tick(self._before[0] + images * self._share, self._before[1] + seconds, progress)

    def report(self, record: dict[str, Any]) -> None:
        """After each report."""
        self.display.report(record)

    def end(self) -> None:
        """Nothing: there may be another training."""
