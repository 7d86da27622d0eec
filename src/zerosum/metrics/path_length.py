"""Perceptual path length: how abruptly images change on the way from one latent to another.

    l = E |f(G(at(t))) − f(G(at(t + ε)))|² / ε²        t uniform in [0, 1]

    at(t) = lerp(a, b; t)       in w, which has no shape of its own
    at(t) = slerp(a, b; t)      in z, which lies near a sphere: straight lines would leave it

Between two latents that the generator has torn apart, an image has to become quite another within a short step.
The figures of single pairs have long tails: the hundredth part of them at either end is cut away.

Source: Karras, Laine and Aila 2019, A style-based generator architecture, section 4.1, equations 2 and 3
(https://arxiv.org/abs/1812.04948); the cut is that of the code published with it. There f is VGG16 with the weights
of LPIPS: figures with other features compare with each other only. There z is scaled to length 1. A slerp here goes
from the length of a to that of b, for generators that do not do so themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zerosum.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

CUT = 0.01  # of the figures, at either end
AT_ONCE = 32  # paths; twice as many images


def path_length(
    make: Callable[[Tensor], Tensor],
    starts: Tensor,
    ends: Tensor,
    features: Callable[[Tensor], Tensor],
    *,
    spherical: bool,
    epsilon: float = 1e-4,
    seed: int = 0,
) -> float:
    """The mean perceptual path length, at least 0, in squared units of the features per squared unit of t.

    make: latents (n, D) to images, in evaluation mode. It is called for both ends of a step with PyTorch's generators
    in the same state: noise and labels that it draws are those of the path. starts, ends: (N, D) latents, of one
    space. features: images to (n, width). spherical: go by slerp, as in z; else by lerp, as in w. epsilon: the length
    of a step of t: shorter than what bends a path, and long enough that its images differ by more than rounding.

    The same seed gives the same figures for the same N; PyTorch's own randomness is left as it was. Raises UsageError
    for shapes that do not fit, and where features are not finite.
    """
    import torch

    if starts.shape != ends.shape or starts.ndim != 2 or not starts.numel():
        raise UsageError(
            f"Paths go from latents (N, D) to as many others, and these are {tuple(starts.shape)} and "
            f"{tuple(ends.shape)}."
        )
    if not 0 < epsilon < 1:
        raise UsageError(f"The step of a path is {epsilon}: give one between 0 and 1, such as 1e-4.")
    times = torch.rand(len(starts), 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    way = slerp if spherical else lerp
    devices = [starts.device] if starts.device.type == "cuda" else []
    lengths = []
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        for first in range(0, len(starts), AT_ONCE):
            a, b, t = (part[first : first + AT_ONCE].cpu().double() for part in (starts, ends, times))
            seen = []
            for moment in (t, t + epsilon):
                torch.manual_seed(seed + first)
                seen.append(features(make(way(a, b, moment).to(starts))).cpu().double())
            lengths.append((seen[0] - seen[1]).square().sum(1) / epsilon**2)
    found = torch.cat(lengths)
    if not bool(found.isfinite().all()):
        raise UsageError("A path length is of finite features, and some of these are not (NaN or infinite).")
    return float(_without_tails(found).mean())


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Points of the lines from a to b, (n, D), at times t (n, 1)."""
    return a + (b - a) * t


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Points of the great circles from a to b, (n, D), at times t (n, 1); lengths go from that of a to that of b.

    Shoemake 1985, Animating rotation with quaternion curves; of latents White 2016, https://arxiv.org/abs/1609.04468.
    """
    import torch

    lengths = [ends.norm(dim=1, keepdim=True).clamp(min=torch.finfo(ends.dtype).tiny) for ends in (a, b)]
    one, other = a / lengths[0], b / lengths[1]
    cosine = (one * other).sum(1, keepdim=True).clamp(-1, 1)
    across = other - cosine * one
    across = across / across.norm(dim=1, keepdim=True).clamp(min=torch.finfo(across.dtype).tiny)
    turned = t * torch.arccos(cosine)
    points: Tensor = (one * turned.cos() + across * turned.sin()) * lerp(lengths[0], lengths[1], t)
    return points


def _without_tails(lengths: Tensor) -> Tensor:
    """What lies from the first percentile to the last but one, both rounded outwards to figures that are there."""
    low = lengths.quantile(CUT, interpolation="lower")
    high = lengths.quantile(1 - CUT, interpolation="higher")
    return lengths[(lengths >= low) & (lengths <= high)]
