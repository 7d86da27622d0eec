"""What zerosum chooses where a command leaves it open: recipe, size, augmentation, time.

Each choice is by what was measured (benchmarks/RESULTS.md), and comes with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from zerosum.config import ENDS, RunConfig, Size

SMALL = 32 * 32  # pixels up to which three minutes on a CPU show what a picture is
SMALL_MINUTES, LARGE_MINUTES, ACCELERATED_MINUTES = 3.0, 20.0, 60.0  # where the command names no end
FEW = 1_000  # images up to which a discriminator learns them by heart within minutes
PATIENT = 20.0  # minutes of a GPU from which on R3GAN's steps, ten times as dear as those of `quick`, are many enough
WAYS = {"downsample": "super-resolution", "mask": "inpainting", "gray": "colorization"}  # recipes of data.degrade


@dataclass(frozen=True)
class Facts:
    """What choices go by.

    Attributes:
        shape: (C, H, W) of an image, or (D,) of a point.
        count: how many there are to train on.
        classes: of labelled data, else 0.
        device: its type, as "cpu" or "cuda".
        minutes: how long it is to train, where the command says.
        ends: whether the command says when it ends, in minutes or otherwise.
    """

    shape: tuple[int, ...]
    count: int
    classes: int
    device: str
    minutes: float | None
    ends: bool

    @property
    def accelerated(self) -> bool:
        """Whether there is more than a CPU."""
        return self.device != "cpu"

    @property
    def time(self) -> float:
        """Minutes to train: those asked for, or else what such a machine needs for such images."""
        if self.minutes is not None:
            return self.minutes
        if self.accelerated:
            return ACCELERATED_MINUTES
        return SMALL_MINUTES if prod(self.shape[1:]) <= SMALL else LARGE_MINUTES


def recipe_before(settings: Mapping[str, Any]) -> str:
    """The recipe that settings alone ask for, before data are read: `quick`, or one that translates pictures."""
    if settings.get("data.a") or settings.get("data.b"):
        return "cyclegan"
    if degraded := str(settings.get("data.degrade", "")):
        return WAYS.get(degraded.partition(":")[0], "pix2pix")
    return "pix2pix" if settings.get("data.target") or settings.get("data.side_by_side") else "quick"


def choose(facts: Facts) -> tuple[str, dict[str, Any]]:
    """The recipe for such data, on such a device, in such a time; and what is changed of it."""
    if len(facts.shape) == 1:
        return "points", {}
    recipe = "r3gan" if facts.accelerated and facts.time >= PATIENT else "quick"
    settings: dict[str, Any] = {} if facts.ends else {"training.minutes": facts.time}
    if recipe == "quick" and facts.count <= FEW:
        settings["augment.kind"] = "diffaugment"
    if facts.classes:
        settings |= {"game.labels.generator": "concatenate", "game.labels.discriminator": "projection"}
    return recipe, settings


def choose_size(network: str, facts: Facts) -> Size:
    """The size of a recipe's networks, of those in `zerosum.sizes`, for the time there is."""
    if facts.accelerated:
        return "m" if facts.time >= 8 * 60 else "s"
    return "s" if facts.time >= 60 else "xs"


def reasons(facts: Facts, config: RunConfig) -> list[str]:
    """Five lines: network, size, batch, augmentation, schedule, as they are in `config`, and why; of points one."""
    if len(facts.shape) == 1:
        return [f"recipe: {config.recipe.name}, for these are points of {facts.shape[0]} numbers"]
    return [
        f"network: {_network(facts, config)}",
        f"size: {_size(facts, config)}",
        f"batch: {config.training.batch} images, at rates of {config.generator.lr:g} and {_judge(config):g}",
        f"augmentation: {_augmentation(facts, config)}",
        f"schedule: {_schedule(facts, config)}",
    ]


def _network(facts: Facts, config: RunConfig) -> str:
    where = "on a GPU" if facts.accelerated else "on a CPU"
    why = f"small networks and many steps bring most in minutes {where}"
    if config.recipe.name == "r3gan":
        why = f"the best that is published, for which {facts.time:g} minutes {where} are enough"
    told = f", told which of {facts.classes} classes" if config.game.labels.any else ""
    return f"{config.generator.network.removesuffix('-generator')}{told}: {why}"


def _size(facts: Facts, config: RunConfig) -> str:
    if config.training.size == "own":
        return "the recipe's own (--size xs to xl: narrower or wider)"
    return f"{config.training.size}, of xs to xl, as {facts.time:g} minutes allow (--size)"


def _judge(config: RunConfig) -> float:
    return config.player("discriminator").lr


def _augmentation(facts: Facts, config: RunConfig) -> str:
    if config.augment.kind == "none":
        if facts.count <= FEW:
            return "none, as asked"
        return f"none, for {facts.count:,} images are too many to learn by heart in the time"
    return f"{config.augment.kind}, for {facts.count:,} images would be learned by heart"


def _schedule(facts: Facts, config: RunConfig) -> str:
    training, generator = config.training, config.generator
    end = next(f"{getattr(training, key):,g} {key}" for key in ENDS if getattr(training, key) is not None)
    asked = "as asked" if facts.ends else "what such images take here; longer is better: --minutes"
    return (
        f"{end} ({asked}), rates fall to {generator.decay_to:g} of theirs, "
        f"samples by an average over {int(training.ema):,} images"
    )
