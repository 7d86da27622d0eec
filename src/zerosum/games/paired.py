"""Paired image-to-image translation: pix2pix, and every restoring game, whose pairs are made.

Isola, Zhu, Zhou & Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
https://arxiv.org/abs/1611.07004: with x the given picture, y the wanted one and z the dropout of G,

    L_cGAN = E log D(x, y) + E log(1 − D(x, G(x, z)))      (equation 1; here any loss)
    G minimises its side of L_cGAN + λ E ‖y − G(x, z)‖₁    (equation 4; the mean over a picture's numbers)

and, in super-resolution, plus a distance in features (`translation.content_loss`). One step is D's turn, then G's on
the fakes that D has just seen, as in the authors' code; where gradients are gathered over micro-batches, on such made
anew, with other dropout.
"""

from __future__ import annotations

from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.games.game import Batch, Game, Loss, Turn
from zerosum.games.judge import Judge
from zerosum.games.randomness import Draw
from zerosum.games.reconstruction import Restoring
from zerosum.games.terms import Penalties, Penalty
from zerosum.games.translation import Translating, beside, content_loss, features_of
from zerosum.likelihoods import get_cost
from zerosum.losses import AdversarialLoss


def given_of(batch: Batch) -> Tensor:
    """The pictures that translators start from. Raises `UsageError` where the data have none."""
    if batch.given is None:
        raise UsageError("This game translates pictures, and the data have none to start from.")
    return batch.given


class Paired(Game):
    """A translator against a discriminator of pairs.

    Args:
        generator: given pictures (N, c, h, w) to made ones (N, C, H, W) in [-1, 1].
        discriminator: pictures, beside the given ones where the rules say so (`translation.beside`), to logits or maps
            of them; None: there is none, and only the distance to the wanted pictures is minimised.
        loss: the adversarial one.
        penalties: added to the discriminator's loss, on what it sees.
        factor: on the discriminator's loss; published is 0.5.
        restoring: what the distance is, and λ, its weight.
        rules: the other terms.

    Raises `UsageError` for a distance in features that are not there.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None,
        *,
        loss: AdversarialLoss,
        penalties: tuple[Penalty, ...] = (),
        factor: float = 1.0,
        restoring: Restoring,
        rules: Translating,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.restoring, self.rules = restoring, rules
        self.penalties = Penalties(penalties)
        self.released = ("generator",)
        self._cost = get_cost(restoring.cost)
        self._features = features_of(rules.features, discriminator) if rules.content else None
        self.judge = None if discriminator is None else Judge(discriminator, loss, self.penalties, factor)
        turn = Turn("generator", shows=self.judge is None)
        self.turns = (turn,) if self.judge is None else (Turn("discriminator"), turn)
        self._fakes: tuple[int, Tensor] | None = None

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of one of `turns`."""
        if turn == "generator" or self.judge is None:
            return self._generator_turn(batch, draw)
        fake = self.generator(given_of(batch))
        if draw.at_once == draw.batch:  # of micro-batches no more than one graph is held at a time
            self._fakes = (draw.first, fake)
        return self.judge.learn(self._seen(batch, batch.images), (self._seen(batch, fake),), draw)

    def _generator_turn(self, batch: Batch, draw: Draw) -> Loss:
        kept, self._fakes = self._fakes, None
        fake = kept[1] if kept is not None and kept[0] == draw.first else self.generator(given_of(batch))
        error = self._cost(batch.images, fake.float()).mean() / batch.images[0].numel()
        total, terms = self.restoring.weight * error, {"distance": error.detach()}
        if self._features is not None:
            of_pair = self.rules.features == "discriminator"
            made, wanted = (self._seen(batch, each) if of_pair else each for each in (fake, batch.images))
            content = content_loss(self._features, made, wanted)
            total, terms["content"] = total + self.rules.content * content, content.detach()
        if self.judge is None:
            return Loss(total, terms)
        adversarial, after = self.judge.convince(self._seen(batch, fake), self._seen(batch, batch.images))
        total = total + self.rules.adversarial * adversarial
        return Loss(total, {"generator": adversarial.detach()}, terms, {"D(G(z)) after": after})

    def _seen(self, batch: Batch, pictures: Tensor) -> Tensor:
        """Pictures as the discriminator sees them."""
        return beside(given_of(batch), pictures) if self.rules.conditional else pictures

    def rehearse(self, networks: nn.ModuleDict, batch: Batch, draw: Draw) -> None:
        """The translator on given pictures."""
        networks["generator"](given_of(batch))
