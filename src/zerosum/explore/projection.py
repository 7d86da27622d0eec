"""Projection: the point of a generator's space whose image is nearest to a picture, by gradient descent.

    p* = argmin  |G(p) − x|² / n + λ |φ(G(p)) − φ(x)|² / |φ(x)|² + μ max(0, m(p) − 1)²

with m(p) the mean square of p in units of the points' own deviation: nothing as long as p is as far out as samples are.
Zhu, Krähenbühl, Shechtman & Efros 2016, https://arxiv.org/abs/1609.03552, section 3.1 (pixels and features, a start
near the answer); Karras et al. 2020, https://arxiv.org/abs/1912.04958, section 5 and appendix D (in W, and the course
of the learning rate). Here several starts are taken at once: the best of some hundred samples, and what the model's own
encoder says where it has one. Noise inputs of style generators stay what they are in samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zerosum.explore.progress import Progress, ticker
from zerosum.explore.projected import Projection, Step, load_step, save_step
from zerosum.explore.sheet import check_count
from zerosum.explore.space import Points, Space, fingerprint, space_of
from zerosum.explore.target import Judge, as_target, digest_of, judge_of
from zerosum.metrics.pictures import psnr
from zerosum.version import VERSION

CANDIDATES = 256  # samples of which the nearest are the starts
RATE = 0.1  # of Adam, in deviations of the points
RISE, FALL = 0.05, 0.25  # shares of the steps in which the learning rate grows and fades
BETAS = (0.9, 0.999)
BEYOND = 0.01  # μ
SAVE_EVERY = 50  # steps


def project(
    model: Any,
    image: Any,
    *,
    starts: int = 4,
    steps: int = 300,
    features: str = "auto",
    seed: int = 0,
    label: int | str | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Projection:
    """The points whose images come nearest to a picture, one of each start, the nearest first.

    Args:
        model: as `zerosum.load` gives it.
        image: what `as_target` takes: an array (H, W, C), a PIL image, or a tensor (C, H, W) in [-1, 1], in the model's
            own size; `read_target` makes one of a file.
        starts: how many descents, in one batch.
        steps: of each; 0: the starts themselves.
        features: of what beside pixels: "auto", "none", or an extractor's name; see `judge_of`.
        seed: of the samples that starts are chosen among.
        label: their class; None: all classes are tried where the generator takes labels.
        checkpoint: a folder in which the descent is kept every 50 steps, and goes on from there, to the same bits on a
            CPU; None: it is not kept.
        progress: called with what is done, how much of it and of how much, from two seconds on.
        tell: called with a sentence on what is compared.

    Raises `UsageError` for what is no image generator and a picture of another shape, `RunError` for a checkpoint that
    is damaged or is another projection's.
    """
    check_count("starts", starts, most=CANDIDATES)
    check_count("steps", steps, least=0, most=100_000)
    space = space_of(model)
    target = as_target(image, space.model)
    judge = judge_of(target, features, space.model.device, tell)
    about = {
        "generator": fingerprint(space.model),
        "target": digest_of(target),
        "space": space.name,
        "features": "none" if judge.extractor is None else judge.extractor.name,
        **{"starts": starts, "steps": steps, "seed": seed, "label": label, "torch": torch.__version__},
        "zerosum": VERSION,
    }
    step = load_step(checkpoint, about) if checkpoint is not None else None
    step = step or _begun(space, judge, starts, seed, label)
    descent = Descent(space, judge, steps)
    counter = ticker(progress, "projecting", steps, step.done)
    while step.done < steps:
        step = descent.advanced(step)
        counter.advance()
        if checkpoint is not None and (step.done % SAVE_EVERY == 0 or step.done == steps):
            save_step(checkpoint, step, about)
    return _finished(space, judge, target, step)


@dataclass(frozen=True)
class Descent:
    """Adam (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980) on the points of several starts at once.

    Written out, so that all it goes on from is in a `Step`.
    """

    space: Space
    judge: Judge
    steps: int

    def advanced(self, step: Step) -> Step:
        """One step on. Of each start the point with the least loss so far is kept too."""
        points = step.points.clone().requires_grad_()
        images = self.space.render(Points(points, step.labels))
        losses = self.judge.loss(images)
        total = (losses + BEYOND * self._beyond(points).to(losses.device)).sum()
        (slope,) = torch.autograd.grad(total, points)
        best, least = kept(step, losses.detach().cpu())
        done = step.done + 1
        first = BETAS[0] * step.first + (1 - BETAS[0]) * slope
        second = BETAS[1] * step.second + (1 - BETAS[1]) * slope.square()
        move = first / (1 - BETAS[0] ** done) / ((second / (1 - BETAS[1] ** done)).sqrt() + 1e-8)
        spread = self.space.moments[1]
        made = step.points - self._rate(step.done) * spread * self.space.free * move
        return Step(self._within(made), step.labels, first, second, best, least, done)

    def _beyond(self, points: Tensor) -> Tensor:
        """max(0, m(p) − 1)², (N,)."""
        mean, spread = self.space.moments
        return (((points - mean) / spread).square().mean(1) - 1).clamp(min=0).square()

    def _within(self, points: Tensor) -> Tensor:
        """Numbers that are drawn from an interval stay in it."""
        latents = self.space.latents
        if self.space.name == "w":
            return points
        bounded = torch.ones(self.space.length, dtype=torch.bool)
        bounded[: latents.size] = latents.distribution != "normal"
        return torch.where(bounded, points.clamp(-1, 1), points)

    # Karras et al. 2020, appendix D: from zero in the first 5% of the steps, back to zero as a cosine in the last 25%.
    def _rate(self, done: int) -> float:
        share = done / self.steps
        fade = min(1.0, (1 - share) / FALL)
        return RATE * min(1.0, (done + 1) / max(1.0, RISE * self.steps)) * (0.5 - 0.5 * math.cos(math.pi * fade))


def kept(step: Step, losses: Tensor) -> tuple[Tensor, Tensor]:
    """Of each start the point with the least loss so far, and that loss."""
    better = losses < step.least
    return torch.where(better[:, None], step.points, step.best), torch.where(better, losses, step.least)


def _begun(space: Space, judge: Judge, starts: int, seed: int, label: int | str | None) -> Step:
    """The nearest of some hundred samples; where there is an encoder, its code comes first."""
    points = space.points(range(CANDIDATES), seed=seed, label=label)
    images = space.images(points).to(judge.target.device)
    nearest = (images - judge.target).square().flatten(1).mean(1).cpu().argsort(stable=True)[:starts]
    rows, labels = points[nearest].rows.clone(), points[nearest].labels
    encoded = _encoded(space, judge.target)
    if encoded is not None:
        rows[0] = encoded
    zeros = torch.zeros_like(rows)
    return Step(rows, labels, zeros, zeros.clone(), rows, torch.full((starts,), torch.inf), 0)


def _encoded(space: Space, target: Tensor) -> Tensor | None:
    """The latent (length,) that the model's encoder says; None where it has none."""
    model = space.model
    if not model.encodes or space.name == "w":
        return None
    code = model.encoded(target.cpu())
    if "codes" in model.networks:  # a latent is what becomes of this code by the fitted distribution
        fitted = model.networks["codes"]
        mean, factor = fitted.get_buffer("mean").cpu(), fitted.get_buffer("factor").cpu()
        code = torch.linalg.lstsq(factor.T.double(), (code - mean).T.double(), driver="gelsd").solution.T.float()
    return code[0]


def _finished(space: Space, judge: Judge, target: Tensor, step: Step) -> Projection:
    """The best points of all starts, after a last look at where they are."""
    with torch.no_grad():
        last = judge.loss(space.images(Points(step.points, step.labels)).to(judge.target.device)).cpu()
        best, least = kept(step, last)
        order = least.argsort(stable=True)
        points = Points(best, step.labels)[order]
        images = space.images(points)
        distances = judge.distance(images.to(judge.target.device)).cpu()
    return Projection(
        space.name,
        points,
        images,
        target,
        tuple(map(float, least[order])),
        tuple(map(float, psnr(images, target.expand_as(images)))),
        tuple(map(float, distances)) if judge.extractor is not None else (),
        fingerprint(space.model),
    )
