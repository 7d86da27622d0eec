"""Pictures laid out by the pixel: tiles where they are put, with words beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from zerosum.report.drawing import LOOK, new_figure, plain

GAP = 2  # pixels of white between tiles
EDGE = 12  # pixels of white around all
TOP = 46  # pixels for the heading
FONT = float(LOOK["font.size"])  # points
LETTER = 11  # pixels that a letter takes at most, on average, at that size
MOST_LETTERS = 24  # of the words of a row; more are cut
LEAST_FONT = 7.0  # points
READABLE = 12  # pixels of height that a row needs for its words to be read


def pixel_figure(width: int, height: int) -> Figure:
    """A figure in which a pixel of a picture is a pixel of the file."""
    return new_figure(width, height, constrained=False)


def place(figure: Figure, image: Image.Image, x: int, y: int) -> None:
    """Put the image with its upper left corner x, y pixels from that of the figure."""
    height = round(figure.get_figheight() * figure.dpi)
    figure.figimage(np.asarray(image), xo=x, yo=height - y - image.height, origin="upper")


def write_text(
    figure: Figure, x: float, y: float, words: str, ha: str = "left", weight: str = "normal", size: float = FONT
) -> None:
    """Write words beginning (or ending, or with their middle) x pixels from the left, their middle y from the top."""
    width, height = figure.get_size_inches() * figure.dpi
    figure.text(x / width, 1 - y / height, words, ha=ha, va="center", weight=weight, size=size)


def label_width(labels: Sequence[str]) -> int:
    """The pixels that the words of rows take at the left of a picture, its edge included; 0 where there are none."""
    return 2 * EDGE + LETTER * max(len(_cut(label, MOST_LETTERS)) for label in labels) if labels else 0


def write_rows(figure: Figure, left: float, tops: Sequence[float], height: float, labels: Sequence[str]) -> None:
    """Write a label before each row of tiles, which begin `left` pixels from the left and are `height` high."""
    size = min(FONT, 0.8 * height * 72 / figure.dpi)
    for top, label in zip(tops, labels, strict=True):
        words = plain(_cut(label, MOST_LETTERS))
        write_text(figure, left - EDGE, top + height / 2, words, ha="right", size=size)


def write_heads(figure: Figure, left: float, y: float, width: float, labels: Sequence[str]) -> None:
    """Write a label over the middle of each column, which are `width` pixels wide: smaller, then cut, to fit."""
    longest = max(len(label) for label in labels)
    size = max(LEAST_FONT, min(FONT, FONT * width / (LETTER * max(longest, 1))))
    most = max(1, int(width * FONT / (LETTER * size)))
    for column, label in enumerate(labels):
        words = plain(_cut(label, most))
        write_text(figure, left + (column + 0.5) * width, y, words, ha="center", size=size)


def _cut(label: str, most: int) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"
