"""What all figures share: the look, the words for numbers, and the way a finished picture is handed on.

Figures are drawn on `Figure` objects with the Agg canvas; pyplot and its global state are never touched.
Colours are Okabe and Ito's (colour-blind safe); line styles differ as well, for print in grey.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike
from PIL import Image

BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#6B6B6B"
BLACK = "#111111"
LINES: tuple[tuple[str, str], ...] = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (PURPLE, ":"))
FONT_FILE = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"  # Matplotlib's own: always there

# Ours whatever the user's matplotlibrc says: the page sets the pictures on white.
LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.bbox": None,
    "text.color": "#1a1a1a",
    "text.usetex": False,
    "axes.edgecolor": "#6b6b6b",
    "axes.labelcolor": "#1a1a1a",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": "large",
    "axes.titleweight": "bold",
    "grid.color": "#e2e2e2",
    "grid.linewidth": 0.8,
    "xtick.color": "#3a3a3a",
    "ytick.color": "#3a3a3a",
    "legend.frameon": False,
    "lines.linewidth": 1.7,
}


@dataclass(frozen=True)
class Picture:
    """One picture of the report.

    `data` is the file's content, or None where it cannot exist yet; then `text` says why. Otherwise
    `text` describes what is seen. `width` is its width in pixels. In a notebook it shows itself.
    """

    file: str
    title: str
    text: str
    data: bytes | None = None
    width: int = 0

    def __repr__(self) -> str:
        """Words: its content is thousands of bytes."""
        return f"<{self.file}: {self.text}>"

    def _repr_png_(self) -> bytes | None:
        """For a notebook: the picture, where it is a PNG."""
        return self.data if self.file.endswith(".png") else None

    def _repr_html_(self) -> str | None:
        """For a notebook: the animation, which is no PNG."""
        if self.data is None or self.file.endswith(".png"):
            return None
        content = base64.b64encode(self.data).decode("ascii")
        kind = Path(self.file).suffix.removeprefix(".")
        return f'<img src="data:image/{kind};base64,{content}" alt="{escape(self.text)}">'


def new_figure(width: int, height: int, *, constrained: bool = True) -> Figure:
    """A blank figure of width × height pixels."""
    figure = Figure(figsize=(width / 125, height / 125), dpi=125, layout="constrained" if constrained else None)
    FigureCanvasAgg(figure)
    return figure


def finished(figure: Figure, file: str, title: str, text: str) -> Picture:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    return Picture(file, title, text, buffer.getvalue(), round(figure.get_figwidth() * figure.dpi))


def rendered(figure: Figure) -> Image.Image:
    """The figure as an RGB image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="raw", dpi=figure.dpi)
    width, height = figure.get_size_inches() * figure.dpi
    return Image.frombytes("RGBA", (round(width), round(height)), buffer.getvalue()).convert("RGB")


def plain(name: str) -> str:
    """A name from a file as a label that Matplotlib draws as it stands: no mathematics, no missing glyphs."""
    known = _glyphs()
    printable = "".join(letter if letter.isprintable() and ord(letter) in known else "?" for letter in name[:40])
    return printable.replace("$", r"\$").lstrip("_") or "?"


@cache
def _glyphs() -> frozenset[int]:
    """The code points that the figures' font can draw."""
    return frozenset(get_font(FONT_FILE).get_charmap())


def count_text(count: float) -> str:
    """A count to three figures: 950, 12.8k, 200k, 2M."""
    if count < 1000:
        return str(round(count))
    for unit, suffix in ((1e3, "k"), (1e6, "M"), (1e9, "G")):
        words = f"{count / unit:.3g}"
        if "e" not in words:
            return words + suffix
    return f"{count:.3g}"


def time_text(seconds: float) -> str:
    """A duration in its two largest units: 45 s, 3 min 20 s, 2 h 5 min."""
    if not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def image_axis(axes: Axes, images: Sequence[int], things: str) -> None:
    """Make the x axis count real `things` (images, points) shown, from 0 to the last of `images`."""
    axes.set_xlim(0, max(images[-1], 1) * 1.01)
    axes.set_xlabel(f"real {things} shown")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count_text(value)))


def epoch_axis(axes: Axes, images: int, epoch: float) -> None:
    """Put epochs on a second axis above; `images` and `epoch` are one moment, and fix the ratio."""
    if not (images > 0 and epoch > 0):
        return  # nothing has been shown, or the record does not know its epoch: there is no ratio to draw
    ratio = epoch / images

    def to_epochs(shown: ArrayLike) -> ArrayLike:
        return np.asarray(shown) * ratio

    def to_images(epochs: ArrayLike) -> ArrayLike:
        return np.asarray(epochs) / ratio

    above = axes.secondary_xaxis("top", functions=(to_epochs, to_images))
    above.set_xlabel("epochs", fontsize="small", color="#3a3a3a")
    above.tick_params(labelsize="small")


def log_axis(axes: Axes) -> None:
    """Make the y axis, its curves already drawn, logarithmic with plain numbers: 0.1, 0.2, 0.5, 1."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 8 * low:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    else:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
