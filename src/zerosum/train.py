"""From words to a run, or to an ensemble of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zerosum.config import DataConfig, RunConfig
from zerosum.data import BUILTIN
from zerosum.ensemble import train_ensemble
from zerosum.errors import UsageError, ZerosumError
from zerosum.run import Run, settle, train_run
from zerosum.settings import make_config
from zerosum.training.display import Display, PlainDisplay
from zerosum.training.run_folder import EnsembleFolder, RunFolder

__all__ = ["Run", "train"]


def train(
    source: str | Path | None = None,
    *,
    recipe: str | Path = "quick",
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
        recipe: a name that `zerosum recipes` lists, or a TOML file.
        out: the run folder; None: `runs/DATA-RECIPE`, of an ensemble `runs/DATA-RECIPE-ensemble`.
        images, minutes, epochs: when to end, each member of an ensemble for itself; None: as the recipe says.
        seed, device: None: as the recipe says.
        ensemble: train so many runs, of the seeds `seed`, `seed + 1` …, as one; None: as the recipe says.
        settings: any other keys of the configuration, dotted: `{"training.batch": 32}`.
        display: where progress is shown; None: plain lines on the standard output.

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
    overrides = {key: value for key, value in given.items() if value is not None} | (settings or {})
    asked = make_config(recipe, overrides)
    _settle_sources(asked, source)
    path = Path(out) if out is not None else _default_path(asked)
    several = asked.training.ensemble > 1 or (path / "members").is_dir()
    if display is None:
        from rich.console import Console

        display = PlainDisplay(Console())
    try:
        with EnsembleFolder(path) if several else RunFolder(path) as folder:
            try:
                config = settle(folder, asked)
                if isinstance(folder, EnsembleFolder):
                    return train_ensemble(folder, config, display)
                return train_run(folder, config, display)
            except ZerosumError:
                if not folder.config.exists():
                    folder.abandon()
                raise
    finally:
        display.end()


def _settle_sources(asked: RunConfig, source: str | Path | None) -> None:
    """Make the paths of the data mean the same in every folder. `source`: the DATA of the command.

    Raises `UsageError` where DATA is not what the game takes, or is missing.
    """
    data = asked.data
    if asked.game.kind == "unpaired":
        if source is not None:
            raise UsageError(
                f"DATA ({source}): this game takes two folders of pictures: --data.a FOLDER --data.b FOLDER."
            )
        data.source = ""
    if data.source == DataConfig().source and (data.target or data.side_by_side != "none"):
        raise UsageError("Pairs need the pictures to start from: zerosum train SOURCES --data.target TARGETS.")
    for key in ("source", "target", "a", "b"):
        setattr(data, key, _absolute(getattr(data, key)))


def _absolute(source: str) -> str:
    """A path that means the same in every folder; a built-in name does already, whatever lies beside it."""
    is_path = source and source not in BUILTIN and Path(source).exists()
    return str(Path(source).absolute()) if is_path else source


def _default_path(asked: RunConfig) -> Path:
    data = asked.data
    named = f"{_name(data.a)}-{_name(data.b)}" if data.a else _name(data.source)
    name = f"{named}-{asked.recipe.name}"
    return Path("runs") / (f"{name}-ensemble" if asked.training.ensemble > 1 else name)


def _name(source: str) -> str:
    name = Path(source).name
    while Path(name).suffix in (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".npy", ".npz"):
        name = Path(name).stem
    return name or "data"
