"""What was measured of a run: each figure over images shown, and the newest figures of each class."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from zerosum.report.curves import curves_of, draw_curves, last_values
from zerosum.report.drawing import BLUE, GREY, Picture, finished, image_axis, new_figure, plain
from zerosum.report.nearness import UNITS, explained, parted
from zerosum.report.records import Record
from zerosum.report.run_folder import RunFolder

MOST_PANELS = 12
MOST_CLASSES = 30
MOST_COLUMNS = 6
MOST_IN_THE_WAY = 3  # names of curves among the curves; of more, above them
RANKED_BY = ("recognised", "diversity")  # the figures that say which class is better, the first that there is


def trends(folder: RunFolder) -> Picture:
    """`figures.png`: a small panel for each figure, or for those of one unit, against images shown.

    Figures are of one unit where their names end alike: "test accuracy" and "baseline accuracy".
    """
    file, title = "figures.png", "Figures"
    curves = curves_of(folder.records, lambda record: record.figures)
    seen = {name: values for name, values in curves.items() if np.isfinite(values).any()}
    if not seen:
        return Picture(file, title, "No figure has been a finite number yet.")
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, values in seen.items():
        groups.setdefault(name.split()[-1] if name.split() else "", {})[name] = values
    shown = list(groups.items())[:MOST_PANELS]
    columns = min(2 if len(shown) in (2, 4) else 3, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure = new_figure(1000 if columns > 1 else 700, 340 if columns == 1 else 60 + 260 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (unit, own) in zip(panels, shown, strict=False):
        _panel(axes, folder, unit, own)
    for axes in panels[len(shown) :]:
        axes.axis("off")
    words = last_values("Figures", seen)
    if len(groups) > len(shown):
        words += f" Not drawn: {len(groups) - len(shown)} more panels."
    if folder.translation is not None:
        words += f" {explained(folder.translation, seen)}"
    return finished(figure, file, title, words)


def _panel(axes: Axes, folder: RunFolder, unit: str, own: dict[str, np.ndarray]) -> None:
    """The figures of one unit; those that are not measured at every report are joined over the gaps."""
    images = np.array([record.images for record in folder.records])
    for name, values in own.items():
        kept = np.isfinite(values)
        for line in draw_curves(axes, images[kept].tolist(), {name: values[kept]}, list(own)):
            line.set_clip_on(False)  # else half of the last marker is cut off
            if folder.translation is not None and unit in UNITS:
                line.set_label(plain(parted(name)[0]))
    if unit in UNITS:
        axes.set_ylabel(UNITS[unit], fontsize="small")
    image_axis(axes, images.tolist(), folder.things)
    axes.set_xlabel(axes.get_xlabel(), fontsize="small")
    axes.locator_params(axis="x", nbins=4)
    axes.set_title(plain(unit if len(own) > 1 else next(iter(own))), fontsize="medium")
    if len(own) > 1:
        crowded = unit in UNITS and len(own) > MOST_IN_THE_WAY
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + (0.2 * len(own) * (high - low) if crowded else 0))
        axes.legend(fontsize="small", labelspacing=0.2 if crowded else None, loc="upper left" if crowded else "best")


def classes(folder: RunFolder) -> Picture:
    """`classes.png`: the newest figures of each class as bars; of many classes the best and the worst."""
    file, title = "classes.png", "Classes"
    record = next(record for record in reversed(folder.records) if record.classes)
    columns = list(dict.fromkeys(name for own in record.classes.values() for name in own))[:MOST_COLUMNS]
    if not columns:
        return Picture(file, title, "No figure of a class has been measured yet.")
    names, ranked = _chosen(record, columns)
    figure = new_figure(1000, 110 + 26 * len(names))
    panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    for axes, column in zip(panels, columns, strict=True):
        _bars(axes, column, [record.classes[name].get(column, math.nan) for name in names])
        if ranked:
            axes.axhline(MOST_CLASSES / 2 - 0.5, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
    panels[0].set_yticks(range(len(names)), [plain(name) for name in names])
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    words = f"The figures of each class after {record.images:,} real images shown."
    if ranked:
        half = MOST_CLASSES // 2
        words += f" Of {len(record.classes)} classes the best {half} and, below the line, the worst {half} by {ranked}."
    return finished(figure, file, title, words)


def _chosen(record: Record, columns: list[str]) -> tuple[list[str], str]:
    """The classes to show, and the figure by which they were ranked, "" where all of them are shown."""
    names = list(record.classes)
    if len(names) <= MOST_CLASSES:
        return names, ""
    by = next((name for name in RANKED_BY if name in columns), columns[0])
    values = {name: record.classes[name].get(by, math.nan) for name in names}
    names.sort(key=lambda name: -values[name] if math.isfinite(values[name]) else math.inf)
    return names[: MOST_CLASSES // 2] + names[-MOST_CLASSES // 2 :], by


def _bars(axes: Axes, column: str, values: list[float]) -> None:
    """A bar for each class with its value; shares are drawn on a scale of 0 to 1, so that columns compare."""
    numbers = np.clip(values, -1e30, 1e30)
    finite = numbers[np.isfinite(numbers)]
    axes.barh(range(len(values)), np.nan_to_num(numbers), color=BLUE, alpha=0.45, height=0.8)
    low, high = min(0.0, *finite, 0.0), max(0.0, *finite, 0.0)
    axes.set_xlim(low, 1.0 if low == 0 and high <= 1 else high)
    for row, value in enumerate(numbers):
        words = f"{value:.3g}" if math.isfinite(value) else "none"
        axes.annotate(words, (0, row), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
                      va="center", fontsize="small")  # fmt: skip
    axes.set_title(plain(column), fontsize="medium")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize="small")
    axes.locator_params(axis="x", nbins=3)
