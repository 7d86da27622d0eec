"""Penalties on a network's slope, and constraints on its weights: plain functions of a network and a batch.

With g_i = ∂D(x_i)/∂x_i the gradient of a sample's logit by the sample (over patches, of the sum of its logits), the
penalties are means over the batch of

    R1, R2                 ‖g‖²                       at real, at generated samples
    WGAN-GP, its LP form   (‖g‖ − 1)², max(0, ‖g‖ − 1)²    between real and generated samples
    DRAGAN                 (‖g‖ − 1)²                 around real samples
    differences            (D(x + σε) − D(x))² / σ²   whose mean over ε is ‖g‖² + O(σ²)
    consistency            (D(x) − D(T(x)))²          for an augmentation T
    LeCam                  (D(x) − α_F)² + (D(G(z)) − α_R)²
    path length            (‖Jᵀy‖ − a)²               of the generator

Weights, factors such as γ/2, and laziness are the caller's; so is every random number, which comes as an argument.

Where a gradient is differentiated in its turn, that works in eager mode only (torch.compile does not support double
backward), and is done in float32 even under autocast, unless asked otherwise; differences are taken in float32 too,
for bfloat16's eight bits would not hold them.

Imports torch: import late where a command line must answer at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils import parametrizations, parametrize

from zerosum.errors import UsageError
from zerosum.together import averaged

Function = Callable[[Tensor], Tensor]  # a network, or a function of one batch


# mean over i of ‖∂D(x_i)/∂x_i‖²
# Mescheder, Geiger & Nowozin 2018, "Which Training Methods for GANs do actually Converge?",
# https://arxiv.org/abs/1801.04406, equation 9: R1(D) = γ/2 · E[‖∇ₓD(x)‖²] over real samples.
def r1(discriminator: Function, real: Tensor) -> Tensor:
    """The mean over real samples (N, …) of the squared norm of the logit's gradient: a scalar, differentiable.

    The norm is over all dimensions of a sample. Where layers mix samples (BatchNorm), the gradient of a
    sample is that of the sum of all logits, as in the published code. Neither the samples nor their graph
    receive a gradient.
    """
    return _squared_gradient_norm(discriminator, real)


# mean over i of ‖∂D(G(z_i))/∂G(z_i)‖²
# Mescheder, Geiger & Nowozin 2018, equation 10.
def r2(discriminator: Function, fake: Tensor) -> Tensor:
    """The same as `r1` for generated samples (N, …); the generator receives no gradient from it."""
    return _squared_gradient_norm(discriminator, fake)


class Penalty(NamedTuple):
    """A penalty's function of (discriminator, samples), and the side whose samples it takes."""

    function: Callable[[nn.Module, Tensor], Tensor]
    side: Literal["real", "fake"]


PENALTIES: dict[str, Penalty] = {"r1": Penalty(r1, "real"), "r2": Penalty(r2, "fake")}


# mean (‖∂D(x̂)/∂x̂‖ − 1)², x̂ = t x + (1 − t) x̃
# Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028, equation 3; λ = 10 there.
# One-sided, mean max(0, ‖∂D(x̂)/∂x̂‖ − 1)²: Petzka, Fischer & Lukovnikov 2018, https://arxiv.org/abs/1709.08894
# (WGAN-LP).
def gradient_penalty(
    critic: Function, real: Tensor, fake: Tensor, mix: Tensor, *, one_sided: bool = False, exact: bool = True
) -> Tensor:
    """WGAN-GP: the critic's slope between real and generated samples should be 1; one-sided (LP): at most 1.

    Args:
        critic: samples to scores.
        real, fake: (N, …) of one shape; they receive no gradient.
        mix: (N,), uniform in [0, 1): the share of the real sample in the point between.
        one_sided: only slopes above 1 cost.
        exact: in float32 even under autocast. A slope near 1 stands bfloat16 well: its norm is within
            some 1% (benchmarks/penalty_precision.py); one near 0, as R1's, does not.

    Returns a scalar, differentiable by the critic's parameters (by a slope of exactly zero its derivative is taken as
    zero). Raises UsageError where shapes do not fit.
    """
    _same_shape(real, fake, "real and generated samples")
    if mix.shape != (len(real),):
        raise UsageError(f"mix of shape {list(mix.shape)}: give one number in [0, 1) a sample, ({len(real)},)")
    between = torch.lerp(_precise(fake), _precise(real), _precise(mix).view(-1, *[1] * (real.dim() - 1)))
    return _slope_of_one(critic, between, one_sided=one_sided, exact=exact)


# mean (‖∂D(x + δ)/∂x‖ − 1)²
# Kodali et al. 2017, "On Convergence and Stability of GANs", https://arxiv.org/abs/1705.07215 (λ = 10, k = 1).
# Theirs is δ ~ N(0, c); their code has δ = half the deviation of the batch times a uniform number for each pixel,
# times one for each sample.
def dragan(discriminator: Function, real: Tensor, noise: Tensor) -> Tensor:
    """DRAGAN: the logit's slope around real samples should be 1.

    `real` and `noise` (N, …) of one shape; the noise is added as it comes. Otherwise as `gradient_penalty`.
    """
    _same_shape(real, noise, "real samples and their noise")
    return _slope_of_one(discriminator, _precise(real) + _precise(noise))


# mean over i of (D(x_i + σ ε_i) − D(x_i))² / σ²
#
# With gradient g and second derivatives H, D(x + σε) − D(x) = σ g·ε + σ²/2 εᵀHε + O(σ³). For E[ε] = 0, E[εεᵀ] = I and
# vanishing third moments (normal numbers, or signs ±1), E[(g·ε)²] = gᵀ E[εεᵀ] g = ‖g‖² and the term in σ¹ is odd in ε:
# the mean is ‖g‖² + O(σ²), with no further factor. For a quadratic D and normal ε it is exactly
# ‖g‖² + σ²/4 ((tr H)² + 2 tr H²). One draw has the deviation √2·‖g‖², which averages out over samples and turns.
def r1_difference(discriminator: Function, real: Tensor, noise: Tensor, *, sigma: float = 0.01) -> Tensor:
    """R1 of finite differences: no gradient is differentiated, so it compiles, and costs two passes.

    Args:
        discriminator: samples to logits; it must answer a sample twice alike (`randomness_warning`).
        real: (N, …).
        noise: the shape of `real`; N(0, 1), or signs.
        sigma: the step, in units of the samples. The bias above falls with σ², the rounding error, some
            1e-7·|D(x)| / (σ ‖g‖) of the value in float32, rises with 1/σ.

    Returns a scalar, differentiable by the discriminator's parameters. Raises UsageError where shapes do not fit.
    """
    return _difference(discriminator, real, noise, sigma)


def r2_difference(discriminator: Function, fake: Tensor, noise: Tensor, *, sigma: float = 0.01) -> Tensor:
    """The same as `r1_difference` for generated samples (N, …); the generator receives no gradient from it."""
    return _difference(discriminator, fake, noise, sigma)


def difference_penalty(logits: Tensor, moved: Tensor, sigma: float) -> Tensor:
    """`r1_difference` of logits that are there: `logits` of x, and `moved` of x + σε, both (N, …).

    For a caller that has them from one pass over real, generated, and moved samples together. UsageError for logits in
    less than float32, which do not hold the difference.
    """
    _same_shape(logits, moved, "logits")
    if any(values.dtype in (torch.float16, torch.bfloat16) for values in (logits, moved)):
        raise UsageError(f"finite differences of {logits.dtype} logits are noise: run the discriminator in float32")
    if sigma <= 0:
        raise UsageError(f"sigma is {sigma:g}: give a step above zero, as 0.01")
    return (moved - logits).reshape(len(logits), -1).sum(1).square().mean() / sigma**2


# mean (D(x) − D(T(x)))²
# Zhao et al. 2021, "Improved Consistency Regularization for GANs", https://arxiv.org/abs/2002.04724, algorithm 1 (bCR):
# for real and for generated samples, λ = 10 each; Zhang et al. 2020, https://arxiv.org/abs/1910.12027: real ones alone.
def consistency(discriminator: Function, samples: Tensor, augmented: Tensor) -> Tensor:
    """Balanced consistency (bCR) for one side: an augmented sample should be judged as the sample itself.

    `samples` and `augmented` = T(samples): (N, …), real or generated; they receive no gradient. Both logits do.
    """
    _same_shape(samples, augmented, "samples and augmented samples")
    judged, again = discriminator(samples.detach()), discriminator(augmented.detach())
    return (_precise(judged) - _precise(again)).square().mean()


# mean (r − α_F)² + mean (f − α_R)²
# Tseng et al. 2021, "Regularizing GANs under Limited Data", https://arxiv.org/abs/2104.03310, R_LC in section 3. Their
# code also puts max(0, r − α_F) and max(0, α_R − f) there, which differs where D errs beyond the other anchor.
def lecam(real: Tensor, fake: Tensor, real_anchor: Tensor, fake_anchor: Tensor) -> Tensor:
    """LeCam: real logits are held near the moving average of the fakes', and the other way round.

    `real`, `fake`: logits (N, …). `real_anchor`, `fake_anchor`: scalars, as `moving_average` makes them; no gradient.
    """
    real, fake = _precise(real), _precise(fake)
    return (real - fake_anchor.detach()).square().mean() + (fake - real_anchor.detach()).square().mean()


# a ← a + (1 − decay) (mean − a)
def moving_average(average: Tensor, values: Tensor, *, decay: float = 0.99) -> Tensor:
    """The scalar `average` moved towards the mean of `values`: a new tensor, without gradient; LeCam's anchors."""
    return torch.lerp(average.detach(), averaged(values.detach().mean()).to(average.dtype), 1 - decay)


# mean (‖Jᵀy‖ − a)², Jᵀy = ∇_w (G(w)·y), y ~ N(0, I); a: the moving average of ‖Jᵀy‖
# Karras et al. 2020 (StyleGAN2), https://arxiv.org/abs/1912.04958, equation 4 and appendix B; weight 2, on half
# a batch, in their code.
def path_length(
    generator: Function, latent: Tensor, noise: Tensor, mean: Tensor, *, decay: float = 0.99
) -> tuple[Tensor, Tensor]:
    """StyleGAN2's path length: equal steps in latent space should make equal steps in the image.

    Args:
        generator: latents to images (N, C, H, W), or points (N, D).
        latent: (N, size), or (N, layers, size) with one latent for each layer, whose squared lengths are averaged.
            Where it requires a gradient, what made it (a mapping network) is penalised as well.
        noise: N(0, 1), the shape of what the generator makes; divided here by √(H·W), so that the length does not
            depend on the resolution.
        mean: a, a scalar: zero to begin with, then what the last call returned.
        decay: of the moving average.

    Returns the penalty, a scalar differentiable by the generator's parameters, and the new mean, without gradient.
    """
    if latent.dim() not in (2, 3):
        raise UsageError(f"latents of shape {list(latent.shape)}: give (N, size), or (N, layers, size)")
    with _exact(latent):
        start = _precise(latent)
        start = start if start.requires_grad else start.detach().requires_grad_()
        images = generator(start)
        _same_shape(images, noise, "images and their noise")
        projected = (images * _precise(noise)).sum() / math.sqrt(math.prod(images.shape[2:]))
        (gradient,) = torch.autograd.grad(projected, start, create_graph=True)
        # One vector a sample whose norm is √(mean over layers of ‖·‖²): a norm has no NaN in its slope at zero.
        layers = latent.shape[1] if latent.dim() == 3 else 1
        lengths = torch.linalg.vector_norm(gradient.flatten(1), dim=1) / math.sqrt(layers)
        new = moving_average(mean, lengths, decay=decay)
        return (lengths - new).square().mean(), new


# w ← min(c, max(−c, w))
# Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875, algorithm 1, line 7; c = 0.01 there, after each critic turn.
@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Clip every parameter of `network` to [−limit, limit], in place; NaN stays NaN. UsageError for limit <= 0."""
    if limit <= 0:
        raise UsageError(f"the limit of the weights is {limit:g}: give one above zero (WGAN: 0.01)")
    for parameter in network.parameters():
        parameter.clamp_(-limit, limit)


# W ← W / σ(W), σ(W): the largest singular value, by one step of power iteration at each pass in training
# Miyato et al. 2018, https://arxiv.org/abs/1802.05957, algorithm 1; a convolution's W is (out, in·k·k).
def spectral_normalise(network: nn.Module) -> nn.Module:
    """Put torch's spectral normalisation on every linear and (transposed) convolutional layer; returns `network`.

    The weights move to `parametrizations.weight.original`, with two buffers for the power iteration, so they keep their
    place in a state_dict as plain tensors; initialise them first. Layers that have it already are left alone.
    Raises UsageError for a network without such a layer, and for one with weights of zero, which have no norm.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd)]
    if not layers:
        raise UsageError(f"{type(network).__name__} has no linear or convolutional layer to normalise")
    if not all(layer.weight.any() for layer in layers):
        raise UsageError(
            f"{type(network).__name__} begins with layers whose weights are zero, which no norm can be brought to 1 by "
            "division: leave spectral normalisation out"
        )
    for layer in layers:
        if not parametrize.is_parametrized(layer, "weight"):
            parametrizations.spectral_norm(layer)
    return network


# c = k / (k + 1); lr ← c·lr, β ← β^c
# Karras et al. 2020 (StyleGAN2), appendix B, "Lazy regularization".
def lazy_adam(lr: float, betas: tuple[float, float], every: int) -> tuple[float, tuple[float, float]]:
    """Adam's learning rate and betas where each `every` turns are followed by one step on the penalty alone.

    There are then k + 1 steps for k turns, and c = k/(k + 1) makes their pace and memory that of k. The penalty is
    multiplied by `every`. Where it is added to the loss of every k-th turn instead, no step is gained, and nothing
    is to be rescaled but the penalty. UsageError for `every` below 1.
    """
    if every < 1:
        raise UsageError(f"every is {every}: give a whole number of turns, at least 1")
    share = every / (every + 1)
    return lr * share, (betas[0] ** share, betas[1] ** share)


def mixing_warning(network: nn.Module, *, inference: bool = False) -> str | None:
    """What to say of a critic with BatchNorm, or another layer that mixes samples, under a penalty on each one's slope.

    `inference`: the penalty is taken with running statistics. None where there is no such layer.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) or getattr(layer, "mixes_samples", False):
            why = (
                "answers the penalty with its running statistics and the loss with those of the batch, so the slope "
                "that is penalised is not the critic's own"
                if inference
                else "mixes the samples of a batch, so the gradient that is penalised is not each sample's own"
            )
            return (
                f"the layer {name or 'itself'} ({type(layer).__name__}) {why}: take layer normalisation (nn.LayerNorm, "
                "or nn.GroupNorm with one group) or instance normalisation (nn.InstanceNorm2d) in its place; the dcgan "
                "networks do by --discriminator.options.norm layer."
            )
    return None


def randomness_warning(network: nn.Module) -> str | None:
    """What to say of a network with dropout under finite differences or consistency; None where it has none.

    Its two answers differ by their masks as well, and differences divide that by σ².
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd) and layer.p > 0:
            return (
                f"the layer {name or 'itself'} ({type(layer).__name__}) answers a sample differently each time, and "
                "the penalty compares two answers: set its dropout to 0, or take r1 and r2 instead."
            )
    return None


def spectral_warning(network: nn.Module) -> str | None:
    """What to say of a network with spectral normalisation under finite differences; None where it has none.

    Each pass takes a step of the power iteration, so two answers differ by their weights too, and differences divide
    that by σ².
    """
    for name, layer in network.named_modules():
        if parametrize.is_parametrized(layer):
            return (
                f"the spectral normalisation of the layer {name or 'itself'} moves its weights at each answer, and the "
                "penalty compares two answers a hair apart: take r1 and r2 instead."
            )
    return None


def _squared_gradient_norm(discriminator: Function, samples: Tensor) -> Tensor:
    return _gradient(discriminator, samples).square().sum(1).mean()


def _slope_of_one(critic: Function, points: Tensor, *, one_sided: bool = False, exact: bool = True) -> Tensor:
    excess = torch.linalg.vector_norm(_gradient(critic, points, exact), dim=1) - 1
    return (relu(excess) if one_sided else excess).square().mean()


def _gradient(function: Function, samples: Tensor, exact: bool = True) -> Tensor:
    """The gradient (N, numbers a sample) of each sample's output by the sample, differentiable."""
    with _exact(samples) if exact else torch.enable_grad():
        inputs = _precise(samples).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_precise(function(inputs)).sum(), inputs, create_graph=True)
        return gradient.flatten(1)


def _difference(discriminator: Function, samples: Tensor, noise: Tensor, sigma: float) -> Tensor:
    _same_shape(samples, noise, "samples and their noise")
    with _exact(samples):
        inputs = _precise(samples).detach()
        return difference_penalty(discriminator(inputs), discriminator(inputs + sigma * _precise(noise)), sigma)


@contextmanager
def _exact(samples: Tensor) -> Iterator[None]:
    # torch.enable_grad: the caller may sit in a region without gradients (a report); the penalty needs them.
    with torch.enable_grad(), torch.autocast(samples.device.type, enabled=False):
        yield


def _precise(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _same_shape(one: Tensor, other: Tensor, what: str) -> None:
    if one.shape != other.shape:
        raise UsageError(f"{what} have the shapes {list(one.shape)} and {list(other.shape)}: give both of one shape")
