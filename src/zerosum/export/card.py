"""The model card of a Hugging Face repository, and the front page of its Space: what `report.card` says, and more."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from zerosum.report.card import body, inline, measured, tags
from zerosum.report.drawing import Picture
from zerosum.report.judged import Judged
from zerosum.report.run_folder import RunFolder

GRADIO = "6.31.0"  # the version that the Space was tested with
UNKNOWN = "unknown"  # a licence, as Hugging Face calls it where nobody has said
FEW = "Indicative: there are fewer than 10,000 samples. Figures compare with those of equal counts alone."


def hub_card(folder: RunFolder, shown: Picture, licence: str | None, does: str) -> str:
    """`README.md` of the model: YAML front matter, with the figures as a model index, and Markdown.

    `does`: a call of the model's, as sample(16, seed=7).
    """
    use = [
        "```python",
        "from huggingface_hub import snapshot_download",
        "import zerosum",
        "",
        'model = zerosum.load(snapshot_download("USER/NAME"))  # the name of this repository',
        f"model.{does}",
        "```",
        "",
        "It needs zerosum and huggingface_hub. `config.json` and `model.safetensors` hold the model whole, with sizes "
        "and SHA-256, and no pickle; `recipe.toml` holds how it was trained.",
    ]
    figures = [*_judged(folder.judged), *measured(folder)]
    return "\n".join([*_front_matter(folder, licence), *body(folder, shown, use, figures)])


def space_card(folder: RunFolder, licence: str | None, kind: str) -> str:
    """`README.md` of the Space."""
    title = f"{folder.facts.name}, {folder.trained_on}"
    made = "samples of random numbers" if kind == "sample" else "pictures of pictures"
    return "\n".join(
        [
            "---",
            f"title: {json.dumps(title[:80])}",
            "sdk: gradio",
            f"sdk_version: {json.dumps(GRADIO)}",
            "app_file: app.py",
            f"license: {licence or UNKNOWN}",
            "---",
            "",
            f"Makes {made}, with a network in ONNX that zerosum trained on {inline(folder.trained_on)}.",
            "Here: `pip install gradio -r requirements.txt && python app.py`",
            "",
        ]
    )


def _front_matter(folder: RunFolder, licence: str | None) -> list[str]:
    known = folder.facts
    task = next((tag for tag in tags(folder) if tag in ("unconditional-image-generation", "image-to-image")), None)
    return [
        "---",
        "library_name: zerosum",
        f"license: {licence or UNKNOWN}",
        *([f"pipeline_tag: {task}"] if task else []),
        "tags:",
        *(f"- {tag}" for tag in tags(folder)),
        f"- {json.dumps(known.name)}",
        *_index(folder, task),
        "---",
        "",
    ]


def _index(folder: RunFolder, task: str | None) -> list[str]:
    """The figures as Hugging Face lists them, in JSON, which is YAML; none where there are none, or no task."""
    judged = folder.judged
    if judged is None or task is None:
        return []
    metrics = [
        {"type": figure.name, "name": figure.name, "value": figure.value}
        for figure in judged.figures
        if math.isfinite(figure.value)
    ]
    data = {"name": folder.trained_on, "type": "custom"}
    results = [{"task": {"type": task}, "dataset": data, "metrics": metrics}]
    return [f"model-index: {json.dumps([{'name': folder.name, 'results': results}])}"] if metrics else []


def _judged(judged: Judged | None) -> list[str]:
    """The section of figures, with how they were come by; nothing where none were."""
    if judged is None:
        return []
    rows = [[figure.name, f"{figure.value:.5g}", figure.meaning] for figure in judged.figures]
    words = f"{judged.made} against {judged.real}, seed {judged.seed}, {judged.time}. Features: {judged.features}."
    return ["## Figures", "", *_table(["figure", "value", "what it says"], rows), "", inline(words), ""] + (
        [FEW, ""] if judged.indicative else []
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(inline(cell) for cell in row)} |" for row in (head, *rows)]
    return [lines[0], f"|{' --- |' * len(head)}", *lines[1:]]
