"""A discriminator and what it plays for: the two sides that games with several networks share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zerosum.games.game import Loss, frozen
from zerosum.games.randomness import Draw
from zerosum.games.terms import Penalties, Seen, with_penalties
from zerosum.losses import AdversarialLoss
from zerosum.networks import mixes_samples
from zerosum.together import side_by_side


class Judge:
    """What a game does with a discriminator of its own. The modules are the game's: here they are only used.

    Args:
        discriminator: samples (N, …) to logits (N,), or to maps of them.
        loss: the adversarial one.
        penalties: added to the discriminator's loss.
        factor: on the discriminator's loss; 0.5: the mean of its real and its generated half.
    """

    def __init__(
        self, discriminator: nn.Module, loss: AdversarialLoss, penalties: Penalties, factor: float = 1.0
    ) -> None:
        self.discriminator, self.loss, self.penalties, self.factor = discriminator, loss, penalties, factor
        self.mixes = mixes_samples(discriminator)

    def logits(self, *sides: Tensor) -> tuple[Tensor, ...]:
        """Logits in float32 of each of some batches of one size, in one pass unless a layer would mix them."""
        if self.mixes:
            return tuple(self.discriminator(side).float() for side in sides)
        with side_by_side(len(sides)):
            return self.discriminator(torch.cat(sides)).float().chunk(len(sides))  # type: ignore[no-any-return]

    def learn(self, real: Tensor, fakes: Sequence[Tensor], draw: Draw) -> Loss:
        """The discriminator's side on `real` against each of `fakes`, their mean; penalties on the last of them.

        No gradient to any of them.
        """
        real, fakes = real.detach(), [fake.detach() for fake in fakes]
        real_logits, *against = self.logits(real, *fakes)
        chance = (draw.shares("flips", 2, len(real)),) if self.loss.flips else ()
        losses = [self.loss.discriminator_loss(real_logits, logits, *chance) for logits in against]
        loss, fake, fake_logits = torch.stack(losses).mean(), fakes[-1], against[-1]
        seen = Seen(real, fake, real_logits, fake_logits)
        due = self.penalties.due("discriminator", draw)
        total, parts = with_penalties(self.factor * loss, due, self.discriminator, seen, draw)
        said = {
            "D(x)": self.loss.probability(real_logits.detach(), fake_logits.detach()).mean(),
            "D(G(z)) before": self.loss.probability(fake_logits.detach(), real_logits.detach()).mean(),
        }
        return Loss(total, {"discriminator": loss.detach()}, parts, said)

    def convince(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's side on `fake`, with gradients to it alone, and what the discriminator says of it, 0 to 1."""
        logits = frozen(self.discriminator, fake).float()
        with torch.no_grad():
            of_real = self.discriminator(real).float() if self.loss.pairs else logits.detach()
        loss = self.loss.generator_loss(logits, of_real)
        return loss, self.loss.probability(logits.detach(), of_real).mean()
