"""Unpaired image-to-image translation: CycleGAN.

Zhu, Park, Isola & Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017,
https://arxiv.org/abs/1703.10593: with G from domain a to b, F from b to a, and a discriminator of each domain,

    L = w (L_GAN(G, D_b) + L_GAN(F, D_a)) + λ (E ‖F(G(a)) − a‖₁ + E ‖G(F(b)) − b‖₁)         (equations 1 to 3)
      + λ ι (E ‖G(b) − b‖₁ + E ‖F(a) − a‖₁)                                                  (section 5.2; ι = 0.5)

w is 1, or 2 with the least squares of `losses`, which are half of the published ones.

Both translators are the player `generator`, both discriminators the player `discriminator`. One step is the
translators' turn, then the discriminators' on the fakes of that turn, seen through a buffer of old ones (section 4), as
in the authors' code.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from zerosum.games.game import Batch, Game, Loss, Turn
from zerosum.games.judge import Judge
from zerosum.games.paired import given_of
from zerosum.games.randomness import Draw
from zerosum.games.remedies import Replay
from zerosum.games.terms import Penalties, Penalty
from zerosum.games.translation import Translating
from zerosum.losses import AdversarialLoss

A, B = "a", "b"


class Unpaired(Game):
    """Two translators against two discriminators.

    Args:
        translators: "a_to_b", pictures of a (N, c, h, w) to such of b (N, C, h, w) in [-1, 1], and "b_to_a".
        discriminators: of each domain, "a" and "b": pictures to logits, or maps of them.
        loss: the adversarial one.
        penalties: of each domain, added to its discriminator's loss.
        factor: on the discriminators' losses.
        replay: of each domain, the buffer of old fakes; none: discriminators see new ones alone.
        rules: the weights of the terms; with a weight of identity both domains have one shape.
    """

    def __init__(
        self,
        translators: Mapping[str, nn.Module],
        discriminators: Mapping[str, nn.Module],
        *,
        loss: AdversarialLoss,
        penalties: Mapping[str, tuple[Penalty, ...]],
        factor: float = 1.0,
        replay: Mapping[str, Replay],
        rules: Translating,
    ) -> None:
        super().__init__()
        self.a_to_b, self.b_to_a = translators["a_to_b"], translators["b_to_a"]
        self.discriminator = nn.ModuleDict(dict(discriminators))
        self.penalties = nn.ModuleDict({domain: Penalties(penalties[domain]) for domain in (A, B)})
        self.replay = nn.ModuleDict(dict(replay))
        self._replay = dict(replay)  # the same, by their own type
        self.rules = rules
        self.released = ("a_to_b", "b_to_a")
        self.judges = {
            domain: Judge(discriminators[domain], loss, self.penalties[domain], factor)  # type: ignore[arg-type]
            for domain in (A, B)
        }
        self.turns = (Turn("generator"), Turn("discriminator", shows=False))
        self._fakes: dict[int, dict[str, Tensor]] = {}  # of the translators' turn, by micro-batch

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        """Those of both translators, or of both discriminators."""
        networks = (self.a_to_b, self.b_to_a) if player == "generator" else (self.discriminator,)
        return [parameter for network in networks for parameter in network.parameters()]

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of one of `turns`."""
        return self._generator_turn(batch, draw) if turn == "generator" else self._discriminator_turn(batch, draw)

    def _generator_turn(self, batch: Batch, draw: Draw) -> Loss:
        a, b = given_of(batch), batch.images
        fakes = {B: self.a_to_b(a), A: self.b_to_a(b)}
        self._fakes[draw.first] = {domain: fake.detach().float() for domain, fake in fakes.items()}
        wanted = [self.judges[domain].convince(fakes[domain], real) for domain, real in ((B, b), (A, a))]
        adversarial = wanted[0][0] + wanted[1][0]
        cycle = _distance(self.b_to_a(fakes[B]), a) + _distance(self.a_to_b(fakes[A]), b)
        total = self.rules.adversarial * adversarial + self.rules.cycle * cycle
        parts = {"cycle": cycle.detach()}
        if self.rules.identity:
            identity = _distance(self.a_to_b(b), b) + _distance(self.b_to_a(a), a)
            total = total + self.rules.cycle * self.rules.identity * identity
            parts["identity"] = identity.detach()
        return Loss(total, {"generator": adversarial.detach()}, parts)

    def _discriminator_turn(self, batch: Batch, draw: Draw) -> Loss:
        real = {A: given_of(batch), B: batch.images}
        sides = [self.judges[domain].learn(real[domain], (fake,), draw) for domain, fake in self._shown(draw)]
        both = [loss.scalars() for loss in sides]
        mean = {name: (value + both[1][name]) / 2 for name, value in both[0].items()}
        by_kind: dict[str, dict[str, Tensor]] = {"losses": {}, "parts": {}, "outputs": {}}
        for name, value in mean.items():
            kind, _, rest = name.partition("/")
            by_kind[kind][rest] = value
        return Loss(sides[0].total + sides[1].total, **by_kind)

    def _shown(self, draw: Draw) -> list[tuple[str, Tensor]]:
        """What the discriminators see of the fakes of the translators' turn, and of old ones."""
        fakes = self._fakes.pop(draw.first)
        for domain, buffer in self._replay.items():
            fakes[domain] = buffer.mix(fakes[domain], draw)
        return [(domain, fakes[domain]) for domain in (A, B)]

    def rehearse(self, networks: nn.ModuleDict, batch: Batch, draw: Draw) -> None:
        """Each translator on pictures of its domain, and on what the other makes of the other's."""
        a, b = given_of(batch), batch.images
        networks["b_to_a"](networks["a_to_b"](a))
        networks["a_to_b"](networks["b_to_a"](b))


def _distance(made: Tensor, wanted: Tensor) -> Tensor:
    """The mean of absolute differences."""
    return (made.float() - wanted).abs().mean()
