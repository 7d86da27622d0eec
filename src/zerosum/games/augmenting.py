"""What a discriminator is shown of samples that are augmented: which numbers, and how strongly.

Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020,
https://arxiv.org/abs/2006.06676: real and generated images alike, in every turn of either player, so that the generator
is never asked to make an augmented image. Penalties of slopes are taken where the discriminator looks, at the augmented
images; the authors' code takes them by the images before.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zerosum.augment import Adaptive, Augmentation, Ramp
from zerosum.games.randomness import Draw
from zerosum.together import gathered


class Augmenting(nn.Module):
    """An augmentation of a game, part of its state.

    Args:
        how: what is done.
        strength: p; a `Ramp` goes by the share of the run, not by images.
    """

    def __init__(self, how: Augmentation, strength: Adaptive | Ramp) -> None:
        super().__init__()
        self.how, self.strength = how, strength

    def shown(self, samples: Tensor, draw: Draw, side: str) -> Tensor:
        """Images (N, C, H, W) as they are shown; `side`: whose numbers, for each look at samples other ones.

        In float32 also under autocast: a place of 16 bits is pixels off.
        """
        chance = draw.shares(f"augment {side}", self.how.numbers, len(samples))
        with torch.autocast(samples.device.type, enabled=False):
            return self.how.apply(samples.float(), chance, self.strength.at(draw.progress))

    def observe(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        """What the discriminator said in its turn, of images as it saw them."""
        if isinstance(self.strength, Adaptive):
            self.strength.observe(gathered(real_logits.detach()), gathered(fake_logits.detach()))
