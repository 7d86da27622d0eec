"""A folder of `model.onnx` and `config.json`, read without trust, and run by ONNX Runtime as zerosum's own models are.

Seeds, classes, codes, truncation, tiles and directions are those of `Sampler` and `Translator`: only the networks are
others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zerosum.errors import RunError, UsageError
from zerosum.export.onnx_folder import ABOUT, FILE, FORMAT
from zerosum.export.runtime import Array, Session
from zerosum.files import read_sealed
from zerosum.games import Latents
from zerosum.networks.translator import mirrored
from zerosum.released import check_range
from zerosum.sampler import Sampler, chunks
from zerosum.tiles import make_grid
from zerosum.translator import Counted, Translator


class OnnxModel(Sampler):
    """A generator in an ONNX file: `sample(count, seed=…)` as of the model it was exported from, but for rounding."""

    def __init__(self, session: Session, config: dict[str, Any]) -> None:
        self.session, self.config = session, config

    @property
    def styled(self) -> bool:
        """Whether truncation is that of styles."""
        return bool(self.config["truncation"]["by"] != "latent")

    def images(self, count: int, *, first: int = 0, **choice: Any) -> Tensor:
        """Samples `first` to `first + count` of a choice: float32 (count, C, H, W) in [-1, 1], or points (count, D)."""
        latents, labels, psi = self.drawn(count, first=first, **choice)
        pieces = [torch.empty(0, *self.shape)]
        for start, many in chunks(count):
            inputs = {"latent": latents[start : start + many]}
            if labels is not None:
                inputs["label"] = labels[start : start + many]
            if "truncation" in self.session.inputs:
                inputs["truncation"] = torch.tensor(psi)
            made = self.session.run({name: value.numpy() for name, value in inputs.items()})
            pieces.append(normalised(made, self.config["output"]))
        return torch.cat(pieces)


class OnnxTranslator(Translator):
    """A translator in an ONNX file: `translate(array)` as of the model it was exported from, but for rounding."""

    def __init__(self, session: Session, config: dict[str, Any]) -> None:
        super().__init__({"generator": OnnxNetwork(session, config)}, config)

    @property
    def device(self) -> torch.device:
        """Where images are: on the CPU."""
        return torch.device("cpu")

    def translate(
        self, array: Array, direction: str | None = None, seed: int | None = None, progress: Counted | None = None
    ) -> Array:
        """What becomes of one picture: see `Translator.translate`.

        Raises `UsageError` also for a picture larger than a tile where the network normalises each picture by itself:
        tiles of the file would have statistics of their own, and show borders.
        """
        sides = self.config["sides"]
        grid = make_grid(sides["stride"], sides["reach"], sides["least"])
        if sides["per_picture"] and array.ndim == 3 and grid.area(*array.shape[:2]) > grid.side**2:
            raise UsageError(
                f"A picture of {array.shape[0]}×{array.shape[1]} is made in tiles, and this file normalises each by "
                f"itself: make it smaller, some {grid.side}×{grid.side}, or take the run itself: zerosum translate."
            )
        return super().translate(array, direction, seed, progress)


class OnnxNetwork(nn.Module):
    """An ONNX file in the place of a translator's network: images (N, c, h, w) in [-1, 1], of any sides, to images."""

    def __init__(self, session: Session, config: dict[str, Any]) -> None:
        super().__init__()
        self.session, self.output = session, config["output"]
        sides = config["sides"]
        self.stride, self.reach, self.scale = sides["stride"], sides["reach"], sides["scale"]
        self.least = sides["least"]

    def forward(self, given: Tensor) -> Tensor:
        """Images (N, c, h, w) in [-1, 1] to images (N, C, scale·h, scale·w)."""
        height, width = given.shape[2:]
        down, right = (max(self.least, -(-side // self.stride) * self.stride) for side in (height, width))
        low, high = self.output["low"], self.output["high"]
        filled = (mirrored(given, down, right) + 1) * ((high - low) / 2) + low
        made = normalised(self.session.run({"given": filled.contiguous().numpy()}), self.output)
        return made[:, :, : self.scale * height, : self.scale * width]


def load_onnx(folder: str | Path) -> OnnxModel | OnnxTranslator:
    """The model that `export_onnx` wrote into a folder, to be used as the one that `zerosum.load` gives.

    Its size and SHA-256 are checked before memory is taken, and what the file takes and makes against what config.json
    says of it. Raises `RunError` where it is not there, damaged, or not what zerosum writes.
    """
    folder = Path(folder)
    about = read_sealed(folder / ABOUT, folder / FILE)
    if about.get("format") != FORMAT:
        raise RunError(f"{folder} has format {about.get('format')}; this version of zerosum reads {FORMAT}.")
    try:
        inputs = _check_sample(about) if about["kind"] == "sample" else _check_translate(about)
        session = Session(folder / FILE)
        if session.inputs != about["inputs"] or {name: session.inputs[name]["shape"] for name in inputs} != inputs:
            raise ValueError("the file takes other inputs than it names")
        output = about["output"]
        if session.outputs != {output["name"]: {"dtype": output["dtype"], "shape": output["shape"]}}:
            raise ValueError("the file makes something else than it names")
        return OnnxModel(session, about) if about["kind"] == "sample" else OnnxTranslator(session, about)
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise RunError(f"{folder} does not hold what its {ABOUT} names: {error}.") from error


def _check_sample(about: dict[str, Any]) -> dict[str, list[Any]]:
    """The inputs that such a file must have; raises ValueError where what is said does not fit together."""
    data, latents, by = about["data"], Latents(**about["latent"]), about["truncation"]["by"]
    check_range(data)
    if about["output"]["shape"] != ["batch", *data["shape"]] or not about["output"]["low"] < about["output"]["high"]:
        raise ValueError("its output is not of the data's shape")
    if by not in ("latent", "styles", "none") or not all(isinstance(name, str) for name in about["classes"]):
        raise ValueError("its truncation, or its classes, are not what zerosum writes")
    inputs: dict[str, list[Any]] = {"latent": ["batch", latents.length]}
    if about["classes"]:
        inputs["label"] = ["batch"]
    if by == "styles":
        inputs["truncation"] = []
    return inputs


def _check_translate(about: dict[str, Any]) -> dict[str, list[Any]]:
    sides = about["sides"]
    for name, number in sides.items():
        if type(number) is not (bool if name == "per_picture" else int) or number < 0:
            raise ValueError(f"its {name} is no number")
    if sides["stride"] < 1 or sides["scale"] < 1 or sides["least"] % sides["stride"] or sides["least"] < 1:
        raise ValueError("its sides are not what zerosum writes")
    for side in (about["given"], about["data"]):
        check_range(side)
    if about["game"] != "paired" or not about["output"]["low"] < about["output"]["high"]:
        raise ValueError("its game, or its range, is not what zerosum writes")
    return {"given": about["inputs"]["given"]["shape"]}


def normalised(made: Array, output: dict[str, Any]) -> Tensor:
    """What a file makes, of the range of its `output`, in [-1, 1]."""
    low, high = float(output["low"]), float(output["high"])
    return (torch.from_numpy(made) - low) * (2 / (high - low)) - 1
