"""Adversarial losses, as functions of logits.

With r = D(x) and f = D(G(z)) the discriminator's logits for N real and N generated samples, σ the logistic
function, and softplus(t) = log(1 + eᵗ) = −log σ(−t). Means are over all logits. Everything is computed from
logits, never from probabilities, in float32 or better, so it is finite and has its right slope for logits of
any size.

Imports torch: import late where a command line must answer at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from zerosum.errors import UsageError, nearest


@dataclass(frozen=True)
class AdversarialLoss:
    """What each side of a game minimises.

    Attributes:
        name: as in a configuration.
        discriminator_loss: (real, fake) logits to a scalar, the discriminator's loss.
        generator_loss: (fake, real) logits to a scalar, the generator's loss; `real` is used where `pairs`.
        probability: (logits, others) to the probabilities in [0, 1], of the shape of `logits`, that these
            samples are real, as the discriminator sees them; `others` are the logits of the other side.
        pairs: whether the i-th real and the i-th generated sample are compared, so that the generator's loss
            needs the real logits, and both sides the same number.
        smooth: whether the discriminator's loss has a slope at every logit (a hinge has not).

    The functions take logits of any one shape, (N,) or with further dimensions for patches, and raise
    UsageError for logits that are not floating-point numbers or whose shapes do not fit.
    """

    name: str
    discriminator_loss: Callable[[Tensor, Tensor], Tensor]
    generator_loss: Callable[[Tensor, Tensor], Tensor]
    probability: Callable[[Tensor, Tensor], Tensor]
    pairs: bool
    smooth: bool


def get_loss(name: str) -> AdversarialLoss:
    """The loss of that name in `LOSSES`; UsageError with the nearest name for an unknown one."""
    if name not in LOSSES:
        raise UsageError(f"there is no loss {name!r}: {nearest(name, list(LOSSES))}")
    return LOSSES[name]


# −mean log σ(r) − mean log(1 − σ(f)) = mean softplus(−r) + mean softplus(f)
# Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, equation 1 (negated: it is minimised here).
def classification_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's cross-entropy: real from generated, the sum of the two means."""
    real, fake = _checked(real, fake, paired=False)
    return softplus(-real).mean() + softplus(fake).mean()


# mean log(1 − σ(f)) = −mean softplus(f)
# Goodfellow et al. 2014, equation 1, the generator's side. Its slope σ(f) dies where D is sure.
def minimax_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """The generator's minimax (saturating) loss: the negative of what the discriminator minimises."""
    fake, _ = _checked(fake, real, paired=False)
    return -softplus(fake).mean()


# −mean log σ(f) = mean softplus(−f)
# Goodfellow et al. 2014, section 3: the same fixed point, and a strong slope where the minimax loss has none.
def non_saturating_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """The generator's non-saturating loss."""
    fake, _ = _checked(fake, real, paired=False)
    return softplus(-fake).mean()


# −mean log σ(r − f) = mean softplus(f − r)
# Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734 (RSGAN); Huang et al. 2024,
# https://arxiv.org/abs/2501.05441 (R3GAN).
def pairing_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's relativistic pairing loss: each real sample should look more real than its fake."""
    real, fake = _checked(real, fake, paired=True)
    return softplus(fake - real).mean()


# −mean log σ(f − r) = mean softplus(r − f)
# Jolicoeur-Martineau 2018 and Huang et al. 2024, the other side.
def pairing_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """The generator's relativistic pairing loss: each fake should look more real than its real sample."""
    fake, real = _checked(fake, real, paired=True)
    return softplus(real - fake).mean()


# σ(logit)
def absolute_probability(logits: Tensor, others: Tensor) -> Tensor:
    """The probability that a sample is real, of its own logit alone."""
    logits, _ = _checked(logits, others, paired=False)
    return logits.sigmoid()


# σ(logit − mean of the other side's logits)
# Jolicoeur-Martineau 2018 (RaGAN): a relativistic logit means something only against the other side's.
def relative_probability(logits: Tensor, others: Tensor) -> Tensor:
    """The probability that a sample is more real than the average one of the other side."""
    logits, others = _checked(logits, others, paired=False)
    return torch.sigmoid(logits - others.mean())


LOSSES: dict[str, AdversarialLoss] = {
    loss.name: loss
    for loss in (
        AdversarialLoss(
            "minimax",
            classification_loss,
            minimax_generator_loss,
            absolute_probability,
            pairs=False,
            smooth=True,
        ),
        AdversarialLoss(
            "non-saturating",
            classification_loss,
            non_saturating_generator_loss,
            absolute_probability,
            pairs=False,
            smooth=True,
        ),
        AdversarialLoss(
            "relativistic",
            pairing_discriminator_loss,
            pairing_generator_loss,
            relative_probability,
            pairs=True,
            smooth=True,
        ),
    )
}


def _checked(one: Tensor, other: Tensor, *, paired: bool) -> tuple[Tensor, Tensor]:
    """Both logits in float32 or better, if shapes and types fit; values are not looked at: no host sync."""
    for logits in (one, other):
        if not logits.is_floating_point():
            raise UsageError(f"a loss takes logits, floating-point numbers of any size; these are {logits.dtype}")
        if logits.dim() == 0 or logits.numel() == 0:
            raise UsageError(f"a loss takes one logit for each sample of a batch; these have {list(logits.shape)}")
    alike = one.shape == other.shape if paired else one.shape[1:] == other.shape[1:]
    if not alike:
        raise UsageError(
            f"logits of shapes {list(one.shape)} and {list(other.shape)} do not fit: the discriminator must "
            "give (N,) for the real and for the generated batch" + (", of one size" if paired else "")
        )
    return _at_least_float32(one), _at_least_float32(other)


def _at_least_float32(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


BOUNDED = (nn.Sigmoid, nn.LogSigmoid, nn.Hardsigmoid, nn.Softmax, nn.LogSoftmax)
SILENT = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout)  # may stand behind the layer that matters


def refuse_probabilities(discriminator: nn.Module, batch: Tensor | None = None) -> None:
    """Raise UsageError for a discriminator that ends in probabilities: the losses here take logits.

    To be called once, when a game is put together. Two looks are taken:

    - the last layer must not be a sigmoid, a softmax, or the logarithm of one;
    - with a `batch` (N, …) of samples, the outputs must be able to leave [0, 1]. A new network's logits may
      lie there by chance, so it is asked again with each layer's parameters negated in turn (the layer's
      output then changes its sign): a squashed output stays within [0, 1] whatever they are, a logit does
      not. This finds a sigmoid written in `forward`. The network is asked in evaluation mode, without
      gradients, and left as it was.
    """
    leaves = [
        layer
        for layer in discriminator.modules()
        if next(layer.children(), None) is None and not isinstance(layer, SILENT)
    ]
    if leaves and isinstance(leaves[-1], BOUNDED):
        raise _probabilities(discriminator, f"its last layer is {type(leaves[-1]).__name__}")
    if batch is not None and _stays_within_one(discriminator, batch):
        raise _probabilities(discriminator, "its outputs stay within [0, 1] whatever its weights")


def _probabilities(discriminator: nn.Module, why: str) -> UsageError:
    return UsageError(
        f"{type(discriminator).__name__} gives probabilities, the losses take logits ({why}): "
        "leave out the final sigmoid, it is part of the loss"
    )


def _stays_within_one(network: nn.Module, batch: Tensor) -> bool:
    """Whether all outputs lie in (0, 1], as the network is and with each layer's parameters negated."""
    modes = {layer: layer.training for layer in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            layers: list[dict[str, Tensor]] = [{}]
            for name, layer in network.named_modules():
                own = layer.named_parameters(prefix=name, recurse=False)
                layers.append({key: -value for key, value in own})
            for negated in layers:
                outputs = functional_call(network, negated, (batch,))
                # Zero is outside: a last layer that starts from zeros gives nothing else, a sigmoid never.
                if not bool(((outputs > 0) & (outputs <= 1)).all()):
                    return False
            return True
    finally:
        for layer, mode in modes.items():
            layer.training = mode
