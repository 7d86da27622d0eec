"""What the codes of a latent mean: samples in which one code a row is set and all else is held."""

from __future__ import annotations

from PIL import Image

from zerosum.errors import RunError
from zerosum.report.drawing import Picture, finished, plain
from zerosum.report.grids import on_white, open_grid, scale_for, scaled, tiles_of
from zerosum.report.pictures import GAP, pixel_figure, place, write_text
from zerosum.report.run_folder import Codes

LETTER = 11  # pixels that a letter of a label takes at most, on average


def sweep(codes: Codes) -> Picture:
    """`codes.png`: a labelled row for each value of a categorical code, and for each continuous code.

    Raises RunError when samples/codes.png is damaged, or has not a row for each label.
    """
    grid, labels = codes.grid, [plain(label) for label in codes.labels]
    tiles = [Image.fromarray(tile) for tile in tiles_of(on_white(open_grid(codes.path, grid)), grid)]
    if len(tiles) != grid.rows * grid.columns:
        raise RunError(
            f"{codes.path} has {len(tiles)} tiles, and codes.json beside it says {grid.rows}×{grid.columns}. "
            "Delete it and run `zerosum report` again: the page then leaves this picture out."
        )
    scale = scale_for((grid.columns * grid.width, grid.rows * grid.height), 700, 1100)
    tiles = [scaled(tile, scale) for tile in tiles]
    width, height = tiles[0].width + GAP, tiles[0].height + GAP
    edge, top = 12, 46
    left = 2 * edge + LETTER * max(len(label) for label in labels)
    figure = pixel_figure(max(left + grid.columns * width + edge, 520), top + grid.rows * height + edge)
    for row, label in enumerate(labels):
        for column, tile in enumerate(tiles[row * grid.columns : (row + 1) * grid.columns]):
            place(figure, tile, left + column * width, top + row * height)
        write_text(figure, left - edge, top + (row + 0.5) * height, label, ha="right")
    write_text(figure, edge, top / 2, "What the codes mean: one code a row, all else held", weight="bold")
    return finished(figure, "codes.png", "Codes", words(codes.labels))


def words(labels: tuple[str, ...]) -> str:
    """What is seen, in a sentence for each kind of row that there is."""
    said = []
    if any(label.startswith("code") for label in labels):
        said.append(
            "A row sets a code to one value, and a column is one latent but for that code: what a row has in common is "
            "what the value means. To draw with code 1 = 1: zerosum sample RUN --code 1."
        )
    if any(label.startswith("continuous") for label in labels):
        said.append("In a row of a continuous code only that code moves, from left to right.")
    return " ".join(said)
