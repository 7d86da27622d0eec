"""The network of the Fréchet Inception distance, in plain PyTorch: the only extractor whose distances are called FID.

The graph that TensorFlow published as inception-2015-12-05, up to `pool_3`: 2,048 maps of 8 × 8, averaged. It is
Inception-v3 (Szegedy et al. 2015, Rethinking the Inception architecture, https://arxiv.org/abs/1512.00567) without its
auxiliary head, with 1,008 classes, and unlike other copies of Inception-v3

    its average pools leave the padding out of the mean,
    its last block has a maximum pool where the others have averages,
    an image is (pixel − 128) / 128 for pixels in [0, 255].

As a measure of generators: Heusel et al. 2017, https://arxiv.org/abs/1706.08500. Images are resized as by clean-fid
(Parmar et al. 2022, https://arxiv.org/abs/2104.11222): bicubic, antialiased, to 299 × 299, kept in [0, 255], not
rounded. A generator's images should have been rounded to 8 bits before, as a file of images would have done.

The weights are those that pytorch-fid brought over from that graph, and that torch-fidelity and others use too. The
file is fetched once, 96 MB, and read only if it is that one to the bit.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from zerosum.metrics.extractors.base import Extractor, Progress, resized
from zerosum.metrics.extractors.weights import Published, by_hand, fetched, read_weights

PUBLISHED = Published(
    file="pt_inception-2015-12-05-6726825d.pth",
    address="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    size=95_628_359,
)
SIDE = 299
EPSILON = 0.001  # added to variances, as the graph does

Step = tuple[int, str]
"""Maps that a convolution makes, and its kernel; of two kernels "1x3|3x1" both see the same, and follow each other."""
Branches = dict[str, tuple[Step, ...]]


class Inception(Extractor):
    """Inception-2015-12-05 to its third pool, with the weights of `published`.

    Raises UsageError when these cannot be had, or are not the known ones; RunError for the disk.
    """

    name = "inception"
    resize = f"bicubic, antialiased, to {SIDE}×{SIDE}"
    width = 2048
    at_once = 16

    def __init__(self, published: Published = PUBLISHED, progress: Progress | None = None) -> None:
        super().__init__()
        path = fetched(published, progress)
        state = read_weights(path, published.sha256, f"delete it to have it fetched anew, or {by_hand(published)}")
        self.sha256 = published.sha256
        with torch.device("meta"):  # no random numbers are drawn for parameters that are replaced
            self.network = network()
        features = {name: value for name, value in state.items() if not name.startswith("fc.")}  # fc: the classes
        self.network.load_state_dict(features, assign=True)
        self.settle()

    def _features(self, images: Tensor) -> Tensor:
        pixels = resized(images, SIDE, SIDE).clamp(-1, 1) * 127.5 + 127.5
        maps: Tensor = self.network((pixels - 128) / 128)
        return maps.mean((2, 3))


def network() -> nn.Sequential:
    """Images (N, 3, 299, 299) in, maps (N, 2048, 8, 8) out; the names of its parameters are those of the file."""
    return nn.Sequential(
        OrderedDict(
            Conv2d_1a_3x3=_convolution(3, 32, "3x3", stride=2),  # 149 × 149
            Conv2d_2a_3x3=_convolution(32, 32, "3x3"),  # 147 × 147
            Conv2d_2b_3x3=_convolution(32, 64, "3x3", padded=True),
            pool_1=nn.MaxPool2d(3, 2),  # 73 × 73
            Conv2d_3b_1x1=_convolution(64, 80, "1x1"),
            Conv2d_4a_3x3=_convolution(80, 192, "3x3"),  # 71 × 71
            pool_2=nn.MaxPool2d(3, 2),  # 35 × 35
            Mixed_5b=Mixed(192, _fives(), _mean(), 32),
            Mixed_5c=Mixed(256, _fives(), _mean(), 64),
            Mixed_5d=Mixed(288, _fives(), _mean(), 64),
            Mixed_6a=Mixed(288, {"branch3x3": ((384, "3x3"),), "branch3x3dbl": _DOUBLE}),  # 17 × 17
            Mixed_6b=Mixed(768, _sixes(128), _mean(), 192),
            Mixed_6c=Mixed(768, _sixes(160), _mean(), 192),
            Mixed_6d=Mixed(768, _sixes(160), _mean(), 192),
            Mixed_6e=Mixed(768, _sixes(192), _mean(), 192),
            Mixed_7a=Mixed(768, _SEVEN_A),  # 8 × 8
            Mixed_7b=Mixed(1280, _SEVENS, _mean(), 192),
            Mixed_7c=Mixed(2048, _SEVENS, nn.MaxPool2d(3, 1, 1), 192),
        )
    )


class Mixed(nn.Module):
    """Chains of convolutions that all see the same maps, and a pool of these maps, side by side in the result.

    branches: by name; a convolution's name is its branch's, with its place where there are more than one. pool: of
    3 × 3, the size stays. pooled: how many maps are made of what it gives. Without these two the size is halved: the
    pool is a maximum, and the last convolution of each branch has stride 2 and no padding.
    """

    def __init__(self, before: int, branches: Branches, pool: nn.Module | None = None, pooled: int = 0) -> None:
        super().__init__()
        self.branches: list[list[list[str]]] = []  # names, by branch and step
        for branch, steps in branches.items():
            self.branches.append([])
            width = before
            for place, (made, kernels) in enumerate(steps, start=1):
                halving = pool is None and place == len(steps)
                names = _names(branch if len(steps) == 1 else f"{branch}_{place}", kernels)
                for name, kernel in names.items():
                    self.add_module(name, _convolution(width, made, kernel, stride=1 + halving, padded=not halving))
                self.branches[-1].append(list(names))
                width = made
        self.pool = nn.MaxPool2d(3, 2) if pool is None else pool
        self.branch_pool = nn.Identity() if pool is None else _convolution(before, pooled, "1x1")

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, H, W) in; the pool's stand last."""
        made = []
        for branch in self.branches:
            ends = [maps]
            for names in branch:  # only the last step of a branch has two
                ends = [self.get_submodule(name)(ends[0]) for name in names]
            made += ends
        return torch.cat([*made, self.branch_pool(self.pool(maps))], 1)


def _fives() -> Branches:
    return {"branch1x1": ((64, "1x1"),), "branch5x5": ((48, "1x1"), (64, "5x5")), "branch3x3dbl": _DOUBLE}


def _sixes(narrow: int) -> Branches:
    crosses: tuple[Step, ...] = ((narrow, "1x1"), (narrow, "7x1"), (narrow, "1x7"), (narrow, "7x1"), (192, "1x7"))
    return {
        "branch1x1": ((192, "1x1"),),
        "branch7x7": ((narrow, "1x1"), (narrow, "1x7"), (192, "7x1")),
        "branch7x7dbl": crosses,
    }


_DOUBLE: tuple[Step, ...] = ((64, "1x1"), (96, "3x3"), (96, "3x3"))
_SEVEN_A: Branches = {
    "branch3x3": ((192, "1x1"), (320, "3x3")),
    "branch7x7x3": ((192, "1x1"), (192, "1x7"), (192, "7x1"), (192, "3x3")),
}
_SEVENS: Branches = {
    "branch1x1": ((320, "1x1"),),
    "branch3x3": ((384, "1x1"), (384, "1x3|3x1")),
    "branch3x3dbl": ((448, "1x1"), (384, "3x3"), (384, "1x3|3x1")),
}


def _names(step: str, kernels: str) -> dict[str, str]:
    """The kernels of a step by the names of their convolutions."""
    if "|" not in kernels:
        return {step: kernels}
    return {f"{step}{end}": kernel for end, kernel in zip("ab", kernels.split("|"), strict=True)}


def _mean() -> nn.Module:
    """Of each place and its neighbours, those outside not counted."""
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False)


def _convolution(before: int, made: int, kernel: str, *, stride: int = 1, padded: bool = False) -> nn.Sequential:
    """Convolution, normalisation, ReLU. kernel: "height x width"; padded: the size stays."""
    height, width = (int(side) for side in kernel.split("x"))
    padding = (height // 2, width // 2) if padded else (0, 0)
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(before, made, (height, width), stride, padding, bias=False),
            bn=nn.BatchNorm2d(made, EPSILON),
            relu=nn.ReLU(inplace=True),
        )
    )
