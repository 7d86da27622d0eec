"""From words to a run, or to an ensemble of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zerosum.config import RunConfig
from zerosum.ensemble import train_ensemble
from zerosum.errors import ZerosumError
from zerosum.material import Material, open_material
from zerosum.notebook import make_display
from zerosum.order import Order
from zerosum.run import Run, settle, train_run
from zerosum.settings import AUTO
from zerosum.training.display import Display
from zerosum.training.run_folder import EnsembleFolder, HeldFolder, RunFolder

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
    said = {key: value for key, value in given.items() if value is not None} | (settings or {})
    overrides = {key.replace("-", "_"): value for key, value in said.items()}
    order = Order(recipe, source, overrides)
    asked = order.before()
    path = Path(out) if out is not None else _default_path(order, asked)
    several = asked.training.ensemble > 1 or (path / "members").is_dir()
    if display is None:
        display = make_display(path)
    try:
        with EnsembleFolder(path) if several else RunFolder(path) as folder:
            try:
                config, material = _begin(folder, order, display)
                if isinstance(folder, EnsembleFolder):
                    return train_ensemble(folder, config, material, display)
                return train_run(folder, config, material, display)
            except ZerosumError:
                if not folder.config.exists():
                    folder.abandon()
                raise
    finally:
        display.end()


def _begin(folder: HeldFolder, order: Order, display: Display) -> tuple[RunConfig, Material]:
    """The configuration of the folder's run, with what it left open chosen and the reasons told; and its data."""
    if folder.config.exists():
        config = settle(folder, order.again(folder.config))
        return config, open_material(config, folder, display)
    material = open_material(order.before(), folder, display)
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
