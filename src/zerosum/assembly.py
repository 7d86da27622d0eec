"""The parts of a run, made from its configuration: device, networks, game, optimizers, plan.

Every `auto` is decided here, once, when a run begins; the reasons are told, and the run's config.toml keeps them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any

import torch

from zerosum.config import PlayerConfig, RunConfig
from zerosum.data import Store
from zerosum.errors import UsageError
from zerosum.games import Game, term_of
from zerosum.games.semi_supervised import BASELINE
from zerosum.networks import is_convolutional
from zerosum.penalties import lazy_adam, mixing_warning
from zerosum.players import About, blueprints, remedies_of, translator_plans
from zerosum.refusals import lazy_every, refuse_sharing
from zerosum.training.checkpoint import State
from zerosum.training.ema import Ema
from zerosum.training.optim import Adam, Player, RmsProp
from zerosum.training.plan import Plan
from zerosum.training.schedule import Schedule
from zerosum.training.sources import Sources
from zerosum.version import VERSION

COMPILED_STEPS = 50_000  # compiling takes 10 to 20 s and saves some 0.5 ms a step


def resolve(
    config: RunConfig, store: Store, game: Game, device: torch.device, sources: Sources | None = None
) -> list[str]:
    """Put in place of every `auto` what it means here, once and for all; the reasons, a line each."""
    training, data = config.training, config.data
    lines = []
    if not store.is_points:
        channels, height, width = store.shape
        why = f" ({data.size} asked for)" if data.size != "auto" else ""
        lines.append(f"data: {store.name}, {len(store):,} images of {height}×{width}×{channels}{why}")
        data.size, data.channels = f"{height}x{width}", channels
        if sources is not None:
            lines.append(words_of(sources, config))
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


def share_out(config: RunConfig, processes: int) -> list[str]:
    """Settle what depends on several processes; what it means for them, in a line. Raises `UsageError`."""
    if processes == 1:
        return []
    refuse_sharing(config, processes)
    training = config.training
    if training.compile == "auto":
        training.compile = False
    each = (training.micro_batch or training.batch) // processes
    return [f"processes: {processes}, each with {each} images of {training.micro_batch or training.batch} at a time"]


def words_of(sources: Sources, config: RunConfig) -> str:
    """What translators start from, in a line."""
    if sources.store is None:
        return f"sources: the same pictures, made worse by {config.data.degrade}"
    channels, height, width = sources.store.shape
    return f"sources: {sources.store.name}, {len(sources.store):,} images of {height}×{width}×{channels}"


def compiles_well(config: RunConfig, store: Store, game: Game, device: torch.device) -> bool:
    """Whether the run is long enough, and its game small enough, for compiled turns to win."""
    try:
        refuse_compiling(config, game, device)
    except UsageError:
        return False
    plan = make_plan(config, store, device)
    return plan.images is not None and plan.images // plan.batch >= COMPILED_STEPS


def refuse_compiling(config: RunConfig, game: Game, device: torch.device) -> None:
    """Raise `UsageError` where turns cannot be compiled, or it was measured to bring nothing."""
    why = ""
    if device.type != "cpu":
        why = "it is for the CPU"
    elif is_convolutional(game):
        why = "it brings nothing to convolutions on a CPU"
    elif any(player.optimizer == "rmsprop" or player.clip for player in config.players().values()):
        why = "RMSprop and weight clipping are not compiled"
    elif any(player.beta2_to is not None for player in config.players().values()):
        why = "a second rate of Adam's that changes is not compiled"
    elif config.game.kind != "generation" or config.game.labels.any or config.latent.distribution == "images":
        why = "only plain games of a generator and a discriminator are compiled"
    elif config.game.penalties or remedies_of(config.game.remedies).any:
        why = "penalties and remedies are not compiled"
    elif config.augment.kind != "none":
        why = "augmentation is not compiled"
    elif any(player.minibatch != "none" for player in config.players().values()):
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


def make_state(config: RunConfig, game: Game) -> State:
    """Optimizers and average for a game that is where it will train."""
    names = {id(parameter): name for name, parameter in game.named_parameters()}
    players = []
    for name in sorted({player for turn in game.turns for player in turn.players}):
        rules = config.player("discriminator" if name == BASELINE else name)
        schedule = Schedule(rules.schedule, rules.decay_from, rules.decay_to, rules.decay_until)
        named = [(names[id(parameter)], parameter) for parameter in game.parameters_of(name)]
        every = lazy_every(config, name)
        players.append(Player(name, named, optimizer_of(rules, schedule, max(every, default=None)), rules.clip))
    half_life = int(config.training.ema)
    ema = Ema(game.release(), half_life, config.training.ema_ramp, config.training.ema_until) if half_life else None
    return State(game, players, ema)


def optimizer_of(rules: PlayerConfig, schedule: Schedule, lazy: int | None = None) -> Adam | RmsProp:
    """The update rule a player's section asks for; `lazy`: one more step follows so many turns."""
    if rules.optimizer == "rmsprop":
        return RmsProp(rules.lr, rules.alpha, rules.eps, schedule)
    lr, betas, beta2_to = rules.lr, rules.betas, rules.beta2_to
    if lazy is not None:
        lr, betas = lazy_adam(lr, betas, lazy)
        beta2_to = None if beta2_to is None else lazy_adam(lr, (0.0, beta2_to), lazy)[1][1]
    return Adam(lr, betas, rules.eps, schedule, beta2_to)


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
        evaluate_every=config.evaluation.every,
        compiled=training.compile is True,
        autocast=torch.bfloat16 if training.precision == "bf16" else None,
        device=device,
    )


def model_config(config: RunConfig, store: Store, game: Game, sources: Sources | None = None) -> dict[str, Any]:
    """What a released model carries with it; `sources`: of a translator's."""
    common = {
        "data": data_facts(store),
        "game": config.game.kind,
        "recipe": config.recipe.name,
        "zerosum": VERSION,
    }
    if sources is not None:
        plans = translator_plans(config, About(store.shape, source=sources.shape(store.shape)))
        made = data_facts(store) | {"shape": list(sources.shape(store.shape))}
        return common | {
            "networks": {name: plan.to_json() for name, plan in plans.items()},
            "given": made if sources.store is None else data_facts(sources.store),
            "degrade": config.data.degrade,
        }
    plans = blueprints(config, About(store.shape, len(store.classes)))
    return common | {
        "networks": {name: plans[name].to_json() for name in game.released if name in plans},
        "latent": config.latent.model_dump(),
        "classes": list(store.classes) if config.game.labels.any else [],
        "variational": config.game.reconstruction.variational,
        "codes": int(config.latent.size) if "codes" in game.released else 0,
    }


def data_facts(store: Store) -> dict[str, Any]:
    """Of a store, what tells how its pictures become numbers and back."""
    return {
        "name": store.name,
        "count": len(store),
        "shape": list(store.shape),
        "dtype": str(store.dtype),
        "low": store.low,
        "high": store.high,
    }
