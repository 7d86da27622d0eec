"""From a run folder to its report: draw what there is material for, and write it, the page and the card."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import matplotlib

from zerosum.errors import RunError
from zerosum.report import animation, curves, evaluations, figures, health, pictures, points
from zerosum.report.captions import captions_of
from zerosum.report.card import card
from zerosum.report.drawing import LOOK, Picture
from zerosum.report.grids import open_grid
from zerosum.report.page import page
from zerosum.report.rows import labelled_rows
from zerosum.report.run_folder import RunFolder, read_run


def write(run: Path) -> Path:
    """`zerosum.report.write_report`: see there."""
    folder = read_run(run)
    with matplotlib.rc_context(LOOK):
        drawn = draw(folder)
    for picture in drawn.values():
        keep(picture, folder.path / "figures" / picture.file)
    if folder.model is not None:
        shown = _of_model(folder, drawn)
        if shown.data is not None:
            write_whole(folder.path / "model" / "samples.png", shown.data)
        write_whole(folder.path / "model" / "README.md", as_bytes(card(folder, shown)))
    target = folder.path / "report.html"
    write_whole(target, as_bytes(page(folder, drawn)))
    return target


def draw(folder: RunFolder) -> dict[str, Picture]:
    """Every picture of the report by its file name, in the order of the page."""
    drawn = _of_points(folder) if folder.data.is_points else _of_images(folder)
    return {picture.file: picture for picture in drawn}


def _of_points(folder: RunFolder) -> Iterable[Picture]:
    yield points.scatter(folder)
    yield animation.of_points(folder.samples, folder.real)
    yield from _of_records(folder)


def _of_images(folder: RunFolder) -> Iterable[Picture]:
    samples, grid, captions = folder.samples, folder.grid, captions_of(folder.translation)
    if grid is None:  # neither samples nor real images yet
        yield Picture("samples.png", captions.title, captions.none)
        yield from _of_records(folder)
        return
    real = open_grid(folder.real, grid) if folder.real else None
    labelled = [labelled_rows(rows, folder.translation) for rows in folder.rows]
    if folder.translation is not None:
        yield from labelled  # results say little without their sources: those come first
    yield pictures.newest(samples, grid, captions)
    yield animation.of_grids(samples, grid, captions.frames)
    if folder.translation is None:
        yield from labelled
    yield pictures.milestones(samples, grid, captions)
    yield pictures.real_and_generated(samples, grid, real, captions)
    yield from _of_records(folder)
    yield pictures.histogram(samples, grid, real, captions)


def _of_records(folder: RunFolder) -> Iterable[Picture]:
    """Curves and tables, each where there is something to draw; losses always."""
    records = folder.records
    if any(record.evaluation for record in records):
        yield evaluations.evaluations(folder)
    if health.is_worth_seeing(records):
        yield health.health(folder)
    if any(record.figures for record in records):
        yield figures.trends(folder)
    if any(record.classes for record in records):
        yield figures.classes(folder)
    yield curves.losses(folder)
    if any(record.outputs for record in records):
        yield curves.outputs(folder)


def _of_model(folder: RunFolder, drawn: dict[str, Picture]) -> Picture:
    """The picture that says best what the model does: samples of an autoencoder need not be like anything."""
    if folder.translation is not None and "translations.png" in drawn:
        return drawn["translations.png"]
    if folder.reconstructs and "reconstructions.png" in drawn:
        return drawn["reconstructions.png"]
    return drawn["scatter.png" if folder.data.is_points else "samples.png"]


def keep(picture: Picture, path: Path) -> None:
    """Write the picture; where it cannot be drawn, no older one may stay behind and contradict the page."""
    if picture.data is None:
        path.unlink(missing_ok=True)
    else:
        write_whole(path, picture.data)


def as_bytes(words: str) -> bytes:
    """UTF-8; half of a surrogate pair, as a damaged file name can hold, becomes a question mark."""
    return words.encode("utf-8", errors="replace")


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file whole or not at all. Raises RunError when the disk refuses."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(
            f"{path} cannot be written ({error.strerror}). Free some space or set the folder's permissions, "
            "and run `zerosum report` again."
        ) from error
