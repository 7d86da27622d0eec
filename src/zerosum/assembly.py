"""The parts of a run, made from its configuration: device, networks, game, optimizers, plan.

Every `auto` is decided here, once, when a run begins; the reasons are told, and the run's config.toml keeps them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any

import torch

from zerosum.config import PenaltyConfig, PlayerConfig, RemediesConfig, RunConfig
from zerosum.data import Store
from zerosum.errors import UsageError
from zerosum.games import Fading, Generation, Latents, Remedies, make_penalty, packed_shape, term_of
from zerosum.losses import get_loss, refuse_probabilities
from zerosum.networks import add_minibatch, build, is_convolutional, mixes_samples
from zerosum.penalties import lazy_adam, mixing_warning, spectral_normalise
from zerosum.training.checkpoint import State
from zerosum.training.ema import Ema
from zerosum.training.optim import Adam, Player, RmsProp
from zerosum.training.plan import Plan
from zerosum.training.schedule import Schedule
from zerosum.version import VERSION

COMPILED_STEPS = 50_000  # compiling takes 10 to 20 s and saves some 0.5 ms a step


def choose_device(wanted: str) -> torch.device:
    """The device called `wanted`; "auto": the first GPU there is, else the CPU. Raises `UsageError`."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"The device {wanted!r} cannot be used here: {str(error).splitlines()[0]} Take --device cpu."
        ) from error
    return device


def make_game(config: RunConfig, shape: tuple[int, ...]) -> Generation:
    """The networks and the rules of the game, on the CPU, freshly initialised. `shape`: (C, H, W) or (D,)."""
    latents = Latents(**config.latent.model_dump())
    shown = packed_shape(shape, config.game.remedies.pack)
    generator = build(config.generator.network, **network_arguments(config.generator, shape, latents.length))
    discriminator = build(config.discriminator.network, **network_arguments(config.discriminator, shown))
    at_once = config.training.micro_batch or config.training.batch
    reads_codes = bool(config.game.remedies.information)  # its Q holds BatchNorm
    if at_once < 2 and (mixes_samples(generator) or mixes_samples(discriminator) or reads_codes):
        raise UsageError(
            "These networks hold BatchNorm, which needs 2 samples or more: give --training.batch 2 or more."
        )
    refuse_probabilities(discriminator, torch.randn(64, *shown).clamp(-1, 1))
    refuse_nonsense(config)
    if config.discriminator.minibatch != "none":
        add_minibatch(discriminator, config.discriminator.minibatch, **config.discriminator.minibatch_options)
        refuse_lone_groups(config, at_once)
    if config.discriminator.spectral:
        spectral_normalise(discriminator)
    players = {"generator": generator, "discriminator": discriminator}
    penalties = tuple(
        make_penalty(
            name, players[term_of(name).player], weight=weight_of(name, asked), every=asked.every, options=asked.options
        )
        for name, asked in config.game.penalties.items()
    )
    return Generation(
        generator,
        discriminator,
        loss=get_loss(config.game.loss, **config.game.loss_options),
        penalties=penalties,
        updates=config.game.updates,
        discriminator_turns=config.game.discriminator_turns,
        discriminator_factor=config.game.discriminator_factor,
        reduction=config.game.reduction,
        latents=latents,
        shape=shape,
        remedies=remedies_of(config.game.remedies),
        lazy_apart=config.game.lazy == "apart",
        one_pass=None if config.game.one_pass == "auto" else config.game.one_pass,
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


def refuse_nonsense(config: RunConfig) -> None:
    """Raise `UsageError`, with the remedy, for settings that make no sense together."""
    game = config.game
    if game.updates == "simultaneous" and game.discriminator_turns > 1:
        raise UsageError(
            "Several discriminator turns need --game.updates alternating: simultaneous ones come in pairs."
        )
    if config.generator.spectral or config.generator.clip or config.generator.minibatch != "none":
        raise UsageError("generator.spectral, .clip and .minibatch are for a discriminator; leave them out.")
    if game.one_pass is True and game.updates == "alternating":
        raise UsageError("game.one_pass is a way of --game.updates simultaneous: give that too, or leave it out.")
    if config.generator.minibatch_options:
        raise UsageError("generator.minibatch_options are for a discriminator; leave them out.")
    if config.discriminator.minibatch == "none" and config.discriminator.minibatch_options:
        raise UsageError("discriminator.minibatch_options without a layer: give --discriminator.minibatch too.")
    refuse_lone_remedies(config)
    refuse_lazy_apart(config)
    if config.discriminator.clip and game.penalties:
        names = ", ".join(game.penalties)
        raise UsageError(f"Weight clipping and the penalty {names} constrain the same slopes: take one of the two.")
    if game.loss == "wasserstein" and not (
        game.penalties or config.discriminator.clip or config.discriminator.spectral
    ):
        raise UsageError(
            "A Wasserstein critic without a constraint grows without end: add --game.penalties.gradient.weight 10, "
            "--discriminator.clip 0.01 or --discriminator.spectral."
        )


def refuse_lone_remedies(config: RunConfig) -> None:
    """Raise `UsageError` for a remedy that what it needs is not there for."""
    remedies, latent = config.game.remedies, config.latent
    at_once = config.training.micro_batch or config.training.batch
    if at_once % remedies.pack:
        raise UsageError(
            f"A batch of {at_once} is no number of packs of {remedies.pack}: give --training.batch "
            f"{-(-at_once // remedies.pack) * remedies.pack} or another --game.remedies.pack."
        )
    if remedies.noise.end > remedies.noise.start:
        raise UsageError("game.remedies.noise.end is above .start: noise fades, so give a start above the end.")
    if remedies.information and not (latent.categorical or latent.continuous):
        raise UsageError(
            "game.remedies.information is that of codes, and the latent has none: give --latent.categorical [10] or "
            "--latent.continuous 2 with it."
        )
    if remedies.information and (remedies.pack > 1 or remedies.replay.size):
        raise UsageError("A pack, or an old fake, does not tell its codes: leave out pack, replay or information.")


def refuse_lone_groups(config: RunConfig, at_once: int) -> None:
    """Raise `UsageError` where a minibatch's deviation would be taken over groups of one."""
    if config.discriminator.minibatch != "deviation":
        return
    judged, group = at_once // config.game.remedies.pack, config.discriminator.minibatch_options.get("group", 4)
    if all(judged % size for size in range(2, group + 1)):
        raise UsageError(
            f"The minibatch deviation needs groups of 2 to {group} samples, and {judged} at once cannot be divided so: "
            "give --training.batch a multiple of 4."
        )


def refuse_lazy_apart(config: RunConfig) -> None:
    """Raise `UsageError` where lazy penalties cannot have turns of their own."""
    if config.game.lazy == "joined":
        return
    for player in ("generator", "discriminator"):
        lazy = lazy_every(config, player)
        if len(lazy) > 1:
            raise UsageError(
                f"game.lazy apart: the {player}'s lazy penalties share a turn, so give all one `every`, not "
                f"{' and '.join(map(str, sorted(lazy)))}."
            )
        turns = config.game.discriminator_turns if player == "discriminator" else 1
        if any(every % turns for every in lazy):
            raise UsageError(
                f"game.lazy apart: {turns} discriminator turns come in a row, and its penalties after them: give an "
                f"`every` that is a multiple of {turns}."
            )
        if lazy and getattr(config, player).optimizer != "adam":
            raise UsageError("game.lazy apart rescales Adam; with another optimizer leave it at joined.")


def lazy_every(config: RunConfig, player: str) -> set[int]:
    """By what the player's lazy penalties are lazy, where they have turns of their own."""
    if config.game.lazy == "joined":
        return set()
    asked = config.game.penalties.items()
    return {each.every for name, each in asked if each.every > 1 and term_of(name).player == player}


def network_arguments(player: PlayerConfig, shape: tuple[int, ...], latent: int | None = None) -> dict[str, Any]:
    """What `networks.build` takes besides the name; JSON-able."""
    start = {} if latent is None else {"latent": latent}
    return {**start, "shape": list(shape), **player.options}


def resolve(config: RunConfig, store: Store, game: Generation, device: torch.device) -> list[str]:
    """Put in place of every `auto` what it means here, once and for all; the reasons, a line each."""
    training, data = config.training, config.data
    lines = []
    if not store.is_points:
        channels, height, width = store.shape
        why = f" ({data.size} asked for)" if data.size != "auto" else ""
        lines.append(f"data: {store.name}, {len(store):,} images of {height}×{width}×{channels}{why}")
        data.size, data.channels = f"{height}x{width}", channels
    else:
        if data.flip:
            raise UsageError("--data.flip mirrors pictures, and these data are points: leave it out.")
        lines.append(f"data: {store.name}, {len(store):,} points of {store.shape[0]} numbers")
    training.device = str(device)
    for name, asked in config.game.penalties.items():
        network = game.get_submodule(term_of(name).player)
        inference = bool(asked.options.get("inference", False))
        if term_of(name).per_sample and (warning := mixing_warning(network, inference=inference)):
            lines.append(f"warning: {warning}")
    if training.precision == "auto":
        fast = is_convolutional(game) and has_bf16(device)
        training.precision = "bf16" if fast else "float32"
        reason = (
            "the device has it in hardware"
            if fast
            else ("no convolution would gain by less" if not is_convolutional(game) else "the device has no fast bf16")
        )
        lines.append(f"precision: {training.precision}, for {reason}")
    if training.compile == "auto":
        training.compile = compiles_well(config, store, game, device)
        if training.compile:
            lines.append("compile: yes, for many steps of a small game (the first takes some seconds)")
    elif training.compile:
        refuse_compiling(config, game, device)
    if training.threads == "auto":
        training.threads = torch.get_num_threads() if is_convolutional(game) else 1
        lines.append(f"threads: {training.threads}, on {device}")
    if training.ema == "auto":
        training.ema = 10_000
        lines.append("ema: a half-life of 10,000 images")
    return lines


def compiles_well(config: RunConfig, store: Store, game: Generation, device: torch.device) -> bool:
    """Whether the run is long enough, and its game small enough, for compiled turns to win."""
    try:
        refuse_compiling(config, game, device)
    except UsageError:
        return False
    plan = make_plan(config, store, device)
    return plan.images is not None and plan.images // plan.batch >= COMPILED_STEPS


def refuse_compiling(config: RunConfig, game: Generation, device: torch.device) -> None:
    """Raise `UsageError` where turns cannot be compiled, or it was measured to bring nothing."""
    why = ""
    if device.type != "cpu":
        why = "it is for the CPU"
    elif is_convolutional(game):
        why = "it brings nothing to convolutions on a CPU"
    elif "rmsprop" in (config.generator.optimizer, config.discriminator.optimizer) or config.discriminator.clip:
        why = "RMSprop and weight clipping are not compiled"
    elif config.game.penalties or remedies_of(config.game.remedies).any:
        why = "penalties and remedies are not compiled"
    elif config.discriminator.minibatch != "none":
        why = "minibatch layers are not compiled"
    elif config.training.micro_batch not in (None, config.training.batch):
        why = "micro-batches are not compiled"
    elif not any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++", "cl") if name):
        why = "there is no C++ compiler (g++ or clang++) here"
    if why:
        raise UsageError(f"training.compile: {why}; leave it out.")


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def make_state(config: RunConfig, game: Generation) -> State:
    """Optimizers and average for a game that is where it will train."""
    names = {id(parameter): name for name, parameter in game.named_parameters()}
    players = []
    for name in sorted({player for turn in game.turns for player in turn.players}):
        rules: PlayerConfig = getattr(config, name)
        schedule = Schedule(rules.schedule, rules.decay_from, rules.decay_to)
        named = [(names[id(parameter)], parameter) for parameter in game.parameters_of(name)]
        every = lazy_every(config, name)
        players.append(Player(name, named, optimizer_of(rules, schedule, max(every, default=None)), rules.clip))
    half_life = int(config.training.ema)
    ema = Ema(game.get_submodule(game.released), half_life, config.training.ema_ramp) if half_life else None
    return State(game, players, ema)


def optimizer_of(rules: PlayerConfig, schedule: Schedule, lazy: int | None = None) -> Adam | RmsProp:
    """The update rule a player's section asks for; `lazy`: one more step follows so many turns."""
    if rules.optimizer == "rmsprop":
        return RmsProp(rules.lr, rules.alpha, rules.eps, schedule)
    lr, betas = (rules.lr, rules.betas) if lazy is None else lazy_adam(rules.lr, rules.betas, lazy)
    return Adam(lr, betas, rules.eps, schedule)


def make_plan(config: RunConfig, store: Store, device: torch.device) -> Plan:
    """The loop's numbers."""
    training = config.training
    images = training.images
    if training.epochs is not None:
        images = max(1, round(training.epochs * len(store)))

    def every(value: int | str) -> int | None:
        return value if isinstance(value, int) else None

    return Plan(
        batch=training.batch,
        micro_batch=training.micro_batch or training.batch,
        images=images,
        seconds=None if training.minutes is None else training.minutes * 60,
        report_every=every(training.report_every),
        checkpoint_every=every(training.checkpoint_every),
        compiled=training.compile is True,
        autocast=torch.bfloat16 if training.precision == "bf16" else None,
        device=device,
    )


def model_config(config: RunConfig, store: Store) -> dict[str, Any]:
    """What a released model carries with it."""
    latent = config.latent.model_dump()
    return {
        "network": config.generator.network,
        "arguments": network_arguments(config.generator, store.shape, Latents(**latent).length),
        "latent": latent,
        "data": {
            "name": store.name,
            "count": len(store),
            "shape": list(store.shape),
            "dtype": str(store.values.dtype),
            "low": store.low,
            "high": store.high,
        },
        "recipe": config.recipe.name,
        "zerosum": VERSION,
    }
