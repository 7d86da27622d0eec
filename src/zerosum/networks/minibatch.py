"""Layers that let a discriminator see a batch: samples too alike give a collapsed generator away.

Both stand between a discriminator's body and its head, (N, K) features to (N, K + extra), and both mix the
samples of a batch: real and generated ones are to be judged in batches of their own, and a penalty on each
sample's gradient is not exact behind them.

They see the features as the body hands them on: dropout at its end makes strangers of twins, so set it to 0.
(With the 0.5 of `mlp-discriminator` a batch of 64 equal images has a closeness of 4 in place of 63.)

Both are computed in float32 even under autocast: bfloat16's eight bits do not hold the differences between
samples that are nearly the same, which are the ones that matter.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError, nearest
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import check_positive
from zerosum.together import gathered, own


# M_i = f(x_i)·T,   c_b(i, j) = exp(−‖M_ib − M_jb‖₁),   o_b(i) = Σ_{j ≠ i} c_b(i, j)
class MinibatchDiscrimination(nn.Module):
    """Salimans et al. 2016, "Improved Techniques for Training GANs", https://arxiv.org/abs/1606.03498, section 3.2.

    Features (N, K) to (N, K + kernels): beside them, for each kernel, how close the rest of the batch is, from 0
    (all far) to N − 1 (all the same). The paper's sum runs over j = i too, a constant 1, left out here as in its
    code. It is a sum, as there: not divided by N − 1, so keep to one batch size.

    T, the parameter `kernels` (K, kernels, size), starts as N(0, 1/K): columns of about unit length, as in the
    paper's code (which then scales them to its first batch). For features that are independent and of unit
    deviation the mean closeness is (e·erfc(1))^size, 0.014 for 5: the sum over a batch of 64 is about 1, and a
    single twin outweighs the rest. Less varied features are closer; only at deviations of 3 and more does
    exp(−‖·‖₁) die away.

    Args:
        features: K.
        kernels: how many numbers are added (the paper's B).
        size: dimensions in which a kernel measures its distance (the paper's C). Memory: N²·kernels·size floats.
    """

    mixes_samples = True

    def __init__(self, features: int, kernels: int = 50, size: int = 5):
        super().__init__()
        check_positive(features=features, kernels=kernels, size=size)
        self.extra = kernels
        self.kernels = nn.Parameter(torch.randn(features, kernels, size) / math.sqrt(features))

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, K) to (N, K + kernels)."""
        with torch.autocast(features.device.type, enabled=False):
            precise = features.to(self.kernels.dtype)
            # Samples last: a sum over neighbours in memory takes twice as long as one over rows.
            projected = (self.kernels.flatten(1).T @ precise.T).view(*self.kernels.shape[1:], -1)  # (kernels, size, N)
            distance = (projected[..., None] - gathered(projected, -1)[:, :, None]).abs().sum(1)  # (kernels, N, N)
            closeness = torch.exp(-distance).sum(2).T - 1  # but for j = i, where exp(0) = 1
        return torch.cat((precise, closeness), 1)


# s(group) = mean over features of √(variance over the group + ε)
class MinibatchDeviation(nn.Module):
    """Karras et al. 2018 (ProGAN), https://arxiv.org/abs/1710.10196, section 3; groups and ε as in its code.

    Features (N, K) to (N, K + 1): beside them the standard deviation of the sample's group, averaged over the
    features: one number for each group. With M = N / size groups, the samples m, m + M, m + 2M … are a group.
    ε = 1e-8; a group of one has √ε = 1e-4, as equal samples do.

    Args:
        features: K.
        group: samples in a group; the largest divisor of N up to it. (A batch whose only divisor there is 1 shows
            no deviation: take batches that `group` divides.)
    """

    mixes_samples = True
    extra = 1

    def __init__(self, features: int, group: int = 4):
        super().__init__()
        check_positive(features=features)
        if type(group) is not int or group < 2:
            raise UsageError(f"group is {group!r}: it must be a whole number of at least 2")
        self.group = group

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, K) to (N, K + 1)."""
        whole = gathered(features)
        count = len(whole)
        size = max(size for size in range(1, self.group + 1) if count % size == 0)
        with torch.autocast(features.device.type, enabled=False):
            precise, whole = (x.float() if x.dtype in (torch.float16, torch.bfloat16) else x for x in (features, whole))
            groups = whole.reshape(size, count // size, -1)
            deviation = (groups.var(0, correction=0) + 1e-8).sqrt().mean(1)  # (count / size,)
        return torch.cat((precise, own(deviation.repeat(size))[:, None]), 1)


LAYERS: dict[str, type[MinibatchDiscrimination] | type[MinibatchDeviation]] = {
    "discrimination": MinibatchDiscrimination,
    "deviation": MinibatchDeviation,
}


def add_minibatch(discriminator: nn.Module, kind: str, **options: Any) -> Discriminator:
    """Put a minibatch layer before the head of `discriminator`, in place; returns it.

    The linear head keeps its weights for the old features, and its bias. Its new weights are normal with zero
    mean and the root mean square of the old ones for deviation, so whatever scale the network was initialised
    to, theirs is the same.

    Args:
        discriminator: a `Discriminator` with its first, linear head (add this before spectral normalisation).
        kind: "discrimination" or "deviation".
        options: of the layer: `kernels` and `size`, or `group`.

    Draws from torch's default generator. Raises UsageError, with the remedy, for another network or head, one whose
    logits are maps, an unknown kind, an unknown option and one of the wrong type.
    """
    if kind not in LAYERS:
        raise UsageError(f"there is no minibatch layer {kind!r}: {nearest(kind, list(LAYERS))}")
    known = [option for option in inspect.signature(LAYERS[kind]).parameters if option != "features"]
    for option in options:
        if option not in known:
            raise UsageError(f"minibatch {kind} has no option {option!r}: {nearest(option, known)}")
    if not isinstance(discriminator, Discriminator):
        raise UsageError(
            f"{type(discriminator).__name__} has no body and head for a minibatch layer to stand between: "
            "build it on zerosum.networks.Discriminator"
        )
    if discriminator.maps:
        raise UsageError(
            f"{type(discriminator).__name__} gives a map of logits, and a minibatch layer compares whole samples: "
            "leave the layer out, or take a discriminator with one logit a sample, as dcgan-discriminator"
        )
    old = discriminator.head
    if type(old) is not nn.Linear:
        raise UsageError(
            f"the head of {type(discriminator).__name__} is a {type(old).__name__}, no longer its first linear layer: "
            "add one minibatch layer, and before spectral normalisation"
        )
    layer = LAYERS[kind](discriminator.width, **options)
    discriminator.head = nn.Sequential(layer, _widened(old, layer.extra)).to(old.weight.device, old.weight.dtype)
    return discriminator


@torch.no_grad()
def _widened(old: nn.Linear, extra: int) -> nn.Linear:
    new = nn.Linear(old.in_features + extra, old.out_features, bias=old.bias is not None)
    scale = old.weight.square().mean().sqrt().item()
    new.weight[:, : old.in_features] = old.weight
    nn.init.normal_(new.weight[:, old.in_features :], 0.0, scale)
    if old.bias is not None:
        new.bias.copy_(old.bias)
    return new
