"""From a configuration to a game: its networks, freshly initialised, and its rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import nn

from zerosum.config import PenaltyConfig, ReconstructionConfig, RemediesConfig, RunConfig
from zerosum.errors import UsageError
from zerosum.games import (
    AdversarialAutoencoder,
    BiGan,
    Classification,
    Classifier,
    Corruption,
    EncodingGame,
    Fading,
    Game,
    Generation,
    Latents,
    OfPairs,
    Penalty,
    Reconstruction,
    Remedies,
    Restoring,
    SemiSupervised,
    VaeGan,
    make_penalty,
    packed_shape,
    term_of,
)
from zerosum.losses import get_loss, refuse_probabilities
from zerosum.networks import (
    Blueprint,
    Discriminator,
    JointDiscriminator,
    add_minibatch,
    entry,
    feature_count,
    mixes_samples,
)
from zerosum.penalties import spectral_normalise
from zerosum.refusals import refuse_lone_groups, refuse_nonsense

MOST_CODES = 4096  # of an autoencoder: the distribution of codes that is fitted holds their square
PAIR_UNITS = 512  # that read a code, and that read a pair
# The class of each game with an encoder and a discriminator, and what the latter judges.
ENCODING: dict[str, tuple[type[EncodingGame], str]] = {
    "vae-gan": (VaeGan, "samples"),
    "bigan": (BiGan, "pairs"),
    "adversarial-autoencoder": (AdversarialAutoencoder, "codes"),
}


@dataclass(frozen=True)
class About:
    """What of the data a game is made for: the `shape` of a sample, (C, H, W) or (D,), and how many `classes`."""

    shape: tuple[int, ...]
    classes: int = 0


def make_game(config: RunConfig, shape: tuple[int, ...], classes: int = 0) -> Game:
    """The networks and the rules of the game, on the CPU. `shape`: (C, H, W) or (D,); `classes`: of labelled data."""
    about = About(shape, classes)
    refuse_nonsense(config, classes)
    if config.latent.size == "auto":
        config.latent.size = prod(shape)
    game = MAKERS[config.game.kind](config, about)
    at_once = config.training.micro_batch or config.training.batch
    if at_once < 2 and mixes_samples(game):
        raise UsageError(
            "These networks compare the samples of a batch (BatchNorm, style mixing), which takes 2 samples or "
            "more: give --training.batch 2 or more."
        )
    refuse_mixed_styles(config, game)
    return game


def refuse_mixed_styles(config: RunConfig, game: Game) -> None:
    """Raise `UsageError` where a sample's style would be mixed with one of another label or code."""
    told = config.game.labels.any or config.latent.categorical or config.latent.continuous
    if told and any(getattr(module, "mixing", 0) for module in game.modules()):
        raise UsageError(
            "generator.options.mixing: style mixing would take a part of another sample's label or code; give "
            "--generator.options.mixing 0.0."
        )


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


def make_generation(config: RunConfig, about: About) -> Generation:
    """A generator against a discriminator."""
    plans = blueprints(config, about)
    generator = plans["generator"].build()
    if config.latent.distribution == "images" and not getattr(generator, "takes_images", False):
        raise UsageError(
            "latent.distribution images is for a generator that is fed with images, and without labels: give "
            "--generator.network encoder-generator --latent.size auto."
        )
    discriminator = make_discriminator(config, plans["discriminator"])
    asked = config.game.labels
    auxiliary = asked.discriminator == "auxiliary"
    classification = Classification(feature_count(discriminator), about.classes, asked.weight) if auxiliary else None
    return Generation(
        generator,
        discriminator,
        classification=classification,
        **generation_options(config, about, {"generator": generator, "discriminator": discriminator}),
    )


def generation_options(config: RunConfig, about: About, players: dict[str, nn.Module]) -> dict[str, Any]:
    """The rules of a `Generation` of these players."""
    game = config.game
    return {
        "loss": get_loss(game.loss, **game.loss_options),
        "penalties": make_penalties(config, players),
        "updates": game.updates,
        "discriminator_turns": game.discriminator_turns,
        "discriminator_factor": game.discriminator_factor,
        "reduction": game.reduction,
        "latents": latents_of(config),
        "shape": about.shape,
        "remedies": remedies_of(game.remedies),
        "lazy_apart": game.lazy == "apart",
        "one_pass": None if game.one_pass == "auto" else game.one_pass,
    }


def make_reconstruction(config: RunConfig, about: About) -> Reconstruction:
    """An encoder and a decoder."""
    plans = blueprints(config, about)
    refuse_brightness_of_points(config, about)
    if not config.game.reconstruction.variational and latents_of(config).size > MOST_CODES:
        raise UsageError(f"latent.size: an autoencoder's codes have {MOST_CODES:,} numbers at most; give fewer.")
    encoder, generator = plans["encoder"].build(), plans["generator"].build()
    return Reconstruction(
        encoder, generator, latents=latents_of(config), rules=restoring_of(config.game.reconstruction)
    )


def make_encoding(config: RunConfig, about: About) -> EncodingGame:
    """An encoder, a generator and a discriminator, of samples, of pairs, or of codes."""
    plans, latents = blueprints(config, about), latents_of(config)
    kind, of_what = ENCODING[config.game.kind]
    plan = plans["discriminator"]
    if of_what == "codes" and entry(plan.network).of == "images":
        raise UsageError(
            f"discriminator.network: this game's discriminator judges codes, and {plan.network} takes images: give "
            "--discriminator.network mlp-discriminator."
        )
    if of_what == "codes":
        plan = replace(plan, arguments=plan.arguments | {"shape": [latents.length]})
    refuse_brightness_of_points(config, about)
    encoder, generator = plans["encoder"].build(), plans["generator"].build()
    discriminator = make_discriminator(config, plan, code=latents.length if of_what == "pairs" else 0)
    if of_what == "pairs":
        discriminator = OfPairs(discriminator, about.shape)
    return kind(
        encoder,
        generator,
        discriminator,
        loss=get_loss(config.game.loss, **config.game.loss_options),
        penalties=make_penalties(config, {"generator": generator, "discriminator": discriminator}),
        latents=latents,
        rules=restoring_of(config.game.reconstruction),
    )


def make_semi_supervised(config: RunConfig, about: About) -> SemiSupervised:
    """A generator against a classifier, and beside them the classifier that knows the labelled images alone.

    The latter comes last, so that its weights change none of the others'.
    """
    plans = blueprints(config, about)
    generator = plans["generator"].build()
    judges = [classifier(config, plans["discriminator"], about.classes) for _ in range(1 + config.game.baseline)]
    return SemiSupervised(
        generator,
        judges[0],
        baseline=judges[1] if config.game.baseline else None,
        **generation_options(config, about, {"generator": generator, "discriminator": judges[0]}),
    )


def classifier(config: RunConfig, plan: Blueprint, classes: int) -> Classifier:
    """A discriminator that gives class logits."""
    network = plan.build()
    if not isinstance(network, Discriminator):
        raise UsageError(f"{plan.network} has no body and head, and so cannot tell classes.")
    made = Classifier(network, classes)
    if config.player("discriminator").spectral:
        spectral_normalise(made)
    return made


def refuse_brightness_of_points(config: RunConfig, about: About) -> None:
    """Raise `UsageError` for a likelihood of brightness where samples are points, which have none."""
    if config.game.reconstruction.loss != "bernoulli":
        return
    if len(about.shape) == 1:
        raise UsageError(
            "game.reconstruction.loss bernoulli is for the brightness of images, and these data are points: give "
            "--game.reconstruction.loss squared --generator.options.output linear."
        )
    if config.generator.options.get("output") == "linear":
        raise UsageError(
            "game.reconstruction.loss bernoulli needs brightness within its bounds: leave generator.options.output "
            "linear out, or give --game.reconstruction.loss squared."
        )


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


def make_discriminator(config: RunConfig, plan: Blueprint, code: int = 0) -> nn.Module:
    """A discriminator with what its section puts on it: a minibatch layer, labels, spectral normalisation.

    `code`: it judges pairs of a sample and a code of so many numbers; 0: samples. Raises `UsageError` for one that ends
    in a sigmoid, and of pairs for one without a body.
    """
    rules = config.player("discriminator")
    discriminator = plan.build()
    shown = torch.randn(64, *plan.arguments["shape"]).clamp(-1, 1)
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
    return Fading(weight, weight * asked.fade_to, asked.fade_until)


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


MAKERS: dict[str, Callable[[RunConfig, About], Game]] = {
    "generation": make_generation,
    "reconstruction": make_reconstruction,
    "vae-gan": make_encoding,
    "bigan": make_encoding,
    "adversarial-autoencoder": make_encoding,
    "semi-supervised": make_semi_supervised,
}
