"""How unlike each other images are, pixel by pixel: 1 − the mean SSIM over pairs of them.

0 for equal images, about 1 for unrelated ones. It needs no features and no real data, and sees when all samples of a
set come to look alike; compare it with that of real images of the same size.

Source: Odena, Olah and Shlens 2017, Conditional image synthesis with auxiliary classifier GANs, section 4.2
(https://arxiv.org/abs/1610.09585), there with multi-scale SSIM, for which small images have no room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerosum.errors import UsageError
from zerosum.metrics.pictures import AT_ONCE, ssim

if TYPE_CHECKING:
    from torch import Tensor


def ssim_diversity(images: Tensor, *, pairs: int = 1000, seed: int = 0) -> float:
    """1 − the mean structural similarity of pairs of images, in [0, 2], in practice in [0, 1].

    images: (N, C, H, W) in [-1, 1], N at least 2. pairs: how many to draw, each of two different rows and equally
    likely; the same seed draws the same pairs of the same N. Raises UsageError for shapes that do not fit.
    """
    import torch

    count = len(images) if images.ndim == 4 else 0
    if count < 2 or pairs < 1:
        raise UsageError(
            f"The diversity of images of shape {tuple(images.shape)} was asked for, over {pairs} pairs: "
            "give at least two images, (N, C, H, W), and 1 pair."
        )
    random = torch.Generator().manual_seed(seed)
    one = torch.randint(count, (pairs,), generator=random)
    other = (one + torch.randint(1, count, (pairs,), generator=random)) % count
    step = max(1, AT_ONCE // images[0].numel())
    chosen = zip(one.to(images.device).split(step), other.to(images.device).split(step), strict=True)
    alike = torch.cat([ssim(images[some], images[others]) for some, others in chosen])
    return 1 - float(alike.mean())
