"""What is taken from a picture, so that restoring it can be learnt: the pair is made of the picture wanted alone.

| text | the picture given | numbers |
| --- | --- | --- |
| `downsample:N` | smaller by N each way: antialiased bicubic, a = -1/2, as in SRGAN (arXiv:1609.04802, 3.2) | N ≥ 2 |
| `mask:box` | a box cut out, its sides 1/4 to 1/2 of the picture's | |
| `mask:strokes` | three to six thick strokes cut out, 1/10 to 1/3 of the pixels | |
| `gray` | the luma of ITU-R BT.601, 1 channel for 3 | |
| `blur:S` | convolved with a Gaussian of deviation S pixels | 0 < S ≤ 100 |
| `noise:S` | with normal noise of deviation S where pictures are in [-1, 1], cut to that range | 0 < S ≤ 2 |
| `jpeg:Q` | through 8 bits and a JPEG of quality Q, by Pillow with its chroma subsampling | 1 ≤ Q ≤ 95 |

What is cut out is 0, mid grey, and one more channel, the last, is +1 there and -1 where the picture is known.
Everything random about a picture follows from its key: it is degraded alike in whatever batch it comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from zerosum.data.fitting import LUMA, Array
from zerosum.errors import UsageError, nearest

if TYPE_CHECKING:
    from torch import Tensor

MASKS = ("box", "strokes")
LEAST_SIDE = 8  # of a picture that strokes of the promised share can be drawn on
STROKES = (3, 6)
AIM = (0.1, 0.23)  # of the pixels, at which drawing stops: the last piece covers 0.1 at most
WIDTH = (0.07, 0.16)  # of a stroke, as a share of the shorter side
LENGTH = (0.1, 0.3)  # of one straight piece of it, likewise
MOST_BLUR = 100.0
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Degradation:
    """One of the table above; `parse` makes it of a text, and `str` the text of it."""

    kind: str
    value: float | str = ""

    @staticmethod
    def parse(text: str) -> Degradation:
        """Reads "downsample:4", "mask:box", "gray" …; raises UsageError, with the nearest where it is unknown."""
        kind, colon, value = text.strip().partition(":")
        if kind not in PARSERS:
            raise UsageError(f"data.degrade: {kind!r} is unknown; {nearest(kind, tuple(PARSERS))}")
        return Degradation(kind, PARSERS[kind](text.strip(), value if colon else ""))

    def __str__(self) -> str:
        if self.value == "":
            return self.kind
        return f"{self.kind}:{self.value}" if isinstance(self.value, str) else f"{self.kind}:{self.value:g}"

    @property
    def keeps(self) -> bool:
        """Whether some pixels are given as they are wanted, so that they can be kept: those no mask covers."""
        return self.kind == "mask"

    def source_shape(self, shape: Sequence[int]) -> Shape:
        """(c, h, w) of the pictures given for pictures wanted of (C, H, W). Raises UsageError (not for these)."""
        channels, height, width = (int(side) for side in shape)
        if self.kind == "downsample":
            factor = int(self.value)
            if height % factor or width % factor:
                raise UsageError(
                    f"data.degrade {self}: sides of {height} and {width} are no multiples of {factor}; "
                    f"choose some with --data.size: {_multiple(height, factor)}x{_multiple(width, factor)}"
                )
            return channels, height // factor, width // factor
        if self.kind == "mask":
            if min(height, width) < LEAST_SIDE:
                raise UsageError(
                    f"data.degrade {self}: {height}x{width} is too small to cut holes into; masks take at least "
                    f"{LEAST_SIDE} pixels a side: --data.size {max(height, LEAST_SIDE)}x{max(width, LEAST_SIDE)}"
                )
            return channels + 1, height, width
        if self.kind == "gray":
            if channels != 3:
                raise UsageError(f"data.degrade gray takes pictures of 3 channels, not {channels}: --data.channels 3")
            return 1, height, width
        if self.kind == "jpeg" and channels not in (1, 3):
            raise UsageError(f"data.degrade {self}: JPEG has 1 or 3 channels, not {channels}: --data.channels 3")
        return channels, height, width

    def apply(self, images: Tensor, keys: Sequence[int]) -> Tensor:
        """The pictures given, float32 (N, c, h, w) in [-1, 1], channels-last, on the CPU.

        images: those wanted, float32 (N, C, H, W) in [-1, 1] on the CPU.
        keys: N numbers of 64 bits, from which all randomness follows, each picture's from its own.
        Raises UsageError as `source_shape`, ValueError where keys are not as many as pictures.
        """
        import torch

        if len(keys) != len(images):
            raise ValueError(f"{len(keys)} keys for {len(images)} images")
        self.source_shape(images.shape[1:])
        images = images.contiguous(memory_format=torch.channels_last)
        return APPLY[self.kind](images, self.value, keys).contiguous(memory_format=torch.channels_last)


def _multiple(side: int, factor: int) -> int:
    """The nearest one that is not 0."""
    return max(1, round(side / factor)) * factor


def generator(key: int) -> np.random.Generator:
    """The random numbers of one picture: Philox with its key, of which 64 bits count."""
    return np.random.Generator(np.random.Philox(key=int(key) % 2**64))


# ── reading the text ──────────────────────────────────────────────────────────────────────────────


def _number(text: str, value: str, example: str, what: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"data.degrade: {text!r} lacks {what}; write for example {example}")
    return number


def _whole(text: str, value: str, example: str, what: str) -> int:
    number = _number(text, value, example, what)
    if number != int(number):
        raise UsageError(f"data.degrade: {text!r}: {what} is a whole number; write for example {example}")
    return int(number)


def _parse_downsample(text: str, value: str) -> float:
    factor = _whole(text, value, "downsample:4", "the factor")
    if factor < 2:
        raise UsageError(f"data.degrade: {text!r}: the factor is 2 or more: 2, 4, 8 …")
    return factor


def _parse_mask(text: str, value: str) -> str:
    if value not in MASKS:
        raise UsageError(f"data.degrade: {text!r} is no mask; {nearest(value, MASKS)}")
    return value


def _parse_gray(text: str, value: str) -> str:
    if value:
        raise UsageError(f"data.degrade: {text!r}: gray takes no number; write gray")
    return ""


def _parse_blur(text: str, value: str) -> float:
    sigma = _number(text, value, "blur:1.5", "the Gaussian's deviation in pixels")
    if not 0 < sigma <= MOST_BLUR:
        raise UsageError(f"data.degrade: {text!r}: the Gaussian's deviation is over 0 and at most {MOST_BLUR:g} pixels")
    return sigma


def _parse_noise(text: str, value: str) -> float:
    sigma = _number(text, value, "noise:0.1", "the noise's deviation")
    if sigma <= 0:
        raise UsageError(f"data.degrade: {text!r}: the noise's deviation is over 0; write for example noise:0.1")
    if sigma > 2:
        raise UsageError(
            f"data.degrade: {text!r}: the deviation is counted where pictures go from -1 to 1, and over 2 nothing "
            f"would be left of them; if {sigma:g} is meant in levels of 0 to 255, write noise:{sigma / 127.5:.3g}"
        )
    return sigma


def _parse_jpeg(text: str, value: str) -> float:
    quality = _whole(text, value, "jpeg:10", "the quality")
    if not 1 <= quality <= 95:
        raise UsageError(f"data.degrade: {text!r}: the quality is from 1 to 95")
    return quality


# ── doing it ──────────────────────────────────────────────────────────────────────────────────────


def _downsample(images: Tensor, value: float | str, keys: Sequence[int]) -> Tensor:
    from torch.nn import functional as F

    height, width = (side // int(value) for side in images.shape[2:])
    return F.interpolate(images, (height, width), mode="bicubic", antialias=True).clamp_(-1, 1)


def _mask(images: Tensor, value: float | str, keys: Sequence[int]) -> Tensor:
    import torch

    height, width = images.shape[2:]
    draw = box_hole if value == "box" else strokes_hole
    holes = torch.from_numpy(np.stack([draw(height, width, generator(key)) for key in keys]))[:, None]
    return torch.cat([images.masked_fill(holes, 0.0), holes.to(images.dtype) * 2 - 1], dim=1)


def box_hole(height: int, width: int, rng: np.random.Generator) -> Array:
    """bool (H, W), true in one box anywhere, each side a quarter to a half of the picture's."""
    high, wide = (int(rng.integers(-(-side // 4), side // 2, endpoint=True)) for side in (height, width))
    top, left = int(rng.integers(height - high, endpoint=True)), int(rng.integers(width - wide, endpoint=True))
    hole = np.zeros((height, width), dtype=bool)
    hole[top : top + high, left : left + wide] = True
    return hole


def strokes_hole(height: int, width: int, rng: np.random.Generator) -> Array:
    """bool (H, W), true under strokes of straight pieces and round joints that cover a tenth to a third.

    After the free-form masks of Yu et al. (arXiv:1806.03589, algorithm 1).
    """
    canvas = Image.new("L", (width, height))
    pen = ImageDraw.Draw(canvas)
    side = min(height, width)
    strokes = int(rng.integers(*STROKES, endpoint=True))
    aim = rng.uniform(*AIM) * height * width
    for stroke in range(strokes):
        thick = max(1, int(rng.uniform(*WIDTH) * side))
        (x, y), before = _anywhere(height, width, rng), -1
        angle = rng.uniform(0, 2 * math.pi)
        while (covered := canvas.histogram()[255]) < aim * (stroke + 1) / strokes:
            if covered == before:  # the last piece fell on others: go on elsewhere
                x, y = _anywhere(height, width, rng)
            before = covered
            angle += rng.uniform(-1, 1)
            length = rng.uniform(*LENGTH) * side
            across, down = x + length * math.cos(angle), y + length * math.sin(angle)
            if not (0 <= across < width and 0 <= down < height):  # turn back
                angle += math.pi
                across, down = min(max(across, 0), width - 1), min(max(down, 0), height - 1)
            _piece(pen, (x, y), (across, down), thick)
            x, y = across, down
    return np.asarray(canvas) > 0


def _anywhere(height: int, width: int, rng: np.random.Generator) -> tuple[float, float]:
    return rng.uniform(0, width - 1), rng.uniform(0, height - 1)


def _piece(pen: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], thick: int) -> None:
    pen.line([start, end], fill=255, width=thick)
    reach = (thick - 1) / 2
    for x, y in (start, end):
        pen.ellipse([x - reach, y - reach, x + reach, y + reach], fill=255)


def _gray(images: Tensor, value: float | str, keys: Sequence[int]) -> Tensor:
    import torch

    return (images * torch.from_numpy(LUMA)[:, None, None]).sum(1, keepdim=True).clamp_(-1, 1)


def _blur(images: Tensor, value: float | str, keys: Sequence[int]) -> Tensor:
    import torch
    from torch.nn import functional as F

    kernel = torch.from_numpy(gaussian(float(value)))
    radius = len(kernel) // 2
    count, channels, height, width = images.shape
    planes = images.reshape(count * channels, 1, height, width)
    planes = F.conv2d(planes[..., torch.from_numpy(reflected(width, radius))], kernel.view(1, 1, 1, -1))
    planes = F.conv2d(planes[:, :, torch.from_numpy(reflected(height, radius))], kernel.view(1, 1, -1, 1))
    return planes.reshape(images.shape).clamp_(-1, 1)


@lru_cache(maxsize=4)
def gaussian(sigma: float) -> Array:
    """float32 (2r + 1): exp(-x²/2σ²) at whole x up to r = 4σ, of sum 1."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel: Array = (weights / weights.sum()).astype(np.float32)
    return kernel


def reflected(side: int, radius: int) -> Array:
    """int64 (side + 2·radius): where each pixel comes from beyond edges that are mirrors: … 1 0 | 0 1 2 | 2 1 …

    However often it goes to and fro, so that a single pixel has surroundings too.
    """
    places = np.arange(-radius, side + radius) % (2 * side)
    return np.where(places < side, places, 2 * side - 1 - places)


def _noise(images: Tensor, value: float | str, keys: Sequence[int]) -> Tensor:
    import torch

    channels, height, width = images.shape[1:]
    noise = np.stack([generator(key).standard_normal((height, width, channels), dtype=np.float32) for key in keys])
    return torch.from_numpy(noise).permute(0, 3, 1, 2).mul_(float(value)).add_(images).clamp_(-1, 1)


def _jpeg(images: Tensor, value: float | str, keys: Sequence[int]) -> Tensor:
    import torch

    pixels = images.add(1).mul_(127.5).round_().clamp_(0, 255).permute(0, 2, 3, 1).numpy().astype(np.uint8)
    through = np.stack([_through_jpeg(picture, int(value)) for picture in pixels])
    return torch.from_numpy(through).permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1)


def _through_jpeg(pixels: Array, quality: int) -> Array:
    """uint8 (H, W, 1 or 3) as a JPEG of it is read."""
    file = BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file, formats=("JPEG",))).reshape(pixels.shape)


PARSERS: dict[str, Callable[[str, str], float | str]] = {
    "downsample": _parse_downsample,
    "mask": _parse_mask,
    "gray": _parse_gray,
    "blur": _parse_blur,
    "noise": _parse_noise,
    "jpeg": _parse_jpeg,
}
APPLY: dict[str, Callable[[Tensor, float | str, Sequence[int]], Tensor]] = {
    "downsample": _downsample,
    "mask": _mask,
    "gray": _gray,
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
}
