"""What a run leaves for the eye: figures, the animation, `report.html` and the model card.

This room reads a run folder and nothing else: it knows no network, no data set and no trainer.
Matplotlib and Pillow are imported when a report is written, not when this package is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from zerosum.report.drawing import Picture

__all__ = ["draw_newest", "read_figure", "read_newest", "write_report"]


def write_report(run: Path) -> Path:
    """Draw everything that the run folder `run` has the material for, and return the path of `report.html`.

    Writes `figures/*.png`, `figures/progress.webp`, `report.html` and, where the run has released a model,
    `model/README.md` and `model/samples.png`; each file is replaced whole or not at all. The run may be
    going on, hold a single record, or have diverged: what cannot be drawn yet is named on the page.

    Of an ensemble's folder: `figures/*.png`, `report.html` and `ensemble.json`, with mean and spread over its members.

    Raises RunError when a file of the folder is missing or damaged, or the disk cannot take the report.
    """
    from zerosum.report import ensemble, writer

    return ensemble.write(run) if (run / "members").is_dir() else writer.write(run)


def read_figure(run: Path, name: str) -> Picture:
    """A picture of the report in the run folder `run` by its name, as "losses". UsageError lists the names."""
    from zerosum.report import reading

    return reading.read_figure(run, name)


def read_newest(run: Path) -> Picture:
    """The picture of the report that shows what the run's model makes. UsageError where there is none."""
    from zerosum.report import reading

    return reading.read_newest(run)


def draw_newest(run: Path) -> tuple[Picture, Picture]:
    """What the model of a run makes now, and its losses so far, drawn anew. Raises RunError as `write_report` does."""
    from zerosum.report import reading

    return reading.draw_newest(run)
