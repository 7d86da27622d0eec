"""Adversarial losses, as functions of logits.

With r = D(x) and f = D(G(z)) the discriminator's logits for N real and N generated samples, σ the logistic function,
and softplus(t) = log(1 + eᵗ) = −log σ(−t). Means are over all logits. Everything is computed from logits, never from
probabilities, in float32 or better, so it is finite and has its right slope for logits of any size (least squares:
below 1e19, whose square float32 holds).

A critic (hinge, Wasserstein) and a least-squares discriminator give scores rather than logits: the same number without
a sigmoid, and "logits" below.

Imports torch: import late where a command line must answer at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import relu, softplus
from torch.nn.utils import parametrize

from zerosum.errors import UsageError, nearest
from zerosum.together import averaged, gathered


@dataclass(frozen=True)
class AdversarialLoss:
    """What each side of a game minimises.

    Attributes:
        name: as in a configuration.
        discriminator_loss: (real, fake) logits to a scalar, the discriminator's loss; where `flips` > 0 it takes
            (real, fake, chance), with `chance` (N, 2) uniform in [0, 1): a row a sample, the real one's and the fake's.
        generator_loss: (fake, real) logits to a scalar, the generator's loss; `real` is used where `pairs`.
        probability: (logits, others) to the probabilities in [0, 1], of the shape of `logits`, that these samples are
            real, as the discriminator sees them; `others` are the logits of the other side.
        pairs: whether fakes are compared with real samples, so that the generator's loss needs the real logits (the
            pairing loss compares the i-th with the i-th, and needs as many of both).
        smooth: whether the discriminator's loss has a slope by every fake logit, wherever it lies, so that the
            generator's gradient may be had from the discriminator's by rescaling it, sample by sample. A hinge has
            flat parts, and least squares are level at their target.
        flips: the share of labels that are flipped, 0 for none.
        linear: whether both sides' slopes by a fake logit are constants, so that the generator's gradient is the
            discriminator's times one number, also where layers mix samples (Wasserstein).

    The functions take logits of any one shape, (N,) or with further dimensions for patches, and raise UsageError for
    logits that are not floating-point numbers or whose shapes do not fit.
    """

    name: str
    discriminator_loss: Callable[..., Tensor]
    generator_loss: Callable[[Tensor, Tensor], Tensor]
    probability: Callable[[Tensor, Tensor], Tensor]
    pairs: bool = False
    smooth: bool = True
    flips: float = 0.0
    linear: bool = False


def get_loss(name: str, **options: float) -> AdversarialLoss:
    """The loss of that name in `LOSSES`, with its options bound (`LOSS_OPTIONS` lists them by loss).

    Args:
        name: a key of `LOSSES`.
        options: `real_label` in (0.5, 1], one-sided label smoothing; `flips` in [0, 0.5), the share of labels flipped;
            `a`, `b`, `c`, the targets of least squares.

    Raises UsageError with the remedy for an unknown name, for an option that means nothing to this loss, and for a
    value out of range.
    """
    if name not in LOSSES:
        raise UsageError(f"there is no loss {name!r}: {nearest(name, list(LOSSES))}")
    for option, value in options.items():
        _check_option(name, option, value)
    return _WITH_OPTIONS[name](**options) if options else LOSSES[name]


# −mean log σ(r) − mean log(1 − σ(f)) = mean softplus(−r) + mean softplus(f)
# Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, equation 1 (negated: it is minimised here).
# With labels y instead of 1 and 0: −y log σ(t) − (1 − y) log(1 − σ(t)) = y softplus(−t) + (1 − y) softplus(t)
# One-sided smoothing, y = 0.9 for real: Salimans et al. 2016, https://arxiv.org/abs/1606.03498, section 3.4. Flipped
# labels: Chintala et al. 2016, "How to train a GAN", https://github.com/soumith/ganhacks, 6.
def classification_loss(
    real: Tensor, fake: Tensor, chance: Tensor | None = None, *, real_label: float = 1.0, flips: float = 0.0
) -> Tensor:
    """The discriminator's cross-entropy: real from generated, the sum of the two means.

    `real_label`: the label of what passes for real, less than 1 to keep D from being sure. `flips`: the share of
    samples that pass for the other kind: those whose `chance` (N, 2) (real, fake; uniform in [0, 1)) lies below it.
    """
    real, fake = _checked(real, fake, paired=False)
    if real_label == 1 and flips == 0:
        return softplus(-real).mean() + softplus(fake).mean()
    labels = _labels(real, fake, chance, flips, real_label, 0.0)
    pairs = zip((real, fake), labels, strict=True)
    one, other = ((y * softplus(-t) + (1 - y) * softplus(t)).mean() for t, y in pairs)
    return one + other


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


# ½ mean (r − b)² + ½ mean (f − a)²
# Mao et al. 2017, https://arxiv.org/abs/1611.04076, equation 2.
def least_squares_discriminator_loss(
    real: Tensor, fake: Tensor, chance: Tensor | None = None, *, a: float = 0.0, b: float = 1.0, flips: float = 0.0
) -> Tensor:
    """The discriminator's least squares: `b` for real, `a` for generated; `chance` and `flips` as above."""
    real, fake = _checked(real, fake, paired=False)
    for_real, for_fake = _labels(real, fake, chance, flips, b, a)
    return ((real - for_real).square().mean() + (fake - for_fake).square().mean()) / 2


# ½ mean (f − c)²
# Mao et al. 2017, equation 2. With b − c = 1 and b − a = 2 (a, b, c = −1, 1, 0) the game is about Pearson's χ² between
# p_real + p_fake and 2 p_fake; 0, 1, 1 is equation 9.
def least_squares_generator_loss(fake: Tensor, real: Tensor, *, c: float = 1.0) -> Tensor:
    """The generator's least squares: it wants its samples judged as `c`."""
    fake, _ = _checked(fake, real, paired=False)
    return (fake - c).square().mean() / 2


# mean max(0, 1 − r) + mean max(0, 1 + f)
# Lim & Ye 2017, https://arxiv.org/abs/1705.02894; Miyato et al. 2018, https://arxiv.org/abs/1802.05957, equation 16.
def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The critic's hinge: real above 1, generated below −1, and no slope beyond."""
    real, fake = _checked(real, fake, paired=False)
    return relu(1 - real).mean() + relu(1 + fake).mean()


# mean f − mean r
# Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875, equation 2 (negated). For a critic of Lipschitz constant 1 its
# negative is a lower bound of the earth mover's distance: it takes weight clipping, a gradient penalty, or
# spectral normalisation to hold that constant.
def wasserstein_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The critic's loss: the mean score of fakes less that of real samples."""
    real, fake = _checked(real, fake, paired=False)
    return fake.mean() - real.mean()


# −mean f
# Arjovsky et al. 2017, algorithm 1, line 10; the hinge's generator too: Miyato et al. 2018, equation 17.
def critic_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """The generator's loss against a critic: the score of its samples, negated."""
    fake, _ = _checked(fake, real, paired=False)
    return -fake.mean()


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


# −mean log σ(r − mean f) − mean log(1 − σ(f − mean r)) = mean softplus(mean f − r) + mean softplus(f − mean r)
# Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734 (RaSGAN). The means are those of the batch, and slopes go
# through them: a batch taken in parts is not quite the batch as a whole.
def average_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's relativistic average loss: real above the average fake, fakes below the average real."""
    real, fake = _checked(real, fake, paired=False)
    return softplus(averaged(fake.mean()) - real).mean() + softplus(fake - averaged(real.mean())).mean()


# −mean log σ(f − mean r) − mean log(1 − σ(r − mean f)) = mean softplus(mean r − f) + mean softplus(r − mean f)
# Jolicoeur-Martineau 2018, the other side.
def average_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """The generator's relativistic average loss: the discriminator's with the sides exchanged."""
    return average_discriminator_loss(fake, real)


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
    return torch.sigmoid(logits - averaged(others.mean()))


# (score − a) / (b − a), held in [0, 1]
# Mao et al. 2017, equation 5: the best least-squares D(x) is (b·p_real + a·p_fake) / (p_real + p_fake). For the hinge
# a and b are its margins −1 and 1, beyond which it is content.
def level_probability(logits: Tensor, others: Tensor, *, a: float, b: float) -> Tensor:
    """The probability of being real, of a score whose target is `b` for real and `a` for generated samples."""
    logits, _ = _checked(logits, others, paired=False)
    return ((logits - a) / (b - a)).clamp(0, 1)


# the share of the other side's scores that lie below this one, ties counted half
# (Mann & Whitney 1947: its mean over the samples is the area under the ROC curve)
def rank_probability(logits: Tensor, others: Tensor) -> Tensor:
    """The chance that a sample scores above one of the other side: 0.5 where the critic cannot tell.

    A Wasserstein critic's score has neither a zero nor a unit; only its order means something. No gradient.
    """
    logits, others = _checked(logits.detach(), others.detach(), paired=False)
    ordered = gathered(others).flatten().sort().values
    values = logits.contiguous()
    below = torch.searchsorted(ordered, values) + torch.searchsorted(ordered, values, right=True)
    return below.to(logits.dtype) / (2 * len(ordered))


def _classification(
    name: str, generator_loss: Callable[[Tensor, Tensor], Tensor], *, real_label: float = 1.0, flips: float = 0.0
) -> AdversarialLoss:
    # A fake that passes for real, with a label below 1, has no slope where D is just so sure.
    smooth = flips == 0 or real_label == 1
    judge = partial(classification_loss, real_label=real_label, flips=flips)
    return AdversarialLoss(name, judge, generator_loss, absolute_probability, smooth=smooth, flips=flips)


def _least_squares(*, a: float = 0.0, b: float = 1.0, c: float = 1.0, flips: float = 0.0) -> AdversarialLoss:
    if not (c - a) * (b - a) > 0:
        raise UsageError(
            f"least squares with a = {a:g} for generated, b = {b:g} for real and c = {c:g} as the generator's aim make "
            "no game: b and c must lie on the same side of a (0, 1, 1 or -1, 1, 0 are the published ones)"
        )
    judge = partial(least_squares_discriminator_loss, a=a, b=b, flips=flips)
    aim, level = partial(least_squares_generator_loss, c=c), partial(level_probability, a=a, b=b)
    return AdversarialLoss("least-squares", judge, aim, level, smooth=False, flips=flips)


_WITH_OPTIONS: dict[str, Callable[..., AdversarialLoss]] = {
    "minimax": partial(_classification, "minimax", minimax_generator_loss),
    "non-saturating": partial(_classification, "non-saturating", non_saturating_generator_loss),
    "least-squares": _least_squares,
}

LOSS_OPTIONS: dict[str, tuple[str, ...]] = {
    "minimax": ("real_label", "flips"),
    "non-saturating": ("real_label", "flips"),
    "least-squares": ("a", "b", "c", "flips"),
}

_MARGIN_PROBABILITY = partial(level_probability, a=-1.0, b=1.0)
_RELATIVE = partial(AdversarialLoss, probability=relative_probability, pairs=True)

LOSSES: dict[str, AdversarialLoss] = {
    loss.name: loss
    for loss in (
        *(make() for make in _WITH_OPTIONS.values()),
        AdversarialLoss("hinge", hinge_discriminator_loss, critic_generator_loss, _MARGIN_PROBABILITY, smooth=False),
        AdversarialLoss(
            "wasserstein", wasserstein_discriminator_loss, critic_generator_loss, rank_probability, linear=True
        ),
        _RELATIVE("relativistic", pairing_discriminator_loss, pairing_generator_loss),
        _RELATIVE("relativistic-average", average_discriminator_loss, average_generator_loss),
    )
}


def _check_option(name: str, option: str, value: float) -> None:
    known = LOSS_OPTIONS.get(name, ())
    if option not in known:
        if option == "real_label" and name == "least-squares":
            remedy = "its label for real samples is b: give b = 0.9"
        elif not known:
            remedy = f"it takes none; {', '.join(LOSS_OPTIONS)} take some. Leave it out"
        else:
            remedy = nearest(option, known)
        raise UsageError(f"the loss {name!r} has no option {option!r}: {remedy}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{option} of the loss {name!r} is {value!r}: give a number")
    if option == "real_label" and not 0.5 < value <= 1:
        raise UsageError(f"real_label is {value:g}: give the label of real samples, above 0.5 and at most 1, as 0.9")
    if option == "flips" and not 0 <= value < 0.5:
        raise UsageError(f"flips is {value:g}: give the share of labels to flip, from 0 to below 0.5, as 0.05")


def _labels(
    real: Tensor, fake: Tensor, chance: Tensor | None, flips: float, yes: float, no: float
) -> tuple[Tensor | float, Tensor | float]:
    """The labels of real and fake logits: `yes` and `no`, exchanged where a sample's chance lies below `flips`."""
    if flips == 0:
        return yes, no
    if chance is None:
        raise UsageError(
            f"with flips = {flips:g} the discriminator's loss takes (real, fake, chance): give uniform rows"
        )
    if chance.shape != (len(real), 2) or len(real) != len(fake):
        raise UsageError(
            f"chance of shape {list(chance.shape)} does not fit {len(real)} real and {len(fake)} generated samples: "
            "give uniform numbers (N, 2) in [0, 1), a row a sample"
        )
    flipped = (chance < flips).to(real.dtype).view(len(real), 2, *[1] * (real.dim() - 1))
    return yes + (no - yes) * flipped[:, 0], no + (yes - no) * flipped[:, 1]


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
    - with a `batch` (N, …) of samples, the outputs must be able to leave [0, 1]. A new network's logits may lie there
      by chance, so it is asked again with each layer's parameters negated in turn (the layer's output then changes its
      sign): a squashed output stays within [0, 1] whatever they are, a logit does not. This finds a sigmoid written in
      `forward`. The network is asked in evaluation mode, without gradients, and left as it was.
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
                own = dict(layer.named_parameters(prefix=name, recurse=False))
                if parametrize.is_parametrized(layer):
                    # Spectral normalisation divides W by uᵀWv: W negated comes out as it was, u negated does not.
                    own |= {key: value for key, value in layer.named_buffers(prefix=name) if key.endswith("._u")}
                layers.append({key: -value for key, value in own.items()})
            for negated in layers:
                outputs = functional_call(network, negated, (batch,))
                # Zero is outside: a last layer that starts from zeros gives nothing else, a sigmoid never.
                if not bool(((outputs > 0) & (outputs <= 1)).all()):
                    return False
            return True
    finally:
        for layer, mode in modes.items():
            layer.training = mode
