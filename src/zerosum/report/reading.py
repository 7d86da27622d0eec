"""Single pictures of a run, for whoever wants to see one of them and not the page."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from zerosum.errors import UsageError
from zerosum.report import curves, fields, pictures, points, write_report
from zerosum.report.captions import captions_of
from zerosum.report.drawing import LOOK, Picture
from zerosum.report.rows import labelled_rows
from zerosum.report.run_folder import RunFolder, read_run

NEWEST = ("translations", "samples", "scatter")  # figures of what the model makes, the first that there is


def read_figure(run: Path, name: str) -> Picture:
    """A picture of the report, by the name of its file in `figures`; the report is written first if it is old.

    Raises `UsageError`, which lists the names, where there is none of that name.
    """
    path = _files(run).get(name)
    if path is None:
        raise UsageError(f"{run} has no figure {name!r}; there are: {', '.join(_files(run)) or 'none'}.")
    return Picture(path.name, name, f"{name} of the run {run.resolve().name}", fields.read_bytes(path))


def read_newest(run: Path) -> Picture:
    """The picture of the report that shows what the run's model makes."""
    files = _files(run)
    return read_figure(run, next((name for name in NEWEST if name in files), "samples"))


def _files(run: Path) -> dict[str, Path]:
    """The pictures of the report, as new as the run's records; an interrupted run has none, or an old one."""
    page = run / "report.html"
    records = [path.stat().st_mtime for each in ("", "members/*/") for path in run.glob(f"{each}records.jsonl")]
    if not page.exists() or page.stat().st_mtime < max(records, default=0.0):
        write_report(run)
    return {path.stem: path for path in sorted((run / "figures").glob("[!.]*")) if path.suffix in (".png", ".webp")}


def draw_newest(run: Path) -> tuple[Picture, Picture]:
    """What the model of a run makes now, and the losses so far; drawn anew, for the run may be going on."""
    folder = read_run(run)
    with matplotlib.rc_context(LOOK):
        return _made(folder), curves.losses(folder)


def _made(folder: RunFolder) -> Picture:
    if folder.data.is_points:
        return points.scatter(folder)
    captions = captions_of(folder.translation)
    if folder.grid is None:
        return Picture("samples.png", captions.title, captions.none)
    if folder.translation is not None and folder.rows:
        return labelled_rows(folder.rows[0], folder.translation)
    return pictures.newest(folder.samples, folder.grid, captions)
