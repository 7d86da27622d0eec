"""What a run leaves for the eye: figures, the animation, `report.html` and the model card.

This room reads a run folder and nothing else: it knows no network, no data set and no trainer.
Matplotlib and Pillow are imported when a report is written, not when this package is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_report"]


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
