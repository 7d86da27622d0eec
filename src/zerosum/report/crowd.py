"""Samples of an ensemble: drawn from all members, and a row for each; or the points of all, each in its colour."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from PIL import Image

from zerosum.report.drawing import GREY, Picture, count_text, finished, new_figure
from zerosum.report.grids import on_white, open_grid, scale_for, scaled, tiles_of
from zerosum.report.points import Frame, frame_of, planar, read_points
from zerosum.report.run_folder import RunFolder
from zerosum.report.sheet import GAP, pixel_figure, place, write_text

Members = list[tuple[int, RunFolder]]  # by number

NONE = "No member has drawn samples yet."
MOST_ROWS = 20
MOST_LEGEND = 12
MOST_PANELS = 8
SHOWN = 1500  # points of all members together; more only make a blot
# Okabe and Ito's, but for the yellow, which is lost on white, and black, which is for what is real.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7A3B00", "#6B4EA0")


def mixed(members: Members) -> Picture:
    """`samples.png`: one grid of tiles from all members, each tile from a member drawn at random."""
    file, title = "samples.png", "Samples of all members"
    tiles = [_tiles(run) for _, run in members if run.samples]
    if not tiles:
        return Picture(file, title, NONE)
    count = min(len(own) for own in tiles)
    grid = next(run.grid for _, run in members if run.samples and run.grid)
    chosen = np.random.default_rng(0).integers(len(tiles), size=count)
    picked = np.stack([tiles[member][position] for position, member in enumerate(chosen)])
    columns = min(grid.columns, count)
    sheet = _sheet(picked[: count // columns * columns], columns)
    sheet = scaled(sheet, scale_for(sheet.size, 640, 1024))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    words = f"Each tile is from one of {len(tiles)} members, drawn at random, all equally likely."
    return Picture(file, title, words, buffer.getvalue(), sheet.width)


def rows(members: Members) -> Picture:
    """`members.png`: a row of the newest samples for each member, and one of real images above."""
    file, title = "members.png", "Each member's own"
    drawn = [(number, run) for number, run in members if run.samples and run.grid]
    if not drawn:
        return Picture(file, title, NONE)
    grid, real = drawn[0][1].grid, drawn[0][1].real
    lines = [(f"{number}", _tiles(run)) for number, run in drawn[:MOST_ROWS]]
    if real is not None and grid is not None:
        lines.insert(0, ("real", tiles_of(on_white(open_grid(real, grid)), grid)))
    columns = min(10, *(len(own) for _, own in lines))
    height, width = lines[0][1].shape[1:3]
    scale = scale_for((columns * width, columns * height), 700, 1100)
    images = [(name, [scaled(Image.fromarray(tile), scale) for tile in own[:columns]]) for name, own in lines]
    across, down = images[0][1][0].width + GAP, images[0][1][0].height + GAP
    left, top, edge = 60, 46, 12
    figure = pixel_figure(max(left + columns * across + edge, 520), top + len(images) * down + edge)
    for row, (name, line) in enumerate(images):
        for column, tile in enumerate(line):
            place(figure, tile, left + column * across, top + row * down)
        write_text(figure, left - 10, top + (row + 0.5) * down, name, ha="right")
    write_text(figure, edge, top / 2, "Real images, and the newest samples of each member", weight="bold")
    more = f" Of {len(drawn)} members the first {MOST_ROWS}." if len(drawn) > MOST_ROWS else ""
    return finished(figure, file, title, f"Above real images; then a row for each member, by its number.{more}")


def scatter(members: Members) -> Picture:
    """`scatter.png`: real points and those of all members, each in its colour; below, each member by itself."""
    file, title = "scatter.png", "Real and generated points"
    drawn = [(number, run, read_points(run.samples[-1].path)) for number, run in members if run.samples]
    behind = next((run.real for _, run, _ in drawn if run.real), None)
    real = read_points(behind) if behind else np.empty((0, 1))
    if not drawn or not len(real):
        return Picture(file, title, NONE if not drawn else "samples/real.json has no finite point yet.")
    frame, colours = frame_of(real), colours_of(len(drawn))
    small = drawn[:MOST_PANELS] if len(drawn) > 1 else []
    lines = -(-len(small) // 4)
    figure = new_figure(1000, 560 + 230 * lines)
    parts = figure.add_gridspec(1 + lines, 4, height_ratios=[2.4] + [1] * lines)
    main = figure.add_subplot(parts[0, :3])
    _cloud(main, real, frame, "#C4C4C4", "o")
    each = max(1, SHOWN // len(drawn))
    for colour, (_, _, points) in zip(colours, drawn, strict=True):
        _cloud(main, points[:each], frame, colour, "x")
    main.set_title("Points of all members on real ones")
    beside = figure.add_subplot(parts[0, 3])
    beside.axis("off")
    beside.legend(handles=_legend(drawn, colours), loc="upper left", fontsize="small").set_in_layout(False)
    for position, (number, run, points) in enumerate(small):
        axes = figure.add_subplot(parts[1 + position // 4, position % 4])
        _cloud(axes, real, frame, "#C4C4C4", "o")
        _cloud(axes, points, frame, colours[position], "x")
        axes.set_title(f"member {number}, {count_text(run.samples[-1].images)}", fontsize="small")
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
    more = f" By themselves the first {MOST_PANELS} of {len(drawn)}." if len(drawn) > MOST_PANELS else ""
    return finished(figure, file, title, f"Grey: real points. Crosses: those of each member, in its colour.{more}")


def colours_of(count: int) -> list[str]:
    """A colour for each member: of those that anyone tells apart, or, of many, along a scale."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return [to_hex(colour) for colour in matplotlib.colormaps["viridis"](np.linspace(0, 0.92, count))]


def _legend(drawn: list[tuple[int, RunFolder, np.ndarray]], colours: list[str]) -> list[Line2D]:
    named = [
        Line2D([], [], color=colour, marker="x", linestyle="", label=f"member {number}")
        for colour, (number, _, _) in list(zip(colours, drawn, strict=True))[:MOST_LEGEND]
    ]
    more = len(drawn) - len(named)
    rest = [Line2D([], [], color=GREY, linestyle="", label=f"and {more} more")] if more else []
    return [Line2D([], [], color="#C4C4C4", marker="o", linestyle="", label="real points"), *named, *rest]


def _cloud(axes: Axes, points: np.ndarray, frame: Frame, colour: str, marker: str) -> None:
    plane = planar(points)[:SHOWN]
    axes.plot(plane[:, 0], plane[:, 1], marker, color=colour, markersize=3, alpha=0.6)
    axes.set_xlim(frame.x)
    axes.set_ylim(frame.y)


def _tiles(run: RunFolder) -> np.ndarray:
    """The tiles of a member's newest grid, RGB uint8 (N, height, width, 3); of a run that has samples."""
    if run.grid is None:
        return np.empty((0, 1, 1, 3), dtype=np.uint8)
    return tiles_of(on_white(open_grid(run.samples[-1].path, run.grid)), run.grid)


def _sheet(tiles: np.ndarray, columns: int) -> Image.Image:
    """Tiles (N, height, width, 3), N a multiple of `columns`, as one picture."""
    count, height, width, channels = tiles.shape
    grid = tiles.reshape(count // columns, columns, height, width, channels).swapaxes(1, 2)
    return Image.fromarray(grid.reshape(count // columns * height, columns * width, channels))
