"""Curves as SVG, of one run or of several: for light pages and dark ones, for wide ones and for a phone."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes

from zerosum.report.curves import loss_scale
from zerosum.report.drawing import LINES, LOOK, image_axis, log_axis, new_figure, plain
from zerosum.studio.cursor import KINDS, Line

TITLES = {
    "losses": "Losses",
    "outputs": "What the discriminator says",
    "evaluation": "Evaluation",
    "figures": "Measured at each report",
    "gradients": "Gradient norms",
}
MOST_POINTS = 800  # of a curve: more are closer than pixels
FARTHEST = 1e30  # Matplotlib's axes overflow beyond
SIZES = {False: (1000, 340), True: (430, 300)}  # pixels of a panel, by whether the page is narrow
DARK_LINES = (("#56B4E9", "-"), ("#FF9E4A", "--"), ("#2CCF9C", "-."), ("#E59CD8", ":"))
MORE_LINES = (("#B8860B", "-"), ("#8A8A8A", "--"), ("#C04040", "-."), ("#4FA3A5", ":"))  # seen on light and on dark
DARK = {
    "text.color": "#e5e7eb",
    "axes.labelcolor": "#e5e7eb",
    "axes.edgecolor": "#9ca3af",
    "xtick.color": "#d1d5db",
    "ytick.color": "#d1d5db",
    "grid.color": "#374151",
}
CLEAR = {"figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "svg.hashsalt": "zerosum"}

drawing = threading.Lock()  # Matplotlib's settings belong to the process


@dataclass(frozen=True)
class Curve:
    """Values at so many images shown."""

    name: str
    images: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Panel:
    """Curves that share axes."""

    title: str
    kind: str
    curves: tuple[Curve, ...]


def panels_of(lines: Sequence[Line]) -> list[Panel]:
    """The panels of one run: one for each kind that has a finite number."""
    panels = []
    for kind in KINDS:
        names = dict.fromkeys(name for line in lines for name in line.curves[kind])
        curves = tuple(curve for name in names if (curve := curve_of(lines, kind, name, name)) is not None)
        panels += [Panel(TITLES[kind], kind, group) for group in _alike(kind, curves)]
    return panels


def _alike(kind: str, curves: tuple[Curve, ...]) -> list[tuple[Curve, ...]]:
    """Curves that share a scale: shares from 0 to 1 apart from decibels and distances."""
    if kind not in ("figures", "evaluation"):
        return [curves] if curves else []
    shares = tuple(curve for curve in curves if np.abs(curve.values).max() <= 1)
    others = tuple(curve for curve in curves if np.abs(curve.values).max() > 1)
    return [group for group in (others, shares) if group]


def curve_of(lines: Sequence[Line], kind: str, name: str, called: str) -> Curve | None:
    """One number of a run over its reports, without what is not finite; None where nothing is left."""
    pairs = np.array([(line.images, line.curves[kind].get(name, np.nan)) for line in lines]).reshape(-1, 2)
    kept = _thinned(pairs[np.isfinite(pairs[:, 1])])
    return Curve(called, kept[:, 0], np.clip(kept[:, 1], -FARTHEST, FARTHEST)) if len(kept) else None


def _thinned(rows: np.ndarray) -> np.ndarray:
    if len(rows) <= MOST_POINTS:
        return rows
    chosen: np.ndarray = rows[np.unique(np.linspace(0, len(rows) - 1, MOST_POINTS).round().astype(int))]
    return chosen


def draw(panels: Sequence[Panel], *, dark: bool, narrow: bool) -> bytes:
    """The panels below each other, as SVG whose letters are outlines: it asks for no font, and looks alike anywhere."""
    width, height = SIZES[narrow]
    with drawing, rc_context(LOOK | CLEAR | (DARK if dark else {}) | ({"font.size": 9.5} if narrow else {})):
        figure = new_figure(width, height * len(panels))
        for axes, panel in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
            _draw_panel(axes, panel, dark, narrow)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return buffer.getvalue()


def _draw_panel(axes: Axes, panel: Panel, dark: bool, narrow: bool) -> None:
    styles = (DARK_LINES if dark else LINES) + MORE_LINES
    for place, curve in enumerate(panel.curves):
        colour, style = styles[place % len(styles)]
        marker = "o" if len(curve.values) <= 10 else ""
        axes.plot(curve.images, curve.values, color=colour, linestyle=style, marker=marker, label=plain(curve.name))
    values = np.concatenate([curve.values for curve in panel.curves])
    if panel.kind == "losses":
        loss_scale(axes, values)
    elif panel.kind == "outputs":
        axes.set_ylim(-0.02, 1.02)
    elif panel.kind == "gradients" and values.min() > 0:
        log_axis(axes)
    axes.set_title(panel.title)
    image_axis(axes, [int(max(curve.images[-1] for curve in panel.curves))], "images")
    axes.legend(ncols=2 if narrow else 4, fontsize="small", loc="upper left", bbox_to_anchor=(-0.02, -0.24))
