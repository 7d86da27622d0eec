"""The players of a game: their networks, freshly initialised, and what their sections put on them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn

from zerosum.augment import Adaptive, Ramp, augmentation
from zerosum.config import RunConfig
from zerosum.config_game import PenaltyConfig, ReconstructionConfig, RemediesConfig
from zerosum.data import Degradation
from zerosum.errors import UsageError
from zerosum.games import (
    Classifier,
    Corruption,
    Fading,
    Latents,
    Penalty,
    Remedies,
    Restoring,
    make_penalty,
    packed_shape,
    term_of,
)
from zerosum.games.augmenting import Augmenting
from zerosum.losses import get_loss, refuse_probabilities
from zerosum.networks import Blueprint, Discriminator, JointDiscriminator, add_minibatch
from zerosum.penalties import spectral_normalise
from zerosum.refusals import refuse_lone_groups

SHOWN = 2**20  # numbers, at most, that a new discriminator is tried on
PAIR_UNITS = 512  # that read a code, and that read a pair


@dataclass(frozen=True)
class About:
    """What of the data a game is made for: the `shape` of a sample, (C, H, W) or (D,), and how many `classes`.

    `source`: the shape of the pictures that translators start from; () where there are none.
    """

    shape: tuple[int, ...]
    classes: int = 0
    source: tuple[int, ...] = ()


def latents_of(config: RunConfig) -> Latents:
    """What the generator starts from; its size is decided."""
    return Latents(**config.latent.model_dump())


def blueprints(config: RunConfig, about: About) -> dict[str, Blueprint]:
    """Of each player's network what rebuilds it; of a discriminator without its minibatch layer."""
    latents, game = latents_of(config), config.game
    plans = {}
    for name, player in config.players().items():
        shape = packed_shape(about.shape, game.remedies.pack) if name == "discriminator" else about.shape
        arguments: dict[str, Any] = {"shape": list(shape), **player.options}
        labels = getattr(game.labels, name, "none")
        plans[name] = Blueprint(
            player.network,
            {"latent": latents.length, **arguments} if name == "generator" else arguments,
            code=latents.size * (2 if game.reconstruction.variational else 1) if name == "encoder" else 0,
            labels=labels,
            classes=about.classes if labels != "none" else 0,
        )
    return plans


def translator_plans(config: RunConfig, about: About) -> dict[str, Blueprint]:
    """What rebuilds each translator of a game, by its name there."""
    player, keeps = config.generator, bool(config.data.degrade) and Degradation.parse(config.data.degrade).keeps

    def plan(source: tuple[int, ...], shape: tuple[int, ...]) -> Blueprint:
        return Blueprint(player.network, {"source": list(source), "shape": list(shape), **player.options}, keeps=keeps)

    if config.game.kind == "paired":
        return {"generator": plan(about.source, about.shape)}
    return {"a_to_b": plan(about.source, about.shape), "b_to_a": plan(about.shape, about.source)}


def discriminator_plan(config: RunConfig, shape: tuple[int, ...]) -> Blueprint:
    """What rebuilds a discriminator of what has this shape."""
    player = config.player("discriminator")
    return Blueprint(player.network, {"shape": list(shape), **player.options})


def make_discriminator(config: RunConfig, plan: Blueprint, code: int = 0) -> nn.Module:
    """A discriminator with what its section puts on it: a minibatch layer, labels, spectral normalisation.

    `code`: it judges pairs of a sample and a code of so many numbers; 0: samples. Raises `UsageError` for one that ends
    in a sigmoid, and of pairs for one without a body.
    """
    rules = config.player("discriminator")
    discriminator = plan.build()
    shape = plan.arguments["shape"]
    shown = torch.randn(max(2, min(64, SHOWN // prod(shape))), *shape).clamp(-1, 1)
    inner = discriminator if plan.labels in ("none", "auxiliary") else discriminator.get_submodule("network")
    if inner is discriminator:
        refuse_probabilities(discriminator, shown)
    if code:  # before what follows: it reads the code too, and has a head of its own
        if not isinstance(discriminator, Discriminator):
            raise UsageError(f"{plan.network} has no body, and so cannot judge pairs.")
        inner = discriminator = JointDiscriminator(discriminator, code, PAIR_UNITS)
    if rules.minibatch != "none":
        add_minibatch(inner, rules.minibatch, **rules.minibatch_options)
        refuse_lone_groups(config, rules, config.training.micro_batch or config.training.batch)
    if rules.spectral:
        spectral_normalise(discriminator)
    return discriminator


def classifier(config: RunConfig, plan: Blueprint, classes: int) -> Classifier:
    """A discriminator that gives class logits."""
    network = plan.build()
    if not isinstance(network, Discriminator):
        raise UsageError(f"{plan.network} has no body and head, and so cannot tell classes.")
    made = Classifier(network, classes)
    if config.player("discriminator").spectral:
        spectral_normalise(made)
    return made


def make_penalties(config: RunConfig, players: dict[str, nn.Module]) -> tuple[Penalty, ...]:
    """The penalties that are asked for, on the networks of their players."""
    return tuple(
        make_penalty(
            name, players[term_of(name).player], weight=weight_of(name, asked), every=asked.every, options=asked.options
        )
        for name, asked in config.game.penalties.items()
    )


def weight_of(name: str, asked: PenaltyConfig) -> Fading:
    """A penalty's weight as the run goes on."""
    weight = term_of(name).weight if asked.factor is None else asked.factor
    return Fading(weight, weight * asked.fade_to, asked.fade_until, asked.fade)


def remedies_of(asked: RemediesConfig) -> Remedies:
    """The game's remedies, of their section."""
    noise = asked.noise
    return Remedies(
        pack=asked.pack,
        noise=Fading(noise.start, noise.end, noise.until) if noise.start else None,
        replay=asked.replay.size,
        replay_share=asked.replay.share,
        feature_matching=asked.feature_matching.weight,
        matching_alone=asked.feature_matching.alone,
        information=asked.information,
    )


def augmenting_of(config: RunConfig, shape: tuple[int, ...]) -> Augmenting | None:
    """What the discriminator sees, of its section; None: samples of `shape` as they are.

    Raises `UsageError` for points.
    """
    asked = config.augment
    if asked.kind == "none":
        return None
    if len(shape) < 3:
        raise UsageError("augment.kind is for images, and these data are points; leave it out.")
    how = augmentation(asked.kind)
    p = ("adaptive" if asked.kind == "ada" else 1.0) if asked.p == "auto" else asked.p
    if p == "adaptive":
        loss = get_loss(config.game.loss, **config.game.loss_options)
        centred = not (loss.pairs or loss.linear or loss.name == "least-squares")  # its middle is a logit of 0
        return Augmenting(how, Adaptive(asked.target, asked.images, relative=not centred))
    return Augmenting(how, Ramp(float(p) if asked.start is None else asked.start, float(p), asked.until))


def restoring_of(asked: ReconstructionConfig) -> Restoring:
    """What a game with an encoder minimises, of its section."""
    return Restoring(
        cost=asked.loss,
        weight=asked.weight,
        variational=asked.variational,
        beta=asked.beta,
        warm_up=asked.warm_up,
        corruption=None if asked.corruption == "none" else Corruption(asked.corruption, asked.strength),
    )
