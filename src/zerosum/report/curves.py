"""Curves over the run: losses with gradient norms, and what the discriminator says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from zerosum.report.drawing import (
    GREY,
    LINES,
    Picture,
    epoch_axis,
    finished,
    image_axis,
    log_axis,
    new_figure,
    plain,
)
from zerosum.report.records import Record
from zerosum.report.run_folder import RunFolder

# Above this many times the median, a linear axis would show the outlier and nothing else.
OUTLIER = 30.0


def losses(folder: RunFolder) -> Picture:
    """`losses.png`: the loss of each player against images shown, epochs above, gradient norms below."""
    file, title = "losses.png", "Losses"
    records = folder.records
    curves = curves_of(records, lambda record: record.losses)
    if not any(np.isfinite(values).any() for values in curves.values()):
        return Picture(file, title, "No loss has been recorded yet: the curves begin with the first report.")
    norms = curves_of(records, lambda record: record.gradients)
    positive = {name: np.where(values > 1e-30, values, np.nan) for name, values in norms.items()}
    has_norms = any(np.isfinite(values).any() for values in positive.values())
    figure = new_figure(1000, 690 if has_norms else 500)
    panels = figure.subplots(2 if has_norms else 1, 1, squeeze=False, height_ratios=(2.2, 1)[: 1 + has_norms])
    upper = panels[0, 0]
    names = [*curves, *(name for name in positive if name not in curves)]
    images = [record.images for record in records]
    handles = draw_curves(upper, images, curves, names)
    loss_scale(upper, np.concatenate(list(curves.values())))
    upper.set_title("Losses")
    _mark_divergence(upper, folder)
    image_axis(upper, images, folder.things)
    epoch_axis(upper, records[-1].images, records[-1].epoch)
    if has_norms:
        lower = panels[1, 0]
        upper.set_xlabel("")
        draw_curves(lower, images, positive, names)
        log_axis(lower)
        lower.set_title("Gradient norms (log scale)", fontsize="medium")
        image_axis(lower, images, folder.things)
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return finished(figure, file, title, last_values("Losses", curves))


def outputs(folder: RunFolder) -> Picture:
    """`outputs.png`: D(x), and D(G(z)) before and after D's turn, as probabilities, against images shown."""
    file, title = "outputs.png", "What the discriminator says"
    records = folder.records
    curves = curves_of(records, lambda record: record.outputs)
    if not any(np.isfinite(values).any() for values in curves.values()):
        return Picture(file, title, "No output of the discriminator has been recorded yet.")
    figure = new_figure(1000, 540)
    axes = figure.subplots()
    images = [record.images for record in records]
    handles = draw_curves(axes, images, curves, list(curves))
    axes.axhline(0.5, color=GREY, linewidth=1.0)
    axes.annotate(
        "0.5: cannot tell",
        (0.995, 0.5),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        color="#3a3a3a",
        fontsize="small",
    )
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("probability of being real")
    axes.set_title("Discriminator outputs")
    _mark_divergence(axes, folder)
    image_axis(axes, images, folder.things)
    epoch_axis(axes, records[-1].images, records[-1].epoch)
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return finished(figure, file, title, last_values("Mean outputs", curves))


def curves_of(records: tuple[Record, ...], pick: Callable[[Record], dict[str, float]]) -> dict[str, np.ndarray]:
    """One array a name, as long as the records; NaN where a record lacks the name.

    Cut to ±1e30, which no picture can tell from more: Matplotlib's axes overflow at the end of float64.
    """
    names = dict.fromkeys(name for record in records for name in pick(record))
    return {name: np.clip([pick(record).get(name, math.nan) for record in records], -1e30, 1e30) for name in names}


def draw_curves(axes: Axes, images: Sequence[int], curves: dict[str, np.ndarray], names: Sequence[str]) -> list[Line2D]:
    """Draw each curve in the colour of its place in `names`; a few points, or one, get markers."""
    handles = []
    for name, values in curves.items():
        colour, style = LINES[names.index(name) % len(LINES)]
        marker = "o" if np.isfinite(values).sum() <= 10 else ""
        handles += axes.plot(images, values, color=colour, linestyle=style, marker=marker, label=plain(name))
    return handles


def loss_scale(axes: Axes, values: np.ndarray) -> None:
    """A linear axis, unless outliers would flatten all the rest."""
    sizes = np.abs(values[np.isfinite(values)])
    middle = float(np.median(sizes))
    if middle < 1e-30 or sizes.max() <= OUTLIER * middle:
        axes.set_ylabel("loss")
    elif np.nanmin(values) > 0:
        log_axis(axes)
        axes.set_ylabel("loss (log scale)")
    else:
        _log_both_ways(axes, around=2 * middle, furthest=float(sizes.max()))
        axes.set_ylabel("loss (log scale at the ends)")


def _log_both_ways(axes: Axes, around: float, furthest: float) -> None:
    """Linear from -`around` to `around`, and logarithmic beyond, with few enough labels to be read."""
    least = math.ceil(math.log10(around))
    exponents = range(least, math.ceil(math.log10(furthest)) + 1)
    axes.set_yscale("symlog", linthresh=10.0**least, linscale=max(1.5, len(exponents) / 4))
    powers = [10.0**exponent for exponent in exponents[:: math.ceil(len(exponents) / 3)]]
    axes.yaxis.set_major_locator(FixedLocator([*(-power for power in powers), 0, *powers]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _mark_divergence(axes: Axes, folder: RunFolder) -> None:
    if folder.status.state != "diverged":
        return
    axes.axvline(folder.records[-1].images, color="black", linewidth=1.2, linestyle=(0, (2, 2)))
    axes.annotate(
        "diverged",
        (folder.records[-1].images, 0.5),
        xycoords=("data", "axes fraction"),
        xytext=(-3, 0),
        textcoords="offset points",
        rotation="vertical",
        ha="right",
        va="center",
    )


def last_values(words: str, curves: dict[str, np.ndarray]) -> str:
    """`words` and the ends of each curve: the description that stands for the curves where they cannot be seen."""
    finite = {name: values[np.isfinite(values)] for name, values in curves.items()}
    ends = [f"{name} {values[0]:.3g} → {values[-1]:.3g}" for name, values in finite.items() if values.size]
    return f"{words} in the first → last report: {'; '.join(ends)}."
