"""What a report sees of a game's health: a few hundred samples beside as many real ones, and what D says of both.

    different kinds   the Vendi score of the samples' features beside that of as many real ones (metrics.vendi)
    near-duplicates   the share of samples that have another one closer than a quarter of what lies between a real
                      sample and the nearest real one, in the middle
    apart             how far the mean of the samples' features is from that of real ones, in deviations of these
    modes             of a mixture of Gaussians, how many are reached (metrics.modes)
    accuracy          the share of real and generated samples that the discriminator takes for what they are; of a
                      critic, and of a loss that compares pairs, the share of real ones ranked above every fake
    r_v               (E D(train) − E D(held)) / (E D(train) − E D(fake)): 0 where the discriminator knows no more of
                      its own images than of held-out ones, 1 where these are to it as generated ones

r_v: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", https://arxiv.org/abs/2006.06676,
equation 1. Features are those of a fixed random network, less the mean of real ones and by their deviation, or the
numbers of a point: enough to tell what is alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from zerosum.games import Batch, Game, Generation, Paired, Unpaired, VaeGan, told
from zerosum.games.game import evaluating
from zerosum.games.paired import given_of
from zerosum.games.remedies import in_packs
from zerosum.games.translation import beside
from zerosum.losses import AdversarialLoss
from zerosum.metrics import count_modes, vendi
from zerosum.metrics.extractors import extractor

SAMPLES, NUMBERS = 256, 2**22  # that a report looks at, at most, and numbers in all of them
TRANSLATED = 64  # pictures, which cost more than samples
AT_ONCE = 64  # a discriminator that compares the samples of a batch sees batches of this size
SIDE = 32  # pixels of the longer side, at most, of what features are taken from
NEAR = 0.25  # of the distance from a real sample to its nearest, in the middle: nearer ones are near-duplicates


@dataclass(frozen=True)
class Evidence:
    """What a report saw of a game. NaN: it could not be looked at, or means nothing there.

    Attributes:
        samples: how many were looked at, and as many real ones.
        finite: whether all of them are numbers; if not, nothing else is said.
        kinds, real_kinds: how many different ones they, and the real ones, amount to (Vendi score).
        twins, real_twins: the share of them, and of the real ones, that have a near-duplicate.
        spread: their deviation as a share of that of real ones.
        apart: how far their mean is from that of real ones, in deviations of these.
        modes: how many a mixture has, whose data these are; 0: they are of none.
        reached, even: how many modes have a sample within 3σ, and how many equally likely ones they amount to.
        certain: whether `accuracy` is one of probabilities; else it is one of ranks.
        accuracy: the discriminator's, in [0, 1].
        r_v: how much the discriminator memorises, of `held` held-out images; and by how many standard errors it tells
            these from those it trains on, `gap`.
    """

    samples: int
    finite: bool = True
    kinds: float = math.nan
    real_kinds: float = math.nan
    twins: float = math.nan
    real_twins: float = math.nan
    spread: float = math.nan
    apart: float = math.nan
    modes: int = 0
    reached: int = 0
    even: float = math.nan
    certain: bool = True
    accuracy: float = math.nan
    r_v: float = math.nan
    gap: float = math.nan
    held: int = 0

    def to_record(self) -> dict[str, Any]:
        """What is known of it, with four digits, as a record keeps it under "evidence"."""
        known = {key: value for key, value in asdict(self).items() if value == value}
        return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in known.items()}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self | None:
        """The evidence in a line of records.jsonl; None where it has none."""
        known = {key: value for key, value in record.get("evidence", {}).items() if key in cls.__annotations__}
        return cls(**known) if "samples" in known else None


@dataclass(frozen=True)
class Standard:
    """What samples are compared with: as many real ones, looked at once for a whole run; see `standard_of`."""

    features: Callable[[Tensor], Tensor]
    mean: Tensor
    deviation: Tensor
    within: float
    kinds: float
    twins: float
    mixture: tuple[np.ndarray, float] | None = None

    def standing(self, samples: Tensor) -> Tensor:
        """Features of samples, less the mean of the real ones' and by their deviation, float64 (N, D)."""
        return (self.features(samples) - self.mean) / self.deviation


def looked_at(shape: tuple[int, ...], *, translated: bool) -> int:
    """How many samples of `shape`, or translated pictures, a report looks at."""
    return max(2, min(TRANSLATED if translated else SAMPLES, NUMBERS // math.prod(shape)))


def standard_of(real: Tensor, mixture: tuple[np.ndarray, float] | None = None) -> Standard:
    """The standard that real samples set: images float32 (N, C, H, W) in [-1, 1], or points (N, D).

    mixture: of points that are one, its centres (K, D) and the deviation of each, in the points' own unit.
    """
    features = _numbers if real.ndim == 2 else _looks()
    seen = features(real)
    deviation = seen.std(0, correction=0)
    floor = 1e-3 * deviation.max()  # what hardly moves in real samples says nothing
    deviation = deviation.clamp(min=float(floor) if floor > 0 else 1.0)
    standing = (seen - seen.mean(0)) / deviation
    between = _to_nearest(standing)
    within = NEAR * float(between.median())
    twins = float((between <= within).double().mean())
    return Standard(features, seen.mean(0), deviation, within, vendi(standing), twins, mixture)


def gather(game: Game, made: Tensor, real: Batch, held: Batch | None, standard: Standard) -> Evidence:
    """The evidence of one moment. Changes nothing of the game, and draws no random numbers.

    Args:
        game: whose discriminator is asked, where it judges samples.
        made: what its model makes, for the labels, or of the given pictures, of `real`: samples as of `standard_of`.
        real: samples it trains on.
        held: samples it never trains on, if there are any; where D judges pairs, with what stands beside them.
        standard: of `real`.
    """
    if not bool(torch.isfinite(made).all()):
        return Evidence(len(made), finite=False)
    judged = _judged(game, made, real, held)
    if len(made) < 2:
        return Evidence(len(made), **judged)
    standing = standard.standing(made)
    found: dict[str, Any] = {
        "kinds": vendi(standing),
        "real_kinds": standard.kinds,
        "twins": float((_to_nearest(standing) <= standard.within).double().mean()),
        "real_twins": standard.twins,
        "spread": float(standing.var(0).mean().sqrt()),
        "apart": float(standing.mean(0).square().mean().sqrt()),
    }
    if standard.mixture is not None:
        modes = count_modes(made.double().numpy(), *standard.mixture)
        even = modes.total * math.exp(-modes.reverse_kl)
        found |= {"modes": modes.total, "reached": modes.reached, "even": even}
    return Evidence(len(made), **found, **judged)


def _numbers(points: Tensor) -> Tensor:
    return points.detach().cpu().double()


def _looks() -> Callable[[Tensor], Tensor]:
    """Features (N, D) of images (N, C, H, W) of any number of channels, made small first."""
    network = extractor("random")

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        colours = images.detach().cpu().float()[:, : 3 if images.shape[1] >= 3 else 1]
        factor = SIDE / max(colours.shape[2:])
        if factor < 1:
            colours = interpolate(colours, [max(1, round(side * factor)) for side in colours.shape[2:]], mode="area")
        with torch.autocast("cpu", enabled=False):
            return network.features(colours).double()

    return features


def _to_nearest(rows: Tensor) -> Tensor:
    """The Euclidean distance (N,) of each row to the nearest other one."""
    distances = torch.cdist(rows, rows)  # by a product: in float64 a copy is still a hundred-millionth away
    return distances.fill_diagonal_(math.inf).amin(1)


# what the discriminator says


def _judged(game: Game, made: Tensor, real: Batch, held: Batch | None) -> dict[str, Any]:
    """What the discriminator says of each side; nothing where none of the game's judges samples."""
    panel = _panel_of(game)
    if panel is None:
        return {}
    with evaluating(panel.network), torch.no_grad():
        of_real, of_fake = panel.logits(real.images, real), panel.logits(made, real)
        lone = held is None or (panel.conditional and held.given is None)
        of_held = None if lone or held is None else panel.logits(held.images, held)
    if not len(of_real) or not bool(torch.isfinite(torch.cat((of_real, of_fake))).all()):
        return {}
    loss = panel.loss
    certain = not (loss.linear or loss.pairs)
    right = of_real > of_fake.max()
    if certain:
        right = torch.cat((loss.probability(of_real, of_fake) > 0.5, loss.probability(of_fake, of_real) < 0.5))
    answer = {"certain": certain, "accuracy": float(right.double().mean())}
    return answer if of_held is None else answer | _memory(of_real, of_fake, of_held)


# Karras et al. 2020, https://arxiv.org/abs/2006.06676, equation 1: r_v
def _memory(of_real: Tensor, of_fake: Tensor, of_held: Tensor) -> dict[str, Any]:
    """r_v, where there are images enough to have a deviation and the discriminator tells real from fake at all."""
    between = float(of_real.mean() - of_fake.mean())
    if len(of_held) < 2 or len(of_real) < 2 or between <= 0 or not bool(torch.isfinite(of_held).all()):
        return {}
    gap = float(of_real.mean() - of_held.mean())
    error = math.sqrt(float(of_real.var()) / len(of_real) + float(of_held.var()) / len(of_held))
    return {"r_v": gap / between, "gap": gap / error if error > 0 else 0.0, "held": len(of_held)}


@dataclass(frozen=True)
class _Panel:
    """The discriminator that judges a game's samples, and how they are shown to it.

    pack: how many it judges together. conditional: it sees the given picture beside each.
    """

    network: nn.Module
    loss: AdversarialLoss
    pack: int = 1
    conditional: bool = False

    def logits(self, samples: Tensor, batch: Batch) -> Tensor:
        """Logits, float32 on the CPU, of samples (N, …) for the labels, or of the given pictures, of `batch`.

        Samples that fill no batch, or no pack, are left out where there are others.
        """
        device = next(self.network.parameters()).device
        step = AT_ONCE - AT_ONCE % self.pack
        whole = len(samples) - len(samples) % (step if len(samples) >= step else self.pack)
        said = []
        for first in range(0, whole, step):
            part = slice(first, min(first + step, whole))
            shown = samples[part].to(device)
            if self.conditional:
                shown = beside(given_of(batch)[part].to(device), shown)
            labels = None if batch.labels is None else batch.labels[part].to(device)
            said.append(told(self.network, labels)(in_packs(shown, self.pack)).float().cpu())
        logits = torch.cat(said) if said else torch.empty(0)
        return logits.flatten(1).mean(1) if logits.ndim > 1 else logits


def _panel_of(game: Game) -> _Panel | None:
    """None where no discriminator of the game judges samples: there is none, or it judges codes, or pairs with them."""
    if isinstance(game, Generation):
        return _Panel(game.discriminator, game.loss, game.remedies.pack)
    if isinstance(game, VaeGan):
        return _Panel(game.discriminator, game.loss)
    judge, conditional = None, False
    if isinstance(game, Paired):
        judge, conditional = game.judge, game.rules.conditional
    elif isinstance(game, Unpaired):
        judge = game.judges["b"]
    return None if judge is None else _Panel(judge.discriminator, judge.loss, conditional=conditional)
