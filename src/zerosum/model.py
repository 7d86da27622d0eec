"""A released generator: a folder of `config.json` and `model.safetensors` that makes samples anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from zerosum.data import to_pixels
from zerosum.errors import RunError, UsageError
from zerosum.files import about_name, load_tensors, save_tensors, write_folder
from zerosum.games import Latents, Randomness
from zerosum.networks import build

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMAT = 1
AT_ONCE = 64
DTYPES = ("uint8", "uint16", "float32")


class Model:
    """A generator and what is needed to use it.

    `config` holds `network` and `arguments` (what `networks.build` takes), `latent` (what `games.Latents` takes),
    `data` {name, shape, dtype, low, high} and facts about the training.
    """

    def __init__(self, generator: nn.Module, config: dict[str, Any]) -> None:
        self.generator = generator.eval()
        self.config = config

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image, or (D,) of a point."""
        return tuple(self.config["data"]["shape"])

    def latents(self, count: int, *, seed: int = 0, first: int = 0, truncation: float = 1.0) -> Tensor:
        """Latents `first` to `first + count` of a seed, float32 (count, length), their noise scaled by `truncation`."""
        if count < 0 or first < 0:
            raise UsageError(f"The count of samples cannot be {min(count, first)}.")
        latents = Latents(**self.config["latent"])
        return latents.truncated(latents.rows(Randomness(seed, keep=2), "sample", first, count), truncation)

    @torch.no_grad()
    def generate(self, latents: Tensor) -> Tensor:
        """Images float32 (N, C, H, W) in [-1, 1], or points (N, D), of latents (N, length); on the CPU."""
        device = next(self.generator.parameters()).device
        pieces = [self.generator(piece.to(device)).float().cpu() for piece in latents.split(AT_ONCE)]
        return torch.cat(pieces) if pieces else torch.empty(0, *self.shape)

    def sample(
        self, count: int = 1, *, seed: int = 0, truncation: float = 1.0, output: str = "array"
    ) -> np.ndarray | list[Picture]:
        """Seeded samples: sample *i* of a seed is the same whatever the count.

        Args:
            count: how many.
            seed: which ones.
            truncation: latents are scaled by it; below 1, samples nearer to the common and fewer of the rare.
            output: "array": in the data's own dtype and range, (N, H, W, C), or float32 (N, D) for points;
                "pil": a list of `PIL.Image.Image`.

        Raises `UsageError` for pictures of points, or an unknown `output`.
        """
        if output not in ("array", "pil"):
            raise UsageError(f"output is 'array' or 'pil', not {output!r}.")
        pieces = [
            self._array(self.latents(n, seed=seed, first=first, truncation=truncation)) for first, n in _chunks(count)
        ]
        array = np.concatenate(pieces) if pieces else self._array(self.latents(0, seed=seed))
        return array if output == "array" else self.pictures(array)

    def _array(self, latents: Tensor) -> np.ndarray:
        images = self.generate(latents)
        data = self.config["data"]
        return to_pixels(images, data["low"], data["high"], np.dtype(data["dtype"]))

    def pictures(self, array: np.ndarray) -> list[Picture]:
        """`PIL` images of what `sample` returned, 16 bits deep where the data are and Pillow can."""
        if len(self.shape) != 3:
            raise UsageError("This run makes points, not pictures: take output='array'.")
        return [picture(item, self.config["data"]["low"], self.config["data"]["high"]) for item in array]

    def save(self, folder: Path) -> None:
        """Write the model folder, whole or not at all."""
        tensors = dict(self.generator.state_dict())
        write_folder(folder, lambda inside: save_tensors(inside, "model", tensors, self.config | {"format": FORMAT}))


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, AT_ONCE):
        yield first, min(AT_ONCE, count - first)


def picture(item: np.ndarray, low: float, high: float) -> Picture:
    """A PIL image of one (H, W, C) array of values `low` to `high`: 8 bits, or 16 where it is grey of more."""
    from PIL import Image

    deep = high > 255 and item.shape[-1] == 1
    top = 65535 if deep else 255
    scaled = np.rint((item.astype(np.float64) - low) * (top / (high - low))).clip(0, top)
    if deep:
        return Image.fromarray(scaled[..., 0].astype(np.uint16))
    pixels = scaled.astype(np.uint8)
    return Image.fromarray(
        pixels[..., 0] if pixels.shape[-1] == 1 else pixels,
        {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[-1]],
    )


def load(path: str | Path, device: str = "cpu") -> Model:
    """The model of a run folder, or of a model folder itself; sizes and hashes are checked before memory is taken.

    Raises `RunError` where there is none, or it is damaged.
    """
    run = Path(path)
    folder = run / "model" if (run / "model").is_dir() or (run / "config.toml").is_file() else run
    if not (folder / about_name("model")).is_file():
        started = (run / "config.toml").is_file()
        why = "has no model yet: wait for its first checkpoint, or go on training" if started else "is no run folder"
        raise RunError(f"{run} {why}.")
    tensors, config = load_tensors(folder, "model")
    try:
        if config["format"] != FORMAT:
            raise RunError(f"{folder} has format {config['format']}; this version of zerosum reads {FORMAT}.")
        generator = _rebuild(config, tensors)
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError, UsageError) as error:
        raise RunError(f"{folder} does not hold the network its config.json names: {error}") from error
    return Model(generator.to(device), config)


def _rebuild(config: dict[str, Any], tensors: dict[str, Tensor]) -> nn.Module:
    """The generator that `config` names, with the weights `tensors`; built without memory first, to compare sizes."""
    arguments, data = config["arguments"], config["data"]
    with torch.device("meta"):
        declared = build(config["network"], **arguments).state_dict()
    for name in sorted(declared.keys() | tensors.keys()):
        kept, wanted = tensors.get(name), declared.get(name)
        if kept is None or wanted is None or kept.shape != wanted.shape or kept.dtype != wanted.dtype:
            raise ValueError(f"{name!r} is not of the kind and size that it declares")
    if Latents(**config["latent"]).length != arguments["latent"] or list(data["shape"]) != list(arguments["shape"]):
        raise ValueError("latent and data are not those of the network")
    if data["dtype"] not in DTYPES or not data["low"] < data["high"]:
        raise ValueError("data have no dtype and range that zerosum writes")
    generator = build(config["network"], **arguments)
    generator.load_state_dict(tensors)
    return generator
