"""From words to a run, or to an ensemble of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zerosum.assembly import share_out
from zerosum.config import RunConfig
from zerosum.ensemble import train_ensemble
from zerosum.errors import ZerosumError
from zerosum.follow import follow
from zerosum.material import Material, open_material
from zerosum.notebook import make_display
from zerosum.order import Order
from zerosum.run import Run, settle, train_run
from zerosum.settings import AUTO
from zerosum.training.display import Display
from zerosum.training.run_folder import EnsembleFolder, HeldFolder, RunFolder
from zerosum.training.world import World, join

__all__ = ["Run", "train"]


def train(
    source: str | Path | None = None,
    *,
    recipe: str | Path = AUTO,
    out: str | Path | None = None,
    images: int | str | None = None,
    minutes: float | None = None,
    epochs: float | None = None,
    seed: int | None = None,
    ensemble: int | None = None,
    device: str | None = None,
    settings: dict[str, Any] | None = None,
    display: Display | None = None,
) -> Run:
    """Train a generator, or go on with the run that lies in `out`.

    Args:
        source: folder of images, archive, array file or built-in name; None: the recipe's. An unpaired game takes its
            two folders by `settings`, `data.a` and `data.b`.
        recipe: a name that `zerosum recipes` lists, or a TOML file; "auto": chosen by data, device and time.
        out: the run folder; None: `runs/DATA-RECIPE`, of an ensemble `runs/DATA-RECIPE-ensemble`.
        images, minutes, epochs: when to end, each member of an ensemble for itself; None: as the recipe says.
        seed, device: None: as the recipe says.
        ensemble: train so many runs, of the seeds `seed`, `seed + 1` …, as one; None: as the recipe says.
        settings: any other keys of the configuration, dotted: `{"training.batch": 32}`.
        display: where progress is shown; None: a panel in a Jupyter notebook, else plain lines on the standard output.

    Raises a `ZerosumError` for what the user can mend: see `zerosum.errors`.
    """
    given = {
        "data.source": None if source is None else str(source),
        "training.images": images,
        "training.minutes": minutes,
        "training.epochs": epochs,
        "training.seed": seed,
        "training.ensemble": ensemble,
        "training.device": device,
    }
    with join() as world:
        if not world.leads:
            return follow(world)
        run = _lead(Order(recipe, source, _overrides(given, settings)), out, display, world)
        world.lead(lambda: [str(run.path), run.images, run.signal, run.seconds])
        return run


def _overrides(given: dict[str, Any], settings: dict[str, Any] | None) -> dict[str, Any]:
    said = {key: value for key, value in given.items() if value is not None} | (settings or {})
    return {key.replace("-", "_"): value for key, value in said.items()}


def _lead(order: Order, out: str | Path | None, display: Display | None, world: World) -> Run:
    """Train in this process, the only one or the first of several."""
    asked = order.before()
    path = Path(out) if out is not None else _default_path(order, asked)
    several = asked.training.ensemble > 1 or (path / "members").is_dir()
    if display is None:
        display = make_display(path)
    try:
        with EnsembleFolder(path) if several else RunFolder(path) as folder:
            try:
                config, material = _begin(folder, order, display, world)
                if isinstance(folder, EnsembleFolder):
                    return train_ensemble(folder, config, material, display)
                return train_run(folder, config, material, display, world)
            except ZerosumError:
                if not folder.config.exists():
                    folder.abandon()
                raise
    finally:
        display.end()


def _begin(folder: HeldFolder, order: Order, display: Display, world: World) -> tuple[RunConfig, Material]:
    """The configuration of the folder's run, with what it left open chosen and the reasons told; and its data."""
    if folder.config.exists():
        config = settle(folder, order.again(folder.config))
        share_out(config, world.size)
        material = open_material(config, folder, display)
        world.lead(lambda: config.model_dump(mode="json"))
        return config, material
    share_out(before := order.before(), world.size)
    material = open_material(before, folder, display)
    world.lead(lambda: before.model_dump(mode="json"))
    config, lines = order.after(material)
    for line in lines:
        display.note(line)
    return config, material


def _default_path(order: Order, asked: RunConfig) -> Path:
    data = asked.data
    named = f"{_name(data.a)}-{_name(data.b)}" if data.a else _name(data.source)
    name = f"{named}-{AUTO if order.is_open else asked.recipe.name}"
    return Path("runs") / (f"{name}-ensemble" if asked.training.ensemble > 1 else name)


def _name(source: str) -> str:
    name = Path(source).name
    while Path(name).suffix in (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".npy", ".npz"):
        name = Path(name).stem
    return name or "data"
