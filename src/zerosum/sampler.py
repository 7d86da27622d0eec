"""What a model and an ensemble of models have in common: seeded samples, in the data's own form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from zerosum.data import to_pixels
from zerosum.errors import UsageError
from zerosum.games import Latents, Randomness
from zerosum.games.randomness import share
from zerosum.shown import Samples

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

AT_ONCE = 64
# The formats that pictures are written in, by a file's ending.
WRITABLE = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}


class Sampler(ABC):
    """Seeded samples: of one generator, or of an ensemble of them.

    `config` holds `latent` (what `games.Latents` takes), `data` {name, shape, dtype, low, high}, `classes` (their
    names, where the generator takes labels) and facts about the training; of an ensemble, those of its first member.
    """

    config: dict[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image, or (D,) of a point."""
        return tuple(self.config["data"]["shape"])

    def latents(
        self, count: int, *, seed: int = 0, first: int = 0, truncation: float = 1.0, code: int | None = None
    ) -> Tensor:
        """Latents `first` to `first + count` of a seed, float32 (count, length), their noise scaled by `truncation`.

        `code`: the value that the first categorical code has in all of them; None: each as it is drawn. Raises
        `UsageError` where there is no such code, or it has no such value.
        """
        if count < 0 or first < 0:
            raise UsageError(f"The count of samples cannot be {min(count, first)}.")
        latents = Latents(**self.config["latent"])
        rows = latents.truncated(latents.rows(Randomness(seed, keep=2), "sample", first, count), truncation)
        if code is None:
            return rows
        if not latents.categorical:
            raise UsageError("This model was trained without a categorical code: leave the code out.")
        if not 0 <= code < latents.categorical[0]:
            raise UsageError(f"The code has values 0 to {latents.categorical[0] - 1}, and {code} is none of them.")
        return latents.with_value(rows, 0, code)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that samples can be asked of; none where the generator takes no labels."""
        return tuple(self.config.get("classes", ()))

    def labels(self, count: int, *, seed: int = 0, first: int = 0, label: int | str | None = None) -> Tensor | None:
        """The classes of samples `first` to `first + count` of a seed, int64 (count,); None where there are none.

        `label`: one class for all, its number or its name; None: as drawn, all equally likely. Raises `UsageError`
        where the model was trained without labels, or has no such class.
        """
        if not self.classes:
            if label is not None:
                raise UsageError("This model was trained without labels: leave the label out.")
            return None
        if label is None:
            shares = Randomness(seed, keep=2).rows("sample/label", first, count, share(1))[:, 0]
            return (shares.double() * len(self.classes)).long()
        if label in self.classes:  # a name that is a number means itself
            return torch.full((count,), self.classes.index(str(label)), dtype=torch.int64)
        if str(label).isdecimal() and int(label) < len(self.classes):
            return torch.full((count,), int(label), dtype=torch.int64)
        some = ", ".join(map(repr, self.classes[:12])) + (" …" if len(self.classes) > 12 else "")
        raise UsageError(f"There is no label {label!r}: the {len(self.classes)} classes are {some}.")

    def drawn(
        self, count: int, *, first: int = 0, truncation: float = 1.0, label: int | str | None = None, **choice: Any
    ) -> tuple[Tensor, Tensor | None, float]:
        """Latents, labels, and the truncation that is left to the generator: all of it where it has styles, else 1."""
        styled = self.styled
        if styled and self.classes and truncation != 1:
            raise UsageError("Styles that a label goes into cannot be truncated: leave the truncation out.")
        latents = self.latents(count, first=first, truncation=1.0 if styled else truncation, **choice)
        labels = self.labels(count, seed=choice.get("seed", 0), first=first, label=label)
        return latents, labels, truncation if styled else 1.0

    @property
    @abstractmethod
    def styled(self) -> bool:
        """Whether truncation is that of styles."""

    @abstractmethod
    def images(self, count: int, *, first: int = 0, **choice: Any) -> Tensor:
        """Samples `first` to `first + count` of a choice: float32 (count, C, H, W) in [-1, 1], or points (count, D).

        `choice`: what `sample` takes of `seed`, `truncation`, `code` and `label`.
        """

    def sample(
        self,
        count: int = 1,
        *,
        seed: int = 0,
        truncation: float = 1.0,
        code: int | None = None,
        label: int | str | None = None,
        output: str = "array",
    ) -> np.ndarray | list[Picture]:
        """Seeded samples: sample *i* of a seed is the same whatever the count.

        Args:
            count: how many.
            seed: which ones.
            truncation: latents are scaled by it; below 1, samples nearer to the common and fewer of the rare.
            code: the value of the first categorical code, in all of them; None: as drawn.
            label: the class of all of them: its name or, as an int (or a text that is no name), its number from 0;
                None: as drawn.
            output: "array": in the data's own dtype and range, (N, H, W, C), or float32 (N, D) for points; in a
                notebook it shows itself as a picture; "pil": a list of `PIL.Image.Image`.

        Raises `UsageError` for pictures of points, an unknown `output`, or a code or label that the model has not.
        """
        if output not in ("array", "pil"):
            raise UsageError(f"output is 'array' or 'pil', not {output!r}.")
        choice: dict[str, Any] = {"seed": seed, "truncation": truncation, "code": code, "label": label}
        pieces = [self._pixels(self.images(n, first=first, **choice)) for first, n in chunks(count)]
        array = np.concatenate(pieces) if pieces else self._pixels(self.images(0, **choice))
        return self._shown(array) if output == "array" else self.pictures(array)

    def _shown(self, array: np.ndarray) -> Samples:
        return Samples.of(array, self.config["data"]["low"], self.config["data"]["high"])

    def _pixels(self, images: Tensor) -> np.ndarray:
        data = self.config["data"]
        return to_pixels(images, data["low"], data["high"], np.dtype(data["dtype"]))

    def pictures(self, array: np.ndarray) -> list[Picture]:
        """`PIL` images of what `sample` returned, 16 bits deep where the data are and Pillow can."""
        if len(self.shape) != 3:
            raise UsageError("This run makes points, not pictures: take output='array'.")
        return [picture(item, self.config["data"]["low"], self.config["data"]["high"]) for item in array]


def chunks(count: int) -> Iterator[tuple[int, int]]:
    """(first, n) of the pieces in which `count` rows are made, so that memory does not grow with them."""
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
