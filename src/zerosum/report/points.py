"""Pictures of points: real against generated, mean and covariance, of the first two dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke

from zerosum.report import fields
from zerosum.report.drawing import BLACK, BLUE, VERMILION, Picture, count_text, finished, new_figure
from zerosum.report.grids import milestones_of
from zerosum.report.records import Moments
from zerosum.report.run_folder import RunFolder

FARTHEST = 1e30  # what a diverging run sends farther is put here: squares and axes overflow beyond
MOST_DRAWN = 2000  # more points only make a blot


@dataclass(frozen=True)
class Frame:
    """The part of the plane that is drawn: (low, high) of each axis."""

    x: tuple[float, float]
    y: tuple[float, float]


def read_points(path: Path) -> np.ndarray:
    """The points of a sample file, float64 (N, D), without those that are not finite. Raises RunError."""
    points = np.clip(fields.rows(fields.read_object(path), "points", str(path)), -FARTHEST, FARTHEST)
    finite: np.ndarray = points[np.isfinite(points).all(axis=1)]
    return finite


def planar(points: np.ndarray) -> np.ndarray:
    """(N, 2): the first two dimensions; points on a line are spread over [0, 1] beside it."""
    if points.shape[1] == 1:
        return np.column_stack([points[:, 0], np.linspace(0, 1, len(points))])
    return points[:, :2]


def frame_of(real: np.ndarray) -> Frame:
    """The frame of real points (N >= 1, D), with a third of their range of room on each side."""
    plane = planar(real)
    low, high = plane.min(axis=0), plane.max(axis=0)
    room = np.maximum((high - low) / 3, 1e-6)
    (x0, y0), (x1, y1) = low - room, high + room
    return Frame((float(x0), float(x1)), (float(y0), float(y1)))


def outside(points: np.ndarray, frame: Frame) -> str:
    """Words for how many points the frame does not show: ", 3 outside", or nothing where it shows all."""
    x, y = planar(points).T
    inside = (x >= frame.x[0]) & (x <= frame.x[1]) & (y >= frame.y[0]) & (y <= frame.y[1])
    count = int((~inside).sum())
    return f", {count} outside" if count else ""


def moments_of(points: np.ndarray) -> Moments:
    """Mean and (unbiased) covariance of points (N, D); NaN where there are too few."""
    dimensions = points.shape[1]
    if len(points) < 2:
        return Moments([np.nan] * dimensions, [[np.nan] * dimensions] * dimensions)
    covariance = np.cov(points, rowvar=False).reshape(dimensions, dimensions)
    return Moments(points.mean(axis=0).tolist(), covariance.tolist())


def draw_points(axes: Axes, points: np.ndarray, frame: Frame, kind: str) -> None:
    """Draw a cloud, `kind` "real" or "generated"; what lies outside the frame is not drawn."""
    plane = planar(points)[:MOST_DRAWN]
    colour, marker = (BLUE, "o") if kind == "real" else (VERMILION, "x")
    axes.plot(plane[:, 0], plane[:, 1], marker, color=colour, markersize=3, alpha=0.45, label=kind)
    axes.set_xlim(frame.x)
    axes.set_ylim(frame.y)


def scatter(folder: RunFolder) -> Picture:
    """`scatter.png`: real and generated points at the end, the moments of both, and the milestones."""
    file, title = "scatter.png", "Real and generated points"
    real = read_points(folder.real) if folder.real else np.empty((0, 1))
    if not folder.samples or not len(real):
        missing = "No points have been drawn yet." if len(real) else "samples/real.json has no finite point yet."
        return Picture(file, title, missing)
    last = read_points(folder.samples[-1].path)
    learned = _learned(folder) or moments_of(last)
    expected = folder.data.truth or moments_of(real)
    frame = frame_of(real)
    steps = milestones_of(folder.samples, 5)
    figure = new_figure(1000, 800 if len(steps) > 1 else 540)
    parts = figure.add_gridspec(2 if len(steps) > 1 else 1, 10, height_ratios=(2.4, 1)[: min(2, len(steps))])
    main = figure.add_subplot(parts[0, :6])
    draw_points(main, real, frame, "real")
    draw_points(main, last, frame, "generated")
    ellipses = _ellipse(main, expected, BLUE, "-") + _ellipse(main, learned, BLACK, "--")
    main.set_title(f"After {count_text(folder.samples[-1].images)} shown{outside(last, frame)}")
    _name_axes(main, folder)
    beside = figure.add_subplot(parts[0, 6:])
    beside.axis("off")
    name = "true" if folder.data.truth else "data"
    beside.text(0, 0.98, _table(name, expected, learned), va="top", family="DejaVu Sans Mono", fontsize=9.5)
    legend = beside.legend(handles=_legend(name, bool(ellipses)), loc="lower left")
    legend.set_in_layout(False)
    for place, step in enumerate(steps if len(steps) > 1 else []):
        small = figure.add_subplot(parts[1, 2 * place : 2 * place + 2])
        draw_points(small, real, frame, "real")
        then = read_points(step.path)
        draw_points(small, then, frame, "generated")
        small.set_title(count_text(step.images) + outside(then, frame), fontsize="small")
        small.tick_params(labelbottom=False, labelleft=False, length=0)
    return finished(figure, file, title, _words(name, expected, learned))


def _learned(folder: RunFolder) -> Moments | None:
    """The moments in the newest record that has any: the trainer may take them from more than it saves."""
    return next((record.points for record in reversed(folder.records) if record.points is not None), None)


def _name_axes(axes: Axes, folder: RunFolder) -> None:
    dimensions = folder.data.shape[0]
    axes.set_xlabel("first dimension" + (f" of {dimensions}" if dimensions > 2 else ""))
    axes.set_ylabel("second dimension" if dimensions > 1 else "place in the list (no meaning)")


def _ellipse(axes: Axes, moments: Moments, colour: str, style: str) -> list[Ellipse]:
    """The ellipse two standard deviations from the mean; none in one dimension, where it is not finite, or too far."""
    centre, covariance = np.array(moments.mean[:2]), np.array(moments.covariance)[:2, :2]
    if len(centre) < 2 or not (np.abs(centre).max() < FARTHEST and np.abs(covariance).max() < FARTHEST):
        return []
    values, vectors = np.linalg.eigh(covariance)
    width, height = 4 * np.sqrt(np.maximum(values, 0))  # diameters: two standard deviations each way
    angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
    ellipse = Ellipse((centre[0], centre[1]), width, height, angle=angle)
    ellipse.set(fill=False, edgecolor=colour, linestyle=style, linewidth=2.2, zorder=5)
    if style == "-":  # a halo for the one below; the dashes above let it be seen
        ellipse.set_path_effects([withStroke(linewidth=5, foreground="white")])
    axes.add_patch(ellipse)
    return [ellipse]


def _legend(name: str, has_ellipses: bool) -> list[Line2D]:
    dots = [
        Line2D([], [], color=BLUE, marker="o", linestyle="", label="real points"),
        Line2D([], [], color=VERMILION, marker="x", linestyle="", label="generated points"),
    ]
    rings = [
        Line2D([], [], color=BLUE, label=f"2 standard deviations, {name}"),
        Line2D([], [], color=BLACK, linestyle="--", label="2 standard deviations, learned"),
    ]
    return dots + rings if has_ellipses else dots


def _table(name: str, expected: Moments, learned: Moments) -> str:
    """Mean and covariance of the first two dimensions, side by side, in columns of a fixed width."""

    def row(left: list[float], right: list[float]) -> str:
        return "   ".join("".join(f"{value:8.3g}" for value in side[:2]) for side in (left, right))

    gap = " " * (8 * len(expected.mean[:2]) - 5)
    head = f"{name:>8}{gap}{'learned':>8}"
    rows = zip(expected.covariance[:2], learned.covariance[:2], strict=False)
    return "\n".join(
        ["Mean", head, row(expected.mean, learned.mean), "", "Covariance", head]
        + [row(left, right) for left, right in rows]
    )


def _words(name: str, expected: Moments, learned: Moments) -> str:
    means = [", ".join(f"{value:.3g}" for value in moments.mean[:2]) for moments in (expected, learned)]
    return f"Mean ({name}): {means[0]}; learned: {means[1]}. Covariances are in the picture."
