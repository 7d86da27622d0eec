"""What is said of the pictures made from sample grids: of latents, or of a translator's sources.

A translator's grids hold its results for the same sources at each report, and `real.png` the pictures wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from zerosum.report.translation import Translation


@dataclass(frozen=True)
class Captions:
    """Words for what a grid's tiles are; `{shown}` and `{columns}` stand for counts."""

    title: str = "Samples"
    none: str = "No samples have been drawn yet: the first come with the first report."
    newest: str = "Drawn after {shown} real images were shown."
    frames: str = ""  # before what the animation says of its counts
    steps_heading: str = "Progress of the same latents, by images shown"
    steps: str = "The same {columns} latents after {shown} real images shown."
    beside_title: str = "Real beside generated"
    beside: str = "Left: images of the data. Right: the newest samples."
    real: str = "real"
    made: str = "generated"
    grids: tuple[str, str] = ("real grid", "newest generated grid")


def captions_of(translation: Translation | None) -> Captions:
    """The words for a run's grids."""
    if translation is None:
        return Captions()
    paired = translation.paired
    sources = "sources" if paired else "pictures of a"
    made = Captions(
        title="Results" if paired else "Results, a to b",
        none="No results have been drawn yet: the first come with the first report.",
        newest=f"What is made of the same {sources} at every report, here after {{shown}} real images were shown.",
        frames=f"Results for the same {sources}. ",
        steps_heading=f"Progress on the same {sources}, by images shown",
        steps=f"Results for the same {{columns}} {sources} after {{shown}} real images shown.",
    )
    return _paired(made) if paired else _unpaired(made)


def _paired(common: Captions) -> Captions:
    return replace(
        common,
        beside_title="Targets beside results",
        beside="Left: the targets. Right: the newest results, each at the place of its own target: tile by tile, the "
        "nearer they are, the better.",
        real="target",
        made="result",
        grids=("grid of targets", "newest grid of results"),
    )


def _unpaired(common: Captions) -> Captions:
    return replace(
        common,
        beside_title="Real b beside b made of a",
        beside="Left: pictures of b. Right: the newest results, made of pictures of a. A tile has no counterpart at "
        "its place on the other side: all that should agree is their kind.",
        real="real b",
        made="made of a",
        grids=("grid of real b", "newest grid made of a"),
    )
