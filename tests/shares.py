"""Games that are played for a few steps by one process or by several; run by torch's launcher, a worker of the tests.

`python -m torch.distributed.run --nproc-per-node 2 tests/shares.py games OUT` leaves in OUT what each game came to, as
process 0 holds it; other jobs are failures.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from os import chdir
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from light import LIGHT
from zerosum.assembly import make_plan, make_state
from zerosum.errors import DataError, ZerosumError
from zerosum.games import Batch, Randomness
from zerosum.material import open_material
from zerosum.run import feeds_of, prepare
from zerosum.settings import make_config
from zerosum.training import distributed
from zerosum.training.display import Silent
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.world import ALONE, World, join

BATCH, STEPS = 16, 3
MLP = {
    "generator.network": "mlp-generator",
    "generator.options": {"hidden": [16], "normalise": True},
    "discriminator.network": "mlp-discriminator",
    "discriminator.options": {"hidden": [16, 12], "dropout": 0.0},
    "latent.size": 4,
    "game.penalties": {},
}
DCGAN = {
    "generator.network": "dcgan-generator",
    "generator.options": {"width": 8},
    "discriminator.network": "patch-discriminator",
    "discriminator.options": {"width": 8, "field": 16, "norm": "batch"},
    "latent.size": 4,
    "game.penalties": {},
}
STYLE = {
    "generator.network": "stylegan2-generator",
    "generator.options": LIGHT["stylegan2-generator"],
    "discriminator.network": "stylegan2-discriminator",
    "discriminator.options": LIGHT["stylegan2-discriminator"],
    "latent.size": 4,
    "game.loss": "non-saturating",
}
LABELLED = {
    "data.labels": True,
    "game.labels.generator": "normalise",
    "game.labels.discriminator": "projection",
}
QUICK = {"encoder.network": "quick-discriminator", "latent.size": 8}
# Recipe, and what is changed of it.
GAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "batchnorm on both sides": ("quick", DCGAN | {"training.ema": 100}),
    "dropout": ("quick", MLP | {"discriminator.options": {"hidden": [16, 12], "dropout": 0.5}}),
    "a slope through batchnorm": ("quick", DCGAN | {"game.penalties": {"r1": {}}}),
    "one pass, lazy slopes": (
        "quick", {"game.updates": "simultaneous", "game.penalties": {"r1": {"every": 2}, "r2": {"every": 2}}}
    ),
    "two passes of batchnorm": ("quick", DCGAN | {"game.updates": "simultaneous", "game.loss": "hinge"}),
    "accumulation": ("quick", DCGAN | {"training.micro_batch": 8, "game.penalties": {"lecam": {}}}),
    "WGAN-GP": (
        "quick",
        MLP
        | {"game.loss": "wasserstein", "game.penalties": {"gradient": {}}, "game.discriminator_turns": 2,
           "game.updates": "alternating"},
    ),
    "differences": ("quick", MLP | {"game.penalties": {"r1_difference": {}, "r2_difference": {"every": 2}}}),
    "DRAGAN in packs": (
        "quick",
        MLP | {"game.remedies.pack": 2, "game.penalties": {"dragan": {}}, "game.loss_options": {"flips": 0.2},
               "game.loss": "non-saturating"},
    ),
    "ADA": (
        "quick",
        {"augment.kind": "ada", "augment.p": "adaptive", "augment.images": 100, "augment.target": -0.5,
         "game.penalties": {"lecam": {}, "consistency": {"every": 2}}},
    ),
    "average opponents": (
        "quick", MLP | {"game.loss": "relativistic-average", "augment.kind": "diffaugment", "training.micro_batch": 8}
    ),
    "replay, noise": ("quick", MLP | {"game.remedies.replay.size": 24, "game.remedies.noise.start": 0.3}),
    "minibatch discrimination": (
        "quick", MLP | {"discriminator.minibatch": "discrimination", "game.reduction": "sum",
                        "game.remedies.feature_matching.weight": 1.0}
    ),
    "codes": (
        "quick", MLP | {"game.remedies.information": 1.0, "latent.categorical": [3], "latent.continuous": 2,
                        "discriminator.minibatch": "deviation"}
    ),
    "path length": ("stylegan2", STYLE | {"game.penalties": {"path_length": {}, "r1": {"every": 2}}}),
    "labels, path length apart": (
        "stylegan2",
        STYLE
        | LABELLED
        | {"game.labels.generator": "concatenate", "game.lazy": "apart", "generator.options.mixing": 0.0,
           "game.penalties": {"path_length": {"every": 2}, "r1": {"every": 2}}},
    ),
    "mixed styles": ("style-mlp", {"generator.options": {"mapping": [16], "hidden": [16, 16]}, "latent.size": 4}),
    "batchnorm by label": (
        "quick",
        DCGAN | LABELLED | {"discriminator.network": "dcgan-discriminator", "discriminator.options": {"width": 8}},
    ),
    "auxiliary classifier": (
        "quick", MLP | LABELLED | {"game.labels.discriminator": "auxiliary", "game.labels.generator": "concatenate"}
    ),
    "few labels": ("sgan", MLP | {"data.labelled": 40}),
    "RMSprop, clipped": (
        "quick", MLP | {"game.loss": "wasserstein", "discriminator.clip": 0.05, "discriminator.optimizer": "rmsprop",
                        "generator.optimizer": "rmsprop"}
    ),
    "VAE": ("vae", {}),
    "denoising": ("denoising-autoencoder", {}),
    "VAE-GAN": ("vae-gan", QUICK),
    "BiGAN": ("bigan", QUICK),
    "adversarial autoencoder": ("adversarial-autoencoder", {}),
    "pix2pix": (
        "pix2pix",
        {"data.degrade": "blur:2", "generator.options.width": 4, "discriminator.options.field": 16,
         "discriminator.options.width": 4, "training.micro_batch": 8},
    ),
    "cyclegan": (
        "cyclegan",
        {"data.source": "", "data.a": "a.npy", "data.b": "b.npy", "data.holdout": 0.0, "generator.options.width": 4,
         "discriminator.options.field": 16, "discriminator.options.width": 4, "discriminator.options.norm": "none",
         "game.remedies.replay.size": 12},
    ),
}  # fmt: skip


class Doubled(Randomness):
    """The same numbers in float64."""

    def rows(self, *asked: Any) -> Tensor:
        made = super().rows(*asked)
        return made.double() if made.is_floating_point() else made


@dataclass
class InDouble:
    """A feed in float64."""

    feed: Feed

    @property
    def randomness(self) -> Randomness:
        return Doubled(self.feed.randomness.seed)

    def batch(self, first: int, count: int) -> Batch:
        def doubled(batch: Batch | None) -> Batch | None:
            if batch is None:
                return None
            given = None if batch.given is None else batch.given.double()
            return Batch(batch.images.double(), batch.labels, doubled(batch.labelled), given)

        made = doubled(self.feed.batch(first, count))
        assert made is not None
        return made


as_float = Tensor.float


def widened(values: Tensor) -> Tensor:
    """`values.float()`, but numbers are float64."""
    return values.double() if values.is_floating_point() else as_float(values)


def engine_of(name: str, world: World = ALONE, *, double: bool) -> tuple[Engine, Any]:
    """A game at its beginning, on real digits, and what feeds it."""
    recipe, changed = GAMES[name]
    chosen: dict[str, Any] = {
        "training.batch": BATCH,
        "training.precision": "float32",
        "training.threads": 1,
        "training.images": 1000,
    }
    config = make_config(recipe, chosen | {"data.source": "digits"} | deepcopy(changed))  # it fills in their tables
    for player in config.players().values():
        player.eps = 1e-3  # where a slope is zero but for rounding, Adam's own makes a whole step of it
    material = open_material(config, None, Silent())
    game, _ = prepare(config, material, world)
    if double:
        game.double()
    feed = feeds_of(config, material)(0)
    engine = Engine(make_state(config, game), make_plan(config, material.store, material.device), world)
    return engine, InDouble(feed) if double else feed


def play(
    name: str, world: World = ALONE, *, double: bool, steps: int = STEPS
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """What a game comes to in a few steps: its whole state, and the means of its records."""
    engine, feed = engine_of(name, world, double=double)
    with patch.object(Tensor, "float", widened) if double else nullcontext():  # nothing is rounded on its way
        for number in range(steps):
            engine.step(feed, number / steps)
        engine.stop_if_ill(feed)
    tensors = {key: value.detach().clone().contiguous() for key, value in engine.state.tensors().items()}
    return tensors, engine.records.read()


def write(folder: Path, name: str, made: tuple[dict[str, Tensor], dict[str, float]]) -> None:
    save_file(made[0], folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(made[1]))


def read(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, float]]:
    return load_file(folder / f"{name}.safetensors"), json.loads((folder / f"{name}.json").read_text())


def write_domains(folder: Path) -> None:
    """Pictures of two domains."""
    for name, count in (("a", 20), ("b", 27)):
        rows = np.random.default_rng(count).integers(0, 256, (count, 16, 16, 1), dtype=np.uint8)
        np.save(folder / f"{name}.npy", rows)


def of_all(world: World, folder: Path) -> None:
    """Every game: on two processes in float32, on any other number in float64."""
    world.lead(lambda: write_domains(folder))
    chdir(folder)
    for name in GAMES:
        made = play(name, world, double=world.size != 2)
        if world.leads:
            write(folder, name, made)
    world.lead(lambda: None)


def patience(world: World, folder: Path) -> None:
    """Process 0 takes longer over something of its own than anyone has for an exchange."""
    world.lead(lambda: time.sleep(2 * distributed.PATIENCE))
    total = torch.ones(1)
    world.average([total])
    assert total.item() == 1
    print("nobody was lost", flush=True)


def raising(world: World, folder: Path) -> None:
    """Process 1 meets an error of its own."""
    engine, feed = engine_of("dropout", world, double=False)
    for number in range(STEPS):
        if world.rank == 1 and number == 2:
            raise DataError("picture 7 of this machine cannot be read.")
        engine.step(feed, 0.0)


def ill(world: World, folder: Path) -> None:
    """What process 1 is given is not finite."""
    engine, feed = engine_of("batchnorm on both sides", world, double=False)
    engine.step(feed, 0.0)
    gather = feed.batch

    def poisoned(first: int, count: int) -> Batch:
        batch: Batch = gather(first, count)
        if world.rank == 1:
            batch.images[-1] = torch.nan
        return batch

    feed.batch = poisoned
    engine.step(feed, 0.0)
    engine.stop_if_ill(feed)


def main(job: str, folder: Path) -> int:
    """As `zerosum.cli.main` ends."""
    torch.set_num_threads(1)
    try:
        with join() as world:
            {"games": of_all, "patience": patience, "raising": raising, "ill": ill}[job](world, folder)
    except ZerosumError as error:
        if not error.quiet:
            print(f"zerosum: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "patience":
        distributed.PATIENCE = 2.0
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).absolute()))
