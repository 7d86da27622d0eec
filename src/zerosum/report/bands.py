"""Curves of an ensemble: the mean as a line, a deviation to each side as a band, and a paler one for all members."""

from __future__ import annotations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from zerosum.report.curves import loss_scale
from zerosum.report.drawing import (
    GREY,
    LINES,
    Picture,
    finished,
    image_axis,
    log_axis,
    new_figure,
    plain,
)
from zerosum.report.spread import Band

Curves = dict[str, dict[str, Band]]
NONE = "No member has made a report with it yet."


def losses(curves: Curves, things: str) -> Picture:
    """`losses.png`: each player's loss, and its gradient norms below."""
    file, title = "losses.png", "Losses"
    upper, lower = _seen(curves, "losses"), _seen(curves, "gradients")
    if not upper:
        return Picture(file, title, NONE)
    figure = new_figure(1000, 740 if lower else 540)
    panels = figure.subplots(2 if lower else 1, 1, squeeze=False, height_ratios=(2.2, 1)[: 1 + bool(lower)])[:, 0]
    names = list(dict.fromkeys([*upper, *lower]))
    handles = _draw(panels[0], upper, names)
    loss_scale(panels[0], np.concatenate([band.spread.mean for band in upper.values()]))
    panels[0].set_title("Losses, mean and spread over the members")
    if lower:
        _draw(panels[1], lower, names, positive=True)
        log_axis(panels[1])
        panels[1].set_title("Gradient norms (log scale)", fontsize="medium")
    for axes in panels:
        image_axis(axes, _images(upper | lower), things)
    if lower:
        panels[0].set_xlabel("")
    figure.legend(handles=handles + _keys(), loc="outside lower center", ncols=4)
    return finished(figure, file, title, _words(upper))


def outputs(curves: Curves, things: str) -> Picture:
    """`outputs.png`: D(x), and D(G(z)) before and after D's turn, as probabilities."""
    found = _seen(curves, "outputs")
    title = "What the discriminator says"
    if not found:
        return Picture("outputs.png", title, NONE)
    figure, axes, handles = _one_panel(found, things, "Discriminator outputs, mean and spread over the members")
    axes.axhline(0.5, color=GREY, linewidth=1.0)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("probability of being real")
    figure.legend(handles=handles + _keys(), loc="outside lower center", ncols=4)
    return finished(figure, "outputs.png", title, _words(found))


def parts(curves: Curves, things: str) -> Picture:
    """`parts.png`: penalties and other terms, bare."""
    found = _seen(curves, "parts")
    title = "Penalties and other terms"
    if not found:
        return Picture("parts.png", title, "This game has none, or no member has reported one yet.")
    figure, axes, handles = _one_panel(found, things, "Penalties and other terms, mean and spread over the members")
    loss_scale(axes, np.concatenate([band.spread.mean for band in found.values()]))
    axes.set_ylabel(axes.get_ylabel().replace("loss", "value"))
    figure.legend(handles=handles + _keys(), loc="outside lower center", ncols=4)
    return finished(figure, "parts.png", title, _words(found))


def pace(curves: Curves, things: str) -> Picture:
    """`pace.png`: real images a second."""
    found = {f"{things}/s": band for band in _seen(curves, "pace").values()}
    if not found:
        return Picture("pace.png", "Pace", NONE)
    figure, axes, handles = _one_panel(found, things, "Pace, mean and spread over the members")
    axes.set_ylabel(f"real {things} a second")
    axes.set_ylim(bottom=0)
    figure.legend(handles=handles + _keys(), loc="outside lower center", ncols=4)
    return finished(figure, "pace.png", "Pace", _words(found))


def _seen(curves: Curves, kind: str) -> dict[str, Band]:
    """The curves of a kind that have a value anywhere."""
    return {name: band for name, band in curves.get(kind, {}).items() if np.isfinite(band.spread.mean).any()}


def _images(found: dict[str, Band]) -> list[int]:
    return [int(images) for images in next(iter(found.values())).images]


def _one_panel(found: dict[str, Band], things: str, title: str) -> tuple[Figure, Axes, list[Artist]]:
    figure = new_figure(1000, 540)
    axes = figure.subplots()
    handles = _draw(axes, found, list(found))
    axes.set_title(title)
    image_axis(axes, _images(found), things)
    return figure, axes, handles


def _draw(axes: Axes, found: dict[str, Band], names: list[str], *, positive: bool = False) -> list[Artist]:
    """Each curve in the colour of its place in `names`; `positive`: for a logarithmic axis."""
    handles: list[Artist] = []
    for name, band in found.items():
        colour, style = LINES[names.index(name) % len(LINES)]
        spread = band.spread
        deviation = np.nan_to_num(spread.deviation)
        least = np.maximum(spread.lowest, 1e-30) if positive else -np.inf
        low, high = np.maximum(spread.mean - deviation, least), spread.mean + deviation
        axes.fill_between(band.images, spread.lowest, spread.highest, color=colour, alpha=0.13, linewidth=0)
        axes.fill_between(band.images, low, high, color=colour, alpha=0.28, linewidth=0)
        marker = "o" if np.isfinite(spread.mean).sum() <= 10 else ""
        handles += axes.plot(
            band.images, spread.mean, color=colour, linestyle=style, marker=marker, markersize=4, label=plain(name)
        )
    return handles


def _keys() -> list[Artist]:
    """What the bands are."""
    return [
        Patch(color=GREY, alpha=0.41, linewidth=0, label="mean ± deviation"),
        Patch(color=GREY, alpha=0.13, linewidth=0, label="lowest to highest"),
    ]


def _words(found: dict[str, Band]) -> str:
    """The description that stands for the curves where they cannot be seen."""
    ends = []
    for name, band in found.items():
        last = np.flatnonzero(np.isfinite(band.spread.mean))[-1]
        ends.append(f"{name} {in_words(band.spread.mean[last], band.spread.deviation[last])}")
    return f"At the end, mean ± standard deviation over the members: {'; '.join(ends)}."


def in_words(mean: float, deviation: float) -> str:
    """`0.512 ± 0.031`; the mean alone where one member has no deviation."""
    return f"{number(mean)} ± {number(deviation, 2)}" if np.isfinite(deviation) else number(mean)


def number(value: float, digits: int = 4) -> str:
    """To so many digits, or to the unit: 0.03125, 12.5, 9,143."""
    return f"{value:,.0f}" if 100 <= abs(value) < 1e7 else f"{value:.{digits}g}"
