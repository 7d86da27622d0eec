"""From a configuration to a game: its networks, freshly initialised, and its rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

from torch import nn

from zerosum.config import RunConfig
from zerosum.config_game import TRANSLATIONS
from zerosum.errors import UsageError
from zerosum.games import (
    AdversarialAutoencoder,
    BiGan,
    Classification,
    EncodingGame,
    Game,
    Generation,
    OfPairs,
    Paired,
    Reconstruction,
    Replay,
    SemiSupervised,
    Translating,
    Unpaired,
    VaeGan,
)
from zerosum.losses import get_loss
from zerosum.networks import (
    entry,
    feature_count,
    mixes_samples,
    names,
)
from zerosum.players import (
    About,
    augmenting_of,
    blueprints,
    classifier,
    discriminator_plan,
    latents_of,
    make_discriminator,
    make_penalties,
    remedies_of,
    restoring_of,
    translator_plans,
)
from zerosum.refusals import refuse_nonsense

MOST_CODES = 4096  # of an autoencoder: the distribution of codes that is fitted holds their square
# The class of each game with an encoder and a discriminator, and what the latter judges.
ENCODING: dict[str, tuple[type[EncodingGame], str]] = {
    "vae-gan": (VaeGan, "samples"),
    "bigan": (BiGan, "pairs"),
    "adversarial-autoencoder": (AdversarialAutoencoder, "codes"),
}


def make_game(config: RunConfig, shape: tuple[int, ...], classes: int = 0, source: tuple[int, ...] = ()) -> Game:
    """The networks and the rules of the game, on the CPU.

    `shape`: (C, H, W) or (D,); `classes`: of labelled data; `source`: (c, h, w) of what translators start from.
    """
    about = About(shape, classes, source)
    refuse_nonsense(config, classes)
    refuse_other_roles(config)
    if config.latent.size == "auto":
        config.latent.size = prod(shape)
    game = MAKERS[config.game.kind](config, about)
    at_once = config.training.micro_batch or config.training.batch
    if at_once < 2 and mixes_samples(game) and config.game.kind not in TRANSLATIONS:
        raise UsageError(
            "These networks compare the samples of a batch (BatchNorm, style mixing), which takes 2 samples or "
            "more: give --training.batch 2 or more."
        )
    refuse_mixed_styles(config, game)
    return game


def refuse_other_roles(config: RunConfig) -> None:
    """Raise `UsageError` where a network cannot play what it is asked to."""
    wanted = "translator" if config.game.kind in TRANSLATIONS else "generator"
    role = entry(config.generator.network).role
    if role != wanted:
        known = ", ".join(names(wanted))
        raise UsageError(
            f"generator.network: the game {config.game.kind!r} needs a {wanted}, and {config.generator.network} is a "
            f"{role}: take one of {known}."
        )


def refuse_mixed_styles(config: RunConfig, game: Game) -> None:
    """Raise `UsageError` where a sample's style would be mixed with one of another label or code."""
    told = config.game.labels.any or config.latent.categorical or config.latent.continuous
    if told and any(getattr(module, "mixing", 0) for module in game.modules()):
        raise UsageError(
            "generator.options.mixing: style mixing would take a part of another sample's label or code; give "
            "--generator.options.mixing 0.0."
        )


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
        "augmenting": augmenting_of(config, about.shape),
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


def make_paired(config: RunConfig, about: About) -> Paired:
    """A translator, and a discriminator of pairs unless the distance alone is minimised."""
    asked, restoring = config.game.translation, config.game.reconstruction
    judged = about.shape
    if asked.conditional:
        judged = (about.source[0] + about.shape[0], *about.shape[1:])
    generator, discriminator = translator_plans(config, about)["generator"].build(), None
    if asked.adversarial:
        discriminator = make_discriminator(config, discriminator_plan(config, judged))
    return Paired(
        generator,
        discriminator,
        loss=get_loss(config.game.loss, **config.game.loss_options),
        penalties=() if discriminator is None else make_penalties(config, {"discriminator": discriminator}),
        factor=config.game.discriminator_factor,
        restoring=restoring_of(restoring),
        rules=Translating(**asked.model_dump()),
    )


def make_unpaired(config: RunConfig, about: About) -> Unpaired:
    """A translator in each direction, and a discriminator of each domain."""
    asked, replay = config.game.translation, config.game.remedies.replay
    shapes = {"a": about.source, "b": about.shape}
    if asked.identity and about.source != about.shape:
        raise UsageError(
            "game.translation.identity: a translator is shown its own domain's pictures too, and the domains have "
            f"{about.source[0]} and {about.shape[0]} channels: give --data.channels, or --game.translation.identity 0."
        )
    translators = {name: plan.build() for name, plan in translator_plans(config, about).items()}
    discriminators = {
        name: make_discriminator(config, discriminator_plan(config, shape)) for name, shape in shapes.items()
    }
    return Unpaired(
        translators,
        discriminators,
        loss=get_loss(config.game.loss, **config.game.loss_options),
        penalties={
            name: make_penalties(config, {"discriminator": network}) for name, network in discriminators.items()
        },
        factor=config.game.discriminator_factor,
        replay={name: Replay(replay.size, replay.share, shapes[name]) for name in shapes} if replay.size else {},
        rules=Translating(**asked.model_dump()),
    )


MAKERS: dict[str, Callable[[RunConfig, About], Game]] = {
    "generation": make_generation,
    "reconstruction": make_reconstruction,
    "vae-gan": make_encoding,
    "bigan": make_encoding,
    "adversarial-autoencoder": make_encoding,
    "semi-supervised": make_semi_supervised,
    "paired": make_paired,
    "unpaired": make_unpaired,
}
