"""How the game was doing: the verdict of each report, what it was judged by, and where the training went back."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from zerosum.report.curves import curves_of, draw_curves, last_values
from zerosum.report.drawing import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILION,
    Picture,
    count_text,
    finished,
    image_axis,
    new_figure,
)
from zerosum.report.records import Record
from zerosum.report.run_folder import RunFolder

FILE, TITLE = "health.png", "Health"
HEALTHY, OTHER = "healthy", "another verdict"
# What a verdict begins with, and how it looks: other hatches too, for print in grey.
STATES: dict[str, tuple[str, str]] = {
    HEALTHY: (GREEN, ""),
    "collapse": (VERMILION, "xx"),
    "oscillating": ("#E69F00", "//"),
    "diverging": (BLACK, ""),
    "the discriminator has won": (BLUE, "\\\\"),
    "the discriminator memorises": (PURPLE, ".."),
    OTHER: (GREY, "--"),
}
# A panel each: its title, the figures of the evidence in it with their words, and the range of a share.
PANELS: tuple[tuple[str, dict[str, str], bool], ...] = (
    ("Different kinds", {"kinds": "of samples", "real_kinds": "of as many real ones"}, False),
    ("Share with a near-duplicate", {"twins": "of samples", "real_twins": "of real ones"}, True),
    ("Modes", {"even": "evenly reached", "modes": "there are"}, False),
    ("Discriminator's accuracy", {"accuracy": "accuracy"}, True),
    ("r_v: 0 fresh, 1 learnt by heart", {"r_v": "r_v"}, False),
)
BACK: dict[str, Any] = {"marker": "v", "markersize": 9, "color": BLACK, "linestyle": ""}
LETTER = 8  # pixels of a letter in the band, about
WIDTH = 1000


def state_of(health: str) -> str:
    """The state that a verdict's sentence begins with; OTHER where it is none of them."""
    return next((state for state in STATES if health == state or health.startswith(f"{state}:")), OTHER)


def is_worth_seeing(records: tuple[Record, ...]) -> bool:
    """Whether there is more to show than that all was well, which the head of the page says."""
    states = {state_of(record.health) for record in records}
    return any(record.evidence or record.rollbacks for record in records) or bool(states - {HEALTHY, OTHER})


def health(folder: RunFolder) -> Picture:
    """`health.png`: a band with the verdict of each report, and below it what verdicts were judged by."""
    records = folder.records
    curves = curves_of(records, lambda record: record.evidence)
    panels = [(title, own, share) for title, names, share in PANELS if (own := _seen(curves, names))]
    columns = 2 if len(panels) in (2, 4) else min(3, max(1, len(panels)))
    lines = math.ceil(len(panels) / columns)
    figure = new_figure(WIDTH, 150 + 240 * lines)
    parts = figure.add_gridspec(1 + lines, columns, height_ratios=[0.35, *[1] * lines])
    band = figure.add_subplot(parts[0, :])
    _band(band, folder)
    for place, (title, own, share) in enumerate(panels):
        axes = figure.add_subplot(parts[1 + place // columns, place % columns])
        _panel(axes, folder, title, own, share)
    if len(handles := _legend(records)) > 1:
        figure.legend(handles=handles, loc="outside upper center", ncols=4, fontsize="small")
    text = _counted(records)
    if panels:
        shown = {f"{title}, {name}": values for title, own, _ in panels for name, values in own.items()}
        text += f" {last_values('What it was judged by', shown)}"
    return finished(figure, FILE, TITLE, text)


def rollbacks(folder: RunFolder) -> list[str]:
    """A sentence for each time that the training went back, as the newest record has them."""
    known = folder.records[-1].rollbacks if folder.records else ()
    return [
        f"Went back from {count_text(each.start)} to {count_text(each.end)} real {folder.things} shown, to go on by "
        f"other chance: {each.why.strip().rstrip('.')}."
        for each in known
    ]


def _seen(curves: dict[str, np.ndarray], names: dict[str, str]) -> dict[str, np.ndarray]:
    """The curves of a panel by their words; none where its first has no value, or stands for nothing."""
    found = {words: curves[name] for name, words in names.items() if name in curves}
    first = curves.get(next(iter(names)))
    return {} if first is None or not np.isfinite(first).any() else found


def _band(axes: Axes, folder: RunFolder) -> None:
    """Each report's verdict, from the report before to its own; its name where there is room for it."""
    records, start = folder.records, 0
    image_axis(axes, [record.images for record in records], folder.things)
    stretches: list[tuple[str, int, int]] = []
    for record in records:
        state = state_of(record.health)
        if stretches and stretches[-1][0] == state:
            start = stretches.pop()[1]
        stretches.append((state, start, record.images))
        start = record.images
    for state, begin, end in stretches:
        colour, hatch = STATES[state]
        axes.axvspan(begin, end, facecolor=colour, hatch=hatch, alpha=0.6, edgecolor="white", linewidth=0)
        if (end - begin) / max(records[-1].images, 1) * WIDTH * 0.9 > LETTER * len(state):
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
            axes.text((begin + end) / 2, 0.5, state, ha="center", va="center", fontsize="small", bbox=box)
    for back in records[-1].rollbacks:
        axes.plot([back.end], [1.12], clip_on=False, **BACK)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_title("Verdict of each report", pad=14)


def _legend(records: tuple[Record, ...]) -> list[Artist]:
    """Each state that there was, and the mark of going back."""
    states = dict.fromkeys(state_of(record.health) for record in records)
    handles: list[Artist] = [
        Patch(facecolor=STATES[state][0], hatch=STATES[state][1], alpha=0.6, edgecolor="white", label=state)
        for state in states
    ]
    return [*handles, Line2D([], [], label="went back to here", **BACK)] if records[-1].rollbacks else handles


def _panel(axes: Axes, folder: RunFolder, title: str, own: dict[str, np.ndarray], share: bool) -> None:
    """Some figures of the evidence; reports that did not look are joined over."""
    images = np.array([record.images for record in folder.records])
    for name, values in own.items():
        kept = np.isfinite(values)
        for line in draw_curves(axes, images[kept].tolist(), {name: values[kept]}, list(own)):
            line.set_clip_on(False)
    image_axis(axes, images.tolist(), folder.things)
    axes.set_xlabel(axes.get_xlabel(), fontsize="small")
    axes.locator_params(axis="x", nbins=4)
    axes.set_title(title, fontsize="medium")
    if share:
        axes.set_ylim(-0.03, 1.03)
    elif title.startswith("r_v"):
        low, high = axes.get_ylim()
        axes.set_ylim(max(min(low, -0.1), -1.5), min(max(high, 1.1), 2.5))
    else:
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    if len(own) > 1:
        axes.legend(fontsize="small")


def _counted(records: tuple[Record, ...]) -> str:
    """How often each verdict was given: a sentence."""
    counts = Counter(state_of(record.health) for record in records)
    said = ", ".join(f"{state} in {count} of {len(records)} reports" for state, count in counts.most_common())
    return f"The verdict was {said}."
