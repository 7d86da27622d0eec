"""Adversarial games with an encoder: VAE-GAN, BiGAN, and the adversarial autoencoder.

Each has an encoder E, a generator G (the decoder) and a discriminator D, and any loss for D with any penalty.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from zerosum.games.game import Batch, Game, Loss, Turn, frozen
from zerosum.games.judge import Judge
from zerosum.games.randomness import Draw, Latents
from zerosum.games.reconstruction import Restoring, drawn_codes
from zerosum.games.terms import Penalties, Penalty
from zerosum.likelihoods import get_cost, normal_divergence
from zerosum.losses import AdversarialLoss
from zerosum.together import side_by_side


class EncodingGame(Game):
    """What the three share: the players, the discriminator's turn, and how released networks are used.

    Args:
        encoder: samples (N, …) to codes (N, size), or (N, 2·size): means, then log-variances.
        generator: codes (N, size) to samples.
        discriminator: what is judged to logits (N,), or maps of them.
        loss: the adversarial one.
        penalties: added to the discriminator's loss.
        latents: the codes that are drawn.
        rules: what a restored sample costs.
    """

    def __init__(
        self,
        encoder: nn.Module,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        loss: AdversarialLoss,
        penalties: tuple[Penalty, ...] = (),
        latents: Latents,
        rules: Restoring,
    ) -> None:
        super().__init__()
        self.encoder, self.generator, self.discriminator = encoder, generator, discriminator
        self.loss, self.latents, self.rules = loss, latents, rules
        self.penalties = Penalties(penalties)
        self.judge = Judge(discriminator, loss, self.penalties)
        self.released = ("encoder", "generator")

    def sample(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Samples of latents (N, size)."""
        made: Tensor = self.generator(latent)
        return made

    @abstractmethod
    def rehearse(self, networks: nn.ModuleDict, batch: Batch, draw: Draw) -> None:
        """Run the encoder and the generator as they are used in training."""

    def _drawn(self, draw: Draw, stream: str = "latent") -> Tensor:
        return draw.latents(self.latents, stream)


class VaeGan(EncodingGame):
    """Larsen et al., "Autoencoding beyond pixels using a learned similarity metric", ICML 2016.

    https://arxiv.org/abs/1512.09300, algorithm 1: with x̃ = G(E(x)), x_p = G(z_p), z_p ~ N(0, I), and D_l the
    discriminator's features,

        L_prior = KL(q(z|x) ‖ N(0, I)),   L_like = ½ ‖D_l(x) − D_l(x̃)‖²  (−log of a normal density of variance 1),
        E minimises L_prior + L_like;  G minimises γ L_like + its adversarial loss on x̃ and x_p;  D tells x from both.

    γ is the rules' `weight`; β multiplies L_prior. The players take turns of their own, as their losses differ.
    """

    def __init__(self, *networks: nn.Module, **options: object) -> None:
        super().__init__(*networks, **options)  # type: ignore[arg-type]
        self.turns = (Turn("discriminator"), Turn("generator", shows=False), Turn("encoder", shows=False))

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of one of `turns`."""
        if turn == "discriminator":
            with torch.no_grad():
                fakes = self._fakes(drawn_codes(self.encoder, batch.images, draw)[2], draw)
            return self.judge.learn(batch.images, fakes.chunk(2), draw)
        mean, log_variance, codes = drawn_codes(self.encoder, batch.images, draw)
        if turn == "encoder":
            likeness, _ = self._likeness(batch.images, frozen(self.generator, codes))
            divergence = normal_divergence(mean, log_variance).mean()
            total = self.rules.beta_at(draw.progress) * divergence + likeness
            return Loss(total, {"encoder": total.detach()}, {"divergence": divergence.detach()})
        restored, drawn = self._fakes(codes.detach(), draw).chunk(2)
        likeness, of_restored = self._likeness(batch.images, restored)
        of_drawn = frozen(self.discriminator, drawn).float()
        with torch.no_grad():
            real_logits = self.discriminator(batch.images).float() if self.loss.pairs else of_drawn.detach()
        against = [self.loss.generator_loss(logits, real_logits) for logits in (of_restored, of_drawn)]
        adversarial = sum(against, torch.zeros((), device=likeness.device)) / 2
        total = self.rules.weight * likeness + adversarial
        return Loss(total, {"generator": adversarial.detach()}, {"likeness": likeness.detach()})

    def _fakes(self, codes: Tensor, draw: Draw) -> Tensor:
        """Samples of codes, then of drawn latents: in one pass, so that BatchNorm sees them together."""
        with side_by_side(2):
            made: Tensor = self.generator(torch.cat((codes, self._drawn(draw))))
        return made

    def _likeness(self, wanted: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """½ ‖D_l(x) − D_l(x̃)‖² a sample, with gradients to what was made alone; and its logits."""
        logits, features = frozen(self.discriminator, made, features=True)
        with torch.no_grad():
            _, target = self.discriminator(wanted, features=True)
        return (features.float() - target.float()).square().sum(1).mean() / 2, logits.float()

    def rehearse(self, networks: nn.ModuleDict, batch: Batch, draw: Draw) -> None:
        """Codes of real samples and drawn ones, decoded together."""
        codes = drawn_codes(networks["encoder"], batch.images, draw)[2]
        networks["generator"](torch.cat((codes, self._drawn(draw))))


class BiGan(EncodingGame):
    """Donahue, Krähenbühl & Darrell, "Adversarial Feature Learning", ICLR 2017, https://arxiv.org/abs/1605.09782.

    The same as Dumoulin et al., "Adversarially Learned Inference", https://arxiv.org/abs/1606.00704, with an encoder
    that draws nothing. D judges pairs, (x, E(x)) as real and (G(z), z) as generated (equation 3); E and G together
    minimise what D would with the two exchanged (equation 9 of the former).

    The discriminator takes pairs as flat rows: `OfPairs`.
    """

    def __init__(self, *networks: nn.Module, **options: object) -> None:
        super().__init__(*networks, **options)  # type: ignore[arg-type]
        self.turns = (Turn("discriminator"), Turn("generator", ("generator", "encoder"), shows=False))

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of one of `turns`."""
        latents = self._drawn(draw)
        with torch.set_grad_enabled(turn != "discriminator"):
            made, codes = self.generator(latents), self.encoder(batch.images)
            real, fake = _pairs(batch.images, codes), _pairs(made, latents)
        if turn == "discriminator":
            return self.judge.learn(real, (fake,), draw)
        if self.judge.mixes:
            real_logits, fake_logits = (frozen(self.discriminator, side).float() for side in (real, fake))
        else:
            with side_by_side(2):
                real_logits, fake_logits = frozen(self.discriminator, torch.cat((real, fake))).float().chunk(2)
        chance = (draw.shares("flips", 2, len(real)),) if self.loss.flips else ()
        loss = self.loss.discriminator_loss(fake_logits, real_logits, *chance)
        after = self.loss.probability(fake_logits.detach(), real_logits.detach()).mean()
        return Loss(loss, {"generator": loss.detach()}, outputs={"D(G(z)) after": after})

    def rehearse(self, networks: nn.ModuleDict, batch: Batch, draw: Draw) -> None:
        """Each on what it is given: real samples, and latents."""
        networks["encoder"](batch.images)
        networks["generator"](self._drawn(draw))


class AdversarialAutoencoder(EncodingGame):
    """Makhzani et al., "Adversarial Autoencoders", 2016, https://arxiv.org/abs/1511.05644, section 2.

    First encoder and decoder restore samples; then D tells codes drawn from the prior from E(x), and E makes its codes
    such that D takes them for drawn ones.
    """

    def __init__(self, *networks: nn.Module, **options: object) -> None:
        super().__init__(*networks, **options)  # type: ignore[arg-type]
        self._cost = get_cost(self.rules.cost)
        self.turns = (
            Turn("reconstruction", ("encoder", "generator")),
            Turn("discriminator", shows=False),
            Turn("encoder", shows=False),
        )

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of one of `turns`."""
        with torch.set_grad_enabled(turn != "discriminator"):
            codes = self.encoder(batch.images).float()
        if turn == "reconstruction":
            error = self._cost(batch.images, self.generator(codes).float()).mean() / batch.images[0].numel()
            return Loss(self.rules.weight * error, {"reconstruction": error.detach()})
        drawn = self._drawn(draw)
        if turn == "discriminator":
            return self.judge.learn(drawn, (codes,), draw)
        loss, after = self.judge.convince(codes, drawn)
        return Loss(loss, {"encoder": loss.detach()}, outputs={"D(G(z)) after": after})

    def rehearse(self, networks: nn.ModuleDict, batch: Batch, draw: Draw) -> None:
        """Encode and decode real samples."""
        networks["generator"](networks["encoder"](batch.images))


def _pairs(samples: Tensor, codes: Tensor) -> Tensor:
    """Samples (N, …) and codes (N, size) as flat rows, the samples' numbers first."""
    return torch.cat((samples.flatten(1).float(), codes.float()), dim=1)


class OfPairs(nn.Module):
    """A discriminator of (sample, code) that takes both as one flat row, so that penalties need not know of pairs.

    Args:
        network: samples of `shape` and codes (N, size) to logits.
        shape: of a sample.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.shape = network, shape

    def forward(self, pairs: Tensor) -> Tensor:
        """Rows (N, C·H·W + size) to logits (N,)."""
        numbers = torch.Size(self.shape).numel()
        logits: Tensor = self.network(pairs[:, :numbers].reshape(-1, *self.shape), pairs[:, numbers:])
        return logits
