"""What games that make a picture of a picture have in common: the weights of their terms, and content losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.games.game import frozen
from zerosum.metrics.extractors import extractor


@dataclass(frozen=True)
class Translating:
    """What translators minimise.

    Attributes:
        adversarial: weight of the discriminator's opinion in the translator's loss; 0: there is no discriminator.
        conditional: the discriminator of a paired game sees the given picture beside the wanted, or the made, one.
        content: weight of the distance between features of made and wanted pictures.
        features: whose: the "discriminator"'s, or those of an extractor, a name in `metrics.extractors`.
        cycle: weight of the distance between a picture and what comes back of it there and back (unpaired).
        identity: weight, times `cycle`, of the distance between a picture and what its own domain's translator makes of
            it (unpaired).
    """

    adversarial: float = 1.0
    conditional: bool = True
    content: float = 0.0
    features: str = "discriminator"
    cycle: float = 10.0
    identity: float = 0.5


Features = Callable[[Tensor], Tensor]


def features_of(name: str, discriminator: nn.Module | None) -> Features:
    """What makes features of pictures (N, C, H, W): a "discriminator", with no gradient to itself, or an extractor.

    Raises `UsageError` where there is no extractor called `name`, or it is not installed, or no discriminator.
    """
    if name != "discriminator":
        network = extractor(name)
        if not network.channels:
            raise UsageError(f"game.translation.features: {name} has no maps that places could be compared by.")
        return lambda pictures: network.to(pictures.device).maps(pictures).float()
    if discriminator is None:
        raise UsageError("There is no discriminator whose features could be compared; name an extractor.")
    return lambda pictures: frozen(discriminator, pictures, features=True)[1].float()


# ‖φ(x) − φ(y)‖² / numbers of φ: Ledig et al. 2017, https://arxiv.org/abs/1609.04802, equation 5, φ an extractor's maps;
# with a discriminator's features: Larsen et al. 2016, https://arxiv.org/abs/1512.09300, equation 7.
def content_loss(features: Features, made: Tensor, wanted: Tensor) -> Tensor:
    """The mean of squared differences between features of pictures (N, C, H, W); gradients to `made` alone."""
    with torch.no_grad():
        target = features(wanted)
    return (features(made) - target).square().mean()


def beside(given: Tensor, pictures: Tensor) -> Tensor:
    """What a conditional discriminator sees: `given` (N, c, h, w), brought to the size of `pictures` (N, C, H, W) by
    repeating its pixels, and these behind it: (N, c + C, H, W).
    """
    if given.shape[2:] != pictures.shape[2:]:
        given = nn.functional.interpolate(given, pictures.shape[2:], mode="nearest")
    return torch.cat((given.to(pictures.dtype), pictures), dim=1)
