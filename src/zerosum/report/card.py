"""`model/README.md`: the model card that travels with a released generator."""

from __future__ import annotations

import json
import re

from zerosum.report.drawing import Picture, count_text, time_text
from zerosum.report.nearness import explained, newest, table
from zerosum.report.page import HOLES, alpha_words, in_python, players, translating
from zerosum.report.run_folder import RunFolder
from zerosum.report.translation import Translation

CLAIMS = ("no measure of quality is claimed here", "the figures above are all that is claimed")


def card(folder: RunFolder, shown: Picture) -> str:
    """The card in Hugging Face's form: YAML front matter, then Markdown. No figure in it but the run's own.

    `shown` is model/samples.png, if it could be drawn.

    The licence is left out: it is for whoever publishes the model, and knows the data, to choose.
    """
    known = folder.facts
    use = ["```python", *f"{in_python(folder, folder.name)}  # the run folder".split("\n"), "```"]
    lines = [
        "---",
        "library_name: zerosum",
        "tags:",
        *(f"- {tag}" for tag in tags(folder)),
        f"- {json.dumps(known.name)}",
        "---",
        "",
        *body(folder, shown, use, measured(folder)),
    ]
    return "\n".join(lines)


def body(folder: RunFolder, shown: Picture, use: list[str], figures: list[str]) -> list[str]:
    """The lines of a card below its front matter: what it is, how it is used, data, figures, training, limits.

    `use`: the lines that say how to load it; `figures`: those of the section on its quality, none where it has none.
    """
    known, status = folder.facts, folder.status
    title, name = inline(known.title or known.name), inline(folder.trained_on)
    lines = [f"# {title}, trained on {name}", "", _what(folder), ""]
    if shown.data is not None:
        lines += [f"![{shown.title} of this model](samples.png)", "", inline(shown.text), ""]
    return [
        *lines,
        "## Use",
        "",
        *use,
        "",
        *_how(folder.translation),
        "## Data",
        "",
        *_data(folder),
        "",
        *figures,
        "## Training",
        "",
        f"- recipe: {inline(known.name)}" + (f" ({inline(known.source)})" if known.source else ""),
        f"- networks: {', '.join(f'{player} {inline(network)}' for player, network in players(folder))}",
        f"- loss: {inline(known.loss)}; batch {known.batch}; seed {known.seed}",
        f"- {count_text(status.images)} real {folder.things} shown in {time_text(status.seconds)}, {status.state}",
        *(f"- {inline(key)}: {inline(str(value))}" for key, value in folder.environment.items()),
        "",
        "## Intended use and limits",
        "",
        "For study, and for images that resemble the data above; it knows nothing else.",
        f"It may repeat, distort or leave out what is in that data; {CLAIMS[bool(figures)]}.",
        "",
    ]


def tags(folder: RunFolder) -> list[str]:
    """What the model is found by."""
    if folder.translation is not None:
        return ["gan", "image-to-image"] if folder.facts.discriminator else ["image-to-image"]
    if folder.reconstructs:
        return ["autoencoder"]
    conditional = folder.conditional or folder.data.is_points
    return ["gan"] if conditional else ["gan", "unconditional-image-generation"]


def _what(folder: RunFolder) -> str:
    """What the model is, in a sentence or two."""
    if folder.reconstructs:
        return f"An autoencoder of {folder.things}: an encoder and a decoder."
    translation = folder.translation
    if translation is None:
        words = f"A generator of {folder.things}, the released half of a generative adversarial network"
        return words + (", and the encoder that was trained with it." if folder.encodes else ".")
    given, wanted = inline(translation.given.name), inline(translation.wanted.name)
    if not translation.paired:
        return (
            f"Two networks that translate images, from {given} (a) to {wanted} (b) and from b to a, of CycleGAN's "
            "kind: generative adversarial networks trained without pairs, so that there and back is the image again."
        )
    task = f"translates images: given one of {given}, it makes the one of {wanted} that belongs to it"
    if translation.degrade:
        task = f"restores images: given one {inline(translation.degraded)}, it makes the image as it was"
    if not folder.facts.discriminator:
        return f"A network that {task}. It was trained on pairs of a source and its target, without an adversary."
    return (
        f"A network that {task}. It is of pix2pix's kind: the generator of a generative adversarial network trained on "
        "pairs of a source and its target."
    )


def _how(translation: Translation | None) -> list[str]:
    """What else there is to say of the use of a translator; nothing of other models."""
    if translation is None:
        return []
    channels, dtype = translation.given.shape[0], translation.given.dtype
    words = f"`array` is (height, width, {channels}) of {inline(dtype)}, of any height and width."
    if translation.masks:
        words += f" Its last channel is {alpha_words(translation)}."
    if not translation.paired:
        words += ' The other way is `direction="b-to-a"`.'
    commands = [command for _, command in translating(translation, "RUN")]
    shell = f"A folder of images, from the shell{f'; {HOLES}' if translation.masks else ''}:"
    return [words, "", shell, "", "```", *commands, "```", ""]


def _data(folder: RunFolder) -> list[str]:
    """What was trained on: a line, or one for each side of a translation."""
    data, translation = folder.data, folder.translation
    if translation is None:
        return [f"{inline(data.name)}: {data.count:,} {folder.things} of {data.shape_words}."]
    held = f"Held out, and never trained on: {translation.share} of all."
    return [
        *(f"- {side}: {inline(words)}" for side, words in translation.sides),
        *(["", held] if translation.holdout > 0 else []),
    ]


def measured(folder: RunFolder) -> list[str]:
    """How near a translator's pictures are to those it should make, by its newest figures; nothing of other models."""
    record = newest(folder)
    if record is None or folder.translation is None:
        return []
    head, rows = table(record)
    lines = [f"| {' | '.join(inline(cell) for cell in row)} |" for row in (head, *rows)]
    lines.insert(1, f"|{' --- |' * len(head)}")
    words = f"Measured when {record.images:,} real images had been shown; L1 is the mean absolute difference of values "
    words += f"from -1 to 1. {explained(folder.translation, record.figures)}"
    return ["## Figures", "", *lines, "", inline(words), ""]


def inline(words: str) -> str:
    """Words from a file as Markdown that shows them as they are: on one line, with no mark-up and no HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|&])", r"\\\1", " ".join(words.split()))
