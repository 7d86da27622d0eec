"""`--format onnx`: `model.onnx`, and beside it a `config.json` that says how to use it, with its size and SHA-256."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zerosum.errors import RunError, UsageError
from zerosum.export.folder import Exported, Progress, opened, place_for, write_export
from zerosum.export.graphs import (
    HIGHS,
    SampleGraph,
    TranslateGraph,
    given_images,
    in_units,
    least_of,
    masked,
    per_picture,
    sample_inputs,
    stride_of,
    to_range,
)
from zerosum.export.runtime import Session, installed
from zerosum.export.tracing import write_onnx
from zerosum.files import seal
from zerosum.games import Latents
from zerosum.model import Model
from zerosum.translator import Translator, scale_of
from zerosum.version import VERSION

FORMAT = 1  # of config.json
FILE = "model.onnx"
ABOUT = "config.json"
MOST = 1e-3  # that ONNX Runtime may differ from PyTorch, of images in [-1, 1]
STEPS = 3
NOISE = "fixed: that of evaluation, a constant of the file, so that one latent makes one image"
HOW = {
    "styles": "the input truncation scales what a style is off the mean style, which is in the file; 1 changes nothing",
    "latent": "scale the first `numbers` of a latent by it before they go in; 1 changes nothing",
    "none": "not at all: these are styles that a label goes into",
}
MASK = "the last channel given: high where a pixel is to be made up, low where it is known"

Case = tuple[dict[str, Tensor], Tensor]
"""Inputs by name, and what PyTorch makes of them."""


def export_onnx(
    run: str | Path,
    out: str | Path | None = None,
    *,
    high: int = 255,
    direction: str | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write the generator of a run as an ONNX file, checked against PyTorch.

    Args:
        run: a run folder, or a model folder.
        out: the folder to be written; None: NAME-onnx.
        high: 255 for images in [0, 255], 1 for [-1, 1].
        direction: of a run between two domains; None: "a-to-b".
        device: where PyTorch makes what ONNX Runtime's images are compared with. The file is the same for all.
        overwrite: whether an older export may be replaced.
        progress: called with (what, steps done, steps).

    Raises `UsageError` for an ensemble, an `out` that exists and packages that are not installed, `RunError` for a
    damaged model, and where ONNX Runtime's images differ by more than `MOST` from PyTorch's: then nothing is written.
    """
    folder = place_for(run, out, "onnx", overwrite=overwrite)
    model = opened(run, device)
    about: dict[str, Any] = {}
    files = write_export(
        folder, "onnx", lambda inside: about.update(write_network(model, inside, high, direction, progress))
    )
    return Exported(folder, about["max_error"], files)


def write_network(
    model: Model | Translator, folder: Path, high: int, direction: str | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """`model.onnx` and its `config.json` into a folder that is there; returns what the latter holds.

    Raises as `export_onnx` does, the folder's errors aside. The networks are on the CPU afterwards.
    """
    if high not in HIGHS:
        raise UsageError(f"The range is 255, for images in [0, 255], or 1, for [-1, 1], not {high!r}.")
    tick = _ticker(progress)
    tick("exporting, PyTorch's pictures", 0)
    known = _of_samples(model, high, direction) if isinstance(model, Model) else _of_way(model, high, direction)
    model.networks.cpu()
    tick("exporting, ONNX", 1)
    about, output = known.about, known.about["output"]
    write_onnx(known.graph.cpu().eval(), known.cases[-1][0], output["name"], folder / FILE, known.stride)
    tick("exporting, comparing both", 2)
    session = Session(folder / FILE)
    off = max(_difference(session, case) for case in known.cases) * 2 / (output["high"] - output["low"])
    if not off <= MOST:  # NaN is no small difference
        raise RunError(
            f"What ONNX Runtime makes differs from PyTorch's by {off:.2g}, more than {MOST:g} of images in [-1, 1]: "
            "nothing was exported. Other versions of torch, onnxscript or onnxruntime may agree."
        )
    about |= {"max_error": off, "inputs": session.inputs, "output": output | session.outputs[output["name"]]}
    seal(folder / ABOUT, folder / FILE, about)
    tick("exported", STEPS)
    return about


@dataclass(frozen=True)
class _Known:
    """All that is needed to write a file, and to check it.

    Attributes:
        about: what config.json holds, but for what the file itself tells.
        graph: what is traced.
        cases: inputs, and what PyTorch makes of them; with the last ones' inputs the graph is traced.
        stride: of the sides of images that go in.
    """

    about: dict[str, Any]
    graph: nn.Module
    cases: list[Case]
    stride: int = 1


def _of_samples(model: Model, high: int, direction: str | None) -> _Known:
    if direction is not None:
        raise UsageError("This run makes samples of random numbers: leave the direction out.")
    graph, data, points = SampleGraph(model, high), model.config["data"], len(model.shape) == 1
    cases = []
    for count, psi in ((1, 1.0), (3, 0.6), (2, 1.0)):
        inputs = sample_inputs(model, graph, count, psi)
        made = model.generate(inputs["latent"], inputs.get("label"), psi if graph.truncates else 1.0)
        cases.append((inputs, in_units(made, data) if points else to_range(made, high)))
    by = "styles" if graph.truncates else "none" if model.styled else "latent"
    latents = Latents(**model.config["latent"])
    about = {
        **_common("sample", model, data),
        "output": {"name": "point", "low": data["low"], "high": data["high"]} if points else _image(high),
        "latent": model.config["latent"],
        "truncation": {"by": by, "numbers": latents.size, "how": HOW[by]},
        "noise": NOISE if model.styled else "none",
        "classes": list(model.classes),
    }
    return _Known(about, graph, cases)


def _of_way(model: Translator, high: int, direction: str | None) -> _Known:
    way = model.way(direction)
    network, cases = model.networks[way.network], []
    for count, across in ((1, 2), (3, 3), (2, 2)):
        images = given_images(way, network, count, across)
        made = model.translated(masked(images) if model.fills_holes else images, direction)
        cases.append(({"given": to_range(images, high)}, to_range(made, high)))
    about = {
        **_common("translate", model, way.wanted),
        "output": _image(high),
        "sides": {
            "stride": stride_of(network),
            "least": least_of(network),
            "reach": int(network.reach),  # type: ignore[arg-type]
            "scale": scale_of(network),
            "per_picture": per_picture(network),
        },
        "mask": MASK if model.fills_holes else "none",
        "noise": "none: dropout is off",
        "game": "paired",
        "degrade": model.config["degrade"],
        "given": way.given,
    }
    return _Known(about, TranslateGraph(network, high, holes=model.fills_holes), cases, stride_of(network))


def _common(kind: str, model: Model | Translator, data: dict[str, Any]) -> dict[str, Any]:
    versions = {"zerosum": VERSION, "torch": torch.__version__}
    versions |= {package: str(installed(package).__version__) for package in ("onnx", "onnxruntime")}
    recipe = model.config.get("recipe", "")
    return {"format": FORMAT, "kind": kind, "recipe": recipe, "data": data, "versions": versions}


def _image(high: int) -> dict[str, Any]:
    return {"name": "image", "low": 0 if high == 255 else -1, "high": high}


def _difference(session: Session, case: Case) -> float:
    inputs, wanted = case
    made = session.run({name: value.numpy() for name, value in inputs.items()})
    if made.shape != tuple(wanted.shape):
        raise RunError(
            f"ONNX Runtime makes {made.shape} where PyTorch makes {tuple(wanted.shape)}: nothing was exported."
        )
    return float(np.abs(made - wanted.numpy()).max())


def _ticker(progress: Progress | None) -> Callable[[str, int], None]:
    def tick(what: str, done: int) -> None:
        if progress is not None:
            progress(what, done, STEPS)

    return tick
