"""From a configuration to a run: data and game are made, the loop plays, the report is written."""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zerosum.assembly import choose_device, make_game, make_plan, make_state, model_config, resolve
from zerosum.config import CHANGEABLE, ENDS, RunConfig, differences, make_config, validate
from zerosum.config import read_recipe as read_tables
from zerosum.data import BUILTIN, GAUSSIAN_COVARIANCE, GAUSSIAN_MEAN, Store, open_data
from zerosum.errors import DivergedError, RunError, UsageError, ZerosumError
from zerosum.files import write_json, write_whole
from zerosum.games import Randomness
from zerosum.games.randomness import number_of
from zerosum.model import Model, load
from zerosum.networks import is_convolutional
from zerosum.report import write_report
from zerosum.training import checkpoint
from zerosum.training.checkpoint import State
from zerosum.training.display import Display, PlainDisplay
from zerosum.training.engine import Engine
from zerosum.training.feed import Feed
from zerosum.training.loop import Interrupts, play_on
from zerosum.training.memory import keep_buffers
from zerosum.training.plan import Plan
from zerosum.training.reporter import Reporter
from zerosum.training.run_folder import RunFolder
from zerosum.version import VERSION


@dataclass(frozen=True)
class Run:
    """A training that has ended, or stopped."""

    path: Path
    images: int
    signal: int | None = None  # the signal that stopped it

    @property
    def model(self) -> Model:
        """The released generator."""
        return load(self.path)


def train(
    source: str | Path | None = None,
    *,
    recipe: str | Path = "quick",
    out: str | Path | None = None,
    images: int | str | None = None,
    minutes: float | None = None,
    epochs: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    settings: dict[str, Any] | None = None,
    display: Display | None = None,
) -> Run:
    """Train a generator, or go on with the run that lies in `out`.

    Args:
        source: folder of images, archive, array file or built-in name; None: the recipe's.
        recipe: a name that `zerosum recipes` lists, or a TOML file.
        out: the run folder; None: `runs/DATA-RECIPE`.
        images, minutes, epochs: when to end; None: as the recipe says.
        seed, device: None: as the recipe says.
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
        "training.device": device,
    }
    overrides = {key: value for key, value in given.items() if value is not None} | (settings or {})
    asked = make_config(recipe, overrides)
    asked.data.source = _absolute(asked.data.source)
    path = Path(out) if out is not None else Path("runs") / f"{_name(asked.data.source)}-{asked.recipe.name}"
    if display is None:
        from rich.console import Console

        display = PlainDisplay(Console())
    try:
        with RunFolder(path) as folder:
            try:
                return _train(folder, _settle(folder, asked), display)
            except ZerosumError:
                if not folder.config.exists():
                    folder.abandon()
                raise
    finally:
        display.end()


def _absolute(source: str) -> str:
    """A path that means the same in every folder; a built-in name does already, whatever lies beside it."""
    return str(Path(source).absolute()) if source not in BUILTIN and Path(source).exists() else source


def _name(source: str) -> str:
    name = Path(source).name
    while Path(name).suffix in (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".npy", ".npz"):
        name = Path(name).stem
    return name or "data"


def _settle(folder: RunFolder, asked: RunConfig) -> RunConfig:
    """The run's own configuration where it has begun, with the end that is asked for now; else what is asked."""
    if not folder.config.exists():
        return asked
    saved = validate(read_tables(folder.config))
    if changed := differences(saved, asked):
        raise UsageError(
            f"{folder.path} holds a run with other settings:\n  " + "\n  ".join(changed) + "\n"
            f"To go on with it: zerosum train --recipe {folder.config} --out {folder.path}\n"
            "To train with these settings: give another folder with --out."
        )
    for key in CHANGEABLE:
        name = key.removeprefix("training.")
        value = getattr(asked.training, name)
        if name in ENDS or value != "auto":
            setattr(saved.training, name, value)
    for name in ("size", "channels"):  # asked as before, the data are opened as before: already decoded
        if getattr(asked.data, name) == "auto":
            setattr(saved.data, name, "auto")
    return saved


def _train(folder: RunFolder, config: RunConfig, display: Display) -> Run:
    fresh = not folder.config.exists()
    device = choose_device(config.training.device)
    store = _open(config, folder, device, display)
    _same_data(folder, store)
    torch.manual_seed(number_of(config.training.seed, "weights"))
    game = make_game(config, store.shape)
    reasons = resolve(config, store, game, device)
    torch.set_num_threads(int(config.training.threads))
    if device.type == "cpu":
        keep_buffers()
    for line in reasons:
        display.note(line)
    game.to(device)
    if is_convolutional(game):
        game.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = make_state(config, game)
    if checkpoint.restore(folder.checkpoints, state, display.note):
        display.note(f"Going on from image {state.images:,} of {folder.path}.")
    elif not fresh:
        display.note(f"{folder.path} has no checkpoint yet: beginning anew.")
    history = folder.rewind(state.images)
    _write_facts(folder, config, store, device)
    plan = make_plan(config, store, device)
    if plan.progress(state.images, state.seconds) >= 1:
        return _already_done(folder, state, display)
    feed = Feed(store, Randomness(config.training.seed, device), flip=config.data.flip)
    reporter = Reporter(folder, store, model_config(config, store), history, display, plan, config.training.seed)
    return _play(folder, state, feed, plan, reporter, display)


def _play(folder: RunFolder, state: State, feed: Feed, plan: Plan, reporter: Reporter, display: Display) -> Run:
    reporter.begin(state)
    with Interrupts() as interrupts:
        try:
            play_on(Engine(state, plan), feed, plan, reporter, interrupts)
        except ZerosumError as error:
            stood = "diverged" if isinstance(error, DivergedError) else "stopped"
            with suppress(RunError):  # the disk that is full for a checkpoint may be full for this too
                folder.status(stood, str(error), state.images, state.seconds)
            raise
        display.end()
        if interrupts.number is not None:
            folder.status("stopped", f"stopped by signal {interrupts.number}, saved", state.images, state.seconds)
            display.note(
                f"Stopped and saved at image {state.images:,}. The same command goes on; "
                f"'zerosum report {folder.path}' shows what there is."
            )
            return Run(folder.path, state.images, interrupts.number)
    folder.status("done", "the end that was asked for", state.images, state.seconds)
    display.note("Writing the report …")
    page = write_report(folder.path)
    newest = max(folder.samples.glob("[0-9]*"), key=lambda path: path.stem)
    display.note(
        f"Done: {state.images:,} images in {state.seconds / 60:.1f} minutes.\n"
        f"  newest samples  {newest}\n"
        f"  everything      {page}\n"
        f"  more samples    zerosum sample {folder.path} --count 16"
    )
    return Run(folder.path, state.images)


def _already_done(folder: RunFolder, state: State, display: Display) -> Run:
    display.note(
        f"{folder.path} is done: {state.images:,} images in {state.seconds / 60:.1f} minutes. To train it longer, give "
        f"a later end (--images, --minutes or --epochs); to see it: {folder.path / 'report.html'}"
    )
    folder.status("done", "the end that was asked for", state.images, state.seconds)
    if not (folder.path / "report.html").exists():
        write_report(folder.path)
    return Run(folder.path, state.images)


def _open(config: RunConfig, folder: RunFolder, device: torch.device, display: Display) -> Store:
    data = config.data
    store = open_data(
        data.source,
        size=None if data.size == "auto" else data.size,
        fit=data.fit,
        channels=None if data.channels == "auto" else data.channels,
        include=data.include or None,
        root=Path(data.root) if data.root else None,
        labels=data.labels,
        max_rejected=data.max_rejected,
        largest=64 if device.type == "cpu" else 256,
        rejects_to=folder.path / "rejected.txt",
        progress=display.loading,
    )
    return store.standardised() if data.standardise else store


def _same_data(folder: RunFolder, store: Store) -> None:
    path = folder.path / "data.json"
    if not path.exists():
        return
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged: {error}. Delete it to go on with the data as they are now.") from error
    if saved != store.digest:
        raise UsageError(
            f"The data of {folder.path} have changed since it began, so it cannot go on exactly. Bring them back, give "
            f"another folder with --out, or delete {path} to go on with the data as they are now."
        )


def _write_facts(folder: RunFolder, config: RunConfig, store: Store, device: torch.device) -> None:
    write_whole(folder.config, config.to_toml())
    environment = {
        "zerosum": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "precision": config.training.precision,
        "platform": platform.platform(),
    }
    write_json(folder.path / "environment.json", environment)
    about = model_config(config, store)["data"] | {
        "classes": list(store.classes),
        "rejected": len(store.rejected),
        "digest": store.digest,
    }
    if store.name == "gaussian":
        about |= {"mean": GAUSSIAN_MEAN.tolist(), "covariance": GAUSSIAN_COVARIANCE.tolist()}
    write_json(folder.path / "data.json", about)
