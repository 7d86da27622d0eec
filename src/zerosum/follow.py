"""What every process but the first does in a training of several: it takes its share of each batch, and is silent.

All that is decided, it is told: the configuration, the state to begin with, when to stop. It reads the data, and writes
nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zerosum.assembly import make_plan, make_state
from zerosum.config import RunConfig
from zerosum.material import Material, open_material
from zerosum.run import Run, feeds_of, prepare
from zerosum.settings import validate
from zerosum.training.display import Silent
from zerosum.training.engine import Engine
from zerosum.training.loop import Led, play_on
from zerosum.training.world import World


def follow(world: World) -> Run:
    """Train with the others; returns what process 0 says came of it."""
    material = open_material(validate(_told(world)), None, Silent())
    config = validate(_told(world))
    _play(config, material, world)
    path, images, number, seconds = _told(world)
    return Run(Path(path), images, number, seconds)


def _play(config: RunConfig, material: Material, world: World) -> None:
    """The share of this process in `run.train_run` and `run.play`."""
    game, _ = prepare(config, material, world)
    state, plan = make_state(config, game), make_plan(config, material.store, material.device)
    feeds = feeds_of(config, material)
    world.share(state)
    if _told(world):
        return  # it is done already
    watcher = Led(None, world)
    with world.interrupts() as interrupts:
        _told(world)  # the first samples are drawn
        halt = play_on(Engine(state, plan, world), feeds(len(state.rollbacks)), plan, watcher, interrupts)
        while halt is not None and halt.kind == "back":
            world.share(state)
            halt = play_on(Engine(state, plan, world), feeds(len(state.rollbacks)), plan, watcher, interrupts)


def _told(world: World) -> Any:
    """What process 0 says next."""
    return world.lead(lambda: None)
