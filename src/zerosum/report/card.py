"""`model/README.md`: the model card that travels with a released generator."""

from __future__ import annotations

import json
import re

from zerosum.report.drawing import Picture, count_text, time_text
from zerosum.report.page import in_python, players
from zerosum.report.run_folder import RunFolder


def card(folder: RunFolder, shown: Picture) -> str:
    """The card in Hugging Face's form: YAML front matter, then Markdown. No figure in it but the run's own.

    `shown` is model/samples.png, if it could be drawn.

    The licence is left out: it is for whoever publishes the model, and knows the data, to choose.
    """
    known, data, status = folder.facts, folder.data, folder.status
    title, name = inline(known.title or known.name), inline(data.name)
    things = folder.things
    unconditional = not (folder.reconstructs or folder.conditional or data.is_points)
    lines = [
        "---",
        "library_name: zerosum",
        "tags:",
        "- autoencoder" if folder.reconstructs else "- gan",
        *(["- unconditional-image-generation"] if unconditional else []),
        f"- {json.dumps(known.name)}",
        "---",
        "",
        f"# {title}, trained on {name}",
        "",
        f"An autoencoder of {things}: an encoder and a decoder."
        if folder.reconstructs
        else f"A generator of {things}, the released half of a generative adversarial network"
        + (", and the encoder that was trained with it." if folder.encodes else "."),
        "",
    ]
    if shown.data is not None:
        lines += [f"![{shown.title} of this model](samples.png)", "", inline(shown.text), ""]
    lines += [
        "## Use",
        "",
        "```python",
        *f"{in_python(folder, folder.name)}  # the run folder".split("\n"),
        "```",
        "",
        "## Data",
        "",
        f"{name}: {data.count:,} {things} of {data.shape_words}.",
        "",
        "## Training",
        "",
        f"- recipe: {inline(known.name)}" + (f" ({inline(known.source)})" if known.source else ""),
        f"- networks: {', '.join(f'{player} {inline(network)}' for player, network in players(folder))}",
        f"- loss: {inline(known.loss)}; batch {known.batch}; seed {known.seed}",
        f"- {count_text(status.images)} real {things} shown in {time_text(status.seconds)}, {status.state}",
        *(f"- {inline(key)}: {inline(str(value))}" for key, value in folder.environment.items()),
        "",
        "## Intended use and limits",
        "",
        "For study, and for images that resemble the data above; it knows nothing else.",
        "It may repeat, distort or leave out what is in that data; no measure of quality is claimed here.",
        "",
    ]
    return "\n".join(lines)


def inline(words: str) -> str:
    """Words from a file as Markdown that shows them as they are: on one line, with no mark-up and no HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|&])", r"\\\1", " ".join(words.split()))
