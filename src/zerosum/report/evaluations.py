"""Figures of evaluations in training: a small panel each, which way is better, and where it was best."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes

from zerosum.metrics.figures import LESS, MORE, bare, parts
from zerosum.report.curves import curves_of, draw_curves, last_values
from zerosum.report.drawing import BLACK, Picture, count_text, finished, image_axis, new_figure, plain
from zerosum.report.run_folder import RunFolder

FILE, TITLE = "evaluation.png", "Judged in training"
MOST_PANELS = 12
LONG = 26  # letters of a title
BESIDE = ("-real",)  # how the name of a figure ends that another is to be compared with: they share a panel
AROUND = "-deviation"  # and of one that is the other's error bar


def evaluations(folder: RunFolder) -> Picture:
    """`evaluation.png`: each figure of the evaluations in training against images shown."""
    curves = curves_of(folder.records, lambda record: record.evaluation)
    seen = {name: values for name, values in curves.items() if np.isfinite(values).any()}
    if not seen:
        return Picture(FILE, TITLE, "No figure has been a finite number yet.")
    images = np.array([record.images for record in folder.records])
    panels = _panels(list(seen))
    shown = panels[:MOST_PANELS]
    columns = min(2 if len(shown) in (2, 4) else 3, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure = new_figure(1000 if columns > 1 else 700, 340 if columns == 1 else 60 + 250 * lines)
    drawn = figure.subplots(lines, columns, squeeze=False).ravel()
    features = {parts(name)[1] for name in seen} - {""}
    names = {name: name if len(features) > 1 else bare(name) for name in seen}
    for axes, own in zip(drawn, shown, strict=False):
        _panel(axes, images, {name: seen[name] for name in own}, folder.things)
        _name(axes, names[own[0]], _about(own[0], images, seen[own[0]]))
    for axes in drawn[len(shown) :]:
        axes.axis("off")
    best = [f"{names[name]} {words}" for name in seen if (words := _best_words(name, images, seen[name]))]
    text = last_values("Figures", {names[name]: values for name, values in seen.items()})
    text = text.replace("report", "evaluation") + (f" The star is the best of each: {'; '.join(best)}." if best else "")
    text += f" Features: {', '.join(sorted(features))}." if features else ""
    text += f" Not drawn: {len(panels) - len(shown)} more panels." if len(panels) > len(shown) else ""
    return finished(figure, FILE, TITLE, text)


def _panels(names: list[str]) -> list[list[str]]:
    """The names by panel: a figure, and what it is to be compared with."""
    panels: dict[str, list[str]] = {}
    for name in names:
        figure, bracket, features = name.partition("[")
        for end in (*BESIDE, AROUND):
            figure = figure.removesuffix(end)
        panels.setdefault(figure + bracket + features, []).append(name)
    return list(panels.values())


def _panel(axes: Axes, images: np.ndarray, own: dict[str, np.ndarray], things: str) -> None:
    """One figure first, then what stands beside it; evaluations are joined over the reports between them."""
    first, *_ = own
    lines = {name: values for name, values in own.items() if not bare(name).endswith(AROUND)}
    for name, values in lines.items():
        kept = np.isfinite(values)
        for line in draw_curves(axes, images[kept].tolist(), {name: values[kept]}, list(lines)):
            line.set_clip_on(False)
            line.set_label(plain(bare(name)))
    for name in own.keys() - lines.keys():
        kept = np.isfinite(own[first]) & np.isfinite(own[name])
        low, high = own[first][kept] - own[name][kept], own[first][kept] + own[name][kept]
        axes.fill_between(images[kept], low, high, alpha=0.2, linewidth=0)
    if (best := _best(first, own[first])) is not None:
        axes.plot(images[best], own[first][best], marker="*", markersize=13, color=BLACK, linestyle="", clip_on=False)
    image_axis(axes, images.tolist(), things)
    axes.set_xlabel(axes.get_xlabel(), fontsize="small")
    axes.locator_params(axis="x", nbins=4)
    if len(lines) > 1:
        axes.legend(fontsize="small")


def _name(axes: Axes, name: str, about: str) -> None:
    """The panel's title, and a line in small print below it."""
    axes.set_title(plain(name), fontsize="medium" if len(name) < LONG else "small", pad=18 if about else None)
    axes.annotate(about, (0, 1), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points", fontsize="small")


def _about(name: str, images: np.ndarray, values: np.ndarray) -> str:
    """`less is better; best 12.3 at 40k`; "" where neither way is."""
    return "; best ".join(words for words in (way(name), _best_words(name, images, values)) if words)


def way(figure: str) -> str:
    """Which way a figure is better, in words; "" where neither is."""
    return "less is better" if bare(figure) in LESS else "more is better" if bare(figure) in MORE else ""


def _best(name: str, values: np.ndarray) -> int | None:
    """The place of the best value, the first such; None where neither way is better, or all are the same."""
    known = values[np.isfinite(values)]
    if not way(name) or not known.size or (known.size > 1 and known.min() == known.max()):
        return None
    return int(np.nanargmin(values) if bare(name) in LESS else np.nanargmax(values))


def _best_words(name: str, images: np.ndarray, values: np.ndarray) -> str:
    """`12.3 at 40k`; "" where there is no best."""
    best = _best(name, values)
    return "" if best is None else f"{values[best]:.4g} at {count_text(images[best])}"
