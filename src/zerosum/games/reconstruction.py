"""Games without an adversary: autoencoders, denoising and variational ones.

An encoder makes a code of a sample, a decoder (the player `generator`) the sample of the code.

*Autoencoder*: the mean over a sample's numbers of what it costs. With one linear layer each and squared errors the two
span the principal subspace (Baldi & Hornik, "Neural networks and principal component analysis", Neural Networks 1989).

*Denoising*: the encoder is shown the sample with noise, and the cost is that of the clean one (Vincent et al.,
"Extracting and composing robust features with denoising autoencoders", ICML 2008).

*Variational*: the encoder gives mean and log-variance of the code's distribution, and what is minimised is

    −ELBO = E_q(z|x)[−log p(x|z)] + β KL(q(z|x) ‖ N(0, I))

a sample, in nats (Kingma & Welling, "Auto-Encoding Variational Bayes", ICLR 2014, https://arxiv.org/abs/1312.6114,
equation 3; β: Higgins et al., "beta-VAE", ICLR 2017; it rises from 0 as in Bowman et al. 2016,
https://arxiv.org/abs/1511.06349).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zerosum.games.corruption import Corruption
from zerosum.games.game import Batch, Game, Loss, Turn
from zerosum.games.randomness import Draw, Latents
from zerosum.likelihoods import get_cost, normal_divergence, reparameterised
from zerosum.networks import CodeDistribution


@dataclass(frozen=True)
class Restoring:
    """What a game with an encoder minimises.

    Attributes:
        cost: of a restored sample, a name in `likelihoods.COSTS`.
        weight: of it.
        variational: the encoder gives means, then log-variances.
        beta: weight of the divergence of codes from N(0, I).
        warm_up: share of the run in which it rises from 0, linearly.
        corruption: what is done to samples in training.
    """

    cost: str = "squared"
    weight: float = 1.0
    variational: bool = False
    beta: float = 1.0
    warm_up: float = 0.0
    corruption: Corruption | None = None

    def beta_at(self, progress: float) -> float:
        """The weight of the divergence when a share `progress` of the run is done."""
        return self.beta * min(1.0, progress / self.warm_up) if self.warm_up else self.beta


def drawn_codes(encoder: nn.Module, images: Tensor, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    """What a variational encoder makes of samples: means, log-variances, and codes drawn by them, all (N, size)."""
    mean, log_variance = encoder(images).float().chunk(2, dim=1)
    normal = draw.latents(Latents(mean.shape[1]), "code")
    return mean, log_variance, reparameterised(mean, log_variance, normal)


class Reconstruction(Game):
    """An encoder and a decoder.

    Args:
        encoder: samples (N, …) to codes (N, size), or (N, 2·size): means, then log-variances.
        generator: the decoder, codes (N, size) to samples.
        latents: of that size; normal.
        rules: what is minimised.
    """

    def __init__(self, encoder: nn.Module, generator: nn.Module, *, latents: Latents, rules: Restoring) -> None:
        super().__init__()
        self.encoder, self.generator = encoder, generator
        self.latents, self.rules = latents, rules
        self._cost = get_cost(rules.cost)
        self.turns = (Turn("reconstruction", ("encoder", "generator")),)
        self.released = ("encoder", "generator")
        if not rules.variational:
            self.codes = CodeDistribution(latents.size)
            self.released += ("codes",)
            self.rehearsed = 1024

    def sample(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Samples of normal numbers (N, size): by the distribution that codes have."""
        made: Tensor = self.generator(latent if self.rules.variational else self.codes(latent))
        return made

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of the one turn there is."""
        wanted, rules = batch.images, self.rules
        given = wanted if rules.corruption is None else rules.corruption.apply(wanted)
        if not rules.variational:
            made = self.generator(self.encoder(given)).float()
            error = self._cost(wanted, made).mean() / wanted[0].numel()
            return Loss(rules.weight * error, {"reconstruction": error.detach()})
        mean, log_variance, codes = drawn_codes(self.encoder, given, draw)
        error = self._cost(wanted, self.generator(codes).float()).mean()
        divergence = normal_divergence(mean, log_variance).mean()
        total = rules.weight * error + rules.beta_at(draw.progress) * divergence
        parts = {"reconstruction": error.detach(), "divergence": divergence.detach()}
        return Loss(total, {"-ELBO": (error + divergence).detach()}, parts)

    def rehearse(self, networks: nn.ModuleDict, batch: Batch, draw: Draw) -> None:
        """Encode and decode real samples, with codes as they are drawn."""
        encoder = networks["encoder"]
        codes = drawn_codes(encoder, batch.images, draw)[2] if self.rules.variational else encoder(batch.images)
        networks["generator"](codes)

    def prepare_release(self, networks: nn.ModuleDict, batches: Iterable[tuple[Batch, Draw]]) -> None:
        """Fit the distribution of an autoencoder's codes, so that samples can be drawn."""
        if self.rules.variational:
            return
        with torch.no_grad():
            codes = torch.cat([networks["encoder"](batch.images).float() for batch, _ in batches])
        distribution = networks["codes"]
        if isinstance(distribution, CodeDistribution):
            distribution.fit(codes)

    def corrupted(self, seed: int) -> Callable[[Tensor], Tensor] | None:
        """The noise of training, drawn once by the seed."""
        corruption = self.rules.corruption
        if corruption is None:
            return None
        return lambda images: corruption.apply(images, torch.Generator().manual_seed(seed))
