"""The pictures whose rows have words: what each is called, and what is said of it. One more is one more entry.

A kind NAME is there when the run has samples/NAME.png, tiled as samples/NAME.json says, which also holds "labels":
the words of each row. `zerosum.report.rows` draws them all. For a translator, translations are THE picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zerosum.report.translation import Translation


@dataclass(frozen=True)
class RowKind:
    """`title` stands on the page and `heading` on the picture; `words` says what is seen, from the rows' labels.

    A band of rows begins at the label that is first of all, and at those in `begins`.
    """

    title: str
    heading: str
    words: Callable[[tuple[str, ...], Translation | None], str]
    begins: frozenset[str] = frozenset()


def _of_codes(labels: tuple[str, ...], _: Translation | None) -> str:
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


def _of_reconstructions(labels: tuple[str, ...], _: Translation | None) -> str:
    """Each word the rows use, explained once, in their order."""
    meanings = {
        "real": "images of the data",
        "noisy": "images of the data with noise added, which is all that the encoder sees",
        "reconstructed": "what the decoder makes of the code that the encoder gives the image",
        "restored": "what the decoder makes of the noisy image's code",
        "clean": "the images before the noise",
    }
    return _explained("In each band a column is one image", labels, meanings)


def _explained(first: str, labels: tuple[str, ...], meanings: dict[str, str]) -> str:
    """Sentences: `first`, then what each label means that is there, in their order."""
    found = [f"{label}: {meanings[label]}" for label in dict.fromkeys(labels) if label in meanings]
    return ". ".join([first, *(f"{words[0].upper()}{words[1:]}" for words in found)]) + "."


def _of_translations(labels: tuple[str, ...], translation: Translation | None) -> str:
    """Each row, what was done to the sources where something was, and on which data they are."""
    words = _there_and_back(translation) if "a to b" in labels else _of_pairs(labels, translation)
    return words if translation is None else f"{words} {translation.seen}"


def _of_pairs(labels: tuple[str, ...], translation: Translation | None) -> str:
    source = "what the network is given"
    if translation is not None and translation.degrade:
        grey = ", which are grey here; the result keeps all others" if translation.masks else ""
        larger = ", shown enlarged" if translation.given.shape[1:] != translation.wanted.shape[1:] else ""
        source = f"{source}, the target {translation.degraded}{grey}{larger}"
    meanings = {
        "source": source,
        "result": "what it makes of the source alone",
        "target": "what it should have made",
    }
    return _explained("In each band a column is one pair", labels, meanings)


def _there_and_back(translation: Translation | None) -> str:
    names = ("", "") if translation is None else (f" ({translation.given.name})", f" ({translation.wanted.name})")
    return (
        f"In each band a column is one picture: of a{names[0]}, made into one of b by one network, and brought back to "
        f"a by the other, which should give the picture again. Then the same from b{names[1]}."
    )


def _of_plane(_: tuple[str, ...], __: Translation | None) -> str:
    return (
        "Each tile is what the decoder makes of one point of the latent plane: the first coordinate grows from left to "
        "right, over the same range as the second, which stands at the left of each row."
    )


ROW_KINDS = {
    "translations": RowKind(
        "Translations", "Pictures, and what is made of them", _of_translations, frozenset({"source", "a", "b"})
    ),
    "reconstructions": RowKind("Reconstructions", "Images, and what the networks make of them", _of_reconstructions),
    "plane": RowKind("The latent plane", "A walk over the latent plane", _of_plane),
    "codes": RowKind("Codes", "What the codes mean: one code a row, all else held", _of_codes),
}
