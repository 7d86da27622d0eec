"""The game of 2014: a generator makes, a discriminator tells the made from the real.

Goodfellow et al., "Generative Adversarial Networks", NeurIPS 2014, https://arxiv.org/abs/1406.2661.

*Alternating* updates: the discriminator's turn, then the generator's against the discriminator so improved, on the
fakes that the discriminator has just seen (as the published loops do) where it takes one turn a step; after several
turns the generator draws anew.

*Simultaneous* updates: both players' gradients belong to the same networks. Where no layer of the discriminator mixes
samples and its loss has a slope everywhere, one backward pass serves both: with f_i = D(G(z_i)), the discriminator's
loss sends a_i·∂f_i/∂x_i to fake i, the generator needs b_i·∂f_i/∂x_i, where a_i and b_i are the derivatives of the two
losses by the logit f_i. So the gradient that reaches fake i is scaled by b_i / a_i. Where that is the same number for
all fakes, as in the Wasserstein game, it is right for a discriminator that mixes samples too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.games.game import Batch, Draw, Game, Loss, Turn, frozen
from zerosum.games.terms import Penalty
from zerosum.losses import AdversarialLoss
from zerosum.networks import mixes_samples


class Generation(Game):
    """A generator against a discriminator.

    Args:
        generator: latents (N, size) to images (N, C, H, W) or points (N, D).
        discriminator: images or points to logits.
        loss: what each side minimises.
        penalties: terms added to the discriminator's loss.
        updates: "alternating" or "simultaneous".
        discriminator_turns: for one of the generator; more than one needs alternating updates.
        discriminator_factor: factor on the discriminator's loss (0.5: the mean of its two halves).
        reduction: "mean" or "sum" of a loss over the batch.
        latent_size, distribution: what the generator starts from.
        one_pass: simultaneous updates from one judgement of the fakes, with the same dropout for both players; None:
            where there is no dropout and it is exact.

    Raises `UsageError` where one pass is asked for and would not be exact.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        loss: AdversarialLoss,
        penalties: tuple[Penalty, ...] = (),
        updates: str = "alternating",
        discriminator_turns: int = 1,
        discriminator_factor: float = 1.0,
        reduction: str = "mean",
        latent_size: int = 64,
        distribution: str = "normal",
        one_pass: bool | None = None,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.loss = loss
        self.penalties = penalties
        self.discriminator_factor = discriminator_factor
        self.reduction = reduction
        self.latent_size = latent_size
        self.distribution = distribution
        self.released = "generator"
        self.certain = not loss.linear
        self.mixes = mixes_samples(discriminator)
        exact = loss.smooth and (loss.linear or not self.mixes)
        if one_pass and not exact:
            raise UsageError(
                f"game.one_pass: with the loss {loss.name!r} and a discriminator that mixes samples (BatchNorm) one "
                "pass is not exact; leave it out."
            )
        drops = any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in discriminator.modules())
        self.one_pass = exact and not drops if one_pass is None else one_pass
        if updates == "simultaneous":
            self.turns = (Turn("both", ("generator", "discriminator")),)
        else:
            self.turns = (Turn("discriminator", repeat=discriminator_turns), Turn("generator", shows=False))
        self.reuses_fakes = discriminator_turns == 1
        self.keeps_fakes = self.reuses_fakes  # with their graph, from one turn to the next
        self._fakes: tuple[int, Tensor] | None = None

    def stand_alone(self) -> None:
        """Each turn makes its own fakes, of the same latents."""
        self.keeps_fakes = False

    def sample(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], or points (N, D), of latents (N, size)."""
        images: Tensor = self.generator(latent)
        return images

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of the turn "discriminator", "generator" or "both"."""
        if turn == "discriminator":
            return self._discriminator_turn(batch.images, draw)
        if turn == "generator":
            return self._generator_turn(batch.images, draw)
        return self._both_shared(batch.images, draw) if self.one_pass else self._both_apart(batch.images, draw)

    def _make_fakes(self, draw: Draw, stream: str = "latent") -> Tensor:
        return self.sample(draw.latents(self.latent_size, self.distribution, stream))

    def _judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of real and fake in float32: in one pass, unless a layer would mix the two."""
        if self.mixes:
            return self.discriminator(real).float(), self.discriminator(fake).float()
        logits = self.discriminator(torch.cat((real, fake))).float()
        return logits[: len(real)], logits[len(real) :]

    def _judge_for_generator(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of fake, with gradients to the fakes alone, and of real where the loss needs them."""
        fake_logits = frozen(self.discriminator, fake).float()
        if not self.loss.pairs:
            return fake_logits, fake_logits.detach()
        with torch.no_grad():
            return fake_logits, self.discriminator(real).float()

    def _discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, draw: Draw) -> Tensor:
        chance = (draw.shares("flips", 2),) if self.loss.flips else ()
        return self.loss.discriminator_loss(real_logits, fake_logits, *chance)

    def _scale(self, draw: Draw) -> float:
        return float(draw.batch) if self.reduction == "sum" else 1.0

    def _discriminator_turn(self, real: Tensor, draw: Draw) -> Loss:
        if self.keeps_fakes:
            fake = self._make_fakes(draw)
            self._fakes = (draw.first, fake)
        else:
            with torch.no_grad():
                fake = self._make_fakes(draw)
        real_logits, fake_logits = self._judge(real, fake.detach())
        loss = self._discriminator_loss(real_logits, fake_logits, draw)
        total, parts = self._with_penalties(loss, real, fake.detach(), draw)
        outputs = self._outputs(real_logits, fake_logits)
        return Loss(total, {"discriminator": loss.detach()}, parts, outputs)

    def _generator_turn(self, real: Tensor, draw: Draw) -> Loss:
        if self._fakes is not None and self._fakes[0] == draw.first:
            fake = self._fakes[1]
        else:
            fake = self._make_fakes(draw, "latent" if self.reuses_fakes else "generator")
        self._fakes = None
        fake_logits, real_logits = self._judge_for_generator(real, fake)
        loss = self.loss.generator_loss(fake_logits, real_logits)
        after = self.loss.probability(fake_logits.detach(), real_logits).mean()
        outputs = {"D(G(z)) after": after} if self.reuses_fakes else {}
        return Loss(loss * self._scale(draw), {"generator": loss.detach()}, outputs=outputs)

    def _both_apart(self, real: Tensor, draw: Draw) -> Loss:
        """Both losses at the same networks, the fakes judged twice: for dropout, BatchNorm, or a flat loss."""
        fake = self._make_fakes(draw)
        judged, beside = self._judge_for_generator(real, fake)
        generator_loss = self.loss.generator_loss(judged, beside)
        real_logits, fake_logits = self._judge(real, fake.detach())
        loss = self._discriminator_loss(real_logits, fake_logits, draw)
        total, parts = self._with_penalties(loss, real, fake.detach(), draw)
        return Loss(
            total + generator_loss * self._scale(draw),
            {"discriminator": loss.detach(), "generator": generator_loss.detach()},
            parts,
            self._outputs(real_logits, fake_logits),
        )

    def _both_shared(self, real: Tensor, draw: Draw) -> Loss:
        """Both players' gradients from one pass; see the head of this file."""
        fake = self._make_fakes(draw)
        real_logits, fake_logits = self._judge(real, fake)
        r = real_logits.detach().requires_grad_()
        f = fake_logits.detach().requires_grad_()
        generator_loss = self.loss.generator_loss(f, r.detach())
        (b,) = torch.autograd.grad(generator_loss, f)
        loss = self._discriminator_loss(r, f, draw)
        (a,) = torch.autograd.grad(loss, f)
        # Where D is all but sure, a_i dies away and b_i does not: what is sent stays above 1e-12 b_i, so that the
        # generator hears it in full; D does not notice, for Adam's epsilon is larger by far.
        floor = 1e-12 * b.abs()
        sent = torch.where(a.abs() < floor, floor.copysign(a), a)
        ratio = torch.nan_to_num(b / sent, nan=0.0) / self.discriminator_factor
        fake.register_hook(lambda gradient: gradient * ratio.to(gradient.dtype).view(-1, *[1] * (gradient.ndim - 1)))
        loss = self._discriminator_loss(real_logits, fake_logits, draw)
        loss = loss + ((sent - a) * (fake_logits - f.detach())).sum()  # adds to the slope, and 0 to the value
        total, parts = self._with_penalties(loss, real, fake.detach(), draw)
        return Loss(
            total,
            {"discriminator": loss.detach(), "generator": generator_loss.detach()},
            parts,
            self._outputs(real_logits, fake_logits),
        )

    def _with_penalties(self, loss: Tensor, real: Tensor, fake: Tensor, draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        total = loss * (self.discriminator_factor * self._scale(draw))
        parts = {}
        for penalty in self.penalties:
            if draw.turn % penalty.every == 0:
                value = penalty.function(self.discriminator, real, fake, draw)
                total = total + value * (penalty.every * penalty.weight)
                parts[penalty.name] = value.detach()
        return total, parts

    def _outputs(self, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
        real_logits, fake_logits = real_logits.detach(), fake_logits.detach()
        return {
            "D(x)": self.loss.probability(real_logits, fake_logits).mean(),
            "D(G(z)) before": self.loss.probability(fake_logits, real_logits).mean(),
        }
