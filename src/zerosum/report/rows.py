"""The pictures whose rows have words, drawn: a label at the left of each row of tiles."""

from __future__ import annotations

from PIL import Image

from zerosum.errors import RunError
from zerosum.report.drawing import Picture, finished
from zerosum.report.grids import on_white, open_grid, scale_for, scaled, tiles_of
from zerosum.report.row_kinds import ROW_KINDS, RowKind
from zerosum.report.run_folder import Rows
from zerosum.report.sheet import EDGE, GAP, TOP, label_width, pixel_figure, place, write_rows, write_text
from zerosum.report.translation import Translation

BAND = 8  # pixels between a band of rows and those before


def labelled_rows(rows: Rows, translation: Translation | None) -> Picture:
    """`NAME.png`: a labelled row of tiles for each of the labels; a little space wherever a band of them begins.

    Raises RunError when samples/NAME.png is damaged, or has not a row for each label.
    """
    grid, kind = rows.grid, ROW_KINDS[rows.name]
    tiles = [Image.fromarray(tile) for tile in tiles_of(on_white(open_grid(rows.path, grid)), grid)]
    if len(tiles) != grid.rows * grid.columns:
        raise RunError(
            f"{rows.path} has {len(tiles)} tiles, and {rows.name}.json beside it says {grid.rows}×{grid.columns}. "
            "Delete it and run `zerosum report` again: the page then leaves this picture out."
        )
    scale = scale_for((grid.columns * grid.width, grid.rows * grid.height), 700, 1100)
    tiles = [scaled(tile, scale) for tile in tiles]
    width, height = tiles[0].width + GAP, tiles[0].height + GAP
    left = label_width(grid.labels)
    tops = _tops(grid.labels, kind, height)
    figure = pixel_figure(max(left + grid.columns * width + EDGE, 520), tops[-1] + height + EDGE)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, grid.columns)
        place(figure, tile, left + column * width, tops[row])
    write_rows(figure, left, tops, height, grid.labels)
    write_text(figure, EDGE, TOP / 2, kind.heading, weight="bold")
    return finished(figure, f"{rows.name}.png", kind.title, kind.words(grid.labels, translation))


def _tops(labels: tuple[str, ...], kind: RowKind, height: int) -> list[int]:
    """Where each row begins, in pixels from the top."""
    tops, top = [], TOP
    for row, label in enumerate(labels):
        top += BAND if row and (label == labels[0] or label in kind.begins) else 0
        tops.append(top)
        top += height
    return tops
