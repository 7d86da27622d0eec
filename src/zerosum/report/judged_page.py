"""The section "Judged" of a page: figures over the training, those that `zerosum evaluate` wrote, nearest pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from PIL import Image, UnidentifiedImageError

from zerosum.errors import RunError
from zerosum.report.drawing import Picture
from zerosum.report.fields import read_bytes
from zerosum.report.judged import REMEDY, Figure, Judged

NEAREST = "nearest.png"


def nearest_of(judged: Judged) -> Picture | None:
    """The picture of samples beside what they are nearest to, as `zerosum evaluate` drew it; None: there is none.

    Raises RunError where it is no PNG.
    """
    path = judged.nearest
    if path is None:
        return None
    try:
        with Image.open(path, formats=["PNG"]) as image:
            width = image.width
            image.verify()
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise RunError(f"{path} cannot be read as a PNG ({error}). {REMEDY}") from error
    words = "At the left what the run makes, at its right the training images nearest to it, with their distances: "
    return Picture(NEAREST, "Nearest", f"{words}copies among them would be learnt by heart.", read_bytes(path), width)


@dataclass(frozen=True)
class Judging:
    """Figures of the section, HTML as it stands, or "": curves over the training, nearest images."""

    curves: str
    nearest: str


def judged_section(judged: Judged | None, figures: Judging) -> str:
    """HTML of the section; "" where there is nothing to show."""
    if judged is None and not figures.curves:
        return ""
    curves = f"<h3>In training</h3>{figures.curves}" if figures.curves else ""
    found = "" if judged is None else "".join(_found(judged))
    return f"<section><h2>Judged</h2>{curves}{found}{figures.nearest}</section>"


def _found(judged: Judged) -> Iterable[str]:
    """What was compared with what, the table of figures, and what to think of it."""
    yield "<h3>By zerosum evaluate</h3>"
    yield f"<p>{escape(judged.made)} against {escape(judged.real)}, seed {judged.seed}, {escape(judged.time)}. "
    yield f"Features: {escape(judged.features)}.</p>"
    head = ["figure", "value", *(["over members"] if judged.members else []), "what it says"]
    rows = [_row(figure, judged.members) for figure in judged.figures]
    lines = ["".join(f'<th scope="col">{escape(name)}</th>' for name in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    yield f'<table class="wide">{"".join(f"<tr>{line}</tr>" for line in lines)}</table>'
    if judged.members:
        yield f"<p>Value: all {judged.members} members as one generator. Over members: mean ± standard deviation.</p>"
    if judged.indicative:
        yield "<p><strong>Indicative</strong>: there are fewer than 10,000 samples. Figures compare with those of "
        yield "equal counts alone.</p>"


def _row(figure: Figure, members: int) -> list[str]:
    around = ""
    if figure.mean is not None:
        deviation = figure.deviation
        known = deviation is not None and math.isfinite(deviation)
        around = f"{_number(figure.mean)}{f' ± {deviation:.2g}' if known else ''}"
    return [figure.name, _number(figure.value), *([around] if members else []), figure.meaning]


def _number(value: float) -> str:
    return f"{value:.5g}" if math.isfinite(value) else "–"
