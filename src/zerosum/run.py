"""One training: its parts are made or restored, the loop plays, the report is written."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zerosum.assembly import make_plan, make_state, model_config, resolve, share_out
from zerosum.comparison import make_judging
from zerosum.config import CHANGEABLE, ENDS, RunConfig
from zerosum.config_game import TRANSLATIONS
from zerosum.data import GAUSSIAN_COVARIANCE, GAUSSIAN_MEAN
from zerosum.errors import CollapsedError, DivergedError, RunError, UsageError, ZerosumError
from zerosum.files import recover_folders, write_json, write_whole
from zerosum.games import Game, Randomness
from zerosum.games.randomness import number_of
from zerosum.making import make_game
from zerosum.material import Material
from zerosum.model import Ensemble, Model, load
from zerosum.networks import is_convolutional, synchronise
from zerosum.players import latents_of
from zerosum.report import read_figure, read_newest, write_report
from zerosum.settings import differences, validate
from zerosum.settings import read_recipe as read_tables
from zerosum.training import checkpoint
from zerosum.training.checkpoint import State
from zerosum.training.display import Display
from zerosum.training.engine import Engine
from zerosum.training.exhibits import Exhibits, Showing
from zerosum.training.feed import Feed
from zerosum.training.halt import MOST, healthy_until
from zerosum.training.interrupts import Interrupts
from zerosum.training.loop import Led, play_on
from zerosum.training.memory import keep_buffers
from zerosum.training.plan import Plan
from zerosum.training.reporter import Reporter
from zerosum.training.run_folder import HeldFolder, RunFolder
from zerosum.training.translations import Translations, judged_of
from zerosum.training.world import ALONE, World
from zerosum.translator import Translator
from zerosum.version import VERSION

if TYPE_CHECKING:
    from zerosum.report.drawing import Picture

# What status.json says, by what ended the run.
STOOD: dict[type[ZerosumError], str] = {DivergedError: "diverged", CollapsedError: "collapsed"}


@dataclass(frozen=True)
class Run:
    """A training that has ended, or stopped; of an ensemble, the sums over its members."""

    path: Path
    images: int
    signal: int | None = None  # the signal that stopped it
    seconds: float = 0.0

    @property
    def model(self) -> Model | Ensemble | Translator:
        """The released generator, the generators of an ensemble, or the translator."""
        return load(self.path)

    def figure(self, name: str) -> Picture:
        """A picture of the report, as "losses"; in a notebook it shows itself. `UsageError` lists the names."""
        return read_figure(self.path, name)

    def samples(self) -> Picture:
        """The picture of what the model made last; in a notebook it shows itself."""
        return read_newest(self.path)


@dataclass(frozen=True)
class Training:
    """A run that is ready to go on, or done."""

    folder: RunFolder
    state: State
    plan: Plan
    feeds: Callable[[int], Feed]  # by how often the run went back
    reporter: Reporter
    world: World = ALONE

    @property
    def feed(self) -> Feed:
        """What it trains on now."""
        return self.feeds(len(self.state.rollbacks))

    @property
    def done(self) -> bool:
        """Whether its end has come."""
        ended = self.plan.progress(self.state.images, self.state.seconds) >= 1
        return ended or self.reporter.out_of_patience is not None


def train_run(folder: RunFolder, config: RunConfig, material: Material, display: Display, world: World = ALONE) -> Run:
    """Train the run of a folder that is held, to its end or an interrupt, and write its report.

    Of several processes this one leads; what the others do meanwhile is `follow.follow`.
    """
    game, reasons = prepare(config, material, world)
    for line in reasons:
        display.note(line)
    world.lead(lambda: config.model_dump(mode="json"))
    training = make_training(folder, config, material, game, display, world)
    world.share(training.state)
    if world.lead(lambda: training.done):
        return _already_done(training, display)
    with world.interrupts() as interrupts:
        run = play(training, interrupts)
    if run.signal is not None:
        display.note(
            f"Stopped and saved at image {run.images:,}. The same command goes on; "
            f"'zerosum report {folder.path}' shows what there is."
        )
        return run
    display.note("Writing the report …")
    page = write_report(folder.path)
    newest = max(folder.samples.glob("[0-9]*"), key=lambda path: path.stem)
    use = f"more samples    zerosum sample {folder.path} --count 16"
    if config.game.kind in TRANSLATIONS:
        use = f"your pictures   zerosum translate {folder.path} PICTURE|FOLDER --out FOLDER"
    best, ended = training.reporter.best_so_far, training.reporter.out_of_patience
    display.note(
        f"Done: {run.images:,} images in {run.seconds / 60:.1f} minutes"
        f"{'' if ended is None else f', before its time: {ended.reason}'}.\n"
        f"  newest samples  {newest}\n"
        f"{f'  best model      {folder.best}: {best}' + chr(10) if best else ''}"
        f"  everything      {page}\n"
        f"  {use}"
    )
    return run


def settle(folder: HeldFolder, asked: RunConfig) -> RunConfig:
    """The run's own configuration where it has begun, with the end that is asked for now; else what is asked.

    An ensemble may grow. Raises `UsageError` where another setting is asked for than the run has.
    """
    if not folder.config.exists():
        return asked
    saved = validate(read_tables(folder.config))
    _refuse_fewer(folder, saved.training.ensemble, asked.training.ensemble)
    saved.training.ensemble = asked.training.ensemble
    if changed := differences(saved, asked):
        raise UsageError(
            f"{folder.path} holds a run with other settings:\n  " + "\n  ".join(changed) + "\n"
            f"To go on with it: zerosum train --recipe {folder.config} --out {folder.path}\n"
            "To train with these settings: give another folder with --out."
        )
    for key in CHANGEABLE:
        section, name = key.split(".")
        value = getattr(getattr(asked, section), name)
        if name in ENDS or value != "auto":
            setattr(getattr(saved, section), name, value)
    for name in ("size", "channels"):  # asked as before, the data are opened as before: already decoded
        if getattr(asked.data, name) == "auto":
            setattr(saved.data, name, "auto")
    return saved


def _refuse_fewer(folder: HeldFolder, saved: int, asked: int) -> None:
    """Raise `UsageError` unless the members that were asked for once are asked for still."""
    if saved == 1 < asked:
        raise UsageError(
            f"{folder.path} holds a single run, and the command asks for an ensemble of {asked}: give another folder "
            "with --out."
        )
    if asked < saved:
        raise UsageError(
            f"{folder.path} holds an ensemble of {saved} members, and the command "
            + (f"asks for {asked}" if asked > 1 else "asks for a single run")
            + f". Members may be added, not taken away: give --ensemble {saved} or more, or another folder with --out."
        )


def prepare(config: RunConfig, material: Material, world: World = ALONE) -> tuple[Game, list[str]]:
    """The game as its seed makes it, on its device, and why each `auto` of `config`, now replaced, is what it is."""
    lines = share_out(config, world.size)
    store, device = material.store, material.device
    world.check_device(device)
    torch.manual_seed(number_of(config.training.seed, "weights"))
    source = () if material.sources is None else material.sources.shape(store.shape)
    game = make_game(config, store.shape, len(store.classes), source)
    reasons = lines + resolve(config, store, game, device, material.sources)
    if world.size > 1 and config.training.sync_batch_norm:
        synchronise(game)
    torch.set_num_threads(int(config.training.threads))
    if device.type == "cpu":
        keep_buffers()
    game.to(device)
    if is_convolutional(game):
        game.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return game, reasons


def make_training(
    folder: RunFolder, config: RunConfig, material: Material, game: Game, display: Display, world: World = ALONE
) -> Training:
    """Restore the folder's newest checkpoint, if there is one, and write down what the run is made of."""
    fresh = not folder.config.exists()
    state = make_state(config, game)
    recover_folders(folder.path)
    if checkpoint.restore(folder.checkpoints, state, display.note):
        display.note(f"Going on from image {state.images:,} of {folder.path}.")
    elif not fresh:
        display.note(f"{folder.path} has no checkpoint yet: beginning anew.")
    history = folder.rewind(state.images)
    plan = make_plan(config, material.store, material.device)
    reporter = make_reporter(folder, config, material, game, history, display, plan)
    if reporter.judging is not None:
        reporter.judging.check(reporter.model(state))
    write_facts(folder, config, material, game)
    return Training(folder, state, plan, feeds_of(config, material), reporter, world)


def feeds_of(config: RunConfig, material: Material) -> Callable[[int], Feed]:
    """The data in the order of training, by how often the run went back."""
    seed = config.training.seed

    def feed(branch: int) -> Feed:
        randomness = Randomness(number_of(seed, "branch", branch) if branch else seed, material.device)
        return Feed(
            material.store,
            randomness,
            flip=config.data.flip,
            labelled=material.labelled,
            sources=material.sources,
        )

    return feed


def make_reporter(
    folder: RunFolder,
    config: RunConfig,
    material: Material,
    game: Game,
    history: list[dict[str, Any]],
    display: Display,
    plan: Plan,
) -> Reporter:
    """Who writes the folder of a run with these records so far."""
    store, seed = material.store, config.training.seed
    about = model_config(config, store, game, material.sources)
    randomness = Randomness(seed, material.device)
    still = Feed(store, randomness, flip=False, labelled=material.labelled, sources=material.sources)
    held = None
    if material.held is not None:
        held = Feed(material.held, randomness, flip=False, sources=material.held_sources)
    shown = make_exhibits(folder, config, material, game)
    judging = make_judging(config, material, display)
    if judging is not None:
        judging.remember(folder.best)
    rule = config.training.on_collapse
    return Reporter(folder, store, held, about, shown, still, history, display, plan, rule, judging)


def make_exhibits(folder: RunFolder, config: RunConfig, material: Material, game: Game) -> Showing:
    """What every report of the run shows."""
    store, seed = material.store, config.training.seed
    if material.sources is not None:
        if material.held is not None and material.held_sources is not None:
            return Translations(folder.samples, material.held, material.held_sources, seed)
        return Translations(folder.samples, store, material.sources, seed)
    classes = store.classes if config.game.labels.any else ()
    return Exhibits(folder.samples, store, material.held, latents_of(config), classes, game.corrupted(seed), seed)


def play(training: Training, interrupts: Interrupts) -> Run:
    """Play on to the end or an interrupt. What stops it is written into status.json, and errors go on from here."""
    folder, state, plan, reporter = training.folder, training.state, training.plan, training.reporter
    world, watcher = training.world, Led(reporter, training.world)
    world.lead(lambda: reporter.begin(state))
    try:
        halt = play_on(Engine(state, plan, world), training.feed, plan, watcher, interrupts)
        while halt is not None and halt.kind == "back":
            go_back(training, halt.reason)
            if training.done:
                raise CollapsedError(
                    f"At the end of its time a {halt.reason}. The run is back at image {state.images:,}, healthy: to "
                    "go on from there, give a later end, --minutes."
                )
            world.share(state)
            halt = play_on(Engine(state, plan, world), training.feed, plan, watcher, interrupts)
        if halt is not None and halt.kind == "fail":
            raise CollapsedError(halt.reason)
    except ZerosumError as error:
        stood = STOOD.get(type(error), "stopped")
        with suppress(RunError):  # the disk that is full for a checkpoint may be full for this too
            folder.status(stood, str(error), state.images, state.seconds)
        raise
    reporter.display.end()
    if interrupts.number is None:
        reason = "the end that was asked for" if halt is None else halt.reason
        folder.status("done", reason, state.images, state.seconds)
    else:
        folder.status("stopped", f"stopped by signal {interrupts.number}, saved", state.images, state.seconds)
    return Run(folder.path, state.images, interrupts.number, state.seconds)


def go_back(training: Training, why: str) -> None:
    """To the last healthy checkpoint, from where other random numbers lead on. The time that was spent stays spent.

    It is written anew, with the new branch, before what is newer is dropped: a kill in between leaves the run where it
    was, to go back once more. Raises `CollapsedError` where there is none.
    """
    folder, state, reporter = training.folder, training.state, training.reporter
    path = checkpoint.last_until(folder.checkpoints, healthy_until(reporter.history))
    if path is None:
        reporter.checkpoint(state)
        raise CollapsedError(
            f"{folder.checkpoints} has no checkpoint of a healthy time to go back to, after a {why}. "
            "--on-collapse continue goes on all the same."
        )
    tensors, about = checkpoint.read(path)
    step = {"from": state.images, "to": about["images"], "why": why}
    state.load(tensors, about["images"], state.seconds, [*state.rollbacks, step])
    checkpoint.write(path, state)
    for newer in reversed([each for each in checkpoint.existing(folder.checkpoints) if each.name > path.name]):
        checkpoint.drop(newer)
    reporter.go_back(folder.rewind(state.images))
    reporter.release(state)
    count = len(state.rollbacks)
    reporter.display.note(f"Back from image {step['from']:,} to {state.images:,}, {count} of {MOST} times: {why}")


def _already_done(training: Training, display: Display) -> Run:
    folder, state = training.folder, training.state
    ended = training.reporter.out_of_patience
    longer = "give a later end (--images, --minutes or --epochs)"
    if ended is not None:
        longer = f"give more --patience, for {ended.reason}"
    display.note(
        f"{folder.path} is done: {state.images:,} images in {state.seconds / 60:.1f} minutes. To train it longer, "
        f"{longer}; to see it: {folder.path / 'report.html'}"
    )
    folder.status("done", "the end that was asked for" if ended is None else ended.reason, state.images, state.seconds)
    if not (folder.path / "report.html").exists():
        write_report(folder.path)
    return Run(folder.path, state.images, seconds=state.seconds)


def write_facts(folder: HeldFolder, config: RunConfig, material: Material, game: Game) -> None:
    """Write config.toml, environment.json and data.json."""
    store, device = material.store, material.device
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
    whole = model_config(config, store, game, material.sources)
    about = whole["data"] | {
        "classes": list(store.classes),
        "rejected": len(store.rejected),
        "digest": material.digest,
    }
    about |= {key: whole[key] for key in ("given", "degrade") if key in whole}
    if material.sources is not None:
        about["judged"] = judged_of(store if material.held is None else material.held)
    if store.name == "gaussian":
        about |= {"mean": GAUSSIAN_MEAN.tolist(), "covariance": GAUSSIAN_COVARIANCE.tolist()}
    write_json(folder.path / "data.json", about)
