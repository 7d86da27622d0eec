"""The pictures whose rows have words: what each is called, and what is said of it. One more is one more entry.

A kind NAME is there when the run has samples/NAME.png, tiled as samples/NAME.json says, which also holds "labels":
the words of each row. `zerosum.report.rows` draws them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class RowKind:
    """`title` stands on the page and `heading` on the picture; `words` says what is seen, from the rows' labels."""

    title: str
    heading: str
    words: Callable[[tuple[str, ...]], str]


def _of_codes(labels: tuple[str, ...]) -> str:
    """A sentence for each kind of code that there is."""
    said = []
    if any(label.startswith("code") for label in labels):
        said.append(
            "A row sets a code to one value, and a column is one latent but for that code: what a row has in common is "
            "what the value means. To draw with code 1 = 1: zerosum sample RUN --code 1."
        )
    if any(label.startswith("continuous") for label in labels):
        said.append("In a row of a continuous code only that code moves, from left to right.")
    return " ".join(said)


def _of_reconstructions(labels: tuple[str, ...]) -> str:
    """Each word the rows use, explained once, in their order."""
    meanings = {
        "real": "images of the data",
        "noisy": "images of the data with noise added, which is all that the encoder sees",
        "reconstructed": "what the decoder makes of the code that the encoder gives the image",
        "restored": "what the decoder makes of the noisy image's code",
        "clean": "the images before the noise",
    }
    found = [f"{label}: {meanings[label]}" for label in dict.fromkeys(labels) if label in meanings]
    return (
        ". ".join(["In each band a column is one image", *(f"{words[0].upper()}{words[1:]}" for words in found)]) + "."
    )


def _of_plane(_: tuple[str, ...]) -> str:
    return (
        "Each tile is what the decoder makes of one point of the latent plane: the first coordinate grows from left to "
        "right, over the same range as the second, which stands at the left of each row."
    )


ROW_KINDS = {
    "reconstructions": RowKind("Reconstructions", "Images, and what the networks make of them", _of_reconstructions),
    "plane": RowKind("The latent plane", "A walk over the latent plane", _of_plane),
    "codes": RowKind("Codes", "What the codes mean: one code a row, all else held", _of_codes),
}
