"""What a person sees of a training in a Jupyter notebook: one output, redrawn in place."""

from __future__ import annotations

import base64
import sys
import time
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from zerosum.report import draw_newest
from zerosum.training.display import Display, PlainDisplay, Remaining, count, in_words

if TYPE_CHECKING:
    from zerosum.report.drawing import Picture
    from zerosum.training.plan import Plan

REFRESH = 1.0  # seconds
SHARE = 0.05  # of the time, that drawing pictures may take


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel, in which IPython shows what it is given."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def make_display(run: Path) -> Display:
    """Where a training from Python is shown: a panel in a notebook, plain lines elsewhere."""
    return NotebookDisplay(run) if in_notebook() else PlainDisplay(Console())


class NotebookDisplay:
    """A bar with the time left, the last report, the newest samples and the losses, redrawn in one output.

    Args:
        run: the folder that the training fills; of an ensemble, the members' pictures are shown as they train.
    """

    def __init__(self, run: Path) -> None:
        from IPython.display import DisplayHandle

        self.run, self.label = run, ""
        self._handle = DisplayHandle()  # type: ignore[no-untyped-call]
        self._shown = False
        self._remaining = Remaining(0)
        self._since = (0, 0.0)
        self._stands = (0.0, "starting")  # progress, and what is done
        self._notes: list[str] = []
        self._record: dict[str, Any] | None = None
        self._pictures: tuple[Picture, ...] = ()
        self._updated = self._drawn = -1e9  # when, on the monotonic clock
        self._cost = 0.0  # seconds that the last drawing took

    def note(self, text: str) -> None:
        """A line under the panel."""
        self._notes.append(text)
        self._show()

    def loading(self, what: str, done: int, total: int) -> None:
        """The bar, while data are read."""
        self._stands = (done / max(total, 1), f"{what}: {done:,} of {total:,}")
        self._show(at_once=done == total)

    def begin(self, images: int, seconds: float, plan: Plan) -> None:
        """Count the time left from here."""
        self._remaining = Remaining(seconds)
        self._since = (images, seconds)

    def tick(self, images: int, seconds: float, progress: float) -> None:
        """Redraw, once a second at most."""
        rate = (images - self._since[0]) / max(seconds - self._since[1], 1e-9)
        left = self._remaining.at(seconds, progress)
        self._stands = (progress, f"{count(images)} images · {rate:.0f}/s · {left} left")
        self._show(at_once=False)

    def report(self, record: dict[str, Any]) -> None:
        """Show the newest figures, and pictures where they are cheap beside what has been trained since."""
        self._record = record
        if time.monotonic() - self._drawn > self._cost / SHARE:
            self._draw()
        self._show()

    def end(self) -> None:
        """Leave the last state in the notebook."""
        if self._record is not None:
            self._draw()
        self._show()

    def _draw(self) -> None:
        begun = time.monotonic()
        self._pictures = draw_newest(_at_work(self.run))
        self._drawn = time.monotonic()
        self._cost = self._drawn - begun

    def _show(self, *, at_once: bool = True) -> None:
        if not at_once and time.monotonic() - self._updated < REFRESH:
            return
        self._updated = time.monotonic()
        bundle = {"text/html": self._page(), "text/plain": self._words()}
        show = self._handle.update if self._shown else self._handle.display
        show(bundle, raw=True)  # type: ignore[no-untyped-call]
        self._shown = True

    def _words(self) -> str:
        """The panel for whoever shows no HTML."""
        progress, facts = self._stands
        report = [] if self._record is None else [in_words(self._record)]
        return "\n".join([f"{min(progress, 1.0):.0%} · {facts}", *report, *self._notes])

    def _page(self) -> str:
        progress, facts = self._stands
        head = f"{self.label or 'zerosum'} · {min(progress, 1.0):.0%} · {facts}"
        pictures = "".join(_image(picture) for picture in self._pictures if picture.data is not None)
        report = "" if self._record is None else f"<div>{escape(in_words(self._record))}</div>"
        notes = escape("\n".join(self._notes))
        return (
            '<div style="max-width: 62em">'
            f"<div><b>{escape(head)}</b></div>"
            f'<progress value="{min(progress, 1.0):.4f}" max="1" style="width: 100%"></progress>'
            f'{report}<div style="display: flex; flex-wrap: wrap; gap: 1em; align-items: flex-start">{pictures}</div>'
            f'<pre style="white-space: pre-wrap; font-size: 85%">{notes}</pre></div>'
        )


def _image(picture: Picture) -> str:
    content = base64.b64encode(picture.data or b"").decode("ascii")
    wide = "flex: 1 1 20em; min-width: 0; max-width: 31em"
    return (
        f'<img src="data:image/png;base64,{content}" alt="{escape(picture.text)}" title="{escape(picture.title)}" '
        f'style="{wide}">'
    )


def _at_work(run: Path) -> Path:
    """The run folder that was written to last: the run's own, or that of a member of the ensemble."""
    members = list(run.glob("members/*/records.jsonl"))
    return max(members, key=lambda path: path.stat().st_mtime).parent if members else run
