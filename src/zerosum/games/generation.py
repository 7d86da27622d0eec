"""The game of 2014: a generator makes, a discriminator tells the made from the real.

Goodfellow et al., "Generative Adversarial Networks", NeurIPS 2014, https://arxiv.org/abs/1406.2661.

*Alternating* updates: the discriminator's turn, then the generator's against the discriminator so improved, on the
fakes that the discriminator has just seen (as the published loops do) where it takes one turn a step; after several
turns the generator draws anew.

*Simultaneous* updates: both players' gradients belong to the same networks. Where no layer of the discriminator mixes
samples and its loss has a slope everywhere, one backward pass serves both: with f_i = D(G(z_i)), the discriminator's
loss sends a_i·∂f_i/∂x_i to fake i, the generator needs b_i·∂f_i/∂x_i, where a_i and b_i are the derivatives of the two
losses by the logit f_i. So the gradient that reaches fake i is scaled by b_i / a_i. Where that is the same number for
all fakes, as in the Wasserstein game, it is right for a discriminator that mixes samples, or gives a sample many
logits, too.

*Labels*: fake i is made for the label of real image i, so that both sides are judged with the same labels, whatever
their share in the data.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zerosum.errors import UsageError
from zerosum.games.augmenting import Augmenting
from zerosum.games.game import Batch, Game, Loss, Turn, evaluating, frozen
from zerosum.games.information import Information
from zerosum.games.labels import Classification, told
from zerosum.games.one_pass import hear_as_generator
from zerosum.games.randomness import Draw, Latents
from zerosum.games.remedies import Remedies, Replay, in_packs
from zerosum.games.terms import Penalties, Penalty, Seen, with_penalties
from zerosum.losses import AdversarialLoss
from zerosum.networks import feature_count, mixes_samples
from zerosum.together import averaged, drawn_like, side_by_side

APART = " penalties"  # the end of the name of a turn on lazy penalties alone


class Generation(Game):
    """A generator against a discriminator.

    Args:
        generator: latents (N, length) to images (N, C, H, W) or points (N, D); given labels too where it takes them.
        discriminator: images or points, in packs where the remedies say so, to logits; likewise.
        loss: what each side minimises.
        penalties: terms added to a player's loss.
        updates: "alternating" or "simultaneous".
        discriminator_turns: for one of the generator; more than one needs alternating updates.
        discriminator_factor: factor on the discriminator's loss (0.5: the mean of its two halves).
        reduction: "mean" or "sum" of a loss over the batch.
        latents: what the generator starts from.
        shape: of a sample, for the buffer of old ones: (C, H, W) or (D,).
        remedies: against collapse.
        augmenting: of what the discriminator sees; None: it sees samples as they are.
        lazy_apart: lazy penalties take turns of their own, instead of joining every so many-th turn of their player.
        classification: the auxiliary classifier of labels (ACGAN), which plays with the discriminator.
        one_pass: simultaneous updates from one judgement of the fakes, with the same dropout for both players; None:
            where there is no dropout and it is exact.

    Raises `UsageError` where one pass is asked for and would not be exact, and for a remedy that reads features of a
    discriminator without any.
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
        latents: Latents,
        shape: tuple[int, ...] = (),
        remedies: Remedies | None = None,
        augmenting: Augmenting | None = None,
        lazy_apart: bool = False,
        classification: Classification | None = None,
        one_pass: bool | None = None,
    ) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.loss = loss
        self.penalties = Penalties(penalties, lazy_apart=lazy_apart, discriminator_turns=discriminator_turns)
        self.discriminator_turns = discriminator_turns
        self.discriminator_factor = discriminator_factor
        self.reduction = reduction
        self.latents = latents
        self.remedies = remedies or Remedies()
        self.augmenting = augmenting
        self.released = ("generator",)
        self.mixes = mixes_samples(discriminator)
        self.classification = classification
        self.reads_features = bool(self.remedies.information or self.remedies.feature_matching or classification)
        replay, information = self.remedies.replay, self.remedies.information
        self.replay = Replay(replay, self.remedies.replay_share, shape) if replay else None
        width = feature_count(discriminator) if self.reads_features else 0
        self.information = Information(width, latents, information) if information else None
        self._told_noise = [layer for layer in discriminator.modules() if hasattr(layer, "noise_level")]
        self.one_pass = self._one_pass(one_pass)
        self.turns = self._turns(updates)
        self.reuses_fakes = discriminator_turns == 1
        self.keeps_fakes = self.reuses_fakes  # with their graph, from one turn to the next
        self._fakes: tuple[int, Tensor] | None = None

    def _one_pass(self, wanted: bool | None) -> bool:
        one_slope = not self.mixes and not getattr(self.discriminator, "maps", False)
        exact = self.loss.smooth and (self.loss.linear or one_slope)
        if wanted and not exact:
            raise UsageError(
                f"game.one_pass: with the loss {self.loss.name!r} and a discriminator that mixes samples (BatchNorm) "
                "or judges patches one pass is not exact; leave it out."
            )
        apart = [penalty.name for penalty in self.penalties.every if penalty.reads_logits]
        apart += [name for name in ("replay", "feature_matching", "information") if getattr(self.remedies, name)]
        apart += ["the auxiliary classifier"] if self.classification else []
        if wanted and apart:
            raise UsageError(f"game.one_pass: {' and '.join(apart)} tell the players' passes apart; leave it out.")
        drops = any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in self.discriminator.modules())
        return exact and not apart and not drops if wanted is None else wanted

    def _turns(self, updates: str) -> tuple[Turn, ...]:
        if updates == "simultaneous":
            turns = [Turn("both", ("generator", "discriminator"))]
        else:
            turns = [Turn("discriminator", repeat=self.discriminator_turns), Turn("generator", shows=False)]
        for player in ("discriminator", "generator"):
            if lazy := self.penalties.lazy(player):
                turns_a_step = self.discriminator_turns if player == "discriminator" else 1
                turns.append(Turn(player + APART, (player,), shows=False, every=lazy[0].every // turns_a_step))
        return tuple(turns)

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        """The player's network; what reads the discriminator's features (Q, the classifier) plays with it."""
        own = list(super().parameters_of(player))
        for reader in (self.information, self.classification):
            if player == "discriminator" and reader is not None:
                own += reader.parameters()
        return own

    def stand_alone(self) -> None:
        """Each turn makes its own fakes, of the same latents."""
        self.keeps_fakes = False

    def sample(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) in [-1, 1], or points (N, D), of latents (N, size) and, where it takes them, labels."""
        images: Tensor = told(self.generator, label)(latent)
        return images

    def rehearse(self, networks: nn.ModuleDict, batch: Batch, draw: Draw) -> None:
        """The generator as it is used, on latents of the draw."""
        told(networks["generator"], batch.labels)(self._latents_of(batch, draw, "latent"))

    def play(self, turn: str, batch: Batch, draw: Draw) -> Loss:
        """The loss of one of `turns`."""
        self._tell_noise(draw)
        if turn == "discriminator":
            return self._discriminator_turn(batch, draw)
        if turn == "generator":
            return self._generator_turn(batch, draw)
        if turn.endswith(APART):
            return self._penalties_turn(turn.removesuffix(APART), batch, draw)
        return self._both_shared(batch, draw) if self.one_pass else self._both_apart(batch, draw)

    @torch.no_grad()
    def opinions(self, real: Tensor, fake: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What the discriminator says of each sample, as a probability, and whether the classifier knows its class."""
        device = next(self.parameters()).device
        labels = labels.to(device)
        with evaluating(self.discriminator):
            (of_real, _), (of_fake, seen) = (self._features(side.to(device), labels) for side in (real, fake))
        said = {"D(x)": self.loss.probability(of_real, of_fake), "D(G(z))": self.loss.probability(of_fake, of_real)}
        if self.classification is not None:
            said["recognised"] = (self.classification.logits(seen).argmax(1) == labels).float()
        return {name: value.flatten(1).mean(1) if value.dim() > 1 else value for name, value in said.items()}

    # what the discriminator is shown, and what it says

    def _latents_of(self, batch: Batch, draw: Draw, stream: str) -> Tensor:
        """What the generator starts from: drawn, or the batch's own images where it is fed with them."""
        return batch.images.flatten(1) if self.latents.of_images else draw.latents(self.latents, stream)

    def _make_fakes(self, batch: Batch, draw: Draw, stream: str = "latent") -> Tensor:
        return self.sample(self._latents_of(batch, draw, stream), batch.labels)

    def _tell_noise(self, draw: Draw) -> None:
        for layer in self._told_noise:
            layer.get_buffer("noise_level").fill_(
                0.0 if self.remedies.noise is None else self.remedies.noise.at(draw.progress)
            )

    def _show(self, samples: Tensor, draw: Draw, side: str) -> Tensor:
        """Samples as the discriminator is shown them: augmented, with noise, in packs."""
        if self.augmenting is not None:
            samples = self.augmenting.shown(samples, draw, side)
        if self.remedies.noise is not None:
            samples = samples + self.remedies.noise.at(draw.progress) * drawn_like(torch.randn_like, samples)
        return in_packs(samples, self.remedies.pack)

    def _observe(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        if self.augmenting is not None:
            self.augmenting.observe(real_logits, fake_logits)

    def _judge(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits of real and fake in float32, and features of both: in one pass, unless a layer would mix the two.

        Where no one reads features they are what was given.
        """
        if self.mixes:
            fake_logits, fake_features = self._features(fake, labels)
            real_logits, real_features = self._features(real, labels)
            return real_logits, fake_logits, real_features, fake_features
        with side_by_side(2):
            logits, features = self._features(torch.cat((real, fake)), labels)
        return logits[: len(real)], logits[len(real) :], features[: len(real)], features[len(real) :]

    def _features(self, samples: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        judge = told(self.discriminator, labels)
        if not self.reads_features:
            return judge(samples).float(), samples
        logits, features = judge(samples, features=True)
        return logits.float(), features

    def _judge_for_generator(self, batch: Batch, fake: Tensor, draw: Draw) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits and features of fake, with gradients to the fakes alone, and of real where the loss needs them.

        Both are shown here.
        """
        fake, judge = self._show(fake, draw, "fake again"), told(self.discriminator, batch.labels)
        if self.reads_features:
            fake_logits, fake_features = frozen(judge, fake, features=True)
        else:
            fake_logits, fake_features = frozen(judge, fake), fake
        fake_logits = fake_logits.float()
        if not (self.loss.pairs or self.remedies.feature_matching):
            return fake_logits, fake_features, fake_logits.detach(), fake_features.detach()
        with torch.no_grad():
            return (
                fake_logits,
                fake_features,
                *self._features(self._show(batch.images, draw, "real again"), batch.labels),
            )

    # each player's loss

    def _scale(self, draw: Draw) -> float:
        return float(draw.batch) if self.reduction == "sum" else 1.0

    def _adversarial(self, real_logits: Tensor, fake_logits: Tensor, draw: Draw) -> Tensor:
        chance = (draw.shares("flips", 2, len(real_logits)),) if self.loss.flips else ()
        return self.loss.discriminator_loss(real_logits, fake_logits, *chance)

    def _discriminator_loss(self, batch: Batch, fake: Tensor, draw: Draw) -> Loss:
        """The discriminator's side, on samples as they come; no gradient to them."""
        fake = fake.detach() if self.replay is None else self.replay.mix(fake.detach(), draw)
        shown_real, shown_fake = self._show(batch.images, draw, "real"), self._show(fake, draw, "fake")
        real_logits, fake_logits, real_features, features = self._judge(shown_real, shown_fake, batch.labels)
        self._observe(real_logits, fake_logits)
        loss = self._adversarial(real_logits, fake_logits, draw)
        seen = Seen(shown_real, shown_fake, real_logits, fake_logits, labels=batch.labels)
        total = loss * (self.discriminator_factor * self._scale(draw))
        total, parts = self._penalised("discriminator", total, seen, draw)
        if self.information is not None:
            bound = self.information(features, draw.latents(self.latents)[:, self.latents.size :])
            total = total - self.information.weight * self._scale(draw) * bound
        if self.classification is not None and batch.labels is not None:
            of_real, of_fake = (self.classification(each, batch.labels) for each in (real_features, features))
            parts |= {"classification of real": of_real.detach(), "classification of fake": of_fake.detach()}
            total = total + self.classification.weight * self._scale(draw) * (of_real + of_fake)
        return Loss(total, {"discriminator": loss.detach()}, parts, self._outputs(real_logits, fake_logits))

    def _generator_loss(self, batch: Batch, fake: Tensor, draw: Draw, stream: str = "latent") -> Loss:
        """The generator's side; gradients go to the fakes alone. `stream`: of the latents they were made of."""
        fake_logits, features, real_logits, real_features = self._judge_for_generator(batch, fake, draw)
        adversarial = self.loss.generator_loss(fake_logits, real_logits)
        total = adversarial
        parts: dict[str, Tensor] = {}
        if self.remedies.feature_matching:
            matching = averaged(features.float().mean(0) - real_features.float().mean(0)).square().sum()
            parts["feature_matching"] = matching.detach()
            total = self.remedies.feature_matching * matching + (0 if self.remedies.matching_alone else adversarial)
        if self.information is not None:
            codes = draw.latents(self.latents, stream)[:, self.latents.size :]
            bound = frozen(self.information, features, codes=codes)
            parts["information"] = bound.detach()
            total = total - self.information.weight * bound
        if self.classification is not None and batch.labels is not None:
            total = total + self.classification.weight * frozen(self.classification, features, labels=batch.labels)
        seen = self._seen_by_generator(batch, draw)
        total, penalties = self._penalised("generator", total * self._scale(draw), seen, draw)
        after = self.loss.probability(fake_logits.detach(), real_logits).mean()
        return Loss(total, {"generator": adversarial.detach()}, parts | penalties, {"D(G(z)) after": after})

    def _penalised(self, player: str, total: Tensor, seen: Seen, draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        """`total` and what the player's penalties that are due add; and their bare values."""
        due = self.penalties.due(player, draw)
        return with_penalties(total, due, self.get_submodule(player), seen, draw, self._scale(draw))

    def _seen_by_generator(self, batch: Batch, draw: Draw) -> Seen:
        """What the generator's penalties need: the latents."""
        nothing = batch.images.new_empty(0)
        return Seen(
            batch.images,
            nothing,
            nothing,
            nothing,
            labels=batch.labels,
            latents=self._latents_of(batch, draw, "latent"),
        )

    def _outputs(self, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
        real_logits, fake_logits = real_logits.detach(), fake_logits.detach()
        return {
            "D(x)": self.loss.probability(real_logits, fake_logits).mean(),
            "D(G(z)) before": self.loss.probability(fake_logits, real_logits).mean(),
        }

    # the turns

    def _discriminator_turn(self, batch: Batch, draw: Draw) -> Loss:
        if self.keeps_fakes:
            fake = self._make_fakes(batch, draw)
            self._fakes = (draw.first, fake)
        else:
            with torch.no_grad():
                fake = self._make_fakes(batch, draw)
        return self._discriminator_loss(batch, fake, draw)

    def _generator_turn(self, batch: Batch, draw: Draw) -> Loss:
        stream = "latent" if self.reuses_fakes else "generator"
        if self._fakes is not None and self._fakes[0] == draw.first:
            fake = self._fakes[1]
        else:
            fake = self._make_fakes(batch, draw, stream)
        self._fakes = None
        loss = self._generator_loss(batch, fake, draw, stream)
        if not self.reuses_fakes:
            loss.outputs.clear()  # of other fakes than those before
        return loss

    def _penalties_turn(self, player: str, batch: Batch, draw: Draw) -> Loss:
        """The lazy penalties of a player alone, each times what it is lazy by."""
        if player == "discriminator":
            with torch.no_grad():
                fake = self._show(self._make_fakes(batch, draw), draw, "fake")
            real = self._show(batch.images, draw, "real")
            seen = Seen(real, fake, *self._judge(real, fake, batch.labels)[:2], labels=batch.labels)
        else:
            seen = self._seen_by_generator(batch, draw)
        # A slope need not depend on every parameter (not on the last bias): those then have a gradient of zero.
        total = sum(
            (value.sum() * 0 for value in self.parameters_of(player)), torch.zeros((), device=draw.randomness.device)
        )
        own, lazy = self.get_submodule(player), self.penalties.lazy(player)
        total, parts = with_penalties(total, lazy, own, seen, draw, self._scale(draw))
        return Loss(total, parts=parts)

    def _both_apart(self, batch: Batch, draw: Draw) -> Loss:
        """Both losses at the same networks, the fakes judged twice."""
        fake = self._make_fakes(batch, draw)
        generator = self._generator_loss(batch, fake, draw)
        discriminator = self._discriminator_loss(batch, fake, draw)
        return Loss(
            discriminator.total + generator.total,
            discriminator.losses | generator.losses,
            discriminator.parts | generator.parts,
            discriminator.outputs,
        )

    def _both_shared(self, batch: Batch, draw: Draw) -> Loss:
        """Both players' gradients from one pass; see the head of this file."""
        shown_real = self._show(batch.images, draw, "real")
        shown_fake = self._show(self._make_fakes(batch, draw), draw, "fake")
        real_logits, fake_logits, *_ = self._judge(shown_real, shown_fake, batch.labels)
        self._observe(real_logits, fake_logits)
        r = real_logits.detach().requires_grad_()
        f = fake_logits.detach().requires_grad_()
        generator_loss = self.loss.generator_loss(f, r.detach())
        (b,) = torch.autograd.grad(generator_loss, f)
        loss = self._adversarial(r, f, draw)
        (a,) = torch.autograd.grad(loss, f)
        loss = self._adversarial(real_logits, fake_logits, draw)
        loss = loss + hear_as_generator(shown_fake, fake_logits, a, b, self.discriminator_factor)
        seen = Seen(shown_real, shown_fake.detach(), real_logits, fake_logits, shared=True, labels=batch.labels)
        total = loss * (self.discriminator_factor * self._scale(draw))
        total, parts = self._penalised("discriminator", total, seen, draw)
        total, of_generator = self._penalised("generator", total, self._seen_by_generator(batch, draw), draw)
        losses = {"discriminator": loss.detach(), "generator": generator_loss.detach()}
        return Loss(total, losses, parts | of_generator, self._outputs(real_logits, fake_logits))
