"""`model/README.md`: the model card that travels with a released generator."""

from __future__ import annotations

import json
import re

from zerosum.report.drawing import Picture, count_text, time_text
from zerosum.report.run_folder import RunFolder


def card(folder: RunFolder, samples: Picture) -> str:
    """The card in Hugging Face's form: YAML front matter, then Markdown. No figure in it but the run's own.

    The licence is left out: it is for whoever publishes the model, and knows the data, to choose.
    """
    known, data, status = folder.facts, folder.data, folder.status
    title, name = inline(known.title or known.name), inline(data.name)
    things = folder.things
    lines = [
        "---",
        "library_name: zerosum",
        "tags:",
        "- gan",
        *([] if data.is_points else ["- unconditional-image-generation"]),
        f"- {json.dumps(known.name)}",
        "---",
        "",
        f"# {title}, trained on {name}",
        "",
        f"A generator of {things}, the released half of a generative adversarial network.",
        "",
    ]
    if samples.data is not None:
        lines += ["![Samples of this generator](samples.png)", "", inline(samples.text), ""]
    lines += [
        "## Use",
        "",
        "```python",
        "import zerosum",
        "",
        f"zerosum.load({json.dumps(folder.name)}).sample(16, seed=7)  # the run folder",
        "```",
        "",
        "## Data",
        "",
        f"{name}: {data.count:,} {things} of {data.shape_words}.",
        "",
        "## Training",
        "",
        f"- recipe: {inline(known.name)}" + (f" ({inline(known.source)})" if known.source else ""),
        f"- networks: {inline(known.generator)} against {inline(known.discriminator)}",
        f"- loss: {inline(known.loss)}; batch {known.batch}; seed {known.seed}",
        f"- {count_text(status.images)} real {things} shown in {time_text(status.seconds)}, {status.state}",
        *(f"- {inline(key)}: {inline(str(value))}" for key, value in folder.environment.items()),
        "",
        "## Intended use and limits",
        "",
        "For study and for making samples that resemble the data above; it knows nothing else.",
        "It may repeat, distort or leave out what is in that data; no measure of quality is claimed here.",
        "",
    ]
    return "\n".join(lines)


def inline(words: str) -> str:
    """Words from a file as Markdown that shows them as they are: on one line, with no mark-up and no HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|&])", r"\\\1", " ".join(words.split()))
